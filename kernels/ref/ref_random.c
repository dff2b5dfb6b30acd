/* ref_random.c — normal numbers from a counter, and constants.
 *
 * Element n of sample s is element n%4 of block n/4 of the stream (seed, purpose, step, s). The
 * counter is packed as in lib/base/rng.h, so host code can draw the same numbers. No number depends
 * on another: any split of a batch, over calls or threads, gives the same values.
 */
#include "ref.h"

#include <Random123/philox.h>

/* Philox4x32-10 of counter {block, sample, step, purpose|step>>32|sample>>32} under key {seed}. */
static philox4x32_ctr_t draw_block(const uint64_t key[4], uint64_t sample, uint32_t block)
{
    const uint64_t seed = key[0], purpose = key[1], step = key[2];
    const uint64_t high = purpose << 16 | (step >> 32 & 0xff) << 8 | (sample >> 32 & 0xff);
    const philox4x32_ctr_t counter = {{block, (uint32_t)sample, (uint32_t)step, (uint32_t)high}};
    const philox4x32_key_t philox_key = {{(uint32_t)seed, (uint32_t)(seed >> 32)}};
    return philox4x32_R(10, counter, philox_key);
}

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
            const philox4x32_ctr_t w = draw_block(k->key, k->key[3] + b, (uint32_t)(n / 4));
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
