/* check_sampler_run.c — answers in steps, answers until a deadline (by a clock of the test's own), and what is told about them. */
#include "../../lib/base/fp_mode.h"
#include "../../lib/runtime/sampler_state.h"
#include "world_fixture.h"

#include <fenv.h>

static dmc_dataset *data;
static dmc_model *policy, *planner;
static dmc_critic *critic;

static void setup(void)
{
    const dmc_model_options o = world_policy(), p = world_planner();
    data = world_data(NULL);
    policy = world_model(NULL, data, &o);
    planner = world_model(NULL, data, &p);
    critic = world_critic(NULL, data, 50);
}

static void teardown(void)
{
    dmc_critic_destroy(critic);
    dmc_model_destroy(planner);
    dmc_model_destroy(policy);
    dmc_dataset_destroy(data);
}

enum { MOST = 2048 };

typedef struct answer {
    dmc_status status;
    dmc_sampler_info info;
    size_t n, elems;
    float act[MOST], all[MOST], plan[MOST];
} answer;

static void observe(uint64_t which, int32_t batch, float *obs)
{
    for (int32_t b = 0; b < batch; b++) world_observe(which + 100 * (uint64_t)b, obs + b * WORLD_S);
}

/* What is known after an answer whose actions stand in a->act already. */
static void look(dmc_sampler *s, answer *a)
{
    const dmc__sampler_config *c = dmc__sampler_get_config(s->run);
    a->elems = s->run->elems;
    a->n = (size_t)c->batch * (size_t)dmc__sampler_horizon(s->run) * WORLD_A;
    a->info.struct_size = sizeof a->info;
    expect_ok(dmc_sampler_get_info(s, &a->info));
    expect_ok(dmc_sampler_candidates(s, a->all, s->run->total * a->elems));
    expect_ok(dmc_sampler_plan(s, 0, a->plan, a->elems));
}

static size_t outs(const dmc_sampler *s)
{
    return (size_t)s->run->config.batch * (size_t)dmc__sampler_horizon(s->run) * WORLD_A;
}

static void ask(dmc_sampler *s, uint64_t which, answer *a)
{
    float obs[4 * WORLD_S];
    observe(which, s->run->config.batch, obs);
    a->status = dmc_sampler_sample(s, obs, (size_t)s->run->config.batch * WORLD_S, a->act, outs(s));
    look(s, a);
}

static void ask_until(dmc_sampler *s, uint64_t which, int64_t deadline, answer *a)
{
    float obs[4 * WORLD_S];
    observe(which, s->run->config.batch, obs);
    a->status = dmc_sampler_sample_until(s, obs, (size_t)s->run->config.batch * WORLD_S, deadline, a->act, outs(s));
    look(s, a);
}

static void begin(dmc_sampler *s, uint64_t which)
{
    float obs[4 * WORLD_S];
    observe(which, s->run->config.batch, obs);
    expect_ok(dmc_sampler_begin(s, obs, (size_t)s->run->config.batch * WORLD_S));
}

/* At most `steps` of them. */
static void ask_in_steps(dmc_sampler *s, uint64_t which, int32_t steps, answer *a)
{
    int32_t left = 1;
    begin(s, which);
    for (int32_t i = 0; i < steps && left > 0; i++) expect_ok(dmc_sampler_step(s, &left));
    a->status = dmc_sampler_finish(s, a->act, outs(s));
    look(s, a);
}

static void same(const dmc_sampler *s, const answer *a, const answer *b)
{
    ck_assert_mem_eq(a->act, b->act, a->n * sizeof(float));
    ck_assert_mem_eq(a->all, b->all, s->run->total * a->elems * sizeof(float));
    ck_assert_mem_eq(a->plan, b->plan, a->elems * sizeof(float));
    ck_assert_int_eq(a->info.chosen, b->info.chosen);
    ck_assert_mem_eq(&a->info.q, &b->info.q, sizeof a->info.q);
}

/* ---- steps -------------------------------------------------------------------------------------------- */

/* With every way to choose, and passes through a cascade. */
START_TEST(steps_give_what_a_call_gives)
{
    const int32_t select = _i % 4, passes = _i / 4 % 3;
    const dmc_model *base = _i / 12 ? planner : policy;
    dmc_model *m = passes ? world_cascade(base) : NULL;
    dmc_sampler_options o = world_sampling(2, 3, select);
    o.cascade_passes = passes;
    dmc_sampler *whole = world_sampler(m ? m : base, critic, &o), *parts = world_sampler(m ? m : base, critic, &o);
    for (uint64_t call = 0; call < 3; call++) {
        answer a, b;
        ask(whole, call, &a);
        ask_in_steps(parts, call, 1000, &b);
        ck_assert_int_eq(a.status, b.status);
        ck_assert_int_ge(a.status, DMC_OK);
        same(whole, &a, &b);
        ck_assert_int_eq(b.info.steps, 5 * (1 + passes));
        ck_assert_int_eq(b.info.planned, 5 * (1 + passes));
        ck_assert_int_eq(a.info.steps, b.info.steps);
        ck_assert_uint_eq(b.info.call, call);
    }
    dmc_sampler_destroy(parts);
    dmc_sampler_destroy(whole);
    dmc_model_destroy(m);
}
END_TEST

