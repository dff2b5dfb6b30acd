#include "../../lib/graph/graph_steps.h"
#include "failing_alloc.h"

#include <check.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { PORTS = 8, VALUES = 96 };

/* A graph with its inputs and outputs. */
typedef struct net {
    dmc__graph *g;
    dmc__val in[PORTS], out[PORTS];
    int32_t ins, outs;
} net;

/* A net on a device: plan, weights, gradients. */
typedef struct bench {
    const net *net;
    dmc__device *d;
    dmc__plan *plan;
    void *weights, *grads;
    size_t elems;
} bench;

static void ok(dmc_status status)
{
    ck_assert_msg(status == DMC_OK, "status %d: %s", status, dmc_last_error());
}

static dmc__device *open_device(const char *name)
{
    dmc__device *d;
    ok(dmc__device_open(&dmc__default_allocator, name, NULL, &d));
    return d;
}

/* splitmix64 */
static uint64_t draw(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static int32_t draw_below(uint64_t *state, int32_t n)
{
    return (int32_t)(draw(state) % (uint64_t)n);
}

static float draw_real(uint64_t *state)
{
    return (float)((double)(draw(state) >> 11) / 4503599627370496.0 - 1);
}

static void fill_random(dmc__device *d, void *to, size_t n, uint64_t seed)
{
    float *const x = malloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = draw_real(&seed);
    ok(dmc__dev_in(d, to, x, n));
    free(x);
}

static void fill_with(dmc__device *d, void *to, size_t n, float value)
{
    float *const x = malloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = value;
    ok(dmc__dev_in(d, to, x, n));
    free(x);
}

static size_t value_size(const bench *b, dmc__val v)
{
    const dmc__graph *const g = b->net->g;
    return (size_t)dmc__plan_batch(b->plan) * (size_t)dmc__graph_rows(g, v) * (size_t)dmc__graph_cols(g, v);
}

static bench open_bench(const net *n, dmc__device *d, int32_t batch, int32_t flags, const uint8_t *train)
{
    bench b = {.net = n, .d = d, .elems = dmc__graph_param_elems(n->g)};
    ok(dmc__plan_create(n->g, d, batch, flags, train, &b.plan));
    ok(dmc__dev_alloc(d, b.elems, &b.weights));
    ok(dmc__dev_alloc(d, b.elems, &b.grads));
    fill_random(d, b.weights, b.elems, 7);
    dmc__plan_bind(b.plan, b.weights, flags & DMC__PLAN_TRAIN ? b.grads : NULL);
    return b;
}

static void close_bench(bench *b)
{
    dmc__dev_free(b->d, b->weights, b->elems);
    dmc__dev_free(b->d, b->grads, b->elems);
    dmc__plan_destroy(b->plan);
}

static void fill_inputs(const bench *b, uint64_t seed)
{
    for (int32_t i = 0; i < b->net->ins; i++)
        fill_random(b->d, dmc__plan_value(b->plan, b->net->in[i]), value_size(b, b->net->in[i]), seed + (uint64_t)i);
}

static void fill_seeds(const bench *b, uint64_t seed)
{
    for (int32_t i = 0; i < b->net->outs; i++)
        fill_random(b->d, dmc__plan_grad(b->plan, b->net->out[i]), value_size(b, b->net->out[i]), seed + (uint64_t)i);
}

static void run_both(const bench *b)
{
    fill_with(b->d, b->grads, b->elems, 0);
    fill_inputs(b, 100);
    ok(dmc__plan_forward(b->plan));
    fill_seeds(b, 200);
    ok(dmc__plan_backward(b->plan));
}

static void assert_same_bits(const bench *a, const void *x, const void *y, size_t n, const char *what)
{
    ck_assert_msg(memcmp(x, y, n * a->d->backend->elem) == 0, "%s differ", what);
}

/* ---- a net with every kind of layer ------------------------------------------------------------------- */

/* Skips, concat, reshape, add(x,x), concat(x,x), an output that is read on, an unused input, a branch nobody reads. */
static net build_small(const dmc__allocator *a)
{
    net n = {.ins = 4, .outs = 2};
    if (dmc__graph_create(a, &n.g) < 0) return n;
    dmc__graph *const g = n.g;
    const dmc__val z = n.in[0] = dmc__graph_input(g, "z", 4, 3), t = n.in[1] = dmc__graph_input(g, "t", 1, 1);
    const dmc__val cond = n.in[2] = dmc__graph_input(g, "cond", 1, 5);
    n.in[3] = dmc__graph_input(g, "unused", 2, 2);
    dmc__val e = dmc__g_add(g, dmc__g_timestep(g, t, 6, 0, 0), dmc__g_linear(g, "map_cond", cond, 6, 0));
    e = dmc__g_act(g, DMC_OP_MISH, dmc__g_linear(g, "map_emb", e, 4, 1));
    dmc__graph_push(g, "down.%d.", 0);
    dmc__val x = dmc__g_groupnorm(g, "norm", dmc__g_conv1d(g, "conv", z, 4, 3, 1, 1), 2, 1e-2, 1);
    const dmc__val skip = x = dmc__g_add_time(g, x, dmc__g_linear(g, "emb", e, 4, 1));
    x = dmc__g_conv1d(g, "half", x, 5, 3, 2, 1);
    dmc__graph_pop(g);
    x = dmc__g_layernorm(g, "ln", dmc__g_act(g, DMC_OP_SILU, dmc__g_add(g, x, x)), 1e-2);
    x = dmc__g_concat(g, x, x, -1);
    x = dmc__g_concat(g, dmc__g_convt1d(g, "up", x, 3, 4, 2, 1), skip, z);
    x = dmc__g_linear(g, "mix", dmc__g_reshape(g, x, 1, 40), 12, 1);
    n.out[0] = dmc__g_reshape(g, dmc__g_act(g, DMC_OP_TANH, x), 4, 3);
    dmc__graph_output(g, n.out[0]);
    n.out[1] = dmc__g_act(g, DMC_OP_RELU, dmc__g_linear(g, "head", dmc__g_add(g, n.out[0], z), 2, 1));
    dmc__graph_output(g, n.out[1]);
    dmc__g_linear(g, "nobody", z, 3, 1);
    return n;
}

static net small_net(void)
{
    const net n = build_small(&dmc__default_allocator);
    ok(dmc__graph_status(n.g));
    return n;
}

/* ---- random nets -------------------------------------------------------------------------------------- */

/* Chains with skips: mostly the last value goes on, sometimes an older one. */
typedef struct random_net {
    net n;
    uint64_t rng;
    dmc__val value[VALUES];
    int32_t values;
} random_net;

static dmc__val pick(random_net *r)
{
    return r->value[draw_below(&r->rng, 10) < 7 ? r->values - 1 : draw_below(&r->rng, r->values)];
}

/* Any value with t rows (and c columns where c > 0), x itself among them. */
static dmc__val pick_like(random_net *r, int32_t t, int32_t c, dmc__val x)
{
    const int32_t first = draw_below(&r->rng, r->values);
    for (int32_t i = 0; i < r->values; i++) {
        const dmc__val v = r->value[(first + i) % r->values];
        if (dmc__graph_rows(r->n.g, v) == t && (c == 0 || dmc__graph_cols(r->n.g, v) == c)) return v;
    }
    return x;
}

/* Modulated or not, with a residual (perhaps x itself) or not. */
static dmc__val add_random_norm(random_net *r, const char *name, dmc__val x)
{
    dmc__graph *const g = r->n.g;
    const int32_t t = dmc__graph_rows(g, x), c = dmc__graph_cols(g, x), width = draw_below(&r->rng, 3) * c;
    dmc__graph_push(g, "%s.e.", name);
    const dmc__val e = width ? dmc__g_linear(g, "lin", pick_like(r, 1, 0, r->n.in[1]), width, 1) : -1;
    dmc__graph_pop(g);
    const dmc__val plus = draw_below(&r->rng, 2) ? pick_like(r, t, c, x) : -1;
    return dmc__g_groupnorm_block(g, name, dmc__g_norm(g, name, c), x, c % 2 ? 1 : 2, 0.1, draw_below(&r->rng, 2), e, plus);
}

static dmc__val add_random_op(random_net *r, const char *name)
{
    static const enum dmc_op act[] = {DMC_OP_MISH, DMC_OP_SILU, DMC_OP_TANH};
    dmc__graph *const g = r->n.g;
    const dmc__val x = pick(r);
    const int32_t t = dmc__graph_rows(g, x), c = dmc__graph_cols(g, x), co = 2 + draw_below(&r->rng, 9);
    if (t * c > 120) return dmc__g_linear(g, name, x, 2, 1);
    switch (draw_below(&r->rng, 12)) {
    case 0: return dmc__g_linear(g, name, x, co, draw_below(&r->rng, 2));
    case 1: return dmc__g_conv1d(g, name, x, co, 3, 1, 1);
    case 2: return dmc__g_conv1d(g, name, x, co, 3, 2, 1);
    case 3: return t > 8 ? x : dmc__g_convt1d(g, name, x, co, 4, 2, 1);
    case 4: return add_random_norm(r, name, x);
    case 5: return dmc__g_layernorm(g, name, x, 0.1);
    case 6: return dmc__g_act(g, act[draw_below(&r->rng, 3)], x);
    case 7: return dmc__g_add(g, x, pick_like(r, t, c, x));
    case 8: return dmc__g_add_time(g, x, dmc__g_linear(g, name, pick_like(r, 1, 0, r->n.in[1]), c, 1));
    case 9: return dmc__g_concat(g, x, pick_like(r, t, 0, x), draw_below(&r->rng, 2) ? -1 : pick_like(r, t, 0, x));
    case 10: return dmc__g_dropout(g, x, 0.5);
    default: return draw_below(&r->rng, 2) ? dmc__g_reshape(g, x, c, t) : dmc__g_reshape(g, x, 1, t * c);
    }
}

static void add_output(random_net *r, dmc__val v)
{
    const dmc__graph_value *const x = &r->n.g->value[r->n.g->value[v].base];
    if (x->is_output || r->n.outs == PORTS) return;
    dmc__graph_output(r->n.g, v);
    r->n.out[r->n.outs++] = v;
}

static net random_graph(int32_t number)
{
    random_net r = {.n = {.ins = 2}, .rng = (uint64_t)number};
    char name[16];
    ok(dmc__graph_create(&dmc__default_allocator, &r.n.g));
    r.value[0] = r.n.in[0] = dmc__graph_input(r.n.g, "x", 4 + draw_below(&r.rng, 5), 1 + draw_below(&r.rng, 6));
    r.value[1] = r.n.in[1] = dmc__graph_input(r.n.g, "e", 1, 5);
    r.values = 2;
    const int32_t ops = 5 + draw_below(&r.rng, 40);
    for (int32_t i = 0; i < ops; i++) {
        snprintf(name, sizeof name, "layer%d", i);
        r.value[r.values++] = add_random_op(&r, name);
        if (draw_below(&r.rng, 10) == 0) add_output(&r, r.value[r.values - 1]);
    }
    add_output(&r, r.value[r.values - 1]);
    ok(dmc__graph_status(r.n.g));
    return r.n;
}

/* ---- shapes and names ---------------------------------------------------------------------------------- */

static dmc__graph *empty_graph(void)
{
    dmc__graph *g;
    ok(dmc__graph_create(&dmc__default_allocator, &g));
    return g;
}

static const struct broken {
    int32_t call;
    dmc_status status;
    const char *sentence;
} broken[] = {
    {0, DMC_ESHAPE, "net.0.lin: linear of (8,6) to (8,0), must have a column"},
    {1, DMC_ESHAPE, "net.0.conv: conv1d of (8,6), k = 9, stride = 1, pad = 0, to (0,4), must be 1..2147483647 rows"},
    {2, DMC_ESHAPE, "net.0.conv: conv1d of (8,6) to 4 channels, k = 3, stride = 1, pad = 3, must be at least 1 and pad 0..k-1"},
    {3, DMC_ESHAPE, "net.0.up: convt1d of (1,6), k = 3, stride = 1, pad = 2, to (-1,4), must be 1..2147483647 rows"},
    {4, DMC_ESHAPE, "net.0.gn: groupnorm of (8,6) in 4 groups, must divide 6"},
    {5, DMC_ERANGE, "net.0.gn: groupnorm of (8,6) with eps = 0, act = 1, must be above 0, and 0..2"},
    {6, DMC_ERANGE, "net.0.ln: layernorm of (8,6) with eps = nan, must be above 0"},
    {7, DMC_ESHAPE, "net.0.add: (8,6) and (1,6), must be the same"},
    {8, DMC_ESHAPE, "net.0.add_time: (8,6) and (8,6), the second must be (1,6)"},
    {9, DMC_ESHAPE, "net.0.concat: (8,6) and (1,6), must have the same rows"},
    {10, DMC_ESHAPE, "net.0.timestep: (1,6) to (1,8), must be (1,1) to an even number of columns, at least 2"},
    {11, DMC_ESHAPE, "net.0.reshape: (8,6) to (7,7), must have as many elements"},
    {12, DMC_EINVAL, "net.0.activation: op = 0, must be mish, silu, relu, tanh, gelu or gelu_tanh"},
    {13, DMC_EINVAL, "net.0.lin: input 0 is value -1, must be 0..1"},
    {14, DMC_EINVAL, "net.0.add: input 1 is value 9, must be 0..1"},
    {15, DMC_EINVAL, "net.0.lin.weight: there is already a parameter of this name"},
    {16, DMC_EOVERFLOW, "net.0.lin.weight: more than 2147483647 elements"},
    {17, DMC_ESHAPE, "net.0.lin: shape (8,2147483647), both must be at least 1 and their product at most 2147483647"},
    {18, DMC_ESHAPE, "y: shape (0,3), both must be at least 1 and their product at most 2147483647"},
    {19, DMC_EINVAL, "dmc__graph_output: value = 2, must be 0..1"},
    {20, DMC_EINVAL, "dmc__graph_output: value = 2, (8,6), is already an output"},
    {21, DMC_EINVAL, "net.0.gn: initial scale 0, needs a linear or convolution layer and a scale from 0 on"},
    {22, DMC_EINVAL, "dmc__g_init: initial scale 2, needs a linear or convolution layer and a scale from 0 on"},
    {23, DMC_ESHAPE, "net.0.gn: groupnorm of (8,6) modulated by (8,6), must be (1,6) or (1,12)"},
    {24, DMC_ESHAPE, "net.0.gn: groupnorm of (8,6) plus (1,6), must be the same"},
    {25, DMC_ESTATE, "dmc__graph_pop: no prefix was pushed"},
};
enum { BROKEN = sizeof broken / sizeof *broken };

static void make_error(dmc__graph *g, dmc__val x, dmc__val e, int32_t call)
{
    switch (call) {
    case 0: dmc__g_linear(g, "lin", x, 0, 1); break;
    case 1: dmc__g_conv1d(g, "conv", x, 4, 9, 1, 0); break;
    case 2: dmc__g_conv1d(g, "conv", x, 4, 3, 1, 3); break;
    case 3: dmc__g_convt1d(g, "up", e, 4, 3, 1, 2); break;
    case 4: dmc__g_groupnorm(g, "gn", x, 4, 1e-5, 1); break;
    case 5: dmc__g_groupnorm(g, "gn", x, 3, 0, 1); break;
    case 6: dmc__g_layernorm(g, "ln", x, (double)NAN); break;
    case 7: dmc__g_add(g, x, e); break;
    case 8: dmc__g_add_time(g, x, x); break;
    case 9: dmc__g_concat(g, x, e, -1); break;
    case 10: dmc__g_timestep(g, e, 8, 0, 0); break;
    case 11: dmc__g_reshape(g, x, 7, 7); break;
    case 12: dmc__g_act(g, DMC_OP_LINEAR, x); break;
    case 13: dmc__g_linear(g, "lin", -1, 3, 1); break;
    case 14: dmc__g_add(g, x, 9); break;
    case 15: dmc__g_linear(g, "lin", dmc__g_linear(g, "lin", x, 6, 1), 6, 1); break;
    case 16: dmc__g_linear(g, "lin", x, INT32_MAX, 1); break;
    case 17: dmc__g_linear(g, "lin", dmc__g_reshape(g, dmc__g_linear(g, "one", x, 1, 1), 8, 1), INT32_MAX, 0); break;
    case 18: dmc__graph_input(g, "y", 0, 3); break;
    case 19: dmc__graph_output(g, 2); break;
    case 20: dmc__graph_output(g, x); dmc__graph_output(g, dmc__g_reshape(g, x, 6, 8)); break;
    case 21: dmc__g_groupnorm(g, "gn", x, 3, 1e-5, 0); dmc__g_init(g, DMC__INIT_ZERO, 0); break;
    case 22: dmc__g_init(g, DMC__INIT_NORMAL, 2); break;
    case 23: dmc__g_groupnorm_block(g, "gn", dmc__g_norm(g, "gn", 6), x, 3, 1e-5, 1, x, -1); break;
    case 24: dmc__g_groupnorm_block(g, "gn", dmc__g_norm(g, "gn", 6), x, 3, 1e-5, 1, e, e); break;
    default: dmc__graph_pop(g); dmc__graph_pop(g); break;
    }
}

START_TEST(shape_errors_name_the_layer)
{
    const struct broken *const b = &broken[_i];
    dmc__graph *const g = empty_graph();
    const dmc__val x = dmc__graph_input(g, "x", 8, 6), e = dmc__graph_input(g, "e", 1, 6);
    dmc__graph_push(g, "net.%d.", 0);
    make_error(g, x, e, b->call);
    ck_assert_int_eq(g->status, b->status);
    ck_assert_str_eq(dmc_last_error(), b->sentence);
    dmc__graph_destroy(g);
}
END_TEST

START_TEST(first_error_sticks)
{
    dmc__graph *const g = empty_graph();
    const dmc__val x = dmc__graph_input(g, "x", 8, 6);
    ck_assert_int_eq(dmc__g_linear(g, "a", x, 0, 1), -1);
    ck_assert_int_eq(dmc__g_linear(g, "b", x, -1, 1), -1);
    ck_assert_int_eq(dmc__g_linear(g, "c", x, 5, 1), -1);
    dmc__graph_output(g, -1);
    dmc__graph_push(g, "x.");
    dmc__graph_pop(g);
    dmc__graph_pop(g);
    dmc__fail(DMC_EIO, "something else");
    ck_assert_int_eq(dmc__graph_status(g), DMC_ESHAPE);
    ck_assert_str_eq(dmc_last_error(), "a: linear of (8,6) to (8,0), must have a column");
    ck_assert_int_eq(dmc__graph_rows(g, -1), 0);
    ck_assert_int_eq(dmc__graph_param_count(g), 0);
    dmc__device *const d = open_device("ref");
    dmc__plan *p = (dmc__plan *)&p;
    ck_assert_int_eq(dmc__plan_create(g, d, 1, 0, NULL, &p), DMC_ESHAPE);
    ck_assert_ptr_null(p);
    dmc__device_close(d);
    dmc__graph_destroy(g);
}
END_TEST

START_TEST(names_have_bounds)
{
    for (int32_t what = 0; what < 4; what++) {
        dmc__graph *const g = empty_graph();
        const dmc__val x = dmc__graph_input(g, "x", 2, 2);
        if (what == 0) for (int32_t i = 0; i < 100; i++) dmc__graph_push(g, "a");
        if (what == 1) dmc__graph_push(g, "%0100d.", 1);
        char name[128] = {0};
        memset(name, 'n', what == 2 ? 96 : 90);
        if (what >= 2) dmc__g_linear(g, name, what == 2 ? -1 : x, 2, 1);
        ck_assert_int_eq(dmc__graph_status(g), DMC_EINVAL);
        ck_assert_ptr_nonnull(strstr(dmc_last_error(), what == 0 ? "deep" : "longer than 95 characters"));
        dmc__graph_destroy(g);
    }
}
END_TEST

static void assert_param(const dmc__graph *g, dmc__parid i, const char *name, const int32_t shape[3], int32_t layout,
                         double scale)
{
    const dmc__param_spec *const p = dmc__graph_param(g, i);
    size_t size = 1;
    ck_assert_str_eq(p->name, name);
    ck_assert_int_eq(p->layout, layout);
    for (int32_t k = 0; k < p->rank; k++) {
        ck_assert_int_eq(p->shape[k], shape[k]);
        size *= (size_t)shape[k];
    }
    ck_assert(p->rank == 3 || shape[p->rank] == 0);
    ck_assert_uint_eq(p->size, size);
    ck_assert_uint_eq(p->offset % 16, 0);
    ck_assert_double_eq_tol(p->scale, scale, 1e-15);
    ck_assert_int_eq(dmc__graph_find_param(g, name), i);
}

START_TEST(parameters_are_pytorchs)
{
    dmc__graph *const g = empty_graph();
    const dmc__val x = dmc__graph_input(g, "x", 8, 6);
    dmc__g_linear(g, "lin", x, 5, 1);
    dmc__graph_push(g, "up.");
    dmc__graph_push(g, "%d.", 3);
    dmc__g_conv1d(g, "conv", x, 7, 3, 1, 1);
    dmc__graph_pop(g);
    dmc__g_convt1d(g, "convt", x, 7, 4, 2, 1);
    dmc__g_init(g, DMC__INIT_NORMAL, 0.5);
    dmc__graph_pop(g);
    dmc__g_groupnorm(g, "gn", x, 3, 1e-5, 1);
    dmc__g_linear(g, "free", x, 2, 0);
    dmc__g_init(g, DMC__INIT_ZERO, 0);
    ok(dmc__graph_status(g));
    assert_param(g, 0, "lin.weight", (int32_t[]){5, 6, 0}, DMC__LAYOUT_LINEAR, 1 / sqrt(6));
    assert_param(g, 1, "lin.bias", (int32_t[]){5, 0, 0}, DMC__LAYOUT_PLAIN, 1 / sqrt(6));
    assert_param(g, 2, "up.3.conv.weight", (int32_t[]){7, 6, 3}, DMC__LAYOUT_CONV, 1 / sqrt(18));
    assert_param(g, 3, "up.3.conv.bias", (int32_t[]){7, 0, 0}, DMC__LAYOUT_PLAIN, 1 / sqrt(18));
    assert_param(g, 4, "up.convt.weight", (int32_t[]){6, 7, 4}, DMC__LAYOUT_CONVT, 0.5);
    assert_param(g, 5, "up.convt.bias", (int32_t[]){7, 0, 0}, DMC__LAYOUT_PLAIN, 1 / sqrt(28));
    assert_param(g, 6, "gn.weight", (int32_t[]){6, 0, 0}, DMC__LAYOUT_PLAIN, 1);
    assert_param(g, 7, "gn.bias", (int32_t[]){6, 0, 0}, DMC__LAYOUT_PLAIN, 0);
    assert_param(g, 8, "free.weight", (int32_t[]){2, 6, 0}, DMC__LAYOUT_LINEAR, 0);
    const int32_t init[] = {2, 2, 2, 2, DMC__INIT_NORMAL, DMC__INIT_ZERO, DMC__INIT_ONE, DMC__INIT_ZERO, DMC__INIT_ZERO};
    for (int32_t i = 0; i < 9; i++) ck_assert_int_eq(dmc__graph_param(g, i)->init, init[i]);
    ck_assert_int_eq(dmc__graph_param_count(g), 9);
    ck_assert_uint_eq(dmc__graph_param_total(g), 30 + 5 + 126 + 7 + 168 + 7 + 6 + 6 + 12);
    ck_assert_uint_eq(dmc__graph_param_elems(g), 32 + 16 + 128 + 16 + 176 + 16 + 16 + 16 + 16);
    ck_assert_int_eq(dmc__graph_find_param(g, "lin"), -1);
    ck_assert_ptr_null(dmc__graph_param(g, 9));
    dmc__graph_destroy(g);
}
END_TEST

/* Multiply-adds of a convolution that meet a row of the input, counted one by one. */
static int32_t count_taps(int32_t t, int32_t to, int32_t k, int32_t stride, int32_t pad, int32_t transposed)
{
    int32_t n = 0;
    for (int32_t u = 0; u < (transposed ? t : to); u++)
        for (int32_t j = 0; j < k; j++) {
            const int32_t v = u * stride - pad + j;
            n += v >= 0 && v < (transposed ? to : t);
        }
    return n;
}

START_TEST(flops_leave_out_padding)
{
    int32_t cases = 0;
    for (int32_t i = 0; i < 2 * 6 * 6 * 4 * 6; i++) {
        const int32_t transposed = i % 2, t = 1 + i / 2 % 6, k = 1 + i / 12 % 6, stride = 1 + i / 72 % 4, pad = i / 288;
        if (pad >= k) continue;
        dmc__graph *const g = empty_graph();
        const dmc__val x = dmc__graph_input(g, "x", t, 2);
        const dmc__val y = (transposed ? dmc__g_convt1d : dmc__g_conv1d)(g, "c", x, 3, k, stride, pad);
        if (y >= 0) {
            const int32_t taps = count_taps(t, dmc__graph_rows(g, y), k, stride, pad, transposed);
            ck_assert_double_eq(dmc__graph_flops(g), 2 * 2 * 3 * taps);
            cases++;
        }
        dmc__graph_destroy(g);
    }
    ck_assert_int_gt(cases, 500);
    dmc__graph *const g = empty_graph();
    dmc__g_linear(g, "l", dmc__graph_input(g, "x", 4, 3), 5, 1);
    dmc__g_act(g, DMC_OP_MISH, 1);
    ck_assert_double_eq(dmc__graph_flops(g), 2 * 4 * 3 * 5);
    dmc__graph_destroy(g);
}
END_TEST

/* ---- memory --------------------------------------------------------------------------------------------- */

START_TEST(pieces_alive_together_never_overlap)
{
    enum { N = 80 };
    uint64_t rng = 5;
    for (int32_t round = 0; round < 200; round++) {
        dmc__piece p[N] = {0};
        size_t total, sum = 0, most = 0;
        for (int32_t i = 0; i < N; i++) {
            p[i].bytes = 64 * (size_t)draw_below(&rng, 20);
            p[i].first = draw_below(&rng, 40) - 1;
            p[i].last = p[i].first + draw_below(&rng, 8);
            sum += p[i].bytes;
        }
        ok(dmc__place_pieces(&dmc__default_allocator, p, N, &total));
        for (int32_t i = 0; i < N; i++) {
            ck_assert_uint_le(p[i].at + p[i].bytes, total);
            if (p[i].bytes && p[i].at + p[i].bytes > most) most = p[i].at + p[i].bytes;
            for (int32_t j = 0; j < i; j++)
                ck_assert(p[i].last < p[j].first || p[j].last < p[i].first || p[i].at + p[i].bytes <= p[j].at ||
                          p[j].at + p[j].bytes <= p[i].at);
        }
        ck_assert_uint_eq(total, most);
        ck_assert_uint_lt(total, sum / 2);
    }
    dmc__piece huge[2] = {{.bytes = SIZE_MAX & ~(size_t)63}, {.bytes = 64}};
    size_t total;
    ck_assert_int_eq(dmc__place_pieces(&dmc__default_allocator, huge, 2, &total), DMC_EOVERFLOW);
}
END_TEST

START_TEST(smallest_gap_is_taken)
{
    dmc__piece p[] = {{.bytes = 640, .first = 0, .last = 9}, {.bytes = 576, .first = 0, .last = 0},
                      {.bytes = 512, .first = 0, .last = 9}, {.bytes = 192, .first = 0, .last = 0},
                      {.bytes = 128, .first = 0, .last = 9}, {.bytes = 64, .first = 5, .last = 5}};
    size_t total;
    ok(dmc__place_pieces(&dmc__default_allocator, p, 6, &total));
    ck_assert_uint_eq(total, 640 + 576 + 512 + 192 + 128);
    ck_assert_uint_eq(p[5].at, 640 + 576 + 512); /* not the larger gap before it */
    dmc__piece q[] = {{.bytes = 640, .first = 0, .last = 9}, {.bytes = 256, .first = 0, .last = 0},
                      {.bytes = 192, .first = 0, .last = 9}, {.bytes = 128, .first = 0, .last = 0},
                      {.bytes = 128, .first = 0, .last = 0}, {.bytes = 128, .first = 0, .last = 0},
                      {.bytes = 64, .first = 0, .last = 9},  {.bytes = 64, .first = 5, .last = 5}};
    ok(dmc__place_pieces(&dmc__default_allocator, q, 8, &total));
    ck_assert_uint_eq(q[7].at, 640); /* not the larger gap behind it */
}
END_TEST

/* A block full of NaN shows whether anything is read before it was written, and a value written over another's. */
static void assert_infer_is_train(const net *n, dmc__device *d, int32_t batch)
{
    bench train = open_bench(n, d, batch, DMC__PLAN_TRAIN, NULL), infer = open_bench(n, d, batch, DMC__PLAN_INFER, NULL);
    memset(infer.plan->block, 0xff, infer.plan->bytes);
    fill_inputs(&train, 100);
    fill_inputs(&infer, 100);
    ok(dmc__plan_forward(train.plan));
    for (int32_t again = 0; again < 2; again++) { /* the second time with what the first left behind */
        ok(dmc__plan_forward(infer.plan));
        for (int32_t i = 0; i < n->ins; i++)
            assert_same_bits(&train, dmc__plan_value(train.plan, n->in[i]), dmc__plan_value(infer.plan, n->in[i]),
                             value_size(&train, n->in[i]), "inputs");
        for (int32_t i = 0; i < n->outs; i++)
            assert_same_bits(&train, dmc__plan_value(train.plan, n->out[i]), dmc__plan_value(infer.plan, n->out[i]),
                             value_size(&train, n->out[i]), "outputs");
    }
    ck_assert_uint_lt(dmc__plan_bytes(infer.plan), dmc__plan_bytes(train.plan));
    close_bench(&infer);
    close_bench(&train);
}

static const char *const float_devices[] = {"ref", "cpu"};

START_TEST(inference_equals_training)
{
    const net n = small_net();
    dmc__device *const d = open_device(float_devices[_i]);
    for (int32_t batch = 1; batch < 6; batch++) assert_infer_is_train(&n, d, batch);
    dmc__device_close(d);
    dmc__graph_destroy(n.g);
}
END_TEST

START_TEST(random_graphs_share_memory)
{
    dmc__device *const d = open_device("cpu");
    for (int32_t i = 0; i < 200; i++) {
        const net n = random_graph(i);
        assert_infer_is_train(&n, d, 1 + i % 3);
        dmc__graph_destroy(n.g);
    }
    dmc__device_close(d);
}
END_TEST

/* A chain needs its two ends, and two pieces that take turns, of values and of gradients alike; the tape is kept; a reshaping
 * needs nothing. */
START_TEST(bytes_of_a_chain)
{
    dmc__graph *const g = empty_graph();
    dmc__val x = dmc__graph_input(g, "x", 4, 4); /* 64 bytes */
    for (int32_t i = 0; i < 10; i++) x = dmc__g_reshape(g, dmc__g_act(g, DMC_OP_TANH, x), 2, 8);
    dmc__graph_output(g, x);
    dmc__device *const d = open_device("ref");
    const struct {
        int32_t flags, pieces;
    } cases[] = {{DMC__PLAN_INFER, 4}, {DMC__PLAN_TRAIN, 11 + 1}, {DMC__PLAN_DINPUT, 11 + 4}};
    for (int32_t i = 0; i < 3; i++) {
        dmc__plan *p;
        ok(dmc__plan_create(g, d, 3, cases[i].flags, NULL, &p));
        ck_assert_uint_eq(p->bytes, 3 * 64 * (size_t)cases[i].pieces);
        dmc__plan_destroy(p);
    }
    dmc__device_close(d);
    dmc__graph_destroy(g);
}
END_TEST

static size_t bytes_taken;

static dmc_status count_alloc(void *state, const dmc__allocator *a, size_t bytes, void **p)
{
    bytes_taken += bytes;
    return dmc__backend_cpu.alloc(state, a, bytes, p);
}

START_TEST(plan_bytes_are_what_is_taken)
{
    const net n = small_net();
    dmc__device *const d = open_device("cpu");
    dmc__backend counting = dmc__backend_cpu;
    counting.alloc = count_alloc;
    d->backend = &counting;
    const int32_t flags[] = {DMC__PLAN_INFER, DMC__PLAN_TRAIN, DMC__PLAN_DINPUT};
    for (int32_t i = 0; i < 3; i++) {
        dmc__plan *p;
        bytes_taken = 0;
        ok(dmc__plan_create(n.g, d, 3, flags[i], NULL, &p));
        ck_assert_uint_gt(bytes_taken, 0);
        ck_assert_uint_eq(p->bytes, bytes_taken);
        dmc__plan_destroy(p);
    }
    dmc__device_close(d);
    dmc__graph_destroy(n.g);
}
END_TEST

/* ---- gradients ------------------------------------------------------------------------------------------- */

/* sum over outputs of seed . output, in double */
static double loss(const bench *b)
{
    double sum = 0;
    ok(dmc__plan_forward(b->plan));
    for (int32_t i = 0; i < b->net->outs; i++) {
        const double *const y = dmc__plan_value(b->plan, b->net->out[i]);
        uint64_t rng = 200 + (uint64_t)i;
        for (size_t k = 0; k < value_size(b, b->net->out[i]); k++) sum += (double)draw_real(&rng) * y[k];
    }
    return sum;
}

/* The largest error of n gradients against central differences. */
static double worst_error(const bench *b, double *x, const double *dx, size_t n)
{
    const double h = 1e-5;
    double worst = 0;
    for (size_t i = 0; i < n; i++) {
        const double at = x[i];
        x[i] = at + h;
        const double up = loss(b);
        x[i] = at - h;
        const double down = loss(b);
        x[i] = at;
        const double error = fabs((up - down) / (2 * h) - dx[i]) / fmax(1, fabs(dx[i]));
        if (!(error <= worst)) worst = error;
    }
    return worst;
}

START_TEST(gradients_of_everything)
{
    const net n = small_net();
    dmc__device *const d = open_device("ref64");
    bench b = open_bench(&n, d, 2, DMC__PLAN_TRAIN | DMC__PLAN_DINPUT, NULL);
    run_both(&b);
    for (dmc__parid i = 0; i < dmc__graph_param_count(n.g); i++) {
        const dmc__param_spec *const p = dmc__graph_param(n.g, i);
        const double error = worst_error(&b, (double *)b.weights + p->offset, (const double *)b.grads + p->offset, p->size);
        ck_assert_msg(error <= 1e-6, "%s: error %g", p->name, error);
    }
    for (int32_t i = 0; i < n.ins; i++) {
        if (i == 1) continue; /* the time goes into TIMESTEP alone, which has no gradient */
        const double error = worst_error(&b, dmc__plan_value(b.plan, n.in[i]), dmc__plan_grad(b.plan, n.in[i]),
                                         value_size(&b, n.in[i]));
        ck_assert_msg(error <= 1e-6, "input %d: error %g", i, error);
    }
    close_bench(&b);
    dmc__device_close(d);
    dmc__graph_destroy(n.g);
}
END_TEST

/* x += s v, v drawn */
static void move(double *x, size_t n, double s, uint64_t seed)
{
    for (size_t i = 0; i < n; i++) x[i] += s * (double)draw_real(&seed);
}

static void move_all(const bench *b, double s)
{
    move(b->weights, b->elems, s, 31);
    for (int32_t i = 0; i < b->net->ins; i++)
        move(dmc__plan_value(b->plan, b->net->in[i]), value_size(b, b->net->in[i]), s, 32 + (uint64_t)i);
}

/* sum dx v, and sum |dx v| */
static double along(const double *dx, size_t n, uint64_t seed, double *size)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        const double term = dx[i] * (double)draw_real(&seed);
        sum += term;
        *size += fabs(term);
    }
    return sum;
}

