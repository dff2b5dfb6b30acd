#include <libdmc/libdmc.h>

#include "../../lib/io/yaml_file.h"
#include "failing_alloc.h"
#include "file_fixture.h"

#include <sys/stat.h>

static const char sample[] = "# a run\n"
                             "model: {horizon: 4, network: unet1d_janner, mult: \"1,4\"}\n"
                             "train:\n"
                             "  steps: 500\n"
                             "  lr: 1e-3   # faster\n"
                             "  seed: 18446744073709551615\n"
                             "empty:\n"
                             "run:\n"
                             "  out: 'build/x y'\n"
                             "  note: \"line\\nbreak\"\n";

static dmc_config *loaded(const char *text, const char *const *overrides, size_t n)
{
    dmc_config *c;
    expect_ok(dmc_config_load(text ? fixture_write("run.yaml", text, strlen(text)) : NULL,
                              overrides, n, &c));
    return c;
}

/* ---- what works
 * ---------------------------------------------------------------------------------- */

START_TEST(sections_fill_structs)
{
    dmc_config *c = loaded(sample, NULL, 0);
    dmc_model_options m;
    dmc_train_options t;
    expect_ok(dmc_model_options_init(&m, sizeof m));
    expect_ok(dmc_train_options_init(&t, sizeof t));
    expect_ok(dmc_config_apply(c, "model", DMC_OPTIONS_MODEL, &m));
    expect_ok(dmc_config_apply(c, "train", DMC_OPTIONS_TRAIN, &t));
    ck_assert(m.horizon == 4 && m.network == DMC_NETWORK_UNET1D_JANNER && m.hidden == 256);
    ck_assert_str_eq(m.mult, "1,4");
    ck_assert(t.steps == 500 && t.lr == 1e-3 && t.seed == UINT64_MAX && t.batch == 256);
    dmc_model_options same = m;
    expect_ok(dmc_config_apply(c, "empty", DMC_OPTIONS_MODEL, &same));
    expect_ok(dmc_config_apply(c, "missing", DMC_OPTIONS_MODEL, &same));
    ck_assert_mem_eq(&same, &m, sizeof m);
    ck_assert_str_eq(dmc_config_get(c, "run", "out"), "build/x y");
    ck_assert_str_eq(dmc_config_get(c, "run", "note"), "line\nbreak");
    ck_assert_ptr_null(dmc_config_get(c, "run", "none"));
    ck_assert_ptr_null(dmc_config_get(c, "none", "out"));
    ck_assert_ptr_null(dmc_config_get(c, "empty", "out"));
    ck_assert_ptr_null(dmc_config_get(NULL, "run", "out"));
    ck_assert_ptr_null(dmc_config_get(c, NULL, "out"));
    ck_assert_ptr_null(dmc_config_get(c, "run", NULL));
    dmc_config_destroy(c);
    dmc_config_destroy(NULL);
}
END_TEST

START_TEST(overrides_have_the_last_word)
{
    static const char *const overrides[] = {"train.steps=7", "train.steps=8",
                                            "sampler.sampler=ddim", "run.out=a=b.c", "run.note="};
    dmc_config *c = loaded(sample, overrides, 5);
    dmc_train_options t;
    dmc_sampler_options s;
    expect_ok(dmc_train_options_init(&t, sizeof t));
    expect_ok(dmc_sampler_options_init(&s, sizeof s));
    expect_ok(dmc_config_apply(c, "train", DMC_OPTIONS_TRAIN, &t));
    expect_ok(dmc_config_apply(c, "sampler", DMC_OPTIONS_SAMPLER, &s));
    ck_assert(t.steps == 8 && t.lr == 1e-3 && s.sampler == DMC_SAMPLER_DDIM);
    ck_assert_str_eq(dmc_config_get(c, "run", "out"), "a=b.c");
    ck_assert_str_eq(dmc_config_get(c, "run", "note"), "");
    dmc_config_destroy(c);
    c = loaded(NULL, overrides, 1); /* no file at all */
    ck_assert_str_eq(dmc_config_get(c, "train", "steps"), "7");
    dmc_config_destroy(c);
}
END_TEST

