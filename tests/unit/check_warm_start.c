/* check_warm_start.c — answers that begin with the plan before: which rows of it, which step, whose noise. */
#include "world_fixture.h"

Suite *dmc_suite_warm_start(void);

enum { ROWS = 4, MOST = 4096 };

static dmc_context *ctx;
static dmc_dataset *data;
static dmc_model *policy, *planner;

static dmc_model *model_on(int32_t is_planner, int32_t process, int32_t steps, int32_t inpaint)
{
    dmc_model_options o = is_planner ? world_planner() : world_policy();
    o.horizon = ROWS;
    o.process = process;
    o.train_steps = steps;
    o.inpaint = inpaint;
    o.clip = 0;
    return world_model(ctx, data, &o);
}

static void setup(void)
{
    expect_ok(dmc_context_create(NULL, &ctx));
    data = world_data(ctx);
    policy = model_on(0, DMC_PROCESS_VP, 5, 0);
    planner = model_on(1, DMC_PROCESS_VP, 5, 0);
}

static void teardown(void)
{
    dmc_model_destroy(planner);
    dmc_model_destroy(policy);
    dmc_dataset_destroy(data);
    dmc_context_destroy(ctx);
}

static dmc_sampler_options warm(int32_t batch, int32_t candidates, double share, int32_t exec)
{
    dmc_sampler_options o = world_sampling(batch, candidates, DMC_SELECT_FIRST);
    o.warm_start = share;
    o.exec = exec;
    return o;
}

static size_t elems_of(const dmc_model *m)
{
    return ROWS * (size_t)m->spec.net.cols;
}

/* One call; the candidates. Steps done. */
static int32_t ask(dmc_sampler *s, uint64_t which, float all[MOST])
{
    const dmc__sampler_config *c = dmc__sampler_get_config(s->run);
    const size_t batch = (size_t)c->batch;
    float obs[8 * WORLD_S], act[MOST];
    dmc_sampler_info info = {.struct_size = sizeof info};
    for (size_t b = 0; b < batch; b++) world_observe(which + b, obs + b * WORLD_S);
    const dmc_status status = dmc_sampler_sample(s, obs, batch * WORLD_S, act, batch * ROWS * WORLD_A);
    ck_assert_msg(status >= 0, "%s", dmc_last_error());
    expect_ok(dmc_sampler_candidates(s, all, batch * (size_t)c->candidates * elems_of(dmc__sampler_model(s->run))));
    expect_ok(dmc_sampler_get_info(s, &info));
    ck_assert_int_eq(info.steps, info.planned);
    return info.steps;
}

/* ---- G4: which rows ------------------------------------------------------------------------------------- */

/* The rows from `row` on by hand: z (elems) normalised, policy. */
static void denoise_by_hand(const dmc_model *m, int32_t row, const float *cond, float *z)
{
    const size_t n = elems_of(m);
    const dmc__table_config c = {.sampler = DMC__SAMPLER_DDIM, .grid = DMC__GRID_LINSPACE, .steps = 5};
    float f[64];
    dmc__table table;
    expect_ok(dmc__table_create(&dmc__default_allocator, &m->process, &c, &table));
    for (int32_t k = row; k < table.k; k++) {
        const dmc__row *r = &table.row[k];
        const float t = (float)r->at.seen;
        expect_ok(dmc_model_forward(m, 1, z, &t, cond, f));
        for (size_t i = 0; i < n; i++) z[i] = (float)(r->a * (r->P * z[i] + r->Q * f[i]) + r->b * z[i]);
    }
    dmc__table_free(&table);
}

/* The second answer is a function of the plan before, here a mean, and of its own noise: rows exec..3 of the plan stand in rows
 * 0.., the last is repeated; all that is noised to the step that is half the way to noise, number 2 of 5. */
