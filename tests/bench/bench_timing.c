/* bench_timing.c — see bench_timing.h. */
#include "bench_timing.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds_on(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double dmc_bench_now(void)
{
    return seconds_on(CLOCK_MONOTONIC);
}

dmc_status dmc_bench_take(dmc_bench_rig *r, dmc_bench_run run, int threads, double seconds, dmc_bench_timing *t)
{
    const clockid_t clock = threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC;
    const double end = dmc_bench_now() + seconds;
    const int before = t->n;
    int runs = 1;
    do {
        const double start = seconds_on(clock);
        for (int i = 0; i < runs; i++) DMC_TRY(run(r));
        const double took = seconds_on(clock) - start;
        if (took < 2e-4 && runs < 1 << 20) runs *= 2;
        else if (t->n < DMC_BENCH_SAMPLES) t->ms[t->n++] = 1e3 * took / runs;
    } while (t->n == before || (dmc_bench_now() < end && t->n < DMC_BENCH_SAMPLES));
    return DMC_OK;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double dmc_bench_median(dmc_bench_timing *t)
{
    qsort(t->ms, (size_t)t->n, sizeof *t->ms, by_size);
    return t->n > 0 ? (t->ms[(t->n - 1) / 2] + t->ms[t->n / 2]) / 2 : NAN;
}

/* ---- the busy neighbour ----------------------------------------------------------------------------- */

static pid_t start_spinning(void)
{
    const pid_t parent = getpid(), pid = fork();
    if (pid != 0) return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* never outlives us */
    if (getppid() != parent) _exit(0);
    for (volatile unsigned i = 0;; i++) continue;
}

enum { LEAST_RUNS = 50 }; /* of which the longest stands for the 99th percentile */

/* For `seconds`, up to four times as long where runs are long. */
static dmc_status take_single_runs(dmc_bench_rig *r, double seconds, dmc_bench_timing *t)
{
    const double begin = dmc_bench_now();
    while (t->n < DMC_BENCH_SAMPLES && dmc_bench_now() < begin + (t->n < LEAST_RUNS ? 4 : 1) * seconds) {
        const double start = dmc_bench_now();
        DMC_TRY(dmc_bench_rig_run(r));
        t->ms[t->n++] = 1e3 * (dmc_bench_now() - start);
    }
    return DMC_OK;
}

dmc_status dmc_bench_tail(dmc_bench_rig *r, double seconds, double *ratio)
{
    static dmc_bench_timing t;
    t.n = 0;
    *ratio = 0;
    const pid_t pid = start_spinning();
    if (pid < 0) return dmc__fail(DMC_EINVAL, "could not start a process");
    const dmc_status status = take_single_runs(r, seconds, &t);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    const double middle = dmc_bench_median(&t);
    if (t.n >= LEAST_RUNS) *ratio = t.ms[(t.n * 99 + 99) / 100 - 1] / middle;
    return status;
}
