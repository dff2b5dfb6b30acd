/* ops_tables.c — every backend's table is complete, and every operation is tested. */
#include "ops_check.h"

typedef struct op_listed {
    const char *name;
    bool has_backward;
} op_listed;

static const op_listed listed[DMC_OP_COUNT] = {
#define OP(NAME, name, n_in, n_par, has_bwd) {#name, has_bwd},
#include "../../kernels/ops.def"
#undef OP
};

static void check_table(const char *backend, const dmc_kernel_table *t)
{
    for (int i = 0; i < DMC_OP_COUNT; i++) {
        ck_assert_msg(t->op[i].fwd != NULL, "%s has no forward of %s", backend, listed[i].name);
        ck_assert_msg((t->op[i].bwd != NULL) == listed[i].has_backward, "%s: backward of %s %s",
                      backend, listed[i].name,
                      listed[i].has_backward ? "is missing" : "is not in ops.def");
    }
}

START_TEST(every_slot_is_filled)
{
    check_table("ref64", &op_table.f64);
    check_table("ref", &op_table.f32);
    for (int i = 0; i < op_table.cpu_count; i++) check_table(op_table.isa[i], &op_table.cpu[i]);
}
END_TEST

/* With gradients exactly where ops.def has a backward. */
START_TEST(every_operation_has_a_row)
{
    for (int i = 0; i < DMC_OP_COUNT; i++) {
        const op_row *row = NULL;
        for (int r = 0; r < op_row_count; r++)
            if (op_rows[r].op == (enum dmc_op)i) row = &op_rows[r];
        ck_assert_msg(row != NULL, "tests/ops/ops_rows.c has no row for %s", listed[i].name);
        ck_assert_str_eq(row->name, listed[i].name);
        ck_assert_msg((op_slots(row, 'd') != 0) == listed[i].has_backward,
                      "row %s: letters d do not fit ops.def", row->name);
    }
}
END_TEST

Suite *dmc_suite_ops_tables(void)
{
    Suite *s = suite_create("ops_tables");
    TCase *t = tcase_create("ops_tables");
    tcase_add_test(t, every_slot_is_filled);
    tcase_add_test(t, every_operation_has_a_row);
    suite_add_tcase(s, t);
    return s;
}
