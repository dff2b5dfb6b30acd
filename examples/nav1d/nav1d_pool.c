/* nav1d_pool.c — two threads take jobs in turn. */
#include "nav1d_pool.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

typedef struct shift {
    pthread_mutex_t lock;
    const nav1d_pool *pool;
    nav1d_work work;
    const char *what;
    int32_t next, done, failed;
    double began;
} shift;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static const nav1d_job *take(shift *s)
{
    pthread_mutex_lock(&s->lock);
    const nav1d_job *const j = s->next < s->pool->jobs && !s->failed ? &s->pool->job[s->next++] : NULL;
    pthread_mutex_unlock(&s->lock);
    return j;
}

static void note(shift *s, const nav1d_job *j, dmc_status status)
{
    const int32_t jobs = s->pool->jobs;
    pthread_mutex_lock(&s->lock);
    s->done++;
    s->failed |= status < 0;
    const double spent = now() - s->began;
    fprintf(stderr, "%s %d/%d: %s %s seed %d %s, %.0f s, about %.0f s to go\n", s->what, s->done, jobs, nav1d_kind_name[j->kind],
            j->column->name, j->seed, status < 0 ? dmc_last_error() : "done", spent, spent / s->done * (jobs - s->done));
    pthread_mutex_unlock(&s->lock);
}

static void *worker(void *arg)
{
    shift *const s = arg;
    for (const nav1d_job *j; (j = take(s));) note(s, j, s->work(s->pool->stage, j));
    return NULL;
}

int32_t nav1d_pool_run(const nav1d_pool *p, const char *what, nav1d_work work)
{
    shift s = {.lock = PTHREAD_MUTEX_INITIALIZER, .pool = p, .work = work, .what = what, .began = now()};
    pthread_t other;
    const int alone = pthread_create(&other, NULL, worker, &s) != 0;
    worker(&s);
    if (!alone) pthread_join(other, NULL);
    return s.failed ? -1 : 0;
}
