/* check_half_sampler.c — samplers that read their matrix weights from 16 bits: actions, rebinding, memory. */
#include "half_fixture.h"
#include "world_fixture.h"

Suite *dmc_suite_half_sampler(void);

static float *new_floats(size_t n)
{
    float *f = calloc(n, sizeof *f);
    ck_assert_ptr_nonnull(f);
    return f;
}

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

static dmc_model *make_model(int planner, uint64_t seed)
{
    dmc_model_options o = planner ? world_planner() : world_policy();
    o.seed = seed;
    dmc_model *m = world_model(ctx, data, &o), *joined = world_cascade(m);
    dmc_model_destroy(m);
    return joined;
}

static void round_block(dmc__device *d, const dmc__graph *g, void *block, int32_t type)
{
    for (dmc__parid i = 0; i < dmc__graph_param_count(g); i++) {
        const dmc__param_spec *p = dmc__graph_param(g, i);
        float *w = new_floats(p->size);
        expect_ok(dmc__params_get(g, d, block, i, w, p->size));
        for (size_t j = 0; half_matrix(p) && j < p->size; j++) w[j] = half_rounded(w[j], type);
        expect_ok(dmc__params_set(g, d, block, i, w, p->size));
        free(w);
    }
}

/* A copy of m with rounded matrices, in its cascade too. */
static dmc_model *rounded_model(const dmc_model *m, int32_t type)
{
    dmc_model *copy;
    expect_ok(dmc_model_clone(m, &copy));
    round_block(copy->ref.ctx->device, copy->net->graph, copy->weights, type);
    round_block(copy->ref.ctx->device, copy->cascade->graph, copy->cascade_weights, type);
    return copy;
}

enum { CANDIDATES = 3 };

static dmc_sampler *make_sampler(const dmc_model *m, int32_t weights)
{
    dmc_sampler_options o = world_sampling(1, CANDIDATES, DMC_SELECT_FIRST);
    o.cascade_passes = 1;
    o.weights = weights;
    return world_sampler(m, NULL, &o);
}

/* All candidates of the next call, (CANDIDATES, horizon, cols); free them. */
static float *ask(dmc_sampler *s, const dmc_model *m, uint64_t which)
{
    const size_t elems = (size_t)m->spec.net.horizon * (size_t)m->spec.net.cols;
    float obs[WORLD_S], act[64], *all = new_floats(CANDIDATES * elems);
    world_observe(which, obs);
    ck_assert_int_ge(dmc_sampler_sample(s, obs, WORLD_S, act, (size_t)m->spec.net.horizon * WORLD_A), DMC_OK);
    expect_ok(dmc_sampler_candidates(s, all, CANDIDATES * elems));
    return all;
}

static void expect_same_answers(dmc_sampler *s, dmc_sampler *t, const dmc_model *m, int same)
{
    const size_t bytes = CANDIDATES * (size_t)m->spec.net.horizon * (size_t)m->spec.net.cols * sizeof(float);
    for (uint64_t call = 0; call < 2; call++) {
        float *x = ask(s, m, call), *y = ask(t, m, call);
        ck_assert_int_eq(memcmp(x, y, bytes) == 0, same);
        free(x), free(y);
    }
}

/* Base and cascade, at first and after a rebind, which converts again. */
START_TEST(a_half_sampler_is_the_sampler_of_a_rounded_model)
{
    const int32_t type = 1 + _i / 2;
    dmc_model *a = make_model(_i % 2, 3), *b = make_model(_i % 2, 4);
    dmc_model *ra = rounded_model(a, type), *rb = rounded_model(b, type);
    dmc_sampler *half = make_sampler(a, type), *same = make_sampler(ra, DMC_WEIGHTS_FLOAT32);
    dmc_sampler *full = make_sampler(a, DMC_WEIGHTS_FLOAT32);
    expect_same_answers(half, same, a, 1);
    expect_ok(dmc_sampler_reset(half, 21));
    expect_same_answers(half, full, a, 0);
    expect_ok(dmc_sampler_rebind(half, b));
    expect_ok(dmc_sampler_rebind(same, rb));
    expect_ok(dmc_sampler_reset(half, 21));
    expect_ok(dmc_sampler_reset(same, 21));
    expect_same_answers(half, same, b, 1);
    dmc_sampler_destroy(full), dmc_sampler_destroy(same), dmc_sampler_destroy(half);
    dmc_model_destroy(rb), dmc_model_destroy(ra), dmc_model_destroy(b), dmc_model_destroy(a);
}
END_TEST