START_TEST(old_rows_move_up)
{
    const int32_t exec = _i + 1;
    const double alpha = policy->process.alpha[2], sigma = policy->process.sigma[2];
    dmc_sampler_options o = warm(1, 3, .5, exec);
    float all[MOST], plan[64], z[64], cond[2 * WORLD_S];
    o.sampler = DMC_SAMPLER_DDIM;
    o.select = DMC_SELECT_EXPECTATION;
    o.temperature = .5;
    dmc_sampler *s = world_sampler(policy, NULL, &o);
    ck_assert_int_eq(ask(s, 1, all), 5);
    expect_ok(dmc_sampler_plan(s, 0, plan, ROWS * WORLD_A));
    ck_assert_int_eq(ask(s, 2, all), 3);
    for (uint64_t i = 0; i < 2; i++) {
        world_observe(i + 1, cond + i * WORLD_S);
        dmc__normaliser_apply(&policy->obs, cond + i * WORLD_S, 1, cond + i * WORLD_S);
    }
    for (uint64_t c = 0; c < 3; c++) {
        const dmc__stream own = {o.seed, DMC_STREAM_LATENT, 1, c};
        for (int32_t h = 0; h < ROWS; h++) {
            const int32_t from = h + exec < ROWS ? h + exec : ROWS - 1;
            dmc__normaliser_apply(&policy->act, plan + from * WORLD_A, 1, z + h * WORLD_A);
        }
        for (uint32_t i = 0; i < ROWS * WORLD_A; i++) z[i] = (float)(alpha * z[i] + .5 * sigma * dmc__rng_normal(&own, i));
        denoise_by_hand(policy, 2, cond, z);
        for (size_t i = 0; i < ROWS * WORLD_A; i++)
            ck_assert_float_eq_tol(all[c * ROWS * WORLD_A + i], z[i] * policy->act.scale[i % 2] + policy->act.shift[i % 2], 1e-4);
    }
    dmc_sampler_destroy(s);
}
END_TEST

/* ---- which step ------------------------------------------------------------------------------------------ */

/* Steps done of 10 at .3 of the way, by process; a step of Heun's is one, and begins with its first call. */
START_TEST(the_step_is_a_share_of_the_way)
{
    static const struct { int32_t process, sampler; double share; int32_t steps; } row[] = {
        {DMC_PROCESS_VP, DMC_SAMPLER_AUTO, .3, 3},        /* times 9 8 .. 0: 2 is the first up to 2.7             */
        {DMC_PROCESS_VP, DMC_SAMPLER_AUTO, 1, 10},        {DMC_PROCESS_VP, DMC_SAMPLER_AUTO, 1. / 3, 4},
        {DMC_PROCESS_VP, DMC_SAMPLER_AUTO, .001, 1},      {DMC_PROCESS_VP_SDE, DMC_SAMPLER_AUTO, .35, 4},
        {DMC_PROCESS_EDM, DMC_SAMPLER_AUTO, .3, 3},       /* sigma^(1/7) in ninths of its way: 2/9 is up to .3 */
        {DMC_PROCESS_EDM, DMC_SAMPLER_EULER, .34, 4},     {DMC_PROCESS_FLOW, DMC_SAMPLER_AUTO, .3, 3}, /* 1 .9 .. .1 */
        {DMC_PROCESS_FLOW, DMC_SAMPLER_HEUN, .3, 3},      {DMC_PROCESS_FLOW, DMC_SAMPLER_DPMPP_2M, .05, 1},
    };
    float all[MOST];
    dmc_model *m = model_on(1, row[_i].process, 10, 0);
    dmc_sampler_options o = warm(1, 2, row[_i].share, 1);
    o.sampler = row[_i].sampler;
    dmc_sampler *s = world_sampler(m, NULL, &o);
    ck_assert_int_eq(ask(s, 1, all), 10);
    for (uint64_t call = 2; call < 4; call++) ck_assert_int_eq(ask(s, call, all), row[_i].steps);
    dmc_sampler_destroy(s);
    dmc_model_destroy(m);
}
END_TEST

