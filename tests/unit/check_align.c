/* check_align.c — the four methods on a bandit whose answer is known, and the identities of methods.md 2-6. */
#include "align_fixture.h"

#include "../../lib/align/candidates.h"

Suite *dmc_suite_align(void);

static dmc_rl_options rl_options(int32_t method, int32_t updates)
{
    dmc_rl_options o;
    dmc_rl_options_init(&o, sizeof o);
    o.method = method;
    o.updates = updates;
    o.last_k = 0;
    o.epochs = 1;
    o.kl = 0;
    return o;
}

static void same_weights(const dmc_aligner *a, const dmc_aligner *b, double tolerance)
{
    size_t n, m;
    float *x = bandit_weights(a, &n), *y = bandit_weights(b, &m);
    ck_assert_uint_eq(n, m);
    for (size_t i = 0; i < n; i++) ck_assert_msg(fabs(x[i] - y[i]) <= tolerance, "weight %zu: %g and %g", i, x[i], y[i]);
    free(x);
    free(y);
}

static double moved(const dmc_aligner *a, const bandit *b)
{
    size_t n, at = 0;
    float *x = bandit_weights(a, &n);
    double sum = 0;
    for (int32_t i = 0; i < dmc_model_tensor_count(b->model); i++) {
        int32_t rank, shape[3];
        size_t size = 1;
        const char *name = dmc_model_tensor_name(b->model, i);
        ck_assert_int_eq(dmc_model_tensor_shape(b->model, name, &rank, shape), DMC_OK);
        for (int32_t j = 0; j < rank; j++) size *= (size_t)shape[j];
        float *y = malloc(size * sizeof *y);
        ck_assert_int_eq(dmc_model_get_tensor(b->model, name, y, size), DMC_OK);
        for (size_t j = 0; j < size; j++) sum += fabs(x[at + j] - y[j]);
        at += size;
        free(y);
    }
    free(x);
    return sum;
}

/* R2: at ratio 1 the clipped objective has the gradient of REINFORCE, so one update from the same chains is the same. */
START_TEST(first_ppo_update_is_reinforce)
{
    bandit b;
    dmc_align_options o = bandit_options();
    bandit_open(&b, "ref64", 100, &o);
    dmc_aligner *other = bandit_aligner(&b, &o);
    const dmc_rl_options ppo = rl_options(DMC_RL_PPO, 1), reinforce = rl_options(DMC_RL_REINFORCE, 1);
    ck_assert_msg(dmc_align_rl(b.aligner, &ppo, NULL) == DMC_OK, "%s", dmc_last_error());
    ck_assert_int_eq(dmc_align_rl(other, &reinforce, NULL), DMC_OK);
    same_weights(b.aligner, other, 1e-12);
    dmc_aligner_destroy(other);
    bandit_close(&b);
}
END_TEST

/* R6: with a reward that says nothing the policy gradient and the KL at the reference are exactly zero. */
START_TEST(no_signal_no_change)
{
    static const int32_t methods[] = {DMC_RL_PPO, DMC_RL_REINFORCE, DMC_RL_QVPG};
    for (int32_t i = 0; i < 3; i++) {
        bandit b;
        dmc_align_options o = bandit_options();
        dmc_rl_options rl = rl_options(methods[i], 3);
        rl.kl = 1;
        rl.epochs = 2;
        bandit_open(&b, "cpu", 50, &o);
        b.slope = 0;
        ck_assert_msg(dmc_align_rl(b.aligner, &rl, NULL) == DMC_OK, "%s", dmc_last_error());
        ck_assert_double_eq(moved(b.aligner, &b), 0);
        bandit_close(&b);
    }
}
END_TEST