/* One direction through all weights and inputs at once: any contribution that is lost or doubled shows. */
static void assert_direction(const bench *b)
{
    const double h = 1e-6;
    double size = 1e-3, slope = along(b->grads, b->elems, 31, &size);
    for (int32_t i = 0; i < b->net->ins; i++)
        slope += along(dmc__plan_grad(b->plan, b->net->in[i]), value_size(b, b->net->in[i]), 32 + (uint64_t)i, &size);
    move_all(b, h);
    const double up = loss(b);
    move_all(b, -2 * h);
    const double difference = (up - loss(b)) / (2 * h);
    move_all(b, h);
    ck_assert_msg(fabs(difference - slope) <= 1e-6 * size, "slope %.12g, difference %.12g, size %g", slope, difference, size);
}

START_TEST(gradients_of_random_graphs)
{
    dmc__device *const d = open_device("ref64");
    for (int32_t i = 0; i < 200; i++) {
        const net n = random_graph(i);
        bench b = open_bench(&n, d, 1 + i % 2, DMC__PLAN_TRAIN | DMC__PLAN_DINPUT, NULL);
        run_both(&b);
        assert_direction(&b);
        close_bench(&b);
        dmc__graph_destroy(n.g);
    }
    dmc__device_close(d);
}
END_TEST

