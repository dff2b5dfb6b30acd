/* check_evaluate.c — roll-outs in simulators that keep a record of every call made to them. */
#include "world_fixture.h"

Suite *dmc_suite_evaluate(void);

enum { COPIES = 3, LONGEST = 10, EPISODES = 7 };

/* Episode `seed` lasts lengths[seed % 4] steps (0: for ever) and pays 1 + seed per step. */
static const int32_t lengths[4] = {0, 3, 1, 5};

typedef struct copy {
    uint64_t seed;
    int32_t t, over;
} copy;

typedef struct simulator {
    copy copies[COPIES];
    int32_t resets, steps, steps_of[COPIES];
    uint64_t seeds[32];                 /* of every reset, in order */
    float acts[32 * WORLD_A];           /* of copy 0 */
    int32_t fail_reset, fail_step;      /* the n-th call fails; 0 = none */
    int32_t done;                       /* what is said of an episode that is over; 0: 1 */
    int32_t limits;                     /* actions outside the model's limits */
    const dmc_model *model;
} simulator;

static int32_t reset(void *user, int32_t env, uint64_t seed, float *obs)
{
    simulator *s = user;
    s->seeds[s->resets % 32] = seed;
    if (++s->resets == s->fail_reset) return 5;
    s->copies[env] = (copy){.seed = seed};
    world_observe(seed, obs);
    return 0;
}

static int32_t step(void *user, int32_t env, const float *act, float *obs, double *reward, int32_t *done)
{
    simulator *s = user;
    copy *c = &s->copies[env];
    if (++s->steps == s->fail_step) return 6;
    if (env == 0 && s->steps_of[0] < 32) memcpy(s->acts + s->steps_of[0] * WORLD_A, act, WORLD_A * sizeof *act);
    s->steps_of[env]++;
    ck_assert_msg(!c->over, "copy %d was stepped after its end", env);
    for (int j = 0; j < WORLD_A; j++) s->limits += act[j] < s->model->act.lo[j] || act[j] > s->model->act.hi[j];
    c->t++;
    *reward = (double)(1 + c->seed);
    c->over = c->t == lengths[c->seed % 4];
    *done = c->over ? s->done ? s->done : DMC_DONE_END : DMC_DONE_NOT;
    world_observe(c->seed + 1000 * (uint64_t)c->t, obs);
    return 0;
}

static dmc_dataset *data;
static dmc_model *model;
static simulator sim;

static dmc_env world(int32_t count)
{
    return (dmc_env){.struct_size = sizeof(dmc_env), .obs_dim = WORLD_S, .act_dim = WORLD_A, .max_steps = LONGEST,
                     .count = count, .user = &sim, .reset = reset, .step = step};
}

static dmc_sampler *sampler(int32_t batch)
{
    const dmc_sampler_options o = world_sampling(batch, 1, DMC_SELECT_FIRST);
    return world_sampler(model, NULL, &o);
}

static void setup(void)
{
    const dmc_model_options o = world_policy(); /* horizon 2, two observations */
    memset(&sim, 0, sizeof sim);
    data = world_data(NULL);
    model = world_model(NULL, data, &o);
    sim.model = model;
}

static void teardown(void)
{
    dmc_model_destroy(model);
    dmc_dataset_destroy(data);
}

static double expected_return(uint64_t seed)
{
    const int32_t n = lengths[seed % 4];
    return (double)(1 + seed) * (n > 0 ? n : LONGEST);
}

