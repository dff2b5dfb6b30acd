/* ops_image.c — operations on images at numbers of PyTorch 1.13 (double, channels last), where the window of a crop
 * falls, and that a frame gets the same bits in any batch. */
#include "ops_check.h"

#include "../../lib/base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define EXACT 1e-15

/* One frame of 3 x 4 pixels, two channels to two, 3 x 3 taps, stride 2, pad 1. */
START_TEST(conv2d_is_pytorchs)
{
    const double x[] = {-3, 2, -2, 3, -1, -3, 0, -2, 1, -1, 2, 0, 3, 1, -3, 2, -2, 3, -1, -3, 0, -2, 1, -1};
    const double w[] = {-2, 1, 2, 0, -1, 2, -2, 1, 0, -2, -1, 2, 1, -1, 0, -2, 2, 0,
                        1, -1, -2, 1, 2, 0, -1, 2, -2, 1, 0, -2, -1, 2, 1, -1, 0, -2};
    const double b[] = {0.5, -1}, dy[] = {-3, 1, -2, 2, -1, 3, 0, 4};
    const double want[] = {9.5, -11, -16.5, -3, -3.5, -8, -17.5, 28};
    const double want_dx[] = {-6, -4, 3, -10, -4, -4, 6, -4, 5, 10, 0, 11, 4, 10, -12, 4, -2, -4, 1, -10, 0, -4, 4, 0};
    const double want_dw[] = {0, 8, 0, 0, -1, 15, 1, 1, -2, -6, 0, 8, 4, -8, -6, -6, 13, -11,
                              -3, -3, 7, -1, -2, -14, -4, 4, 0, 0, -9, 7, 1, 1, 0, -4, -4, 4};
    const double want_db[] = {-6, 10};
    double y[8], dx[24], dw[36] = {0}, db[2] = {0};
    const dmc_kargs k = {.in = {x}, .par = {w, b}, .out = y, .dout = dy, .din = {dx}, .dpar = {dw, db},
                         .dim = {1, 3, 4, 2, 2, 2, 2, 3, 2, 1}};
    op_call(DMC_OP_CONV2D, &k);
    op_expect_numbers("y", y, want, 8, EXACT);
    op_call_backward(DMC_OP_CONV2D, &k);
    op_expect_numbers("dx", dx, want_dx, 24, EXACT);
    op_expect_numbers("dw", dw, want_dw, 36, EXACT);
    op_expect_numbers("db", db, want_db, 2, EXACT);
}
END_TEST

/* 3 x 4 pixels, 3 x 3 windows, stride 2, pad 1: all four see a 5, the left ones the first, the right ones the second. */
START_TEST(maxpool2d_gives_to_the_first_of_equals)
{
    const double x[] = {3, 1, 2, 2, 5, 5, -1, -2, -3, 0, 4, 4}, dy[] = {1, 10, 100, 1000};
    const double want[] = {5, 5, 5, 5}, want_dx[] = {0, 0, 0, 0, 101, 1010, 0, 0, 0, 0, 0, 0};
    double y[4], won[4], dx[12];
    const dmc_kargs k = {.in = {x}, .out = y, .save = won, .dout = dy, .din = {dx}, .dim = {1, 3, 4, 1, 2, 2, 3, 2, 1}};
    op_call(DMC_OP_MAXPOOL2D, &k);
    op_expect_numbers("y", y, want, 4, 0);
    op_call_backward(DMC_OP_MAXPOOL2D, &k);
    op_expect_numbers("dx", dx, want_dx, 12, 0);
}
END_TEST

/* Padding never wins, not even over -inf; one NaN among numbers does. */
START_TEST(maxpool2d_shows_what_is_not_finite)
{
    const float x[] = {-INFINITY, -INFINITY, -7, -8, 1, NAN, 2, 3};
    const dmc_kernel_table *const tables[] = {&op_table.f32, &op_table.cpu[0], &op_table.cpu[1]};
    float y[2], won[2], dx[8];
    const float dy[] = {1, 1};
    const dmc_kargs k = {.in = {x}, .out = y, .save = won, .dout = dy, .din = {dx}, .dim = {1, 1, 8, 1, 1, 2, 3, 5, 1}};
    for (int i = 0; i < 1 + op_table.cpu_count; i++) {
        ck_assert_int_eq(tables[i]->op[DMC_OP_MAXPOOL2D].fwd(&k), 0);
        ck_assert(y[0] == -INFINITY && isnan(y[1]));
        ck_assert_int_eq(tables[i]->op[DMC_OP_MAXPOOL2D].bwd(&k), 0);
        ck_assert(dx[0] == 1 && dx[1] == 0 && dx[5] == 1);
    }
}
END_TEST

