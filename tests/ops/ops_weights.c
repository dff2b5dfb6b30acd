/* ops_weights.c — the forms a matrix weight may have: columns of a wider one, 16-bit numbers. Whatever
 * the form, a table computes the same bits as with the numbers alone. */
#include "ops_check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* n floats whose end is the end of the memory, so that AddressSanitizer sees a read beyond. */
static float *draw(size_t n, uint32_t seed)
{
    float *const x = malloc(n * sizeof *x);
    ck_assert_msg(x != NULL, "the test is out of memory");
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525U + 1013904223U;
        x[i] = (float)(int32_t)seed * 0x1p-31F;
    }
    return x;
}

/* Tables of floats: the reference, then those of the CPU. */
static const dmc_kernel_table *float_table(int i)
{
    return i == 0 ? &op_table.f32 : i <= op_table.cpu_count ? &op_table.cpu[i - 1] : NULL;
}

static void *new_scratch(const dmc_op_impl *op, dmc_kargs *k)
{
    dmc_op_need need = {0};
    if (op->prepare != NULL) op->prepare(k, &need);
    void *const p = aligned_alloc(64, (need.scratch_bwd + 64) / 64 * 64);
    ck_assert_msg(p != NULL, "the test is out of memory");
    return p;
}

static void run_both(const dmc_op_impl *op, dmc_kargs *k)
{
    void *const scratch = new_scratch(op, k);
    k->scratch = scratch;
    ck_assert_int_eq(op->fwd(k), 0);
    ck_assert_int_eq(op->bwd(k), 0);
    free(scratch);
}

/* ---- columns of a wider weight ----------------------------------------------------------------- */

enum { MOST_N = 17, CI = 19, CO = 37, CW = 45 };

/* Rows of the narrow matrix from those of the wide one. */
static void take_columns(const float *wide, float *narrow)
{
    for (size_t i = 0; i < CI; i++) memcpy(narrow + i * CO, wide + i * CW, CO * sizeof *narrow);
}

/* Width 0 means no gap, like width CO; with a gap the results are those without. */
static void check_columns(const dmc_op_impl *op, int32_t n)
{
    enum { USED = (CI - 1) * CW + CO }; /* nothing behind the last used column */
    float *const x = draw(MOST_N * CI, 1), *const dy = draw(MOST_N * CO, 2), *const b = draw(CO, 3);
    float *const wide = draw(USED, 4), *const dwide = calloc(USED, sizeof *wide);
    float narrow[CI * CO], y[2][MOST_N * CO], dx[2][MOST_N * CI], dnarrow[2][CI * CO] = {{0}};
    dmc_kargs k = {.in = {x}, .par = {wide, b}, .out = y[0], .dout = dy, .din = {dx[0]},
                   .dpar = {dwide}, .dim = {n, CI, CO, CW}};
    take_columns(wide, narrow);
    run_both(op, &k);
    take_columns(dwide, dnarrow[0]);
    for (int32_t width = 0; width <= CO; width += CO) {
        memset(dnarrow[1], 0, sizeof dnarrow[1]);
        k.par[0] = narrow, k.out = y[1], k.din[0] = dx[1], k.dpar[0] = dnarrow[1];
        k.dim[3] = width;
        run_both(op, &k);
        ck_assert_mem_eq(y[0], y[1], (size_t)n * CO * sizeof(float));
        ck_assert_mem_eq(dx[0], dx[1], (size_t)n * CI * sizeof(float));
        ck_assert_mem_eq(dnarrow[0], dnarrow[1], sizeof dnarrow[0]);
    }
    for (size_t i = 0; i < USED; i++) ck_assert(i % CW < CO || dwide[i] == 0);
    free(x), free(dy), free(b), free(wide), free(dwide);
}

START_TEST(columns_of_a_wider_weight)
{
    for (int i = 0; float_table(i) != NULL; i++)
        for (int32_t n = 1; n <= MOST_N; n++)
            check_columns(&float_table(i)->op[DMC_OP_LINEAR], n);
}
END_TEST

/* ---- 16 bits ----------------------------------------------------------------------------------- */

typedef struct rounding {
    float x;
    uint16_t bf16, fp16;
} rounding;

