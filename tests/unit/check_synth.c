/* check_synth.c — dmc_synth: the distribution of transitions comes back, and what a critic makes of it. */
#include "world_fixture.h"

#include "../../lib/train/synth.h"

Suite *dmc_suite_synth(void);

enum { EPISODES = 1500, COLS = 5, SAMPLES = 2048 };

/* Number j of episode i: uniform, or normal. */
static double draw(uint64_t i, uint32_t j, int normal)
{
    const dmc__stream s = {5, DMC_STREAM_ENV, 3, i};
    return normal ? dmc__rng_normal(&s, j) : dmc__rng_uniform(&s, j);
}

/* Two clusters at -2 and 2, 3 of 10 in the first; the action leans on the state, the reward on both; every transition is the first
 * of an episode of two rows, the second of which is cut off, or (1 in 4) the only one and the end. */
static dmc_dataset *clusters(void)
{
    static float obs[2 * EPISODES], act[2 * EPISODES], rew[2 * EPISODES];
    static uint8_t end[2 * EPISODES], cut[2 * EPISODES];
    dmc_dataset_options o;
    dmc_dataset *d;
    size_t n = 0;
    dmc_dataset_options_init(&o, sizeof o);
    o.held_out = 0;
    for (uint64_t i = 0; i < EPISODES; i++) {
        const int over = draw(i, 1, 0) < 0.25;
        obs[n] = (float)((draw(i, 0, 0) < 0.3 ? -2 : 2) + 0.4 * draw(i, 40, 1));
        act[n] = (float)(0.5 * obs[n] + 0.3 * draw(i, 41, 1));
        rew[n] = (float)(10 + obs[n] - 2 * act[n] + 0.2 * draw(i, 42, 1));
        end[n] = (uint8_t)over;
        cut[n++] = 0;
        if (over) continue;
        obs[n] = obs[n - 1] + act[n - 1];
        act[n] = rew[n] = 0;
        end[n] = 0;
        cut[n++] = 1;
    }
    expect_ok(dmc_dataset_create(NULL, n, 1, 1, obs, act, rew, end, cut, &o, &d));
    return d;
}

static dmc_synth_options small(void)
{
    dmc_synth_options o;
    dmc_synth_options_init(&o, sizeof o);
    o.hidden = 48;
    o.blocks = 2;
    o.emb_dim = 16;
    o.batch = 128;
    o.steps = 3000;
    o.sample_steps = 24;
    o.lr = 3e-3;
    o.ema = 0.99;
    return o;
}

static dmc_synth *trained(const dmc_dataset *d, const dmc_synth_options *o, int32_t updates, dmc_train_metrics *m)
{
    dmc_synth *s;
    expect_ok(dmc_synth_create(NULL, d, o, &s));
    expect_ok(dmc_synth_step(s, updates, m));
    return s;
}

static dmc_replay *sampled(dmc_synth *s, size_t n, uint64_t seed)
{
    dmc_replay *r;
    expect_ok(dmc_replay_create(NULL, 1, 1, n, &r));
    expect_ok(dmc_synth_sample(s, n, seed, r));
    return r;
}

/* [s a r s' end] of every transition. */
static void columns(const dmc_replay *r, size_t n, double (*x)[COLS])
{
    static float obs[SAMPLES], act[SAMPLES], rew[SAMPLES], next[SAMPLES];
    static uint8_t end[SAMPLES];
    ck_assert_uint_eq(dmc_replay_count(r), n);
    expect_ok(dmc_replay_read(r, 0, n, obs, act, rew, next, end));
    for (size_t i = 0; i < n; i++) {
        const double row[COLS] = {obs[i], act[i], rew[i], next[i], end[i]};
        ck_assert(end[i] <= 1);
        memcpy(x[i], row, sizeof row);
    }
}

static void moments(size_t n, double (*x)[COLS], double mean[COLS], double cov[COLS][COLS])
{
    memset(mean, 0, COLS * sizeof *mean);
    memset(cov, 0, COLS * sizeof *cov);
    for (size_t i = 0; i < n; i++)
        for (int j = 0; j < COLS; j++) mean[j] += x[i][j] / (double)n;
    for (size_t i = 0; i < n; i++)
        for (int j = 0; j < COLS; j++)
            for (int k = 0; k < COLS; k++) cov[j][k] += (x[i][j] - mean[j]) * (x[i][k] - mean[k]) / (double)n;
}

