/* check_images.c — cameras of a dataset: names and sizes, frames in a condition, files in and out, and what is refused. */
#include <hdf5.h>

#include "../../lib/data/view.h"
#include "../../lib/io/hdf5_dataset.h"
#include "failing_alloc.h"
#include "file_fixture.h"

#include <math.h>

Suite *dmc_suite_images(void);

enum { ROWS = 7, H = 3, W = 2, C = 2, FRAME = H * W * C };

static const int32_t size[3] = {H, W, C};

/* Byte j of row i of camera k: all different within a camera's first rows. */
static uint8_t pixel(int k, size_t i, size_t j)
{
    return (uint8_t)(97 * k + 13 * (int)i + (int)j);
}

static dmc_status add_camera(dmc__images *m, const char *name, int k)
{
    uint8_t *to;
    const dmc_status status = dmc__images_add(m, &dmc__default_allocator, "test", name, ROWS, size, &to);
    for (size_t i = 0; status == DMC_OK && i < ROWS * FRAME; i++) to[i] = pixel(k, i / FRAME, i % FRAME);
    return status;
}

static dmc__images two_cameras(void)
{
    dmc__images m = {0};
    expect_ok(add_camera(&m, "wrist", 1));
    expect_ok(add_camera(&m, "front", 0));
    return m;
}

/* ---- names and sizes -------------------------------------------------------------------------------- */

START_TEST(cameras_are_sorted)
{
    dmc__images m = two_cameras();
    ck_assert_int_eq(m.cameras, 2);
    ck_assert_str_eq(m.name[0], "front");
    ck_assert_str_eq(m.name[1], "wrist");
    ck_assert_int_eq(m.pixels[1][FRAME + 3], pixel(1, 1, 3));
    ck_assert_int_eq(dmc__images_find(&m, "wrist"), 1);
    ck_assert_int_eq(dmc__images_find(&m, "wris"), -1);
    ck_assert_uint_eq(dmc__images_frame(&m), FRAME);
    dmc__images_free(&m, &dmc__default_allocator);
    ck_assert(m.cameras == 0 && !m.pixels[0]);
}
END_TEST

START_TEST(bad_cameras_are_refused)
{
    dmc__images m = two_cameras();
    uint8_t *to = (uint8_t *)&m;
    const int32_t other[3] = {H, W, 1}, none[3] = {0, W, C}, wide[3] = {H, 4096, C};
    const dmc__allocator *const a = &dmc__default_allocator;
    expect_failure(dmc__images_add(&m, a, "f", "", ROWS, size, &to), DMC_EINVAL, "1..31 letters, digits, _ or -");
    ck_assert_ptr_null(to);
    expect_failure(dmc__images_add(&m, a, "f", "a.b", ROWS, size, &to), DMC_EINVAL, "f: camera \"a.b\"");
    expect_failure(dmc__images_add(&m, a, "f", "12345678901234567890123456789012", ROWS, size, &to), DMC_EINVAL, "1..31");
    expect_failure(dmc__images_add(&m, a, "f", "front", ROWS, size, &to), DMC_EINVAL, "already a camera \"front\"");
    expect_failure(dmc__images_add(&m, a, "f", "c", ROWS, other, &to), DMC_ESHAPE, "the first camera 7 of (3,2,2)");
    expect_failure(dmc__images_add(&m, a, "f", "c", ROWS - 1, size, &to), DMC_ESHAPE, "has 6 frames");
    expect_failure(dmc__images_add(&m, a, "f", "c", ROWS, none, &to), DMC_ESHAPE, "(0,2,2), must be 1..2048");
    expect_failure(dmc__images_add(&m, a, "f", "c", ROWS, wide, &to), DMC_ESHAPE, "(3,4096,2)");
    for (int i = 2; i < DMC__IMAGES_MOST; i++) expect_ok(add_camera(&m, (const char[]){(char)('a' + i), 0}, i));
    expect_failure(dmc__images_add(&m, a, "f", "ninth", ROWS, size, &to), DMC_ERANGE, "one too many, at most 8");
    dmc__images_free(&m, a);
}
END_TEST

START_TEST(bytes_become_numbers)
{
    const uint8_t bytes[] = {0, 255, 51, 128};
    float x[4];
    dmc__images_convert(bytes, 4, x);
    ck_assert(x[0] == -1 && x[1] == 1);
    ck_assert_float_eq_tol(x[2], -0.6f, 1e-6f);
    ck_assert_float_eq_tol(x[3], 1.0f / 255, 1e-6f);
}
END_TEST

/* ---- in a condition --------------------------------------------------------------------------------- */

