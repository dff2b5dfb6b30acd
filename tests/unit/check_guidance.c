/* check_guidance.c — samplers with guidance: against a model's own forward passes, better by the critic or the value that guides,
 * what does not fit together, and what they hold. */
#include "world_fixture.h"

#include <math.h>

Suite *dmc_suite_guidance(void);

static dmc_context *ctx;
static dmc_dataset *data;
static dmc_model *policy, *planner, *value;
static dmc_critic *critic;

static dmc_model_options value_options(void)
{
    dmc_model_options o = world_planner();
    o.role = DMC_ROLE_VALUE;
    o.network = DMC_NETWORK_UNET1D_HALF;
    o.kernel = 3;
    return o;
}

/* A policy and a planner that were trained without their condition too. */
static dmc_model_options free_policy(void)
{
    dmc_model_options o = world_policy();
    o.cond_dropout = .2;
    return o;
}

static dmc_model_options free_planner(void)
{
    dmc_model_options o = world_planner();
    o.cond_dropout = .2;
    o.returns = 1;
    return o;
}

static void setup(void)
{
    const dmc_model_options o = free_policy(), p = free_planner(), v = value_options();
    expect_ok(dmc_context_create(NULL, &ctx));
    data = world_data(ctx);
    policy = world_model(ctx, data, &o);
    planner = world_model(ctx, data, &p);
    value = world_model(ctx, data, &v);
    critic = world_critic(ctx, data, 50);
}

static void teardown(void)
{
    dmc_critic_destroy(critic);
    dmc_model_destroy(value);
    dmc_model_destroy(planner);
    dmc_model_destroy(policy);
    dmc_dataset_destroy(data);
    dmc_context_destroy(ctx);
}

static dmc_sampler *sampler_with(const dmc_model *m, const dmc_critic *c, const dmc_model *v, const dmc_sampler_options *o)
{
    const dmc_sampler_parts parts = {.struct_size = sizeof parts, .critic = c, .value = v};
    dmc_sampler *s;
    expect_ok(dmc_sampler_create_with(NULL, m, &parts, o, &s));
    return s;
}

enum { BATCH = 3, CANDIDATES = 2, MOST = 512 };

/* All candidates of one call at observations first, first+1, ..; returns how many numbers. */
static size_t draw(dmc_sampler *s, uint64_t first, float *z)
{
    const dmc_model *m = dmc__sampler_model(s->run);
    const dmc__sampler_config *c = dmc__sampler_get_config(s->run);
    const size_t elems = (size_t)m->spec.net.horizon * (size_t)m->spec.net.cols;
    const size_t n = (size_t)c->batch * (size_t)c->candidates * elems;
    float obs[BATCH * WORLD_S], act[MOST];
    ck_assert_uint_le(n, MOST);
    for (int32_t b = 0; b < c->batch; b++) world_observe(first + (uint64_t)b, obs + b * WORLD_S);
    ck_assert_int_ge(dmc_sampler_sample(s, obs, (size_t)c->batch * WORLD_S, act,
                                        (size_t)c->batch * (size_t)m->spec.net.horizon * WORLD_A), DMC_OK);
    expect_ok(dmc_sampler_candidates(s, z, n));
    return n;
}

static size_t draw_once(const dmc_model *m, const dmc_critic *c, const dmc_model *v, const dmc_sampler_options *o, float *z)
{
    dmc_sampler *s = sampler_with(m, c, v, o);
    const size_t n = draw(s, 0, z);
    dmc_sampler_destroy(s);
    return n;
}

/* ---- classifier-free ------------------------------------------------------------------------------- */

/* The condition of sample b of a policy or a planner that is asked for return `ask`. */
static void condition(const dmc_model *m, int32_t b, double ask, float *cond)
{
    if (m->spec.returns) {
        cond[0] = (float)ask;
        cond[1] = 1;
        return;
    }
    for (int32_t i = 0; i < m->spec.n_obs; i++) world_observe((uint64_t)(b / CANDIDATES), cond + i * WORLD_S);
    dmc__normaliser_apply(&m->obs, cond, (size_t)m->spec.n_obs, cond);
}

