/* table_eta.c — DDPM and DDIM (Song et al. 2021, eq. 12) on any Gaussian path. */
#include <math.h>

#include "table_rows.h"

/* With eps^ = (z - alpha_t x) / sigma_t the mean alpha_s x + c eps^ is a x + b z, a = alpha_s - c alpha_t/sigma_t,
 * b = c/sigma_t. c = sqrt(sigma_s^2 - v + under_root). */
static dmc__row eta_row(const dmc__level *t, const dmc__level *s, double eta, double under_root)
{
    const double step = t->alpha / s->alpha, ratio = s->sigma / t->sigma;
    const double v = eta * eta * ratio * ratio * fmax(t->sigma * t->sigma - step * step * s->sigma * s->sigma, 0);
    const double noise = sqrt(fmax(s->sigma * s->sigma - v, 0) + under_root) / t->sigma;
    return (dmc__row){.at = *t, .to = *s, .a = s->alpha - noise * t->alpha, .b = noise, .S = sqrt(v), .network = 1, .ends = 1};
}

dmc__row dmc__row_eta(const dmc__level *t, const dmc__level *s, double eta)
{
    return eta_row(t, s, eta, 0);
}

dmc__row dmc__row_eta_compat(const dmc__steps *g, int32_t i)
{
    dmc__row row = eta_row(&g->at[i], &g->at[i + 1], 1, 1e-8);
    if (i + 1 == g->c->steps) row.S = 0;
    return row;
}
