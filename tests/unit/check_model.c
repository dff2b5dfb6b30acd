/* check_model.c — models through the public calls: what is made, described, copied, set by name and evaluated. */
#include "world_fixture.h"

#include "../../lib/io/json_text.h"

Suite *dmc_suite_model(void);

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

static dmc_status create(const dmc_model_options *o, dmc_model **m)
{
    *m = (dmc_model *)(uintptr_t)1;
    return dmc_model_create(ctx, data, o, m);
}

#define expect_refused(o, want, part)                     \
    do {                                                  \
        dmc_model *m_;                                    \
        expect_failure(create((o), &m_), (want), (part)); \
        ck_assert_ptr_null(m_);                           \
    } while (0)

/* ---- making ----------------------------------------------------------------------------------------- */

/* Two rows with the widths of D4RL's hopper: 11 and 3. */
static dmc_dataset *hopper_data(void)
{
    float obs[22], act[6], rew[2] = {0};
    const uint8_t end[2] = {0, 1};
    dmc_dataset *d;
    for (int i = 0; i < 22; i++) obs[i] = (float)i;
    for (int i = 0; i < 6; i++) act[i] = (float)i;
    expect_ok(dmc_dataset_create(ctx, 2, 11, 3, obs, act, rew, end, NULL, NULL, &d));
    return d;
}

START_TEST(published_parameter_counts)
{
    dmc_dataset *d = hopper_data();
    dmc_model_options o;
    int32_t horizon, cols, n_obs, s, a;
    dmc_model_options_init(&o, sizeof o);
    dmc_model *policy = world_model(ctx, d, &o);
    ck_assert_uint_eq(dmc_model_parameters(policy), 1615811);
    ck_assert_int_eq(dmc_model_tensor_count(policy), 26);
    o.role = DMC_ROLE_PLANNER;
    o.network = DMC_NETWORK_UNET1D_JANNER;
    o.horizon = 32;
    o.hidden = o.emb_dim = 32;
    o.n_obs = 5; /* means nothing to a planner */
    o.obs_norm = DMC_NORM_MINMAX;
    dmc_model *planner = world_model(ctx, d, &o);
    ck_assert_uint_eq(dmc_model_parameters(planner), 3956302);
    ck_assert_int_eq(dmc_model_tensor_count(planner), 196);
    expect_ok(dmc_model_sizes(planner, &horizon, &cols, &n_obs, &s, &a));
    ck_assert(horizon == 32 && cols == 14 && n_obs == 1 && s == 11 && a == 3);
    expect_ok(dmc_model_sizes(policy, NULL, &cols, NULL, NULL, NULL));
    ck_assert_int_eq(cols, 3);
    dmc_model_destroy(planner);
    dmc_model_destroy(policy);
    dmc_dataset_destroy(d);
}
END_TEST

START_TEST(weights_come_from_the_seed_alone)
{
    dmc_model_options o = world_policy();
    dmc_model *a = world_model(ctx, data, &o), *b = world_model(NULL, data, &o);
    same_models(a, b);
    o.seed++;
    dmc_model *c = world_model(ctx, data, &o);
    const size_t bytes = dmc__graph_param_elems(a->net->graph) * sizeof(float);
    ck_assert_mem_ne(a->weights, c->weights, bytes);
    dmc_model_destroy(c);
    dmc_model_destroy(b);
    dmc_model_destroy(a);
}
END_TEST

START_TEST(options_are_refused_by_name)
{
    dmc_model_options o = world_policy();
    o.horizon = 0;
    expect_refused(&o, DMC_ERANGE, "horizon = 0, must be 1..1024");
    o = world_policy();
    o.emb_dim = 7;
    expect_refused(&o, DMC_ERANGE, "emb_dim = 7, must be even");
    o = world_planner();
    o.horizon = 5;
    expect_refused(&o, DMC_ERANGE, "horizon = 5, must be divisible by 2^(levels-1) = 2");
    o = world_planner();
    o.kernel = 4;
    expect_refused(&o, DMC_ERANGE, "kernel = 4, must be odd");
    o = world_planner();
    o.hidden = 33;
    expect_refused(&o, DMC_ERANGE, "hidden = 33");
    o = world_policy();
    o.train_steps = 1001;
    expect_refused(&o, DMC_ERANGE, "train_steps = 1001, must be 1..1000");
    o = world_policy();
    o.struct_size = 3;
    expect_refused(&o, DMC_EINVAL, "struct_size = 3");
    dmc_model *m = (dmc_model *)(uintptr_t)1;
    expect_failure(dmc_model_create(ctx, NULL, NULL, &m), DMC_EINVAL, "data is NULL");
    ck_assert_ptr_null(m);
    expect_failure(dmc_model_create(ctx, data, NULL, NULL), DMC_EINVAL, "out is NULL");
}
END_TEST