/* Episodes of 4 and 3 rows. */
static dmc__trajectories *make_data(void)
{
    dmc__trajectories *t;
    float o[ROWS], a[ROWS] = {0}, r[ROWS] = {0};
    const uint8_t end[ROWS] = {0, 0, 0, 1, 0, 0, 0};
    for (int i = 0; i < ROWS; i++) o[i] = (float)i;
    expect_ok(dmc__trajectories_create(&dmc__default_allocator, ROWS, 1, 1, o, a, r, end, NULL, 0, 0, &t));
    t->images = two_cameras();
    return t;
}

static void expect_frame(const float *got, int camera, size_t row)
{
    for (size_t j = 0; j < FRAME; j++)
        ck_assert_float_eq_tol(got[j], (float)pixel(camera, row, j) / 255 * 2 - 1, 1e-6f);
}

/* A model that sees the wrist first, the front second; three observations. */
START_TEST(frames_follow_the_observations)
{
    dmc__trajectories *const t = make_data();
    dmc__normaliser one;
    expect_ok(dmc__normaliser_create(&dmc__default_allocator, DMC__NORM_NONE, 1, &one));
    one.scale[0] = 1;
    const dmc__view v = {.data = t, .obs = &one, .act = &one, .horizon = 2, .n_obs = 3, .cameras = 2, .frame = FRAME,
                         .camera = {1, 0}};
    const size_t width = 3 * (1 + 2 * FRAME);
    float cond[3 * (1 + 2 * FRAME) + 1], z[2], again[3 * (1 + 2 * FRAME)];
    uint8_t seen[2 * 3 * FRAME];
    ck_assert_int_eq(dmc__view_cond(&v), (int)width);
    for (int32_t row = 0; row < 3; row++) { /* of the second episode, which begins at row 4 */
        cond[width] = 77;
        dmc__view_sample(&v, (dmc__position){1, row}, z, cond, NULL, NULL);
        for (int i = 0; i < 3; i++) {
            const size_t at = 4 + (size_t)(row - 2 + i > 0 ? row - 2 + i : 0);
            ck_assert_float_eq(cond[i], (float)at);
            for (int k = 0; k < 2; k++) {
                expect_frame(cond + 3 + (3 * k + i) * FRAME, 1 - k, at);
                memcpy(seen + (3 * k + i) * FRAME, t->images.pixels[1 - k] + at * FRAME, FRAME);
            }
        }
        ck_assert_float_eq(cond[width], 77);
        dmc__view_condition(&v, (dmc__position){1, row}, again, NULL, NULL);
        ck_assert_mem_eq(again, cond, width * sizeof *cond);
        const float observed[3] = {cond[0], cond[1], cond[2]};
        memset(again, 0, sizeof again);
        dmc__view_observe(&v, observed, again, NULL, NULL);
        dmc__view_see(&v, seen, again);
        ck_assert_mem_eq(again, cond, width * sizeof *cond);
    }
    dmc__normaliser_free(&one);
    dmc__trajectories_destroy(t);
}
END_TEST

/* ---- files ------------------------------------------------------------------------------------------ */

static float numbers[ROWS];
static uint8_t ends[ROWS];

static void write_file(const char *name, const dmc__images *m)
{
    const dmc__hdf5_arrays x = {ROWS, 1, 1, numbers, numbers, numbers, ends, NULL, *m};
    expect_ok(dmc__hdf5_write(fixture_path(name), &x));
}

static hid_t edit(const char *name)
{
    dmc__images m = two_cameras();
    write_file(name, &m);
    dmc__images_free(&m, &dmc__default_allocator);
    const hid_t file = H5Fopen(fixture_path(name), H5F_ACC_RDWR, H5P_DEFAULT);
    ck_assert_int_ge(file, 0);
    return file;
}

static void put(hid_t file, const char *name, hid_t type, int rank, const hsize_t *dims)
{
    const hid_t space = H5Screate_simple(rank, dims, NULL);
    const hid_t set = H5Dcreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    ck_assert_int_ge(set, 0);
    H5Dclose(set);
    H5Sclose(space);
}

/* Nothing is left, and nothing open. */
static void expect_refused(const char *name, dmc_status status, const char *part)
{
    dmc__hdf5_arrays x;
    const ssize_t open_before = H5Fget_obj_count(H5F_OBJ_ALL, H5F_OBJ_ALL);
    expect_failure(dmc__hdf5_read(&dmc__default_allocator, fixture_path(name), 0, &x), status, part);
    ck_assert_ptr_nonnull(strstr(dmc_last_error(), name));
    ck_assert(!x.obs && x.n == 0 && x.images.cameras == 0);
    ck_assert_int_eq(H5Fget_obj_count(H5F_OBJ_ALL, H5F_OBJ_ALL), open_before);
}

