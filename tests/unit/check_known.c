/* check_known.c — dmc_sampler_set_known: what is known comes out bit for bit, and the rest is drawn to go with it. */
#include "world_fixture.h"

Suite *dmc_suite_known(void);

enum { B = 2, C = 3, ROWS = 4, MOST = B * C * ROWS * (WORLD_S + WORLD_A) };

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

static dmc_model *model_on(dmc_context *c, int32_t planner, int32_t process, int32_t inpaint)
{
    dmc_model_options o = planner ? world_planner() : world_policy();
    o.horizon = ROWS;
    o.process = process;
    o.inpaint = inpaint;
    o.clip = 0; /* samples at the bound would look alike */
    return world_model(c, data, &o);
}

static int32_t cols_of(const dmc_model *m)
{
    return m->spec.net.cols;
}

/* The first rows of condition 0, a window's surroundings of condition 1; values in dataset units, among them small ones,
 * which do not come back from scaling. */
static void make_known(const dmc_model *m, uint8_t mask[MOST], float values[MOST])
{
    const int32_t cols = cols_of(m), shift = cols - WORLD_A;
    for (int32_t i = 0; i < B * ROWS * cols; i++) {
        const int32_t b = i / (ROWS * cols), row = i / cols % ROWS, j = i % cols;
        mask[i] = b ? (row != 2) * 200 : row < 2;
        values[i] = j < shift ? world_centre[j] + world_span[j] * world_uniform(50, (uint64_t)i)
                              : (j == shift ? 1e-3f : 7 + 3 * world_uniform(52, (uint64_t)i)) * world_uniform(51, (uint64_t)i);
        if (!mask[i]) values[i] = NAN; /* is not read */
    }
}

static void sample(dmc_sampler *s, uint64_t which, float act[MOST])
{
    const size_t batch = (size_t)dmc__sampler_get_config(s->run)->batch;
    float obs[B * WORLD_S];
    for (size_t b = 0; b < batch; b++) world_observe(which + b, obs + b * WORLD_S);
    const dmc_status status = dmc_sampler_sample(s, obs, batch * WORLD_S, act, batch * ROWS * WORLD_A);
    ck_assert_msg(status >= 0, "%s", dmc_last_error());
}

static void candidates(const dmc_sampler *s, float all[MOST])
{
    const dmc__sampler_config *c = dmc__sampler_get_config(s->run);
    const size_t elems = ROWS * (size_t)cols_of(dmc__sampler_model(s->run));
    expect_ok(dmc_sampler_candidates(s, all, (size_t)c->batch * (size_t)c->candidates * elems));
}

static size_t elems_of(const dmc_model *m)
{
    return ROWS * (size_t)cols_of(m);
}

/* Known entries of every candidate and plan are the caller's floats; the rest are not, and are finite. */
static void assert_placed(const dmc_sampler *s, const uint8_t *mask, const float *values)
{
    const dmc_model *m = dmc__sampler_model(s->run);
    const size_t n = elems_of(m);
    const int32_t free_from = m->spec.role ? WORLD_S : 0; /* a planner's first state is what was observed */
    float all[MOST], plan[MOST];
    candidates(s, all);
    for (size_t i = 0; i < B * C; i++)
        for (size_t j = 0; j < n; j++) {
            const size_t e = i / C * n + j;
            if (mask[e]) ck_assert(memcmp(&all[i * n + j], &values[e], sizeof *all) == 0);
            else ck_assert(isfinite(all[i * n + j]));
            if (!mask[e] && j >= (size_t)free_from) ck_assert(all[i * n + j] != all[(i / C * C + (i + 1) % C) * n + j]);
        }
    for (size_t b = 0; b < B; b++) {
        expect_ok(dmc_sampler_plan(s, (int32_t)b, plan, n));
        for (size_t j = 0; j < n; j++)
            if (mask[b * n + j]) ck_assert(memcmp(&plan[j], &values[b * n + j], sizeof *plan) == 0);
    }
}

/* ---- bit for bit -------------------------------------------------------------------------------------- */

static const char *const devices[] = {"ref", "cpu"};

