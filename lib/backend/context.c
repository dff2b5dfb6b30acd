/* context.c — opening a context, and private contexts for objects made without one. */
#include "context.h"

#include <stdio.h>
#include <string.h>

static dmc_status open_parts(dmc__context *c, const char *device, int32_t threads, dmc__parallel_for host, void *host_user)
{
    if (threads > 1 || host) DMC_TRY(dmc__pool_create(&c->alloc, threads, host, host_user, &c->pool));
    DMC_TRY(dmc__device_open(&c->alloc, device, c->pool, &c->device));
    snprintf(c->name, sizeof c->name, "%s %s", c->device->backend->name, c->device->isa);
    return DMC_OK;
}

dmc_status dmc__context_open(const dmc__allocator *alloc, const dmc__log *log, const char *device, int32_t threads,
                             dmc__parallel_for host, void *host_user, dmc__context **out)
{
    dmc__context *c;
    *out = NULL;
    DMC_TRY(dmc__alloc(alloc, 1, sizeof *c, (void **)&c));
    c->alloc = *alloc;
    if (log) c->log = *log;
    const dmc_status status = open_parts(c, device, threads, host, host_user);
    if (status < 0) dmc__context_close(c);
    else *out = c;
    return status;
}

void dmc__context_close(dmc__context *c)
{
    if (!c) return;
    const dmc__allocator alloc = c->alloc; /* the struct that holds it is about to go */
    dmc__device_close(c->device);
    dmc__pool_destroy(c->pool);
    dmc__free(&alloc, c, 1, sizeof *c);
}

dmc_status dmc__context_acquire(dmc__context *user, dmc__context_ref *out)
{
    *out = (dmc__context_ref){user, 0};
    if (user) return DMC_OK;
    out->owned = 1;
    return dmc__context_open(&dmc__default_allocator, NULL, NULL, 1, NULL, NULL, &out->ctx);
}

void dmc__context_release(dmc__context_ref *r)
{
    if (r->owned) dmc__context_close(r->ctx);
    *r = (dmc__context_ref){NULL, 0};
}

dmc_status dmc__context_share(const dmc__context_ref *from, dmc__context_ref *out)
{
    return dmc__context_acquire(from->owned ? NULL : from->ctx, out);
}

/* A private context has no pool. */
size_t dmc__context_bytes(const dmc__context_ref *r)
{
    return r->owned ? sizeof *r->ctx + sizeof *r->ctx->device : 0;
}
