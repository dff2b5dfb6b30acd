/* pretrain.c — the foundation: draw windows, noise them, regress the network on its target (paper eq. 5); value and inverse
 * models the same way, with a target of their own. */
#include "pretrain.h"

#include <math.h>
#include <string.h>

#include "../align/regress.h"
#include "../base/clock.h"
#include "checkpoint.h"

enum { EVAL_BATCHES = 8 };

struct dmc__pretrain {
    dmc__context_ref ref;
    const dmc__model *model;
    dmc__view view;
    dmc__pretrain_config config;
    dmc__learner *learner;
    dmc__chain *chain;
    dmc__denoise *denoise;
    dmc__regress regress;
    int64_t step;
    size_t elems, cond;
    float *z, *conds, *mask, *weight, *err; /* (batch, ...) of a batch that is staged; err of one that is evaluated */
    float *target;                          /* (batch, outputs) of a network that regresses */
    float *returns;                         /* role value: (rows of the data) */
    double *time;
};

static size_t outputs(const dmc__pretrain *p)
{
    return (size_t)p->model->spec.net.outputs;
}

static size_t return_rows(const dmc__pretrain *p)
{
    return p->model->spec.role == DMC__ROLE_VALUE ? p->view.data->rows : 0;
}

static dmc_status make_host(dmc__pretrain *p)
{
    const dmc__allocator *a = &p->ref.ctx->alloc;
    const size_t n = (size_t)p->config.batch;
    DMC_TRY(DMC_NEW(a, n * p->elems, &p->z));
    DMC_TRY(DMC_NEW(a, n * p->cond, &p->conds));
    DMC_TRY(DMC_NEW(a, n * p->elems, &p->mask));
    DMC_TRY(DMC_NEW(a, n * p->elems, &p->weight));
    DMC_TRY(DMC_NEW(a, n, &p->err));
    DMC_TRY(DMC_NEW(a, n * outputs(p), &p->target));
    DMC_TRY(DMC_NEW(a, return_rows(p), &p->returns));
    if (p->returns) dmc__trajectories_returns(p->view.data, p->model->spec.discount, p->returns);
    return DMC_NEW(a, n, &p->time);
}

static dmc_status make_parts(dmc__pretrain *p)
{
    const dmc__model *m = p->model;
    dmc__device *d = p->ref.ctx->device;
    if (!dmc__device_shares(d, m->ref.ctx->device))
        return dmc__fail(DMC_EINVAL, "dmc_trainer_create: the context's device is %s, the model lives on %s", p->ref.ctx->name,
                         m->ref.ctx->name);
    DMC_TRY(make_host(p));
    DMC_TRY(dmc__learner_create(m->net->graph, d, m->weights, NULL, 1, &p->learner));
    DMC_TRY(dmc__chain_create(m->net, d, p->config.batch, 0, NULL, &p->chain));
    DMC_TRY(dmc__denoise_create(p->chain, m->net, d, &m->process, p->config.batch, &p->denoise));
    dmc__denoise_noise_known(p->denoise, m->spec.inpaint);
    p->regress = (dmc__regress){.device = d, .denoise = p->denoise, .learner = p->learner, .dropout = p->chain,
                                .seed = p->config.seed, .clean = m->spec.role == DMC__ROLE_INVERSE, .weight = 1};
    return dmc__regress_open(&p->regress);
}

static dmc_status check_masks(const dmc__model *m, const dmc__pretrain_config *c)
{
    if (c->mask_share + c->window_share > 1)
        return dmc__fail(DMC_ERANGE, "dmc_trainer_create: mask_share + window_share = %g + %g, must be at most 1", c->mask_share,
                         c->window_share);
    if (c->mask_rows >= m->spec.net.horizon && c->mask_rows > 0)
        return dmc__fail(DMC_ERANGE, "dmc_trainer_create: mask_rows = %d, must be 0..%d (the model's horizon - 1)", c->mask_rows,
                         m->spec.net.horizon - 1);
    return DMC_OK;
}

