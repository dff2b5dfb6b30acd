/* trajectories.h — episodes in memory and windows cut from them. Plain host floats, dataset units. */
#ifndef DMC_DATA_TRAJECTORIES_H
#define DMC_DATA_TRAJECTORIES_H

#include <stdbool.h>

#include "../base/alloc.h"
#include "../base/rng.h"
#include "images.h"

/* Rows of all episodes one after the other. `final` of an episode: its last row is a true terminal (not a
 * time-out or the end of the file). next_obs of a row is the following row of the same episode; the last row of
 * an episode that is not terminal has no successor and is skipped when transitions are drawn. */
typedef struct dmc__trajectories {
    const dmc__allocator *alloc;
    size_t rows;
    int32_t obs_dim, act_dim;
    float *obs, *act, *rew;    /* (rows,S) (rows,A) (rows)          */
    uint8_t *terminal;         /* (rows)                            */
    int32_t episodes;
    size_t *start;             /* (episodes+1), start[episodes]=rows */
    int32_t *train, n_train;   /* episode numbers                   */
    int32_t *held, n_held;
    dmc__images images;        /* none, or a frame of every camera per row */
    size_t *train_rows, *held_rows; /* (n_train+1) (n_held+1): rows of the episodes before each, for drawing */
} dmc__trajectories;

/* Copies arrays, cuts episodes at terminals and timeouts, checks every value is finite (DMC_ENUMERIC with array
 * and row), splits held_out of the episodes off by a seeded shuffle. timeouts may be NULL. */
dmc_status dmc__trajectories_create(const dmc__allocator *a, size_t n, int32_t obs_dim, int32_t act_dim, const float *obs,
                                    const float *act, const float *rew, const uint8_t *terminals,
                                    const uint8_t *timeouts, double held_out, uint64_t seed, dmc__trajectories **out);
void dmc__trajectories_destroy(dmc__trajectories *t);
/* Discounted return from every row to the end of its episode, sum_k discount^k r. out: (rows) */
void dmc__trajectories_returns(const dmc__trajectories *t, double discount, float *out);
/* The least and the greatest of them; 0 and 0 of no rows. */
void dmc__trajectories_return_range(const dmc__trajectories *t, double discount, double *least, double *greatest);
double dmc__trajectories_return(const dmc__trajectories *t, int32_t episode);

/* A position: row `row` of episode `episode`. */
typedef struct dmc__position { int32_t episode; int32_t row; } dmc__position;

/* Discounted return from p to the end of its episode; what would count for less than 1e-9 of a reward is left out. */
double dmc__trajectories_return_from(const dmc__trajectories *t, dmc__position p, double discount);

/* Draw a row uniformly from the rows of the train (held=false) or held-out episodes; draw number (step,sample) of
 * the stream. {-1,-1} if there are no such episodes. */
dmc__position dmc__trajectories_draw(const dmc__trajectories *t, bool held, const dmc__stream *s);

/* The last n observations at p, (n,S), oldest first; before the episode's start the first is replicated. */
void dmc__window_context(const dmc__trajectories *t, dmc__position p, int32_t n, float *out);
/* The last n frames of camera i at p, (n,h,w,c), as numbers from -1 to 1, replicated likewise. */
void dmc__window_frames(const dmc__trajectories *t, dmc__position p, int32_t n, int32_t camera, float *out);
/* Actions p.row .. p.row+h-1 (h,A); past the end the last is replicated and valid[i] (if not NULL) is 0. */
void dmc__window_actions(const dmc__trajectories *t, dmc__position p, int32_t h, float *out, uint8_t *valid);
/* Rows [obs | act] (h,S+A), padded likewise. */
void dmc__window_plan(const dmc__trajectories *t, dmc__position p, int32_t h, float *out, uint8_t *valid);
/* Observations (h,S), padded likewise. */
void dmc__window_states(const dmc__trajectories *t, dmc__position p, int32_t h, float *out, uint8_t *valid);

#endif
