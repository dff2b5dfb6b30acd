/* evaluate.c — episodes in groups: all copies are reset, answered by one sampler call, and stepped until all are done. */
#include "evaluate.h"

#include <string.h>

typedef struct group {
    dmc__sampler *sampler;
    const dmc__env *env;
    int32_t active, exec;     /* copies in use; rows executed per answer */
    float *obs, *act;         /* (count,S) (count,horizon,A) */
    int32_t *done;
    double *returns;          /* of this group's episodes */
} group;

static dmc_status start(group *g, uint64_t first_seed)
{
    const size_t s = (size_t)g->env->obs_dim;
    for (int32_t i = 0; i < g->env->count; i++) {
        const uint64_t seed = first_seed + (uint64_t)(i < g->active ? i : 0); /* surplus copies repeat the first, uncounted */
        if (g->env->reset(g->env->user, i, seed, g->obs + (size_t)i * s) != 0)
            return dmc__fail(DMC_ECALLBACK, "dmc_evaluate: reset of copy %d with seed %llu failed", i, (unsigned long long)seed);
        g->done[i] = i >= g->active;
        if (i < g->active) g->returns[i] = 0;
    }
    return DMC_OK;
}

/* Execute row h of every copy's answer; a finished copy keeps its last observation. */
static dmc_status step_all(group *g, int32_t h, int32_t horizon, int32_t *running)
{
    const size_t s = (size_t)g->env->obs_dim, a = (size_t)g->env->act_dim;
    *running = 0;
    for (int32_t i = 0; i < g->env->count; i++) {
        double reward = 0;
        if (g->done[i]) continue;
        const float *act = g->act + ((size_t)i * (size_t)horizon + (size_t)h) * a;
        if (g->env->step(g->env->user, i, act, g->obs + (size_t)i * s, &reward, &g->done[i]) != 0)
            return dmc__fail(DMC_ECALLBACK, "dmc_evaluate: step of copy %d failed", i);
        g->returns[i] += reward;
        *running += !g->done[i];
    }
    return DMC_OK;
}

static dmc_status run_group(group *g, uint64_t first_seed, uint64_t seed)
{
    const int32_t horizon = dmc__sampler_horizon(g->sampler);
    int32_t running = 1, t = 0;
    dmc__sampler_reset(g->sampler, seed);
    DMC_TRY(start(g, first_seed));
    while (running && t < g->env->max_steps) {
        DMC_TRY(dmc__sampler_sample(g->sampler, g->obs, g->act));
        for (int32_t h = 0; h < g->exec && running && t < g->env->max_steps; h++, t++)
            DMC_TRY(step_all(g, h, horizon, &running));
    }
    return DMC_OK;
}

static dmc_status check(const dmc__sampler *s, const dmc__env *e, int32_t episodes, int32_t exec)
{
    const dmc__model *m = dmc__sampler_model(s);
    const dmc__sampler_config *c = dmc__sampler_get_config(s);
    if (e->obs_dim != m->obs.n || e->act_dim != m->act.n)
        return dmc__fail(DMC_ESHAPE, "dmc_evaluate: env has observations of %d and actions of %d, the model wants %d and %d",
                         e->obs_dim,
                         e->act_dim, m->obs.n, m->act.n);
    if (dmc__net_sees(&m->spec.net))
        return dmc__fail(DMC_EINVAL, "dmc_evaluate: the model sees by %d cameras, a dmc_env gives no images; call "
                         "dmc_sampler_set_image and dmc_sampler_sample in a loop of your own", m->spec.net.cameras);
    if (e->count != c->batch)
        return dmc__fail(DMC_ESHAPE, "dmc_evaluate: env->count = %d, the sampler's batch is %d", e->count, c->batch);
    if (e->max_steps < 1) return dmc__fail(DMC_ERANGE, "dmc_evaluate: env->max_steps = %d, must be at least 1", e->max_steps);
    if (episodes < 1) return dmc__fail(DMC_ERANGE, "dmc_evaluate: episodes = %d, must be at least 1", episodes);
    if (exec < 1 || exec > dmc__sampler_horizon(s))
        return dmc__fail(DMC_ERANGE, "dmc_evaluate: exec = %d, must be 1..%d (the sampler's horizon)", exec,
                         dmc__sampler_horizon(s));
    if (m->spec.states_only && exec == dmc__sampler_horizon(s))
        return dmc__fail(DMC_ERANGE, "dmc_evaluate: exec = %d, must be 1..%d (horizon - 1): a plan of states only has an action "
                         "less than states", exec, exec - 1);
    if (c->warm_start > 0 && exec != c->exec)
        return dmc__fail(DMC_EINVAL, "dmc_evaluate: exec = %d, but with warm_start the sampler's plans move up by its own exec = "
                         "%d", exec, c->exec);
    return DMC_OK;
}

dmc_status dmc__evaluate(dmc__sampler *s, const dmc__env *env, int32_t episodes, int32_t exec, uint64_t first_seed, uint64_t seed,
                         double *returns)
{
    const dmc__allocator *a = dmc__sampler_allocator(s);
    DMC_TRY(check(s, env, episodes, exec));
    const size_t n = (size_t)env->count;
    const size_t acts = n * (size_t)dmc__sampler_horizon(s) * (size_t)env->act_dim;
    group g = {.sampler = s, .env = env, .exec = exec};
    dmc_status status = DMC_NEW(a, n * (size_t)env->obs_dim, &g.obs);
    if (status >= 0) status = DMC_NEW(a, acts, &g.act);
    if (status >= 0) status = DMC_NEW(a, n, &g.done);
    for (int32_t i = 0; i < episodes && status >= 0; i += env->count) {
        g.active = episodes - i < env->count ? episodes - i : env->count;
        g.returns = returns + i;
        status = run_group(&g, first_seed + (uint64_t)i, seed + (uint64_t)i);
    }
    DMC_FREE(a, g.done, n);
    DMC_FREE(a, g.act, acts);
    DMC_FREE(a, g.obs, n * (size_t)env->obs_dim);
    return status;
}
