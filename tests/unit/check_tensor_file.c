#include "../../lib/io/tensor_file.h"
#include "failing_alloc.h"
#include "file_fixture.h"

#include <math.h>
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static const dmc__allocator *const heap = &dmc__default_allocator;

/* Stands before libc's, so that a test can see whether a save waits for the disk, and can refuse
 * it. */
static int syncs, sync_to_fail;
int fsync(int fd)
{
    if (++syncs == sync_to_fail) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fsync, fd);
}

static dmc__tensor_file *opened(const char *path, int digest)
{
    dmc__tensor_file *f;
    expect_ok(dmc__tensor_file_open(heap, path, digest, &f));
    return f;
}

static dmc__tensor_writer *new_writer(void)
{
    dmc__tensor_writer *w;
    expect_ok(dmc__tensor_writer_create(heap, &w));
    return w;
}

static const int32_t shape23[] = {2, 3};
static const float six[] = {1, -2, 0.1f, 3e38f, 1e-45f, -0.0f};

/* A small file of ours: two tensors and metadata. */
static const char *write_small(const char *name)
{
    dmc__tensor_writer *w = new_writer();
    const double d[] = {0.1, -1e300};
    const int32_t two[] = {2};
    expect_ok(dmc__tensor_writer_meta(w, "contract", "{\"steps\": 20}"));
    expect_ok(dmc__tensor_writer_f32(w, "net.weight", 2, shape23, six));
    expect_ok(dmc__tensor_writer_f64(w, "moments", 1, two, d));
    expect_ok(dmc__tensor_writer_save(w, fixture_path(name)));
    dmc__tensor_writer_destroy(w);
    return fixture_path(name);
}

/* A file from parts: header length (header's own if 0), header text, n data bytes counting 0,
 * 1, 2... & 63. */
static const char *write_raw(uint64_t length, const char *header, size_t n)
{
    static char bytes[4096];
    const size_t text = strlen(header);
    if (length == 0) length = text;
    ck_assert_uint_le(8 + text + n, sizeof bytes);
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, header, text);
    for (size_t i = 0; i < n; i++) bytes[8 + text + i] = (char)(i & 63);
    return fixture_write("raw.safetensors", bytes, 8 + text + n);
}

/* ---- round trips
 * --------------------------------------------------------------------------------- */

START_TEST(round_trip_is_exact)
{
    dmc__tensor_file *f = opened(write_small("a.dmc"), 1);
    int32_t rank, shape[8];
    float v[6];
    double d[2];
    ck_assert_int_eq(dmc__tensor_file_count(f), 2);
    ck_assert_str_eq(dmc__tensor_file_name(f, 0), "net.weight");
    ck_assert_str_eq(dmc__tensor_file_name(f, 1), "moments");
    ck_assert_str_eq(dmc__tensor_file_meta(f, "contract"), "{\"steps\": 20}");
    ck_assert_ptr_null(dmc__tensor_file_meta(f, "none"));
    ck_assert_int_eq(dmc__tensor_file_find(f, "moments"), 1);
    ck_assert_int_eq(dmc__tensor_file_find(f, "moment"), -1);
    dmc__tensor_file_shape(f, 0, &rank, shape);
    ck_assert(rank == 2 && shape[0] == 2 && shape[1] == 3);
    ck_assert_uint_eq(dmc__tensor_file_elems(f, 0), 6);
    expect_ok(dmc__tensor_file_read(f, 0, v, 6));
    ck_assert_mem_eq(v, six, sizeof six);
    expect_ok(dmc__tensor_file_take(f, "net.weight", 2, shape23, v));
    ck_assert_mem_eq(v, six, sizeof six);
    expect_ok(dmc__tensor_file_read64(f, 1, d, 2));
    ck_assert(d[0] == 0.1 && d[1] == -1e300);
    expect_ok(dmc__tensor_file_read64(f, 0, (double[6]){0}, 6));
    dmc__tensor_file_close(f);
    dmc__tensor_file_close(NULL);
    ck_assert_int_eq(fixture_count(), 1); /* no temporary file left */
}
END_TEST

START_TEST(equal_content_makes_equal_files)
{
    size_t n, m;
    unsigned char *a = fixture_read(write_small("a.dmc"), &n);
    unsigned char *b = fixture_read(write_small("b.dmc"), &m);
    uint64_t length;
    ck_assert_uint_eq(n, m);
    ck_assert_mem_eq(a, b, n);
    memcpy(&length, a, 8);
    ck_assert_uint_eq((8 + length) % 64, 0); /* tensors are aligned in a mapped file */
    ck_assert_uint_eq(8 + length + 24 + 16, n);
    ck_assert_mem_eq(a + 8, "{\"__metadata__\":{\"dmc.xxh3\":\"", 29);
    free(a);
    free(b);
}
END_TEST

