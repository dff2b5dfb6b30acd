/* nav1d_data.c — behaviour policies of Nav1D and the data they leave. */
#include "nav1d_data.h"

#include <math.h>
#include <stdlib.h>

enum { EPISODES_MAX = 1000000 };

nav1d_behaviour nav1d_behaviour_make(int32_t kind, const nav1d_expert *expert)
{
    return (nav1d_behaviour){.kind = kind, .expert = expert, .epsilon = 0.20, .noise = 0.05};
}

/* Upper end of the uniform actions. Above gamma nothing leads back to the states <= 0 and the
 * interval shrinks to {-1}. */
static double highest_action(const nav1d_behaviour *b, double state)
{
    return b->kind == NAV1D_PARTIAL ? nav1d_clip(-state / NAV1D_GAMMA) : 1.0;
}

static double draw_normal(uint64_t seed, uint64_t episode, int32_t t)
{
    double u[2];
    nav1d_random(seed, NAV1D_RANDOM_NOISE, episode, (uint32_t)t, u);
    return sqrt(-2.0 * log(1.0 - u[0])) * cos(2.0 * M_PI * u[1]);
}

float nav1d_behaviour_draw(const nav1d_behaviour *b, double state, int32_t t, uint64_t seed,
                           uint64_t episode)
{
    double u[2];
    nav1d_random(seed, NAV1D_RANDOM_ACTION, episode, (uint32_t)t, u);
    if (b->kind == NAV1D_EXPERT && u[1] >= b->epsilon) {
        const double a =
            nav1d_expert_action(b->expert, t, state) + b->noise * draw_normal(seed, episode, t);
        return (float)nav1d_clip(a);
    }
    const double high = highest_action(b, state);
    const float a = (float)(-1.0 + (high + 1.0) * u[0]);
    /* rounding to float must not cross the bound */
    return a > high ? nextafterf(a, -1.0F) : a;
}

static double normal_cdf(double mean, double sd, double x)
{
    return sd > 0.0 ? 0.5 * erfc((mean - x) / (sd * sqrt(2.0))) : (double)(x >= mean);
}

double nav1d_behaviour_cdf(const nav1d_behaviour *b, double state, int32_t t, double a)
{
    const double high = highest_action(b, state);
    if (a < -1.0) return 0.0;
    if (a >= high) return 1.0;
    const double uniform = (a + 1.0) / (high + 1.0);
    if (b->kind != NAV1D_EXPERT) return uniform;
    const double greedy = normal_cdf(nav1d_expert_action(b->expert, t, state), b->noise, a);
    return b->epsilon * uniform + (1.0 - b->epsilon) * greedy;
}

double nav1d_behaviour_density(const nav1d_behaviour *b, double state, int32_t t, double a)
{
    /* an action at the bound was checked against it in double, the state given here may have been a
     * float */
    if (b->kind != NAV1D_EXPERT) return a <= highest_action(b, state) + 1e-6;
    const double z = (a - nav1d_expert_action(b->expert, t, state)) / b->noise;
    const double uniform = 0.5 * b->epsilon;
    const double peak = (1.0 - b->epsilon) / (b->noise * sqrt(2.0 * M_PI));
    return (uniform + peak * exp(-0.5 * z * z)) / (uniform + peak);
}

int32_t nav1d_behaviour_is_valid(const nav1d_behaviour *b)
{
    if (b->kind == NAV1D_FULL || b->kind == NAV1D_PARTIAL) return 1;
    return b->kind == NAV1D_EXPERT && b->expert && b->epsilon >= 0.0 && b->epsilon <= 1.0 &&
           b->noise >= 0.0 && isfinite(b->noise);
}

static int32_t allocate(nav1d_data *d, int32_t episodes)
{
    d->n = (size_t)episodes * NAV1D_STEPS;
    d->observations = malloc(d->n * NAV1D_OBS * sizeof *d->observations);
    d->actions = malloc(d->n * sizeof *d->actions);
    d->rewards = malloc(d->n * sizeof *d->rewards);
    d->terminals = calloc(d->n, sizeof *d->terminals);
    d->timeouts = calloc(d->n, sizeof *d->timeouts);
    return d->observations && d->actions && d->rewards && d->terminals && d->timeouts ? 0 : -1;
}

static double draw_start(const nav1d_behaviour *b, uint64_t seed, uint64_t episode)
{
    double u[2];
    nav1d_random(seed, NAV1D_RANDOM_START, episode, 0, u);
    return b->kind == NAV1D_PARTIAL ? -u[0] : 2.0 * u[0] - 1.0;
}

/* The end of an episode is a terminal, not a time-out: the observation holds the time, so the agent
 * knows that nothing follows the twelfth step, and Q there is the last reward. Bootstrapping would
 * invent a thirteenth. */
static void record_episode(const nav1d_behaviour *b, uint64_t seed, uint64_t episode,
                           int32_t preview, nav1d_data *d)
{
    nav1d_env e;
    nav1d_env_start(&e, draw_start(b, seed, episode), preview);
    for (size_t i = episode * NAV1D_STEPS; i < (episode + 1) * NAV1D_STEPS; i++) {
        double reward = 0.0;
        int32_t done = 0;
        nav1d_env_observe(&e, d->observations + i * NAV1D_OBS);
        d->actions[i] = nav1d_behaviour_draw(b, e.state, e.time, seed, episode);
        /* cannot fail: the action is in [-1,1] and the episode has twelve steps */
        (void)nav1d_env_step(&e, d->actions[i], &reward, &done);
        d->rewards[i] = (float)reward;
        d->terminals[i] = (uint8_t)done;
    }
}

int32_t nav1d_data_create(const nav1d_behaviour *b, int32_t episodes, uint64_t seed,
                          int32_t preview, nav1d_data *out)
{
    *out = (nav1d_data){0};
    if (episodes < 1 || episodes > EPISODES_MAX || !nav1d_behaviour_is_valid(b)) return -1;
    if (allocate(out, episodes) < 0) {
        nav1d_data_destroy(out);
        return -1;
    }
    for (int32_t i = 0; i < episodes; i++) record_episode(b, seed, (uint64_t)i, preview, out);
    return 0;
}

void nav1d_data_destroy(nav1d_data *d)
{
    if (!d) return;
    free(d->observations);
    free(d->actions);
    free(d->rewards);
    free(d->terminals);
    free(d->timeouts);
    *d = (nav1d_data){0};
}
