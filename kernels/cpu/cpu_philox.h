/* cpu_philox.h — Philox4x32-10 on vectors of blocks, one block per 64-bit lane. Counter and key are packed as in
 * kernels/ref/ref_philox.h.
 */
#ifndef DMC_CPU_PHILOX_H
#define DMC_CPU_PHILOX_H

#include "cpu_kernels.h"
#include "cpu_vec.h"

enum { BLOCK_WORDS = 4 };

#if defined(__AVX512F__)
typedef __m512i vu; /* VD numbers of 32 bits, in the low halves of 64-bit lanes */
CPU_INLINE vu u_set(uint64_t x)
{
    return _mm512_set1_epi64((long long)x);
}
CPU_INLINE vu u_count(void)
{
    return _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
}
CPU_INLINE vu u_mul(vu a, vu b) /* of the low halves */
{
    return _mm512_mul_epu32(a, b);
}
CPU_INLINE vu u_high(vu x)
{
    return _mm512_srli_epi64(x, 32);
}
#else
typedef __m256i vu;
CPU_INLINE vu u_set(uint64_t x)
{
    return _mm256_set1_epi64x((long long)x);
}
CPU_INLINE vu u_count(void)
{
    return _mm256_set_epi64x(3, 2, 1, 0);
}
CPU_INLINE vu u_mul(vu a, vu b)
{
    return _mm256_mul_epu32(a, b);
}
CPU_INLINE vu u_high(vu x)
{
    return _mm256_srli_epi64(x, 32);
}
#endif

/* Ten rounds on counters w; high halves of the lanes may hold anything. */
CPU_INLINE void philox(vu w[BLOCK_WORDS], uint32_t key0, uint32_t key1)
{
    for (int round = 0; round < 10; round++) {
        const vu p = u_mul(w[0], u_set(0xD2511F53)), q = u_mul(w[2], u_set(0xCD9E8D57));
        const vu w1 = w[1], w3 = w[3];
        w[0] = u_high(q) ^ w1 ^ u_set(key0);
        w[1] = q;
        w[2] = u_high(p) ^ w3 ^ u_set(key1);
        w[3] = p;
        key0 += 0x9E3779B9;
        key1 += 0xBB67AE85;
    }
}

/* Blocks block .. block + VD of sample `sample` of the stream key; high halves of the lanes of w hold anything. */
CPU_INLINE void philox_blocks(const uint64_t key[4], uint64_t sample, size_t block, vu w[BLOCK_WORDS])
{
    const uint32_t high =
        (uint32_t)key[1] << 16 | (uint32_t)(key[2] >> 32 & 0xff) << 8 | (uint32_t)(sample >> 32 & 0xff);
    w[0] = u_set(block) + u_count();
    w[1] = u_set((uint32_t)sample);
    w[2] = u_set((uint32_t)key[2]);
    w[3] = u_set(high);
    philox(w, (uint32_t)key[0], (uint32_t)(key[0] >> 32));
}

#endif
