/* check_lora.c — adapters: which layers, what they start as, merging, gradients (methods.md 10, J1-J5). */
#include <math.h>
#include <string.h>

#include "../../lib/nn/lora.h"
#include "failing_alloc.h"
#include "net_fixture.h"

/* linear (5,3) - conv (7,5,3) - norm and Mish - transposed conv (4,k4): all that can be adapted, and what cannot. */
typedef struct layers {
    dmc__graph *graph;
    dmc__val x, y;
} layers;

static layers make_layers(void)
{
    layers l;
    fixture_ok(dmc__graph_create(&dmc__default_allocator, &l.graph));
    l.x = dmc__graph_input(l.graph, "x", 6, 3);
    l.y = dmc__g_linear(l.graph, "lin", l.x, 5, 1);
    l.y = dmc__g_conv1d(l.graph, "conv", l.y, 7, 3, 1, 1);
    l.y = dmc__g_groupnorm(l.graph, "norm", l.y, 1, 1e-5, 1);
    l.y = dmc__g_convt1d(l.graph, "up", l.y, 4, 4, 2, 1);
    dmc__graph_output(l.graph, l.y);
    fixture_ok(dmc__graph_status(l.graph));
    return l;
}

static dmc__lora *make_lora(const dmc__graph *g, dmc__device *d, int32_t rank, double alpha, const char *patterns)
{
    dmc__lora *l;
    fixture_ok(dmc__lora_create(g, d, rank, alpha, patterns, 3, &l));
    return l;
}

/* Sizes of A and B of layer i. */
static void factor_sizes(const dmc__lora *l, int32_t i, size_t *na, size_t *nb)
{
    int32_t rank, a[DMC__MAX_RANK], b[2];
    dmc__lora_shape(l, i, &rank, a, b);
    *na = (size_t)a[0] * (size_t)a[1] * (size_t)(rank == 3 ? a[2] : 1);
    *nb = (size_t)b[0] * (size_t)b[1];
}

/* Give every factor values, so that B is not zero. */
static void fill_factors(dmc__lora *l, double scale)
{
    for (int32_t i = 0; i < dmc__lora_count(l); i++) {
        size_t na, nb;
        factor_sizes(l, i, &na, &nb);
        float *a = fixture_normals(na, 100 + (uint64_t)i, scale), *b = fixture_normals(nb, 200 + (uint64_t)i, scale);
        fixture_ok(dmc__lora_set(l, i, a, b));
        free(a);
        free(b);
    }
}

/* ---- which layers ----------------------------------------------------------------------------------- */

static const struct choice {
    const char *patterns;
    int32_t count; /* of the U-Net of net_fixture.h; 0 = DMC_EKEY */
    const char *first;
} choices[] = {
    {NULL, 49, "map_emb.0"},
    {"", 49, "map_emb.0"},
    {"*", 49, "map_emb.0"},
    {"mid_block*", 6, "mid_block1.conv1.0"},
    {"final_conv.3", 1, "final_conv.3"},
    {"*final_conv.3**", 1, "final_conv.3"}, /* a star may stand for nothing */
    {"final_conv.?", 0, NULL},
    {"*.conv", 4, "downs.0.3.conv"},
    {"ups.*.conv1.0", 4, "ups.0.0.conv1.0"},
    {"*conv1*0", 12, "downs.0.0.conv1.0"},
    {" final_conv.3 , map_emb.*,", 3, "map_emb.0"},
    {"downs.0.0.conv1.1", 0, NULL}, /* a norm */
    {"*.weight", 0, NULL},          /* names come without it */
    {"mid_block", 0, NULL},
    {"nothing,at all", 0, NULL},
    {",", 0, NULL},
};
enum { CHOICES = sizeof choices / sizeof *choices };