static void assert_same_gradients(const bench *a, const bench *b)
{
    for (int32_t i = 0; i < a->net->ins; i++)
        assert_same_bits(a, dmc__plan_grad(a->plan, a->net->in[i]), dmc__plan_grad(b->plan, a->net->in[i]),
                         value_size(a, a->net->in[i]), "input gradients");
}

/* What an earlier pass left in the gradients must not matter, except in the weights', which are added to. */
START_TEST(nothing_is_left_over)
{
    dmc__device *const d = open_device("cpu");
    for (int32_t i = 0; i < 50; i++) {
        const net n = random_graph(i);
        const int32_t flags = DMC__PLAN_TRAIN | DMC__PLAN_DINPUT;
        bench once = open_bench(&n, d, 2, flags, NULL), twice = open_bench(&n, d, 2, flags, NULL);
        memset(twice.plan->block, 0xff, twice.plan->bytes);
        for (int32_t k = 0; k < n.ins; k++) /* zero from the start, and nobody writes an unused input's */
            fill_with(d, dmc__plan_grad(twice.plan, n.in[k]), value_size(&twice, n.in[k]), 0);
        run_both(&once);
        run_both(&twice);
        run_both(&twice);
        assert_same_gradients(&once, &twice);
        assert_same_bits(&once, once.grads, twice.grads, once.elems, "weight gradients");
        close_bench(&once);
        close_bench(&twice);
        dmc__graph_destroy(n.g);
    }
    dmc__device_close(d);
}
END_TEST

