/* critic_fit.c — feeding IQL from trajectories and reading its values back in dataset units. */
#include "critic_fit.h"

#include <math.h>
#include <string.h>

enum { EVAL_BATCH = 256, REDRAWS = 1024 };

/* ---- life ------------------------------------------------------------------------------------------- */

static dmc_status fit_normalisers(dmc__critic *c)
{
    const dmc__allocator *a = &c->ref.ctx->alloc;
    DMC_TRY(dmc__normaliser_create(a, DMC__NORM_GAUSSIAN, c->data->obs_dim, &c->obs));
    DMC_TRY(dmc__normaliser_create(a, DMC__NORM_MINMAX, c->data->act_dim, &c->act));
    dmc__normaliser_fit(&c->obs, c->data->obs, c->data->rows);
    dmc__normaliser_fit(&c->act, c->data->act, c->data->rows);
    return DMC_OK;
}

/* Numbers of an action: `chunk` rows. */
static size_t action_width(const dmc__critic *c)
{
    return (size_t)c->config.chunk * (size_t)c->act.n;
}

/* Half of the training episodes, by a shuffle that no seed changes. */
static int32_t is_in_half(int32_t episode, int32_t split)
{
    const dmc__stream s = {0, DMC_STREAM_SPLIT, 1, (uint64_t)episode};
    return dmc__rng_below(&s, 0, 2) == (uint64_t)(split == DMC__CRITIC_SECOND_HALF);
}

static int32_t learns_from(const dmc__critic *c, int32_t episode)
{
    return c->config.split < DMC__CRITIC_FIRST_HALF || is_in_half(episode, c->config.split);
}

/* There is an episode to learn from. */
static dmc_status check_split(const dmc__critic *c)
{
    const dmc__trajectories *t = c->data;
    if (c->config.split == DMC__CRITIC_HELD_OUT && t->n_held == 0)
        return dmc__fail(DMC_EINVAL, "critic: split = held_out, but the dataset holds out none of its %d episodes", t->episodes);
    for (int32_t i = 0; i < t->n_train; i++)
        if (learns_from(c, t->train[i])) return DMC_OK;
    return dmc__fail(DMC_EINVAL, "critic: split = %s, but it has none of the dataset's %d training episodes",
                     c->config.split == DMC__CRITIC_FIRST_HALF ? "first_half" : "second_half", t->n_train);
}

/* Transitions per update; a critic without data never makes one. */
static int32_t batch_of(const dmc__critic *c)
{
    return c->data ? c->config.batch : 1;
}

dmc_status dmc__critic_make_parts(dmc__critic *c)
{
    const dmc__critic_config *o = &c->config;
    const dmc__allocator *a = &c->ref.ctx->alloc;
    const size_t n = (size_t)batch_of(c);
    if (action_width(c) > INT32_MAX)
        return dmc__fail(DMC_ERANGE, "critic: chunk = %d rows of %d actions are too many", o->chunk, c->act.n);
    if (c->data) DMC_TRY(check_split(c));
    const dmc__iql_config iql = {.obs_dim = c->obs.n, .act_dim = (int32_t)action_width(c), .hidden = o->hidden,
                                 .batch = batch_of(c), .lr = o->lr, .tau = o->tau, .gamma = o->gamma, .polyak = o->polyak,
                                 .steps = o->steps, .seed = o->seed};
    DMC_TRY(dmc__iql_create(a, c->ref.ctx->device, &iql, &c->iql));
    DMC_TRY(DMC_NEW(a, n * (size_t)c->obs.n, &c->s));
    DMC_TRY(DMC_NEW(a, n * action_width(c), &c->a));
    DMC_TRY(DMC_NEW(a, n, &c->r));
    DMC_TRY(DMC_NEW(a, n * (size_t)c->obs.n, &c->next));
    return DMC_NEW(a, n, &c->term);
}

