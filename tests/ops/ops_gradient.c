/* ops_gradient.c — backward of ref64 against central differences of its forward. */
#include "ops_check.h"

#define STEP 0x1p-17
#define TOLERANCE 1e-6

/* sum of dout (out(x + h) - out(x - h)) / 2h for element i of an operand */
static double difference(op_run *r, int slot, size_t i, op_values *up, op_values *down)
{
    const op_case *const c = op_run_case(r);
    const double x = c->value[slot][i];
    double sum = 0;
    op_run_poke(r, slot, i, x + STEP);
    op_run_forward(r);
    op_run_results(r, up);
    op_run_poke(r, slot, i, x - STEP);
    op_run_forward(r);
    op_run_results(r, down);
    op_run_poke(r, slot, i, x);
    for (size_t o = 0; o < c->count[OUT]; o++)
        sum += c->dout[o] * (up->v[OUT][o] - down->v[OUT][o]);
    return sum / (2 * STEP);
}

static void differentiate(op_run *r, op_values *gradient)
{
    const op_case *const c = op_run_case(r);
    op_values up = op_values_create(c), down = op_values_create(c);
    op_run_load(r);
    for (int s = 0; s < GRADS; s++)
        for (size_t i = 0; op_case_slots(c, 'd') >> s & 1 && i < c->count[s]; i++)
            gradient->v[s][i] = difference(r, s, i, &up, &down);
    op_values_destroy(&up);
    op_values_destroy(&down);
}

static void check_case(const op_case *c)
{
    const op_target ref64 = {"ref64", &op_table.f64, sizeof(double), NULL, NULL};
    op_values gradient = op_values_create(c);
    op_run *const r = op_run_create(c, &ref64);
    differentiate(r, &gradient);
    op_check_backward(r, &gradient, TOLERANCE);
    op_run_destroy(r);
    op_values_destroy(&gradient);
}

START_TEST(backward_is_the_derivative_of_forward)
{
    const op_row *const row = &op_rows[_i];
    if (!op_slots(row, 'd')) return;
    for (const op_shape *s = row->odd; s->dim[0]; s++) op_each_subset(row, s, check_case);
}
END_TEST

Suite *dmc_suite_ops_gradient(void)
{
    Suite *s = suite_create("ops_gradient");
    TCase *t = tcase_create("ops_gradient");
    tcase_add_loop_test(t, backward_is_the_derivative_of_forward, 0, op_row_count);
    suite_add_tcase(s, t);
    return s;
}
