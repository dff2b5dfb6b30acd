/* check_sampler.c — the control loop's side: history, candidates and their choice, limits, what is held when things fail. */
#include "world_fixture.h"

Suite *dmc_suite_sampler(void);

static dmc_context *ctx;
static dmc_dataset *data;
static dmc_model *policy, *planner;
static dmc_critic *critic;

static void setup(void)
{
    const dmc_model_options o = world_policy(), p = world_planner();
    expect_ok(dmc_context_create(NULL, &ctx));
    data = world_data(ctx);
    policy = world_model(ctx, data, &o);
    planner = world_model(ctx, data, &p);
    critic = world_critic(ctx, data, 50);
}

static void teardown(void)
{
    dmc_critic_destroy(critic);
    dmc_model_destroy(planner);
    dmc_model_destroy(policy);
    dmc_dataset_destroy(data);
    dmc_context_destroy(ctx);
}

static const dmc_model *either(int i)
{
    return i ? planner : policy;
}

enum { MOST = 4096 };

typedef struct answer {
    dmc_status status;
    dmc_sampler_info info;
    size_t n, elems;
    int32_t cols;
    float act[MOST], all[MOST]; /* actions; candidates */
} answer;

/* One call with these observations of all conditions. */
static void ask_with(dmc_sampler *s, const float *obs, answer *a)
{
    const dmc_model *m = dmc__sampler_model(s->run);
    const dmc__sampler_config *c = dmc__sampler_get_config(s->run);
    a->cols = m->spec.net.cols;
    a->elems = (size_t)m->spec.net.horizon * (size_t)a->cols;
    a->n = (size_t)c->batch * (size_t)m->spec.net.horizon * WORLD_A;
    a->info.struct_size = sizeof a->info;
    a->status = dmc_sampler_sample(s, obs, (size_t)c->batch * WORLD_S, a->act, a->n);
    expect_ok(dmc_sampler_get_info(s, &a->info));
    expect_ok(dmc_sampler_candidates(s, a->all, (size_t)c->batch * (size_t)c->candidates * a->elems));
}

/* The same observation, number `which`, in all conditions. */
static void ask(dmc_sampler *s, uint64_t which, answer *a)
{
    float obs[16 * WORLD_S];
    for (int b = 0; b < 16; b++) world_observe(which, obs + b * WORLD_S);
    ask_with(s, obs, a);
    ck_assert_msg(a->status >= 0, "%s", dmc_last_error());
}

/* min(Q1,Q2) of one raw sample's first action, at the observation that was asked with. */
static float worth(const dmc_model *m, uint64_t which, const float *z)
{
    float obs[WORLD_S], q1, q2;
    world_observe(which, obs);
    expect_ok(dmc_critic_q(critic, 1, obs, z + (m->spec.role ? WORLD_S : 0), &q1, &q2));
    return fminf(q1, q2);
}

/* ---- history ---------------------------------------------------------------------------------------- */

/* Without noise an answer says which condition was used. */
static dmc_sampler_options silent(void)
{
    dmc_sampler_options o = world_sampling(1, 1, DMC_SELECT_FIRST);
    o.sampler = DMC_SAMPLER_DDIM;
    o.temperature = 0;
    return o;
}

static dmc_model *three_observations(void)
{
    dmc_model_options o = world_policy();
    o.n_obs = 3;
    return world_model(ctx, data, &o);
}

/* The answer to the last of n observations asked one after the other. */
static void ask_sequence(dmc_sampler *s, const uint64_t *which, int n, answer *a)
{
    expect_ok(dmc_sampler_reset(s, 1));
    for (int i = 0; i < n; i++) ask(s, which[i], a);
}

START_TEST(the_window_holds_the_newest_observations)
{
    const dmc_sampler_options o = silent();
    dmc_model *m = three_observations();
    dmc_sampler *s = world_sampler(m, NULL, &o);
    answer a, b;
    float cond[3 * WORLD_S], z[4];
    ask_sequence(s, (const uint64_t[]){1, 2, 3}, 3, &a);
    ask_sequence(s, (const uint64_t[]){9, 1, 2, 3}, 4, &b);
    ck_assert_mem_eq(a.act, b.act, a.n * sizeof *a.act);
    ask_sequence(s, (const uint64_t[]){3, 2, 1}, 3, &b);
    ck_assert_mem_ne(a.act, b.act, a.n * sizeof *a.act);
    for (uint64_t i = 0; i < 3; i++) { /* oldest first */
        world_observe(i + 1, cond + i * WORLD_S);
        dmc__normaliser_apply(&m->obs, cond + i * WORLD_S, 1, cond + i * WORLD_S);
    }
    dmc_sampler_options by_hand = o;
    by_hand.steps = 5;
    world_denoise(m, &by_hand, 1, cond, z);
    for (size_t i = 0; i < 4; i++)
        ck_assert_float_eq_tol(a.all[i], z[i] * m->act.scale[i % 2] + m->act.shift[i % 2], 1e-4);
    dmc_sampler_destroy(s);
    dmc_model_destroy(m);
}
END_TEST

