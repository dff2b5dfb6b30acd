/* check_rl.c — policy gradients against closed forms and their identities (methods.md 2: R1, R2), and what each option does. */
#include "align_fixture.h"
#include "linear_world.h"

Suite *dmc_suite_rl(void);

/* ---- R1: REINFORCE is unbiased --------------------------------------------------------------------------------- */

/* E[x^2; |x| < c] of a standard normal: an entry's log-probability is clamped from below at -5, where x = (z'-mu)/S is c. */
static double clamped_square(double std)
{
    const double half_ln_2pi = 0.91893853320467274178, c = sqrt(2 * (5 - log(std) - half_ln_2pi));
    return erf(c / sqrt(2)) - 2 * c * exp(-c * c / 2 - half_ln_2pi);
}

/* d loss / d L_k of all rows: with z_k ~ N(0, v_k), A_k the slopes after row k and r = -(z_0-c)^2,
 *     -E[r x_k] a Q z_k / S = 2 A_k^2 m_k v_k a Q E[x^2],
 * times 1 - 1/G, as the baseline holds the sample itself, over the deviation of r from it, (1-1/G) (2 v^2 + 4 v c^2) squared. */
static void closed_form(const dmc__rl *s, double group, double *slope)
{
    double m[LINEAR_STEPS], v[LINEAR_STEPS + 1] = {1}, after = 1;
    for (int32_t k = 0; k < LINEAR_STEPS; k++) {
        const dmc__row *r = dmc__rollout_row(s->chain, k);
        m[k] = r->a * (r->P + r->Q * linear_slope[(int)r->at.seen]) + r->b;
        v[k + 1] = m[k] * m[k] * v[k] + r->S * r->S;
    }
    const double z0 = v[LINEAR_STEPS], others = 1 - 1 / group;
    const double std = sqrt(others * (2 * z0 * z0 + 4 * z0 * linear_best * linear_best));
    for (int32_t k = LINEAR_STEPS - 1; k >= 0; k--) {
        const dmc__row *r = dmc__rollout_row(s->chain, k);
        if (k >= LINEAR_STEPS - s->k)
            slope[k - (LINEAR_STEPS - s->k)] = others / std * 2 * after * after * m[k] * v[k] * r->a * r->Q * clamped_square(r->S);
        after *= m[k];
    }
}

static dmc__rl_config plain(int32_t method, int32_t k)
{
    return (dmc__rl_config){.method = method, .updates = 1, .last_k = k, .kappa = DMC__KAPPA_CONST, .epochs = 1, .kappa_gamma = 1,
                            .clip = .1, .advantage_clip = 1e6};
}

/* 64 batches of 1024 chains: the mean gradient is within 3.5 standard errors, and those are below 8 % of it. */
START_TEST(reinforce_is_unbiased)
{
    enum { TIMES = 64, GROUP = 8 };
    linear_world w;
    dmc__rl *s;
    dmc__align_note note;
    const dmc__rl_config c = plain(DMC__RL_REINFORCE, _i);
    double expected[LINEAR_STEPS], sum[LINEAR_STEPS] = {0}, square[LINEAR_STEPS] = {0};
    linear_world_open(&w, "cpu", 1024, GROUP);
    ok(dmc__rl_create(w.a, &c, &s));
    for (int i = 0; i < TIMES; i++) {
        double g[LINEAR_STEPS];
        ok(dmc__rl_ratio_begin(s, &note));
        ok(dmc__rl_ratio_gradient(s, &note));
        linear_take_gradient(&w, s, g);
        for (int j = 0; j < s->k; j++) sum[j] += g[j], square[j] += g[j] * g[j];
    }
    closed_form(s, GROUP, expected);
    for (int j = 0; j < s->k; j++) {
        const double mean = sum[j] / TIMES, se = sqrt((square[j] / TIMES - mean * mean) / (TIMES - 1));
        ck_assert_msg(fabs(mean - expected[j]) < 3.5 * se, "row %d: %g, closed form %g, SE %g", j, mean, expected[j], se);
        ck_assert_double_lt(se, .08 * fabs(expected[j]));
    }
    dmc__rl_destroy(s);
    linear_world_close(&w);
}
END_TEST

/* ---- R2, and what the divergence counts ------------------------------------------------------------------------ */

