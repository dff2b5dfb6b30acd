/* process.c — schedules and predictions, in double. */
#include "process.h"

#include <math.h>

static const double pi = 3.14159265358979323846;
static const double max_beta = .999;
/* Noise of a chain is numbered call*4096 + row (rollout.c). */
enum { max_steps = 4096 };

/* Nichol & Dhariwal 2021, eq. 17, up to the constant f(0). */
static double cosine_abar(double u, int32_t steps)
{
    const double s = .008, c = cos((u / steps + s) / (1 + s) * pi / 2);
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

/* Variance-preserving SDE of Xiao et al. 2022 (as in IDQL): abar_T does not depend on T. */
static double vp_beta(int32_t i, int32_t steps)
{
    const double b0 = .1, b1 = 10, t = steps;
    return 1 - exp(-b0 / t - .5 * (b1 - b0) * (2 * i + 1) / (t * t));
}

static void fill_schedule(dmc__process *p)
{
    double product = 1;
    for (int32_t i = 0; i < p->steps; i++) {
        const double beta = p->schedule == DMC__SCHEDULE_COSINE   ? cosine_beta(i, p->steps)
                            : p->schedule == DMC__SCHEDULE_LINEAR ? linear_beta(i, p->steps)
                                                                  : vp_beta(i, p->steps);
        p->beta[i] = fmin(beta, max_beta);
        product *= 1 - p->beta[i];
        p->abar[i] = product;
        p->alpha[i] = sqrt(product);
        p->sigma[i] = sqrt(1 - product);
    }
}

dmc_status dmc__process_create(const dmc__allocator *a, int32_t schedule, int32_t predict, int32_t steps, double clip,
                               dmc__process *out)
{
    *out = (dmc__process){.alloc = a, .schedule = schedule, .predict = predict, .steps = steps, .clip = clip};
    if (schedule < DMC__SCHEDULE_COSINE || schedule > DMC__SCHEDULE_VP)
        return dmc__fail(DMC_EINVAL, "process: schedule = %d, must be 0..%d", schedule, DMC__SCHEDULE_VP);
    if (predict < DMC__PREDICT_EPSILON || predict > DMC__PREDICT_V)
        return dmc__fail(DMC_EINVAL, "process: predict = %d, must be 0..%d", predict, DMC__PREDICT_V);
    if (steps < 1 || steps > max_steps)
        return dmc__fail(DMC_ERANGE, "process: steps = %d, must be 1..%d", steps, max_steps);
    if (!(clip >= 0) || isinf(clip)) return dmc__fail(DMC_ERANGE, "process: clip = %g, must be finite and >= 0", clip);
    DMC_TRY(DMC_NEW(a, 4 * (size_t)steps, &out->beta));
    out->abar = out->beta + steps;
    out->alpha = out->abar + steps;
    out->sigma = out->alpha + steps;
    fill_schedule(out);
    return DMC_OK;
}

void dmc__process_free(dmc__process *p)
{
    if (!p) return;
    DMC_FREE(p->alloc, p->beta, 4 * (size_t)p->steps);
    *p = (dmc__process){0};
}

void dmc__process_x0(const dmc__process *p, int32_t i, double *P, double *Q)
{
    const double alpha = p->alpha[i], sigma = p->sigma[i];
    *P = p->predict == DMC__PREDICT_EPSILON ? 1 / alpha : p->predict == DMC__PREDICT_V ? alpha : 0;
    *Q = p->predict == DMC__PREDICT_EPSILON ? -sigma / alpha : p->predict == DMC__PREDICT_V ? -sigma : 1;
}

void dmc__process_target(const dmc__process *p, int32_t i, double *coef_x0, double *coef_eps)
{
    *coef_x0 = p->predict == DMC__PREDICT_EPSILON ? 0 : p->predict == DMC__PREDICT_V ? -p->sigma[i] : 1;
    *coef_eps = p->predict == DMC__PREDICT_EPSILON ? 1 : p->predict == DMC__PREDICT_V ? p->alpha[i] : 0;
}

double dmc__process_posterior_var(const dmc__process *p, int32_t i)
{
    return i == 0 ? 0 : p->beta[i] * (1 - p->abar[i - 1]) / (1 - p->abar[i]);
}

double dmc__process_snr(const dmc__process *p, int32_t i)
{
    return p->abar[i] / (1 - p->abar[i]);
}

double dmc__process_preference_weight(const dmc__process *p, int32_t i)
{
    return p->predict == DMC__PREDICT_X0 ? 1 + dmc__process_snr(p, i) : 1;
}
