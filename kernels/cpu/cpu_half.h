/* cpu_half.h — vectors of 16-bit numbers: bfloat16, the upper half of a float, and binary16. */
#ifndef DMC_CPU_HALF_H
#define DMC_CPU_HALF_H

#include "../kernels.h"
#include "cpu_vec.h"

#include <string.h>

/* clang-format off */
#if defined(__AVX512F__)

typedef __m256i vh; /* VW of them */

CPU_INLINE vh v_load_half(const uint16_t *p) { return _mm256_loadu_si256((const void *)p); }
CPU_INLINE void v_store_half(uint16_t *p, vh x) { _mm256_storeu_si256((void *)p, x); }
CPU_INLINE vf v_from_bf16(vh h)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}
CPU_INLINE vf v_from_fp16(vh h) { return _mm512_cvtph_ps(h); }
CPU_INLINE vh v_to_fp16(vf x) { return _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT); }

/* Half a unit less one, and one if the last bit stays odd: what is cut off rounds to even. */
CPU_INLINE vh v_to_bf16(vf x)
{
    const __m512i u = _mm512_castps_si512(x), odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    const __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(u, _mm512_set1_epi32(0x7fff)), odd);
    const __m512i quiet = _mm512_or_si512(u, _mm512_set1_epi32(0x400000));
    const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_mask_mov_epi32(rounded, nan, quiet), 16));
}

#else

typedef __m128i vh;

CPU_INLINE vh v_load_half(const uint16_t *p) { return _mm_loadu_si128((const void *)p); }
CPU_INLINE void v_store_half(uint16_t *p, vh x) { _mm_storeu_si128((void *)p, x); }
CPU_INLINE vf v_from_bf16(vh h)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}
CPU_INLINE vf v_from_fp16(vh h) { return _mm256_cvtph_ps(h); }
CPU_INLINE vh v_to_fp16(vf x) { return _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT); }

CPU_INLINE vh v_to_bf16(vf x)
{
    const __m256i u = _mm256_castps_si256(x), odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(u, _mm256_set1_epi32(0x7fff)), odd);
    const __m256i quiet = _mm256_or_si256(u, _mm256_set1_epi32(0x400000));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    const __m256i all = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, nan), 16);
    return _mm_packus_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
}

#endif
/* clang-format on */

/* The first n, 0 < n <= VW; nothing behind them is read or written. */
CPU_INLINE vh v_load_half_n(const uint16_t *p, size_t n)
{
    uint16_t part[VW] = {0};
    if (n == VW) return v_load_half(p);
    memcpy(part, p, n * sizeof *p);
    return v_load_half(part);
}
CPU_INLINE void v_store_half_n(uint16_t *p, vh x, size_t n)
{
    uint16_t part[VW];
    v_store_half(part, x);
    memcpy(p, part, n * sizeof *p);
}

/* The first n numbers of this type (DMC_WEIGHT_*) from number i on, as floats; lanes beyond are zero. */
CPU_INLINE vf v_load_number(const void *a, ptrdiff_t i, size_t n, const int32_t type)
{
    const uint16_t *const half = (const uint16_t *)a + i;
    if (type == DMC_WEIGHT_FLOAT) return v_load_n((const float *)a + i, n);
    return type == DMC_WEIGHT_BF16 ? v_from_bf16(v_load_half_n(half, n)) : v_from_fp16(v_load_half_n(half, n));
}

#endif
