/* nav1d_coherency.c — the coherency scores of plans and of policies. */
#include "nav1d_coherency.h"

#include <math.h>

enum { BINS = 20 };
static const double WIDTH = 0.05;

int32_t nav1d_coherency_plan(const nav1d_plans *p, double *c, double *rms)
{
    if (p->plans == 0 || p->rows < 2 || p->state_col >= p->cols || p->action_col >= p->cols)
        return -1;
    double kernel = 0.0, square = 0.0;
    for (size_t i = 0; i < p->plans; i++) {
        for (size_t h = 0; h + 1 < p->rows; h++) {
            const float *row = p->x + (i * p->rows + h) * p->cols;
            const double action = row[p->action_col];
            const double error =
                row[p->cols + p->state_col] - nav1d_next(row[p->state_col], action);
            /* an infinite action would be hidden by the clipping */
            if (!isfinite(action) || !isfinite(error)) return -1;
            kernel += exp(-0.5 * error * error / (WIDTH * WIDTH));
            square += error * error;
        }
    }
    const double transitions = (double)p->plans * (double)(p->rows - 1);
    *c = kernel / transitions;
    *rms = sqrt(square / transitions);
    return 0;
}

/* p_beta(b|s,t); the first bin holds the atom at -1, which is not below its lower edge */
static double bin_mass(const nav1d_behaviour *beta, double s, int32_t t, int32_t bin)
{
    const double low = bin == 0 ? 0.0 : nav1d_behaviour_cdf(beta, s, t, -1.0 + 2.0 * bin / BINS);
    return nav1d_behaviour_cdf(beta, s, t, -1.0 + 2.0 * (bin + 1) / BINS) - low;
}

/* Shares of `draws` actions by bin; -1 if one is not finite. */
static int32_t count_actions(const float *actions, size_t draws, double share[BINS])
{
    for (int32_t bin = 0; bin < BINS; bin++) share[bin] = 0.0;
    for (size_t k = 0; k < draws; k++) {
        if (!isfinite(actions[k])) return -1;
        const int32_t bin = (int32_t)(0.5 * BINS * (nav1d_clip(actions[k]) + 1.0));
        share[bin < BINS ? bin : BINS - 1] += 1.0 / (double)draws;
    }
    return 0;
}

int32_t nav1d_coherency_policy(const nav1d_behaviour *b, const float *obs, const float *actions,
                               size_t n, size_t draws, double *overlap, double *density)
{
    if (n == 0 || draws == 0 || !nav1d_behaviour_is_valid(b)) return -1;
    if (b->kind == NAV1D_EXPERT && b->noise == 0.0) return -1;
    double common = 0.0, relative = 0.0;
    for (size_t i = 0; i < n; i++) {
        const float *a = actions + i * draws;
        const double s = obs[i * NAV1D_OBS];
        const int32_t t = nav1d_observed_time(obs + i * NAV1D_OBS);
        double share[BINS];
        if (t < 0 || t >= NAV1D_STEPS || !isfinite(s) || count_actions(a, draws, share) < 0)
            return -1;
        for (int32_t bin = 0; bin < BINS; bin++) common += fmin(share[bin], bin_mass(b, s, t, bin));
        for (size_t k = 0; k < draws; k++)
            relative += nav1d_behaviour_density(b, s, t, nav1d_clip(a[k]));
    }
    *overlap = common / (double)n;
    *density = relative / ((double)n * (double)draws);
    return 0;
}