START_TEST(the_first_observation_fills_the_window)
{
    const dmc_sampler_options o = silent();
    dmc_model *m = three_observations();
    dmc_sampler *s = world_sampler(m, NULL, &o);
    answer a, b;
    ask_sequence(s, (const uint64_t[]){4}, 1, &a);
    ask_sequence(s, (const uint64_t[]){4, 4, 4}, 3, &b);
    ck_assert_mem_eq(a.act, b.act, a.n * sizeof *a.act);
    ask_sequence(s, (const uint64_t[]){4, 5}, 2, &a);
    ask_sequence(s, (const uint64_t[]){4, 4, 5}, 3, &b);
    ck_assert_mem_eq(a.act, b.act, a.n * sizeof *a.act);
    ask_sequence(s, (const uint64_t[]){5}, 1, &b);
    ck_assert_mem_ne(a.act, b.act, a.n * sizeof *a.act);
    dmc_sampler_destroy(s);
    dmc_model_destroy(m);
}
END_TEST

/* ---- choosing --------------------------------------------------------------------------------------- */

/* The best of a condition's candidates by the public critic. */
static int32_t best_of(const dmc_model *m, uint64_t which, const answer *a, int32_t from, int32_t n)
{
    int32_t best = 0;
    for (int32_t i = 1; i < n; i++)
        if (worth(m, which, a->all + (size_t)(from + i) * a->elems) >
            worth(m, which, a->all + (size_t)(from + best) * a->elems))
            best = i;
    return best;
}

START_TEST(greedy_takes_the_best_candidate)
{
    enum { C = 8 };
    const dmc_model *m = either(_i);
    const dmc_sampler_options o = world_sampling(2, C, DMC_SELECT_GREEDY);
    dmc_sampler *s = world_sampler(m, critic, &o);
    int other_than_first = 0;
    for (uint64_t call = 0; call < 6; call++) {
        float plan[MOST];
        answer a;
        ask(s, call, &a);
        for (int32_t b = 0; b < 2; b++) {
            const int32_t best = best_of(m, call, &a, b * C, C);
            other_than_first += best != 0;
            if (b == 0) {
                ck_assert_int_eq(a.info.chosen, best);
                ck_assert_double_eq_tol(a.info.q, worth(m, call, a.all + (size_t)best * a.elems), 1e-4);
            }
            expect_ok(dmc_sampler_plan(s, b, plan, a.elems));
            ck_assert_mem_eq(plan, a.all + (size_t)(b * C + best) * a.elems, a.elems * sizeof *plan);
        }
    }
    ck_assert_int_gt(other_than_first, 3);
    dmc_sampler_destroy(s);
}
END_TEST

START_TEST(expectation_is_the_mean)
{
    enum { C = 5 };
    const dmc_sampler_options o = world_sampling(2, C, DMC_SELECT_EXPECTATION);
    dmc_sampler *s = world_sampler(either(_i), NULL, &o);
    float plan[MOST];
    answer a;
    ask(s, 2, &a);
    ck_assert_int_eq(a.info.chosen, -1);
    ck_assert_double_nan(a.info.q);
    for (int32_t b = 0; b < 2; b++) {
        expect_ok(dmc_sampler_plan(s, b, plan, a.elems));
        for (size_t j = 0; j < a.elems; j++) {
            double sum = 0;
            for (int32_t i = 0; i < C; i++) sum += a.all[(size_t)(b * C + i) * a.elems + j] / (double)C;
            ck_assert_double_eq_tol(plan[j], sum, 1e-5 * (1 + fabs(sum)));
        }
    }
    dmc_sampler_destroy(s);
}
END_TEST

START_TEST(the_first_candidate_by_default)
{
    const dmc_sampler_options o = world_sampling(1, 3, DMC_SELECT_FIRST);
    dmc_sampler *s = world_sampler(policy, NULL, &o), *judged = world_sampler(policy, critic, &o);
    float plan[MOST];
    answer a, b;
    ask(s, 2, &a);
    ask(judged, 2, &b);
    expect_ok(dmc_sampler_plan(s, 0, plan, a.elems));
    ck_assert_mem_eq(plan, a.all, a.elems * sizeof *plan);
    ck_assert_int_eq(a.info.chosen, 0);
    ck_assert_double_nan(a.info.q);
    ck_assert_mem_eq(a.act, b.act, a.n * sizeof *a.act); /* a critic that does not choose changes nothing, */
    ck_assert_double_eq_tol(b.info.q, worth(policy, 2, b.all), 1e-4); /* but says what it thinks */
    ck_assert_int_eq(a.info.steps, 5);
    ck_assert_int_gt(a.info.nanoseconds, 0);
    dmc_sampler_destroy(judged);
    dmc_sampler_destroy(s);
}
END_TEST

