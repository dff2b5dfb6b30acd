#include "../../lib/io/hdf5_dataset.h"
#include "failing_alloc.h"
#include "file_fixture.h"

#include <hdf5.h>
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>

/* ---- building files
 * ------------------------------------------------------------------------------- */

enum { ROWS = 6, OBS = 3, ACT = 2 };
static const float obs[ROWS * OBS] = {1,  2,  3,  4,    5,      6,     7,     8, 9,
                                      -1, -2, -3, 0.1f, 1e-45f, 3e38f, -0.0f, 0, 1};
static const float act[ROWS * ACT] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
static const float rew[ROWS] = {1, 0, -1, 0.5f, 0, 2};
static const uint8_t terminals[ROWS] = {0, 0, 1, 0, 0, 0}, timeouts[ROWS] = {0, 0, 0, 0, 1, 0};

static dmc__hdf5_arrays sample(void)
{
    return (dmc__hdf5_arrays){.n = ROWS,
                              .obs_dim = OBS,
                              .act_dim = ACT,
                              .obs = (float *)(uintptr_t)obs,
                              .act = (float *)(uintptr_t)act,
                              .rew = (float *)(uintptr_t)rew,
                              .terminals = (uint8_t *)(uintptr_t)terminals,
                              .timeouts = (uint8_t *)(uintptr_t)timeouts};
}

static const char *write_sample(const char *name)
{
    const dmc__hdf5_arrays x = sample();
    expect_ok(dmc__hdf5_write(fixture_path(name), &x));
    return fixture_path(name);
}

static hid_t edit(const char *name)
{
    const hid_t file = H5Fopen(write_sample(name), H5F_ACC_RDWR, H5P_DEFAULT);
    ck_assert_int_ge(file, 0);
    return file;
}

/* Put a dataset of our making in the place of the one that was written. */
static void replace(hid_t file, const char *name, hid_t type, int rank, const hsize_t *dims,
                    hid_t plist, hid_t memory, const void *data)
{
    ck_assert_int_ge(H5Ldelete(file, name, H5P_DEFAULT), 0);
    const hid_t space = rank < 0 ? H5Screate(H5S_NULL) : H5Screate_simple(rank, dims, NULL);
    const hid_t set = H5Dcreate2(file, name, type, space, H5P_DEFAULT, plist, H5P_DEFAULT);
    ck_assert_int_ge(set, 0);
    if (data) ck_assert_int_ge(H5Dwrite(set, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, data), 0);
    H5Dclose(set);
    H5Sclose(space);
}

static const hsize_t rows1[2] = {ROWS, 1}, obs_dims[2] = {ROWS, OBS};

/* Reading must fail, naming file and dataset, and leave nothing open. */
static void expect_refused(const char *name, size_t max_steps, dmc_status status, const char *part)
{
    dmc__hdf5_arrays x;
    const ssize_t open_before = H5Fget_obj_count(H5F_OBJ_ALL, H5F_OBJ_ALL);
    expect_failure(dmc__hdf5_read(&dmc__default_allocator, fixture_path(name), max_steps, &x),
                   status, part);
    ck_assert_ptr_nonnull(strstr(dmc_last_error(), name));
    ck_assert(!x.obs && !x.act && !x.rew && !x.terminals && !x.timeouts && x.n == 0);
    ck_assert_int_eq(H5Fget_obj_count(H5F_OBJ_ALL, H5F_OBJ_ALL), open_before);
}

static dmc__hdf5_arrays read_ok(const char *path, size_t max_steps)
{
    dmc__hdf5_arrays x;
    expect_ok(dmc__hdf5_read(&dmc__default_allocator, path, max_steps, &x));
    ck_assert_int_eq(H5Fget_obj_count(H5F_OBJ_ALL, H5F_OBJ_ALL), 0);
    return x;
}

static void expect_sample(const dmc__hdf5_arrays *x, size_t n)
{
    ck_assert(x->n == n && x->obs_dim == OBS && x->act_dim == ACT);
    ck_assert_mem_eq(x->obs, obs, n * OBS * sizeof *obs);
    ck_assert_mem_eq(x->act, act, n * ACT * sizeof *act);
    ck_assert_mem_eq(x->rew, rew, n * sizeof *rew);
    ck_assert_mem_eq(x->terminals, terminals, n);
}

/* ---- round trips
 * ---------------------------------------------------------------------------------- */

