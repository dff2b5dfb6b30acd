/* check_graph_attention.c — builder calls of transformers: what they refuse, what they append, and the gradients of a block of
 * them, in which several ops share one row of modulation, against central differences on ref64. */
#include "../../lib/graph/graph_steps.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void ok(dmc_status status)
{
    ck_assert_msg(status == DMC_OK, "status %d: %s", status, dmc_last_error());
}

/* ---- refusals --------------------------------------------------------------------------------------- */

static const struct broken {
    int32_t call;
    dmc_status status;
    const char *sentence;
} broken[] = {
    {0, DMC_ESHAPE, "net.attention: (4,8), columns must be queries, keys and values: a multiple of 3"},
    {1, DMC_ESHAPE, "net.attention: width 2 of 4 heads, must be a multiple"},
    {2, DMC_ESHAPE, "net.attention: width 2 of 0 heads, must be a multiple"},
    {3, DMC_ERANGE, "net.attention: shift = -2, must be at least -1"},
    {4, DMC_ERANGE, "net.attention: probability = 1, must be in [0, 1)"},
    {5, DMC_ESHAPE, "net.attention: (4,6) and (4,8), the second must have keys and values: 12 columns"},
    {6, DMC_ESHAPE, "net.adaln: columns 15..20 of (1,20), must be one row and inside 0..19"},
    {7, DMC_ESHAPE, "net.adaln: columns -1..4 of (1,20), must be one row and inside 0..19"},
    {8, DMC_ESHAPE, "net.adaln: columns 0..5 of (4,8), must be one row and inside 0..7"},
    {9, DMC_ERANGE, "net.adaln: eps = 0, must be above 0"},
    {10, DMC_ESHAPE, "net.gate: (4,6) and (4,8), must be the same"},
    {11, DMC_ESHAPE, "net.gate: columns 15..20 of (1,20), must be one row and inside 0..19"},
    {12, DMC_ESHAPE, "net.positions: (3,5), must have a row and an even number of columns, at least 4"},
    {13, DMC_EINVAL, "net.mean_rows: input 0 is value -1, must be 0..2"},
    {14, DMC_ESHAPE, "net.pos: table (4,0), both must be at least 1"},
    {15, DMC_EINVAL, "net.add_table: parameter 0 is no table"},
    {16, DMC_ESHAPE, "net.add_table: rows 1..4 of net.pos (4,6) to (4,6), must be inside and as wide"},
    {17, DMC_ESHAPE, "net.add_table: rows 0..3 of net.pos (4,6) to (4,8), must be inside and as wide"},
};
enum { BROKEN = sizeof broken / sizeof *broken };

/* x (4,6), y (4,8), m (1,20) */
static void make_error(dmc__graph *g, dmc__val x, dmc__val y, dmc__val m, int32_t call)
{
    switch (call) {
    case 0: dmc__g_self_attention(g, y, 1, 0, 0); break;
    case 1: dmc__g_self_attention(g, x, 4, 0, 0); break;
    case 2: dmc__g_self_attention(g, x, 0, 0, 0); break;
    case 3: dmc__g_self_attention(g, x, 1, -2, 0); break;
    case 4: dmc__g_self_attention(g, x, 1, 0, 1); break;
    case 5: dmc__g_cross_attention(g, x, y, 1, 0, 0); break;
    case 6: dmc__g_adaln(g, x, m, 15, 0, 1e-6); break;
    case 7: dmc__g_adaln(g, x, m, 0, -1, 1e-6); break;
    case 8: dmc__g_adaln(g, x, y, 0, 0, 1e-6); break;
    case 9: dmc__g_adaln(g, x, m, 0, 6, 0); break;
    case 10: dmc__g_gate(g, x, y, m, 0); break;
    case 11: dmc__g_gate(g, x, x, m, 15); break;
    case 12: dmc__g_positions(g, 3, 5, 0); break;
    case 13: dmc__g_mean_rows(g, -1); break;
    case 14: dmc__g_table(g, "pos", 4, 0, 1); break;
    case 15: dmc__g_add_table(g, 0, 0, dmc__g_linear(g, "lin", x, 6, 1)); break;
    case 16: dmc__g_add_table(g, dmc__g_table(g, "pos", 4, 6, 1), 1, x); break;
    default: dmc__g_add_table(g, dmc__g_table(g, "pos", 4, 6, 1), 0, y); break;
    }
}

START_TEST(errors_name_the_op)
{
    dmc__graph *g;
    ok(dmc__graph_create(&dmc__default_allocator, &g));
    const dmc__val x = dmc__graph_input(g, "x", 4, 6), y = dmc__graph_input(g, "y", 4, 8), m = dmc__graph_input(g, "m", 1, 20);
    dmc__graph_push(g, "net.");
    make_error(g, x, y, m, broken[_i].call);
    ck_assert_int_eq(dmc__graph_status(g), broken[_i].status);
    ck_assert_str_eq(dmc_last_error(), broken[_i].sentence);
    dmc__graph_destroy(g);
}
END_TEST

