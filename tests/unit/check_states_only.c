/* check_states_only.c — Decision Diffuser: planners of states alone, whose actions an inverse model gives; answers against the two
 * models by hand, files, and what does not fit together. */
#include "world_fixture.h"

#include <math.h>

Suite *dmc_suite_states_only(void);

enum { HORIZON = 4, BATCH = 3, CANDIDATES = 5, PLAN = HORIZON * WORLD_S, ACTIONS = HORIZON * WORLD_A };

static dmc_context *ctx;
static dmc_dataset *data;
static dmc_model *planner, *inverse;
static dmc_critic *critic;

static dmc_model_options states_planner(void)
{
    dmc_model_options o = world_planner();
    o.states_only = 1;
    return o;
}

static dmc_model_options world_inverse(void)
{
    dmc_model_options o = world_policy();
    o.role = DMC_ROLE_INVERSE;
    o.network = DMC_NETWORK_INVERSE_MLP;
    o.obs_norm = DMC_NORM_MINMAX;
    return o;
}

static void setup(void)
{
    const dmc_model_options p = states_planner(), i = world_inverse();
    fixture_make();
    expect_ok(dmc_context_create(NULL, &ctx));
    data = world_data(ctx);
    planner = world_model(ctx, data, &p);
    inverse = world_model(ctx, data, &i);
    critic = world_critic(ctx, data, 50);
}

static void teardown(void)
{
    dmc_critic_destroy(critic);
    dmc_model_destroy(inverse);
    dmc_model_destroy(planner);
    dmc_dataset_destroy(data);
    dmc_context_destroy(ctx);
    fixture_remove();
}

static dmc_status make(const dmc_model *m, const dmc_model *inv, const dmc_sampler_options *o, dmc_sampler **s)
{
    const dmc_sampler_parts parts = {.struct_size = sizeof parts, .critic = critic, .inverse = inv};
    return dmc_sampler_create_with(ctx, m, &parts, o, s);
}

static dmc_sampler *sampler(const dmc_sampler_options *o)
{
    dmc_sampler *s;
    expect_ok(make(planner, inverse, o, &s));
    return s;
}

static void observe(uint64_t first, float obs[BATCH * WORLD_S])
{
    for (uint64_t b = 0; b < BATCH; b++) world_observe(first + b, obs + b * WORLD_S);
}

static void sample(dmc_sampler *s, uint64_t first, float act[BATCH * ACTIONS])
{
    float obs[BATCH * WORLD_S];
    observe(first, obs);
    ck_assert_int_ge(dmc_sampler_sample(s, obs, BATCH * WORLD_S, act, BATCH * ACTIONS), DMC_OK);
}

/* f_inv of two raw states, raw and inside the limits. */
static void between(const float *states, float act[WORLD_A])
{
    const float t[1] = {0};
    float z[2 * WORLD_S];
    dmc__normaliser_apply(&inverse->obs, states, 2, z);
    expect_ok(dmc_model_forward(inverse, 1, z, t, NULL, act));
    dmc__normaliser_invert(&inverse->act, act, 1, act);
    for (int j = 0; j < WORLD_A; j++) act[j] = fminf(fmaxf(act[j], inverse->act.lo[j]), inverse->act.hi[j]);
}

/* Row h of an answer is what leads from state h of the plan to the next; the last row is the one before. */
static void assert_by_hand(const dmc_sampler *s, const float *act)
{
    float plan[PLAN], want[WORLD_A];
    for (int32_t b = 0; b < BATCH; b++) {
        expect_ok(dmc_sampler_plan(s, b, plan, PLAN));
        for (int h = 0; h < HORIZON; h++) {
            between(plan + (h < HORIZON - 1 ? h : h - 1) * WORLD_S, want);
            ck_assert_mem_eq(act + b * ACTIONS + h * WORLD_A, want, sizeof want);
        }
    }
}

