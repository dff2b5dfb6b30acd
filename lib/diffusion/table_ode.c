/* table_ode.c — EULER and HEUN: the probability-flow ODE in the coordinate its process is straightest in.
 *
 *     FLOW    dz/dt = u = (z - x)/t
 *     others  dy/ds = e = (y - x)/s for y = z/alpha, s = sigma/alpha (Karras et al. 2022)
 *
 * A step of Euler is the same in both, and DDIM with eta = 0; Heun's average of two slopes is not.
 */
#include <math.h>

#include "table_rows.h"

/* slope = u x + w z at level t. */
static void slope(const dmc__process *p, const dmc__level *t, double *u, double *w)
{
    *w = 1 / t->sigma;
    *u = p->config.kind == DMC__PROCESS_FLOW ? -*w : -t->alpha / t->sigma;
}

/* How far half a unit of slope moves z at s, coming from t. */
static double half_step(const dmc__process *p, const dmc__level *t, const dmc__level *s)
{
    if (p->config.kind == DMC__PROCESS_FLOW) return (s->sigma - t->sigma) / 2;
    return s->alpha * (s->sigma / s->alpha - t->sigma / t->alpha) / 2;
}

/* From Euler's z at s, with the first slope in h: z + half (slope - h). */
static dmc__row corrector(const dmc__process *p, const dmc__level *t, const dmc__level *s)
{
    const double half = half_step(p, t, s);
    double u, w;
    slope(p, s, &u, &w);
    return (dmc__row){.at = *s, .to = *s, .a = half * u, .b = 1 + half * w, .d = -half, .network = 1, .ends = 1};
}

/* ---- churn: Karras et al. 2022, alg. 2 ---------------------------------------------------------------------- */

/* Where step i begins: a little above at[i], reached with noise by the row before. */
static dmc__level churned(const dmc__steps *g, int32_t i)
{
    const dmc__table_config *c = g->c;
    const dmc__level *at = &g->at[i];
    const double gamma = fmin(c->churn / c->steps, sqrt(2) - 1);
    if (!(gamma > 0) || at->sigma == 0 || at->time < c->churn_min || at->time > c->churn_max) return *at;
    return dmc__process_level(g->p, at->time * (1 + gamma));
}

/* y gets noise of deviation churn_noise sqrt(to^2 - from^2): the row ends at `to` instead. Times of EDM are its s. */
static void lift(dmc__row *row, const dmc__level *from, const dmc__level *to, double churn_noise)
{
    const double scale = to->alpha / from->alpha;
    row->a *= scale;
    row->b *= scale;
    row->d *= scale;
    row->S = churn_noise * to->alpha * sqrt(to->time * to->time - from->time * from->time);
    row->to = *to;
}

int32_t dmc__rows_ode(const dmc__steps *g, int32_t i, dmc__row row[2])
{
    const dmc__table_config *c = g->c;
    const dmc__level t = churned(g, i), *s = &g->at[i + 1];
    const int32_t last = i + 1 == c->steps, two = c->sampler == DMC__SAMPLER_HEUN && !last;
    row[0] = dmc__row_eta(&t, s, 0);
    if (two) {
        slope(g->p, &t, &row[0].u, &row[0].w);
        row[0].ends = 0;
        row[1] = corrector(g->p, &t, s);
    }
    const dmc__level next = last ? *s : churned(g, i + 1);
    if (next.time > s->time) lift(&row[two], s, &next, c->churn_noise);
    return 1 + two;
}

/* EDM begins with y = sigma_0 xi; the others with a variance of 1, which the path has for data of that variance. */
double dmc__ode_start(const dmc__steps *g)
{
    if (g->p->config.kind != DMC__PROCESS_EDM) return 1;
    const double s = g->at[0].time, noise = g->c->churn_noise;
    const dmc__level hat = churned(g, 0);
    return hat.alpha * sqrt(s * s + noise * noise * (hat.time * hat.time - s * s));
}
