/* check_fixed_alloc.c — blocks in the caller's memory, what comes back, and that counting counts the same. */
#include "../../lib/base/fixed_alloc.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { SIZES = 5 };
static const size_t sizes[SIZES] = {1, 64, 65, 1000, 0x30};

START_TEST(blocks_stand_aligned_inside)
{
    enum { ROOM = 4096 };
    static char memory[ROOM + 64];
    char *const block = memory + _i;
    dmc__fixed_alloc *const f = dmc__fixed_open(block, ROOM);
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq((uintptr_t)f % 64, 0);
    ck_assert((char *)f >= block);
    char *end = (char *)(f + 1), *p[SIZES];
    for (int i = 0; i < SIZES; i++) {
        ck_assert_int_eq(DMC_NEW(&f->allocator, sizes[i], &p[i]), DMC_OK);
        ck_assert_uint_eq((uintptr_t)p[i] % 64, 0);
        ck_assert(p[i] >= end);
        memset(p[i], 0x5a, sizes[i]);
        end = p[i] + sizes[i];
    }
    ck_assert(end <= block + ROOM);
    ck_assert_ptr_null(f->allocator.alloc(f, 1, 128));
    ck_assert_ptr_null(f->allocator.alloc(f, SIZE_MAX, 64));
    ck_assert_ptr_null(f->allocator.alloc(f, SIZE_MAX - 64, 64));
    ck_assert_int_eq(DMC_NEW(&f->allocator, ROOM, &p[0]), DMC_ENOMEM);
}
END_TEST

START_TEST(the_last_block_comes_back)
{
    static char memory[4096];
    dmc__fixed_alloc *const f = dmc__fixed_open(memory, sizeof memory);
    char *a, *b, *c;
    ck_assert_int_eq(DMC_NEW(&f->allocator, 100, &a), DMC_OK);
    ck_assert_int_eq(DMC_NEW(&f->allocator, 200, &b), DMC_OK);
    const size_t used = f->used;
    DMC_FREE(&f->allocator, b, 200);
    ck_assert_int_eq(DMC_NEW(&f->allocator, 220, &c), DMC_OK);
    ck_assert_ptr_eq(b, c);
    ck_assert_uint_eq(f->used, used);
    DMC_FREE(&f->allocator, a, 100); /* in between: lost */
    ck_assert_uint_eq(f->used, used);
    DMC_FREE(&f->allocator, c, 220);
    ck_assert_uint_eq(f->used, used - 256);
    ck_assert_uint_eq(f->most, used);
}
END_TEST

/* Requests and frees in a fixed order; 0 when one was refused. */
static int run_script(const dmc__allocator *a)
{
    char *p[SIZES], *temporary;
    for (int i = 0; i < SIZES; i++) {
        if (DMC_NEW(a, 3000, &temporary) < 0) return 0;
        if (i % 2) DMC_FREE(a, temporary, 3000); /* the others are lost behind the next */
        if (DMC_NEW(a, sizes[i], &p[i]) < 0) return 0;
        if (i % 2 == 0) DMC_FREE(a, temporary, 3000);
    }
    for (int i = SIZES - 1; i >= 0; i--) DMC_FREE(a, p[i], sizes[i]);
    return 1;
}

START_TEST(counting_says_exactly_what_is_needed)
{
    dmc__fixed_alloc counter;
    dmc__fixed_count(&counter);
    ck_assert(run_script(&counter.allocator));
    const size_t need = dmc__fixed_need(&counter);
    char *const memory = malloc(need + 64);
    for (int shift = 0; shift < 64; shift += 21)
        for (int less = 0; less < 2; less++) {
            memset(memory, 0x77, need + 64);
            dmc__fixed_alloc *const f = dmc__fixed_open(memory + shift, need - (size_t)less);
            ck_assert_int_eq(run_script(&f->allocator), !less);
            for (int i = 0; i < shift; i++) ck_assert_int_eq(memory[i], 0x77);
            for (size_t i = need - (size_t)less + (size_t)shift; i < need + 64; i++) ck_assert_int_eq(memory[i], 0x77);
        }
    free(memory);
    ck_assert_ptr_null(dmc__fixed_open(&counter, 100));
    ck_assert_ptr_null(counter.allocator.alloc(&counter, SIZE_MAX - 10, 64));
    ck_assert_ptr_null(counter.allocator.alloc(&counter, 10, 128));
}
END_TEST

Suite *dmc_suite_fixed_alloc(void);

Suite *dmc_suite_fixed_alloc(void)
{
    Suite *s = suite_create("fixed_alloc");
    TCase *t = tcase_create("fixed_alloc");
    tcase_add_loop_test(t, blocks_stand_aligned_inside, 0, 64);
    tcase_add_test(t, the_last_block_comes_back);
    tcase_add_test(t, counting_says_exactly_what_is_needed);
    suite_add_tcase(s, t);
    return s;
}