/* Gradient of all weights for the chains of one draw; `moved`: the weights have left the reference before. caller frees */
static float *gradient_of(int32_t method, int32_t k, double slope, double kl, int32_t moved, dmc__align_note *note)
{
    bandit b;
    dmc_align_options o = bandit_options();
    dmc__rl *s;
    dmc__rl_config c = plain(method, k);
    c.kl = kl;
    bandit_open(&b, "ref64", 50, &o);
    b.slope = (float)slope;
    dmc__align *a = b.aligner->run;
    const size_t n = dmc__graph_param_elems(a->net->graph), m = dmc__learner_elems(a->learner);
    float *g = calloc(n, sizeof *g), *w = calloc(m, sizeof *w);
    ok(dmc__align_need_reward(a));
    ok(dmc__rl_create(a, &c, &s));
    ok(dmc__learner_get(a->learner, w));
    for (size_t i = 0; i < m && moved; i++) w[i] += .05f * (float)sin((double)i);
    ok(dmc__learner_set(a->learner, w));
    ok(dmc__rl_ratio_begin(s, note));
    ok(dmc__rl_ratio_gradient(s, note));
    ok(dmc__dev_out(a->device, g, dmc__learner_grads(a->learner), n));
    dmc__rl_destroy(s);
    bandit_close(&b);
    free(w);
    return g;
}

static void must_be_times(const float *x, double factor, const float *y, size_t n)
{
    double largest = 0;
    for (size_t i = 0; i < n; i++) largest = fmax(largest, fabs(x[i]));
    ck_assert_double_gt(largest, 1e-6);
    for (size_t i = 0; i < n; i++)
        ck_assert_msg(fabs(x[i] - factor * y[i]) <= 1e-6 * largest, "weight %zu: %g and %g times %g", i, x[i], factor, y[i]);
}

static size_t bandit_size(void)
{
    bandit b;
    dmc_align_options o = bandit_options();
    bandit_open(&b, "ref64", 0, &o);
    const size_t n = dmc__graph_param_elems(b.aligner->run->net->graph);
    bandit_close(&b);
    return n;
}

/* R2: where nothing has moved every ratio is 1 and nothing is clipped; PPO's mean over K transitions has the gradient of
 * REINFORCE's sum over K. */
START_TEST(ppo_starts_as_reinforce)
{
    dmc__align_note ppo_note, note;
    float *ppo = gradient_of(DMC__RL_PPO, _i, 1, 0, 0, &ppo_note), *reinforce = gradient_of(DMC__RL_REINFORCE, _i, 1, 0, 0, &note);
    must_be_times(reinforce, _i, ppo, bandit_size());
    free(ppo);
    free(reinforce);
}
END_TEST

/* The divergence is reduced over the rows as the advantages are: alone it makes K times the gradient in REINFORCE, too; and
 * the KL that is reported is the same. */
START_TEST(the_divergence_counts_as_the_policy)
{
    dmc__align_note ppo_note, note;
    float *ppo = gradient_of(DMC__RL_PPO, _i, 0, 1, 1, &ppo_note), *reinforce = gradient_of(DMC__RL_REINFORCE, _i, 0, 1, 1, &note);
    must_be_times(reinforce, _i, ppo, bandit_size());
    ck_assert_double_gt(note.kl, 0);
    ck_assert_double_eq_tol(note.kl, ppo_note.kl, 1e-12);
    free(ppo);
    free(reinforce);
}
END_TEST

/* ---- credit ---------------------------------------------------------------------------------------------------- */

/* Where K < T the way is still that from z_T; the state is in-painted and does not count. */
START_TEST(projection_is_of_the_whole_chain)
{
    enum { N = 16, K = 2 };
    linear_world w;
    dmc__rl *s;
    dmc__align_note note;
    dmc__rl_config c = plain(DMC__RL_REINFORCE, K);
    float z[LINEAR_STEPS + 1][2 * N];
    c.kappa = DMC__KAPPA_PROJ;
    linear_world_open(&w, "cpu", N, 8);
    ok(dmc__rl_create(w.a, &c, &s));
    ok(dmc__rl_ratio_begin(s, &note));
    for (int k = 0; k <= LINEAR_STEPS; k++) ok(dmc__dev_out(w.m.device, z[k], dmc__rollout_latent(s->chain, k), 2 * N));
    for (int i = 1; i < 2 * N; i += 2) {
        const double way = z[3][i] - z[0][i], step[K] = {z[2][i] - z[1][i], z[3][i] - z[2][i]};
        double share[K];
        for (int j = 0; j < K; j++) share[j] = fmin(fmax(LINEAR_STEPS * step[j] / way, 0), 4);
        const double sum = share[0] + share[1];
        for (int j = 0; j < K; j++)
            ck_assert_double_eq_tol(s->kappa[i / 2 * K + j], sum > 0 ? K * share[j] / sum : 1, 1e-5);
    }
    dmc__rl_destroy(s);
    linear_world_close(&w);
}
END_TEST

Suite *dmc_suite_rl(void)
{
    Suite *s = suite_create("rl");
    TCase *t = tcase_create("rl");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, reinforce_is_unbiased, 1, LINEAR_STEPS + 1);
    tcase_add_loop_test(t, ppo_starts_as_reinforce, 1, 6);
    tcase_add_loop_test(t, the_divergence_counts_as_the_policy, 1, 6);
    tcase_add_test(t, projection_is_of_the_whole_chain);
    suite_add_tcase(s, t);
    return s;
}
