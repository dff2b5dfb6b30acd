/* bench_work.h — what a network must do at least: useful operations and weights read, by what they depend on. */
#ifndef DMC_BENCH_WORK_H
#define DMC_BENCH_WORK_H

#include "lib/nn/net.h"

/* As lib/diffusion/hoist.c sorts them: a sampler does TIME when weights are bound, COND once a call, BOTH once a step, REST
 * once a step for every sample. */
enum { DMC_BENCH_TIME, DMC_BENCH_COND, DMC_BENCH_BOTH, DMC_BENCH_REST, DMC_BENCH_PARTS };

typedef struct dmc_bench_work {
    double flop[DMC_BENCH_PARTS];  /* of one sample: two per multiply-add, taps on padding not counted */
    double bytes[DMC_BENCH_PARTS]; /* of the weights that are used, as floats                          */
} dmc_bench_work;

/* net NULL: everything is REST. DMC_EINVAL if the graph has an op whose operations are not known here. */
dmc_status dmc_bench_count_work(const dmc__graph *g, const dmc__net *net, dmc_bench_work *out);
double dmc_bench_sum(const double part[DMC_BENCH_PARTS]);

#endif
