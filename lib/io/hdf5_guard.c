/* hdf5_guard.c — HDF5 kept on a short lead. */
#include "hdf5_guard.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../base/checked.h"
#include "file_open.h"

/* HDF5 keeps its state in globals and Debian builds it without locks. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void dmc__hdf5_enter(dmc__hdf5_session *s)
{
    *s = (dmc__hdf5_session){0};
    pthread_mutex_lock(&lock);
    H5open();
    H5Eget_auto2(H5E_DEFAULT, &s->print, &s->print_data);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    H5PLget_loading_state(&s->plugins);
    H5PLset_loading_state(0);
}

void dmc__hdf5_leave(const dmc__hdf5_session *s)
{
    H5Eclear2(H5E_DEFAULT);
    H5PLset_loading_state(s->plugins);
    H5Eset_auto2(H5E_DEFAULT, s->print, s->print_data);
    pthread_mutex_unlock(&lock);
}

/* The innermost entry of HDF5's error stack says most. */
static herr_t take_reason(unsigned n, const H5E_error2_t *entry, void *out)
{
    if (n == 0 && entry->desc) snprintf(out, 128, ": %s", entry->desc);
    return 0;
}

dmc_status dmc__hdf5_fail(dmc_status status, const char *path, const char *name, const char *what)
{
    char reason[128] = "";
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_reason, reason);
    H5Eclear2(H5E_DEFAULT);
    return dmc__fail(status, "%s%s%s: %s%s", path, *name ? ": " : "", name, what, reason);
}

dmc_status dmc__hdf5_file_open(const char *path, hid_t *file, size_t *file_size)
{
    int fd;
    *file = -1;
    DMC_TRY(dmc__file_open(path, &fd, file_size));
    close(fd);
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fapl_sec2(access);
    H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
    *file = H5Fopen(path, H5F_ACC_RDONLY, access);
    H5Pclose(access);
    return *file < 0 ? dmc__hdf5_fail(DMC_EFORMAT, path, "", "is not an HDF5 file") : DMC_OK;
}

static dmc_status refuse(const dmc__hdf5_column *c, const char *what)
{
    return dmc__fail(DMC_EFORMAT, "%s: %s: %s", c->path, c->name, what);
}

/* Soft and external links lead elsewhere, perhaps to another file. */
static dmc_status check_link(hid_t file, const char *path, const char *name, const char *what)
{
    H5L_info_t link;
    const htri_t there = H5Lexists(file, name, H5P_DEFAULT);
    if (there < 0) return dmc__hdf5_fail(DMC_EFORMAT, path, name, "cannot be looked up");
    if (there == 0) return dmc__fail(DMC_ENOENT, "%s: has no %s \"%s\"", path, what, name);
    if (H5Lget_info(file, name, &link, H5P_DEFAULT) < 0)
        return dmc__hdf5_fail(DMC_EFORMAT, path, name, "cannot be looked up");
    return link.type == H5L_TYPE_HARD ? DMC_OK : dmc__fail(DMC_EFORMAT, "%s: %s: is a link, must be a %s", path, name, what);
}

dmc_status dmc__hdf5_group_open(hid_t file, const char *path, const char *name, hid_t *group, size_t *links)
{
    H5G_info_t info;
    *group = -1;
    DMC_TRY(check_link(file, path, name, "group"));
    *group = H5Gopen2(file, name, H5P_DEFAULT);
    if (*group < 0) return dmc__hdf5_fail(DMC_EFORMAT, path, name, "is not a group");
    if (H5Gget_info(*group, &info) < 0) {
        H5Gclose(*group);
        *group = -1;
        return dmc__hdf5_fail(DMC_EFORMAT, path, name, "cannot be listed");
    }
    *links = (size_t)info.nlinks;
    return DMC_OK;
}

static dmc_status check_filters(hid_t plist, const dmc__hdf5_column *c)
{
    const int n = H5Pget_nfilters(plist);
    for (int i = 0; i < n; i++) {
        unsigned flags, config;
        size_t values = 0;
        const H5Z_filter_t id =
            H5Pget_filter2(plist, (unsigned)i, &flags, &values, NULL, 0, NULL, &config);
        if (id != H5Z_FILTER_DEFLATE && id != H5Z_FILTER_SHUFFLE && id != H5Z_FILTER_FLETCHER32)
            return dmc__fail(DMC_EFORMAT,
                             "%s: %s: filter %d, must be deflate, shuffle or fletcher32", c->path,
                             c->name, (int)id);
    }
    return n >= 0 ? DMC_OK : refuse(c, "filters cannot be read");
}

