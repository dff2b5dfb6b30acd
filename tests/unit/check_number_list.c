#include "../../lib/config/number_list.h"

#include <check.h>
#include <string.h>

enum { MOST = 5 };

static int32_t read_list(const char *text, double *out)
{
    int32_t n = -1;
    ck_assert_msg(dmc__number_list(text, "here", MOST, out, &n) == DMC_OK, "\"%s\": %s", text, dmc_last_error());
    return n;
}

START_TEST(lists)
{
    double x[MOST];
    ck_assert_int_eq(read_list(NULL, x), 0);
    ck_assert_int_eq(read_list("", x), 0);
    ck_assert_int_eq(read_list("  ", x), 0);
    ck_assert_int_eq(read_list("0.9", x), 1);
    ck_assert(x[0] == .9);
    ck_assert_int_eq(read_list("0.9,0.5,0.1", x), 3);
    ck_assert(x[0] == .9 && x[1] == .5 && x[2] == .1);
    ck_assert_int_eq(read_list(" 80 ,\t-1e-3 , .5 ,+2,3\n", x), 5);
    ck_assert(x[0] == 80 && x[1] == -1e-3 && x[2] == .5 && x[3] == 2 && x[4] == 3);
}
END_TEST

static void assert_refused(const char *text, dmc_status status, const char *a, const char *b)
{
    double x[MOST];
    int32_t n;
    ck_assert_int_eq(dmc__number_list(text, "here", MOST, x, &n), status);
    ck_assert_msg(strstr(dmc_last_error(), a) && strstr(dmc_last_error(), b), "\"%s\": %s", text, dmc_last_error());
}

START_TEST(refusals)
{
    char dull[200];
    memset(dull, '1', sizeof dull);
    dull[sizeof dull - 1] = '\0';
    assert_refused("0.9,x,0.1", DMC_EPARSE, "here: number 2", "\"x\"");
    assert_refused("0.9,,0.1", DMC_EPARSE, "number 2", "\"\"");
    assert_refused("0.9,", DMC_EPARSE, "number 2", "\"\"");
    assert_refused(",", DMC_EPARSE, "number 1", "\"\"");
    assert_refused("0.9 0.5", DMC_EPARSE, "number 1", "\"0.9 0.5\"");
    assert_refused("0.9;0.5", DMC_EPARSE, "number 1", "commas");
    assert_refused("1,nan", DMC_EPARSE, "number 2", "nan");
    assert_refused("1,inf", DMC_EPARSE, "number 2", "inf");
    assert_refused("1,1e999", DMC_EPARSE, "number 2", "1e999");
    assert_refused("1,2,3,4,5,6", DMC_ERANGE, "more than 5", "here");
    assert_refused(dull, DMC_EPARSE, "number 1", "111");
}
END_TEST

Suite *dmc_suite_number_list(void);
Suite *dmc_suite_number_list(void)
{
    Suite *const s = suite_create("number_list");
    TCase *const t = tcase_create("number_list");
    tcase_add_test(t, lists);
    tcase_add_test(t, refusals);
    suite_add_tcase(s, t);
    return s;
}
