#include "../../lib/backend/context.h"
#include "failing_alloc.h"

#include <check.h>
#include <string.h>

static void run_plainly(void *user, dmc__task task, void *arg, size_t n)
{
    (void)user;
    for (size_t i = 0; i < n; i++) task(arg, i);
}

START_TEST(null_means_a_private_one)
{
    dmc__context_ref a, b;
    ck_assert_int_eq(dmc__context_acquire(NULL, &a), DMC_OK);
    ck_assert_int_eq(a.owned, 1);
    ck_assert_ptr_null(a.ctx->pool);
    ck_assert_int_eq(strncmp(a.ctx->name, "cpu ", 4), 0);
    ck_assert_int_eq(dmc__context_share(&a, &b), DMC_OK);
    ck_assert_int_eq(b.owned, 1);
    ck_assert_ptr_ne(b.ctx, a.ctx);
    dmc__context_release(&a);
    ck_assert_ptr_null(a.ctx);
    dmc__context_release(&a); /* a second release does nothing */
    dmc__context_release(&b);
}
END_TEST

static dmc_status open_with(const dmc__allocator *alloc, const char *device, int32_t threads, dmc__parallel_for host,
                            dmc__context **c)
{
    const dmc__context_config config = {.alloc = alloc, .device.name = device, .threads = threads, .host = host};
    return dmc__context_open(&config, c);
}

START_TEST(the_users_is_shared_and_left_alone)
{
    failing_alloc f = {0};
    const dmc__allocator alloc = failing_allocator(&f);
    dmc__context *user;
    dmc__context_ref a, b;
    ck_assert_int_eq(open_with(&alloc, "ref", 1, NULL, &user), DMC_OK);
    ck_assert_str_eq(user->name, "ref generic");
    ck_assert_int_eq(dmc__context_acquire(user, &a), DMC_OK);
    ck_assert_int_eq(dmc__context_share(&a, &b), DMC_OK);
    ck_assert_ptr_eq(a.ctx, user);
    ck_assert_ptr_eq(b.ctx, user);
    const int64_t live = f.live;
    dmc__context_release(&a);
    dmc__context_release(&b);
    ck_assert_int_eq(f.live, live);
    dmc__context_close(user);
    ck_assert_int_eq(f.live, 0);
    dmc__context_close(NULL);
}
END_TEST

START_TEST(threads_or_a_host_loop_make_a_pool)
{
    dmc__context *c;
    ck_assert_int_eq(open_with(&dmc__default_allocator, "ref", 2, NULL, &c), DMC_OK);
    ck_assert_int_eq(c->device->par.threads, 2);
    ck_assert_ptr_eq(c->device->par.pool, c->pool);
    dmc__context_close(c);
    ck_assert_int_eq(open_with(&dmc__default_allocator, "ref", 1, run_plainly, &c), DMC_OK);
    ck_assert_ptr_nonnull(c->pool);
    dmc__context_close(c);
}
END_TEST

START_TEST(failures_leave_nothing)
{
    failing_alloc f = {0};
    const dmc__allocator alloc = failing_allocator(&f);
    dmc__context *c = (dmc__context *)&f;
    ck_assert_int_eq(open_with(&alloc, "gpu", 2, NULL, &c), DMC_EKEY);
    ck_assert_ptr_null(c);
    ck_assert_int_eq(f.live, 0);
    ck_assert_int_eq(open_with(&alloc, "cpu", 65, NULL, &c), DMC_ERANGE);
    ck_assert_int_eq(f.live, 0);
    int64_t n = 1;
    for (;; n++) {
        f = (failing_alloc){.fail_at = n};
        c = (dmc__context *)&f;
        const dmc_status s = open_with(&alloc, "cpu", 2, NULL, &c);
        if (s == DMC_OK) break;
        ck_assert_int_eq(s, DMC_ENOMEM);
        ck_assert_ptr_null(c);
        ck_assert_int_eq(f.live, 0);
    }
    ck_assert_int_ge(n, 4); /* context, pool and device were refused in turn */
    dmc__context_close(c);
    ck_assert_int_eq(f.live, 0);
}
END_TEST

Suite *dmc_suite_context(void);
Suite *dmc_suite_context(void)
{
    Suite *s = suite_create("context");
    TCase *t = tcase_create("context");
    tcase_add_test(t, null_means_a_private_one);
    tcase_add_test(t, the_users_is_shared_and_left_alone);
    tcase_add_test(t, threads_or_a_host_loop_make_a_pool);
    tcase_add_test(t, failures_leave_nothing);
    suite_add_tcase(s, t);
    return s;
}