/* Every method moves the mean action towards the reward, and only by so much that it stays in [-1,1]. */
static void must_rise(int32_t method)
{
    bandit b;
    dmc_align_options o = bandit_options();
    o.lr = 3e-3;
    o.eval_every = 10;
    bandit_open(&b, "cpu", 300, &o);
    const double before = bandit_mean_action(b.aligner);
    dmc_rl_options rl = rl_options(method, 60);
    dmc_dpo_options dpo;
    dmc_sft_options sft;
    dmc_align_report r = {.struct_size = sizeof r};
    dmc_dpo_options_init(&dpo, sizeof dpo);
    dmc_sft_options_init(&sft, sizeof sft);
    dpo.updates = sft.updates = 60;
    dpo.refresh = 20;
    dpo.pool = sft.pool = 8;
    sft.conditions = 64;
    dmc_status status;
    if (method >= 0) status = dmc_align_rl(b.aligner, &rl, &r);
    else if (method == -1) status = dmc_align_dpo(b.aligner, &dpo, &r);
    else status = dmc_align_sft(b.aligner, &sft, &r);
    ck_assert_msg(status == DMC_OK, "%s", dmc_last_error());
    ck_assert_int_eq(r.accepted, 1);
    ck_assert_double_gt(r.after, r.before);
    const double after = bandit_mean_action(b.aligner);
    ck_assert_msg(after > before + 0.15, "mean action %g before, %g after", before, after);
    bandit_close(&b);
}

START_TEST(every_method_raises_the_reward)
{
    static const int32_t methods[] = {DMC_RL_PPO, DMC_RL_REINFORCE, DMC_RL_QVPG, -1, -2};
    must_rise(methods[_i]);
}
END_TEST

/* SFT judges candidates by the bound, which every process has. */
START_TEST(sft_raises_the_reward_on_every_process)
{
    bandit b;
    dmc_align_options o = bandit_options();
    dmc_sft_options c;
    dmc_align_report r = {.struct_size = sizeof r};
    dmc_sft_options_init(&c, sizeof c);
    c.updates = 40;
    c.conditions = 64;
    c.pool = 8;
    o.eval_every = 10;
    bandit_open_process(&b, "cpu", 300, &o, _i);
    ck_assert_msg(dmc_align_sft(b.aligner, &c, &r) == DMC_OK, "%s", dmc_last_error());
    ck_assert_int_eq(r.updates, 40);
    ck_assert_msg(r.after > r.before + .05, "reward %g, then %g", r.before, r.after);
    bandit_close(&b);
}
END_TEST

/* Moves of QV-PG depend on K: truncation is real. */
START_TEST(truncation_changes_the_gradient)
{
    bandit b;
    dmc_align_options o = bandit_options();
    bandit_open(&b, "ref64", 50, &o);
    dmc_aligner *other = bandit_aligner(&b, &o);
    dmc_rl_options one = rl_options(DMC_RL_QVPG, 2), all = one;
    one.last_k = 1;
    ck_assert_int_eq(dmc_align_rl(b.aligner, &one, NULL), DMC_OK);
    ck_assert_int_eq(dmc_align_rl(other, &all, NULL), DMC_OK);
    size_t n, m;
    float *x = bandit_weights(b.aligner, &n), *y = bandit_weights(other, &m);
    ck_assert_int_ne(memcmp(x, y, n * sizeof *x), 0);
    free(x);
    free(y);
    dmc_aligner_destroy(other);
    bandit_close(&b);
}
END_TEST

/* D4: a pool that agrees gives no pairs and no change. */
START_TEST(dpo_without_preferences_changes_nothing)
{
    bandit b;
    dmc_align_options o = bandit_options();
    dmc_dpo_options dpo;
    dmc_dpo_options_init(&dpo, sizeof dpo);
    dpo.updates = 5;
    dpo.pool = 8;
    bandit_open(&b, "cpu", 50, &o);
    b.slope = 0;
    ck_assert_msg(dmc_align_dpo(b.aligner, &dpo, NULL) == DMC_OK, "%s", dmc_last_error());
    ck_assert_double_eq(moved(b.aligner, &b), 0);
    bandit_close(&b);
}
END_TEST