/* u = 2^-7 is the unit of bf16 above 1, v = 2^-10 that of fp16; the least number of bf16 is 2^-133, of fp16 2^-24. */
static const rounding roundings[] = {
    {0, 0, 0},
    {-0.0F, 0x8000, 0x8000},
    {1, 0x3f80, 0x3c00},
    {-2.5F, 0xc020, 0xc100},
    {1 + 0x1p-8F, 0x3f80, 0x3c04},            /* half of u: to even, down      */
    {1 + 3 * 0x1p-8F, 0x3f82, 0x3c0c},        /* 1.5 u: to even, up            */
    {-1 - 0x1.002p-8F, 0xbf81, 0xbc04},       /* more than half of u           */
    {1 + 0x1.ffep-9F, 0x3f80, 0x3c04},        /* less                          */
    {1 + 0x1p-11F, 0x3f80, 0x3c00},           /* half of v: down               */
    {1 + 3 * 0x1p-11F, 0x3f80, 0x3c02},       /* 1.5 v: up                     */
    {1 + 0x1.002p-11F, 0x3f80, 0x3c01},
    {0x1.ffep0F, 0x4000, 0x4000},             /* a carry into the exponent     */
    {65504, 0x4780, 0x7bff},                  /* the largest fp16              */
    {65519, 0x4780, 0x7bff},
    {65520, 0x4780, 0x7c00},                  /* halfway to 65536: infinite    */
    {-1e9F, 0xce6e, 0xfc00},
    {0x1p-14F, 0x3880, 0x0400},               /* the least normal fp16         */
    {0x1p-14F - 0x1p-25F, 0x3880, 0x0400},    /* half below it: even is normal */
    {0x1p-24F, 0x3380, 0x0001},
    {0x1p-25F, 0x3300, 0x0000},               /* half of the least: to zero    */
    {0x1.002p-25F, 0x3300, 0x0001},
    {3 * 0x1p-25F, 0x33c0, 0x0002},
    {0x1p-126F, 0x0080, 0x0000},              /* the least normal bf16         */
    {0x1p-133F, 0x0001, 0x0000},
    {0x1p-134F, 0x0000, 0x0000},
    {3 * 0x1p-134F, 0x0002, 0x0000},
    {0x1.fep127F, 0x7f7f, 0x7c00},            /* the largest bf16              */
    {0x1.fefffep127F, 0x7f7f, 0x7c00},
    {-0x1.ffp127F, 0xff80, 0xfc00},           /* halfway beyond it             */
    {INFINITY, 0x7f80, 0x7c00},
    {-INFINITY, 0xff80, 0xfc00},
};
enum { ROUNDINGS = sizeof roundings / sizeof *roundings };

static void narrow(const dmc_kernel_table *t, const void *x, size_t n, int32_t type, uint16_t *out)
{
    const dmc_kargs k = {.in = {x}, .out = out, .dim = {(int32_t)n, type}};
    ck_assert_int_eq(t->op[DMC_OP_NARROW].fwd(&k), 0);
}

static void expect_roundings(const char *name, const dmc_kernel_table *t, const void *x)
{
    uint16_t got[ROUNDINGS];
    for (int32_t type = DMC_WEIGHT_BF16; type <= DMC_WEIGHT_FP16; type++) {
        narrow(t, x, ROUNDINGS, type, got);
        for (int i = 0; i < ROUNDINGS; i++) {
            const uint16_t want = type == DMC_WEIGHT_BF16 ? roundings[i].bf16 : roundings[i].fp16;
            ck_assert_msg(got[i] == want, "%s, type %d: %a is 0x%04x, want 0x%04x", name, type,
                          (double)roundings[i].x, got[i], want);
        }
    }
}

START_TEST(narrow_rounds_to_the_nearest_even)
{
    float x[ROUNDINGS];
    double x64[ROUNDINGS];
    for (int i = 0; i < ROUNDINGS; i++) x64[i] = (double)(x[i] = roundings[i].x);
    expect_roundings("ref64", &op_table.f64, x64);
    for (int i = 0; float_table(i) != NULL; i++)
        expect_roundings(i == 0 ? "ref" : op_table.isa[i - 1], float_table(i), x);
}
END_TEST

/* Whatever the bits of a NaN: cutting off or rounding up may not make a number of it. */
START_TEST(narrow_keeps_nan)
{
    static const uint32_t nan[] = {0x7fc00000, 0x7f800001, 0x7fffffff, 0xffffffff, 0xff80ffff};
    for (int i = 0; float_table(i) != NULL; i++)
        for (int32_t type = DMC_WEIGHT_BF16; type <= DMC_WEIGHT_FP16; type++) {
            uint16_t got[5];
            narrow(float_table(i), nan, 5, type, got);
            for (int j = 0; j < 5; j++) ck_assert_double_nan(op_widen(got[j], type));
        }
}
END_TEST

typedef struct half_case {
    enum dmc_op op;
    size_t x, w, y; /* elements */
    int32_t dim[DMC_KDIM];
} half_case;

