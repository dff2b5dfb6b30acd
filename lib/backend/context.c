/* context.c — opening a context, and private contexts for objects made without one. */
#include "context.h"

#include <stdio.h>
#include <string.h>

static void name_context(dmc__context *c)
{
    snprintf(c->name, sizeof c->name, "%s %s", c->device->backend->name, c->device->isa);
}

static dmc_status open_parts(dmc__context *c, const dmc__context_config *from)
{
    if (from->threads > 1 || from->host)
        DMC_TRY(dmc__pool_create(&c->alloc, from->threads, from->host, from->host_user, &c->pool));
    return dmc__device_open_as(&c->alloc, &from->device, c->pool, &c->device);
}

/* Room for a context that uses this allocator and log. */
static dmc_status start(const dmc__allocator *alloc, const dmc__log *log, dmc__context **out)
{
    DMC_TRY(dmc__alloc(alloc, 1, sizeof **out, (void **)out));
    (*out)->alloc = *alloc;
    if (log) (*out)->log = *log;
    return DMC_OK;
}

/* Named if its making succeeded, else gone. */
static dmc_status conclude(dmc__context *c, dmc_status status, dmc__context **out)
{
    *out = NULL;
    if (status < 0) {
        dmc__context_close(c);
        return status;
    }
    name_context(c);
    *out = c;
    return DMC_OK;
}

dmc_status dmc__context_open(const dmc__context_config *config, dmc__context **out)
{
    dmc__context *c;
    *out = NULL;
    DMC_TRY(start(config->alloc, config->log, &c));
    return conclude(c, open_parts(c, config), out);
}

dmc_status dmc__context_open_like(const dmc__allocator *alloc, const dmc__context *like, dmc__context **out)
{
    dmc__context *c;
    *out = NULL;
    DMC_TRY(start(alloc, NULL, &c));
    return conclude(c, dmc__device_reopen(&c->alloc, like->device, &c->device), out);
}

dmc_status dmc__context_fork(const dmc__context *from, dmc__context **out)
{
    dmc__context *c;
    *out = NULL;
    if (!from->device->backend->fork) return DMC_OK;
    DMC_TRY(start(&from->alloc, &from->log, &c));
    c->pool = from->pool;
    c->borrows = 1;
    return conclude(c, dmc__device_fork(&c->alloc, from->device, &c->device), out);
}

void dmc__context_close(dmc__context *c)
{
    if (!c) return;
    const dmc__allocator alloc = c->alloc; /* the struct that holds it is about to go */
    dmc__device_close(c->device);
    if (!c->borrows) dmc__pool_destroy(c->pool);
    dmc__free(&alloc, c, 1, sizeof *c);
}

dmc_status dmc__context_acquire(dmc__context *user, dmc__context_ref *out)
{
    *out = (dmc__context_ref){user, 0};
    if (user) return DMC_OK;
    out->owned = 1;
    return dmc__context_open(&(dmc__context_config){.alloc = &dmc__default_allocator, .threads = 1}, &out->ctx);
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
