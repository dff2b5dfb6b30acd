/* file_fixture.h — a folder of its own for each test, and the check of a failure's status and sentence. */
#ifndef DMC_TESTS_FILE_FIXTURE_H
#define DMC_TESTS_FILE_FIXTURE_H

#include <libdmc/status.h>

#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char fixture_folder[64];

/* Setup and teardown of a test case. In memory if possible: every save waits for the disk otherwise. */
static inline void fixture_make(void)
{
    const char *const root = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(fixture_folder, sizeof fixture_folder, "%s/dmc_unit_XXXXXX", root);
    ck_assert_ptr_nonnull(mkdtemp(fixture_folder));
}

/* Path of a file in the folder; eight calls later the text is overwritten. */
static inline const char *fixture_path(const char *name)
{
    static char paths[8][512];
    static unsigned next;
    char *const path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", fixture_folder, name);
    return path;
}

/* Number of files in the folder. */
static inline int fixture_count(void)
{
    int n = 0;
    DIR *const folder = opendir(fixture_folder);
    ck_assert_ptr_nonnull(folder);
    for (const struct dirent *e; (e = readdir(folder)) != NULL;) n += e->d_name[0] != '.';
    closedir(folder);
    return n;
}

static inline void fixture_remove(void)
{
    DIR *const folder = opendir(fixture_folder);
    if (!folder) return;
    for (const struct dirent *e; (e = readdir(folder)) != NULL;) {
        if (e->d_name[0] == '.') continue;
        if (unlink(fixture_path(e->d_name)) != 0) rmdir(fixture_path(e->d_name));
    }
    closedir(folder);
    rmdir(fixture_folder);
}

/* Returns the path. */
static inline const char *fixture_write(const char *name, const void *bytes, size_t n)
{
    const char *const path = fixture_path(name);
    FILE *const f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(bytes, 1, n, f), n);
    ck_assert_int_eq(fclose(f), 0);
    return path;
}

/* The caller frees. */
static inline unsigned char *fixture_read(const char *path, size_t *n)
{
    FILE *const f = fopen(path, "rb");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fseek(f, 0, SEEK_END), 0);
    *n = (size_t)ftell(f);
    rewind(f);
    unsigned char *const bytes = malloc(*n + 1);
    ck_assert_ptr_nonnull(bytes);
    ck_assert_uint_eq(fread(bytes, 1, *n, f), *n);
    fclose(f);
    return bytes;
}

/* The call must fail with this status and a sentence that holds `part`. */
#define expect_failure(call, want, part)                                                            \
    do {                                                                                            \
        const dmc_status got_ = (call);                                                             \
        ck_assert_msg(got_ == (want), "%s: status %d, want %d; \"%s\"", #call, got_, (int)(want),   \
                      dmc_last_error());                                                            \
        ck_assert_msg(strstr(dmc_last_error(), (part)) != NULL, "%s: \"%s\" lacks \"%s\"", #call,   \
                      dmc_last_error(), (part));                                                    \
    } while (0)

#define expect_ok(call)                                                                             \
    do {                                                                                            \
        const dmc_status got_ = (call);                                                             \
        ck_assert_msg(got_ == DMC_OK, "%s: status %d: %s", #call, got_, dmc_last_error());          \
    } while (0)

#endif
