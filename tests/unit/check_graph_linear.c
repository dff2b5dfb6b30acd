/* check_graph_linear.c — linear layers in parts, and dropout: the same layer as whole, the same gradient, drawn only when asked. */
#include <math.h>
#include <string.h>

#include "../../lib/graph/graph.h"
#include "net_fixture.h"

Suite *dmc_suite_graph_linear(void);

enum { T = 2, B = 3, LEFT = 5, RIGHT = 7, CO = 4, ALL = LEFT + RIGHT };

static dmc__device *device;

static void setup(void)
{
    device = fixture_device("ref64");
}

static void teardown(void)
{
    dmc__device_close(device);
}

/* A graph with two inputs and one output, run forward and backward. */
typedef struct rig {
    dmc__graph *g;
    dmc__val in[2], out;
    dmc__plan *plan;
    void *weights, *grads;
} rig;

static rig start_rig(void)
{
    rig r = {0};
    fixture_ok(dmc__graph_create(&dmc__default_allocator, &r.g));
    r.in[0] = dmc__graph_input(r.g, "left", T, LEFT);
    r.in[1] = dmc__graph_input(r.g, "right", T, RIGHT);
    return r;
}

static void run_rig(rig *r)
{
    dmc__graph_output(r->g, r->out);
    fixture_ok(dmc__plan_create(r->g, device, B, DMC__PLAN_TRAIN | DMC__PLAN_DINPUT, NULL, &r->plan));
    const size_t n = dmc__graph_param_elems(r->g);
    r->weights = fixture_weights(device, r->g, 1);
    r->grads = fixture_block(device, n);
    dmc__plan_bind(r->plan, r->weights, r->grads);
    for (int i = 0; i < 2; i++)
        fixture_fill(device, dmc__plan_value(r->plan, r->in[i]), fixture_val_size(r->g, r->in[i], B), 10 + (uint64_t)i, 1);
    fixture_ok(dmc__plan_forward(r->plan));
    fixture_fill(device, dmc__plan_grad(r->plan, r->out), fixture_val_size(r->g, r->out, B), 20, 1);
    fixture_ok(dmc__plan_backward(r->plan));
}

static void free_rig(rig *r)
{
    const size_t n = dmc__graph_param_elems(r->g);
    dmc__dev_free(device, r->weights, n);
    dmc__dev_free(device, r->grads, n);
    dmc__plan_destroy(r->plan);
    dmc__graph_destroy(r->g);
}

static void same_floats(const void *a, const void *b, size_t n)
{
    float *const x = fixture_read(device, a, n), *const y = fixture_read(device, b, n);
    for (size_t i = 0; i < n; i++) ck_assert_double_eq_tol(x[i], y[i], 1e-6);
    free(x);
    free(y);
}

static void same_rigs(const rig *a, const rig *b)
{
    ck_assert_uint_eq(dmc__graph_param_elems(a->g), dmc__graph_param_elems(b->g));
    ck_assert_double_eq(dmc__graph_flops(a->g), dmc__graph_flops(b->g));
    same_floats(dmc__plan_value(a->plan, a->out), dmc__plan_value(b->plan, b->out), fixture_val_size(a->g, a->out, B));
    same_floats(a->grads, b->grads, dmc__graph_param_elems(a->g));
    for (int i = 0; i < 2; i++)
        same_floats(dmc__plan_grad(a->plan, a->in[i]), dmc__plan_grad(b->plan, b->in[i]), fixture_val_size(a->g, a->in[i], B));
}

START_TEST(a_sum_of_parts_is_linear_of_joined_inputs)
{
    rig joined = start_rig(), sum = start_rig();
    joined.out = dmc__g_linear(joined.g, "lin", dmc__g_concat(joined.g, joined.in[0], joined.in[1], -1), CO, 1);
    sum.out = dmc__g_linear_sum(sum.g, "lin", 2, sum.in, CO, 1);
    run_rig(&joined);
    run_rig(&sum);
    same_rigs(&joined, &sum);
    ck_assert_int_eq(dmc__graph_param_count(sum.g), 2);
    free_rig(&sum);
    free_rig(&joined);
}
END_TEST

