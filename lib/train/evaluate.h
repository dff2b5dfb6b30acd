/* evaluate.h — roll a sampler out in simulators stepped in lock-step. */
#ifndef DMC_TRAIN_EVALUATE_H
#define DMC_TRAIN_EVALUATE_H

#include "../runtime/sampler.h"
#include "collect.h"

/* What step says of the episode: it goes on, is truly over, was only cut. */
enum { DMC__DONE_NOT = 0, DMC__DONE_END = 1, DMC__DONE_CUT = 2 };

/* The callbacks of dmc_env, by value. */
typedef struct dmc__env {
    int32_t obs_dim, act_dim, max_steps, count;
    void *user;
    int32_t (*reset)(void *user, int32_t env, uint64_t seed, float *obs);
    int32_t (*step)(void *user, int32_t env, const float *act, float *obs, double *reward, int32_t *done);
} dmc__env;

/* See dmc_evaluate. The sampler's batch is env->count; the last group may be partial (its surplus copies idle). */
dmc_status dmc__evaluate(dmc__sampler *s, const dmc__env *env, int32_t episodes, int32_t exec, uint64_t first_seed, uint64_t seed,
                         double *returns);
/* The same, and what happened goes into `keep`, group by group; see dmc_collect. */
dmc_status dmc__collect(dmc__sampler *s, const dmc__env *env, dmc__experience *keep, int32_t episodes, int32_t exec,
                        uint64_t first_seed, uint64_t seed, double *returns);

#endif
