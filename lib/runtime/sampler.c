/* sampler.c — one control step: push the observation, denoise the candidates, choose, check, clamp. */
#include "sampler.h"

#include <math.h>
#include <string.h>

#include "../base/clock.h"
#include "../nn/params.h"

struct dmc__sampler {
    dmc__context_ref ref;
    const dmc__model *model;
    dmc__view view;
    dmc__sampler_config config;
    dmc__net *net, *cascade_net;     /* own ones: the model they are like may go after a rebind */
    dmc__rollout *rollout, *cascade; /* cascade NULL unless the model has one and passes > 0 */
    void *half, *cascade_half;       /* their weights in 16 bits; NULL with weights = float32 */
    dmc__reward judge;               /* judge.self NULL without a critic */
    size_t elems, cond, total;       /* of one sample, one condition; batch*candidates */
    uint64_t call;
    int32_t seen;                    /* the history holds at least one observation */
    int32_t have_good;
    dmc__sampler_facts facts;
    float *history;                  /* (batch, n_obs, S) raw             */
    uint8_t *frames;                 /* (batch, cameras, n_obs, frame)    */
    uint8_t *image;                  /* (cameras, batch, frame): of the next call */
    int32_t fresh[DMC__MAX_CAMERAS]; /* the camera's image came since the last call */
    float *conds;                    /* (batch, cond) normalised          */
    float *mask, *known;             /* (total, elems) normalised         */
    float *z, *previous;             /* (total, elems) normalised         */
    float *q, *q_previous;           /* (total)                           */
    float *weight;                   /* (candidates) softmax              */
    float *chosen;                   /* (batch, elems) raw                */
    float *good;                     /* (batch, horizon, A) last good     */
    size_t host_bytes;               /* of these */
};

/* ---- create ----------------------------------------------------------------------------------------- */

/* Bytes of one frame of every camera and condition. */
static size_t frame_bytes(const dmc__sampler *s)
{
    return (size_t)s->config.batch * (size_t)s->view.cameras * (size_t)s->view.frame;
}

static dmc_status make_host(dmc__sampler *s)
{
    const dmc__allocator *a = &s->ref.ctx->alloc;
    const size_t batch = (size_t)s->config.batch, obs = (size_t)s->view.obs->n;
    const size_t out = batch * (size_t)s->view.horizon * (size_t)s->view.act->n;
    struct { float **p; size_t n; } const want[] = {
        {&s->history, batch * (size_t)s->view.n_obs * obs}, {&s->conds, batch * s->cond},
        {&s->mask, s->view.planner ? s->total * s->elems : 0}, {&s->known, s->view.planner ? s->total * s->elems : 0},
        {&s->z, s->total * s->elems}, {&s->previous, s->cascade ? s->total * s->elems : 0}, {&s->q, s->total},
        {&s->q_previous, s->total}, {&s->weight, (size_t)s->config.candidates}, {&s->chosen, batch * s->elems},
        {&s->good, out}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        DMC_TRY(DMC_NEW(a, want[i].n, want[i].p));
        s->host_bytes += want[i].n * sizeof(float);
    }
    DMC_TRY(DMC_NEW(a, frame_bytes(s) * (size_t)s->view.n_obs, &s->frames));
    DMC_TRY(DMC_NEW(a, frame_bytes(s), &s->image));
    s->host_bytes += frame_bytes(s) * ((size_t)s->view.n_obs + 1);
    return DMC_OK;
}

static void free_host(dmc__sampler *s)
{
    const dmc__allocator *a = &s->ref.ctx->alloc;
    const size_t batch = (size_t)s->config.batch;
    DMC_FREE(a, s->history, batch * (size_t)s->view.n_obs * (size_t)s->view.obs->n);
    DMC_FREE(a, s->frames, frame_bytes(s) * (size_t)s->view.n_obs);
    DMC_FREE(a, s->image, frame_bytes(s));
    DMC_FREE(a, s->conds, batch * s->cond);
    DMC_FREE(a, s->mask, s->total * s->elems);
    DMC_FREE(a, s->known, s->total * s->elems);
    DMC_FREE(a, s->z, s->total * s->elems);
    DMC_FREE(a, s->previous, s->total * s->elems);
    DMC_FREE(a, s->q, s->total);
    DMC_FREE(a, s->q_previous, s->total);
    DMC_FREE(a, s->weight, (size_t)s->config.candidates);
    DMC_FREE(a, s->chosen, batch * s->elems);
    DMC_FREE(a, s->good, batch * (size_t)s->view.horizon * (size_t)s->view.act->n);
}

