/* run_plugin.c — the CUDA plugin as a file, on a machine that need not have a GPU: run_plugin FOLDER_OF_PLUGIN.
 *
 * Does it open without a driver, is its table complete, and does a context say in words what it lacks?
 */
#include <check.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libdmc/libdmc.h>

#include "lib/backend/backend.h"

static const char *folder, *program;

static const dmc__backend *open_plugin(void)
{
    const dmc__backend *b = NULL;
    ck_assert_msg(dmc__plugin_open("cuda", folder, &b) == DMC_OK, "%s", dmc_last_error());
    return b;
}

/* The driver's library is part of the driver, never of the toolkit. */
static int has_driver(void)
{
    void *const driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (driver) dlclose(driver);
    return driver != NULL;
}

/* Opens a context on `device`; the sentence where that failed. */
static dmc_status try_context(const char *device, const char *plugin_folder)
{
    dmc_context *c = NULL;
    dmc_context_options o;
    ck_assert_int_eq(dmc_context_options_init(&o, sizeof o), DMC_OK);
    o.device = device;
    if (plugin_folder) o.plugin_folder = plugin_folder;
    const dmc_status status = dmc_context_create(&o, &c);
    ck_assert_msg((status < 0) == (c == NULL), "status %d, and a context %p", (int)status, (void *)c);
    dmc_context_destroy(c);
    return status;
}

static void expect_words(const char *word)
{
    ck_assert_msg(strstr(dmc_last_error(), word) != NULL, "no \"%s\" in: %s", word, dmc_last_error());
}

/* Opening checks that both are of one build. */
START_TEST(it_opens)
{
    const dmc__backend *const b = open_plugin();
    ck_assert_str_eq(b->name, "cuda");
    ck_assert_uint_eq(b->elem, sizeof(float));
}
END_TEST

/* Filling a table looks at nothing but the name in the state. */
START_TEST(its_table_is_complete)
{
    static char state[4096];
    dmc_kernel_table table;
    const char *isa = NULL;
    memset(&table, 0, sizeof table);
    const dmc__backend *const b = open_plugin();
    b->fill_table(state, &table, &isa);
    ck_assert_msg(dmc__backend_check(b->name, &table) == DMC_OK, "%s", dmc_last_error());
    ck_assert_ptr_nonnull(isa);
}
END_TEST

START_TEST(every_function_is_there)
{
    const dmc__backend *const b = open_plugin();
    ck_assert(b->open && b->close && b->fork && b->alloc && b->free && b->copy_in && b->copy_out && b->copy && b->copy_in_bytes);
    ck_assert(b->sync && b->fill_table && b->recorder);
    const dmc_recorder *const r = b->recorder;
    ck_assert(r->begin && r->end && r->play && r->free && r->host_alloc && r->host_free);
}
END_TEST

START_TEST(without_a_driver_the_sentence_says_so)
{
    if (has_driver()) {
        printf("SKIP: there is an NVIDIA driver here\n");
        return;
    }
    ck_assert_int_eq(try_context("cuda", folder), DMC_EDEVICE);
    expect_words("driver");
    expect_words("cuda:0");
    ck_assert_int_eq(try_context("cuda:3", folder), DMC_EDEVICE);
    expect_words("cuda:3");
}
END_TEST

START_TEST(without_a_plugin_the_sentence_names_what_was_tried)
{
    ck_assert_int_eq(try_context("cuda", "/nowhere/at/all"), DMC_EDEVICE);
    expect_words("/nowhere/at/all/libdmc-cuda.so");
    char beside[1024];
    snprintf(beside, sizeof beside, "%.*s/libdmc-cuda.so", (int)(strrchr(program, '/') - program), program);
    if (getenv("LD_LIBRARY_PATH") || access(beside, F_OK) == 0) {
        printf("SKIP: a plugin may be found beside this program or by LD_LIBRARY_PATH\n");
        return;
    }
    ck_assert_int_eq(try_context("cuda", NULL), DMC_EDEVICE);
    expect_words(beside);
    expect_words("; libdmc-cuda.so:");
}
END_TEST

