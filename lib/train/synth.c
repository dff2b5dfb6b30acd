/* synth.c — SynthER: the EDM process over rows of transitions, without a condition (Lu et al. 2023; Karras et al. 2022). */
#include "synth.h"

#include <math.h>
#include <string.h>

#include "../align/regress.h"
#include "../base/clock.h"

struct dmc_synth {
    dmc__context_ref ref;
    dmc__synth_config config;
    int32_t obs_dim, act_dim;
    size_t cols, rows;     /* of x: 2S+A+2; transitions         */
    float *x;              /* (rows,cols), z-scored             */
    dmc__normaliser norm;  /* of the columns                    */
    dmc__process process;
    dmc__net *net;
    dmc__learner *learner;
    dmc__chain *chain;
    dmc__denoise *denoise;
    dmc__regress regress;
    dmc__rollout *rollout;
    int64_t step;
    float *batch, *rewards; /* (batch,cols) (batch)             */
    float *obs, *act, *after; /* (batch,S) (batch,A) (batch,S)  */
    uint8_t *terminal;      /* (batch)                          */
    double *time;           /* (batch)                          */
};

/* ---- the data --------------------------------------------------------------------------------------- */

/* Row `row` has a successor or is an end; `end`: where the rows of its episode end. */
static int32_t is_transition(const dmc__trajectories *t, size_t row, size_t end)
{
    return t->terminal[row] || row + 1 < end;
}

static size_t count_transitions(const dmc__trajectories *t)
{
    size_t n = 0;
    for (int32_t i = 0; i < t->n_train; i++) {
        const size_t end = t->start[t->train[i] + 1];
        for (size_t row = t->start[t->train[i]]; row < end; row++) n += (size_t)is_transition(t, row, end);
    }
    return n;
}

static void put_transition(const dmc__trajectories *t, size_t row, float *x)
{
    const size_t s = (size_t)t->obs_dim, a = (size_t)t->act_dim, next = t->terminal[row] ? row : row + 1;
    memcpy(x, t->obs + row * s, s * sizeof *x);
    memcpy(x + s, t->act + row * a, a * sizeof *x);
    x[s + a] = t->rew[row];
    memcpy(x + s + a + 1, t->obs + next * s, s * sizeof *x);
    x[2 * s + a + 1] = t->terminal[row];
}

static dmc_status take_data(dmc__synth *s, const dmc__trajectories *t)
{
    const dmc__allocator *a = &s->ref.ctx->alloc;
    size_t n = 0;
    s->rows = count_transitions(t);
    if (s->rows == 0)
        return dmc__fail(DMC_EFORMAT, "dmc_synth_create: the training episodes have no row with a successor and no terminal one");
    DMC_TRY(DMC_NEW(a, s->rows * s->cols, &s->x));
    for (int32_t i = 0; i < t->n_train; i++) {
        const size_t end = t->start[t->train[i] + 1];
        for (size_t row = t->start[t->train[i]]; row < end; row++)
            if (is_transition(t, row, end)) put_transition(t, row, s->x + n++ * s->cols);
    }
    DMC_TRY(dmc__normaliser_create(a, DMC__NORM_GAUSSIAN, (int32_t)s->cols, &s->norm));
    dmc__normaliser_fit(&s->norm, s->x, s->rows);
    dmc__normaliser_apply(&s->norm, s->x, s->rows, s->x);
    return DMC_OK;
}

/* ---- making ----------------------------------------------------------------------------------------- */

/* z-scored data have deviation 1. Sines and cosines were made for a time that counts to 1000. */
static dmc_status make_process(dmc__synth *s)
{
    dmc__process_config p = dmc__process_defaults();
    p.kind = DMC__PROCESS_EDM;
    p.predict = DMC__PREDICT_EDM;
    p.sigma_data = 1;
    p.steps = s->config.sample_steps;
    p.seen_scale = 1000;
    return dmc__process_create(&s->ref.ctx->alloc, &p, &s->process);
}

static dmc_status make_learner(dmc__synth *s)
{
    const dmc__net_config c = {.kind = DMC__NET_IDQL_MLP, .horizon = 1, .cols = (int32_t)s->cols, .hidden = s->config.hidden,
                               .blocks = s->config.blocks, .emb_dim = s->config.emb_dim, .n_obs = 1};
    DMC_TRY(dmc__net_create(&s->ref.ctx->alloc, &c, &s->net));
    return dmc__learner_create_fresh(s->net->graph, s->ref.ctx->device, s->config.seed, 1, &s->learner);
}

