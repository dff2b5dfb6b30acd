/* schedule.c — see schedule.h. Sources: docs/math/diffusion.md. */
#include "schedule.h"

#include <math.h>

#include "process.h"

static const double pi = 3.14159265358979323846;
static const double max_beta = .999;
static const double cosine_s = .008, cosine_t_max = .9946;
/* Rates at both ends: the linear schedule of Song et al. 2021, and the one of Xiao et al. 2022 (as in IDQL). */
static const double linear_b0 = .1, linear_b1 = 20, vp_b0 = .1, vp_b1 = 10;

/* Nichol & Dhariwal 2021, eq. 17, up to the constant f(0). */
static double cosine_signal(double u)
{
    return cos((u + cosine_s) / (1 + cosine_s) * pi / 2);
}

static double cosine_abar(double u, int32_t steps)
{
    const double c = cosine_signal(u / steps);
    return c * c;
}

static double cosine_beta(int32_t i, int32_t steps)
{
    return 1 - cosine_abar(i + 1, steps) / cosine_abar(i, steps);
}

/* Ho et al. 2020 chose 1e-4..2e-2 for 1000 steps; without 1000/T fewer steps would not reach noise. */
static double linear_beta(int32_t i, int32_t steps)
{
    const double share = steps > 1 ? i / (double)(steps - 1) : 0;
    return (1e-4 + share * (2e-2 - 1e-4)) * 1000 / steps;
}

/* abar_T does not depend on T. */
static double vp_beta(int32_t i, int32_t steps)
{
    const double t = steps;
    return 1 - exp(-vp_b0 / t - .5 * (vp_b1 - vp_b0) * (2 * i + 1) / (t * t));
}

double dmc__schedule_beta(int32_t schedule, int32_t i, int32_t steps)
{
    const double beta = schedule == DMC__SCHEDULE_COSINE   ? cosine_beta(i, steps)
                        : schedule == DMC__SCHEDULE_LINEAR ? linear_beta(i, steps)
                                                           : vp_beta(i, steps);
    return fmin(beta, max_beta);
}

/* Rates of the two schedules whose -ln alpha is (b1 - b0)/4 t^2 + b0/2 t. */
static void rates(int32_t schedule, double *b0, double *b1)
{
    *b0 = schedule == DMC__SCHEDULE_LINEAR ? linear_b0 : vp_b0;
    *b1 = schedule == DMC__SCHEDULE_LINEAR ? linear_b1 : vp_b1;
}

double dmc__schedule_alpha(int32_t schedule, double t)
{
    double b0, b1;
    if (schedule == DMC__SCHEDULE_COSINE) return cosine_signal(fmin(t, cosine_t_max)) / cosine_signal(0);
    rates(schedule, &b0, &b1);
    return exp(-.25 * (b1 - b0) * t * t - .5 * b0 * t);
}

/* alpha = 1/sqrt(1 + ratio^2). The root of the quadratic is written so that nothing cancels where t is small. */
double dmc__schedule_time(int32_t schedule, double ratio)
{
    const double fall = .5 * log1p(ratio * ratio);
    double b0, b1;
    if (schedule == DMC__SCHEDULE_COSINE) return acos(exp(-fall) * cosine_signal(0)) * 2 / pi * (1 + cosine_s) - cosine_s;
    rates(schedule, &b0, &b1);
    return 4 * fall / (b0 + sqrt(b0 * b0 + 4 * (b1 - b0) * fall));
}

double dmc__schedule_t_max(int32_t schedule)
{
    return schedule == DMC__SCHEDULE_COSINE ? cosine_t_max : 1;
}

double dmc__schedule_grid(int32_t i, int32_t steps)
{
    const double share = steps > 1 ? i / (double)(steps - 1) : 1;
    return DMC__SCHEDULE_T_MIN + (1 - DMC__SCHEDULE_T_MIN) * share;
}