/* ---- a block ---------------------------------------------------------------------------------------- */

enum { T = 5, MEMORY = 3, C = 6, HEADS = 2, BATCH = 2 };
#define DROP 0.4

typedef struct block {
    dmc__graph *g;
    dmc__val x, m, memory, out;
    dmc__device *d;
    dmc__plan *plan;
    size_t elems;
    void *weights, *grads;
} block;

/* x + g1 SA(AdaLN(x)) twice over, cross attention, positions and a table, mean: every call, m (1,6C) read four times. */
static void build(block *b)
{
    dmc__graph *const g = b->g;
    b->x = dmc__graph_input(g, "x", T, C);
    b->m = dmc__graph_input(g, "m", 1, 6 * C);
    b->memory = dmc__graph_input(g, "memory", MEMORY, 2 * C);
    const dmc__parid table = dmc__g_table(g, "pos_emb", T + 2, C, 0.02);
    dmc__val x = dmc__g_add_table(g, table, 1, dmc__g_add(g, b->x, dmc__g_positions(g, T, C, 0)));
    const dmc__val qkv = dmc__g_linear(g, "in_proj", dmc__g_adaln(g, x, b->m, 0, C, 1e-6), 3 * C, 1);
    x = dmc__g_gate(g, x, dmc__g_self_attention(g, qkv, HEADS, 0, DROP), b->m, 2 * C);
    const dmc__val q = dmc__g_adaln(g, x, b->m, 3 * C, 4 * C, 1e-6);
    x = dmc__g_gate(g, x, dmc__g_cross_attention(g, q, b->memory, HEADS, 1, 0), b->m, 5 * C);
    b->out = dmc__g_mean_rows(g, x);
    dmc__graph_output(g, b->out);
    ok(dmc__graph_status(g));
}

/* n numbers from a fixed sequence: sin of squares. */
static void fill(const block *b, void *to, size_t n, uint32_t seed)
{
    float *const x = malloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = (float)sin((double)(i * i + 7 * i + seed));
    ok(dmc__dev_in(b->d, to, x, n));
    free(x);
}

static size_t size_of(const block *b, dmc__val v)
{
    return (size_t)BATCH * (size_t)dmc__graph_rows(b->g, v) * (size_t)dmc__graph_cols(b->g, v);
}

static block open_block(const char *device)
{
    block b = {0};
    ok(dmc__graph_create(&dmc__default_allocator, &b.g));
    build(&b);
    ok(dmc__device_open(&dmc__default_allocator, device, NULL, &b.d));
    ok(dmc__plan_create(b.g, b.d, BATCH, DMC__PLAN_TRAIN | DMC__PLAN_DINPUT, NULL, &b.plan));
    b.elems = dmc__graph_param_elems(b.g);
    ok(dmc__dev_alloc(b.d, b.elems, &b.weights));
    ok(dmc__dev_alloc(b.d, b.elems, &b.grads));
    fill(&b, b.weights, b.elems, 1);
    float *const zero = calloc(b.elems, sizeof *zero);
    ok(dmc__dev_in(b.d, b.grads, zero, b.elems));
    free(zero);
    dmc__plan_bind(b.plan, b.weights, b.grads);
    const dmc__val in[] = {b.x, b.m, b.memory};
    for (uint32_t i = 0; i < 3; i++) fill(&b, dmc__plan_value(b.plan, in[i]), size_of(&b, in[i]), 2 + i);
    return b;
}

static void close_block(block *b)
{
    dmc__dev_free(b->d, b->weights, b->elems);
    dmc__dev_free(b->d, b->grads, b->elems);
    dmc__plan_destroy(b->plan);
    dmc__device_close(b->d);
    dmc__graph_destroy(b->g);
}

START_TEST(a_block_has_the_parameters_and_the_cost_it_should)
{
    block b = open_block("ref");
    const dmc__param_spec *const p = dmc__graph_param(b.g, dmc__graph_find_param(b.g, "pos_emb"));
    ck_assert_int_eq(dmc__graph_param_count(b.g), 3);
    ck_assert(p->rank == 3 && p->shape[0] == 1 && p->shape[1] == T + 2 && p->shape[2] == C);
    ck_assert(p->init == DMC__INIT_NORMAL && p->scale == 0.02);
    ck_assert(dmc__graph_rows(b.g, b.out) == 1 && dmc__graph_cols(b.g, b.out) == C);
    /* in_proj, then two products over T T and over T MEMORY pairs */
    ck_assert_double_eq(dmc__graph_flops(b.g), 2 * T * C * 3 * C + 4 * T * T * C + 4 * T * MEMORY * C);
    close_block(&b);
}
END_TEST

/* ---- gradients -------------------------------------------------------------------------------------- */