static const int32_t selections[] = {DMC_SELECT_FIRST, DMC_SELECT_EXPECTATION, DMC_SELECT_GREEDY, DMC_SELECT_SOFTMAX};

START_TEST(actions_are_the_inverse_models)
{
    dmc_sampler_options o = world_sampling(BATCH, CANDIDATES, selections[_i]);
    float act[BATCH * ACTIONS], obs[BATCH * WORLD_S], plan[PLAN];
    dmc_sampler *s = sampler(&o);
    for (uint64_t call = 0; call < 2; call++) {
        sample(s, 10 * call, act);
        assert_by_hand(s, act);
    }
    observe(10, obs);
    for (int32_t b = 0; b < BATCH; b++) { /* row 0 is the observation, bit for bit */
        expect_ok(dmc_sampler_plan(s, b, plan, PLAN));
        ck_assert_mem_eq(plan, obs + b * WORLD_S, WORLD_S * sizeof *obs);
    }
    dmc_sampler_destroy(s);
}
END_TEST

/* In steps, from the plan before, with states that are known, and through a cascade. */
START_TEST(every_way_to_an_answer)
{
    dmc_model *grown = world_cascade(planner);
    dmc_sampler_options o = world_sampling(BATCH, CANDIDATES, DMC_SELECT_GREEDY);
    float act[BATCH * ACTIONS], obs[BATCH * WORLD_S], goal[BATCH * PLAN] = {0}, plan[PLAN];
    uint8_t mask[BATCH * PLAN] = {0};
    dmc_sampler *s;
    int32_t left;
    o.warm_start = .5;
    o.cascade_passes = 1;
    expect_ok(make(grown, inverse, &o, &s));
    for (int b = 0; b < BATCH; b++) { /* the last state */
        world_observe(77, goal + (b + 1) * PLAN - WORLD_S);
        memset(mask + (b + 1) * PLAN - WORLD_S, 1, WORLD_S);
    }
    expect_ok(dmc_sampler_set_known(s, mask, goal, BATCH * PLAN));
    for (uint64_t call = 0; call < 2; call++) {
        sample(s, call, act);
        assert_by_hand(s, act);
    }
    observe(5, obs);
    expect_ok(dmc_sampler_begin(s, obs, BATCH * WORLD_S));
    expect_ok(dmc_sampler_step(s, &left));
    ck_assert_int_eq(dmc_sampler_finish(s, act, BATCH * ACTIONS), DMC_PARTIAL);
    assert_by_hand(s, act);
    expect_ok(dmc_sampler_plan(s, 1, plan, PLAN));
    ck_assert_mem_eq(plan + PLAN - WORLD_S, goal + PLAN - WORLD_S, WORLD_S * sizeof *goal);
    obs[0] = NAN; /* held: the answer before */
    float held[BATCH * ACTIONS];
    ck_assert_int_eq(dmc_sampler_sample(s, obs, BATCH * WORLD_S, held, BATCH * ACTIONS), DMC_ENUMERIC);
    ck_assert_mem_eq(held, act, sizeof act);
    dmc_sampler_destroy(s);
    dmc_model_destroy(grown);
}
END_TEST

