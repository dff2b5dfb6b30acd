/* registry.c — finding a backend by name, and the calls everything above makes on an opened one. */
#include "backend.h"
#include "../base/checked.h"

#include <stdlib.h>
#include <string.h>

static const dmc__backend *const built_in[] = {&dmc__backend_cpu, &dmc__backend_ref, &dmc__backend_ref64};
enum { BUILT_IN_COUNT = sizeof built_in / sizeof built_in[0] };

/* "name" or "name:index" -> backend and index. */
static dmc_status find_backend(const char *name, const char *folder, const dmc__backend **backend, int32_t *index)
{
    const size_t length = strcspn(name, ":");
    *index = 0;
    if (name[length] == ':') {
        char *end;
        const long i = strtol(name + length + 1, &end, 10);
        if (end == name + length + 1 || *end || i < 0 || i > 1023)
            return dmc__fail(DMC_EKEY, "device = \"%.64s\": after ':' stands a number 0..1023", name);
        *index = (int32_t)i;
    }
    for (int i = 0; i < BUILT_IN_COUNT; i++) {
        *backend = built_in[i];
        if (strlen((*backend)->name) == length && memcmp((*backend)->name, name, length) == 0) return DMC_OK;
    }
    if (length == 4 && memcmp("cuda", name, length) == 0) return dmc__plugin_open("cuda", folder, backend);
    return dmc__fail(DMC_EKEY, "device = \"%.64s\" is not known; known are cpu, ref, ref64, cuda", name);
}

dmc_status dmc__backend_check(const char *name, const dmc_kernel_table *t)
{
    static const int has_backward[] = {
#define OP(NAME, name, n_in, n_par, has_bwd) has_bwd,
#include "../../kernels/ops.def"
#undef OP
    };
    for (int32_t op = 0; op < DMC_OP_COUNT; op++) {
        if (!t->op[op].fwd)
            return dmc__fail(DMC_EDEVICE, "backend %s has no kernel for %s", name, dmc__op_name(op));
        if (!t->op[op].bwd != !has_backward[op])
            return dmc__fail(DMC_EDEVICE, "backend %s: the backward kernel of %s %s", name, dmc__op_name(op),
                             has_backward[op] ? "is missing" : "is not in ops.def");
    }
    return DMC_OK;
}

static const dmc_host host = {dmc__fail};

/* The table of an opened backend. */
static dmc_status equip(dmc__device *d, dmc__pool *pool)
{
    d->backend->fill_table(d->state, &d->kernels, &d->isa);
    d->par = (dmc_parallel){pool ? dmc__pool_run : NULL, pool, dmc__pool_threads(pool)};
    return dmc__backend_check(d->backend->name, &d->kernels);
}

static dmc_status open_backend(const dmc__allocator *a, const dmc__backend *backend, const dmc_device_config *c,
                               dmc__pool *pool, dmc__device **out)
{
    dmc__device *d;
    *out = NULL;
    DMC_TRY(DMC_NEW(a, 1, &d));
    d->alloc = a;
    d->config = *c;
    dmc_status status = backend->open(c, &d->state);
    if (status >= 0) d->backend = backend; /* from here on close has something to close */
    if (status >= 0) status = equip(d, pool);
    if (status < 0) dmc__device_close(d);
    else *out = d;
    return status;
}

dmc_status dmc__device_open_as(const dmc__allocator *a, const dmc__device_setup *s, dmc__pool *pool, dmc__device **out)
{
    const dmc__backend *backend = NULL;
    dmc_device_config c = {.matrix = s->matrix, .stream = s->stream, .host = &host};
    *out = NULL;
    DMC_TRY(find_backend(s->name ? s->name : "cpu", s->plugin_folder, &backend, &c.index));
    return open_backend(a, backend, &c, pool, out);
}

dmc_status dmc__device_open(const dmc__allocator *a, const char *name, dmc__pool *pool, dmc__device **out)
{
    return dmc__device_open_as(a, &(dmc__device_setup){.name = name}, pool, out);
}

dmc_status dmc__device_reopen(const dmc__allocator *a, const dmc__device *like, dmc__device **out)
{
    return open_backend(a, like->backend, &like->config, NULL, out);
}

dmc_status dmc__device_fork(const dmc__allocator *a, const dmc__device *d, dmc__device **out)
{
    dmc__device *f;
    *out = NULL;
    if (!d->backend->fork) return DMC_OK;
    DMC_TRY(DMC_NEW(a, 1, &f));
    *f = *d;
    f->alloc = a;
    const dmc_status status = d->backend->fork(d->state, &f->state);
    if (status < 0) DMC_FREE(a, f, 1);
    else *out = f;
    return status;
}