START_TEST(a_library_that_is_no_plugin_is_refused)
{
    char where[] = "/tmp/dmc_plugin_XXXXXX", link[64];
    ck_assert_ptr_nonnull(mkdtemp(where));
    snprintf(link, sizeof link, "%s/libdmc-cuda.so", where);
    Dl_info libc;
    ck_assert(dladdr((void *)(uintptr_t)&dlopen, &libc) != 0);
    ck_assert_int_eq(symlink(libc.dli_fname, link), 0);
    const dmc_status status = try_context("cuda", where);
    unlink(link);
    rmdir(where);
    ck_assert_int_eq(status, DMC_EDEVICE);
    expect_words("not a plugin");
}
END_TEST

/* ---- the counter of tests/preload, with a driver of ours behind it ------------------------------------ */

#define SHOWN __attribute__((visibility("default")))
SHOWN int cuGetProcAddress_v2(const char *symbol, void **function, int version, uint64_t flags, void *status);

static int fake_allocate(void **p, size_t bytes)
{
    *p = NULL;
    return (int)bytes;
}

static int fake_synchronize(void)
{
    return 7;
}

/* The program is linked with -rdynamic, so that dlsym finds this. */
int cuGetProcAddress_v2(const char *symbol, void **function, int version, uint64_t flags, void *status)
{
    int (*const allocate)(void **, size_t) = fake_allocate, (*const synchronize)(void) = fake_synchronize;
    (void)version, (void)flags, (void)status;
    if (strcmp(symbol, "cuMemAlloc") == 0) memcpy(function, &allocate, sizeof *function);
    else memcpy(function, &synchronize, sizeof *function);
    return 0;
}

START_TEST(what_counts_allocations_counts)
{
    uint64_t (*count)(void);
    int (*get)(const char *, void **, int, uint64_t, void *), (*allocate)(void **, size_t), (*synchronize)(void);
    void *found = dlsym(RTLD_DEFAULT, "dmc_driver_allocations"), *function, *p = &p;
    if (!found) {
        printf("SKIP: count_driver.so is not preloaded\n");
        return;
    }
    memcpy(&count, &found, sizeof count);
    found = dlsym(RTLD_DEFAULT, "cuGetProcAddress_v2");
    ck_assert_ptr_nonnull(found);
    memcpy(&get, &found, sizeof get);
    const uint64_t before = count();
    ck_assert_int_eq(get("cuMemAlloc", &function, 3020, 0, NULL), 0);
    memcpy(&allocate, &function, sizeof allocate);
    ck_assert_int_eq(allocate(&p, 5), 5); /* the driver's answer, and its writing */
    ck_assert_ptr_null(p);
    ck_assert_uint_eq(count() - before, 1);
    ck_assert_int_eq(get("cuCtxSynchronize", &function, 2000, 0, NULL), 0);
    memcpy(&synchronize, &function, sizeof synchronize);
    ck_assert_int_eq(synchronize(), 7);
    ck_assert_uint_eq(count() - before, 1);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER_OF_PLUGIN\n", argv[0]);
        return EXIT_FAILURE;
    }
    program = argv[0];
    folder = argv[1];
    Suite *const s = suite_create("plugin");
    TCase *const t = tcase_create("plugin");
    tcase_add_test(t, it_opens);
    tcase_add_test(t, its_table_is_complete);
    tcase_add_test(t, every_function_is_there);
    tcase_add_test(t, without_a_driver_the_sentence_says_so);
    tcase_add_test(t, without_a_plugin_the_sentence_names_what_was_tried);
    tcase_add_test(t, a_library_that_is_no_plugin_is_refused);
    tcase_add_test(t, what_counts_allocations_counts);
    suite_add_tcase(s, t);
    SRunner *const runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