static size_t half_elems(const dmc__sampler *s, const dmc__net *net)
{
    return s->config.weights && net ? dmc__dev_half(s->ref.ctx->device, dmc__graph_param_elems(net->graph)) : 0;
}

/* A network like `like`, room for its weights in 16 bits, and a roll-out of it. */
static dmc_status make_rollout(dmc__sampler *s, const dmc__net *like, const dmc__table *table, dmc__net **net, void **half,
                               dmc__rollout **out)
{
    DMC_TRY(dmc__net_stretch(&s->ref.ctx->alloc, like, s->view.horizon, net));
    DMC_TRY(dmc__dev_alloc(s->ref.ctx->device, half_elems(s, *net), half));
    return dmc__rollout_create(*net, s->ref.ctx->device, table, (int32_t)s->total, s->config.candidates, 0, out);
}

static dmc_status make_rollouts(dmc__sampler *s)
{
    const dmc__sampler_config *c = &s->config;
    const dmc__model *m = s->model;
    const dmc__table_config tc = {.sampler = c->sampler, .grid = c->grid, .eta = c->eta,
                                  .steps = c->steps ? c->steps : m->process.steps};
    dmc__table table;
    DMC_TRY(dmc__table_create(&s->ref.ctx->alloc, &m->process, &tc, &table));
    dmc_status status = make_rollout(s, m->net, &table, &s->net, &s->half, &s->rollout);
    if (status >= 0 && m->cascade && c->cascade_passes > 0)
        status = make_rollout(s, m->cascade, &table, &s->cascade_net, &s->cascade_half, &s->cascade);
    dmc__table_free(&table);
    return status;
}

static void use_model(dmc__sampler *s, const dmc__model *m)
{
    s->model = m;
    s->view = dmc__model_view(m, NULL);
    if (s->config.horizon > 0) s->view.horizon = s->config.horizon;
}

/* Weights for all rows of a roll-out; what is wanted in 16 bits is converted here, so that a call only reads. */
static dmc_status bind_rollout(const dmc__sampler *s, dmc__rollout *r, const dmc__net *net, const void *weights, void *half)
{
    dmc__rollout_bind(r, weights, NULL, dmc__rollout_rows(r));
    if (!half) return DMC_OK;
    DMC_TRY(dmc__params_narrow(s->ref.ctx->device, weights, dmc__graph_param_elems(net->graph), s->config.weights, half));
    dmc__rollout_bind_half(r, half, s->config.weights);
    return DMC_OK;
}

static dmc_status bind_weights(dmc__sampler *s)
{
    DMC_TRY(bind_rollout(s, s->rollout, s->net, s->model->weights, s->half));
    if (!s->cascade) return DMC_OK;
    return bind_rollout(s, s->cascade, s->cascade_net, s->model->cascade_weights, s->cascade_half);
}

static dmc_status check_config(const dmc__sampler_config *c, const dmc__model *m, const dmc__iql *q)
{
    DMC_TRY(dmc__model_draws(m, "dmc_sampler_create"));
    if (c->steps > m->process.steps)
        return dmc__fail(DMC_ERANGE, "dmc_sampler_create: steps = %d, must be 0..%d (the model's train_steps)", c->steps,
                         m->process.steps);
    if (c->select >= DMC__SELECT_GREEDY && !q)
        return dmc__fail(DMC_EINVAL, "dmc_sampler_create: select = %s needs a critic, critic is NULL",
                         c->select == DMC__SELECT_GREEDY ? "greedy" : "softmax");
    if ((int64_t)c->batch * c->candidates > 1 << 20)
        return dmc__fail(DMC_ERANGE, "dmc_sampler_create: batch * candidates = %d * %d, must be at most %d", c->batch,
                         c->candidates, 1 << 20);
    return DMC_OK;
}

static dmc_status make_judge(dmc__sampler *s, const dmc__iql *q, const dmc__critic_map *map)
{
    dmc__critic_map m = *map;
    m.horizon = s->view.horizon;
    return dmc__reward_critic_create(q, s->ref.ctx->device, &m, (int32_t)s->total, 0, 0, &s->judge);
}