/* Where the data have no bound, none is set by itself: a planner of defaults can be made. */
START_TEST(clip_by_itself)
{
    dmc_model_options o;
    dmc_model_options_init(&o, sizeof o);
    ck_assert_double_eq(o.clip, -1);
    for (int32_t planner = 0; planner < 2; planner++)
        for (int32_t norm = DMC_NORM_NONE; norm <= DMC_NORM_MINMAX; norm++) {
            o.role = planner ? DMC_ROLE_PLANNER : DMC_ROLE_POLICY;
            o.obs_norm = norm;
            dmc_model *const m = world_model(ctx, data, &o);
            ck_assert_double_eq(m->process.config.clip, !planner || norm == DMC_NORM_MINMAX);
            dmc_model_destroy(m);
        }
    o.act_norm = DMC_NORM_NONE;
    dmc_model *const m = world_model(ctx, data, &o);
    ck_assert_double_eq(m->process.config.clip, 0);
    dmc_model_destroy(m);
}
END_TEST

/* Clipping at one standard deviation would silently throw most of the data away. */
START_TEST(gaussian_samples_are_not_clipped_near_the_middle)
{
    dmc_model_options o = world_policy();
    o.act_norm = DMC_NORM_GAUSSIAN;
    o.clip = 1;
    expect_refused(&o, DMC_EINVAL, "clip = 1 would cut off a gaussian-normalised action");
    o.clip = 3;
    dmc_model_destroy(world_model(ctx, data, &o));
    o.clip = 0;
    dmc_model_destroy(world_model(ctx, data, &o));
    o = world_planner();
    o.obs_norm = DMC_NORM_GAUSSIAN;
    o.clip = 1;
    expect_refused(&o, DMC_EINVAL, "clip = 1 would cut off a gaussian-normalised state");
    o = world_policy(); /* a policy's observations are not sampled */
    o.obs_norm = DMC_NORM_GAUSSIAN;
    dmc_model_destroy(world_model(ctx, data, &o));
}
END_TEST

START_TEST(multipliers_are_parsed)
{
    static const struct { const char *text; dmc_status status; const char *part; } bad[] = {
        {"1,x", DMC_EPARSE, "\"1,x\""},   {"1,,2", DMC_EPARSE, "\"1,,2\""},       {"1,0", DMC_EPARSE, "1..64"},
        {"1,65", DMC_EPARSE, "1..64"},    {"1,2,", DMC_EPARSE, "ends with a comma"}, {"", DMC_EINVAL, "mult is empty"},
        {"1 2", DMC_EPARSE, "\"1 2\""},   {"-1", DMC_EPARSE, "\"-1\""},           {"2,2", DMC_ERANGE, "mult of level 0 = 2"},
        {"1,99999999999999", DMC_EPARSE, "1..64"}, {"1,1,1,1,1,1,1,1,1", DMC_ERANGE, "more than 8 levels"}};
    dmc_model_options o = world_planner();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        o.mult = bad[i].text;
        expect_refused(&o, bad[i].status, bad[i].part);
    }
    o.mult = "1,2,2";
    dmc_model *m = world_model(ctx, data, &o);
    ck_assert_int_eq(m->spec.net.levels, 3);
    ck_assert_int_eq(m->spec.net.mult[2], 2);
    dmc_model_destroy(m);
}
END_TEST

static dmc_status create_in(void *user, void **out)
{
    const dmc_model_options o = world_policy();
    return dmc_model_create(user, data, &o, (dmc_model **)out);
}

