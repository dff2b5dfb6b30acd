/* hdf5_write.c — memory into the D4RL layout. */
#include <stdbool.h>

#include "atomic_file.h"
#include "hdf5_dataset.h"
#include "hdf5_guard.h"

/* One array of the file: (rows), (rows,cols) or (rows,H,W,C) elements of `type`. */
typedef struct sheet {
    const char *name;
    hid_t type;
    int rank;
    size_t rows, cols; /* cols: elements of a row */
    const void *data;
    size_t size[3];    /* of a frame */
} sheet;

static void set_dims(const sheet *s, size_t rows, hsize_t dims[4])
{
    dims[0] = rows;
    dims[1] = s->rank == 4 ? s->size[0] : s->cols;
    dims[2] = s->size[1];
    dims[3] = s->size[2];
}

/* Chunks of about 64 KiB, shuffled and deflated; no time stamps, so that equal data make equal
 * files. */
static hid_t storage_of(const sheet *s)
{
    enum { CHUNK = 64 << 10, LEVEL = 4 };
    const size_t row = s->cols * H5Tget_size(s->type);
    const size_t fit = row < CHUNK ? CHUNK / row : 1;
    hsize_t chunk[4];
    set_dims(s, fit < s->rows ? fit : s->rows, chunk);
    const hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
    if (H5Pset_chunk(plist, s->rank, chunk) >= 0 && H5Pset_shuffle(plist) >= 0 &&
        H5Pset_deflate(plist, LEVEL) >= 0 && H5Pset_obj_track_times(plist, false) >= 0)
        return plist;
    H5Pclose(plist);
    return -1;
}

static bool write_sheet(hid_t file, const sheet *s)
{
    hsize_t dims[4];
    set_dims(s, s->rows, dims);
    const hid_t plist = storage_of(s);
    const hid_t space = H5Screate_simple(s->rank, dims, NULL);
    const hid_t set = plist < 0 || space < 0 ? -1
                                             : H5Dcreate2(file, s->name, s->type, space,
                                                          H5P_DEFAULT, plist, H5P_DEFAULT);
    bool ok = set >= 0 && H5Dwrite(set, s->type, H5S_ALL, H5S_ALL, H5P_DEFAULT, s->data) >= 0;
    if (set >= 0 && H5Dclose(set) < 0) ok = false;
    if (space >= 0) H5Sclose(space);
    if (plist >= 0) H5Pclose(plist);
    return ok;
}

/* What h5py makes of a numpy bool. */
static hid_t bool_type(void)
{
    const int8_t no = 0, yes = 1;
    const hid_t type = H5Tenum_create(H5T_STD_I8LE);
    if (H5Tenum_insert(type, "FALSE", &no) >= 0 && H5Tenum_insert(type, "TRUE", &yes) >= 0)
        return type;
    H5Tclose(type);
    return -1;
}

/* The group images, without time stamps either. */
static hid_t make_group(hid_t file)
{
    const hid_t plist = H5Pcreate(H5P_GROUP_CREATE);
    const hid_t group = H5Pset_obj_track_times(plist, false) < 0 ? -1 : H5Gcreate2(file, "images", H5P_DEFAULT, plist, H5P_DEFAULT);
    H5Pclose(plist);
    return group;
}

static bool write_cameras(hid_t file, const dmc__images *m)
{
    if (m->cameras == 0) return true;
    const hid_t group = make_group(file);
    bool ok = group >= 0;
    for (int32_t i = 0; ok && i < m->cameras; i++) {
        const sheet s = {m->name[i], H5T_STD_U8LE, 4, m->rows, dmc__images_frame(m), m->pixels[i],
                         {(size_t)m->h, (size_t)m->w, (size_t)m->c}};
        ok = write_sheet(group, &s);
    }
    if (group >= 0) H5Gclose(group);
    return ok;
}

static bool write_sheets(hid_t file, hid_t flag, const dmc__hdf5_arrays *x)
{
    const hid_t real = H5T_IEEE_F32LE;
    const sheet sheets[] = {
        {"observations", real, 2, x->n, (size_t)x->obs_dim, x->obs, {0}},
        {"actions", real, 2, x->n, (size_t)x->act_dim, x->act, {0}},
        {"rewards", real, 1, x->n, 1, x->rew, {0}},
        {"terminals", flag, 1, x->n, 1, x->terminals, {0}},
        {"timeouts", flag, 1, x->n, 1, x->timeouts, {0}},
    };
    for (size_t i = 0; i < sizeof sheets / sizeof *sheets; i++)
        if (sheets[i].data && !write_sheet(file, &sheets[i])) return false;
    return write_cameras(file, &x->images);
}

/* A file that HDF5 keeps in memory: a disk that fills up while HDF5 writes leaves its library in
 * disorder. */
static hid_t create_in_memory(void)
{
    enum { STEP = 1 << 20 };
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    const hid_t file = H5Pset_fapl_core(access, STEP, false) < 0
                           ? -1
                           : H5Fcreate("memory", H5F_ACC_TRUNC, H5P_DEFAULT, access);
    H5Pclose(access);
    return file;
}

static dmc_status fail_building(const char *path)
{
    return dmc__hdf5_fail(DMC_ENOMEM, path, "", "cannot be built in memory");
}

/* *out is the caller's to free, also after a failure. */
static dmc_status copy_image(hid_t file, const char *path, unsigned char **out, size_t *size)
{
    const ssize_t n = H5Fflush(file, H5F_SCOPE_GLOBAL) < 0 ? -1 : H5Fget_file_image(file, NULL, 0);
    if (n <= 0) return fail_building(path);
    DMC_TRY(DMC_NEW(&dmc__default_allocator, n, out));
    *size = (size_t)n;
    return H5Fget_file_image(file, *out, *size) == n ? DMC_OK : fail_building(path);
}

/* The bytes of the whole file */
static dmc_status build_image(const char *path, const dmc__hdf5_arrays *x, unsigned char **out,
                              size_t *size)
{
    const hid_t file = create_in_memory();
    if (file < 0) return fail_building(path);
    const hid_t flag = bool_type();
    const bool built = flag >= 0 && write_sheets(file, flag, x);
    const dmc_status status = built ? copy_image(file, path, out, size) : fail_building(path);
    if (flag >= 0) H5Tclose(flag);
    H5Fclose(file);
    return status;
}

dmc_status dmc__hdf5_write(const char *path, const dmc__hdf5_arrays *x)
{
    dmc__hdf5_session session;
    dmc__atomic_file file;
    unsigned char *image = NULL;
    size_t size = 0;
    if (x->n < 1 || x->obs_dim < 1 || x->act_dim < 1)
        return dmc__fail(DMC_ESHAPE,
                         "%s: (%zu,%d) observations, (%zu,%d) actions: nothing to write", path,
                         x->n, x->obs_dim, x->n, x->act_dim);
    DMC_TRY(dmc__atomic_begin(&dmc__default_allocator, path, &file));
    dmc__hdf5_enter(&session);
    dmc_status status = build_image(path, x, &image, &size);
    dmc__hdf5_leave(&session);
    if (status == DMC_OK) status = dmc__atomic_write(&file, image, size);
    DMC_FREE(&dmc__default_allocator, image, size);
    return dmc__atomic_finish(&file, status);
}