static dmc_status make_parts(dmc__sampler *s, const dmc__iql *q, const dmc__critic_map *map)
{
    if (s->ref.ctx->device->backend != s->model->ref.ctx->device->backend)
        return dmc__fail(DMC_EINVAL, "dmc_sampler_create: the context's device is %s, the model lives on %s", s->ref.ctx->name,
                         s->model->ref.ctx->name);
    DMC_TRY(make_rollouts(s));
    DMC_TRY(make_host(s));
    if (q) DMC_TRY(make_judge(s, q, map));
    return bind_weights(s);
}

/* First calls of some instructions and pages are slow: take them here, on a made-up observation. */
static dmc_status warm_up(dmc__sampler *s)
{
    const size_t n = (size_t)s->config.batch * (size_t)s->view.obs->n;
    const size_t out = (size_t)s->config.batch * (size_t)s->view.horizon * (size_t)s->view.act->n;
    const dmc__allocator *a = &s->ref.ctx->alloc;
    float *obs, *act;
    DMC_TRY(DMC_NEW(a, n, &obs));
    dmc_status status = DMC_NEW(a, out, &act);
    for (size_t i = 0; i < n; i++) obs[i] = s->view.obs->shift[i % (size_t)s->view.obs->n];
    for (int32_t i = 0; i < s->view.cameras; i++) s->fresh[i] = 1; /* black */
    if (status >= 0) status = dmc__sampler_sample(s, obs, act);
    DMC_FREE(a, act, out);
    DMC_FREE(a, obs, n);
    dmc__sampler_reset(s, s->config.seed);
    return status < 0 ? status : DMC_OK; /* clamped actions are no news here */
}

dmc_status dmc__sampler_create(dmc__context *ctx, const dmc__model *m, const dmc__iql *q, const dmc__critic_map *q_map,
                               const dmc__sampler_config *c, dmc__sampler **out)
{
    dmc__context_ref ref;
    dmc__sampler *s;
    *out = NULL;
    DMC_TRY(check_config(c, m, q));
    DMC_TRY(ctx ? dmc__context_acquire(ctx, &ref) : dmc__context_share(&m->ref, &ref));
    dmc_status status = DMC_NEW(&ref.ctx->alloc, 1, &s);
    if (status < 0) {
        dmc__context_release(&ref);
        return status;
    }
    s->ref = ref;
    s->config = *c;
    use_model(s, m);
    s->elems = dmc__view_elems(&s->view);
    s->cond = (size_t)dmc__view_cond(&s->view);
    s->total = (size_t)c->batch * (size_t)c->candidates;
    status = make_parts(s, q, q_map);
    if (status >= 0) status = warm_up(s);
    if (status < 0) dmc__sampler_destroy(s);
    else *out = s;
    return status;
}

void dmc__sampler_destroy(dmc__sampler *s)
{
    if (!s) return;
    dmc__context_ref ref = s->ref;
    if (s->judge.self) dmc__reward_critic_free(&s->judge);
    dmc__rollout_destroy(s->cascade);
    dmc__rollout_destroy(s->rollout);
    dmc__dev_free(ref.ctx->device, s->cascade_half, half_elems(s, s->cascade_net));
    dmc__dev_free(ref.ctx->device, s->half, half_elems(s, s->net));
    dmc__net_destroy(s->cascade_net);
    dmc__net_destroy(s->net);
    free_host(s);
    DMC_FREE(&ref.ctx->alloc, s, 1);
    dmc__context_release(&ref);
}

/* ---- one call --------------------------------------------------------------------------------------- */

static int32_t all_finite(const float *x, size_t n)
{
    float zero = 0; /* x*0 is 0 for finite x and NaN otherwise: one pass, no branch */
    for (size_t i = 0; i < n; i++) zero += x[i] * 0;
    return zero == 0;
}

/* Shift the newest observation in; the first one fills the whole window. */
static void push_observations(dmc__sampler *s, const float *obs)
{
    const size_t w = (size_t)s->view.obs->n, rows = (size_t)s->view.n_obs;
    for (size_t b = 0; b < (size_t)s->config.batch; b++) {
        float *h = s->history + b * rows * w;
        if (s->seen) dmc__view_push(&s->view, obs + b * w, h);
        for (size_t r = 0; !s->seen && r < rows; r++) memcpy(h + r * w, obs + b * w, w * sizeof *h);
    }
    s->seen = 1;
}

