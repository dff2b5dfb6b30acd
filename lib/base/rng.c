#include "rng.h"

#include <Random123/philox.h>
#include <math.h>

void dmc__rng_block(const dmc__stream *s, uint32_t index, uint32_t out[4])
{
    const philox4x32_ctr_t counter = {{index, (uint32_t)s->sample, (uint32_t)s->step,
                                       (s->purpose << 16) | (uint32_t)(s->step >> 32 & 0xff) << 8 |
                                           (uint32_t)(s->sample >> 32 & 0xff)}};
    const philox4x32_key_t key = {{(uint32_t)s->seed, (uint32_t)(s->seed >> 32)}};
    const philox4x32_ctr_t r = philox4x32_R(10, counter, key);
    for (int i = 0; i < 4; i++) out[i] = r.v[i];
}

static uint64_t draw_64(const dmc__stream *s, uint32_t index)
{
    uint32_t w[4];
    dmc__rng_block(s, index, w);
    return (uint64_t)w[0] << 32 | w[1];
}

double dmc__rng_uniform(const dmc__stream *s, uint32_t index)
{
    return (double)(draw_64(s, index) >> 11) * 0x1p-53;
}

uint64_t dmc__rng_below(const dmc__stream *s, uint32_t index, uint64_t n)
{
    return (uint64_t)((unsigned __int128)draw_64(s, index) * n >> 64);
}

double dmc__rng_normal(const dmc__stream *s, uint32_t index)
{
    uint32_t w[4];
    dmc__rng_block(s, index / 4, w);
    /* Box-Muller: words 0,1 make elements 0,1 of the block, words 2,3 elements 2,3. The 1 keeps log away
     * from 0. */
    const uint32_t *const pair = w + (index & 2);
    const double radius = sqrt(-2.0 * log(((double)pair[0] + 1.0) * 0x1p-32));
    const double angle = 6.283185307179586476925 * ((double)pair[1] * 0x1p-32);
    return radius * (index & 1 ? sin(angle) : cos(angle));
}
