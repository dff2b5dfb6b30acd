/* check_params.c — orders of weights, initial values, growing a network's input. */
#include <math.h>
#include <string.h>

#include "net_fixture.h"

/* linear (5,3), conv (7,5,3), transposed conv (7,4,4), linear (2,8) that begins with (t,c) = (2,3): every layout, all sizes
 * different. */
static dmc__graph *every_layout(void)
{
    dmc__graph *g;
    fixture_ok(dmc__graph_create(&dmc__default_allocator, &g));
    dmc__val x = dmc__graph_input(g, "x", 6, 3);
    x = dmc__g_linear(g, "lin", x, 5, 1);
    x = dmc__g_conv1d(g, "conv", x, 7, 3, 1, 1);
    x = dmc__g_layernorm(g, "norm", x, 1e-5);
    x = dmc__g_convt1d(g, "up", x, 4, 4, 2, 1);
    dmc__graph_output(g, x);
    const dmc__glayer flat = dmc__g_layer(g, "flat.weight", NULL, 8, 2);
    dmc__g_layer_flattens(g, flat, 2, 3);
    fixture_ok(dmc__graph_status(g));
    return g;
}

/* ---- orders ----------------------------------------------------------------------------------------- */

/* Where PyTorch's w[a][b][c] of a parameter must lie, written out per layer. */
static size_t expected_place(const char *name, int a, int b, int c)
{
    if (!strcmp(name, "lin.weight")) return (size_t)(b * 5 + a);            /* (Co,Ci) -> (Ci,Co)     */
    if (!strcmp(name, "conv.weight")) return (size_t)((c * 5 + b) * 7 + a); /* (Co,Ci,k) -> (k,Ci,Co) */
    if (!strcmp(name, "up.weight")) return (size_t)((c * 7 + a) * 4 + b);   /* (Ci,Co,k) -> (k,Ci,Co) */
    if (!strcmp(name, "flat.weight")) return (size_t)((b < 6 ? b % 2 * 3 + b / 2 : b) * 2 + a); /* 2c+t -> 3t+c */
    return (size_t)a;
}

START_TEST(stored_order)
{
    dmc__device *d = fixture_device("cpu");
    dmc__graph *g = every_layout();
    void *block = fixture_block(d, dmc__graph_param_elems(g));
    for (dmc__parid i = 0; i < dmc__graph_param_count(g); i++) {
        const dmc__param_spec *s = dmc__graph_param(g, i);
        float *torch = fixture_normals(s->size, 3, 1), *back = fixture_floats(s->size);
        fixture_ok(dmc__params_set(g, d, block, i, torch, s->size));
        float *stored = fixture_read(d, dmc__dev_at(d, block, s->offset), s->size);
        const int B = s->rank > 1 ? s->shape[1] : 1, C = s->rank > 2 ? s->shape[2] : 1;
        size_t j = 0;
        for (int a = 0; a < s->shape[0]; a++)
            for (int b = 0; b < B; b++)
                for (int c = 0; c < C; c++, j++) {
                    ck_assert_float_eq(stored[expected_place(s->name, a, b, c)], torch[j]);
                    ck_assert_uint_eq(dmc__params_stored_index(s, j), expected_place(s->name, a, b, c));
                }
        ck_assert_uint_eq(j, s->size);
        fixture_ok(dmc__params_get(g, d, block, i, back, s->size));
        ck_assert_mem_eq(back, torch, s->size * sizeof *torch);
        free(torch);
        free(back);
        free(stored);
    }
    dmc__dev_free(d, block, dmc__graph_param_elems(g));
    dmc__graph_destroy(g);
    dmc__device_close(d);
}
END_TEST

START_TEST(wrong_size)
{
    dmc__device *d = fixture_device("cpu");
    dmc__graph *g = every_layout();
    void *block = fixture_block(d, dmc__graph_param_elems(g));
    float v[64] = {0};
    const dmc__parid i = dmc__graph_find_param(g, "lin.weight");
    ck_assert_int_eq(dmc__params_set(g, d, block, i, v, 14), DMC_ESHAPE);
    ck_assert_ptr_nonnull(strstr(dmc_last_error(), "lin.weight"));
    ck_assert_int_eq(dmc__params_get(g, d, block, i, v, 16), DMC_ESHAPE);
    dmc__dev_free(d, block, dmc__graph_param_elems(g));
    dmc__graph_destroy(g);
    dmc__device_close(d);
}
END_TEST

/* ---- initial values --------------------------------------------------------------------------------- */

