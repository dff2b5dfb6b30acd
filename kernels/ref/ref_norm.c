/* ref_norm.c — GroupNorm with activation, modulation and residual behind it, and LayerNorm, which is the
 * norm alone with every row a sample of one step and one group.
 *
 * x, y, r(B,T,C), e(B,E), gamma(C), beta(C).  save: (B,G,2) = mean, 1/std; backward takes the rest from x. */
#include "ref.h"

typedef struct norm {
    const dmc_kargs *k;
    size_t B, T, C, G, E;
    double eps;
    int act;
    const real *e, *r; /* NULL = none           */
    int in_e, in_r;    /* which inputs they are */
} norm;

static norm groupnorm_shape(const dmc_kargs *k)
{
    norm s = {.k = k, .B = ref_dim(k, 0), .T = ref_dim(k, 1), .C = ref_dim(k, 2), .G = ref_dim(k, 3),
              .E = ref_dim(k, 4), .eps = k->attr[0], .act = (int)k->attr[1], .in_e = 1};
    s.in_r = s.E ? 2 : 1;
    s.e = s.E ? k->in[1] : NULL;
    s.r = k->in[s.in_r];
    return s;
}

static norm layernorm_shape(const dmc_kargs *k)
{
    return (norm){.k = k, .B = ref_dim(k, 0), .T = 1, .C = ref_dim(k, 1), .G = 1,
                  .eps = k->attr[0]};
}

/* Where element e of group g of sample b lies: a group is T rows of C/G neighbouring channels. */
static size_t place(const norm *s, size_t b, size_t g, size_t e)
{
    const size_t width = s->C / s->G;
    return (b * s->T + e / width) * s->C + g * width + e % width;
}

/* mean = sum x / n;  rstd = 1 / sqrt(sum (x - mean)^2 / n + eps), n = T C/G */
static void measure_group(const norm *s, size_t b, size_t g, double *mean, double *rstd)
{
    const real *const x = s->k->in[0];
    const size_t n = s->T * (s->C / s->G);
    double sum = 0, squares = 0;
    for (size_t e = 0; e < n; e++) sum += x[place(s, b, g, e)];
    *mean = sum / (double)n;
    for (size_t e = 0; e < n; e++) {
        const double d = x[place(s, b, g, e)] - *mean;
        squares += d * d;
    }
    *rstd = 1 / sqrt(squares / (double)n + s->eps);
}

/* xhat = (x - mean) rstd of element i, which lies in group g of sample b */
static double normalised(const norm *s, size_t b, size_t g, size_t i)
{
    const real *const x = s->k->in[0];
    const real *const stats = (const real *)s->k->save + 2 * (b * s->G + g);
    return ((double)x[i] - stats[0]) * stats[1];
}

/* NaN stays NaN. */
static double activate(const norm *s, double u)
{
    return s->act == 1 ? ref_mish(u) : s->act == 2 && u < 0 ? 0 : u;
}

static double activation_slope(const norm *s, double u)
{
    return s->act == 1 ? ref_mish_slope(u) : s->act == 2 ? u > 0 : 1;
}

/* The factor and the shift of channel c of sample b: e = [s | b] if it is 2C wide, else e = b and s = 1. */
static double factor(const norm *s, size_t b, size_t c)
{
    return s->e && s->E > s->C ? s->e[b * s->E + c] : 1;
}

static double shift(const norm *s, size_t b, size_t c)
{
    return s->e ? s->e[b * s->E + s->E - s->C + c] : 0;
}

/* The gradient in front of the activation: du = dy s act'(gamma xhat + beta) */
static double inner_gradient(const norm *s, size_t i, double xhat)
{
    const real *const gamma = s->k->par[0], *const beta = s->k->par[1], *const dy = s->k->dout;
    const size_t c = i % s->C;
    return dy[i] * factor(s, i / s->C / s->T, c) * activation_slope(s, gamma[c] * xhat + beta[c]);
}

/* y = s act(gamma xhat + beta) + b + r */
static void forward(const norm *s)
{
    const real *const x = s->k->in[0], *const gamma = s->k->par[0], *const beta = s->k->par[1];
    real *const y = s->k->out, *stats = s->k->save;
    for (size_t b = 0; b < s->B; b++)
        for (size_t g = 0; g < s->G; g++, stats += 2) {
            double mean, rstd;
            measure_group(s, b, g, &mean, &rstd);
            stats[0] = (real)mean;
            stats[1] = (real)rstd;
            for (size_t e = 0; e < s->T * (s->C / s->G); e++) {
                const size_t i = place(s, b, g, e), c = i % s->C;
                const double u = gamma[c] * ((x[i] - mean) * rstd) + beta[c];
                y[i] = (real)(factor(s, b, c) * activate(s, u) + shift(s, b, c) + (s->r ? s->r[i] : 0));
            }
        }
}

