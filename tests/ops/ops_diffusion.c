/* ops_diffusion.c — noising, transitions and their likelihood: masks, clipping, and the closed
 * forms of methods.md. */
#include "ops_check.h"

#include <math.h>

#define EXACT 1e-14

START_TEST(diffuse_keeps_known_entries)
{
    const double x0[] = {1, 2, 3, 4}, eps[] = {10, 20, 30, 40}, mask[] = {0, 1, 0, 0};
    const double coef[] = {0.8, 0.6, -0.6, 0.8, 0, 1, 1, 0}; /* al si p q of two samples */
    const double want_z[] = {6.8, 2, 30, 40}, want_target[] = {7.4, 14.8, 3, 4};
    double z[4], target[4];
    dmc_kargs k = {.in = {x0, eps, mask}, .par = {coef}, .out = z, .out2 = target, .dim = {2, 2}};
    op_call(DMC_OP_DIFFUSE, &k);
    op_expect_numbers("z", z, want_z, 4, EXACT);
    op_expect_numbers("target", target, want_target, 4, EXACT);
    k.in[2] = NULL;
    op_call(DMC_OP_DIFFUSE, &k);
    ck_assert_double_eq_tol(z[1], 0.8 * 2 + 0.6 * 20, EXACT);
}
END_TEST

/* The v-target (methods.md 1.2) recovers x0 from z: alpha z - sigma v = x0 on a variance-preserving
 * path. */
START_TEST(diffuse_target_recovers_the_sample)
{
    const double al = cos(0.4), si = sin(0.4), x0[] = {0.3, -1.2}, eps[] = {1.7, 0.1};
    const double coef[] = {al, si, -si, al};
    double z[2], v[2];
    op_call(DMC_OP_DIFFUSE, &(dmc_kargs){.in = {x0, eps}, .par = {coef}, .out = z, .out2 = v,
                                         .dim = {1, 2}});
    for (int i = 0; i < 2; i++) ck_assert_double_eq_tol(al * z[i] - si * v[i], x0[i], EXACT);
}
END_TEST

/* x = 2z + f of {0.3 -0.2}, {1.1 0.6} and {-0.9 -1.9}: clipped at 1 where outside. */
static const double step_z[] = {0.1, 0.2, 0.3, -0.4, 0.5, 0.6};
static const double step_f[] = {0.1, -0.6, 0.5, 1.4, -1.9, -3.1};
static const double step_xi[] = {1, -1, 1, -1, 1, -1};
static const double step_mask[] = {0, 0, 0, 0, 1, 0}, step_known[] = {7, 7, 7, 7, 7, 7};

START_TEST(transition_clips_and_inpaints)
{
    /* mu = 0.5 clip(x) + 3z */
    const double want_mu[] = {0.45, 0.5, 1.4, -0.9, 7, 1.3};
    const double want_next[] = {0.7, 0.25, 1.65, -1.15, 7, 1.05};
    double mu[6], next[6];
    const dmc_kargs k = {.in = {step_z, step_f, step_xi}, .par = {step_mask, step_known},
                         .out = next, .out2 = mu, .dim = {2, 3}, .attr = {2, 1, 0.5, 3, 0.25, 1}};
    op_call(DMC_OP_TRANSITION, &k);
    op_expect_numbers("mu", mu, want_mu, 6, EXACT);
    op_expect_numbers("z'", next, want_next, 6, EXACT);
}
END_TEST

/* dmu/dz = a P [open] + b, dmu/df = a Q [open]: entries 2 and 5 are clipped, 4 is known. */
START_TEST(transition_gradient_masks)
{
    const double dmu[] = {1, 10, 1, 1, 1, 100}, want_dz[] = {4, 40, 3, 4, 0, 300};
    const double want_df[] = {0.5, 5, 0, 0.5, 0, 0};
    double dz[6], df[6];
    dmc_kargs k = {.in = {step_z, step_f}, .par = {step_mask, step_known}, .dout = dmu,
                   .din = {dz, df}, .dim = {2, 3}, .attr = {2, 1, 0.5, 3, 0.25, 1}};
    op_call_backward(DMC_OP_TRANSITION, &k);
    op_expect_numbers("dz", dz, want_dz, 6, EXACT);
    op_expect_numbers("df", df, want_df, 6, EXACT);
    k.attr[5] = 0; /* without clip */
    op_call_backward(DMC_OP_TRANSITION, &k);
    ck_assert_double_eq_tol(df[2], 0.5, EXACT);
    ck_assert_double_eq_tol(dz[5], 400, EXACT);
}
END_TEST