START_TEST(empty_and_scalar_tensors)
{
    dmc__tensor_writer *w = new_writer();
    const int32_t none[] = {3, 0}, eight[] = {1, 1, 1, 1, 1, 1, 1, 1};
    const float one = 7;
    int32_t rank, shape[8];
    float v;
    expect_ok(dmc__tensor_writer_f32(w, "none", 2, none, NULL));
    expect_ok(dmc__tensor_writer_f32(w, "scalar", 0, NULL, &one));
    expect_ok(dmc__tensor_writer_f32(w, "eight", 8, eight, &one));
    expect_ok(dmc__tensor_writer_save(w, fixture_path("e.dmc")));
    expect_ok(dmc__tensor_writer_save(w, fixture_path("e.dmc"))); /* again, over itself */
    dmc__tensor_writer_destroy(w);
    dmc__tensor_file *f = opened(fixture_path("e.dmc"), 1);
    dmc__tensor_file_shape(f, 0, &rank, shape);
    ck_assert(rank == 2 && shape[0] == 3 && shape[1] == 0 && dmc__tensor_file_elems(f, 0) == 0);
    expect_ok(dmc__tensor_file_read(f, 0, NULL, 0));
    expect_ok(dmc__tensor_file_take(f, "scalar", 0, NULL, &v));
    ck_assert(v == 7);
    expect_ok(dmc__tensor_file_take(f, "eight", 8, eight, &v));
    dmc__tensor_file_close(f);
    w = new_writer();
    expect_ok(dmc__tensor_writer_save(w, fixture_path("nothing.dmc")));
    dmc__tensor_writer_destroy(w);
    f = opened(fixture_path("nothing.dmc"), 1);
    ck_assert_int_eq(dmc__tensor_file_count(f), 0);
    dmc__tensor_file_close(f);
    dmc__tensor_writer_destroy(NULL);
}
END_TEST

/* More than the first block of items, and names that JSON escapes. */
START_TEST(many_tensors_keep_their_order)
{
    enum { N = 100 };
    dmc__tensor_writer *w = new_writer();
    char name[64];
    for (int32_t i = 0; i < N; i++) {
        const float v[] = {(float)i, (float)-i};
        const int32_t two[] = {2};
        snprintf(name, sizeof name, "t\"\\\n\xc3\xa9.%d", (i * 37) % N);
        expect_ok(dmc__tensor_writer_f32(w, name, 1, two, v));
    }
    expect_ok(dmc__tensor_writer_save(w, fixture_path("many.dmc")));
    dmc__tensor_writer_destroy(w);
    dmc__tensor_file *f = opened(fixture_path("many.dmc"), 1);
    ck_assert_int_eq(dmc__tensor_file_count(f), N);
    for (int32_t i = 0; i < N; i++) {
        float v[2];
        snprintf(name, sizeof name, "t\"\\\n\xc3\xa9.%d", (i * 37) % N);
        ck_assert_str_eq(dmc__tensor_file_name(f, i), name);
        expect_ok(dmc__tensor_file_read(f, i, v, 2));
        ck_assert(v[0] == (float)i && v[1] == (float)-i);
    }
    dmc__tensor_file_close(f);
}
END_TEST

static const char foreign[] = /* as other programs write it */
    "{\"f16\":{\"dtype\":\"F16\",\"shape\":[6],\"data_offsets\":[0,12]},"
    "\"bf16\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[12,16]},"
    "\"i64\":{\"dtype\":\"I64\",\"shape\":[2],\"data_offsets\":[16,32]},"
    "\"u8\":{\"dtype\":\"U8\",\"shape\":[2,1],\"data_offsets\":[32,34]},"
    "\"f64\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[34,42]}}  ";

