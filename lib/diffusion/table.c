/* table.c — from a process, a sampler and a choice of steps to rows. */
#include "table.h"

#include <math.h>

#include "table_rows.h"

dmc__table_config dmc__table_defaults(const dmc__process *p)
{
    return (dmc__table_config){.sampler = DMC__SAMPLER_AUTO, .grid = DMC__GRID_AUTO, .steps = p->steps, .rho = 7,
                               .churn_min = .05, .churn_max = 50, .churn_noise = 1.003, .sde_noise = .7, .step_noise = .1};
}

/* The smallest sigma~ a log-probability is taken with when nothing is floored (DPPO's evaluation). */
static const double least_logp_std = 1e-3;

/* A floor holds for what ends a step of the network: not for Heun's first call, and not for a jump back. */
static void finish_rows(dmc__table *t, const dmc__process *p, double floor)
{
    for (int32_t k = 0; k < t->k; k++) {
        dmc__row *row = &t->row[k];
        const int32_t floored = floor > 0 && row->network && row->ends;
        if (floored) row->S = fmax(row->S, floor);
        row->logp_std = floored ? row->S : fmax(row->S, least_logp_std);
        if (row->network) dmc__process_x0(p, &row->at, &row->P, &row->Q);
        t->carries |= row->u != 0 || row->w != 0;
    }
}

/* Rows of step i; how many. */
static int32_t put_step(const dmc__steps *g, int32_t i, dmc__row row[2])
{
    const int32_t sampler = g->c->sampler;
    switch (sampler) {
    case DMC__SAMPLER_EULER: case DMC__SAMPLER_HEUN: return dmc__rows_ode(g, i, row);
    case DMC__SAMPLER_EULER_MARUYAMA: case DMC__SAMPLER_FLOW_SDE: case DMC__SAMPLER_REINFLOW:
        row[0] = dmc__row_sde(g, i);
        return 1;
    case DMC__SAMPLER_DDPM: case DMC__SAMPLER_DDIM: break;
    default: row[0] = dmc__row_dpm(g, i); return 1;
    }
    if (g->c->compat && sampler == DMC__SAMPLER_DDPM && g->p->config.kind != DMC__PROCESS_VP) row[0] = dmc__row_eta_compat(g, i);
    else row[0] = dmc__row_eta(&g->at[i], &g->at[i + 1], sampler == DMC__SAMPLER_DDIM ? g->c->eta : 1);
    return 1;
}

/* Along a walk of `stops` levels; two rows of Heun's are the most a stop can need. */
static dmc_status make_rows(dmc__table *t, const dmc__steps *g, const int32_t *level, int32_t stops)
{
    const int32_t top = g->c->steps - 1, two = g->c->sampler == DMC__SAMPLER_HEUN;
    int32_t n = 0;
    t->k = two ? 2 * g->c->steps - 1 : stops - 1;
    DMC_TRY(DMC_NEW(t->alloc, t->k, &t->row));
    for (int32_t j = 0; j + 1 < stops; j++) {
        if (level[j + 1] < level[j]) n += put_step(g, top - level[j], &t->row[n]);
        else t->row[n++] = dmc__row_jump(&g->at[top - level[j]], &g->at[top - level[j + 1]]);
    }
    t->start = dmc__ode_start(g);
    return DMC_OK;
}

static dmc_status fill_table(dmc__table *t, const dmc__process *p, const dmc__table_config *c, dmc__level *at)
{
    const int32_t stops = (int32_t)dmc__jump_count(c->steps, c->jump, c->jumps);
    const dmc__steps g = {p, c, at};
    int32_t *level;
    DMC_TRY(dmc__grid_fill(p, c, at));
    DMC_TRY(DMC_NEW(t->alloc, stops, &level));
    dmc__jump_levels(c->steps, c->jump, c->jumps, level);
    const dmc_status status = make_rows(t, &g, level, stops);
    DMC_FREE(t->alloc, level, stops);
    return status;
}

dmc_status dmc__table_create(const dmc__allocator *a, const dmc__process *p, const dmc__table_config *config, dmc__table *out)
{
    const dmc__table_config c = dmc__table_resolve(p, config);
    dmc__level *at;
    *out = (dmc__table){.alloc = a, .clip = p->config.clip, .start = 1};
    DMC_TRY(dmc__table_check(p, &c));
    DMC_TRY(DMC_NEW(a, c.steps + 1, &at));
    const dmc_status status = fill_table(out, p, &c, at);
    DMC_FREE(a, at, c.steps + 1);
    if (status < 0) return status;
    finish_rows(out, p, c.std_floor);
    return DMC_OK;
}

void dmc__table_free(dmc__table *t)
{
    if (!t) return;
    DMC_FREE(t->alloc, t->row, t->k);
    *t = (dmc__table){0};
}

/* D = x instead of x + share (x - h): a = A (1 + share), d = -A share. */
dmc__row dmc__row_alone(const dmc__row *row)
{
    dmc__row alone = *row;
    alone.a += alone.d;
    alone.d = 0;
    return alone;
}
