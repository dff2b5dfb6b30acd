/* check_graph_image.c — layers over images: shapes and sentences, frames that know nothing of each other, gradients through a
 * small network, windows drawn only when asked, the order of a square kernel and its adapters. */
#include <math.h>
#include <string.h>

#include "../../lib/graph/graph_types.h"
#include "../../lib/nn/lora.h"
#include "net_fixture.h"

Suite *dmc_suite_graph_image(void);

enum { H = 9, W = 7, C = 3 };

static dmc__graph *empty_graph(void)
{
    dmc__graph *g;
    fixture_ok(dmc__graph_create(&dmc__default_allocator, &g));
    return g;
}

/* ---- sentences -------------------------------------------------------------------------------------- */

static const char *const sentences[] = {
    "net.image: (2,189) as frames of 9 x 8 pixels with 3 channels, must be whole frames",
    "net.image: (2,189) as frames of 0 x 7 pixels with 3 channels, must be whole frames",
    "net.conv: conv2d with k = 3, stride = 1, pad = 3, must be 1..32768, at least 1 and 0..2",
    "net.conv: conv2d with k = 3, stride = 0, pad = 1, must be 1..32768, at least 1 and 0..2",
    "net.conv: conv2d of 9 x 7 pixels, k = 8, stride = 1, pad = 0, leaves no pixel",
    "net.conv: conv2d to 0 channels, must be at least 1",
    "net.conv: conv2d makes 2147483648 pixels, at most 2147483647",
    "net.maxpool2d: maxpool2d with k = 3, stride = 2, pad = 2, must be 1..32768, at least 1 and 0..1",
    "net.crop2d: 10 x 7 pixels of 9 x 7, must be at least 1 and no more than there are",
    "net.gn: groupnorm of (126,3) in 2 groups, must divide 3",
    "net.keys: spatial_softmax of 126 rows as frames of 4 x 4 pixels, must be whole frames of at least 1 pixel",
};
enum { SENTENCES = sizeof sentences / sizeof *sentences };

static void make_error(dmc__graph *g, dmc__val cond, int32_t call)
{
    const dmc__gimage x = dmc__g_image(g, cond, H, call == 0 ? 8 : W, C);
    switch (call) {
    case 0: break;
    case 1: dmc__g_image(g, cond, 0, W, C); break;
    case 2: dmc__g_conv2d(g, "conv", x, 4, 3, 1, 3, 0); break;
    case 3: dmc__g_conv2d(g, "conv", x, 4, 3, 0, 1, 0); break;
    case 4: dmc__g_conv2d(g, "conv", x, 4, 8, 1, 0, 0); break;
    case 5: dmc__g_conv2d(g, "conv", x, 0, 3, 1, 1, 0); break;
    case 6: dmc__g_conv2d(g, "conv", dmc__g_image(g, dmc__graph_input(g, "two", 2, 1), 1, 1, 1), 1, 32768, 1, 32767, 0); break;
    case 7: dmc__g_maxpool2d(g, x, 3, 2, 2); break;
    case 8: dmc__g_crop2d(g, x, 10, W, 1); break;
    case 9: dmc__g_groupnorm2d(g, "gn", x, 2, 1e-5, 0); break;
    default: dmc__g_spatial_softmax(g, "keys", (dmc__gimage){x.v, 4, 4}); break;
    }
}

START_TEST(errors_name_the_layer)
{
    dmc__graph *const g = empty_graph();
    const dmc__val cond = dmc__graph_input(g, "cond", 2, H * W * C);
    dmc__graph_push(g, "net.");
    make_error(g, cond, _i);
    ck_assert_int_eq(g->status, DMC_ESHAPE);
    ck_assert_str_eq(dmc_last_error(), sentences[_i]);
    /* and nothing comes of what follows */
    const int32_t params = g->params;
    const dmc__gimage none = dmc__g_conv2d(g, "next", dmc__g_image(g, cond, H, W, C), 4, 3, 1, 1, 1);
    ck_assert_int_eq(dmc__g_crop2d(g, dmc__g_maxpool2d(g, dmc__g_add2d(g, none, none), 2, 2, 0), 1, 1, 1).v, -1);
    ck_assert_int_eq(dmc__g_spatial_softmax(g, "keys", dmc__g_groupnorm2d(g, "gn", none, 1, 1e-5, 1)), -1);
    ck_assert_int_eq(g->params, params);
    dmc__graph_destroy(g);
}
END_TEST

/* ---- a small network -------------------------------------------------------------------------------- */