START_TEST(other_types_are_converted)
{
    const uint16_t half[] = {0x3c00, 0xc000, 0x0001, 0x7bff, 0x0400, 0x8000},
                   brain[] = {0x3f80, 0xc2c8};
    const int64_t whole[] = {-3, INT64_MAX};
    const double wide = 1e300;
    char bytes[1024];
    const uint64_t length = strlen(foreign);
    char *at = bytes;
    memcpy(at, &length, 8);
    memcpy(at += 8, foreign, length);
    memcpy(at += length, half, 12);
    memcpy(at += 12, brain, 4);
    memcpy(at += 4, whole, 16);
    memcpy(at += 16, "\x07\xff", 2);
    memcpy(at += 2, &wide, 8);
    dmc__tensor_file *f =
        opened(fixture_write("f.safetensors", bytes, (size_t)(at + 8 - bytes)), 0);
    float v[6];
    double d[6];
    expect_ok(dmc__tensor_file_read(f, 0, v, 6));
    const float want[] = {1, -2, 0x1p-24f, 65504, 0x1p-14f, -0.0f};
    ck_assert_mem_eq(v, want, sizeof want);
    expect_ok(dmc__tensor_file_read(f, 1, v, 2));
    ck_assert(v[0] == 1 && v[1] == -100);
    expect_ok(dmc__tensor_file_read64(f, 2, d, 2));
    ck_assert(d[0] == -3 && d[1] == 0x1p63);
    expect_ok(dmc__tensor_file_read(f, 3, v, 2));
    ck_assert(v[0] == 7 && v[1] == 255);
    expect_ok(dmc__tensor_file_read64(f, 4, d, 1));
    ck_assert(d[0] == 1e300);
    expect_failure(dmc__tensor_file_read(f, 4, v, 1), DMC_ENUMERIC,
                   "\"f64\": element 0 is too large for a float");
    dmc__tensor_file_close(f);
    expect_failure(dmc__tensor_file_open(heap, fixture_path("f.safetensors"), 1, &f), DMC_EFORMAT,
                   "does not begin with the digest");
}
END_TEST

/* ---- what the caller does wrong
 * ------------------------------------------------------------------ */

START_TEST(wrong_sizes_are_named)
{
    dmc__tensor_file *f = opened(write_small("a.dmc"), 1);
    float v[6] = {0};
    const int32_t shape32[] = {3, 2}, shape4[] = {2, 3, 1};
    expect_failure(dmc__tensor_file_read(f, 0, v, 5), DMC_ESHAPE,
                   "\"net.weight\" has 6 elements, n = 5");
    expect_failure(dmc__tensor_file_read64(f, 1, (double[1]){0}, 1), DMC_ESHAPE,
                   "\"moments\" has 2 elements");
    expect_failure(dmc__tensor_file_take(f, "net.weight", 2, shape32, v), DMC_ESHAPE,
                   "a.dmc: tensor \"net.weight\" is (2,3), must be (3,2)");
    expect_failure(dmc__tensor_file_take(f, "net.weight", 3, shape4, v), DMC_ESHAPE,
                   "is (2,3), must be (2,3,1)");
    expect_failure(dmc__tensor_file_take(f, "net.weight", 1, shape23, v), DMC_ESHAPE,
                   "is (2,3), must be (2)");
    expect_failure(dmc__tensor_file_take(f, "net.bias", 2, shape23, v), DMC_EFORMAT,
                   "has no tensor \"net.bias\", which must be (2,3)");
    dmc__tensor_file_close(f);
}
END_TEST

