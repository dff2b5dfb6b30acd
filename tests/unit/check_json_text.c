#include "../../lib/io/json_text.h"
#include "failing_alloc.h"
#include "file_fixture.h"

#include <math.h>

static dmc__json *parsed(const char *text)
{
    dmc__json *j;
    expect_ok(dmc__json_parse(text, &j));
    return j;
}

static char *printed(const dmc__json *j)
{
    char *text;
    expect_ok(dmc__json_print(j, &dmc__default_allocator, &text));
    return text;
}

START_TEST(prints_in_the_order_set)
{
    dmc__json *j, *child;
    const float list[] = {1, -0.5f};
    expect_ok(dmc__json_create(&j));
    expect_ok(dmc__json_create(&child));
    expect_ok(dmc__json_set_text(j, "z", "tanh \"x\" \xc3\xa9"));
    expect_ok(dmc__json_set_number(j, "steps", 20));
    expect_ok(dmc__json_set_number(j, "clip", 0.5));
    expect_ok(dmc__json_set_numbers(j, "lo", list, 2));
    expect_ok(dmc__json_set_number(child, "b", -3));
    expect_ok(dmc__json_set_object(j, "a", child));
    expect_ok(dmc__json_set_number(child, "later", 1)); /* the child was copied in */
    char *text = printed(j);
    ck_assert_str_eq(
        text, "{\n  \"z\": \"tanh \\\"x\\\" \xc3\xa9\",\n  \"steps\": 20,\n  \"clip\": 0.5,\n"
              "  \"lo\": [\n    1,\n    -0.5\n  ],\n  \"a\": {\n    \"b\": -3\n  }\n}");
    dmc__str_free(&dmc__default_allocator, text);
    dmc__json_destroy(child);
    dmc__json_destroy(j);
    dmc__json_destroy(NULL);
}
END_TEST

START_TEST(numbers_survive_to_the_bit)
{
    enum { N = 2000 };
    static float in[N], out[N];
    double x;
    uint64_t state = 7;
    dmc__json *j;
    for (int i = 0; i < N; i++) {
        do {
            state = state * 6364136223846793005u + 1442695040888963407u;
            const uint32_t bits = (uint32_t)(state >> 32);
            memcpy(&in[i], &bits, sizeof bits);
        } while (!isfinite(in[i]));
    }
    in[0] = -0.0f;
    in[1] = 16777216.0f;
    in[2] = 1e-45f;
    expect_ok(dmc__json_create(&j));
    expect_ok(dmc__json_set_numbers(j, "v", in, N));
    expect_ok(dmc__json_set_numbers(j, "none", in, 0));
    expect_ok(dmc__json_set_number(j, "x", 0.1 + 0.2));
    expect_ok(dmc__json_set_number(j, "big", 0x1p53));
    char *text = printed(j);
    dmc__json *back = parsed(text);
    expect_ok(dmc__json_get_numbers(back, "v", out, N));
    ck_assert_mem_eq(in, out, sizeof in);
    expect_ok(dmc__json_get_numbers(back, "none", out, 0));
    expect_ok(dmc__json_get_number(back, "x", 0, 1, &x));
    ck_assert(x == 0.1 + 0.2);
    expect_ok(dmc__json_get_number(back, "big", 0, INFINITY, &x));
    ck_assert(x == 0x1p53);
    dmc__json_destroy(back);
    dmc__json_destroy(j);
    dmc__str_free(&dmc__default_allocator, text);
}
END_TEST

START_TEST(getters_name_key_and_expectation)
{
    dmc__json *j =
        parsed("{\"t\": \"x\", \"n\": 3, \"l\": [1, \"2\"], \"o\": {\"k\": 1}, \"big\": [1e300]}");
    dmc__json *child = j;
    const char *text = "";
    double x = 7;
    float v[3];
    expect_failure(dmc__json_get_text(j, "n", &text), DMC_EFORMAT, "\"n\" must be text");
    ck_assert_ptr_null(text);
    expect_failure(dmc__json_get_text(j, "none", &text), DMC_EFORMAT,
                   "no \"none\", which must be text");
    expect_failure(dmc__json_get_number(j, "t", 0, 1, &x), DMC_EFORMAT, "\"t\" must be a number");
    expect_failure(dmc__json_get_number(j, "n", 4, 5, &x), DMC_EFORMAT, "\"n\" = 3, must be 4..5");
    expect_failure(dmc__json_get_number(j, "n", 1, 2, &x), DMC_EFORMAT, "\"n\" = 3, must be 1..2");
    ck_assert(x == 7);
    expect_failure(dmc__json_get_numbers(j, "n", v, 1), DMC_EFORMAT,
                   "\"n\" must be a list of numbers");
    expect_failure(dmc__json_get_numbers(j, "l", v, 3), DMC_EFORMAT,
                   "\"l\" has 2 numbers, must have 3");
    expect_failure(dmc__json_get_numbers(j, "l", v, 2), DMC_EFORMAT,
                   "\"l\"[1] must be a finite number");
    expect_failure(dmc__json_get_numbers(j, "big", v, 1), DMC_EFORMAT, "\"big\"[0]");
    expect_failure(dmc__json_get_object(j, "l", &child), DMC_EFORMAT, "\"l\" must be an object");
    ck_assert_ptr_null(child);
    expect_ok(dmc__json_get_object(j, "o", &child));
    dmc__json_destroy(j);
    expect_ok(dmc__json_get_number(child, "k", 1, 1, &x)); /* the child lives on */
    dmc__json_destroy(child);
}
END_TEST

