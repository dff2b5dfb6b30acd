/* ops_update.c — the optimizer against torch.optim.AdamW, averaging, and merging of adapters. */
#include "ops_check.h"

#include <string.h>

#define EXACT 1e-14

START_TEST(sumsq_values)
{
    const double x[] = {1, -2, 3};
    double out;
    op_call(DMC_OP_SUMSQ, &(dmc_kargs){.in = {x}, .out = &out, .dim = {3}});
    ck_assert_double_eq(out, 14);
}
END_TEST

/* In float, terms far below the sum must still count: 1 + 2^20 times 2^-30. */
START_TEST(sumsq_accumulates_in_double)
{
    enum { N = 1 << 20 };
    static float x[N + 1];
    float out;
    x[0] = 1;
    for (int i = 1; i <= N; i++) x[i] = 0x1p-15f;
    const dmc_kargs k = {.in = {x}, .out = &out, .dim = {N + 1}};
    ck_assert_int_eq(op_table.f32.op[DMC_OP_SUMSQ].fwd(&k), 0);
    ck_assert(out == 1 + 0x1p-10f);
}
END_TEST

/* PyTorch 1.13 in double: lr 0.1, betas 0.9 0.99, eps 1e-8, weight decay 0.01, clip_grad_norm_ 1,
 * average with rate 0.5. The norms of the gradients are 1.3, 0.3 and 5: two are clipped. */
START_TEST(adamw_three_steps_of_torch)
{
    static const double grad[3][3] = {{0.3, -0.4, 1.2}, {0.1, 0.2, -0.2}, {-3, 0, 4}};
    static const double want[3][3] = {
        {0.8990000043333365, -1.8980000032500024, 0.39950000108333417},
        {0.8068831133573098, -1.8804842796495171, 0.34927775378910686},
        {0.8377002725656676, -1.8665037792610202, 0.278257807890396},
    };
    static const double want_ema[] = {0.8579459151638282, -1.8906229599491398, 0.3388858425278915};
    static const double want_moments[] = {
        -0.032307694686381866, -0.0069230577514940396, 0.1367691572544853,
        0.0042209445025685,    0.0013239038978987811,  0.0151471325210898,
    };
    double w[] = {1, -2, 0.5}, ema[] = {1, -2, 0.5}, moments[6] = {0}, sumsq;
    for (int step = 0; step < 3; step++) {
        op_call(DMC_OP_SUMSQ, &(dmc_kargs){.in = {grad[step]}, .out = &sumsq, .dim = {3}});
        op_call(DMC_OP_ADAMW, &(dmc_kargs){.in = {grad[step], &sumsq}, .out = w, .out2 = ema,
                                           .save = moments, .dim = {3},
                                           .attr = {0.1, 0.9, 0.99, 1e-8, 0.01, step + 1, 1, 0.5}});
        op_expect_numbers("w", w, want[step], 3, EXACT);
    }
    op_expect_numbers("ema", ema, want_ema, 3, EXACT);
    op_expect_numbers("m, v", moments, want_moments, 6, EXACT);
}
END_TEST

/* The first step moves a weight by lr against the sign of its gradient, whatever its size. */
START_TEST(adamw_without_clipping)
{
    const double grad[] = {1e-3, -1e3}, want[] = {-0.1, 0.1}, sumsq = 1e6;
    double w[2] = {0, 0}, moments[4] = {0};
    dmc_kargs k = {.in = {grad}, .out = w, .save = moments, .dim = {2},
                   .attr = {0.1, 0.9, 0.999, 0, 0.01, 1, 1, 0}};
    op_call(DMC_OP_ADAMW, &k);
    op_expect_numbers("without a norm", w, want, 2, EXACT);
    memset(w, 0, sizeof w);
    memset(moments, 0, sizeof moments);
    k.in[1] = &sumsq;
    k.attr[6] = 0;
    op_call(DMC_OP_ADAMW, &k);
    op_expect_numbers("without a bound", w, want, 2, EXACT);
    ck_assert_double_eq_tol(moments[1], -100, 1e-12);
}
END_TEST

START_TEST(lerp_values)
{
    const double x[] = {4, -8}, want[] = {1.75, -2};
    double out[] = {1, 0};
    op_call(DMC_OP_LERP, &(dmc_kargs){.in = {x}, .out = out, .dim = {2}, .attr = {0.25}});
    op_expect_numbers("out", out, want, 2, EXACT);
}
END_TEST

/* W = W0 + s A Bm of rank 1 is an outer product; s = 0 gives the frozen weight to the bit. */
START_TEST(lora_merges_an_outer_product)
{
    const double W0[] = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6}, A[] = {1, 10}, Bm[] = {1, 2, 3};
    const double want[] = {2.1, 4.2, 6.3, 20.4, 40.5, 60.6};
    double W[6];
    dmc_kargs k = {.in = {W0}, .par = {A, Bm}, .out = W, .dim = {2, 3, 1}, .attr = {2}};
    op_call(DMC_OP_LORA, &k);
    op_expect_numbers("W", W, want, 6, EXACT);
    k.attr[0] = 0;
    op_call(DMC_OP_LORA, &k);
    ck_assert_mem_eq(W, W0, sizeof W);
}
END_TEST

Suite *dmc_suite_ops_update(void)
{
    Suite *s = suite_create("ops_update");
    TCase *t = tcase_create("ops_update");
    tcase_add_test(t, sumsq_values);
    tcase_add_test(t, sumsq_accumulates_in_double);
    tcase_add_test(t, adamw_three_steps_of_torch);
    tcase_add_test(t, adamw_without_clipping);
    tcase_add_test(t, lerp_values);
    tcase_add_test(t, lora_merges_an_outer_product);
    suite_add_tcase(s, t);
    return s;
}