/* Everything there is: (frames, 2 channels) keypoints. */
typedef struct net {
    dmc__graph *g;
    dmc__val in, out;
    dmc__gimage conv;
} net;

static net make_net(int32_t frames)
{
    net n = {.g = empty_graph()};
    dmc__graph *const g = n.g;
    n.in = dmc__graph_input(g, "cond", 1, frames * H * W * C);
    dmc__gimage x = dmc__g_crop2d(g, dmc__g_image(g, n.in, H, W, C), H - 2, W - 1, 1);
    x = n.conv = dmc__g_conv2d(g, "conv", x, 4, 3, 1, 1, 0);
    x = dmc__g_act2d(g, DMC_OP_TANH, dmc__g_groupnorm2d(g, "gn", x, 2, 1e-2, 1));
    const dmc__gimage y = dmc__g_maxpool2d(g, x, 3, 2, 1);
    x = dmc__g_add2d(g, dmc__g_conv2d(g, "down", x, 4, 3, 2, 1, 1), y);
    n.out = dmc__g_spatial_softmax(g, "keys", dmc__g_crop2d(g, x, x.h, x.w, 1));
    dmc__graph_output(g, n.out);
    fixture_ok(dmc__graph_status(g));
    return n;
}

START_TEST(shapes_and_parameters)
{
    const net n = make_net(2);
    static const char *const names[] = {"conv.weight", "gn.weight", "gn.bias", "down.weight", "down.bias", "keys.temperature"};
    ck_assert_int_eq(dmc__graph_rows(n.g, n.out), 2);
    ck_assert_int_eq(dmc__graph_cols(n.g, n.out), 8);
    ck_assert_int_eq(dmc__graph_param_count(n.g), 6);
    for (int i = 0; i < 6; i++) ck_assert_str_eq(dmc__graph_param(n.g, i)->name, names[i]);
    const dmc__param_spec *const w = dmc__graph_param(n.g, 0), *const t = dmc__graph_param(n.g, 5);
    const int32_t shape[] = {4, C, 3, 3};
    ck_assert_int_eq(w->rank, 4);
    ck_assert_mem_eq(w->shape, shape, sizeof shape);
    ck_assert_int_eq(w->layout, DMC__LAYOUT_CONV2D);
    ck_assert_double_eq_tol(w->scale, 1 / sqrt(9 * C), 1e-15);
    ck_assert(t->rank == 1 && t->size == 1 && t->init == DMC__INIT_ONE);
    /* 7 x 6 pixels: 3 7 - 2 = 19 rows times 3 6 - 2 = 16 columns of taps; then 4 x 3: 12 - 2 rows, 9 - 1 columns */
    ck_assert_double_eq(dmc__graph_flops(n.g), 2 * 2.0 * (C * 4 * 19 * 16 + 4 * 4 * 10 * 8));
    dmc__graph_destroy(n.g);
}
END_TEST

/* ---- running it ------------------------------------------------------------------------------------- */

typedef struct rig {
    const net *n;
    dmc__device *d;
    dmc__plan *plan;
    void *weights, *grads;
    size_t params, in, out;
} rig;

static rig open_rig(const net *n, dmc__device *d, int32_t batch)
{
    rig r = {.n = n, .d = d, .params = dmc__graph_param_elems(n->g), .in = fixture_val_size(n->g, n->in, batch),
             .out = fixture_val_size(n->g, n->out, batch)};
    fixture_ok(dmc__plan_create(n->g, d, batch, DMC__PLAN_TRAIN | DMC__PLAN_DINPUT, NULL, &r.plan));
    r.weights = fixture_weights(d, n->g, 1);
    r.grads = fixture_block(d, r.params);
    dmc__plan_bind(r.plan, r.weights, r.grads);
    fixture_fill(d, dmc__plan_value(r.plan, n->in), r.in, 10, 1);
    return r;
}

static void run_both(const rig *r)
{
    fixture_ok(dmc__plan_forward(r->plan));
    fixture_fill(r->d, dmc__plan_grad(r->plan, r->n->out), r->out, 20, 1);
    fixture_ok(dmc__plan_backward(r->plan));
}

static void close_rig(rig *r)
{
    dmc__dev_free(r->d, r->weights, r->params);
    dmc__dev_free(r->d, r->grads, r->params);
    dmc__plan_destroy(r->plan);
}

static void same_floats(const rig *a, const void *x, const void *y, size_t n)
{
    float *const p = fixture_read(a->d, x, n), *const q = fixture_read(a->d, y, n);
    for (size_t i = 0; i < n; i++) ck_assert_double_eq_tol(p[i], q[i], 1e-6);
    free(p);
    free(q);
}