/* With RePaint the walk goes on from the first row that is that close, jumps included. */
START_TEST(jumps_come_after_the_beginning)
{
    float all[MOST];
    dmc_model *m = model_on(1, DMC_PROCESS_VP, 10, 1);
    dmc_sampler_options o = warm(1, 2, .3, 1);
    o.jump = 2;
    o.jumps = 2;
    dmc_sampler *s = world_sampler(m, NULL, &o);
    /* 9 8 7 6 | 8 7 6 5 4 | 6 5 4 3 2 | 4 3 2 1 0 | 2 1 0: 2, where the jump to 4 begins, is the first up to 2.7 */
    ck_assert_int_eq(ask(s, 1, all), 10 + 4 * 2);
    ck_assert_int_eq(ask(s, 2, all), 4 + 3);
    dmc_sampler_destroy(s);
    dmc_model_destroy(m);
}
END_TEST

/* ---- when ------------------------------------------------------------------------------------------------ */

/* Without a plan before: the bits of a sampler without a warm start. */
START_TEST(a_beginning_is_cold)
{
    dmc_model *m = _i ? planner : policy;
    const dmc_sampler_options cold = warm(2, 3, 0, 1), o = warm(2, 3, .5, 1);
    dmc_sampler *plain = world_sampler(m, NULL, &cold), *s = world_sampler(m, NULL, &o);
    const size_t n = 6 * elems_of(m);
    float want[MOST], all[MOST], obs[2 * WORLD_S] = {NAN}, act[MOST];
    ask(plain, 1, want);
    ck_assert_int_eq(ask(s, 1, all), 5);
    ck_assert_mem_eq(all, want, n * sizeof *all);
    ask(plain, 2, want);
    ck_assert_int_eq(ask(s, 2, all), 3);
    ck_assert_mem_ne(all, want, n * sizeof *all);
    expect_ok(dmc_sampler_reset(s, 21));
    expect_ok(dmc_sampler_reset(plain, 21));
    ask(plain, 1, want);
    ck_assert_int_eq(ask(s, 1, all), 5);
    ck_assert_mem_eq(all, want, n * sizeof *all);
    expect_failure(dmc_sampler_sample(s, obs, 2 * WORLD_S, act, 2 * ROWS * WORLD_A), DMC_ENUMERIC, "not finite");
    ask(plain, 2, want); /* the held actions were for another time */
    ck_assert_int_eq(ask(s, 2, all), 5);
    ck_assert_mem_eq(all, want, n * sizeof *all);
    ck_assert_int_eq(ask(s, 3, all), 3);
    dmc_sampler_destroy(s);
    dmc_sampler_destroy(plain);
}
END_TEST

/* An answer of fewer steps is a plan as well. */
START_TEST(a_partial_plan_is_one)
{
    const dmc_sampler_options o = warm(1, 1, .5, 1);
    dmc_sampler *s = world_sampler(policy, NULL, &o);
    float obs[WORLD_S], act[MOST], all[MOST];
    world_observe(3, obs);
    expect_ok(dmc_sampler_begin(s, obs, WORLD_S));
    expect_ok(dmc_sampler_step(s, NULL));
    ck_assert_int_eq(dmc_sampler_finish(s, act, ROWS * WORLD_A), DMC_PARTIAL);
    ck_assert_int_eq(ask(s, 2, all), 3);
    dmc_sampler_destroy(s);
}
END_TEST

/* ---- whose ----------------------------------------------------------------------------------------------- */

/* Every candidate has noise of its own, every condition its own plan: a batch is what its conditions are alone. */
START_TEST(batches_may_be_cut)
{
    dmc_model *m = model_on(_i % 2, DMC_PROCESS_VP, 5, _i / 2);
    const dmc_sampler_options two = warm(2, 3, .5, 1), one = warm(1, 3, .5, 1);
    dmc_sampler *both = world_sampler(m, NULL, &two), *alone = world_sampler(m, NULL, &one);
    const size_t n = elems_of(m);
    float all[MOST], want[MOST];
    for (uint64_t call = 0; call < 4; call++) {
        ask(both, call, all);
        ask(alone, call, want);
        ck_assert_mem_eq(all, want, 3 * n * sizeof *all);
        for (size_t i = 1; i < 6; i++) ck_assert_mem_ne(all, all + i * n, n * sizeof *all);
    }
    dmc_sampler_destroy(alone);
    dmc_sampler_destroy(both);
    dmc_model_destroy(m);
}
END_TEST