/* Columns 1..4 and 4..6 of one layer for the two inputs, against two sliced whole outputs. */
START_TEST(columns_of_a_layer)
{
    rig whole = start_rig(), parts = start_rig();
    dmc__val y[2];
    for (int k = 0; k < 2; k++) {
        rig *const r = k ? &parts : &whole;
        const dmc__val x[2] = {r->in[0], dmc__g_slice(r->g, r->in[1], 2, LEFT)};
        const dmc__glayer l = dmc__g_layer(r->g, "attn.in_proj_weight", "attn.in_proj_bias", LEFT, 6);
        for (int i = 0; i < 2; i++) {
            const int32_t from = i ? 4 : 1, count = i ? 2 : 3;
            y[i] = k ? dmc__g_linear_part(r->g, l, x[i], 0, from, count, 1)
                     : dmc__g_slice(r->g, dmc__g_linear_part(r->g, l, x[i], 0, 0, 6, 1), from, count);
        }
        r->out = dmc__g_concat(r->g, y[0], y[1], -1);
        run_rig(r);
    }
    ck_assert_int_ge(dmc__graph_find_param(parts.g, "attn.in_proj_weight"), 0);
    same_floats(dmc__plan_value(whole.plan, whole.out), dmc__plan_value(parts.plan, parts.out), B * T * 5);
    same_floats(whole.grads, parts.grads, dmc__graph_param_elems(whole.g));
    for (int i = 0; i < 2; i++)
        same_floats(dmc__plan_grad(whole.plan, whole.in[i]), dmc__plan_grad(parts.plan, parts.in[i]), B * T * (i ? RIGHT : LEFT));
    free_rig(&parts);
    free_rig(&whole);
}
END_TEST

static const struct refusal {
    int32_t row, col, co, bias;
    dmc_status status;
    const char *sentence;
} refusals[] = {
    {3, 0, 1, 0, DMC_ESHAPE, "lin.weight: inputs 3..7 of lin.weight (6,7), must be inside 0..6"},
    {-1, 0, 1, 0, DMC_ESHAPE, "inputs -1..3"},
    {0, 4, 3, 0, DMC_ESHAPE, "outputs 4..6 of lin.weight (6,7), must be inside 0..5"},
    {0, 0, 0, 0, DMC_ESHAPE, "outputs 0..-1"},
    {0, 0, 6, 1, DMC_EINVAL, "the layer has no such weight or bias"},
};

START_TEST(parts_outside_are_refused)
{
    const struct refusal *const f = &refusals[_i];
    rig r = start_rig();
    const dmc__glayer l = dmc__g_layer(r.g, "lin.weight", NULL, RIGHT, 6);
    ck_assert_int_eq(dmc__g_linear_part(r.g, l, r.in[0], f->row, f->col, f->co, f->bias), -1);
    ck_assert_int_eq(dmc__graph_status(r.g), f->status);
    ck_assert_msg(strstr(dmc_last_error(), f->sentence), "%s", dmc_last_error());
    dmc__graph_destroy(r.g);
}
END_TEST

/* (2,4) of 7 inputs flattened is more than there is. */
START_TEST(flattened_inputs_outside_are_refused)
{
    static const int32_t shapes[][2] = {{2, 4}, {0, 3}, {3, -1}, {65536, 65536}};
    rig r = start_rig();
    const dmc__glayer l = dmc__g_layer(r.g, "lin.weight", NULL, RIGHT, 6);
    dmc__g_layer_flattens(r.g, l, 2, 3);
    fixture_ok(dmc__graph_status(r.g));
    dmc__g_layer_flattens(r.g, l, shapes[_i][0], shapes[_i][1]);
    ck_assert_int_eq(dmc__graph_status(r.g), DMC_ESHAPE);
    ck_assert_msg(strstr(dmc_last_error(), "flattened, must be at most its 7 inputs"), "%s", dmc_last_error());
    dmc__graph_destroy(r.g);
}
END_TEST

