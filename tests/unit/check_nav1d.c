/* check_nav1d.c — Nav1D against the numbers published for it.
 *
 * Exact numbers are compared to their last digit, sampled ones to three standard errors. The
 * example is no part of the library, so its sources are taken in whole.
 */
#include "examples/nav1d/nav1d_env.c"
#include "examples/nav1d/nav1d_expert.c"
#include "examples/nav1d/nav1d_data.c"
#include "examples/nav1d/nav1d_coherency.c"

#include <check.h>
#include <string.h>

Suite *dmc_suite_nav1d(void);

#define NEAR(x, expected, tolerance) ck_assert_double_eq_tol(x, expected, tolerance)

/* ---- what the tests share -------------------------------------------------------------- */

typedef double (*policy)(const void *user, int32_t t, double s);

/* Return of one episode from s; path (13) may be NULL. */
static double roll_out(policy act, const void *user, double s, double *path)
{
    nav1d_env e;
    double sum = 0.0, reward = 0.0;
    int32_t done = 0;
    nav1d_env_start(&e, s, 0);
    if (path) path[0] = e.state;
    /* no ck_assert here: Check writes a message for each, even if it holds */
    while (!done) {
        if (nav1d_env_step(&e, act(user, e.time, e.state), &reward, &done) != 0) return NAN;
        sum += reward;
        if (path) path[e.time] = e.state;
    }
    return sum;
}

static double act_zero(const void *user, int32_t t, double s)
{
    (void)user, (void)t, (void)s;
    return 0.0;
}

static double act_myopic(const void *user, int32_t t, double s)
{
    (void)user;
    return (nav1d_target(t + 1) - s) / NAV1D_GAMMA;
}

static double act_expert(const void *user, int32_t t, double s)
{
    return nav1d_expert_action(user, t, s);
}

typedef struct draws {
    const nav1d_behaviour *b;
    uint64_t seed, episode;
} draws;

static double act_behaviour(const void *user, int32_t t, double s)
{
    const draws *d = user;
    return nav1d_behaviour_draw(d->b, s, t, d->seed, d->episode);
}

/* Mean return over starts in U[low,high], by the midpoint rule. */
static double mean_return(policy act, const void *user, double low, double high)
{
    enum { POINTS = 50000 };
    double sum = 0.0;
    for (int i = 0; i < POINTS; i++)
        sum += roll_out(act, user, low + (high - low) * (i + 0.5) / POINTS, NULL);
    return sum / POINTS;
}

typedef struct moments {
    double mean, sd, mean_se, sd_se, max;
} moments;

static moments measure(const double *x, size_t n)
{
    moments m = {.max = x[0]};
    double square = 0.0, fourth = 0.0;
    for (size_t i = 0; i < n; i++) m.mean += x[i] / (double)n;
    for (size_t i = 0; i < n; i++) {
        const double d = (x[i] - m.mean) * (x[i] - m.mean);
        square += d / (double)n;
        fourth += d * d / (double)n;
        m.max = fmax(m.max, x[i]);
    }
    m.sd = sqrt(square);
    m.mean_se = m.sd / sqrt((double)n);
    m.sd_se = sqrt((fourth - square * square) / (double)n) / (2.0 * m.sd);
    return m;
}

/* Published values are rounded to `unit`. */
static void expect_moments(const char *name, moments m, double mean, double sd, double unit)
{
    ck_assert_msg(fabs(m.mean - mean) <= 3.0 * m.mean_se + unit / 2,
                  "%s: mean %g +- %g, published %g", name, m.mean, m.mean_se, mean);
    ck_assert_msg(fabs(m.sd - sd) <= 3.0 * m.sd_se + unit / 2, "%s: sd %g +- %g, published %g",
                  name, m.sd, m.sd_se, sd);
}

/* Returns of the episodes of a data set; the caller frees. */
static double *episode_returns(const nav1d_data *d)
{
    double *sums = calloc(d->n / NAV1D_STEPS, sizeof *sums);
    ck_assert_ptr_nonnull(sums);
    for (size_t i = 0; i < d->n; i++) sums[i / NAV1D_STEPS] += d->rewards[i];
    return sums;
}

