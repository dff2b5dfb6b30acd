/* bench_nets.h — time of whole networks: forward pass, training step, sampler call, beside PyTorch where there is one. */
#ifndef DMC_BENCH_NETS_H
#define DMC_BENCH_NETS_H

#include "bench_setup.h"

/* Prints a table and writes one JSON array (docs/performance.md). Starts no case after a quarter of an hour. 0, or
 * -1 with a sentence on stderr. */
int dmc_bench_nets(const dmc_bench_setup *s);

#endif
