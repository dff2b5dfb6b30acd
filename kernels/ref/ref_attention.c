/* ref_attention.c — softmax(q k^T / sqrt d) v, head by head.
 *
 * q_t, k_s, v_s are rows of one head of one sample, d wide; m_ts is 1 / (1 - p) or 0 (dropout).
 *     a_ts = q_t . k_s / sqrt d,   s < seen(t)      p_ts = exp(a_ts - max_t) / sum_s exp(a_ts - max_t)
 *     y_t = sum_s m_ts p_ts v_s
 * save: (B,H,Tq,2) = max_t, 1 / sum_s exp(a_ts - max_t). scratch: doubles, see attention_prepare.
 */
#include "ref_philox.h"

/* One head of one sample: where its rows begin in the operands, and how far apart they are. */
typedef struct head {
    const dmc_kargs *k;
    size_t Tq, Tk, d, number; /* number: of the head */
    size_t q, key, v, y;      /* first element of row 0; key and v in in[source] */
    size_t ldq, ldk, ldy;
    int source;
    uint64_t sample;
    real *save;
} head;

static head open_head(const dmc_kargs *k, size_t b, size_t h)
{
    const size_t Tq = ref_dim(k, 1), Tk = ref_dim(k, 2), H = ref_dim(k, 3), d = ref_dim(k, 4), D = H * d;
    const int two = k->in[1] != NULL;
    head a = {.k = k, .Tq = Tq, .Tk = Tk, .d = d, .number = h, .source = two, .sample = k->key[3] + b};
    a.ldq = two ? D : 3 * D;
    a.ldk = two ? 2 * D : 3 * D;
    a.ldy = D;
    a.q = b * Tq * a.ldq + h * d;
    a.key = b * Tk * a.ldk + (two ? 0 : D) + h * d;
    a.v = a.key + D;
    a.y = b * Tq * D + h * d;
    a.save = (real *)k->save + 2 * (b * H + h) * Tq;
    return a;
}

/* Keys that query t sees. */
static size_t seen(const head *a, size_t t)
{
    const size_t limit = t + 1 + (size_t)a->k->attr[2];
    return a->k->attr[1] != 0 && limit < a->Tk ? limit : a->Tk;
}

static double dot(const void *x, size_t i, const void *y, size_t j, size_t n)
{
    double sum = 0;
    for (size_t c = 0; c < n; c++) sum += (double)((const real *)x)[i + c] * ((const real *)y)[j + c];
    return sum;
}

/* a_ts */
static double score(const head *a, size_t t, size_t s)
{
    const double qk = dot(a->k->in[0], a->q + t * a->ldq, a->k->in[a->source], a->key + s * a->ldk, a->d);
    return qk / sqrt((double)a->d);
}

/* m_ts */
static double kept_share(const head *a, size_t t, size_t s)
{
    const double p = a->k->attr[0];
    if (p == 0) return 1;
    const size_t n = (a->number * a->Tq + t) * ((a->Tk + 3) / 4 * 4) + s;
    const philox4x32_ctr_t w = ref_philox(a->k->key, a->sample, (uint32_t)(n / 4));
    return w.v[n % 4] < p * 0x1p32 ? 0 : 1 / (1 - p);
}

static void forward_row(const head *a, size_t t)
{
    const real *const v = (const real *)a->k->in[a->source] + a->v;
    real *const y = (real *)a->k->out + a->y + t * a->ldy;
    double *const p = a->k->scratch;
    double sum = 0;
    const size_t n = seen(a, t);
    double most = p[0] = score(a, t, 0);
    for (size_t s = 1; s < n; s++) {
        p[s] = score(a, t, s);
        if (!(p[s] <= most)) most = p[s];
    }
    for (size_t s = 0; s < n; s++) sum += p[s] = exp(p[s] - most);
    for (size_t s = 0; s < n; s++) p[s] *= kept_share(a, t, s) / sum;
    for (size_t c = 0; c < a->d; c++) {
        double mix = 0;
        for (size_t s = 0; s < n; s++) mix += p[s] * v[s * a->ldk + c];
        y[c] = (real)mix;
    }
    a->save[2 * t] = (real)most;
    a->save[2 * t + 1] = (real)(1 / sum);
}

