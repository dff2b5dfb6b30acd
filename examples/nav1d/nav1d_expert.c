/* nav1d_expert.c — value iteration backwards over Nav1D's twelve steps. */
#include "nav1d_expert.h"

#include <math.h>
#include <stdlib.h>

enum { GRID_MIN = 2, GRID_MAX = 100001 };

/* A step that lands on the ceiling may miss it by a rounding error. */
static const double SLACK = 1e-9;

struct nav1d_expert {
    int32_t states, actions;
    double ceiling;
    double *value;  /* (13,states) */
    double *action; /* (12,states) */
};

/* where the row of time t starts in a table */
static size_t row_start(const nav1d_expert *e, int32_t t)
{
    return (size_t)t * (size_t)e->states;
}

static double grid_point(int32_t i, int32_t n)
{
    return -1.0 + 2.0 * i / (n - 1);
}

/* y (n) over the grid of n points, at x */
static double interpolate(const double *y, int32_t n, double x)
{
    const double place = fmin(fmax(0.5 * (x + 1.0), 0.0), 1.0) * (n - 1);
    const int32_t i = place < n - 2 ? (int32_t)place : n - 2;
    const double w = place - i;
    return (1.0 - w) * y[i] + w * y[i + 1];
}

/* max_a r_{t+1}(s') + V_{t+1}(s') over the grid of actions */
static double back_up(const nav1d_expert *e, int32_t t, double s, double *best_action)
{
    const double *after = e->value + row_start(e, t + 1);
    const double limit = s - NAV1D_GAMMA > e->ceiling + SLACK ? 1.0 : e->ceiling;
    double best = -INFINITY;
    for (int32_t k = 0; k < e->actions; k++) {
        const double a = grid_point(k, e->actions);
        const double next = nav1d_next(s, a);
        if (next > limit + SLACK) break; /* larger actions lead further */
        const double q = nav1d_reward(t + 1, next) + interpolate(after, e->states, next);
        if (q > best) {
            best = q;
            *best_action = a;
        }
    }
    return best;
}

static void fill_tables(nav1d_expert *e)
{
    double *end = e->value + row_start(e, NAV1D_STEPS);
    for (int32_t i = 0; i < e->states; i++) end[i] = 0.0;
    for (int32_t t = NAV1D_STEPS - 1; t >= 0; t--) {
        double *value = e->value + row_start(e, t);
        double *action = e->action + row_start(e, t);
        for (int32_t i = 0; i < e->states; i++)
            value[i] = back_up(e, t, grid_point(i, e->states), &action[i]);
    }
}

nav1d_expert *nav1d_expert_create(int32_t states, int32_t actions, double ceiling)
{
    if (states < GRID_MIN || states > GRID_MAX || actions < GRID_MIN || actions > GRID_MAX)
        return NULL;
    if (!(ceiling >= -1.0 && ceiling <= 1.0)) return NULL;
    nav1d_expert *e = malloc(sizeof *e);
    double *tables = malloc((2 * NAV1D_STEPS + 1) * (size_t)states * sizeof *tables);
    if (!e || !tables) {
        free(tables);
        free(e);
        return NULL;
    }
    *e = (nav1d_expert){.states = states, .actions = actions, .ceiling = ceiling, .value = tables};
    e->action = tables + row_start(e, NAV1D_STEPS + 1);
    fill_tables(e);
    return e;
}

void nav1d_expert_destroy(nav1d_expert *e)
{
    if (!e) return;
    free(e->value);
    free(e);
}

double nav1d_expert_value(const nav1d_expert *e, int32_t t, double state)
{
    return interpolate(e->value + row_start(e, t), e->states, state);
}

double nav1d_expert_action(const nav1d_expert *e, int32_t t, double state)
{
    return interpolate(e->action + row_start(e, t), e->states, state);
}

double nav1d_expert_mean(const nav1d_expert *e, double low, double high)
{
    double sum = 0.0;
    int32_t pairs = 0;
    for (int32_t i = 0; i < e->states - 1; i++) {
        if (grid_point(i, e->states) < low - SLACK || grid_point(i + 1, e->states) > high + SLACK)
            continue;
        sum += 0.5 * (e->value[i] + e->value[i + 1]);
        pairs++;
    }
    return pairs ? sum / pairs : NAN;
}