START_TEST(files_without_sections)
{
    static const char *const texts[] = {"",
                                        "\n",
                                        "# only this\n",
                                        "---\n",
                                        "--- {}\n",
                                        "{}",
                                        "a:\nb: {}\n",
                                        "\xef\xbb\xbf"
                                        "a: {b: 1}\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        dmc_config_destroy(loaded(texts[i], NULL, 0));
}
END_TEST

START_TEST(unknown_sections_are_refused)
{
    static const char *const all[] = {"model", "train", "empty", "run", NULL};
    static const char *const some[] = {"models", "train", "run", NULL};
    static const char *const run[] = {"model", "train", "run", NULL};
    static const char *const override[] = {"trian.steps=1"};
    dmc_config *c = loaded(sample, NULL, 0);
    expect_ok(dmc_config_sections(c, all));
    expect_failure(dmc_config_sections(c, some), DMC_EKEY,
                   "run.yaml: line 2: section \"model\" is not known, did you mean \"models\"?");
    expect_failure(dmc_config_sections(c, run), DMC_EKEY, "line 7: section \"empty\" is not known");
    expect_failure(dmc_config_sections(c, NULL), DMC_EINVAL, "known must not be NULL");
    expect_failure(dmc_config_sections(NULL, all), DMC_EINVAL, "c and known");
    dmc_config_destroy(c);
    c = loaded(NULL, override, 1);
    expect_failure(dmc_config_sections(c, all), DMC_EKEY,
                   "override of trian: section \"trian\" is not known, did you mean \"train\"?");
    dmc_config_destroy(c);
}
END_TEST

/* ---- what the values may not be
 * ------------------------------------------------------------------ */

static const struct {
    const char *text;
    dmc_status status;
    const char *part;
} bad_options[] = {
    {"train:\n  steps: 5\n  lrr: 1\n", DMC_EKEY,
     "run.yaml: line 3: section \"train\" has no key \"lrr\", did you mean \"lr\"?"},
    {"train: {steps: 0}\n", DMC_ERANGE,
     "run.yaml: line 1: dmc_train_options: steps = 0, must be 1..1000000000"},
    {"train: {steps: true}\n", DMC_EPARSE, "steps = \"true\" is not a whole number"},
    {"train: {lr: ''}\n", DMC_EPARSE, "lr = \"\" is not a number"},
};

START_TEST(bad_values_leave_the_struct_alone)
{
    dmc_config *c = loaded(bad_options[_i].text, NULL, 0);
    dmc_train_options t, before;
    expect_ok(dmc_train_options_init(&t, sizeof t));
    before = t;
    expect_failure(dmc_config_apply(c, "train", DMC_OPTIONS_TRAIN, &t), bad_options[_i].status,
                   bad_options[_i].part);
    ck_assert_ptr_nonnull(strstr(dmc_last_error(), "dmc_config_apply: "));
    ck_assert_mem_eq(&t, &before, sizeof t);
    dmc_config_destroy(c);
}
END_TEST

START_TEST(overrides_are_named_in_sentences)
{
    static const char *const overrides[] = {"train.steps=x"};
    dmc_config *c = loaded(sample, overrides, 1);
    dmc_train_options t;
    expect_ok(dmc_train_options_init(&t, sizeof t));
    expect_failure(dmc_config_apply(c, "train", DMC_OPTIONS_TRAIN, &t), DMC_EPARSE,
                   "dmc_config_apply: override of train: dmc_train_options: steps = \"x\"");
    expect_failure(dmc_config_apply(c, "train", 99, &t), DMC_EINVAL, "kind = 99");
    expect_failure(dmc_config_apply(c, NULL, DMC_OPTIONS_TRAIN, &t), DMC_EINVAL,
                   "must not be NULL");
    expect_failure(dmc_config_apply(c, "train", DMC_OPTIONS_TRAIN, NULL), DMC_EINVAL,
                   "must not be NULL");
    t.struct_size = 0;
    expect_failure(dmc_config_apply(c, "train", DMC_OPTIONS_TRAIN, &t), DMC_EINVAL,
                   "dmc_train_options_init");
    dmc_config_destroy(c);
}
END_TEST

/* A program built with a shorter struct: what lies behind it is not touched. */
START_TEST(older_structs_can_be_filled)
{
    static const char *const overrides[] = {"train.steps=9"}, *const newer[] = {"train.ema=0.5"};
    dmc_train_options t;
    memset(&t, 0x5a, sizeof t);
    expect_ok(dmc_train_options_init(&t, offsetof(dmc_train_options, ema)));
    dmc_train_options before = t;
    dmc_config *c = loaded(NULL, overrides, 1);
    expect_ok(dmc_config_apply(c, "train", DMC_OPTIONS_TRAIN, &t));
    before.steps = 9;
    ck_assert_mem_eq(&t, &before, sizeof t);
    dmc_config_destroy(c);
    c = loaded(NULL, newer, 1);
    expect_failure(dmc_config_apply(c, "train", DMC_OPTIONS_TRAIN, &t), DMC_EKEY, "ema is newer");
    dmc_config_destroy(c);
}
END_TEST

/* A section may hold keys of the program beside options. */
START_TEST(own_keys_are_left_alone)
{
    static const char *const own[] = {"out", "note", NULL}, *const out[] = {"out", NULL};
    static const char *const overrides[] = {"train.out=x", "train.note=y"};
    dmc_config *c = loaded(sample, overrides, 2);
    dmc_train_options t;
    expect_ok(dmc_train_options_init(&t, sizeof t));
    expect_ok(dmc_config_apply_with(c, "train", own, DMC_OPTIONS_TRAIN, &t));
    ck_assert_int_eq(t.steps, 500);
    dmc_train_options before = t;
    t.steps = before.steps = 1;
    expect_failure(dmc_config_apply_with(c, "train", out, DMC_OPTIONS_TRAIN, &t), DMC_EKEY,
                   "override of train: section \"train\" has no key \"note\"");
    ck_assert_mem_eq(&t, &before, sizeof t);
    expect_ok(dmc_config_apply_with(c, "run", own, 0, NULL));
    expect_failure(dmc_config_apply_with(c, "run", out, 0, NULL), DMC_EKEY,
                   "run.yaml: line 10: section \"run\" has no key \"note\"");
    expect_failure(dmc_config_apply_with(c, "run", NULL, 0, NULL), DMC_EINVAL, "must not be NULL");
    expect_failure(dmc_config_apply_with(c, "run", own, 0, &t), DMC_EINVAL, "kind = 0");
    expect_failure(dmc_config_apply_with(c, "run", own, DMC_OPTIONS_TRAIN, NULL), DMC_EINVAL,
                   "kind = 4");
    expect_failure(dmc_config_apply(c, "run", 0, &t), DMC_EINVAL, "kind = 0");
    dmc_config_destroy(c);
}
END_TEST

/* A program built with a longer struct: what this library does not know stays as it is. */
START_TEST(newer_structs_can_be_filled)
{
    static const char *const overrides[] = {"train.steps=9"};
    union {
        dmc_train_options known;
        char bytes[2048];
    } t = {.bytes = {0}};
    expect_ok(dmc_train_options_init(&t.known, sizeof t.known));
    t.known.struct_size = sizeof t;
    memset(t.bytes + sizeof t.known, 7, sizeof t - sizeof t.known);
    dmc_config *c = loaded(NULL, overrides, 1);
    expect_ok(dmc_config_apply(c, "train", DMC_OPTIONS_TRAIN, &t));
    ck_assert(t.known.steps == 9 && t.known.struct_size == sizeof t);
    for (size_t i = sizeof t.known; i < sizeof t; i++) ck_assert_int_eq(t.bytes[i], 7);
    dmc_config_destroy(c);
}
END_TEST

START_TEST(bad_overrides)
{
    static const char *const bad[] = {"",      "steps=1", "train.steps", ".steps=1", "train.=1",
                                      "a=b.c", "="};
    dmc_config *c = (dmc_config *)1;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char part[64];
        snprintf(part, sizeof part,
                 "dmc_config_load: override \"%s\" must look like section.key=value", bad[i]);
        expect_failure(dmc_config_load(NULL, &bad[i], 1, &c), DMC_EPARSE, part);
        ck_assert_ptr_null(c);
    }
    static const char *const null[] = {NULL};
    expect_failure(dmc_config_load(NULL, null, 1, &c), DMC_EINVAL, "override is NULL");
    expect_failure(dmc_config_load(NULL, NULL, 1, &c), DMC_EINVAL, "overrides = NULL, n = 1");
    expect_failure(dmc_config_load(NULL, NULL, 0, NULL), DMC_EINVAL, "out = NULL");
}
END_TEST

