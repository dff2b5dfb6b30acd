/* cuda_device.cu — memory, queues, and recordings. Nothing here computes. */
#include "cuda_device.h"

#include <stdlib.h>
#include <string.h>

static const size_t workspace_bytes = static_cast<size_t>(32) << 20; /* what cublasLt likes to have on Hopper */

static cuda_queue *queue(void *state)
{
    return static_cast<cuda_queue *>(state);
}

/* ---- the caller's device and errors ------------------------------------------------------------------------------- */

int cuda_enter(const cuda_queue *q)
{
    int before = q->device;
    if (cudaGetDevice(&before) == cudaSuccess && before != q->device) cudaSetDevice(q->device);
    return before;
}

void cuda_leave(const cuda_queue *q, int before)
{
    if (before != q->device) cudaSetDevice(before);
}

int32_t cuda_result(cuda_queue *q, cudaError_t error, const char *what)
{
    if (error == cudaSuccess) return CUDA_OK;
    cudaGetLastError(); /* the sentence below is ours: the next caller of the runtime must not find it */
    if (error == cudaErrorMemoryAllocation)
        return q->host->fail(CUDA_ENOMEM, "cuda:%d, %s: out of device memory", q->device, what);
    q->failed = 1;
    return q->host->fail(CUDA_EDEVICE, "cuda:%d, %s: %s (%s)", q->device, what, cudaGetErrorString(error),
                         cudaGetErrorName(error));
}

/* ---- opening ------------------------------------------------------------------------------------------------------ */

static int32_t find_device(const dmc_device_config *c)
{
    int count = 0;
    const cudaError_t error = cudaGetDeviceCount(&count);
    if (error != cudaSuccess || count == 0) {
        cudaGetLastError();
        return c->host->fail(CUDA_EDEVICE, "device = \"cuda:%d\": no GPU can be used: %s", c->index,
                             error != cudaSuccess ? cudaGetErrorString(error) : "the driver knows none");
    }
    if (c->index < count) return CUDA_OK;
    return c->host->fail(CUDA_EDEVICE, "device = \"cuda:%d\": the driver knows devices 0..%d", c->index, count - 1);
}

/* "sm_90", "sm_120" */
static void name_isa(char isa[16], int major, int minor)
{
    int n = 3;
    memcpy(isa, "sm_", 3);
    if (major > 9) isa[n++] = static_cast<char>('0' + major / 10 % 10);
    isa[n++] = static_cast<char>('0' + major % 10);
    isa[n++] = static_cast<char>('0' + minor % 10);
    isa[n] = '\0';
}

static cudaError_t ask_device(cuda_queue *q)
{
    int major = 0, minor = 0, processors = 0;
    cudaError_t error = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, q->device);
    if (error == cudaSuccess) error = cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, q->device);
    if (error == cudaSuccess) error = cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, q->device);
    q->processors = processors;
    name_isa(q->isa, major, minor);
    return error;
}

static int32_t open_parts(cuda_queue *q)
{
    cudaError_t error = ask_device(q);
    if (error == cudaSuccess) error = cudaStreamCreateWithFlags(&q->own, cudaStreamNonBlocking);
    if (error == cudaSuccess) error = cudaMalloc(&q->workspace, workspace_bytes);
    if (error != cudaSuccess) return cuda_result(q, error, "opening a queue");
    q->workspace_bytes = workspace_bytes;
    if (!q->target) q->target = q->own;
    q->stream = q->target;
    return cuda_products_open(q);
}

static void close_queue(void *state)
{
    cuda_queue *const q = queue(state);
    const int before = cuda_enter(q);
    if (q->target) cudaStreamSynchronize(q->target);
    cuda_products_close(q);
    cudaFree(q->workspace);
    if (q->own) cudaStreamDestroy(q->own);
    cudaGetLastError();
    cuda_leave(q, before);
    free(q);
}

