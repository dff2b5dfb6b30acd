/* nav1d_measure.c — draw, and hand over to nav1d_coherency.c. */
#include "nav1d_measure.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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

/* Candidates of every condition, with actions of their own. */
static dmc_status draw(const dmc_model *m, dmc_sampler_options o, const float *obs, float *act, size_t actions, float *x, size_t n)
{
    dmc_sampler *s = NULL;
    dmc_status status = dmc_sampler_create(NULL, m, NULL, &o, &s);
    if (status >= 0) status = dmc_sampler_sample(s, obs, CONDITIONS * NAV1D_OBS, act, actions);
    if (status >= 0) status = dmc_sampler_candidates(s, x, n);
    dmc_sampler_destroy(s);
    return status;
}

/* Row h of a plan of states, with the action that leads on from it, of which the last state has none. */
static void join(const float *plan, const float *act, size_t rows, float *x)
{
    for (size_t h = 0; h < rows; h++, x += NAV1D_OBS + NAV1D_ACT) {
        memcpy(x, plan + h * NAV1D_OBS, NAV1D_OBS * sizeof *x);
        memcpy(x + NAV1D_OBS, act + h * NAV1D_ACT, NAV1D_ACT * sizeof *x);
    }
}

/* The same of plans of states: a sampler answers for the chosen plan alone, so every candidate is a condition here. */
static dmc_status draw_states(const dmc_model *m, const dmc_model *inverse, dmc_sampler_options o, const float *obs, float *act,
                              size_t rows, float *x)
{
    static const size_t n = (size_t)CONDITIONS * PLANS;
    const dmc_sampler_parts parts = {.struct_size = sizeof parts, .inverse = inverse};
    dmc_sampler *s = NULL;
    float *const all = malloc(n * NAV1D_OBS * sizeof *all), *const plan = malloc(rows * NAV1D_OBS * sizeof *plan);
    o.batch = (int32_t)n;
    o.candidates = 1;
    dmc_status status = all && plan ? dmc_sampler_create_with(NULL, m, &parts, &o, &s) : DMC_ENOMEM;
    for (size_t i = 0; all && i < n; i++) memcpy(all + i * NAV1D_OBS, obs + i / PLANS * NAV1D_OBS, NAV1D_OBS * sizeof *all);
    if (status >= 0) status = dmc_sampler_sample(s, all, n * NAV1D_OBS, act, n * rows * NAV1D_ACT);
    for (size_t i = 0; i < n && status >= 0; i++) {
        status = dmc_sampler_plan(s, (int32_t)i, plan, rows * NAV1D_OBS);
        join(plan, act + i * rows * NAV1D_ACT, rows, x + i * rows * (NAV1D_OBS + NAV1D_ACT));
    }
    dmc_sampler_destroy(s);
    free(plan);
    free(all);
    return status;
}

dmc_status nav1d_measure_coherency(const dmc_model *m, const dmc_model *inverse, int32_t planner, const nav1d_behaviour *b,
                                   const dmc_sampler_options *o, double *c, double *rms)
{
    float obs[CONDITIONS * NAV1D_OBS];
    dmc_sampler_options mine = *o;
    int32_t rows;
    mine.batch = CONDITIONS;
    mine.candidates = planner ? PLANS : DRAWS;
    mine.select = DMC_SELECT_FIRST;
    dmc_status status = dmc_model_sizes(m, &rows, NULL, NULL, NULL, NULL);
    if (status < 0) return status;
    const size_t per = (size_t)mine.candidates, cols = planner ? NAV1D_OBS + NAV1D_ACT : NAV1D_ACT;
    const size_t n = CONDITIONS * per * (size_t)rows * cols, actions = CONDITIONS * (size_t)rows;
    float *const x = malloc(n * sizeof *x), *const act = malloc((inverse ? per : 1) * actions * sizeof *act);
    draw_observations(obs);
    if (!x || !act) status = DMC_ENOMEM;
    if (status >= 0)
        status = inverse ? draw_states(m, inverse, mine, obs, act, (size_t)rows, x) : draw(m, mine, obs, act, actions, x, n);
    if (status >= 0) status = judge(b, planner, obs, x, (size_t)rows, per, c, rms);
    free(act);
    free(x);
    return status;
}