START_TEST(weight_gradients_are_added_to)
{
    const net n = small_net();
    dmc__device *const d = open_device("ref64");
    bench b = open_bench(&n, d, 2, DMC__PLAN_TRAIN, NULL);
    double *const first = malloc(b.elems * sizeof *first);
    const double *const grads = b.grads;
    run_both(&b);
    memcpy(first, grads, b.elems * sizeof *first);
    fill_seeds(&b, 200);
    ok(dmc__plan_backward(b.plan));
    for (size_t i = 0; i < b.elems; i++) ck_assert_double_eq_tol(grads[i], 2 * first[i], 1e-12 * fmax(1, fabs(first[i])));
    free(first);
    close_bench(&b);
    dmc__device_close(d);
    dmc__graph_destroy(n.g);
}
END_TEST

START_TEST(frozen_parameters_are_not_touched)
{
    const net n = small_net();
    dmc__device *const d = open_device("cpu");
    const int32_t count = dmc__graph_param_count(n.g);
    uint8_t train[64];
    uint64_t rng = 3;
    bench all = open_bench(&n, d, 3, DMC__PLAN_TRAIN | DMC__PLAN_DINPUT, NULL);
    run_both(&all);
    for (int32_t round = 0; round < 20; round++) {
        for (int32_t i = 0; i < count; i++) train[i] = round > 0 && draw_below(&rng, 2) ? 1 : 0;
        bench some = open_bench(&n, d, 3, DMC__PLAN_TRAIN | (round % 2 ? DMC__PLAN_DINPUT : 0), train);
        run_both(&some);
        ck_assert(round > 0 || some.plan->backward_steps == 0);
        fill_with(d, some.grads, some.elems, 0);
        for (int32_t i = 0; i < count; i++) /* 7 shows a write, of the same value too */
            if (!train[i]) fill_with(d, (float *)some.grads + n.g->param[i].offset, n.g->param[i].size, 7);
        fill_seeds(&some, 200);
        ok(dmc__plan_backward(some.plan));
        for (int32_t i = 0; i < count; i++) {
            const dmc__param_spec *const p = &n.g->param[i];
            const float *const got = (const float *)some.grads + p->offset, *const full = (const float *)all.grads + p->offset;
            for (size_t k = 0; k < p->size; k++) ck_assert_float_eq(got[k], train[i] ? full[k] : 7);
        }
        if (round % 2) assert_same_gradients(&all, &some);
        close_bench(&some);
    }
    close_bench(&all);
    dmc__device_close(d);
    dmc__graph_destroy(n.g);
}
END_TEST