/* Three samples of two frames are six samples of one. */
START_TEST(frames_are_like_samples)
{
    dmc__device *const d = fixture_device("ref64");
    const net two = make_net(2), one = make_net(1);
    rig a = open_rig(&two, d, 3), b = open_rig(&one, d, 6);
    for (uint64_t step = 0; step < 3; step++) { /* also with windows drawn */
        dmc__plan_set_dropout(a.plan, step > 0, 5, step);
        dmc__plan_set_dropout(b.plan, step > 0, 5, step);
        run_both(&a);
        run_both(&b);
        same_floats(&a, dmc__plan_value(a.plan, two.out), dmc__plan_value(b.plan, one.out), a.out);
        same_floats(&a, dmc__plan_grad(a.plan, two.in), dmc__plan_grad(b.plan, one.in), a.in);
        same_floats(&a, a.grads, b.grads, a.params);
    }
    close_rig(&a);
    close_rig(&b);
    dmc__graph_destroy(two.g);
    dmc__graph_destroy(one.g);
    dmc__device_close(d);
}
END_TEST

/* sum of out times the seed of run_both */
static double loss(const rig *r)
{
    fixture_ok(dmc__plan_forward(r->plan));
    const double *const y = dmc__plan_value(r->plan, r->n->out), *const g = dmc__plan_grad(r->plan, r->n->out);
    double sum = 0;
    for (size_t i = 0; i < r->out; i++) sum += y[i] * g[i];
    return sum;
}

static void check_slopes(const rig *r, double *x, const double *slope, size_t n)
{
    const double h = 1e-6;
    for (size_t i = 0; i < n; i++) {
        const double keep = x[i];
        x[i] = keep + h;
        const double up = loss(r);
        x[i] = keep - h;
        const double difference = (up - loss(r)) / (2 * h);
        x[i] = keep;
        ck_assert_msg(fabs(difference - slope[i]) <= 1e-7 * fmax(1, fabs(slope[i])), "element %zu: slope %.12g, difference %.12g",
                      i, slope[i], difference);
    }
}

/* ref64 keeps its tensors in host memory, in double. With and without windows drawn. */
START_TEST(gradients_are_slopes)
{
    dmc__device *const d = fixture_device("ref64");
    const net n = make_net(2);
    rig r = open_rig(&n, d, 2);
    dmc__plan_set_dropout(r.plan, _i, 7, 3);
    run_both(&r);
    check_slopes(&r, dmc__plan_value(r.plan, n.in), dmc__plan_grad(r.plan, n.in), r.in);
    for (int32_t i = 0; i < dmc__graph_param_count(n.g); i++) {
        const dmc__param_spec *const s = dmc__graph_param(n.g, i);
        check_slopes(&r, dmc__dev_at(d, r.weights, s->offset), dmc__dev_at(d, r.grads, s->offset), s->size);
    }
    close_rig(&r);
    dmc__graph_destroy(n.g);
    dmc__device_close(d);
}
END_TEST

/* Two crops of one image: the middle, unless asked; then windows of their own, the same for the same step. */
START_TEST(windows_are_drawn_when_asked)
{
    enum { FRAMES = 40, STEPS = 5 };
    dmc__device *const d = fixture_device("cpu");
    dmc__graph *const g = empty_graph();
    const dmc__gimage x = dmc__g_image(g, dmc__graph_input(g, "cond", FRAMES, H * W), H, W, 1);
    const dmc__val out[] = {dmc__g_crop2d(g, x, H - 4, W - 2, 1).v, dmc__g_crop2d(g, x, H - 4, W - 2, 1).v};
    dmc__graph_output(g, out[0]);
    dmc__graph_output(g, out[1]);
    dmc__plan *p;
    fixture_ok(dmc__plan_create(g, d, 1, DMC__PLAN_TRAIN | DMC__PLAN_DINPUT, NULL, &p));
    float pixel[FRAMES * H * W];
    for (int i = 0; i < FRAMES * H * W; i++) pixel[i] = (float)(i % (H * W));
    fixture_ok(dmc__dev_in(d, dmc__plan_value(p, 0), pixel, FRAMES * H * W));
    const size_t size = (size_t)(H - 4) * (W - 2), n = FRAMES * size;
    int differ = 0, moved = 0, steps_differ = 0;
    float *before = NULL;
    for (uint64_t step = 0; step <= STEPS; step++) {
        dmc__plan_set_dropout(p, step > 0, 11, step);
        fixture_ok(dmc__plan_forward(p));
        float *const a = fixture_read(d, dmc__plan_value(p, out[0]), n), *const b = fixture_read(d, dmc__plan_value(p, out[1]), n);
        for (size_t f = 0; f < FRAMES; f++) {
            differ += a[f * size] != b[f * size];
            moved += a[f * size] != 2 * W + 1;
            steps_differ += before && a[f * size] != before[f * size];
        }
        if (step == 0) ck_assert(differ == 0 && moved == 0);
        free(before);
        before = a;
        free(b);
    }
    free(before);
    /* 15 places: one in 15 agrees by chance */
    ck_assert_int_gt(differ, STEPS * FRAMES * 8 / 10);
    ck_assert_int_gt(moved, STEPS * FRAMES * 8 / 10);
    ck_assert_int_gt(steps_differ, STEPS * FRAMES * 8 / 10);
    dmc__plan_destroy(p);
    dmc__graph_destroy(g);
    dmc__device_close(d);
}
END_TEST

