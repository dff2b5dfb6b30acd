#include "../../lib/data/normaliser.h"
#include "failing_alloc.h"
#include "file_fixture.h"

#include <float.h>
#include <math.h>

enum { ROWS = 4, N = 4 };
/* columns: spread, constant, a constant that is no short binary number, far from zero */
static const float data[ROWS * N] = {0,  7, 0.1f, 1e6f,     3, 7, 0.1f, 1e6f + 1,
                                     -1, 7, 0.1f, 1e6f + 2, 2, 7, 0.1f, 1e6f + 3};

static dmc__normaliser fitted(int32_t kind, const float *x, size_t rows, int32_t n)
{
    dmc__normaliser m;
    expect_ok(dmc__normaliser_create(&dmc__default_allocator, kind, n, &m));
    dmc__normaliser_fit(&m, x, rows);
    return m;
}

START_TEST(limits_are_those_of_the_data)
{
    for (int32_t kind = DMC__NORM_NONE; kind <= DMC__NORM_MINMAX; kind++) {
        dmc__normaliser m = fitted(kind, data, ROWS, N);
        const float lo[] = {-1, 7, 0.1f, 1e6f}, hi[] = {3, 7, 0.1f, 1e6f + 3};
        ck_assert_mem_eq(m.lo, lo, sizeof lo);
        ck_assert_mem_eq(m.hi, hi, sizeof hi);
        ck_assert(m.kind == kind && m.n == N);
        dmc__normaliser_free(&m);
        ck_assert(!m.shift && m.n == 0);
        dmc__normaliser_free(&m);
    }
}
END_TEST

START_TEST(none_changes_nothing)
{
    float y[ROWS * N];
    dmc__normaliser m = fitted(DMC__NORM_NONE, data, ROWS, N);
    dmc__normaliser_apply(&m, data, ROWS, y);
    ck_assert_mem_eq(y, data, sizeof y);
    dmc__normaliser_invert(&m, y, ROWS, y);
    ck_assert_mem_eq(y, data, sizeof y);
    dmc__normaliser_free(&m);
}
END_TEST

START_TEST(gaussian_has_mean_zero_and_sd_one)
{
    dmc__normaliser m = fitted(DMC__NORM_GAUSSIAN, data, ROWS, N);
    ck_assert(m.shift[0] == 1 && m.scale[0] == (float)sqrt(2.5)); /* population: divided by n */
    ck_assert(m.shift[1] == 7 && m.scale[1] == 1);
    ck_assert(m.shift[2] == 0.1f && m.scale[2] == 1); /* rounding is not taken for spread */
    ck_assert(m.shift[3] == 1000001.5f && m.scale[3] == (float)sqrt(1.25));
    float y[ROWS * N], back[ROWS * N];
    dmc__normaliser_apply(&m, data, ROWS, y);
    dmc__normaliser_invert(&m, y, ROWS, back);
    for (int i = 0; i < ROWS; i++) {
        ck_assert(y[i * N + 1] == 0 && y[i * N + 2] == 0);
        for (int j = 0; j < N; j++)
            ck_assert(fabsf(back[i * N + j] - data[i * N + j]) <=
                      FLT_EPSILON * fabsf(data[i * N + j]) + FLT_EPSILON);
    }
    dmc__normaliser_free(&m);
}
END_TEST

START_TEST(minmax_reaches_the_ends)
{
    float y[ROWS * N];
    dmc__normaliser m = fitted(DMC__NORM_MINMAX, data, ROWS, N);
    dmc__normaliser_apply(&m, data, ROWS, y);
    ck_assert(y[0] == -0.5f && y[N] == 1 && y[2 * N] == -1 && y[3 * N] == 0.5f);
    ck_assert(y[1] == 0 && y[2] == 0); /* zero range */
    ck_assert(m.shift[1] == 7 && m.scale[1] == 1);
    ck_assert(y[3] == -1 && y[3 * N + 3] == 1);
    dmc__normaliser_invert(&m, y, ROWS, y);
    ck_assert_mem_eq(y, data, sizeof y);
    dmc__normaliser_free(&m);
}
END_TEST

START_TEST(extremes_stay_finite)
{
    const float x[] = {-FLT_MAX, 0,      -3,
                       FLT_MAX,  1e-45f, -3}; /* columns: all, almost nothing, nothing */
    for (int32_t kind = DMC__NORM_GAUSSIAN; kind <= DMC__NORM_MINMAX; kind++) {
        dmc__normaliser m = fitted(kind, x, 2, 3);
        float y[6];
        dmc__normaliser_apply(&m, x, 2, y);
        for (int j = 0; j < 3; j++) {
            ck_assert(isfinite(m.shift[j]) && isfinite(m.scale[j]) && m.scale[j] > 0);
            ck_assert(isfinite(y[j]) && isfinite(y[3 + j]));
        }
        dmc__normaliser_free(&m);
    }
}
END_TEST