START_TEST(input_gradients_alone)
{
    const net n = small_net();
    dmc__device *const d = open_device("cpu");
    bench both = open_bench(&n, d, 3, DMC__PLAN_TRAIN | DMC__PLAN_DINPUT, NULL);
    bench input = open_bench(&n, d, 3, DMC__PLAN_DINPUT, NULL), train = open_bench(&n, d, 3, DMC__PLAN_TRAIN, NULL);
    dmc__plan_bind(input.plan, input.weights, input.grads);
    run_both(&both);
    run_both(&input);
    run_both(&train);
    assert_same_gradients(&both, &input);
    assert_same_bits(&both, both.grads, train.grads, both.elems, "weight gradients");
    for (size_t i = 0; i < input.elems; i++) ck_assert_float_eq(((const float *)input.grads)[i], 0);
    for (int32_t i = 0; i < n.ins; i++) ck_assert_ptr_null(dmc__plan_grad(train.plan, n.in[i]));
    for (size_t i = 0; i < value_size(&both, n.in[3]); i++)
        ck_assert_float_eq(((const float *)dmc__plan_grad(both.plan, n.in[3]))[i], 0);
    close_bench(&both);
    close_bench(&input);
    close_bench(&train);
    dmc__device_close(d);
    dmc__graph_destroy(n.g);
}
END_TEST

