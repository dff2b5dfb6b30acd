/* cpu_turn.h — 8 by 8 numbers, transposed in registers. */
#ifndef DMC_CPU_TURN_H
#define DMC_CPU_TURN_H

#include "cpu_kernels.h"
#include "cpu_vec.h"

/* Row i of r becomes column i. */
CPU_INLINE void turn(__m256 r[8])
{
    __m256 s[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; i += 2) {
        s[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        s[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 8; i += 4) {
        r[i] = _mm256_shuffle_ps(s[i], s[i + 2], _MM_SHUFFLE(1, 0, 1, 0));
        r[i + 1] = _mm256_shuffle_ps(s[i], s[i + 2], _MM_SHUFFLE(3, 2, 3, 2));
        r[i + 2] = _mm256_shuffle_ps(s[i + 1], s[i + 3], _MM_SHUFFLE(1, 0, 1, 0));
        r[i + 3] = _mm256_shuffle_ps(s[i + 1], s[i + 3], _MM_SHUFFLE(3, 2, 3, 2));
    }
#pragma GCC unroll 8
    for (int i = 0; i < 4; i++) {
        s[i] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x20);
        s[i + 4] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x31);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) r[i] = s[i];
}

/* y[j][i] = x[i][j] for the n rows and m columns of x there are; rows n.. of x read as 0. n and m are at most 8. */
CPU_INLINE void turn_part(const float *x, size_t ldx, size_t n, size_t m, float *y, size_t ldy)
{
    static const int32_t ones[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    const __m256i columns = _mm256_loadu_si256((const __m256i *)(const void *)(ones + 8 - m));
    __m256 r[8];
#pragma GCC unroll 8
    for (size_t i = 0; i < 8; i++)
        r[i] = i < n ? _mm256_maskload_ps(x + i * ldx, columns) : _mm256_setzero_ps();
    turn(r);
#pragma GCC unroll 8
    for (size_t j = 0; j < 8; j++)
        if (j < m) _mm256_storeu_ps(y + j * ldy, r[j]);
}

/* The same with n = m = 8. */
CPU_INLINE void turn_whole(const float *x, size_t ldx, float *y, size_t ldy)
{
    __m256 r[8];
#pragma GCC unroll 8
    for (size_t i = 0; i < 8; i++) r[i] = _mm256_loadu_ps(x + i * ldx);
    turn(r);
#pragma GCC unroll 8
    for (size_t j = 0; j < 8; j++) _mm256_storeu_ps(y + j * ldy, r[j]);
}

#endif
