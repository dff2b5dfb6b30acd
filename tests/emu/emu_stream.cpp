/* emu_stream.cpp — one device, its streams, and graphs. What a stream is asked for is done before the call returns; a stream
 * that is captured writes it down instead, with the arguments of the moment. */
#include "emu_parts.h"

#include <map>
#include <mutex>
#include <vector>

struct emu_graph {
    std::vector<emu_job> jobs;
};

struct emu_graph_exec {
    std::vector<emu_job> jobs;
};

struct emu_stream {
    emu_graph *graph; /* NULL: not captured */
    bool spoilt;
};

static emu_stream null_stream;
static std::mutex one_job; /* the device does one job at a time */
static std::map<const void *, size_t> allowed_shared;
static thread_local cudaError_t last_error;
static thread_local int captures;
static uint64_t launches; /* of kernels, copies and graphs: what a host asked for */

/* ---- errors --------------------------------------------------------------------------------------------------------- */

struct emu_error_text {
    cudaError_t error;
    const char *name, *text;
};

static const emu_error_text errors[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration", "invalid configuration argument"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported", "operation not permitted when stream is capturing"},
    {cudaErrorStreamCaptureInvalidated, "cudaErrorStreamCaptureInvalidated",
     "operation failed due to a previous error during capture"},
};

static const emu_error_text &find_error(cudaError_t error)
{
    static const emu_error_text unknown = {error, "unknown", "unrecognized error code"};
    for (const emu_error_text &e : errors)
        if (e.error == error) return e;
    return unknown;
}

const char *cudaGetErrorName(cudaError_t error)
{
    return find_error(error).name;
}

const char *cudaGetErrorString(cudaError_t error)
{
    return find_error(error).text;
}

cudaError_t emu_error(cudaError_t error)
{
    if (error != cudaSuccess) last_error = error;
    return error;
}

cudaError_t cudaGetLastError()
{
    const cudaError_t error = last_error;
    last_error = cudaSuccess;
    return error;
}

/* ---- the device ----------------------------------------------------------------------------------------------------- */

cudaError_t cudaGetDeviceCount(int *count)
{
    *count = 1;
    return cudaSuccess;
}

cudaError_t cudaGetDevice(int *device)
{
    *device = 0;
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int device)
{
    return emu_error(device == 0 ? cudaSuccess : cudaErrorInvalidDevice);
}

cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device)
{
    if (device != 0) return emu_error(cudaErrorInvalidDevice);
    if (attribute == cudaDevAttrMultiProcessorCount) *value = 132;
    else *value = attribute == cudaDevAttrComputeCapabilityMajor ? 9 : 0;
    return cudaSuccess;
}

/* ---- jobs ----------------------------------------------------------------------------------------------------------- */

static emu_stream *stream_of(cudaStream_t stream)
{
    return stream ? stream : &null_stream;
}

bool emu_captures(cudaStream_t stream)
{
    return stream_of(stream)->graph != nullptr;
}

bool emu_thread_captures()
{
    return captures > 0;
}

extern "C" __attribute__((visibility("default"))) uint64_t emu_launches(void)
{
    const std::lock_guard<std::mutex> hold(one_job);
    return launches;
}

static void do_jobs(const std::vector<emu_job> &jobs)
{
    const std::lock_guard<std::mutex> hold(one_job);
    launches++;
    emu_memory_open();
    for (const emu_job &job : jobs) job();
    emu_memory_close();
}

cudaError_t emu_submit(cudaStream_t stream, emu_job job)
{
    emu_stream *const s = stream_of(stream);
    if (s->graph) s->graph->jobs.push_back(std::move(job));
    else do_jobs({std::move(job)});
    return cudaSuccess;
}

static cudaError_t refuse(cudaStream_t stream, cudaError_t error)
{
    if (emu_captures(stream)) stream->spoilt = true;
    return emu_error(error);
}

/* Only pinned memory is still there when a graph is played. */
static bool host_side_fits(const void *p, size_t bytes, cudaStream_t stream)
{
    return !emu_is_device(p, 1) && (!emu_captures(stream) || emu_is_pinned(p, bytes));
}