START_TEST(a_cold_softmax_is_greedy)
{
    const dmc_sampler_options g = world_sampling(1, 6, DMC_SELECT_GREEDY);
    dmc_sampler_options o = g;
    dmc_model_options mo = world_policy();
    mo.clip = 0; /* samples clipped to the same corner would tie */
    dmc_model *m = world_model(ctx, data, &mo);
    o.select = DMC_SELECT_SOFTMAX;
    o.beta = 1e6;
    dmc_sampler *greedy = world_sampler(m, critic, &g), *s = world_sampler(m, critic, &o);
    for (uint64_t call = 0; call < 20; call++) {
        answer a, b;
        ask(greedy, call, &a);
        ask(s, call, &b);
        ck_assert_int_eq(a.info.chosen, b.info.chosen);
        ck_assert_mem_eq(a.act, b.act, a.n * sizeof *a.act);
    }
    dmc_sampler_destroy(s);
    dmc_sampler_destroy(greedy);
    dmc_model_destroy(m);
}
END_TEST

/* Candidate i is drawn with probability exp(beta Q_i) / sum: summed over calls, hits minus probabilities stays within four
 * standard deviations of zero. */
START_TEST(softmax_draws_with_its_weights)
{
    enum { C = 4, CALLS = 400 };
    static const double betas[] = {0, 20};
    dmc_sampler_options o = world_sampling(1, C, DMC_SELECT_SOFTMAX);
    double excess[C] = {0}, variance[C] = {0}, apart = 0;
    o.beta = betas[_i];
    dmc_sampler *s = world_sampler(policy, critic, &o);
    for (uint64_t call = 0; call < CALLS; call++) {
        double w[C], sum = 0;
        answer a;
        ask(s, call % 7, &a);
        for (int32_t i = 0; i < C; i++) sum += w[i] = exp(o.beta * worth(policy, call % 7, a.all + (size_t)i * a.elems));
        for (int32_t i = 0; i < C; i++) {
            const double p = w[i] / sum;
            excess[i] += (a.info.chosen == i) - p;
            variance[i] += p * (1 - p);
            apart += fabs(p - 1.0 / C) / (C * CALLS);
        }
    }
    if (o.beta > 0) ck_assert_double_gt(apart, 0.02); /* else this would test the uniform case again */
    for (int32_t i = 0; i < C; i++)
        ck_assert_msg(fabs(excess[i]) < 4 * sqrt(variance[i]), "candidate %d: %g too many, sigma %g", i, excess[i],
                      sqrt(variance[i]));
    dmc_sampler_destroy(s);
}
END_TEST

/* ---- limits and failures ---------------------------------------------------------------------------- */

/* A model that predicts far outside the data. */
static dmc_model *wild_model(double clip)
{
    dmc_model_options o = world_policy();
    o.clip = clip;
    dmc_model *m = world_model(ctx, data, &o), *wild = world_scaled(m, 4);
    dmc_model_destroy(m);
    return wild;
}

START_TEST(actions_are_clamped_and_counted)
{
    const dmc_sampler_options o = world_sampling(3, 2, DMC_SELECT_FIRST);
    dmc_model *m = wild_model(0);
    dmc_sampler *s = world_sampler(m, NULL, &o);
    int32_t outside = 0;
    answer a;
    ask(s, 1, &a);
    ck_assert_int_eq(a.status, DMC_CLAMPED);
    for (size_t i = 0; i < a.n; i++) {
        float plan[4];
        const float lo = m->act.lo[i % 2], hi = m->act.hi[i % 2];
        expect_ok(dmc_sampler_plan(s, (int32_t)(i / 4), plan, 4));
        const float x = plan[i % 4];
        outside += x < lo || x > hi;
        ck_assert_float_eq(a.act[i], x < lo ? lo : x > hi ? hi : x);
    }
    ck_assert_int_gt(outside, 0);
    ck_assert_int_eq(a.info.clamped, outside);
    dmc_sampler_destroy(s);
    dmc_model_destroy(m);
}
END_TEST

/* With samples clipped to [-1,1] actions reach the limits but not beyond; rounding on the way back is no event. */
START_TEST(an_action_at_its_limit_is_not_clamped)
{
    const dmc_sampler_options o = world_sampling(16, 8, DMC_SELECT_FIRST);
    dmc_model *m = wild_model(1);
    dmc_sampler *s = world_sampler(m, NULL, &o);
    int32_t at_limit = 0;
    answer a;
    ask(s, 1, &a);
    ck_assert_int_eq(a.status, DMC_OK);
    ck_assert_int_eq(a.info.clamped, 0);
    for (size_t i = 0; i < a.n; i++) {
        ck_assert_float_ge(a.act[i], m->act.lo[i % 2]);
        ck_assert_float_le(a.act[i], m->act.hi[i % 2]);
        at_limit += fabsf(a.act[i] - m->act.hi[i % 2]) < 1e-5f || fabsf(a.act[i] - m->act.lo[i % 2]) < 1e-5f;
    }
    ck_assert_int_gt(at_limit, 4);
    dmc_sampler_destroy(s);
    dmc_model_destroy(m);
}
END_TEST

