/* follower.h — the bandit of align_fixture.h with data whose actions follow the observation: most others are unlikely. */
#ifndef DMC_TESTS_FOLLOWER_H
#define DMC_TESTS_FOLLOWER_H

#include "align_fixture.h"

/* Actions that follow observations closely; the model learns them and takes the bandit's place. */
static inline void follower_open(bandit *b, const dmc_align_options *o)
{
    static float obs[BANDIT_ROWS], act[BANDIT_ROWS], rew[BANDIT_ROWS];
    static uint8_t end[BANDIT_ROWS];
    dmc_train_options t;
    dmc_trainer *trainer;
    bandit_open(b, "cpu", 300, o);
    dmc_aligner_destroy(b->aligner);
    dmc_dataset_destroy(b->data);
    for (uint32_t i = 0; i < BANDIT_ROWS; i++) {
        const dmc__stream s = {8, DMC_STREAM_ENV, 0, i};
        obs[i] = (float)(2 * dmc__rng_uniform(&s, 0) - 1);
        act[i] = 0.8f * obs[i] + 0.05f * (float)(2 * dmc__rng_uniform(&s, 1) - 1);
        end[i] = i % BANDIT_EPISODE == BANDIT_EPISODE - 1;
    }
    ck_assert_int_eq(dmc_dataset_create(b->ctx, BANDIT_ROWS, 1, 1, obs, act, rew, end, NULL, NULL, &b->data), DMC_OK);
    dmc_train_options_init(&t, sizeof t);
    t.steps = 1000;
    t.batch = 64;
    t.lr = 3e-3;
    t.ema = 0.9;
    ck_assert_msg(dmc_trainer_create(NULL, b->model, b->data, &t, &trainer) == DMC_OK, "%s", dmc_last_error());
    ck_assert_int_eq(dmc_trainer_step(trainer, t.steps, NULL), DMC_OK);
    dmc_model *start = b->model;
    ck_assert_msg(dmc_trainer_publish(trainer, &b->model) == DMC_OK, "%s", dmc_last_error());
    dmc_trainer_destroy(trainer);
    dmc_model_destroy(start);
    b->aligner = bandit_aligner(b, o);
}

#endif