START_TEST(left_counts_down)
{
    const dmc_sampler_options o = world_sampling(1, 2, DMC_SELECT_FIRST);
    dmc_sampler *s = world_sampler(policy, NULL, &o);
    int32_t left;
    begin(s, 1);
    for (int32_t i = 4; i >= 0; i--) {
        left = 99;
        if (i % 2) expect_ok(dmc_sampler_step(s, NULL));
        else expect_ok(dmc_sampler_step(s, &left));
        ck_assert_int_eq(left, i % 2 ? 99 : i);
    }
    left = 99;
    expect_failure(dmc_sampler_step(s, &left), DMC_ESTATE, "dmc_sampler_step: all 5 steps are done");
    ck_assert_int_eq(left, 0);
    dmc_sampler_destroy(s);
}
END_TEST

/* Two rows of the table make one step of Heun's. */
START_TEST(steps_are_not_rows)
{
    dmc_sampler_options o = world_sampling(1, 2, DMC_SELECT_FIRST);
    o.sampler = DMC_SAMPLER_HEUN;
    dmc_sampler *s = world_sampler(policy, NULL, &o);
    int32_t left = 5;
    begin(s, 1);
    for (int32_t k = 2; left > 0; k += 2) {
        const int32_t before = left;
        expect_ok(dmc_sampler_step(s, &left));
        ck_assert_int_eq(left, before - 1);
        ck_assert_int_eq(dmc__rollout_next(s->run->rollout), left ? k : 9); /* the last step, to the sample, has one row */
    }
    dmc_sampler_destroy(s);
}
END_TEST

/* The sample that row `steps - 1` predicts, raw, by the model's own forward pass: x = clip(P z + Q f). */
static void predict(const dmc_sampler_options *o, int32_t steps, const float *cond, float *x)
{
    const float t_of[1] = {0};
    const dmc__table_config c = {.sampler = o->sampler, .grid = o->grid, .eta = o->eta, .steps = 5};
    dmc__table table;
    float z[4], f[4], t = t_of[0];
    expect_ok(dmc__table_create(&dmc__default_allocator, &policy->process, &c, &table));
    for (uint32_t i = 0; i < 4; i++)
        z[i] = (float)dmc__rng_normal(&(dmc__stream){o->seed, DMC_STREAM_LATENT, 0, 0}, i);
    for (int32_t k = 0; k < steps; k++) {
        const dmc__row *r = &table.row[k];
        t = (float)r->at.seen;
        expect_ok(dmc_model_forward(policy, 1, z, &t, cond, f));
        for (uint32_t i = 0; i < 4; i++) {
            const double clip = policy->process.config.clip;
            x[i] = (float)fmin(fmax(r->P * z[i] + r->Q * f[i], -clip), clip);
            z[i] = (float)(r->a * x[i] + r->b * z[i] +
                           r->S * dmc__rng_normal(&(dmc__stream){o->seed, DMC_STREAM_STEP, (uint64_t)k, 0}, i));
        }
    }
    dmc__table_free(&table);
    dmc__normaliser_invert(&policy->act, x, 2, x);
}

/* After fewer steps the answer is what the last of them predicted. */
START_TEST(an_early_finish_gives_the_prediction)
{
    const dmc_sampler_options o = world_sampling(1, 1, DMC_SELECT_FIRST);
    dmc_sampler *s = world_sampler(policy, NULL, &o);
    float cond[2 * WORLD_S], x[4];
    answer a;
    ask_in_steps(s, 7, _i, &a);
    for (int32_t i = 0; i < 2; i++) {
        world_observe(7, cond + i * WORLD_S);
        dmc__normaliser_apply(&policy->obs, cond + i * WORLD_S, 1, cond + i * WORLD_S);
    }
    predict(&o, _i, cond, x);
    for (int i = 0; i < 4; i++) {
        ck_assert_float_eq_tol(a.plan[i], x[i], 1e-4f * (1 + fabsf(x[i])));
        ck_assert_float_eq(a.act[i], fminf(fmaxf(a.plan[i], policy->act.lo[i % 2]), policy->act.hi[i % 2]));
    }
    ck_assert_int_eq(a.status, _i < 5 ? DMC_PARTIAL : a.info.clamped ? DMC_CLAMPED : DMC_OK);
    ck_assert_int_eq(a.info.partial, _i < 5);
    ck_assert_int_eq(a.info.steps, _i);
    ck_assert_int_eq(a.info.planned, 5);
    ck_assert_int_eq(a.info.held, 0);
    dmc_sampler_destroy(s);
}
END_TEST