/* Only what lies between an output and the first thing that learns runs. */
START_TEST(backward_stops_where_nothing_learns)
{
    dmc__graph *const g = empty_graph();
    const dmc__val x = dmc__graph_input(g, "x", 2, 3);
    dmc__val y = dmc__g_act(g, DMC_OP_MISH, dmc__g_linear(g, "first", x, 4, 1));
    y = dmc__g_act(g, DMC_OP_MISH, dmc__g_linear(g, "second", y, 4, 1));
    y = dmc__g_act(g, DMC_OP_MISH, dmc__g_linear(g, "third", y, 4, 1));
    dmc__graph_output(g, y);
    dmc__device *const d = open_device("ref");
    const uint8_t last[] = {0, 0, 0, 0, 0, 1}, middle[] = {0, 0, 1, 0, 0, 0};
    const struct {
        const uint8_t *train;
        int32_t flags, steps;
    } cases[] = {{NULL, 1, 6}, {last, 1, 2}, {middle, 1, 4}, {last, 3, 6}, {last, 2, 6}, {NULL, 0, 0}};
    for (int32_t i = 0; i < 6; i++) {
        dmc__plan *p;
        ok(dmc__plan_create(g, d, 2, cases[i].flags, cases[i].train, &p));
        ck_assert_int_eq(p->backward_steps, cases[i].steps);
        dmc__plan_destroy(p);
    }
    dmc__device_close(d);
    dmc__graph_destroy(g);
}
END_TEST