START_TEST(writer_refuses_what_the_reader_would)
{
    dmc__tensor_writer *w = new_writer();
    char longest[300];
    const float bad[] = {1, NAN}, one = 1;
    const double infinite = -INFINITY;
    const int32_t two[] = {2}, minus[] = {2, -1}, ones[] = {1},
                  huge[] = {INT32_MAX, INT32_MAX, INT32_MAX, 2};
    memset(longest, 'n', sizeof longest);
    longest[257] = '\0';
    expect_failure(dmc__tensor_writer_f32(w, longest, 1, ones, &one), DMC_EINVAL,
                   "must have 1..256 bytes");
    longest[256] = '\0';
    expect_ok(dmc__tensor_writer_f32(w, longest, 1, ones, &one));
    expect_failure(dmc__tensor_writer_f32(w, "", 1, ones, &one), DMC_EINVAL,
                   "must have 1..256 bytes");
    expect_failure(dmc__tensor_writer_f32(w, "__metadata__", 1, ones, &one), DMC_EINVAL,
                   "is reserved");
    expect_failure(dmc__tensor_writer_f32(w, "x", 9, ones, &one), DMC_EINVAL,
                   "rank = 9, must be 0..8");
    expect_failure(dmc__tensor_writer_f32(w, "x", -1, ones, &one), DMC_EINVAL, "rank = -1");
    expect_failure(dmc__tensor_writer_f32(w, "x", 2, minus, &one), DMC_EINVAL,
                   "\"x\": size 1 = -1");
    expect_failure(dmc__tensor_writer_f32(w, "x", 4, huge, &one), DMC_EOVERFLOW,
                   "\"x\" is too large");
    expect_failure(dmc__tensor_writer_f32(w, "x", 1, two, bad), DMC_ENUMERIC,
                   "\"x\": element 1 is not finite");
    expect_failure(dmc__tensor_writer_f64(w, "x", 0, NULL, &infinite), DMC_ENUMERIC, "element 0");
    expect_ok(dmc__tensor_writer_f32(w, "x", 1, ones, &one));
    expect_failure(dmc__tensor_writer_f32(w, "x", 1, ones, &one), DMC_EINVAL,
                   "\"x\" is there already");
    expect_ok(dmc__tensor_writer_meta(w, "k", "v"));
    expect_failure(dmc__tensor_writer_meta(w, "k", "v"), DMC_EINVAL,
                   "metadata \"k\" is there already");
    expect_failure(dmc__tensor_writer_meta(w, "dmc.xxh3", "v"), DMC_EINVAL, "there already");
    expect_failure(dmc__tensor_writer_meta(w, "u", "\xff"), DMC_EINVAL,
                   "\"u\": key and value must be UTF-8");
    expect_failure(dmc__tensor_writer_meta(w, "\xff", "u"), DMC_EINVAL, "must be UTF-8");
    expect_failure(dmc__tensor_writer_save(w, ""), DMC_EINVAL, "must name a file");
    expect_failure(dmc__tensor_writer_save(w, fixture_path("no/folder.dmc")), DMC_ENOENT,
                   "cannot be created");
    expect_ok(dmc__tensor_writer_save(w, fixture_path("ok.dmc")));
    expect_ok(dmc__tensor_writer_f32(w, "\xff", 1, ones, &one));
    expect_failure(dmc__tensor_writer_save(w, fixture_path("utf.dmc")), DMC_EINVAL, "not UTF-8");
    dmc__tensor_writer_destroy(w);
    dmc__tensor_file_close(opened(fixture_path("ok.dmc"), 1));
    ck_assert_int_eq(fixture_count(), 1);
}
END_TEST

START_TEST(header_that_is_too_long_is_not_written)
{
    enum { N = 17 << 20 };
    dmc__tensor_writer *w = new_writer();
    char *text = malloc(N + 1);
    ck_assert_ptr_nonnull(text);
    memset(text, 'x', N);
    text[N] = '\0';
    expect_ok(dmc__tensor_writer_meta(w, "k", text));
    expect_failure(dmc__tensor_writer_save(w, fixture_path("long.dmc")), DMC_EOVERFLOW,
                   "must be at most 16777216");
    ck_assert_int_eq(fixture_count(), 0);
    dmc__tensor_writer_destroy(w);
    free(text);
}
END_TEST

/* A save that fails leaves the file that was there, and nothing beside it. */
START_TEST(failed_save_keeps_the_old_file)
{
    dmc__tensor_writer *w = new_writer();
    write_small("keep.dmc");
    ck_assert_int_eq(mkdir(fixture_path("folder"), 0700), 0);
    fixture_write("folder/inside", "x", 1);
    expect_failure(dmc__tensor_writer_save(w, fixture_path("folder")), DMC_EIO,
                   "cannot be replaced");
    unlink(fixture_path("folder/inside"));
    ck_assert_int_eq(fixture_count(), 2);
    dmc__tensor_writer_destroy(w);
    dmc__tensor_file_close(opened(fixture_path("keep.dmc"), 1));
}
END_TEST

/* The file before it gets its name, and the folder after. */
START_TEST(saves_wait_for_the_disk)
{
    dmc__tensor_writer *w = new_writer();
    const float one = 1;
    write_small("keep.dmc");
    syncs = 0;
    expect_ok(dmc__tensor_writer_f32(w, "other", 0, NULL, &one));
    expect_ok(dmc__tensor_writer_save(w, fixture_path("new.dmc")));
    ck_assert_int_eq(syncs, 2);
    syncs = 0;
    sync_to_fail = 1;
    expect_failure(dmc__tensor_writer_save(w, fixture_path("keep.dmc")), DMC_EIO,
                   "cannot be made durable");
    sync_to_fail = 0;
    dmc__tensor_writer_destroy(w);
    ck_assert_int_eq(fixture_count(), 2);
    dmc__tensor_file *f = opened(fixture_path("keep.dmc"), 1);
    ck_assert_int_eq(dmc__tensor_file_find(f, "net.weight"), 0);
    dmc__tensor_file_close(f);
}
END_TEST

