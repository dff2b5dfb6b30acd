/* feed.c — inputs are copied into the tape, because the backward pass reads them and the caller's may change before. */
#include "feed.h"

static size_t value_elems(const dmc__net *net, dmc__val v)
{
    return v < 0 ? 0 : (size_t)dmc__graph_rows(net->graph, v) * (size_t)dmc__graph_cols(net->graph, v);
}

size_t dmc__feed_elems(const dmc__net *net)
{
    return value_elems(net, net->z);
}

size_t dmc__feed_out_elems(const dmc__net *net)
{
    return value_elems(net, net->out);
}

size_t dmc__feed_cond_elems(const dmc__net *net)
{
    return value_elems(net, net->cond);
}

size_t dmc__feed_extra_elems(const dmc__net *net)
{
    return value_elems(net, net->extra);
}

dmc_status dmc__feed_check(const dmc__net *net, int32_t batch, const char *who)
{
    const size_t n[] = {dmc__feed_elems(net), dmc__feed_out_elems(net), dmc__feed_cond_elems(net), dmc__feed_extra_elems(net)};
    if (batch < 1) return dmc__fail(DMC_ERANGE, "%s: batch = %d, must be at least 1", who, batch);
    for (size_t i = 0; i < sizeof n / sizeof *n; i++)
        if (n[i] > (size_t)INT32_MAX / (size_t)batch)
            return dmc__fail(DMC_EOVERFLOW, "%s: batch = %d samples of %zu numbers, must be fewer than 2^31 in all", who,
                             batch, n[i]);
    return DMC_OK;
}

static dmc_status feed_value(const dmc__feed *f, dmc__val v, const void *from)
{
    if (v < 0) return DMC_OK;
    if (!from) return dmc__fail(DMC_EINVAL, "network: an input is missing (z, condition or side input is NULL)");
    const size_t n = value_elems(f->net, v) * (size_t)dmc__plan_batch(f->plan);
    return dmc__dev_copy(f->device, dmc__plan_value(f->plan, v), from, n);
}

dmc_status dmc__feed_inputs(const dmc__feed *f, const void *z, const void *cond, const void *extra)
{
    DMC_TRY(feed_value(f, f->net->z, z));
    DMC_TRY(feed_value(f, f->net->cond, cond));
    return feed_value(f, f->net->extra, extra);
}

dmc_status dmc__feed_time(const dmc__feed *f, double seen)
{
    dmc_kargs k = {.out = dmc__plan_value(f->plan, f->net->t), .dim = {dmc__plan_batch(f->plan)}, .attr = {seen}};
    return dmc__dev_run(f->device, DMC_OP_FILL, &k);
}