/* Every process, policies and planners, both conventions, on both devices, one candidate and the mean of them. */
START_TEST(what_is_known_comes_out)
{
    const int32_t process = _i % 5, planner = _i / 5 % 2;
    uint8_t mask[MOST];
    float values[MOST], act[MOST];
    dmc_context_options co;
    dmc_context_options_init(&co, sizeof co);
    for (int j = 0; j < 8; j++) {
        dmc_context *own;
        co.device = devices[j % 2];
        expect_ok(dmc_context_create(&co, &own));
        dmc_model *m = model_on(own, planner, process, j / 2 % 2);
        dmc_sampler_options o = world_sampling(B, C, j / 4 ? DMC_SELECT_EXPECTATION : DMC_SELECT_FIRST);
        o.jump = 2;
        o.jumps = process == DMC_PROCESS_EDM ? 1 : 2; /* whose sampler, Heun's, does not jump */
        dmc_sampler *s = world_sampler(m, NULL, &o);
        make_known(m, mask, values);
        expect_ok(dmc_sampler_set_known(s, mask, values, B * elems_of(m)));
        for (uint64_t call = 0; call < 2; call++) { /* until it is changed */
            sample(s, 30 + call, act);
            if (o.select == DMC_SELECT_FIRST) assert_placed(s, mask, values);
        }
        float plan[MOST];
        for (size_t b = 0, n = elems_of(m); b < B; b++) {
            expect_ok(dmc_sampler_plan(s, (int32_t)b, plan, n));
            for (size_t e = 0; e < n; e++)
                if (mask[b * n + e]) ck_assert(memcmp(&plan[e], &values[b * n + e], sizeof *plan) == 0);
        }
        dmc_sampler_destroy(s);
        dmc_model_destroy(m);
        dmc_context_destroy(own);
    }
}
END_TEST

/* What the network is fed differs with the convention, so the rest does. */
START_TEST(conventions_differ)
{
    float act[2][MOST], values[MOST];
    uint8_t mask[MOST];
    for (int32_t inpaint = 0; inpaint < 2; inpaint++) {
        dmc_model *m = model_on(ctx, 0, DMC_PROCESS_VP, inpaint);
        const dmc_sampler_options o = world_sampling(B, 1, DMC_SELECT_FIRST);
        dmc_sampler *s = world_sampler(m, NULL, &o);
        make_known(m, mask, values);
        expect_ok(dmc_sampler_set_known(s, mask, values, B * elems_of(m)));
        sample(s, 3, act[inpaint]);
        dmc_sampler_destroy(s);
        dmc_model_destroy(m);
    }
    ck_assert_mem_eq(act[0], act[1], 2 * WORLD_A * sizeof **act); /* the first two rows are known */
    ck_assert_mem_ne(act[0] + 2 * WORLD_A, act[1] + 2 * WORLD_A, 2 * WORLD_A * sizeof **act);
}
END_TEST

/* Actions stay inside the limits all the same, and that is reported. */
START_TEST(limits_hold)
{
    dmc_model *m = model_on(ctx, 0, DMC_PROCESS_VP, 0);
    const dmc_sampler_options o = world_sampling(1, 1, DMC_SELECT_FIRST);
    dmc_sampler *s = world_sampler(m, NULL, &o);
    uint8_t mask[ROWS * WORLD_A] = {1, 1};
    float values[ROWS * WORLD_A] = {50, -50}, plan[ROWS * WORLD_A], act[ROWS * WORLD_A], obs[WORLD_S];
    world_observe(1, obs);
    expect_ok(dmc_sampler_set_known(s, mask, values, ROWS * WORLD_A));
    ck_assert_int_eq(dmc_sampler_sample(s, obs, WORLD_S, act, ROWS * WORLD_A), DMC_CLAMPED);
    ck_assert_float_eq(act[0], m->act.hi[0]);
    ck_assert_float_eq(act[1], m->act.lo[1]);
    expect_ok(dmc_sampler_plan(s, 0, plan, ROWS * WORLD_A));
    ck_assert(plan[0] == 50 && plan[1] == -50);
    dmc_sampler_destroy(s);
    dmc_model_destroy(m);
}
END_TEST

/* ---- what it changes ---------------------------------------------------------------------------------- */