/* A broken sensor: the last good actions, and afterwards as if the call had not been made. */
START_TEST(a_bad_observation_holds_the_last_actions)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    const dmc_sampler_options o = world_sampling(2, 2, DMC_SELECT_FIRST);
    dmc_sampler *s = world_sampler(policy, NULL, &o), *calm = world_sampler(policy, NULL, &o);
    float obs[2 * WORLD_S];
    answer a, b;
    for (int i = 0; i < 2; i++) world_observe(6, obs + i * WORLD_S);
    obs[4] = bad[_i];
    memset(b.act, 0x7f, sizeof b.act);
    ck_assert_int_eq(dmc_sampler_sample(s, obs, 2 * WORLD_S, b.act, 8), DMC_ENUMERIC);
    ck_assert_ptr_nonnull(strstr(dmc_last_error(), "not finite"));
    for (int i = 0; i < 8; i += 2) { /* zero is inside the limits of action 0, below those of action 1 */
        ck_assert_float_eq(b.act[i], 0);
        ck_assert_float_eq(b.act[i + 1], policy->act.lo[1]);
    }
    ask(s, 1, &a);
    ck_assert_int_eq(dmc_sampler_sample(s, obs, 2 * WORLD_S, b.act, 8), DMC_ENUMERIC);
    ck_assert_mem_eq(a.act, b.act, a.n * sizeof *a.act);
    ask(s, 2, &a);
    ask(calm, 1, &b);
    ask(calm, 2, &b);
    ck_assert_mem_eq(a.act, b.act, a.n * sizeof *a.act);
    expect_ok(dmc_sampler_reset(s, 0)); /* what was good before a reset is not any more */
    ck_assert_int_eq(dmc_sampler_sample(s, obs, 2 * WORLD_S, b.act, 8), DMC_ENUMERIC);
    ck_assert_float_eq(b.act[0], 0);
    ck_assert_float_eq(b.act[1], policy->act.lo[1]);
    dmc_sampler_destroy(calm);
    dmc_sampler_destroy(s);
}
END_TEST

START_TEST(an_exploding_model_holds_the_last_actions)
{
    dmc_model_options mo = world_policy();
    mo.clip = 0;
    dmc_model *m = world_model(ctx, data, &mo), *bomb = world_scaled(m, 1e12f);
    const dmc_sampler_options o = world_sampling(1, 1, DMC_SELECT_FIRST);
    dmc_sampler *s = world_sampler(m, NULL, &o);
    float obs[WORLD_S], act[4];
    answer a;
    ask(s, 1, &a);
    expect_ok(dmc_sampler_rebind(s, bomb));
    world_observe(2, obs);
    expect_failure(dmc_sampler_sample(s, obs, WORLD_S, act, 4), DMC_ENUMERIC, "the sample of call 1 is not finite");
    ck_assert_mem_eq(act, a.act, sizeof act);
    dmc_sampler *none = (dmc_sampler *)(uintptr_t)1; /* nor can a sampler be made of it */
    expect_failure(dmc_sampler_create(NULL, bomb, NULL, &o, &none), DMC_ENUMERIC, "not finite");
    ck_assert_ptr_null(none);
    dmc_sampler_destroy(s);
    dmc_model_destroy(bomb);
    dmc_model_destroy(m);
}
END_TEST

/* ---- planners --------------------------------------------------------------------------------------- */

START_TEST(a_plan_starts_where_we_are)
{
    const dmc_sampler_options o = world_sampling(2, 3, DMC_SELECT_EXPECTATION + _i);
    dmc_sampler *s = world_sampler(planner, critic, &o);
    float obs[2 * WORLD_S], want[WORLD_S];
    answer a;
    for (uint64_t b = 0; b < 2; b++) world_observe(40 + b, obs + b * WORLD_S);
    ask_with(s, obs, &a);
    ck_assert_int_ge(a.status, 0);
    for (size_t i = 0; i < 6; i++) {
        memcpy(want, obs + i / 3 * WORLD_S, sizeof want); /* to the bit */
        ck_assert_mem_eq(a.all + i * a.elems, want, sizeof want);
    }
    ck_assert_mem_ne(a.all + a.cols, want, sizeof want); /* row 1 is drawn */
    for (size_t h = 0; h < 4; h++) { /* actions are the columns behind the state */
        float plan[MOST];
        expect_ok(dmc_sampler_plan(s, 0, plan, a.elems));
        for (size_t j = 0; j < WORLD_A; j++) {
            const float x = plan[h * (size_t)a.cols + WORLD_S + j];
            ck_assert_float_eq(a.act[h * WORLD_A + j], fminf(fmaxf(x, planner->act.lo[j]), planner->act.hi[j]));
        }
    }
    dmc_sampler_destroy(s);
}
END_TEST

/* ---- the same again --------------------------------------------------------------------------------- */