/* Bytes of one chunk; 0 where the data are not chunked. */
static dmc_status chunk_bytes(hid_t plist, const dmc__hdf5_column *c, size_t *bytes)
{
    hsize_t dims[H5S_MAX_RANK];
    *bytes = 0;
    if (H5Pget_layout(plist) != H5D_CHUNKED) return DMC_OK;
    const int rank = H5Pget_chunk(plist, H5S_MAX_RANK, dims);
    *bytes = H5Tget_size(c->type);
    for (int i = 0; i < rank; i++)
        if (!dmc__mul_ok(*bytes, (size_t)dims[i], bytes))
            return dmc__fail(DMC_EOVERFLOW, "%s: %s: chunks are too large", c->path, c->name);
    return rank > 0 ? DMC_OK : refuse(c, "chunks cannot be read");
}

/* All bytes must lie in this file, behind filters that cannot run code of others. */
static dmc_status check_storage(const dmc__hdf5_column *c, hid_t plist, size_t *chunk)
{
    const H5D_layout_t layout = H5Pget_layout(plist);
    if (H5Pget_external_count(plist) != 0) return refuse(c, "data are stored in another file");
    if (layout != H5D_COMPACT && layout != H5D_CONTIGUOUS && layout != H5D_CHUNKED)
        return refuse(c, "layout is virtual, must be compact, contiguous or chunked");
    DMC_TRY(check_filters(plist, c));
    return chunk_bytes(plist, c, chunk);
}

