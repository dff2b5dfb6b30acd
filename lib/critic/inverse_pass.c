/* inverse_pass.c — a plan of the inverse dynamics network, fed with neighbouring rows of state plans.
 *
 * A state in the middle stands in two pairs: as what an action leads to, and as what the next one begins with.
 */
#include "../backend/block.h"
#include "inverse_pass.h"

struct dmc__inverse_pass {
    const dmc__net *net;
    dmc__device *device;
    dmc__plan *plan;
    int32_t samples, horizon, rows, s, a; /* s, a: widths */
    dmc__block memory;
    void *full, *dfull;                   /* (samples*rows, S+A); NULL unless wanted */
};

/* ---- life ---------------------------------------------------------------------------------------------- */

static dmc_status check(const dmc__net *net, int32_t samples, int32_t horizon, int32_t rows)
{
    if (samples < 1 || rows < 1 || rows >= horizon)
        return dmc__fail(DMC_ERANGE, "inverse: samples = %d, actions = %d of plans of %d states, must be at least 1 and fewer than "
                         "the states", samples, rows, horizon);
    const int64_t s = net->config.cols, a = net->config.outputs, pair = 2 * s > s + a ? 2 * s : s + a;
    const int64_t widest = pair > net->config.hidden ? pair : net->config.hidden;
    if (widest > INT32_MAX / horizon || (int64_t)horizon * widest > INT32_MAX / samples)
        return dmc__fail(DMC_EOVERFLOW, "inverse: %d plans of %d states of %d numbers are too large, must be below 2^31 numbers in "
                         "all", samples, horizon, net->config.cols);
    return DMC_OK;
}

static dmc_status take_memory(dmc__inverse_pass *p, int32_t purpose)
{
    const size_t n = (size_t)p->samples * (size_t)p->rows * (size_t)(p->s + p->a);
    const int32_t plans = purpose >= DMC__INVERSE_PLANS, gradients = purpose >= DMC__INVERSE_GRADIENTS;
    const dmc__part part[] = {{&p->full, plans ? n : 0}, {&p->dfull, gradients ? n : 0}};
    const int32_t flags = gradients ? DMC__PLAN_DINPUT : DMC__PLAN_INFER;
    DMC_TRY(dmc__block_alloc(p->device, part, sizeof part / sizeof *part, &p->memory));
    return dmc__plan_create(p->net->graph, p->device, p->samples * p->rows, flags, NULL, &p->plan);
}

dmc_status dmc__inverse_pass_create(const dmc__net *net, const void *weights, dmc__device *d, int32_t samples, int32_t horizon,
                                    int32_t rows, int32_t purpose, dmc__inverse_pass **out)
{
    dmc__inverse_pass *p;
    *out = NULL;
    DMC_TRY(check(net, samples, horizon, rows));
    DMC_TRY(DMC_NEW(d->alloc, 1, &p));
    p->net = net;
    p->device = d;
    p->samples = samples;
    p->horizon = horizon;
    p->rows = rows;
    p->s = net->config.cols;
    p->a = net->config.outputs;
    const dmc_status status = take_memory(p, purpose);
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
    dmc__block_free(p->device, &p->memory);
    DMC_FREE(p->device->alloc, p, 1);
}

size_t dmc__inverse_pass_bytes(const dmc__inverse_pass *p)
{
    return sizeof *p + dmc__block_bytes(p->device, &p->memory) + dmc__plan_bytes(p->plan);
}

/* ---- forwards ------------------------------------------------------------------------------------------ */

void *dmc__inverse_pass_states(const dmc__inverse_pass *p)
{
    return dmc__plan_value(p->plan, p->net->z);
}

const void *dmc__inverse_pass_actions(const dmc__inverse_pass *p)
{
    return dmc__plan_value(p->plan, p->net->out);
}

dmc_status dmc__inverse_pass_run(const dmc__inverse_pass *p)
{
    return dmc__plan_forward(p->plan);
}

/* Pair h of every plan: two rows of it are one stretch of memory. */
static dmc_kargs pair_args(const dmc__inverse_pass *p, int32_t h)
{
    return (dmc_kargs){.dim = {p->samples, p->horizon * p->s, p->rows * 2 * p->s, h * p->s, h * 2 * p->s, 2 * p->s}};
}

/* The first state of every pair, and its action, into a row of a plan. */
static dmc_kargs state_args(const dmc__inverse_pass *p)
{
    return (dmc_kargs){.dim = {p->samples * p->rows, 2 * p->s, p->s + p->a, 0, 0, p->s}};
}

static dmc_kargs action_args(const dmc__inverse_pass *p)
{
    return (dmc_kargs){.dim = {p->samples * p->rows, p->a, p->s + p->a, 0, p->s, p->a}};
}

static dmc_status copy(const dmc__inverse_pass *p, dmc_kargs k, const void *from, void *to)
{
    k.in[0] = from;
    k.out = to;
    return dmc__dev_run(p->device, DMC_OP_COLS, &k);
}

dmc_status dmc__inverse_pass_complete(const dmc__inverse_pass *p, const void *z, const void **plans)
{
    void *const states = dmc__inverse_pass_states(p);
    for (int32_t h = 0; h < p->rows; h++) DMC_TRY(copy(p, pair_args(p, h), z, states));
    DMC_TRY(dmc__inverse_pass_run(p));
    DMC_TRY(copy(p, state_args(p), states, p->full));
    *plans = p->full;
    return copy(p, action_args(p), dmc__inverse_pass_actions(p), p->full);
}

/* ---- backwards ----------------------------------------------------------------------------------------- */

void *dmc__inverse_pass_dplans(const dmc__inverse_pass *p)
{
    return p->dfull;
}

static dmc_status give_back(const dmc__inverse_pass *p, dmc_kargs k, const void *dout, void *din, uint32_t add)
{
    k.dout = dout;
    k.din[0] = din;
    k.acc = add;
    return dmc__dev_run_bwd(p->device, DMC_OP_COLS, &k);
}

/* dL/da goes on to both states of the pair, dL/ds to the first. */
dmc_status dmc__inverse_pass_backward(const dmc__inverse_pass *p, void *dz)
{
    void *const dpairs = dmc__plan_grad(p->plan, p->net->z);
    dmc_kargs zero = {.out = dz, .dim = {p->samples * p->horizon * p->s}};
    DMC_TRY(give_back(p, action_args(p), p->dfull, dmc__plan_grad(p->plan, p->net->out), 0));
    DMC_TRY(dmc__plan_backward(p->plan));
    DMC_TRY(give_back(p, state_args(p), p->dfull, dpairs, 1));
    DMC_TRY(dmc__dev_run(p->device, DMC_OP_FILL, &zero));
    for (int32_t h = 0; h < p->rows; h++) DMC_TRY(give_back(p, pair_args(p, h), dpairs, dz, 1));
    return DMC_OK;
}