/* One layer of each kind, wide enough for statistics. */
static dmc__graph *wide_layers(void)
{
    dmc__graph *g;
    fixture_ok(dmc__graph_create(&dmc__default_allocator, &g));
    dmc__val x = dmc__graph_input(g, "x", 8, 100);
    x = dmc__g_linear(g, "lin", x, 90, 1);
    x = dmc__g_conv1d(g, "conv", x, 80, 5, 1, 2);
    x = dmc__g_groupnorm(g, "norm", x, 8, 1e-5, 0);
    dmc__graph_output(g, x);
    fixture_ok(dmc__graph_status(g));
    return g;
}

/* Uniform on +-1/sqrt(fan_in): mean 0, variance 1/(3 fan_in), 6 standard errors allowed. */
static void expect_uniform(const float *v, size_t n, int fan_in)
{
    const double bound = 1 / sqrt(fan_in), variance = bound * bound / 3;
    double sum = 0, squares = 0, most = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)v[i];
        squares += (double)v[i] * (double)v[i];
        most = fmax(most, fabs((double)v[i]));
    }
    ck_assert_double_le(most, bound * (1 + 1e-6));
    ck_assert_double_le(fabs(sum / (double)n), 6 * sqrt(variance / (double)n));
    ck_assert_double_le(fabs(squares / (double)n - variance), 6 * variance * sqrt(0.8 / (double)n));
    if (n > 1000) ck_assert_double_ge(most, 0.99 * bound);
}

START_TEST(initial_values)
{
    static const struct {
        const char *name;
        int fan_in;
    } uniform[] = {
        {"lin.weight", 100},
        {"lin.bias", 100},
        {"conv.weight", 450},
        {"conv.bias", 450},
    };
    dmc__device *d = fixture_device("cpu");
    dmc__graph *g = wide_layers();
    void *block = fixture_block(d, dmc__graph_param_elems(g));
    fixture_ok(dmc__params_init(g, d, 1, block));
    for (int i = 0; i < 4; i++) {
        const dmc__parid p = dmc__graph_find_param(g, uniform[i].name);
        const size_t n = dmc__graph_param(g, p)->size;
        float *v = fixture_floats(n);
        fixture_ok(dmc__params_get(g, d, block, p, v, n));
        expect_uniform(v, n, uniform[i].fan_in);
        free(v);
    }
    float norm[80];
    fixture_ok(dmc__params_get(g, d, block, dmc__graph_find_param(g, "norm.weight"), norm, 80));
    for (int i = 0; i < 80; i++) ck_assert_float_eq(norm[i], 1);
    fixture_ok(dmc__params_get(g, d, block, dmc__graph_find_param(g, "norm.bias"), norm, 80));
    for (int i = 0; i < 80; i++) ck_assert_float_eq(norm[i], 0);
    dmc__dev_free(d, block, dmc__graph_param_elems(g));
    dmc__graph_destroy(g);
    dmc__device_close(d);
}
END_TEST

/* The initial block of a device and seed as floats; free it. */
static float *initial_block(const char *device, const dmc__graph *g, uint64_t seed)
{
    const size_t n = dmc__graph_param_elems(g);
    dmc__device *d = fixture_device(device);
    void *block = fixture_block(d, n);
    fixture_ok(dmc__params_init(g, d, seed, block));
    float *v = fixture_read(d, block, n);
    dmc__dev_free(d, block, n);
    dmc__device_close(d);
    return v;
}

/* W W^T = 4 I where there are fewer rows than columns, W^T W = 4 I otherwise. */
START_TEST(orthogonal_start)
{
    const int32_t shapes[][2] = {{7, 13}, {13, 7}, {1, 5}, {6, 6}};
    const int32_t co = shapes[_i][0], ci = shapes[_i][1], n = co < ci ? co : ci;
    dmc__device *d = fixture_device("ref64");
    const dmc__param_spec spec = {.name = "w", .rank = 2, .shape = {co, ci}, .init = DMC__INIT_ORTHOGONAL, .scale = 2,
                                  .size = (size_t)(co * ci)};
    const dmc__stream s = {.seed = 1, .purpose = DMC_STREAM_INIT};
    void *block = fixture_block(d, spec.size);
    fixture_ok(dmc__params_init_spec(&spec, d, &s, block));
    float *w = fixture_read(d, block, spec.size);
    for (int32_t i = 0; i < n; i++)
        for (int32_t j = 0; j < n; j++) {
            double dot = 0;
            for (int32_t k = 0; k < co + ci - n; k++)
                dot += co <= ci ? w[i * ci + k] * w[j * ci + k] : w[k * ci + i] * w[k * ci + j];
            ck_assert_double_eq_tol(dot, i == j ? 4 : 0, 1e-5);
        }
    free(w);
    dmc__dev_free(d, block, spec.size);
    dmc__device_close(d);
}
END_TEST

