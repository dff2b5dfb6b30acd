/* hdf5_read.c — the D4RL layout, with cameras beside it, into memory. */
#include "hdf5_dataset.h"

#include <stdbool.h>
#include <string.h>

#include "../base/checked.h"
#include "hdf5_guard.h"

enum { OBS, ACT, REW, TERMINALS, TIMEOUTS, COLUMNS, MOST_COLS = 65536 };

#define FRAMES "images/"

static const struct {
    const char *name;
    int kind;
} layout[COLUMNS] = {
    {"observations", DMC__HDF5_MATRIX}, {"actions", DMC__HDF5_MATRIX},
    {"rewards", DMC__HDF5_VECTOR},      {"terminals", DMC__HDF5_FLAGS},
    {"timeouts", DMC__HDF5_FLAGS},
};

/* An open file with its columns; col[TIMEOUTS].set < 0 if there is none. Cameras stand in the group images. */
typedef struct source {
    const char *path;
    hid_t file;
    size_t size;
    dmc__hdf5_column col[COLUMNS];
    int cameras;
    char place[DMC__IMAGES_MOST][sizeof FRAMES + DMC__IMAGES_NAME]; /* images/<name> */
    dmc__hdf5_column camera[DMC__IMAGES_MOST];
} source;

static void close_source(source *s)
{
    for (int i = 0; i < COLUMNS; i++) dmc__hdf5_column_close(&s->col[i]);
    for (int i = 0; i < s->cameras; i++) dmc__hdf5_column_close(&s->camera[i]);
    if (s->file >= 0) H5Fclose(s->file);
}

/* Name number i of the group, in alphabetical order. A longer one is cut, and refused by its end. */
static dmc_status open_camera(source *s, hid_t group, size_t i)
{
    char *const name = s->place[i] + strlen(FRAMES);
    memcpy(s->place[i], FRAMES, sizeof FRAMES);
    if (H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, name, DMC__IMAGES_NAME + 1, H5P_DEFAULT) < 0)
        return dmc__hdf5_fail(DMC_EFORMAT, s->path, FRAMES, "a name cannot be read");
    if (strlen(name) >= DMC__IMAGES_NAME)
        return dmc__fail(DMC_EFORMAT, "%s: %s...: name is longer than %d characters", s->path, s->place[i], DMC__IMAGES_NAME - 1);
    return dmc__hdf5_column_open(s->file, s->size, s->path, s->place[i], DMC__HDF5_FRAMES, &s->camera[i]);
}

static dmc_status open_cameras(source *s)
{
    hid_t group;
    size_t links;
    dmc_status status = dmc__hdf5_group_open(s->file, s->path, "images", &group, &links);
    if (status == DMC_ENOENT) return DMC_OK;
    DMC_TRY(status);
    if (links > DMC__IMAGES_MOST)
        status = dmc__fail(DMC_ERANGE, "%s: images: has %zu cameras, at most %d", s->path, links, DMC__IMAGES_MOST);
    for (size_t i = 0; status == DMC_OK && i < links; i++)
        if ((status = open_camera(s, group, i)) == DMC_OK) s->cameras++;
    H5Gclose(group);
    return status;
}

static dmc_status open_source(source *s, const char *path)
{
    s->path = path;
    for (int i = 0; i < COLUMNS; i++) s->col[i] = (dmc__hdf5_column){.set = -1, .type = -1};
    DMC_TRY(dmc__hdf5_file_open(path, &s->file, &s->size));
    for (int i = 0; i < COLUMNS; i++) {
        const dmc_status status = dmc__hdf5_column_open(s->file, s->size, path, layout[i].name,
                                                        layout[i].kind, &s->col[i]);
        if (status == DMC_ENOENT && i == TIMEOUTS) continue;
        DMC_TRY(status);
    }
    return open_cameras(s);
}

