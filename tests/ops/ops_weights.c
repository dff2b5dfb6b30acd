/* ops_weights.c — the forms a matrix weight may have: columns of a wider one. Whatever the form, a
 * table computes the same bits as with the numbers alone. */
#include "ops_check.h"

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

Suite *dmc_suite_ops_weights(void)
{
    Suite *s = suite_create("ops_weights");
    TCase *t = tcase_create("ops_weights");
    tcase_add_test(t, columns_of_a_wider_weight);
    suite_add_tcase(s, t);
    return s;
}