/* The same for the images of every camera. */
static void push_images(dmc__sampler *s)
{
    const size_t frame = (size_t)s->view.frame, rows = (size_t)s->view.n_obs, cameras = (size_t)s->view.cameras;
    const size_t batch = (size_t)s->config.batch;
    for (size_t i = 0; i < batch * cameras; i++) {
        uint8_t *h = s->frames + i * rows * frame;
        const uint8_t *new = s->image + (i % cameras * batch + i / cameras) * frame;
        memmove(h, h + frame, (rows - 1) * frame);
        for (size_t r = s->seen ? rows - 1 : 0; r < rows; r++) memcpy(h + r * frame, new, frame);
    }
}

/* An old image would be a lie about where things are. */
static dmc_status check_images(const dmc__sampler *s)
{
    for (int32_t i = 0; i < s->view.cameras; i++)
        if (!s->fresh[i])
            return dmc__fail(DMC_ESTATE, "dmc_sampler_sample: no image of camera \"%s\" came since the last call; the last good "
                             "actions are held", s->net->config.camera[i]);
    return DMC_OK;
}

static dmc_status set_conditions(dmc__sampler *s)
{
    const size_t raw = (size_t)s->view.n_obs * (size_t)s->view.obs->n;
    const size_t frames = (size_t)s->view.cameras * (size_t)s->view.n_obs * (size_t)s->view.frame;
    for (size_t i = 0; i < s->total && s->view.planner; i++)
        dmc__view_observe(&s->view, s->history + i / (size_t)s->config.candidates * raw, NULL, s->mask + i * s->elems,
                          s->known + i * s->elems);
    for (size_t b = 0; b < (size_t)s->config.batch && !s->view.planner; b++)
        dmc__view_observe(&s->view, s->history + b * raw, s->conds + b * s->cond, NULL, NULL);
    for (size_t b = 0; b < (size_t)s->config.batch && s->view.cameras; b++)
        dmc__view_see(&s->view, s->frames + b * frames, s->conds + b * s->cond);
    for (int32_t j = 0; j < (s->cascade ? 2 : 1); j++) {
        dmc__rollout *r = j ? s->cascade : s->rollout;
        DMC_TRY(s->view.planner ? dmc__rollout_set_known(r, s->mask, s->known) : dmc__rollout_set_cond(r, s->conds));
    }
    return DMC_OK;
}

static dmc_status judge(dmc__sampler *s, dmc__rollout *r, float *q)
{
    if (!s->judge.self) return DMC_OK;
    const void *z0 = dmc__rollout_latent(r, dmc__rollout_rows(r));
    return s->judge.eval(s->judge.self, z0, dmc__rollout_cond(r), 1, q, NULL);
}

static dmc_status fetch(dmc__sampler *s, dmc__rollout *r, float *z)
{
    return dmc__dev_out(s->ref.ctx->device, z, dmc__rollout_latent(r, dmc__rollout_rows(r)), s->total * s->elems);
}

/* One pass through the cascade; with a critic a sample is only replaced by one that is no worse. */
static dmc_status refine(dmc__sampler *s, int32_t pass)
{
    memcpy(s->previous, s->z, s->total * s->elems * sizeof(float));
    memcpy(s->q_previous, s->q, s->total * sizeof(float));
    DMC_TRY(dmc__rollout_set_extra(s->cascade, s->previous));
    DMC_TRY(dmc__rollout_run(s->cascade, s->config.seed, s->call, (uint64_t)pass * s->total, s->config.temperature));
    DMC_TRY(judge(s, s->cascade, s->q));
    DMC_TRY(fetch(s, s->cascade, s->z));
    for (size_t i = 0; s->judge.self && i < s->total; i++) {
        if (s->q[i] >= s->q_previous[i]) continue;
        memcpy(s->z + i * s->elems, s->previous + i * s->elems, s->elems * sizeof(float));
        s->q[i] = s->q_previous[i];
    }
    return DMC_OK;
}

static dmc_status denoise(dmc__sampler *s)
{
    DMC_TRY(dmc__rollout_run(s->rollout, s->config.seed, s->call, 0, s->config.temperature));
    DMC_TRY(judge(s, s->rollout, s->q));
    DMC_TRY(fetch(s, s->rollout, s->z));
    for (int32_t p = 1; s->cascade && p <= s->config.cascade_passes; p++) DMC_TRY(refine(s, p));
    return DMC_OK;
}

static int32_t best_candidate(const float *q, int32_t n)
{
    int32_t best = 0;
    for (int32_t i = 1; i < n; i++)
        if (q[i] > q[best]) best = i; /* ties: the first */
    return best;
}