START_TEST(full_disk_leaves_nothing)
{
    static float big[4096];
    const int32_t shape[] = {4096};
    const struct rlimit tiny = {.rlim_cur = 8192, .rlim_max = RLIM_INFINITY},
                        all = {RLIM_INFINITY, RLIM_INFINITY};
    dmc__tensor_writer *w = new_writer();
    expect_ok(dmc__tensor_writer_f32(w, "big", 1, shape, big));
    write_small("keep.dmc");
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &tiny), 0);
    const dmc_status status = dmc__tensor_writer_save(w, fixture_path("keep.dmc"));
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &all), 0);
    expect_failure(status, DMC_EIO, "cannot be written");
    dmc__tensor_writer_destroy(w);
    ck_assert_int_eq(fixture_count(), 1);
    dmc__tensor_file_close(opened(fixture_path("keep.dmc"), 1));
}
END_TEST

START_TEST(stale_temporary_file_is_no_obstacle)
{
    char stale[64];
    snprintf(stale, sizeof stale, "a.dmc.tmp.%d", (int)getpid());
    fixture_write(stale, "left by a crash", 15);
    dmc__tensor_file_close(opened(write_small("a.dmc"), 1));
    ck_assert_int_eq(fixture_count(), 1);
}
END_TEST

START_TEST(things_that_are_no_files)
{
    dmc__tensor_file *f = (dmc__tensor_file *)1;
    expect_failure(dmc__tensor_file_open(heap, fixture_path("none.dmc"), 1, &f), DMC_ENOENT,
                   "none.dmc: cannot be opened");
    ck_assert_ptr_null(f);
    expect_failure(dmc__tensor_file_open(heap, fixture_folder, 1, &f), DMC_EIO,
                   "is not a regular file");
    ck_assert_int_eq(mkfifo(fixture_path("pipe"), 0600), 0);
    expect_failure(dmc__tensor_file_open(heap, fixture_path("pipe"), 1, &f), DMC_EIO,
                   "is not a regular file");
    expect_failure(dmc__tensor_file_open(heap, fixture_write("empty", "", 0), 1, &f), DMC_EFORMAT,
                   "is 0 bytes");
    expect_failure(dmc__tensor_file_open(heap, fixture_write("short", "1234567", 7), 1, &f),
                   DMC_EFORMAT, "is 7 bytes, too short");
}
END_TEST

/* ---- damage and malice
 * ---------------------------------------------------------------------------- */

START_TEST(every_prefix_is_refused)
{
    size_t n;
    unsigned char *bytes = fixture_read(write_small("a.dmc"), &n);
    for (size_t i = 0; i < n; i++) {
        dmc__tensor_file *f;
        const char *path = fixture_write("cut.dmc", bytes, i);
        const dmc_status status = dmc__tensor_file_open(heap, path, 1, &f);
        ck_assert_msg(status == DMC_EFORMAT || status == DMC_ECORRUPT, "%zu bytes: %d", i, status);
        ck_assert_ptr_nonnull(strstr(dmc_last_error(), "cut.dmc"));
        ck_assert_ptr_null(f);
    }
    free(bytes);
}
END_TEST

START_TEST(every_flipped_bit_is_refused)
{
    size_t n;
    unsigned char *bytes = fixture_read(write_small("a.dmc"), &n);
    for (size_t i = 0; i < 8 * n; i++) {
        dmc__tensor_file *f;
        bytes[i / 8] ^= (unsigned char)(1 << i % 8);
        const char *path = fixture_write("flip.dmc", bytes, n);
        const dmc_status status = dmc__tensor_file_open(heap, path, 1, &f);
        ck_assert_msg(status == DMC_EFORMAT || status == DMC_ECORRUPT, "bit %zu: %d", i, status);
        const dmc_status plain =
            dmc__tensor_file_open(heap, path, 0, &f); /* may be fine, may not crash */
        if (plain == DMC_OK) dmc__tensor_file_close(f);
        bytes[i / 8] ^= (unsigned char)(1 << i % 8);
    }
    free(bytes);
}
END_TEST