/* Nothing known, all of a mask 0, and a mask taken back: the samples of a sampler that was never told anything. */
START_TEST(nothing_known_changes_nothing)
{
    dmc_model *m = model_on(ctx, _i % 2, DMC_PROCESS_VP, _i / 2);
    const dmc_sampler_options o = world_sampling(B, C, DMC_SELECT_FIRST);
    dmc_sampler *plain = world_sampler(m, NULL, &o), *s = world_sampler(m, NULL, &o);
    uint8_t mask[MOST], none[MOST] = {0};
    float values[MOST], act[MOST], want[MOST], all[MOST];
    make_known(m, mask, values);
    for (int j = 0; j < 3; j++) {
        sample(plain, 4, act);
        candidates(plain, want);
        if (j == 1) expect_ok(dmc_sampler_set_known(s, none, values, B * elems_of(m)));
        if (j == 2) {
            expect_ok(dmc_sampler_set_known(s, mask, values, B * elems_of(m)));
            expect_ok(dmc_sampler_set_known(s, NULL, NULL, 0));
        }
        sample(s, 4, act);
        candidates(s, all);
        ck_assert_mem_eq(all, want, B * C * elems_of(m) * sizeof *all);
    }
    dmc_sampler_destroy(s);
    dmc_sampler_destroy(plain);
    dmc_model_destroy(m);
}
END_TEST

/* Each condition has its own mask, and gets what it would get alone. */
START_TEST(conditions_do_not_mix)
{
    dmc_model *m = model_on(ctx, _i % 2, DMC_PROCESS_VP, _i / 2);
    const dmc_sampler_options two = world_sampling(B, C, DMC_SELECT_FIRST), one = world_sampling(1, C, DMC_SELECT_FIRST);
    dmc_sampler *both = world_sampler(m, NULL, &two), *alone = world_sampler(m, NULL, &one);
    uint8_t mask[MOST], other[MOST];
    float values[MOST], act[MOST], want[MOST], all[MOST];
    const size_t n = elems_of(m);
    make_known(m, mask, values);
    expect_ok(dmc_sampler_set_known(both, mask, values, B * n));
    expect_ok(dmc_sampler_set_known(alone, mask, values, n));
    sample(both, 4, act);
    candidates(both, all);
    sample(alone, 4, act);
    candidates(alone, want);
    ck_assert_mem_eq(all, want, C * n * sizeof *all);
    memcpy(other, mask, sizeof other);
    memset(other, 0, n);
    expect_ok(dmc_sampler_reset(both, 21)); /* keeps what is known */
    sample(both, 4, act);
    candidates(both, want);
    ck_assert_mem_eq(all, want, B * C * n * sizeof *all);
    expect_ok(dmc_sampler_set_known(both, other, values, B * n));
    expect_ok(dmc_sampler_reset(both, 21));
    sample(both, 4, act);
    candidates(both, want);
    ck_assert_mem_ne(all, want, C * n * sizeof *all);
    ck_assert_mem_eq(all + C * n, want + C * n, C * n * sizeof *all);
    dmc_sampler_destroy(alone);
    dmc_sampler_destroy(both);
    dmc_model_destroy(m);
}
END_TEST

/* A U-Net's other rows depend on the known ones; a planner's first state is as observed, unless the caller knows better. */
START_TEST(a_goal_bends_the_plan)
{
    dmc_model *m = model_on(ctx, 1, DMC_PROCESS_VP, 0);
    const dmc_sampler_options o = world_sampling(1, 1, DMC_SELECT_FIRST);
    dmc_sampler *s = world_sampler(m, NULL, &o);
    const size_t cols = (size_t)cols_of(m), n = elems_of(m);
    uint8_t mask[MOST] = {0};
    float values[MOST], act[MOST], free_plan[MOST], plan[MOST], obs[WORLD_S];
    sample(s, 4, act);
    expect_ok(dmc_sampler_plan(s, 0, free_plan, n));
    world_observe(4, obs);
    ck_assert_mem_eq(free_plan, obs, sizeof obs);
    memset(mask + 3 * cols, 1, WORLD_S);
    world_observe(90, values + 3 * cols);
    expect_ok(dmc_sampler_set_known(s, mask, values, n));
    expect_ok(dmc_sampler_reset(s, 21));
    sample(s, 4, act);
    expect_ok(dmc_sampler_plan(s, 0, plan, n));
    ck_assert_mem_eq(plan, obs, sizeof obs);
    ck_assert_mem_eq(plan + 3 * cols, values + 3 * cols, WORLD_S * sizeof *plan);
    ck_assert_mem_ne(plan + cols, free_plan + cols, cols * sizeof *plan);
    mask[1] = 1;
    values[1] = -1.625f;
    expect_ok(dmc_sampler_set_known(s, mask, values, n));
    sample(s, 4, act);
    expect_ok(dmc_sampler_plan(s, 0, plan, n));
    ck_assert(plan[0] == obs[0] && plan[1] == -1.625f && plan[2] == obs[2]);
    dmc_sampler_destroy(s);
    dmc_model_destroy(m);
}
END_TEST