/* inward: entry 2 (x > c) passes dmu > 0, whose descent lowers x; entry 5 (x < -c) passes dmu < 0. */
START_TEST(transition_gradient_leads_back_inside)
{
    const double out[] = {1, 1, -1, 1, 1, 1}, in[] = {1, 1, 1, 1, 1, -1};
    double df[6];
    dmc_kargs k = {.in = {step_z, step_f}, .dout = out, .din = {NULL, df}, .dim = {2, 3},
                   .attr = {2, 1, 0.5, 3, 0.25, 1, 1}};
    op_call_backward(DMC_OP_TRANSITION, &k);
    ck_assert_double_eq(df[2], 0);
    ck_assert_double_eq(df[5], 0);
    k.dout = in;
    op_call_backward(DMC_OP_TRANSITION, &k);
    ck_assert_double_eq_tol(df[2], 0.5, EXACT);
    ck_assert_double_eq_tol(df[5], -0.5, EXACT);
}
END_TEST

START_TEST(transition_without_optional_operands)
{
    const double want[] = {0.45, 0.5, 1.45, -0.9, 1.05, 0.85};
    double z[6];
    for (int i = 0; i < 6; i++) z[i] = step_z[i];
    const dmc_kargs k = {.in = {z, step_f}, .out = z, .dim = {2, 3},
                         .attr = {2, 1, 0.5, 3, 0.25, 0}};
    op_call(DMC_OP_TRANSITION, &k);
    op_expect_numbers("z' over z", z, want, 6, EXACT);
}
END_TEST

/* mu = 0.5 x + 3 z + 2 h, then h = x - 4 z; without u and w it stays. */
START_TEST(transition_hands_on)
{
    const double want_next[] = {1.45, 3.5, 7.45}, want_h[] = {-0.1, -1, -0.1};
    double h[] = {0.5, 1.5, 3}, next[3];
    dmc_kargs k = {.in = {step_z, step_f}, .save = h, .out = next, .dim = {1, 3},
                   .attr = {2, 1, 0.5, 3, 0.25, 0, 0, 2, 1, -4}};
    op_call(DMC_OP_TRANSITION, &k);
    op_expect_numbers("z'", next, want_next, 3, EXACT);
    op_expect_numbers("h'", h, want_h, 3, EXACT);
    k.attr[8] = k.attr[9] = 0;
    op_call(DMC_OP_TRANSITION, &k);
    op_expect_numbers("h", h, want_h, 3, EXACT);
}
END_TEST

START_TEST(logp_is_a_normal_density)
{
    const double z[] = {0, 1, 2, 5}, mu[] = {0, 0, 3, 5}, half_ln_2pi = 0.5 * log(2 * acos(-1));
    const double peak = -log(0.5) - half_ln_2pi, want_sum[] = {2 * peak - 2, 2 * peak - 2};
    double out[2];
    dmc_kargs k = {.in = {z, mu}, .out = out, .dim = {2, 2}, .attr = {0.5, 0}};
    op_call(DMC_OP_GAUSS_LOGP, &k);
    op_expect_numbers("sum", out, want_sum, 2, EXACT);
    k.attr[1] = 1;
    op_call(DMC_OP_GAUSS_LOGP, &k);
    ck_assert_double_eq_tol(out[0], peak - 1, EXACT);
}
END_TEST