/* What the cascade has not brought to an end does not count; what it began with does. */
START_TEST(a_pass_that_is_not_through_is_given_up)
{
    dmc_model *m = world_cascade(planner);
    dmc_sampler_options o = world_sampling(1, 12, DMC_SELECT_GREEDY);
    answer pass[3], a;
    dmc_sampler *s = NULL;
    for (int32_t p = 0; p < 3; p++) {
        dmc_sampler_destroy(s);
        o.cascade_passes = p;
        s = world_sampler(m, critic, &o);
        ask(s, 4, &pass[p]);
    }
    for (int32_t steps = 5; steps <= 15; steps++) {
        expect_ok(dmc_sampler_reset(s, o.seed));
        ask_in_steps(s, 4, steps, &a);
        same(s, &a, &pass[steps / 5 - 1]);
        ck_assert_int_eq(a.info.partial, steps < 15);
        ck_assert_int_eq(a.info.steps, steps);
        ck_assert_int_eq(a.info.planned, 15);
    }
    ck_assert_mem_ne(pass[0].all, pass[1].all, 12 * a.elems * sizeof(float));
    ck_assert_mem_ne(pass[1].all, pass[2].all, 12 * a.elems * sizeof(float));
    dmc_sampler_destroy(s);
    dmc_model_destroy(m);
}
END_TEST

/* A critic that does not know at first. */
static dmc_status no_number_then_one(void *self, const void *z, const void *cond, int32_t pessimistic, float *r, void *dz)
{
    int32_t *const asked = self;
    (void)z, (void)cond, (void)pessimistic, (void)dz;
    for (int32_t i = 0; i < 4; i++) r[i] = *asked ? (i == 1 ? NAN : (float)i) : (i == 2 ? 5 : NAN);
    ++*asked;
    return DMC_OK;
}

/* What has no worth is replaced, and never replaces what has one. */
START_TEST(a_pass_replaces_what_has_no_worth)
{
    dmc_model *m = world_cascade(policy);
    dmc_sampler_options o = world_sampling(1, 4, DMC_SELECT_GREEDY);
    int32_t asked = 0;
    answer before, after;
    dmc_sampler *plain = world_sampler(m, critic, &o);
    o.cascade_passes = 1;
    dmc_sampler *s = world_sampler(m, critic, &o);
    const dmc__reward judge = s->run->judge;
    s->run->judge.self = &asked;
    s->run->judge.eval = no_number_then_one;
    ask(plain, 1, &before);
    ask(s, 1, &after);
    ck_assert_int_eq(asked, 2);
    ck_assert_int_eq(after.info.chosen, 2);
    ck_assert_double_eq(after.info.q, 5);
    for (size_t i = 0; i < 4; i++) {
        const int same = memcmp(before.all + i * after.elems, after.all + i * after.elems, after.elems * sizeof(float)) == 0;
        ck_assert_int_eq(same, i == 2);
    }
    s->run->judge = judge;
    dmc_sampler_destroy(s);
    dmc_sampler_destroy(plain);
    dmc_model_destroy(m);
}
END_TEST

/* ---- the wrong order ---------------------------------------------------------------------------------- */

START_TEST(what_was_not_begun_cannot_go_on)
{
    const dmc_sampler_options o = world_sampling(1, 2, DMC_SELECT_FIRST);
    dmc_sampler *s = world_sampler(policy, NULL, &o);
    float act[4] = {99, 99, 99, 99}, all[8];
    answer a, b;
    expect_failure(dmc_sampler_step(s, NULL), DMC_ESTATE, "dmc_sampler_step: nothing was begun");
    expect_failure(dmc_sampler_finish(s, act, 4), DMC_ESTATE, "dmc_sampler_finish: nothing was begun; the last good actions");
    ck_assert_float_eq(act[0], 0); /* rest, inside the limits */
    ck_assert_float_eq(act[1], policy->act.lo[1]);
    ask(s, 1, &a);
    begin(s, 2);
    expect_failure(dmc_sampler_candidates(s, all, 8), DMC_ESTATE, "dmc_sampler_candidates: an answer was begun");
    expect_ok(dmc_sampler_plan(s, 0, act, 4)); /* the last one's */
    ck_assert_mem_eq(act, a.plan, sizeof act);
    expect_failure(dmc_sampler_finish(s, act, 4), DMC_ESTATE, "no step was done since the begin");
    ck_assert_mem_eq(act, a.act, sizeof act);
    expect_ok(dmc_sampler_step(s, NULL)); /* still begun */
    ck_assert_int_eq(dmc_sampler_finish(s, b.act, 4), DMC_PARTIAL);
    expect_failure(dmc_sampler_finish(s, act, 4), DMC_ESTATE, "nothing was begun");
    ck_assert_mem_eq(act, b.act, sizeof act);
    dmc_sampler_destroy(s);
}
END_TEST

