/* toy2d_task.c — density, data and rewards. */
#include "toy2d_task.h"

#include <math.h>
#include <stdlib.h>

enum { MODES = 8, ROWS = 8192 };

static const double pi = 3.14159265358979323846, radius = 0.75, spread = 0.06, least_log_density = -2.934;

const toy2d_reward toy2d_rewards[TOY2D_COLOURS] = {
    {"orange", TOY2D_ORANGE, 0.4, 3.21},
    {"green", TOY2D_GREEN, 0.1, 7.09},
    {"blue", TOY2D_BLUE, 0.2, 4.18},
};

static void mode(int32_t k, double m[2])
{
    m[0] = radius * cos(k * pi / 4);
    m[1] = radius * sin(k * pi / 4);
}

static double square_distance(const float x[2], const double m[2])
{
    const double dx = (double)x[0] - m[0], dy = (double)x[1] - m[1];
    return dx * dx + dy * dy;
}

int32_t toy2d_supports(const float x[2])
{
    double sum = 0, m[2];
    for (int32_t k = 0; k < MODES; k++) {
        mode(k, m);
        sum += exp(-square_distance(x, m) / (2 * spread * spread));
    }
    return log(sum / (MODES * 2 * pi * spread * spread)) >= least_log_density;
}

/* height exp(-|x - m|^2 / 2 s^2), and its gradient added */
static double bump(const float x[2], const double m[2], double s, double height, double gradient[2])
{
    const double r = height * exp(-square_distance(x, m) / (2 * s * s));
    for (int32_t i = 0; gradient && i < 2; i++) gradient[i] -= r * ((double)x[i] - m[i]) / (s * s);
    return r;
}

double toy2d_reward_at(enum toy2d_colour colour, const float x[2], double gradient[2])
{
    static const double outside[2] = {1.25, 0};
    double m[2], n[2];
    if (gradient) gradient[0] = gradient[1] = 0;
    if (colour == TOY2D_ORANGE) return bump(x, outside, 0.6, 1, gradient);
    mode(colour == TOY2D_GREEN ? 2 : 4, m);
    if (colour == TOY2D_GREEN) return bump(x, m, 0.2, 1, gradient);
    mode(5, n);
    return bump(x, m, 0.2, 1, gradient) + bump(x, n, 0.2, 1.2, gradient);
}

int32_t toy2d_reward_fn(void *user, size_t n, const float *z, const float *obs, float *r, float *grad)
{
    const toy2d_reward *t = user;
    (void)obs;
    for (size_t i = 0; i < n; i++) {
        double g[2];
        r[i] = (float)toy2d_reward_at(t->colour, z + 2 * i, g);
        for (size_t j = 0; grad && j < 2; j++) grad[2 * i + j] = (float)g[j];
    }
    return 0;
}

/* Uniform in (0,1): the multiplier of Knuth's MMIX, its upper bits. */
static double uniform(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return ((double)(*state >> 11) + 0.5) * 0x1p-53;
}

dmc_status toy2d_dataset(uint64_t seed, dmc_dataset **out)
{
    float *const obs = calloc(ROWS, sizeof *obs), *const act = calloc(2 * ROWS, sizeof *act);
    float *const rew = calloc(ROWS, sizeof *rew);
    uint8_t *const ends = malloc(ROWS);
    uint64_t state = seed;
    dmc_status status = DMC_ENOMEM;
    *out = NULL;
    for (int32_t i = 0; obs && act && rew && ends && i < ROWS; i++) {
        double m[2];
        mode((int32_t)(MODES * uniform(&state)), m);
        const double length = spread * sqrt(-2 * log(uniform(&state))), angle = 2 * pi * uniform(&state);
        act[2 * i] = (float)(m[0] + length * cos(angle));
        act[2 * i + 1] = (float)(m[1] + length * sin(angle));
        ends[i] = 1;
    }
    if (obs && act && rew && ends) status = dmc_dataset_create(NULL, ROWS, 1, 2, obs, act, rew, ends, NULL, NULL, out);
    free(obs);
    free(act);
    free(rew);
    free(ends);
    return status;
}
