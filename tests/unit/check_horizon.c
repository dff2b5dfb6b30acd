/* check_horizon.c — samplers at another horizon than their model's: what a model made for that horizon with these weights does. */
#include "world_fixture.h"

#include <check.h>

enum { TRAINED = 4, BATCH = 2, CANDIDATES = 3, MOST = BATCH * CANDIDATES * 16 * (WORLD_S + WORLD_A) };

static dmc_context *ctx;
static dmc_dataset *data;
static dmc_critic *critic;

static void setup(void)
{
    expect_ok(dmc_context_create(NULL, &ctx));
    data = world_data(ctx);
    critic = world_critic(ctx, data, 50);
}

static void teardown(void)
{
    dmc_critic_destroy(critic);
    dmc_dataset_destroy(data);
    dmc_context_destroy(ctx);
}

/* A planner or a policy with a U-Net; its weights do not depend on the horizon. */
static dmc_model *unet(int32_t planner, int32_t horizon)
{
    dmc_model_options o = world_planner();
    o.role = planner ? DMC_ROLE_PLANNER : DMC_ROLE_POLICY;
    o.horizon = horizon;
    dmc_model *m = world_model(ctx, data, &o), *big = world_scaled(m, 1.1f), *out = world_cascade(big);
    dmc_model_destroy(big);
    dmc_model_destroy(m);
    return out;
}

static dmc_sampler_options options(int32_t horizon)
{
    dmc_sampler_options o = world_sampling(BATCH, CANDIDATES, DMC_SELECT_GREEDY);
    o.cascade_passes = 1;
    o.horizon = horizon;
    return o;
}

typedef struct answer {
    float act[MOST], plan[MOST], all[MOST];
} answer;

static void ask(dmc_sampler *s, size_t horizon, size_t cols, answer *a)
{
    float obs[BATCH * WORLD_S];
    for (uint64_t b = 0; b < BATCH; b++) world_observe(b, obs + b * WORLD_S);
    memset(a, 0, sizeof *a);
    ck_assert_int_ge(dmc_sampler_sample(s, obs, BATCH * WORLD_S, a->act, BATCH * horizon * WORLD_A), DMC_OK);
    expect_ok(dmc_sampler_plan(s, 1, a->plan, horizon * cols));
    expect_ok(dmc_sampler_candidates(s, a->all, BATCH * CANDIDATES * horizon * cols));
}

/* Shorter and longer, role by role, with a critic and a cascade. */
START_TEST(as_a_model_of_that_horizon)
{
    const int32_t planner = _i, cols = WORLD_A + (planner ? WORLD_S : 0);
    dmc_model *m = unet(planner, TRAINED);
    for (int32_t horizon = 2; horizon <= 16; horizon *= 2) {
        const dmc_sampler_options o = options(horizon), own = options(0);
        dmc_model *same = unet(planner, horizon);
        dmc_sampler *s = world_sampler(m, critic, &o), *t = world_sampler(same, critic, &own);
        answer a, b;
        for (int call = 0; call < 2; call++) {
            ask(s, (size_t)horizon, (size_t)cols, &a);
            ask(t, (size_t)horizon, (size_t)cols, &b);
            ck_assert_mem_eq(&a, &b, sizeof a);
        }
        expect_ok(dmc_sampler_rebind(s, m)); /* does not go back to the model's horizon */
        dmc_sampler_reset(s, 5);
        dmc_sampler_reset(t, 5);
        ask(s, (size_t)horizon, (size_t)cols, &a);
        ask(t, (size_t)horizon, (size_t)cols, &b);
        ck_assert_mem_eq(&a, &b, sizeof a);
        ck_assert_uint_eq(dmc_sampler_memory(s), dmc_sampler_memory(t));
        dmc_sampler_destroy(t);
        dmc_sampler_destroy(s);
        dmc_model_destroy(same);
    }
    dmc_model_destroy(m);
}
END_TEST

START_TEST(buffers_have_the_samplers_size)
{
    dmc_model *m = unet(1, TRAINED);
    const dmc_sampler_options o = options(8);
    dmc_sampler *s = world_sampler(m, critic, &o);
    float obs[BATCH * WORLD_S] = {0}, out[MOST];
    expect_failure(dmc_sampler_sample(s, obs, BATCH * WORLD_S, out, BATCH * TRAINED * WORLD_A), DMC_ESHAPE,
                   "batch * horizon * act_dim = 32");
    expect_failure(dmc_sampler_plan(s, 0, out, TRAINED * 5), DMC_ESHAPE, "horizon * columns = 40");
    expect_failure(dmc_sampler_candidates(s, out, 7), DMC_ESHAPE, "horizon * columns = 240");
    dmc_sampler_destroy(s);
    dmc_model_destroy(m);
}
END_TEST