static moments measure_data(const nav1d_behaviour *b, int32_t episodes, uint64_t seed)
{
    nav1d_data d;
    ck_assert_int_eq(nav1d_data_create(b, episodes, seed, 0, &d), 0);
    double *sums = episode_returns(&d);
    const moments m = measure(sums, (size_t)episodes);
    free(sums);
    nav1d_data_destroy(&d);
    return m;
}

static nav1d_expert *make_expert(double ceiling)
{
    nav1d_expert *e = nav1d_expert_create(NAV1D_EXPERT_STATES, NAV1D_EXPERT_ACTIONS, ceiling);
    ck_assert_ptr_nonnull(e);
    return e;
}

/* ---- rules ----------------------------------------------------------------------------- */

START_TEST(rules)
{
    nav1d_env e;
    double reward = -1.0;
    int32_t done = -1;
    ck_assert_double_eq(nav1d_next(0.9, 1.0), 1.0);
    NEAR(nav1d_next(0.5, -7.0), 0.1, 1e-15);
    ck_assert_double_eq(nav1d_reward(1, 0.86), 1.0);
    NEAR(nav1d_reward(2, -0.72 + 0.088), exp(-0.5), 1e-14);
    nav1d_env_start(&e, 0.46, 0);
    ck_assert_int_eq(nav1d_env_step(&e, NAN, &reward, &done), -1);
    ck_assert_int_eq(nav1d_env_step(&e, INFINITY, &reward, &done), -1);
    ck_assert_int_eq(e.time, 0);
    for (int t = 1; t <= 12; t++) {
        ck_assert_int_eq(nav1d_env_step(&e, 1.0, &reward, &done), 0);
        ck_assert_int_eq(done, t == 12);
        if (t == 1) NEAR(reward, 1.0, 1e-12);
    }
    ck_assert_int_eq(nav1d_env_step(&e, 0.0, &reward, &done), -1);
}
END_TEST

START_TEST(observations)
{
    float obs[NAV1D_OBS];
    for (int32_t t = 0; t <= 12; t++) {
        nav1d_env_observe(&(nav1d_env){.state = 0.25, .time = t}, obs);
        ck_assert_int_eq(nav1d_observed_time(obs), t);
        ck_assert_double_eq(obs[0], 0.25);
        NEAR(obs[1], t / 6.0 - 1.0, 1e-7);
        NEAR(obs[2], cos(M_PI * t / 6.0), 1e-7);
        NEAR(obs[3], sin(M_PI * t / 6.0), 1e-7);
    }
    nav1d_env_observe(&(nav1d_env){.time = 0, .preview = 1}, obs);
    NEAR(obs[2], 0.86, 1e-7);
    NEAR(obs[3], -0.72, 1e-7);
    nav1d_env_observe(&(nav1d_env){.time = 11, .preview = 1}, obs);
    NEAR(obs[2], -0.56, 1e-7);
    ck_assert_double_eq(obs[3], 0.0);
    obs[1] = 0.05F;
    ck_assert_int_eq(nav1d_observed_time(obs), -1);
    obs[1] = NAN;
    ck_assert_int_eq(nav1d_observed_time(obs), -1);
}
END_TEST

START_TEST(random_numbers)
{
    /* Philox4x32-10 of counter 0 and key 0, from Random123's table of known answers */
    double u[2], v[2];
    nav1d_random(0, 0, 0, 0, u);
    ck_assert_double_eq(u[0], (double)(0x6627e8d5e169c58dULL >> 11) * 0x1p-53);
    ck_assert_double_eq(u[1], (double)(0xbc57ac4c9b00dbd8ULL >> 11) * 0x1p-53);
    const uint64_t far = 1ULL << 32;
    const struct {
        uint64_t seed;
        uint32_t purpose;
        uint64_t episode;
        uint32_t step;
    } other[] = {{1, 0, 0, 0}, {far, 0, 0, 0}, {0, 1, 0, 0},
                 {0, 0, 1, 0}, {0, 0, far, 0}, {0, 0, 0, 1}};
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        nav1d_random(other[i].seed, other[i].purpose, other[i].episode, other[i].step, v);
        ck_assert_double_ne(u[0], v[0]);
    }
    nav1d_env a, b;
    double starts[4096];
    for (uint64_t i = 0; i < 4096; i++) {
        nav1d_env_reset(&a, 7, i, 0);
        nav1d_env_reset(&b, 7, i, 1);
        ck_assert_double_eq(a.state, b.state);
        starts[i] = a.state;
    }
    expect_moments("starts", measure(starts, 4096), 0.0, 1.0 / sqrt(3.0), 0.0);
}
END_TEST

