/* roof.h — what this machine can do at best with so many threads: single-precision multiply-add, and reading working sets of
 * every size over again. Measured in about two seconds, so that every benchmark can say what fraction of it was reached. */
#ifndef DMC_BENCH_ROOF_H
#define DMC_BENCH_ROOF_H

#include <stddef.h>

enum { DMC_BENCH_SMALLEST = 16 << 10, DMC_BENCH_SIZES = 16 }; /* 16 KiB, 32 KiB ... 512 MiB */

typedef struct dmc_bench_roof {
    int threads;
    double gflops;                /* multiply-adds times two, from registers                   */
    double gbps[DMC_BENCH_SIZES]; /* GB/s of reading a set of each size, shared by the threads */
} dmc_bench_roof;

/* All zero when out of memory. */
dmc_bench_roof dmc_bench_measure_roof(int threads);

/* GB/s of reading a working set of this many bytes. */
double dmc_bench_bandwidth(const dmc_bench_roof *r, double bytes);

/* Least time of `work(arg)` on an undisturbed processor, in seconds, over about `seconds` of trying. */
double dmc_bench_time(void (*work)(void *arg), void *arg, double seconds);

#endif
