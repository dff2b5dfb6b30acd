/* nav1d_measure.c — draw, and hand over to nav1d_coherency.c. */
#include "nav1d_measure.h"

#include <math.h>
#include <stdlib.h>

#include "nav1d_coherency.h"

enum { CONDITIONS = 32, PLANS = 32, DRAWS = 256 }; /* samples per condition of a planner, of a policy */

/* A place on the line and a time of which four rows are left, for every condition. */
static void draw_observations(float *obs)
{
    for (int32_t i = 0; i < CONDITIONS; i++) {
        nav1d_env e;
        nav1d_env_reset(&e, 7, (uint64_t)i, 0);
        e.time = i % (NAV1D_STEPS - 3);
        nav1d_env_observe(&e, obs + (size_t)i * NAV1D_OBS);
    }
}

/* x: (CONDITIONS, per, rows, cols) */
static dmc_status judge(const nav1d_behaviour *b, int32_t planner, const float *obs, const float *x, size_t rows, size_t per,
                        double *c, double *rms)
{
    const nav1d_plans plans = {x, CONDITIONS * per, rows, NAV1D_OBS + NAV1D_ACT, 0, NAV1D_OBS};
    double density;
    *rms = NAN;
    const int32_t failed = planner ? nav1d_coherency_plan(&plans, c, rms)
                                   : nav1d_coherency_policy(b, obs, x, CONDITIONS, per, c, &density);
    return failed ? DMC_ENUMERIC : DMC_OK;
}

dmc_status nav1d_measure_coherency(const dmc_model *m, int32_t planner, const nav1d_behaviour *b, const dmc_sampler_options *o,
                                   double *c, double *rms)
{
    float obs[CONDITIONS * NAV1D_OBS];
    dmc_sampler_options mine = *o;
    dmc_sampler *s = NULL;
    int32_t rows;
    mine.batch = CONDITIONS;
    mine.candidates = planner ? PLANS : DRAWS;
    mine.select = DMC_SELECT_FIRST;
    dmc_status status = dmc_model_sizes(m, &rows, NULL, NULL, NULL, NULL);
    if (status < 0) return status;
    const size_t per = (size_t)mine.candidates, cols = planner ? NAV1D_OBS + NAV1D_ACT : NAV1D_ACT;
    const size_t n = CONDITIONS * per * (size_t)rows * cols, actions = CONDITIONS * (size_t)rows;
    float *const x = malloc(n * sizeof *x), *const act = malloc(actions * sizeof *act);
    draw_observations(obs);
    status = x && act ? dmc_sampler_create(NULL, m, NULL, &mine, &s) : DMC_ENOMEM;
    if (status >= 0) status = dmc_sampler_sample(s, obs, CONDITIONS * NAV1D_OBS, act, actions);
    if (status >= 0) status = dmc_sampler_candidates(s, x, n);
    if (status >= 0) status = judge(b, planner, obs, x, (size_t)rows, per, c, rms);
    dmc_sampler_destroy(s);
    free(act);
    free(x);
    return status;
}