/* Call 0 row by row from dmc_model_forward with and without the condition; z normalised. */
static void by_hand(const dmc_model *m, const dmc_sampler_options *o, float *z)
{
    enum { N = BATCH * CANDIDATES };
    const size_t elems = (size_t)m->spec.net.horizon * (size_t)m->spec.net.cols, width = (size_t)m->spec.net.cond;
    const int32_t known = m->spec.role == DMC_ROLE_PLANNER ? WORLD_S : 0;
    float cond[N * 16] = {0}, none[N * 16] = {0}, state[N * WORLD_S], with[MOST], without[MOST], t[N];
    dmc__table_config c = dmc__table_defaults(&m->process);
    c.sampler = o->sampler;
    c.eta = o->eta;
    dmc__table table;
    expect_ok(dmc__table_create(&dmc__default_allocator, &m->process, &c, &table));
    for (int32_t b = 0; b < N; b++) {
        condition(m, b, o->target_return, cond + (size_t)b * width);
        world_observe((uint64_t)(b / CANDIDATES), state + b * WORLD_S);
    }
    dmc__normaliser_apply(&m->obs, state, N, state);
    for (int32_t k = -1; k < table.k; k++) {
        const dmc__row *r = &table.row[k < 0 ? 0 : k];
        for (int32_t b = 0; b < N; b++) t[b] = (float)r->at.seen;
        if (k >= 0) expect_ok(dmc_model_forward(m, N, z, t, cond, with));
        if (k >= 0) expect_ok(dmc_model_forward(m, N, z, t, none, without));
        for (size_t i = 0; i < N * elems; i++) {
            const dmc__stream s = {o->seed, k < 0 ? DMC_STREAM_LATENT : DMC_STREAM_STEP, k < 0 ? 0 : (uint64_t)k, i / elems};
            const double xi = dmc__rng_normal(&s, (uint32_t)(i % elems));
            const double x = k < 0 ? 0 : r->P * z[i] + r->Q * (o->guidance * with[i] + (1 - o->guidance) * without[i]);
            z[i] = (float)(k < 0 ? xi : r->a * fmin(fmax(x, -1), 1) + r->b * z[i] + r->S * xi);
            if (i % elems < (size_t)known) z[i] = state[i / elems * WORLD_S + i % elems];
        }
    }
    dmc__table_free(&table);
}

static const double weights[] = {0, 1, 2.5, -.5};

START_TEST(guidance_is_its_formula)
{
    const dmc_model *m = _i / 4 ? planner : policy;
    dmc_sampler_options o = world_sampling(BATCH, CANDIDATES, DMC_SELECT_FIRST);
    float z[MOST], want[MOST], raw[MOST];
    o.sampler = DMC_SAMPLER_DDIM;
    o.eta = .5;
    o.guidance = weights[_i % 4];
    o.target_return = .7;
    const size_t n = draw_once(m, NULL, NULL, &o, z), elems = n / (BATCH * CANDIDATES);
    by_hand(m, &o, want);
    const dmc__view v = dmc__model_view(m, NULL);
    for (size_t b = 0; b < BATCH * CANDIDATES; b++) dmc__view_denormalise(&v, want + b * elems, raw + b * elems);
    for (size_t i = 0; i < n; i++) ck_assert_float_eq_tol(z[i], raw[i], 2e-5f * (1 + fabsf(raw[i])));
}
END_TEST

