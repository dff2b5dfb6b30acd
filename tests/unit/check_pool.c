#include "../../lib/base/pool.h"
#include "failing_alloc.h"

#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

enum { N = 1000 };

typedef struct tally {
    atomic_int count[N];
} tally;

static void count_index(void *arg, size_t i)
{
    tally *const t = arg;
    atomic_fetch_add(&t->count[i], 1);
}

/* Every index below n once, none above. */
static void assert_each_once(dmc__pool *pool, size_t n)
{
    static tally t;
    for (int i = 0; i < N; i++) t.count[i] = 0;
    dmc__pool_run(pool, count_index, &t, n);
    for (size_t i = 0; i < N; i++)
        ck_assert_msg(t.count[i] == (i < n), "n = %zu: index %zu ran %d times", n, i, t.count[i]);
}

static void assert_runs_all(dmc__pool *pool)
{
    const size_t sizes[] = {0, 1, 2, 3, 17, N};
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) assert_each_once(pool, sizes[k]);
}

START_TEST(each_index_once_with_threads)
{
    const int32_t threads = _i;
    failing_alloc f = {0};
    const dmc__allocator a = failing_allocator(&f);
    dmc__pool *pool;
    ck_assert_int_eq(dmc__pool_create(&a, threads, NULL, NULL, &pool), DMC_OK);
    ck_assert_int_eq(dmc__pool_threads(pool), threads);
    assert_runs_all(pool);
    dmc__pool_destroy(pool);
    ck_assert_int_eq(f.live, 0);
}
END_TEST

START_TEST(no_pool_is_one_thread)
{
    assert_runs_all(NULL);
    ck_assert_int_eq(dmc__pool_threads(NULL), 1);
    dmc__pool_destroy(NULL);
}
END_TEST

static void loop_backwards(void *user, dmc__task task, void *arg, size_t n)
{
    (*(int *)user)++;
    while (n-- > 0) task(arg, n);
}

START_TEST(host_loop_is_used)
{
    int loops = 0;
    dmc__pool *pool;
    ck_assert_int_eq(dmc__pool_create(&dmc__default_allocator, 1, loop_backwards, &loops, &pool), DMC_OK);
    assert_runs_all(pool);
    ck_assert_int_eq(loops, 4); /* n = 2, 3, 17, N; nothing to share below that */
    dmc__pool_destroy(pool);
}
END_TEST

/* What tasks write must be there after the run: plain memory, which ThreadSanitizer watches too. */
static void write_square(void *arg, size_t i)
{
    ((size_t *)arg)[i] = i * i;
}

START_TEST(results_are_visible_after_the_run)
{
    static size_t square[N];
    dmc__pool *pool;
    ck_assert_int_eq(dmc__pool_create(&dmc__default_allocator, 2, NULL, NULL, &pool), DMC_OK);
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < N; i++) square[i] = 0;
        dmc__pool_run(pool, write_square, square, N);
        for (size_t i = 0; i < N; i++) ck_assert_uint_eq(square[i], i * i);
    }
    dmc__pool_destroy(pool);
}
END_TEST

/* Two callers at once: whoever comes second does its loop alone. */
static void *run_loops(void *pool)
{
    size_t square[N];
    for (int round = 0; round < 2000; round++) {
        const size_t n = (size_t)(2 + round % 40);
        for (size_t i = 0; i < n; i++) square[i] = 0;
        dmc__pool_run(pool, write_square, square, n);
        for (size_t i = 0; i < n; i++)
            if (square[i] != i * i) return pool;
    }
    return NULL;
}

START_TEST(callers_share_a_pool)
{
    pthread_t caller[3];
    dmc__pool *pool;
    ck_assert_int_eq(dmc__pool_create(&dmc__default_allocator, 3, NULL, NULL, &pool), DMC_OK);
    for (int i = 0; i < 3; i++) ck_assert_int_eq(pthread_create(&caller[i], NULL, run_loops, pool), 0);
    for (int i = 0; i < 3; i++) {
        void *failed;
        ck_assert_int_eq(pthread_join(caller[i], &failed), 0);
        ck_assert_ptr_null(failed);
    }
    dmc__pool_destroy(pool);
}
END_TEST

/* Helpers that went to sleep come again, and both threads do some of a long loop. */
typedef struct attendance {
    pthread_t caller;
    atomic_int others;
} attendance;

static void stay_a_while(void *arg, size_t i)
{
    attendance *const a = arg;
    (void)i;
    usleep(1000);
    if (!pthread_equal(pthread_self(), a->caller)) atomic_fetch_add(&a->others, 1);
}

START_TEST(helpers_wake_up)
{
    dmc__pool *pool;
    ck_assert_int_eq(dmc__pool_create(&dmc__default_allocator, 2, NULL, NULL, &pool), DMC_OK);
    for (int round = 0; round < 3; round++) {
        attendance a = {.caller = pthread_self()};
        usleep(20000);
        dmc__pool_run(pool, stay_a_while, &a, 200);
        ck_assert_int_gt(a.others, 0);
        ck_assert_int_lt(a.others, 200);
    }
    dmc__pool_destroy(pool);
}
END_TEST

START_TEST(bounds_and_memory)
{
    dmc__pool *pool = (dmc__pool *)&pool;
    ck_assert_int_eq(dmc__pool_create(&dmc__default_allocator, 0, NULL, NULL, &pool), DMC_ERANGE);
    ck_assert_ptr_null(pool);
    ck_assert_str_eq(dmc_last_error(), "dmc_context_create: threads = 0, must be 1..64");
    ck_assert_int_eq(dmc__pool_create(&dmc__default_allocator, 65, NULL, NULL, &pool), DMC_ERANGE);
    failing_alloc f = {.fail_at = 1};
    const dmc__allocator a = failing_allocator(&f);
    pool = (dmc__pool *)&pool;
    ck_assert_int_eq(dmc__pool_create(&a, 2, NULL, NULL, &pool), DMC_ENOMEM);
    ck_assert_ptr_null(pool);
}
END_TEST

Suite *dmc_suite_pool(void);
Suite *dmc_suite_pool(void)
{
    Suite *s = suite_create("pool");
    TCase *t = tcase_create("pool");
    tcase_add_loop_test(t, each_index_once_with_threads, 1, 4);
    tcase_add_test(t, no_pool_is_one_thread);
    tcase_add_test(t, host_loop_is_used);
    tcase_add_test(t, results_are_visible_after_the_run);
    tcase_add_test(t, callers_share_a_pool);
    tcase_add_test(t, helpers_wake_up);
    tcase_add_test(t, bounds_and_memory);
    suite_add_tcase(s, t);
    return s;
}
