/* pool.h — threads: a crew, or the caller's own parallel_for. One thread by default. */
#ifndef DMC_BASE_POOL_H
#define DMC_BASE_POOL_H

#include "crew.h"

typedef struct dmc__pool dmc__pool;

/* A host's loop: must call task(arg, i) for every i < n exactly once and return when all are done. */
typedef void (*dmc__parallel_for)(void *user, dmc__task task, void *arg, size_t n);

/* threads: 1..64; 1 makes a pool without threads. With `host` set, threads are the host's. */
dmc_status dmc__pool_create(const dmc__allocator *a, int32_t threads, dmc__parallel_for host, void *host_user,
                            dmc__pool **out);
void dmc__pool_destroy(dmc__pool *p);
int32_t dmc__pool_threads(const dmc__pool *p);
/* Serial when the pool is NULL, has one thread, or n < 2. Signature fits dmc_parallel.run. */
void dmc__pool_run(void *pool, dmc__task task, void *arg, size_t n);

#endif