/* Seven episodes on three copies: the last group has one, whose other copies are never stepped. */
START_TEST(every_episode_is_counted_once)
{
    const dmc_env env = world(COPIES);
    dmc_sampler *s = sampler(COPIES);
    double returns[EPISODES + 1] = {0};
    returns[EPISODES] = 77;
    expect_ok(dmc_evaluate(s, &env, EPISODES, 1, 40, 9, returns));
    int32_t steps = 0;
    for (uint64_t i = 0; i < EPISODES; i++) {
        ck_assert_msg(returns[i] == expected_return(40 + i), "episode %d: %g", (int)i, returns[i]);
        steps += (int32_t)(returns[i] / (double)(41 + i));
    }
    ck_assert_double_eq(returns[EPISODES], 77);
    ck_assert_int_eq(sim.resets, 9);
    ck_assert_int_eq(sim.steps, steps);
    for (uint64_t i = 0; i < EPISODES; i++) ck_assert_uint_eq(sim.seeds[i], 40 + i);
    ck_assert_int_eq(sim.limits, 0);
    dmc_sampler_destroy(s);
}
END_TEST

START_TEST(equal_calls_give_equal_numbers)
{
    const dmc_env env = world(1);
    dmc_sampler *s = sampler(1);
    double returns[2];
    float first[20];
    expect_ok(dmc_evaluate(s, &env, 1, 1, 0, 9, returns));
    memcpy(first, sim.acts, sizeof first);
    memset(&sim, 0, offsetof(simulator, model));
    expect_ok(dmc_evaluate(s, &env, 1, 1, 0, 9, returns)); /* whatever the sampler did before */
    ck_assert_mem_eq(first, sim.acts, sizeof first);
    memset(&sim, 0, offsetof(simulator, model));
    expect_ok(dmc_evaluate(s, &env, 1, 1, 0, 10, returns));
    ck_assert_mem_ne(first, sim.acts, sizeof first);
    dmc_sampler_destroy(s);
}
END_TEST

/* With exec = 2 the sampler is asked every second step and both rows of its answer are carried out, in order; with 1 it is
 * asked every step, and row 0 is. */
START_TEST(rows_are_executed_in_order)
{
    const int32_t exec = _i;
    const dmc_env env = world(1);
    dmc_sampler *s = sampler(1), *twin = sampler(1);
    double returns;
    expect_ok(dmc_evaluate(s, &env, 1, exec, 0, 9, &returns));
    ck_assert_int_eq(sim.steps, LONGEST);
    expect_ok(dmc_sampler_reset(twin, 9));
    for (uint64_t t = 0; t < LONGEST; t += (uint64_t)exec) {
        float obs[WORLD_S], act[2 * WORLD_A];
        world_observe(1000 * t, obs);
        ck_assert_int_ge(dmc_sampler_sample(twin, obs, WORLD_S, act, 2 * WORLD_A), 0);
        ck_assert_mem_eq(sim.acts + t * WORLD_A, act, (size_t)exec * WORLD_A * sizeof *act);
    }
    dmc_sampler_destroy(twin);
    dmc_sampler_destroy(s);
}
END_TEST

/* Also in the middle of an answer. */
START_TEST(episodes_are_cut)
{
    dmc_env env = world(COPIES);
    dmc_sampler *s = sampler(COPIES);
    double returns[4];
    env.max_steps = 3;
    expect_ok(dmc_evaluate(s, &env, 4, 2, 0, 9, returns));
    ck_assert_double_eq(returns[0], 3);
    ck_assert_double_eq(returns[1], 2 * 3);
    ck_assert_double_eq(returns[2], 3 * 1);
    ck_assert_double_eq(returns[3], 4 * 3);
    dmc_sampler_destroy(s);
}
END_TEST

START_TEST(failing_callbacks_are_reported)
{
    const dmc_env env = world(COPIES);
    dmc_sampler *s = sampler(COPIES);
    double returns[EPISODES];
    sim.fail_reset = 5;
    expect_failure(dmc_evaluate(s, &env, EPISODES, 1, 40, 9, returns), DMC_ECALLBACK, "reset of copy 1 with seed 44 failed");
    memset(&sim, 0, offsetof(simulator, model));
    sim.fail_step = 3;
    expect_failure(dmc_evaluate(s, &env, EPISODES, 1, 40, 9, returns), DMC_ECALLBACK, "step of copy 2 failed");
    dmc_sampler_destroy(s);
}
END_TEST

