/* align.c — making an aligner, and the small things every method asks it for. */
#include "cascade.h"
#include "metrics.h"
#include "pause.h"

#include <math.h>
#include <string.h>

static dmc_status check_config(const dmc__align_config *c)
{
    if (c->batch % c->candidates != 0)
        return dmc__fail(DMC_EINVAL, "dmc_aligner_create: batch = %d is not a multiple of candidates = %d", c->batch,
                         c->candidates);
    return DMC_OK;
}

static dmc_status make_learner(dmc__align *a)
{
    const dmc__align_config *c = &a->config;
    dmc__lora *lora = NULL;
    if (c->lora_rank > 0)
        DMC_TRY(dmc__lora_create(a->net->graph, a->device, c->lora_rank, c->lora_alpha, c->lora_targets, c->seed, &lora));
    return dmc__learner_create(a->net->graph, a->device, a->foundation, lora, 0, &a->learner);
}

static dmc_status make_buffers(dmc__align *a)
{
    const size_t n = (size_t)a->config.batch, e = dmc__align_elems(a);
    DMC_TRY(DMC_NEW(a->alloc, n * (size_t)dmc__view_cond(&a->view), &a->cond));
    if (a->view.planner) {
        DMC_TRY(DMC_NEW(a->alloc, n * e, &a->mask));
        DMC_TRY(DMC_NEW(a->alloc, n * e, &a->known));
    }
    DMC_TRY(DMC_NEW(a->alloc, n, &a->rewards));
    DMC_TRY(DMC_NEW(a->alloc, n, &a->gated));
    DMC_TRY(DMC_NEW(a->alloc, 2 * n, &a->scores));
    return DMC_NEW(a->alloc, n * e, &a->host);
}

static dmc_status make_rollout(dmc__align *a)
{
    dmc__table table;
    DMC_TRY(dmc__align_table(a, 0, &table));
    const dmc__rollout_config c = {.batch = a->config.batch, .group = 1, .keep_chain = 1,
                                   .noised_known = a->config.noised_known};
    const dmc_status status = dmc__rollout_create(a->net, a->device, &table, &c, &a->sample);
    dmc__table_free(&table);
    return status;
}

dmc_status dmc__align_create(const dmc__allocator *alloc, dmc__device *d, const dmc__log *log, const dmc__net *net,
                             const dmc__process *p, const void *foundation, const dmc__view *view,
                             const dmc__align_config *c, const dmc__align_hooks *hooks, dmc__align **out)
{
    dmc_status status;
    dmc__align *a;
    *out = NULL;
    DMC_TRY(check_config(c));
    DMC_TRY(DMC_NEW(alloc, 1, &a));
    a->alloc = alloc;
    a->device = d;
    a->log = log;
    a->net = net;
    a->process = p;
    a->foundation = foundation;
    a->view = *view;
    a->config = *c;
    a->hooks = *hooks;
    a->lr_scale = 1;
    a->control = (dmc__control){.stages = 1, .passes = 1};
    DMC_TRY_GOTO(status, dmc__str_dup(alloc, c->lora_targets ? c->lora_targets : "", &a->lora_targets), fail);
    a->config.lora_targets = a->lora_targets;
    DMC_TRY_GOTO(status, make_learner(a), fail);
    DMC_TRY_GOTO(status, make_buffers(a), fail);
    DMC_TRY_GOTO(status, make_rollout(a), fail);
    *out = a;
    return DMC_OK;
fail:
    dmc__align_destroy(a);
    return status;
}

static void forget_pause(dmc__align *a)
{
    if (a->pause) dmc__pause_free(a->alloc, a->pause);
    DMC_FREE(a->alloc, a->pause, 1);
    a->pause = NULL;
    a->resuming = 0;
}

void dmc__align_set_pause(dmc__align *a, struct dmc__pause *p)
{
    forget_pause(a);
    a->pause = p;
    a->resuming = p->method[0] != '\0';
}

void dmc__align_destroy(dmc__align *a)
{
    if (!a) return;
    const size_t n = (size_t)a->config.batch, e = dmc__align_elems(a);
    dmc__align_drop_reward(a);
    dmc__align_forget_scores(a);
    DMC_FREE(a->alloc, a->rows, a->room);
    dmc__metrics_destroy(a->metrics);
    forget_pause(a);
    dmc__cascade_destroy(a->alloc, a->cascade);
    dmc__rollout_destroy(a->sample);
    if (a->learner) DMC_FREE(a->alloc, a->entry, dmc__learner_elems(a->learner));
    dmc__learner_destroy(a->learner);
    DMC_FREE(a->alloc, a->cond, n * (size_t)dmc__view_cond(&a->view));
    DMC_FREE(a->alloc, a->mask, n * e);
    DMC_FREE(a->alloc, a->known, n * e);
    DMC_FREE(a->alloc, a->host, n * e);
    DMC_FREE(a->alloc, a->rewards, n);
    DMC_FREE(a->alloc, a->gated, n);
    DMC_FREE(a->alloc, a->scores, 2 * n);
    dmc__str_free(a->alloc, a->lora_targets);
    DMC_FREE(a->alloc, a, 1);
}