static double loss(const block *b)
{
    ok(dmc__plan_forward(b->plan));
    const double *const y = dmc__plan_value(b->plan, b->out);
    double sum = 0;
    for (size_t i = 0; i < size_of(b, b->out); i++) sum += (float)sin((double)(i * i + 7 * i + 9)) * y[i];
    return sum;
}

static void compare(const block *b, double *x, const double *dx, size_t n, const char *what)
{
    const double h = 1e-5;
    for (size_t i = 0; i < n; i++) {
        const double at = x[i];
        x[i] = at + h;
        const double up = loss(b);
        x[i] = at - h;
        const double down = loss(b);
        x[i] = at;
        ck_assert_msg(fabs((up - down) / (2 * h) - dx[i]) <= 1e-7 * fmax(1, fabs(dx[i])), "%s[%zu]: %.12g, difference %.12g",
                      what, i, dx[i], (up - down) / (2 * h));
    }
}

static void check_gradients(const block *b)
{
    loss(b);
    fill(b, dmc__plan_grad(b->plan, b->out), size_of(b, b->out), 9);
    ok(dmc__plan_backward(b->plan));
    compare(b, dmc__plan_value(b->plan, b->x), dmc__plan_grad(b->plan, b->x), size_of(b, b->x), "x");
    compare(b, dmc__plan_value(b->plan, b->m), dmc__plan_grad(b->plan, b->m), size_of(b, b->m), "m");
    compare(b, dmc__plan_value(b->plan, b->memory), dmc__plan_grad(b->plan, b->memory), size_of(b, b->memory), "memory");
    for (dmc__parid i = 0; i < dmc__graph_param_count(b->g); i++) {
        const dmc__param_spec *const p = dmc__graph_param(b->g, i);
        compare(b, (double *)b->weights + p->offset, (double *)b->grads + p->offset, p->size, p->name);
    }
}

START_TEST(gradients_of_a_block)
{
    block b = open_block("ref64");
    check_gradients(&b);
    close_block(&b);
}
END_TEST

/* Backward drops what forward dropped. */
START_TEST(gradients_of_a_block_with_dropout)
{
    block b = open_block("ref64");
    const double still = loss(&b);
    dmc__plan_set_dropout(b.plan, 1, 5, 6);
    ck_assert_double_ne(loss(&b), still);
    check_gradients(&b);
    dmc__plan_set_dropout(b.plan, 0, 5, 6);
    ck_assert(loss(&b) == still);
    close_block(&b);
}
END_TEST

/* ---- where weights start ---------------------------------------------------------------------------- */

static void expect_start(const dmc__graph *g, const char *name, int32_t init, double scale)
{
    const dmc__param_spec *const p = dmc__graph_param(g, dmc__graph_find_param(g, name));
    ck_assert_msg(p->init == init && (init == DMC__INIT_ZERO || fabs(p->scale - scale) < 1e-15), "%s: %d %g", name, p->init,
                  p->scale);
}

START_TEST(linear_layers_start_together)
{
    dmc__graph *g;
    ok(dmc__graph_create(&dmc__default_allocator, &g));
    dmc__val x = dmc__g_linear(g, "before", dmc__graph_input(g, "x", 4, 6), 6, 1);
    const dmc__parid from = dmc__graph_param_count(g);
    x = dmc__g_layernorm(g, "norm", dmc__g_linear(g, "a", x, 12, 1), 1e-5);
    dmc__g_table(g, "table", 2, 2, 0.5);
    dmc__g_init_from(g, from, 0);
    const dmc__parid last = dmc__graph_param_count(g);
    dmc__g_linear(g, "b", x, 3, 1);
    dmc__g_init_from(g, last, 0.25);
    ok(dmc__graph_status(g));
    expect_start(g, "before.weight", DMC__INIT_UNIFORM, 1 / sqrt(6));
    expect_start(g, "before.bias", DMC__INIT_UNIFORM, 1 / sqrt(6));
    expect_start(g, "a.weight", DMC__INIT_UNIFORM, sqrt(6.0 / 18));
    expect_start(g, "a.bias", DMC__INIT_ZERO, 0);
    expect_start(g, "norm.weight", DMC__INIT_ONE, 1);
    expect_start(g, "table", DMC__INIT_NORMAL, 0.5);
    expect_start(g, "b.weight", DMC__INIT_NORMAL, 0.25);
    expect_start(g, "b.bias", DMC__INIT_ZERO, 0);
    dmc__graph_destroy(g);
}
END_TEST

Suite *dmc_suite_graph_attention(void)
{
    Suite *const s = suite_create("graph_attention");
    TCase *const t = tcase_create("graph_attention");
    tcase_add_loop_test(t, errors_name_the_op, 0, BROKEN);
    tcase_add_test(t, a_block_has_the_parameters_and_the_cost_it_should);
    tcase_add_test(t, linear_layers_start_together);
    tcase_add_test(t, gradients_of_a_block);
    tcase_add_test(t, gradients_of_a_block_with_dropout);
    suite_add_tcase(s, t);
    return s;
}
