/* crew.c — one loop at a time, handed out index by index.
 *
 * `ticket` is the number of the loop and the next index of it. Who moves it on by compare-and-swap has that index. Between two
 * loops it is closed (no index is below n), and only then the loop's fields change: whoever reads a new field also sees the
 * closed ticket, so its swap fails.
 */
#include "crew.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>

enum {
    HELPER_PAUSES = 4000, /* of waiting awake for the next loop: a fraction of a millisecond   */
    CALLER_PAUSES = 400   /* of waiting for a helper's last part before it is given our core   */
};
static const uint32_t closed = UINT32_MAX;

struct dmc__crew {
    const dmc__allocator *alloc;
    pthread_t *thread;
    int32_t helpers, started;
    pthread_mutex_t lock;       /* for sleeping */
    pthread_cond_t wake;
    atomic_flag busy;
    /* A line of the cache each: what is looked at, and what is counted meanwhile. */
    _Alignas(64) _Atomic uint64_t ticket; /* loop << 32 | index */
    _Atomic(dmc__task) task;
    _Atomic(void *) arg;
    _Atomic uint32_t n;
    atomic_int sleeping, stop;
    _Alignas(64) _Atomic uint32_t done;
};

typedef struct part {
    dmc__task task;
    void *arg;
    uint32_t i;
} part;

static void pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* ---- both sides --------------------------------------------------------------------------------------- */

static int32_t take_part(dmc__crew *c, part *p)
{
    uint64_t t = atomic_load(&c->ticket);
    do {
        p->task = atomic_load(&c->task);
        p->arg = atomic_load(&c->arg);
        p->i = (uint32_t)t;
        if (p->i >= atomic_load(&c->n)) return 0;
    } while (!atomic_compare_exchange_weak(&c->ticket, &t, t + 1));
    return 1;
}

static void work(dmc__crew *c)
{
    part p;
    while (take_part(c, &p)) {
        p.task(p.arg, p.i);
        atomic_fetch_add(&c->done, 1);
    }
}

/* ---- helpers ------------------------------------------------------------------------------------------ */

static int32_t is_needed(dmc__crew *c)
{
    return (uint32_t)atomic_load(&c->ticket) < atomic_load(&c->n) || atomic_load(&c->stop);
}

/* A loop that starts after we are counted as asleep sees us, one that started before is seen here. */
static void sleep_until_needed(dmc__crew *c)
{
    pthread_mutex_lock(&c->lock);
    atomic_fetch_add(&c->sleeping, 1);
    while (!is_needed(c)) pthread_cond_wait(&c->wake, &c->lock);
    atomic_fetch_sub(&c->sleeping, 1);
    pthread_mutex_unlock(&c->lock);
}

static void *help(void *arg)
{
    dmc__crew *const c = arg;
    while (!atomic_load(&c->stop)) {
        work(c);
        int32_t pauses = 0;
        while (pauses++ < HELPER_PAUSES && !is_needed(c)) pause_briefly();
        if (!is_needed(c)) sleep_until_needed(c);
    }
    return NULL;
}

/* The host's signals are for its own threads. */
static void start_helpers(dmc__crew *c)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (c->started < c->helpers && pthread_create(&c->thread[c->started], NULL, help, c) == 0) c->started++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* ---- the caller --------------------------------------------------------------------------------------- */

static void wake_helpers(dmc__crew *c)
{
    if (atomic_load(&c->sleeping) == 0) return;
    pthread_mutex_lock(&c->lock);
    pthread_cond_broadcast(&c->wake);
    pthread_mutex_unlock(&c->lock);
}

static void open_loop(dmc__crew *c, dmc__task task, void *arg, uint32_t n)
{
    const uint64_t loop = ((atomic_load(&c->ticket) >> 32) + 1) << 32;
    atomic_store(&c->ticket, loop | closed);
    atomic_store(&c->task, task);
    atomic_store(&c->arg, arg);
    atomic_store(&c->n, n);
    atomic_store(&c->done, 0);
    atomic_store(&c->ticket, loop);
}

void dmc__crew_run(dmc__crew *c, dmc__task task, void *arg, size_t n)
{
    if (n >= closed || atomic_flag_test_and_set(&c->busy)) {
        for (size_t i = 0; i < n; i++) task(arg, i);
        return;
    }
    open_loop(c, task, arg, (uint32_t)n);
    wake_helpers(c);
    work(c);
    for (int32_t pauses = 0; atomic_load(&c->done) < n; pauses++) {
        if (pauses < CALLER_PAUSES) pause_briefly();
        else sched_yield();
    }
    atomic_flag_clear(&c->busy);
}

/* ---- life --------------------------------------------------------------------------------------------- */

dmc_status dmc__crew_create(const dmc__allocator *a, int32_t helpers, dmc__crew **out)
{
    dmc__crew *c;
    *out = NULL;
    DMC_TRY(DMC_NEW(a, 1, &c));
    c->alloc = a;
    c->helpers = helpers;
    atomic_flag_clear(&c->busy);
    atomic_store(&c->ticket, closed);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->wake, NULL);
    const dmc_status status = DMC_NEW(a, helpers, &c->thread);
    if (status >= 0) start_helpers(c);
    if (status >= 0 && c->started == helpers) {
        *out = c;
        return DMC_OK;
    }
    dmc__crew_destroy(c);
    return status < 0 ? status : dmc__fail(DMC_ENOMEM, "dmc_context_create: could not start %d threads", helpers + 1);
}

void dmc__crew_destroy(dmc__crew *c)
{
    if (!c) return;
    pthread_mutex_lock(&c->lock);
    atomic_store(&c->stop, 1);
    pthread_cond_broadcast(&c->wake);
    pthread_mutex_unlock(&c->lock);
    for (int32_t i = 0; i < c->started; i++) pthread_join(c->thread[i], NULL);
    pthread_cond_destroy(&c->wake);
    pthread_mutex_destroy(&c->lock);
    DMC_FREE(c->alloc, c->thread, c->helpers);
    DMC_FREE(c->alloc, c, 1);
}