/* Greedy takes the candidate whose first action, between its first two states, the critic likes best there. */
START_TEST(the_critic_sees_the_inverse_models_action)
{
    dmc_sampler_options o = world_sampling(BATCH, CANDIDATES, DMC_SELECT_GREEDY);
    static float all[BATCH * CANDIDATES * PLAN];
    float act[BATCH * ACTIONS], plan[PLAN], raw[WORLD_A], q1, q2, best = -INFINITY;
    const float t[1] = {0};
    dmc_sampler_info info = {.struct_size = sizeof info};
    int32_t chosen = -1;
    dmc_sampler *s = sampler(&o);
    sample(s, 3, act);
    expect_ok(dmc_sampler_candidates(s, all, BATCH * CANDIDATES * PLAN));
    for (int32_t i = 0; i < CANDIDATES; i++) {
        float z[2 * WORLD_S];
        dmc__normaliser_apply(&planner->obs, all + i * PLAN, 2, z);
        expect_ok(dmc_model_forward(inverse, 1, z, t, NULL, raw));
        dmc__normaliser_invert(&planner->act, raw, 1, raw);
        expect_ok(dmc_critic_q(critic, 1, all + i * PLAN, raw, &q1, &q2));
        if (fminf(q1, q2) > best) {
            best = fminf(q1, q2);
            chosen = i;
        }
    }
    expect_ok(dmc_sampler_get_info(s, &info));
    ck_assert_int_eq(info.chosen, chosen);
    ck_assert_double_eq_tol(info.q, best, 1e-4 * (1 + fabs((double)best)));
    expect_ok(dmc_sampler_plan(s, 0, plan, PLAN));
    ck_assert_mem_eq(plan, all + chosen * PLAN, sizeof plan);
    dmc_sampler_destroy(s);
}
END_TEST

/* Sum of Q over what leads from state to state of every plan. */
static double worth(const dmc_sampler *s, const float *act)
{
    float plan[PLAN], q1[HORIZON - 1], q2[HORIZON - 1];
    double sum = 0;
    for (int32_t b = 0; b < BATCH; b++) {
        expect_ok(dmc_sampler_plan(s, b, plan, PLAN));
        expect_ok(dmc_critic_q(critic, HORIZON - 1, plan, act + b * ACTIONS, q1, q2));
        for (int h = 0; h < HORIZON - 1; h++) sum += (q1[h] + q2[h]) / 2;
    }
    return sum;
}

/* dQ/dz of states passes through the inverse model: guided plans are worth more. */
START_TEST(the_critic_guides)
{
    dmc_sampler_options o = world_sampling(BATCH, 1, DMC_SELECT_FIRST);
    float act[BATCH * ACTIONS];
    double q[2] = {0, 0};
    for (int guided = 0; guided < 2; guided++) {
        o.guide = guided ? DMC_GUIDE_CRITIC : DMC_GUIDE_NONE;
        o.guide_scale = 1;
        dmc_sampler *s = sampler(&o);
        for (uint64_t call = 0; call < 8; call++) {
            sample(s, call, act);
            q[guided] += worth(s, act) / 8;
        }
        assert_by_hand(s, act);
        dmc_sampler_destroy(s);
    }
    ck_assert_msg(q[1] > q[0] + .05, "%g without, %g with guidance", q[0], q[1]);
}
END_TEST

START_TEST(a_call_allocates_nothing_and_every_byte_is_counted)
{
    failing_alloc f = {0};
    dmc_context *own = world_context(&f, "cpu");
    dmc_sampler_options o = world_sampling(BATCH, CANDIDATES, DMC_SELECT_GREEDY);
    const dmc_sampler_parts parts = {.struct_size = sizeof parts, .critic = critic, .inverse = inverse};
    float act[BATCH * ACTIONS], other[BATCH * ACTIONS];
    dmc_sampler *s, *in;
    size_t size;
    const size_t before = f.bytes;
    expect_ok(dmc_sampler_create_with(own, planner, &parts, &o, &s));
    ck_assert_uint_eq(dmc_sampler_memory(s), f.bytes - before);
    const int64_t calls = f.calls;
    sample(s, 1, act);
    ck_assert_int_eq(f.calls, calls);
    expect_ok(dmc_sampler_size(planner, &parts, &o, &size));
    void *block = malloc(size);
    expect_ok(dmc_sampler_create_in(planner, &parts, &o, block, size, &in));
    sample(in, 1, other);
    ck_assert_mem_eq(act, other, sizeof act);
    dmc_sampler_destroy(in);
    free(block);
    dmc_sampler_destroy(s);
    dmc_context_destroy(own);
    ck_assert_int_eq(f.live, 0);
}
END_TEST