/* ---- what the text may not be
 * --------------------------------------------------------------------- */

static const struct {
    const char *text, *part;
} bad_yaml[] = {
    {"a: {b: 1, b: 2}\n", "line 1, column 11: duplicate \"b\", first on line 1"},
    {"a:\n  b: 1\n  c: 2\n  \"b\": 3\n", "line 4, column 3: duplicate \"b\", first on line 2"},
    {"a: {}\nb: {}\na: {}\n", "line 3, column 1: duplicate \"a\", first on line 1"},
    {"a: {b: {c: 1}}\n", "line 1, column 8: too deep: a section holds only key: value"},
    {"a: {b: [1, 2]}\n", "line 1, column 8: lists are not allowed: write \"1,2,3\" in quotes"},
    {"- 1\n", "line 1, column 1: lists are not allowed"},
    {"[[[[[[[[[[[[[[[[[[[[[\n", "line 1, column 1: lists are not allowed"},
    {"{{{{{{{{{{{{{{{{{{{{{\n", "line 1, column 2: a name must be text"},
    {"{{a: 1}: 2}\n", "line 1, column 2: a name must be text"},
    {"? {a: 1}\n: 2\n", "a name must be text"},
    {"a: {? {b: 1} : 2}\n", "a name must be text"},
    {"text\n", "line 1, column 1: a file must be a mapping of sections"},
    {"a: 1\n", "line 1, column 4: a section must be a mapping"},
    {"a: ''\n", "a section must be a mapping"},
    {"a: {b: }\n", "line 1, column 8: a value is missing"},
    {"a:\n  b:\n  c: 1\n", "line 2, column 5: a value is missing"},
    {"a: {b}\n", "a value is missing"},
    {"'': {b: 1}\n", "a name must not be empty"},
    {"a: {'': 1}\n", "a name must not be empty"},
    {"a: &x {b: 1}\n", "line 1, column 4: anchors are not allowed"},
    {"a: {b: &x 1}\n", "line 1, column 8: anchors are not allowed"},
    {"a: {b: *x}\n", "line 1, column 8: aliases are not allowed"},
    {"*x : {}\n", "aliases are not allowed"},
    {"a: {<<: 1}\n", "line 1, column 5: merge keys are not allowed"},
    {"<<: {}\n", "merge keys are not allowed"},
    {"a: !!map {b: 1}\n", "tags are not allowed"},
    {"a: {b: !!int 1}\n", "tags are not allowed"},
    {"a: {b: ! 1}\n", "tags are not allowed"},
    {"%YAML 1.1\n---\na: {}\n", "directives are not allowed"},
    {"%TAG ! tag:x,2000:\n---\na: {}\n", "directives are not allowed"},
    {"a: {}\n---\nb: {}\n", "line 2, column 1: a second document is not allowed"},
    {"--- {}\n--- {}\n", "a second document is not allowed"},
    {"a: {b: \"\\0\"}\n", "text holds a NUL byte"},
    {"a: {b: \x01}\n", "line 1, column 8: control characters are not allowed"},
    {"a: {b: 1,\n \xc3\xa9: \xff}\n", "line 2, column 5: invalid leading UTF-8 octet"},
    {"a: {b: \xc3}\n", "line 1, column 9: invalid trailing UTF-8 octet"},
    {"\xff\xfe a", "line 1, column 1: invalid leading UTF-8 octet"}, /* UTF-16 */
    {"a: {b: 1\n", "line 2, column 1: "},
    {"a:\n\tb: 1\n", "line 2, column 1: "},
    {"a: {b: 'x}\n", "line "},
    {"a: b: c\n", "line 1, column 4: a section must be a mapping"},
    {"a: {b: c: d}\n", "line 1, column "},
    {"a:\n  b: 1\n c: 2\n", "line 3, column 2: "},
};

