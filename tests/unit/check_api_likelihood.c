#include "../../lib/model/model_likelihood.h"
#include "align_fixture.h"

enum { N = 70, ROWS = 4 };

#define ok(expr) ck_assert_msg((expr) == DMC_OK, "%s: %s", #expr, dmc_last_error())

typedef struct lab {
    dmc_context *ctx;
    dmc_dataset *data;
    dmc_model *m;
    float z[N * ROWS * 2], obs[N * 2];
} lab;

static double draw(uint64_t sample, uint32_t n)
{
    const dmc__stream s = {5, DMC_STREAM_ENV, 0, sample};
    return 2 * dmc__rng_uniform(&s, n) - 1;
}

/* Untrained; role, returns, inpaint, process and horizon as given. */
static void open_lab(lab *l, const dmc_model_options *given)
{
    dmc_model_options o;
    ok(dmc_model_options_init(&o, sizeof o));
    o.hidden = 16, o.blocks = 1, o.emb_dim = 8, o.train_steps = 10, o.n_obs = given->role == DMC_ROLE_POLICY ? 2 : 1;
    o.obs_norm = o.act_norm = DMC_NORM_GAUSSIAN;
    o.clip = 0;
    o.role = given->role, o.returns = given->returns, o.inpaint = given->inpaint, o.process = given->process;
    o.network = given->network, o.horizon = ROWS;
    o.memory = given->memory;
    ok(dmc_context_create(NULL, &l->ctx));
    l->data = bandit_data(l->ctx);
    ok(dmc_model_create(l->ctx, l->data, &o, &l->m));
    for (uint32_t i = 0; i < N * ROWS * 2; i++) l->z[i] = (float)(.3 + draw(1, i));
    for (uint32_t i = 0; i < N * 2; i++) l->obs[i] = (float)draw(2, i);
}

static void close_lab(lab *l)
{
    dmc_model_destroy(l->m);
    dmc_dataset_destroy(l->data);
    dmc_context_destroy(l->ctx);
}

static dmc_likelihood_options method_of(int32_t method)
{
    dmc_likelihood_options o;
    ok(dmc_likelihood_options_init(&o, sizeof o));
    o.method = method;
    o.steps = 5;
    return o;
}

/* The numbers of lib/diffusion for what the normalisers make of the samples; and in pieces what they are together. */
START_TEST(policy_in_dataset_units)
{
    const dmc_likelihood_options o = method_of(_i);
    const dmc__likelihood_config c = {.method = _i, .steps = 5, .probes = 1};
    double out[N], part[N], expected[N];
    float x0[N * ROWS], cond[N * 2];
    dmc__likelihood *own;
    lab l;
    open_lab(&l, &(dmc_model_options){.role = DMC_ROLE_POLICY});
    ok(dmc_likelihood(l.m, &o, N, l.obs, l.z, out));
    for (int i = 0; i < N * ROWS; i++) x0[i] = (l.z[i] - l.m->act.shift[0]) / l.m->act.scale[0];
    for (int i = 0; i < N * 2; i++) cond[i] = (l.obs[i] - l.m->obs.shift[0]) / l.m->obs.scale[0];
    ck_assert_double_gt(fabs(l.m->act.scale[0] - 1), .1);
    ok(dmc__likelihood_create(l.m->net, l.ctx->device, &l.m->process, N, &c, &own));
    dmc__likelihood_bind(own, l.m->weights);
    ok(dmc__likelihood_run(own, &(dmc__likelihood_batch){.x0 = x0, .cond = cond}, expected));
    for (int i = 0; i < N; i++) ck_assert_double_eq_tol(out[i], expected[i], 1e-5 * (1 + fabs(expected[i])));
    ck_assert_double_gt(fabs(out[0] - out[1]), 1e-4);
    if (_i != DMC_LIKELIHOOD_FLOW_HUTCHINSON) { /* whose signs are the number's */
        ok(dmc_likelihood(l.m, &o, 3, l.obs + 66 * 2, l.z + 66 * ROWS, part));
        ck_assert_mem_eq(part, out + 66, sizeof *part * 3);
    }
    dmc__likelihood_destroy(own);
    close_lab(&l);
}
END_TEST

