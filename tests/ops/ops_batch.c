/* ops_batch.c — a sample's bits do not depend on the batch it is in: forward, and the gradient of the input. */
#include "ops_check.h"

#include <stdlib.h>
#include <string.h>

enum { MOST = 33 }; /* samples */

typedef struct dense_case {
    enum dmc_op op;
    int32_t dim[DMC_KDIM]; /* of one sample */
} dense_case;

/* Few and many rows and taps, columns that fill no vector, weights that fill no cache. */
static const dense_case cases[] = {
    {DMC_OP_LINEAR, {1, 33, 70, 70}},
    {DMC_OP_LINEAR, {1, 300, 130, 150}},
    {DMC_OP_LINEAR, {1, 7, 5, 5}},
    {DMC_OP_LINEAR, {10, 96, 320, 320}},
    {DMC_OP_LINEAR, {1, 600, 1030, 1030}},
    {DMC_OP_CONV1D, {1, 4, 48, 4, 96, 5, 1, 2}},
    {DMC_OP_CONV1D, {1, 9, 14, 9, 33, 5, 1, 2}},
    {DMC_OP_CONV1D, {1, 8, 200, 4, 64, 3, 2, 1}},
    {DMC_OP_CONV1D, {1, 16, 24, 16, 40, 3, 1, 1}},
    {DMC_OP_CONV1D, {1, 4, 200, 4, 300, 5, 1, 2}},
    {DMC_OP_CONV1D, {1, 5, 20, 5, 7, 1, 1, 0}},
    {DMC_OP_CONVT1D, {1, 4, 64, 8, 64, 4, 2, 1}},
    {DMC_OP_CONVT1D, {1, 3, 13, 6, 9, 4, 2, 1}},
};
enum { CASES = sizeof cases / sizeof *cases };

typedef struct dense_data {
    size_t x, y, w; /* elements: of one sample; of the weight */
    float *in, *weight, *bias, *dout, *out, *din, *scratch;
} dense_data;

static float *draw(size_t n, uint32_t seed)
{
    float *const v = aligned_alloc(64, (n * sizeof *v + 63) / 64 * 64);
    ck_assert_msg(v != NULL, "the test is out of memory");
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525U + 1013904223U;
        v[i] = (float)(int32_t)seed * 0x1p-31F;
    }
    return v;
}

static dense_data make_data(const dense_case *c)
{
    const int32_t *d = c->dim;
    const int linear = c->op == DMC_OP_LINEAR;
    dense_data s = {.x = (size_t)(linear ? d[0] * d[1] : d[1] * d[2]), .y = (size_t)(linear ? d[0] * d[2] : d[3] * d[4]),
                    .w = (size_t)(linear ? d[1] * d[3] : d[5] * d[2] * d[4])};
    s.in = draw(MOST * s.x, 1), s.weight = draw(s.w, 2), s.bias = draw(s.y, 3), s.dout = draw(MOST * s.y, 4);
    s.out = draw(MOST * s.y, 5), s.din = draw(MOST * s.x, 6), s.scratch = draw(1 << 20, 7);
    return s;
}

static void free_data(dense_data *s)
{
    free(s->in), free(s->weight), free(s->bias), free(s->dout), free(s->out), free(s->din), free(s->scratch);
}

/* n samples from `first` on, results to out and din. */
static void run(const dmc_op_impl *op, const dense_case *c, const dense_data *s, size_t first, size_t n, float *out, float *din)
{
    dmc_op_need need = {0};
    dmc_kargs k = {.in = {s->in + first * s->x}, .par = {s->weight, s->bias}, .out = out, .dout = s->dout + first * s->y,
                   .din = {din}, .scratch = s->scratch};
    memcpy(k.dim, c->dim, sizeof k.dim);
    k.dim[0] *= (int32_t)n;
    if (op->prepare != NULL) op->prepare(&k, &need);
    ck_assert_uint_le(need.scratch_bwd, (1 << 20) * sizeof(float));
    ck_assert_int_eq(op->fwd(&k), 0);
    ck_assert_int_eq(op->bwd(&k), 0);
}

static void check_case(const char *isa, const dmc_op_impl *op, const dense_case *c)
{
    dense_data s = make_data(c);
    float *const out = draw(MOST * s.y, 8), *const din = draw(MOST * s.x, 9);
    run(op, c, &s, 0, MOST, s.out, s.din);
    for (size_t n = 1; n < MOST; n += n < 8 ? 1 : 7)
        for (size_t first = 0; first + n <= MOST; first += n) {
            run(op, c, &s, first, n, out, din);
            ck_assert_msg(memcmp(out, s.out + first * s.y, n * s.y * sizeof *out) == 0,
                          "%s, case %d: samples %zu.. of %zu differ", isa, (int)(c - cases), first, n);
            ck_assert_msg(memcmp(din, s.din + first * s.x, n * s.x * sizeof *din) == 0,
                          "%s, case %d: gradients of samples %zu.. of %zu differ", isa, (int)(c - cases), first, n);
        }
    free(out), free(din);
    free_data(&s);
}

START_TEST(a_sample_is_alone)
{
    for (int i = 0; i < op_table.cpu_count; i++)
        check_case(op_table.isa[i], &op_table.cpu[i].op[cases[_i].op], &cases[_i]);
}
END_TEST

Suite *dmc_suite_ops_batch(void)
{
    Suite *s = suite_create("ops_batch");
    TCase *t = tcase_create("ops_batch");
    tcase_add_loop_test(t, a_sample_is_alone, 0, CASES);
    suite_add_tcase(s, t);
    return s;
}
