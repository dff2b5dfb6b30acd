/* ops_losses.c — losses and seeds: excluded entries, ties, extremes, and seeds against the
 * derivative of their loss. */
#include "ops_check.h"

#include <math.h>

#define EXACT 1e-14

/* Sample 0 counts two entries, sample 1 none: D is then 1. */
START_TEST(mse_divides_by_what_it_counts)
{
    const double f[] = {1, 2, 3, 4, 5, 6}, y[] = {0, 0, 0, 0, 0, 0}, w[] = {1, 0, 10, 0, 0, 0};
    const double dout[] = {1, 1};
    const double want[] = {(1 + 90) / 2.0, 0}, want_df[] = {1, 0, 30, 0, 0, 0};
    const double want_plain[] = {14 / 3.0, 77 / 3.0};
    double out[2], df[6];
    dmc_kargs k = {.in = {f, y}, .par = {w}, .out = out, .dout = dout, .din = {df}, .dim = {2, 3}};
    op_call(DMC_OP_MSE, &k);
    op_call_backward(DMC_OP_MSE, &k);
    op_expect_numbers("weighted", out, want, 2, EXACT);
    op_expect_numbers("weighted, df", df, want_df, 6, EXACT);
    k.par[0] = NULL;
    op_call(DMC_OP_MSE, &k);
    op_expect_numbers("plain", out, want_plain, 2, EXACT);
}
END_TEST

/* ---- policy gradient ------------------------------------------------------------------------- */

enum { B = 6 };
static const double logp_old[B] = {-1, -1, -1, -1, -1, -1}, adv[B] = {2, 2, 2, -1.5, -1.5, -1.5};
/* ratios above, inside and below 0.8..1.2, for either sign of the advantage */
static const double logp[B] = {-0.5, -0.9, -1.5, -0.5, -1.1, -1.5}, kappa[B] = {1, 0.5, 1, 1, 2, 1};

static void pg_seed(const double *at, int mode, double *out, double *note)
{
    op_call(DMC_OP_PG_SEED, &(dmc_kargs){.in = {at, logp_old, adv}, .par = {kappa}, .out = out,
                                         .out2 = note, .dim = {B}, .attr = {mode, 0.2, 0.25}});
}

/* out = scale d(mean loss)/dlogp */
START_TEST(pg_seed_is_the_derivative_of_its_loss)
{
    double out[B], note[3 * B], up[3 * B], down[3 * B], unused[B], moved[B];
    pg_seed(logp, _i, out, note);
    for (int b = 0; b < B; b++) {
        const double h = 1e-6;
        for (int i = 0; i < B; i++) moved[i] = logp[i] + (i == b ? h : 0);
        pg_seed(moved, _i, unused, up);
        moved[b] = logp[b] - h;
        pg_seed(moved, _i, unused, down);
        double slope = 0;
        for (int i = 0; i < B; i++) slope += (up[3 * i] - down[3 * i]) / (2 * h) / B;
        ck_assert_double_eq_tol(out[b], 0.25 * slope, 1e-9);
    }
}
END_TEST

START_TEST(pg_seed_values)
{
    const double clipped[B] = {1, 0, 0, 0, 0, 1};
    double out[B], note[3 * B];
    pg_seed(logp, 1, out, note);
    for (int b = 0; b < B; b++) {
        const double rho = exp(logp[b] + 1), w = kappa[b] * adv[b];
        const double clip = fmin(fmax(rho, 0.8), 1.2);
        ck_assert_double_eq_tol(note[3 * b], fmax(-w * rho, -w * clip), EXACT);
        ck_assert_double_eq_tol(note[3 * b + 1], rho, EXACT);
        ck_assert_double_eq(note[3 * b + 2], clipped[b]);
    }
    pg_seed(logp, 0, out, note);
    for (int b = 0; b < B; b++) {
        ck_assert_double_eq_tol(note[3 * b], -kappa[b] * adv[b] * logp[b], EXACT);
        ck_assert_double_eq_tol(out[b], -kappa[b] * adv[b] * 0.25 / B, EXACT);
        ck_assert_double_eq(note[3 * b + 2], 0);
    }
}
END_TEST

/* With unchanged weights PPO's gradient is REINFORCE's, and nothing is clipped, even for e = 0
 * (ties are active). */