/* ---- optimum --------------------------------------------------------------------------- */

START_TEST(optimum_of_coarse_grids)
{
    nav1d_expert *e = nav1d_expert_create(201, 201, 1.0);
    ck_assert_ptr_nonnull(e);
    NEAR(nav1d_expert_mean(e, -1.0, 1.0), 7.427, 0.0005);
    nav1d_expert_destroy(e);
    e = make_expert(1.0);
    NEAR(nav1d_expert_mean(e, -1.0, 1.0), 7.429, 0.0005);
    /* what the table promises is what following it brings */
    NEAR(mean_return(act_expert, e, -1.0, 1.0), nav1d_expert_mean(e, -1.0, 1.0), 0.002);
    nav1d_expert_destroy(e);
}
END_TEST

START_TEST(optimum_of_fine_grid)
{
    static const double at[5] = {-1.0, -0.5, 0.0, 0.5, 1.0};
    static const double value[5] = {6.957, 7.106, 7.106, 8.106, 8.106};
    static const double best[13] = {0.0,  0.4,   0.001, 0.25,   0.325,  -0.075, 0.17,
                                    0.57, 0.767, 0.367, -0.033, -0.433, -0.56};
    enum { POINTS = 2001 };
    static double start_values[POINTS];
    double path[13];
    nav1d_expert *e = nav1d_expert_create(POINTS, 2001, 1.0);
    ck_assert_ptr_nonnull(e);
    NEAR(nav1d_expert_mean(e, -1.0, 1.0), 7.4295, 0.00005);
    for (int i = 0; i < POINTS; i++) start_values[i] = nav1d_expert_value(e, 0, -1.0 + i / 1000.0);
    NEAR(measure(start_values, POINTS).sd, 0.45, 0.005);
    for (int i = 0; i < 5; i++) NEAR(nav1d_expert_value(e, 0, at[i]), value[i], 0.0005);
    NEAR(roll_out(act_expert, e, 0.0, path), 7.106, 0.0005);
    for (int t = 0; t <= 12; t++) NEAR(path[t], best[t], 0.0005);
    nav1d_expert_destroy(e);
}
END_TEST

/* Published as 5.038 and 1.315; the integrals are these. */
START_TEST(simple_policies)
{
    NEAR(mean_return(act_myopic, NULL, -1.0, 1.0), 5.0386, 0.00006);
    NEAR(mean_return(act_zero, NULL, -1.0, 1.0), 1.3155, 0.00006);
}
END_TEST

/* Two readings of "the best that the partial data supports". From where that data starts it
 * is 4.361. The published 4.82 starts anywhere in [-1,1], where from above gamma nothing leads back
 * into the support and every action is allowed. */
START_TEST(optimum_in_support)
{
    nav1d_expert *e = make_expert(0.0);
    double path[13];
    NEAR(nav1d_expert_mean(e, -1.0, 1.0), 4.82, 0.005);
    NEAR(nav1d_expert_mean(e, -1.0, 0.0), 4.361, 0.0005);
    NEAR(mean_return(act_expert, e, -1.0, 0.0), 4.361, 0.001);
    (void)roll_out(act_expert, e, -0.3, path);
    for (int t = 0; t <= 12; t++) ck_assert_double_le(path[t], 1e-9);
    nav1d_expert_destroy(e);
}
END_TEST

START_TEST(expert_refuses)
{
    ck_assert_ptr_null(nav1d_expert_create(1, 201, 1.0));
    ck_assert_ptr_null(nav1d_expert_create(201, 100002, 1.0));
    ck_assert_ptr_null(nav1d_expert_create(201, 201, NAN));
    ck_assert_ptr_null(nav1d_expert_create(201, 201, 1.5));
    nav1d_expert_destroy(NULL);
}
END_TEST

