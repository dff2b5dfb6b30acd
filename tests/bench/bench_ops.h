/* bench_ops.h — time of every tuned op at the shapes the published networks use. */
#ifndef DMC_BENCH_OPS_H
#define DMC_BENCH_OPS_H

#include "roof.h"

#include <stdio.h>

/* Prints a table and, where json is not NULL, writes one JSON array. One thread. 0, or -1 when
 * out of memory. */
int dmc_bench_ops(FILE *json, const dmc_bench_roof *roof);

#endif