START_TEST(round_trip_is_exact)
{
    dmc__hdf5_arrays x = read_ok(write_sample("a.hdf5"), 0);
    expect_sample(&x, ROWS);
    ck_assert_mem_eq(x.timeouts, timeouts, ROWS);
    dmc__hdf5_arrays_free(&dmc__default_allocator, &x);
    dmc__hdf5_arrays_free(&dmc__default_allocator, &x); /* twice is harmless */
    x = read_ok(fixture_path("a.hdf5"), 2);
    expect_sample(&x, 2);
    dmc__hdf5_arrays_free(&dmc__default_allocator, &x);
    x = read_ok(fixture_path("a.hdf5"), 100);
    ck_assert_uint_eq(x.n, ROWS);
    dmc__hdf5_arrays_free(&dmc__default_allocator, &x);
    ck_assert_int_eq(fixture_count(), 1);
}
END_TEST

START_TEST(timeouts_may_be_absent)
{
    dmc__hdf5_arrays x = sample();
    x.timeouts = NULL;
    expect_ok(dmc__hdf5_write(fixture_path("a.hdf5"), &x));
    x = read_ok(fixture_path("a.hdf5"), 0);
    ck_assert_ptr_null(x.timeouts);
    expect_sample(&x, ROWS);
    dmc__hdf5_arrays_free(&dmc__default_allocator, &x);
}
END_TEST

/* Also in another second. */
START_TEST(equal_data_make_equal_files)
{
    size_t n, m;
    unsigned char *a = fixture_read(write_sample("a.hdf5"), &n);
    for (const time_t then = time(NULL); time(NULL) == then;) usleep(10000);
    unsigned char *b = fixture_read(write_sample("b.hdf5"), &m);
    ck_assert_uint_eq(n, m);
    ck_assert_mem_eq(a, b, n);
    free(a);
    free(b);
}
END_TEST

/* More rows than one chunk holds, and rows wider than a chunk. */
START_TEST(many_rows_and_wide_rows)
{
    const size_t n = 20001;
    dmc__hdf5_arrays x = {.n = n, .obs_dim = 3, .act_dim = 1};
    x.obs = calloc(n * 3, sizeof *x.obs);
    x.act = calloc(n, sizeof *x.act);
    x.rew = calloc(n, sizeof *x.rew);
    x.terminals = calloc(n, 1);
    ck_assert(x.obs && x.act && x.rew && x.terminals);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < 3; j++) x.obs[3 * i + j] = (float)(i * 7 + j) * 0.1f;
        x.act[i] = -x.obs[3 * i];
        x.terminals[i] = i % 1000 == 999;
    }
    expect_ok(dmc__hdf5_write(fixture_path("many.hdf5"), &x));
    dmc__hdf5_arrays y = read_ok(fixture_path("many.hdf5"), 0);
    ck_assert_mem_eq(x.obs, y.obs, n * 3 * sizeof *x.obs);
    ck_assert_mem_eq(x.act, y.act, n * sizeof *x.act);
    ck_assert_mem_eq(x.rew, y.rew, n * sizeof *x.rew);
    ck_assert_mem_eq(x.terminals, y.terminals, n);
    dmc__hdf5_arrays_free(&dmc__default_allocator, &y);
    x.n = 3;
    x.obs_dim = 20001; /* 80 kB per row */
    expect_ok(dmc__hdf5_write(fixture_path("wide.hdf5"), &x));
    y = read_ok(fixture_path("wide.hdf5"), 0);
    ck_assert(y.n == 3 && y.obs_dim == 20001);
    ck_assert_mem_eq(x.obs, y.obs, 3 * 20001 * sizeof *x.obs);
    dmc__hdf5_arrays_free(&dmc__default_allocator, &y);
    free(x.obs);
    free(x.act);
    free(x.rew);
    free(x.terminals);
}
END_TEST