static dmc_status create_in(void *arg, void **out)
{
    const dmc_sampler_options o = world_sampling(BATCH, CANDIDATES, DMC_SELECT_GREEDY);
    const dmc_sampler_parts parts = {.struct_size = sizeof parts, .critic = critic, .inverse = inverse};
    return dmc_sampler_create_with(arg, planner, &parts, &o, (dmc_sampler **)out);
}

static void destroy(void *s)
{
    dmc_sampler_destroy(s);
}

START_TEST(creating_without_memory)
{
    failing_alloc f = {0};
    dmc_context *own = world_context(&f, "cpu");
    world_without_memory(&f, own, create_in, destroy);
    dmc_context_destroy(own);
    ck_assert_int_eq(f.live, 0);
}
END_TEST

/* ---- files ------------------------------------------------------------------------------------------ */

START_TEST(a_file_says_what_it_holds)
{
    dmc_model *copy, *plain;
    const dmc_model_options p = world_planner();
    int32_t horizon, cols;
    char *text = world_describe(planner);
    ck_assert_ptr_nonnull(strstr(text, "\"states_only\""));
    free(text);
    expect_ok(dmc_model_save(planner, fixture_path("states.dmc")));
    expect_ok(dmc_model_load(ctx, fixture_path("states.dmc"), &copy));
    same_models(planner, copy);
    expect_ok(dmc_model_sizes(copy, &horizon, &cols, NULL, NULL, NULL));
    ck_assert(horizon == HORIZON && cols == WORLD_S && copy->spec.states_only == 1);
    dmc_model_destroy(copy);
    plain = world_model(ctx, data, &p);
    text = world_describe(plain); /* as earlier versions wrote it, and read it */
    ck_assert_ptr_null(strstr(text, "states_only"));
    ck_assert_ptr_nonnull(strstr(text, "\"format\""));
    ck_assert_ptr_null(strstr(text, "\"format\": 2"));
    free(text);
    dmc_model_destroy(plain);
}
END_TEST

/* ---- alignment -------------------------------------------------------------------------------------- */

/* QV-PG moves states so that the actions between them are better; the copy that is published is of states only too. */
START_TEST(alignment_through_the_inverse_model)
{
    dmc_align_options o;
    dmc_rl_options rl;
    dmc_align_report r = {.struct_size = sizeof r};
    dmc_aligner *a;
    dmc_model *better;
    dmc_align_options_init(&o, sizeof o);
    dmc_rl_options_init(&rl, sizeof rl);
    o.batch = 32;
    o.lr = 3e-3;
    o.eval_every = 20;
    rl.method = DMC_RL_QVPG;
    rl.updates = 40;
    rl.kl = 0;
    expect_ok(dmc_aligner_create(ctx, planner, data, critic, &o, &a));
    expect_failure(dmc_align_rl(a, &rl, &r), DMC_ESTATE, "dmc_aligner_set_inverse");
    expect_failure(dmc_aligner_set_inverse(a, planner), DMC_EINVAL, "role = inverse, role = planner");
    expect_ok(dmc_aligner_set_inverse(a, inverse));
    expect_ok(dmc_align_rl(a, &rl, &r));
    ck_assert_msg(r.accepted && r.after > r.before + 3 * r.after_se, "%g before, %g +- %g after", r.before, r.after, r.after_se);
    expect_ok(dmc_aligner_publish(a, &better));
    ck_assert_int_eq(better->spec.states_only, 1);
    dmc_model_destroy(better);
    expect_ok(dmc_aligner_set_inverse(a, NULL));
    expect_failure(dmc_align_rl(a, &rl, &r), DMC_ESTATE, "dmc_aligner_set_inverse");
    dmc_aligner_destroy(a);
}
END_TEST

/* ---- training --------------------------------------------------------------------------------------- */