START_TEST(patterns)
{
    const struct choice *c = &choices[_i];
    dmc__device *d = fixture_device("cpu");
    dmc__net *n = fixture_net(fixture_unet());
    dmc__lora *l;
    const dmc_status s = dmc__lora_create(n->graph, d, 2, 2, c->patterns, 1, &l);
    if (c->count == 0) {
        ck_assert_int_eq(s, DMC_EKEY);
        ck_assert_ptr_null(l);
        ck_assert_ptr_nonnull(strstr(dmc_last_error(), c->patterns));
    } else {
        fixture_ok(s);
        ck_assert_int_eq(dmc__lora_count(l), c->count);
        ck_assert_str_eq(dmc__lora_name(l, 0), c->first);
    }
    dmc__lora_destroy(l);
    dmc__net_destroy(n);
    dmc__device_close(d);
}
END_TEST

START_TEST(mask_marks_adapted_weights)
{
    dmc__device *d = fixture_device("cpu");
    dmc__net *n = fixture_net(fixture_unet());
    dmc__lora *l = make_lora(n->graph, d, 2, 2, "ups.*,mid_block1.conv1.0");
    const uint8_t *mask = dmc__lora_train_mask(l);
    int32_t marked = 0;
    for (dmc__parid i = 0; i < dmc__graph_param_count(n->graph); i++) {
        const dmc__param_spec *s = dmc__graph_param(n->graph, i);
        const int expected = s->layout != DMC__LAYOUT_PLAIN &&
                             (!strncmp(s->name, "ups.", 4) || !strcmp(s->name, "mid_block1.conv1.0.weight"));
        ck_assert_msg(mask[i] == expected, "%s: %d", s->name, mask[i]);
        marked += mask[i];
    }
    ck_assert_int_eq(marked, dmc__lora_count(l));
    dmc__lora_destroy(l);
    dmc__net_destroy(n);
    dmc__device_close(d);
}
END_TEST

/* ---- factors ---------------------------------------------------------------------------------------- */

/* J5, and the cap min(R, Co). */
START_TEST(shapes)
{
    static const struct {
        int32_t rank;
        int32_t a[3][3], b[3][2];
    } want[] = {
        {2, {{2, 3, 0}, {2, 5, 3}, {2, 7, 4}}, {{5, 2}, {7, 2}, {4, 2}}},
        {64, {{3, 3, 0}, {7, 5, 3}, {4, 7, 4}}, {{5, 3}, {7, 7}, {4, 4}}},
    };
    dmc__device *d = fixture_device("cpu");
    layers n = make_layers();
    dmc__lora *l = make_lora(n.graph, d, want[_i].rank, 1, NULL);
    size_t floats = 0, full = 0;
    for (int32_t i = 0; i < 3; i++) {
        int32_t rank, a[DMC__MAX_RANK], b[2];
        dmc__lora_shape(l, i, &rank, a, b);
        ck_assert_int_eq(rank, i == 0 ? 2 : 3);
        for (int k = 0; k < rank; k++) ck_assert_int_eq(a[k], want[_i].a[i][k]);
        for (int k = 0; k < 2; k++) ck_assert_int_eq(b[k], want[_i].b[i][k]);
        const size_t in = (size_t)(a[1] * (rank == 3 ? a[2] : 1)), out = (size_t)b[0];
        floats += (size_t)a[0] * (in + out);
        full += in * out;
        size_t na, nb;
        factor_sizes(l, i, &na, &nb);
        ck_assert_uint_eq(na + nb, (size_t)a[0] * (in + out));
    }
    ck_assert_uint_ge(dmc__lora_elems(l), floats);
    ck_assert_uint_le(dmc__lora_elems(l), floats + 6 * 16); /* alignment only */
    if (_i == 0) ck_assert_uint_lt(floats, full);
    dmc__lora_destroy(l);
    dmc__graph_destroy(n.graph);
    dmc__device_close(d);
}
END_TEST

