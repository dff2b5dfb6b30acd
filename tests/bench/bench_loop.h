/* bench_loop.h — the network of a sampler without the sampler: what one of its calls costs at least. */
#ifndef DMC_BENCH_LOOP_H
#define DMC_BENCH_LOOP_H

#include "lib/api/handles.h"
#include "lib/diffusion/hoist.h"

typedef struct dmc_bench_loop {
    dmc__device *device;
    dmc__hoist *hoist; /* NULL: none was made                      */
    int32_t rows;      /* forward passes of a sampler call         */
    int32_t conds;     /* batch/group                              */
    float *cond;       /* zeros (batch/group,cond)                 */
    void *z;           /* zeros, in the shape of `batch` samples   */
    size_t elems;      /* of z                                     */
} dmc_bench_loop;

/* For a sampler with default options and as many steps as the model has, on its context; `group` samples share a condition. */
dmc_status dmc_bench_loop_open(dmc_bench_loop *l, const dmc_context *ctx, const dmc_model *m, int32_t batch, int32_t group);
void dmc_bench_loop_close(dmc_bench_loop *l); /* after a failed open too */

/* All forward passes of a call as the sampler does them (lib/diffusion/hoist.h): what depends on the time alone is known, what
 * depends on the condition alone is computed once. */
dmc_status dmc_bench_loop_run(dmc_bench_loop *l);

#endif
