/* critic_eval.c — values of a critic for a fixed batch. Weights are read where they are, so training in between shows. */
#include "iql_nets.h"

typedef struct evaluator {
    const dmc__iql *critic;
    const dmc__value_net *net;
    dmc__device *device;
    dmc__plan *plan;
    int32_t which; /* DMC__IQL_* */
} evaluator;

struct dmc__qeval {
    evaluator e;
};

struct dmc__veval {
    evaluator e;
};

/* Plans read the critic's weights where they are; what made them has been done when this returns. */
static dmc_status check_device(const dmc__iql *q, const dmc__device *d)
{
    dmc__device *const home = dmc__iql_device(q);
    if (dmc__device_shares(home, d)) return dmc__dev_sync(home);
    return dmc__fail(DMC_EINVAL, "critic: it lives on another device (%s:%d) than what asks for its values (%s:%d)",
                     home->backend->name, home->config.index, d->backend->name, d->config.index);
}

static dmc_status open_evaluator(evaluator *e, const dmc__iql *q, dmc__device *d, int32_t which, int32_t batch,
                                 int32_t flags)
{
    *e = (evaluator){.critic = q, .net = dmc__iql_net(q, which), .device = d, .which = which};
    if (batch < 1) return dmc__fail(DMC_ERANGE, "critic: batch = %d, must be at least 1", batch);
    DMC_TRY(check_device(q, d));
    return dmc__plan_create(e->net->graph, d, batch, flags, NULL, &e->plan);
}

static dmc_status run(const evaluator *e)
{
    dmc__plan_bind(e->plan, dmc__iql_weights(e->critic, e->which), NULL);
    return dmc__plan_forward(e->plan);
}

dmc_status dmc__qeval_create(const dmc__iql *q, dmc__device *d, int32_t batch, int32_t want_gradient, dmc__qeval **out)
{
    *out = NULL;
    dmc__qeval *e = NULL;
    DMC_TRY(DMC_NEW(d->alloc, 1, &e));
    const int32_t flags = want_gradient ? DMC__PLAN_DINPUT : DMC__PLAN_INFER;
    const dmc_status status = open_evaluator(&e->e, q, d, DMC__IQL_Q, batch, flags);
    if (status < 0) {
        dmc__qeval_destroy(e);
        return status;
    }
    *out = e;
    return DMC_OK;
}

void dmc__qeval_destroy(dmc__qeval *e)
{
    if (!e) return;
    dmc__plan_destroy(e->e.plan);
    DMC_FREE(e->e.device->alloc, e, 1);
}

void *dmc__qeval_obs(dmc__qeval *e)
{
    return dmc__plan_value(e->e.plan, e->e.net->obs);
}

void *dmc__qeval_act(dmc__qeval *e)
{
    return dmc__plan_value(e->e.plan, e->e.net->act);
}

dmc_status dmc__qeval_run(dmc__qeval *e)
{
    return run(&e->e);
}

const void *dmc__qeval_q(const dmc__qeval *e, int32_t twin)
{
    return dmc__plan_value(e->e.plan, e->e.net->out[twin]);
}

void *dmc__qeval_dq(dmc__qeval *e, int32_t twin)
{
    return dmc__plan_grad(e->e.plan, e->e.net->out[twin]);
}

dmc_status dmc__qeval_backward(dmc__qeval *e)
{
    return dmc__plan_backward(e->e.plan);
}

const void *dmc__qeval_dobs(const dmc__qeval *e)
{
    return dmc__plan_grad(e->e.plan, e->e.net->obs);
}

const void *dmc__qeval_dact(const dmc__qeval *e)
{
    return dmc__plan_grad(e->e.plan, e->e.net->act);
}

size_t dmc__qeval_bytes(const dmc__qeval *e)
{
    return sizeof *e + dmc__plan_bytes(e->e.plan);
}

dmc_status dmc__veval_create(const dmc__iql *q, dmc__device *d, int32_t batch, dmc__veval **out)
{
    *out = NULL;
    dmc__veval *e = NULL;
    DMC_TRY(DMC_NEW(d->alloc, 1, &e));
    const dmc_status status = open_evaluator(&e->e, q, d, DMC__IQL_V, batch, DMC__PLAN_INFER);
    if (status < 0) {
        dmc__veval_destroy(e);
        return status;
    }
    *out = e;
    return DMC_OK;
}

void dmc__veval_destroy(dmc__veval *e)
{
    if (!e) return;
    dmc__plan_destroy(e->e.plan);
    DMC_FREE(e->e.device->alloc, e, 1);
}

void *dmc__veval_obs(dmc__veval *e)
{
    return dmc__plan_value(e->e.plan, e->e.net->obs);
}

dmc_status dmc__veval_run(dmc__veval *e)
{
    return run(&e->e);
}

const void *dmc__veval_v(const dmc__veval *e)
{
    return dmc__plan_value(e->e.plan, e->e.net->out[0]);
}