START_TEST(initial_factors)
{
    dmc__device *d = fixture_device("cpu");
    layers n = make_layers();
    dmc__lora *l = make_lora(n.graph, d, 4, 1, NULL);
    static const double fan_in[3] = {3, 15, 28};
    for (int32_t i = 0; i < 3; i++) {
        float a[4 * 28], b[7 * 4];
        size_t na, nb;
        double most = 0;
        factor_sizes(l, i, &na, &nb);
        fixture_ok(dmc__lora_get(l, i, a, b));
        for (size_t j = 0; j < na; j++) most = fmax(most, fabs((double)a[j]));
        for (size_t j = 0; j < nb; j++) ck_assert_float_eq(b[j], 0);
        ck_assert_double_le(most, 1 / sqrt(fan_in[i]));
        ck_assert_double_ge(most, 0.5 / sqrt(fan_in[i]));
    }
    dmc__lora_destroy(l);
    dmc__graph_destroy(n.graph);
    dmc__device_close(d);
}
END_TEST

START_TEST(set_then_get)
{
    dmc__device *d = fixture_device("cpu");
    layers n = make_layers();
    dmc__lora *l = make_lora(n.graph, d, 4, 1, NULL);
    fill_factors(l, 1);
    for (int32_t i = 0; i < 3; i++) {
        size_t na, nb;
        factor_sizes(l, i, &na, &nb);
        float *a = fixture_floats(na), *b = fixture_floats(nb);
        float *want_a = fixture_normals(na, 100 + (uint64_t)i, 1), *want_b = fixture_normals(nb, 200 + (uint64_t)i, 1);
        fixture_ok(dmc__lora_get(l, i, a, b));
        ck_assert_mem_eq(a, want_a, na * sizeof *a);
        ck_assert_mem_eq(b, want_b, nb * sizeof *b);
        free(a);
        free(b);
        free(want_a);
        free(want_b);
    }
    dmc__lora_destroy(l);
    dmc__graph_destroy(n.graph);
    dmc__device_close(d);
}
END_TEST

/* ---- merging ---------------------------------------------------------------------------------------- */

static const char *const backends[] = {"cpu", "ref"};

/* J1 (as created: B = 0) and J4 (alpha = 0, factors anything): the merged block is the base, to the last bit. */
START_TEST(nothing_to_merge)
{
    dmc__device *d = fixture_device(backends[_i % 2]);
    const int scaled_to_zero = _i / 2;
    dmc__net *n = fixture_net(fixture_unet());
    const size_t elems = dmc__graph_param_elems(n->graph);
    void *base = fixture_weights(d, n->graph, 5), *merged = fixture_block(d, elems);
    dmc__lora *l = make_lora(n->graph, d, 4, scaled_to_zero ? 0 : 8, NULL);
    if (scaled_to_zero) fill_factors(l, 1);
    fixture_fill(d, merged, elems, 1, 1);
    fixture_ok(dmc__lora_merge(l, base, merged));
    float *want = fixture_read(d, base, elems), *got = fixture_read(d, merged, elems);
    ck_assert_mem_eq(got, want, elems * sizeof *got);
    free(want);
    free(got);
    dmc__lora_destroy(l);
    dmc__dev_free(d, base, elems);
    dmc__dev_free(d, merged, elems);
    dmc__net_destroy(n);
    dmc__device_close(d);
}
END_TEST

/* J3: y = conv_B(conv_A(x)), computed as a second path in double, against the merged network. */
static double second_path(const float *x, const float *a, const float *b, int t, int o, int rank)
{
    enum { T = 6,
           CI = 3,
           K = 3 };
    double y = 0;
    for (int r = 0; r < rank; r++) {
        double h = 0;
        for (int i = 0; i < CI; i++)
            for (int k = 0; k < K; k++) {
                const int s = t + k - 1;
                if (s >= 0 && s < T) h += (double)a[(r * CI + i) * K + k] * (double)x[s * CI + i];
            }
        y += (double)b[o * rank + r] * h;
    }
    return y;
}