/* As if the call had not been made, but for the history; half done or not. */
START_TEST(beginning_again_starts_over)
{
    const dmc_sampler_options o = world_sampling(1, 2, DMC_SELECT_FIRST);
    dmc_sampler *s = world_sampler(policy, NULL, &o), *t = world_sampler(policy, NULL, &o);
    answer a, b;
    begin(s, 1);
    for (int i = 0; i < _i; i++) expect_ok(dmc_sampler_step(s, NULL));
    ask_in_steps(s, 2, 5, &a);
    ask(t, 1, &b);
    expect_ok(dmc_sampler_reset(t, o.seed));
    begin(t, 1);
    ask(t, 2, &b); /* a whole call gives up what was begun, too */
    same(s, &a, &b);
    ck_assert_uint_eq(a.info.call, 0);
    expect_failure(dmc_sampler_step(t, NULL), DMC_ESTATE, "nothing was begun");
    dmc_sampler_destroy(t);
    dmc_sampler_destroy(s);
}
END_TEST

START_TEST(what_gives_up_what_was_begun)
{
    const dmc_sampler_options o = world_sampling(1, 2, DMC_SELECT_FIRST);
    dmc_sampler *s = world_sampler(policy, NULL, &o);
    float obs[WORLD_S] = {NAN};
    for (int i = 0; i < 5; i++) {
        answer a;
        begin(s, 1);
        expect_ok(dmc_sampler_step(s, NULL));
        if (i == 0) expect_ok(dmc_sampler_reset(s, 0));
        if (i == 1) expect_ok(dmc_sampler_rebind(s, policy));
        if (i == 2) expect_ok(dmc_sampler_prefault(s));
        if (i == 3) ask_until(s, 1, 0, &a);
        if (i == 4) expect_failure(dmc_sampler_begin(s, obs, WORLD_S), DMC_ENUMERIC, "dmc_sampler_begin: obs has a value");
        expect_failure(dmc_sampler_step(s, NULL), DMC_ESTATE, "nothing was begun");
    }
    dmc_sampler_destroy(s);
}
END_TEST

START_TEST(arguments_are_checked)
{
    const dmc_sampler_options o = world_sampling(2, 1, DMC_SELECT_FIRST);
    dmc_sampler *s = world_sampler(policy, NULL, &o);
    float x[16] = {0};
    int32_t left = 5;
    size_t bytes = 1;
    expect_failure(dmc_sampler_begin(NULL, x, 6), DMC_EINVAL, "dmc_sampler_begin: s is NULL");
    expect_failure(dmc_sampler_begin(s, NULL, 6), DMC_EINVAL, "obs is NULL");
    expect_failure(dmc_sampler_begin(s, x, 3), DMC_ESHAPE, "dmc_sampler_begin: n_obs = 3, must be batch * obs_dim = 6");
    expect_failure(dmc_sampler_step(NULL, &left), DMC_EINVAL, "dmc_sampler_step: s is NULL");
    ck_assert_int_eq(left, 0);
    expect_failure(dmc_sampler_finish(NULL, x, 8), DMC_EINVAL, "dmc_sampler_finish: s is NULL");
    expect_failure(dmc_sampler_finish(s, NULL, 8), DMC_EINVAL, "out is NULL");
    expect_failure(dmc_sampler_finish(s, x, 7), DMC_ESHAPE, "dmc_sampler_finish: n_out = 7, must be batch * horizon * act_dim = 8");
    expect_failure(dmc_sampler_sample_until(NULL, x, 6, 0, x, 8), DMC_EINVAL, "dmc_sampler_sample_until: s is NULL");
    expect_failure(dmc_sampler_sample_until(s, NULL, 6, 0, x, 8), DMC_EINVAL, "obs is NULL");
    expect_failure(dmc_sampler_sample_until(s, x, 6, 0, NULL, 8), DMC_EINVAL, "out is NULL");
    expect_failure(dmc_sampler_sample_until(s, x, 5, 0, x, 8), DMC_ESHAPE, "dmc_sampler_sample_until: n_obs = 5");
    expect_failure(dmc_sampler_sample_until(s, x, 6, 0, x, 9), DMC_ESHAPE, "dmc_sampler_sample_until: n_out = 9");
    expect_failure(dmc_sampler_prefault(NULL), DMC_EINVAL, "dmc_sampler_prefault: s is NULL");
    expect_failure(dmc_sampler_size(NULL, NULL, NULL, &bytes), DMC_EINVAL, "dmc_sampler_size: m is NULL");
    ck_assert_uint_eq(bytes, 0);
    expect_failure(dmc_sampler_size(policy, NULL, NULL, NULL), DMC_EINVAL, "bytes is NULL");
    dmc_sampler_destroy(s);
}
END_TEST

/* ---- deadlines ---------------------------------------------------------------------------------------- */

/* A clock that goes `tick` further with every look, but jumps `jump` at look number `jump_at`. */
static int64_t now, looks, tick, jump, jump_at;
static dmc__fp_mode seen_mode;

static int64_t test_clock(void)
{
    seen_mode = dmc__fp_get();
    now += ++looks == jump_at ? jump : tick;
    return now;
}

