/* process.c — paths, clocks and predictions, in double. */
#include "process.h"

#include <math.h>

#include "schedule.h"

/* Noise of a chain is numbered call*4096 + row (rollout.c). */
enum { max_steps = 4096 };

dmc__process_config dmc__process_defaults(void)
{
    return (dmc__process_config){.steps = 20, .sigma_data = .5, .sigma_min = .002, .sigma_max = 80, .log_mean = -1.2,
                                 .log_std = 1.2, .seen_scale = 1};
}

/* ---- life --------------------------------------------------------------------------------------------- */

static dmc_status check_choice(const char *name, int32_t value, int32_t count)
{
    if (value < 0 || value >= count) return dmc__fail(DMC_EINVAL, "process: %s = %d, must be 0..%d", name, value, count - 1);
    return DMC_OK;
}

static dmc_status check_range(const char *name, double value, double low, double high)
{
    if (value >= low && value <= high) return DMC_OK;
    return dmc__fail(DMC_ERANGE, "process: %s = %g, must be %g..%g", name, value, low, high);
}

static dmc_status check_sigmas(const dmc__process_config *c)
{
    DMC_TRY(check_range("sigma_data", c->sigma_data, 1e-3, 1e3));
    DMC_TRY(check_range("sigma_min", c->sigma_min, 1e-6, 1e3));
    DMC_TRY(check_range("sigma_max", c->sigma_max, 1e-6, 1e6));
    DMC_TRY(check_range("log_mean", c->log_mean, -20, 20));
    DMC_TRY(check_range("log_std", c->log_std, 0, 20));
    if (c->sigma_min >= c->sigma_max)
        return dmc__fail(DMC_ERANGE, "process: sigma_min = %g, must be below sigma_max = %g", c->sigma_min, c->sigma_max);
    return DMC_OK;
}

static dmc_status check_config(const dmc__process_config *c)
{
    DMC_TRY(check_choice("kind", c->kind, DMC__PROCESSES));
    DMC_TRY(check_choice("schedule", c->schedule, 3));
    DMC_TRY(check_choice("predict", c->predict, DMC__PREDICTIONS));
    if (c->steps < 1 || c->steps > max_steps)
        return dmc__fail(DMC_ERANGE, "process: steps = %d, must be 1..%d", c->steps, max_steps);
    if (!(c->clip >= 0) || isinf(c->clip)) return dmc__fail(DMC_ERANGE, "process: clip = %g, must be finite and >= 0", c->clip);
    DMC_TRY(check_sigmas(c));
    DMC_TRY(check_range("logit_std", c->logit_std, 0, 10));
    DMC_TRY(check_range("seen_scale", c->seen_scale, 1e-6, 1e6));
    if (c->kind == DMC__PROCESS_FLOW && c->predict == DMC__PREDICT_EPSILON)
        return dmc__fail(DMC_EINVAL, "process: predict = epsilon cannot be used with the flow process, where pure noise (t = 1) "
                         "holds no sample to divide out; predict velocity or x0");
    return DMC_OK;
}

static void fill_levels(dmc__process *p)
{
    const int32_t n = p->steps;
    double product = 1;
    for (int32_t i = 0; i < n; i++) {
        if (p->config.kind == DMC__PROCESS_VP) {
            p->beta[i] = dmc__schedule_beta(p->config.schedule, i, n);
            product *= 1 - p->beta[i];
            p->abar[i] = product;
        } else {
            const double t = dmc__schedule_grid(i, n), a = dmc__schedule_alpha(p->config.schedule, t);
            p->abar[i] = a * a;
            p->beta[i] = 1 - p->abar[i] / (i > 0 ? p->abar[i - 1] : 1);
        }
        p->alpha[i] = sqrt(p->abar[i]);
        p->sigma[i] = sqrt(1 - p->abar[i]);
    }
}

static void set_clock(dmc__process *p)
{
    const dmc__process_config *c = &p->config;
    p->discrete = c->kind == DMC__PROCESS_VP || c->kind == DMC__PROCESS_VP_GRID;
    if (c->kind == DMC__PROCESS_VP_SDE) p->t_min = DMC__SCHEDULE_T_MIN;
    if (c->kind == DMC__PROCESS_EDM) p->t_min = c->sigma_min;
    switch (c->kind) {
    case DMC__PROCESS_VP_SDE: p->t_max = dmc__schedule_t_max(c->schedule); break;
    case DMC__PROCESS_EDM: p->t_max = c->sigma_max; break;
    case DMC__PROCESS_FLOW: p->t_max = 1; break;
    default: p->t_max = c->steps - 1;
    }
}

dmc_status dmc__process_create(const dmc__allocator *a, const dmc__process_config *c, dmc__process *out)
{
    *out = (dmc__process){.alloc = a, .config = *c, .steps = c->steps};
    DMC_TRY(check_config(c));
    set_clock(out);
    if (!out->discrete) return DMC_OK;
    DMC_TRY(DMC_NEW(a, 4 * (size_t)c->steps, &out->beta));
    out->abar = out->beta + c->steps;
    out->alpha = out->abar + c->steps;
    out->sigma = out->alpha + c->steps;
    fill_levels(out);
    return DMC_OK;
}

void dmc__process_free(dmc__process *p)
{
    if (!p) return;
    DMC_FREE(p->alloc, p->beta, p->beta ? 4 * (size_t)p->steps : 0);
    *p = (dmc__process){0};
}

size_t dmc__process_bytes(const dmc__process *p)
{
    return p->beta ? 4 * (size_t)p->steps * sizeof *p->beta : 0;
}