dmc_status dmc__critic_make_shell(dmc__context *ctx, const dmc__trajectories *data, double scale, double shift,
                                  dmc__critic **out)
{
    dmc__context_ref ref;
    dmc__critic *c;
    *out = NULL;
    DMC_TRY(dmc__context_acquire(ctx, &ref));
    const dmc_status status = DMC_NEW(&ref.ctx->alloc, 1, &c);
    if (status < 0) {
        dmc__context_release(&ref);
        return status;
    }
    c->ref = ref;
    c->data = data;
    c->reward_scale = scale;
    c->reward_shift = shift;
    *out = c;
    return DMC_OK;
}

dmc_status dmc__critic_create(dmc__context *ctx, const dmc__trajectories *data, double reward_scale, double reward_shift,
                              const dmc__critic_config *config, dmc__critic **out)
{
    DMC_TRY(dmc__critic_make_shell(ctx, data, reward_scale, reward_shift, out));
    (*out)->config = *config;
    dmc_status status = fit_normalisers(*out);
    if (status >= 0) status = dmc__critic_make_parts(*out);
    if (status < 0) {
        dmc__critic_destroy(*out);
        *out = NULL;
    }
    return status;
}

void dmc__critic_destroy(dmc__critic *c)
{
    if (!c) return;
    dmc__context_ref ref = c->ref;
    const dmc__allocator *a = &ref.ctx->alloc;
    const size_t n = (size_t)batch_of(c);
    dmc__veval_destroy(c->veval);
    dmc__qeval_destroy(c->eval);
    dmc__iql_destroy(c->iql);
    DMC_FREE(a, c->s, n * (size_t)c->obs.n);
    DMC_FREE(a, c->a, n * action_width(c));
    DMC_FREE(a, c->r, n);
    DMC_FREE(a, c->next, n * (size_t)c->obs.n);
    DMC_FREE(a, c->term, n);
    dmc__normaliser_free(&c->act);
    dmc__normaliser_free(&c->obs);
    DMC_FREE(a, c, 1);
    dmc__context_release(&ref);
}

/* ---- training --------------------------------------------------------------------------------------- */

/* `rows` rows from `at` on are executed; then the episode is over, or row at + rows follows. */
typedef struct transition {
    dmc__position at;
    int32_t rows, over;
} transition;

/* Of a cut-off episode the last row has no successor: a transition that would need one begins earlier. */
static dmc_status draw_transition(const dmc__critic *c, uint64_t step, size_t i, transition *out)
{
    const dmc__trajectories *t = c->data;
    const int32_t chunk = c->config.chunk;
    for (uint64_t attempt = 0; attempt < REDRAWS; attempt++) {
        const dmc__stream s = {c->config.seed, DMC_STREAM_BATCH, step, (attempt << 20) + i};
        const dmc__position p = dmc__trajectories_draw(t, c->config.split == DMC__CRITIC_HELD_OUT, &s);
        const size_t end = t->start[p.episode + 1];
        const int32_t over = t->terminal[end - 1], usable = (int32_t)(end - t->start[p.episode]) - !over;
        if (usable < 1 || !learns_from(c, p.episode)) continue;
        const int32_t latest = over ? p.row : usable > chunk ? usable - chunk : 0;
        *out = (transition){.at = {p.episode, p.row < latest ? p.row : latest}};
        out->rows = usable - out->at.row < chunk ? usable - out->at.row : chunk;
        out->over = over && out->at.row + out->rows == usable;
        return DMC_OK;
    }
    return dmc__fail(DMC_EFORMAT, "dmc_critic_step: %d draws gave no row with a successor: the episodes are one step long and not "
                                  "terminal", REDRAWS);
}

