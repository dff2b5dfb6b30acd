/* ops_check.h — the checks every operation goes through, and the suites of this folder. */
#ifndef DMC_TESTS_OPS_CHECK_H
#define DMC_TESTS_OPS_CHECK_H

#include "ops_case.h"

#include <check.h>

enum { CPU_TABLES = 2 };

/* The tables under test, filled once by main. cpu: what dmc__kernels_cpu chooses here, then what it
 * would choose on a lesser processor; slots without a kernel of their own equal those of f32. */
typedef struct op_tables {
    dmc_kernel_table f64, f32, cpu[CPU_TABLES];
    const char *isa[CPU_TABLES];
    int cpu_count;
} op_tables;

extern op_tables op_table;

/* Call check for the case with every subset of its optional operands. */
void op_each_subset(const op_row *row, const op_shape *shape, void (*check)(const op_case *c));

/* Largest |got - want| over the slots' elements, relative to the largest |want| of the slot, must
 * be <= tolerance. */
void op_expect(const op_run *r, const char *what, const op_values *got, const op_values *want,
               uint32_t slots, double tolerance);

/* After loading and forward, all ways to ask for gradients must give `want`: each alone, all, none;
 * overwritten or added to. */
void op_check_backward(op_run *r, const op_values *want, double tolerance);

/* The two tables that are compared, and how far apart they may be: set before walking through cases. */
typedef struct op_pair {
    op_target tested, reference;
    double forward, backward;
} op_pair;

extern op_pair op_compared;

/* Forward, backward, both again on two threads or, on a device, recorded; in place. */
void op_compare(const op_case *c);
/* A network that went wrong must not look healthy: NaN in an input reaches the result, unless it
 * is masked. */
void op_compare_nan(const op_case *c);
/* Both, at the row's odd shapes with every subset of its optional operands. */
void op_compare_odd(const op_row *row);

/* One call on the table of doubles, for tests against numbers worked out by hand. */
void op_call(enum dmc_op op, const dmc_kargs *k);
void op_call_backward(enum dmc_op op, const dmc_kargs *k);
/* |got - want| <= tolerance max(1, |want|) for every element. */
void op_expect_numbers(const char *what, const double *got, const double *want, size_t n,
                       double tolerance);

Suite *dmc_suite_ops_tables(void);
Suite *dmc_suite_ops_gradient(void);
Suite *dmc_suite_ops_agree(void);
Suite *dmc_suite_ops_layers(void);
Suite *dmc_suite_ops_random(void);
Suite *dmc_suite_ops_transformer(void);
Suite *dmc_suite_ops_diffusion(void);
Suite *dmc_suite_ops_losses(void);
Suite *dmc_suite_ops_update(void);
Suite *dmc_suite_ops_weights(void);
Suite *dmc_suite_ops_image(void);
Suite *dmc_suite_ops_accuracy(void);
Suite *dmc_suite_ops_batch(void);
Suite *dmc_suite_ops_device(void);

#endif
