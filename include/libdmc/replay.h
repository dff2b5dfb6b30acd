/* replay.h — experience gathered while acting, and critics that learn from it.
 *
 * A dmc_replay is a ring of transitions (s, a, r, s', is s' the end?) in the dataset's units: once it is full, the newest push the
 * oldest out. A transition continues the episode of the one pushed before it if that one was no end and its s' is this one's s, bit
 * for bit. Threads: one at a time; what reads it (critics, alignment) must not run while it is pushed into.
 */
#ifndef LIBDMC_REPLAY_H
#define LIBDMC_REPLAY_H

#include "critic.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dmc_replay dmc_replay;

/* Room for `capacity` transitions, all of it taken at once; there are none yet. ctx NULL: a private one. Ownership: destroy takes
 * NULL. Errors: DMC_ESHAPE (widths below 1), DMC_ERANGE (capacity, 1..2^31-1), DMC_EOVERFLOW, DMC_ENOMEM. */
DMC_API DMC_NODISCARD dmc_status dmc_replay_create(dmc_context *ctx, int32_t obs_dim, int32_t act_dim, size_t capacity,
                                                   dmc_replay **out);
DMC_API void dmc_replay_destroy(dmc_replay *r);

/* n transitions: obs (n,S), act (n,A), rew (n) as it was paid, next (n,S), terminals (n): 1 where the episode truly ended,
 * 0 also where it was only cut. Everything is copied, nothing allocated. Errors: DMC_ENUMERIC (array, row, column; nothing is
 * pushed then). */
DMC_API DMC_NODISCARD dmc_status dmc_replay_push(dmc_replay *r, size_t n, const float *obs, const float *act, const float *rew,
                                                 const float *next, const uint8_t *terminals);
/* A whole episode of n steps: obs (n+1,S), the last one after the last action; act (n,A), rew (n); terminal: 1 if it truly ended, 0
 * if it was cut. The same errors. */
DMC_API DMC_NODISCARD dmc_status dmc_replay_push_episode(dmc_replay *r, size_t n, const float *obs, const float *act,
                                                         const float *rew, int32_t terminal);

/* How many transitions there are, at most the capacity. 0 for NULL. */
DMC_API size_t dmc_replay_count(const dmc_replay *r);
/* Copy transitions first .. first+n-1, counted from the oldest, out; any out pointer may be NULL. Errors: DMC_ERANGE. */
DMC_API DMC_NODISCARD dmc_status dmc_replay_read(const dmc_replay *r, size_t first, size_t n, float *obs, float *act, float *rew,
                                                 float *next, uint8_t *terminals);
/* Draw n transitions evenly, with replacement: equal seeds give equal draws of equal contents. Out pointers as above. Errors:
 * DMC_ESTATE (it is empty). */
DMC_API DMC_NODISCARD dmc_status dmc_replay_draw(const dmc_replay *r, uint64_t seed, size_t n, float *obs, float *act, float *rew,
                                                 float *next, uint8_t *terminals);

/* As dmc_critic_step, with round(share * batch) of each batch drawn from the replay, the rest from the critic's dataset; share
 * 0..1. Rewards go through the map of the dataset (options.reward) and normalisers stay the dataset's. A transition that is cut and
 * not terminal is worth r + gamma V(s'), a terminal one r. Adam's state is kept, and dmc_critic_step may follow.
 * Errors: DMC_ESHAPE (widths), DMC_ESTATE (share > 0 of an empty replay; a critic loaded without a dataset), DMC_ERANGE. */
DMC_API DMC_NODISCARD dmc_status dmc_critic_step_on(dmc_critic *c, const dmc_replay *r, double share, int32_t n,
                                                    dmc_critic_metrics *metrics);

#ifdef __cplusplus
}
#endif
#endif