/* Steps and the finish are expected to take a tick. */
static void set_clock(dmc_sampler *s)
{
    now = looks = jump = jump_at = 0;
    tick = 1000;
    s->run->clock = test_clock;
    s->run->step_ns = s->run->finish_ns = tick;
}

/* Looks: when called 1000, begun 2000, a step each, finished. n steps are done by 2000 + 1000 n, and the answer another tick
 * later, so n + 1 steps fit before 4000 + 1000 n. */
START_TEST(steps_that_would_end_too_late_are_left_out)
{
    static const struct { int64_t deadline; int32_t steps; } cases[] = {
        {2001, 1}, {4000, 1}, {4999, 1}, {5000, 2}, {5999, 2}, {6000, 3}, {7000, 4}, {7999, 4}, {8000, 5}, {INT64_MAX / 2, 5}};
    const dmc_sampler_options o = world_sampling(2, 3, DMC_SELECT_GREEDY);
    dmc_sampler *s = world_sampler(planner, critic, &o), *t = world_sampler(planner, critic, &o);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        answer a, b;
        set_clock(s);
        ask_until(s, i, cases[i].deadline, &a);
        ck_assert_int_eq(a.info.steps, cases[i].steps);
        ck_assert_int_eq(a.info.planned, 5);
        ck_assert_int_eq(a.info.partial, cases[i].steps < 5);
        ck_assert_int_eq(a.status, cases[i].steps < 5 ? DMC_PARTIAL : a.info.clamped ? DMC_CLAMPED : DMC_OK);
        ck_assert_int_eq(looks, 4 + cases[i].steps);
        if (cases[i].steps > 1) ck_assert_int_le(now - 1000, cases[i].deadline); /* the last look is behind the answer */
        ck_assert_int_eq(a.info.nanoseconds, now - 1000);
        ask_in_steps(t, i, cases[i].steps, &b);
        same(s, &a, &b);
    }
    dmc_sampler_destroy(t);
    dmc_sampler_destroy(s);
}
END_TEST

/* Past at once, or after the observation was taken: its noise is not used up, and it stays in the history. */
START_TEST(a_past_deadline_holds_the_last_actions)
{
    static const int64_t deadline[] = {-5, 1000, 1001, 2000};
    const dmc_sampler_options o = world_sampling(1, 2, DMC_SELECT_FIRST);
    dmc_sampler *s = world_sampler(policy, NULL, &o), *t = world_sampler(policy, NULL, &o);
    answer a, b;
    ask(s, 1, &a);
    ask(t, 1, &a);
    set_clock(s);
    ask_until(s, 2, deadline[_i], &b);
    ck_assert_int_eq(b.status, DMC_EDEADLINE);
    ck_assert_ptr_nonnull(strstr(dmc_last_error(), "dmc_sampler_sample_until: deadline_ns = "));
    ck_assert_ptr_nonnull(strstr(dmc_last_error(), _i < 2 ? "but it was 1000 before" : "but it was 2000 before"));
    ck_assert_mem_eq(a.act, b.act, sizeof(float) * a.n);
    ck_assert_int_eq(b.info.held, 1);
    ck_assert_int_eq(b.info.steps, 0);
    ck_assert_int_eq(b.info.chosen, -1);
    ck_assert_double_nan(b.info.q);
    begin(t, 2);
    ask(s, 3, &a);
    ask(t, 3, &b);
    same(s, &a, &b);
    ck_assert_uint_eq(a.info.call, 1);
    dmc_sampler_destroy(t);
    dmc_sampler_destroy(s);
}
END_TEST

/* The third step takes 20 ticks: it is the only one that may end too late, and is remembered less and less. */
START_TEST(a_slow_step_costs_one_step)
{
    const dmc_sampler_options o = world_sampling(1, 1, DMC_SELECT_FIRST);
    dmc_sampler *s = world_sampler(policy, NULL, &o);
    answer a;
    set_clock(s);
    jump_at = 5;
    jump = 20000;
    ask_until(s, 1, 20000, &a);
    ck_assert_int_eq(a.info.steps, 3);
    ck_assert_int_eq(a.status, DMC_PARTIAL);
    ck_assert_int_le(now - 2 * tick - 20000, jump); /* late by less than that step */
    ck_assert_int_eq(a.info.longest_step, 20000);
    ck_assert_int_eq(s->run->step_ns, 20000);
    ask_until(s, 2, now + 20000, &a);
    ck_assert_int_eq(a.info.steps, 1); /* no second one, for fear; the first always */
    for (int i = 0; i < 40; i++) ask(s, 3, &a);
    ck_assert_int_lt(s->run->step_ns, 1100);
    ask_until(s, 2, now + 20000, &a);
    ck_assert_int_eq(a.info.steps, 5);
    ck_assert_int_eq(a.info.longest_step, 20000); /* of all since the reset */
    dmc_sampler_destroy(s);
}
END_TEST