START_TEST(merged_equals_second_path)
{
    enum { T = 6,
           CI = 3,
           CO = 7,
           R = 3 * CI };
    static const int32_t asked[2] = {2, 64}, used[2] = {2, CO}; /* the scale is alpha over the rank used */
    const int32_t rank = used[_i / 2];
    dmc__device *d = fixture_device(backends[_i % 2]);
    dmc__graph *g;
    fixture_ok(dmc__graph_create(&dmc__default_allocator, &g));
    const dmc__val x = dmc__graph_input(g, "x", T, CI), y = dmc__g_conv1d(g, "conv", x, CO, 3, 1, 1);
    dmc__graph_output(g, y);
    const size_t elems = dmc__graph_param_elems(g);
    void *base = fixture_weights(d, g, 5), *merged = fixture_block(d, elems);
    dmc__lora *l = make_lora(g, d, asked[_i / 2], 3, NULL);
    fill_factors(l, 1);
    fixture_ok(dmc__lora_merge(l, base, merged));
    float in[T * CI], a[CO * R], b[CO * CO], *out[2];
    fixture_ok(dmc__lora_get(l, 0, a, b));
    dmc__plan *p;
    fixture_ok(dmc__plan_create(g, d, 1, DMC__PLAN_INFER, NULL, &p));
    for (int i = 0; i < 2; i++) {
        dmc__plan_bind(p, i == 0 ? base : merged, NULL);
        fixture_fill(d, dmc__plan_value(p, x), T * CI, 8, 1);
        fixture_ok(dmc__dev_out(d, in, dmc__plan_value(p, x), T * CI));
        fixture_ok(dmc__plan_forward(p));
        out[i] = fixture_read(d, dmc__plan_value(p, y), T * CO);
    }
    for (int t = 0; t < T; t++)
        for (int o = 0; o < CO; o++) {
            const double want = (double)out[0][t * CO + o] + 3.0 / rank * second_path(in, a, b, t, o, rank);
            ck_assert_double_eq_tol((double)out[1][t * CO + o], want, 1e-5 * fmax(1, fabs(want)));
        }
    free(out[0]);
    free(out[1]);
    dmc__plan_destroy(p);
    dmc__lora_destroy(l);
    dmc__dev_free(d, base, elems);
    dmc__dev_free(d, merged, elems);
    dmc__graph_destroy(g);
    dmc__device_close(d);
}
END_TEST

/* ---- gradients (J2) --------------------------------------------------------------------------------- */

/* L = sum of weights times outputs, as a function of the factors; ref64 memory is host doubles. */
typedef struct probe {
    layers net;
    dmc__device *d;
    dmc__plan *plan;
    dmc__lora *lora;
    void *base, *merged, *grads;
    size_t elems, outputs;
    float *weights;
} probe;

static double loss(probe *p)
{
    fixture_ok(dmc__lora_merge(p->lora, p->base, p->merged));
    fixture_ok(dmc__plan_forward(p->plan));
    const double *y = dmc__plan_value(p->plan, p->net.y);
    double sum = 0;
    for (size_t i = 0; i < p->outputs; i++) sum += (double)p->weights[i] * y[i];
    return sum;
}

static probe make_probe(void)
{
    probe p = {.net = make_layers(), .d = fixture_device("ref64")};
    p.elems = dmc__graph_param_elems(p.net.graph);
    p.base = fixture_weights(p.d, p.net.graph, 5);
    p.merged = fixture_block(p.d, p.elems);
    p.grads = fixture_block(p.d, p.elems);
    p.lora = make_lora(p.net.graph, p.d, 2, 3, NULL);
    fill_factors(p.lora, 0.5);
    fixture_ok(dmc__plan_create(p.net.graph, p.d, 2, DMC__PLAN_TRAIN, dmc__lora_train_mask(p.lora), &p.plan));
    dmc__plan_bind(p.plan, p.merged, p.grads);
    fixture_fill(p.d, dmc__plan_value(p.plan, p.net.x), 2 * 6 * 3, 8, 1);
    p.outputs = fixture_val_size(p.net.graph, p.net.y, 2);
    p.weights = fixture_normals(p.outputs, 9, 1);
    return p;
}

static void free_probe(probe *p)
{
    free(p->weights);
    dmc__plan_destroy(p->plan);
    dmc__lora_destroy(p->lora);
    dmc__dev_free(p->d, p->base, p->elems);
    dmc__dev_free(p->d, p->merged, p->elems);
    dmc__dev_free(p->d, p->grads, p->elems);
    dmc__graph_destroy(p->net.graph);
    dmc__device_close(p->d);
}