/* C1: a cascade starts as the model itself, whatever it is conditioned on. */
START_TEST(a_cascade_starts_as_the_model)
{
    bandit b;
    dmc_align_options o = bandit_options();
    bandit_open(&b, "cpu", 50, &o);
    dmc__align *a = b.aligner->run;
    const size_t n = (size_t)a->config.batch * dmc__align_elems(a);
    float x[64], y[64];
    dmc__cascade *c;
    ck_assert_uint_eq(n, 64);
    ck_assert_int_eq(dmc__cascade_create(a, a->foundation, &c), DMC_OK);
    ck_assert_int_eq(dmc__align_condition(a, a->sample, 64, 1, 1, 0), DMC_OK);
    const int32_t rows = dmc__rollout_rows(a->sample);
    dmc__rollout_bind(a->sample, a->foundation, NULL, rows);
    /* the noise of samples batch .. 2 batch - 1, as a cascade draws it */
    ck_assert_int_eq(dmc__rollout_run(a->sample, a->config.seed, 1, 64, 1), DMC_OK);
    ck_assert_int_eq(dmc__dev_out(a->device, x, dmc__rollout_latent(a->sample, rows), n), DMC_OK);
    ck_assert_int_eq(dmc__cascade_sample(a, c, 1), DMC_OK);
    ck_assert_int_eq(dmc__dev_out(a->device, y, dmc__rollout_latent(c->sample, rows), n), DMC_OK);
    ck_assert_mem_eq(x, y, sizeof x);
    dmc__cascade_destroy(a->alloc, c);
    bandit_close(&b);
}
END_TEST

/* Forked candidates are closer to each other than independent ones, and share nothing across groups. */
static int32_t far_reward(void *user, size_t n, const float *z, const float *obs, float *r, float *grad)
{
    bandit_reward(user, n, z, obs, r, grad);
    for (size_t i = 0; i < n; i++) r[i] = 0.01f * r[i] - 5; /* below every sample */
    return 0;
}

/* Where a pass is taken only if it gains, the score is of the same rewards: a new cascade changes little. */
START_TEST(a_score_with_a_cascade_is_of_rewards)
{
    bandit b;
    const dmc_align_options o = bandit_options();
    double without, with, se;
    bandit_open(&b, "cpu", 50, &o);
    ck_assert_int_eq(dmc_aligner_set_reward(b.aligner, far_reward, &b, 1), DMC_OK);
    dmc__align *a = b.aligner->run;
    ck_assert_int_eq(dmc__align_need_reward(a), DMC_OK);
    ck_assert_int_eq(dmc__align_score(a, &without, &se), DMC_OK);
    ck_assert_int_eq(dmc__cascade_create(a, a->foundation, &a->cascade), DMC_OK);
    ck_assert_int_eq(dmc__align_score(a, &with, &se), DMC_OK);
    ck_assert_double_eq_tol(without, -5, 0.02);
    ck_assert_double_ge(with, without);
    ck_assert_double_eq_tol(with, -5, 0.02);
    bandit_close(&b);
}
END_TEST

static const struct {
    int32_t process, sampler, steps, deterministic, floored;
} tables[] = {
    {DMC_PROCESS_VP, DMC_SAMPLER_AUTO, 0, 0, 0},
    {DMC_PROCESS_VP, DMC_SAMPLER_DDIM, 3, 1, 0},
    {DMC_PROCESS_FLOW, DMC_SAMPLER_AUTO, 0, 1, 0},
    {DMC_PROCESS_EDM, DMC_SAMPLER_AUTO, 4, 1, 0},
    {DMC_PROCESS_VP, DMC_SAMPLER_DDIM, 3, 0, 1},
    {DMC_PROCESS_FLOW, DMC_SAMPLER_AUTO, 0, 0, 1},
};

/* With a floor every step has noise, so that it has a likelihood: DDPM's own, not the floor alone. */
START_TEST(samples_are_drawn_as_they_will_be)
{
    bandit b;
    dmc_align_options o = bandit_options();
    dmc__table t;
    o.sampler = tables[_i].sampler;
    o.steps = tables[_i].steps;
    const double least = tables[_i].floored ? 0.05 : 0;
    bandit_open_process(&b, "cpu", 1, &o, tables[_i].process);
    ck_assert_int_eq(dmc__align_table(b.aligner->run, least, &t), DMC_OK);
    ck_assert_int_eq(t.k, tables[_i].steps ? tables[_i].steps : 5);
    for (int32_t k = 0; k + 1 < t.k; k++) ck_assert_int_eq(t.row[k].S == 0, tables[_i].deterministic);
    ck_assert_int_eq(t.row[0].S > least, !tables[_i].deterministic);
    ck_assert_double_eq(t.row[t.k - 1].S, least);
    dmc__table_free(&t);
    bandit_close(&b);
}
END_TEST

