/* bench_loop.c — see bench_loop.h. */
#include "bench_loop.h"

#include "lib/diffusion/feed.h"
#include "lib/nn/params.h"

#include <stdlib.h>

static dmc_status make_inputs(dmc_bench_loop *l, const dmc__net *net, int32_t batch)
{
    l->elems = (size_t)batch * dmc__feed_elems(net);
    l->cond = calloc((size_t)batch * (size_t)net->config.cond + 1, sizeof *l->cond);
    float *const zeros = calloc(l->elems, sizeof *zeros);
    dmc_status status = l->cond && zeros ? dmc__dev_alloc(l->device, l->elems, &l->z) : dmc__fail(DMC_ENOMEM, "out of memory: z");
    if (status >= 0) status = dmc__dev_in(l->device, l->z, zeros, l->elems);
    free(zeros);
    return status;
}

dmc_status dmc_bench_loop_open(dmc_bench_loop *l, const dmc_context *ctx, const dmc_model *m, int32_t batch, int32_t group)
{
    dmc__table table;
    const dmc__table_config config = dmc__table_defaults(&m->process);
    *l = (dmc_bench_loop){.device = ctx->device};
    DMC_TRY(dmc__table_create(ctx->device->alloc, &m->process, &config, &table));
    dmc_status status = dmc__hoist_create(m->net, ctx->device, &table, batch, group, &l->hoist);
    l->rows = table.k;
    l->conds = batch / group;
    dmc__table_free(&table);
    if (status >= 0) status = make_inputs(l, m->net, batch);
    if (status >= 0) dmc__hoist_bind(l->hoist, m->weights);
    return status;
}

void dmc_bench_loop_close(dmc_bench_loop *l)
{
    if (l->z) dmc__dev_free(l->device, l->z, l->elems);
    dmc__hoist_destroy(l->hoist);
    free(l->cond);
    *l = (dmc_bench_loop){0};
}

dmc_status dmc_bench_loop_run(dmc_bench_loop *l)
{
    if (dmc__hoist_cond(l->hoist)) DMC_TRY(dmc__hoist_set_cond(l->hoist, l->cond, l->conds));
    for (int32_t k = 0; k < l->rows; k++) DMC_TRY(dmc__hoist_forward(l->hoist, k, l->z, NULL));
    return DMC_OK;
}
