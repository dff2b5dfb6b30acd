/* nav1d_env.h — Nav1D: walk along a line and be at mu_t at time t.
 *
 *   s' = clip(s + gamma clip(a,-1,1), -1, 1)      r = exp(-(s' - mu_{t+1})^2 / (2 sigma^2))
 *
 * for twelve steps. The paper (eqs. 13-14) leaves gamma, the horizon and the targets open; these
 * are libdmc's, docs/math says how they were chosen. Some targets lie further apart than one step
 * reaches, so planning beats tracking.
 */
#ifndef NAV1D_ENV_H
#define NAV1D_ENV_H

#include <stdint.h>

enum { NAV1D_STEPS = 12, NAV1D_OBS = 4, NAV1D_ACT = 1 };

#define NAV1D_GAMMA 0.4
#define NAV1D_SIGMA 0.088

typedef struct nav1d_env {
    double state;    /* s, in [-1,1]                                                  */
    int32_t time;    /* t, 0..12; at 12 the episode is over                           */
    int32_t preview; /* nonzero: observations show the next two targets               */
} nav1d_env;

/* x limited to [-1,1], the range of states and of actions. */
double nav1d_clip(double x);

/* mu_t for t = 1..12, the target at time t; 0 for any other t. */
double nav1d_target(int32_t t);

/* s after action a, and what arriving at state `next` at time t = 1..12 pays. */
double nav1d_next(double state, double action);
double nav1d_reward(int32_t t, double next);

/* Start at time 0: at a given state, or at one drawn from U[-1,1], a function of (seed, episode)
 * alone. */
void nav1d_env_start(nav1d_env *e, double state, int32_t preview);
void nav1d_env_reset(nav1d_env *e, uint64_t seed, uint64_t episode, int32_t preview);

/* obs = (s, 2t/12 - 1, cos(2 pi t/12), sin(2 pi t/12)); with preview the last two are mu_{t+1},
 * mu_{t+2}. */
void nav1d_env_observe(const nav1d_env *e, float obs[NAV1D_OBS]);

/* t of an observation made by nav1d_env_observe: 0..12, or -1 if it is none. */
int32_t nav1d_observed_time(const float obs[NAV1D_OBS]);

/* One step; *done is 1 after the twelfth. Returns 0, or -1 with nothing changed if the action is
 * not finite or the episode is over. */
int32_t nav1d_env_step(nav1d_env *e, double action, double *reward, int32_t *done);

/* Two uniforms in [0,1), a pure function of the arguments (Philox4x32-10): nothing depends on what
 * was drawn before. */
enum {
    NAV1D_RANDOM_RESET = 0,  /* where an evaluation episode starts   */
    NAV1D_RANDOM_START = 1,  /* where an episode of a data set starts */
    NAV1D_RANDOM_ACTION = 2, /* a uniform action, whether to take it  */
    NAV1D_RANDOM_NOISE = 3   /* noise on the expert's action         */
};
void nav1d_random(uint64_t seed, uint32_t purpose, uint64_t episode, uint32_t step, double u[2]);

#endif
