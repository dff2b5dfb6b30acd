/* cuda_bf16.h — a stand-in: bfloat16, the upper half of a float, rounded to the nearest, ties to even. */
#ifndef DMC_TESTS_EMU_CUDA_BF16_H
#define DMC_TESTS_EMU_CUDA_BF16_H

#include <stdint.h>
#include <string.h>

struct alignas(2) __nv_bfloat16 {
    uint16_t bits;
};

static inline float __bfloat162float(__nv_bfloat16 h)
{
    const uint32_t bits = static_cast<uint32_t>(h.bits) << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline __nv_bfloat16 __float2bfloat16_rn(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return {0x7fff};
    return {static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1)) >> 16)};
}

static inline __nv_bfloat16 __float2bfloat16(float x)
{
    return __float2bfloat16_rn(x);
}

#endif
