/* roof.h — what one thread of this machine can do at best: single-precision multiply-add and
 * reading from each level of memory. Measured in about half a second, and the former again beside
 * what is timed, so that every benchmark can say what fraction of it was reached. */
#ifndef DMC_BENCH_ROOF_H
#define DMC_BENCH_ROOF_H

#include <stddef.h>

typedef struct dmc_bench_roof {
    double gflops;       /* multiply-adds times two, from registers               */
    double l2, l3, dram; /* GB/s of reading 256 KiB, 4 MiB and 256 MiB over again */
} dmc_bench_roof;

dmc_bench_roof dmc_bench_measure_roof(void);

/* Multiply-adds once more, in a few milliseconds: a machine's clock rate changes with what all of it
 * does. */
double dmc_bench_multiply_rate(void);

/* GB/s of reading these floats over and over. */
double dmc_bench_read_rate(const float *data, size_t bytes);

/* GB/s of reading a working set of this many bytes. */
double dmc_bench_bandwidth(const dmc_bench_roof *r, double bytes);

/* Least time of `work(arg)`, in seconds, over about `seconds` of trying. */
double dmc_bench_time(void (*work)(void *arg), void *arg, double seconds);

#endif
