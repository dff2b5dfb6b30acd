#include "../../lib/base/alloc.h"
#include "failing_alloc.h"

#include <check.h>
#include <stdint.h>

START_TEST(blocks_are_zeroed_and_aligned)
{
    failing_alloc f = {0};
    const dmc__allocator a = failing_allocator(&f); /* hands out blocks full of 0xa5 */
    const dmc__allocator *const both[] = {&dmc__default_allocator, &a};
    for (int i = 0; i < 2; i++) {
        double *p;
        ck_assert_int_eq(DMC_NEW(both[i], 100, &p), DMC_OK);
        ck_assert_uint_eq((uintptr_t)p % 64, 0);
        for (int k = 0; k < 100; k++) ck_assert(p[k] == 0.0);
        DMC_FREE(both[i], p, 100);
    }
    ck_assert_int_eq(f.calls, 1);
    ck_assert_int_eq(f.live, 0);
}
END_TEST

START_TEST(nothing_is_asked_for_nothing)
{
    failing_alloc f = {0};
    const dmc__allocator a = failing_allocator(&f);
    void *p = &f;
    ck_assert_int_eq(dmc__alloc(&a, 0, 8, &p), DMC_OK);
    ck_assert_ptr_null(p);
    ck_assert_int_eq(dmc__alloc(&a, 8, 0, &p), DMC_OK);
    ck_assert_ptr_null(p);
    dmc__free(&a, NULL, 8, 8);
    dmc__str_free(&a, NULL);
    ck_assert_int_eq(f.calls, 0);
}
END_TEST

START_TEST(overflow_is_not_a_small_block)
{
    failing_alloc f = {0};
    const dmc__allocator a = failing_allocator(&f);
    void *p = &f;
    ck_assert_int_eq(dmc__alloc(&a, SIZE_MAX / 2, 3, &p), DMC_EOVERFLOW);
    ck_assert_ptr_null(p);
    ck_assert_int_eq(f.calls, 0);
}
END_TEST

START_TEST(refusal_is_an_error_with_the_size)
{
    failing_alloc f = {.fail_at = 1};
    const dmc__allocator a = failing_allocator(&f);
    void *p = &f;
    ck_assert_int_eq(dmc__alloc(&a, 7, 11, &p), DMC_ENOMEM);
    ck_assert_ptr_null(p);
    ck_assert_str_eq(dmc_last_error(), "out of memory: 77 bytes were refused");
    char *s = (char *)&f;
    f.fail_at = 2;
    ck_assert_int_eq(dmc__str_dup(&a, "text", &s), DMC_ENOMEM);
    ck_assert_ptr_null(s);
    /* the largest block there could be, from malloc itself */
    ck_assert_int_eq(dmc__alloc(&dmc__default_allocator, PTRDIFF_MAX / 2, 1, &p), DMC_ENOMEM);
}
END_TEST

START_TEST(strings)
{
    failing_alloc f = {0};
    const dmc__allocator a = failing_allocator(&f);
    char *s, *empty;
    ck_assert_int_eq(dmc__str_dup(&a, "downs.0.weight", &s), DMC_OK);
    ck_assert_int_eq(dmc__str_dup(&a, "", &empty), DMC_OK);
    ck_assert_str_eq(s, "downs.0.weight");
    ck_assert_str_eq(empty, "");
    dmc__str_free(&a, s);
    dmc__str_free(&a, empty);
    ck_assert_int_eq(f.live, 0);
}
END_TEST

Suite *dmc_suite_alloc(void);
Suite *dmc_suite_alloc(void)
{
    Suite *s = suite_create("alloc");
    TCase *t = tcase_create("alloc");
    tcase_add_test(t, blocks_are_zeroed_and_aligned);
    tcase_add_test(t, nothing_is_asked_for_nothing);
    tcase_add_test(t, overflow_is_not_a_small_block);
    tcase_add_test(t, refusal_is_an_error_with_the_size);
    tcase_add_test(t, strings);
    suite_add_tcase(s, t);
    return s;
}
