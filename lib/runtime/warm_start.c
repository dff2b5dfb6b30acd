/* warm_start.c — receding horizon: an answer that begins with the plan before, moved up by the rows that were executed. */
#include <math.h>
#include <string.h>

#include "sampler_state.h"

dmc_status dmc__sampler_warm_check(const dmc__sampler_config *c, const dmc__model *m)
{
    const int32_t rows = c->horizon > 0 ? c->horizon : m->spec.net.horizon;
    if (c->warm_start == 0 || c->exec < rows) return DMC_OK;
    return dmc__fail(DMC_ERANGE, "dmc_sampler_create: exec = %d, must be 1..%d (horizon - 1) with warm_start: a row of the plan "
                     "before must be left", c->exec, rows - 1);
}

/* Times up to this are not noisier than `share` of the way to noise: of the clock; on EDM, whose clock spans five powers of ten, of
 * its power 1/rho, in which the steps of grid karras are equal. */
static double latest_time(const dmc__process *p, double share, double rho)
{
    if (p->config.kind != DMC__PROCESS_EDM) return share * p->t_max;
    const double lo = pow(p->config.sigma_min, 1 / rho), hi = pow(p->config.sigma_max, 1 / rho);
    return pow(lo + share * (hi - lo), rho);
}

/* A run may begin here: nothing is handed on within a step (Heun). */
static int32_t begins_step(const dmc__rollout *r, int32_t k)
{
    return k == 0 || dmc__rollout_row(r, k - 1)->ends;
}

int32_t dmc__sampler_warm_row(const dmc__sampler *s)
{
    const double rounding = 1 + 1e-9, rho = s->config.table.rho > 0 ? s->config.table.rho : 7;
    const double latest = latest_time(&s->model->process, s->config.warm_start, rho) * rounding;
    int32_t last = 0;
    for (int32_t k = 0; k < dmc__rollout_rows(s->rollout); k++) {
        if (!begins_step(s->rollout, k)) continue;
        last = k;
        if (dmc__rollout_row(s->rollout, k)->at.time <= latest) break;
    }
    return last; /* of tables that never come so close to the clean end, the last step */
}

/* Rows exec.. of condition b's plan become rows 0.. of x; the last one is repeated. */
static void move_up(const dmc__sampler *s, size_t b, float *x)
{
    const size_t cols = (size_t)dmc__view_cols(&s->view), moved = (size_t)s->config.exec * cols;
    dmc__view_normalise(&s->view, s->chosen + b * s->elems, x);
    memmove(x, x + moved, (s->elems - moved) * sizeof *x);
    for (size_t j = s->elems - moved; j < s->elems; j++) x[j] = x[j - cols];
}

int32_t dmc__sampler_is_warm(const dmc__sampler *s)
{
    return s->config.warm_start > 0 && s->have_plan;
}

void dmc__sampler_move_plan(dmc__sampler *s)
{
    const size_t n = (size_t)s->config.candidates;
    for (size_t i = 0; i < s->total; i++) {
        float *x = s->moved + i * s->elems;
        if (i % n == 0) move_up(s, i / n, x);
        else memcpy(x, x - s->elems, s->elems * sizeof *x);
    }
}

static dmc_status start_warm(dmc__sampler *s, const dmc__rollout_draw *draw)
{
    void *x0 = dmc__rollout_latent(s->rollout, dmc__rollout_rows(s->rollout));
    DMC_TRY(dmc__dev_in(s->ref.ctx->device, x0, s->moved, s->total * s->elems));
    return dmc__rollout_begin_from(s->rollout, x0, s->warm_row, draw, NULL, s->config.temperature);
}

dmc_status dmc__sampler_start(dmc__sampler *s, int32_t warm, const dmc__rollout_draw *draw)
{
    if (warm) return start_warm(s, draw);
    return dmc__rollout_begin(s->rollout, draw, s->config.temperature);
}
