/* ops_main.c — one program for all tests of kernels. CK_RUN_SUITE=<name> selects, CK_FORK=no keeps
 * one process for a debugger. Compiled with -DDMC_NO_CPU_KERNELS only the reference is tested. */
#include "ops_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

op_tables op_table;

#ifndef DMC_NO_CPU_KERNELS

#include "../../kernels/cpu/cpu_kernels.h"

static void announce(int i)
{
    int own = 0;
    for (int op = 0; op < DMC_OP_COUNT; op++)
        own += op_table.cpu[i].op[op].fwd != op_table.f32.op[op].fwd;
    printf("cpu (%s): %d of %d operations have their own kernel\n", op_table.isa[i], own,
           (int)DMC_OP_COUNT);
}

static void fill_cpu(void)
{
    for (int i = 0; i < CPU_TABLES; i++) op_table.cpu[i] = op_table.f32;
    op_table.isa[0] = dmc__kernels_cpu(&op_table.cpu[0]);
    op_table.cpu_count = 1;
#ifdef DMC_HAVE_X86
    if (strcmp(op_table.isa[0], "avx512") == 0) {
#define FILL(name) dmc__cpu_fill_##name##_avx2(&op_table.cpu[1]);
        CPU_FILLS(FILL)
#undef FILL
        op_table.isa[1] = "avx2";
        op_table.cpu_count = 2;
    }
#endif
    for (int i = 0; i < op_table.cpu_count; i++) announce(i);
}

#else

static void fill_cpu(void)
{
}

#endif

int main(void)
{
    dmc__kernels_ref_f64(&op_table.f64);
    dmc__kernels_ref_f32(&op_table.f32);
    fill_cpu();
    SRunner *const runner = srunner_create(dmc_suite_ops_tables());
    srunner_add_suite(runner, dmc_suite_ops_gradient());
    srunner_add_suite(runner, dmc_suite_ops_agree());
    srunner_add_suite(runner, dmc_suite_ops_layers());
    srunner_add_suite(runner, dmc_suite_ops_random());
    srunner_add_suite(runner, dmc_suite_ops_transformer());
    srunner_add_suite(runner, dmc_suite_ops_diffusion());
    srunner_add_suite(runner, dmc_suite_ops_losses());
    srunner_add_suite(runner, dmc_suite_ops_update());
    srunner_add_suite(runner, dmc_suite_ops_weights());
    srunner_add_suite(runner, dmc_suite_ops_image());
    srunner_add_suite(runner, dmc_suite_ops_accuracy());
    srunner_add_suite(runner, dmc_suite_ops_batch());
    srunner_add_suite(runner, dmc_suite_ops_device());
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
