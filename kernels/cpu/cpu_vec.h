/* cpu_vec.h — one vector of floats: 16 of them under AVX-512, 8 under AVX2. Arithmetic is the
 * compiler's (+ - * /).
 *
 * The _n forms touch the first n lanes of memory only, 0 < n <= VW; lanes beyond read as zero. An
 * element gets the same bits whether it is in a full vector or in a tail.
 */
#ifndef DMC_CPU_VEC_H
#define DMC_CPU_VEC_H

#include <immintrin.h>
#include <sleef.h>
#include <stddef.h>
#include <stdint.h>

#define CPU_INLINE static inline __attribute__((always_inline))

/* clang-format off */
#if defined(__AVX512F__)

typedef __m512 vf;
typedef __mmask16 vm; /* one truth per lane */
enum { VW = 16 };

CPU_INLINE vf v_set(float x) { return _mm512_set1_ps(x); }
CPU_INLINE vf v_load(const float *p) { return _mm512_loadu_ps(p); }
CPU_INLINE void v_store(float *p, vf x) { _mm512_storeu_ps(p, x); }
CPU_INLINE vm v_first(size_t n) { return (vm)(0xffffU >> (VW - n)); }
CPU_INLINE vf v_load_m(vm m, const float *p) { return _mm512_maskz_loadu_ps(m, p); }
CPU_INLINE void v_store_m(vm m, float *p, vf x) { _mm512_mask_storeu_ps(p, m, x); }
CPU_INLINE vf v_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }   /* c + a b */
CPU_INLINE vf v_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); } /* c - a b */
CPU_INLINE vf v_min(vf a, vf b) { return _mm512_min_ps(a, b); }              /* b where a is NaN */
CPU_INLINE vf v_max(vf a, vf b) { return _mm512_max_ps(a, b); }
CPU_INLINE vf v_sqrt(vf x) { return _mm512_sqrt_ps(x); }
CPU_INLINE vm v_gt(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
CPU_INLINE vm v_le(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
CPU_INLINE vm v_ne(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_NEQ_UQ); }
CPU_INLINE vf v_select(vm m, vf yes, vf no) { return _mm512_mask_blend_ps(m, no, yes); }
CPU_INLINE vf v_times_2k(vf x, vf k) { return _mm512_scalef_ps(x, k); } /* x 2^k, k whole, |k| < 250 */
CPU_INLINE vf v_tanh(vf x) { return Sleef_tanhf16_u10avx512f(x); }
CPU_INLINE vf v_erf(vf x) { return Sleef_erff16_u10avx512f(x); }

/* Pairwise, in an order that does not depend on anything. */
CPU_INLINE float v_sum(vf x)
{
    const __m256 h = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    const __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    const __m128 d = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(d, _mm_movehdup_ps(d)));
}

/* The largest lane. */
CPU_INLINE float v_most(vf x) { return _mm512_reduce_max_ps(x); }

/* Every lane gets the sum of its group of `width` neighbours, 1, 2, 4 .. VW. */
CPU_INLINE vf v_group_sum(vf x, size_t width)
{
    if (width > 1) x += _mm512_permute_ps(x, 0xB1);
    if (width > 2) x += _mm512_permute_ps(x, 0x4E);
    if (width > 4) x += _mm512_shuffle_f32x4(x, x, 0xB1);
    if (width > 8) x += _mm512_shuffle_f32x4(x, x, 0x4E);
    return x;
}

/* VD numbers in double: half of a vf. */
typedef __m512d vd;
enum { VD = 8 };
CPU_INLINE vd v_low_double(vf x) { return _mm512_cvtps_pd(_mm512_castps512_ps256(x)); }
CPU_INLINE vd v_high_double(vf x) { return _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1)); }
CPU_INLINE vd v_square_add(vd x, vd sum) { return _mm512_fmadd_pd(x, x, sum); }

#else

typedef __m256 vf;
typedef __m256 vm;
enum { VW = 8 };