/* 2 x 3 pixels, two channels, tau 0.7; the second channel is flat: its centre is that of the image. */
START_TEST(spatial_softmax_is_x_then_y_of_each_channel)
{
    const double x[] = {0.5, 1, -1, 1, 2, 1, 0, 1, 1, 1, -0.5, 1}, tau[] = {0.7}, dy[] = {1, 2, -1, 0.5};
    const double want[] = {0.5859879591829975, -0.5533842270273752, 0, 0}, want_dtau[] = {0.7411887348588746};
    const double want_dx[] = {-0.28532534154212824, 0.11904761904761905, -0.019972248358850024, -0.11904761904761905,
                              -0.4701006858006055, -0.35714285714285715, 0.08568041380212395, 0.35714285714285715,
                              0.5926124070412953, 0.11904761904761905, 0.09710545485816469, -0.11904761904761905};
    double y[4], save[8], dx[12], dtau[1] = {0};
    const dmc_kargs k = {.in = {x}, .par = {tau}, .out = y, .save = save, .dout = dy, .din = {dx}, .dpar = {dtau},
                         .dim = {1, 2, 3, 2}};
    op_call(DMC_OP_SPATIAL_SOFTMAX, &k);
    op_expect_numbers("y", y, want, 4, EXACT);
    op_call_backward(DMC_OP_SPATIAL_SOFTMAX, &k);
    op_expect_numbers("dx", dx, want_dx, 12, EXACT);
    op_expect_numbers("dtau", dtau, want_dtau, 1, EXACT);
}
END_TEST

/* ---- crops ----------------------------------------------------------------------------------- */

enum { FRAMES = 600, H = 5, W = 4, CROP_H = 3, CROP_W = 2, PLACES_H = H - CROP_H + 1, PLACES_W = W - CROP_W + 1 };
static const uint64_t key[4] = {0x0123456789abcdef, DMC_STREAM_DROPOUT, 0x1200000034, 0x5600000078};

/* Pixel p of every frame is p, so that the first of a window says where it stands. */
static void crop_frames(const dmc_kernel_table *table, uint64_t first, int32_t frames, double random, float *y)
{
    static float x[FRAMES * H * W];
    for (int i = 0; i < frames * H * W; i++) x[i] = (float)(i % (H * W));
    dmc_kargs k = {.in = {x}, .out = y, .dim = {frames, H, W, 1, CROP_H, CROP_W}, .attr = {random}};
    memcpy(k.key, key, sizeof key);
    k.key[3] = first;
    ck_assert_int_eq(table->op[DMC_OP_CROP2D].fwd(&k), 0);
}

/* The peer never takes the last row and column of places; here every place has its share. Chi-squared of 8 degrees of
 * freedom is above 26.1 once in a thousand. */
START_TEST(crop2d_draws_every_place)
{
    static float y[FRAMES * CROP_H * CROP_W];
    int seen[PLACES_H][PLACES_W] = {0};
    double chi = 0;
    crop_frames(&op_table.f32, key[3], FRAMES, 1, y);
    for (int b = 0; b < FRAMES; b++) {
        const int at = (int)y[b * CROP_H * CROP_W];
        ck_assert_int_lt(at / W, PLACES_H);
        ck_assert_int_lt(at % W, PLACES_W);
        seen[at / W][at % W]++;
        for (int i = 0; i < CROP_H * CROP_W; i++)
            ck_assert_int_eq((int)y[b * CROP_H * CROP_W + i], at + i / CROP_W * W + i % CROP_W);
    }
    for (int i = 0; i < PLACES_H * PLACES_W; i++) {
        const double share = FRAMES / (double)(PLACES_H * PLACES_W), d = (&seen[0][0])[i] - share;
        chi += d * d / share;
    }
    ck_assert_double_lt(chi, 26.1);
}
END_TEST

START_TEST(crop2d_place_is_the_frames_first_words)
{
    const dmc_kernel_table *const table = _i ? &op_table.cpu[_i - 1] : &op_table.f32;
    float y[13 * CROP_H * CROP_W], alone[CROP_H * CROP_W];
    crop_frames(table, key[3], 13, 1, y);
    for (uint64_t b = 0; b < 13; b++) {
        const dmc__stream s = {key[0], (uint32_t)key[1], key[2], key[3] + b};
        uint32_t w[4];
        dmc__rng_block(&s, 0, w);
        const int top = (int)((uint64_t)w[0] * PLACES_H >> 32), left = (int)((uint64_t)w[1] * PLACES_W >> 32);
        ck_assert_int_eq((int)y[b * CROP_H * CROP_W], top * W + left);
        crop_frames(table, key[3] + b, 1, 1, alone);
        ck_assert_mem_eq(alone, y + b * CROP_H * CROP_W, sizeof alone);
    }
    crop_frames(table, key[3], 1, 0, alone);
    ck_assert_int_eq((int)alone[0], (H - CROP_H) / 2 * W + (W - CROP_W) / 2);
}
END_TEST

/* ---- a frame alone and among others ---------------------------------------------------------- */