/* ---- levels ------------------------------------------------------------------------------------------- */

dmc_status dmc__process_check_time(const dmc__process *p, double time, const char *who)
{
    if (p->discrete && (time < 0 || time > p->t_max || time != floor(time)))
        return dmc__fail(DMC_ERANGE, "%s: time index %g, must be a whole number 0..%d", who, time, p->steps - 1);
    if (p->config.kind == DMC__PROCESS_EDM && !(time > 0 && time < INFINITY))
        return dmc__fail(DMC_ERANGE, "%s: noise level %g, must be above 0 and finite", who, time);
    if (p->config.kind != DMC__PROCESS_EDM && !(time >= p->t_min && time <= p->t_max))
        return dmc__fail(DMC_ERANGE, "%s: time %g, must be %g..%g", who, time, p->t_min, p->t_max);
    return DMC_OK;
}

static dmc__level edm_level(const dmc__process_config *c, double s)
{
    const double scale = 1 / sqrt(s * s + c->sigma_data * c->sigma_data);
    return (dmc__level){s, .25 * log(s) * c->seen_scale, scale, s * scale};
}

dmc__level dmc__process_level(const dmc__process *p, double time)
{
    const dmc__process_config *c = &p->config;
    const int32_t i = p->discrete ? (int32_t)time : 0;
    double alpha;
    switch (c->kind) {
    case DMC__PROCESS_EDM: return edm_level(c, time);
    case DMC__PROCESS_FLOW: return (dmc__level){time, time * c->seen_scale, 1 - time, time};
    case DMC__PROCESS_VP_SDE:
        alpha = dmc__schedule_alpha(c->schedule, time);
        return (dmc__level){time, time * c->seen_scale, alpha, sqrt(1 - alpha * alpha)};
    default: return (dmc__level){time, time, p->alpha[i], p->sigma[i]};
    }
}

dmc__level dmc__process_clean(void)
{
    return (dmc__level){.alpha = 1};
}

double dmc__process_draw_time(const dmc__process *p, const dmc__stream *s)
{
    const dmc__process_config *c = &p->config;
    if (p->discrete) return (double)dmc__rng_below(s, 0, (uint64_t)p->steps);
    if (c->kind == DMC__PROCESS_EDM) return exp(c->log_mean + c->log_std * dmc__rng_normal(s, 0));
    if (c->kind == DMC__PROCESS_FLOW && c->logit_std > 0) return 1 / (1 + exp(-c->logit_std * dmc__rng_normal(s, 0)));
    return p->t_max - (p->t_max - p->t_min) * dmc__rng_uniform(s, 0); /* t = 0 of flow, where there is no noise, never */
}

double dmc__level_snr(const dmc__level *l)
{
    return l->alpha * l->alpha / (l->sigma * l->sigma);
}

double dmc__process_posterior_var(const dmc__process *p, int32_t i)
{
    return i == 0 ? 0 : p->beta[i] * (1 - p->abar[i - 1]) / (1 - p->abar[i]);
}

/* ---- predictions -------------------------------------------------------------------------------------- */

/* epsilon: x0 = (z - sigma f)/alpha.   v = alpha eps - sigma x0: x0 = (alpha z - sigma v)/(alpha^2 + sigma^2).
 * velocity = eps - x0: x0 = (z - sigma u)/(alpha + sigma).   EDM: x0 = c_skip y + c_out F for y = z/alpha, s = sigma/alpha. */
void dmc__process_x0(const dmc__process *p, const dmc__level *l, double *P, double *Q)
{
    const double al = l->alpha, si = l->sigma, d = p->config.sigma_data, norm = si * si + d * d * al * al;
    switch (p->config.predict) {
    case DMC__PREDICT_X0: *P = 0, *Q = 1; return;
    case DMC__PREDICT_V: *P = al / (al * al + si * si), *Q = -si / (al * al + si * si); return;
    case DMC__PREDICT_VELOCITY: *P = 1 / (al + si), *Q = -si / (al + si); return;
    case DMC__PREDICT_EDM: *P = d * d * al / norm, *Q = si * d / sqrt(norm); return;
    default: *P = 1 / al, *Q = -si / al;
    }
}

/* (x0 - P z)/Q; written out where that would round. */
void dmc__process_target(const dmc__process *p, const dmc__level *l, double *coef_x0, double *coef_eps)
{
    double P, Q;
    switch (p->config.predict) {
    case DMC__PREDICT_EPSILON: *coef_x0 = 0, *coef_eps = 1; return;
    case DMC__PREDICT_X0: *coef_x0 = 1, *coef_eps = 0; return;
    case DMC__PREDICT_V: *coef_x0 = -l->sigma, *coef_eps = l->alpha; return;
    case DMC__PREDICT_VELOCITY: *coef_x0 = -1, *coef_eps = 1; return;
    default:
        dmc__process_x0(p, l, &P, &Q);
        *coef_x0 = (1 - P * l->alpha) / Q;
        *coef_eps = -P * l->sigma / Q;
    }
}

double dmc__process_preference_weight(const dmc__process *p, const dmc__level *l)
{
    double P, Q;
    if (p->config.predict == DMC__PREDICT_EPSILON || p->config.predict == DMC__PREDICT_V) return 1;
    if (p->config.predict == DMC__PREDICT_X0) return 1 + dmc__level_snr(l);
    dmc__process_x0(p, l, &P, &Q);
    return Q * Q * (1 + dmc__level_snr(l));
}