static int32_t reset_badly(void *user, int32_t env, uint64_t seed, float *obs)
{
    (void)user;
    (void)env;
    (void)seed;
    for (int j = 0; j < WORLD_S; j++) obs[j] = NAN;
    return 0;
}

START_TEST(observations_must_be_finite)
{
    dmc_env env = world(1);
    dmc_sampler *s = sampler(1);
    double returns;
    env.reset = reset_badly;
    expect_failure(dmc_evaluate(s, &env, 1, 1, 0, 0, &returns), DMC_ENUMERIC, "not finite");
    dmc_sampler_destroy(s);
}
END_TEST

START_TEST(arguments_are_checked)
{
    dmc_sampler *s = sampler(COPIES);
    double r[EPISODES];
    dmc_env e = world(2);
    expect_failure(dmc_evaluate(s, &e, 1, 1, 0, 0, r), DMC_ESHAPE, "env->count = 2, the sampler's batch is 3");
    e = world(COPIES);
    e.obs_dim = 4;
    expect_failure(dmc_evaluate(s, &e, 1, 1, 0, 0, r), DMC_ESHAPE, "observations of 4 and actions of 2");
    e = world(COPIES);
    e.max_steps = 0;
    expect_failure(dmc_evaluate(s, &e, 1, 1, 0, 0, r), DMC_ERANGE, "max_steps = 0");
    e = world(COPIES);
    expect_failure(dmc_evaluate(s, &e, 0, 1, 0, 0, r), DMC_ERANGE, "episodes = 0");
    expect_failure(dmc_evaluate(s, &e, 1, 0, 0, 0, r), DMC_ERANGE, "exec = 0, must be 1..2");
    expect_failure(dmc_evaluate(s, &e, 1, 3, 0, 0, r), DMC_ERANGE, "exec = 3, must be 1..2");
    expect_failure(dmc_evaluate(NULL, &e, 1, 1, 0, 0, r), DMC_EINVAL, "s is NULL");
    expect_failure(dmc_evaluate(s, NULL, 1, 1, 0, 0, r), DMC_EINVAL, "env is NULL");
    expect_failure(dmc_evaluate(s, &e, 1, 1, 0, 0, NULL), DMC_EINVAL, "returns is NULL");
    e.struct_size = 8;
    expect_failure(dmc_evaluate(s, &e, 1, 1, 0, 0, r), DMC_EINVAL, "env->struct_size = 8");
    e = world(COPIES);
    e.reset = NULL;
    expect_failure(dmc_evaluate(s, &e, 1, 1, 0, 0, r), DMC_EINVAL, "env->reset is NULL");
    e = world(COPIES);
    e.step = NULL;
    expect_failure(dmc_evaluate(s, &e, 1, 1, 0, 0, r), DMC_EINVAL, "env->step is NULL");
    dmc_sampler_options o = world_sampling(1, 1, DMC_SELECT_FIRST);
    o.warm_start = 0.5;
    dmc_sampler *warm = world_sampler(model, NULL, &o);
    e = world(1);
    expect_failure(dmc_evaluate(warm, &e, 1, 2, 0, 0, r), DMC_EINVAL, "exec = 2, but with warm_start");
    ck_assert_int_eq(sim.resets, 0);
    expect_ok(dmc_evaluate(warm, &e, 1, 1, 0, 0, r));
    dmc_sampler_destroy(warm);
    dmc_sampler_destroy(s);
}
END_TEST

/* From the sampler's allocator, and given back. */
START_TEST(memory_is_the_hosts)
{
    failing_alloc f = {0};
    dmc_context *ctx = world_context(&f, "cpu");
    const dmc_sampler_options o = world_sampling(1, 1, DMC_SELECT_FIRST);
    const dmc_env env = world(1);
    dmc_sampler *s;
    double returns;
    dmc_status status;
    expect_ok(dmc_sampler_create(ctx, model, NULL, &o, &s));
    const int64_t before = f.live;
    int64_t n = 0;
    do {
        f.calls = 0;
        f.fail_at = ++n;
        status = dmc_evaluate(s, &env, 1, 1, 0, 0, &returns);
        ck_assert(status == DMC_OK || status == DMC_ENOMEM);
        ck_assert_int_eq(f.live, before);
    } while (status != DMC_OK);
    ck_assert_int_gt(n, 2);
    dmc_sampler_destroy(s);
    dmc_context_destroy(ctx);
    ck_assert_int_eq(f.live, 0);
}
END_TEST

