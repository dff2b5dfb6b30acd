/* context.h — what every object needs to know: memory, threads, log, device.
 *
 * A context is read-only after creation, may be shared by any number of objects and threads, and must
 * outlive the objects made with it. On a GPU only samplers may be used from several threads at once; what trains,
 * one context per thread (docs/backends.md). Passing NULL for a context means: malloc, one thread, no log, CPU.
 */
#ifndef LIBDMC_CONTEXT_H
#define LIBDMC_CONTEXT_H

#include "status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dmc_context dmc_context;

enum { DMC_LOG_ERROR = 0, DMC_LOG_WARN = 1, DMC_LOG_INFO = 2, DMC_LOG_DEBUG = 3 };

/* fp32: every factor has 24 bits of precision. tf32: 11 bits, bf16: 8, on tensor cores, where the card has them; sums are in
 * float either way. */
enum { DMC_MATRIX_FP32 = 0, DMC_MATRIX_TF32 = 1, DMC_MATRIX_BF16 = 2 };

/* Fill with dmc_context_options_init, then change what you need. */
typedef struct dmc_context_options {
    uint32_t struct_size; /* set by init                                                               */
    int32_t threads;      /* worker threads for training and large batches, 1..64; default 1           */
    int32_t log_level;    /* DMC_LOG_*: lines above it are dropped; default DMC_LOG_INFO               */
    int32_t reserved0;    /* must be 0                                                                 */
    /* "cpu" (default), "ref" (plain C), "ref64" (plain C in double, to check), "cuda" or "cuda:1" (an NVIDIA GPU, by
     * libdmc-cuda.so) */
    const char *device;
    /* Memory: both or neither. alloc gets a power-of-two alignment and returns NULL when out of memory.
     * May be called from any thread that creates objects, never from a REAL-TIME function. */
    void *(*alloc)(void *user, size_t size, size_t align);
    void (*free)(void *user, void *p, size_t size);
    void *alloc_user;
    /* One whole line per call, no newline. NULL (default): silent. Never called from REAL-TIME functions. */
    void (*log)(void *user, int32_t level, const char *line);
    void *log_user;
    /* The host's own loop instead of ours: calls task(arg, i) once for every i < n, returns when all are
     * done. NULL (default): a pool of `threads` threads. */
    void (*parallel_for)(void *user, void (*task)(void *arg, size_t i), void *arg, size_t n);
    void *parallel_user;
    /* ---- CUDA only: docs/backends.md ------------------------------------------------------------------ */
    /* Folder of libdmc-cuda.so. "" (default): the one libdmc.so is in, then where the system looks. */
    const char *plugin_folder;
    /* A cudaStream_t, NULL (default) = own ones. With one, objects of this context do all their work in it, in the order of
     * the calls. Ownership: yours; it must outlive them. */
    void *cuda_stream;
    int32_t matrix;       /* DMC_MATRIX_*: what matrices are multiplied in; default full float           */
    int32_t reserved1;    /* must be 0                                                                   */
} dmc_context_options;

/* Defaults. size = sizeof(dmc_context_options). Threads: any. Errors: DMC_EINVAL for NULL or a size this
 * library does not know. */
DMC_API dmc_status dmc_context_options_init(dmc_context_options *o, size_t size);

/* Make a context; o NULL = defaults. *out = NULL on failure.
 * Errors: DMC_ERANGE (threads), DMC_EKEY (device), DMC_EDEVICE (no plugin, no driver, no such
 * GPU: the sentence says which, and what was tried), DMC_ENOMEM. Ownership: destroy with dmc_context_destroy after every
 * object that uses it. Threads: any. */
DMC_API DMC_NODISCARD dmc_status dmc_context_create(const dmc_context_options *o, dmc_context **out);

/* Accepts NULL. */
DMC_API void dmc_context_destroy(dmc_context *ctx);

/* Name of the device and instruction set in use, e.g. "cpu avx512". Ownership: the context's. */
DMC_API const char *dmc_context_device(const dmc_context *ctx);

#ifdef __cplusplus
}
#endif
#endif
