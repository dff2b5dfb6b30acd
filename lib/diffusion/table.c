/* table.c — from a process and a choice of steps to rows of an affine Gaussian transition. */
#include "table.h"

#include <math.h>

/* The smallest sigma~ a log-probability is taken with when nothing is floored (DPPO's evaluation). */
static const double least_logp_std = 1e-3;

/* num / den to the nearest integer, halves to even (numpy's round, so that published grids come out). */
static int32_t round_ratio(int64_t num, int64_t den)
{
    const int64_t q = num / den, twice = 2 * (num % den);
    return (int32_t)(twice > den || (twice == den && (q & 1)) ? q + 1 : q);
}

/* Time index of row k, noisiest first. */
static int32_t grid_index(const dmc__table_config *c, int32_t steps, int32_t k)
{
    const int32_t left = c->steps - 1 - k;
    switch (c->grid) {
    case DMC__GRID_TRAILING: return round_ratio((int64_t)steps * (left + 1), c->steps) - 1;
    case DMC__GRID_LEADING: return left * (steps / c->steps);
    default: return c->steps > 1 ? round_ratio((int64_t)(steps - 1) * left, c->steps - 1) : steps - 1;
    }
}

/* From index i to the level (alpha_s, sigma_s). With eps^ = (z - alpha_t x) / sigma_t the mean alpha_s x + c eps^ is
 * a x + b z, a = alpha_s - c alpha_t/sigma_t, b = c/sigma_t. */
static dmc__row make_row(const dmc__process *p, const dmc__table_config *c, int32_t i, double alpha_s, double sigma_s)
{
    const double alpha = p->alpha[i], sigma = p->sigma[i];
    const double eta = c->sampler == DMC__SAMPLER_DDPM ? 1 : c->eta;
    const double step = alpha / alpha_s, ratio = sigma_s / sigma;
    const double v = eta * eta * ratio * ratio * fmax(sigma * sigma - step * step * sigma_s * sigma_s, 0);
    const double noise = sqrt(fmax(sigma_s * sigma_s - v, 0)) / sigma;
    dmc__row row = {.index = i, .a = alpha_s - noise * alpha, .b = noise, .S = fmax(sqrt(v), c->std_floor)};
    dmc__process_x0(p, i, &row.P, &row.Q);
    row.logp_std = c->std_floor > 0 ? row.S : fmax(row.S, least_logp_std);
    return row;
}

static dmc_status check_config(const dmc__process *p, const dmc__table_config *c)
{
    if (c->sampler != DMC__SAMPLER_DDPM && c->sampler != DMC__SAMPLER_DDIM)
        return dmc__fail(DMC_EINVAL, "table: sampler = %d, must be 0 or 1", c->sampler);
    if (c->grid < DMC__GRID_LINSPACE || c->grid > DMC__GRID_LEADING)
        return dmc__fail(DMC_EINVAL, "table: grid = %d, must be 0..%d", c->grid, DMC__GRID_LEADING);
    if (c->steps < 1 || c->steps > p->steps)
        return dmc__fail(DMC_ERANGE, "table: steps = %d, must be 1..%d (the process's steps)", c->steps, p->steps);
    if (!(c->eta >= 0 && c->eta <= 1)) return dmc__fail(DMC_ERANGE, "table: eta = %g, must be 0..1", c->eta);
    if (!(c->std_floor >= 0) || isinf(c->std_floor))
        return dmc__fail(DMC_ERANGE, "table: std_floor = %g, must be finite and >= 0", c->std_floor);
    return DMC_OK;
}

dmc_status dmc__table_create(const dmc__allocator *a, const dmc__process *p, const dmc__table_config *c, dmc__table *out)
{
    *out = (dmc__table){.alloc = a, .k = c->steps, .clip = p->clip};
    DMC_TRY(check_config(p, c));
    DMC_TRY(DMC_NEW(a, c->steps, &out->row));
    for (int32_t k = 0; k < c->steps; k++) {
        const int32_t i = grid_index(c, p->steps, k);
        const int32_t s = k + 1 < c->steps ? grid_index(c, p->steps, k + 1) : -1;
        out->row[k] = make_row(p, c, i, s < 0 ? 1 : p->alpha[s], s < 0 ? 0 : p->sigma[s]);
    }
    return DMC_OK;
}

void dmc__table_free(dmc__table *t)
{
    if (!t) return;
    DMC_FREE(t->alloc, t->row, t->k);
    *t = (dmc__table){0};
}