START_TEST(longer_file_is_refused)
{
    size_t n;
    dmc__tensor_file *f;
    unsigned char *bytes = fixture_read(write_small("a.dmc"), &n);
    bytes[n] = 0; /* fixture_read leaves room for one */
    expect_failure(dmc__tensor_file_open(heap, fixture_write("long.dmc", bytes, n + 1), 1, &f),
                   DMC_ECORRUPT, "file is damaged");
    free(bytes);
}
END_TEST

/* A program that knows safetensors but not us drops or moves the digest. */
START_TEST(rewritten_metadata_is_noticed)
{
    dmc__tensor_file *f;
    const char *moved =
        "{\"__metadata__\":{\"a\":\"b\",\"dmc.xxh3\":\"00000000000000000000000000000000\"}}";
    expect_failure(dmc__tensor_file_open(heap, write_raw(0, moved, 0), 0, &f), DMC_ECORRUPT,
                   "not in its place");
    const char *cut = "{\"__metadata__\":{\"dmc.xxh3\":\"00\"}}"; /* no room for one */
    expect_failure(dmc__tensor_file_open(heap, write_raw(0, cut, 0), 0, &f), DMC_ECORRUPT,
                   "not in its place");
    expect_failure(dmc__tensor_file_open(heap, write_raw(0, cut, 0), 1, &f), DMC_EFORMAT,
                   "does not begin with");
    const char *stale = "{\"__metadata__\":{\"dmc.xxh3\":\"00000000000000000000000000000000\"}}";
    expect_failure(dmc__tensor_file_open(heap, write_raw(0, stale, 0), 0, &f), DMC_ECORRUPT,
                   "file is damaged");
}
END_TEST

#define T1(shape, range)                                                                           \
    "{\"a\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":" range "}}"
#define PAIR(range_a, range_b)                                                                     \
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":" range_a "},"                       \
    "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":" range_b "}}"
#define LONG_NAME                                                                                  \
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789ab" \
    "cdef"                                                                                         \
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789ab" \
    "cdef"                                                                                         \
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0"

