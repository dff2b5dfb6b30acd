/* reward.h — what alignment maximises: a function of clean samples, with or without a gradient.
 *
 * Implementations: reward_critic.c (IQL twins) here; the user's callback in lib/api.
 */
#ifndef DMC_CRITIC_REWARD_H
#define DMC_CRITIC_REWARD_H

#include "iql.h"

typedef struct dmc__reward {
    void *self;
    int32_t batch, has_gradient;
    /* z: device (batch,T,cols), normalised as the model sees it; cond: device (batch,cond) or NULL (planners).
     * r: host (batch); a critic's may be NULL where only dz is wanted, which is the device's work alone.
     * pessimistic: minimum of the twins instead of their mean (choosing, not differentiating).
     * dz: device (batch,T,cols) or NULL: set to d r_b / d z_b. */
    dmc_status (*eval)(void *self, const void *z, const void *cond, int32_t pessimistic, float *r, void *dz);
    /* The same, row by row: r host (batch,rows), whose mean over the rows is what eval gives. NULL where a reward is one number per
     * sample. */
    dmc_status (*eval_rows)(void *self, const void *z, const void *cond, int32_t pessimistic, float *r);
    int32_t rows;
    int32_t twins;                      /* 1: two critics, so `pessimistic` makes a difference */
} dmc__reward;

/* Linear maps from the model's normalised columns to the critic's: critic = model*scale + shift. */
typedef struct dmc__critic_map {
    int32_t planner, horizon, n_obs, obs_dim, act_dim;
    int32_t chunk;                      /* rows of an action of the critic; 0 = 1 */
    int32_t cond;                       /* width of a policy's condition, which its observations begin; 0: they are all */
    const float *obs_scale, *obs_shift; /* (S) */
    const float *act_scale, *act_shift; /* (A) */
} dmc__critic_map;

/* Policy: r = Q(s, a_0) with s the newest observation of the condition and a_0 row 0 of z. Planner:
 * R = sum_h w_h Q(s_h, a_h) / sum_h w_h, w_h = discount^h over the plan's rows (methods.md 2.0); discount 0 takes row 0 only
 * (candidate selection). With chunks a_h stands for rows h .. h+chunk-1, and h ends where they do. */
dmc_status dmc__reward_critic_create(const dmc__iql *q, dmc__device *d, const dmc__critic_map *map, int32_t batch,
                                     double discount, int32_t want_gradient, dmc__reward *out);
void dmc__reward_critic_free(dmc__reward *r);
/* eval without dz in two halves, the first of which can be recorded (backend.h): what is asked of the device, and, when it was
 * waited for, what that came to. The critic's weights are read where they are, so a recording sees them change. */
dmc_status dmc__reward_critic_ask(const dmc__reward *r, const void *z, const void *cond);
void dmc__reward_critic_tell(const dmc__reward *r, int32_t pessimistic, float *out);
size_t dmc__reward_critic_bytes(const dmc__reward *r);

#endif