START_TEST(gradients_by_differences)
{
    probe p = make_probe();
    const size_t n = dmc__lora_elems(p.lora);
    double *factor = dmc__lora_factors(p.lora), largest = 0;
    loss(&p);
    fixture_ok(dmc__dev_in(p.d, dmc__plan_grad(p.plan, p.net.y), p.weights, p.outputs));
    fixture_ok(dmc__plan_backward(p.plan));
    double *grad = fixture_block(p.d, n);
    for (size_t i = 0; i < n; i++) grad[i] = 1; /* must be added to */
    fixture_ok(dmc__lora_backward(p.lora, p.grads, grad));
    for (size_t i = 0; i < n; i++) largest = fmax(largest, fabs(grad[i] - 1));
    ck_assert_double_gt(largest, 0.1);
    for (size_t i = 0; i < n; i++) {
        const double h = 1e-5, at = factor[i];
        factor[i] = at + h;
        const double up = loss(&p);
        factor[i] = at - h;
        const double down = loss(&p);
        factor[i] = at;
        ck_assert_double_eq_tol(grad[i] - 1, (up - down) / (2 * h), 1e-7 * largest);
    }
    dmc__dev_free(p.d, grad, n);
    free_probe(&p);
}
END_TEST

/* ---- refusals --------------------------------------------------------------------------------------- */

START_TEST(bad_numbers)
{
    static const struct {
        int32_t rank;
        double alpha;
        const char *text;
    } bad[] = {
        {0, 1, "lora_rank = 0"},
        {-3, 1, "lora_rank = -3"},
        {4, -1, "lora_alpha = -1"},
        {4, NAN, "lora_alpha"},
        {4, INFINITY, "lora_alpha = inf"},
    };
    dmc__device *d = fixture_device("cpu");
    layers n = make_layers();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        dmc__lora *l;
        ck_assert_int_eq(dmc__lora_create(n.graph, d, bad[i].rank, bad[i].alpha, "*", 0, &l), DMC_ERANGE);
        ck_assert_ptr_null(l);
        ck_assert_msg(strstr(dmc_last_error(), bad[i].text) != NULL, "%s", dmc_last_error());
    }
    dmc__graph_destroy(n.graph);
    dmc__device_close(d);
}
END_TEST

START_TEST(out_of_memory)
{
    layers n = make_layers();
    for (int64_t at = 1;; at++) {
        failing_alloc f = {.fail_at = 0};
        const dmc__allocator a = failing_allocator(&f);
        dmc__device *d;
        dmc__lora *l;
        fixture_ok(dmc__device_open(&a, "cpu", NULL, &d));
        const int64_t live = f.live;
        f.fail_at = f.calls + at;
        const dmc_status s = dmc__lora_create(n.graph, d, 2, 1, "*", 0, &l);
        if (s != DMC_OK) ck_assert_int_eq(s, DMC_ENOMEM);
        ck_assert_int_eq(l != NULL, s == DMC_OK);
        dmc__lora_destroy(l);
        ck_assert_int_eq(f.live, live);
        dmc__device_close(d);
        if (s == DMC_OK) break;
    }
    dmc__graph_destroy(n.graph);
}
END_TEST

Suite *dmc_suite_lora(void);
Suite *dmc_suite_lora(void)
{
    Suite *s = suite_create("lora");
    TCase *t = tcase_create("lora");
    tcase_add_loop_test(t, patterns, 0, CHOICES);
    tcase_add_test(t, mask_marks_adapted_weights);
    tcase_add_loop_test(t, shapes, 0, 2);
    tcase_add_test(t, initial_factors);
    tcase_add_test(t, set_then_get);
    tcase_add_loop_test(t, nothing_to_merge, 0, 4);
    tcase_add_loop_test(t, merged_equals_second_path, 0, 4);
    tcase_add_test(t, gradients_by_differences);
    tcase_add_test(t, bad_numbers);
    tcase_add_test(t, out_of_memory);
    suite_add_tcase(s, t);
    return s;
}