static dmc_train_metrics train(const dmc_model *m, double action_weight)
{
    dmc_train_options o;
    dmc_train_metrics metrics = {.struct_size = sizeof metrics};
    dmc_trainer *t;
    dmc_train_options_init(&o, sizeof o);
    o.batch = 16;
    o.steps = 5;
    o.mask_share = .5;
    o.action_weight = action_weight;
    expect_ok(dmc_trainer_create(ctx, m, data, &o, &t));
    expect_ok(dmc_trainer_step(t, 5, &metrics));
    dmc_trainer_destroy(t);
    return metrics;
}

/* action_weight is the weight of the state that the first action leads to. */
START_TEST(the_next_state_is_weighed)
{
    const double one = train(planner, 1).loss, ten = train(planner, 10).loss;
    ck_assert_double_gt(one, 0);
    ck_assert_double_gt(ten, 2 * one);
}
END_TEST

/* ---- what does not fit ------------------------------------------------------------------------------ */

START_TEST(models_that_cannot_be)
{
    dmc_model *m = planner;
    dmc_model_options o = states_planner();
    o.horizon = 1;
    o.network = DMC_NETWORK_IDQL_MLP;
    expect_failure(dmc_model_create(ctx, data, &o, &m), DMC_ERANGE, "horizon = 1, states_only = 1 takes at least 2");
    ck_assert_ptr_null(m);
    o = world_policy();
    o.states_only = 1;
    expect_failure(dmc_model_create(ctx, data, &o, &m), DMC_EINVAL, "states_only = 1 takes role = planner or value, role = policy");
    o = states_planner();
    o.act_norm = DMC_NORM_GAUSSIAN; /* nothing of that is drawn */
    o.clip = 1;
    expect_ok(dmc_model_create(ctx, data, &o, &m));
    dmc_model_destroy(m);
}
END_TEST

static void refuse(const dmc_model *m, const dmc_model *inv, const dmc_sampler_options *o, dmc_status status, const char *sentence)
{
    dmc_sampler *s = (dmc_sampler *)&s;
    expect_failure(make(m, inv, o, &s), status, sentence);
    ck_assert_ptr_null(s);
}

START_TEST(samplers_that_cannot_be)
{
    dmc_model_options p = world_planner(), i = world_inverse(), v = world_planner();
    dmc_model *plain = world_model(ctx, data, &p), *other, *value;
    dmc_sampler *s = (dmc_sampler *)&p;
    dmc_sampler_options o = world_sampling(1, 1, DMC_SELECT_FIRST);
    refuse(planner, NULL, &o, DMC_EINVAL, "needs a model of role = inverse for its actions, inverse is NULL");
    expect_failure(dmc_sampler_create(ctx, planner, NULL, &o, &s), DMC_EINVAL, "inverse is NULL");
    refuse(plain, inverse, &o, DMC_EINVAL, "inverse gives the actions of a planner of states only");
    refuse(planner, plain, &o, DMC_EINVAL, "must be a model of role = inverse, role = planner");
    i.obs_norm = DMC_NORM_GAUSSIAN;
    other = world_model(ctx, data, &i);
    refuse(planner, other, &o, DMC_EINVAL, "normalises its data otherwise");
    o.rotations = "0";
    refuse(planner, inverse, &o, DMC_EINVAL, "rotations and majorities");
    o = world_sampling(1, 1, DMC_SELECT_FIRST);
    o.horizon = 1;
    refuse(planner, inverse, &o, DMC_ERANGE, "horizon = 1, must be at least 2");
    v.role = DMC_ROLE_VALUE;
    v.network = DMC_NETWORK_UNET1D_HALF;
    v.kernel = 3;
    value = world_model(ctx, data, &v);
    o = world_sampling(1, 1, DMC_SELECT_FIRST);
    const dmc_sampler_parts parts = {.struct_size = sizeof parts, .value = value, .inverse = inverse};
    expect_failure(dmc_sampler_create_with(ctx, planner, &parts, &o, &s), DMC_EINVAL, "states_only = 0, the model 1");
    dmc_model_destroy(value);
    v.states_only = 1;
    value = world_model(ctx, data, &v);
    const dmc_sampler_parts fits = {.struct_size = sizeof fits, .value = value, .inverse = inverse};
    o.guide = DMC_GUIDE_VALUE;
    expect_ok(dmc_sampler_create_with(ctx, planner, &fits, &o, &s));
    expect_failure(dmc_sampler_rebind(s, plain), DMC_ESHAPE, "differs");
    dmc_sampler_destroy(s);
    dmc_model_destroy(value);
    dmc_model_destroy(other);
    dmc_model_destroy(plain);
}
END_TEST