/* Draw with weights exp(beta (Q - max Q)). */
static int32_t softmax_candidate(dmc__sampler *s, const float *q, int32_t b)
{
    const dmc__stream stream = {s->config.seed, DMC_STREAM_SELECT, s->call, (uint64_t)b};
    const float top = q[best_candidate(q, s->config.candidates)];
    double sum = 0;
    for (int32_t i = 0; i < s->config.candidates; i++) {
        s->weight[i] = (float)exp(s->config.beta * (q[i] - top));
        sum += s->weight[i];
    }
    double u = dmc__rng_uniform(&stream, 0) * sum;
    for (int32_t i = 0; i < s->config.candidates; i++) {
        u -= s->weight[i];
        if (u < 0) return i;
    }
    return s->config.candidates - 1;
}

/* Mean of the candidates z (candidates, elems). */
static void average_candidates(const dmc__sampler *s, const float *z, float *mean)
{
    for (size_t j = 0; j < s->elems; j++) {
        double sum = 0;
        for (int32_t i = 0; i < s->config.candidates; i++) sum += z[(size_t)i * s->elems + j];
        mean[j] = (float)(sum / s->config.candidates);
    }
}

/* Index of the chosen candidate of condition b, -1 for the mean of all. */
static int32_t pick_candidate(dmc__sampler *s, int32_t b)
{
    const float *q = s->q + (size_t)b * (size_t)s->config.candidates;
    switch (s->config.select) {
    case DMC__SELECT_GREEDY: return best_candidate(q, s->config.candidates);
    case DMC__SELECT_SOFTMAX: return softmax_candidate(s, q, b);
    case DMC__SELECT_EXPECTATION: return -1;
    default: return 0;
    }
}

static void choose(dmc__sampler *s)
{
    for (int32_t b = 0; b < s->config.batch; b++) {
        const size_t first = (size_t)b * (size_t)s->config.candidates;
        const float *z = s->z + first * s->elems;
        float *c = s->chosen + (size_t)b * s->elems;
        const int32_t pick = pick_candidate(s, b);
        if (pick < 0) average_candidates(s, z, c);
        else memcpy(c, z + (size_t)pick * s->elems, s->elems * sizeof *c);
        dmc__view_denormalise(&s->view, c, c);
        if (b > 0) continue;
        s->facts.chosen = pick;
        s->facts.q = s->judge.self && pick >= 0 ? s->q[first + (size_t)pick] : NAN;
    }
}

/* Actions of the chosen samples, held inside the limits the data showed. A sample at the limit comes back from its
 * normalised form a rounding error off, which is not worth a report. */
static void extract_actions(dmc__sampler *s, float *out)
{
    const int32_t skip = s->view.planner ? s->view.obs->n : 0, a = s->view.act->n, cols = dmc__view_cols(&s->view);
    s->facts.clamped = 0;
    for (int32_t b = 0; b < s->config.batch; b++)
        for (int32_t h = 0; h < s->view.horizon; h++)
            for (int32_t j = 0; j < a; j++) {
                const float x = s->chosen[(size_t)b * s->elems + (size_t)h * (size_t)cols + (size_t)(skip + j)];
                const float lo = s->view.act->lo[j], hi = s->view.act->hi[j], y = fminf(fmaxf(x, lo), hi);
                s->facts.clamped += fabsf(x - y) > 1e-6f * fmaxf(hi - lo, fabsf(y));
                *out++ = y;
            }
}

static size_t action_count(const dmc__sampler *s)
{
    return (size_t)s->config.batch * (size_t)s->view.horizon * (size_t)s->view.act->n;
}

/* What is safe to send when there is nothing new: the last good actions, or rest held inside the limits. */
static void hold(dmc__sampler *s, float *out)
{
    const size_t a = (size_t)s->view.act->n;
    for (size_t i = 0; i < action_count(s); i++)
        out[i] = s->have_good ? s->good[i] : fminf(fmaxf(0, s->view.act->lo[i % a]), s->view.act->hi[i % a]);
}

static dmc_status answer(dmc__sampler *s, const float *obs, float *actions)
{
    if (!all_finite(obs, (size_t)s->config.batch * (size_t)s->view.obs->n))
        return dmc__fail(DMC_ENUMERIC, "dmc_sampler_sample: obs has a value that is not finite; the last good actions are held");
    DMC_TRY(check_images(s));
    push_images(s);
    push_observations(s, obs);
    DMC_TRY(set_conditions(s));
    DMC_TRY(denoise(s));
    s->call++;
    choose(s);
    if (!all_finite(s->chosen, (size_t)s->config.batch * s->elems))
        return dmc__fail(DMC_ENUMERIC, "dmc_sampler_sample: the sample of call %llu is not finite; the last good actions are held",
                         (unsigned long long)(s->call - 1));
    extract_actions(s, actions);
    memcpy(s->good, actions, action_count(s) * sizeof *actions);
    s->have_good = 1;
    return s->facts.clamped ? DMC_CLAMPED : DMC_OK;
}