static void destroy(void *m)
{
    dmc_model_destroy(m);
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

static dmc_status clone_in(void *user, void **out)
{
    return dmc_model_clone(user, (dmc_model **)out);
}

START_TEST(cloning_without_memory)
{
    failing_alloc f = {0};
    const dmc_model_options o = world_policy();
    dmc_context *own = world_context(&f, "cpu");
    dmc_model *m = world_model(own, data, &o), *big = world_cascade(m);
    world_without_memory(&f, big, clone_in, destroy);
    dmc_model_destroy(big);
    dmc_model_destroy(m);
    dmc_context_destroy(own);
    ck_assert_int_eq(f.live, 0);
}
END_TEST

/* ---- describing ------------------------------------------------------------------------------------- */

static double number(const dmc__json *j, const char *key)
{
    double v;
    expect_ok(dmc__json_get_number(j, key, -1e30, 1e30, &v));
    return v;
}

static const char *text(const dmc__json *j, const char *key)
{
    const char *v;
    expect_ok(dmc__json_get_text(j, key, &v));
    return v;
}

static void check_units(const dmc__json *j, const char *key, const char *kind, const dmc__normaliser *n)
{
    dmc__json *child;
    float v[8];
    expect_ok(dmc__json_get_object(j, key, &child));
    ck_assert_str_eq(text(child, "kind"), kind);
    const struct { const char *key; const float *v; } list[] = {
        {"shift", n->shift}, {"scale", n->scale}, {"min", n->lo}, {"max", n->hi}};
    for (int i = 0; i < 4; i++) {
        expect_ok(dmc__json_get_numbers(child, list[i].key, v, n->n));
        ck_assert_mem_eq(v, list[i].v, (size_t)n->n * sizeof *v);
    }
    dmc__json_destroy(child);
}

START_TEST(the_description_is_the_whole_contract)
{
    dmc_model_options o = world_planner();
    o.control_hz = 50;
    o.schedule = DMC_SCHEDULE_VP;
    o.predict = DMC_PREDICT_V;
    dmc_model *m = world_model(ctx, data, &o);
    char *all = world_describe(m);
    dmc__json *j;
    float mult[2];
    expect_ok(dmc__json_parse(all, &j));
    static const struct { const char *key, *value; } words[] = {
        {"role", "planner"}, {"network", "unet1d_janner"}, {"schedule", "vp"}, {"predict", "v"}};
    const struct { const char *key; double value; } numbers[] = {
        {"format", 1}, {"obs_dim", 3}, {"act_dim", 2}, {"n_obs", 1}, {"horizon", 4}, {"hidden", 8}, {"blocks", 1},
        {"emb_dim", 8}, {"kernel", 5}, {"levels", 2}, {"train_steps", 5}, {"clip", 1}, {"control_hz", 50}, {"cascade", 0},
        {"parameters", (double)dmc_model_parameters(m)}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) ck_assert_str_eq(text(j, words[i].key), words[i].value);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        ck_assert_msg(number(j, numbers[i].key) == numbers[i].value, "%s", numbers[i].key);
    expect_ok(dmc__json_get_numbers(j, "mult", mult, 2));
    ck_assert(mult[0] == 1 && mult[1] == 2);
    check_units(j, "observation", "minmax", &m->obs);
    check_units(j, "action", "minmax", &m->act);
    ck_assert_float_le(m->act.hi[1], 11);
    ck_assert_float_ge(m->act.lo[1], 3);
    dmc__json_destroy(j);
    free(all);
    dmc_model_destroy(m);
}
END_TEST

START_TEST(the_description_needs_room)
{
    const dmc_model_options o = world_policy();
    dmc_model *m = world_model(ctx, data, &o);
    char small[4] = "abc";
    size_t need = 0;
    expect_failure(dmc_model_describe(m, small, sizeof small, &need), DMC_ESHAPE, "size = 4, the text needs");
    ck_assert_str_eq(small, "abc");
    char *exact = malloc(need);
    expect_ok(dmc_model_describe(m, exact, need, NULL));
    ck_assert_uint_eq(strlen(exact) + 1, need);
    free(exact);
    expect_failure(dmc_model_describe(m, NULL, 0, NULL), DMC_EINVAL, "both NULL");
    expect_failure(dmc_model_describe(NULL, NULL, 0, &need), DMC_EINVAL, "m is NULL");
    dmc_model_destroy(m);
}
END_TEST

/* ---- tensors ---------------------------------------------------------------------------------------- */

START_TEST(tensors_by_name)
{
    const dmc_model_options o = world_planner();
    dmc_model *m = world_model(ctx, data, &o);
    int32_t rank, shape[3];
    size_t sum = 0;
    for (int32_t i = 0; i < dmc_model_tensor_count(m); i++) {
        size_t n = 1;
        expect_ok(dmc_model_tensor_shape(m, dmc_model_tensor_name(m, i), &rank, shape));
        for (int32_t j = 0; j < rank; j++) n *= (size_t)shape[j];
        sum += n;
    }
    ck_assert_uint_eq(sum, dmc_model_parameters(m));
    expect_ok(dmc_model_tensor_shape(m, "downs.0.0.conv1.0.weight", &rank, shape));
    ck_assert(rank == 3 && shape[0] == 8 && shape[1] == WORLD_S + WORLD_A && shape[2] == 5);
    ck_assert_ptr_null(dmc_model_tensor_name(m, -1));
    ck_assert_ptr_null(dmc_model_tensor_name(m, dmc_model_tensor_count(m)));
    expect_failure(dmc_model_tensor_shape(m, "downs.0.0.conv1.0.wieght", &rank, shape), DMC_EKEY,
                   "did you mean \"downs.0.0.conv1.0.weight\"?");
    expect_failure(dmc_model_tensor_shape(m, "nothing like it at all", &rank, shape), DMC_EKEY, "no tensor \"nothing");
    expect_failure(dmc_model_tensor_shape(m, NULL, &rank, shape), DMC_EINVAL, "name is NULL");
    dmc_model_destroy(m);
}
END_TEST

/* In PyTorch's order, whatever the order in memory: a 3-rank weight comes back as it was set. */
START_TEST(tensors_go_in_and_out)
{
    const dmc_model_options o = world_planner();
    dmc_model *m = world_model(ctx, data, &o);
    enum { N = 8 * (WORLD_S + WORLD_A) * 5 };
    float in[N], out[N], kept[N];
    const char *const name = "downs.0.0.conv1.0.weight";
    for (int i = 0; i < N; i++) in[i] = (float)i / N;
    expect_ok(dmc_model_set_tensor(m, name, in, N));
    expect_ok(dmc_model_get_tensor(m, name, out, N));
    ck_assert_mem_eq(in, out, sizeof in);
    expect_failure(dmc_model_get_tensor(m, name, out, N - 1), DMC_ESHAPE, "n = 199, tensor \"downs.0.0.conv1.0.weight\" has 200");
    expect_failure(dmc_model_set_tensor(m, name, in, N + 1), DMC_ESHAPE, "n = 201");
    in[7] = NAN;
    in[0] = 5;
    expect_failure(dmc_model_set_tensor(m, name, in, N), DMC_ENUMERIC, "values[7]");
    in[7] = -INFINITY;
    expect_failure(dmc_model_set_tensor(m, name, in, N), DMC_ENUMERIC, "values[7]");
    expect_ok(dmc_model_get_tensor(m, name, kept, N));
    ck_assert_mem_eq(kept, out, sizeof out);
    expect_failure(dmc_model_set_tensor(m, name, NULL, N), DMC_EINVAL, "values is NULL");
    expect_failure(dmc_model_get_tensor(m, name, NULL, N), DMC_EINVAL, "out is NULL");
    dmc_model_destroy(m);
}
END_TEST

START_TEST(a_clone_is_independent)
{
    const dmc_model_options o = world_policy();
    dmc_model *m = world_model(ctx, data, &o), *big = world_cascade(m), *copy;
    float was[WORLD_A * 2], now[WORLD_A * 2] = {9, 9, 9, 9};
    expect_ok(dmc_model_clone(big, &copy));
    same_models(big, copy);
    ck_assert_ptr_nonnull(copy->cascade);
    expect_ok(dmc_model_get_tensor(big, "affine_out.bias", was, 4));
    expect_ok(dmc_model_set_tensor(copy, "affine_out.bias", now, 4));
    expect_ok(dmc_model_get_tensor(big, "affine_out.bias", now, 4));
    ck_assert_mem_eq(was, now, sizeof was);
    dmc_model_destroy(big);
    dmc_model_destroy(m);
    expect_ok(dmc_model_get_tensor(copy, "affine_out.bias", now, 4)); /* lives on without the original */
    ck_assert_float_eq(now[0], 9);
    dmc_model_destroy(copy);
}
END_TEST

/* ---- one evaluation --------------------------------------------------------------------------------- */

/* Forward, table and noise are enough to say what a sampler gives. */
START_TEST(forward_passes_make_a_sample)
{
    enum { N = 3, E = 2 * WORLD_A };
    const dmc_model_options o = world_policy();
    dmc_model *m = world_model(ctx, data, &o);
    dmc_sampler_options so = world_sampling(1, N, DMC_SELECT_FIRST);
    so.sampler = _i;
    so.steps = 4;
    so.eta = 0.5;
    so.temperature = 0.7;
    dmc_sampler *s = world_sampler(m, NULL, &so);
    float obs[WORLD_S], act[E], raw[N * E], z[N * E], cond[N * 2 * WORLD_S];
    world_observe(5, obs);
    ck_assert_int_ge(dmc_sampler_sample(s, obs, WORLD_S, act, E), 0);
    expect_ok(dmc_sampler_candidates(s, raw, N * E));
    for (int i = 0; i < 2 * N; i++) dmc__normaliser_apply(&m->obs, obs, 1, cond + i * WORLD_S);
    world_denoise(m, &so, N, cond, z);
    for (int i = 0; i < N * E; i++) {
        const double want = (double)z[i] * m->act.scale[i % WORLD_A] + m->act.shift[i % WORLD_A];
        ck_assert_msg(fabs(raw[i] - want) < 1e-4, "entry %d: %g, by hand %g", i, raw[i], want);
    }
    dmc_sampler_destroy(s);
    dmc_model_destroy(m);
}
END_TEST

START_TEST(forward_checks_its_arguments)
{
    const dmc_model_options o = world_policy();
    dmc_model *m = world_model(ctx, data, &o);
    float z[4] = {0}, t[1] = {0}, cond[2 * WORLD_S] = {0}, out[4];
    expect_ok(dmc_model_forward(m, 1, z, t, cond, out));
    expect_failure(dmc_model_forward(m, 0, z, t, cond, out), DMC_ERANGE, "batch = 0, must be 1..65536");
    expect_failure(dmc_model_forward(m, 65537, z, t, cond, out), DMC_ERANGE, "batch = 65537");
    expect_failure(dmc_model_forward(m, 1, z, t, NULL, out), DMC_EINVAL, "cond is NULL, a policy needs (batch,6)");
    expect_failure(dmc_model_forward(m, 1, NULL, t, cond, out), DMC_EINVAL, "z is NULL");
    expect_failure(dmc_model_forward(m, 1, z, NULL, cond, out), DMC_EINVAL, "t is NULL");
    expect_failure(dmc_model_forward(m, 1, z, t, cond, NULL), DMC_EINVAL, "out is NULL");
    expect_failure(dmc_model_forward(NULL, 1, z, t, cond, out), DMC_EINVAL, "m is NULL");
    dmc_model_destroy(m);
}
END_TEST

START_TEST(nothing_is_a_model_too)
{
    int32_t x;
    dmc_model *m = (dmc_model *)(uintptr_t)1;
    ck_assert_uint_eq(dmc_model_parameters(NULL), 0);
    ck_assert_int_eq(dmc_model_tensor_count(NULL), 0);
    ck_assert_ptr_null(dmc_model_tensor_name(NULL, 0));
    expect_failure(dmc_model_sizes(NULL, &x, &x, &x, &x, &x), DMC_EINVAL, "m is NULL");
    expect_failure(dmc_model_clone(NULL, &m), DMC_EINVAL, "m is NULL");
    ck_assert_ptr_null(m);
    dmc_model_destroy(NULL);
}
END_TEST

Suite *dmc_suite_model(void)
{
    Suite *s = suite_create("model");
    TCase *c = tcase_create("create");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, published_parameter_counts);
    tcase_add_test(c, weights_come_from_the_seed_alone);
    tcase_add_test(c, options_are_refused_by_name);
    tcase_add_test(c, clip_by_itself);
    tcase_add_test(c, gaussian_samples_are_not_clipped_near_the_middle);
    tcase_add_test(c, multipliers_are_parsed);
    tcase_add_test(c, creating_without_memory);
    tcase_add_test(c, cloning_without_memory);
    suite_add_tcase(s, c);
    c = tcase_create("inside");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, the_description_is_the_whole_contract);
    tcase_add_test(c, the_description_needs_room);
    tcase_add_test(c, tensors_by_name);
    tcase_add_test(c, tensors_go_in_and_out);
    tcase_add_test(c, a_clone_is_independent);
    tcase_add_loop_test(c, forward_passes_make_a_sample, DMC_SAMPLER_DDPM, DMC_SAMPLER_DDIM + 1);
    tcase_add_test(c, forward_checks_its_arguments);
    tcase_add_test(c, nothing_is_a_model_too);
    suite_add_tcase(s, c);
    return s;
}
