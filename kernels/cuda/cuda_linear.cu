/* cuda_linear.cu — dense layers: cublasLt where there is enough to do and it has a way, else a product of one tap
 * (cuda_product.cuh), which also reads 16-bit weights. Roof: multiply-adds, and for few rows reading the weights. Measured: not
 * yet (docs/gpu-results.md). */
#include "cuda_blas.h"
#include "cuda_product.cuh"

struct plain_rows {
    const float *x;
    uint32_t width;

    __device__ const float *at(uint32_t m, uint32_t) const { return x + static_cast<size_t>(m) * width; }
};

/* dim: N Ci Co Cw */
struct layer {
    uint32_t n, ci, co, cw;
};

static layer layer_of(const dmc_kargs *k)
{
    const uint32_t n = k->dim[0], ci = k->dim[1], co = k->dim[2], cw = k->dim[3];
    return {n, ci, co, cw > 0 ? cw : co};
}

/* By cublasLt where that pays; CUDA_NO_WAY: not done. */
static int32_t by_blas(const dmc_kargs *k, const layer &l, const cuda_gemm &g)
{
    const bool pays = k->weight_type == DMC_WEIGHT_FLOAT && cuda_blas_pays(l.n, l.ci, l.co);
    return pays ? cuda_blas(k, g) : static_cast<int32_t>(CUDA_NO_WAY);
}

/* y = x W + b? */
CUDA_OP linear_fwd_cuda(const dmc_kargs *k)
{
    const layer l = layer_of(k);
    const int32_t status =
        by_blas(k, l, {in_of(k, 0), par_of(k, 0), par_of(k, 1), out_of(k), l.n, l.co, l.ci, l.ci, l.cw, l.co, 0, 0, 0});
    if (status != CUDA_NO_WAY) return status;
    const product<float_weights> p = {{par_of(k, 0)}, par_of(k, 1), out_of(k), l.n, l.co, l.ci, 1, l.cw, 0, 0};
    return launch_typed(k, "linear", p, plain_rows{in_of(k, 0), l.ci}, on_fours(in_of(k, 0)) && l.ci % 4 == 0);
}

/* dx = dy W^T */
static int32_t input_gradient(const dmc_kargs *k, const layer &l)
{
    const int32_t status =
        by_blas(k, l, {dout_of(k), par_of(k, 0), nullptr, din_of(k, 0), l.n, l.ci, l.co, l.co, l.cw, l.ci, 0, 1, adds(k, 0)});
    if (status != CUDA_NO_WAY) return status;
    const product<float_weights> p = {{par_of(k, 0)}, nullptr, din_of(k, 0), l.n, l.ci, l.co, 1, l.cw, 0, adds(k, 0)};
    return launch_many<true>(k, "linear", p, plain_rows{dout_of(k), l.co}, on_fours(dout_of(k)) && l.co % 4 == 0);
}

/* dW += x^T dy */
static int32_t weight_gradient(const dmc_kargs *k, const layer &l)
{
    const int32_t status =
        by_blas(k, l, {in_of(k, 0), dout_of(k), nullptr, dpar_of(k, 0), l.ci, l.co, l.n, l.ci, l.co, l.cw, 1, 0, 1});
    if (status != CUDA_NO_WAY) return status;
    const outer_sum s = {dout_of(k), dpar_of(k, 0), nullptr, l.n, l.ci, l.co, 1, l.cw, 0, 0};
    return launch_outer(k, "linear", s, plain_rows{in_of(k, 0), l.ci});
}

CUDA_OP linear_bwd_cuda(const dmc_kargs *k)
{
    const layer l = layer_of(k);
    int32_t status = k->din[0] ? input_gradient(k, l) : CUDA_OK;
    if (status == CUDA_OK && k->dpar[0]) status = weight_gradient(k, l);
    return status == CUDA_OK ? launch_bias_gradient(k, "linear", l.n, l.co) : status;
}
