/* ops_main.c — one program for all tests of kernels. CK_RUN_SUITE=<name> and CK_RUN_CASE=<name>
 * select, CK_FORK=no keeps one process for a debugger. With -DDMC_NO_CPU_KERNELS only the reference
 * is tested. */
#include "ops_check.h"

#include <stdio.h>
#include <stdlib.h>

op_tables op_table;

static void fill_tables(void)
{
    dmc__kernels_ref_f64(&op_table.f64);
    dmc__kernels_ref_f32(&op_table.f32);
    dmc__kernels_ref_f32(&op_table.cpu);
#ifndef DMC_NO_CPU_KERNELS
    int own = 0;
    op_table.isa = dmc__kernels_cpu(&op_table.cpu);
    for (int i = 0; i < DMC_OP_COUNT; i++) own += op_table.cpu.op[i].fwd != op_table.f32.op[i].fwd;
    printf("cpu (%s): %d of %d operations have their own kernel\n", op_table.isa, own,
           (int)DMC_OP_COUNT);
#endif
}

int main(void)
{
    fill_tables();
    SRunner *const runner = srunner_create(dmc_suite_ops_tables());
    srunner_add_suite(runner, dmc_suite_ops_gradient());
    srunner_add_suite(runner, dmc_suite_ops_agree());
    srunner_add_suite(runner, dmc_suite_ops_layers());
    srunner_add_suite(runner, dmc_suite_ops_random());
    srunner_add_suite(runner, dmc_suite_ops_diffusion());
    srunner_add_suite(runner, dmc_suite_ops_losses());
    srunner_add_suite(runner, dmc_suite_ops_update());
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
