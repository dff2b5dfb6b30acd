#include "../../lib/base/arena.h"

#include <check.h>
#include <stdint.h>
#include <string.h>

/* Three pieces, one of them empty. */
static void take_all(dmc__arena *arena, void *piece[3])
{
    piece[0] = dmc__arena_take(arena, 100);
    piece[1] = dmc__arena_take(arena, 0);
    piece[2] = dmc__arena_take(arena, 64);
}

START_TEST(count_reserve_take)
{
    dmc__arena arena = {0};
    void *piece[3];
    take_all(&arena, piece);
    ck_assert_uint_eq(arena.used, 128 + 64);
    for (int i = 0; i < 3; i++) ck_assert_ptr_null(piece[i]);

    arena = (dmc__arena){.size = arena.used};
    ck_assert_int_eq(DMC_NEW(&dmc__default_allocator, arena.size, &arena.base), DMC_OK);
    take_all(&arena, piece);
    ck_assert_ptr_eq(piece[0], arena.base);
    ck_assert_ptr_eq(piece[1], arena.base + 128);
    ck_assert_ptr_eq(piece[2], arena.base + 128);
    memset(piece[2], 1, 64);
    ck_assert_uint_eq(arena.used, arena.size);
    ck_assert_ptr_null(dmc__arena_take(&arena, 1));
    ck_assert_uint_eq(arena.used, arena.size);
    DMC_FREE(&dmc__default_allocator, arena.base, arena.size);
}
END_TEST

START_TEST(one_byte_short_is_refused)
{
    static char room[256] __attribute__((aligned(64)));
    dmc__arena arena = {room, 191, 0};
    ck_assert_ptr_eq(dmc__arena_take(&arena, 128), room);
    ck_assert_ptr_null(dmc__arena_take(&arena, 64));
    ck_assert_ptr_null(dmc__arena_take(&arena, SIZE_MAX));
    ck_assert_ptr_null(dmc__arena_take(&arena, SIZE_MAX - 63));
    ck_assert_uint_eq(arena.used, 128);
}
END_TEST

START_TEST(counting_does_not_wrap)
{
    const size_t large[] = {SIZE_MAX, SIZE_MAX - 62, SIZE_MAX - 63, SIZE_MAX / 2 + 1};
    for (size_t i = 0; i < sizeof large / sizeof large[0]; i++) {
        dmc__arena arena = {0};
        dmc__arena_take(&arena, SIZE_MAX / 2 + 1);
        dmc__arena_take(&arena, large[i]);
        ck_assert_uint_eq(arena.used, SIZE_MAX);
        dmc__arena_take(&arena, 64);
        ck_assert_uint_eq(arena.used, SIZE_MAX);
    }
}
END_TEST

Suite *dmc_suite_arena(void);
Suite *dmc_suite_arena(void)
{
    Suite *s = suite_create("arena");
    TCase *t = tcase_create("arena");
    tcase_add_test(t, count_reserve_take);
    tcase_add_test(t, one_byte_short_is_refused);
    tcase_add_test(t, counting_does_not_wrap);
    suite_add_tcase(s, t);
    return s;
}