/* A program of the first version has a shorter report, and nothing is written behind it. */
START_TEST(reports_may_grow)
{
    bandit b;
    dmc_align_options o = bandit_options();
    dmc_rl_options rl;
    const size_t first = offsetof(dmc_align_report, seconds) + sizeof(double);
    dmc_align_report r, fresh;
    memset(&fresh, 7, sizeof fresh);
    r = fresh;
    r.struct_size = (uint32_t)first;
    dmc_rl_options_init(&rl, sizeof rl);
    rl.updates = 1;
    bandit_open(&b, "cpu", 1, &o);
    ck_assert_int_eq(dmc_align_rl(b.aligner, &rl, &r), DMC_OK);
    ck_assert_int_eq(r.updates, 1);
    ck_assert_mem_eq((const char *)&r + first, (const char *)&fresh + first, sizeof r - first);
    r.struct_size--;
    ck_assert_int_eq(dmc_align_rl(b.aligner, &rl, &r), DMC_EINVAL);
    bandit_close(&b);
}
END_TEST

START_TEST(forked_candidates_vary_one_sample)
{
    bandit b;
    dmc_align_options o = bandit_options();
    dmc__candidates *c;
    double within[2];
    bandit_open(&b, "cpu", 300, &o);
    dmc__align *a = b.aligner->run;
    ck_assert_int_eq(dmc__align_need_reward(a), DMC_OK);
    ck_assert_int_eq(dmc__candidates_create(a, 16, 8, &c), DMC_OK);
    for (int32_t forked = 0; forked < 2; forked++) {
        const dmc__variation v = {.kind = DMC__VARY_LATENT, .fork_min = 0.4, .fork_max = 0.4}; /* row 3 of 5 */
        const dmc__variation *how = forked ? &v : NULL;
        ck_assert_int_eq(how ? dmc__candidates_vary(a, a->foundation, how, c) : dmc__candidates_draw(a, a->foundation, c), DMC_OK);
        within[forked] = 0;
        for (int32_t g = 0; g < 16; g++)
            for (int32_t i = 1; i < 8; i++) within[forked] += fabs(c->z[g * 8 + i] - c->z[g * 8]) / (16 * 7);
    }
    ck_assert_msg(within[1] < 0.7 * within[0], "spread %g forked, %g independent", within[1], within[0]);
    dmc__candidates_destroy(c);
    bandit_close(&b);
}
END_TEST

START_TEST(cascade_is_trained_saved_and_used)
{
    bandit b;
    dmc_align_options o = bandit_options();
    dmc_cascade_options c;
    dmc_model *m, *again;
    dmc_align_report r = {.struct_size = sizeof r};
    dmc_cascade_options_init(&c, sizeof c);
    c.updates = 40;
    c.conditions = 64;
    c.gain = 0;
    o.eval_every = 10;
    bandit_open(&b, "cpu", 300, &o);
    ck_assert_msg(dmc_align_cascade(b.aligner, &c, &r) == DMC_OK, "%s", dmc_last_error());
    ck_assert_double_ge(r.after, r.before);
    ck_assert_int_eq(dmc_aligner_publish(b.aligner, &m), DMC_OK);
    ck_assert_ptr_nonnull(m->cascade);
    ck_assert_int_eq(dmc_model_save(m, "build/check_align.dmc"), DMC_OK);
    ck_assert_msg(dmc_model_load(NULL, "build/check_align.dmc", &again) == DMC_OK, "%s", dmc_last_error());
    ck_assert_ptr_nonnull(again->cascade);
    dmc_model_destroy(again);
    dmc_model_destroy(m);
    remove("build/check_align.dmc");
    bandit_close(&b);
}
END_TEST