/* ---- dropout ---------------------------------------------------------------------------------------- */

static rig dropout_rig(void)
{
    rig r = start_rig();
    r.out = dmc__g_dropout(r.g, dmc__g_concat(r.g, r.in[0], r.in[1], -1), 0.5);
    run_rig(&r);
    return r;
}

/* Elements of the output that differ from the input, which they never do by scaling with 2. */
static int count_changed(const rig *r, float *out)
{
    const size_t n = fixture_val_size(r->g, r->out, B);
    int changed = 0;
    float *const y = fixture_read(device, dmc__plan_value(r->plan, r->out), n);
    float *const left = fixture_read(device, dmc__plan_value(r->plan, r->in[0]), B * T * LEFT);
    for (size_t i = 0; i < n; i++) {
        changed += i % ALL < LEFT && y[i] != left[i / ALL * LEFT + i % ALL];
        out[i] = y[i];
    }
    free(left);
    free(y);
    return changed;
}

START_TEST(dropout_draws_only_when_asked)
{
    rig r = dropout_rig();
    float off[B * T * ALL], on[B * T * ALL], again[B * T * ALL], later[B * T * ALL];
    ck_assert_int_eq(count_changed(&r, off), 0);
    dmc__plan_set_dropout(r.plan, 1, 7, 3);
    fixture_ok(dmc__plan_forward(r.plan));
    ck_assert_int_eq(count_changed(&r, on), B * T * LEFT);
    for (int i = 0; i < B * T * ALL; i++) ck_assert(on[i] == 0 || fabsf(on[i] - 2 * off[i]) < 1e-6f);
    dmc__plan_set_dropout(r.plan, 1, 7, 4);
    fixture_ok(dmc__plan_forward(r.plan));
    count_changed(&r, later);
    ck_assert_int_ne(memcmp(on, later, sizeof on), 0);
    dmc__plan_set_dropout(r.plan, 1, 7, 3);
    fixture_ok(dmc__plan_forward(r.plan));
    count_changed(&r, again);
    ck_assert_int_eq(memcmp(on, again, sizeof on), 0);
    dmc__plan_set_dropout(r.plan, 0, 0, 0);
    fixture_ok(dmc__plan_forward(r.plan));
    ck_assert_int_eq(count_changed(&r, again), 0);
    free_rig(&r);
}
END_TEST

START_TEST(backward_drops_what_forward_dropped)
{
    rig r = dropout_rig();
    float on[B * T * ALL];
    dmc__plan_set_dropout(r.plan, 1, 7, 3);
    fixture_ok(dmc__plan_forward(r.plan));
    count_changed(&r, on);
    const float *const seed = fixture_read(device, dmc__plan_grad(r.plan, r.out), B * T * ALL);
    fixture_ok(dmc__plan_backward(r.plan));
    const float *const dx = fixture_read(device, dmc__plan_grad(r.plan, r.in[0]), B * T * LEFT);
    for (int i = 0; i < B * T * LEFT; i++) {
        const int j = i / LEFT * ALL + i % LEFT;
        ck_assert_double_eq_tol(dx[i], on[j] == 0 ? 0 : 2 * seed[j], 1e-6);
    }
    free((void *)(uintptr_t)dx);
    free((void *)(uintptr_t)seed);
    free_rig(&r);
}
END_TEST

Suite *dmc_suite_graph_linear(void)
{
    Suite *s = suite_create("graph_linear");
    TCase *t = tcase_create("graph_linear");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_sum_of_parts_is_linear_of_joined_inputs);
    tcase_add_test(t, columns_of_a_layer);
    tcase_add_loop_test(t, flattened_inputs_outside_are_refused, 0, 4);
    tcase_add_loop_test(t, parts_outside_are_refused, 0, sizeof refusals / sizeof *refusals);
    tcase_add_test(t, dropout_draws_only_when_asked);
    tcase_add_test(t, backward_drops_what_forward_dropped);
    suite_add_tcase(s, t);
    return s;
}
