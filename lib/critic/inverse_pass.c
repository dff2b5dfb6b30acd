/* inverse_pass.c — a plan of the inverse dynamics network, fed with neighbouring rows of state plans.
 *
 * A state in the middle stands in two pairs: as what an action leads to, and as what the next one begins with.
 */
#include "inverse_pass.h"

struct dmc__inverse_pass {
    const dmc__net *net;
    dmc__device *device;
    dmc__plan *plan;
    int32_t samples, horizon, rows;
};

static dmc_status check(const dmc__net *net, int32_t samples, int32_t horizon, int32_t rows)
{
    if (samples < 1 || rows < 1 || rows >= horizon)
        return dmc__fail(DMC_ERANGE, "inverse: samples = %d, actions = %d of plans of %d states, must be at least 1 and fewer than "
                         "the states", samples, rows, horizon);
    const int64_t pair = 2 * (int64_t)net->config.cols, widest = pair > net->config.hidden ? pair : net->config.hidden;
    if ((int64_t)horizon * pair > INT32_MAX / samples || (int64_t)rows * widest > INT32_MAX / samples)
        return dmc__fail(DMC_EOVERFLOW, "inverse: %d plans of %d states of %d numbers are too large, must be below 2^31 numbers in "
                         "all", samples, horizon, net->config.cols);
    return DMC_OK;
}

dmc_status dmc__inverse_pass_create(const dmc__net *net, const void *weights, dmc__device *d, int32_t samples, int32_t horizon,
                                    int32_t rows, int32_t want_gradient, dmc__inverse_pass **out)
{
    dmc__inverse_pass *p;
    *out = NULL;
    DMC_TRY(check(net, samples, horizon, rows));
    DMC_TRY(DMC_NEW(d->alloc, 1, &p));
    *p = (dmc__inverse_pass){.net = net, .device = d, .samples = samples, .horizon = horizon, .rows = rows};
    const int32_t flags = want_gradient ? DMC__PLAN_DINPUT : DMC__PLAN_INFER;
    const dmc_status status = dmc__plan_create(net->graph, d, samples * rows, flags, NULL, &p->plan);
    if (status < 0) {
        dmc__inverse_pass_destroy(p);
        return status;
    }
    dmc__plan_bind(p->plan, weights, NULL);
    *out = p;
    return DMC_OK;
}

void dmc__inverse_pass_destroy(dmc__inverse_pass *p)
{
    if (!p) return;
    dmc__plan_destroy(p->plan);
    DMC_FREE(p->device->alloc, p, 1);
}

void *dmc__inverse_pass_states(const dmc__inverse_pass *p)
{
    return dmc__plan_value(p->plan, p->net->z);
}

/* Pair h of every plan: two rows of it are one stretch of memory. */
static dmc_kargs pair_args(const dmc__inverse_pass *p, int32_t h)
{
    const int32_t s = p->net->config.cols;
    return (dmc_kargs){.dim = {p->samples, p->horizon * s, p->rows * 2 * s, h * s, h * 2 * s, 2 * s}};
}

dmc_status dmc__inverse_pass_gather(const dmc__inverse_pass *p, const void *z)
{
    for (int32_t h = 0; h < p->rows; h++) {
        dmc_kargs k = pair_args(p, h);
        k.in[0] = z;
        k.out = dmc__inverse_pass_states(p);
        DMC_TRY(dmc__dev_run(p->device, DMC_OP_COLS, &k));
    }
    return DMC_OK;
}

dmc_status dmc__inverse_pass_run(const dmc__inverse_pass *p)
{
    return dmc__plan_forward(p->plan);
}

const void *dmc__inverse_pass_actions(const dmc__inverse_pass *p)
{
    return dmc__plan_value(p->plan, p->net->out);
}

void *dmc__inverse_pass_dactions(const dmc__inverse_pass *p)
{
    return dmc__plan_grad(p->plan, p->net->out);
}

dmc_status dmc__inverse_pass_backward(const dmc__inverse_pass *p)
{
    return dmc__plan_backward(p->plan);
}

void *dmc__inverse_pass_dstates(const dmc__inverse_pass *p)
{
    return dmc__plan_grad(p->plan, p->net->z);
}

dmc_status dmc__inverse_pass_scatter(const dmc__inverse_pass *p, void *dz)
{
    for (int32_t h = 0; h < p->rows; h++) {
        dmc_kargs k = pair_args(p, h);
        k.dout = dmc__inverse_pass_dstates(p);
        k.din[0] = dz;
        k.acc = 1;
        DMC_TRY(dmc__dev_run_bwd(p->device, DMC_OP_COLS, &k));
    }
    return DMC_OK;
}

size_t dmc__inverse_pass_bytes(const dmc__inverse_pass *p)
{
    return sizeof *p + dmc__plan_bytes(p->plan);
}
