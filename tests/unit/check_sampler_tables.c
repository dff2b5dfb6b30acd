/* check_sampler_tables.c — processes, samplers and grids through the public functions. */
#include "world_fixture.h"

Suite *dmc_suite_sampler_tables(void);

enum { BATCH = 3, OUT = BATCH * 2 * WORLD_A };

static dmc_context *ctx;
static dmc_dataset *data;

static void setup(void)
{
    expect_ok(dmc_context_create(NULL, &ctx));
    data = world_data(ctx);
}

static void teardown(void)
{
    dmc_dataset_destroy(data);
    dmc_context_destroy(ctx);
}

static dmc_model *policy_of(int32_t process)
{
    dmc_model_options o = world_policy();
    o.process = process;
    o.train_steps = 10;
    return world_model(ctx, data, &o);
}

static dmc_sampler_options sampling(int32_t sampler, int32_t steps)
{
    dmc_sampler_options o = world_sampling(BATCH, 1, DMC_SELECT_FIRST);
    o.sampler = sampler;
    o.steps = steps;
    return o;
}

static void actions_of(const dmc_model *m, const dmc_sampler_options *o, float *out)
{
    float obs[BATCH * WORLD_S];
    dmc_sampler *s = world_sampler(m, NULL, o);
    for (int b = 0; b < BATCH; b++) world_observe((uint64_t)b, obs + b * WORLD_S);
    const dmc_status status = dmc_sampler_sample(s, obs, BATCH * WORLD_S, out, OUT);
    ck_assert_msg(status >= 0, "%s", dmc_last_error());
    dmc_sampler_destroy(s);
}

/* The places of a grid, written out, are that grid. */
START_TEST(grid_times_are_the_grid)
{
    static const struct { int32_t process, grid, steps; const char *times; } same[] = {
        {DMC_PROCESS_FLOW, DMC_GRID_TRAILING, 4, "1,0.75,0.5,0.25"},
        {DMC_PROCESS_VP, DMC_GRID_LINSPACE, 4, "9, 6, 3, 0"},
        {DMC_PROCESS_EDM, DMC_GRID_LINSPACE, 2, "80, 0.002"},
    };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        float plain[OUT], custom[OUT];
        dmc_model *m = policy_of(same[i].process);
        dmc_sampler_options o = sampling(DMC_SAMPLER_AUTO, same[i].steps);
        o.grid = same[i].grid;
        actions_of(m, &o, plain);
        o.grid = DMC_GRID_CUSTOM;
        o.grid_times = same[i].times;
        actions_of(m, &o, custom);
        ck_assert_mem_eq(plain, custom, sizeof plain);
        o.steps = 0; /* as many as there are */
        actions_of(m, &o, custom);
        ck_assert_mem_eq(plain, custom, sizeof plain);
        dmc_model_destroy(m);
    }
}
END_TEST

/* All samplers that suit a process answer, each differently from Euler but for its equals (ddim, dpm, dpmpp). */
START_TEST(every_sampler_answers)
{
    dmc_model *m = policy_of(_i);
    dmc_sampler_options o = sampling(DMC_SAMPLER_EULER, 6);
    float euler[OUT], out[OUT];
    int answered = 0;
    actions_of(m, &o, euler);
    for (int32_t sampler = 0; sampler < DMC_SAMPLER_AUTO; sampler++) {
        dmc_sampler *s;
        o.sampler = sampler;
        if (dmc_sampler_create(NULL, m, NULL, &o, &s) < 0) continue;
        dmc_sampler_destroy(s);
        actions_of(m, &o, out);
        for (int i = 0; i < OUT; i++) ck_assert(isfinite(out[i]));
        const int equal = sampler == DMC_SAMPLER_DDIM || sampler == DMC_SAMPLER_EULER || sampler == DMC_SAMPLER_DPM ||
                          sampler == DMC_SAMPLER_DPMPP;
        ck_assert((memcmp(out, euler, sizeof out) == 0) == equal);
        answered++;
    }
    ck_assert_int_eq(answered, 11);
    dmc_model_destroy(m);
}
END_TEST

static void expect_none(int32_t process, const dmc_sampler_options *o, dmc_status status, const char *sentence)
{
    dmc_model *m = policy_of(process);
    dmc_sampler *s = (dmc_sampler *)(uintptr_t)1;
    expect_failure(dmc_sampler_create(NULL, m, NULL, o, &s), status, sentence);
    ck_assert_ptr_null(s);
    dmc_model_destroy(m);
}

START_TEST(refusals)
{
    dmc_sampler_options o = sampling(DMC_SAMPLER_EULER, 3);
    o.grid = DMC_GRID_CUSTOM;
    expect_none(DMC_PROCESS_FLOW, &o, DMC_EINVAL, "grid_times has 0 numbers and steps = 3");
    o.grid_times = "1,0.5";
    expect_none(DMC_PROCESS_FLOW, &o, DMC_EINVAL, "grid_times has 2 numbers and steps = 3");
    o.grid_times = "1,half,0.1";
    expect_none(DMC_PROCESS_FLOW, &o, DMC_EPARSE, "grid_times: number 2 is \"half\"");
    o.grid_times = "1,0.5,0.6";
    expect_none(DMC_PROCESS_FLOW, &o, DMC_ERANGE, "number 3 of 3: time 0.6, must be below the one before it, 0.5");
    o.grid = DMC_GRID_TRAILING;
    expect_none(DMC_PROCESS_FLOW, &o, DMC_EINVAL, "grid_times has 3 numbers, but grid is not custom");
    o = sampling(DMC_SAMPLER_FLOW_SDE, 3);
    expect_none(DMC_PROCESS_VP, &o, DMC_EINVAL, "sampler flow_sde cannot be used with the process vp, only with: flow");
    o = sampling(DMC_SAMPLER_DPMPP_2M, 6);
    o.jumps = 2;
    expect_none(DMC_PROCESS_VP, &o, DMC_EINVAL, "jumps = 2 cannot be used with the sampler dpmpp_2m");
}
END_TEST

/* RePaint's walk and CleanDiffuser's tables are reached by their options: other answers than without. */
START_TEST(jumps_and_compat_are_reached)
{
    float plain[OUT], out[OUT];
    dmc_model *m = policy_of(DMC_PROCESS_VP_GRID);
    dmc_sampler_options o = sampling(DMC_SAMPLER_DDIM, 6);
    actions_of(m, &o, plain);
    o.jump = 2;
    o.jumps = 3;
    actions_of(m, &o, out);
    ck_assert_mem_ne(plain, out, sizeof out);
    o.jumps = 1;
    o.table_compat = 1;
    actions_of(m, &o, out);
    ck_assert_mem_ne(plain, out, sizeof out);
    dmc_model_destroy(m);
}
END_TEST

Suite *dmc_suite_sampler_tables(void)
{
    Suite *s = suite_create("sampler_tables");
    TCase *t = tcase_create("sampler_tables");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, grid_times_are_the_grid);
    tcase_add_loop_test(t, every_sampler_answers, DMC_PROCESS_VP, DMC_PROCESS_FLOW + 1);
    tcase_add_test(t, refusals);
    tcase_add_test(t, jumps_and_compat_are_reached);
    suite_add_tcase(s, t);
    return s;
}
