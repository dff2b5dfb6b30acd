/* schedule.h — noise schedules: betas of discrete steps, and signal in continuous time. In double. */
#ifndef DMC_DIFFUSION_SCHEDULE_H
#define DMC_DIFFUSION_SCHEDULE_H

#include <stdint.h>

/* Where continuous time begins: a clean sample has no score. */
#define DMC__SCHEDULE_T_MIN 1e-3

/* beta_i of T steps, at most .999. */
double dmc__schedule_beta(int32_t schedule, int32_t i, int32_t steps);
/* alpha(t), t in [0, t_max]. */
double dmc__schedule_alpha(int32_t schedule, double t);
/* The t where sqrt(1 - alpha^2)/alpha = ratio > 0. */
double dmc__schedule_time(int32_t schedule, double ratio);
/* Where continuous time ends: 0.9946 for the cosine (DPM-Solver, Lu et al. 2022, p. 22), else 1. */
double dmc__schedule_t_max(int32_t schedule);
/* Time of level i of T: linspace(1e-3, 1, T), of which the cosine knows none above its t_max. */
double dmc__schedule_grid(int32_t i, int32_t steps);

#endif
