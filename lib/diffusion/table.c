/* table.c — from a process, a sampler and a choice of steps to rows. */
#include "table.h"

#include <math.h>

#include "table_rows.h"

dmc__table_config dmc__table_defaults(const dmc__process *p)
{
    return (dmc__table_config){.sampler = DMC__SAMPLER_AUTO, .grid = DMC__GRID_AUTO, .steps = p->steps, .rho = 7,
                               .churn_min = .05, .churn_max = 50, .churn_noise = 1.003, .sde_noise = .7, .step_noise = .1};
}

static dmc_status check_config(const dmc__process *p, const dmc__table_config *c)
{
    if (c->sampler < 0 || c->sampler >= DMC__SAMPLERS)
        return dmc__fail(DMC_EINVAL, "table: sampler = %d, must be 0..%d", c->sampler, DMC__SAMPLERS - 1);
    if (c->grid < 0 || c->grid >= DMC__GRIDS)
        return dmc__fail(DMC_EINVAL, "table: grid = %d, must be 0..%d", c->grid, DMC__GRIDS - 1);
    if (c->sampler > DMC__SAMPLER_DDIM && c->sampler != DMC__SAMPLER_AUTO)
        return dmc__fail(DMC_EINVAL, "table: sampler = %d is still to be made", c->sampler);
    if (c->grid > DMC__GRID_LEADING && c->grid != DMC__GRID_AUTO)
        return dmc__fail(DMC_EINVAL, "table: grid = %d is still to be made", c->grid);
    if (c->steps < 1 || (p->discrete && c->steps > p->steps))
        return dmc__fail(DMC_ERANGE, "table: steps = %d, must be 1..%d (the process's steps)", c->steps, p->steps);
    if (!(c->eta >= 0 && c->eta <= 1)) return dmc__fail(DMC_ERANGE, "table: eta = %g, must be 0..1", c->eta);
    if (!(c->std_floor >= 0) || isinf(c->std_floor))
        return dmc__fail(DMC_ERANGE, "table: std_floor = %g, must be finite and >= 0", c->std_floor);
    return DMC_OK;
}

/* The smallest sigma~ a log-probability is taken with when nothing is floored (DPPO's evaluation). */
static const double least_logp_std = 1e-3;

static void finish_rows(dmc__table *t, const dmc__process *p, double floor)
{
    for (int32_t k = 0; k < t->k; k++) {
        dmc__row *row = &t->row[k];
        row->S = fmax(row->S, floor);
        row->logp_std = floor > 0 ? row->S : fmax(row->S, least_logp_std);
        if (row->network) dmc__process_x0(p, &row->at, &row->P, &row->Q);
        t->carries |= row->u != 0 || row->w != 0;
    }
}

dmc_status dmc__table_create(const dmc__allocator *a, const dmc__process *p, const dmc__table_config *c, dmc__table *out)
{
    dmc__level *at = NULL;
    *out = (dmc__table){.alloc = a, .k = c->steps, .clip = p->config.clip, .start = 1};
    DMC_TRY(check_config(p, c));
    DMC_TRY(DMC_NEW(a, c->steps + 1, &at));
    dmc_status status = dmc__grid_fill(p, c, at);
    if (status >= 0) status = DMC_NEW(a, out->k, &out->row);
    const double eta = c->sampler == DMC__SAMPLER_DDIM ? c->eta : 1;
    for (int32_t k = 0; status >= 0 && k < c->steps; k++) out->row[k] = dmc__row_eta(&at[k], &at[k + 1], eta);
    DMC_FREE(a, at, c->steps + 1);
    if (status < 0) return status;
    finish_rows(out, p, c->std_floor);
    return DMC_OK;
}

void dmc__table_free(dmc__table *t)
{
    if (!t) return;
    DMC_FREE(t->alloc, t->row, t->k);
    *t = (dmc__table){0};
}

int32_t dmc__table_steps(const dmc__table *t)
{
    int32_t n = 0;
    for (int32_t k = 0; k < t->k; k++) n += t->row[k].ends != 0 && t->row[k].network;
    return n;
}