/* Sample i of the batch: r = sum gamma^k r_k; what is left of V after the rows is gamma^rows = gamma (1 - term). */
static void stage_transition(dmc__critic *c, const transition *x, size_t i)
{
    const dmc__trajectories *t = c->data;
    const size_t s = (size_t)c->obs.n, n = (size_t)c->config.chunk;
    const size_t row = t->start[x->at.episode] + (size_t)x->at.row, next = x->over ? row : row + (size_t)x->rows;
    float *const act = c->a + i * action_width(c);
    double r = 0;
    dmc__normaliser_apply(&c->obs, t->obs + row * s, 1, c->s + i * s);
    dmc__normaliser_apply(&c->obs, t->obs + next * s, 1, c->next + i * s);
    dmc__window_actions(t, x->at, c->config.chunk, act, NULL);
    dmc__normaliser_apply(&c->act, act, n, act);
    for (int32_t k = 0; k < x->rows; k++)
        r += pow(c->config.gamma, k) * (t->rew[row + (size_t)k] * c->reward_scale + c->reward_shift);
    c->r[i] = (float)r;
    c->term[i] = (float)(x->over ? 1 : 1 - pow(c->config.gamma, x->rows - 1));
}

dmc_status dmc__critic_stage(dmc__critic *c, int32_t samples)
{
    const uint64_t step = (uint64_t)dmc__iql_step(c->iql);
    for (size_t i = 0; i < (size_t)samples; i++) {
        transition x = {{0, 0}, 0, 0};
        DMC_TRY(draw_transition(c, step, i, &x));
        stage_transition(c, &x, i);
    }
    return DMC_OK;
}

dmc_status dmc__critic_learn(dmc__critic *c, int32_t n, dmc__iql_metrics *mean)
{
    dmc__iql_metrics m;
    DMC_TRY(dmc__iql_update(c->iql, c->s, c->a, c->r, c->next, c->term, &m));
    mean->q_loss += m.q_loss / n;
    mean->v_loss += m.v_loss / n;
    mean->q_mean = m.q_mean;
    mean->v_mean = m.v_mean;
    return DMC_OK;
}

dmc_status dmc__critic_step(dmc__critic *c, int32_t n, dmc__iql_metrics *mean)
{
    *mean = (dmc__iql_metrics){0};
    if (!c->data) return dmc__fail(DMC_ESTATE, "dmc_critic_step: the critic was loaded without a dataset");
    for (int32_t i = 0; i < n; i++) {
        DMC_TRY(dmc__critic_stage(c, c->config.batch));
        DMC_TRY(dmc__critic_learn(c, n, mean));
    }
    return dmc__dev_sync(c->ref.ctx->device); /* samplers read the weights from queues of their own */
}

/* ---- values ----------------------------------------------------------------------------------------- */

static dmc_status make_eval(dmc__critic *c)
{
    if (c->veval) return DMC_OK;
    c->eval_batch = EVAL_BATCH;
    if (!c->eval) DMC_TRY(dmc__qeval_create(c->iql, c->ref.ctx->device, EVAL_BATCH, 1, &c->eval));
    return dmc__veval_create(c->iql, c->ref.ctx->device, EVAL_BATCH, &c->veval);
}

/* Normalise n samples of `rows` rows into device memory of a plan's input. */
static dmc_status put(dmc__critic *c, const dmc__normaliser *norm, const float *x, size_t n, size_t rows, float *staging,
                      void *device)
{
    const size_t w = rows * (size_t)norm->n;
    dmc__normaliser_apply(norm, x, n * rows, staging);
    memset(staging + n * w, 0, ((size_t)c->eval_batch - n) * w * sizeof *staging);
    return dmc__dev_in(c->ref.ctx->device, device, staging, (size_t)c->eval_batch * w);
}

static dmc_status chunk_gradient(dmc__critic *c, size_t n, float *grad)
{
    dmc__device *d = c->ref.ctx->device;
    const size_t a = action_width(c);
    for (int32_t twin = 0; twin < 2; twin++) {
        dmc_kargs half = {.out = dmc__qeval_dq(c->eval, twin), .dim = {c->eval_batch}, .attr = {0.5}};
        DMC_TRY(dmc__dev_run(d, DMC_OP_FILL, &half));
    }
    DMC_TRY(dmc__qeval_backward(c->eval));
    DMC_TRY(dmc__dev_out(d, grad, dmc__qeval_dact(c->eval), n * a));
    for (size_t i = 0; i < n * a; i++) grad[i] /= c->act.scale[i % (size_t)c->act.n]; /* chain rule of the normaliser */
    return DMC_OK;
}