START_TEST(files_bring_frames_back)
{
    dmc__images m = two_cameras();
    size_t n[2];
    write_file("a.hdf5", &m);
    write_file("b.hdf5", &m);
    unsigned char *const a = fixture_read(fixture_path("a.hdf5"), &n[0]), *const b = fixture_read(fixture_path("b.hdf5"), &n[1]);
    ck_assert(n[0] == n[1] && memcmp(a, b, n[0]) == 0);
    for (size_t most = 0; most <= ROWS; most += 3) {
        dmc__hdf5_arrays x;
        const size_t rows = most ? most : ROWS;
        expect_ok(dmc__hdf5_read(&dmc__default_allocator, fixture_path("a.hdf5"), most, &x));
        ck_assert(x.images.cameras == 2 && x.images.rows == rows && x.images.h == H && x.images.w == W && x.images.c == C);
        for (int k = 0; k < 2; k++) {
            ck_assert_str_eq(x.images.name[k], m.name[k]);
            ck_assert_mem_eq(x.images.pixels[k], m.pixels[k], rows * FRAME);
        }
        dmc__hdf5_arrays_free(&dmc__default_allocator, &x);
    }
    free(a);
    free(b);
    dmc__images_free(&m, &dmc__default_allocator);
}
END_TEST

/* More than one block of 16 MiB. */
START_TEST(many_frames)
{
    enum { SIDE = 512, N = 71 };
    static float x[N];
    static uint8_t zero[N];
    dmc__images m = {0};
    uint8_t *to;
    expect_ok(dmc__images_add(&m, &dmc__default_allocator, "test", "c", N, (const int32_t[]){SIDE, SIDE, 1}, &to));
    for (size_t i = 0; i < (size_t)N * SIDE * SIDE; i++) to[i] = (uint8_t)(i * 2654435761u >> 24);
    const dmc__hdf5_arrays data = {N, 1, 1, x, x, x, zero, NULL, m};
    dmc__hdf5_arrays back;
    expect_ok(dmc__hdf5_write(fixture_path("big.hdf5"), &data));
    expect_ok(dmc__hdf5_read(&dmc__default_allocator, fixture_path("big.hdf5"), 0, &back));
    ck_assert_mem_eq(back.images.pixels[0], to, (size_t)N * SIDE * SIDE);
    dmc__hdf5_arrays_free(&dmc__default_allocator, &back);
    dmc__images_free(&m, &dmc__default_allocator);
}
END_TEST

static const hsize_t frames[4] = {ROWS, H, W, C};

/* Put something of our making in the place of images/wrist. */
static const struct wrong {
    int what;
    dmc_status status;
    const char *sentence;
} wrong[] = {
    {0, DMC_EFORMAT, "images/wrist: is a link, must be a dataset"},
    {1, DMC_EFORMAT, "images/wrist: type must be an unsigned integer of 8 bits"},
    {2, DMC_ESHAPE, "images/wrist: has 3 dimensions, must be (N,H,W,C)"},
    {3, DMC_ESHAPE, "images/wrist has 6 rows, observations have 7"},
    {4, DMC_ESHAPE, "camera \"wrist\" has 7 frames (3,2,1), the first camera 7 of (3,2,2)"},
    {5, DMC_EINVAL, "camera \"wr.ist\""},
    {6, DMC_ERANGE, "images: has 9 cameras, at most 8"},
    {7, DMC_EFORMAT, "name is longer than 31 characters"},
    {8, DMC_EFORMAT, "bytes for 0 stored, at most 1000 times is believed"},
    {9, DMC_EFORMAT, "images: is a link, must be a group"},
    {10, DMC_EFORMAT, "images: is not a group"},
    {11, DMC_EFORMAT, "images/wrist: is not a dataset"},
    {12, DMC_ESHAPE, "camera \"wrist\" has frames (3,0,2)"},
    {13, DMC_EOVERFLOW, "images/wrist: "},
    {14, DMC_EFORMAT, "images/wrist: type must be an unsigned integer of 8 bits"},
};
enum { WRONG = sizeof wrong / sizeof *wrong };

