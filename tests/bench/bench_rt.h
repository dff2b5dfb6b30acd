/* bench_rt.h — how long a controller waits: latencies of sampler calls and of single denoising steps. */
#ifndef DMC_BENCH_RT_H
#define DMC_BENCH_RT_H

#include "bench_setup.h"

int dmc_bench_rt(const dmc_bench_setup *s);

#endif
