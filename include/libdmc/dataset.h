/* dataset.h — trajectories: what a controller saw, did and was paid.
 *
 * Read-only after creation; may be shared by any number of objects and threads and must outlive them.
 */
#ifndef LIBDMC_DATASET_H
#define LIBDMC_DATASET_H

#include "context.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dmc_dataset dmc_dataset;

/* How rewards are presented to a critic (returns reported by dmc_dataset_info stay raw). */
enum {
    DMC_REWARD_RAW = 0,    /* as stored                                                     */
    DMC_REWARD_RANGE = 1,  /* r * 1000 / (best - worst episode return): D4RL locomotion     */
    DMC_REWARD_MINUS1 = 2  /* r - 1: antmaze                                                */
};

typedef struct dmc_dataset_options {
    uint32_t struct_size;
    int32_t reward;      /* DMC_REWARD_*; default raw                                       */
    int32_t max_steps;   /* read at most this many steps, 0 = all; default 0                */
    int32_t reserved0;
    double held_out;     /* share of episodes kept for validation, 0..0.5; default 0.05     */
    uint64_t seed;       /* of the split; default 0                                         */
} dmc_dataset_options;

typedef struct dmc_dataset_info {
    uint32_t struct_size;
    int32_t obs_dim, act_dim, episodes, held_out_episodes;
    int32_t longest;             /* steps of the longest episode          */
    uint64_t steps;
    double return_mean, return_sd, return_min, return_max; /* undiscounted, per episode */
} dmc_dataset_info;

/* Defaults. size = sizeof *o. */
DMC_API dmc_status dmc_dataset_options_init(dmc_dataset_options *o, size_t size);

/* Read an HDF5 file in the D4RL layout: observations (N,S), actions (N,A), rewards (N), terminals (N), and
 * timeouts (N) if there. Episodes end at a terminal, a timeout or the end of the file. Files are not trusted:
 * external storage, links, virtual layouts and unknown filters are refused, sizes are checked, values must be
 * finite. A group images may hold cameras, images/<name> (N,H,W,C) of bytes, all of one size; they are kept as bytes.
 * Errors: DMC_ENOENT, DMC_EFORMAT, DMC_ESHAPE, DMC_ENUMERIC (with dataset and row), DMC_ENOMEM. */
DMC_API DMC_NODISCARD dmc_status dmc_dataset_open(dmc_context *ctx, const char *path, const dmc_dataset_options *o,
                                                  dmc_dataset **out);

/* The same from memory: obs (n,obs_dim), act (n,act_dim), rew (n), terminals (n), timeouts (n, may be NULL).
 * Ownership: everything is copied. */
DMC_API DMC_NODISCARD dmc_status dmc_dataset_create(dmc_context *ctx, size_t n, int32_t obs_dim, int32_t act_dim,
                                                    const float *obs, const float *act, const float *rew,
                                                    const uint8_t *terminals, const uint8_t *timeouts,
                                                    const dmc_dataset_options *o, dmc_dataset **out);

/* A camera more, one frame per step: pixels (steps,h,w,c), n = their number. Names are letters, digits, _ and -, at most 31;
 * all cameras of a dataset have one size, at most 8 of them. Before the dataset is used. Ownership: pixels are copied.
 * Errors: DMC_EINVAL (name), DMC_ESHAPE (sizes), DMC_ERANGE (one too many), DMC_ENOMEM. */
DMC_API DMC_NODISCARD dmc_status dmc_dataset_add_images(dmc_dataset *d, const char *camera, int32_t h, int32_t w, int32_t c,
                                                        const uint8_t *pixels, size_t n);
/* How many cameras (0: none), and the size of their frames. Any out pointer may be NULL. */
DMC_API dmc_status dmc_dataset_cameras(const dmc_dataset *d, int32_t *count, int32_t *h, int32_t *w, int32_t *c);
/* Name of camera i, in alphabetical order; NULL if there is none. */
DMC_API const char *dmc_dataset_camera(const dmc_dataset *d, int32_t i);

/* Write in the layout above (gzip), atomically: a temporary file beside it, then rename. */
DMC_API DMC_NODISCARD dmc_status dmc_dataset_save(const dmc_dataset *d, const char *path);

/* Accepts NULL. */
DMC_API void dmc_dataset_destroy(dmc_dataset *d);

/* Set info->struct_size = sizeof *info first. */
DMC_API dmc_status dmc_dataset_get_info(const dmc_dataset *d, dmc_dataset_info *info);

/* Borrowed rows of episode i: obs (len,S), act (len,A), rew (len) raw. Any out pointer may be NULL. */
DMC_API dmc_status dmc_dataset_episode(const dmc_dataset *d, int32_t i, const float **obs, const float **act,
                                       const float **rew, int32_t *len);

/* Borrowed frames of a camera in episode i, (len,h,w,c) of bytes. Errors: DMC_ERANGE, DMC_EKEY (no such camera). */
DMC_API dmc_status dmc_dataset_frames(const dmc_dataset *d, int32_t i, const char *camera, const uint8_t **pixels);

/* *held = 1 if episode i is kept for validation (options.held_out), else 0. */
DMC_API dmc_status dmc_dataset_is_held_out(const dmc_dataset *d, int32_t i, int32_t *held);

#ifdef __cplusplus
}
#endif
#endif
