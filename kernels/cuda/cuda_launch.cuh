/* cuda_launch.cuh — what every kernel file of this folder begins with.
 *
 * A file holds one family of operations. Of each operation it has the device code, `static __global__`, and a launcher
 *
 *     CUDA_OP mish_fwd_cuda(const dmc_kargs *k) { return launch(k, "mish", blocks, threads, shared, kernel, arguments...); }
 *
 * whose name stands in the table of cuda_plugin.cu by itself. Kernels get plain values and pointers, never the dmc_kargs.
 * Rules: no atomics on floats, sums in a fixed order, so that a result is the same bits every time; indices of elements are
 * size_t or checked to fit; any size works, down to 1; blocks are whole warps; all threads of a warp reach a shuffle, all of a
 * block __syncthreads; the device code is the C++ that tests/emu can run on a processor (no inline PTX without another way).
 */
#ifndef DMC_KERNELS_CUDA_LAUNCH_CUH
#define DMC_KERNELS_CUDA_LAUNCH_CUH

#include "cuda_queue.h"

#define CUDA_OP extern "C" int32_t

enum { WARP = 32, BLOCK = 256 };

/* Dynamic shared memory, 16-byte aligned. tests/emu has its own. */
#ifndef CUDA_SHARED
#define CUDA_SHARED(type, name)                                       \
    extern __shared__ __align__(16) unsigned char cuda_shared_bytes[]; \
    type *const name = reinterpret_cast<type *>(cuda_shared_bytes)
#endif

static inline cuda_queue *queue_of(const dmc_kargs *k)
{
    return static_cast<cuda_queue *>(k->queue);
}

/* Blocks of `size` that hold n things. */
static inline unsigned blocks_of(size_t n, size_t size)
{
    return static_cast<unsigned>((n + size - 1) / size);
}

/* Run a kernel in the queue. `shared` is dynamic shared memory in bytes: above 48 KiB the launcher must have asked for it. */
template <typename... Parameters, typename... Arguments>
static int32_t launch(const dmc_kargs *k, const char *name, dim3 blocks, unsigned threads, size_t shared,
                      void (*kernel)(Parameters...), Arguments... arguments)
{
    cuda_queue *const q = queue_of(k);
    if (q->failed) return cuda_refuse(q, name);
    cudaLaunchConfig_t config = {};
    config.gridDim = blocks;
    config.blockDim = dim3(threads);
    config.dynamicSmemBytes = shared;
    config.stream = q->stream;
    const int before = cuda_enter(q);
    const cudaError_t error = cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...);
    cuda_leave(q, before);
    return error == cudaSuccess ? CUDA_OK : cuda_result(q, error, name);
}

/* One thread for each of n elements, in blocks of BLOCK; the kernel checks its index (see cuda_index). Nothing for n = 0. */
template <typename... Parameters, typename... Arguments>
static int32_t launch_each(const dmc_kargs *k, const char *name, size_t n, void (*kernel)(Parameters...), Arguments... arguments)
{
    return n ? launch(k, name, blocks_of(n, BLOCK), BLOCK, 0, kernel, arguments...) : CUDA_OK;
}

static __device__ inline size_t cuda_index()
{
    return static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

/* ---- sums over a warp and a block, in an order that depends on the shape alone ------------------------------------ */

static __device__ inline float warp_sum(float x)
{
    for (int d = WARP / 2; d > 0; d /= 2) x += __shfl_xor_sync(0xffffffffu, x, d);
    return x;
}

static __device__ inline float warp_max(float x)
{
    for (int d = WARP / 2; d > 0; d /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, d));
    return x;
}

/* Every thread of the block gets the sum. `slot` is shared memory of 32 floats, free again when the function returns. */
static __device__ inline float block_sum(float x, float *slot)
{
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    x = warp_sum(x);
    if (lane == 0) slot[warp] = x;
    __syncthreads();
    x = warp_sum(lane < warps ? slot[lane] : 0.0f);
    __syncthreads();
    return x;
}

/* ---- gradients ---------------------------------------------------------------------------------------------------- */

/* Element i of the gradient of input `input`: overwritten, or added to where the acc bit says so. */
static inline int32_t adds(const dmc_kargs *k, int input)
{
    return static_cast<int32_t>(k->acc >> input & 1);
}

static __device__ inline void put_gradient(float *d, size_t i, float g, int32_t add)
{
    d[i] = add ? d[i] + g : g;
}

static inline const float *in_of(const dmc_kargs *k, int i)
{
    return static_cast<const float *>(k->in[i]);
}

static inline const float *par_of(const dmc_kargs *k, int i)
{
    return static_cast<const float *>(k->par[i]);
}

static inline float *din_of(const dmc_kargs *k, int i)
{
    return static_cast<float *>(k->din[i]);
}

static inline float *dpar_of(const dmc_kargs *k, int i)
{
    return static_cast<float *>(k->dpar[i]);
}

static inline float *out_of(const dmc_kargs *k)
{
    return static_cast<float *>(k->out);
}

static inline const float *dout_of(const dmc_kargs *k)
{
    return static_cast<const float *>(k->dout);
}

#endif