/* The sequence keeps what its stages gain, and the adapter file restores it exactly. */
START_TEST(sequence_keeps_its_gains_and_saves_them)
{
    bandit b;
    dmc_align_options o = bandit_options();
    dmc_sequence_options q;
    dmc_rl_options rl = rl_options(DMC_RL_QVPG, 10);
    dmc_dpo_options dpo;
    dmc_sft_options sft;
    dmc_align_report r = {.struct_size = sizeof r};
    dmc_sequence_options_init(&q, sizeof q);
    dmc_dpo_options_init(&dpo, sizeof dpo);
    dmc_sft_options_init(&sft, sizeof sft);
    dpo.updates = sft.updates = 10;
    dpo.pool = sft.pool = 8;
    sft.conditions = 32;
    o.eval_every = 5;
    bandit_open(&b, "cpu", 100, &o);
    ck_assert_msg(dmc_align_sequence(b.aligner, &q, &rl, &dpo, &sft, NULL, &r) == DMC_OK, "%s", dmc_last_error());
    ck_assert_double_ge(r.after, r.before);
    ck_assert_int_eq(dmc_aligner_save(b.aligner, "build/check_align.adapter"), DMC_OK);
    dmc_aligner *other = bandit_aligner(&b, &o);
    ck_assert_msg(dmc_aligner_load(other, "build/check_align.adapter") == DMC_OK, "%s", dmc_last_error());
    same_weights(b.aligner, other, 0);
    ck_assert_int_eq(dmc_aligner_reset(other), DMC_OK);
    ck_assert_double_eq(moved(other, &b), 0);
    dmc_aligner_destroy(other);
    remove("build/check_align.adapter");
    bandit_close(&b);
}
END_TEST

/* Same seed, same weights: one thread or two, to the last bit. */
START_TEST(runs_repeat_bit_for_bit)
{
    float *w[2];
    size_t n = 0;
    for (int32_t i = 0; i < 2; i++) {
        bandit b;
        dmc_align_options o = bandit_options();
        dmc_context *two = NULL;
        dmc_context_options c;
        dmc_aligner *a;
        bandit_open(&b, "cpu", 30, &o);
        dmc_context_options_init(&c, sizeof c);
        c.threads = 1 + i;
        ck_assert_int_eq(dmc_context_create(&c, &two), DMC_OK);
        ck_assert_int_eq(dmc_aligner_create(two, b.model, b.data, NULL, &o, &a), DMC_OK);
        ck_assert_int_eq(dmc_aligner_set_reward(a, bandit_reward, &b, 1), DMC_OK);
        const dmc_rl_options rl = rl_options(DMC_RL_QVPG, 5);
        ck_assert_int_eq(dmc_align_rl(a, &rl, NULL), DMC_OK);
        w[i] = bandit_weights(a, &n);
        dmc_aligner_destroy(a);
        bandit_close(&b);
        dmc_context_destroy(two);
    }
    ck_assert_mem_eq(w[0], w[1], n * sizeof(float));
    free(w[0]);
    free(w[1]);
}
END_TEST

/* ---- bad input -------------------------------------------------------------------------------------- */

static void refused(dmc_status status, dmc_status expected, const char *word)
{
    ck_assert_msg(status == expected, "status %d (%s)", status, dmc_last_error());
    ck_assert_msg(strstr(dmc_last_error(), word) != NULL, "\"%s\" does not say \"%s\"", dmc_last_error(), word);
}

