/* cuda_fp16.h — a stand-in: IEEE binary16, rounded to the nearest, ties to even. */
#ifndef DMC_TESTS_EMU_CUDA_FP16_H
#define DMC_TESTS_EMU_CUDA_FP16_H

#include <math.h>
#include <stdint.h>

struct alignas(2) __half {
    uint16_t bits;
};

static inline float __half2float(__half h)
{
    const int exponent = h.bits >> 10 & 31, fraction = h.bits & 1023;
    const float sign = h.bits >> 15 ? -1.0f : 1.0f;
    if (exponent == 31) return fraction ? NAN : sign * INFINITY;
    if (exponent == 0) return sign * ldexpf(static_cast<float>(fraction), -24);
    return sign * ldexpf(static_cast<float>(1024 + fraction), exponent - 25);
}

static inline __half __float2half_rn(float x)
{
    const uint16_t sign = signbit(x) ? 0x8000 : 0;
    const float size = fabsf(x);
    if (isnan(x)) return {0x7fff};
    if (size >= 65520.0f) return {static_cast<uint16_t>(sign | 0x7c00)};
    int exponent = 0;
    frexpf(size, &exponent);
    if (exponent < -13) exponent = -13;
    /* in units of the last place; a carry moves into the exponent by itself */
    const int units = static_cast<int>(nearbyintf(ldexpf(size, 11 - exponent)));
    return {static_cast<uint16_t>(sign | (((exponent + 13) << 10) + units))};
}

static inline __half __float2half(float x)
{
    return __float2half_rn(x);
}

#endif
