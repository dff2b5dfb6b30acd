/* plugin.h — what a backend supplies: memory, and kernels that work on it.
 *
 * The backends of the core (cpu, ref, ref64) fill such a table, and so does a plugin, which is opened at run time and
 * exports one function, DMC_PLUGIN_ENTRY. Core and plugin must be of one build: `build` of both is compared.
 * Return values are dmc_status numbers; 0 is success. Where one is not, the sentence was made with dmc_host.fail.
 */
#ifndef DMC_KERNELS_PLUGIN_H
#define DMC_KERNELS_PLUGIN_H

#include "kernels.h"

struct dmc__allocator;

/* What the core does for a plugin. */
typedef struct dmc_host {
    int32_t (*fail)(int32_t status, const char *format, ...); /* store the sentence, return status */
} dmc_host;

/* What matrices are multiplied in (DMC_MATRIX_* of include/libdmc/context.h); sums are always in single precision. */
enum dmc_matrix { DMC_MULTIPLY_FP32 = 0, DMC_MULTIPLY_TF32 = 1, DMC_MULTIPLY_BF16 = 2 };

typedef struct dmc_device_config {
    int32_t index;        /* which device            */
    int32_t matrix;       /* DMC_MULTIPLY_*          */
    void *stream;         /* the caller's; NULL: own */
    const dmc_host *host; /* outlives the device     */
} dmc_device_config;

/* Calls that are written down once and done often. `state` as below; a queue is recorded by one thread at a time.
 * Between begin and end nothing that is asked of the queue is done, and copies from and to the host may only name memory of
 * host_alloc, which is read and written when the tape is played. */
typedef struct dmc_recorder {
    int32_t (*begin)(void *state);
    int32_t (*end)(void *state, void **tape); /* NULL after a failure, which ends the recording as well */
    int32_t (*play)(void *state, void *tape); /* does not wait: sync does */
    void (*free)(void *state, void *tape);
    int32_t (*host_alloc)(void *state, size_t bytes, void **p); /* zeroed, 64-byte aligned */
    void (*host_free)(void *state, void *p, size_t bytes);
} dmc_recorder;

/* `state` is the backend's own: the device, and a queue in which what is asked for is done in order. */
typedef struct dmc__backend {
    uint32_t abi;        /* DMC__BACKEND_ABI of the build */
    const char *build;   /* DMC_BUILD_ID of the build     */
    const char *name;
    size_t elem;         /* bytes per element */
    int32_t (*open)(const dmc_device_config *c, void **state);
    void (*close)(void *state);
    /* A second queue on the same device, whose memory both may use; close it before the first. NULL: one is enough. */
    int32_t (*fork)(void *state, void **out);
    int32_t (*alloc)(void *state, const struct dmc__allocator *a, size_t bytes, void **p); /* 64-byte aligned, zeroed */
    void (*free)(void *state, const struct dmc__allocator *a, void *p, size_t bytes);
    int32_t (*copy_in)(void *state, void *dst, const float *src, size_t n);
    int32_t (*copy_out)(void *state, float *dst, const void *src, size_t n); /* waits, but while recording */
    int32_t (*copy)(void *state, void *dst, const void *src, size_t n); /* device to device */
    int32_t (*copy_in_bytes)(void *state, void *dst, const void *src, size_t bytes); /* as they are */
    int32_t (*sync)(void *state);
    void (*fill_table)(void *state, dmc_kernel_table *t, const char **isa);
    const dmc_recorder *recorder; /* NULL: calls are done at once */
} dmc__backend;

enum { DMC__BACKEND_ABI = 3 };

#define DMC_PLUGIN_ENTRY "dmc__plugin_backend"
typedef const dmc__backend *(*dmc_plugin_entry)(void);

#endif