#define HALF_LINEAR(N, Ci, Co, Cw) {DMC_OP_LINEAR, (N) * (Ci), ((Ci) - 1) * (Cw) + (Co), (N) * (Co), {N, Ci, Co, Cw}}
#define HALF_CONV(op, B, T, Ci, To, Co, k, s, p) \
    {DMC_OP_##op, (B) * (T) * (Ci), (k) * (Ci) * (Co), (B) * (To) * (Co), {B, T, Ci, To, Co, k, s, p}}
static const half_case half_cases[] = {
    HALF_LINEAR(1, 1, 1, 1), HALF_LINEAR(1, 33, 64, 64), HALF_LINEAR(2, 13, 7, 33), HALF_LINEAR(3, 7, 37, 50),
    HALF_LINEAR(7, 64, 200, 200), HALF_LINEAR(33, 100, 130, 130), HALF_LINEAR(1, 1100, 1000, 1000),
    HALF_LINEAR(4, 1100, 1000, 1001), HALF_LINEAR(64, 300, 48, 48), HALF_LINEAR(100, 13, 14, 14),
    HALF_CONV(CONV1D, 1, 7, 13, 7, 33, 5, 1, 2), HALF_CONV(CONV1D, 5, 4, 48, 4, 70, 5, 1, 2),
    HALF_CONV(CONV1D, 2, 8, 5, 4, 3, 3, 2, 1), HALF_CONV(CONV1D, 17, 9, 16, 9, 32, 5, 1, 2),
    HALF_CONV(CONVT1D, 1, 4, 33, 8, 17, 4, 2, 1), HALF_CONV(CONVT1D, 9, 4, 64, 8, 64, 4, 2, 1),
};

/* Draws like `draw`, every fifth one small enough to lose bits in fp16. */
static float *draw_weights(size_t n)
{
    float *const w = draw(n, 9);
    for (size_t i = 0; i < n; i += 5) w[i] *= 0x1p-16F;
    return w;
}

static void check_half(const dmc_kernel_table *t, const half_case *c, int32_t type)
{
    float *const x = draw(c->x, 1), *const w = draw_weights(c->w), *const b = draw(c->y, 3);
    float *const want = draw(c->y, 4), *const got = draw(c->y, 5);
    uint16_t *const half = malloc(c->w * sizeof *half);
    dmc_kargs k = {.in = {x}, .par = {w, b}, .out = want};
    memcpy(k.dim, c->dim, sizeof k.dim);
    narrow(t, w, c->w, type, half);
    for (size_t i = 0; i < c->w; i++) w[i] = (float)op_widen(half[i], type);
    ck_assert_int_eq(t->op[c->op].fwd(&k), 0);
    k.par[0] = half, k.out = got, k.weight_type = type;
    ck_assert_int_eq(t->op[c->op].fwd(&k), 0);
    ck_assert_mem_eq(got, want, c->y * sizeof *got);
    free(x), free(w), free(b), free(want), free(got), free(half);
}

START_TEST(half_weights_give_the_bits_of_their_floats)
{
    for (int i = 0; float_table(i) != NULL; i++)
        for (size_t c = 0; c < sizeof half_cases / sizeof *half_cases; c++)
            for (int32_t type = DMC_WEIGHT_BF16; type <= DMC_WEIGHT_FP16; type++)
                check_half(float_table(i), &half_cases[c], type);
}
END_TEST

/* 1.5, -0.25 and 3 in both types, by hand. */
START_TEST(half_weights_known_values)
{
    static const uint16_t w[2][3] = {{0x3fc0, 0xbe80, 0x4040}, {0x3e00, 0xb400, 0x4200}};
    const double x[] = {2, 8, 1}, b[] = {10};
    for (int i = 0; i < 2; i++) {
        double y = 0;
        op_call(DMC_OP_LINEAR, &(dmc_kargs){.in = {x}, .par = {w[i], b}, .out = &y, .dim = {1, 3, 1},
                                            .weight_type = DMC_WEIGHT_BF16 + i});
        ck_assert_double_eq(y, 14);
        op_call(DMC_OP_CONV1D, &(dmc_kargs){.in = {x}, .par = {w[i], b}, .out = &y, .dim = {1, 3, 1, 1, 1, 3, 1, 0},
                                            .weight_type = DMC_WEIGHT_BF16 + i});
        ck_assert_double_eq(y, 14);
    }
}
END_TEST

Suite *dmc_suite_ops_weights(void)
{
    Suite *s = suite_create("ops_weights");
    TCase *t = tcase_create("ops_weights");
    tcase_add_test(t, columns_of_a_wider_weight);
    tcase_add_test(t, narrow_rounds_to_the_nearest_even);
    tcase_add_test(t, narrow_keeps_nan);
    tcase_add_test(t, half_weights_give_the_bits_of_their_floats);
    tcase_add_test(t, half_weights_known_values);
    suite_add_tcase(s, t);
    return s;
}
