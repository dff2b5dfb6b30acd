/* cuda_activation.cu — elementwise y[i] = f(x[i]), dx[i] = dy[i] f'(x[i]). Bound by memory: the roof is bandwidth.
 * Measured: not yet (docs/gpu-results.md).
 *
 * A function is a struct with `value` and `slope`; `a` is attr 0, the slope of ReLU below zero. NaN passes through all. */
#include "cuda_act.cuh"
#include "cuda_pack.cuh"

struct mish {
    static __device__ float value(float x, float)
    {
        return mish_value(x);
    }
    static __device__ float slope(float x, float)
    {
        return mish_slope(x);
    }
};

/* x s(x);  s (1 + x (1 - s)) */
struct silu {
    static __device__ float value(float x, float)
    {
        return x * sigmoid(x);
    }
    static __device__ float slope(float x, float)
    {
        const float s = sigmoid(x);
        return s * (1 + x * (1 - s));
    }
};

/* x for x >= 0, a x below;  1 for x > 0, else a */
struct relu {
    static __device__ float value(float x, float a)
    {
        return x < 0 ? a * x : x;
    }
    static __device__ float slope(float x, float a)
    {
        return x > 0 ? 1 : a;
    }
};

/* 1 - tanh^2 = 4e / (1 + e)^2, e = e^(-2|x|): no cancellation for large |x| */
struct hyperbolic {
    static __device__ float value(float x, float)
    {
        return tanhf(x);
    }
    static __device__ float slope(float x, float)
    {
        const float e = expf(-2 * fabsf(x)), part = 1 / (1 + e);
        return 4 * e * part * part;
    }
};

/* The normal distribution and its density at x. For y >= 0: Phi(-y) = e^(-y^2/2) t P(t), t = 1 / (1 + 0.27 y), to 2e-8 of
 * itself, as on the CPU; y^2 in two parts, so that far out the exponential keeps its digits. Phi(-14.4) is 0 as a float. */
struct normal {
    float below, near, density; /* near: x, or 14.4 with its sign; density: without 1 / sqrt(2 pi) */
};

static __device__ inline normal normal_at(float x)
{
    const float near = x < -14.4f ? -14.4f : x > 14.4f ? 14.4f : x, y = fabsf(near), t = 1 / fmaf(y, 0.27f, 1);
    float p = fmaf(0x1.db0f76p-6f, t, -0x1.036554p-3f);
    p = fmaf(p, t, 0x1.5c7a3ep-3f);
    p = fmaf(p, t, -0x1.1d48dcp-4f);
    p = fmaf(p, t, 0x1.baf2fcp-4f);
    p = fmaf(p, t, 0x1.26899cp-4f);
    p = fmaf(p, t, 0x1.a12be8p-4f);
    p = fmaf(p, t, 0x1.b87904p-4f);
    p = fmaf(p, t, 0x1.b939aap-4f);
    const float square = y * y, e = expf(-0.5f * square) * fmaf(-0.5f, fmaf(y, y, -square), 1), tail = e * t * p;
    return {x > 0 ? 1 - tail : tail, near, e};
}

/* x Phi(x);  Phi(x) + x e^(-x^2/2) / sqrt(2 pi) */
struct gelu {
    static __device__ float value(float x, float)
    {
        return x * normal_at(x).below;
    }
    static __device__ float slope(float x, float)
    {
        const normal n = normal_at(x);
        return fmaf(n.near * 0.39894228f, n.density, n.below);
    }
};

/* x s(w), w = 2 sqrt(2/pi) (x + 0.044715 x^3);  s + x s (1 - s) dw/dx */
struct gelu_tanh {
    static __device__ float value(float x, float)
    {
        return x * sigmoid(1.59576912f * (x + 0.044715f * x * x * x));
    }
    static __device__ float slope(float x, float)
    {
        const float s = sigmoid(1.59576912f * (x + 0.044715f * x * x * x));
        return s + x * (s * (1 - s)) * (1.59576912f * (1 + 0.134145f * x * x));
    }
};