dmc_status dmc__sampler_sample(dmc__sampler *s, const float *obs, float *actions)
{
    const int64_t began = dmc__clock_ns();
    s->facts.steps = dmc__rollout_rows(s->rollout);
    const dmc_status status = answer(s, obs, actions);
    if (status < 0) hold(s, actions);
    memset(s->fresh, 0, sizeof s->fresh);
    s->facts.nanoseconds = dmc__clock_ns() - began;
    return status;
}

/* ---- the rest --------------------------------------------------------------------------------------- */

void dmc__sampler_set_image(dmc__sampler *s, int32_t camera, const uint8_t *pixels)
{
    const size_t n = (size_t)s->config.batch * (size_t)s->view.frame;
    memcpy(s->image + (size_t)camera * n, pixels, n);
    s->fresh[camera] = 1;
}

void dmc__sampler_reset(dmc__sampler *s, uint64_t seed)
{
    memset(s->fresh, 0, sizeof s->fresh);
    s->config.seed = seed;
    s->call = 0;
    s->seen = 0;
    s->have_good = 0;
}

static int32_t same_units(const dmc__normaliser *a, const dmc__normaliser *b)
{
    const size_t bytes = 4 * (size_t)a->n * sizeof *a->shift; /* shift, scale, lo and hi are one block */
    return a->n == b->n && a->kind == b->kind && memcmp(a->shift, b->shift, bytes) == 0;
}

static int32_t same_contract(const dmc__model *a, const dmc__model *b)
{
    return memcmp(&a->spec.net, &b->spec.net, sizeof a->spec.net) == 0 && a->spec.role == b->spec.role &&
           a->spec.n_obs == b->spec.n_obs && a->spec.memory == b->spec.memory && a->spec.schedule == b->spec.schedule &&
           a->spec.predict == b->spec.predict &&
           a->spec.train_steps == b->spec.train_steps && a->spec.clip == b->spec.clip && same_units(&a->obs, &b->obs) &&
           same_units(&a->act, &b->act) && !a->cascade == !b->cascade;
}

dmc_status dmc__sampler_rebind(dmc__sampler *s, const dmc__model *m)
{
    if (!same_contract(s->model, m) || m->ref.ctx->device->backend != s->ref.ctx->device->backend)
        return dmc__fail(DMC_ESHAPE,
                         "dmc_sampler_rebind: the new model's architecture, process, normalisation or device differs from the old "
                                     "one's");
    use_model(s, m);
    return bind_weights(s);
}

const dmc__sampler_facts *dmc__sampler_get_facts(const dmc__sampler *s)
{
    return &s->facts;
}

const float *dmc__sampler_chosen(const dmc__sampler *s, int32_t b)
{
    return s->chosen + (size_t)b * s->elems;
}

void dmc__sampler_candidates(const dmc__sampler *s, float *out)
{
    for (size_t i = 0; i < s->total; i++) dmc__view_denormalise(&s->view, s->z + i * s->elems, out + i * s->elems);
}

const dmc__sampler_config *dmc__sampler_get_config(const dmc__sampler *s)
{
    return &s->config;
}

const dmc__model *dmc__sampler_model(const dmc__sampler *s)
{
    return s->model;
}

int32_t dmc__sampler_horizon(const dmc__sampler *s)
{
    return s->view.horizon;
}

const dmc__allocator *dmc__sampler_allocator(const dmc__sampler *s)
{
    return &s->ref.ctx->alloc;
}

size_t dmc__sampler_bytes(const dmc__sampler *s)
{
    const size_t halves = half_elems(s, s->net) + half_elems(s, s->cascade_net);
    return sizeof *s + s->host_bytes + halves * s->ref.ctx->device->backend->elem + dmc__net_bytes(s->net) +
           dmc__net_bytes(s->cascade_net) + dmc__rollout_bytes(s->rollout) +
           (s->cascade ? dmc__rollout_bytes(s->cascade) : 0) + (s->judge.self ? dmc__reward_critic_bytes(&s->judge) : 0) +
           dmc__context_bytes(&s->ref);
}
