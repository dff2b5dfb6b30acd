/* check_credit.c — advantages and credit weights against their definitions (methods.md R5). */
#include <check.h>
#include <math.h>

#include "../../lib/align/credit.h"

Suite *dmc_suite_credit(void);

static double mean_of(const double *x, int32_t n)
{
    double sum = 0;
    for (int32_t i = 0; i < n; i++) sum += x[i];
    return sum / n;
}

START_TEST(kappa_has_mean_one_and_the_right_shape)
{
    static const int32_t kinds[] = {DMC__KAPPA_GEOM, DMC__KAPPA_LINEAR, DMC__KAPPA_CONST};
    double k[7];
    for (int32_t i = 0; i < 3; i++) {
        dmc__credit_kappa(kinds[i], 7, 0.5, k);
        ck_assert_double_eq_tol(mean_of(k, 7), 1, 1e-12);
    }
    dmc__credit_kappa(DMC__KAPPA_GEOM, 7, 0.5, k);
    for (int32_t j = 1; j < 7; j++) ck_assert_double_eq_tol(k[j] / k[j - 1], 2, 1e-12); /* the last step weighs most */
    dmc__credit_kappa(DMC__KAPPA_LINEAR, 7, 0.5, k);
    ck_assert_double_eq_tol(k[6] / k[0], 7, 1e-12);
}
END_TEST

/* Sum_j d_j.D/|D|^2 = 1, so K d_j.D/|D|^2 has mean 1 before clamping; chosen so that nothing clamps. */
START_TEST(projection_adds_up)
{
    const float z0[3] = {0, 5, 1}, z1[3] = {1, -7, 2}, z2[3] = {2, 9, 2.5f}, z3[3] = {4, 0, 4};
    const float mask[3] = {0, 1, 0};
    const float *const chain[4] = {z0, z1, z2, z3};
    const double d[3] = {1 * 4 + 1 * 3, 1 * 4 + 0.5 * 3, 2 * 4 + 1.5 * 3}, norm = 25;
    double k[3];
    dmc__credit_projection(chain, 3, 3, mask, k);
    for (int32_t j = 0; j < 3; j++) ck_assert_double_eq_tol(k[j], 3 * d[j] / norm, 1e-12);
    ck_assert_double_eq_tol(mean_of(k, 3), 1, 1e-12);
}
END_TEST

START_TEST(projection_of_a_still_chain_is_even)
{
    const float z[2] = {1, 2};
    const float *const chain[3] = {z, z, z};
    double k[2];
    dmc__credit_projection(chain, 2, 2, NULL, k);
    ck_assert_double_eq(k[0], 1);
    ck_assert_double_eq(k[1], 1);
}
END_TEST

START_TEST(advantage_is_relative_to_the_group)
{
    const float r[6] = {1, 2, 3, 10, 10, 10};
    const double std = sqrt((1.0 + 0 + 1) / 6); /* over the batch, of the centred rewards */
    float a[6];
    dmc__credit_advantage(r, 2, 3, 5, a);
    ck_assert_double_eq_tol(a[0], -1 / std, 1e-5);
    ck_assert_double_eq_tol(a[2], 1 / std, 1e-5);
    for (int32_t i = 3; i < 6; i++) ck_assert_float_eq(a[i], 0);
}
END_TEST

START_TEST(advantage_is_clipped_and_zero_without_spread)
{
    float r[16] = {100};
    float a[16];
    dmc__credit_advantage(r, 1, 16, 2, a);
    ck_assert_float_eq(a[0], 2);
    r[0] = 0;
    dmc__credit_advantage(r, 1, 16, 2, a);
    for (int32_t i = 0; i < 16; i++) ck_assert_float_eq(a[i], 0);
}
END_TEST

Suite *dmc_suite_credit(void)
{
    Suite *s = suite_create("credit");
    TCase *t = tcase_create("credit");
    tcase_add_test(t, kappa_has_mean_one_and_the_right_shape);
    tcase_add_test(t, projection_adds_up);
    tcase_add_test(t, projection_of_a_still_chain_is_even);
    tcase_add_test(t, advantage_is_relative_to_the_group);
    tcase_add_test(t, advantage_is_clipped_and_zero_without_spread);
    suite_add_tcase(s, t);
    return s;
}