/* The data's transitions as the model is to learn them. */
static size_t real_columns(const dmc_dataset *d, double (*x)[COLS])
{
    const dmc__trajectories *t = d->data;
    size_t n = 0;
    for (int32_t e = 0; e < t->episodes; e++) {
        const size_t row = t->start[e];
        const double end = t->terminal[row];
        const double real[COLS] = {t->obs[row], t->act[row], t->rew[row], t->obs[end > 0 ? row : row + 1], end};
        memcpy(x[n++], real, sizeof real);
    }
    return n;
}

/* Means, deviations and correlations. In units of the deviations sampling errors are 1/sqrt(2048) = .022 of a mean, and at most
 * sqrt(2/2048) = .031 of an entry of the covariance; four of them, and .05 for what 3000 updates leave. */
START_TEST(samples_are_distributed_as_the_data)
{
    static double real[EPISODES][COLS], made[SAMPLES][COLS];
    double mean[2][COLS], cov[2][COLS][COLS];
    dmc_train_metrics first, last;
    dmc_dataset *d = clusters();
    const dmc_synth_options o = small();
    dmc_synth *s = trained(d, &o, 100, &first);
    expect_ok(dmc_synth_step(s, 2900, &last));
    ck_assert(first.step == 100 && last.step == 3000 && last.loss < 0.7 * first.loss && last.lr < 1e-5);
    dmc_replay *r = sampled(s, SAMPLES, 1);
    ck_assert_uint_eq(real_columns(d, real), EPISODES);
    columns(r, SAMPLES, made);
    moments(EPISODES, real, mean[0], cov[0]);
    moments(SAMPLES, made, mean[1], cov[1]);
    for (int j = 0; j < COLS; j++) {
        const double sd = sqrt(cov[0][j][j]);
        ck_assert_msg(fabs(mean[1][j] - mean[0][j]) < 0.14 * sd, "mean of column %d: %g, of the data %g +- %g", j, mean[1][j],
                      mean[0][j], sd);
        for (int k = 0; k < COLS; k++) {
            const double unit = sd * sqrt(cov[0][k][k]);
            ck_assert_msg(fabs(cov[1][j][k] - cov[0][j][k]) < 0.17 * unit, "covariance of columns %d and %d: %g, of the data %g", j,
                          k, cov[1][j][k] / unit, cov[0][j][k] / unit);
        }
    }
    int left = 0, between = 0;
    for (int i = 0; i < SAMPLES; i++) {
        left += made[i][0] < 0;
        between += fabs(made[i][0]) < 0.7; /* more than three deviations from both */
    }
    ck_assert_msg(fabs(left / (double)SAMPLES - 0.3) < 0.07 && between < SAMPLES / 50, "%d left, %d between", left, between);
    dmc_replay_destroy(r);
    dmc_synth_destroy(s);
    dmc_dataset_destroy(d);
}
END_TEST

/* A critic without a future learns the reward 10 + s - 2 a from samples alone. */
START_TEST(a_critic_learns_from_samples)
{
    const float at[2] = {2, 2}, act[2] = {0.7f, 1.3f};
    float q[2];
    dmc_dataset *d = clusters();
    const dmc_synth_options o = small();
    dmc_critic_options k = world_critic_options();
    dmc_synth *s = trained(d, &o, 3000, NULL);
    dmc_replay *r = sampled(s, SAMPLES, 1);
    dmc_critic *c;
    k.gamma = 0;
    k.lr = 1e-2;
    k.steps = 600;
    expect_ok(dmc_critic_create(NULL, d, &k, &c));
    expect_ok(dmc_critic_step_on(c, r, 1, 600, NULL));
    expect_ok(dmc_critic_q(c, 2, at, act, q, NULL));
    ck_assert_msg(fabsf(q[0] - 10.6f) < 0.3f && fabsf(q[1] - 9.4f) < 0.3f, "%g and %g", q[0], q[1]);
    dmc_critic_destroy(c);
    dmc_replay_destroy(r);
    dmc_synth_destroy(s);
    dmc_dataset_destroy(d);
}
END_TEST

/* However many are asked for; actions stay inside the data's. */
START_TEST(samples_are_numbered)
{
    static double a[300][COLS], b[300][COLS], c[300][COLS];
    dmc_dataset *d = clusters();
    dmc_synth_options o = small();
    dmc_synth *s = trained(d, &o, 20, NULL), *twin = trained(d, &o, 20, NULL);
    dmc_replay *r[] = {sampled(s, 300, 7), sampled(twin, 40, 7), sampled(s, 300, 8)};
    columns(r[0], 300, a);
    columns(r[1], 40, b);
    columns(r[2], 300, c);
    ck_assert_mem_eq(a, b, 40 * sizeof *a);
    ck_assert_mem_ne(a, c, sizeof a);
    float low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < d->data->rows; i++) {
        low = fminf(low, d->data->act[i]);
        high = fmaxf(high, d->data->act[i]);
    }
    int at_bound = 0;
    for (int i = 0; i < 300; i++) {
        ck_assert(a[i][1] >= low && a[i][1] <= high);
        at_bound += a[i][1] == low || a[i][1] == high;
    }
    ck_assert_int_gt(at_bound, 0); /* it has hardly learnt */
    for (int i = 0; i < 3; i++) dmc_replay_destroy(r[i]);
    dmc_synth_destroy(twin);
    dmc_synth_destroy(s);
    dmc_dataset_destroy(d);
}
END_TEST

