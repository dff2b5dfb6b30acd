/* chain_grad.c — forward and backward of one row: the network's tape between two calls of TRANSITION. */
#include "chain_grad.h"

#include "../backend/block.h"
#include "affine.h"
#include "feed.h"

struct dmc__chain {
    dmc__feed feed;
    dmc__affine affine;     /* in-painting and clip of the last roll-out            */
    dmc__row row;           /* of the last dmc__chain_mean                          */
    size_t total;           /* elements of (batch,T,cols)                           */
    int32_t want_dz;
    const void *weights;    /* bound, with: */
    void *grads;
    dmc__block memory;      /* cut into: */
    void *direct, *scaled;  /* (batch,T,cols) dL/dz past the network; dmu times scale_param */
};

dmc_status dmc__chain_create(const dmc__net *net, dmc__device *d, int32_t batch, int32_t want_dz, const uint8_t *train,
                             dmc__chain **out)
{
    *out = NULL;
    dmc_status status;
    dmc__chain *c = NULL;
    const int32_t flags = DMC__PLAN_TRAIN | (want_dz ? DMC__PLAN_DINPUT : 0);
    DMC_TRY(dmc__feed_check(net, batch, "chain"));
    DMC_TRY(DMC_NEW(d->alloc, 1, &c));
    c->feed = (dmc__feed){.net = net, .device = d};
    c->affine = (dmc__affine){.device = d, .batch = batch, .elems = (int32_t)dmc__feed_elems(net)};
    c->total = (size_t)batch * dmc__feed_elems(net);
    c->want_dz = want_dz;
    DMC_TRY_GOTO(status, dmc__plan_create(net->graph, d, batch, flags, train, &c->feed.plan), fail);
    const dmc__part part[] = {{&c->direct, want_dz ? c->total : 0}, {&c->scaled, c->total}};
    DMC_TRY_GOTO(status, dmc__block_alloc(d, part, 2, &c->memory), fail);
    *out = c;
    return DMC_OK;
fail:
    dmc__chain_destroy(c);
    return status;
}

void dmc__chain_destroy(dmc__chain *c)
{
    if (!c) return;
    dmc__block_free(c->feed.device, &c->memory);
    dmc__plan_destroy(c->feed.plan);
    DMC_FREE(c->feed.device->alloc, c, 1);
}

void dmc__chain_bind(dmc__chain *c, const void *weights, void *grads)
{
    c->weights = weights;
    c->grads = grads;
    dmc__plan_bind(c->feed.plan, weights, grads);
}

static void *tape_z(const dmc__chain *c)
{
    return dmc__plan_value(c->feed.plan, c->feed.net->z);
}

const void *dmc__chain_output(const dmc__chain *c)
{
    return dmc__plan_value(c->feed.plan, c->feed.net->out);
}

void dmc__chain_set_inward(dmc__chain *c, int32_t inward)
{
    c->affine.inward = inward;
}

dmc_status dmc__chain_mean(dmc__chain *c, const dmc__rollout *r, int32_t k, const void *z, void *mu_out)
{
    if (dmc__rollout_batch(r) != c->affine.batch || dmc__rollout_elems(r) != (size_t)c->affine.elems)
        return dmc__fail(DMC_ESHAPE, "chain: the roll-out has %d samples of %zu numbers, the chain %d of %d",
                         dmc__rollout_batch(r), dmc__rollout_elems(r), c->affine.batch, c->affine.elems);
    if (k < 0 || k >= dmc__rollout_rows(r))
        return dmc__fail(DMC_ERANGE, "chain: row %d, must be 0..%d", k, dmc__rollout_rows(r) - 1);
    c->row = *dmc__rollout_row(r, k);
    c->row.u = c->row.w = 0; /* what the roll-out handed on stays */
    c->affine.carry = (void *)(uintptr_t)dmc__rollout_carry(r, k);
    c->affine.clip = dmc__rollout_clip(r);
    c->affine.mask = dmc__rollout_mask(r);
    c->affine.known = dmc__rollout_known(r);
    DMC_TRY(dmc__feed_inputs(&c->feed, z, dmc__rollout_cond(r), dmc__rollout_extra(r)));
    DMC_TRY(dmc__feed_time(&c->feed, c->row.at.seen));
    DMC_TRY(dmc__plan_forward(c->feed.plan));
    return dmc__affine_step(&c->affine, &c->row, tape_z(c), dmc__chain_output(c), NULL, mu_out);
}

/* out <- factor x, in-painted entries included. */
static dmc_status scale(const dmc__chain *c, double factor, const void *x, void *out)
{
    dmc__affine all = c->affine;
    all.mask = all.known = NULL;
    return dmc__affine_mix(&all, factor, x, 0, NULL, out);
}