/* By the real clock: ample time gives everything, and the clock is monotonic. */
START_TEST(with_time_enough_nothing_is_left_out)
{
    dmc_model *m = world_cascade(policy);
    dmc_sampler_options o = world_sampling(2, 3, DMC_SELECT_SOFTMAX);
    o.cascade_passes = 1;
    dmc_sampler *s = world_sampler(m, critic, &o), *t = world_sampler(m, critic, &o);
    int64_t last = dmc_clock_now();
    ck_assert_int_gt(last, 0);
    for (uint64_t call = 0; call < 3; call++) {
        answer a, b;
        ask(s, call, &a);
        ask_until(t, call, dmc_clock_now() + 60 * INT64_C(1000000000), &b);
        ck_assert_int_eq(a.status, b.status);
        same(s, &a, &b);
        ck_assert_int_eq(b.info.steps, 10);
        ck_assert_int_gt(dmc_clock_now(), last);
        last = dmc_clock_now();
    }
    dmc_sampler_destroy(t);
    dmc_sampler_destroy(s);
    dmc_model_destroy(m);
}
END_TEST

/* ---- counts ------------------------------------------------------------------------------------------- */

START_TEST(what_happened_is_counted)
{
    const dmc_sampler_options o = world_sampling(1, 2, DMC_SELECT_FIRST);
    dmc_model_options mo = world_policy();
    mo.clip = 0;
    dmc_model *m = world_model(NULL, data, &mo), *wild = world_scaled(m, 2);
    dmc_sampler *s = world_sampler(wild, NULL, &o);
    dmc_sampler_info i = {.struct_size = sizeof i};
    float obs[WORLD_S] = {NAN}, act[4];
    answer a;
    int64_t clamped = 0, several = 0;
    expect_ok(dmc_sampler_get_info(s, &i)); /* warming up has left no trace */
    ck_assert(i.calls == 0 && i.longest_step == 0 && i.planned == 0 && i.chosen == -1 && i.seed == 21);
    set_clock(s);
    for (uint64_t call = 0; call < 30; call++) {
        ask(s, call, &a);
        clamped += a.info.clamped > 0;
        several += a.info.clamped > 1;
    }
    ck_assert_int_gt(several, 3);
    ask_in_steps(s, 1, 2, &a);
    clamped += a.info.clamped > 0;
    ck_assert_int_eq(a.info.nanoseconds, 1000 + 2 * 1000 + 2 * 1000); /* begin, steps, finish; not what lies between */
    ask_in_steps(s, 1, 4, &a);
    clamped += a.info.clamped > 0;
    ck_assert_int_eq(dmc_sampler_sample(s, obs, WORLD_S, act, 4), DMC_ENUMERIC);
    ck_assert_int_eq(dmc_sampler_sample_until(s, obs, WORLD_S, 1 << 30, act, 4), DMC_ENUMERIC);
    ask_until(s, 1, 0, &a);
    ck_assert_int_eq(dmc_sampler_finish(s, act, 4), DMC_ESTATE);
    ck_assert_int_eq(dmc_sampler_sample(s, obs, 2, act, 4), DMC_ESHAPE); /* not counted: refused for its arguments */
    expect_ok(dmc_sampler_get_info(s, &i));
    ck_assert_int_eq(i.calls, 30 + 2 + 4);
    ck_assert_int_eq(i.partials, 2);
    ck_assert_int_eq(i.holds, 4);
    ck_assert_int_eq(i.clampings, clamped);
    ck_assert_int_eq(i.longest_step, 1000);
    ck_assert_uint_eq(i.seed, 21);
    expect_ok(dmc_sampler_reset(s, 5));
    expect_ok(dmc_sampler_get_info(s, &i));
    ck_assert(i.calls + i.partials + i.holds + i.clampings + i.longest_step == 0 && i.seed == 5);
    dmc_sampler_destroy(s);
    dmc_model_destroy(wild);
    dmc_model_destroy(m);
}
END_TEST

/* ---- the caller's memory ------------------------------------------------------------------------------ */

static dmc_sampler_options varied(int i)
{
    dmc_sampler_options o = world_sampling(1 + i % 2, 3, i % 4);
    o.cascade_passes = i % 3;
    o.weights = i / 2 % 3;
    o.horizon = i & 4 ? 8 : 0;
    o.sampler = i & 1 ? DMC_SAMPLER_DDIM : DMC_SAMPLER_DDPM;
    o.guide = i % 3 == 1 ? DMC_GUIDE_CRITIC : DMC_GUIDE_NONE;
    o.guide_scale = 0.1;
    return o;
}

