/* ref_random.c — normal numbers and dropout from a counter, and constants. */
#include "ref_philox.h"

/* Box-Muller: normal = sqrt(-2 ln u1) {cos, sin}(2 pi u2), u1 = (w0 + 1) / 2^32 in (0,1],
 * u2 = w1 / 2^32 */
static void make_pair(uint32_t w0, uint32_t w1, double normal[2])
{
    const double radius = sqrt(-2 * log(((double)w0 + 1) * 0x1p-32));
    const double angle = 6.283185307179586476925 * ((double)w1 * 0x1p-32);
    normal[0] = radius * cos(angle);
    normal[1] = radius * sin(angle);
}

/* out[b,n] = the standard normal of (seed, purpose, step, first + b, n).
 * key: seed, purpose (16 bits), step (40 bits), first (40 bits).  dim: B N */
int32_t REF(normal_fwd)(const dmc_kargs *k)
{
    const size_t B = ref_dim(k, 0), N = ref_dim(k, 1);
    real *const out = k->out;
    for (size_t b = 0; b < B; b++)
        for (size_t n = 0; n < N; n += 4) {
            const philox4x32_ctr_t w = ref_philox(k->key, k->key[3] + b, (uint32_t)(n / 4));
            double normal[4];
            make_pair(w.v[0], w.v[1], normal);
            make_pair(w.v[2], w.v[3], normal + 2);
            for (size_t e = 0; e < 4 && n + e < N; e++) out[b * N + n + e] = (real)normal[e];
        }
    return 0;
}

/* out[i] = value.  dim: n   attr: value */
int32_t REF(fill_fwd)(const dmc_kargs *k)
{
    real *const out = k->out;
    for (size_t i = 0; i < ref_dim(k, 0); i++) out[i] = (real)k->attr[0];
    return 0;
}

/* y[b,n] = m x[b,n] / (1 - p) forward and dx = m dy / (1 - p) backward, m = 0 where word n of sample first + b is
 * below 2^32 p, else 1.  dim: B N   attr: p */
static double kept_share(const dmc_kargs *k, size_t b, size_t n)
{
    const philox4x32_ctr_t w = ref_philox(k->key, k->key[3] + b, (uint32_t)(n / 4));
    return w.v[n % 4] < k->attr[0] * 0x1p32 ? 0 : 1 / (1 - k->attr[0]);
}

int32_t REF(dropout_fwd)(const dmc_kargs *k)
{
    const size_t B = ref_dim(k, 0), N = ref_dim(k, 1);
    const real *const x = k->in[0];
    real *const y = k->out;
    for (size_t b = 0; b < B; b++)
        for (size_t n = 0; n < N; n++) y[b * N + n] = (real)(x[b * N + n] * kept_share(k, b, n));
    return 0;
}

int32_t REF(dropout_bwd)(const dmc_kargs *k)
{
    const size_t B = ref_dim(k, 0), N = ref_dim(k, 1);
    const real *const dy = k->dout;
    for (size_t b = 0; b < B; b++)
        for (size_t n = 0; n < N; n++) ref_put(k, 0, b * N + n, dy[b * N + n] * kept_share(k, b, n));
    return 0;
}
