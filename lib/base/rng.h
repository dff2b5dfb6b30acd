/* rng.h — counter-based random numbers, Philox4x32-10 (Salmon et al., SC'11; Random123).
 *
 * A number is a pure function of (seed, purpose, step, sample, index): nothing is stored, so results do not
 * depend on batch size, thread count or what was drawn before, and a checkpoint stores counters only.
 */
#ifndef DMC_BASE_RNG_H
#define DMC_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

typedef struct dmc__stream {
    uint64_t seed;
    uint32_t purpose; /* DMC_STREAM_* */
    uint64_t step;    /* 40 bits used */
    uint64_t sample;  /* 40 bits used */
} dmc__stream;

/* Four 32-bit numbers: block `index` of the stream.
 * Counter words: {index, low 32 of sample, low 32 of step, (purpose<<16)|(step>>32 & 0xff)<<8|(sample>>32 & 0xff)};
 * key words: low and high half of seed. kernels/ref NORMAL uses the same packing with
 * index = n/4, and Box-Muller on pairs, see kernels/ref/random.c. */
void dmc__rng_block(const dmc__stream *s, uint32_t index, uint32_t out[4]);

/* Uniform in [0,1) with 53 bits: words 0,1 of block `index`. */
double dmc__rng_uniform(const dmc__stream *s, uint32_t index);
/* Uniform integer in [0,n), n>0, without modulo bias beyond 2^-64 (multiply-shift on 64 bits). */
uint64_t dmc__rng_below(const dmc__stream *s, uint32_t index, uint64_t n);
/* Standard normal, element `index` (same numbers as the NORMAL kernel, in double). */
double dmc__rng_normal(const dmc__stream *s, uint32_t index);

#endif