/* Guidance 1 is a sampler that never heard of it; other numbers are not. */
START_TEST(guidance_of_one_is_none)
{
    const dmc_model_options p = world_policy();
    dmc_model *plain = world_model(ctx, data, &p); /* the same weights, by their seed */
    dmc_sampler_options o = world_sampling(BATCH, CANDIDATES, DMC_SELECT_FIRST);
    float a[MOST], b[MOST];
    draw_once(plain, NULL, NULL, &o, a);
    o.guidance = 1;
    const size_t n = draw_once(policy, NULL, NULL, &o, b);
    ck_assert_mem_eq(a, b, n * sizeof *a);
    o.guidance = 1.5;
    draw_once(policy, NULL, NULL, &o, b);
    ck_assert_mem_ne(a, b, n * sizeof *a);
    dmc_model_destroy(plain);
}
END_TEST

/* A condition's samples are the same alone and among others. Candidates are numbered through, so one each. */
START_TEST(a_batch_is_its_conditions)
{
    dmc_sampler_options o = world_sampling(BATCH, 1, DMC_SELECT_FIRST);
    const dmc_model *m = _i % 2 ? planner : policy;
    float all[MOST], one[MOST];
    o.guidance = 3;
    o.sampler = DMC_SAMPLER_DDIM;
    o.temperature = 0; /* the number of a sample does not matter then */
    if (_i / 2) o.guide = DMC_GUIDE_CRITIC;
    dmc_sampler *s = sampler_with(m, critic, NULL, &o);
    const size_t n = draw(s, 0, all) / BATCH;
    dmc_sampler_destroy(s);
    o.batch = 1;
    for (uint64_t b = 0; b < BATCH; b++) {
        s = sampler_with(m, critic, NULL, &o);
        draw(s, b, one);
        ck_assert_mem_eq(all + b * n, one, n * sizeof *all);
        dmc_sampler_destroy(s);
    }
}
END_TEST

/* ---- guides ------------------------------------------------------------------------------------------ */

/* Mean over samples and calls of the critic's first row or of the value of clean plans. */
static double worth(const dmc_model *m, const dmc_model *v, const dmc_sampler_options *o)
{
    dmc_sampler *s = sampler_with(m, critic, v, o);
    const size_t elems = (size_t)m->spec.net.horizon * (size_t)m->spec.net.cols;
    double sum = 0;
    for (uint64_t call = 0; call < 20; call++) {
        float z[MOST];
        const size_t n = draw(s, 5 * call, z) / elems;
        for (size_t i = 0; i < n; i++) {
            float obs[WORLD_S], q1, q2, out, t = 0, *x = z + i * elems;
            world_observe(5 * call + i / CANDIDATES, obs);
            if (v) {
                for (int32_t h = 0; h < m->spec.net.horizon; h++) {
                    dmc__normaliser_apply(&v->obs, x + h * (WORLD_S + WORLD_A), 1, x + h * (WORLD_S + WORLD_A));
                    dmc__normaliser_apply(&v->act, x + h * (WORLD_S + WORLD_A) + WORLD_S, 1, x + h * (WORLD_S + WORLD_A) + WORLD_S);
                }
                expect_ok(dmc_model_forward(v, 1, x, &t, NULL, &out));
                sum += out / (double)(20 * n);
            } else {
                expect_ok(dmc_critic_q(critic, 1, obs, x + (m->spec.role ? WORLD_S : 0), &q1, &q2));
                sum += (q1 + q2) / (double)(40 * n);
            }
        }
    }
    dmc_sampler_destroy(s);
    return sum;
}

/* The same noise, so the difference is the guide's alone: up with a positive scale, down with a negative one. */
START_TEST(guides_lead_uphill)
{
    const dmc_model *m = _i == 0 ? policy : planner, *v = _i == 2 ? value : NULL;
    dmc_sampler_options o = world_sampling(BATCH, CANDIDATES, DMC_SELECT_FIRST);
    const double step = _i == 2 ? 4 : 1;
    double w[4];
    const double scale[4] = {-step, 0, step, 2 * step};
    for (int i = 0; i < 4; i++) {
        o.guide = _i == 2 ? DMC_GUIDE_VALUE : DMC_GUIDE_CRITIC;
        o.guide_scale = scale[i];
        w[i] = worth(m, v, &o);
    }
    o.guide = DMC_GUIDE_NONE;
    ck_assert_double_eq(worth(m, v, &o), w[1]);
    for (int i = 1; i < 4; i++) ck_assert_msg(w[i] > w[i - 1], "worth %g %g %g %g", w[0], w[1], w[2], w[3]);
}
END_TEST