static const struct shape {
    enum dmc_op op;
    int32_t dim[DMC_KDIM];
} shapes[] = {
    {DMC_OP_CONV2D, {1, 11, 9, 3, 6, 5, 64, 7, 2, 3}},    {DMC_OP_CONV2D, {1, 8, 7, 64, 8, 7, 64, 3, 1, 1}},
    {DMC_OP_CONV2D, {1, 3, 3, 128, 3, 3, 160, 3, 1, 1}},  {DMC_OP_CONV2D, {1, 3, 3, 512, 2, 2, 40, 3, 2, 1}},
    {DMC_OP_CONV2D, {1, 6, 6, 33, 3, 3, 13, 1, 2, 0}},    {DMC_OP_MAXPOOL2D, {1, 9, 8, 33, 5, 4, 3, 2, 1}},
    {DMC_OP_SPATIAL_SOFTMAX, {1, 3, 4, 33}},
};
enum { SHAPES = sizeof shapes / sizeof *shapes, MANY = 26 };

typedef struct batch {
    float *x, *w, *y, *dx, *save, *scratch;
    size_t in, out;
} batch;

static float *numbers(size_t n, uint32_t seed)
{
    float *const x = malloc((n + 1) * sizeof *x);
    ck_assert_ptr_nonnull(x);
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525U + 1013904223U;
        x[i] = (float)(int32_t)seed * 0x1p-31F;
    }
    return x;
}

/* Frames [first, first + frames) of the same stream of frames; the gradient of an output is its input's neighbour. */
static batch run_frames(const dmc_kernel_table *table, const struct shape *s, size_t first, int32_t frames)
{
    const dmc_op_impl *const op = &table->op[s->op];
    const int32_t *const d = s->dim;
    const size_t n = (size_t)frames, pixels = s->op == DMC_OP_CONV2D ? (size_t)(d[4] * d[5] * d[6]) : (size_t)(d[4] * d[5] * d[3]);
    batch b = {.in = (size_t)(d[1] * d[2] * d[3]), .out = s->op == DMC_OP_SPATIAL_SOFTMAX ? 2 * (size_t)d[3] : pixels};
    dmc_kargs k = {.out = NULL};
    dmc_op_need need = {0};
    memcpy(k.dim, d, sizeof k.dim);
    k.dim[0] = frames;
    b.x = numbers(MANY * b.in, 1);
    float *const dy = numbers(MANY * b.out, 2);
    b.w = numbers((size_t)(d[7] * d[7] * d[3] * d[6] + 1), 3);
    b.y = numbers(n * b.out, 4);
    b.dx = numbers(n * b.in, 5);
    k.in[0] = b.x + first * b.in, k.par[0] = b.w, k.out = b.y, k.dout = dy + first * b.out, k.din[0] = b.dx;
    if (op->prepare) op->prepare(&k, &need);
    b.save = numbers(need.save / sizeof(float), 6);
    b.scratch = numbers((need.scratch_fwd > need.scratch_bwd ? need.scratch_fwd : need.scratch_bwd) / sizeof(float), 7);
    k.save = b.save, k.scratch = b.scratch;
    ck_assert_int_eq(op->fwd(&k), 0);
    ck_assert_int_eq(op->bwd(&k), 0);
    free(dy);
    return b;
}

static void free_batch(const batch *b)
{
    float *const all[] = {b->x, b->w, b->y, b->dx, b->save, b->scratch};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

/* Loop tests count through the shapes, table after table. */
START_TEST(frames_do_not_depend_on_their_batch)
{
    const struct shape *const s = &shapes[_i % SHAPES];
    const dmc_kernel_table *const table = _i < SHAPES ? &op_table.f32 : &op_table.cpu[_i / SHAPES - 1];
    static const int32_t parts[] = {1, 2, 3, 7, 13};
    const batch all = run_frames(table, s, 0, MANY);
    size_t first = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; first += (size_t)parts[i++]) {
        const batch part = run_frames(table, s, first, parts[i]);
        ck_assert_mem_eq(part.y, all.y + first * all.out, (size_t)parts[i] * all.out * sizeof(float));
        ck_assert_mem_eq(part.dx, all.dx + first * all.in, (size_t)parts[i] * all.in * sizeof(float));
        free_batch(&part);
    }
    free_batch(&all);
}
END_TEST

Suite *dmc_suite_ops_image(void)
{
    Suite *s = suite_create("ops_image");
    TCase *t = tcase_create("ops_image");
    tcase_add_test(t, conv2d_is_pytorchs);
    tcase_add_test(t, maxpool2d_gives_to_the_first_of_equals);
    tcase_add_test(t, maxpool2d_shows_what_is_not_finite);
    tcase_add_test(t, spatial_softmax_is_x_then_y_of_each_channel);
    tcase_add_test(t, crop2d_draws_every_place);
    tcase_add_loop_test(t, crop2d_place_is_the_frames_first_words, 0, 1 + op_table.cpu_count);
    tcase_add_loop_test(t, frames_do_not_depend_on_their_batch, 0, SHAPES * (1 + op_table.cpu_count));
    suite_add_tcase(s, t);
    return s;
}