size_t dmc__align_elems(const dmc__align *a)
{
    return dmc__view_elems(&a->view);
}

size_t dmc__align_dims(const dmc__align *a)
{
    return dmc__align_elems(a) - (a->view.planner ? (size_t)a->view.obs->n : 0);
}

uint64_t dmc__align_draw(dmc__align *a)
{
    return ++a->draws;
}

dmc__adamw_config dmc__align_adamw(const dmc__align *a)
{
    dmc__adamw_config c = dmc__adamw_defaults();
    c.lr = a->config.lr * a->lr_scale;
    c.weight_decay = a->config.weight_decay;
    c.max_norm = a->config.grad_clip;
    return c;
}

dmc_status dmc__align_need_reward(dmc__align *a)
{
    if (!a->resuming) forget_pause(a);
    a->entry_draws = a->draws;
    a->parts = 0;
    if (!a->entry) DMC_TRY(DMC_NEW(a->alloc, dmc__learner_elems(a->learner), &a->entry));
    DMC_TRY(dmc__learner_get(a->learner, a->entry));
    if (!a->judge.self) DMC_TRY(a->hooks.make_reward(a->hooks.user, a->config.batch, 0, &a->judge));
    return a->held_out.self || !a->hooks.make_judge ? DMC_OK
                                                     : a->hooks.make_judge(a->hooks.user, a->config.batch, &a->held_out);
}

void dmc__align_drop_reward(dmc__align *a)
{
    dmc__metrics_drop_rewards(a->metrics);
    if (a->judge.self) a->hooks.free_reward(a->hooks.user, &a->judge);
    if (a->held_out.self) a->hooks.free_reward(a->hooks.user, &a->held_out);
    memset(&a->judge, 0, sizeof a->judge);
    memset(&a->held_out, 0, sizeof a->held_out);
    if (!a->hooks.score && !a->hooks.scores) dmc__align_forget_scores(a);
}

/* With a learner as made in the place of the present one, so that whoever scores need not know. */
dmc_status dmc__align_foundation_scores(dmc__align *a, dmc__scores *s)
{
    dmc__learner *const present = a->learner;
    struct dmc__cascade *const cascade = a->cascade;
    a->learner = NULL;
    dmc_status status = make_learner(a);
    a->cascade = NULL;
    if (status >= 0) status = dmc__align_scores(a, s);
    dmc__learner_destroy(a->learner);
    a->learner = present;
    a->cascade = cascade;
    return status;
}

dmc_status dmc__align_forget(dmc__align *a)
{
    dmc__learner *old = a->learner;
    const dmc_status status = make_learner(a);
    if (status < 0) {
        a->learner = old;
        return status;
    }
    dmc__learner_destroy(old);
    dmc__cascade_destroy(a->alloc, a->cascade);
    a->cascade = NULL;
    a->moved = 0;
    forget_pause(a);
    return DMC_OK;
}

int32_t dmc__align_steps(const dmc__align *a)
{
    return a->config.steps > 0 ? a->config.steps : a->process->steps;
}

static int32_t is_ode(int32_t sampler)
{
    return sampler == DMC__SAMPLER_DDIM || sampler == DMC__SAMPLER_EULER || sampler == DMC__SAMPLER_DPM ||
           sampler == DMC__SAMPLER_DPMPP;
}

/* What auto deploys, but Euler for Heun, whose rows hand slopes on. */
static int32_t sampler_of(const dmc__align *a)
{
    const int32_t kind = a->process->config.kind;
    if (a->config.sampler != DMC__SAMPLER_AUTO) return a->config.sampler;
    return kind == DMC__PROCESS_EDM || kind == DMC__PROCESS_FLOW ? DMC__SAMPLER_EULER : DMC__SAMPLER_DDPM;
}

dmc_status dmc__align_table(const dmc__align *a, double std_floor, dmc__table *out)
{
    dmc__table_config c = dmc__table_defaults(a->process);
    c.sampler = sampler_of(a);
    if (std_floor > 0 && is_ode(c.sampler)) c.sampler = DMC__SAMPLER_DDPM;
    c.steps = dmc__align_steps(a);
    c.std_floor = std_floor;
    DMC_TRY(dmc__table_create(a->alloc, a->process, &c, out));
    if (!out->carries) return DMC_OK;
    dmc__table_free(out);
    return dmc__fail(DMC_EINVAL, "dmc_aligner_create: sampler = heun, dpmpp_2m or sde_dpmpp_2m hands slopes on from step to step, "
                     "which no gradient follows; take euler, dpmpp or sde_dpmpp");
}

