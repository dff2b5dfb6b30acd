/* cascade.c — p(x_r | x_cond, c): a network like the model's with an input layer grown by x_cond, W' = [W | 0], so that it is
 * bit-equal to the model's at the start (paper section 3.4; methods.md 5). It learns in cascade_learn.c. */
#include "cascade.h"

static dmc_status make_cascade(const dmc__align *a, const void *weights, dmc__cascade *c)
{
    dmc__net_config config = a->net->config;
    dmc__table table;
    void *grown = NULL;
    dmc_status status;
    config.extra = config.cols;
    DMC_TRY(dmc__net_create(a->alloc, &config, &c->net));
    const size_t n = dmc__graph_param_elems(c->net->graph);
    DMC_TRY(dmc__dev_alloc(a->device, n, &grown));
    status = dmc__params_grow(a->net->graph, weights, c->net->graph, a->device, grown);
    if (status >= 0) status = dmc__learner_create(c->net->graph, a->device, grown, NULL, 0, &c->learner);
    dmc__dev_free(a->device, grown, n);
    DMC_TRY(status);
    DMC_TRY(dmc__align_table(a, 0, &table));
    const dmc__rollout_config draws = {.batch = a->config.batch, .group = 1, .noised_known = a->config.noised_known};
    status = dmc__rollout_create(c->net, a->device, &table, &draws, &c->sample);
    dmc__table_free(&table);
    return status;
}

dmc_status dmc__cascade_create(const dmc__align *a, const void *weights, dmc__cascade **out)
{
    dmc__cascade *c;
    *out = NULL;
    DMC_TRY(DMC_NEW(a->alloc, 1, &c));
    const dmc_status status = make_cascade(a, weights, c);
    if (status < 0) dmc__cascade_destroy(a->alloc, c);
    else *out = c;
    return status;
}

void dmc__cascade_destroy(const dmc__allocator *a, dmc__cascade *c)
{
    if (!c) return;
    dmc__rollout_destroy(c->sample);
    dmc__learner_destroy(c->learner);
    dmc__net_destroy(c->net);
    DMC_FREE(a, c, 1);
}

dmc_status dmc__cascade_sample(dmc__align *a, dmc__cascade *c, uint64_t draw)
{
    const size_t n = (size_t)a->config.batch * dmc__align_elems(a);
    DMC_TRY(dmc__dev_out(a->device, a->host, dmc__rollout_latent(a->sample, dmc__rollout_rows(a->sample)), n));
    DMC_TRY(dmc__rollout_set_extra(c->sample, a->host));
    DMC_TRY(dmc__align_give_condition(a, c->sample));
    dmc__rollout_bind(c->sample, dmc__learner_weights(c->learner), NULL, dmc__rollout_rows(c->sample));
    /* Its own noise: the samples 0..batch-1 of this draw made x_cond. */
    return dmc__rollout_run(c->sample, a->config.seed, draw, (uint64_t)a->config.batch, 1);
}
