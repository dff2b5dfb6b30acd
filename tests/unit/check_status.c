#include <libdmc/status.h>
#include <libdmc/version.h>

#include "../../lib/base/status.h"

#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

START_TEST(texts_and_numbers)
{
    ck_assert_str_eq(dmc_status_string(DMC_OK), "ok");
    ck_assert_str_eq(dmc_status_string(DMC_STOPPED), "stopped by the progress callback");
    ck_assert_str_eq(dmc_status_string(-20), "out of memory");
    ck_assert_str_eq(dmc_status_string(-61), "a user callback reported failure");
    ck_assert_str_eq(dmc_status_string(-999), "unknown status");
    ck_assert_str_eq(dmc_status_string(0x7fffffff), "unknown status");
}
END_TEST

START_TEST(sentence_is_kept_until_the_next_failure)
{
    ck_assert_int_eq(dmc__fail(DMC_ERANGE, "dmc_x: steps = %d, must be 1..%d", 0, 1000), DMC_ERANGE);
    ck_assert_str_eq(dmc_last_error(), "dmc_x: steps = 0, must be 1..1000");
    ck_assert_str_eq(dmc_last_error(), "dmc_x: steps = 0, must be 1..1000");
    dmc__fail(DMC_EINVAL, "again: %s", dmc_last_error()); /* an argument that is the buffer itself */
    ck_assert_str_eq(dmc_last_error(), "again: dmc_x: steps = 0, must be 1..1000");
}
END_TEST

START_TEST(prefix_goes_in_front)
{
    dmc__fail(DMC_ESHAPE, "3 columns, must be 4");
    ck_assert_int_eq(dmc__fail_in(DMC_ESHAPE, "%s: layer %d", "a.dmc", 7), DMC_ESHAPE);
    ck_assert_str_eq(dmc_last_error(), "a.dmc: layer 7: 3 columns, must be 4");
}
END_TEST

START_TEST(long_sentences_are_cut_at_a_character)
{
    char text[2000];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    dmc__fail(DMC_EINVAL, "%s", text);
    ck_assert_uint_eq(strlen(dmc_last_error()), 511);
    dmc__fail_in(DMC_EINVAL, "%s", text);
    ck_assert_uint_eq(strlen(dmc_last_error()), 511);
    memcpy(text + 509, "\xe2\x82\xac", 3); /* a euro sign of which the buffer holds two bytes */
    dmc__fail(DMC_EINVAL, "%s", text);
    ck_assert_uint_eq(strlen(dmc_last_error()), 509);
    memcpy(text + 508, "\xe2\x82\xac", 3); /* and one that just fits */
    text[511] = '\0';
    dmc__fail(DMC_EINVAL, "%s", text);
    ck_assert_uint_eq(strlen(dmc_last_error()), 511);
}
END_TEST

static void *fail_elsewhere(void *arg)
{
    (void)arg;
    const int empty = dmc_last_error()[0] == '\0';
    dmc__fail(DMC_EIO, "theirs");
    return empty ? "empty" : NULL;
}

START_TEST(each_thread_has_its_own)
{
    pthread_t thread;
    void *was_empty;
    dmc__fail(DMC_EINVAL, "mine");
    ck_assert_int_eq(pthread_create(&thread, NULL, fail_elsewhere, NULL), 0);
    ck_assert_int_eq(pthread_join(thread, &was_empty), 0);
    ck_assert_ptr_nonnull(was_empty);
    ck_assert_str_eq(dmc_last_error(), "mine");
}
END_TEST

static dmc_status count_until(int *calls, dmc_status status)
{
    (*calls)++;
    return status;
}

static dmc_status try_three(int *calls, dmc_status second)
{
    DMC_TRY(count_until(calls, DMC_CLAMPED)); /* positive is a success */
    DMC_TRY(count_until(calls, second));
    return count_until(calls, DMC_OK);
}

static dmc_status try_goto(int *calls, dmc_status first)
{
    dmc_status status;
    DMC_TRY_GOTO(status, count_until(calls, first), fail);
    return DMC_OK;
fail:
    (*calls) += 10;
    return status;
}

START_TEST(try_returns_errors_only)
{
    int calls = 0;
    ck_assert_int_eq(try_three(&calls, DMC_OK), DMC_OK);
    ck_assert_int_eq(calls, 3);
    ck_assert_int_eq(try_three(&calls, DMC_EIO), DMC_EIO);
    ck_assert_int_eq(calls, 5);
    ck_assert_int_eq(try_goto(&calls, DMC_EIO), DMC_EIO);
    ck_assert_int_eq(calls, 16);
    ck_assert_int_eq(try_goto(&calls, DMC_STOPPED), DMC_OK);
    ck_assert_int_eq(calls, 17);
}
END_TEST

START_TEST(version_is_the_headers)
{
    char text[32];
    snprintf(text, sizeof text, "%d.%d.%d", DMC_VERSION_MAJOR, DMC_VERSION_MINOR, DMC_VERSION_PATCH);
    ck_assert_str_eq(dmc_version(), text);
}
END_TEST

Suite *dmc_suite_status(void);
Suite *dmc_suite_status(void)
{
    Suite *s = suite_create("status");
    TCase *t = tcase_create("status");
    tcase_add_test(t, texts_and_numbers);
    tcase_add_test(t, sentence_is_kept_until_the_next_failure);
    tcase_add_test(t, prefix_goes_in_front);
    tcase_add_test(t, long_sentences_are_cut_at_a_character);
    tcase_add_test(t, each_thread_has_its_own);
    tcase_add_test(t, try_returns_errors_only);
    tcase_add_test(t, version_is_the_headers);
    suite_add_tcase(s, t);
    return s;
}
