/* cuda_lora.cu — low-rank adapters merged into a weight. Roof: bandwidth (the rank is small). Measured: not yet
 * (docs/gpu-results.md). */
#include "cuda_launch.cuh"

/* W0, W (R,Co), A (R,r), Bm (r,Co).  dim: R Co r   attr: s */
struct adapter {
    const float *A, *Bm;
    uint32_t R, Co, r;
    float s;
};

static adapter adapter_of(const dmc_kargs *k)
{
    return {par_of(k, 0), par_of(k, 1), static_cast<uint32_t>(k->dim[0]), static_cast<uint32_t>(k->dim[1]),
            static_cast<uint32_t>(k->dim[2]), static_cast<float>(k->attr[0])};
}

/* W[i,o] = W0[i,o] + s sum_q A[i,q] Bm[q,o] */
static __global__ void merge(adapter a, const float *W0, float *W)
{
    const size_t n = cuda_index();
    if (n >= static_cast<size_t>(a.R) * a.Co) return;
    const size_t i = n / a.Co, o = n % a.Co;
    float sum = 0;
    for (uint32_t q = 0; q < a.r; q++) sum += a.A[i * a.r + q] * a.Bm[static_cast<size_t>(q) * a.Co + o];
    W[n] = W0[n] + a.s * sum;
}

CUDA_OP lora_fwd_cuda(const dmc_kargs *k)
{
    const adapter a = adapter_of(k);
    return launch_each(k, "lora", static_cast<size_t>(a.R) * a.Co, merge, a, in_of(k, 0), out_of(k));
}

/* dA[i,q] += s sum_o dW[i,o] Bm[q,o]: a warp for each (i,q). */
static __global__ void add_a_gradient(adapter a, const float *dW, float *dA)
{
    const size_t n = cuda_index() / WARP;
    const bool any = n < static_cast<size_t>(a.R) * a.r;
    const size_t i = any ? n / a.r : 0, q = any ? n % a.r : 0;
    float sum = 0;
    for (uint32_t o = threadIdx.x % WARP; o < a.Co; o += WARP) sum += dW[i * a.Co + o] * a.Bm[q * a.Co + o];
    sum = warp_sum(sum);
    if (any && threadIdx.x % WARP == 0) dA[n] += a.s * sum;
}

/* dBm[q,o] += s sum_i A[i,q] dW[i,o]: a block for 32 columns of a row; its warps share the sum. */
static __global__ void add_b_gradient(adapter a, const float *dW, float *dB)
{
    __shared__ float share[BLOCK / WARP][WARP];
    const uint32_t lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, o = blockIdx.x * WARP + lane, q = blockIdx.y;
    float sum = 0;
    for (uint32_t i = warp; o < a.Co && i < a.R; i += BLOCK / WARP)
        sum += a.A[static_cast<size_t>(i) * a.r + q] * dW[static_cast<size_t>(i) * a.Co + o];
    share[warp][lane] = sum;
    __syncthreads();
    if (warp != 0 || o >= a.Co) return;
    sum = 0;
    for (int w = 0; w < BLOCK / WARP; w++) sum += share[w][lane];
    dB[static_cast<size_t>(q) * a.Co + o] += a.s * sum;
}

CUDA_OP lora_bwd_cuda(const dmc_kargs *k)
{
    const adapter a = adapter_of(k);
    int32_t status = CUDA_OK;
    if (k->dpar[0])
        status = launch_each(k, "lora", static_cast<size_t>(a.R) * a.r * WARP, add_a_gradient, a, dout_of(k), dpar_of(k, 0));
    if (status != CUDA_OK || !k->dpar[1]) return status;
    return launch(k, "lora", dim3(blocks_of(a.Co, WARP), a.r), BLOCK, 0, add_b_gradient, a, dout_of(k), dpar_of(k, 1));
}
