/* ops_agree.c — a table against the reference: float against double, and the kernels of this CPU
 * against float; with threads, in place, and with NaN. */
#include "ops_check.h"

#define FORWARD_TOLERANCE 1e-5
#define BACKWARD_TOLERANCE 1e-4

/* ---- tests ----------------------------------------------------------------------------------- */

static op_pair agree(op_target tested, op_target reference)
{
    return (op_pair){tested, reference, FORWARD_TOLERANCE, BACKWARD_TOLERANCE};
}

START_TEST(float_agrees_with_double)
{
    op_compared = agree((op_target){"ref", &op_table.f32, sizeof(float), NULL, NULL},
                        (op_target){"ref64", &op_table.f64, sizeof(double), NULL, NULL});
    op_compare_odd(&op_rows[_i]);
}
END_TEST

/* Loop tests of the CPU count through all rows, table after table. NULL: no kernel of its own. */
static const op_row *choose_cpu(int i)
{
    const op_row *const row = &op_rows[i % op_row_count];
    const dmc_kernel_table *const table = &op_table.cpu[i / op_row_count];
    const dmc_op_impl *const own = &table->op[row->op], *const base = &op_table.f32.op[row->op];
    op_compared = agree((op_target){op_table.isa[i / op_row_count], table, sizeof(float), NULL, NULL},
                        (op_target){"ref", &op_table.f32, sizeof(float), NULL, NULL});
    return own->fwd != base->fwd || own->bwd != base->bwd ? row : NULL;
}

START_TEST(cpu_agrees_at_odd_shapes)
{
    const op_row *const row = choose_cpu(_i);
    if (row) op_compare_odd(row);
}
END_TEST

START_TEST(cpu_agrees_at_network_shapes)
{
    static const int32_t batches[] = {1, 2, 3, 16, 64};
    const op_row *const row = choose_cpu(_i);
    if (!row || !row->unet) return;
    for (size_t b = 0; b < sizeof batches / sizeof batches[0]; b++)
        for (const op_shape *s = row->unet; s->dim[0]; s++) {
            op_case *const c = op_case_create(row, s, batches[b], 0);
            op_compare(c);
            op_case_destroy(c);
        }
}
END_TEST

Suite *dmc_suite_ops_agree(void)
{
    Suite *s = suite_create("ops_agree");
    TCase *t = tcase_create("ops_agree");
    tcase_add_loop_test(t, float_agrees_with_double, 0, op_row_count);
    tcase_add_loop_test(t, cpu_agrees_at_odd_shapes, 0, op_row_count * op_table.cpu_count);
    tcase_add_loop_test(t, cpu_agrees_at_network_shapes, 0, op_row_count * op_table.cpu_count);
    suite_add_tcase(s, t);
    return s;
}