/* float64, big-endian, integers, (N,1) columns, byte and float flags: what other programs write. */
START_TEST(foreign_types_and_shapes)
{
    double wide[ROWS * OBS];
    float flags[ROWS];
    const int16_t whole[ROWS] = {1, 0, -1, 3, 0, 2};
    for (int i = 0; i < ROWS * OBS; i++) wide[i] = i == 13 ? 0.5 : obs[i]; /* no float subnormal */
    for (int i = 0; i < ROWS; i++) flags[i] = timeouts[i];
    const hid_t file = edit("a.hdf5");
    replace(file, "observations", H5T_IEEE_F64BE, 2, obs_dims, H5P_DEFAULT, H5T_NATIVE_DOUBLE,
            wide);
    replace(file, "rewards", H5T_STD_I16BE, 2, rows1, H5P_DEFAULT, H5T_NATIVE_INT16, whole);
    replace(file, "terminals", H5T_STD_U8LE, 2, rows1, H5P_DEFAULT, H5T_NATIVE_UINT8, terminals);
    replace(file, "timeouts", H5T_IEEE_F32LE, 1, rows1, H5P_DEFAULT, H5T_NATIVE_FLOAT, flags);
    H5Fclose(file);
    dmc__hdf5_arrays x = read_ok(fixture_path("a.hdf5"), 0);
    for (int i = 0; i < ROWS * OBS; i++) ck_assert(x.obs[i] == (float)wide[i]);
    for (int i = 0; i < ROWS; i++) ck_assert(x.rew[i] == whole[i]);
    ck_assert_mem_eq(x.terminals, terminals, ROWS);
    ck_assert_mem_eq(x.timeouts, timeouts, ROWS);
    dmc__hdf5_arrays_free(&dmc__default_allocator, &x);
}
END_TEST

START_TEST(int8_and_int64_flags)
{
    int64_t wide[ROWS];
    for (int i = 0; i < ROWS; i++) wide[i] = timeouts[i];
    const hid_t file = edit("a.hdf5");
    replace(file, "terminals", H5T_STD_I8LE, 1, rows1, H5P_DEFAULT, H5T_NATIVE_UINT8, terminals);
    replace(file, "timeouts", H5T_STD_I64LE, 1, rows1, H5P_DEFAULT, H5T_NATIVE_INT64, wide);
    H5Fclose(file);
    dmc__hdf5_arrays x = read_ok(fixture_path("a.hdf5"), 0);
    ck_assert_mem_eq(x.terminals, terminals, ROWS);
    ck_assert_mem_eq(x.timeouts, timeouts, ROWS);
    dmc__hdf5_arrays_free(&dmc__default_allocator, &x);
}
END_TEST

/* Flags that are all 0 need not be stored, and compress far beyond 1000 to 1. */
START_TEST(small_data_may_compress_well)
{
    const hid_t file = edit("a.hdf5");
    replace(file, "terminals", H5T_STD_U8LE, 1, rows1, H5P_DEFAULT, H5T_NATIVE_UINT8, NULL);
    H5Fclose(file);
    dmc__hdf5_arrays x = read_ok(fixture_path("a.hdf5"), 0);
    for (int i = 0; i < ROWS; i++) ck_assert_int_eq(x.terminals[i], 0);
    dmc__hdf5_arrays_free(&dmc__default_allocator, &x);
}
END_TEST

static const char *data_folder(void)
{
    const char *const given = getenv("DMC_DATA");
    return given ? given : "../shared/data";
}

START_TEST(real_file)
{
    char path[512];
    snprintf(path, sizeof path, "%s/d4rl/generated/hopper-medium-sample.hdf5", data_folder());
    if (access(path, R_OK) != 0) {
        printf("SKIP: %s is not there (set DMC_DATA)\n", path);
        return;
    }
    dmc__hdf5_arrays x = read_ok(path, 0);
    ck_assert(x.n == 12780 && x.obs_dim == 11 && x.act_dim == 3);
    double sum = 0;
    int ends = 0;
    for (size_t i = 0; i < x.n; i++) {
        sum += x.rew[i];
        ends += x.terminals[i] + x.timeouts[i];
        ck_assert(fabsf(x.act[3 * i]) <= 1);
    }
    ck_assert_int_gt(ends, 0);
    ck_assert(sum > 12780 && sum < 10 * 12780); /* a hopper earns 1 to 4 a step */
    expect_ok(dmc__hdf5_write(fixture_path("copy.hdf5"), &x));
    dmc__hdf5_arrays y = read_ok(fixture_path("copy.hdf5"), 0);
    ck_assert_mem_eq(x.obs, y.obs, x.n * 11 * sizeof *x.obs);
    ck_assert_mem_eq(x.act, y.act, x.n * 3 * sizeof *x.act);
    ck_assert_mem_eq(x.rew, y.rew, x.n * sizeof *x.rew);
    ck_assert_mem_eq(x.terminals, y.terminals, x.n);
    ck_assert_mem_eq(x.timeouts, y.timeouts, x.n);
    dmc__hdf5_arrays_free(&dmc__default_allocator, &x);
    dmc__hdf5_arrays_free(&dmc__default_allocator, &y);
}
END_TEST