/* With h = gamma du and means over the group:  dx = rstd (h - mean(h) - xhat mean(h xhat)) */
static void group_gradient(const norm *s, size_t b, size_t g)
{
    const real *const gamma = s->k->par[0];
    const double rstd = ((const real *)s->k->save)[2 * (b * s->G + g) + 1];
    const size_t n = s->T * (s->C / s->G);
    double mean_h = 0, mean_hx = 0;
    for (size_t e = 0; e < n; e++) {
        const size_t i = place(s, b, g, e);
        const double xhat = normalised(s, b, g, i);
        const double h = gamma[i % s->C] * inner_gradient(s, i, xhat);
        mean_h += h / (double)n;
        mean_hx += h * xhat / (double)n;
    }
    for (size_t e = 0; e < n; e++) {
        const size_t i = place(s, b, g, e);
        const double xhat = normalised(s, b, g, i);
        const double h = gamma[i % s->C] * inner_gradient(s, i, xhat);
        ref_put(s->k, 0, i, rstd * (h - mean_h - xhat * mean_hx));
    }
}

/* dgamma[c] += sum_{b,t} du xhat;  dbeta[c] += sum_{b,t} du */
static void affine_gradient(const norm *s, size_t c)
{
    real *const dgamma = s->k->dpar[0], *const dbeta = s->k->dpar[1];
    double sum_gamma = 0, sum_beta = 0;
    for (size_t row = 0; row < s->B * s->T; row++) {
        const size_t i = row * s->C + c;
        const double xhat = normalised(s, row / s->T, c / (s->C / s->G), i);
        const double du = inner_gradient(s, i, xhat);
        sum_gamma += du * xhat;
        sum_beta += du;
    }
    if (dgamma) dgamma[c] = (real)(dgamma[c] + sum_gamma);
    if (dbeta) dbeta[c] = (real)(dbeta[c] + sum_beta);
}

/* ds[b,c] = sum_t dy act(gamma xhat + beta);  db[b,c] = sum_t dy */
static void modulation_gradient(const norm *s, size_t b, size_t c)
{
    const real *const gamma = s->k->par[0], *const beta = s->k->par[1], *const dy = s->k->dout;
    double sum_factor = 0, sum_shift = 0;
    for (size_t t = 0; t < s->T; t++) {
        const size_t i = (b * s->T + t) * s->C + c;
        sum_factor += dy[i] * activate(s, gamma[c] * normalised(s, b, c / (s->C / s->G), i) + beta[c]);
        sum_shift += dy[i];
    }
    if (s->E > s->C) ref_put(s->k, s->in_e, b * s->E + c, sum_factor);
    ref_put(s->k, s->in_e, b * s->E + s->E - s->C + c, sum_shift);
}

static void backward(const norm *s)
{
    const real *const dy = s->k->dout;
    if (s->e && s->k->din[s->in_e])
        for (size_t i = 0; i < s->B * s->C; i++) modulation_gradient(s, i / s->C, i % s->C);
    if (s->r)
        for (size_t i = 0; i < s->B * s->T * s->C; i++) ref_put(s->k, s->in_r, i, dy[i]);
    if (s->k->dpar[0] || s->k->dpar[1])
        for (size_t c = 0; c < s->C; c++) affine_gradient(s, c);
    if (s->k->din[0])
        for (size_t b = 0; b < s->B; b++)
            for (size_t g = 0; g < s->G; g++) group_gradient(s, b, g);
}

/* y = s[b,c] act(gamma[c] (x - mean) / sqrt(var + eps) + beta[c]) + b[b,c] + r; mean and (biased) variance of
 * each of the G groups of C/G neighbouring channels, over all T steps of a sample. act: 0 none, 1 Mish,
 * 2 ReLU. in: x, then e if E > 0, then r; e = [s | b] if E = 2C, e = b and s = 1 if E = C. Without e: s = 1,
 * b = 0; without r: r = 0.  dim: B T C G E   attr: eps act */
int32_t REF(groupnorm_fwd)(const dmc_kargs *k)
{
    const norm s = groupnorm_shape(k);
    forward(&s);
    return 0;
}

int32_t REF(groupnorm_bwd)(const dmc_kargs *k)
{
    const norm s = groupnorm_shape(k);
    backward(&s);
    return 0;
}

int32_t REF(groupnorm_prepare)(dmc_kargs *k, dmc_op_need *need)
{
    need->save = 2 * ref_dim(k, 0) * ref_dim(k, 3) * sizeof(real);
    return 0;
}

/* y = gamma[c] (x - mean) / sqrt(var + eps) + beta[c]; mean and (biased) variance of each row.
 * dim: N C   attr: eps */
int32_t REF(layernorm_fwd)(const dmc_kargs *k)
{
    const norm s = layernorm_shape(k);
    forward(&s);
    return 0;
}

int32_t REF(layernorm_bwd)(const dmc_kargs *k)
{
    const norm s = layernorm_shape(k);
    backward(&s);
    return 0;
}

int32_t REF(layernorm_prepare)(dmc_kargs *k, dmc_op_need *need)
{
    need->save = 2 * ref_dim(k, 0) * sizeof(real);
    return 0;
}