START_TEST(bad_options_are_named)
{
    bandit b;
    dmc_align_options o = bandit_options();
    dmc_aligner *a;
    bandit_open(&b, "cpu", 0, &o);
    dmc_rl_options rl = rl_options(DMC_RL_QVPG, 1);
    rl.last_k = 6;
    refused(dmc_align_rl(b.aligner, &rl, NULL), DMC_ERANGE, "last_k = 6, must be 0..5");
    rl = rl_options(DMC_RL_QVPG, 1);
    rl.kappa = DMC_KAPPA_PROJ;
    refused(dmc_align_rl(b.aligner, &rl, NULL), DMC_EINVAL, "kappa");
    refused(dmc_align_rl(NULL, &rl, NULL), DMC_EINVAL, "a is NULL");
    dmc_dpo_options dpo;
    dmc_dpo_options_init(&dpo, sizeof dpo);
    dpo.pool = 7;
    refused(dmc_align_dpo(b.aligner, &dpo, NULL), DMC_EINVAL, "pool = 7");
    dmc_sequence_options q;
    dmc_sequence_options_init(&q, sizeof q);
    q.order = "rl,dqo";
    refused(dmc_align_sequence(b.aligner, &q, NULL, NULL, NULL, NULL, NULL), DMC_EKEY, "dqo");
    dmc_align_report r = {0};
    refused(dmc_align_rl(b.aligner, NULL, &r), DMC_EINVAL, "struct_size");
    o.candidates = 7;
    refused(dmc_aligner_create(NULL, b.model, b.data, NULL, &o, &a), DMC_EINVAL, "candidates = 7");
    ck_assert_ptr_null(a);
    o = bandit_options();
    o.lora_targets = "nothing*";
    refused(dmc_aligner_create(NULL, b.model, b.data, NULL, &o, &a), DMC_EKEY, "nothing*");
    o = bandit_options();
    o.sampler = DMC_SAMPLER_HEUN;
    refused(dmc_aligner_create(NULL, b.model, b.data, NULL, &o, &a), DMC_EINVAL, "take euler");
    o.sampler = DMC_SAMPLER_AUTO;
    o.steps = 6;
    refused(dmc_aligner_create(NULL, b.model, b.data, NULL, &o, &a), DMC_ERANGE, "steps = 6");
    bandit_close(&b);
}
END_TEST

static int32_t failing_reward(void *user, size_t n, const float *z, const float *obs, float *r, float *grad)
{
    const int32_t *kind = user;
    (void)z, (void)obs, (void)grad;
    for (size_t i = 0; i < n; i++) r[i] = *kind == 1 ? NAN : 0;
    return *kind == 2;
}

START_TEST(bad_rewards_are_reported)
{
    bandit b;
    dmc_align_options o = bandit_options();
    dmc_aligner *a;
    int32_t kind = 1;
    const dmc_rl_options qvpg = rl_options(DMC_RL_QVPG, 2), ppo = rl_options(DMC_RL_PPO, 2);
    bandit_open(&b, "cpu", 0, &o);
    ck_assert_int_eq(dmc_aligner_create(NULL, b.model, b.data, NULL, &o, &a), DMC_OK);
    refused(dmc_align_rl(a, NULL, NULL), DMC_ESTATE, "reward");
    ck_assert_int_eq(dmc_aligner_set_reward(a, failing_reward, &kind, 0), DMC_OK);
    refused(dmc_align_rl(a, &qvpg, NULL), DMC_EINVAL, "gradient");
    refused(dmc_align_rl(a, &ppo, NULL), DMC_ENUMERIC, "sample 0");
    kind = 2;
    refused(dmc_align_rl(a, &ppo, NULL), DMC_ECALLBACK, "reward callback");
    dmc_aligner_destroy(a);
    bandit_close(&b);
}
END_TEST

Suite *dmc_suite_align(void)
{
    Suite *s = suite_create("align");
    TCase *t = tcase_create("align");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, first_ppo_update_is_reinforce);
    tcase_add_test(t, no_signal_no_change);
    tcase_add_loop_test(t, every_method_raises_the_reward, 0, 5);
    tcase_add_loop_test(t, sft_raises_the_reward_on_every_process, DMC_PROCESS_VP, DMC_PROCESS_FLOW + 1);
    tcase_add_test(t, truncation_changes_the_gradient);
    tcase_add_test(t, dpo_without_preferences_changes_nothing);
    tcase_add_test(t, a_cascade_starts_as_the_model);
    tcase_add_test(t, a_score_with_a_cascade_is_of_rewards);
    tcase_add_loop_test(t, samples_are_drawn_as_they_will_be, 0, (int)(sizeof tables / sizeof *tables));
    tcase_add_test(t, reports_may_grow);
    tcase_add_test(t, forked_candidates_vary_one_sample);
    tcase_add_test(t, cascade_is_trained_saved_and_used);
    tcase_add_test(t, sequence_keeps_its_gains_and_saves_them);
    tcase_add_test(t, runs_repeat_bit_for_bit);
    tcase_add_test(t, bad_options_are_named);
    tcase_add_test(t, bad_rewards_are_reported);
    suite_add_tcase(s, t);
    return s;
}