/* ln N of std 0.1 at 0.02, 1 and 0.2 from the mean is 1.36, -48.6 and -0.62; bounds -5 and 1. */
START_TEST(logp_clamps_entries)
{
    const double z[] = {0.02, 1, 0.2}, mu[] = {0, 0, 0}, dout[] = {2};
    const double third = -2 - log(0.1) - 0.5 * log(2 * acos(-1));
    const double want_dmu[] = {0, 0, 2 * 0.2 / 0.01};
    double out[1], dmu[3];
    const dmc_kargs k = {.in = {z, mu}, .out = out, .dout = dout, .din = {NULL, dmu}, .dim = {1, 3},
                         .attr = {0.1, 0, -5, 1}};
    op_call(DMC_OP_GAUSS_LOGP, &k);
    ck_assert_double_eq_tol(out[0], 1 - 5 + third, EXACT);
    op_call_backward(DMC_OP_GAUSS_LOGP, &k);
    op_expect_numbers("dmu", dmu, want_dmu, 3, EXACT);
}
END_TEST

/* Sample 0 has one free entry, sample 1 none. */
static const double masked[] = {1, 0, 1, 1};

START_TEST(logp_and_kl_skip_known_entries)
{
    const double z[] = {9, 1, 9, 9}, mu[] = {0, 0, 0, 0}, dout[] = {3, 3}, want_kl[] = {0.125, 0};
    const double want_dmu[] = {0, 0.75, 0, 0}, want_kl_d[] = {0, -0.75, 0, 0};
    const double want_logp[] = {-0.125 - log(2) - 0.5 * log(2 * acos(-1)), 0};
    double out[2], d[4];
    dmc_kargs k = {.in = {z, mu}, .par = {masked}, .out = out, .dout = dout, .din = {NULL, d},
                   .dim = {2, 2}, .attr = {2, 1}};
    op_call(DMC_OP_GAUSS_LOGP, &k);
    op_call_backward(DMC_OP_GAUSS_LOGP, &k);
    op_expect_numbers("logp", out, want_logp, 2, EXACT);
    op_expect_numbers("logp, dmu", d, want_dmu, 4, EXACT);
    k.in[0] = mu;
    k.in[1] = z;
    k.din[0] = d;
    op_call(DMC_OP_GAUSS_KL, &k);
    op_call_backward(DMC_OP_GAUSS_KL, &k);
    op_expect_numbers("kl", out, want_kl, 2, EXACT);
    op_expect_numbers("kl, dmu", d, want_kl_d, 4, EXACT);
}
END_TEST

/* KL = E_mu[ln N(z; mu) - ln N(z; mu_ref)]; the mean over z = mu +- std is exact for quadratics. */
START_TEST(kl_is_the_expected_log_ratio)
{
    const double mu[] = {0.3}, ref[] = {-0.4}, std = 0.7;
    double kl, ratio = 0;
    op_call(DMC_OP_GAUSS_KL, &(dmc_kargs){.in = {mu, ref}, .out = &kl, .dim = {1, 1},
                                          .attr = {std}});
    for (int sign = -1; sign <= 1; sign += 2) {
        const double z = mu[0] + sign * std;
        double logp, logp_ref;
        op_call(DMC_OP_GAUSS_LOGP, &(dmc_kargs){.in = {&z, mu}, .out = &logp, .dim = {1, 1},
                                                .attr = {std}});
        op_call(DMC_OP_GAUSS_LOGP, &(dmc_kargs){.in = {&z, ref}, .out = &logp_ref, .dim = {1, 1},
                                                .attr = {std}});
        ratio += 0.5 * (logp - logp_ref);
    }
    ck_assert_double_eq_tol(kl, ratio, EXACT);
}
END_TEST

Suite *dmc_suite_ops_diffusion(void)
{
    Suite *s = suite_create("ops_diffusion");
    TCase *t = tcase_create("ops_diffusion");
    tcase_add_test(t, diffuse_keeps_known_entries);
    tcase_add_test(t, diffuse_target_recovers_the_sample);
    tcase_add_test(t, transition_clips_and_inpaints);
    tcase_add_test(t, transition_gradient_masks);
    tcase_add_test(t, transition_gradient_leads_back_inside);
    tcase_add_test(t, transition_without_optional_operands);
    tcase_add_test(t, transition_hands_on);
    tcase_add_test(t, logp_is_a_normal_density);
    tcase_add_test(t, logp_clamps_entries);
    tcase_add_test(t, logp_and_kl_skip_known_entries);
    tcase_add_test(t, kl_is_the_expected_log_ratio);
    suite_add_tcase(s, t);
    return s;
}