/* ---- files that are not what they should be
 * -------------------------------------------------------- */

START_TEST(things_that_are_no_files)
{
    expect_refused("none.hdf5", 0, DMC_ENOENT, "cannot be opened");
    fixture_write("text.hdf5", "not an HDF5 file at all", 23);
    expect_refused("text.hdf5", 0, DMC_EFORMAT, "is not an HDF5 file");
    fixture_write("empty.hdf5", "", 0);
    expect_refused("empty.hdf5", 0, DMC_EFORMAT, "is not an HDF5 file");
    dmc__hdf5_arrays x;
    expect_failure(dmc__hdf5_read(&dmc__default_allocator, fixture_folder, 0, &x), DMC_EIO,
                   "not a regular file");
}
END_TEST

START_TEST(missing_datasets_are_named)
{
    static const char *const names[] = {"observations", "actions", "rewards", "terminals"};
    for (int i = 0; i < 4; i++) {
        char part[64];
        const hid_t file = edit("a.hdf5");
        H5Ldelete(file, names[i], H5P_DEFAULT);
        H5Fclose(file);
        snprintf(part, sizeof part, "has no dataset \"%s\"", names[i]);
        expect_refused("a.hdf5", 0, DMC_ENOENT, part);
        unlink(fixture_path("a.hdf5"));
    }
}
END_TEST