/* ---- square kernels --------------------------------------------------------------------------------- */

/* PyTorch's w[o][i][y][x] lies at (y,x,i,o). */
START_TEST(stored_order)
{
    const net n = make_net(1);
    const dmc__param_spec *const s = dmc__graph_param(n.g, 0);
    size_t j = 0;
    for (size_t o = 0; o < 4; o++)
        for (size_t i = 0; i < C; i++)
            for (size_t y = 0; y < 3; y++)
                for (size_t x = 0; x < 3; x++)
                    ck_assert_uint_eq(dmc__params_stored_index(s, j++), ((y * 3 + x) * C + i) * 4 + o);
    ck_assert_uint_eq(j, s->size);
    dmc__graph_destroy(n.g);
}
END_TEST

/* w + alpha/r sum_k B[o][k] A[k][i][y][x], in PyTorch's order throughout. */
START_TEST(adapters_of_a_square_kernel)
{
    enum { R = 2 };
    dmc__device *const d = fixture_device("ref64");
    const net n = make_net(1);
    const size_t elems = dmc__graph_param_elems(n.g);
    void *const base = fixture_weights(d, n.g, 1), *const merged = fixture_block(d, elems);
    dmc__lora *l;
    fixture_ok(dmc__lora_create(n.g, d, R, 3, "conv", 1, &l));
    ck_assert_int_eq(dmc__lora_count(l), 1);
    int32_t rank, sa[DMC__MAX_RANK], sb[2];
    dmc__lora_shape(l, 0, &rank, sa, sb);
    const int32_t want_a[] = {R, C, 3, 3}, want_b[] = {4, R};
    ck_assert_int_eq(rank, 4);
    ck_assert_mem_eq(sa, want_a, sizeof want_a);
    ck_assert_mem_eq(sb, want_b, sizeof want_b);
    const size_t in = 9 * C;
    float *const a = fixture_normals(R * in, 5, 1), *const b = fixture_normals(4 * R, 6, 1), w[4 * 9 * C], got[4 * 9 * C];
    fixture_ok(dmc__lora_set(l, 0, a, b));
    fixture_ok(dmc__lora_merge(l, base, merged));
    fixture_ok(dmc__params_get(n.g, d, base, 0, w, 4 * in));
    fixture_ok(dmc__params_get(n.g, d, merged, 0, got, 4 * in));
    for (size_t i = 0; i < 4 * in; i++) {
        double sum = w[i];
        for (size_t k = 0; k < R; k++) sum += 3.0 / R * b[i / in * R + k] * a[k * in + i % in];
        ck_assert_double_eq_tol(got[i], sum, 1e-6);
    }
    free(a);
    free(b);
    dmc__lora_destroy(l);
    dmc__dev_free(d, base, elems);
    dmc__dev_free(d, merged, elems);
    dmc__graph_destroy(n.g);
    dmc__device_close(d);
}
END_TEST

Suite *dmc_suite_graph_image(void)
{
    Suite *s = suite_create("graph_image");
    TCase *t = tcase_create("graph_image");
    tcase_add_loop_test(t, errors_name_the_layer, 0, SENTENCES);
    tcase_add_test(t, shapes_and_parameters);
    tcase_add_test(t, frames_are_like_samples);
    tcase_add_loop_test(t, gradients_are_slopes, 0, 2);
    tcase_add_test(t, windows_are_drawn_when_asked);
    tcase_add_test(t, stored_order);
    tcase_add_test(t, adapters_of_a_square_kernel);
    suite_add_tcase(s, t);
    return s;
}