cudaError_t cudaMemcpyAsync(void *dst, const void *src, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream)
{
    const bool to_device = kind != cudaMemcpyDeviceToHost, from_device = kind != cudaMemcpyHostToDevice;
    if (!(to_device ? emu_is_device(dst, bytes) : host_side_fits(dst, bytes, stream)) ||
        !(from_device ? emu_is_device(src, bytes) : host_side_fits(src, bytes, stream)))
        return refuse(stream, cudaErrorInvalidValue);
    return emu_submit(stream, [=] { memmove(dst, src, bytes); });
}

cudaError_t cudaMemsetAsync(void *dst, int value, size_t bytes, cudaStream_t stream)
{
    if (bytes && !emu_is_device(dst, bytes)) return refuse(stream, cudaErrorInvalidValue);
    return emu_submit(stream, [=] {
        if (bytes) memset(dst, value, bytes);
    });
}

/* ---- kernels -------------------------------------------------------------------------------------------------------- */

cudaError_t emu_allow_shared(const void *kernel, cudaFuncAttribute attribute, int value)
{
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0 || value > EMU_MOST_SHARED)
        return emu_error(cudaErrorInvalidValue);
    const std::lock_guard<std::mutex> hold(one_job);
    allowed_shared[kernel] = static_cast<size_t>(value);
    return cudaSuccess;
}

static size_t shared_limit(const void *kernel)
{
    const std::lock_guard<std::mutex> hold(one_job);
    const auto found = allowed_shared.find(kernel);
    return found == allowed_shared.end() || found->second < EMU_SHARED ? static_cast<size_t>(EMU_SHARED) : found->second;
}

static bool grid_fits(dim3 g)
{
    return g.x >= 1 && g.x <= 0x7fffffffu && g.y >= 1 && g.y <= 65535 && g.z >= 1 && g.z <= 65535;
}

/* Whole warps: CUDA allows others, the rules of kernels/cuda do not. */
static bool block_fits(dim3 b)
{
    const uint64_t n = static_cast<uint64_t>(b.x) * b.y * b.z;
    return n >= 1 && b.x <= EMU_MOST_THREADS && b.y <= EMU_MOST_THREADS && b.z <= 64 && n <= EMU_MOST_THREADS && n % EMU_WARP == 0;
}

cudaError_t emu_launch(const cudaLaunchConfig_t *config, const void *kernel, emu_job call)
{
    const cudaLaunchConfig_t c = *config;
    if (!grid_fits(c.gridDim) || !block_fits(c.blockDim) || c.dynamicSmemBytes > shared_limit(kernel))
        return refuse(c.stream, cudaErrorInvalidConfiguration);
    return emu_submit(c.stream, [=] { emu_run_grid(c.gridDim, c.blockDim, c.dynamicSmemBytes, call); });
}

/* ---- streams and graphs --------------------------------------------------------------------------------------------- */

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned)
{
    *stream = new emu_stream();
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    if (stream->graph) captures--;
    delete stream->graph;
    delete stream;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    return emu_captures(stream) ? refuse(stream, cudaErrorStreamCaptureUnsupported) : cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode)
{
    if (!stream || stream->graph) return emu_error(cudaErrorInvalidValue);
    stream->graph = new emu_graph();
    stream->spoilt = false;
    captures++;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph)
{
    *graph = nullptr;
    if (!stream || !stream->graph) return emu_error(cudaErrorInvalidValue);
    emu_graph *const g = stream->graph;
    stream->graph = nullptr;
    captures--;
    if (!stream->spoilt) *graph = g;
    else delete g;
    return emu_error(stream->spoilt ? cudaErrorStreamCaptureInvalidated : cudaSuccess);
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long)
{
    *exec = new emu_graph_exec{graph->jobs};
    return cudaSuccess;
}

cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t)
{
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
    if (emu_captures(stream)) return refuse(stream, cudaErrorStreamCaptureUnsupported);
    do_jobs(exec->jobs);
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    delete graph;
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    delete exec;
    return cudaSuccess;
}