START_TEST(a_reset_repeats_everything)
{
    dmc_sampler_options o = world_sampling(2, 3, DMC_SELECT_SOFTMAX);
    dmc_sampler *s = world_sampler(either(_i), critic, &o), *twin = world_sampler(either(_i), critic, &o);
    answer first[3], again;
    for (uint64_t i = 0; i < 3; i++) ask(s, i, &first[i]);
    ck_assert_mem_ne(first[0].act, first[1].act, first[0].n * sizeof(float));
    expect_ok(dmc_sampler_reset(s, o.seed));
    for (uint64_t i = 0; i < 3; i++) {
        ask(s, i, &again);
        ck_assert_mem_eq(again.all, first[i].all, 6 * again.elems * sizeof(float));
        ck_assert_int_eq(again.info.chosen, first[i].info.chosen);
        ask(twin, i, &again); /* warming up has left no trace */
        ck_assert_mem_eq(again.act, first[i].act, again.n * sizeof(float));
    }
    expect_ok(dmc_sampler_reset(s, o.seed + 1));
    ask(s, 0, &again);
    ck_assert_mem_ne(again.act, first[0].act, again.n * sizeof(float));
    dmc_sampler_destroy(twin);
    dmc_sampler_destroy(s);
}
END_TEST

/* Noise belongs to the number of a sample, condition * candidates + candidate, so sample 5 of a call is the same whether it
 * is candidate 5 of one condition, or condition 5, or candidate 1 of condition 2: the observation being equal. Row b of a
 * batch is therefore not what a sampler with batch 1 gives, except for row 0. On every device and with any number of threads the
 * arithmetic of a row does not depend on its neighbours. */
START_TEST(samples_are_numbered_through)
{
    static const int32_t split[5][2] = {{1, 6}, {6, 1}, {3, 2}, {2, 3}, {1, 1}};
    static const char *const device[] = {"ref", "cpu", "ref64"};
    const dmc_model_options mo = _i / 3 ? world_planner() : world_policy();
    answer a, first;
    for (int32_t threads = 1; threads <= 3; threads++) {
        dmc_context_options c;
        dmc_context *own;
        dmc_context_options_init(&c, sizeof c);
        c.device = device[_i % 3];
        c.threads = threads;
        expect_ok(dmc_context_create(&c, &own));
        dmc_model *m = world_model(own, data, &mo);
        for (int i = 0; i < 5; i++) {
            const dmc_sampler_options o = world_sampling(split[i][0], split[i][1], DMC_SELECT_FIRST);
            dmc_sampler *s;
            expect_ok(dmc_sampler_create(own, m, NULL, &o, &s));
            for (uint64_t call = 0; call < 2; call++) ask(s, 3, &a);
            dmc_sampler_destroy(s);
            if (threads == 1 && i == 0) first = a;
            ck_assert_mem_eq(first.all, a.all, (size_t)split[i][0] * (size_t)split[i][1] * a.elems * sizeof(float));
        }
        dmc_model_destroy(m);
        dmc_context_destroy(own);
    }
    ck_assert_mem_ne(first.all, first.all + first.elems, first.elems * sizeof(float));
}
END_TEST

START_TEST(rebinding_uses_the_other_weights)
{
    const dmc_model_options mo = world_policy();
    dmc_model_options other = mo;
    other.seed = 99;
    dmc_model *b = world_model(ctx, data, &other), *from_file;
    const dmc_sampler_options o = world_sampling(1, 4, DMC_SELECT_GREEDY);
    dmc_sampler *s = world_sampler(policy, critic, &o), *t = world_sampler(b, critic, &o);
    answer x, y;
    ask(s, 1, &x);
    ask(t, 1, &y);
    ck_assert_mem_ne(x.act, y.act, x.n * sizeof(float));
    fixture_make();
    expect_ok(dmc_model_save(b, fixture_path("b")));
    expect_ok(dmc_model_load(ctx, fixture_path("b"), &from_file));
    fixture_remove();
    expect_ok(dmc_sampler_rebind(s, from_file));
    ask(s, 2, &x); /* history and numbers of the noise go on */
    ask(t, 2, &y);
    ck_assert_mem_eq(x.all, y.all, 4 * x.elems * sizeof(float));
    dmc_sampler_destroy(t);
    dmc_sampler_destroy(s);
    dmc_model_destroy(from_file);
    dmc_model_destroy(b);
}
END_TEST

/* A controller that swaps models may drop the old one. */
START_TEST(the_old_model_may_go)
{
    dmc_sampler_options o = world_sampling(1, 2, DMC_SELECT_FIRST);
    o.cascade_passes = 1;
    dmc_model *old = world_cascade(policy), *new = world_cascade(policy);
    dmc_sampler *s = world_sampler(old, NULL, &o), *t = world_sampler(new, NULL, &o);
    answer x, y;
    expect_ok(dmc_sampler_rebind(s, new));
    for (int32_t i = 0; i < WORLD_S; i++) old->obs.scale[i] = NAN; /* whoever still looks will notice */
    dmc_model_destroy(old);
    ask(s, 1, &x);
    ask(t, 1, &y);
    ck_assert_mem_eq(x.all, y.all, 2 * x.elems * sizeof(float));
    dmc_sampler_destroy(t);
    dmc_sampler_destroy(s);
    dmc_model_destroy(new);
}
END_TEST

