/* backend.h — where tensors live and which kernels work on them.
 *
 * Only kernels dereference tensor memory; everything above moves numbers through copy_in / copy_out, so that
 * a device needs no special case. Elements are float (cpu, ref, cuda) or double (ref64).
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
    const char *isa;               /* "avx512", "avx2", "generic" */
    const dmc__allocator *alloc;   /* host memory */
    dmc_parallel par;              /* par.run == NULL: serial */
    dmc_kernel_table kernels;
};

/* name: "cpu" (default when NULL), "ref", "ref64", or "cuda[:index]" (plugin). pool may be NULL and must
 * outlive the device. Unknown names: DMC_EKEY listing the known ones. */
dmc_status dmc__device_open(const dmc__allocator *a, const char *name, dmc__pool *pool, dmc__device **out);
void dmc__device_close(dmc__device *d);

/* n elements of device memory, zeroed. n = 0 gives NULL. */
dmc_status dmc__dev_alloc(dmc__device *d, size_t n, void **out);
void dmc__dev_free(dmc__device *d, void *p, size_t n);
dmc_status dmc__dev_in(dmc__device *d, void *dst, const float *src, size_t n);
dmc_status dmc__dev_out(dmc__device *d, float *dst, const void *src, size_t n);
dmc_status dmc__dev_copy(dmc__device *d, void *dst, const void *src, size_t n);
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

/* Every slot has a forward kernel, and a backward one exactly where ops.def says so, else DMC_EDEVICE naming the op. */
dmc_status dmc__backend_check(const char *name, const dmc_kernel_table *t);

/* The backends built into the core. */
extern const dmc__backend dmc__backend_cpu, dmc__backend_ref, dmc__backend_ref64;

/* "linear", "conv1d", ...; NULL if out of range. */
const char *dmc__op_name(int32_t op);

#endif
