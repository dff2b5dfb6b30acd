/* cuda_rows.cu — constants, and moving rows and columns. Bound by memory: the roof is bandwidth.
 * Measured: not yet (docs/gpu-results.md). */
#include "cuda_launch.cuh"

static __global__ void fill(float *out, size_t n, float value)
{
    const size_t i = cuda_index();
    if (i < n) out[i] = value;
}

/* out[i] = value.  dim: n   attr: value */
CUDA_OP fill_fwd_cuda(const dmc_kargs *k)
{
    const size_t n = static_cast<size_t>(k->dim[0]);
    return launch_each(k, "fill", n, fill, out_of(k), n, static_cast<float>(k->attr[0]));
}
