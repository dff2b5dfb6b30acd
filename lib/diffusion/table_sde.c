/* table_sde.c — reverse SDEs by Euler-Maruyama: VP (Song et al. 2021), EDM, flow (Flow-GRPO, ReinFlow).
 *
 * The row to the clean level is the prediction on the first three: without noise there is nothing its share of the drift
 * would have to make up for.
 */
#include <math.h>

#include "table_rows.h"

static dmc__row prediction(const dmc__level *t, const dmc__level *s)
{
    return (dmc__row){.at = *t, .to = *s, .a = 1, .network = 1, .ends = 1};
}

/* dz = -(z/2 + score) dr + dw in the time r = integral of beta = -2 ln alpha, score = -(z - alpha x)/sigma^2. */
static dmc__row vp_row(const dmc__level *t, const dmc__level *s)
{
    const double r = 2 * log(s->alpha / t->alpha), over = r / (t->sigma * t->sigma);
    return (dmc__row){.at = *t, .to = *s, .a = over * t->alpha, .b = 1 + r / 2 - over, .S = sqrt(r), .network = 1, .ends = 1};
}

/* dy = -score d(s^2) + dw sqrt(d(s^2)), y = z/alpha, s = sigma/alpha. */
static dmc__row edm_row(const dmc__level *t, const dmc__level *s)
{
    const double before = t->sigma / t->alpha, after = s->sigma / s->alpha, kept = after * after / (before * before);
    return (dmc__row){.at = *t, .to = *s, .a = s->alpha * (1 - kept), .b = s->alpha / t->alpha * kept,
                      .S = s->alpha * sqrt(before * before - after * after), .network = 1, .ends = 1};
}

/* mu = z (1 - g^2 D/(2t)) - u (1 + g^2 (1-t)/(2t)) D, S = g sqrt(D), u = (z - x)/t, g = a sqrt(t/(1-t)); where t = 1, g is
 * that of the next place. */
static dmc__row flow_row(const dmc__steps *g, int32_t i)
{
    const dmc__level *const t = &g->at[i], *const s = &g->at[i + 1];
    const double at = t->time < 1 ? t->time : s->time, gg = g->c->sde_noise * g->c->sde_noise * at / (1 - at);
    const double D = t->time - s->time, move = D * (1 + gg * (1 - t->time) / (2 * t->time)) / t->time;
    return (dmc__row){.at = *t, .to = *s, .a = move, .b = 1 - gg * D / (2 * t->time) - move, .S = sqrt(gg * D), .network = 1,
                      .ends = 1};
}

dmc__row dmc__row_sde(const dmc__steps *g, int32_t i)
{
    const dmc__level *const t = &g->at[i], *const s = &g->at[i + 1];
    if (g->c->sampler == DMC__SAMPLER_REINFLOW) {
        dmc__row row = dmc__row_eta(t, s, 0);
        row.S = g->c->step_noise;
        return row;
    }
    if (s->sigma == 0) return prediction(t, s);
    if (g->c->sampler == DMC__SAMPLER_FLOW_SDE) return flow_row(g, i);
    return g->p->config.kind == DMC__PROCESS_EDM ? edm_row(t, s) : vp_row(t, s);
}
