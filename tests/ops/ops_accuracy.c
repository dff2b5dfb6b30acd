/* ops_accuracy.c — activations made of an exponential, over the whole range of floats, against the
 * double reference: how many digits the CPU's own exponential leaves, and what lies beyond it. */
#include "ops_check.h"

#include <math.h>
#include <string.h>

#define DIGITS 1e-6

enum { CHUNK = 4099, STRIDE = 4001 }; /* numbers per call, with a tail; bit patterns between two */

/* Forward and backward of one op on the same numbers, as floats and as doubles. */
typedef struct both {
    float x[CHUNK], y[CHUNK], dy[CHUNK], dx[CHUNK];
    double x64[CHUNK], y64[CHUNK], dy64[CHUNK], dx64[CHUNK];
} both;

static void run(both *b, enum dmc_op op, const dmc_kernel_table *t, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        b->x64[i] = b->x[i];
        b->dy[i] = 1;
        b->dy64[i] = 1;
    }
    const dmc_kargs f = {.in = {b->x}, .out = b->y, .dout = b->dy, .din = {b->dx}, .dim = {n}};
    const dmc_kargs d = {.in = {b->x64}, .out = b->y64, .dout = b->dy64, .din = {b->dx64}, .dim = {n}};
    ck_assert_int_eq(t->op[op].fwd(&f), 0);
    ck_assert_int_eq(t->op[op].bwd(&f), 0);
    op_call(op, &d);
    op_call_backward(op, &d);
}

static void expect(const char *what, double x, double got, double want, double scale)
{
    ck_assert_msg(fabs(got - want) <= DIGITS * scale, "%s of %a is %.9g, want %.9g: %.2g of it", what, x, got, want,
                  fabs(got - want) / scale);
}

/* The slope is w + x w' with y = x w: two terms that cancel somewhere below 0. */
static void check_chunk(both *b, enum dmc_op op, const dmc_kernel_table *t, int32_t n)
{
    run(b, op, t, n);
    for (int32_t i = 0; i < n; i++) {
        const double w = b->x64[i] == 0 ? b->dx64[i] : b->y64[i] / b->x64[i];
        expect("value", b->x64[i], b->y[i], b->y64[i], fabs(b->y64[i]));
        expect("slope", b->x64[i], b->dx[i], b->dx64[i], fabs(w) + fabs(b->dx64[i] - w));
    }
}

/* Floats of one sign up to `most` in absolute value, from 2^-40 on: there y is x/2 or smaller by as much. */
static void check_range(enum dmc_op op, const dmc_kernel_table *t, uint32_t sign, float most)
{
    static both b;
    uint32_t bits, end;
    const float least = 0x1p-40f;
    int32_t n = 0;
    memcpy(&bits, &least, sizeof bits);
    memcpy(&end, &most, sizeof end);
    for (; bits <= end; bits += STRIDE) {
        const uint32_t signed_bits = bits | sign;
        memcpy(&b.x[n++], &signed_bits, sizeof bits);
        if (n < CHUNK) continue;
        check_chunk(&b, op, t, n);
        n = 0;
    }
    if (n) check_chunk(&b, op, t, n);
}

static const enum dmc_op made_of_exp[] = {DMC_OP_MISH, DMC_OP_SILU};

/* Down to -87, where e^x is the smallest float that has all its digits. */
START_TEST(activations_keep_their_digits)
{
    for (int i = 0; i < op_table.cpu_count; i++) {
        check_range(made_of_exp[_i], &op_table.cpu[i], 0, 3e38f);
        check_range(made_of_exp[_i], &op_table.cpu[i], 0x80000000U, 87);
    }
}
END_TEST

/* Below -87 the result fades to 0, as the reference's does; NaN and infinity stay what they are. */
START_TEST(activations_beyond_the_range)
{
    static both b;
    const float x[] = {-88, -95, -103, -104, -1000, -3e38f, 0, -0.0F, INFINITY, NAN};
    enum { N = sizeof x / sizeof *x, FINITE = 8 };
    for (int i = 0; i < op_table.cpu_count; i++) {
        memcpy(b.x, x, sizeof x);
        run(&b, made_of_exp[_i], &op_table.cpu[i], N);
        for (int j = 0; j < FINITE; j++) { /* to 1e-36 */
            expect("value", x[j], b.y[j], b.y64[j], 1e-30);
            expect("slope", x[j], b.dx[j], b.dx64[j], fabs(b.dx64[j]) + 1e-30);
        }
        ck_assert_msg(isinf(b.y[FINITE]) && b.y[FINITE] > 0, "infinity became %g", (double)b.y[FINITE]);
        ck_assert_msg(isnan(b.y[FINITE + 1]) && isnan(b.dx[FINITE + 1]), "NaN became %g, slope %g",
                      (double)b.y[FINITE + 1], (double)b.dx[FINITE + 1]);
    }
}
END_TEST

Suite *dmc_suite_ops_accuracy(void)
{
    Suite *s = suite_create("ops_accuracy");
    TCase *t = tcase_create("ops_accuracy");
    tcase_add_loop_test(t, activations_keep_their_digits, 0, 2);
    tcase_add_loop_test(t, activations_beyond_the_range, 0, 2);
    suite_add_tcase(s, t);
    return s;
}