/* ---- collecting ------------------------------------------------------------------------------------- */

enum { ROOM = 64 };

typedef struct kept {
    float obs[ROOM * WORLD_S], act[ROOM * WORLD_A], rew[ROOM], next[ROOM * WORLD_S];
    uint8_t end[ROOM];
} kept;

static dmc_replay *replay(dmc_context *ctx)
{
    dmc_replay *r;
    expect_ok(dmc_replay_create(ctx, WORLD_S, WORLD_A, ROOM, &r));
    return r;
}

/* Transition `row` is step t of episode `seed`, which is the last one and the end, or not. */
static void expect_step(const kept *k, size_t row, uint64_t seed, uint64_t t, int32_t end)
{
    float from[WORLD_S], to[WORLD_S];
    world_observe(seed + 1000 * t, from);
    world_observe(seed + 1000 * (t + 1), to);
    ck_assert_mem_eq(k->obs + row * WORLD_S, from, sizeof from);
    ck_assert_mem_eq(k->next + row * WORLD_S, to, sizeof to);
    ck_assert_float_eq(k->rew[row], (float)(1 + seed));
    ck_assert_msg(k->end[row] == end, "episode %d, step %d: %d", (int)seed, (int)t, k->end[row]);
}

/* Episodes that the simulator ends are ends, or cuts if it says so; the one that never ends is cut. */
START_TEST(what_happened_is_kept)
{
    static const int32_t said[] = {DMC_DONE_END, DMC_DONE_CUT, -7};
    const dmc_env env = world(COPIES);
    dmc_sampler *s = sampler(COPIES);
    dmc_replay *r = replay(NULL);
    double returns[EPISODES], plain[EPISODES];
    static kept k;
    size_t row = 0;
    sim.done = said[_i];
    expect_ok(dmc_collect(s, &env, r, EPISODES, 1, 40, 9, returns));
    expect_ok(dmc_replay_read(r, 0, dmc_replay_count(r), k.obs, k.act, k.rew, k.next, k.end));
    for (uint64_t i = 0; i < EPISODES; i++) {
        const uint64_t seed = 40 + i, n = (uint64_t)(lengths[seed % 4] ? lengths[seed % 4] : LONGEST);
        ck_assert_double_eq(returns[i], expected_return(seed));
        ck_assert_uint_eq(dmc__experience_run(&r->x, row, 99), n);
        for (uint64_t t = 0; t < n; t++, row++)
            expect_step(&k, row, seed, t, t + 1 == n && lengths[seed % 4] > 0 && said[_i] != DMC_DONE_CUT);
    }
    ck_assert_uint_eq(row, dmc_replay_count(r));
    ck_assert_mem_eq(k.act, sim.acts, LONGEST * sizeof *k.act); /* episode 40 is the first of copy 0 */
    expect_ok(dmc_evaluate(s, &env, EPISODES, 1, 40, 9, plain));
    ck_assert_mem_eq(plain, returns, sizeof plain);
    dmc_replay_destroy(r);
    dmc_sampler_destroy(s);
}
END_TEST

/* Both rows of an answer. */
START_TEST(actions_are_the_executed_ones)
{
    const dmc_env env = world(1);
    dmc_sampler *s = sampler(1);
    dmc_replay *r = replay(NULL);
    double returns;
    float act[LONGEST * WORLD_A];
    expect_ok(dmc_collect(s, &env, r, 1, 2, 0, 9, &returns));
    expect_ok(dmc_replay_read(r, 0, LONGEST, NULL, act, NULL, NULL, NULL));
    ck_assert_mem_eq(act, sim.acts, sizeof act);
    dmc_replay_destroy(r);
    dmc_sampler_destroy(s);
}
END_TEST

