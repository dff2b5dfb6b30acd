/* preference_net.c — the critic's V over [sample | condition], and the loss DPO_SEED has: softplus(f(l) - f(w)). */
#include "preference_net.h"

#include <math.h>
#include <string.h>

#include "../nn/params.h"
#include "pairs.h"

enum { HIDDEN = 128 };
static const double learning_rate = 1e-3;

struct dmc__preference {
    const dmc__align *a;
    int32_t pairs;
    size_t elems, cond, width;   /* width = elems + cond */
    dmc__value_net *net;
    dmc__learner *learner;
    dmc__plan *plan;             /* of 2 pairs: winners, then losers */
    void *memory;                /* (4 pairs): zeros, out, told of DPO_SEED */
    float *x, *y;                /* host: (2 pairs, width), (2 pairs) */
};

static dmc_status build(dmc__preference *f)
{
    const dmc__align *a = f->a;
    const size_t n = (size_t)f->pairs;
    DMC_TRY(dmc__v_create(a->alloc, (int32_t)f->width, HIDDEN, &f->net));
    DMC_TRY(dmc__learner_create_fresh(f->net->graph, a->device, a->config.seed, 0, &f->learner));
    DMC_TRY(dmc__plan_create(f->net->graph, a->device, 2 * f->pairs, DMC__PLAN_TRAIN, NULL, &f->plan));
    dmc__plan_bind(f->plan, dmc__learner_weights(f->learner), dmc__learner_grads(f->learner));
    DMC_TRY(dmc__dev_alloc(a->device, 4 * n, &f->memory));
    DMC_TRY(dmc__params_zero(a->device, f->memory, n));
    DMC_TRY(DMC_NEW(a->alloc, 2 * n * f->width, &f->x));
    return DMC_NEW(a->alloc, 2 * n, &f->y);
}

dmc_status dmc__preference_create(const dmc__align *a, int32_t pairs, dmc__preference **out)
{
    dmc__preference *f;
    const size_t elems = dmc__align_elems(a), cond = (size_t)dmc__view_cond(&a->view);
    *out = NULL;
    if (a->view.cameras > 0)
        return dmc__fail(DMC_EINVAL, "dmc_align_dpo: preference = bradley_terry cannot be learnt where the model sees images");
    DMC_TRY(DMC_NEW(a->alloc, 1, &f));
    *f = (dmc__preference){.a = a, .pairs = pairs, .elems = elems, .cond = cond, .width = elems + cond};
    const dmc_status status = build(f);
    if (status < 0) {
        dmc__preference_destroy(f);
        return status;
    }
    *out = f;
    return DMC_OK;
}

void dmc__preference_destroy(dmc__preference *f)
{
    if (!f) return;
    const dmc__align *a = f->a;
    const size_t n = (size_t)f->pairs;
    dmc__dev_free(a->device, f->memory, 4 * n);
    dmc__plan_destroy(f->plan);
    dmc__learner_destroy(f->learner);
    dmc__value_net_destroy(f->net);
    DMC_FREE(a->alloc, f->x, 2 * n * f->width);
    DMC_FREE(a->alloc, f->y, 2 * n);
    DMC_FREE(a->alloc, f, 1);
}

static void stage(dmc__preference *f, size_t at, const float *z, const float *cond)
{
    memcpy(f->x + at * f->width, z, f->elems * sizeof *z);
    if (f->cond) memcpy(f->x + at * f->width + f->elems, cond, f->cond * sizeof *cond);
}

static dmc_status forward(dmc__preference *f)
{
    DMC_TRY(dmc__dev_in(f->a->device, dmc__plan_value(f->plan, f->net->obs), f->x, 2 * (size_t)f->pairs * f->width));
    return dmc__plan_forward(f->plan);
}

static void draw_pairs(dmc__preference *f, const dmc__pairs *p, uint64_t draw)
{
    const size_t n = (size_t)f->pairs;
    for (size_t i = 0; i < n; i++) {
        const dmc__stream s = {f->a->config.seed, DMC_STREAM_BATCH, draw, i};
        const size_t pick = (size_t)dmc__rng_below(&s, 0, (uint64_t)p->kept);
        const float *const cond = p->cond ? p->cond + pick * f->cond : NULL;
        stage(f, i, p->win + pick * f->elems, cond);
        stage(f, n + i, p->lose + pick * f->elems, cond);
    }
}

/* The gradient at f: out at f(l), -out at f(w). */
static dmc_status seed(dmc__preference *f, double *loss)
{
    dmc__device *d = f->a->device;
    const size_t n = (size_t)f->pairs;
    void *const win = dmc__plan_value(f->plan, f->net->out[0]), *const lose = dmc__dev_at(d, win, n);
    void *const out = dmc__dev_at(d, f->memory, n), *const told = dmc__dev_at(d, f->memory, 2 * n);
    dmc_kargs k = {.in = {lose, win, f->memory}, .out = out, .out2 = told, .dim = {f->pairs}, .attr = {1}};
    DMC_TRY(dmc__dev_run(d, DMC_OP_DPO_SEED, &k));
    DMC_TRY(dmc__dev_out(d, f->y, told, 2 * n));
    *loss = 0;
    for (size_t i = 0; i < n; i++) *loss += f->y[2 * i] / (double)n;
    DMC_TRY(dmc__dev_out(d, f->y + n, out, n));
    for (size_t i = 0; i < n; i++) f->y[i] = -f->y[n + i];
    return dmc__dev_in(d, dmc__plan_grad(f->plan, f->net->out[0]), f->y, 2 * n);
}

dmc_status dmc__preference_learn(dmc__preference *f, const dmc__pairs *p, uint64_t draw, double *loss)
{
    dmc__adamw_config c = dmc__adamw_defaults();
    c.lr = learning_rate;
    draw_pairs(f, p, draw);
    DMC_TRY(forward(f));
    DMC_TRY(seed(f, loss));
    DMC_TRY(dmc__plan_backward(f->plan));
    return dmc__learner_update(f->learner, &c, NULL);
}

dmc_status dmc__preference_score(dmc__preference *f, size_t n, size_t per, const float *z, const float *cond, float *score)
{
    const size_t batch = 2 * (size_t)f->pairs;
    for (size_t first = 0; first < n; first += batch) {
        const size_t some = n - first < batch ? n - first : batch;
        for (size_t i = 0; i < batch; i++) {
            const size_t from = first + (i < some ? i : 0);
            stage(f, i, z + from * f->elems, f->cond ? cond + from / per * f->cond : NULL);
        }
        DMC_TRY(forward(f));
        DMC_TRY(dmc__dev_out(f->a->device, score + first, dmc__plan_value(f->plan, f->net->out[0]), some));
    }
    return DMC_OK;
}

dmc_status dmc__preference_rank(dmc__preference *f, dmc__candidates *c)
{
    const size_t pool = (size_t)c->pool;
    DMC_TRY(dmc__preference_score(f, (size_t)c->groups * pool, pool, c->z, c->cond, c->reward));
    dmc__candidates_spread(c);
    return DMC_OK;
}