static void expect_none(const dmc_model *m, int32_t horizon, dmc_status status, const char *sentence)
{
    dmc_sampler_options o = world_sampling(1, 1, DMC_SELECT_FIRST);
    dmc_sampler *s = (dmc_sampler *)&o;
    o.horizon = horizon;
    expect_failure(dmc_sampler_create(ctx, m, NULL, &o, &s), status, sentence);
    ck_assert_ptr_null(s);
}

START_TEST(not_every_horizon)
{
    dmc_model *m = unet(0, TRAINED);
    expect_none(m, 5, DMC_ERANGE, "unet1d_janner: horizon = 5, must be divisible by 2^(levels-1) = 2");
    expect_none(m, -1, DMC_ERANGE, "horizon = -1, must be 0..1024");
    expect_none(m, 1025, DMC_ERANGE, "horizon = 1025, must be 0..1024");
    dmc_model_destroy(m);
}
END_TEST

/* Networks that flatten the sample; their own horizon may be said. */
START_TEST(not_every_network)
{
    static const struct { int32_t network; const char *sentence; } flat[] = {
        {DMC_NETWORK_IDQL_MLP, "idql_mlp: horizon = 8, must be the model's 4: \"affine_in.weight\" has weights of its own"},
        {DMC_NETWORK_DQL_MLP, "dql_mlp: horizon = 8, must be the model's 4: \""}};
    for (int i = 0; i < 2; i++) {
        dmc_model_options mo = world_policy();
        dmc_sampler_options o = world_sampling(1, 1, DMC_SELECT_FIRST);
        mo.network = flat[i].network;
        mo.horizon = TRAINED;
        dmc_model *m = world_model(ctx, data, &mo);
        expect_none(m, 8, DMC_EINVAL, flat[i].sentence);
        o.horizon = TRAINED;
        dmc_sampler_destroy(world_sampler(m, NULL, &o));
        dmc_model_destroy(m);
    }
}
END_TEST

/* Counts rows it is given: an answer of 8 rows is executed row by row, then the sampler is asked again. */
typedef struct counter {
    int32_t steps;
} counter;

static int32_t reset(void *user, int32_t env, uint64_t seed, float *obs)
{
    (void)user;
    (void)env;
    world_observe(seed, obs);
    return 0;
}

static int32_t step(void *user, int32_t env, const float *act, float *obs, double *reward, int32_t *done)
{
    counter *c = user;
    (void)env;
    (void)obs;
    *reward = act[0] == act[0];
    *done = 0;
    c->steps++;
    return 0;
}

START_TEST(evaluation_may_execute_all_rows)
{
    dmc_model *m = unet(0, TRAINED);
    dmc_sampler_options o = world_sampling(1, 1, DMC_SELECT_FIRST);
    o.horizon = 8;
    dmc_sampler *s = world_sampler(m, NULL, &o);
    counter c = {0};
    const dmc_env env = {.struct_size = sizeof env, .obs_dim = WORLD_S, .act_dim = WORLD_A, .max_steps = 20, .count = 1, .user = &c,
                         .reset = reset, .step = step};
    double returns[1];
    expect_ok(dmc_evaluate(s, &env, 1, 8, 1, 1, returns));
    ck_assert_int_eq(c.steps, 20);
    ck_assert_double_eq(returns[0], 20);
    expect_failure(dmc_evaluate(s, &env, 1, 9, 1, 1, returns), DMC_ERANGE, "exec = 9, must be 1..8 (the sampler's horizon)");
    dmc_sampler_destroy(s);
    dmc_model_destroy(m);
}
END_TEST

typedef struct make_args {
    dmc_context *ctx;
    const dmc_model *m;
    int32_t horizon;
} make_args;

static dmc_status create_in(void *arg, void **out)
{
    const make_args *a = arg;
    const dmc_sampler_options o = options(a->horizon);
    dmc_sampler *s;
    const dmc_status status = dmc_sampler_create(a->ctx, a->m, critic, &o, &s);
    *out = s;
    return status;
}

static void destroy(void *s)
{
    dmc_sampler_destroy(s);
}

START_TEST(creating_without_memory)
{
    failing_alloc f = {0};
    dmc_model *m = unet(1, TRAINED);
    make_args a = {world_context(&f, "cpu"), m, 8};
    world_without_memory(&f, &a, create_in, destroy);
    dmc_context_destroy(a.ctx);
    dmc_model_destroy(m);
    ck_assert_int_eq(f.live, 0);
}
END_TEST

Suite *dmc_suite_horizon(void);

Suite *dmc_suite_horizon(void)
{
    Suite *const s = suite_create("horizon");
    TCase *const t = tcase_create("horizon");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, as_a_model_of_that_horizon, 0, 2);
    tcase_add_test(t, buffers_have_the_samplers_size);
    tcase_add_test(t, not_every_horizon);
    tcase_add_test(t, not_every_network);
    tcase_add_test(t, evaluation_may_execute_all_rows);
    tcase_add_test(t, creating_without_memory);
    suite_add_tcase(s, t);
    return s;
}
