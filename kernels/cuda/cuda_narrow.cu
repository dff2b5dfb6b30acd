/* cuda_narrow.cu — floats to 16-bit numbers, by their bits: the same as kernels/ref/ref_narrow.c. Roof: bandwidth. Measured: not
 * yet (docs/gpu-results.md). */
#include "cuda_launch.cuh"

/* The upper half of a float, rounded to nearest, ties to even. */
static __device__ uint16_t to_bf16(uint32_t x)
{
    if ((x & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((x >> 16 & 0x8000u) | 0x7fc0u);
    return static_cast<uint16_t>((x + 0x7fffu + (x >> 16 & 1)) >> 16);
}

/* Numbers below 2^-14 are multiples of 2^-24: adding 0.5, whose last bit that is, rounds them. Others round in their own bits. */
static __device__ uint16_t to_fp16(uint32_t x)
{
    const uint32_t sign = x >> 16 & 0x8000u, size = x & 0x7fffffffu;
    if (size > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u);
    if (size >= 0x47800000u) return static_cast<uint16_t>(sign | 0x7c00u); /* 2^16 and more */
    if (size < 0x38800000u) {
        const float shifted = __uint_as_float(size) + 0.5f;
        return static_cast<uint16_t>(sign | (__float_as_uint(shifted) - 0x3f000000u));
    }
    return static_cast<uint16_t>(sign | ((size - 0x38000000u + 0xfffu + (size >> 13 & 1)) >> 13)); /* a carry may reach infinity */
}

static __global__ void narrow(const float *x, uint16_t *out, size_t n, int32_t half)
{
    const size_t i = cuda_index();
    if (i >= n) return;
    const uint32_t bits = __float_as_uint(x[i]);
    out[i] = half ? to_fp16(bits) : to_bf16(bits);
}

/* dim: n type */
CUDA_OP narrow_fwd_cuda(const dmc_kargs *k)
{
    const size_t n = static_cast<size_t>(k->dim[0]);
    return launch_each(k, "narrow", n, narrow, in_of(k, 0), static_cast<uint16_t *>(k->out), n,
                       static_cast<int32_t>(k->dim[1] == DMC_WEIGHT_FP16));
}
