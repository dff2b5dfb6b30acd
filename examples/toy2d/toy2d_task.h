/* toy2d_task.h — the paper's Figure 2: points in the plane, and three rewards that live at different places of it.
 *
 * Data: eight Gaussians on a circle of radius .75, deviation .06. Rewards are bumps exp(-|x - m|^2 / 2 s^2): orange's maximum is
 * outside the data, green's is one of the Gaussians, blue has two.
 */
#ifndef TOY2D_TASK_H
#define TOY2D_TASK_H

#include <libdmc/libdmc.h>

enum toy2d_colour { TOY2D_ORANGE, TOY2D_GREEN, TOY2D_BLUE, TOY2D_COLOURS };

/* A reward, what holds the model where it was, and what the paper reached. */
typedef struct toy2d_reward {
    const char *name;
    enum toy2d_colour colour;
    double kl;          /* weight of the divergence from the foundation */
    double least;       /* the paper's factor */
} toy2d_reward;

extern const toy2d_reward toy2d_rewards[TOY2D_COLOURS];

/* r(x) and, unless NULL, its gradient (2). */
double toy2d_reward_at(enum toy2d_colour colour, const float x[2], double gradient[2]);
/* A dmc_reward_fn; user: a toy2d_reward. */
int32_t toy2d_reward_fn(void *user, size_t n, const float *z, const float *obs, float *r, float *grad);
/* Is x where the data are? log p(x) is at least what 99 % of the data have. */
int32_t toy2d_supports(const float x[2]);
/* ROWS draws of the data, after an observation that says nothing. */
dmc_status toy2d_dataset(uint64_t seed, dmc_dataset **out);

#endif
