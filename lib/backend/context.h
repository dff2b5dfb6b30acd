/* context.h (internal) — what stands behind a dmc_context. */
#ifndef DMC_BACKEND_CONTEXT_H
#define DMC_BACKEND_CONTEXT_H

#include "../base/log.h"
#include "backend.h"

struct dmc_context {
    dmc__allocator alloc;
    dmc__log log;
    dmc__pool *pool;       /* NULL: serial */
    dmc__device *device;
    int32_t borrows;       /* the pool is another context's */
    char name[48];         /* "cpu avx512" */
};
typedef struct dmc_context dmc__context;

/* An object's hold on a context: the user's, or a private one made from the defaults when the user gave NULL. */
typedef struct dmc__context_ref {
    dmc__context *ctx;
    int32_t owned;
} dmc__context_ref;

typedef struct dmc__context_config {
    const dmc__allocator *alloc;
    const dmc__log *log;      /* NULL: silent */
    dmc__device_setup device;
    int32_t threads;
    dmc__parallel_for host;   /* NULL: a pool of `threads` */
    void *host_user;
} dmc__context_config;

dmc_status dmc__context_open(const dmc__context_config *c, dmc__context **out);
/* One that shares c's device, on one thread and without a log. c must outlive it. */
dmc_status dmc__context_open_like(const dmc__allocator *alloc, const dmc__context *c, dmc__context **out);
/* One that differs from c in that its device does its work without waiting for c's (dmc__device_fork); where one is enough,
 * *out = NULL. c must outlive it. */
dmc_status dmc__context_fork(const dmc__context *c, dmc__context **out);
void dmc__context_close(dmc__context *c);
dmc_status dmc__context_acquire(dmc__context *user, dmc__context_ref *out);
void dmc__context_release(dmc__context_ref *r);
/* A second hold for an object made from another (clone, publish): same user context, or a private one of its own with the
 * same settings. */
dmc_status dmc__context_share(const dmc__context_ref *from, dmc__context_ref *out);
/* Of a private context; 0 for a user's, which objects share. */
size_t dmc__context_bytes(const dmc__context_ref *r);

#endif