static dmc_status make_training(dmc__synth *s)
{
    dmc__device *d = s->ref.ctx->device;
    DMC_TRY(dmc__chain_create(s->net, d, s->config.batch, 0, NULL, &s->chain));
    DMC_TRY(dmc__denoise_create(s->chain, s->net, d, &s->process, s->config.batch, &s->denoise));
    s->regress = (dmc__regress){.device = d, .denoise = s->denoise, .learner = s->learner, .seed = s->config.seed, .weight = 1};
    return dmc__regress_open(&s->regress);
}

static dmc_status make_sampling(dmc__synth *s)
{
    dmc__table_config t = dmc__table_defaults(&s->process);
    const dmc__rollout_config r = {.batch = s->config.batch, .group = 1};
    dmc__table table;
    t.sampler = DMC__SAMPLER_HEUN;
    t.grid = DMC__GRID_KARRAS;
    t.steps = s->config.sample_steps;
    t.churn = s->config.churn;
    t.churn_noise = s->config.churn_noise;
    DMC_TRY(dmc__table_create(&s->ref.ctx->alloc, &s->process, &t, &table));
    const dmc_status status = dmc__rollout_create(s->net, s->ref.ctx->device, &table, &r, &s->rollout);
    dmc__table_free(&table);
    return status;
}

static dmc_status make_host(dmc__synth *s)
{
    const dmc__allocator *a = &s->ref.ctx->alloc;
    const size_t n = (size_t)s->config.batch;
    DMC_TRY(DMC_NEW(a, n * s->cols, &s->batch));
    DMC_TRY(DMC_NEW(a, n, &s->rewards));
    DMC_TRY(DMC_NEW(a, n * (size_t)s->obs_dim, &s->obs));
    DMC_TRY(DMC_NEW(a, n * (size_t)s->act_dim, &s->act));
    DMC_TRY(DMC_NEW(a, n * (size_t)s->obs_dim, &s->after));
    DMC_TRY(DMC_NEW(a, n, &s->terminal));
    return DMC_NEW(a, n, &s->time);
}

static dmc_status make_parts(dmc__synth *s, const dmc__trajectories *t)
{
    DMC_TRY(take_data(s, t));
    DMC_TRY(make_process(s));
    DMC_TRY(make_host(s));
    DMC_TRY(make_learner(s));
    DMC_TRY(make_training(s));
    return make_sampling(s);
}

dmc_status dmc__synth_create(dmc__context *ctx, const dmc__trajectories *data, const dmc__synth_config *c, dmc__synth **out)
{
    dmc__context_ref ref;
    dmc__synth *s;
    *out = NULL;
    DMC_TRY(dmc__context_acquire(ctx, &ref));
    dmc_status status = DMC_NEW(&ref.ctx->alloc, 1, &s);
    if (status < 0) {
        dmc__context_release(&ref);
        return status;
    }
    s->ref = ref;
    s->config = *c;
    s->obs_dim = data->obs_dim;
    s->act_dim = data->act_dim;
    s->cols = 2 * (size_t)data->obs_dim + (size_t)data->act_dim + 2;
    status = make_parts(s, data);
    if (status < 0) dmc__synth_destroy(s);
    else *out = s;
    return status;
}

void dmc__synth_destroy(dmc__synth *s)
{
    if (!s) return;
    dmc__context_ref ref = s->ref;
    const dmc__allocator *a = &ref.ctx->alloc;
    const size_t n = (size_t)s->config.batch;
    dmc__rollout_destroy(s->rollout);
    dmc__regress_close(&s->regress);
    dmc__denoise_destroy(s->denoise);
    dmc__chain_destroy(s->chain);
    dmc__learner_destroy(s->learner);
    dmc__net_destroy(s->net);
    dmc__process_free(&s->process);
    dmc__normaliser_free(&s->norm);
    DMC_FREE(a, s->x, s->rows * s->cols);
    DMC_FREE(a, s->batch, n * s->cols);
    DMC_FREE(a, s->rewards, n);
    DMC_FREE(a, s->obs, n * (size_t)s->obs_dim);
    DMC_FREE(a, s->act, n * (size_t)s->act_dim);
    DMC_FREE(a, s->after, n * (size_t)s->obs_dim);
    DMC_FREE(a, s->terminal, n);
    DMC_FREE(a, s->time, n);
    DMC_FREE(a, s, 1);
    dmc__context_release(&ref);
}