/* Through a cascade too; between begin and finish, what is set is for the answer after. */
START_TEST(an_answer_keeps_what_it_began_with)
{
    dmc_model *base = model_on(ctx, 0, DMC_PROCESS_VP, _i), *m = world_cascade(base);
    dmc_sampler_options o = world_sampling(B, C, DMC_SELECT_FIRST);
    o.cascade_passes = 1;
    dmc_sampler *s = world_sampler(m, NULL, &o);
    uint8_t mask[MOST];
    float values[MOST], act[MOST], obs[B * WORLD_S];
    const size_t n = B * elems_of(m);
    make_known(m, mask, values);
    expect_ok(dmc_sampler_set_known(s, mask, values, n));
    for (uint64_t b = 0; b < B; b++) world_observe(b, obs + b * WORLD_S);
    expect_ok(dmc_sampler_begin(s, obs, B * WORLD_S));
    int32_t left = 1;
    while (left > 0) {
        expect_ok(dmc_sampler_step(s, &left));
        expect_ok(dmc_sampler_set_known(s, NULL, NULL, 0));
    }
    ck_assert_int_ge(dmc_sampler_finish(s, act, B * ROWS * WORLD_A), 0);
    assert_placed(s, mask, values);
    sample(s, 4, act);
    float all[MOST];
    candidates(s, all);
    ck_assert(all[0] != values[0]);
    dmc_sampler_destroy(s);
    dmc_model_destroy(m);
    dmc_model_destroy(base);
}
END_TEST

/* The first state of one sample, known, as the loss noises it. */
static void assert_loss_follows(const dmc__align *a, int32_t noised)
{
    const size_t n = dmc__align_elems(a);
    const uint64_t zero = 0;
    const double time = 4;
    float x0[ROWS * (WORLD_S + WORLD_A)] = {.5f, .25f, -.5f}, mask[ROWS * (WORLD_S + WORLD_A)] = {1, 1, 1}, seen[WORLD_S];
    const void *z;
    dmc__chain *chain;
    dmc__denoise *loss;
    ck_assert_uint_eq(n, ROWS * (WORLD_S + WORLD_A));
    expect_ok(dmc__chain_create(a->net, a->device, 1, 0, NULL, &chain));
    expect_ok(dmc__align_denoise(a, chain, a->net, 1, &loss));
    expect_ok(dmc__denoise_set(loss, x0, NULL, NULL, mask, NULL));
    expect_ok(dmc__denoise_noise(loss, &time, &zero, 1, DMC_STREAM_NOISE, 0));
    dmc__denoise_batch(loss, &z, NULL, NULL, NULL);
    expect_ok(dmc__dev_out(a->device, seen, z, WORLD_S));
    ck_assert_int_eq(memcmp(seen, x0, sizeof seen) != 0, noised);
    dmc__denoise_destroy(loss);
    dmc__chain_destroy(chain);
}

/* Its bound is that of the same convention. */
static void assert_judge_follows(const dmc__align *a, const dmc__model *m, int32_t noised)
{
    const float x0[ROWS * (WORLD_S + WORLD_A)] = {.5f, .25f, -.5f, .1f, .7f}, mask[ROWS * (WORLD_S + WORLD_A)] = {1, 1, 1};
    const dmc__likelihood_batch batch = {.x0 = x0, .mask = mask};
    double ell[3];
    for (int32_t i = 0; i < 3; i++) { /* the aligner's; clean; noised */
        const dmc__likelihood_config c = {.method = DMC__LIKELIHOOD_BOUND, .seed = a->config.seed, .noised_known = i == 2};
        dmc__likelihood *l;
        if (i == 0) expect_ok(dmc__align_judge(a, 1, &l));
        else expect_ok(dmc__likelihood_create(m->net, a->device, &m->process, 1, &c, &l));
        if (i > 0) dmc__likelihood_bind(l, m->weights);
        expect_ok(dmc__likelihood_run(l, &batch, &ell[i]));
        dmc__likelihood_destroy(l);
    }
    ck_assert_double_eq(ell[0], ell[1 + noised]);
    ck_assert_double_ne(ell[1], ell[2]);
}

