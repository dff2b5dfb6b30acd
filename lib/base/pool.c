#include "pool.h"

#include "fp_mode.h"

enum { THREADS_MAX = 64 };

struct dmc__pool {
    const dmc__allocator *alloc;
    dmc__parallel_for host; /* NULL: workers, or nothing */
    void *host_user;
    dmc__crew *crew;        /* NULL with one thread      */
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
    const dmc_status status = !host && threads > 1 ? dmc__crew_create(a, threads - 1, &p->crew) : DMC_OK;
    if (status < 0) {
        dmc__pool_destroy(p);
        return status;
    }
    *out = p;
    return DMC_OK;
}

void dmc__pool_destroy(dmc__pool *p)
{
    if (!p) return;
    dmc__crew_destroy(p->crew);
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
    const job *const j = arg;
    const dmc__fp_mode own = dmc__fp_get();
    dmc__fp_set(j->mode);
    j->task(j->arg, i);
    dmc__fp_set(own);
}

void dmc__pool_run(void *pool, dmc__task task, void *arg, size_t n)
{
    dmc__pool *const p = pool;
    if (n < 2 || !p || (!p->host && !p->crew)) {
        for (size_t i = 0; i < n; i++) task(arg, i);
        return;
    }
    job j = {task, arg, dmc__fp_get()};
    if (p->host) p->host(p->host_user, run_task, &j, n);
    else dmc__crew_run(p->crew, run_task, &j, n);
}