START_TEST(rebinding_needs_the_same_contract)
{
    const dmc_sampler_options o = world_sampling(1, 1, DMC_SELECT_FIRST);
    dmc_sampler *s = world_sampler(policy, NULL, &o);
    dmc_model_options other[6];
    for (int i = 0; i < 6; i++) other[i] = world_policy();
    other[0].hidden = 17;
    other[1].train_steps = 6;
    other[2].predict = DMC_PREDICT_X0;
    other[3].act_norm = DMC_NORM_NONE;
    other[4].obs_norm = DMC_NORM_MINMAX;
    other[5].n_obs = 1;
    for (int i = 0; i < 6; i++) {
        dmc_model *m = world_model(ctx, data, &other[i]);
        expect_failure(dmc_sampler_rebind(s, m), DMC_ESHAPE, "dmc_sampler_rebind: the new model's");
        dmc_model_destroy(m);
    }
    dmc_model *big = world_cascade(policy);
    expect_failure(dmc_sampler_rebind(s, big), DMC_ESHAPE, "differs");
    dmc_model_destroy(big);
    expect_failure(dmc_sampler_rebind(s, NULL), DMC_EINVAL, "m is NULL");
    expect_failure(dmc_sampler_rebind(NULL, policy), DMC_EINVAL, "s is NULL");
    dmc_sampler_destroy(s);
}
END_TEST

/* ---- cascades --------------------------------------------------------------------------------------- */

START_TEST(a_cascade_never_lowers_q)
{
    enum { C = 12 };
    dmc_model *m = world_cascade(either(_i));
    answer pass[4];
    int32_t replaced = 0, kept = 0;
    for (int32_t p = 0; p < 4; p++) {
        dmc_sampler_options o = world_sampling(1, C, DMC_SELECT_GREEDY);
        o.cascade_passes = p;
        dmc_sampler *s = world_sampler(m, critic, &o);
        ask(s, 4, &pass[p]);
        dmc_sampler_destroy(s);
    }
    for (int32_t p = 1; p < 4; p++)
        for (size_t i = 0; i < C; i++) {
            const float *was = pass[p - 1].all + i * pass[p].elems, *now = pass[p].all + i * pass[p].elems;
            const int same = memcmp(was, now, pass[p].elems * sizeof *now) == 0;
            kept += same;
            replaced += !same;
            if (!same) ck_assert_float_ge(worth(m, 4, now), worth(m, 4, was) - 1e-5f);
        }
    ck_assert_int_gt(replaced, 2);
    ck_assert_int_gt(kept, 2);
    ck_assert_double_ge(pass[1].info.q, pass[0].info.q);
    ck_assert_double_ge(pass[2].info.q, pass[1].info.q);
    ck_assert_double_ge(pass[3].info.q, pass[2].info.q);
    ck_assert_double_eq_tol(pass[3].info.q, worth(m, 4, pass[3].all + (size_t)pass[3].info.chosen * pass[3].elems), 1e-4);
    dmc_model_destroy(m);
}
END_TEST

START_TEST(without_a_critic_a_cascade_replaces_all)
{
    dmc_model *m = world_cascade(policy);
    dmc_sampler_options o = world_sampling(1, 4, DMC_SELECT_FIRST);
    dmc_sampler *plain = world_sampler(m, NULL, &o), *none;
    o.cascade_passes = 2;
    dmc_sampler *s = world_sampler(m, NULL, &o);
    none = world_sampler(policy, NULL, &o); /* a model that has no cascade */
    answer a, b, c;
    ask(plain, 4, &a);
    ask(s, 4, &b);
    ask(none, 4, &c);
    for (size_t i = 0; i < 4; i++) ck_assert_mem_ne(a.all + i * a.elems, b.all + i * a.elems, a.elems * sizeof(float));
    ck_assert_mem_eq(a.all, c.all, 4 * a.elems * sizeof(float));
    ck_assert_uint_gt(dmc_sampler_memory(s), dmc_sampler_memory(plain));
    dmc_sampler_destroy(none);
    dmc_sampler_destroy(s);
    dmc_sampler_destroy(plain);
    dmc_model_destroy(m);
}
END_TEST

/* ---- arguments and memory --------------------------------------------------------------------------- */

#define expect_no_sampler(m, c, o, want, part)                                       \
    do {                                                                             \
        dmc_sampler *s_ = (dmc_sampler *)(uintptr_t)1;                               \
        expect_failure(dmc_sampler_create(NULL, (m), (c), (o), &s_), (want), (part)); \
        ck_assert_ptr_null(s_);                                                      \
    } while (0)

