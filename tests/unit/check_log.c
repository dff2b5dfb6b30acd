#include "../../lib/base/log.h"

#include <check.h>
#include <string.h>

typedef struct kept {
    int lines;
    int32_t level;
    char line[2048];
} kept;

static void keep(void *user, int32_t level, const char *line)
{
    kept *const k = user;
    k->lines++;
    k->level = level;
    strncpy(k->line, line, sizeof k->line - 1);
}

START_TEST(silent_without_a_sink)
{
    const dmc__log none = {.level = DMC__LOG_DEBUG};
    dmc__log_line(NULL, DMC__LOG_ERROR, "nobody hears %d", 1);
    dmc__log_line(&none, DMC__LOG_ERROR, "nobody hears %d", 1);
}
END_TEST

START_TEST(levels_above_are_dropped)
{
    kept k = {0};
    const dmc__log log = {keep, &k, DMC__LOG_WARN};
    dmc__log_line(&log, DMC__LOG_INFO, "too detailed");
    ck_assert_int_eq(k.lines, 0);
    dmc__log_line(&log, DMC__LOG_WARN, "loss %.2f", 0.5);
    ck_assert_int_eq(k.lines, 1);
    ck_assert_int_eq(k.level, DMC__LOG_WARN);
    ck_assert_str_eq(k.line, "loss 0.50");
    dmc__log_line(&log, DMC__LOG_ERROR, "%s", "two\nlines\n");
    ck_assert_str_eq(k.line, "two lines "); /* a sink gets one line */
}
END_TEST

START_TEST(long_lines_are_cut)
{
    kept k = {0};
    char text[1500];
    const dmc__log log = {keep, &k, DMC__LOG_ERROR};
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    dmc__log_line(&log, DMC__LOG_ERROR, "%s", text);
    ck_assert_uint_eq(strlen(k.line), 1023);
}
END_TEST

Suite *dmc_suite_log(void);
Suite *dmc_suite_log(void)
{
    Suite *s = suite_create("log");
    TCase *t = tcase_create("log");
    tcase_add_test(t, silent_without_a_sink);
    tcase_add_test(t, levels_above_are_dropped);
    tcase_add_test(t, long_lines_are_cut);
    suite_add_tcase(s, t);
    return s;
}
