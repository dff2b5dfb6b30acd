/* hdf5_guard.h — HDF5 kept on a short lead: what a dataset may be before a byte of it is read. */
#ifndef DMC_IO_HDF5_GUARD_H
#define DMC_IO_HDF5_GUARD_H

#include <hdf5.h>

#include "../base/status.h"

/* What a column of the D4RL layout, or a camera, may hold. */
enum {
    DMC__HDF5_MATRIX, /* (N,C) numbers                     */
    DMC__HDF5_VECTOR, /* (N) or (N,1) numbers              */
    DMC__HDF5_FLAGS,  /* (N) or (N,1) numbers or h5py bools */
    DMC__HDF5_FRAMES  /* (N,H,W,C) bytes                    */
};

/* Bytes one file may ask for in all. */
#define DMC__HDF5_BUDGET ((size_t)8 << 30)

typedef struct dmc__hdf5_column {
    const char *path, *name; /* for messages */
    hid_t set, type;         /* -1 when closed */
    int rank;
    size_t rows, cols;   /* cols: numbers of a row */
    size_t size[3];      /* of a frame: H W C      */
} dmc__hdf5_column;

/* Take the lock every use of HDF5 goes through, silence its error printing and forbid its plug-ins;
 * leave puts the host's settings back. */
typedef struct dmc__hdf5_session {
    H5E_auto2_t print;
    void *print_data;
    unsigned plugins;
} dmc__hdf5_session;
void dmc__hdf5_enter(dmc__hdf5_session *s);
void dmc__hdf5_leave(const dmc__hdf5_session *s);

/* Sentence with HDF5's own reason at its end. */
dmc_status dmc__hdf5_fail(dmc_status status, const char *path, const char *name, const char *what);

/* Read-only, through a plain file driver. */
dmc_status dmc__hdf5_file_open(const char *path, hid_t *file, size_t *file_size);

/* DMC_ENOENT if there is no such name. Everything about the dataset is checked: hard link, storage
 * inside the file, harmless filters, plain numbers, rank, and a size in proportion to what is
 * stored. */
dmc_status dmc__hdf5_column_open(hid_t file, size_t file_size, const char *path, const char *name,
                                 int kind, dmc__hdf5_column *out);
/* The group `name`, hard-linked, opened; DMC_ENOENT if there is nothing of the name. *links: how many are in it. */
dmc_status dmc__hdf5_group_open(hid_t file, const char *path, const char *name, hid_t *group, size_t *links);
void dmc__hdf5_column_close(dmc__hdf5_column *c);

#endif
