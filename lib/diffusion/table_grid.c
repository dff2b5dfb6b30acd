/* table_grid.c — which places on the clock a table stops at. */
#include <math.h>
#include <stdio.h>

#include "schedule.h"
#include "table_rows.h"

static const double quad_power = 1.5;

/* How far row k is from clean (0) to noise (1), in equal steps. Grids hold both ends; trailing leaves the clean one out,
 * leading the noisy one. On flow the clean end is the sample itself, and no grid holds it; compat has one place more. */
static double share_of(const dmc__process *p, const dmc__table_config *c, int32_t k)
{
    const int32_t left = c->steps - 1 - k, flow = p->config.kind == DMC__PROCESS_FLOW;
    const double steps = c->steps;
    if (c->compat) return (left + 1) / steps;
    if (c->grid == DMC__GRID_LEADING) return flow ? (left + 1) / (steps + 1) : left / steps;
    if (flow || c->grid == DMC__GRID_TRAILING) return (left + 1) / steps;
    return c->steps > 1 ? left / (steps - 1) : 1;
}

/* What logsnr and karras divide equally: ln(sigma/alpha), or (sigma/alpha)^(1/rho). */
static double warped(const dmc__table_config *c, const dmc__level *l)
{
    const double ratio = l->sigma / l->alpha;
    return c->grid == DMC__GRID_LOGSNR ? log(ratio) : pow(ratio, 1 / c->rho);
}

static int32_t warps(const dmc__table_config *c)
{
    return c->grid == DMC__GRID_LOGSNR || c->grid == DMC__GRID_KARRAS;
}

static double between(double low, double high, double share)
{
    return share * high + (1 - share) * low;
}

/* ---- discrete clocks ---------------------------------------------------------------------------------- */

/* num / den to the nearest integer, halves to even (numpy's round, so that published grids come out). */
static int32_t round_ratio(int64_t num, int64_t den)
{
    const int64_t q = num / den, twice = 2 * (num % den);
    return (int32_t)(twice > den || (twice == den && (q & 1)) ? q + 1 : q);
}

/* The index whose level is nearest in the warped coordinate, which rises with the index. */
static int32_t nearest_index(const dmc__process *p, const dmc__table_config *c, double share)
{
    const dmc__level first = dmc__process_level(p, 0), last = dmc__process_level(p, p->steps - 1);
    const double wanted = between(warped(c, &first), warped(c, &last), share);
    double nearest = INFINITY;
    int32_t best = 0;
    for (int32_t i = 0; i < p->steps; i++) {
        const dmc__level l = dmc__process_level(p, i);
        const double off = fabs(warped(c, &l) - wanted);
        if (off < nearest) nearest = off, best = i;
    }
    return best;
}

/* CleanDiffuser truncates; (T - 1) i / S in whole numbers, where a float could fall below one. */
static int32_t compat_index(const dmc__table_config *c, int32_t steps, int32_t k)
{
    const int32_t left = c->steps - k;
    if (c->grid == DMC__GRID_QUAD) return (int32_t)((steps - 1) * pow(left / (double)c->steps, quad_power));
    return (int32_t)((int64_t)(steps - 1) * left / c->steps);
}

/* Time index of row k, noisiest first; those of quad, logsnr and karras may still coincide. */
static int32_t grid_index(const dmc__process *p, const dmc__table_config *c, int32_t k)
{
    const int32_t left = c->steps - 1 - k, steps = p->steps;
    if (c->compat && p->config.kind != DMC__PROCESS_VP) return compat_index(c, steps, k);
    switch (c->grid) {
    case DMC__GRID_TRAILING: return round_ratio((int64_t)steps * (left + 1), c->steps) - 1;
    case DMC__GRID_LEADING: return left * (steps / c->steps);
    case DMC__GRID_QUAD: return (int32_t)rint((steps - 1) * pow(share_of(p, c, k), quad_power));
    case DMC__GRID_LOGSNR: case DMC__GRID_KARRAS: return nearest_index(p, c, share_of(p, c, k));
    default: return c->steps > 1 ? round_ratio((int64_t)(steps - 1) * left, c->steps - 1) : steps - 1;
    }
}

/* Row k may come no higher than just below the row before, and no lower than what the rows after it need. */
static void fill_discrete(const dmc__process *p, const dmc__table_config *c, dmc__level *at)
{
    int32_t before = p->steps;
    for (int32_t k = 0; k < c->steps; k++) {
        int32_t i = grid_index(p, c, k);
        if (!c->compat) {
            if (i >= before) i = before - 1;
            if (i < c->steps - 1 - k) i = c->steps - 1 - k;
        }
        at[k] = dmc__process_level(p, i);
        before = i;
    }
}

/* ---- continuous clocks -------------------------------------------------------------------------------- */

/* Where sigma/alpha is this. */
static double time_of_ratio(const dmc__process *p, double ratio)
{
    return p->config.kind == DMC__PROCESS_EDM ? ratio : dmc__schedule_time(p->config.schedule, ratio);
}

/* The ends are the clock's own, to the bit. */
static double place(const dmc__process *p, const dmc__table_config *c, double share)
{
    if (share <= 0) return p->t_min;
    if (share >= 1) return p->t_max;
    if (c->grid == DMC__GRID_QUAD) share = pow(share, quad_power);
    if (!warps(c)) return between(p->t_min, p->t_max, share);
    const dmc__level clean = dmc__process_level(p, p->t_min), noisy = dmc__process_level(p, p->t_max);
    const double w = between(warped(c, &clean), warped(c, &noisy), share);
    return time_of_ratio(p, c->grid == DMC__GRID_LOGSNR ? exp(w) : pow(w, c->rho));
}

/* ---- places of the caller ------------------------------------------------------------------------------- */

static dmc_status fill_custom(const dmc__process *p, const dmc__table_config *c, dmc__level *at)
{
    if (!c->times) return dmc__fail(DMC_EINVAL, "table: grid custom needs times, which is NULL");
    for (int32_t k = 0; k < c->steps; k++) {
        char who[64];
        snprintf(who, sizeof who, "table: times, number %d of %d", k + 1, c->steps);
        DMC_TRY(dmc__process_check_time(p, c->times[k], who));
        at[k] = dmc__process_level(p, c->times[k]);
        if (at[k].sigma == 0)
            return dmc__fail(DMC_ERANGE, "%s: time %g is the sample itself; the last step ends there anyway", who, c->times[k]);
        if (k > 0 && c->times[k] >= c->times[k - 1])
            return dmc__fail(DMC_ERANGE, "%s: time %g, must be below the one before it, %g", who, c->times[k], c->times[k - 1]);
    }
    return DMC_OK;
}

/* Where the last step ends: the sample; the last place of CleanDiffuser's grids, but of its DDPM and its flow. */
static dmc__level end_of(const dmc__process *p, const dmc__table_config *c)
{
    const int32_t kind = p->config.kind;
    if (!c->compat || kind == DMC__PROCESS_VP || kind == DMC__PROCESS_FLOW) return dmc__process_clean();
    return dmc__process_level(p, p->discrete ? 0 : p->t_min);
}

dmc_status dmc__grid_fill(const dmc__process *p, const dmc__table_config *c, dmc__level *at)
{
    at[c->steps] = end_of(p, c);
    if (c->grid == DMC__GRID_CUSTOM) return fill_custom(p, c, at);
    if (p->discrete) fill_discrete(p, c, at);
    else
        for (int32_t k = 0; k < c->steps; k++) at[k] = dmc__process_level(p, place(p, c, share_of(p, c, k)));
    return DMC_OK;
}