/* ---- data sets ------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

START_TEST(random_policy)
{
    enum { EPISODES = 400000 };
    const nav1d_behaviour b = nav1d_behaviour_make(NAV1D_FULL, NULL);
    double *sums = malloc(EPISODES * sizeof *sums);
    ck_assert_ptr_nonnull(sums);
    for (uint64_t i = 0; i < EPISODES; i++) {
        nav1d_env e;
        nav1d_env_reset(&e, 3, i, 0);
        draws d = {.b = &b, .seed = 3, .episode = i};
        sums[i] = roll_out(act_behaviour, &d, e.state, NULL);
    }
    const moments m = measure(sums, EPISODES);
    expect_moments("random", m, 1.177, 0.757, 0.001);
    qsort(sums, EPISODES, sizeof *sums, ascending);
    /* standard error of a quantile: sqrt(p(1-p)/n) over the density there */
    const double slope = (sums[EPISODES / 1000 * 995] - sums[EPISODES / 1000 * 985]) / 0.01;
    const double quantile_se = sqrt(0.99 * 0.01 / EPISODES) * slope;
    NEAR(sums[EPISODES / 100 * 99], 3.20, 3.0 * quantile_se + 0.005);
    /* 5.92 was the largest of this many: about one should lie above */
    ck_assert_double_lt(sums[EPISODES - 6], 5.92);
    ck_assert_double_gt(m.max, 5.0);
    free(sums);
}
END_TEST

START_TEST(data_sets)
{
    nav1d_expert *e = make_expert(1.0);
    const nav1d_behaviour full = nav1d_behaviour_make(NAV1D_FULL, NULL);
    const nav1d_behaviour partial = nav1d_behaviour_make(NAV1D_PARTIAL, NULL);
    nav1d_behaviour expert = nav1d_behaviour_make(NAV1D_EXPERT, e);
    const moments of_partial = measure_data(&partial, NAV1D_EPISODES, NAV1D_PARTIAL);
    expect_moments("full", measure_data(&full, NAV1D_EPISODES, NAV1D_FULL), 1.177, 0.757, 0.001);
    expect_moments("partial", of_partial, 1.124, 0.691, 0.001);
    ck_assert_double_lt(of_partial.max, 4.361);
    expect_moments("expert", measure_data(&expert, NAV1D_EPISODES, NAV1D_EXPERT), 5.32, 1.33, 0.01);
    expert.epsilon = 0.15;
    expect_moments("expert, epsilon .15", measure_data(&expert, NAV1D_EPISODES, NAV1D_EXPERT), 5.75,
                   1.24, 0.01);
    expert.epsilon = 0.0;
    expert.noise = 0.13;
    const moments noisy = measure_data(&expert, NAV1D_EPISODES, NAV1D_EXPERT);
    NEAR(noisy.mean, 6.27, 3.0 * noisy.mean_se + 0.005);
    expert.noise = 0.0;
    const moments exact = measure_data(&expert, NAV1D_EPISODES, NAV1D_EXPERT);
    NEAR(exact.mean, 7.43, 3.0 * exact.mean_se + 0.005);
    nav1d_expert_destroy(e);
}
END_TEST

/* Whether row i holds what the rules make of it, and row i+1 of the same episode follows. */
static int row_is_consistent(const nav1d_data *d, size_t i)
{
    const float *obs = d->observations + i * NAV1D_OBS;
    const int32_t t = (int32_t)(i % NAV1D_STEPS);
    const int last = t == NAV1D_STEPS - 1;
    const double next = nav1d_next(obs[0], d->actions[i]);
    return nav1d_observed_time(obs) == t && fabsf(d->actions[i]) <= 1.0F &&
           d->terminals[i] == last && d->timeouts[i] == 0 &&
           fabs(d->rewards[i] - nav1d_reward(t + 1, next)) < 1e-5 &&
           (last || fabs(obs[NAV1D_OBS] - next) < 1e-6);
}

static void expect_consistent(const nav1d_data *d)
{
    size_t wrong = 0;
    for (size_t i = 0; i < d->n; i++) wrong += !row_is_consistent(d, i);
    ck_assert_uint_eq(wrong, 0);
}