START_TEST(external_storage_is_refused)
{
    fixture_write("secret",
                  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef01234567", 72);
    const hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(plist, fixture_path("secret"), 0, 72);
    const hid_t file = edit("a.hdf5");
    replace(file, "observations", H5T_IEEE_F32LE, 2, obs_dims, plist, H5T_NATIVE_FLOAT, NULL);
    H5Pclose(plist);
    H5Fclose(file);
    expect_refused("a.hdf5", 0, DMC_EFORMAT, "observations: data are stored in another file");
}
END_TEST

START_TEST(virtual_layout_is_refused)
{
    const hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
    const hid_t space = H5Screate_simple(2, obs_dims, NULL);
    ck_assert_int_ge(
        H5Pset_virtual(plist, space, write_sample("source.hdf5"), "observations", space), 0);
    const hid_t file = edit("a.hdf5");
    replace(file, "observations", H5T_IEEE_F32LE, 2, obs_dims, plist, H5T_NATIVE_FLOAT, NULL);
    H5Sclose(space);
    H5Pclose(plist);
    H5Fclose(file);
    expect_refused("a.hdf5", 0, DMC_EFORMAT, "observations: layout is virtual");
}
END_TEST

START_TEST(links_are_refused)
{
    write_sample("source.hdf5");
    hid_t file = edit("soft.hdf5");
    H5Ldelete(file, "rewards", H5P_DEFAULT);
    H5Lcreate_soft("/actions", file, "rewards", H5P_DEFAULT, H5P_DEFAULT);
    H5Fclose(file);
    expect_refused("soft.hdf5", 0, DMC_EFORMAT, "rewards: is a link, must be a dataset");
    file = edit("out.hdf5");
    H5Ldelete(file, "timeouts", H5P_DEFAULT);
    H5Lcreate_external(fixture_path("source.hdf5"), "/timeouts", file, "timeouts", H5P_DEFAULT,
                       H5P_DEFAULT);
    H5Fclose(file);
    expect_refused("out.hdf5", 0, DMC_EFORMAT, "timeouts: is a link, must be a dataset");
}
END_TEST

START_TEST(groups_are_refused)
{
    const hid_t file = edit("a.hdf5");
    H5Ldelete(file, "actions", H5P_DEFAULT);
    H5Gclose(H5Gcreate2(file, "actions", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Fclose(file);
    expect_refused("a.hdf5", 0, DMC_EFORMAT, "actions: is not a dataset");
}
END_TEST

static size_t pass_through(unsigned flags, size_t values, const unsigned *value, size_t bytes,
                           size_t *size, void **buf)
{
    (void)flags, (void)values, (void)value, (void)size, (void)buf;
    return bytes;
}

START_TEST(foreign_filters_are_refused)
{
    const H5Z_class2_t filter = {H5Z_CLASS_T_VERS, 300, 1, 1, "test", NULL, NULL, pass_through};
    H5Zregister(&filter);
    const hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(plist, 2, obs_dims);
    H5Pset_filter(plist, 300, H5Z_FLAG_OPTIONAL, 0, NULL);
    hid_t file = edit("a.hdf5");
    replace(file, "observations", H5T_IEEE_F32LE, 2, obs_dims, plist, H5T_NATIVE_FLOAT, obs);
    H5Fclose(file);
    expect_refused("a.hdf5", 0, DMC_EFORMAT,
                   "observations: filter 300, must be deflate, shuffle or fletcher32");
    H5Premove_filter(plist, 300);
    H5Pset_scaleoffset(plist, H5Z_SO_FLOAT_DSCALE, 2);
    file = edit("b.hdf5");
    replace(file, "observations", H5T_IEEE_F32LE, 2, obs_dims, plist, H5T_NATIVE_FLOAT, obs);
    H5Fclose(file);
    expect_refused("b.hdf5", 0, DMC_EFORMAT, "observations: filter 6");
    H5Premove_filter(plist, H5Z_FILTER_ALL);
    H5Pset_fletcher32(plist);
    file = edit("c.hdf5");
    replace(file, "observations", H5T_IEEE_F32LE, 2, obs_dims, plist, H5T_NATIVE_FLOAT, obs);
    H5Fclose(file);
    dmc__hdf5_arrays x = read_ok(fixture_path("c.hdf5"), 0);
    expect_sample(&x, ROWS);
    dmc__hdf5_arrays_free(&dmc__default_allocator, &x);
    H5Pclose(plist);
    H5Zunregister(300);
}
END_TEST

START_TEST(other_types_are_refused)
{
    const hid_t text = H5Tcopy(H5T_C_S1),
                floats[] = {text, H5T_STD_REF_OBJ, H5T_STD_B8LE, H5Tvlen_create(H5T_NATIVE_FLOAT)};
    const hsize_t dims[2] = {ROWS, OBS};
    H5Tset_size(text, H5T_VARIABLE);
    for (int i = 0; i < 4; i++) {
        const hid_t file = edit("a.hdf5");
        replace(file, "observations", floats[i], 2, dims, H5P_DEFAULT, H5T_NATIVE_FLOAT, NULL);
        H5Fclose(file);
        expect_refused("a.hdf5", 0, DMC_EFORMAT,
                       "observations: type must be an integer or a float");
        unlink(fixture_path("a.hdf5"));
    }
    const hid_t odd = H5Tcopy(H5T_IEEE_F32LE), flag = H5Tenum_create(H5T_STD_I8LE),
                wide = H5Tenum_create(H5T_STD_I32LE);
    const int8_t one = 1;
    const int32_t one32 = 1;
    H5Tset_ebias(odd, 100);
    H5Tenum_insert(flag, "YES", &one);
    H5Tenum_insert(wide, "YES", &one32);
    hid_t file = edit("odd.hdf5");
    replace(file, "actions", odd, 2, dims, H5P_DEFAULT, H5T_NATIVE_FLOAT, NULL);
    H5Fclose(file);
    expect_refused("odd.hdf5", 0, DMC_EFORMAT, "actions: type must be");
    file = edit("flag.hdf5");
    replace(file, "rewards", flag, 1, rows1, H5P_DEFAULT, H5T_NATIVE_FLOAT, NULL);
    H5Fclose(file);
    expect_refused("flag.hdf5", 0, DMC_EFORMAT, "rewards: type must be");
    file = edit("wide.hdf5");
    replace(file, "terminals", wide, 1, rows1, H5P_DEFAULT, H5T_NATIVE_FLOAT, NULL);
    H5Fclose(file);
    for (int i = 0; i < 4; i += 3) H5Tclose(floats[i]);
    H5Tclose(odd);
    H5Tclose(flag);
    H5Tclose(wide);
    expect_refused("wide.hdf5", 0, DMC_EFORMAT,
                   "terminals: type must be a bool, an integer or a float");
}
END_TEST

static const struct {
    const char *name;
    int rank;
    hsize_t dims[3];
    const char *part;
} bad_shapes[] = {
    {"observations", 1, {ROWS}, "observations: has 1 dimensions, must be (N,C)"},
    {"observations", 3, {ROWS, 1, 1}, "observations: has 3 dimensions, must be (N,C)"},
    {"observations", 0, {0}, "observations: has 0 dimensions"},
    {"observations", -1, {0}, "observations: has 0 dimensions"},
    {"observations", 2, {ROWS, 0}, "observations has 0 columns, must have 1..65536"},
    {"observations", 2, {ROWS, 65537}, "observations has 65537 columns, must have 1..65536"},
    {"observations", 2, {ROWS + 1, OBS}, "actions has 6 rows, observations have 7"},
    {"actions", 2, {ROWS - 1, 1}, "actions has 5 rows, observations have 6"},
    {"rewards", 2, {ROWS, 2}, "rewards: has 2 columns, must have 1"},
    {"rewards", 3, {ROWS, 1, 1}, "rewards: has 3 dimensions, must be (N) or (N,1)"},
    {"rewards", 1, {ROWS + 1}, "rewards has 7 rows, observations have 6"},
    {"terminals", 2, {ROWS, 2}, "terminals: has 2 columns, must have 1"},
    {"timeouts", 1, {ROWS - 1}, "timeouts has 5 rows, observations have 6"},
};

START_TEST(bad_shapes_are_refused)
{
    const hid_t file = edit("a.hdf5");
    replace(file, bad_shapes[_i].name, H5T_STD_U8LE, bad_shapes[_i].rank, bad_shapes[_i].dims,
            H5P_DEFAULT, H5T_NATIVE_UINT8, NULL);
    H5Fclose(file);
    expect_refused("a.hdf5", 0, DMC_ESHAPE, bad_shapes[_i].part);
}
END_TEST

START_TEST(no_rows_are_refused)
{
    const hsize_t none[2] = {0, 3};
    static const char *const names[] = {"observations", "actions", "rewards", "terminals",
                                        "timeouts"};
    const hid_t file = edit("a.hdf5");
    for (int i = 0; i < 5; i++)
        replace(file, names[i], H5T_STD_U8LE, i < 2 ? 2 : 1, none, H5P_DEFAULT, H5T_NATIVE_UINT8,
                NULL);
    H5Fclose(file);
    expect_refused("a.hdf5", 0, DMC_ESHAPE, "observations have 0 rows");
}
END_TEST

/* A declared size costs nothing; memory does. */
START_TEST(size_bombs_are_refused)
{
    const hsize_t huge[2] = {(hsize_t)1 << 40, 1}, tall[2] = {(hsize_t)1 << 24, 4},
                  tiny[2] = {1 << 20, 1}, most[2] = {((hsize_t)1 << 63) - 1, 4};
    const hid_t chunked = H5Pcreate(H5P_DATASET_CREATE), deflated = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(chunked, 2, tiny);
    H5Pset_chunk(deflated, 2, tall);
    H5Pset_deflate(deflated, 9);
    hid_t file = edit("a.hdf5");
    replace(file, "observations", H5T_IEEE_F32LE, 2, huge, chunked, H5T_NATIVE_FLOAT, NULL);
    H5Fclose(file);
    expect_refused("a.hdf5", 0, DMC_EOVERFLOW,
                   "observations: (1099511627776,1) is more than 8589934592 bytes");
    expect_refused("a.hdf5", 1, DMC_EOVERFLOW, "is more than 8589934592 bytes");
    file = edit("b.hdf5");
    replace(file, "observations", H5T_IEEE_F32LE, 2, tall, chunked, H5T_NATIVE_FLOAT, NULL);
    H5Fclose(file);
    expect_refused("b.hdf5", 0, DMC_EFORMAT,
                   "observations: needs 268435456 bytes for 0 stored, at most 1000 times");
    file = edit("c.hdf5");
    replace(file, "observations", H5T_IEEE_F32LE, 2, most, chunked, H5T_NATIVE_FLOAT, NULL);
    H5Fclose(file);
    expect_refused("c.hdf5", 0, DMC_EOVERFLOW, "is more than");
    H5Pclose(chunked);
    H5Pclose(deflated);
}
END_TEST

/* One huge chunk behind a small dataset would be allocated whole. */
START_TEST(huge_chunks_are_refused)
{
    const hsize_t chunk[2] = {1 << 24, 16}, unlimited[2] = {H5S_UNLIMITED, H5S_UNLIMITED};
    const hid_t plist = H5Pcreate(H5P_DATASET_CREATE),
                space = H5Screate_simple(2, obs_dims, unlimited);
    H5Pset_chunk(plist, 2, chunk);
    H5Pset_deflate(plist, 1);
    const hid_t file = edit("a.hdf5");
    H5Ldelete(file, "observations", H5P_DEFAULT);
    const hid_t set =
        H5Dcreate2(file, "observations", H5T_STD_I8LE, space, H5P_DEFAULT, plist, H5P_DEFAULT);
    ck_assert_int_ge(set, 0);
    H5Dclose(set);
    H5Sclose(space);
    H5Pclose(plist);
    H5Fclose(file);
    expect_refused("a.hdf5", 0, DMC_EFORMAT, "observations: needs 268435456 bytes for 0 stored");
}
END_TEST

START_TEST(flags_must_be_zero_or_one)
{
    const uint8_t bytes[ROWS] = {0, 1, 0, 2, 0, 0};
    const float wide[ROWS] = {0, 1, NAN, 0, 0, 0};
    hid_t file = edit("a.hdf5");
    replace(file, "terminals", H5T_STD_U8LE, 1, rows1, H5P_DEFAULT, H5T_NATIVE_UINT8, bytes);
    H5Fclose(file);
    expect_refused("a.hdf5", 0, DMC_EFORMAT, "terminals row 3 is neither 0 nor 1");
    dmc__hdf5_arrays x = read_ok(fixture_path("a.hdf5"), 3); /* that row is not read */
    dmc__hdf5_arrays_free(&dmc__default_allocator, &x);
    file = edit("b.hdf5");
    replace(file, "timeouts", H5T_IEEE_F32LE, 1, rows1, H5P_DEFAULT, H5T_NATIVE_FLOAT, wide);
    H5Fclose(file);
    expect_refused("b.hdf5", 0, DMC_EFORMAT, "timeouts row 2 is neither 0 nor 1");
}
END_TEST

/* Every length near both ends; every 17th between, where HDF5 only compares it with the one it
 * stored. */
START_TEST(every_cut_is_refused)
{
    size_t size;
    free(fixture_read(write_sample("cut.hdf5"), &size));
    for (size_t n = size - 1; n > 0; n -= n < 300 || n > size - 100 ? 1 : 17) {
        dmc__hdf5_arrays x;
        ck_assert_int_eq(truncate(fixture_path("cut.hdf5"), (off_t)n), 0);
        const dmc_status status =
            dmc__hdf5_read(&dmc__default_allocator, fixture_path("cut.hdf5"), 0, &x);
        ck_assert_msg(status < 0, "%zu bytes were read", n);
    }
}
END_TEST

START_TEST(damaged_chunk_is_refused)
{
    size_t n, hits = 0;
    const hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(plist, 2, obs_dims);
    H5Pset_fletcher32(plist);
    const hid_t file = edit("a.hdf5");
    replace(file, "observations", H5T_IEEE_F32LE, 2, obs_dims, plist, H5T_NATIVE_FLOAT, obs);
    H5Pclose(plist);
    H5Fclose(file);
    unsigned char *bytes = fixture_read(fixture_path("a.hdf5"), &n);
    for (size_t i = 0; i + sizeof obs <= n; i++)
        if (memcmp(bytes + i, obs, sizeof obs) == 0) {
            bytes[i + 5] ^= 1;
            hits++;
        }
    ck_assert_uint_eq(hits, 1);
    fixture_write("a.hdf5", bytes, n);
    free(bytes);
    expect_refused("a.hdf5", 0, DMC_ECORRUPT, "observations: cannot be read");
}
END_TEST

/* ---- writing
 * -------------------------------------------------------------------------------------- */

START_TEST(writing_refuses_nothing_and_nowhere)
{
    dmc__hdf5_arrays x = sample();
    expect_failure(dmc__hdf5_write(fixture_path("no/folder.hdf5"), &x), DMC_ENOENT,
                   "cannot be created");
    expect_failure(dmc__hdf5_write("", &x), DMC_EINVAL, "must name a file");
    x.n = 0;
    expect_failure(dmc__hdf5_write(fixture_path("a.hdf5"), &x), DMC_ESHAPE, "(0,3) observations");
    x = sample();
    x.act_dim = 0;
    expect_failure(dmc__hdf5_write(fixture_path("a.hdf5"), &x), DMC_ESHAPE, "(6,0) actions");
    ck_assert_int_eq(fixture_count(), 0);
}
END_TEST

START_TEST(full_disk_leaves_nothing)
{
    const struct rlimit tiny = {.rlim_cur = 4096, .rlim_max = RLIM_INFINITY},
                        all = {RLIM_INFINITY, RLIM_INFINITY};
    const dmc__hdf5_arrays x = sample();
    write_sample("keep.hdf5");
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &tiny), 0);
    const dmc_status status = dmc__hdf5_write(fixture_path("keep.hdf5"), &x);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &all), 0);
    expect_failure(status, DMC_EIO, "cannot be written");
    ck_assert_int_eq(fixture_count(), 1);
    dmc__hdf5_arrays y = read_ok(fixture_path("keep.hdf5"), 0);
    expect_sample(&y, ROWS);
    dmc__hdf5_arrays_free(&dmc__default_allocator, &y);
}
END_TEST