dmc_status dmc__pretrain_create(dmc__context *ctx, const dmc__model *m, const dmc__trajectories *data,
                                const dmc__pretrain_config *c, dmc__pretrain **out)
{
    dmc__context_ref ref;
    dmc__pretrain *p;
    *out = NULL;
    DMC_TRY(dmc__model_fits(m, data, "dmc_trainer_create"));
    DMC_TRY(check_masks(m, c));
    DMC_TRY(ctx ? dmc__context_acquire(ctx, &ref) : dmc__context_share(&m->ref, &ref));
    dmc_status status = DMC_NEW(&ref.ctx->alloc, 1, &p);
    if (status < 0) {
        dmc__context_release(&ref);
        return status;
    }
    p->ref = ref;
    p->model = m;
    p->config = *c;
    p->view = dmc__model_view(m, data);
    p->elems = (size_t)m->spec.net.horizon * (size_t)m->spec.net.cols;
    p->cond = (size_t)m->spec.net.cond;
    status = make_parts(p);
    if (status < 0) dmc__pretrain_destroy(p);
    else *out = p;
    return status;
}

void dmc__pretrain_destroy(dmc__pretrain *p)
{
    if (!p) return;
    dmc__context_ref ref = p->ref;
    const dmc__allocator *a = &ref.ctx->alloc;
    const size_t n = (size_t)p->config.batch;
    dmc__regress_close(&p->regress);
    dmc__denoise_destroy(p->denoise);
    dmc__chain_destroy(p->chain);
    dmc__learner_destroy(p->learner);
    DMC_FREE(a, p->z, n * p->elems);
    DMC_FREE(a, p->conds, n * p->cond);
    DMC_FREE(a, p->mask, n * p->elems);
    DMC_FREE(a, p->weight, n * p->elems);
    DMC_FREE(a, p->err, n);
    DMC_FREE(a, p->target, n * outputs(p));
    DMC_FREE(a, p->returns, return_rows(p));
    DMC_FREE(a, p->time, n);
    DMC_FREE(a, p, 1);
    dmc__context_release(&ref);
}

/* Diffuser weighs the first action of a plan (the one executed) ten times, Decision Diffuser the state it leads to. */
static void weigh_first_action(const dmc__pretrain *p, float *weight)
{
    const int32_t first = p->view.obs->n, n = p->view.states_only ? p->view.obs->n : p->view.act->n;
    if (!p->view.planner) return;
    for (int32_t j = first; j < first + n; j++) weight[j] *= (float)p->config.action_weight;
}

/* Which windows, masks and times make up a batch. */
typedef struct draw {
    int32_t held;
    uint64_t seed, step;
} draw;

/* One draw, number 1, says which mask it is. */
static void mask_window(const dmc__pretrain *p, const dmc__stream *s, float *mask, float *weight)
{
    const dmc__pretrain_config *c = &p->config;
    const double u = dmc__rng_uniform(s, 1);
    if (u < c->mask_share) dmc__view_causal_mask(&p->view, c->mask_rows, s, mask, weight);
    else if (u < c->mask_share + c->window_share) dmc__view_window_mask(&p->view, s, mask, weight);
}

/* A policy knows nothing of z unless masks make it so. */
static int32_t has_masks(const dmc__pretrain *p)
{
    return p->view.planner || p->config.mask_share > 0 || p->config.window_share > 0;
}

/* Numbers 0 to 3 of the stream are the masks' (view.h). */
enum { DROPOUT_NUMBER = 16 };

/* While learning, a share of the samples sees zeros: what guidance takes for no condition. */
static void leave_out_condition(const dmc__pretrain *p, const draw *d, size_t i)
{
    const double share = p->model->spec.cond_dropout;
    const dmc__stream s = {d->seed, DMC_STREAM_MASK, d->step, i};
    if (d->held || !(share > 0) || dmc__rng_uniform(&s, DROPOUT_NUMBER) >= share) return;
    memset(p->conds + i * p->cond, 0, p->cond * sizeof *p->conds);
}

/* Window i of the draw: what the network is to learn from. */
static void stage_window(dmc__pretrain *p, const draw *d, size_t i)
{
    const dmc__stream pick = {d->seed, DMC_STREAM_BATCH, d->step, i}, mask = {d->seed, DMC_STREAM_MASK, d->step, i};
    const dmc__position at = dmc__trajectories_draw(p->view.data, d->held != 0, &pick);
    float *z = p->z + i * p->elems, *m = p->mask + i * p->elems, *w = p->weight + i * p->elems;
    if (p->model->spec.role == DMC__ROLE_INVERSE) {
        dmc__view_transition(&p->view, at, z, p->target + i * outputs(p));
        return;
    }
    dmc__view_sample(&p->view, at, z, p->conds + i * p->cond, m, w);
    weigh_first_action(p, w);
    mask_window(p, &mask, m, w);
    leave_out_condition(p, d, i);
    if (p->returns) p->target[i] = p->returns[p->view.data->start[at.episode] + (size_t)at.row];
}