/* A network that predicts x0 loses no more than the network itself does. */
START_TEST(actions_stay_near)
{
    dmc_model_options o = world_policy();
    o.hidden = 64;
    o.predict = DMC_PREDICT_X0;
    dmc_model *m = world_model(ctx, data, &o);
    const dmc_sampler_options so = world_sampling(1, CANDIDATES, DMC_SELECT_FIRST);
    dmc_sampler_options ho = so;
    ho.weights = DMC_WEIGHTS_BF16 + _i;
    dmc_sampler *s = world_sampler(m, NULL, &so), *h = world_sampler(m, NULL, &ho);
    float *x = ask(s, m, 1), *y = ask(h, m, 1);
    const double error = half_error(y, x, CANDIDATES * 4);
    ck_assert_msg(error > 0 && error < (_i ? 2e-3 : 2e-2), "relative error of actions %g", error);
    free(x), free(y);
    dmc_sampler_destroy(h), dmc_sampler_destroy(s);
    dmc_model_destroy(m);
}
END_TEST

/* Two bytes for every number of the block, base and cascade, out of the context's allocator and back to it. */
START_TEST(the_copy_is_counted)
{
    failing_alloc f = {0};
    dmc_context *own = world_context(&f, _i ? "ref64" : "cpu");
    const dmc_model_options o = world_policy();
    dmc_model *m = world_model(own, data, &o), *joined = world_cascade(m);
    dmc_sampler *full = make_sampler(joined, DMC_WEIGHTS_FLOAT32);
    const int64_t live = f.live;
    dmc_sampler *half = make_sampler(joined, DMC_WEIGHTS_BF16);
    const size_t blocks = dmc__graph_param_elems(m->net->graph) + dmc__graph_param_elems(joined->cascade->graph);
    ck_assert_uint_eq(dmc_sampler_memory(half) - dmc_sampler_memory(full), 2 * blocks);
    dmc_sampler_destroy(half);
    ck_assert_int_eq(f.live, live);
    dmc_sampler_destroy(full);
    dmc_model_destroy(joined);
    dmc_model_destroy(m);
    dmc_context_destroy(own);
    ck_assert_int_eq(f.live, 0);
}
END_TEST

typedef struct make_args {
    dmc_context *ctx;
    dmc_model *m;
} make_args;

static dmc_status create_in(void *user, void **out)
{
    const make_args *a = user;
    dmc_sampler_options o = world_sampling(2, 2, DMC_SELECT_FIRST);
    o.cascade_passes = 1;
    o.weights = DMC_WEIGHTS_FP16;
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
    const dmc_model_options o = world_policy();
    dmc_model *m = world_model(own, data, &o);
    make_args a = {own, world_cascade(m)};
    world_without_memory(&f, &a, create_in, destroy);
    dmc_model_destroy(a.m);
    dmc_model_destroy(m);
    dmc_context_destroy(own);
    ck_assert_int_eq(f.live, 0);
}
END_TEST

START_TEST(a_weight_beyond_fp16_is_refused)
{
    const dmc_model_options o = world_policy();
    dmc_model *m = world_model(ctx, data, &o);
    dmc_sampler_options so = world_sampling(1, 1, DMC_SELECT_FIRST);
    dmc_sampler *s;
    const int32_t first = 0;
    const char *name = dmc_model_tensor_name(m, first);
    const size_t n = dmc__graph_param(m->net->graph, first)->size;
    float *w = new_floats(n);
    w[0] = 1e6f;
    ck_assert(half_matrix(dmc__graph_param(m->net->graph, first)));
    expect_ok(dmc_model_set_tensor(m, name, w, n));
    so.weights = DMC_WEIGHTS_FP16;
    expect_failure(dmc_sampler_create(NULL, m, NULL, &so, &s), DMC_ENUMERIC, "not finite");
    so.weights = 3;
    expect_failure(dmc_sampler_create(NULL, m, NULL, &so, &s), DMC_ERANGE, "weights = 3, must be one of: float32 bf16 fp16");
    free(w);
    dmc_model_destroy(m);
}
END_TEST

Suite *dmc_suite_half_sampler(void)
{
    Suite *s = suite_create("half_sampler");
    TCase *c = tcase_create("half_sampler");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_loop_test(c, a_half_sampler_is_the_sampler_of_a_rounded_model, 0, 4);
    tcase_add_loop_test(c, actions_stay_near, 0, 2);
    tcase_add_loop_test(c, the_copy_is_counted, 0, 2);
    tcase_add_test(c, creating_without_memory);
    tcase_add_test(c, a_weight_beyond_fp16_is_refused);
    suite_add_tcase(s, c);
    return s;
}