START_TEST(data_follows_rules)
{
    nav1d_expert *e = make_expert(1.0);
    for (int32_t kind = NAV1D_FULL; kind <= NAV1D_EXPERT; kind++) {
        const nav1d_behaviour b = nav1d_behaviour_make(kind, e);
        nav1d_data d, again, preview;
        ck_assert_int_eq(nav1d_data_create(&b, NAV1D_EPISODES, (uint64_t)kind, 0, &d), 0);
        ck_assert_uint_eq(d.n, 49152);
        expect_consistent(&d);
        double highest = -1.0;
        for (size_t i = 0; i < d.n; i++) highest = fmax(highest, d.observations[i * NAV1D_OBS]);
        ck_assert_int_eq(highest <= 0.0, kind == NAV1D_PARTIAL);
        /* an episode depends on its number only, its actions not on what is observed */
        ck_assert_int_eq(nav1d_data_create(&b, 100, (uint64_t)kind, 0, &again), 0);
        ck_assert_int_eq(nav1d_data_create(&b, 100, (uint64_t)kind, 1, &preview), 0);
        ck_assert_mem_eq(again.observations, d.observations, again.n * NAV1D_OBS * sizeof(float));
        ck_assert_mem_eq(preview.actions, d.actions, preview.n * sizeof(float));
        NEAR(preview.observations[2], 0.86, 1e-7);
        nav1d_data_destroy(&preview);
        nav1d_data_destroy(&again);
        nav1d_data_destroy(&d);
    }
    nav1d_expert_destroy(e);
}
END_TEST

START_TEST(data_refuses)
{
    nav1d_data d;
    const nav1d_behaviour full = nav1d_behaviour_make(NAV1D_FULL, NULL);
    const nav1d_behaviour blind = nav1d_behaviour_make(NAV1D_EXPERT, NULL);
    const nav1d_behaviour unknown = nav1d_behaviour_make(3, NULL);
    ck_assert_int_eq(nav1d_data_create(&full, 0, 0, 0, &d), -1);
    ck_assert_int_eq(nav1d_data_create(&full, INT32_MAX, 0, 0, &d), -1);
    ck_assert_int_eq(nav1d_data_create(&blind, 1, 0, 0, &d), -1);
    ck_assert_int_eq(nav1d_data_create(&unknown, 1, 0, 0, &d), -1);
    ck_assert_ptr_null(d.observations);
    nav1d_data_destroy(&d);
    nav1d_data_destroy(NULL);
}
END_TEST

/* ---- coherency ------------------------------------------------------------------------- */

enum { STATES = 2000, DRAWS = 256 };

typedef struct score {
    double overlap, density;
} score;

/* Score of actions drawn from `actor` under `beta`, at the first STATES observations of beta's
 * own data. */
static score score_actor(const nav1d_behaviour *beta, const nav1d_behaviour *actor)
{
    nav1d_data d;
    score c;
    float *actions = malloc(sizeof *actions * STATES * DRAWS);
    ck_assert_ptr_nonnull(actions);
    ck_assert_int_eq(nav1d_data_create(beta, NAV1D_EPISODES, (uint64_t)beta->kind, 0, &d), 0);
    for (size_t i = 0; i < STATES * DRAWS; i++) {
        const float *obs = d.observations + i / DRAWS * NAV1D_OBS;
        actions[i] = nav1d_behaviour_draw(actor, obs[0], nav1d_observed_time(obs), 77, i);
    }
    ck_assert_int_eq(nav1d_coherency_policy(beta, d.observations, actions, STATES, DRAWS,
                                            &c.overlap, &c.density),
                     0);
    nav1d_data_destroy(&d);
    free(actions);
    return c;
}

/* What 256 draws of a uniform policy itself score: 1 - 20/2 E|p - 1/20|, p the binomial share of
 * one bin. */
static double uniform_self_overlap(void)
{
    double deviation = 0.0, mass = pow(0.95, DRAWS);
    for (int k = 0; k <= DRAWS; k++) {
        deviation += mass * fabs((double)k / DRAWS - 0.05);
        mass *= (double)(DRAWS - k) / (k + 1) * 0.05 / 0.95;
    }
    return 1.0 - 10.0 * deviation;
}