/* Rebinding brings other weights, the guide stays. */
START_TEST(a_guided_sampler_is_rebound)
{
    dmc_sampler_options o = world_sampling(BATCH, CANDIDATES, DMC_SELECT_FIRST);
    dmc_model *other = world_scaled(planner, 1.1f);
    float a[MOST], b[MOST], c[MOST];
    o.guide = DMC_GUIDE_VALUE;
    o.guide_scale = 5;
    o.guidance = 2;
    dmc_sampler *s = sampler_with(planner, NULL, value, &o);
    const size_t n = draw(s, 0, a);
    expect_ok(dmc_sampler_rebind(s, other));
    expect_ok(dmc_sampler_reset(s, o.seed));
    draw(s, 0, b);
    draw_once(other, NULL, value, &o, c);
    ck_assert_mem_eq(b, c, n * sizeof *b);
    ck_assert_mem_ne(a, b, n * sizeof *a);
    planner->spec.cond_dropout = 0;
    expect_failure(dmc_sampler_rebind(s, planner), DMC_EINVAL, "the new model has cond_dropout = 0");
    planner->spec.cond_dropout = .2;
    planner->spec.return_max += 1;
    expect_failure(dmc_sampler_rebind(s, planner), DMC_ESHAPE, "differs");
    dmc_sampler_destroy(s);
    dmc_model_destroy(other);
}
END_TEST

/* ---- what does not fit ------------------------------------------------------------------------------ */

static void refuse(const dmc_model *m, const dmc_model *v, const dmc_sampler_options *o, dmc_status want, const char *part)
{
    const dmc_sampler_parts parts = {.struct_size = sizeof parts, .value = v};
    dmc_sampler *s = (dmc_sampler *)(uintptr_t)1;
    expect_failure(dmc_sampler_create_with(NULL, m, &parts, o, &s), want, part);
    ck_assert_ptr_null(s);
}

START_TEST(guidance_needs_its_training)
{
    const dmc_model_options p = world_policy(), q = world_planner();
    dmc_model *a = world_model(ctx, data, &p), *b = world_model(ctx, data, &q);
    dmc_sampler_options o = world_sampling(1, 1, DMC_SELECT_FIRST);
    o.guidance = 1.2;
    refuse(a, NULL, &o, DMC_EINVAL, "guidance = 1.2 needs a model that was trained without its condition too");
    refuse(a, NULL, &o, DMC_EINVAL, "this one has cond_dropout = 0");
    refuse(b, NULL, &o, DMC_EINVAL, "this one has no condition");
    o.guidance = 0;
    refuse(a, NULL, &o, DMC_EINVAL, "guidance = 0 needs");
    o.guidance = 101;
    refuse(policy, NULL, &o, DMC_ERANGE, "guidance");
    dmc_model_destroy(b);
    dmc_model_destroy(a);
}
END_TEST

START_TEST(guides_need_their_parts)
{
    dmc_sampler_options o = world_sampling(1, 1, DMC_SELECT_FIRST);
    o.guide = DMC_GUIDE_CRITIC;
    refuse(policy, NULL, &o, DMC_EINVAL, "guide = critic needs a critic");
    o.guide = DMC_GUIDE_VALUE;
    refuse(planner, NULL, &o, DMC_EINVAL, "guide = value needs a model of role = value");
    refuse(planner, planner, &o, DMC_EINVAL, "value must be a model of role = value");
    refuse(policy, value, &o, DMC_EINVAL, "guides a planner only");
    o.guide = 3;
    refuse(planner, value, &o, DMC_ERANGE, "guide");
}
END_TEST