void dmc__device_close(dmc__device *d)
{
    if (!d) return;
    if (d->backend) d->backend->close(d->state);
    DMC_FREE(d->alloc, d, 1);
}

/* Plugins do, and those that are built in have nothing to say. */
int32_t dmc__device_explains(const dmc__device *d)
{
    return d->backend->recorder != NULL;
}

int32_t dmc__device_shares(const dmc__device *d, const dmc__device *e)
{
    return d->backend == e->backend && d->config.index == e->config.index;
}

dmc_status dmc__dev_alloc(dmc__device *d, size_t n, void **out)
{
    size_t bytes;
    *out = NULL;
    if (!dmc__mul_ok(n, d->backend->elem, &bytes))
        return dmc__fail(DMC_EOVERFLOW, "out of memory: %zu elements exceed the address space", n);
    return bytes ? d->backend->alloc(d->state, d->alloc, bytes, out) : DMC_OK;
}

void dmc__dev_free(dmc__device *d, void *p, size_t n)
{
    if (p) d->backend->free(d->state, d->alloc, p, n * d->backend->elem);
}

dmc_status dmc__dev_in(dmc__device *d, void *dst, const float *src, size_t n)
{
    return d->backend->copy_in(d->state, dst, src, n);
}

dmc_status dmc__dev_out(dmc__device *d, float *dst, const void *src, size_t n)
{
    return d->backend->copy_out(d->state, dst, src, n);
}

dmc_status dmc__dev_copy(dmc__device *d, void *dst, const void *src, size_t n)
{
    return d->backend->copy(d->state, dst, src, n);
}

dmc_status dmc__dev_in_bytes(dmc__device *d, void *dst, const void *src, size_t bytes)
{
    return d->backend->copy_in_bytes(d->state, dst, src, bytes);
}

dmc_status dmc__dev_sync(dmc__device *d)
{
    return d->backend->sync(d->state);
}

static dmc_status run_kernel(dmc__device *d, int32_t op, dmc_kernel kernel, const char *direction, dmc_kargs *k)
{
    const char *const name = d->backend->name;
    if (!kernel) return dmc__fail(DMC_EDEVICE, "backend %s: %s has no %s kernel", name, dmc__op_name(op), direction);
    k->par_for = d->par.run ? &d->par : NULL;
    k->queue = d->state;
    const dmc_status status = kernel(k);
    if (status >= 0) return DMC_OK;
    if (dmc__device_explains(d)) return dmc__fail_in(status, "%s %s", dmc__op_name(op), direction);
    return dmc__fail(status, "backend %s: %s %s failed", name, dmc__op_name(op), direction);
}

/* The row of `op`, NULL with the error set if there is none. */
static const dmc_op_impl *find_row(const dmc__device *d, int32_t op)
{
    if (op >= 0 && op < DMC_OP_COUNT) return &d->kernels.op[op];
    dmc__fail(DMC_EDEVICE, "backend %s: op %d, must be 0..%d", d->backend->name, op, DMC_OP_COUNT - 1);
    return NULL;
}

dmc_status dmc__dev_run(dmc__device *d, enum dmc_op op, dmc_kargs *k)
{
    const dmc_op_impl *const row = find_row(d, (int32_t)op);
    return row ? run_kernel(d, (int32_t)op, row->fwd, "forward", k) : DMC_EDEVICE;
}

dmc_status dmc__dev_run_bwd(dmc__device *d, enum dmc_op op, dmc_kargs *k)
{
    const dmc_op_impl *const row = find_row(d, (int32_t)op);
    return row ? run_kernel(d, (int32_t)op, row->bwd, "backward", k) : DMC_EDEVICE;
}

dmc_status dmc__dev_prepare(dmc__device *d, enum dmc_op op, dmc_kargs *k, dmc_op_need *need)
{
    const dmc_op_impl *const row = find_row(d, (int32_t)op);
    *need = (dmc_op_need){0, 0, 0};
    if (!row) return DMC_EDEVICE;
    if (!row->prepare) return DMC_OK;
    k->par_for = d->par.run ? &d->par : NULL;
    k->queue = d->state;
    const dmc_status status = row->prepare(k, need);
    if (status >= 0) return DMC_OK;
    return dmc__fail(status, "backend %s: %s could not be prepared", d->backend->name, dmc__op_name((int32_t)op));
}