CPU_INLINE vf v_set(float x) { return _mm256_set1_ps(x); }
CPU_INLINE vf v_load(const float *p) { return _mm256_loadu_ps(p); }
CPU_INLINE void v_store(float *p, vf x) { _mm256_storeu_ps(p, x); }
CPU_INLINE vm v_first(size_t n)
{
    static const int32_t ones[2 * VW] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_castsi256_ps(_mm256_loadu_si256((const __m256i *)(const void *)(ones + VW - n)));
}
CPU_INLINE vf v_load_m(vm m, const float *p)
{
    return _mm256_maskload_ps(p, _mm256_castps_si256(m));
}
CPU_INLINE void v_store_m(vm m, float *p, vf x)
{
    _mm256_maskstore_ps(p, _mm256_castps_si256(m), x);
}
CPU_INLINE vf v_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
CPU_INLINE vf v_fnma(vf a, vf b, vf c) { return _mm256_fnmadd_ps(a, b, c); }
CPU_INLINE vf v_min(vf a, vf b) { return _mm256_min_ps(a, b); }
CPU_INLINE vf v_max(vf a, vf b) { return _mm256_max_ps(a, b); }
CPU_INLINE vf v_sqrt(vf x) { return _mm256_sqrt_ps(x); }
CPU_INLINE vm v_gt(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_GT_OQ); }
CPU_INLINE vm v_le(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_LE_OQ); }
CPU_INLINE vm v_ne(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_NEQ_UQ); }
CPU_INLINE vf v_select(vm m, vf yes, vf no) { return _mm256_blendv_ps(no, yes, m); }
/* x 2^k, k whole, |k| < 250; in two steps, since 2^k need not be a float when x 2^k is */
CPU_INLINE vf v_times_2k(vf x, vf k)
{
    const __m256i n = _mm256_cvtps_epi32(k), half = _mm256_srai_epi32(n, 1), one = _mm256_set1_epi32(127);
    const __m256i low = _mm256_add_epi32(half, one), high = _mm256_add_epi32(_mm256_sub_epi32(n, half), one);
    return x * _mm256_castsi256_ps(_mm256_slli_epi32(low, 23)) * _mm256_castsi256_ps(_mm256_slli_epi32(high, 23));
}
CPU_INLINE vf v_tanh(vf x) { return Sleef_tanhf8_u10avx2(x); }
CPU_INLINE vf v_erf(vf x) { return Sleef_erff8_u10avx2(x); }

CPU_INLINE float v_sum(vf x)
{
    const __m128 q = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    const __m128 d = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(d, _mm_movehdup_ps(d)));
}

CPU_INLINE float v_most(vf x)
{
    const __m128 q = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    const __m128 d = _mm_max_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_max_ss(d, _mm_movehdup_ps(d)));
}

CPU_INLINE vf v_group_sum(vf x, size_t width)
{
    if (width > 1) x += _mm256_permute_ps(x, 0xB1);
    if (width > 2) x += _mm256_permute_ps(x, 0x4E);
    if (width > 4) x += _mm256_permute2f128_ps(x, x, 1);
    return x;
}

typedef __m256d vd;
enum { VD = 4 };
CPU_INLINE vd v_low_double(vf x) { return _mm256_cvtps_pd(_mm256_castps256_ps128(x)); }
CPU_INLINE vd v_high_double(vf x) { return _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1)); }
CPU_INLINE vd v_square_add(vd x, vd sum) { return _mm256_fmadd_pd(x, x, sum); }

#endif

CPU_INLINE vf v_zero(void) { return v_set(0); }
CPU_INLINE vf v_load_n(const float *p, size_t n)
{
    return n < VW ? v_load_m(v_first(n), p) : v_load(p);
}
CPU_INLINE void v_store_n(float *p, vf x, size_t n)
{
    if (n < VW) v_store_m(v_first(n), p, x);
    else v_store(p, x);
}
/* p = x, or p += x. */
CPU_INLINE void v_give_n(float *p, vf x, size_t n, int add)
{
    if (add) x += v_load_n(p, n);
    v_store_n(p, x, n);
}

/* e^x for -104 <= x <= 89 or NaN; beyond, it is 0 or infinite as a float. x = k ln 2 + r with |r| <= ln 2 / 2; of
 * e^r = 1 + r + r^2 q(r) the error is 3e-9, rounding makes it 1e-7. */
CPU_INLINE vf v_exp_inside(vf x)
{
    const vf whole = v_set(0x1.8p23f); /* adding it rounds to whole numbers */
    const vf k = v_fma(x, v_set(0x1.715476p0f), whole) - whole;
    const vf r = v_fnma(k, v_set(0x1.7f7d1cp-20f), v_fnma(k, v_set(0x1.62e4p-1f), x));
    vf p = v_fma(v_set(0x1.6a2434p-10f), r, v_set(0x1.1239e2p-7f));
    p = v_fma(p, r, v_set(0x1.5558f2p-5f));
    p = v_fma(p, r, v_set(0x1.555492p-3f));
    p = v_fma(p, r, v_set(0x1.fffffcp-2f));
    return v_times_2k(v_fma(v_fma(p, r, v_set(1)), r, v_set(1)), k);
}
CPU_INLINE vf v_exp(vf x) { return v_exp_inside(v_max(v_set(-104), v_min(v_set(89), x))); }

/* clang-format on */

#endif
