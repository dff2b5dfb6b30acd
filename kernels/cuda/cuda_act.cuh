/* cuda_act.cuh — activations that more than one family needs, and their slopes: cuda_activation.cu, cuda_groupnorm.cu. */
#ifndef DMC_KERNELS_CUDA_ACT_CUH
#define DMC_KERNELS_CUDA_ACT_CUH

#include <math.h>

#include "cuda_launch.cuh"

/* 1 / (1 + e^-x); an exponential that overflows gives the right 0. */
static __device__ inline float sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x));
}

/* tanh(softplus(x)) = above / (above + below): with e = e^-|x|, (1 + 2e) / (1 + 2e + 2e^2) for x >= 0 and
 * e (e + 2) / (e (e + 2) + 2) for x < 0. Nothing overflows, nothing cancels. */
struct mish_parts {
    float e, above, below;
};

static __device__ inline mish_parts mish_of(float x)
{
    const float e = expf(-fabsf(x));
    return x < 0 ? mish_parts{e, e * (e + 2), 2} : mish_parts{e, 1 + 2 * e, 2 * e * e};
}

/* x tanh(softplus(x)) */
static __device__ inline float mish_value(float x)
{
    const mish_parts m = mish_of(x);
    return x * (m.above / (m.above + m.below));
}

/* t + x (1 - t^2) sigmoid(x), t = tanh(softplus(x)), 1 - t^2 = (1 - t)(1 + t) */
static __device__ inline float mish_slope(float x)
{
    const mish_parts m = mish_of(x);
    const float part = 1 / (m.above + m.below), t = m.above * part;
    return t + x * (m.below * part) * (1 + t) * ((x < 0 ? m.e : 1) / (1 + m.e));
}

#endif