/* n packs */
template <typename F, int W> static __global__ void map(float *y, const float *x, size_t n, float a)
{
    const size_t i = cuda_index();
    if (i >= n) return;
    pack<W> v = load_pack<W>(x, i);
    for (int e = 0; e < W; e++) v.v[e] = F::value(v.v[e], a);
    store_pack<W>(y, i, v);
}

template <typename F, int W>
static __global__ void map_slope(float *dx, const float *x, const float *dy, size_t n, float a, int32_t add)
{
    const size_t i = cuda_index();
    if (i >= n) return;
    const pack<W> v = load_pack<W>(x, i);
    pack<W> g = load_pack<W>(dy, i);
    for (int e = 0; e < W; e++) g.v[e] *= F::slope(v.v[e], a);
    put_pack<W>(dx, i, g, add);
}

template <typename F> static int32_t forward(const dmc_kargs *k, const char *name)
{
    const size_t n = static_cast<size_t>(k->dim[0]);
    const float a = static_cast<float>(k->attr[0]);
    if (n % 4 == 0 && on_fours(k->in[0], k->out)) return launch_each(k, name, n / 4, map<F, 4>, out_of(k), in_of(k, 0), n / 4, a);
    return launch_each(k, name, n, map<F, 1>, out_of(k), in_of(k, 0), n, a);
}

template <typename F> static int32_t backward(const dmc_kargs *k, const char *name)
{
    const size_t n = static_cast<size_t>(k->dim[0]);
    const float a = static_cast<float>(k->attr[0]);
    float *const dx = din_of(k, 0);
    if (!dx) return CUDA_OK;
    if (n % 4 == 0 && on_fours(k->in[0], k->dout, dx))
        return launch_each(k, name, n / 4, map_slope<F, 4>, dx, in_of(k, 0), dout_of(k), n / 4, a, adds(k, 0));
    return launch_each(k, name, n, map_slope<F, 1>, dx, in_of(k, 0), dout_of(k), n, a, adds(k, 0));
}

/* dim: n   attr: slope (RELU) */
CUDA_OP mish_fwd_cuda(const dmc_kargs *k)
{
    return forward<mish>(k, "mish");
}

CUDA_OP mish_bwd_cuda(const dmc_kargs *k)
{
    return backward<mish>(k, "mish, backward");
}

CUDA_OP silu_fwd_cuda(const dmc_kargs *k)
{
    return forward<silu>(k, "silu");
}

CUDA_OP silu_bwd_cuda(const dmc_kargs *k)
{
    return backward<silu>(k, "silu, backward");
}

CUDA_OP relu_fwd_cuda(const dmc_kargs *k)
{
    return forward<relu>(k, "relu");
}

CUDA_OP relu_bwd_cuda(const dmc_kargs *k)
{
    return backward<relu>(k, "relu, backward");
}

CUDA_OP tanh_fwd_cuda(const dmc_kargs *k)
{
    return forward<hyperbolic>(k, "tanh");
}

CUDA_OP tanh_bwd_cuda(const dmc_kargs *k)
{
    return backward<hyperbolic>(k, "tanh, backward");
}

CUDA_OP gelu_fwd_cuda(const dmc_kargs *k)
{
    return forward<gelu>(k, "gelu");
}

CUDA_OP gelu_bwd_cuda(const dmc_kargs *k)
{
    return backward<gelu>(k, "gelu, backward");
}

CUDA_OP gelu_tanh_fwd_cuda(const dmc_kargs *k)
{
    return forward<gelu_tanh>(k, "gelu_tanh");
}

CUDA_OP gelu_tanh_bwd_cuda(const dmc_kargs *k)
{
    return backward<gelu_tanh>(k, "gelu_tanh, backward");
}
