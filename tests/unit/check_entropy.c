/* check_entropy.c — nearest-neighbour entropy by hand, and its gradient by differences (methods.md 2.6). */
#include "../../lib/align/entropy.h"
#include "small_model.h"

#include <string.h>

Suite *dmc_suite_entropy(void);

enum { GROUPS = 3, POOL = 5, ELEMS = 4, TOTAL = GROUPS * POOL * ELEMS };

static dmc__entropy *open_entropy(int32_t groups, int32_t pool, size_t elems, const float *z)
{
    dmc__entropy *e;
    ok(dmc__entropy_create(&dmc__default_allocator, groups, pool, elems, &e));
    memcpy(dmc__entropy_samples(e), z, (size_t)(groups * pool) * elems * sizeof *z);
    return e;
}

/* 0, 1, 3 and 10, 10, 14: neighbours at 1 1 2 and 0 0 4. */
START_TEST(values_by_hand)
{
    static const float z[6] = {0, 1, 3, 10, 10, 14};
    dmc__entropy *e = open_entropy(2, 3, 1, z);
    dmc__entropy_measure(e, NULL);
    ck_assert_double_eq_tol(dmc__entropy_bonus(e, 0), 0, 1e-5);
    ck_assert_double_eq_tol(dmc__entropy_bonus(e, 2), log(2), 1e-5);
    ck_assert_double_eq_tol(dmc__entropy_bonus(e, 3), log(1e-6), 1e-5);
    ck_assert_double_eq_tol(dmc__entropy_bonus(e, 5), log(4), 1e-5);
    ck_assert_double_eq_tol(dmc__entropy_value(e), (log(2) / 3 + (2 * log(1e-6) + log(4)) / 3) / 2, 1e-5);
    ck_assert_double_eq_tol(dmc__entropy_spread(e), (sqrt(14.0 / 9) + sqrt(32.0 / 9)) / 2, 1e-6);
    dmc__entropy_destroy(e);
}
END_TEST

/* In-painted entries neither part candidates nor count as dimensions. */
START_TEST(known_entries_do_not_count)
{
    static const float z[6] = {5, 0, 0, -5, 3, 4}, mask[6] = {1, 0, 0, 1, 0, 0};
    float g[6];
    dmc__entropy *e = open_entropy(1, 2, 3, z);
    dmc__entropy_measure(e, mask);
    ck_assert_double_eq_tol(dmc__entropy_bonus(e, 0), 2 * log(5), 1e-5);
    ck_assert_double_eq_tol(dmc__entropy_spread(e), sqrt((1.5 * 1.5 + 2 * 2) / 2), 1e-6);
    dmc__entropy_gradient(e, 1, g);
    /* D/G = 1; each of the pair is the other's neighbour */
    const double expected[6] = {0, -2 * 3 / 25.0, -2 * 4 / 25.0, 0, 2 * 3 / 25.0, 2 * 4 / 25.0};
    for (int i = 0; i < 6; i++) ck_assert_double_eq_tol(g[i], expected[i], 1e-6);
    dmc__entropy_destroy(e);
}
END_TEST

/* The median of an odd number of groups is the middle one. */
START_TEST(spread_is_the_median)
{
    static const float z[6] = {0, 20, 0, 2, 0, 6};
    dmc__entropy *e = open_entropy(3, 2, 1, z);
    dmc__entropy_measure(e, NULL);
    ck_assert_double_eq_tol(dmc__entropy_spread(e), 3, 1e-6);
    dmc__entropy_destroy(e);
}
END_TEST

static double value_at(dmc__entropy *e, const float *mask, size_t i, float z)
{
    float *const at = dmc__entropy_samples(e) + i, keep = *at;
    *at = z;
    dmc__entropy_measure(e, mask);
    *at = keep;
    return dmc__entropy_value(e);
}

/* Every entry, with and without in-painting; samples are floats, so what moved is what is divided by. */
START_TEST(gradient_by_differences)
{
    float *z = some_floats(TOTAL, 4, 1), mask[TOTAL], g[TOTAL];
    const float h = 0x1p-12f;
    for (int i = 0; i < TOTAL; i++) mask[i] = i % ELEMS == 1;
    for (int masked = 0; masked < 2; masked++) {
        const float *m = masked ? mask : NULL;
        dmc__entropy *e = open_entropy(GROUPS, POOL, ELEMS, z);
        dmc__entropy_measure(e, m);
        dmc__entropy_gradient(e, -2, g);
        for (size_t i = 0; i < TOTAL; i++) {
            const float up = z[i] + h, down = z[i] - h;
            const double numeric = -2 * (value_at(e, m, i, up) - value_at(e, m, i, down)) / ((double)up - down);
            ck_assert_double_eq_tol(g[i], numeric, 2e-5);
            if (masked && mask[i] != 0) ck_assert_float_eq(g[i], 0);
        }
        dmc__entropy_destroy(e);
    }
    free(z);
}
END_TEST

/* Samples twice as far apart have D ln 2 more. */
START_TEST(scale_adds_its_logarithm)
{
    float *z = some_floats(TOTAL, 5, 1);
    dmc__entropy *e = open_entropy(GROUPS, POOL, ELEMS, z);
    dmc__entropy_measure(e, NULL);
    const double before = dmc__entropy_value(e);
    for (int i = 0; i < TOTAL; i++) dmc__entropy_samples(e)[i] *= 2;
    dmc__entropy_measure(e, NULL);
    ck_assert_double_eq_tol(dmc__entropy_value(e) - before, ELEMS * log(2), 1e-5);
    dmc__entropy_destroy(e);
    free(z);
}
END_TEST

/* Candidates that are one and the same have no direction apart, and nothing is infinite. */
START_TEST(one_point_is_finite)
{
    static const float z[4] = {1, 1, 1, 1};
    float g[4];
    dmc__entropy *e = open_entropy(1, 4, 1, z);
    dmc__entropy_measure(e, NULL);
    dmc__entropy_gradient(e, 1, g);
    for (int i = 0; i < 4; i++) ck_assert_float_eq(g[i], 0);
    ck_assert_double_eq_tol(dmc__entropy_value(e), log(1e-6), 1e-6);
    dmc__entropy_destroy(e);
}
END_TEST

START_TEST(weight_follows_the_floor)
{
    ck_assert_double_eq_tol(dmc__entropy_tune(.2, .01, .09, .1), .3, 1e-12);
    ck_assert_double_eq_tol(dmc__entropy_tune(.3, .01, .16, .1), .2, 1e-12);
    ck_assert_double_eq(dmc__entropy_tune(.3, .01, .12, .1), .3);
    ck_assert_double_eq(dmc__entropy_tune(.25, .2, 9, .1), .2);
}
END_TEST

Suite *dmc_suite_entropy(void)
{
    Suite *s = suite_create("entropy");
    TCase *t = tcase_create("entropy");
    tcase_add_test(t, values_by_hand);
    tcase_add_test(t, known_entries_do_not_count);
    tcase_add_test(t, spread_is_the_median);
    tcase_add_test(t, gradient_by_differences);
    tcase_add_test(t, scale_adds_its_logarithm);
    tcase_add_test(t, one_point_is_finite);
    tcase_add_test(t, weight_follows_the_floor);
    suite_add_tcase(s, t);
    return s;
}
