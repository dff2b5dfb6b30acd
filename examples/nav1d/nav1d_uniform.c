/* nav1d_uniform.c — a controller without a model: uniform actions and a critic. A faithful model of the full data is no worse. */
#include "nav1d_samplers.h"

/* The action the greedy rule takes: argmax of min(Q1,Q2). */
static dmc_status choose(dmc_critic *critic, const float obs[NAV1D_OBS], const float *act, int32_t n, float *best)
{
    float all[NAV1D_MOST_CANDIDATES * NAV1D_OBS], q1[NAV1D_MOST_CANDIDATES], q2[NAV1D_MOST_CANDIDATES], most = 0;
    for (int32_t i = 0; i < n * NAV1D_OBS; i++) all[i] = obs[i % NAV1D_OBS];
    const dmc_status status = dmc_critic_q(critic, (size_t)n, all, act, q1, q2);
    for (int32_t i = 0; status >= 0 && i < n; i++) {
        const float q = q1[i] < q2[i] ? q1[i] : q2[i];
        if (i > 0 && q <= most) continue;
        most = q;
        *best = act[i];
    }
    return status;
}

static dmc_status run_episode(dmc_critic *critic, int32_t candidates, int32_t episode, double *sum)
{
    nav1d_env e;
    int32_t done = 0;
    dmc_status status = DMC_OK;
    nav1d_env_reset(&e, 0, (uint64_t)episode, 0);
    for (*sum = 0; status >= 0 && !done;) {
        float obs[NAV1D_OBS], act[NAV1D_MOST_CANDIDATES], best = 0;
        double reward = 0;
        nav1d_env_observe(&e, obs);
        for (int32_t i = 0; i < candidates; i++) {
            double u[2];
            nav1d_random(1, NAV1D_RANDOM_ACTION, (uint64_t)(episode * NAV1D_MOST_CANDIDATES + i), (uint32_t)e.time, u);
            act[i] = (float)(2 * u[0] - 1);
        }
        status = choose(critic, obs, act, candidates, &best);
        if (status >= 0 && nav1d_env_step(&e, best, &reward, &done) != 0) status = DMC_ENUMERIC;
        *sum += reward;
    }
    return status;
}

dmc_status nav1d_uniform_returns(dmc_critic *critic, int32_t candidates, double *returns)
{
    dmc_status status = DMC_OK;
    for (int32_t i = 0; status >= 0 && i < NAV1D_SEEDS; i++) status = run_episode(critic, candidates, i, &returns[i]);
    return status;
}