/* A program that was built before parts had an inverse. */
START_TEST(parts_of_an_earlier_version)
{
    const dmc_model_options p = world_planner();
    dmc_model *plain = world_model(ctx, data, &p);
    dmc_sampler_options o = world_sampling(1, 1, DMC_SELECT_GREEDY);
    dmc_sampler_parts parts = {.struct_size = offsetof(dmc_sampler_parts, inverse), .critic = critic, .inverse = inverse};
    dmc_sampler *s;
    expect_ok(dmc_sampler_create_with(ctx, plain, &parts, &o, &s)); /* what lies behind the end is not read */
    dmc_sampler_destroy(s);
    parts.struct_size -= 4;
    expect_failure(dmc_sampler_create_with(ctx, plain, &parts, &o, &s), DMC_EINVAL, "set them to sizeof");
    dmc_model_destroy(plain);
}
END_TEST

static int32_t still_reset(void *user, int32_t env, uint64_t seed, float *obs)
{
    (void)env, (void)user;
    world_observe(seed, obs);
    return 0;
}

static int32_t still_step(void *user, int32_t env, const float *act, float *obs, double *reward, int32_t *done)
{
    (void)env, (void)user, (void)obs;
    *reward = act[0];
    *done = 0;
    return 0;
}

START_TEST(episodes_execute_what_there_is)
{
    const dmc_env env = {.struct_size = sizeof env, .obs_dim = WORLD_S, .act_dim = WORLD_A, .max_steps = 6, .count = BATCH,
                         .reset = still_reset, .step = still_step};
    dmc_sampler_options o = world_sampling(BATCH, 1, DMC_SELECT_FIRST);
    double returns[BATCH];
    dmc_sampler *s = sampler(&o);
    expect_ok(dmc_evaluate(s, &env, BATCH, HORIZON - 1, 0, 0, returns));
    ck_assert(isfinite(returns[0]));
    expect_failure(dmc_evaluate(s, &env, BATCH, HORIZON, 0, 0, returns), DMC_ERANGE, "exec = 4, must be 1..3 (horizon - 1)");
    dmc_sampler_destroy(s);
}
END_TEST

Suite *dmc_suite_states_only(void)
{
    Suite *const s = suite_create("states_only");
    TCase *const t = tcase_create("states_only");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 30);
    tcase_add_loop_test(t, actions_are_the_inverse_models, 0, sizeof selections / sizeof *selections);
    tcase_add_test(t, every_way_to_an_answer);
    tcase_add_test(t, the_critic_sees_the_inverse_models_action);
    tcase_add_test(t, the_critic_guides);
    tcase_add_test(t, a_call_allocates_nothing_and_every_byte_is_counted);
    tcase_add_test(t, creating_without_memory);
    tcase_add_test(t, a_file_says_what_it_holds);
    tcase_add_test(t, alignment_through_the_inverse_model);
    tcase_add_test(t, the_next_state_is_weighed);
    tcase_add_test(t, models_that_cannot_be);
    tcase_add_test(t, samplers_that_cannot_be);
    tcase_add_test(t, parts_of_an_earlier_version);
    tcase_add_test(t, episodes_execute_what_there_is);
    suite_add_tcase(s, t);
    return s;
}
