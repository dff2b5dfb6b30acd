/* env.h — simulators as callbacks, and roll-outs of a sampler in them.
 *
 * `env` below is an index: a struct stands for `count` independent copies which are stepped in lock-step, so that
 * one sampler call serves all of them.
 */
#ifndef LIBDMC_ENV_H
#define LIBDMC_ENV_H

#include "replay.h"
#include "sampler.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What step says of the episode: it goes on; it is truly over, nothing can follow; it was only cut, say by a time limit of the
 * simulator's own, and what would have followed counts. Every other nonzero number is an end. An episode that is cut at max_steps
 * is cut, whatever the simulator would have said later. */
enum { DMC_DONE_NOT = 0, DMC_DONE_END = 1, DMC_DONE_CUT = 2 };

typedef struct dmc_env {
    uint32_t struct_size;  /* sizeof(dmc_env); fields may be appended in later versions */
    int32_t obs_dim, act_dim;
    int32_t max_steps;     /* an episode is cut here, >= 1                           */
    int32_t count;         /* independent copies, >= 1                               */
    int32_t reserved0;     /* 0                                                      */
    void *user;            /* passed to every callback                               */
    /* Start episode `seed` in copy `env`; write the first observation. Nonzero = failure. */
    int32_t (*reset)(void *user, int32_t env, uint64_t seed, float *obs);
    /* Apply act; write the next observation, also the last one, the reward and DMC_DONE_*. Nonzero = failure. */
    int32_t (*step)(void *user, int32_t env, const float *act, float *obs, double *reward, int32_t *done);
} dmc_env;

/* Run episodes seeds first_seed .. first_seed+episodes-1 and write each undiscounted return to returns[episodes].
 * The sampler's batch must be env->count. It is reset before each group of `count` episodes, with `seed` + the number of the
 * group's first episode, so equal calls give equal numbers (paired comparisons). `exec` rows of each answer are executed before
 * the next call; a sampler with warm_start must have the same exec. Errors: DMC_ESHAPE, DMC_ERANGE, DMC_EINVAL, DMC_ECALLBACK.
 * Allocates once. */
DMC_API DMC_NODISCARD dmc_status dmc_evaluate(dmc_sampler *s, const dmc_env *env, int32_t episodes, int32_t exec,
                                              uint64_t first_seed, uint64_t seed, double *returns);

/* The same, and every transition goes into the replay: observations, the actions that were executed, rewards, and as a terminal
 * only a true end (DMC_DONE_*). The episodes come one after the other in the order of their seeds, each group once it is over; of a
 * group in which something fails nothing is kept. What dmc_evaluate would return for the same arguments is written to
 * returns[episodes]. Errors: those of dmc_evaluate; DMC_ESHAPE (the replay's widths), DMC_ENUMERIC. */
DMC_API DMC_NODISCARD dmc_status dmc_collect(dmc_sampler *s, const dmc_env *env, dmc_replay *r, int32_t episodes, int32_t exec,
                                             uint64_t first_seed, uint64_t seed, double *returns);

#ifdef __cplusplus
}
#endif
#endif