static const struct {
    uint64_t length;
    const char *header;
    size_t bytes;
    dmc_status status;
    const char *part;
} hostile[] = {
    {UINT64_MAX, "{}", 0, DMC_EFORMAT, "header of 18446744073709551615 bytes, must be 2..16777216"},
    {(16 << 20) + 1, "{}", 0, DMC_EFORMAT, "header of 16777217 bytes"},
    {16 << 20, "{}", 0, DMC_ECORRUPT, "header of 16777216 bytes, but the file ends after 2"},
    {3, "{}", 0, DMC_ECORRUPT, "header of 3 bytes, but the file ends after 2"},
    {1, "{}", 0, DMC_EFORMAT, "header of 1 bytes"},
    {0, "[]", 0, DMC_EFORMAT, "not an object"},
    {0, "{\"a\":[[[[[", 0, DMC_EFORMAT, "header: JSON is nested deeper than 4"},
    {0, "{\"a\":1", 0, DMC_EFORMAT, "header: JSON line 1"},
    {0, "{}", 4, DMC_EFORMAT, "tensors end at byte 0, but there are 4"},
    {0, "{\"a\":1}", 0, DMC_EFORMAT, "\"a\" must have dtype, shape and data_offsets"},
    {0, "{\"a\":{\"dtype\":\"F32\",\"shape\":[]}}", 0, DMC_EFORMAT,
     "must have dtype, shape and data_offsets"},
    {0, "{\"a\":{\"dtype\":3,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, DMC_EFORMAT,
     "must have dtype"},
    {0, "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"x\":1}}", 4, DMC_EFORMAT,
     "must have dtype"},
    {0, "{\"a\":{\"dtype\":\"F31\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, DMC_EFORMAT,
     "dtype F31, must be F32"},
    {0, T1("[1]", "[0,4]"), 8, DMC_EFORMAT, "tensors end at byte 4, but there are 8"},
    {0, T1("[1]", "[0,4]"), 3, DMC_EFORMAT, "\"a\" ends at 4, must be 0..3"},
    {0, T1("[2]", "[0,4]"), 4, DMC_EFORMAT, "\"a\" (2) of F32 does not fill its 4 bytes"},
    {0, T1("[1]", "[4,8]"), 8, DMC_EFORMAT, "\"a\" begins at 4, must begin at 0"},
    {0, T1("[1]", "[-4,0]"), 8, DMC_EFORMAT, "\"a\" begins at -4"},
    {0, T1("[1]", "[0,-4]"), 8, DMC_EFORMAT, "\"a\" ends at -4"},
    {0, T1("[0]", "[4,0]"), 8, DMC_EFORMAT, "\"a\" begins at 4"},
    {0, T1("[1]", "[0]"), 4, DMC_EFORMAT, "data_offsets must be two integers"},
    {0, T1("[1]", "[0,4,4]"), 4, DMC_EFORMAT, "data_offsets must be two integers"},
    {0, T1("[1]", "[0,4.0]"), 4, DMC_EFORMAT, "data_offsets must be two integers"},
    {0, T1("[1]", "[0,9223372036854775807]"), 4, DMC_EFORMAT, "ends at 9223372036854775807"},
    {0, T1("[1]", "[0,9223372036854775808]"), 4, DMC_EFORMAT, "header: JSON"},
    {0, T1("1", "[0,4]"), 4, DMC_EFORMAT, "shape must be a list of 0..8 sizes"},
    {0, T1("[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4, DMC_EFORMAT, "shape must be a list of 0..8 sizes"},
    {0, T1("[-1]", "[0,4]"), 4, DMC_EFORMAT, "size 0 must be 0..2147483647"},
    {0, T1("[1.0]", "[0,4]"), 4, DMC_EFORMAT, "size 0 must be 0..2147483647"},
    {0, T1("[1,2147483648]", "[0,4]"), 4, DMC_EFORMAT, "size 1 must be 0..2147483647"},
    {0, T1("[2147483647,2147483647,2147483647]", "[0,4]"), 4, DMC_EOVERFLOW, "\"a\" is too large"},
    {0, T1("[1073741824,1073741824,4]", "[0,0]"), 0, DMC_EFORMAT,
     "does not fill its 0 bytes"}, /* 2^64 bytes */
    {0, PAIR("[0,8]", "[8,4]"), 16, DMC_EFORMAT, "\"b\" ends at 4, must be 8..16"},
    {0, PAIR("[0,8]", "[4,12]"), 12, DMC_EFORMAT, "\"b\" begins at 4, must begin at 8"},
    {0, PAIR("[0,8]", "[0,8]"), 8, DMC_EFORMAT, "\"b\" begins at 0, must begin at 8"},
    {0, PAIR("[0,8]", "[12,20]"), 20, DMC_EFORMAT, "\"b\" begins at 12, must begin at 8"},
    {0, PAIR("[8,16]", "[0,8]"), 16, DMC_EFORMAT, "\"a\" begins at 8, must begin at 0"},
    {0,
     "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
     "\"z\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[4,4]}}",
     8, DMC_EFORMAT, "\"z\" begins at 4"},
    {0,
     "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
     "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
     8, DMC_EFORMAT, "duplicate"},
    {0, "{\"\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, DMC_EFORMAT,
     "must have 1..256"},
    {0, "{\"" LONG_NAME "\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4,
     DMC_EFORMAT, "has 257 bytes, must have 1..256"},
    {0, "{\"__metadata__\":3}", 0, DMC_EFORMAT, "__metadata__ must be an object"},
    {0, "{\"__metadata__\":{\"a\":3}}", 0, DMC_EFORMAT, "metadata \"a\" must be text"},
};

START_TEST(hostile_headers_are_refused)
{
    dmc__tensor_file *f = (dmc__tensor_file *)1;
    const char *path = write_raw(hostile[_i].length, hostile[_i].header, hostile[_i].bytes);
    expect_failure(dmc__tensor_file_open(heap, path, 0, &f), hostile[_i].status, hostile[_i].part);
    ck_assert_ptr_nonnull(strstr(dmc_last_error(), "raw.safetensors"));
    ck_assert_ptr_null(f);
}
END_TEST

/* Infinity and NaN of every type are found. */
START_TEST(non_finite_values_are_refused)
{
    static const struct {
        const char *dtype;
        size_t size;
        uint64_t bits[3]; /* infinity, negative NaN, the largest finite number */
    } types[] = {
        {"F32", 4, {0x7f800000, 0xffc00001, 0x7f7fffff}},
        {"F64", 8, {0x7ff0000000000000, 0xfff8000000000001, 0x7fefffffffffffff}},
        {"F16", 2, {0x7c00, 0xfe01, 0x7bff}},
        {"BF16", 2, {0x7f80, 0xffc1, 0x7f7f}},
    };
    for (size_t t = 0; t < 4; t++)
        for (int v = 0; v < 3; v++) {
            char bytes[256] = {0};
            dmc__tensor_file *f;
            const size_t size = types[t].size;
            const int n = snprintf(
                bytes + 8, 200, "{\"a\":{\"dtype\":\"%s\",\"shape\":[3],\"data_offsets\":[0,%zu]}}",
                types[t].dtype, 3 * size);
            const uint64_t length = (uint64_t)n;
            memcpy(bytes, &length, 8);
            memset(bytes + 8 + n, 0, 3 * size);
            memcpy(bytes + 8 + n + 2 * size, &types[t].bits[v], size);
            const char *path = fixture_write("n.safetensors", bytes, 8 + (size_t)n + 3 * size);
            if (v < 2)
                expect_failure(dmc__tensor_file_open(heap, path, 0, &f), DMC_ENUMERIC,
                               "\"a\": element 2 is not finite");
            else
                dmc__tensor_file_close(opened(path, 0));
        }
}
END_TEST

/* ---- without memory
 * ------------------------------------------------------------------------------- */

static dmc_status write_with(const dmc__allocator *a, const char *path)
{
    dmc__tensor_writer *w;
    DMC_TRY(dmc__tensor_writer_create(a, &w));
    dmc_status status = DMC_OK;
    for (int i = 0; status == DMC_OK && i < 20; i++) {
        char name[16];
        snprintf(name, sizeof name, "t%d", i);
        status = dmc__tensor_writer_f32(w, name, 2, shape23, six);
    }
    if (status == DMC_OK) status = dmc__tensor_writer_save(w, path);
    dmc__tensor_writer_destroy(w);
    return status;
}

START_TEST(writing_without_memory)
{
    int64_t n = 1;
    for (dmc_status status = DMC_ENOMEM; status != DMC_OK; n++) {
        failing_alloc f = {.fail_at = n};
        const dmc__allocator a = failing_allocator(&f);
        status = write_with(&a, fixture_path("w.dmc"));
        ck_assert_int_eq(f.live, 0);
        if (status != DMC_OK) ck_assert_int_eq(status, DMC_ENOMEM);
        ck_assert_int_eq(fixture_count(), status == DMC_OK);
    }
    ck_assert_int_gt(n, 40);
}
END_TEST

START_TEST(reading_without_memory)
{
    const char *path = write_small("a.dmc");
    int64_t n = 1;
    for (dmc_status status = DMC_ENOMEM; status != DMC_OK; n++) {
        failing_alloc f = {.fail_at = n};
        const dmc__allocator a = failing_allocator(&f);
        dmc__tensor_file *file = (dmc__tensor_file *)1;
        status = dmc__tensor_file_open(&a, path, 1, &file);
        if (status != DMC_OK) {
            ck_assert_int_eq(status, DMC_ENOMEM);
            ck_assert_ptr_null(file);
        }
        dmc__tensor_file_close(file);
        ck_assert_int_eq(f.live, 0);
    }
    ck_assert_int_ge(n, 4);
}
END_TEST

Suite *dmc_suite_tensor_file(void);
Suite *dmc_suite_tensor_file(void)
{
    Suite *s = suite_create("tensor_file");
    TCase *c = tcase_create("all");
    tcase_add_checked_fixture(c, fixture_make, fixture_remove);
    tcase_add_test(c, round_trip_is_exact);
    tcase_add_test(c, equal_content_makes_equal_files);
    tcase_add_test(c, empty_and_scalar_tensors);
    tcase_add_test(c, many_tensors_keep_their_order);
    tcase_add_test(c, other_types_are_converted);
    tcase_add_test(c, wrong_sizes_are_named);
    tcase_add_test(c, writer_refuses_what_the_reader_would);
    tcase_add_test(c, header_that_is_too_long_is_not_written);
    tcase_add_test(c, failed_save_keeps_the_old_file);
    tcase_add_test(c, saves_wait_for_the_disk);
    tcase_add_test(c, full_disk_leaves_nothing);
    tcase_add_test(c, stale_temporary_file_is_no_obstacle);
    tcase_add_test(c, things_that_are_no_files);
    tcase_add_test(c, every_prefix_is_refused);
    tcase_add_test(c, every_flipped_bit_is_refused);
    tcase_add_test(c, longer_file_is_refused);
    tcase_add_test(c, rewritten_metadata_is_noticed);
    tcase_add_loop_test(c, hostile_headers_are_refused, 0, sizeof hostile / sizeof *hostile);
    tcase_add_test(c, non_finite_values_are_refused);
    tcase_add_test(c, writing_without_memory);
    tcase_add_test(c, reading_without_memory);
    suite_add_tcase(s, c);
    return s;
}
