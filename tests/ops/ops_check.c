/* ops_check.c — walking through cases, and the rules of backward. */
#include "ops_check.h"

#include <math.h>
#include <stdio.h>

void op_each_subset(const op_row *row, const op_shape *shape, void (*check)(const op_case *c))
{
    const uint32_t optional = op_slots(row, '?');
    for (uint32_t absent = 0; absent <= optional; absent++) {
        if (absent & ~optional) continue;
        op_case *const c = op_case_create(row, shape, 1, absent);
        check(c);
        op_case_destroy(c);
    }
}

void op_call(enum dmc_op op, const dmc_kargs *k)
{
    ck_assert_int_eq(op_table.f64.op[op].fwd(k), 0);
}

void op_call_backward(enum dmc_op op, const dmc_kargs *k)
{
    ck_assert_int_eq(op_table.f64.op[op].bwd(k), 0);
}

void op_expect_numbers(const char *what, const double *got, const double *want, size_t n,
                       double tolerance)
{
    for (size_t i = 0; i < n; i++)
        ck_assert_msg(fabs(got[i] - want[i]) <= tolerance * fmax(1, fabs(want[i])),
                      "%s[%zu] is %.17g, want %.17g", what, i, got[i], want[i]);
}

/* The tolerance is of the largest element: small ones are sums of large terms that cancel. */
static void expect_slot(const op_run *r, const char *what, int slot, const double *got,
                        const double *want, double tolerance)
{
    const op_case *const c = op_run_case(r);
    double scale = 1e-30, worst = 0;
    size_t at = 0;
    for (size_t i = 0; i < c->count[slot]; i++) scale = fmax(scale, fabs(want[i]));
    for (size_t i = 0; i < c->count[slot]; i++) {
        const double error = fabs(got[i] - want[i]) / scale;
        if (!isfinite(got[i]) || !isfinite(want[i]))
            op_fail(c, "%s %s, %s[%zu] is %g, want %g", op_run_name(r), what, op_slot_name[slot], i,
                    got[i], want[i]);
        if (error <= worst) continue;
        worst = error;
        at = i;
    }
    if (worst > tolerance)
        op_fail(c, "%s %s, %s: worst error %.3g at [%zu] (%.9g, want %.9g), allowed %.1g",
                op_run_name(r), what, op_slot_name[slot], worst, at, got[at], want[at], tolerance);
}

void op_expect(const op_run *r, const char *what, const op_values *got, const op_values *want,
               uint32_t slots, double tolerance)
{
    for (int i = 0; i < SLOTS; i++)
        if (slots >> i & 1) expect_slot(r, what, i, got->v[i], want->v[i], tolerance);
}

static double largest(const double *v, size_t n)
{
    double m = 0;
    for (size_t i = 0; i < n; i++) m = fmax(m, fabs(v[i]));
    return m;
}

/* What the gradients hold before backward: something of their own size where they are added to, NaN
 * where they are overwritten, zero where only some elements are. */
static void fill_before(const op_case *c, uint32_t added, const op_values *want, op_values *before)
{
    for (int s = 0; s < GRADS; s++) {
        const double scale = c->count[s] ? largest(want->v[s], c->count[s]) : 0;
        const double other = op_slot_is(c->row, s, 'c') ? 0 : NAN;
        for (size_t i = 0; i < c->count[s]; i++)
            before->v[s][i] = added >> s & 1 ? (float)(scale * sin(1 + (double)i)) : other;
    }
}

static void check_once(op_run *r, uint32_t wanted, uint32_t acc, const op_values *want,
                       double tolerance)
{
    const op_case *const c = op_run_case(r);
    const uint32_t parameters = 1U << PAR0 | 1U << PAR1, added = (acc | parameters) & wanted;
    op_values before = op_values_create(c), got = op_values_create(c);
    char what[64];
    snprintf(what, sizeof what, "backward (wanted %x, added to %x)", wanted, added);
    fill_before(c, added, want, &before);
    op_run_load(r);
    op_run_forward(r);
    op_run_backward(r, wanted, acc, &before);
    op_run_gradients(r, wanted, &got);
    for (int s = 0; s < GRADS; s++)
        for (size_t i = 0; added >> s & 1 && i < c->count[s]; i++) got.v[s][i] -= before.v[s][i];
    op_expect(r, what, &got, want, wanted, tolerance);
    op_values_destroy(&before);
    op_values_destroy(&got);
}

void op_check_backward(op_run *r, const op_values *want, double tolerance)
{
    const uint32_t all = op_case_slots(op_run_case(r), 'd'), inputs = all & ((1U << PAR0) - 1);
    for (uint32_t acc = 0; acc <= inputs; acc++)
        if (!(acc & ~inputs)) check_once(r, all, acc, want, tolerance);
    for (int s = 0; s < GRADS; s++) {
        const uint32_t one = all & 1U << s;
        if (one) check_once(r, one, 0, want, tolerance);
        if (one & inputs) check_once(r, one, one, want, tolerance);
    }
    check_once(r, 0, 0, want, tolerance);
}
