/* ref_philox.h — random bits from a counter.
 *
 * Element n of sample s is element n%4 of block n/4 of the stream (seed, purpose, step, s). The counter is packed as in
 * lib/base/rng.h, so host code can draw the same numbers. No number depends on another: any split of a batch, over
 * calls or threads, gives the same values.
 */
#ifndef DMC_KERNELS_REF_PHILOX_H
#define DMC_KERNELS_REF_PHILOX_H

#include "ref.h"

#include <Random123/philox.h>

/* Philox4x32-10 of counter {block, sample, step, purpose|step>>32|sample>>32} under key {seed}. */
static inline philox4x32_ctr_t ref_philox(const uint64_t key[4], uint64_t sample, uint32_t block)
{
    const uint64_t seed = key[0], purpose = key[1], step = key[2];
    const uint64_t high = purpose << 16 | (step >> 32 & 0xff) << 8 | (sample >> 32 & 0xff);
    const philox4x32_ctr_t counter = {{block, (uint32_t)sample, (uint32_t)step, (uint32_t)high}};
    const philox4x32_key_t philox_key = {{(uint32_t)seed, (uint32_t)(seed >> 32)}};
    return philox4x32_R(10, counter, philox_key);
}

#endif