/* An output that is an input: its gradient is the caller's seed and what the ops add. */
START_TEST(output_may_be_an_input)
{
    net n = {.g = empty_graph(), .ins = 1, .outs = 2};
    n.in[0] = n.out[0] = dmc__graph_input(n.g, "x", 2, 3);
    dmc__graph_output(n.g, n.out[0]);
    n.out[1] = dmc__g_add(n.g, n.in[0], dmc__g_reshape(n.g, n.in[0], 2, 3));
    dmc__graph_output(n.g, n.out[1]);
    dmc__device *const d = open_device("ref");
    bench b = open_bench(&n, d, 1, DMC__PLAN_DINPUT, NULL);
    fill_with(d, dmc__plan_value(b.plan, n.in[0]), 6, 4);
    ok(dmc__plan_forward(b.plan));
    fill_with(d, dmc__plan_grad(b.plan, n.out[0]), 6, 10);
    fill_with(d, dmc__plan_grad(b.plan, n.out[1]), 6, 1);
    ok(dmc__plan_backward(b.plan));
    for (int32_t i = 0; i < 6; i++) {
        ck_assert_float_eq(((const float *)dmc__plan_value(b.plan, n.out[1]))[i], 8);
        ck_assert_float_eq(((const float *)dmc__plan_grad(b.plan, n.in[0]))[i], 12);
    }
    close_bench(&b);
    dmc__device_close(d);
    dmc__graph_destroy(n.g);
}
END_TEST

/* ---- plans ------------------------------------------------------------------------------------------------ */

static void assert_no_plan(const dmc__graph *g, dmc__device *d, int32_t batch, int32_t flags, dmc_status status,
                           const char *text)
{
    dmc__plan *p = (dmc__plan *)&p;
    ck_assert_int_eq(dmc__plan_create(g, d, batch, flags, NULL, &p), status);
    ck_assert_ptr_null(p);
    ck_assert_str_eq(dmc_last_error(), text);
}

static int32_t fail_kernel(const dmc_kargs *k)
{
    (void)k;
    return DMC_EDEVICE;
}

static int32_t fail_prepare(dmc_kargs *k, dmc_op_need *need)
{
    (void)k;
    (void)need;
    return DMC_EDEVICE;
}

static int32_t want_too_much(dmc_kargs *k, dmc_op_need *need)
{
    (void)k;
    need->save = need->scratch_fwd = SIZE_MAX - 5;
    return 0;
}

START_TEST(plan_refusals)
{
    dmc__device *const d = open_device("ref");
    dmc__graph *const g = empty_graph();
    const dmc__val x = dmc__graph_input(g, "x", 4, 3);
    assert_no_plan(g, d, 1, 0, DMC_EINVAL, "dmc__plan_create: the graph has no output");
    dmc__graph_output(g, dmc__g_linear(g, "lin", x, 2, 1));
    assert_no_plan(g, d, 0, 0, DMC_EINVAL, "dmc__plan_create: batch = 0, must be at least 1");
    assert_no_plan(g, d, 1, 4, DMC_EINVAL, "dmc__plan_create: flags = 4, must be 0..3");
    assert_no_plan(g, d, 200000000, 0, DMC_EOVERFLOW,
                   "dmc__plan_create: batch = 200000000 of a value (4,3), at most 2147483647 elements");
    dmc_op_impl *const op = &d->kernels.op[DMC_OP_LINEAR];
    op->prepare = want_too_much;
    assert_no_plan(g, d, 1, 1, DMC_EOVERFLOW, "out of memory: a plan's sizes exceed the address space");
    op->prepare = fail_prepare;
    assert_no_plan(g, d, 1, 0, DMC_EDEVICE, "lin: backend ref: linear could not be prepared");
    op->prepare = NULL;
    op->fwd = op->bwd = fail_kernel;
    dmc__plan *p;
    ok(dmc__plan_create(g, d, 1, DMC__PLAN_INFER, NULL, &p));
    ck_assert_int_eq(dmc__plan_forward(p), DMC_EDEVICE);
    ck_assert_str_eq(dmc_last_error(), "lin: linear forward failed on ref");
    ck_assert_int_eq(dmc__plan_backward(p), DMC_ESTATE);
    dmc__plan_destroy(p);
    ok(dmc__plan_create(g, d, 1, DMC__PLAN_TRAIN, NULL, &p));
    ck_assert_int_eq(dmc__plan_backward(p), DMC_EDEVICE);
    ck_assert_str_eq(dmc_last_error(), "lin: linear backward failed on ref");
    dmc__plan_destroy(p);
    dmc__plan_destroy(NULL);
    dmc__graph_destroy(NULL);
    dmc__graph_destroy(g);
    dmc__device_close(d);
}
END_TEST

