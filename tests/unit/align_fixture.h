/* align_fixture.h — a one-dimensional bandit for alignment tests: tiny policy, uniform actions, any reward. */
#ifndef DMC_TESTS_ALIGN_FIXTURE_H
#define DMC_TESTS_ALIGN_FIXTURE_H

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/align/sequence.h"
#include "../../lib/api/handles.h"

enum { BANDIT_ROWS = 512, BANDIT_EPISODE = 4 };

typedef struct bandit {
    dmc_context *ctx;
    dmc_dataset *data;
    dmc_model *model;
    dmc_aligner *aligner;
    float slope; /* reward = slope * action */
    int32_t calls;
} bandit;

/* Observations and actions uniform in [-1,1] by a fixed stream; reward = action. */
static inline dmc_dataset *bandit_data(dmc_context *ctx)
{
    static float obs[BANDIT_ROWS], act[BANDIT_ROWS], rew[BANDIT_ROWS];
    static uint8_t end[BANDIT_ROWS];
    dmc_dataset *d;
    for (uint32_t i = 0; i < BANDIT_ROWS; i++) {
        const dmc__stream s = {7, DMC_STREAM_ENV, 0, i};
        obs[i] = (float)(2 * dmc__rng_uniform(&s, 0) - 1);
        rew[i] = act[i] = (float)(2 * dmc__rng_uniform(&s, 1) - 1);
        end[i] = i % BANDIT_EPISODE == BANDIT_EPISODE - 1;
    }
    ck_assert_int_eq(dmc_dataset_create(ctx, BANDIT_ROWS, 1, 1, obs, act, rew, end, NULL, NULL, &d), DMC_OK);
    return d;
}

static inline int32_t bandit_reward(void *user, size_t n, const float *z, const float *obs, float *r, float *grad)
{
    bandit *b = user;
    (void)obs;
    b->calls++;
    for (size_t i = 0; i < n; i++) {
        r[i] = b->slope * z[i];
        if (grad) grad[i] = b->slope;
    }
    return 0;
}

static inline dmc_align_options bandit_options(void)
{
    dmc_align_options o;
    dmc_align_options_init(&o, sizeof o);
    o.batch = 64;
    o.candidates = 8;
    o.eval_every = 1000;
    o.eval_conditions = 8;
    o.lora_rank = 4;
    return o;
}

static inline dmc_aligner *bandit_aligner(bandit *b, const dmc_align_options *o)
{
    dmc_aligner *a;
    ck_assert_msg(dmc_aligner_create(NULL, b->model, b->data, NULL, o, &a) == DMC_OK, "%s", dmc_last_error());
    ck_assert_int_eq(dmc_aligner_set_reward(a, bandit_reward, b, 1), DMC_OK);
    return a;
}

static inline dmc_model_options bandit_model(void)
{
    dmc_model_options m;
    dmc_model_options_init(&m, sizeof m);
    m.hidden = 16;
    m.blocks = 1;
    m.emb_dim = 8;
    m.train_steps = 5;
    m.seed = 3;
    return m;
}

/* steps of training; 0 leaves the weights as initialised. */
static inline void bandit_open_model(bandit *b, const char *device, int32_t train_steps, const dmc_align_options *o,
                                     const dmc_model_options *m)
{
    dmc_context_options c;
    dmc_train_options t;
    dmc_trainer *trainer;
    dmc_model *start;
    memset(b, 0, sizeof *b);
    b->slope = 1;
    dmc_context_options_init(&c, sizeof c);
    c.device = device;
    ck_assert_int_eq(dmc_context_create(&c, &b->ctx), DMC_OK);
    b->data = bandit_data(b->ctx);
    ck_assert_msg(dmc_model_create(b->ctx, b->data, m, &start) == DMC_OK, "%s", dmc_last_error());
    dmc_train_options_init(&t, sizeof t);
    t.steps = train_steps > 0 ? train_steps : 1;
    t.batch = 64;
    t.lr = 3e-3;
    t.ema = 0.9;
    ck_assert_msg(dmc_trainer_create(NULL, start, b->data, &t, &trainer) == DMC_OK, "%s", dmc_last_error());
    ck_assert_int_eq(dmc_trainer_step(trainer, train_steps, NULL), DMC_OK);
    ck_assert_int_eq(dmc_trainer_publish(trainer, &b->model), DMC_OK);
    dmc_trainer_destroy(trainer);
    dmc_model_destroy(start);
    b->aligner = bandit_aligner(b, o);
}

static inline void bandit_open_process(bandit *b, const char *device, int32_t train_steps, const dmc_align_options *o,
                                       int32_t process)
{
    dmc_model_options m = bandit_model();
    m.process = process;
    bandit_open_model(b, device, train_steps, o, &m);
}

static inline void bandit_open(bandit *b, const char *device, int32_t train_steps, const dmc_align_options *o)
{
    bandit_open_process(b, device, train_steps, o, DMC_PROCESS_VP);
}

static inline void bandit_close(bandit *b)
{
    dmc_aligner_destroy(b->aligner);
    dmc_model_destroy(b->model);
    dmc_dataset_destroy(b->data);
    dmc_context_destroy(b->ctx);
}

/* All weights of the model an aligner would publish, one after the other; caller frees. */
static inline float *bandit_weights(const dmc_aligner *a, size_t *n)
{
    dmc_model *m;
    ck_assert_int_eq(dmc_aligner_publish(a, &m), DMC_OK);
    float *w = malloc(dmc_model_parameters(m) * sizeof *w);
    *n = 0;
    for (int32_t i = 0; i < dmc_model_tensor_count(m); i++) {
        int32_t rank, shape[3];
        size_t size = 1;
        const char *name = dmc_model_tensor_name(m, i);
        ck_assert_int_eq(dmc_model_tensor_shape(m, name, &rank, shape), DMC_OK);
        for (int32_t j = 0; j < rank; j++) size *= (size_t)shape[j];
        ck_assert_int_eq(dmc_model_get_tensor(m, name, w + *n, size), DMC_OK);
        *n += size;
    }
    dmc_model_destroy(m);
    return w;
}

/* Mean action of the published model over fixed conditions and noise. */
static inline double bandit_mean_action(const dmc_aligner *a)
{
    enum { N = 256 };
    dmc_model *m;
    dmc_sampler *s;
    dmc_sampler_options o;
    float obs[N], act[N];
    double sum = 0;
    ck_assert_int_eq(dmc_aligner_publish(a, &m), DMC_OK);
    dmc_sampler_options_init(&o, sizeof o);
    o.batch = N;
    ck_assert_msg(dmc_sampler_create(NULL, m, NULL, &o, &s) == DMC_OK, "%s", dmc_last_error());
    for (int32_t i = 0; i < N; i++) obs[i] = (float)i / N * 2 - 1;
    ck_assert_int_ge(dmc_sampler_sample(s, obs, N, act, N), DMC_OK);
    for (int32_t i = 0; i < N; i++) sum += act[i] / N;
    dmc_sampler_destroy(s);
    dmc_model_destroy(m);
    return sum;
}

#endif