START_TEST(copies_are_independent)
{
    dmc__normaliser m = fitted(DMC__NORM_GAUSSIAN, data, ROWS, N), copy;
    expect_ok(dmc__normaliser_copy(&dmc__default_allocator, &m, &copy));
    ck_assert(copy.kind == m.kind && copy.n == N && copy.shift != m.shift);
    ck_assert_mem_eq(copy.shift, m.shift, N * sizeof(float));
    ck_assert_mem_eq(copy.scale, m.scale, N * sizeof(float));
    ck_assert_mem_eq(copy.lo, m.lo, N * sizeof(float));
    ck_assert_mem_eq(copy.hi, m.hi, N * sizeof(float));
    dmc__normaliser_free(&m);
    ck_assert(copy.lo[0] == -1);
    dmc__normaliser_free(&copy);
}
END_TEST

/* Shift and scale say what a number becomes; limits are another matter. */
START_TEST(alike_is_what_maps_alike)
{
    dmc__normaliser m = fitted(DMC__NORM_GAUSSIAN, data, ROWS, N), copy;
    expect_ok(dmc__normaliser_copy(&dmc__default_allocator, &m, &copy));
    float *const part[] = {copy.shift, copy.scale, copy.lo, copy.hi};
    ck_assert_int_eq(dmc__normaliser_alike(&m, &copy), 1);
    for (int i = 0; i < 4; i++) {
        const float was = part[i][N - 1];
        part[i][N - 1] += 1;
        ck_assert_int_eq(dmc__normaliser_alike(&m, &copy), i >= 2);
        part[i][N - 1] = was;
    }
    copy.n--;
    ck_assert_int_eq(dmc__normaliser_alike(&m, &copy), 0);
    copy.n++;
    dmc__normaliser_free(&m);
    dmc__normaliser_free(&copy);
}
END_TEST

START_TEST(without_rows_it_is_the_identity)
{
    dmc__normaliser m = fitted(DMC__NORM_GAUSSIAN, data, 0, N);
    for (int j = 0; j < N; j++) ck_assert(m.shift[j] == 0 && m.scale[j] == 1);
    dmc__normaliser_free(&m);
    m = fitted(DMC__NORM_GAUSSIAN, data, 1, N);
    for (int j = 0; j < N; j++) ck_assert(m.shift[j] == data[j] && m.scale[j] == 1);
    dmc__normaliser_free(&m);
}
END_TEST

START_TEST(arguments_and_memory)
{
    dmc__normaliser m, copy;
    failing_alloc f = {.fail_at = 1};
    const dmc__allocator a = failing_allocator(&f);
    expect_failure(dmc__normaliser_create(&a, 3, 1, &m), DMC_ERANGE, "kind = 3, must be 0..2");
    expect_failure(dmc__normaliser_create(&a, -1, 1, &m), DMC_ERANGE, "kind = -1");
    expect_failure(dmc__normaliser_create(&a, 0, 0, &m), DMC_ERANGE, "n = 0, must be at least 1");
    expect_failure(dmc__normaliser_create(&a, 0, 1, &m), DMC_ENOMEM, "memory");
    ck_assert(!m.shift && m.n == 0);
    dmc__normaliser_free(&m);
    expect_ok(dmc__normaliser_create(&a, 0, 1, &m));
    f.fail_at = f.calls + 1;
    expect_failure(dmc__normaliser_copy(&a, &m, &copy), DMC_ENOMEM, "memory");
    dmc__normaliser_free(&copy);
    dmc__normaliser_free(&m);
    ck_assert_int_eq(f.live, 0);
}
END_TEST

Suite *dmc_suite_normaliser(void);
Suite *dmc_suite_normaliser(void)
{
    Suite *s = suite_create("normaliser");
    TCase *c = tcase_create("all");
    tcase_add_test(c, limits_are_those_of_the_data);
    tcase_add_test(c, none_changes_nothing);
    tcase_add_test(c, gaussian_has_mean_zero_and_sd_one);
    tcase_add_test(c, minmax_reaches_the_ends);
    tcase_add_test(c, extremes_stay_finite);
    tcase_add_test(c, copies_are_independent);
    tcase_add_test(c, alike_is_what_maps_alike);
    tcase_add_test(c, without_rows_it_is_the_identity);
    tcase_add_test(c, arguments_and_memory);
    suite_add_tcase(s, c);
    return s;
}