/* What the network is to learn from next, on the host. */
static dmc_status stage_batch(dmc__pretrain *p, const draw *d)
{
    for (int32_t i = 0; i < p->config.batch; i++) {
        const dmc__stream time = {d->seed, DMC_STREAM_TIME, d->step, (size_t)i};
        stage_window(p, d, (size_t)i);
        p->time[i] = dmc__process_draw_time(&p->model->process, &time);
    }
    const float *const known = has_masks(p) ? p->mask : NULL, *const weight = outputs(p) ? NULL : p->weight;
    DMC_TRY(dmc__denoise_stage(p->denoise, p->z, p->cond ? p->conds : NULL, NULL, known, weight));
    DMC_TRY(dmc__denoise_stage_target(p->denoise, p->target));
    return dmc__denoise_stage_times(p->denoise, p->time);
}

static dmc_status update(dmc__pretrain *p, dmc__pretrain_metrics *m)
{
    dmc__adamw_config c = dmc__adamw_defaults();
    double loss;
    c.lr = m->lr = dmc__lr_cosine(p->config.lr, p->step, p->config.warmup, p->config.steps);
    c.weight_decay = p->config.weight_decay;
    c.max_norm = p->config.grad_clip;
    c.ema = p->config.ema;
    dmc__chain_bind(p->chain, dmc__learner_weights(p->learner), dmc__learner_grads(p->learner));
    DMC_TRY(stage_batch(p, &(draw){.seed = p->config.seed, .step = (uint64_t)p->step}));
    const dmc_status status = dmc__regress_update(&p->regress, (uint64_t)p->step, &c, &loss, &m->grad_norm);
    if (status < 0) return dmc__fail_in(status, "dmc_trainer_step");
    p->step++;
    m->loss += loss;
    return DMC_OK;
}

dmc_status dmc__pretrain_step(dmc__pretrain *p, int32_t n, dmc__pretrain_metrics *m)
{
    const int64_t began = dmc__clock_ns();
    const int64_t first = p->step;
    dmc_status status = DMC_OK;
    *m = (dmc__pretrain_metrics){0};
    for (int32_t i = 0; i < n && status >= 0; i++) status = update(p, m);
    m->step = p->step;
    if (p->step > first) m->loss /= (double)(p->step - first);
    m->seconds = (double)(dmc__clock_ns() - began) * 1e-9;
    return status;
}

/* The mean loss of a batch of held out windows, added. */
static dmc_status add_loss(dmc__pretrain *p, const draw *d, double *loss)
{
    const dmc__noise_key key = {.seed = d->seed, .purpose = DMC_STREAM_BANK, .step = d->step};
    DMC_TRY(stage_batch(p, d));
    DMC_TRY(dmc__denoise_send(p->denoise, p->regress.clean ? NULL : &key));
    DMC_TRY(dmc__denoise_error(p->denoise, p->err));
    for (int32_t i = 0; i < p->config.batch; i++) *loss += p->err[i] / (double)p->config.batch / EVAL_BATCHES;
    return DMC_OK;
}

dmc_status dmc__pretrain_evaluate(dmc__pretrain *p, double *loss)
{
    *loss = 0;
    if (p->view.data->n_held == 0)
        return dmc__fail(DMC_ESTATE, "dmc_trainer_evaluate: the dataset holds no episodes out (held_out = 0)");
    dmc__chain_bind(p->chain, dmc__learner_ema(p->learner), dmc__learner_grads(p->learner));
    dmc__chain_set_dropout(p->chain, 0, 0, 0);
    for (uint64_t b = 0; b < EVAL_BATCHES; b++)
        DMC_TRY(add_loss(p, &(draw){1, p->config.seed, (UINT64_C(1) << 39) + b}, loss));
    return DMC_OK;
}

dmc_status dmc__pretrain_publish(const dmc__pretrain *p, dmc__model **out)
{
    DMC_TRY(dmc__dev_sync(p->ref.ctx->device)); /* the model's device may be another queue */
    return dmc__model_derive(p->model, dmc__learner_ema(p->learner), NULL, NULL, out);
}

dmc_status dmc__pretrain_save(const dmc__pretrain *p, const char *path)
{
    return dmc__checkpoint_save(&p->ref.ctx->alloc, p->learner, p->model->net->graph, p->step, path);
}

dmc_status dmc__pretrain_resume(dmc__pretrain *p, const char *path)
{
    return dmc__checkpoint_load(&p->ref.ctx->alloc, p->learner, p->model->net->graph, &p->step, path);
}
