/* bench_ops.h — time of every tuned op at the shapes the published networks use. */
#ifndef DMC_BENCH_OPS_H
#define DMC_BENCH_OPS_H

#include "bench_setup.h"

/* Prints a table and writes one JSON array. All cases, one thread. 0, or -1 when out of memory. */
int dmc_bench_ops(const dmc_bench_setup *s);

#endif
