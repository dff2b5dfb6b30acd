/* evaluate.c — episodes in groups: all copies are reset, answered by one sampler call, and stepped until all are done; what
 * happened is counted, and kept if somebody wants it. */
#include "evaluate.h"

#include <string.h>

typedef struct group {
    const char *who;
    dmc__sampler *sampler;
    const dmc__env *env;
    int32_t active, exec;     /* copies in use; rows executed per answer */
    float *obs, *act;         /* (count,S) (count,horizon,A) */
    int32_t *done;
    double *returns;          /* of this group's episodes */
    dmc__collector *keep;     /* NULL: returns only */
} group;

static dmc_status start(group *g, uint64_t first_seed)
{
    const size_t s = (size_t)g->env->obs_dim;
    for (int32_t i = 0; i < g->env->count; i++) {
        const uint64_t seed = first_seed + (uint64_t)(i < g->active ? i : 0); /* surplus copies repeat the first, uncounted */
        if (g->env->reset(g->env->user, i, seed, g->obs + (size_t)i * s) != 0)
            return dmc__fail(DMC_ECALLBACK, "%s: reset of copy %d with seed %llu failed", g->who, i, (unsigned long long)seed);
        g->done[i] = i >= g->active;
        if (i < g->active) g->returns[i] = 0;
        if (g->keep) dmc__collector_begin(g->keep, i, g->obs + (size_t)i * s);
    }
    return DMC_OK;
}

static int32_t ends(int32_t done)
{
    return done != DMC__DONE_NOT && done != DMC__DONE_CUT;
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
            return dmc__fail(DMC_ECALLBACK, "%s: step of copy %d failed", g->who, i);
        g->returns[i] += reward;
        if (g->keep) dmc__collector_step(g->keep, i, act, reward, g->obs + (size_t)i * s, ends(g->done[i]));
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
    return g->keep ? dmc__collector_push(g->keep, g->active) : DMC_OK;
}

static dmc_status check(const char *who, const dmc__sampler *s, const dmc__env *e, int32_t episodes, int32_t exec)
{
    const dmc__model *m = dmc__sampler_model(s);
    const dmc__sampler_config *c = dmc__sampler_get_config(s);
    if (e->obs_dim != m->obs.n || e->act_dim != m->act.n)
        return dmc__fail(DMC_ESHAPE, "%s: env has observations of %d and actions of %d, the model wants %d and %d", who,
                         e->obs_dim, e->act_dim, m->obs.n, m->act.n);
    if (dmc__net_sees(&m->spec.net))
        return dmc__fail(DMC_EINVAL, "%s: the model sees by %d cameras, a dmc_env gives no images; call "
                         "dmc_sampler_set_image and dmc_sampler_sample in a loop of your own", who, m->spec.net.cameras);
    if (e->count != c->batch)
        return dmc__fail(DMC_ESHAPE, "%s: env->count = %d, the sampler's batch is %d", who, e->count, c->batch);
    if (e->max_steps < 1) return dmc__fail(DMC_ERANGE, "%s: env->max_steps = %d, must be at least 1", who, e->max_steps);
    if (episodes < 1) return dmc__fail(DMC_ERANGE, "%s: episodes = %d, must be at least 1", who, episodes);
    if (exec < 1 || exec > dmc__sampler_horizon(s))
        return dmc__fail(DMC_ERANGE, "%s: exec = %d, must be 1..%d (the sampler's horizon)", who, exec,
                         dmc__sampler_horizon(s));
    if (m->spec.states_only && exec == dmc__sampler_horizon(s))
        return dmc__fail(DMC_ERANGE, "%s: exec = %d, must be 1..%d (horizon - 1): a plan of states only has an action less than "
                         "states", who, exec, exec - 1);
    if (c->warm_start > 0 && exec != c->exec)
        return dmc__fail(DMC_EINVAL, "%s: exec = %d, but with warm_start the sampler's plans move up by its own exec = "
                         "%d", who, exec, c->exec);
    return DMC_OK;
}

/* The groups of all episodes, with the buffers they share. */
static dmc_status run_all(group *g, int32_t episodes, uint64_t first_seed, uint64_t seed, double *returns)
{
    const dmc__allocator *a = dmc__sampler_allocator(g->sampler);
    const size_t n = (size_t)g->env->count, obs = n * (size_t)g->env->obs_dim;
    const size_t acts = n * (size_t)dmc__sampler_horizon(g->sampler) * (size_t)g->env->act_dim;
    dmc_status status = DMC_NEW(a, obs, &g->obs);
    if (status >= 0) status = DMC_NEW(a, acts, &g->act);
    if (status >= 0) status = DMC_NEW(a, n, &g->done);
    for (int32_t i = 0; i < episodes && status >= 0; i += g->env->count) {
        g->active = episodes - i < g->env->count ? episodes - i : g->env->count;
        g->returns = returns + i;
        status = run_group(g, first_seed + (uint64_t)i, seed + (uint64_t)i);
    }
    DMC_FREE(a, g->done, n);
    DMC_FREE(a, g->act, acts);
    DMC_FREE(a, g->obs, obs);
    return status;
}

dmc_status dmc__evaluate(dmc__sampler *s, const dmc__env *env, int32_t episodes, int32_t exec, uint64_t first_seed, uint64_t seed,
                         double *returns)
{
    group g = {.who = "dmc_evaluate", .sampler = s, .env = env, .exec = exec};
    DMC_TRY(check(g.who, s, env, episodes, exec));
    return run_all(&g, episodes, first_seed, seed, returns);
}

dmc_status dmc__collect(dmc__sampler *s, const dmc__env *env, dmc__experience *keep, int32_t episodes, int32_t exec,
                        uint64_t first_seed, uint64_t seed, double *returns)
{
    dmc__collector c;
    group g = {.who = "dmc_collect", .sampler = s, .env = env, .exec = exec, .keep = &c};
    DMC_TRY(check(g.who, s, env, episodes, exec));
    if (keep->obs_dim != env->obs_dim || keep->act_dim != env->act_dim)
        return dmc__fail(DMC_ESHAPE, "dmc_collect: the replay has observations of %d and actions of %d, env has %d and %d",
                         keep->obs_dim, keep->act_dim, env->obs_dim, env->act_dim);
    DMC_TRY(dmc__collector_create(keep, env->count, env->max_steps, &c));
    const dmc_status status = run_all(&g, episodes, first_seed, seed, returns);
    dmc__collector_free(&c);
    return status;
}
