/* ref_modulate.c — what a row m(B,M) of modulation does to all steps of a sample (DiT): a norm that it scales and
 * shifts, and a gate on what is added to the residual stream. The gradient of m is a whole row, 0 in columns that an op
 * does not read, so that a first contribution may overwrite.
 */
#include "ref.h"

/* mean = sum x / C;  rstd = 1 / sqrt(sum (x - mean)^2 / C + eps) */
static void measure_row(const real *x, size_t C, double eps, double *mean, double *rstd)
{
    double sum = 0, squares = 0;
    for (size_t c = 0; c < C; c++) sum += x[c];
    *mean = sum / (double)C;
    for (size_t c = 0; c < C; c++) squares += (x[c] - *mean) * (x[c] - *mean);
    *rstd = 1 / sqrt(squares / (double)C + eps);
}

/* y[b,t,c] = xhat (1 + m[b,scale+c]) + m[b,shift+c], xhat = (x - mean) / sqrt(var + eps), mean and (biased) variance of
 * each row.  dim: B T C M shift scale   attr: eps   save: (B,T,2) = mean, 1/std */
int32_t REF(adaln_fwd)(const dmc_kargs *k)
{
    const size_t B = ref_dim(k, 0), T = ref_dim(k, 1), C = ref_dim(k, 2), M = ref_dim(k, 3);
    real *const save = k->save;
    for (size_t r = 0; r < B * T; r++) {
        const real *const x = (const real *)k->in[0] + r * C, *const m = (const real *)k->in[1] + r / T * M;
        real *const y = (real *)k->out + r * C;
        double mean, rstd;
        measure_row(x, C, k->attr[0], &mean, &rstd);
        for (size_t c = 0; c < C; c++)
            y[c] = (real)((x[c] - mean) * rstd * (1.0 + m[ref_dim(k, 5) + c]) + m[ref_dim(k, 4) + c]);
        save[2 * r] = (real)mean;
        save[2 * r + 1] = (real)rstd;
    }
    return 0;
}

/* With h = (1 + scale) dy and means over the row:  dx = rstd (h - mean(h) - xhat mean(h xhat)) */
static void adaln_row_gradient(const dmc_kargs *k, size_t r)
{
    const size_t T = ref_dim(k, 1), C = ref_dim(k, 2);
    const real *const x = (const real *)k->in[0] + r * C, *const dy = (const real *)k->dout + r * C;
    const real *const scale = (const real *)k->in[1] + r / T * ref_dim(k, 3) + ref_dim(k, 5);
    const double mean = ((const real *)k->save)[2 * r], rstd = ((const real *)k->save)[2 * r + 1];
    double mean_h = 0, mean_hx = 0;
    for (size_t c = 0; c < C; c++) {
        const double h = (1.0 + scale[c]) * dy[c];
        mean_h += h / (double)C;
        mean_hx += h * (x[c] - mean) * rstd / (double)C;
    }
    for (size_t c = 0; c < C; c++)
        ref_put(k, 0, r * C + c, rstd * ((1.0 + scale[c]) * dy[c] - mean_h - (x[c] - mean) * rstd * mean_hx));
}

/* The gradient of m is 0 before contributions are added, unless it is added to. */
static void clear_modulation(const dmc_kargs *k, int input)
{
    real *const dm = k->din[input];
    for (size_t i = 0; dm && !(k->acc >> input & 1) && i < ref_dim(k, 0) * ref_dim(k, 3); i++) dm[i] = 0;
}

static void add_modulation(const dmc_kargs *k, int input, size_t i, double g)
{
    real *const dm = k->din[input];
    dm[i] = (real)(dm[i] + g);
}

/* dshift[b,c] = sum_t dy;  dscale[b,c] = sum_t dy xhat */
static void adaln_modulation_gradient(const dmc_kargs *k, size_t b, size_t c)
{
    const size_t T = ref_dim(k, 1), C = ref_dim(k, 2), M = ref_dim(k, 3);
    const real *const x = k->in[0], *const dy = k->dout, *const save = k->save;
    double shift = 0, scale = 0;
    for (size_t r = b * T; r < (b + 1) * T; r++) {
        shift += dy[r * C + c];
        scale += dy[r * C + c] * ((double)x[r * C + c] - save[2 * r]) * save[2 * r + 1];
    }
    add_modulation(k, 1, b * M + ref_dim(k, 4) + c, shift);
    add_modulation(k, 1, b * M + ref_dim(k, 5) + c, scale);
}

int32_t REF(adaln_bwd)(const dmc_kargs *k)
{
    const size_t B = ref_dim(k, 0), T = ref_dim(k, 1), C = ref_dim(k, 2);
    clear_modulation(k, 1);
    for (size_t i = 0; k->din[1] && i < B * C; i++) adaln_modulation_gradient(k, i / C, i % C);
    for (size_t r = 0; k->din[0] && r < B * T; r++) adaln_row_gradient(k, r);
    return 0;
}

int32_t REF(adaln_prepare)(dmc_kargs *k, dmc_op_need *need)
{
    need->save = 2 * ref_dim(k, 0) * ref_dim(k, 1) * sizeof(real);
    return 0;
}

/* y[b,t,c] = x[b,t,c] + m[b,gate+c] h[b,t,c].  y may be x.  dim: B T C M gate */
int32_t REF(gate_fwd)(const dmc_kargs *k)
{
    const size_t B = ref_dim(k, 0), T = ref_dim(k, 1), C = ref_dim(k, 2), M = ref_dim(k, 3), at = ref_dim(k, 4);
    const real *const x = k->in[0], *const h = k->in[1], *const m = k->in[2];
    real *const y = k->out;
    for (size_t i = 0; i < B * T * C; i++) y[i] = (real)(x[i] + (double)m[i / C / T * M + at + i % C] * h[i]);
    return 0;
}

/* dx = dy;  dh = g dy;  dg[b,c] = sum_t dy h */
int32_t REF(gate_bwd)(const dmc_kargs *k)
{
    const size_t B = ref_dim(k, 0), T = ref_dim(k, 1), C = ref_dim(k, 2), M = ref_dim(k, 3), at = ref_dim(k, 4);
    const real *const h = k->in[1], *const m = k->in[2], *const dy = k->dout;
    clear_modulation(k, 2);
    for (size_t b = 0; k->din[2] && b < B; b++)
        for (size_t c = 0; c < C; c++) {
            double sum = 0;
            for (size_t r = b * T; r < (b + 1) * T; r++) sum += (double)dy[r * C + c] * h[r * C + c];
            add_modulation(k, 2, b * M + at + c, sum);
        }
    for (size_t i = 0; i < B * T * C; i++) {
        ref_put(k, 1, i, (double)m[i / C / T * M + at + i % C] * dy[i]);
        ref_put(k, 0, i, dy[i]);
    }
    return 0;
}
