/* bench_nets.h — time of whole networks: forward pass, training step, sampler call, beside PyTorch where there is one. */
#ifndef DMC_BENCH_NETS_H
#define DMC_BENCH_NETS_H

#include "roof.h"

#include <stdio.h>

/* Prints a table and, where json is not NULL, writes one JSON array (docs/performance.md). One thread, about a minute. 0, or
 * -1 with a sentence on stderr. */
int dmc_bench_nets(FILE *json, const dmc_bench_roof *roof);

#endif
