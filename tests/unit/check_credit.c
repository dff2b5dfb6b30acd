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

/* Three steps of three entries, the middle one in-painted; d.D, |D|^2 by hand. */
static const float z0[3] = {0, 5, 1}, z1[3] = {1, -7, 2}, z2[3] = {2, 9, 2.5f}, z3[3] = {4, 0, 4};
static const float second[3] = {0, 1, 0};
static const double along[3] = {1 * 4 + 1 * 3, 1 * 4 + 0.5 * 3, 2 * 4 + 1.5 * 3}, way = 25;

/* R5: over the whole chain the shares add up to 1, whatever part of it learns; the learning steps' are measured by the way from
 * z_T, not from where learning begins. */
START_TEST(projection_adds_up)
{
    const float *const chain[4] = {z0, z1, z2, z3};
    double all[3], last[2];
    dmc__credit_similarity(DMC__KAPPA_PROJ, chain, 3, z0, 3, second, all);
    for (int32_t j = 0; j < 3; j++) ck_assert_double_eq_tol(all[j], along[j] / way, 1e-12);
    ck_assert_double_eq_tol(all[0] + all[1] + all[2], 1, 1e-12);
    dmc__credit_similarity(DMC__KAPPA_PROJ, chain + 1, 2, z0, 3, second, last);
    for (int32_t j = 0; j < 2; j++) ck_assert_double_eq_tol(last[j], all[j + 1], 1e-12);
}
END_TEST

/* T s is the weight as long as nothing is clamped and all steps learn; of two steps the mean is made 1. */
START_TEST(projection_weighs)
{
    double all[3] = {along[0] / way, along[1] / way, along[2] / way}, last[2] = {all[1], all[2]}, far[2] = {-1, 2};
    dmc__credit_weigh(DMC__KAPPA_PROJ, 3, 3, all);
    for (int32_t j = 0; j < 3; j++) ck_assert_double_eq_tol(all[j], 3 * along[j] / way, 1e-12);
    dmc__credit_weigh(DMC__KAPPA_PROJ, 2, 3, last);
    ck_assert_double_eq_tol(last[0] / last[1], along[1] / along[2], 1e-12);
    ck_assert_double_eq_tol(mean_of(last, 2), 1, 1e-12);
    dmc__credit_weigh(DMC__KAPPA_PROJ, 2, 10, far); /* clamped to 0 and 4 */
    ck_assert_double_eq(far[0], 0);
    ck_assert_double_eq(far[1], 2);
}
END_TEST

/* COS: a step along the way 1, across it 0, back -1, and no weight for the last two. */
START_TEST(cosine_is_of_displacements)
{
    const float a[2] = {0, 0}, b[2] = {2, 0}, c[2] = {2, 3}, d[2] = {1, 3}, e[2] = {4, 0};
    const float *const chain[5] = {a, b, c, d, e};
    double s[4];
    dmc__credit_similarity(DMC__KAPPA_COS, chain, 4, a, 2, NULL, s);
    ck_assert_double_eq_tol(s[0], 1, 1e-7);
    ck_assert_double_eq_tol(s[1], 0, 1e-7);
    ck_assert_double_eq_tol(s[2], -1, 1e-7);
    ck_assert_double_eq_tol(s[3], 1 / sqrt(2), 1e-7);
    dmc__credit_weigh(DMC__KAPPA_COS, 4, 4, s);
    ck_assert_double_eq_tol(s[0], 4 / (1 + 1 / sqrt(2)), 1e-6);
    ck_assert_double_eq(s[2], 0);
    ck_assert_double_eq_tol(mean_of(s, 4), 1, 1e-12);
}
END_TEST

/* PAIRCOS: of the stacked latents themselves; the pair (z_T, z_0) is itself. In-painted entries do not count. */
START_TEST(pair_cosine_is_of_latents)
{
    const float *const chain[3] = {z1, z2, z3}, *const whole[2] = {z0, z3};
    double s[2];
    dmc__credit_similarity(DMC__KAPPA_PAIRCOS, whole, 1, z0, 3, second, s);
    ck_assert_double_eq_tol(s[0], 1, 1e-7);
    dmc__credit_similarity(DMC__KAPPA_PAIRCOS, chain, 2, z0, 3, second, s);
    ck_assert_double_eq_tol(s[0], (2 + 2 * 4 + 2.5 * 4) / (sqrt(1 + 4 + 4 + 6.25) * sqrt(1 + 16 + 16)), 1e-7);
    ck_assert_double_eq_tol(s[1], (2.5 + 4 * 4 + 4 * 4) / (sqrt(4 + 6.25 + 16 + 16) * sqrt(1 + 16 + 16)), 1e-7);
}
END_TEST