/* One of the types every program writes, so that HDF5's general conversions are never used. */
static bool is_standard(hid_t type)
{
    const hid_t known[] = {
        H5T_IEEE_F32LE, H5T_IEEE_F32BE, H5T_IEEE_F64LE, H5T_IEEE_F64BE, H5T_STD_I8LE,
        H5T_STD_U8LE,   H5T_STD_I16LE,  H5T_STD_I16BE,  H5T_STD_U16LE,  H5T_STD_U16BE,
        H5T_STD_I32LE,  H5T_STD_I32BE,  H5T_STD_U32LE,  H5T_STD_U32BE,  H5T_STD_I64LE,
        H5T_STD_I64BE,  H5T_STD_U64LE,  H5T_STD_U64BE,
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (H5Tequal(type, known[i]) > 0) return true;
    return false;
}

/* h5py stores bools as an enumeration of int8. */
static bool is_bool(hid_t type)
{
    if (H5Tget_class(type) != H5T_ENUM || H5Tget_size(type) != 1) return false;
    const hid_t base = H5Tget_super(type);
    const bool ok = base >= 0 && is_standard(base);
    if (base >= 0) H5Tclose(base);
    return ok;
}

static dmc_status check_type(const dmc__hdf5_column *c, int kind)
{
    if (kind == DMC__HDF5_FRAMES)
        return H5Tequal(c->type, H5T_STD_U8LE) > 0 ? DMC_OK : refuse(c, "type must be an unsigned integer of 8 bits");
    if (is_standard(c->type) || (kind == DMC__HDF5_FLAGS && is_bool(c->type))) return DMC_OK;
    return refuse(c, kind == DMC__HDF5_FLAGS
                         ? "type must be a bool, an integer or a float"
                         : "type must be an integer or a float of 32 or 64 bits");
}

/* Sizes along all dimensions, at most `most` of them; rank -1 if it cannot be read. */
static void read_dims(dmc__hdf5_column *c, hsize_t *dims, int most)
{
    const hid_t space = H5Dget_space(c->set);
    c->rank = space < 0 ? -1 : H5Sget_simple_extent_ndims(space);
    if (c->rank >= 1 && c->rank <= most && H5Sget_simple_extent_dims(space, dims, NULL) != c->rank) c->rank = -1;
    if (space >= 0) H5Sclose(space);
}

/* (N,H,W,C), any sizes that can be counted. */
static dmc_status read_frames(dmc__hdf5_column *c)
{
    hsize_t dims[4] = {0};
    read_dims(c, dims, 4);
    if (c->rank != 4)
        return dmc__fail(DMC_ESHAPE, "%s: %s: has %d dimensions, must be (N,H,W,C)", c->path, c->name, c->rank);
    c->rows = (size_t)dims[0];
    c->cols = 1;
    for (int i = 0; i < 3; i++) {
        c->size[i] = (size_t)dims[1 + i];
        if (c->size[i] > INT32_MAX || !dmc__mul_ok(c->cols, c->size[i], &c->cols))
            return dmc__fail(DMC_EOVERFLOW, "%s: %s: frames are too large", c->path, c->name);
    }
    return DMC_OK;
}

static dmc_status read_shape(dmc__hdf5_column *c, int kind)
{
    hsize_t dims[2] = {0, 1};
    if (kind == DMC__HDF5_FRAMES) return read_frames(c);
    read_dims(c, dims, 2);
    if (c->rank < 1 || c->rank > 2 || (kind == DMC__HDF5_MATRIX && c->rank != 2))
        return dmc__fail(DMC_ESHAPE, "%s: %s: has %d dimensions, must be %s", c->path, c->name,
                         c->rank, kind == DMC__HDF5_MATRIX ? "(N,C)" : "(N) or (N,1)");
    if (kind != DMC__HDF5_MATRIX && dims[1] != 1)
        return dmc__fail(DMC_ESHAPE, "%s: %s: has %llu columns, must have 1", c->path, c->name,
                         (unsigned long long)dims[1]);
    c->rows = (size_t)dims[0];
    c->cols = (size_t)dims[1];
    return DMC_OK;
}

/* A few bytes may not stand for gigabytes. Compression reaches 1000 at the very best, and small
 * data may have any ratio: flags that are all 0 need not be stored at all. */
static dmc_status check_size(const dmc__hdf5_column *c, size_t file_size, size_t chunk)
{
    enum { FREE = 4 << 20, RATIO = 1000 };
    const size_t stored = (size_t)H5Dget_storage_size(c->set);
    size_t bytes;
    if (!dmc__mul_ok(c->rows, c->cols, &bytes) ||
        !dmc__mul_ok(bytes, H5Tget_size(c->type), &bytes) || bytes > DMC__HDF5_BUDGET)
        return dmc__fail(DMC_EOVERFLOW, "%s: %s: (%zu,%zu) is more than %zu bytes", c->path,
                         c->name, c->rows, c->cols, DMC__HDF5_BUDGET);
    if (stored > file_size)
        return dmc__fail(DMC_EFORMAT, "%s: %s: claims %zu stored bytes, the file has %zu", c->path,
                         c->name, stored, file_size);
    const size_t most = bytes > chunk ? bytes : chunk;
    if (most > FREE && most / RATIO > stored)
        return dmc__fail(DMC_EFORMAT,
                         "%s: %s: needs %zu bytes for %zu stored, at most %d times is believed",
                         c->path, c->name, most, stored, RATIO);
    return DMC_OK;
}

static dmc_status examine(dmc__hdf5_column *c, size_t file_size, int kind)
{
    size_t chunk = 0;
    const hid_t plist = H5Dget_create_plist(c->set);
    c->type = H5Dget_type(c->set);
    if (plist < 0 || c->type < 0) {
        if (plist >= 0) H5Pclose(plist);
        return dmc__hdf5_fail(DMC_EFORMAT, c->path, c->name, "cannot be examined");
    }
    const dmc_status status = check_storage(c, plist, &chunk);
    H5Pclose(plist);
    DMC_TRY(status);
    DMC_TRY(check_type(c, kind));
    DMC_TRY(read_shape(c, kind));
    return check_size(c, file_size, chunk);
}

dmc_status dmc__hdf5_column_open(hid_t file, size_t file_size, const char *path, const char *name,
                                 int kind, dmc__hdf5_column *out)
{
    *out = (dmc__hdf5_column){.path = path, .name = name, .set = -1, .type = -1};
    DMC_TRY(check_link(file, path, name, "dataset"));
    out->set = H5Dopen2(file, name, H5P_DEFAULT);
    if (out->set < 0) return dmc__hdf5_fail(DMC_EFORMAT, path, name, "is not a dataset");
    const dmc_status status = examine(out, file_size, kind);
    if (status < 0) dmc__hdf5_column_close(out);
    return status;
}

void dmc__hdf5_column_close(dmc__hdf5_column *c)
{
    if (c->type >= 0) H5Tclose(c->type);
    if (c->set >= 0) H5Dclose(c->set);
    c->type = c->set = -1;
}