/* The exact size is enough, at every alignment, one byte less is not; nothing around it is touched; the same bits. */
START_TEST(a_sampler_in_a_buffer)
{
    enum { GUARD = 128 };
    dmc_model *m = world_cascade(_i & 4 ? planner : policy);
    const dmc_sampler_options o = varied(_i);
    const dmc_sampler_parts parts = {.struct_size = sizeof parts, .critic = critic};
    dmc_sampler *s = (dmc_sampler *)(uintptr_t)1, *t = world_sampler(m, critic, &o);
    size_t bytes;
    char want[80];
    expect_ok(dmc_sampler_size(m, &parts, &o, &bytes));
    ck_assert_uint_gt(bytes, dmc_sampler_memory(t));
    unsigned char *memory = malloc(bytes + 2 * GUARD);
    memset(memory, 0xc3, bytes + 2 * GUARD);
    snprintf(want, sizeof want, "dmc_sampler_create_in: size = %zu, must be at least %zu", bytes - 1, bytes);
    for (size_t shift = 0; shift < 64; shift += 9) {
        answer a, b;
        unsigned char *const at = memory + GUARD / 2 + shift;
        expect_failure(dmc_sampler_create_in(m, &parts, &o, at, bytes - 1, &s), DMC_ENOMEM, want);
        ck_assert_ptr_null(s);
        expect_ok(dmc_sampler_create_in(m, &parts, &o, at, bytes, &s));
        expect_ok(dmc_sampler_reset(t, o.seed));
        ask(s, 3, &a);
        ask(t, 3, &b);
        same(s, &a, &b);
        dmc_sampler_destroy(s);
        for (unsigned char *p = memory; p < at; p++) ck_assert(*p == 0xc3 || p >= memory + GUARD / 2);
        for (unsigned char *p = at + bytes; p < memory + bytes + 2 * GUARD; p++) ck_assert_int_eq(*p, 0xc3);
    }
    free(memory);
    dmc_sampler_destroy(t);
    dmc_model_destroy(m);
}
END_TEST

START_TEST(buffers_are_refused_by_name)
{
    float memory[16];
    dmc_sampler_options o = world_sampling(1, 1, DMC_SELECT_GREEDY);
    dmc_sampler *s = (dmc_sampler *)(uintptr_t)1;
    size_t bytes = 7;
    expect_failure(dmc_sampler_create_in(policy, NULL, NULL, NULL, 64, &s), DMC_EINVAL, "dmc_sampler_create_in: buffer is NULL");
    ck_assert_ptr_null(s);
    expect_failure(dmc_sampler_create_in(NULL, NULL, NULL, memory, 64, &s), DMC_EINVAL, "m is NULL");
    expect_failure(dmc_sampler_create_in(policy, NULL, NULL, memory, 64, NULL), DMC_EINVAL, "out is NULL");
    expect_failure(dmc_sampler_create_in(policy, NULL, NULL, memory, 64, &s), DMC_ENOMEM, "size = 64, must be at least");
    expect_failure(dmc_sampler_create_in(policy, NULL, &o, memory, 64, &s), DMC_EINVAL, "greedy needs a critic");
    expect_failure(dmc_sampler_size(policy, NULL, &o, &bytes), DMC_EINVAL, "greedy needs a critic");
    ck_assert_uint_eq(bytes, 0);
}
END_TEST

/* A model that lives elsewhere than on the default device. */
START_TEST(a_buffer_on_the_models_device)
{
    failing_alloc f = {0};
    dmc_context *ref = world_context(&f, "ref");
    const dmc_model_options mo = world_policy();
    dmc_model *m = world_model(ref, data, &mo);
    dmc_sampler *s;
    size_t bytes;
    answer a;
    expect_ok(dmc_sampler_size(m, NULL, NULL, &bytes));
    void *memory = malloc(bytes);
    const int64_t calls = f.calls;
    expect_ok(dmc_sampler_create_in(m, NULL, NULL, memory, bytes, &s));
    ask(s, 1, &a);
    dmc_sampler_destroy(s);
    ck_assert_int_eq(f.calls, calls); /* the model's allocator is not asked */
    free(memory);
    dmc_model_destroy(m);
    dmc_context_destroy(ref);
}
END_TEST

/* ---- floating point ----------------------------------------------------------------------------------- */