/* n rows of `bytes` each, after what was counted before. */
static dmc_status add_bytes(const source *s, size_t n, size_t bytes, size_t *total)
{
    if (dmc__mul_ok(n, bytes, &bytes) && dmc__add_ok(*total, bytes, total) && *total <= DMC__HDF5_BUDGET) return DMC_OK;
    return dmc__fail(DMC_EOVERFLOW, "%s: %zu rows need more than %zu bytes", s->path, n, DMC__HDF5_BUDGET);
}

static dmc_status check_rows(const source *s, const dmc__hdf5_column *c)
{
    if (c->rows == s->col[OBS].rows) return DMC_OK;
    return dmc__fail(DMC_ESHAPE, "%s: %s has %zu rows, observations have %zu", s->path, c->name, c->rows, s->col[OBS].rows);
}

/* Columns agree, and all of it fits into the budget. */
static dmc_status check_source(const source *s, size_t n)
{
    size_t total = 0;
    for (int i = 0; i < COLUMNS; i++) {
        const dmc__hdf5_column *c = &s->col[i];
        if (c->set < 0) continue;
        DMC_TRY(check_rows(s, c));
        if (c->cols < 1 || c->cols > MOST_COLS)
            return dmc__fail(DMC_ESHAPE, "%s: %s has %zu columns, must have 1..%d", s->path,
                             c->name, c->cols, MOST_COLS);
        DMC_TRY(add_bytes(s, n, c->cols * sizeof(float), &total));
    }
    for (int i = 0; i < s->cameras; i++) {
        DMC_TRY(check_rows(s, &s->camera[i]));
        DMC_TRY(add_bytes(s, n, s->camera[i].cols, &total));
    }
    return n > 0 ? DMC_OK : dmc__fail(DMC_ESHAPE, "%s: observations have 0 rows", s->path);
}

/* Rows [from, from + n), converted to memory type `type`. */
static dmc_status read_rows(const dmc__hdf5_column *c, size_t from, size_t n, hid_t type, void *out)
{
    const hsize_t first[4] = {from}, matrix[2] = {n, c->cols}, frames[4] = {n, c->size[0], c->size[1], c->size[2]};
    const hsize_t *const count = c->rank == 4 ? frames : matrix;
    const hid_t file_space = H5Dget_space(c->set);
    const hid_t space = H5Screate_simple(c->rank, count, NULL);
    const bool ok = file_space >= 0 && space >= 0 &&
                    H5Sselect_hyperslab(file_space, H5S_SELECT_SET, first, NULL, count, NULL) >= 0 &&
                    H5Dread(c->set, type, space, file_space, H5P_DEFAULT, out) >= 0;
    const dmc_status status =
        ok ? DMC_OK : dmc__hdf5_fail(DMC_ECORRUPT, c->path, c->name, "cannot be read");
    if (space >= 0) H5Sclose(space);
    if (file_space >= 0) H5Sclose(file_space);
    return status;
}

static dmc_status read_floats(const dmc__allocator *a, const dmc__hdf5_column *c, size_t n,
                              float **out)
{
    DMC_TRY(DMC_NEW(a, n * c->cols, out));
    return read_rows(c, 0, n, H5T_NATIVE_FLOAT, *out);
}

static dmc_status refuse_flag(const dmc__hdf5_column *c, size_t row)
{
    return dmc__fail(DMC_EFORMAT, "%s: %s row %zu is neither 0 nor 1", c->path, c->name, row);
}

/* Numbers of more than one byte */
static dmc_status read_wide_flags(const dmc__allocator *a, const dmc__hdf5_column *c, size_t n,
                                  uint8_t *out)
{
    float *wide;
    DMC_TRY(DMC_NEW(a, n, &wide));
    dmc_status status = read_rows(c, 0, n, H5T_NATIVE_FLOAT, wide);
    for (size_t i = 0; status == DMC_OK && i < n; i++) {
        if (wide[i] != 0 && wide[i] != 1) status = refuse_flag(c, i);
        out[i] = wide[i] == 1;
    }
    DMC_FREE(a, wide, n);
    return status;
}