/* What lib/diffusion says of the planner's normalised samples with this mask or weight. */
static void expect_plans(const lab *l, const dmc__likelihood_config *c, const float *mask, const float *weight, const double *out)
{
    double expected[N];
    float x0[N * ROWS * 2];
    dmc__likelihood *own;
    for (int i = 0; i < N * ROWS * 2; i++) {
        const dmc__normaliser *n = i % 2 ? &l->m->act : &l->m->obs; /* rows [state | action] */
        x0[i] = (l->z[i] - n->shift[0]) / n->scale[0];
    }
    ok(dmc__likelihood_create(l->m->net, l->ctx->device, &l->m->process, N, c, &own));
    dmc__likelihood_bind(own, l->m->weights);
    ok(dmc__likelihood_run(own, &(dmc__likelihood_batch){.x0 = x0, .mask = mask, .weight = weight}, expected));
    for (int i = 0; i < N; i++) ck_assert_double_eq_tol(out[i], expected[i], 1e-5 * (1 + fabs(expected[i])));
    dmc__likelihood_destroy(own);
}

START_TEST(planner_in_dataset_units)
{
    const dmc_likelihood_options o = method_of(_i);
    const dmc__likelihood_config c = {.method = _i, .steps = 5, .probes = 1};
    double out[N];
    float mask[N * ROWS * 2];
    lab l;
    open_lab(&l, &(dmc_model_options){.role = DMC_ROLE_PLANNER});
    for (int i = 0; i < N * ROWS * 2; i++) mask[i] = i % (ROWS * 2) == 0;
    ok(dmc_likelihood(l.m, &o, N, NULL, l.z, out));
    expect_plans(&l, &c, mask, NULL, out);
    close_lab(&l);
}
END_TEST

/* The state of row 0 is the one given, or else the sample's; what the sample says beside a given one is nothing. */
START_TEST(planner_knows_its_state)
{
    const dmc_likelihood_options o = method_of(_i);
    double own[N], given[N], other[N];
    float state[N];
    lab l;
    open_lab(&l, &(dmc_model_options){.role = DMC_ROLE_PLANNER});
    for (int i = 0; i < N; i++) state[i] = l.z[i * ROWS * 2];
    ok(dmc_likelihood(l.m, &o, N, NULL, l.z, own));
    for (int i = 0; i < N; i++) l.z[i * ROWS * 2] = 7;
    ok(dmc_likelihood(l.m, &o, N, state, l.z, given));
    ck_assert_mem_eq(own, given, sizeof own);
    state[0] += 1;
    ok(dmc_likelihood(l.m, &o, N, state, l.z, other));
    ck_assert_double_gt(fabs(other[0] - own[0]), 1e-6);
    ck_assert_mem_eq(other + 1, own + 1, sizeof *own * (N - 1));
    close_lab(&l);
}
END_TEST

START_TEST(planner_is_asked_for_a_return)
{
    dmc_likelihood_options o = method_of(DMC_LIKELIHOOD_FLOW_EXACT);
    double best[N], half[N];
    lab l;
    open_lab(&l, &(dmc_model_options){.role = DMC_ROLE_PLANNER, .returns = 1, .process = DMC_PROCESS_EDM});
    ok(dmc_likelihood(l.m, &o, N, NULL, l.z, best));
    o.target_return = .5;
    ok(dmc_likelihood(l.m, &o, N, NULL, l.z, half));
    ck_assert_double_gt(fabs(half[0] - best[0]), 1e-7);
    close_lab(&l);
}
END_TEST