START_TEST(init_depends_on_seed_only)
{
    dmc__graph *g = every_layout();
    const size_t n = dmc__graph_param_elems(g);
    float *a = initial_block("cpu", g, 7), *b = initial_block("ref64", g, 7), *c = initial_block("cpu", g, 8);
    ck_assert_mem_eq(a, b, n * sizeof *a);
    const dmc__param_spec *w = dmc__graph_param(g, dmc__graph_find_param(g, "conv.weight"));
    const dmc__param_spec *u = dmc__graph_param(g, dmc__graph_find_param(g, "up.weight"));
    ck_assert_float_ne(a[w->offset], c[w->offset]);
    const double first_w = (double)a[w->offset] / w->scale, first_u = (double)a[u->offset] / u->scale;
    ck_assert_double_gt(fabs(first_w - first_u), 1e-6); /* parameters do not share numbers */
    free(a);
    free(b);
    free(c);
    dmc__graph_destroy(g);
}
END_TEST

/* ---- growing (methods.md 5, test C1) ---------------------------------------------------------------- */

static const struct growth {
    int32_t kind, cols, extra;
} growths[] = {
    {DMC__NET_IDQL_MLP, 3, 3},
    {DMC__NET_IDQL_MLP, 3, 1},
    {DMC__NET_UNET1D_JANNER, 7, 7},
    /* cols = hidden: the small network has no residual convolution */
    {DMC__NET_UNET1D_JANNER, 12, 12},
    /* cols + extra = hidden: the grown one would need none, but has one */
    {DMC__NET_UNET1D_JANNER, 7, 5},
    {DMC__NET_UNET1D_CHI, 7, 7},
    {DMC__NET_UNET1D_CHI, 12, 5},
    {DMC__NET_DIT1D, 3, 3},
    {DMC__NET_DIT1D, 5, 2},
    {DMC__NET_TRANSFORMER_CHI, 3, 3},
    {DMC__NET_TRANSFORMER_CHI, 5, 2},
    {DMC__NET_DQL_MLP, 3, 3},
    {DMC__NET_DQL_MLP, 5, 2},
};
enum { GROWTHS = sizeof growths / sizeof *growths };
static const char *const backends[] = {"cpu", "ref"};

static dmc__net_config growing(const struct growth *r)
{
    const int32_t conv = r->kind == DMC__NET_UNET1D_JANNER || r->kind == DMC__NET_UNET1D_CHI;
    dmc__net_config c = conv ? fixture_unet() : fixture_mlp();
    c.kind = r->kind;
    c.cols = r->cols;
    if (r->kind == DMC__NET_DIT1D || r->kind == DMC__NET_TRANSFORMER_CHI) {
        c.hidden = c.emb_dim = 8;
        c.heads = 2;
    }
    return c;
}

START_TEST(grown_network_is_bit_equal)
{
    const struct growth *r = &growths[_i / 2];
    enum { BATCH = 5 };
    dmc__device *d = fixture_device(backends[_i % 2]);
    dmc__net_config c = growing(r);
    dmc__net *small = fixture_net(c);
    c.extra = r->extra;
    dmc__net *grown = fixture_net(c);
    const size_t n = dmc__graph_param_elems(grown->graph), bytes = sizeof(float) * BATCH * (size_t)(c.horizon * c.cols);
    void *weights = fixture_weights(d, small->graph, 4), *wide = fixture_block(d, n);
    fixture_fill(d, wide, n, 9, 1); /* whatever was there must not matter */
    float *without = fixture_forward(grown, d, wide, BATCH, 20, 0), *with = fixture_forward(grown, d, wide, BATCH, 20, 1);
    ck_assert_msg(memcmp(without, with, bytes) != 0, "the side input does not reach the output");
    free(without);
    free(with);
    fixture_ok(dmc__params_grow(small->graph, weights, grown->graph, d, wide));
    float *want = fixture_forward(small, d, weights, BATCH, 20, 0);
    for (double extra = 0; extra < 1e4; extra = 10 * extra + 1) {
        float *got = fixture_forward(grown, d, wide, BATCH, 20, extra);
        ck_assert_msg(memcmp(got, want, bytes) == 0, "side input of size %g changes the output", extra);
        free(got);
    }
    free(want);
    dmc__dev_free(d, weights, dmc__graph_param_elems(small->graph));
    dmc__dev_free(d, wide, n);
    dmc__net_destroy(small);
    dmc__net_destroy(grown);
    dmc__device_close(d);
}
END_TEST

