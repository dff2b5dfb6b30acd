/* table_dpm.c — DPM-Solver (Lu et al. 2022) and its SDEs (Lu et al. 2023) in h = lambda_s - lambda_t, lambda = ln(alpha/sigma).
 *
 * Everything is written in x and e^-h, which are finite where sigma_s = 0 (the clean level) and where alpha_t = 0 (flow).
 */
#include <math.h>

#include "table_rows.h"

/* e^-h: 0 from pure noise, and to the clean level. */
static double decay(const dmc__level *t, const dmc__level *s)
{
    return s->sigma * t->alpha / (s->alpha * t->sigma);
}

/* 2M: D = x + share (x - x_before), share = h / (2 h_before). First order where there is no row before, or no finite h. */
static double share_of_last(const dmc__steps *g, int32_t i)
{
    if (i == 0) return 0;
    const double h = -log(decay(&g->at[i], &g->at[i + 1])), before = -log(decay(&g->at[i - 1], &g->at[i]));
    return before > 0 && before < INFINITY && h < INFINITY ? h / (2 * before) : 0;
}

/* mu = 2 (alpha_s - sigma_s alpha_t/sigma_t) x + (2 sigma_s/sigma_t - alpha_s/alpha_t) z,
 * S = sigma_s sqrt(e^2h - 1). The clean level: the ODE's row, without noise and its share of the drift. */
static dmc__row sde_dpm_row(const dmc__level *t, const dmc__level *s)
{
    const double ratio = s->sigma / t->sigma, grows = s->alpha / t->alpha;
    if (s->sigma == 0) return dmc__row_eta(t, s, 0);
    return (dmc__row){.at = *t, .to = *s, .a = 2 * (s->alpha - ratio * t->alpha), .b = 2 * ratio - grows,
                      .S = sqrt(fmax(t->sigma * t->sigma * grows * grows - s->sigma * s->sigma, 0)), .network = 1, .ends = 1};
}

/* ODE: mu = (sigma_s/sigma_t) z - alpha_s (e^-h - 1) D.
 * SDE: mu = (sigma_s/sigma_t) e^-h z - alpha_s (e^-2h - 1) D, S = sigma_s sqrt(1 - e^-2h). */
static dmc__row plusplus_row(const dmc__level *t, const dmc__level *s, int32_t sde)
{
    const double q = decay(t, s), ratio = s->sigma / t->sigma;
    if (!sde) return dmc__row_eta(t, s, 0);
    return (dmc__row){.at = *t, .to = *s, .a = s->alpha * (1 - q * q), .b = q * ratio,
                      .S = s->sigma * sqrt(fmax(1 - q * q, 0)), .network = 1, .ends = 1};
}

static dmc__row with_memory(const dmc__steps *g, int32_t i, dmc__row row)
{
    const double share = share_of_last(g, i);
    row.d = -share * row.a;
    row.a *= 1 + share;
    row.u = i + 1 < g->c->steps; /* x is handed on */
    return row;
}

dmc__row dmc__row_dpm(const dmc__steps *g, int32_t i)
{
    const dmc__level *const t = &g->at[i], *const s = &g->at[i + 1];
    switch (g->c->sampler) {
    case DMC__SAMPLER_SDE_DPM: return sde_dpm_row(t, s);
    case DMC__SAMPLER_SDE_DPMPP: return plusplus_row(t, s, 1);
    case DMC__SAMPLER_DPMPP_2M: return with_memory(g, i, plusplus_row(t, s, 0));
    case DMC__SAMPLER_SDE_DPMPP_2M: return with_memory(g, i, plusplus_row(t, s, 1));
    default: return plusplus_row(t, s, 0); /* DPM and DPMPP of first order are one: DDIM with eta = 0 */
    }
}