/* Half of the world's episodes of 20 are cut off: their last rows are no transitions. Held out episodes are not learnt from. */
START_TEST(transitions_of_a_dataset)
{
    dmc_dataset_options o;
    const dmc_synth_options k = small();
    dmc_dataset_options_init(&o, sizeof o);
    o.held_out = 0.25;
    dmc_dataset *d = world_data_with(NULL, &o);
    dmc_synth *s = trained(d, &k, 0, NULL);
    int32_t ends = 0;
    for (int32_t i = 0; i < d->data->n_train; i++) ends += d->data->terminal[d->data->start[d->data->train[i] + 1] - 1];
    ck_assert_int_eq(d->data->n_train, 18);
    ck_assert(ends > 0 && ends < 18);
    ck_assert_uint_eq(dmc__synth_rows(s), (size_t)(18 * WORLD_EPISODE - (18 - ends)));
    dmc_synth_destroy(s);
    dmc_dataset_destroy(d);
}
END_TEST

START_TEST(arguments_are_checked)
{
    const float x[4] = {0};
    const uint8_t end[4] = {0}, cut[4] = {1, 1, 1, 1};
    dmc_dataset *d = clusters(), *none;
    dmc_synth_options o = small();
    dmc_synth *s = (dmc_synth *)(uintptr_t)1;
    dmc_replay *wide;
    expect_ok(dmc_dataset_create(NULL, 4, 1, 1, x, x, x, end, cut, NULL, &none));
    expect_failure(dmc_synth_create(NULL, none, &o, &s), DMC_EFORMAT, "no row with a successor");
    ck_assert_ptr_null(s);
    o.hidden = 0;
    expect_failure(dmc_synth_create(NULL, d, &o, &s), DMC_ERANGE, "hidden = 0");
    expect_failure(dmc_synth_create(NULL, NULL, NULL, &s), DMC_EINVAL, "d is NULL");
    expect_failure(dmc_synth_create(NULL, d, NULL, NULL), DMC_EINVAL, "out is NULL");
    o = small();
    s = trained(d, &o, 0, NULL);
    expect_ok(dmc_replay_create(NULL, 2, 1, 4, &wide));
    expect_failure(dmc_synth_sample(s, 1, 0, wide), DMC_ESHAPE, "observations of 2 and actions of 1, the data 1 and 1");
    expect_failure(dmc_synth_sample(s, 1, 0, NULL), DMC_EINVAL, "r is NULL");
    expect_failure(dmc_synth_step(s, -1, NULL), DMC_ERANGE, "n = -1");
    expect_failure(dmc_synth_step(NULL, 1, NULL), DMC_EINVAL, "s is NULL");
    dmc_replay_destroy(wide);
    dmc_synth_destroy(s);
    dmc_synth_destroy(NULL);
    dmc_dataset_destroy(none);
    dmc_dataset_destroy(d);
}
END_TEST

static dmc_dataset *shared_data;

static dmc_status create_in(void *where, void **out)
{
    const dmc_synth_options o = small();
    return dmc_synth_create(where, shared_data, &o, (dmc_synth **)out);
}

static void destroy(void *s)
{
    dmc_synth_destroy(s);
}

START_TEST(working_without_memory)
{
    failing_alloc f = {0};
    dmc_context *own = world_context(&f, "cpu");
    shared_data = clusters();
    world_without_memory(&f, own, create_in, destroy);
    dmc_dataset_destroy(shared_data);
    dmc_context_destroy(own);
    ck_assert_int_eq(f.live, 0);
}
END_TEST

Suite *dmc_suite_synth(void)
{
    Suite *s = suite_create("synth");
    TCase *c = tcase_create("synth");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, samples_are_distributed_as_the_data);
    tcase_add_test(c, a_critic_learns_from_samples);
    tcase_add_test(c, samples_are_numbered);
    tcase_add_test(c, transitions_of_a_dataset);
    tcase_add_test(c, arguments_are_checked);
    tcase_add_test(c, working_without_memory);
    suite_add_tcase(s, c);
    return s;
}