/* ---- a polite guest
 * ------------------------------------------------------------------------------- */

static herr_t host_printer(hid_t stack, void *data)
{
    (void)stack;
    ++*(int *)data;
    return 0;
}

START_TEST(settings_of_the_host_are_restored)
{
    int calls = 0;
    unsigned before, after;
    H5E_auto2_t printer;
    void *data;
    H5Eset_auto2(H5E_DEFAULT, host_printer, &calls);
    H5PLget_loading_state(&before);
    expect_refused("none.hdf5", 0, DMC_ENOENT, "none.hdf5");
    fixture_write("text.hdf5", "not an HDF5 file at all", 23);
    expect_refused("text.hdf5", 0, DMC_EFORMAT, "not an HDF5 file");
    H5PLget_loading_state(&after);
    H5Eget_auto2(H5E_DEFAULT, &printer, &data);
    ck_assert(printer == host_printer && data == &calls && before == after);
    ck_assert_int_eq(calls, 0); /* the host hears nothing of our attempts */
    H5Fopen(fixture_path("none.hdf5"), H5F_ACC_RDONLY, H5P_DEFAULT);
    ck_assert_int_gt(calls, 0); /* but still of its own */
}
END_TEST

START_TEST(reading_without_memory)
{
    const char *path = write_sample("a.hdf5");
    int64_t n = 1;
    for (dmc_status status = DMC_ENOMEM; status != DMC_OK; n++) {
        failing_alloc f = {.fail_at = n};
        const dmc__allocator a = failing_allocator(&f);
        dmc__hdf5_arrays x;
        status = dmc__hdf5_read(&a, path, 0, &x);
        if (status != DMC_OK) {
            ck_assert_int_eq(status, DMC_ENOMEM);
            ck_assert(!x.obs && x.n == 0);
        }
        dmc__hdf5_arrays_free(&a, &x);
        ck_assert_int_eq(f.live, 0);
        ck_assert_int_eq(H5Fget_obj_count(H5F_OBJ_ALL, H5F_OBJ_ALL), 0);
    }
    ck_assert_int_eq(n, 7);
}
END_TEST