/* An aligner's chains and losses have the model's convention: known entries of a latent in between are clean, or are not. */
START_TEST(aligners_follow_the_model)
{
    dmc_model *m = model_on(ctx, 1, DMC_PROCESS_VP, _i);
    dmc_critic *critic = world_critic(ctx, data, 0);
    dmc_align_options o;
    dmc_aligner *a;
    float z[ROWS * (WORLD_S + WORLD_A)], known[WORLD_S];
    dmc_align_options_init(&o, sizeof o);
    o.batch = o.candidates = 4;
    expect_ok(dmc_aligner_create(NULL, m, data, critic, &o, &a));
    dmc__rollout *r = a->run->sample;
    const uint64_t draw = dmc__align_draw(a->run);
    expect_ok(dmc__align_condition(a->run, r, 1, 4, draw, 0));
    dmc__rollout_bind(r, m->weights, NULL, dmc__rollout_rows(r));
    expect_ok(dmc__rollout_run(r, 1, draw, 0, 1));
    expect_ok(dmc__dev_out(m->ref.ctx->device, known, dmc__rollout_known(r), WORLD_S));
    for (int32_t k = 0; k <= dmc__rollout_rows(r); k++) {
        expect_ok(dmc__dev_out(m->ref.ctx->device, z, dmc__rollout_latent(r, k), elems_of(m)));
        ck_assert_int_eq(memcmp(z, known, sizeof known) == 0, !_i || k == dmc__rollout_rows(r));
    }
    assert_loss_follows(a->run, _i);
    assert_judge_follows(a->run, m, _i);
    dmc_aligner_destroy(a);
    dmc_critic_destroy(critic);
    dmc_model_destroy(m);
}
END_TEST

/* ---- refusals ----------------------------------------------------------------------------------------- */

/* What was known before stays so. */
START_TEST(refusals)
{
    dmc_model *m = model_on(ctx, 1, DMC_PROCESS_VP, 0);
    const dmc_sampler_options o = world_sampling(B, C, DMC_SELECT_FIRST);
    dmc_sampler *s = world_sampler(m, NULL, &o);
    const size_t n = elems_of(m);
    uint8_t mask[MOST];
    float values[MOST], bad[MOST], act[MOST];
    make_known(m, mask, values);
    expect_ok(dmc_sampler_set_known(s, mask, values, B * n));
    memcpy(bad, values, sizeof bad);
    bad[n + 7] = NAN;
    expect_failure(dmc_sampler_set_known(s, mask, bad, B * n), DMC_ENUMERIC,
                   "the known value of condition 1, row 1, column 2 is not finite");
    bad[n + 7] = INFINITY;
    expect_failure(dmc_sampler_set_known(s, mask, bad, B * n), DMC_ENUMERIC, "row 1, column 2");
    expect_failure(dmc_sampler_set_known(s, mask, values, n), DMC_ESHAPE, "n = 20, must be batch * horizon * columns = 40");
    expect_failure(dmc_sampler_set_known(s, mask, NULL, B * n), DMC_EINVAL, "values is NULL");
    expect_failure(dmc_sampler_set_known(NULL, mask, values, B * n), DMC_EINVAL, "s is NULL");
    sample(s, 4, act);
    assert_placed(s, mask, values);
    dmc_sampler_destroy(s);
    dmc_model_destroy(m);
}
END_TEST

Suite *dmc_suite_known(void)
{
    Suite *s = suite_create("known");
    TCase *c = tcase_create("known");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_loop_test(c, what_is_known_comes_out, 0, 10);
    tcase_add_test(c, conventions_differ);
    tcase_add_test(c, limits_hold);
    tcase_add_loop_test(c, nothing_known_changes_nothing, 0, 4);
    tcase_add_loop_test(c, conditions_do_not_mix, 0, 4);
    tcase_add_test(c, a_goal_bends_the_plan);
    tcase_add_loop_test(c, an_answer_keeps_what_it_began_with, 0, 2);
    tcase_add_loop_test(c, aligners_follow_the_model, 0, 2);
    tcase_add_test(c, refusals);
    suite_add_tcase(s, c);
    return s;
}