/* With a cascade: its passes begin with noise, whatever the model's began with. */
START_TEST(cascades_begin_with_noise)
{
    dmc_model *m = world_cascade(policy);
    dmc_sampler_options o = warm(1, 2, .5, 1);
    float all[MOST];
    o.cascade_passes = 1;
    dmc_sampler *s = world_sampler(m, NULL, &o);
    ck_assert_int_eq(ask(s, 1, all), 5 + 5);
    ck_assert_int_eq(ask(s, 2, all), 3 + 5);
    dmc_sampler_destroy(s);
    dmc_model_destroy(m);
}
END_TEST

/* What is known goes over what was planned, in both conventions. */
START_TEST(known_entries_come_out)
{
    dmc_model *m = model_on(0, DMC_PROCESS_VP, 5, _i);
    const dmc_sampler_options o = warm(1, 2, .5, 1);
    dmc_sampler *s = world_sampler(m, NULL, &o);
    const uint8_t mask[ROWS * WORLD_A] = {1, 1};
    const float values[ROWS * WORLD_A] = {.123f, 6.7f};
    float all[MOST];
    ask(s, 1, all);
    expect_ok(dmc_sampler_set_known(s, mask, values, ROWS * WORLD_A));
    ck_assert_int_eq(ask(s, 2, all), 3);
    for (size_t i = 0; i < 2; i++) ck_assert_mem_eq(all + i * elems_of(m), values, WORLD_A * sizeof *all);
    dmc_sampler_destroy(s);
    dmc_model_destroy(m);
}
END_TEST

/* ---- refusals and memory ----------------------------------------------------------------------------------- */

START_TEST(a_row_must_be_left)
{
    dmc_sampler_options o = warm(1, 1, .5, ROWS);
    dmc_sampler *s = (dmc_sampler *)(uintptr_t)1;
    expect_failure(dmc_sampler_create(NULL, policy, NULL, &o, &s), DMC_ERANGE, "exec = 4, must be 1..3 (horizon - 1)");
    ck_assert_ptr_null(s);
    o.warm_start = 1.5;
    expect_failure(dmc_sampler_create(NULL, policy, NULL, &o, &s), DMC_ERANGE, "warm_start = 1.5");
    o = warm(1, 1, 0, ROWS); /* has no meaning without one */
    expect_ok(dmc_sampler_create(NULL, policy, NULL, &o, &s));
    dmc_sampler_destroy(s);
}
END_TEST

typedef struct make_args {
    dmc_context *ctx;
    dmc_model *m;
} make_args;

static dmc_status create_in(void *user, void **out)
{
    const make_args *a = user;
    const dmc_sampler_options o = warm(2, 2, .5, 1);
    return dmc_sampler_create(a->ctx, a->m, NULL, &o, (dmc_sampler **)out);
}

static void destroy(void *s)
{
    dmc_sampler_destroy(s);
}

START_TEST(creating_without_memory)
{
    failing_alloc f = {0};
    dmc_context *own = world_context(&f, "cpu");
    dmc_model_options o = world_policy();
    o.horizon = ROWS;
    make_args a = {own, world_model(own, data, &o)};
    world_without_memory(&f, &a, create_in, destroy);
    dmc_model_destroy(a.m);
    dmc_context_destroy(own);
    ck_assert_int_eq(f.live, 0);
}
END_TEST

Suite *dmc_suite_warm_start(void)
{
    Suite *s = suite_create("warm_start");
    TCase *c = tcase_create("warm_start");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_loop_test(c, old_rows_move_up, 0, 3);
    tcase_add_loop_test(c, the_step_is_a_share_of_the_way, 0, 10);
    tcase_add_test(c, jumps_come_after_the_beginning);
    tcase_add_loop_test(c, a_beginning_is_cold, 0, 2);
    tcase_add_test(c, a_partial_plan_is_one);
    tcase_add_loop_test(c, batches_may_be_cut, 0, 4);
    tcase_add_test(c, cascades_begin_with_noise);
    tcase_add_loop_test(c, known_entries_come_out, 0, 2);
    tcase_add_test(c, a_row_must_be_left);
    tcase_add_test(c, creating_without_memory);
    suite_add_tcase(s, c);
    return s;
}