size_t dmc__synth_rows(const dmc__synth *s)
{
    return s->rows;
}

/* ---- training --------------------------------------------------------------------------------------- */

static dmc_status stage_batch(dmc__synth *s)
{
    for (int32_t i = 0; i < s->config.batch; i++) {
        const dmc__stream pick = {s->config.seed, DMC_STREAM_BATCH, (uint64_t)s->step, (uint64_t)i};
        const dmc__stream time = {s->config.seed, DMC_STREAM_TIME, (uint64_t)s->step, (uint64_t)i};
        const size_t row = (size_t)dmc__rng_below(&pick, 0, s->rows);
        memcpy(s->batch + (size_t)i * s->cols, s->x + row * s->cols, s->cols * sizeof *s->x);
        s->time[i] = dmc__process_draw_time(&s->process, &time);
    }
    DMC_TRY(dmc__denoise_stage(s->denoise, s->batch, NULL, NULL, NULL, NULL));
    return dmc__denoise_stage_times(s->denoise, s->time);
}

static dmc_status update(dmc__synth *s, dmc__pretrain_metrics *m)
{
    dmc__adamw_config c = dmc__adamw_defaults();
    double loss;
    c.lr = m->lr = dmc__lr_cosine(s->config.lr, s->step, 0, s->config.steps);
    c.ema = s->config.ema;
    dmc__chain_bind(s->chain, dmc__learner_weights(s->learner), dmc__learner_grads(s->learner));
    DMC_TRY(stage_batch(s));
    const dmc_status status = dmc__regress_update(&s->regress, (uint64_t)s->step, &c, &loss, &m->grad_norm);
    if (status < 0) return dmc__fail_in(status, "dmc_synth_step");
    s->step++;
    m->loss += loss;
    return DMC_OK;
}

dmc_status dmc__synth_step(dmc__synth *s, int32_t n, dmc__pretrain_metrics *m)
{
    const int64_t began = dmc__clock_ns(), first = s->step;
    dmc_status status = DMC_OK;
    *m = (dmc__pretrain_metrics){0};
    for (int32_t i = 0; i < n && status >= 0; i++) status = update(s, m);
    m->step = s->step;
    if (s->step > first) m->loss /= (double)(s->step - first);
    m->seconds = (double)(dmc__clock_ns() - began) * 1e-9;
    return status;
}

/* ---- sampling --------------------------------------------------------------------------------------- */

/* The first n rows of the batch, in dataset units, taken apart. */
static void take_apart(dmc__synth *s, size_t n)
{
    const size_t o = (size_t)s->obs_dim, a = (size_t)s->act_dim;
    dmc__normaliser_invert(&s->norm, s->batch, n, s->batch);
    for (size_t i = 0; i < n; i++) {
        const float *x = s->batch + i * s->cols;
        memcpy(s->obs + i * o, x, o * sizeof *x);
        for (size_t j = o; j < o + a; j++) s->act[i * a + j - o] = fminf(fmaxf(x[j], s->norm.lo[j]), s->norm.hi[j]);
        s->rewards[i] = x[o + a];
        memcpy(s->after + i * o, x + o + a + 1, o * sizeof *x);
        s->terminal[i] = x[2 * o + a + 1] > 0.5f;
    }
}

dmc_status dmc__synth_sample(dmc__synth *s, size_t n, uint64_t seed, dmc__experience *x)
{
    const dmc__transitions t = {s->obs, s->act, s->rewards, s->after, s->terminal};
    const size_t batch = (size_t)s->config.batch;
    if (x->obs_dim != s->obs_dim || x->act_dim != s->act_dim)
        return dmc__fail(DMC_ESHAPE, "dmc_synth_sample: the replay has observations of %d and actions of %d, the data %d and %d",
                         x->obs_dim, x->act_dim, s->obs_dim, s->act_dim);
    dmc__rollout_bind(s->rollout, dmc__learner_ema(s->learner), NULL, dmc__rollout_rows(s->rollout));
    for (size_t i = 0; i < n; i += batch) {
        const size_t count = n - i < batch ? n - i : batch;
        DMC_TRY(dmc__rollout_run(s->rollout, seed, 0, i, 1));
        DMC_TRY(dmc__dev_out(s->ref.ctx->device, s->batch, dmc__rollout_sample(s->rollout), batch * s->cols));
        take_apart(s, count);
        DMC_TRY(dmc__experience_push(x, count, &t));
    }
    return DMC_OK;
}
