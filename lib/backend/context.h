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
    char name[48];         /* "cpu avx512" */
};
typedef struct dmc_context dmc__context;

/* An object's hold on a context: the user's, or a private one made from the defaults when the user gave NULL. */
typedef struct dmc__context_ref {
    dmc__context *ctx;
    int32_t owned;
} dmc__context_ref;

dmc_status dmc__context_open(const dmc__allocator *alloc, const dmc__log *log, const char *device, int32_t threads,
                             dmc__parallel_for host, void *host_user, dmc__context **out);
void dmc__context_close(dmc__context *c);
dmc_status dmc__context_acquire(dmc__context *user, dmc__context_ref *out);
void dmc__context_release(dmc__context_ref *r);
/* A second hold for an object made from another (clone, publish): same user context, or a private one of its own with the
 * same settings. */
dmc_status dmc__context_share(const dmc__context_ref *from, dmc__context_ref *out);
/* Of a private context; 0 for a user's, which objects share. */
size_t dmc__context_bytes(const dmc__context_ref *r);

#endif