START_TEST(bad_yaml_is_refused_with_its_place)
{
    dmc_config *c = (dmc_config *)1;
    const char *text = bad_yaml[_i].text;
    expect_failure(dmc_config_load(fixture_write("run.yaml", text, strlen(text)), NULL, 0, &c),
                   DMC_EPARSE, bad_yaml[_i].part);
    ck_assert_ptr_null(c);
    ck_assert_ptr_nonnull(strstr(dmc_last_error(), "dmc_config_load: "));
    ck_assert_ptr_nonnull(strstr(dmc_last_error(), "run.yaml: line "));
}
END_TEST

START_TEST(things_that_are_no_files)
{
    dmc_config *c;
    expect_failure(dmc_config_load(fixture_path("none.yaml"), NULL, 0, &c), DMC_ENOENT,
                   "none.yaml: cannot be opened");
    expect_failure(dmc_config_load(fixture_folder, NULL, 0, &c), DMC_EIO, "is not a regular file");
    ck_assert_int_eq(mkfifo(fixture_path("pipe"), 0600), 0);
    expect_failure(dmc_config_load(fixture_path("pipe"), NULL, 0, &c), DMC_EIO,
                   "is not a regular file");
}
END_TEST

START_TEST(size_and_events_are_bounded)
{
    enum { MAX = 1 << 20 };
    dmc__yaml y;
    char *text = malloc(MAX + 1);
    ck_assert_ptr_nonnull(text);
    memset(text, ' ', MAX + 1);
    expect_ok(dmc__yaml_parse(&dmc__default_allocator, "x", text, MAX, &y));
    dmc__yaml_free(&y);
    expect_failure(dmc__yaml_parse(&dmc__default_allocator, "x", text, MAX + 1, &y), DMC_EPARSE,
                   "x: is 1048577 bytes, must be at most 1048576");
    dmc_config *c;
    expect_failure(dmc_config_load(fixture_write("big", text, MAX + 1), NULL, 0, &c), DMC_EPARSE,
                   "is 1048577 bytes");
    ck_assert_int_eq(truncate(fixture_path("big"), (off_t)1 << 40),
                     0); /* must not be asked memory for */
    expect_failure(dmc_config_load(fixture_path("big"), NULL, 0, &c), DMC_EPARSE,
                   "is 1099511627776 bytes");
    size_t n = (size_t)sprintf(text, "a:\n");
    for (int i = 0; i < 4990; i++) n += (size_t)sprintf(text + n, " k%d: 1\n", i);
    expect_ok(dmc__yaml_parse(&dmc__default_allocator, "x", text, n, &y));
    ck_assert_int_eq(y.count, 4991);
    dmc__yaml_free(&y);
    for (int i = 0; i < 10; i++) n += (size_t)sprintf(text + n, " m%d: 1\n", i);
    expect_failure(dmc__yaml_parse(&dmc__default_allocator, "x", text, n, &y), DMC_EPARSE,
                   "more than 10000 events");
    free(text);
}
END_TEST