/* Mean of P(a <= min(1,-s/gamma)) for a ~ U[-1,1], over the observations that score_actor uses. */
static double mean_inside_partial(void)
{
    const nav1d_behaviour partial = nav1d_behaviour_make(NAV1D_PARTIAL, NULL);
    nav1d_data d;
    double sum = 0.0;
    ck_assert_int_eq(nav1d_data_create(&partial, NAV1D_EPISODES, NAV1D_PARTIAL, 0, &d), 0);
    for (size_t i = 0; i < STATES; i++)
        sum += 0.5 * (1.0 + fmin(1.0, -d.observations[i * NAV1D_OBS] / NAV1D_GAMMA));
    nav1d_data_destroy(&d);
    return sum / STATES;
}

START_TEST(policy_coherency)
{
    nav1d_expert *e = make_expert(1.0);
    const nav1d_behaviour full = nav1d_behaviour_make(NAV1D_FULL, NULL);
    const nav1d_behaviour partial = nav1d_behaviour_make(NAV1D_PARTIAL, NULL);
    const nav1d_behaviour expert = nav1d_behaviour_make(NAV1D_EXPERT, e);
    const score own = score_actor(&full, &full);
    NEAR(own.overlap, uniform_self_overlap(), 0.002);
    ck_assert_double_eq(own.density, 1.0);
    const score own_partial = score_actor(&partial, &partial);
    NEAR(own_partial.overlap, 0.896, 0.002);
    ck_assert_double_eq(own_partial.density, 1.0);
    const score own_expert = score_actor(&expert, &expert);
    NEAR(own_expert.overlap, 0.934, 0.002);
    NEAR(own_expert.density, 0.643, 0.003);
    /* a policy that left the data scores less, as the paper's aligned policies do; density cannot
     * see it for full */
    const score left = score_actor(&full, &expert);
    ck_assert_double_lt(left.overlap, 0.35);
    ck_assert_double_eq(left.density, 1.0);
    const score outside = score_actor(&partial, &full);
    /* of uniform actions, the share inside the partial data's interval agrees */
    NEAR(outside.density, mean_inside_partial(), 0.003);
    ck_assert_double_lt(outside.overlap, outside.density);
    ck_assert_double_lt(outside.overlap, own_partial.overlap - 0.04);
    ck_assert_double_lt(score_actor(&expert, &full).density, own_expert.density - 0.2);
    nav1d_expert_destroy(e);
}
END_TEST

/* The bins' masses sum to 1, also with an atom at an end or where the partial data's interval has
 * shrunk to a point. */
START_TEST(bin_masses)
{
    nav1d_expert *e = make_expert(1.0);
    for (int32_t kind = NAV1D_FULL; kind <= NAV1D_EXPERT; kind++) {
        const nav1d_behaviour b = nav1d_behaviour_make(kind, e);
        for (int i = 0; i <= 200; i++) {
            double sum = 0.0;
            for (int32_t bin = 0; bin < BINS; bin++) {
                const double mass = bin_mass(&b, -1.0 + i / 100.0, i % NAV1D_STEPS, bin);
                ck_assert_double_ge(mass, 0.0);
                sum += mass;
            }
            NEAR(sum, 1.0, 1e-12);
        }
    }
    const nav1d_behaviour partial = nav1d_behaviour_make(NAV1D_PARTIAL, NULL);
    NEAR(bin_mass(&partial, -0.2, 0, 14), 0.1 / 1.5, 1e-12);
    NEAR(bin_mass(&partial, -0.2, 0, 15), 0.0, 1e-12);
    ck_assert_double_eq(bin_mass(&partial, 0.8, 0, 0), 1.0);
    nav1d_expert_destroy(e);
}
END_TEST

/* Lay a data set's episodes out as plans: columns s, 2t/12-1, cos, sin, a. */
static float *plans_of(const nav1d_data *d)
{
    float *x = malloc(d->n * 5 * sizeof *x);
    ck_assert_ptr_nonnull(x);
    for (size_t i = 0; i < d->n; i++) {
        memcpy(x + i * 5, d->observations + i * NAV1D_OBS, NAV1D_OBS * sizeof *x);
        x[i * 5 + 4] = d->actions[i];
    }
    return x;
}