static dmc_status read_flags(const dmc__allocator *a, const dmc__hdf5_column *c, size_t n,
                             uint8_t **out)
{
    DMC_TRY(DMC_NEW(a, n, out));
    if (H5Tget_size(c->type) > 1) return read_wide_flags(a, c, n, *out);
    DMC_TRY(read_rows(c, 0, n, c->type, *out)); /* its own type: bytes as they are */
    for (size_t i = 0; i < n; i++)
        if ((*out)[i] > 1) return refuse_flag(c, i);
    return DMC_OK;
}

/* A block of frames at a time, so that HDF5 never holds more than that beside ours. */
static dmc_status read_frames(const dmc__hdf5_column *c, size_t n, uint8_t *out)
{
    enum { BLOCK = 16 << 20 };
    const size_t most = c->cols < BLOCK ? BLOCK / c->cols : 1;
    dmc_status status = DMC_OK;
    for (size_t at = 0; status == DMC_OK && at < n; at += most)
        status = read_rows(c, at, n - at < most ? n - at : most, H5T_NATIVE_UINT8, out + at * c->cols);
    return status;
}

static dmc_status read_cameras(const dmc__allocator *a, const source *s, size_t n, dmc__images *out)
{
    for (int i = 0; i < s->cameras; i++) {
        const dmc__hdf5_column *const c = &s->camera[i];
        const int32_t size[3] = {(int32_t)c->size[0], (int32_t)c->size[1], (int32_t)c->size[2]};
        uint8_t *pixels;
        DMC_TRY(dmc__images_add(out, a, s->path, c->name + strlen(FRAMES), n, size, &pixels));
        DMC_TRY(read_frames(c, n, pixels));
    }
    return DMC_OK;
}

static dmc_status read_source(const dmc__allocator *a, const source *s, size_t max_steps,
                              dmc__hdf5_arrays *out)
{
    const dmc__hdf5_column *c = s->col;
    const size_t n = max_steps > 0 && max_steps < c[OBS].rows ? max_steps : c[OBS].rows;
    DMC_TRY(check_source(s, n));
    out->n = n;
    out->obs_dim = (int32_t)c[OBS].cols;
    out->act_dim = (int32_t)c[ACT].cols;
    DMC_TRY(read_floats(a, &c[OBS], n, &out->obs));
    DMC_TRY(read_floats(a, &c[ACT], n, &out->act));
    DMC_TRY(read_floats(a, &c[REW], n, &out->rew));
    DMC_TRY(read_flags(a, &c[TERMINALS], n, &out->terminals));
    if (c[TIMEOUTS].set >= 0) DMC_TRY(read_flags(a, &c[TIMEOUTS], n, &out->timeouts));
    return read_cameras(a, s, n, &out->images);
}

dmc_status dmc__hdf5_read(const dmc__allocator *a, const char *path, size_t max_steps,
                          dmc__hdf5_arrays *out)
{
    dmc__hdf5_session session;
    source s = {.file = -1};
    *out = (dmc__hdf5_arrays){0};
    dmc__hdf5_enter(&session);
    dmc_status status = open_source(&s, path);
    if (status == DMC_OK) status = read_source(a, &s, max_steps, out);
    close_source(&s);
    dmc__hdf5_leave(&session);
    if (status < 0) dmc__hdf5_arrays_free(a, out);
    return status;
}

void dmc__hdf5_arrays_free(const dmc__allocator *a, dmc__hdf5_arrays *x)
{
    DMC_FREE(a, x->obs, x->n * (size_t)x->obs_dim);
    DMC_FREE(a, x->act, x->n * (size_t)x->act_dim);
    DMC_FREE(a, x->rew, x->n);
    DMC_FREE(a, x->terminals, x->n);
    DMC_FREE(a, x->timeouts, x->n);
    dmc__images_free(&x->images, a);
    *x = (dmc__hdf5_arrays){0};
}