static void put_wrong(hid_t file, int what)
{
    const hsize_t flat[3] = {ROWS, H, W}, fewer[4] = {ROWS - 1, H, W, C}, thin[4] = {ROWS, H, W, 1}, none[4] = {ROWS, H, 0, C};
    const hsize_t bomb[4] = {ROWS, 2000, 2000, 2}, huge[4] = {ROWS, (hsize_t)1 << 31, 2, 2};
    char name[64] = "images/";
    switch (what) {
    case 0: H5Lcreate_soft("/observations", file, "images/wrist", H5P_DEFAULT, H5P_DEFAULT); break;
    case 1: put(file, "images/wrist", H5T_IEEE_F32LE, 4, frames); break;
    case 2: put(file, "images/wrist", H5T_STD_U8LE, 3, flat); break;
    case 3: put(file, "images/wrist", H5T_STD_U8LE, 4, fewer); break;
    case 4: put(file, "images/wrist", H5T_STD_U8LE, 4, thin); break;
    case 5: put(file, "images/wr.ist", H5T_STD_U8LE, 4, frames); break;
    case 6:
        for (int i = 0; i < 8; i++) {
            snprintf(name, sizeof name, "images/c%d", i);
            put(file, name, H5T_STD_U8LE, 4, frames);
        }
        break;
    case 7: put(file, strcat(name, "a123456789a123456789a123456789a123456789"), H5T_STD_U8LE, 4, frames); break;
    case 8: put(file, "images/wrist", H5T_STD_U8LE, 4, bomb); break;
    case 9:
        H5Lmove(file, "images", file, "elsewhere", H5P_DEFAULT, H5P_DEFAULT);
        H5Lcreate_soft("/elsewhere", file, "images", H5P_DEFAULT, H5P_DEFAULT);
        break;
    case 10:
        H5Ldelete(file, "images", H5P_DEFAULT);
        put(file, "images", H5T_STD_U8LE, 4, frames);
        break;
    case 11: H5Gclose(H5Gcreate2(file, "images/wrist", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT)); break;
    case 12: put(file, "images/wrist", H5T_STD_U8LE, 4, none); break;
    case 13: put(file, "images/wrist", H5T_STD_U8LE, 4, huge); break;
    default: put(file, "images/wrist", H5T_STD_I8LE, 4, frames); break;
    }
}

START_TEST(wrong_cameras_are_refused)
{
    const struct wrong *const w = &wrong[_i];
    const hid_t file = edit("w.hdf5");
    ck_assert_int_ge(H5Ldelete(file, "images/wrist", H5P_DEFAULT), 0);
    put_wrong(file, w->what);
    ck_assert_int_ge(H5Fclose(file), 0);
    expect_refused("w.hdf5", w->status, w->sentence);
}
END_TEST

START_TEST(no_cameras_in_the_group)
{
    dmc__hdf5_arrays x;
    const hid_t file = edit("none.hdf5");
    H5Ldelete(file, "images/wrist", H5P_DEFAULT);
    H5Ldelete(file, "images/front", H5P_DEFAULT);
    H5Fclose(file);
    expect_ok(dmc__hdf5_read(&dmc__default_allocator, fixture_path("none.hdf5"), 0, &x));
    ck_assert_int_eq(x.images.cameras, 0);
    dmc__hdf5_arrays_free(&dmc__default_allocator, &x);
}
END_TEST

START_TEST(reading_without_memory)
{
    H5Fclose(edit("m.hdf5"));
    for (int64_t n = 1;; n++) {
        failing_alloc f = {.fail_at = n};
        const dmc__allocator a = failing_allocator(&f);
        dmc__hdf5_arrays x;
        const dmc_status status = dmc__hdf5_read(&a, fixture_path("m.hdf5"), 0, &x);
        if (status == DMC_OK) {
            dmc__hdf5_arrays_free(&a, &x);
            ck_assert_int_eq(f.live, 0);
            ck_assert_int_ge(n, 7); /* five arrays and two cameras were asked for */
            return;
        }
        ck_assert_int_eq(status, DMC_ENOMEM);
        ck_assert_int_eq(f.live, 0);
    }
}
END_TEST

Suite *dmc_suite_images(void)
{
    Suite *s = suite_create("images");
    TCase *t = tcase_create("images");
    tcase_add_checked_fixture(t, fixture_make, fixture_remove);
    tcase_add_test(t, cameras_are_sorted);
    tcase_add_test(t, bad_cameras_are_refused);
    tcase_add_test(t, bytes_become_numbers);
    tcase_add_test(t, frames_follow_the_observations);
    tcase_add_test(t, files_bring_frames_back);
    tcase_add_test(t, many_frames);
    tcase_add_loop_test(t, wrong_cameras_are_refused, 0, WRONG);
    tcase_add_test(t, no_cameras_in_the_group);
    tcase_add_test(t, reading_without_memory);
    suite_add_tcase(s, t);
    return s;
}
