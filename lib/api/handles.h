/* handles.h — the structs behind the public handles that are not rooms of their own. */
#ifndef DMC_API_HANDLES_H
#define DMC_API_HANDLES_H

#include "../../include/libdmc/libdmc.h"
#include "../align/sequence.h"
#include "../config/field.h"
#include "../runtime/sampler.h"
#include "../train/evaluate.h"
#include "../train/critic_replay.h"
#include "../train/pretrain.h"

struct dmc_dataset {
    dmc__context_ref ref;
    dmc__trajectories *data;
    int32_t reward;              /* DMC_REWARD_* */
    double mean, sd, min, max;   /* of episode returns */
};

struct dmc_replay {
    dmc__context_ref ref;
    dmc__experience x;
};

struct dmc_trainer {
    dmc__pretrain *run;
    const dmc__allocator *alloc;
};

struct dmc_sampler {
    dmc__sampler *run;
    const dmc__allocator *alloc;
    float *map;                  /* columns of the model -> the critic's; NULL without a critic */
    size_t map_elems;
};

struct dmc_aligner {
    dmc__context_ref ref;
    const dmc_model *model;
    const dmc_dataset *data;
    const dmc_critic *critic;
    dmc__align *run;
    float *map;
    size_t map_elems;
    dmc__critic_map critic_map;
    double row_discount;
    int32_t round;               /* of dmc_align_online, from 1; else 0 */
    dmc_reward_fn reward;
    void *reward_user;
    int32_t reward_gradient;
    dmc_score_fn score;
    void *score_user;
    dmc_scores_fn scores;
    void *scores_user;
    char *ledger;                /* path, or NULL */
    dmc_reward_fn coherency;
    void *coherency_user;
    dmc_progress_fn progress;
    void *progress_user;
    const dmc_critic *judge;    /* of the score; NULL: the reward */
    float *judge_store;
    dmc__critic_map judge_map;
    dmc_pairs_fn pairs;
    void *pairs_user;
    const dmc_model *inverse;    /* of a planner of states only; NULL: none yet */
};

/* The affine map rewards go through before a critic sees them. */
void dmc__dataset_reward_map(const dmc_dataset *d, double *scale, double *shift);

/* A simulator as it was given; `function` refuses it by name. */
dmc_status dmc__take_env(const char *function, const dmc_env *env, dmc__env *out);

/* What an update's numbers are to a caller, who may not want them. */
void dmc__critic_give(const dmc_critic *c, const dmc__iql_metrics *m, int64_t began, dmc_critic_metrics *out);

/* Refuse a NULL argument by name. */
#define DMC_NEED(function, argument)                                                            \
    do {                                                                                        \
        if (!(argument)) return dmc__fail(DMC_EINVAL, function ": " #argument " is NULL");      \
    } while (0)

/* Copy text to a caller's buffer of `size`, reporting the size needed. */
dmc_status dmc__text_out(const char *function, const char *text, char *buf, size_t size, size_t *need);

#endif