/* Fill the staging rows [first, first+repeat) with one condition: observations somebody gave, or those of the data at p. */
static void stage_condition(dmc__align *a, const float *given, dmc__position p, size_t first, int32_t repeat)
{
    const size_t e = dmc__align_elems(a), c = (size_t)dmc__view_cond(&a->view);
    for (size_t i = first; i < first + (size_t)repeat; i++) {
        float *const cond = a->cond + i * c, *const mask = a->mask ? a->mask + i * e : NULL;
        float *const known = a->known ? a->known + i * e : NULL;
        if (!given) dmc__view_condition(&a->view, p, cond, mask, known);
        else dmc__view_observe(&a->view, given, cond, mask, known);
        if (given && a->view.returns) cond[0] = cond[1] = 1;
    }
}

dmc_status dmc__align_give_condition(const dmc__align *a, dmc__rollout *r)
{
    if (a->view.planner) DMC_TRY(dmc__rollout_set_known(r, a->mask, a->known));
    return a->view.planner && !a->view.returns ? DMC_OK : dmc__rollout_set_cond(r, a->cond);
}

dmc_status dmc__align_condition(dmc__align *a, dmc__rollout *r, int32_t groups, int32_t repeat, uint64_t draw, int32_t held)
{
    /* In-painting is per sample; a condition is needed once if the roll-out spreads it over the group. */
    const int32_t copies = a->view.planner ? repeat : repeat / dmc__rollout_group(r);
    for (int32_t g = 0; g < groups; g++) {
        const dmc__stream s = {a->config.seed, DMC_STREAM_BATCH, draw, (uint64_t)g};
        const float *const given = a->draw_condition && !held ? a->draw_condition(a->draw_user, &s) : NULL;
        stage_condition(a, given, dmc__trajectories_draw(a->view.data, held != 0, &s), (size_t)g * (size_t)copies, copies);
    }
    return dmc__align_give_condition(a, r);
}

dmc_status dmc__align_denoise(const dmc__align *a, dmc__chain *c, const dmc__net *net, int32_t batch, dmc__denoise **out)
{
    DMC_TRY(dmc__denoise_create(c, net, a->device, a->process, batch, out));
    dmc__denoise_noise_known(*out, a->config.noised_known);
    return DMC_OK;
}

dmc_status dmc__align_judge(const dmc__align *a, int32_t batch, dmc__likelihood **out)
{
    const dmc__likelihood_config c = {.method = DMC__LIKELIHOOD_BOUND, .seed = a->config.seed,
                                      .noised_known = a->config.noised_known};
    DMC_TRY(dmc__likelihood_create(a->net, a->device, a->process, batch, &c, out));
    dmc__likelihood_bind(*out, a->foundation);
    return DMC_OK;
}

dmc_status dmc__align_snapshot(const dmc__align *a, void **weights)
{
    const size_t n = dmc__graph_param_elems(a->net->graph);
    DMC_TRY(dmc__dev_alloc(a->device, n, weights));
    const dmc_status status = dmc__dev_copy(a->device, *weights, dmc__learner_weights(a->learner), n);
    if (status < 0) {
        dmc__dev_free(a->device, *weights, n);
        *weights = NULL;
    }
    return status;
}

/* A draw of its own, beside those of the bank (score.c). */
static const uint64_t scale_draw = UINT64_C(1) << 27;

/* The scale must not move while a method runs, so it is taken on fixed draws of the foundation. */
dmc_status dmc__align_reward_scale(dmc__align *a, double *mean, double *std)
{
    const int32_t n = a->config.batch;
    float *r;
    DMC_TRY(DMC_NEW(a->alloc, n, &r));
    dmc_status status = dmc__align_condition(a, a->sample, n, 1, scale_draw, 0);
    dmc__rollout_bind(a->sample, a->foundation, NULL, dmc__rollout_rows(a->sample));
    if (status >= 0) status = dmc__rollout_run(a->sample, a->config.seed, scale_draw, 0, 1);
    if (status >= 0)
        status = a->judge.eval(a->judge.self, dmc__rollout_latent(a->sample, dmc__rollout_rows(a->sample)),
                               dmc__rollout_cond(a->sample), 0, r, NULL);
    double sum = 0, square = 0;
    for (int32_t i = 0; status >= 0 && i < n; i++) {
        sum += r[i];
        square += (double)r[i] * r[i];
    }
    DMC_FREE(a->alloc, r, n);
    *mean = sum / n;
    *std = sqrt(fmax(square / n - *mean * *mean, 0));
    if (*std < 1e-8) *std = 1; /* a constant reward has no scale; the gradient is zero anyway */
    return status;
}
