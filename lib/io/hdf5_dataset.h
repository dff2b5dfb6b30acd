/* hdf5_dataset.h — D4RL layout in and out; rules of docs/formats.md. Only hdf5_*.c include HDF5. */
#ifndef DMC_IO_HDF5_DATASET_H
#define DMC_IO_HDF5_DATASET_H

#include "../data/images.h"

/* Arrays as stored; free with dmc__hdf5_arrays_free. timeouts NULL if the file has none. */
typedef struct dmc__hdf5_arrays {
    size_t n;
    int32_t obs_dim, act_dim;
    float *obs, *act, *rew;
    uint8_t *terminals, *timeouts;
    dmc__images images; /* a frame of every camera per row, or none */
} dmc__hdf5_arrays;

/* max_steps 0 = all. One mutex around every use of HDF5; its error printing is switched off and restored. */
dmc_status dmc__hdf5_read(const dmc__allocator *a, const char *path, size_t max_steps, dmc__hdf5_arrays *out);
void dmc__hdf5_arrays_free(const dmc__allocator *a, dmc__hdf5_arrays *x);
/* gzip level 4 + shuffle, chunks of about 64 KiB; atomic by rename. */
dmc_status dmc__hdf5_write(const char *path, const dmc__hdf5_arrays *x);

#endif