START_TEST(options_are_refused_by_name)
{
    dmc_sampler_options o = world_sampling(1, 1, DMC_SELECT_FIRST);
    o.steps = 6;
    expect_no_sampler(policy, NULL, &o, DMC_ERANGE, "steps = 6, must be 0..5");
    o = world_sampling(1, 1, DMC_SELECT_GREEDY);
    expect_no_sampler(policy, NULL, &o, DMC_EINVAL, "select = greedy needs a critic");
    o = world_sampling(1, 1, DMC_SELECT_SOFTMAX);
    expect_no_sampler(policy, NULL, &o, DMC_EINVAL, "select = softmax needs a critic");
    o = world_sampling(4096, 4096, DMC_SELECT_FIRST);
    expect_no_sampler(policy, NULL, &o, DMC_ERANGE, "batch * candidates = 4096 * 4096");
    o = world_sampling(0, 1, DMC_SELECT_FIRST);
    expect_no_sampler(policy, NULL, &o, DMC_ERANGE, "batch = 0, must be 1..4096");
    o = world_sampling(1, 1, 4);
    expect_no_sampler(policy, NULL, &o, DMC_ERANGE, "select");
    o = world_sampling(1, 1, DMC_SELECT_FIRST);
    o.temperature = NAN;
    expect_no_sampler(policy, NULL, &o, DMC_ERANGE, "temperature");
    expect_no_sampler(NULL, NULL, NULL, DMC_EINVAL, "m is NULL");
    expect_failure(dmc_sampler_create(NULL, policy, NULL, NULL, NULL), DMC_EINVAL, "out is NULL");
    dmc_sampler_destroy(NULL);
}
END_TEST

START_TEST(a_critic_of_other_widths_is_refused)
{
    const float obs[4] = {0, 1, 2, 3}, act[2] = {0, 1}, rew[2] = {0};
    const uint8_t end[2] = {0, 1};
    const dmc_sampler_options o = world_sampling(1, 1, DMC_SELECT_GREEDY);
    dmc_dataset *d;
    expect_ok(dmc_dataset_create(ctx, 2, 2, 1, obs, act, rew, end, NULL, NULL, &d));
    dmc_critic *c = world_critic(ctx, d, 0);
    expect_no_sampler(policy, c, &o, DMC_ESHAPE, "the critic is for observations of 2 and actions of 1, the model for 3 and 2");
    dmc_critic_destroy(c);
    dmc_dataset_destroy(d);
}
END_TEST

START_TEST(devices_do_not_mix)
{
    dmc_context_options c;
    dmc_context *ref;
    dmc_sampler *s = (dmc_sampler *)(uintptr_t)1;
    dmc_context_options_init(&c, sizeof c);
    c.device = "ref64";
    expect_ok(dmc_context_create(&c, &ref));
    expect_failure(dmc_sampler_create(ref, policy, NULL, NULL, &s), DMC_EINVAL, "device is ref64");
    ck_assert_ptr_null(s);
    dmc_context_destroy(ref);
}
END_TEST

START_TEST(counts_and_pointers_are_checked)
{
    const dmc_sampler_options o = world_sampling(2, 3, DMC_SELECT_FIRST);
    dmc_sampler *s = world_sampler(policy, NULL, &o);
    float x[64] = {0};
    dmc_sampler_info info = {.struct_size = 4};
    expect_failure(dmc_sampler_sample(s, x, 5, x, 8), DMC_ESHAPE, "n_obs = 5, must be batch * obs_dim = 6");
    expect_failure(dmc_sampler_sample(s, x, 6, x, 4), DMC_ESHAPE, "n_out = 4, must be batch * horizon * act_dim = 8");
    expect_failure(dmc_sampler_sample(s, NULL, 6, x, 8), DMC_EINVAL, "obs is NULL");
    expect_failure(dmc_sampler_sample(s, x, 6, NULL, 8), DMC_EINVAL, "out is NULL");
    expect_failure(dmc_sampler_sample(NULL, x, 6, x, 8), DMC_EINVAL, "s is NULL");
    expect_failure(dmc_sampler_plan(s, 2, x, 4), DMC_ERANGE, "b = 2, must be 0..1");
    expect_failure(dmc_sampler_plan(s, -1, x, 4), DMC_ERANGE, "b = -1");
    expect_failure(dmc_sampler_plan(s, 0, x, 5), DMC_ESHAPE, "n = 5, must be horizon * columns = 4");
    expect_failure(dmc_sampler_plan(s, 0, NULL, 4), DMC_EINVAL, "out is NULL");
    expect_failure(dmc_sampler_candidates(s, x, 25), DMC_ESHAPE, "n = 25");
    expect_failure(dmc_sampler_candidates(s, NULL, 24), DMC_EINVAL, "out is NULL");
    expect_failure(dmc_sampler_get_info(s, &info), DMC_EINVAL, "info->struct_size = 4");
    info.struct_size = sizeof info + 8;
    expect_failure(dmc_sampler_get_info(s, &info), DMC_EINVAL, "struct_size");
    info = (dmc_sampler_info){.struct_size = offsetof(dmc_sampler_info, planned), .steps = -1, .planned = -7};
    expect_ok(dmc_sampler_get_info(s, &info)); /* as it was when it was shorter */
    ck_assert_int_ge(info.steps, 0);
    ck_assert_int_eq(info.planned, -7);
    ck_assert_int_eq(info.struct_size, offsetof(dmc_sampler_info, planned));
    expect_failure(dmc_sampler_get_info(s, NULL), DMC_EINVAL, "info is NULL");
    expect_failure(dmc_sampler_reset(NULL, 0), DMC_EINVAL, "s is NULL");
    dmc_sampler_destroy(s);
}
END_TEST