/* Whatever the caller has set: the same bits, made from nothing, and the caller's mode to the bit afterwards. */
START_TEST(the_callers_mode_changes_nothing)
{
    static const int rounding[] = {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
    dmc_sampler_options o = world_sampling(1, 3, DMC_SELECT_EXPECTATION);
    o.weights = DMC_WEIGHTS_BF16;
    o.grid = DMC_GRID_CUSTOM;
    o.grid_times = "4,3,2,1,0";
    answer a, b, c;
    dmc_sampler *s = world_sampler(_i % 2 ? planner : policy, critic, &o), *t = NULL;
    ask(s, 1, &a);
    ask(s, 2, &c);
    fesetround(rounding[_i]);
    feraiseexcept(FE_INEXACT);
    const dmc__fp_mode before = dmc__fp_get();
    const dmc_status made = dmc_sampler_create(NULL, _i % 2 ? planner : policy, critic, &o, &t);
    float obs[WORLD_S];
    fesetround(FE_TONEAREST);
    world_observe(1, obs);
    fesetround(rounding[_i]);
    b.status = dmc_sampler_sample(t, obs, WORLD_S, b.act, outs(t));
    const dmc__fp_mode after = dmc__fp_get();
    look(t, &b);
    fesetround(FE_TONEAREST);
    expect_ok(made);
    ck_assert_int_ge(b.status, DMC_OK);
    ck_assert_mem_eq(&before, &after, sizeof before);
    same(s, &a, &b);
    set_clock(t);
    world_observe(2, obs);
    fesetround(rounding[_i]);
    const dmc_status begun = dmc_sampler_begin(t, obs, WORLD_S);
    dmc_status stepped = DMC_OK;
    for (int i = 0; i < 5 && stepped >= 0; i++) stepped = dmc_sampler_step(t, NULL);
    b.status = dmc_sampler_finish(t, b.act, outs(t));
    const int still = fegetround();
    fesetround(FE_TONEAREST);
    ck_assert_int_eq(still, rounding[_i]);
    ck_assert(begun >= 0 && stepped >= 0 && b.status >= 0);
    look(t, &b);
    same(s, &c, &b);
    dmc_sampler_destroy(t);
    dmc_sampler_destroy(s);
}
END_TEST

/* Inside all calls the mode of answers is on (the clock sees it), so numbers below 1e-38 count as zero. */
START_TEST(denormals_are_zeros)
{
    dmc_model_options mo = world_policy();
    mo.obs_norm = DMC_NORM_NONE;
    dmc_model *m = world_model(NULL, data, &mo);
    const dmc_sampler_options o = world_sampling(1, 2, DMC_SELECT_FIRST);
    dmc_sampler *s = world_sampler(m, NULL, &o), *t = world_sampler(m, NULL, &o);
    const float zero[WORLD_S] = {0}, tiny[WORLD_S] = {1e-40f, -1e-41f, 1e-45f};
    float a[4], b[4];
    set_clock(s);
    const dmc__fp_mode host = dmc__fp_enter(), want = dmc__fp_get();
    dmc__fp_set(host);
    for (int i = 0; i < 4; i++) {
        seen_mode = (dmc__fp_mode){1, 1};
        if (i == 0) ck_assert_int_ge(dmc_sampler_sample(s, tiny, WORLD_S, a, 4), 0);
        if (i == 1) ck_assert_int_ge(dmc_sampler_sample_until(s, tiny, WORLD_S, 1 << 30, a, 4), 0);
        if (i == 2) ck_assert_int_ge(dmc_sampler_begin(s, tiny, WORLD_S), 0);
        if (i == 2) ck_assert_int_ge(dmc_sampler_step(s, NULL), 0);
        if (i == 3) ck_assert_int_ge(dmc_sampler_finish(s, a, 4), 0);
        ck_assert_uint_eq(seen_mode.control & ~UINT64_C(0x3f), want.control);
        if (i < 2) ck_assert_int_ge(dmc_sampler_sample(t, zero, WORLD_S, b, 4), 0);
        if (i < 2) ck_assert_mem_eq(a, b, sizeof a);
    }
    dmc_sampler_destroy(t);
    dmc_sampler_destroy(s);
    dmc_model_destroy(m);
}
END_TEST

static void add_case(Suite *s, TCase *c)
{
    tcase_add_checked_fixture(c, setup, teardown);
    suite_add_tcase(s, c);
}

Suite *dmc_suite_sampler_run(void);

Suite *dmc_suite_sampler_run(void)
{
    Suite *s = suite_create("sampler_run");
    TCase *c = tcase_create("steps");
    add_case(s, c);
    tcase_add_loop_test(c, steps_give_what_a_call_gives, 0, 24);
    tcase_add_test(c, left_counts_down);
    tcase_add_test(c, steps_are_not_rows);
    tcase_add_loop_test(c, an_early_finish_gives_the_prediction, 1, 6);
    tcase_add_test(c, a_pass_that_is_not_through_is_given_up);
    tcase_add_test(c, a_pass_replaces_what_has_no_worth);
    c = tcase_create("order");
    add_case(s, c);
    tcase_add_test(c, what_was_not_begun_cannot_go_on);
    tcase_add_loop_test(c, beginning_again_starts_over, 0, 6);
    tcase_add_test(c, what_gives_up_what_was_begun);
    tcase_add_test(c, arguments_are_checked);
    c = tcase_create("deadline");
    add_case(s, c);
    tcase_add_test(c, steps_that_would_end_too_late_are_left_out);
    tcase_add_loop_test(c, a_past_deadline_holds_the_last_actions, 0, 4);
    tcase_add_test(c, a_slow_step_costs_one_step);
    tcase_add_test(c, with_time_enough_nothing_is_left_out);
    tcase_add_test(c, what_happened_is_counted);
    c = tcase_create("buffer");
    add_case(s, c);
    tcase_add_loop_test(c, a_sampler_in_a_buffer, 0, 12);
    tcase_add_test(c, buffers_are_refused_by_name);
    tcase_add_test(c, a_buffer_on_the_models_device);
    c = tcase_create("floats");
    add_case(s, c);
    tcase_add_loop_test(c, the_callers_mode_changes_nothing, 0, 3);
    tcase_add_test(c, denormals_are_zeros);
    return s;
}
