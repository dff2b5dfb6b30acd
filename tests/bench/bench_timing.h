/* bench_timing.h — samples of how long something takes, and what to say about them. */
#ifndef DMC_BENCH_TIMING_H
#define DMC_BENCH_TIMING_H

#include "bench_rig.h"

enum { DMC_BENCH_SAMPLES = 4096 };

typedef struct dmc_bench_timing {
    double ms[DMC_BENCH_SAMPLES];
    int n;
} dmc_bench_timing;

double dmc_bench_now(void); /* seconds on the clock */

/* dmc_bench_rig_run or dmc_bench_rig_loop. */
typedef dmc_status (*dmc_bench_run)(dmc_bench_rig *r);

/* Adds samples for about `seconds`. One thread: CPU time of the process, which on an idle machine is time on the clock, while
 * on a busy one it leaves out waiting for a core. More threads: time on the clock. A sample is as many runs as fill 0.2 ms. */
dmc_status dmc_bench_take(dmc_bench_rig *r, dmc_bench_run run, int threads, double seconds, dmc_bench_timing *t);

/* 99th percentile by median of single runs on the clock, while another process keeps a core busy; 0 = too few runs. */
dmc_status dmc_bench_tail(dmc_bench_rig *r, double seconds, double *ratio);

/* Sorts. NAN without samples. */
double dmc_bench_median(dmc_bench_timing *t);

#endif