START_TEST(memory_is_counted)
{
    failing_alloc f = {0};
    dmc_context *own = world_context(&f, "cpu");
    const dmc_model_options mo = world_policy();
    dmc_model *m = world_model(own, data, &mo);
    size_t last = 0;
    for (int32_t c = 1; c <= 64; c *= 8) {
        const dmc_sampler_options o = world_sampling(1, c, DMC_SELECT_FIRST);
        dmc_sampler *s;
        expect_ok(dmc_sampler_create(own, m, critic, &o, &s));
        ck_assert_uint_gt(dmc_sampler_memory(s), last);
        last = dmc_sampler_memory(s);
        dmc_sampler_destroy(s);
    }
    ck_assert_uint_eq(dmc_sampler_memory(NULL), 0);
    dmc_model_destroy(m);
    dmc_context_destroy(own);
    ck_assert_int_eq(f.live, 0);
}
END_TEST

typedef struct make_args {
    dmc_context *ctx;
    dmc_model *m;
} make_args;

static dmc_status create_in(void *user, void **out)
{
    const make_args *a = user;
    dmc_sampler_options o = world_sampling(2, 2, DMC_SELECT_SOFTMAX);
    o.cascade_passes = 1;
    return dmc_sampler_create(a->ctx, a->m, critic, &o, (dmc_sampler **)out);
}

static void destroy(void *s)
{
    dmc_sampler_destroy(s);
}

START_TEST(creating_without_memory)
{
    failing_alloc f = {0};
    dmc_context *own = world_context(&f, "cpu");
    const dmc_model_options p = world_policy();
    dmc_model *m = world_model(own, data, &p);
    make_args a = {own, world_cascade(m)};
    world_without_memory(&f, &a, create_in, destroy);
    dmc_model_destroy(a.m);
    dmc_model_destroy(m);
    dmc_context_destroy(own);
    ck_assert_int_eq(f.live, 0);
}
END_TEST

static void add_case(Suite *s, TCase *c)
{
    tcase_add_checked_fixture(c, setup, teardown);
    suite_add_tcase(s, c);
}

Suite *dmc_suite_sampler(void)
{
    Suite *s = suite_create("sampler");
    TCase *c = tcase_create("history");
    add_case(s, c);
    tcase_add_test(c, the_window_holds_the_newest_observations);
    tcase_add_test(c, the_first_observation_fills_the_window);
    c = tcase_create("choice");
    add_case(s, c);
    tcase_add_loop_test(c, greedy_takes_the_best_candidate, 0, 2);
    tcase_add_loop_test(c, expectation_is_the_mean, 0, 2);
    tcase_add_test(c, the_first_candidate_by_default);
    tcase_add_test(c, a_cold_softmax_is_greedy);
    tcase_add_loop_test(c, softmax_draws_with_its_weights, 0, 2);
    c = tcase_create("limits");
    add_case(s, c);
    tcase_add_test(c, actions_are_clamped_and_counted);
    tcase_add_test(c, an_action_at_its_limit_is_not_clamped);
    tcase_add_loop_test(c, a_bad_observation_holds_the_last_actions, 0, 3);
    tcase_add_test(c, an_exploding_model_holds_the_last_actions);
    tcase_add_loop_test(c, a_plan_starts_where_we_are, 0, 2);
    c = tcase_create("again");
    add_case(s, c);
    tcase_add_loop_test(c, a_reset_repeats_everything, 0, 2);
    tcase_add_loop_test(c, samples_are_numbered_through, 0, 6);
    tcase_add_test(c, rebinding_uses_the_other_weights);
    tcase_add_test(c, the_old_model_may_go);
    tcase_add_test(c, rebinding_needs_the_same_contract);
    c = tcase_create("cascade");
    add_case(s, c);
    tcase_add_loop_test(c, a_cascade_never_lowers_q, 0, 2);
    tcase_add_test(c, without_a_critic_a_cascade_replaces_all);
    c = tcase_create("arguments");
    add_case(s, c);
    tcase_add_test(c, options_are_refused_by_name);
    tcase_add_test(c, a_critic_of_other_widths_is_refused);
    tcase_add_test(c, devices_do_not_mix);
    tcase_add_test(c, counts_and_pointers_are_checked);
    tcase_add_test(c, memory_is_counted);
    tcase_add_test(c, creating_without_memory);
    return s;
}
