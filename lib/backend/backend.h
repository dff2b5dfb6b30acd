/* backend.h — where tensors live and which kernels work on them.
 *
 * Only kernels dereference tensor memory; everything above moves numbers through copy_in / copy_out, so that
 * a device needs no special case. Elements are float (cpu, ref, cuda) or double (ref64). What a backend supplies
 * stands in kernels/plugin.h.
 */
#ifndef DMC_BACKEND_H
#define DMC_BACKEND_H

#include "../../kernels/plugin.h"
#include "../base/alloc.h"
#include "../base/pool.h"

typedef struct dmc__device dmc__device;

/* An opened backend. Read-only after open; may be shared by objects of one context. */
struct dmc__device {
    const dmc__backend *backend;
    void *state;
    dmc_device_config config;      /* as opened */
    const char *isa;               /* "avx512", "avx2", "generic", "sm_90" */
    const dmc__allocator *alloc;   /* host memory */
    dmc_parallel par;              /* par.run == NULL: serial */
    dmc_kernel_table kernels;
};

/* Which device, and how. */
typedef struct dmc__device_setup {
    const char *name;          /* "cpu" (NULL), "ref", "ref64", or "cuda[:index]" (a plugin) */
    const char *plugin_folder; /* where plugins are looked for; NULL or "": beside the library, then where the system does */
    int32_t matrix;            /* DMC_MULTIPLY_* */
    void *stream;              /* CUDA: the caller's; NULL: own */
} dmc__device_setup;

/* pool may be NULL and must outlive the device. Unknown names: DMC_EKEY listing the known ones. No plugin, another build, no
 * such device: DMC_EDEVICE. */
dmc_status dmc__device_open_as(const dmc__allocator *a, const dmc__device_setup *s, dmc__pool *pool, dmc__device **out);
/* The same with defaults for all but the name. */
dmc_status dmc__device_open(const dmc__allocator *a, const char *name, dmc__pool *pool, dmc__device **out);
/* The same device opened again, without a pool. */
dmc_status dmc__device_reopen(const dmc__allocator *a, const dmc__device *like, dmc__device **out);
/* A second device like d, that does its work without waiting for d's and shares its memory; where one is enough, *out = NULL.
 * Close it before d. */
dmc_status dmc__device_fork(const dmc__allocator *a, const dmc__device *d, dmc__device **out);
void dmc__device_close(dmc__device *d);
/* Do its kernels say why they fail? Then what is made above goes in front of their sentence. */
int32_t dmc__device_explains(const dmc__device *d);
/* May one use the memory of the other? */
int32_t dmc__device_shares(const dmc__device *d, const dmc__device *e);

/* The backend of a plugin, opened on first use and never closed: "cuda" is in libdmc-cuda.so. */
dmc_status dmc__plugin_open(const char *name, const char *folder, const dmc__backend **out);

/* n elements of device memory, zeroed. n = 0 gives NULL. */
dmc_status dmc__dev_alloc(dmc__device *d, size_t n, void **out);
void dmc__dev_free(dmc__device *d, void *p, size_t n);
dmc_status dmc__dev_in(dmc__device *d, void *dst, const float *src, size_t n);
dmc_status dmc__dev_out(dmc__device *d, float *dst, const void *src, size_t n);
dmc_status dmc__dev_copy(dmc__device *d, void *dst, const void *src, size_t n);
/* 8-bit bytes as they are. */
dmc_status dmc__dev_in_bytes(dmc__device *d, void *dst, const void *src, size_t bytes);
dmc_status dmc__dev_sync(dmc__device *d);
/* Address of element `i`. */
static inline void *dmc__dev_at(const dmc__device *d, const void *p, size_t i)
{
    return (char *)(uintptr_t)p + i * d->backend->elem;
}
/* Elements of device memory that hold n 16-bit numbers. */
static inline size_t dmc__dev_half(const dmc__device *d, size_t n)
{
    return (n * sizeof(uint16_t) + d->backend->elem - 1) / d->backend->elem;
}
/* Run a loose op (k->par_for is set for the call). */
dmc_status dmc__dev_run(dmc__device *d, enum dmc_op op, dmc_kargs *k);
dmc_status dmc__dev_run_bwd(dmc__device *d, enum dmc_op op, dmc_kargs *k);
/* Prepare a loose op that needs scratch; most have no prepare. */
dmc_status dmc__dev_prepare(dmc__device *d, enum dmc_op op, dmc_kargs *k, dmc_op_need *need);

/* ---- recordings: calls written down once and done often (kernels/plugin.h) ------------------------------------------- */

typedef struct dmc__tape dmc__tape;

int32_t dmc__dev_records(const dmc__device *d);
/* Host memory, zeroed, that copies of a recording may name; ordinary memory where the device does not record. */
dmc_status dmc__dev_host_alloc(dmc__device *d, size_t bytes, void **out);
void dmc__dev_host_free(dmc__device *d, void *p, size_t bytes);
/* From here on calls on d are written down instead of done. */
dmc_status dmc__dev_record(dmc__device *d);
/* The end of it; *out = NULL if anything failed in between. */
dmc_status dmc__dev_record_end(dmc__device *d, dmc__tape **out);
/* Begin doing what is written; dmc__dev_sync waits for it. */
dmc_status dmc__dev_play(dmc__device *d, dmc__tape *t);
void dmc__tape_free(dmc__device *d, dmc__tape *t);

/* Every slot has a forward kernel, and a backward one exactly where ops.def says so, else DMC_EDEVICE naming the op. */
dmc_status dmc__backend_check(const char *name, const dmc_kernel_table *t);

/* The backends built into the core. */
extern const dmc__backend dmc__backend_cpu, dmc__backend_ref, dmc__backend_ref64;

/* "linear", "conv1d", ...; NULL if out of range. */
const char *dmc__op_name(int32_t op);

#endif