/* stream NULL: one of its own. */
static int32_t make_queue(int32_t device, int32_t matrix, void *stream, const dmc_host *host, void **out)
{
    cuda_queue *const q = static_cast<cuda_queue *>(calloc(1, sizeof(cuda_queue)));
    *out = nullptr;
    if (!q) return host->fail(CUDA_ENOMEM, "out of memory: %zu bytes for a queue", sizeof(cuda_queue));
    q->device = device;
    q->matrix = matrix;
    q->host = host;
    q->target = static_cast<cudaStream_t>(stream);
    const int before = cuda_enter(q);
    const int32_t status = open_parts(q);
    cuda_leave(q, before);
    if (status == CUDA_OK) *out = q;
    else close_queue(q);
    return status;
}

static int32_t open_queue(const dmc_device_config *c, void **state)
{
    *state = nullptr;
    const int32_t status = find_device(c);
    return status == CUDA_OK ? make_queue(c->index, c->matrix, c->stream, c->host, state) : status;
}

/* Where the caller gave a stream, all queues work in it: what was asked for first is done first. */
static int32_t fork_queue(void *state, void **out)
{
    const cuda_queue *const q = queue(state);
    return make_queue(q->device, q->matrix, q->target == q->own ? nullptr : q->target, q->host, out);
}

/* ---- memory ------------------------------------------------------------------------------------------------------- */

/* Does what is enclosed on the queue's device, unless the device has failed before. */
#define ON_DEVICE(q, what, expression)                                               \
    do {                                                                             \
        if ((q)->failed)                                                             \
            return (q)->host->fail(CUDA_EDEVICE, "cuda:%d, %s: the device had failed before", (q)->device, (what)); \
        const int before = cuda_enter(q);                                            \
        const cudaError_t error = (expression);                                      \
        cuda_leave((q), before);                                                     \
        return cuda_result((q), error, (what));                                      \
    } while (0)

static cudaError_t allocate(cuda_queue *q, size_t bytes, void **p)
{
    cudaError_t error = cudaMalloc(p, bytes);
    if (error != cudaSuccess) *p = nullptr;
    if (error == cudaSuccess) error = cudaMemsetAsync(*p, 0, bytes, q->target);
    return error == cudaSuccess ? cudaStreamSynchronize(q->target) : error;
}

static int32_t alloc_device(void *state, const struct dmc__allocator *, size_t bytes, void **p)
{
    *p = nullptr;
    ON_DEVICE(queue(state), "allocating", allocate(queue(state), bytes, p));
}

/* Waits for the device, so that no queue still uses the memory. */
static void free_device(void *state, const struct dmc__allocator *, void *p, size_t)
{
    const cuda_queue *const q = queue(state);
    const int before = cuda_enter(q);
    cudaFree(p);
    cudaGetLastError();
    cuda_leave(q, before);
}

/* The host's memory may be used again when this returns; a recording reads and writes it when it is played. */
static cudaError_t copy_host(cuda_queue *q, void *dst, const void *src, size_t bytes, cudaMemcpyKind kind)
{
    const cudaError_t error = cudaMemcpyAsync(dst, src, bytes, kind, q->stream);
    return error == cudaSuccess && !q->recording ? cudaStreamSynchronize(q->stream) : error;
}

static int32_t copy_in_bytes(void *state, void *dst, const void *src, size_t bytes)
{
    if (bytes == 0) return CUDA_OK;
    ON_DEVICE(queue(state), "copying to the device", copy_host(queue(state), dst, src, bytes, cudaMemcpyHostToDevice));
}

static int32_t copy_in(void *state, void *dst, const float *src, size_t n)
{
    return copy_in_bytes(state, dst, src, n * sizeof(float));
}

static int32_t copy_out(void *state, float *dst, const void *src, size_t n)
{
    if (n == 0) return CUDA_OK;
    ON_DEVICE(queue(state), "copying from the device",
              copy_host(queue(state), dst, src, n * sizeof(float), cudaMemcpyDeviceToHost));
}