/* One option of the value model is another than the planner's. */
START_TEST(values_of_other_plans_are_refused)
{
    static const struct { dmc_status status; const char *part; } want[] = {
        {DMC_ESHAPE, "takes plans of 8 rows, the sampler draws 4"}, {DMC_EINVAL, "another process"},
        {DMC_EINVAL, "another process"}, {DMC_EINVAL, "another process"}, {DMC_EINVAL, "normalises"}};
    dmc_sampler_options o = world_sampling(1, 1, DMC_SELECT_FIRST);
    dmc_model_options v = value_options();
    o.guide = DMC_GUIDE_VALUE;
    if (_i == 0) v.horizon = 8;
    if (_i == 1) v.train_steps = 6;
    if (_i == 2) v.schedule = DMC_SCHEDULE_LINEAR;
    if (_i == 3) v.process = DMC_PROCESS_VP_GRID;
    if (_i == 4) v.obs_norm = DMC_NORM_GAUSSIAN;
    dmc_model *other = world_model(ctx, data, &v);
    refuse(planner, other, &o, want[_i].status, want[_i].part);
    dmc_model_destroy(other);
}
END_TEST

START_TEST(values_of_other_widths_are_refused)
{
    const float obs[8] = {0, 1, 2, 3, 4, 5, 6, 7}, act[4] = {0, 1, 2, 3}, rew[4] = {0};
    const uint8_t end[4] = {0, 0, 0, 1};
    const dmc_model_options v = value_options();
    dmc_sampler_options o = world_sampling(1, 1, DMC_SELECT_FIRST);
    dmc_dataset *d;
    expect_ok(dmc_dataset_create(ctx, 4, 2, 1, obs, act, rew, end, NULL, NULL, &d));
    dmc_model *other = world_model(ctx, d, &v);
    o.guide = DMC_GUIDE_VALUE;
    refuse(planner, other, &o, DMC_ESHAPE, "the value model is for observations of 2 and actions of 1, the model for 3 and 2");
    dmc_model_destroy(other);
    dmc_dataset_destroy(d);
}
END_TEST

/* A horizon of the sampler's own must be the value's. */
START_TEST(a_stretched_plan_has_no_value)
{
    dmc_sampler_options o = world_sampling(1, 1, DMC_SELECT_FIRST);
    o.guide = DMC_GUIDE_VALUE;
    o.horizon = 8;
    refuse(planner, value, &o, DMC_ESHAPE, "takes plans of 4 rows, the sampler draws 8");
}
END_TEST

START_TEST(devices_do_not_mix)
{
    dmc_context_options c;
    dmc_context *ref;
    const dmc_model_options p = free_planner();
    dmc_sampler_options o = world_sampling(1, 1, DMC_SELECT_FIRST);
    dmc_context_options_init(&c, sizeof c);
    c.device = "ref";
    expect_ok(dmc_context_create(&c, &ref));
    dmc_model *m = world_model(ref, data, &p);
    o.guide = DMC_GUIDE_VALUE;
    refuse(m, value, &o, DMC_EINVAL, "the value model lives on another device (cpu");
    dmc_model_destroy(m);
    dmc_context_destroy(ref);
}
END_TEST

/* ---- memory ------------------------------------------------------------------------------------------ */

static dmc_sampler_options guided(int32_t guide, double guidance)
{
    dmc_sampler_options o = world_sampling(2, 2, DMC_SELECT_FIRST);
    o.guide = guide;
    o.guidance = guidance;
    return o;
}