/* The fifth reset is in the second group: the first, with 10, 3 and 1 steps, is there. */
START_TEST(a_group_that_fails_is_not_kept)
{
    const dmc_env env = world(COPIES);
    dmc_sampler *s = sampler(COPIES);
    dmc_replay *r = replay(NULL), *narrow;
    double returns[EPISODES];
    sim.fail_reset = 5;
    expect_failure(dmc_collect(s, &env, r, EPISODES, 1, 40, 9, returns), DMC_ECALLBACK, "dmc_collect: reset of copy 1");
    ck_assert_uint_eq(dmc_replay_count(r), 14);
    expect_ok(dmc_replay_create(NULL, WORLD_S, 1, ROOM, &narrow));
    expect_failure(dmc_collect(s, &env, narrow, 1, 1, 0, 0, returns), DMC_ESHAPE, "observations of 3 and actions of 1, env has 3");
    expect_failure(dmc_collect(s, &env, r, 0, 1, 0, 0, returns), DMC_ERANGE, "dmc_collect: episodes = 0");
    expect_failure(dmc_collect(s, NULL, r, 1, 1, 0, 0, returns), DMC_EINVAL, "dmc_collect: env is NULL");
    expect_failure(dmc_collect(s, &env, NULL, 1, 1, 0, 0, returns), DMC_EINVAL, "r is NULL");
    expect_failure(dmc_collect(s, &env, r, 1, 1, 0, 0, NULL), DMC_EINVAL, "returns is NULL");
    ck_assert_uint_eq(dmc_replay_count(r), 14);
    dmc_replay_destroy(narrow);
    dmc_replay_destroy(r);
    dmc_sampler_destroy(s);
}
END_TEST

START_TEST(collecting_takes_the_hosts_memory)
{
    failing_alloc f = {0};
    dmc_context *ctx = world_context(&f, "cpu");
    const dmc_sampler_options o = world_sampling(1, 1, DMC_SELECT_FIRST);
    const dmc_env env = world(1);
    dmc_sampler *s;
    double returns;
    dmc_status status;
    expect_ok(dmc_sampler_create(ctx, model, NULL, &o, &s));
    dmc_replay *r = replay(ctx);
    const int64_t before = f.live;
    int64_t n = 0;
    do {
        f.calls = 0;
        f.fail_at = ++n;
        status = dmc_collect(s, &env, r, 1, 1, 0, 0, &returns);
        ck_assert(status == DMC_OK || status == DMC_ENOMEM);
        ck_assert_int_eq(f.live, before);
    } while (status != DMC_OK);
    ck_assert_int_gt(n, 7);
    dmc_replay_destroy(r);
    dmc_sampler_destroy(s);
    dmc_context_destroy(ctx);
    ck_assert_int_eq(f.live, 0);
}
END_TEST

Suite *dmc_suite_evaluate(void)
{
    Suite *s = suite_create("evaluate");
    TCase *c = tcase_create("evaluate");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, every_episode_is_counted_once);
    tcase_add_test(c, equal_calls_give_equal_numbers);
    tcase_add_loop_test(c, rows_are_executed_in_order, 1, 3);
    tcase_add_test(c, episodes_are_cut);
    tcase_add_test(c, failing_callbacks_are_reported);
    tcase_add_test(c, observations_must_be_finite);
    tcase_add_test(c, arguments_are_checked);
    tcase_add_test(c, memory_is_the_hosts);
    tcase_add_loop_test(c, what_happened_is_kept, 0, 3);
    tcase_add_test(c, actions_are_the_executed_ones);
    tcase_add_test(c, a_group_that_fails_is_not_kept);
    tcase_add_test(c, collecting_takes_the_hosts_memory);
    suite_add_tcase(s, c);
    return s;
}