static int32_t copy_device(void *state, void *dst, const void *src, size_t n)
{
    if (n == 0 || dst == src) return CUDA_OK;
    ON_DEVICE(queue(state), "copying",
              cudaMemcpyAsync(dst, src, n * sizeof(float), cudaMemcpyDeviceToDevice, queue(state)->stream));
}

static int32_t sync_queue(void *state)
{
    ON_DEVICE(queue(state), "waiting", cudaStreamSynchronize(queue(state)->target));
}

/* ---- recordings --------------------------------------------------------------------------------------------------- */

static cudaError_t begin_capture(cuda_queue *q)
{
    q->stream = q->own; /* the caller's stream is not ours to capture */
    q->recording = 1;
    return cudaStreamBeginCapture(q->own, cudaStreamCaptureModeThreadLocal);
}

static int32_t begin_recording(void *state)
{
    ON_DEVICE(queue(state), "recording", begin_capture(queue(state)));
}

static cudaError_t end_capture(cuda_queue *q, cudaGraphExec_t *out)
{
    cudaGraph_t graph = nullptr;
    cudaError_t error = cudaStreamEndCapture(q->own, &graph);
    q->stream = q->target;
    q->recording = 0;
    if (error == cudaSuccess) error = cudaGraphInstantiate(out, graph, 0);
    if (error == cudaSuccess) error = cudaGraphUpload(*out, q->target);
    if (graph) cudaGraphDestroy(graph);
    return error;
}

static int32_t end_recording(void *state, void **tape)
{
    cudaGraphExec_t exec = nullptr;
    cuda_queue *const q = queue(state);
    *tape = nullptr;
    const int before = cuda_enter(q);
    const int32_t failed = q->failed;
    const cudaError_t error = end_capture(q, &exec);
    cuda_leave(q, before);
    if (failed) return CUDA_EDEVICE; /* its sentence was made where it happened */
    const int32_t status = cuda_result(q, error, "recording");
    if (status == CUDA_OK) *tape = exec;
    return status;
}

static int32_t play(void *state, void *tape)
{
    ON_DEVICE(queue(state), "playing a recording", cudaGraphLaunch(static_cast<cudaGraphExec_t>(tape), queue(state)->target));
}

static void free_tape(void *state, void *tape)
{
    const cuda_queue *const q = queue(state);
    if (!tape) return;
    const int before = cuda_enter(q);
    cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(tape));
    cudaGetLastError();
    cuda_leave(q, before);
}

static int32_t alloc_pinned(void *state, size_t bytes, void **p)
{
    cuda_queue *const q = queue(state);
    *p = nullptr;
    if (bytes == 0) return CUDA_OK;
    const int before = cuda_enter(q);
    const cudaError_t error = cudaMallocHost(p, bytes);
    cuda_leave(q, before);
    if (error != cudaSuccess) *p = nullptr;
    else memset(*p, 0, bytes);
    return cuda_result(q, error, "allocating pinned memory");
}

static void free_pinned(void *state, void *p, size_t)
{
    const cuda_queue *const q = queue(state);
    if (!p) return;
    const int before = cuda_enter(q);
    cudaFreeHost(p);
    cudaGetLastError();
    cuda_leave(q, before);
}

/* ---- the table ---------------------------------------------------------------------------------------------------- */

static const dmc_recorder recorder = {begin_recording, end_recording, play, free_tape, alloc_pinned, free_pinned};

const dmc__backend cuda_backend = {DMC__BACKEND_ABI, DMC_BUILD_ID, "cuda",        sizeof(float), open_queue,    close_queue,
                                   fork_queue,       alloc_device, free_device,   copy_in,       copy_out,      copy_device,
                                   copy_in_bytes,    sync_queue,   cuda_fill_table, &recorder};