Suite *dmc_suite_hdf5_dataset(void);
Suite *dmc_suite_hdf5_dataset(void)
{
    Suite *s = suite_create("hdf5_dataset");
    TCase *c = tcase_create("all");
    tcase_add_checked_fixture(c, fixture_make, fixture_remove);
    tcase_add_test(c, round_trip_is_exact);
    tcase_add_test(c, timeouts_may_be_absent);
    tcase_add_test(c, equal_data_make_equal_files);
    tcase_add_test(c, many_rows_and_wide_rows);
    tcase_add_test(c, foreign_types_and_shapes);
    tcase_add_test(c, int8_and_int64_flags);
    tcase_add_test(c, small_data_may_compress_well);
    tcase_add_test(c, real_file);
    tcase_add_test(c, things_that_are_no_files);
    tcase_add_test(c, missing_datasets_are_named);
    tcase_add_test(c, external_storage_is_refused);
    tcase_add_test(c, virtual_layout_is_refused);
    tcase_add_test(c, links_are_refused);
    tcase_add_test(c, groups_are_refused);
    tcase_add_test(c, foreign_filters_are_refused);
    tcase_add_test(c, other_types_are_refused);
    tcase_add_loop_test(c, bad_shapes_are_refused, 0, sizeof bad_shapes / sizeof *bad_shapes);
    tcase_add_test(c, no_rows_are_refused);
    tcase_add_test(c, size_bombs_are_refused);
    tcase_add_test(c, huge_chunks_are_refused);
    tcase_add_test(c, flags_must_be_zero_or_one);
    tcase_add_test(c, every_cut_is_refused);
    tcase_add_test(c, damaged_chunk_is_refused);
    tcase_add_test(c, writing_refuses_nothing_and_nowhere);
    tcase_add_test(c, full_disk_leaves_nothing);
    tcase_add_test(c, settings_of_the_host_are_restored);
    tcase_add_test(c, reading_without_memory);
    suite_add_tcase(s, c);
    return s;
}