/* dim: B Tq Tk H d   attr: p causal shift */
int32_t REF(attention_fwd)(const dmc_kargs *k)
{
    for (size_t b = 0; b < ref_dim(k, 0); b++)
        for (size_t h = 0; h < ref_dim(k, 3); h++) {
            const head a = open_head(k, b, h);
            for (size_t t = 0; t < a.Tq; t++) forward_row(&a, t);
        }
    return 0;
}

/* ---- backward ------------------------------------------------------------------------------------
 *
 *     dp_ts = m_ts dy_t . v_s       delta_t = sum_s p_ts dp_ts      da_ts = p_ts (dp_ts - delta_t) / sqrt d
 *     dq_t = sum_s da_ts k_s        dk_s = sum_t da_ts q_t          dv_s = sum_t m_ts p_ts dy_t
 */

/* p_ts, m_ts and dp_ts of a pair. */
typedef struct pair {
    double p, kept, dp;
} pair;

static pair look_at(const head *a, size_t t, size_t s)
{
    const double p = exp(score(a, t, s) - a->save[2 * t]) * a->save[2 * t + 1], kept = kept_share(a, t, s);
    return (pair){p, kept, kept * dot(a->k->dout, a->y + t * a->ldy, a->k->in[a->source], a->v + s * a->ldk, a->d)};
}

/* dq_t; leaves delta_t. `row` has room for d numbers. */
static double query_gradient(const head *a, size_t t, double *row)
{
    const real *const key = (const real *)a->k->in[a->source] + a->key;
    const double scale = 1 / sqrt((double)a->d);
    double delta = 0;
    for (size_t s = 0; s < seen(a, t); s++) {
        const pair x = look_at(a, t, s);
        delta += x.p * x.dp;
    }
    for (size_t c = 0; c < a->d; c++) row[c] = 0;
    for (size_t s = 0; a->k->din[0] && s < seen(a, t); s++) {
        const pair x = look_at(a, t, s);
        for (size_t c = 0; c < a->d; c++) row[c] += x.p * (x.dp - delta) * scale * key[s * a->ldk + c];
    }
    for (size_t c = 0; c < a->d; c++) ref_put(a->k, 0, a->q + t * a->ldq + c, row[c]);
    return delta;
}

/* dk_s and dv_s; `row` has room for 2 d numbers. */
static void key_gradient(const head *a, size_t s, const double *delta, double *row)
{
    const real *const q = (const real *)a->k->in[0] + a->q, *const dy = (const real *)a->k->dout + a->y;
    const double scale = 1 / sqrt((double)a->d);
    for (size_t c = 0; c < 2 * a->d; c++) row[c] = 0;
    for (size_t t = 0; t < a->Tq; t++) {
        if (s >= seen(a, t)) continue;
        const pair x = look_at(a, t, s);
        for (size_t c = 0; c < a->d; c++) {
            row[c] += x.p * (x.dp - delta[t]) * scale * q[t * a->ldq + c];
            row[a->d + c] += x.p * x.kept * dy[t * a->ldy + c];
        }
    }
    for (size_t c = 0; c < a->d; c++) {
        ref_put(a->k, a->source, a->key + s * a->ldk + c, row[c]);
        ref_put(a->k, a->source, a->v + s * a->ldk + c, row[a->d + c]);
    }
}

int32_t REF(attention_bwd)(const dmc_kargs *k)
{
    double *const delta = k->scratch, *const row = delta + ref_dim(k, 1);
    for (size_t b = 0; b < ref_dim(k, 0); b++)
        for (size_t h = 0; h < ref_dim(k, 3); h++) {
            const head a = open_head(k, b, h);
            for (size_t t = 0; t < a.Tq; t++) delta[t] = query_gradient(&a, t, row);
            for (size_t s = 0; k->din[a.source] && s < a.Tk; s++) key_gradient(&a, s, delta, row);
        }
    return 0;
}

int32_t REF(attention_prepare)(dmc_kargs *k, dmc_op_need *need)
{
    need->save = 2 * ref_dim(k, 0) * ref_dim(k, 3) * ref_dim(k, 1) * sizeof(real);
    need->scratch_fwd = ref_dim(k, 2) * sizeof(double);
    need->scratch_bwd = (ref_dim(k, 1) + 2 * ref_dim(k, 4)) * sizeof(double);
    return 0;
}