START_TEST(it_holds_what_it_says)
{
    static const double w[3] = {0, 1, 2};
    failing_alloc f = {0};
    dmc_context *own = world_context(&f, "cpu");
    const dmc_model_options po = free_policy(), lo = free_planner(), vo = value_options();
    dmc_model *m[2] = {world_model(own, data, &po), world_model(own, data, &lo)}, *v = world_model(own, data, &vo);
    dmc_model *grown[2] = {world_cascade(m[0]), world_cascade(m[1])};
    for (int32_t i = 0; i < 2; i++)
        for (int32_t guide = 0; guide <= 1 + i; guide++)
            for (int j = 0; j < 9; j++) {
                dmc_sampler_options o = guided(guide, w[j % 3]);
                const dmc_sampler_parts parts = {.struct_size = sizeof parts, .critic = critic, .value = i ? v : NULL};
                dmc_sampler *s;
                float z[MOST];
                o.weights = j / 3;
                o.cascade_passes = j % 2;
                const int64_t before = f.bytes;
                expect_ok(dmc_sampler_create_with(own, j % 2 ? grown[i] : m[i], &parts, &o, &s));
                ck_assert_int_eq(f.bytes - before, (int64_t)dmc_sampler_memory(s));
                draw(s, 0, z);
                ck_assert_int_eq(f.bytes - before, (int64_t)dmc_sampler_memory(s));
                dmc_sampler_destroy(s);
                ck_assert_int_eq(f.bytes, before);
            }
    dmc_model_destroy(v);
    for (int i = 0; i < 2; i++) {
        dmc_model_destroy(grown[i]);
        dmc_model_destroy(m[i]);
    }
    dmc_context_destroy(own);
    ck_assert_int_eq(f.live, 0);
}
END_TEST

typedef struct make_args {
    dmc_context *ctx;
    dmc_model *m, *v;
    int32_t guide;
} make_args;

static dmc_status create_in(void *user, void **out)
{
    const make_args *a = user;
    const dmc_sampler_options o = guided(a->guide, 2);
    const dmc_sampler_parts parts = {.struct_size = sizeof parts, .critic = critic, .value = a->v};
    return dmc_sampler_create_with(a->ctx, a->m, &parts, &o, (dmc_sampler **)out);
}

static void destroy(void *s)
{
    dmc_sampler_destroy(s);
}

START_TEST(creating_without_memory)
{
    failing_alloc f = {0};
    dmc_context *own = world_context(&f, "cpu");
    const dmc_model_options lo = free_planner(), vo = value_options();
    make_args a = {own, world_model(own, data, &lo), world_model(own, data, &vo), _i};
    world_without_memory(&f, &a, create_in, destroy);
    dmc_model_destroy(a.v);
    dmc_model_destroy(a.m);
    dmc_context_destroy(own);
    ck_assert_int_eq(f.live, 0);
}
END_TEST

static TCase *add_case(Suite *s, const char *name)
{
    TCase *c = tcase_create(name);
    tcase_add_checked_fixture(c, setup, teardown);
    suite_add_tcase(s, c);
    return c;
}

Suite *dmc_suite_guidance(void)
{
    Suite *s = suite_create("guidance");
    TCase *c = add_case(s, "classifier-free");
    tcase_add_loop_test(c, guidance_is_its_formula, 0, 8);
    tcase_add_test(c, guidance_of_one_is_none);
    tcase_add_loop_test(c, a_batch_is_its_conditions, 0, 4);
    c = add_case(s, "guides");
    tcase_add_loop_test(c, guides_lead_uphill, 0, 3);
    tcase_add_test(c, a_guided_sampler_is_rebound);
    c = add_case(s, "refusals");
    tcase_add_test(c, guidance_needs_its_training);
    tcase_add_test(c, guides_need_their_parts);
    tcase_add_loop_test(c, values_of_other_plans_are_refused, 0, 5);
    tcase_add_test(c, values_of_other_widths_are_refused);
    tcase_add_test(c, a_stretched_plan_has_no_value);
    tcase_add_test(c, devices_do_not_mix);
    c = add_case(s, "memory");
    tcase_add_test(c, it_holds_what_it_says);
    tcase_add_loop_test(c, creating_without_memory, 1, 3);
    return s;
}