/* The new columns are there to be learned: they get a gradient. */
START_TEST(grown_columns_learn)
{
    dmc__device *d = fixture_device("ref");
    dmc__net_config c = _i == 0 ? fixture_mlp() : fixture_unet();
    dmc__net *small = fixture_net(c);
    c.extra = 2;
    dmc__net *grown = fixture_net(c);
    const size_t n = dmc__graph_param_elems(grown->graph);
    void *weights = fixture_weights(d, small->graph, 4), *wide = fixture_block(d, n), *grads = fixture_block(d, n);
    fixture_ok(dmc__params_grow(small->graph, weights, grown->graph, d, wide));
    dmc__plan *p;
    fixture_ok(dmc__plan_create(grown->graph, d, 2, DMC__PLAN_TRAIN, NULL, &p));
    dmc__plan_bind(p, wide, grads);
    fixture_inputs(grown, d, p, 3, 1);
    fixture_ok(dmc__plan_forward(p));
    fixture_fill(d, dmc__plan_grad(p, grown->out), fixture_val_size(grown->graph, grown->out, 2), 5, 1);
    fixture_ok(dmc__plan_backward(p));
    const dmc__param_spec *s = dmc__graph_param(
        grown->graph, dmc__graph_find_param(grown->graph, _i == 0 ? "affine_in.weight" : "downs.0.0.conv1.0.weight"));
    float *g = fixture_read(d, dmc__dev_at(d, grads, s->offset), s->size);
    ck_assert_float_ne(g[s->size - 1], 0); /* last tap, last input column, last output */
    free(g);
    dmc__plan_destroy(p);
    dmc__dev_free(d, weights, dmc__graph_param_elems(small->graph));
    dmc__dev_free(d, wide, n);
    dmc__dev_free(d, grads, n);
    dmc__net_destroy(small);
    dmc__net_destroy(grown);
    dmc__device_close(d);
}
END_TEST

START_TEST(unrelated_networks)
{
    dmc__device *d = fixture_device("cpu");
    dmc__net_config c = fixture_mlp();
    dmc__net *a = fixture_net(c);
    c.hidden = 17;
    c.extra = 1;
    dmc__net *wider = fixture_net(c);
    c.hidden = 13;
    c.blocks = 3;
    dmc__net *deeper = fixture_net(c);
    void *from = fixture_block(d, dmc__graph_param_elems(wider->graph) + dmc__graph_param_elems(deeper->graph));
    void *to = fixture_block(d, dmc__graph_param_elems(wider->graph) + dmc__graph_param_elems(deeper->graph));
    ck_assert_int_eq(dmc__params_grow(a->graph, from, wider->graph, d, to), DMC_ESHAPE);
    ck_assert_int_eq(dmc__params_grow(a->graph, from, deeper->graph, d, to), DMC_ESHAPE);
    ck_assert_ptr_nonnull(strstr(dmc_last_error(), "ln_resnet.2.net"));
    ck_assert_int_eq(dmc__params_grow(deeper->graph, from, a->graph, d, to), DMC_ESHAPE);
    const size_t n = dmc__graph_param_elems(wider->graph) + dmc__graph_param_elems(deeper->graph);
    dmc__dev_free(d, from, n);
    dmc__dev_free(d, to, n);
    dmc__net_destroy(a);
    dmc__net_destroy(wider);
    dmc__net_destroy(deeper);
    dmc__device_close(d);
}
END_TEST

Suite *dmc_suite_params(void);
Suite *dmc_suite_params(void)
{
    Suite *s = suite_create("params");
    TCase *t = tcase_create("params");
    tcase_add_test(t, stored_order);
    tcase_add_test(t, wrong_size);
    tcase_add_test(t, initial_values);
    tcase_add_loop_test(t, orthogonal_start, 0, 4);
    tcase_add_test(t, init_depends_on_seed_only);
    tcase_add_loop_test(t, grown_network_is_bit_equal, 0, 2 * GROWTHS);
    tcase_add_loop_test(t, grown_columns_learn, 0, 2);
    tcase_add_test(t, unrelated_networks);
    suite_add_tcase(s, t);
    return s;
}