START_TEST(a_still_chain_weighs_evenly)
{
    const float z[2] = {1, 2};
    const float *const chain[3] = {z, z, z};
    for (int32_t kind = DMC__KAPPA_PROJ; kind <= DMC__KAPPA_PAIRCOS; kind++) {
        double k[2];
        dmc__credit_similarity(kind, chain, 2, z, 2, NULL, k);
        dmc__credit_weigh(kind, 2, 2, k);
        ck_assert_double_eq(k[0], 1);
        ck_assert_double_eq(k[1], 1);
    }
}
END_TEST

START_TEST(advantage_is_relative_to_the_group)
{
    const float r[6] = {1, 2, 3, 10, 10, 10};
    const double std = sqrt((1.0 + 0 + 1) / 6); /* over the batch, of the centred rewards */
    float a[6];
    dmc__credit_advantage(r, 2, 3, 1, 0, 5, a);
    ck_assert_double_eq_tol(a[0], -1 / std, 1e-5);
    ck_assert_double_eq_tol(a[2], 1 / std, 1e-5);
    for (int32_t i = 3; i < 6; i++) ck_assert_float_eq(a[i], 0);
}
END_TEST

/* By the deviation of its own group a small difference is as good as a large one. */
START_TEST(advantage_by_the_group)
{
    const float r[6] = {1, 2, 3, 10, 20, 30};
    float a[6];
    dmc__credit_advantage(r, 2, 3, 1, 1, 5, a);
    for (int32_t i = 0; i < 3; i++) {
        ck_assert_double_eq_tol(a[i], (i - 1) / sqrt(2.0 / 3), 1e-5);
        ck_assert_double_eq_tol(a[3 + i], a[i], 1e-5);
    }
}
END_TEST

/* Rows are compared with the same row of other candidates, and measured together. */
START_TEST(advantage_of_rows)
{
    const float r[6] = {1, 100, 3, 100, 5, 103}; /* (pool 3, rows 2) */
    const double std = sqrt((4 + 0 + 4 + 1 + 1 + 4) / 6.0);
    const double expected[6] = {-2 / std, -1 / std, 0, -1 / std, 2 / std, 2 / std};
    float a[6];
    dmc__credit_advantage(r, 1, 3, 2, 0, 5, a);
    for (int32_t i = 0; i < 6; i++) ck_assert_double_eq_tol(a[i], expected[i], 1e-5);
}
END_TEST

START_TEST(advantage_is_clipped_and_zero_without_spread)
{
    float r[16] = {100};
    float a[16];
    dmc__credit_advantage(r, 1, 16, 1, 0, 2, a);
    ck_assert_float_eq(a[0], 2);
    r[0] = 0;
    dmc__credit_advantage(r, 1, 16, 1, 0, 2, a);
    for (int32_t i = 0; i < 16; i++) ck_assert_float_eq(a[i], 0);
}
END_TEST

Suite *dmc_suite_credit(void)
{
    Suite *s = suite_create("credit");
    TCase *t = tcase_create("credit");
    tcase_add_test(t, kappa_has_mean_one_and_the_right_shape);
    tcase_add_test(t, projection_adds_up);
    tcase_add_test(t, projection_weighs);
    tcase_add_test(t, cosine_is_of_displacements);
    tcase_add_test(t, pair_cosine_is_of_latents);
    tcase_add_test(t, a_still_chain_weighs_evenly);
    tcase_add_test(t, advantage_is_relative_to_the_group);
    tcase_add_test(t, advantage_by_the_group);
    tcase_add_test(t, advantage_of_rows);
    tcase_add_test(t, advantage_is_clipped_and_zero_without_spread);
    suite_add_tcase(s, t);
    return s;
}