START_TEST(values_of_a_plan)
{
    const net n = small_net();
    dmc__device *const d = open_device("ref");
    dmc__plan *infer, *train;
    ok(dmc__plan_create(n.g, d, 5, DMC__PLAN_INFER, NULL, &infer));
    ok(dmc__plan_create(n.g, d, 5, DMC__PLAN_TRAIN, NULL, &train));
    ck_assert_int_eq(dmc__plan_batch(infer), 5);
    for (dmc__val v = 0; v < n.g->values; v++) {
        const dmc__graph_value *const base = &n.g->value[n.g->value[v].base];
        ck_assert_int_eq(dmc__plan_value(infer, v) != NULL, base->is_input || base->is_output);
        ck_assert_ptr_nonnull(dmc__plan_value(train, v));
        ck_assert_ptr_eq(dmc__plan_value(train, v), dmc__plan_value(train, n.g->value[v].base));
        ck_assert_ptr_eq(dmc__plan_grad(train, v), dmc__plan_grad(train, n.g->value[v].base));
        ck_assert_ptr_null(dmc__plan_grad(infer, v));
    }
    ck_assert_ptr_null(dmc__plan_value(train, -1));
    ck_assert_ptr_null(dmc__plan_grad(train, n.g->values));
    dmc__plan_destroy(infer);
    dmc__plan_destroy(train);
    dmc__device_close(d);
    dmc__graph_destroy(n.g);
}
END_TEST

/* Weights may change place between two runs. */
START_TEST(bind_again)
{
    const net n = small_net();
    dmc__device *const d = open_device("cpu");
    bench a = open_bench(&n, d, 2, DMC__PLAN_INFER, NULL), b = open_bench(&n, d, 2, DMC__PLAN_INFER, NULL);
    fill_random(d, b.weights, b.elems, 8);
    fill_inputs(&a, 1);
    fill_inputs(&b, 1);
    ok(dmc__plan_forward(a.plan));
    ok(dmc__plan_forward(b.plan));
    const size_t size = value_size(&a, n.out[0]) * sizeof(float);
    const void *const ya = dmc__plan_value(a.plan, n.out[0]), *const yb = dmc__plan_value(b.plan, n.out[0]);
    ck_assert_mem_ne(ya, yb, size);
    dmc__plan_bind(a.plan, b.weights, NULL);
    ok(dmc__plan_forward(a.plan));
    ck_assert_mem_eq(ya, yb, size);
    close_bench(&a);
    close_bench(&b);
    dmc__device_close(d);
    dmc__graph_destroy(n.g);
}
END_TEST

/* Every call knows the device's threads, and they change no bit. */
START_TEST(threads_change_nothing)
{
    const net n = small_net();
    const int32_t flags = DMC__PLAN_TRAIN | DMC__PLAN_DINPUT;
    dmc__pool *pool;
    dmc__device *const serial = open_device("cpu"), *parallel;
    ok(dmc__pool_create(&dmc__default_allocator, 2, NULL, NULL, &pool));
    ok(dmc__device_open(&dmc__default_allocator, "cpu", pool, &parallel));
    bench a = open_bench(&n, serial, 16, flags, NULL), b = open_bench(&n, parallel, 16, flags, NULL);
    for (int32_t i = 0; i < b.plan->nodes; i++) ck_assert_ptr_eq(b.plan->forward[i].args.par_for, &parallel->par);
    for (int32_t i = 0; i < b.plan->backward_steps; i++) ck_assert_ptr_eq(b.plan->backward[i].args.par_for, &parallel->par);
    for (int32_t i = 0; i < a.plan->nodes; i++) ck_assert_ptr_null(a.plan->forward[i].args.par_for);
    run_both(&a);
    run_both(&b);
    assert_same_gradients(&a, &b);
    assert_same_bits(&a, a.grads, b.grads, a.elems, "weight gradients");
    close_bench(&a);
    close_bench(&b);
    dmc__device_close(serial);
    dmc__device_close(parallel);
    dmc__pool_destroy(pool);
    dmc__graph_destroy(n.g);
}
END_TEST

START_TEST(every_allocation_may_fail)
{
    failing_alloc f = {0};
    const dmc__allocator a = failing_allocator(&f);
    dmc__device *d;
    ok(dmc__device_open(&a, "cpu", NULL, &d));
    int32_t refused = 0;
    for (int64_t n = 1;; n++) {
        const int64_t live = f.live;
        f.fail_at = f.calls + n;
        const net small = build_small(&a);
        for (int32_t i = 0; small.g && i < 40; i++) dmc__g_act(small.g, DMC_OP_MISH, small.out[1]); /* lists grow */
        dmc_status status = small.g ? dmc__graph_status(small.g) : DMC_ENOMEM;
        dmc__plan *p = NULL;
        if (status == DMC_OK) {
            p = (dmc__plan *)&p;
            status = dmc__plan_create(small.g, d, 2, (int32_t)n % 2 ? DMC__PLAN_TRAIN : DMC__PLAN_INFER, NULL, &p);
            ck_assert(p != NULL || status == DMC_ENOMEM);
        }
        ck_assert_int_eq(status == DMC_OK, p != NULL);
        dmc__plan_destroy(p);
        dmc__graph_destroy(small.g);
        ck_assert_int_eq(f.live, live);
        if (f.calls < f.fail_at) break;
        ck_assert_int_eq(status, DMC_ENOMEM);
        refused++;
    }
    ck_assert_int_ge(refused, 10);
    f.fail_at = 0;
    dmc__device_close(d);
    ck_assert_int_eq(f.live, 0);
}
END_TEST

Suite *dmc_suite_graph(void);

Suite *dmc_suite_graph(void)
{
    Suite *const s = suite_create("graph");
    TCase *const build = tcase_create("build");
    tcase_add_loop_test(build, shape_errors_name_the_layer, 0, BROKEN);
    tcase_add_test(build, first_error_sticks);
    tcase_add_test(build, names_have_bounds);
    tcase_add_test(build, parameters_are_pytorchs);
    tcase_add_test(build, flops_leave_out_padding);
    suite_add_tcase(s, build);
    TCase *const memory = tcase_create("memory");
    tcase_add_test(memory, pieces_alive_together_never_overlap);
    tcase_add_test(memory, smallest_gap_is_taken);
    tcase_add_loop_test(memory, inference_equals_training, 0, 2);
    tcase_add_test(memory, random_graphs_share_memory);
    tcase_add_test(memory, bytes_of_a_chain);
    tcase_add_test(memory, plan_bytes_are_what_is_taken);
    suite_add_tcase(s, memory);
    TCase *const gradient = tcase_create("gradient");
    tcase_add_test(gradient, gradients_of_everything);
    tcase_add_test(gradient, gradients_of_random_graphs);
    tcase_add_test(gradient, nothing_is_left_over);
    tcase_add_test(gradient, weight_gradients_are_added_to);
    tcase_add_test(gradient, frozen_parameters_are_not_touched);
    tcase_add_test(gradient, input_gradients_alone);
    tcase_add_test(gradient, backward_stops_where_nothing_learns);
    tcase_add_test(gradient, output_may_be_an_input);
    suite_add_tcase(s, gradient);
    TCase *const plan = tcase_create("plan");
    tcase_add_test(plan, plan_refusals);
    tcase_add_test(plan, values_of_a_plan);
    tcase_add_test(plan, bind_again);
    tcase_add_test(plan, threads_change_nothing);
    tcase_add_test(plan, every_allocation_may_fail);
    suite_add_tcase(s, plan);
    return s;
}