START_TEST(plan_coherency)
{
    const nav1d_behaviour full = nav1d_behaviour_make(NAV1D_FULL, NULL);
    nav1d_data d;
    double c = 0.0, rms = -1.0;
    ck_assert_int_eq(nav1d_data_create(&full, 256, 0, 0, &d), 0);
    float *x = plans_of(&d);
    nav1d_plans p = {.x = x, .plans = 256, .rows = 12, .cols = 5, .state_col = 0, .action_col = 4};
    ck_assert_int_eq(nav1d_coherency_plan(&p, &c, &rms), 0);
    NEAR(c, 1.0, 1e-9);
    NEAR(rms, 0.0, 1e-6);
    const nav1d_plans one = {
        .x = x, .plans = 1, .rows = 2, .cols = 5, .state_col = 0, .action_col = 4};
    x[5] += 0.05F; /* one transition misses by one width of the kernel */
    ck_assert_int_eq(nav1d_coherency_plan(&one, &c, &rms), 0);
    NEAR(c, exp(-0.5), 1e-5);
    NEAR(rms, 0.05, 1e-6);
    p.action_col = 5;
    ck_assert_int_eq(nav1d_coherency_plan(&p, &c, &rms), -1);
    p.action_col = 4;
    p.rows = 1;
    ck_assert_int_eq(nav1d_coherency_plan(&p, &c, &rms), -1);
    x[4] = INFINITY;
    ck_assert_int_eq(nav1d_coherency_plan(&one, &c, &rms), -1);
    free(x);
    nav1d_data_destroy(&d);
}
END_TEST

START_TEST(policy_coherency_refuses)
{
    const nav1d_behaviour full = nav1d_behaviour_make(NAV1D_FULL, NULL);
    const nav1d_behaviour blind = nav1d_behaviour_make(NAV1D_EXPERT, NULL);
    float obs[NAV1D_OBS] = {0.0F, -1.0F, 1.0F, 0.0F};
    float action = 0.0F;
    double overlap, density;
    ck_assert_int_eq(nav1d_coherency_policy(&full, obs, &action, 1, 1, &overlap, &density), 0);
    NEAR(overlap, 0.05, 1e-12);
    ck_assert_int_eq(nav1d_coherency_policy(&full, obs, &action, 0, 1, &overlap, &density), -1);
    ck_assert_int_eq(nav1d_coherency_policy(&full, obs, &action, 1, 0, &overlap, &density), -1);
    ck_assert_int_eq(nav1d_coherency_policy(&blind, obs, &action, 1, 1, &overlap, &density), -1);
    obs[1] = 1.0F; /* t = 12: nobody acts then */
    ck_assert_int_eq(nav1d_coherency_policy(&full, obs, &action, 1, 1, &overlap, &density), -1);
    obs[1] = -1.0F;
    action = NAN;
    ck_assert_int_eq(nav1d_coherency_policy(&full, obs, &action, 1, 1, &overlap, &density), -1);
}
END_TEST

static TCase *make_case(const char *name, Suite *s)
{
    TCase *c = tcase_create(name);
    suite_add_tcase(s, c);
    return c;
}

Suite *dmc_suite_nav1d(void)
{
    Suite *s = suite_create("nav1d");
    TCase *env = make_case("env", s);
    tcase_add_test(env, rules);
    tcase_add_test(env, observations);
    tcase_add_test(env, random_numbers);
    TCase *optimum = make_case("optimum", s);
    tcase_add_test(optimum, optimum_of_coarse_grids);
    tcase_add_test(optimum, optimum_of_fine_grid);
    tcase_add_test(optimum, simple_policies);
    tcase_add_test(optimum, optimum_in_support);
    tcase_add_test(optimum, expert_refuses);
    TCase *data = make_case("data", s);
    tcase_add_test(data, random_policy);
    tcase_add_test(data, data_sets);
    tcase_add_test(data, data_follows_rules);
    tcase_add_test(data, data_refuses);
    TCase *coherency = make_case("coherency", s);
    tcase_add_test(coherency, policy_coherency);
    tcase_add_test(coherency, bin_masses);
    tcase_add_test(coherency, plan_coherency);
    tcase_add_test(coherency, policy_coherency_refuses);
    return s;
}