/* Noised known entries: the bound exists, and the state's error still counts for nothing. */
START_TEST(noised_planner_has_a_bound_and_no_flow)
{
    dmc_likelihood_options o = method_of(DMC_LIKELIHOOD_BOUND);
    const dmc__likelihood_config c = {.method = DMC__LIKELIHOOD_BOUND, .steps = 5};
    double noised[N], kept[N];
    float weight[N * ROWS * 2];
    lab l, clean;
    open_lab(&l, &(dmc_model_options){.role = DMC_ROLE_PLANNER, .inpaint = DMC_INPAINT_NOISED});
    ok(dmc_likelihood(l.m, &o, N, NULL, l.z, noised));
    for (int i = 0; i < N * ROWS * 2; i++) weight[i] = i % (ROWS * 2) != 0;
    expect_plans(&l, &c, NULL, weight, noised);
    open_lab(&clean, &(dmc_model_options){.role = DMC_ROLE_PLANNER}); /* the same weights */
    ok(dmc_likelihood(clean.m, &o, N, NULL, l.z, kept));
    for (int i = 0; i < N; i++) ck_assert_double_gt(fabs(noised[i] - kept[i]), 1e-7);
    close_lab(&clean);
    o.method = DMC_LIKELIHOOD_FLOW_EXACT;
    ck_assert_int_eq(dmc_likelihood(l.m, &o, N, NULL, l.z, noised), DMC_EINVAL);
    ck_assert_ptr_nonnull(strstr(dmc_last_error(), "inpaint = noised"));
    close_lab(&l);
}
END_TEST

static void refused(dmc_status status, dmc_status expected, const char *words)
{
    ck_assert_int_eq(status, expected);
    ck_assert_msg(strstr(dmc_last_error(), words) != NULL, "\"%s\" does not say \"%s\"", dmc_last_error(), words);
}

START_TEST(refusals)
{
    dmc_likelihood_options o = method_of(DMC_LIKELIHOOD_BOUND);
    double out[N];
    lab l, value;
    open_lab(&l, &(dmc_model_options){.role = DMC_ROLE_POLICY});
    refused(dmc_likelihood(NULL, &o, N, l.obs, l.z, out), DMC_EINVAL, "m is NULL");
    refused(dmc_likelihood(l.m, &o, N, l.obs, NULL, out), DMC_EINVAL, "z is NULL");
    refused(dmc_likelihood(l.m, &o, N, l.obs, l.z, NULL), DMC_EINVAL, "out is NULL");
    refused(dmc_likelihood(l.m, &o, 0, l.obs, l.z, out), DMC_ERANGE, "n = 0");
    refused(dmc_likelihood(l.m, &o, N, NULL, l.z, out), DMC_EINVAL, "a policy needs (n,2)");
    l.z[9] = NAN;
    refused(dmc_likelihood(l.m, &o, N, l.obs, l.z, out), DMC_ENUMERIC, "z[9]");
    l.z[9] = 0, l.obs[3] = INFINITY;
    refused(dmc_likelihood(l.m, &o, N, l.obs, l.z, out), DMC_ENUMERIC, "obs[3]");
    l.obs[3] = 0, l.z[4] = 3e38f; /* its square is too large for a float */
    refused(dmc_likelihood(l.m, &o, N, l.obs, l.z, out), DMC_ENUMERIC, "sample 1 is not finite");
    o.steps = 11;
    refused(dmc_likelihood(l.m, &o, N, l.obs, l.z, out), DMC_ERANGE, "steps = 11, must be 2..10");
    o.method = 4;
    refused(dmc_likelihood(l.m, &o, N, l.obs, l.z, out), DMC_ERANGE, "method = 4");
    o = method_of(DMC_LIKELIHOOD_BOUND);
    open_lab(&value, &(dmc_model_options){.role = DMC_ROLE_VALUE, .network = DMC_NETWORK_DIT1D_HALF});
    refused(dmc_likelihood(value.m, &o, N, NULL, value.z, out), DMC_EINVAL, "draws no samples");
    close_lab(&value);
    close_lab(&l);
}
END_TEST

Suite *dmc_suite_api_likelihood(void);
Suite *dmc_suite_api_likelihood(void)
{
    Suite *const s = suite_create("api_likelihood");
    TCase *const t = tcase_create("api_likelihood");
    tcase_add_loop_test(t, policy_in_dataset_units, 0, DMC_LIKELIHOOD_FLOW_EXACT + 1);
    tcase_add_loop_test(t, planner_in_dataset_units, 0, DMC_LIKELIHOOD_FLOW_EXACT + 1);
    tcase_add_loop_test(t, planner_knows_its_state, 0, DMC_LIKELIHOOD_FLOW_EXACT + 1);
    tcase_add_test(t, planner_is_asked_for_a_return);
    tcase_add_test(t, noised_planner_has_a_bound_and_no_flow);
    tcase_add_test(t, refusals);
    suite_add_tcase(s, t);
    return s;
}
