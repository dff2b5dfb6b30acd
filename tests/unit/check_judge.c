/* check_judge.c — a score by another critic than the one that trains (pitfall 20 of the design). */
#include "align_fixture.h"

Suite *dmc_suite_judge(void);

static bandit b;

static void setup(void)
{
    const dmc_align_options o = bandit_options();
    bandit_open(&b, "cpu", 0, &o);
}

static void teardown(void)
{
    bandit_close(&b);
}

/* Q is about -action: the data with rewards of the other sign. */
static dmc_critic *opposite(dmc_dataset **data, int32_t chunk)
{
    const dmc__trajectories *t = b.data->data;
    dmc_critic_options o;
    dmc_critic *c;
    float rew[BANDIT_ROWS];
    for (size_t i = 0; i < t->rows; i++) rew[i] = -t->act[i];
    ck_assert_int_eq(dmc_dataset_create(b.ctx, t->rows, 1, 1, t->obs, t->act, rew, t->terminal, NULL, NULL, data), DMC_OK);
    dmc_critic_options_init(&o, sizeof o);
    o.hidden = 16;
    o.lr = 1e-2;
    o.gamma = 0;
    o.chunk = chunk;
    ck_assert_int_eq(dmc_critic_create(b.ctx, *data, &o, &c), DMC_OK);
    ck_assert_int_eq(dmc_critic_step(c, 200, NULL), DMC_OK);
    return c;
}

/* A step by a reward of which the score does not speak. */
static dmc_align_report one_update(dmc_aligner *a, int32_t updates)
{
    dmc_rl_options o;
    dmc_align_report r = {.struct_size = sizeof r};
    dmc_rl_options_init(&o, sizeof o);
    o.updates = updates;
    o.kl = 0;
    ck_assert_msg(dmc_align_rl(a, &o, &r) == DMC_OK, "%s", dmc_last_error());
    return r;
}

/* The judge's score of the foundation is what an aligner with that critic begins with; without the judge it is the reward's. */
START_TEST(the_score_is_the_judges)
{
    const dmc_align_options o = bandit_options();
    dmc_dataset *data;
    dmc_aligner *other;
    dmc_critic *judge = opposite(&data, 1);
    ck_assert_int_eq(dmc_aligner_create(NULL, b.model, b.data, judge, &o, &other), DMC_OK);
    const double want = one_update(other, 1).before, reward = one_update(b.aligner, 1).before;
    ck_assert_int_eq(dmc_aligner_reset(b.aligner), DMC_OK);
    ck_assert_int_eq(dmc_aligner_set_judge(b.aligner, judge), DMC_OK);
    ck_assert_double_eq(one_update(b.aligner, 1).before, want);
    ck_assert_double_ne(want, reward);
    ck_assert_int_eq(dmc_aligner_reset(b.aligner), DMC_OK);
    ck_assert_int_eq(dmc_aligner_set_judge(b.aligner, NULL), DMC_OK);
    ck_assert_double_eq(one_update(b.aligner, 1).before, reward);
    dmc_aligner_destroy(other);
    dmc_critic_destroy(judge);
    dmc_dataset_destroy(data);
}
END_TEST

/* What the reward wants and the judge does not is not kept. */
START_TEST(what_only_the_trainer_likes_is_not_kept)
{
    size_t n;
    dmc_dataset *data;
    dmc_critic *judge = opposite(&data, 1);
    ck_assert_int_eq(dmc_aligner_set_judge(b.aligner, judge), DMC_OK);
    float *before = bandit_weights(b.aligner, &n);
    dmc_align_report r = one_update(b.aligner, 20);
    float *after = bandit_weights(b.aligner, &n);
    ck_assert_int_eq(r.accepted, 0);
    ck_assert_mem_eq(before, after, n * sizeof *before);
    ck_assert_int_eq(dmc_aligner_set_judge(b.aligner, NULL), DMC_OK);
    r = one_update(b.aligner, 20);
    ck_assert_int_eq(r.accepted, 1);
    free(after);
    free(before);
    dmc_critic_destroy(judge);
    dmc_dataset_destroy(data);
}
END_TEST

/* A cascade's sample is taken where the reward gains, and nowhere if it is the same for all; the judge is not asked. */
START_TEST(the_reward_decides_for_a_cascade)
{
    dmc_dataset *data;
    dmc_critic *judge = opposite(&data, 1);
    ck_assert_int_eq(dmc_aligner_set_judge(b.aligner, judge), DMC_OK);
    b.slope = 0;
    const double alone = one_update(b.aligner, 1).before;
    b.slope = 1;
    ck_assert_int_eq(dmc_aligner_reset(b.aligner), DMC_OK);
    ck_assert_int_eq(dmc__cascade_create(b.aligner->run, b.aligner->run->foundation, &b.aligner->run->cascade), DMC_OK);
    b.slope = 0;
    ck_assert_double_eq(one_update(b.aligner, 1).before, alone);
    b.slope = 1; /* now it is often taken: better by the reward, worse by the judge, whose Q is about -action */
    ck_assert_double_lt(one_update(b.aligner, 1).before, alone - 0.1);
    dmc_critic_destroy(judge);
    dmc_dataset_destroy(data);
}
END_TEST

START_TEST(judges_of_other_widths)
{
    float obs[8] = {0}, act[4] = {0, 1, 2, 3}, rew[4] = {0};
    const uint8_t end[4] = {0, 0, 0, 1};
    dmc_dataset *data;
    dmc_critic *judge;
    ck_assert_int_eq(dmc_dataset_create(b.ctx, 4, 2, 1, obs, act, rew, end, NULL, NULL, &data), DMC_OK);
    ck_assert_int_eq(dmc_critic_create(b.ctx, data, NULL, &judge), DMC_OK);
    ck_assert_int_eq(dmc_aligner_set_judge(b.aligner, judge), DMC_ESHAPE);
    ck_assert_ptr_nonnull(strstr(dmc_last_error(), "dmc_aligner_set_judge: the critic is for observations of 2"));
    ck_assert_int_eq(dmc_aligner_set_judge(NULL, judge), DMC_EINVAL);
    dmc_critic_destroy(judge);
    dmc_dataset_destroy(data);
    judge = opposite(&data, 2); /* samples have one row */
    ck_assert_int_eq(dmc_aligner_set_judge(b.aligner, judge), DMC_OK);
    dmc_rl_options o;
    dmc_rl_options_init(&o, sizeof o);
    ck_assert_int_eq(dmc_align_rl(b.aligner, &o, NULL), DMC_ESHAPE);
    ck_assert_ptr_nonnull(strstr(dmc_last_error(), "2 rows, samples only 1"));
    ck_assert_int_eq(dmc_aligner_set_judge(b.aligner, NULL), DMC_OK);
    dmc_critic_destroy(judge);
    dmc_dataset_destroy(data);
}
END_TEST

Suite *dmc_suite_judge(void)
{
    Suite *const s = suite_create("judge");
    TCase *const t = tcase_create("judge");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, the_score_is_the_judges);
    tcase_add_test(t, what_only_the_trainer_likes_is_not_kept);
    tcase_add_test(t, the_reward_decides_for_a_cascade);
    tcase_add_test(t, judges_of_other_widths);
    suite_add_tcase(s, t);
    return s;
}
