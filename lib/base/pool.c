#include "pool.h"

#include <pthreadpool.h>

#include "fp_mode.h"

#if defined(__SANITIZE_THREAD__)
/* pthreadpool is not instrumented: tell ThreadSanitizer where it hands over. */
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#  define HAND_OVER(address) __tsan_release(address)
#  define TAKE_OVER(address) __tsan_acquire(address)
#else
#  define HAND_OVER(address) ((void)(address))
#  define TAKE_OVER(address) ((void)(address))
#endif

enum { THREADS_MAX = 64 };

struct dmc__pool {
    const dmc__allocator *alloc;
    dmc__parallel_for host; /* NULL: workers, or nothing */
    void *host_user;
    pthreadpool_t workers;  /* NULL with one thread      */
    int32_t threads;
};

dmc_status dmc__pool_create(const dmc__allocator *a, int32_t threads, dmc__parallel_for host, void *host_user,
                            dmc__pool **out)
{
    *out = NULL;
    if (threads < 1 || threads > THREADS_MAX)
        return dmc__fail(DMC_ERANGE, "dmc_context_create: threads = %d, must be 1..%d", threads, THREADS_MAX);
    dmc__pool *p;
    DMC_TRY(DMC_NEW(a, 1, &p));
    *p = (dmc__pool){.alloc = a, .host = host, .host_user = host_user, .threads = threads};
    if (!host && threads > 1) {
        p->workers = pthreadpool_create((size_t)threads);
        if (!p->workers) {
            dmc__pool_destroy(p);
            return dmc__fail(DMC_ENOMEM, "dmc_context_create: could not start %d threads", threads);
        }
    }
    *out = p;
    return DMC_OK;
}

void dmc__pool_destroy(dmc__pool *p)
{
    if (!p) return;
    if (p->workers) pthreadpool_destroy(p->workers);
    DMC_FREE(p->alloc, p, 1);
}

int32_t dmc__pool_threads(const dmc__pool *p)
{
    return p ? p->threads : 1;
}

/* Workers compute in the floating-point mode of the thread that asks. */
typedef struct job {
    dmc__task task;
    void *arg;
    dmc__fp_mode mode;
} job;

static void run_task(void *arg, size_t i)
{
    job *const j = arg;
    TAKE_OVER(j);
    const dmc__fp_mode own = dmc__fp_get();
    dmc__fp_set(j->mode);
    j->task(j->arg, i);
    dmc__fp_set(own);
    HAND_OVER(j);
}

void dmc__pool_run(void *pool, dmc__task task, void *arg, size_t n)
{
    dmc__pool *const p = pool;
    if (n < 2 || !p || (!p->host && !p->workers)) {
        for (size_t i = 0; i < n; i++) task(arg, i);
        return;
    }
    job j = {task, arg, dmc__fp_get()};
    HAND_OVER(&j);
    if (p->host) p->host(p->host_user, run_task, &j, n);
    else pthreadpool_parallelize_1d(p->workers, run_task, &j, n, 0);
    TAKE_OVER(&j);
}
