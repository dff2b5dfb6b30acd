/* nav1d_env.c — Nav1D's rules and its random numbers. */
#include "nav1d_env.h"

#include <Random123/philox.h>
#include <math.h>

static const double TARGETS[NAV1D_STEPS] = {0.86, -0.72, 0.25, 0.35,  -0.10, -0.66,
                                            0.57, 0.77,  0.41, -0.17, -0.80, -0.56};

double nav1d_clip(double x)
{
    return fmin(fmax(x, -1.0), 1.0);
}

double nav1d_target(int32_t t)
{
    return t >= 1 && t <= NAV1D_STEPS ? TARGETS[t - 1] : 0.0;
}

double nav1d_next(double state, double action)
{
    return nav1d_clip(state + NAV1D_GAMMA * nav1d_clip(action));
}

double nav1d_reward(int32_t t, double next)
{
    const double z = (next - nav1d_target(t)) / NAV1D_SIGMA;
    return exp(-0.5 * z * z);
}

void nav1d_env_start(nav1d_env *e, double state, int32_t preview)
{
    *e = (nav1d_env){.state = nav1d_clip(state), .time = 0, .preview = preview};
}

void nav1d_env_reset(nav1d_env *e, uint64_t seed, uint64_t episode, int32_t preview)
{
    double u[2];
    nav1d_random(seed, NAV1D_RANDOM_RESET, episode, 0, u);
    nav1d_env_start(e, 2.0 * u[0] - 1.0, preview);
}

void nav1d_env_observe(const nav1d_env *e, float obs[NAV1D_OBS])
{
    const double share = (double)e->time / NAV1D_STEPS;
    obs[0] = (float)e->state;
    obs[1] = (float)(2.0 * share - 1.0);
    obs[2] = (float)(e->preview ? nav1d_target(e->time + 1) : cos(2.0 * M_PI * share));
    obs[3] = (float)(e->preview ? nav1d_target(e->time + 2) : sin(2.0 * M_PI * share));
}

int32_t nav1d_observed_time(const float obs[NAV1D_OBS])
{
    const double t = 0.5 * NAV1D_STEPS * (obs[1] + 1.0);
    /* written so that NaN is refused too */
    if (!(t > -1e-3 && t < NAV1D_STEPS + 1e-3) || fabs(t - nearbyint(t)) > 1e-3) return -1;
    return (int32_t)nearbyint(t);
}

int32_t nav1d_env_step(nav1d_env *e, double action, double *reward, int32_t *done)
{
    if (!isfinite(action) || e->time < 0 || e->time >= NAV1D_STEPS) return -1;
    e->state = nav1d_next(e->state, action);
    e->time++;
    *reward = nav1d_reward(e->time, e->state);
    *done = e->time == NAV1D_STEPS;
    return 0;
}

/* 53 bits of two words, in [0,1) */
static double unit(uint32_t high, uint32_t low)
{
    return (double)((((uint64_t)high << 32) | low) >> 11) * 0x1p-53;
}

void nav1d_random(uint64_t seed, uint32_t purpose, uint64_t episode, uint32_t step, double u[2])
{
    const philox4x32_ctr_t counter = {
        {step, (uint32_t)episode, (uint32_t)(episode >> 32), purpose}};
    const philox4x32_key_t key = {{(uint32_t)seed, (uint32_t)(seed >> 32)}};
    const philox4x32_ctr_t x = philox4x32(counter, key);
    u[0] = unit(x.v[0], x.v[1]);
    u[1] = unit(x.v[2], x.v[3]);
}
