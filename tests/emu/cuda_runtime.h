/* cuda_runtime.h — a stand-in for CUDA's: what kernels/cuda uses of the language and of the runtime, on the processor.
 *
 * How it works: README.md. Names that begin with cuda or __ are CUDA's own, those with emu_ belong to the emulator.
 */
#ifndef DMC_TESTS_EMU_CUDA_RUNTIME_H
#define DMC_TESTS_EMU_CUDA_RUNTIME_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <functional>
#include <tuple>
#include <utility>

/* ---- the language -------------------------------------------------------------------------------------------------- */

#define __global__
#define __device__
#define __host__
#define __constant__ static const
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(n) alignas(n)
/* One block runs at a time, so that its shared memory may be static. */
#define __shared__ static

struct uint2 {
    unsigned x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};

static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w)
{
    return {x, y, z, w};
}

static inline float2 make_float2(float x, float y)
{
    return {x, y};
}

static inline float4 make_float4(float x, float y, float z, float w)
{
    return {x, y, z, w};
}

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c)
    {
    }
};

extern dim3 emu_thread_index, emu_block_index, emu_block_size, emu_grid_size;
#define threadIdx emu_thread_index
#define blockIdx emu_block_index
#define blockDim emu_block_size
#define gridDim emu_grid_size

extern unsigned char emu_shared[];
#define CUDA_SHARED(type, name) type *const name = reinterpret_cast<type *>(emu_shared)

/* All threads of the block, or of the warp, come here before any goes on. */
void emu_barrier();
void emu_warp_barrier();
/* What lane `source` of the warp gave in the same call. */
uint64_t emu_exchange(uint64_t mine, unsigned source);
unsigned emu_lane();

static inline void __syncthreads()
{
    emu_barrier();
}

static inline void __syncwarp(unsigned = 0xffffffffu)
{
    emu_warp_barrier();
}

template <typename T> static inline T emu_shuffle(T x, unsigned source)
{
    uint64_t bits = 0;
    static_assert(sizeof x == 4 || sizeof x == 8, "shuffles move 4 or 8 bytes");
    memcpy(&bits, &x, sizeof x);
    bits = emu_exchange(bits, source);
    memcpy(&x, &bits, sizeof x);
    return x;
}

template <typename T> static inline T __shfl_sync(unsigned, T x, int source)
{
    return emu_shuffle(x, static_cast<unsigned>(source) % 32);
}

template <typename T> static inline T __shfl_xor_sync(unsigned, T x, int mask)
{
    return emu_shuffle(x, (emu_lane() ^ static_cast<unsigned>(mask)) % 32);
}

/* Lanes beyond the end get their own. */
template <typename T> static inline T __shfl_down_sync(unsigned, T x, unsigned by)
{
    return emu_shuffle(x, emu_lane() + by < 32 ? emu_lane() + by : emu_lane());
}

template <typename T> static inline T __shfl_up_sync(unsigned, T x, unsigned by)
{
    return emu_shuffle(x, emu_lane() >= by ? emu_lane() - by : emu_lane());
}

template <typename T> static inline T __ldg(const T *p)
{
    return *p;
}

static inline float __uint_as_float(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint32_t __float_as_uint(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* Of pi x, rounded once. */
static inline void sincospif(float x, float *sine, float *cosine)
{
    const double turn = 3.14159265358979323846 * static_cast<double>(x);
    *sine = static_cast<float>(sin(turn));
    *cosine = static_cast<float>(cos(turn));
}

static inline float rsqrtf(float x)
{
    return 1 / sqrtf(x);
}

/* ---- the runtime --------------------------------------------------------------------------------------------------- */

enum cudaError_t {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInvalidConfiguration = 9,
    cudaErrorInvalidDevice = 101,
    cudaErrorStreamCaptureUnsupported = 900,
    cudaErrorStreamCaptureInvalidated = 901
};

enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2, cudaMemcpyDeviceToDevice = 3 };
enum cudaDeviceAttr {
    cudaDevAttrMultiProcessorCount = 16,
    cudaDevAttrComputeCapabilityMajor = 75,
    cudaDevAttrComputeCapabilityMinor = 76
};
enum cudaStreamCaptureMode { cudaStreamCaptureModeGlobal = 0, cudaStreamCaptureModeThreadLocal = 1 };
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
enum { cudaStreamNonBlocking = 1 };

typedef struct emu_stream *cudaStream_t;
typedef struct emu_graph *cudaGraph_t;
typedef struct emu_graph_exec *cudaGraphExec_t;

struct cudaLaunchConfig_t {
    dim3 gridDim, blockDim;
    size_t dynamicSmemBytes;
    cudaStream_t stream;
};

cudaError_t cudaGetLastError();
const char *cudaGetErrorName(cudaError_t error);
const char *cudaGetErrorString(cudaError_t error);

cudaError_t cudaGetDeviceCount(int *count);
cudaError_t cudaGetDevice(int *device);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device);

cudaError_t cudaMalloc(void **p, size_t bytes);
cudaError_t cudaFree(void *p);
cudaError_t cudaMallocHost(void **p, size_t bytes);
cudaError_t cudaFreeHost(void *p);
cudaError_t cudaMemcpyAsync(void *dst, const void *src, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream);
cudaError_t cudaMemsetAsync(void *dst, int value, size_t bytes, cudaStream_t stream);

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags);
cudaError_t cudaGraphUpload(cudaGraphExec_t exec, cudaStream_t stream);
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec);

/* A kernel with its arguments, as every thread calls it. */
cudaError_t emu_launch(const cudaLaunchConfig_t *config, const void *kernel, std::function<void()> call);
cudaError_t emu_allow_shared(const void *kernel, cudaFuncAttribute attribute, int value);

template <typename... P, typename... A>
static inline cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t *config, void (*kernel)(P...), A &&...arguments)
{
    const std::tuple<P...> values(std::forward<A>(arguments)...);
    return emu_launch(config, reinterpret_cast<const void *>(kernel), [kernel, values] { std::apply(kernel, values); });
}

template <typename Kernel> static inline cudaError_t cudaFuncSetAttribute(Kernel *kernel, cudaFuncAttribute attribute, int value)
{
    return emu_allow_shared(reinterpret_cast<const void *>(kernel), attribute, value);
}

#endif
