/* guide_value.c — forward and backward of a value network at one time, for a whole batch. */
#include "guide_value.h"

#include "feed.h"

struct dmc__guide_value {
    dmc__feed feed;
    const dmc__process *process;
};

dmc_status dmc__guide_value_create(const dmc__net *net, dmc__device *d, const dmc__process *p, int32_t batch,
                                   dmc__guide_value **out)
{
    dmc__guide_value *v;
    *out = NULL;
    DMC_TRY(dmc__feed_check(net, batch, "guide"));
    DMC_TRY(DMC_NEW(d->alloc, 1, &v));
    v->feed = (dmc__feed){.net = net, .device = d};
    v->process = p;
    const dmc_status status = dmc__plan_create(net->graph, d, batch, DMC__PLAN_DINPUT, NULL, &v->feed.plan);
    if (status < 0) dmc__guide_value_destroy(v);
    else *out = v;
    return status;
}

void dmc__guide_value_destroy(dmc__guide_value *v)
{
    if (!v) return;
    dmc__plan_destroy(v->feed.plan);
    DMC_FREE(v->feed.device->alloc, v, 1);
}

void dmc__guide_value_bind(dmc__guide_value *v, const void *weights)
{
    dmc__plan_bind(v->feed.plan, weights, NULL);
}

static dmc_status gradient(void *self, const dmc__row *row, const void *x, const void *cond, void *g)
{
    const dmc__guide_value *v = self;
    dmc__plan *const p = v->feed.plan;
    const dmc__net *const net = v->feed.net;
    const size_t batch = (size_t)dmc__plan_batch(p);
    dmc_kargs ones = {.out = dmc__plan_grad(p, net->out), .dim = {(int32_t)(batch * dmc__feed_out_elems(net))}, .attr = {1}};
    DMC_TRY(dmc__feed_inputs(&v->feed, x, cond, NULL));
    DMC_TRY(dmc__feed_time(&v->feed, dmc__process_level(v->process, row->at.time).seen));
    DMC_TRY(dmc__plan_forward(p));
    DMC_TRY(dmc__dev_run(v->feed.device, DMC_OP_FILL, &ones));
    DMC_TRY(dmc__plan_backward(p));
    return dmc__dev_copy(v->feed.device, g, dmc__plan_grad(p, net->z), batch * dmc__feed_elems(net));
}

dmc__guide dmc__guide_value_guide(dmc__guide_value *v, double scale)
{
    return (dmc__guide){.self = v, .scale = scale, .gradient = gradient};
}

size_t dmc__guide_value_bytes(const dmc__guide_value *v)
{
    return sizeof *v + dmc__plan_bytes(v->feed.plan);
}