static dmc_status chunk_q(dmc__critic *c, size_t n, const float *obs, const float *act, float *staging, float *q1, float *q2,
                          float *grad)
{
    dmc__device *d = c->ref.ctx->device;
    DMC_TRY(put(c, &c->obs, obs, n, 1, staging, dmc__qeval_obs(c->eval)));
    DMC_TRY(put(c, &c->act, act, n, (size_t)c->config.chunk, staging, dmc__qeval_act(c->eval)));
    DMC_TRY(dmc__qeval_run(c->eval));
    if (q1) DMC_TRY(dmc__dev_out(d, q1, dmc__qeval_q(c->eval, 0), n));
    if (q2) DMC_TRY(dmc__dev_out(d, q2, dmc__qeval_q(c->eval, 1), n));
    return grad ? chunk_gradient(c, n, grad) : DMC_OK;
}

static dmc_status chunk_v(dmc__critic *c, size_t n, const float *obs, float *staging, float *v)
{
    DMC_TRY(put(c, &c->obs, obs, n, 1, staging, dmc__veval_obs(c->veval)));
    DMC_TRY(dmc__veval_run(c->veval));
    return dmc__dev_out(c->ref.ctx->device, v, dmc__veval_v(c->veval), n);
}

dmc_status dmc__critic_values(dmc__critic *c, size_t n, const float *obs, const float *act, float *q1, float *q2, float *v,
                              float *grad)
{
    const size_t s = (size_t)c->obs.n, a = action_width(c), widest = s > a ? s : a;
    float *staging;
    DMC_TRY(make_eval(c));
    DMC_TRY(DMC_NEW(&c->ref.ctx->alloc, (size_t)c->eval_batch * widest, &staging));
    dmc_status status = DMC_OK;
    for (size_t i = 0; i < n && status >= 0; i += (size_t)c->eval_batch) {
        const size_t m = n - i < (size_t)c->eval_batch ? n - i : (size_t)c->eval_batch;
        if (act)
            status = chunk_q(c, m, obs + i * s, act + i * a, staging, q1 ? q1 + i : NULL, q2 ? q2 + i : NULL,
                             grad ? grad + i * a : NULL);
        if (status >= 0 && v) status = chunk_v(c, m, obs + i * s, staging, v + i);
    }
    DMC_FREE(&c->ref.ctx->alloc, staging, (size_t)c->eval_batch * widest);
    return status;
}

/* x_raw = x_model*ms + mo and x_critic = (x_raw - co)/cs, so x_critic = x_model*(ms/cs) + (mo-co)/cs. */
static void compose(const dmc__normaliser *model, const dmc__normaliser *critic, float *scale, float *shift)
{
    for (int32_t i = 0; i < critic->n; i++) {
        scale[i] = model->scale[i] / critic->scale[i];
        shift[i] = (model->shift[i] - critic->shift[i]) / critic->scale[i];
    }
}

void dmc__critic_make_map(const dmc__critic *c, const dmc__model *m, float *store, dmc__critic_map *out)
{
    const size_t s = (size_t)c->obs.n, a = (size_t)c->act.n;
    compose(&m->obs, &c->obs, store, store + s);
    compose(&m->act, &c->act, store + 2 * s, store + 2 * s + a);
    *out = (dmc__critic_map){.planner = m->spec.role, .horizon = m->spec.net.horizon, .n_obs = m->spec.n_obs, .obs_dim = c->obs.n,
                             .act_dim = c->act.n, .chunk = c->config.chunk, .cond = m->spec.net.cond, .obs_scale = store,
                             .obs_shift = store + s, .act_scale = store + 2 * s, .act_shift = store + 2 * s + a};
}

void dmc__critic_map_inverse(const dmc__model *inverse, dmc__critic_map *map)
{
    map->inverse = inverse ? inverse->net : NULL;
    map->inverse_weights = inverse ? inverse->weights : NULL;
}