START_TEST(ppo_starts_as_reinforce)
{
    double ppo[B], reinforce[B], note[3 * B];
    dmc_kargs k = {.in = {logp_old, logp_old, adv}, .out = ppo, .out2 = note, .dim = {B},
                   .attr = {1, 0, 1}};
    op_call(DMC_OP_PG_SEED, &k);
    for (int b = 0; b < B; b++) {
        ck_assert_double_eq(note[3 * b + 1], 1);
        ck_assert_double_eq(note[3 * b + 2], 0);
    }
    k.attr[0] = 0;
    k.out = reinforce;
    op_call(DMC_OP_PG_SEED, &k);
    op_expect_numbers("out", ppo, reinforce, B, 0);
}
END_TEST

/* ---- preferences ----------------------------------------------------------------------------- */

/* Equal errors: loss ln 2, gradient gamma / 2 / B. Far apart: softplus is linear on one side and
 * nothing on the other. */
START_TEST(dpo_seed_values)
{
    const double err_w[] = {0.7, 1000, 0}, err_l[] = {0.4, 0, 1000}, ref[] = {0.3, 0, 0}, gamma = 5;
    const double want[] = {gamma / 2 / 3, gamma / 3, 0}, want_note[] = {log(2), 0, 5000, 0, 0, 1};
    double out[3], note[6];
    op_call(DMC_OP_DPO_SEED, &(dmc_kargs){.in = {err_w, err_l, ref}, .out = out, .out2 = note,
                                          .dim = {3}, .attr = {gamma}});
    note[1] = 0; /* u is a rounding error here, either sign is right */
    op_expect_numbers("out", out, want, 3, EXACT);
    op_expect_numbers("note", note, want_note, 6, EXACT);
}
END_TEST

static double dpo_loss(double err_w, double err_l, double *out)
{
    const double ref = 0.1;
    double note[2];
    op_call(DMC_OP_DPO_SEED, &(dmc_kargs){.in = {&err_w, &err_l, &ref}, .out = out, .out2 = note,
                                          .dim = {1}, .attr = {3}});
    return note[0];
}

START_TEST(dpo_seed_is_the_derivative_of_its_loss)
{
    const double err_w = 0.6, err_l = 0.9, h = 1e-6;
    double out, unused;
    dpo_loss(err_w, err_l, &out);
    const double rise_w = dpo_loss(err_w + h, err_l, &unused) - dpo_loss(err_w - h, err_l, &unused);
    const double rise_l = dpo_loss(err_w, err_l + h, &unused) - dpo_loss(err_w, err_l - h, &unused);
    ck_assert_double_eq_tol(out, rise_w / (2 * h), 1e-9);
    ck_assert_double_eq_tol(-out, rise_l / (2 * h), 1e-9);
}
END_TEST

/* ---- critics --------------------------------------------------------------------------------- */

START_TEST(expectile_values)
{
    const double v[] = {1, 1}, q1[] = {3, 3}, q2[] = {4, -1}, want[] = {0.7 * 4, 0.3 * 4};
    const double want_one[] = {2.8, 2.8};
    const double dout[] = {1, 10}, want_dv[] = {-0.7 * 4, 0.3 * 40};
    double out[2], dv[2];
    dmc_kargs k = {.in = {v, q1, q2}, .out = out, .dout = dout, .din = {dv}, .dim = {2},
                   .attr = {0.7}};
    op_call(DMC_OP_EXPECTILE, &k);
    op_call_backward(DMC_OP_EXPECTILE, &k);
    op_expect_numbers("smaller of two", out, want, 2, EXACT);
    op_expect_numbers("dv", dv, want_dv, 2, EXACT);
    k.in[2] = NULL;
    op_call(DMC_OP_EXPECTILE, &k);
    op_expect_numbers("one", out, want_one, 2, EXACT);
}
END_TEST

START_TEST(td_target_values)
{
    const double r[] = {1, -1}, d[] = {0.99, 0}, v[] = {100, 7}, want[] = {100, -1};
    double out[2];
    op_call(DMC_OP_TD_TARGET, &(dmc_kargs){.in = {r, d, v}, .out = out, .dim = {2}});
    op_expect_numbers("out", out, want, 2, EXACT);
}
END_TEST

Suite *dmc_suite_ops_losses(void)
{
    Suite *s = suite_create("ops_losses");
    TCase *t = tcase_create("ops_losses");
    tcase_add_test(t, mse_divides_by_what_it_counts);
    tcase_add_loop_test(t, pg_seed_is_the_derivative_of_its_loss, 0, 2);
    tcase_add_test(t, pg_seed_values);
    tcase_add_test(t, ppo_starts_as_reinforce);
    tcase_add_test(t, dpo_seed_values);
    tcase_add_test(t, dpo_seed_is_the_derivative_of_its_loss);
    tcase_add_test(t, expectile_values);
    tcase_add_test(t, td_target_values);
    suite_add_tcase(s, t);
    return s;
}
