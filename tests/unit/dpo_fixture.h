/* dpo_fixture.h — the preference loss over a small policy with pairs made up, and a policy of two modes to prefer between. */
#ifndef DMC_TESTS_DPO_FIXTURE_H
#define DMC_TESTS_DPO_FIXTURE_H

#include "align_fixture.h"
#include "two_modes.h"

#include "../../lib/align/dpo_loss.h"
#include "../../lib/nn/params.h"

enum { DPO_PAIRS = 8 };

typedef struct dpo_rig {
    bandit b;
    dmc__align *a;
    void *reference;
    dmc__dpo_loss loss;
} dpo_rig;

static inline double dpo_number(uint64_t which, uint64_t i)
{
    const dmc__stream s = {17, DMC_STREAM_ENV, which, i};
    return 2 * dmc__rng_uniform(&s, 0) - 1;
}

/* Every weight that learns by up to `by`. */
static inline void dpo_rig_move(dpo_rig *r, double by)
{
    const size_t n = dmc__learner_elems(r->a->learner);
    float *w = malloc(n * sizeof *w);
    ck_assert_int_eq(dmc__learner_get(r->a->learner, w), DMC_OK);
    for (size_t i = 0; i < n; i++) w[i] += (float)(by * dpo_number(1, i));
    ck_assert_int_eq(dmc__learner_set(r->a->learner, w), DMC_OK);
    free(w);
}

/* A condition per pair, any two actions. */
static inline void dpo_rig_pairs(dpo_rig *r)
{
    for (size_t i = 0; i < DPO_PAIRS; i++) {
        r->loss.side[i] = r->loss.side[DPO_PAIRS + i] = (float)dpo_number(2, i);
        r->loss.x0[i] = (float)dpo_number(3, i);
        r->loss.x0[DPO_PAIRS + i] = (float)dpo_number(4, i);
        r->loss.weight[i] = r->loss.weight[DPO_PAIRS + i] = 1;
    }
}

static inline void dpo_rig_swap(dpo_rig *r)
{
    for (size_t i = 0; i < DPO_PAIRS; i++) {
        const float w = r->loss.x0[i];
        r->loss.x0[i] = r->loss.x0[DPO_PAIRS + i];
        r->loss.x0[DPO_PAIRS + i] = w;
    }
}

/* In double, all weights learning; the reference are the weights as they are. */
static inline void dpo_rig_open(dpo_rig *r, int32_t process)
{
    dmc_align_options o = bandit_options();
    o.lora_rank = 0;
    o.batch = 2 * DPO_PAIRS;
    bandit_open_process(&r->b, "ref64", 20, &o, process);
    r->a = r->b.aligner->run;
    ck_assert_int_eq(dmc__align_snapshot(r->a, &r->reference), DMC_OK);
    ck_assert_int_eq(dmc__dpo_loss_open(r->a, DPO_PAIRS, r->reference, &r->loss), DMC_OK);
    dpo_rig_pairs(r);
}

static inline void dpo_rig_close(dpo_rig *r)
{
    dmc__dpo_loss_close(&r->loss);
    dmc__dev_free(r->a->device, r->reference, dmc__graph_param_elems(r->a->net->graph));
    bandit_close(&r->b);
}

/* What the batch says, and its gradient alone. */
static inline dmc__dpo_told dpo_rig_learn(dpo_rig *r, const dmc__dpo_terms *t)
{
    dmc__dpo_told told;
    const size_t n = dmc__graph_param_elems(r->a->net->graph);
    ck_assert_int_eq(dmc__params_zero(r->a->device, dmc__learner_grads(r->a->learner), n), DMC_OK);
    ck_assert_int_eq(dmc__dpo_loss_measure(&r->loss, 5), DMC_OK);
    ck_assert_int_eq(dmc__dpo_loss_learn(&r->loss, t, &told), DMC_OK);
    return told;
}

/* ---- two modes ---------------------------------------------------------------------------------------- */

enum { TWO_MODES_ROWS = 1024 };

/* Actions of two_modes.h, whatever is observed; 1 for those of the rarer mode. */
static inline dmc_dataset *two_modes_data(dmc_context *ctx)
{
    static float obs[TWO_MODES_ROWS], act[TWO_MODES_ROWS], rew[TWO_MODES_ROWS];
    static uint8_t end[TWO_MODES_ROWS];
    dmc_dataset *d;
    for (uint32_t i = 0; i < TWO_MODES_ROWS; i++) {
        const dmc__stream s = {8, DMC_STREAM_ENV, 0, i};
        const int32_t mode = dmc__rng_uniform(&s, 1) >= two_modes_weight[0];
        obs[i] = (float)(2 * dmc__rng_uniform(&s, 0) - 1);
        act[i] = (float)(two_modes_mean[mode] + two_modes_std * dmc__rng_normal(&s, 16));
        rew[i] = act[i] < 0;
        end[i] = i % BANDIT_EPISODE == BANDIT_EPISODE - 1;
    }
    ck_assert_int_eq(dmc_dataset_create(ctx, TWO_MODES_ROWS, 1, 1, obs, act, rew, end, NULL, NULL, &d), DMC_OK);
    return d;
}

/* 1 in the rarer mode, so the score is its probability. */
static inline int32_t two_modes_reward(void *user, size_t n, const float *z, const float *obs, float *r, float *grad)
{
    (void)user, (void)obs, (void)grad;
    for (size_t i = 0; i < n; i++) r[i] = z[i] < 0;
    return 0;
}

static inline void two_modes_open(bandit *b, const dmc_align_options *o)
{
    dmc_model_options m;
    dmc_train_options t;
    dmc_trainer *trainer;
    dmc_model *start;
    memset(b, 0, sizeof *b);
    ck_assert_int_eq(dmc_context_create(NULL, &b->ctx), DMC_OK);
    b->data = two_modes_data(b->ctx);
    dmc_model_options_init(&m, sizeof m);
    m.hidden = 32;
    m.blocks = 2;
    m.emb_dim = 16;
    m.train_steps = 10;
    m.seed = 3;
    ck_assert_int_eq(dmc_model_create(b->ctx, b->data, &m, &start), DMC_OK);
    dmc_train_options_init(&t, sizeof t);
    t.steps = 700;
    t.batch = 128;
    t.lr = 3e-3;
    t.ema = 0.99;
    ck_assert_int_eq(dmc_trainer_create(NULL, start, b->data, &t, &trainer), DMC_OK);
    ck_assert_int_eq(dmc_trainer_step(trainer, t.steps, NULL), DMC_OK);
    ck_assert_int_eq(dmc_trainer_publish(trainer, &b->model), DMC_OK);
    dmc_trainer_destroy(trainer);
    dmc_model_destroy(start);
    ck_assert_msg(dmc_aligner_create(NULL, b->model, b->data, NULL, o, &b->aligner) == DMC_OK, "%s", dmc_last_error());
    ck_assert_int_eq(dmc_aligner_set_reward(b->aligner, two_modes_reward, NULL, 0), DMC_OK);
}

#endif