/* out <- what flowed past the network + what flowed through it. */
static dmc_status join_paths(const dmc__chain *c, void *out)
{
    dmc_kargs k = {.in = {c->direct, dmc__plan_grad(c->feed.plan, c->feed.net->z)}, .out = out,
                   .dim = {(int32_t)c->total}};
    return dmc__dev_run(c->feed.device, DMC_OP_ADD, &k);
}

static dmc_status check_backward(const dmc__chain *c, const void *dz_out)
{
    if (dz_out && c->row.d != 0)
        return dmc__fail(DMC_EINVAL, "chain: no gradient goes through rows that take up what others hand on (Heun, 2M)");
    if (!c->grads) return dmc__fail(DMC_ESTATE, "chain: backward without gradients bound");
    if (dz_out && !c->want_dz) return dmc__fail(DMC_ESTATE, "chain: dz was not asked for when it was created");
    return DMC_OK;
}

/* The network's backward pass; with_params = 0: for its input only. */
static dmc_status backward_network(const dmc__chain *c, int32_t with_params)
{
    if (with_params) return dmc__plan_backward(c->feed.plan);
    dmc__plan_bind(c->feed.plan, c->weights, NULL);
    const dmc_status status = dmc__plan_backward(c->feed.plan);
    dmc__plan_bind(c->feed.plan, c->weights, c->grads);
    return status;
}

/* One backward serves both branches: everything is carried `scale_param` times too large and dz is divided again. */
dmc_status dmc__chain_backward(dmc__chain *c, const void *dmu, double scale_param, void *dz_out)
{
    const int32_t scaled = scale_param != 1 && scale_param != 0;
    DMC_TRY(check_backward(c, dz_out));
    if (scaled) DMC_TRY(scale(c, scale_param, dmu, c->scaled));
    DMC_TRY(dmc__affine_step_backward(&c->affine, &c->row, tape_z(c), dmc__chain_output(c), scaled ? c->scaled : dmu,
                                      dz_out ? c->direct : NULL, dmc__plan_grad(c->feed.plan, c->feed.net->out)));
    DMC_TRY(backward_network(c, scale_param != 0));
    if (!dz_out) return DMC_OK;
    if (!scaled) return join_paths(c, dz_out);
    DMC_TRY(join_paths(c, c->scaled));
    return scale(c, 1 / scale_param, c->scaled, dz_out);
}

dmc_status dmc__chain_network(dmc__chain *c, const void *z, const void *t, const void *cond, const void *extra)
{
    DMC_TRY(dmc__feed_inputs(&c->feed, z, cond, extra));
    DMC_TRY(dmc__dev_copy(c->feed.device, dmc__plan_value(c->feed.plan, c->feed.net->t), t, (size_t)c->affine.batch));
    return dmc__plan_forward(c->feed.plan);
}

dmc_status dmc__chain_network_backward(dmc__chain *c, const void *df)
{
    DMC_TRY(check_backward(c, NULL));
    DMC_TRY(dmc__dev_copy(c->feed.device, dmc__plan_grad(c->feed.plan, c->feed.net->out), df,
                         (size_t)c->affine.batch * dmc__feed_out_elems(c->feed.net)));
    return dmc__plan_backward(c->feed.plan);
}

dmc_status dmc__chain_vjp(dmc__chain *c, const float *df, float *dz)
{
    dmc__device *d = c->feed.device;
    if (!c->want_dz) return dmc__fail(DMC_ESTATE, "chain: dz was not asked for when it was created");
    DMC_TRY(dmc__dev_in(d, dmc__plan_grad(c->feed.plan, c->feed.net->out), df,
                        (size_t)c->affine.batch * dmc__feed_out_elems(c->feed.net)));
    DMC_TRY(backward_network(c, 0));
    return dmc__dev_out(d, dz, dmc__plan_grad(c->feed.plan, c->feed.net->z), c->total);
}

void dmc__chain_set_dropout(dmc__chain *c, int32_t on, uint64_t seed, uint64_t step)
{
    dmc__plan_set_dropout(c->feed.plan, on, seed, step);
}

void dmc__chain_set_dropout_base(dmc__chain *c, const uint64_t *base)
{
    dmc__plan_set_dropout_base(c->feed.plan, base);
}

size_t dmc__chain_bytes(const dmc__chain *c)
{
    return sizeof *c + dmc__block_bytes(c->feed.device, &c->memory) + dmc__plan_bytes(c->feed.plan);
}
