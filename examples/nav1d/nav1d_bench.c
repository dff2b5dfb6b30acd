/* nav1d_bench.c — the glue between the environment and libdmc. */
#include "nav1d_bench.h"

#include <math.h>
#include <string.h>

const char *const nav1d_selection[NAV1D_SELECTIONS] = {"single", "expectation", "greedy"};

nav1d_figure nav1d_summary(const double *x, int32_t n)
{
    double sum = 0, square = 0;
    for (int32_t i = 0; i < n; i++) sum += x[i];
    for (int32_t i = 0; i < n; i++) square += (x[i] - sum / n) * (x[i] - sum / n);
    return (nav1d_figure){sum / n, n > 1 ? sqrt(square / (n - 1) / n) : 0};
}

dmc_status nav1d_dataset(int32_t kind, const nav1d_expert *expert, const char *path, dmc_dataset **out)
{
    const nav1d_behaviour b = nav1d_behaviour_make(kind, expert);
    nav1d_data d;
    *out = NULL;
    if (nav1d_data_create(&b, NAV1D_EPISODES, (uint64_t)kind, 0, &d) != 0) return DMC_ENOMEM;
    dmc_status status = dmc_dataset_create(NULL, d.n, NAV1D_OBS, NAV1D_ACT, d.observations, d.actions, d.rewards, d.terminals,
                                           d.timeouts, NULL, out);
    nav1d_data_destroy(&d);
    if (status >= 0 && path) status = dmc_dataset_save(*out, path);
    if (status < 0) {
        dmc_dataset_destroy(*out);
        *out = NULL;
    }
    return status;
}

static int32_t reset(void *user, int32_t env, uint64_t seed, float *obs)
{
    nav1d_world *w = user;
    nav1d_env_reset(&w->env[env], 0, seed, 0);
    nav1d_env_observe(&w->env[env], obs);
    return 0;
}

static int32_t step(void *user, int32_t env, const float *act, float *obs, double *reward, int32_t *done)
{
    nav1d_world *w = user;
    const int32_t failed = nav1d_env_step(&w->env[env], act[0], reward, done);
    nav1d_env_observe(&w->env[env], obs);
    return failed;
}

void nav1d_world_init(nav1d_world *w)
{
    memset(w, 0, sizeof *w);
    w->callbacks = (dmc_env){.struct_size = sizeof(dmc_env), .obs_dim = NAV1D_OBS, .act_dim = NAV1D_ACT, .max_steps = NAV1D_STEPS,
                             .count = NAV1D_SEEDS, .user = w, .reset = reset, .step = step};
}

static dmc_sampler_options sampler_options(int32_t selection, int32_t candidates)
{
    static const int32_t select[NAV1D_SELECTIONS] = {DMC_SELECT_FIRST, DMC_SELECT_EXPECTATION, DMC_SELECT_GREEDY};
    dmc_sampler_options o;
    dmc_sampler_options_init(&o, sizeof o);
    o.batch = NAV1D_SEEDS;
    o.select = select[selection];
    o.candidates = selection == NAV1D_SINGLE ? 1 : candidates;
    o.cascade_passes = 1; /* nothing happens for a model without one */
    return o;
}

dmc_status nav1d_returns_of(const dmc_model *m, const dmc_critic *critic, const dmc_model *inverse, const dmc_sampler_options *o,
                            uint64_t first_seed, double *returns)
{
    const dmc_sampler_parts parts = {.struct_size = sizeof parts, .critic = critic, .inverse = inverse};
    nav1d_world world;
    dmc_sampler *s;
    dmc_sampler_options mine = *o;
    mine.batch = NAV1D_SEEDS;
    dmc_status status = dmc_sampler_create_with(NULL, m, &parts, &mine, &s);
    if (status < 0) return status;
    nav1d_world_init(&world);
    status = dmc_evaluate(s, &world.callbacks, NAV1D_SEEDS, 1, first_seed, first_seed, returns);
    dmc_sampler_destroy(s);
    return status;
}

dmc_status nav1d_returns(const dmc_model *m, const dmc_critic *critic, int32_t selection, int32_t candidates, uint64_t first_seed,
                         double *returns)
{
    const dmc_sampler_options o = sampler_options(selection, candidates);
    return nav1d_returns_of(m, critic, NULL, &o, first_seed, returns);
}

/* The environment's callbacks again, noting where each copy is. */
typedef struct tracked {
    nav1d_world world;
    double (*states)[NAV1D_STEPS + 1];
} tracked;

static int32_t tracked_reset(void *user, int32_t env, uint64_t seed, float *obs)
{
    tracked *t = user;
    const int32_t failed = reset(&t->world, env, seed, obs);
    t->states[env][0] = t->world.env[env].state;
    return failed;
}

static int32_t tracked_step(void *user, int32_t env, const float *act, float *obs, double *reward, int32_t *done)
{
    tracked *t = user;
    const int32_t failed = step(&t->world, env, act, obs, reward, done);
    t->states[env][t->world.env[env].time] = t->world.env[env].state;
    return failed;
}

dmc_status nav1d_paths(const dmc_model *m, const dmc_critic *critic, int32_t candidates, uint64_t first_seed,
                       double states[NAV1D_SEEDS][NAV1D_STEPS + 1])
{
    tracked t = {.states = states};
    double returns[NAV1D_SEEDS];
    dmc_sampler *s;
    const dmc_sampler_options o = sampler_options(NAV1D_GREEDY, candidates);
    dmc_status status = dmc_sampler_create(NULL, m, critic, &o, &s);
    if (status < 0) return status;
    nav1d_world_init(&t.world);
    t.world.callbacks.user = &t;
    t.world.callbacks.reset = tracked_reset;
    t.world.callbacks.step = tracked_step;
    status = dmc_evaluate(s, &t.world.callbacks, NAV1D_SEEDS, 1, first_seed, first_seed, returns);
    dmc_sampler_destroy(s);
    return status;
}