START_TEST(every_prefix_is_read_or_refused)
{
    for (size_t n = 0; n <= strlen(sample); n++) {
        dmc__yaml y;
        const dmc_status status = dmc__yaml_parse(&dmc__default_allocator, "cut", sample, n, &y);
        ck_assert(status == DMC_OK || status == DMC_EPARSE);
        if (status != DMC_OK) ck_assert_ptr_nonnull(strstr(dmc_last_error(), "cut: line "));
        dmc__yaml_free(&y);
    }
}
END_TEST

START_TEST(reading_without_memory)
{
    int64_t n = 1;
    const char *path = fixture_write("run.yaml", sample, strlen(sample));
    for (dmc_status status = DMC_ENOMEM; status != DMC_OK; n++) {
        failing_alloc f = {.fail_at = n};
        const dmc__allocator a = failing_allocator(&f);
        dmc__yaml y;
        status = dmc__yaml_read(&a, path, &y);
        if (status != DMC_OK) {
            ck_assert_int_eq(status, DMC_ENOMEM);
            ck_assert(y.count == 0 && !y.entry);
        }
        dmc__yaml_free(&y);
        ck_assert_int_eq(f.live, 0);
    }
    ck_assert_int_gt(n, 25);
}
END_TEST

Suite *dmc_suite_config_yaml(void);
Suite *dmc_suite_config_yaml(void)
{
    Suite *s = suite_create("config_yaml");
    TCase *c = tcase_create("all");
    tcase_add_checked_fixture(c, fixture_make, fixture_remove);
    tcase_add_test(c, sections_fill_structs);
    tcase_add_test(c, overrides_have_the_last_word);
    tcase_add_test(c, files_without_sections);
    tcase_add_test(c, unknown_sections_are_refused);
    tcase_add_loop_test(c, bad_values_leave_the_struct_alone, 0,
                        sizeof bad_options / sizeof *bad_options);
    tcase_add_test(c, overrides_are_named_in_sentences);
    tcase_add_test(c, older_structs_can_be_filled);
    tcase_add_test(c, newer_structs_can_be_filled);
    tcase_add_test(c, own_keys_are_left_alone);
    tcase_add_test(c, bad_overrides);
    tcase_add_loop_test(c, bad_yaml_is_refused_with_its_place, 0,
                        sizeof bad_yaml / sizeof *bad_yaml);
    tcase_add_test(c, things_that_are_no_files);
    tcase_add_test(c, size_and_events_are_bounded);
    tcase_add_test(c, every_prefix_is_read_or_refused);
    tcase_add_test(c, reading_without_memory);
    suite_add_tcase(s, c);
    return s;
}
