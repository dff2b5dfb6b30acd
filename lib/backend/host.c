/* host.c — the backends whose tensors are ordinary memory: cpu and ref (float), ref64 (double). */
#include "backend.h"

#include <string.h>

static dmc_status open_host(const dmc_device_config *c, void **state)
{
    *state = NULL;
    if (c->index != 0) return dmc__fail(DMC_EDEVICE, "device index = %d, a processor has only 0", c->index);
    return DMC_OK;
}

static void close_host(void *state)
{
    (void)state;
}

static dmc_status alloc_host(void *state, const dmc__allocator *a, size_t bytes, void **p)
{
    (void)state;
    return dmc__alloc(a, bytes, 1, p);
}

static void free_host(void *state, const dmc__allocator *a, void *p, size_t bytes)
{
    (void)state;
    dmc__free(a, p, bytes, 1);
}

static dmc_status sync_host(void *state)
{
    (void)state;
    return DMC_OK;
}

static dmc_status copy_f32(void *state, void *dst, const void *src, size_t n)
{
    (void)state;
    if (n) memcpy(dst, src, n * sizeof(float));
    return DMC_OK;
}

static dmc_status copy_in_f32(void *state, void *dst, const float *src, size_t n)
{
    return copy_f32(state, dst, src, n);
}

static dmc_status copy_out_f32(void *state, float *dst, const void *src, size_t n)
{
    return copy_f32(state, dst, src, n);
}

static dmc_status copy_bytes(void *state, void *dst, const void *src, size_t bytes)
{
    (void)state;
    if (bytes) memcpy(dst, src, bytes);
    return DMC_OK;
}

static dmc_status copy_f64(void *state, void *dst, const void *src, size_t n)
{
    (void)state;
    if (n) memcpy(dst, src, n * sizeof(double));
    return DMC_OK;
}

static dmc_status copy_in_f64(void *state, void *dst, const float *src, size_t n)
{
    (void)state;
    double *const to = dst;
    for (size_t i = 0; i < n; i++) to[i] = (double)src[i];
    return DMC_OK;
}

static dmc_status copy_out_f64(void *state, float *dst, const void *src, size_t n)
{
    (void)state;
    const double *const from = src;
    for (size_t i = 0; i < n; i++) dst[i] = (float)from[i];
    return DMC_OK;
}

static void fill_ref(void *state, dmc_kernel_table *t, const char **isa)
{
    (void)state;
    dmc__kernels_ref_f32(t);
    *isa = "generic";
}

static void fill_ref64(void *state, dmc_kernel_table *t, const char **isa)
{
    (void)state;
    dmc__kernels_ref_f64(t);
    *isa = "generic";
}

/* Every operation always works on a processor: what has no faster form stays the reference. */
static void fill_cpu(void *state, dmc_kernel_table *t, const char **isa)
{
    (void)state;
    dmc__kernels_ref_f32(t);
    *isa = dmc__kernels_cpu(t);
}

#define HOST_BACKEND(NAME, ELEM, S, FILL)                                                                       \
    {                                                                                                           \
        .abi = DMC__BACKEND_ABI, .name = (NAME), .elem = sizeof(ELEM), .open = open_host, .close = close_host,  \
        .alloc = alloc_host, .free = free_host, .copy_in = copy_in_##S, .copy_out = copy_out_##S,               \
        .copy = copy_##S, .copy_in_bytes = copy_bytes, .sync = sync_host, .fill_table = (FILL)                  \
    }

const dmc__backend dmc__backend_cpu = HOST_BACKEND("cpu", float, f32, fill_cpu);
const dmc__backend dmc__backend_ref = HOST_BACKEND("ref", float, f32, fill_ref);
const dmc__backend dmc__backend_ref64 = HOST_BACKEND("ref64", double, f64, fill_ref64);