START_TEST(setters_refuse_what_json_cannot_hold)
{
    dmc__json *j;
    const float v[] = {0, NAN};
    expect_ok(dmc__json_create(&j));
    expect_failure(dmc__json_set_number(j, "x", NAN), DMC_ENUMERIC, "\"x\"");
    expect_failure(dmc__json_set_number(j, "x", INFINITY), DMC_ENUMERIC, "\"x\" = inf");
    expect_failure(dmc__json_set_numbers(j, "v", v, 2), DMC_ENUMERIC, "\"v\"[1]");
    expect_failure(dmc__json_set_text(j, "t", "\xff"), DMC_EINVAL, "\"t\": value is not UTF-8");
    expect_failure(dmc__json_set_text(j, "\xff", "t"), DMC_EINVAL, "key is not UTF-8");
    dmc__json_destroy(j);
}
END_TEST

static const struct {
    const char *text, *part;
} bad_json[] = {
    {"", "JSON line"},
    {"{", "JSON line 1"},
    {"[]", "not an object"},
    {"3", "JSON line 1"},
    {"{\"a\": 1, \"a\": 2}", "duplicate"},
    {"{\"a\": 1, \"\\u0061\": 2}", "duplicate"},
    {"{\"a\": nan}", "JSON line 1"},
    {"{\"a\": 1e999}", "JSON line 1"},
    {"{\"a\": 99999999999999999999}", "JSON line 1"},
    {"{\"a\": \"\\u0000\"}", "JSON line 1"},
    {"{\"a\": \"\xff\"}", "JSON line 1"},
    {"{\"a\": 1} x", "JSON line 1"},
    {"{\"a\":\n [1,}", "JSON line 2"},
    {"{\"a\": [[[[1]]]]}", "nested deeper than 4"},
    {"{\"a\": {\"b\": {\"c\": {\"d\": {}}}}}", "nested deeper than 4"},
};

START_TEST(bad_text_is_refused)
{
    dmc__json *j = (dmc__json *)1;
    expect_failure(dmc__json_parse(bad_json[_i].text, &j), DMC_EFORMAT, bad_json[_i].part);
    ck_assert_ptr_null(j);
}
END_TEST

START_TEST(nesting_and_length_are_bounded)
{
    enum { N = (1 << 20) + 2 };
    dmc__json *j;
    char *text = malloc(N + 1);
    ck_assert_ptr_nonnull(text);
    memset(text, '[', N); /* would be a million recursions */
    text[N - 3] = '\0';
    expect_failure(dmc__json_parse(text, &j), DMC_EFORMAT, "nested deeper");
    memset(text, ' ', N);
    text[0] = '{';
    text[N - 3] = '}';
    text[N - 2] = '\0';
    expect_ok(dmc__json_parse(text, &j)); /* 1 MiB to the byte */
    dmc__json_destroy(j);
    text[N - 2] = ' ';
    text[N - 1] = '\0';
    expect_failure(dmc__json_parse(text, &j), DMC_EFORMAT, "longer than 1048576 bytes");
    free(text);
    dmc__json_destroy(
        parsed("{\"[[[[[[\": \"]]]{{{{{\\\"{{{{{\", \"a\": [[[1]]]}")); /* brackets in text */
}
END_TEST

START_TEST(printing_without_memory)
{
    dmc__json *j = parsed("{\"a\": 1}");
    failing_alloc f = {.fail_at = 1};
    const dmc__allocator a = failing_allocator(&f);
    char *text = (char *)1;
    expect_failure(dmc__json_print(j, &a, &text), DMC_ENOMEM, "memory");
    ck_assert_ptr_null(text);
    expect_ok(dmc__json_print(j, &a, &text));
    dmc__str_free(&a, text);
    ck_assert_int_eq(f.live, 0);
    dmc__json_destroy(j);
}
END_TEST

Suite *dmc_suite_json_text(void);
Suite *dmc_suite_json_text(void)
{
    Suite *s = suite_create("json_text");
    TCase *c = tcase_create("all");
    tcase_add_test(c, prints_in_the_order_set);
    tcase_add_test(c, numbers_survive_to_the_bit);
    tcase_add_test(c, getters_name_key_and_expectation);
    tcase_add_test(c, setters_refuse_what_json_cannot_hold);
    tcase_add_loop_test(c, bad_text_is_refused, 0, sizeof bad_json / sizeof *bad_json);
    tcase_add_test(c, nesting_and_length_are_bounded);
    tcase_add_test(c, printing_without_memory);
    suite_add_tcase(s, c);
    return s;
}
