/* pairs_data.c — pairs of windows of the training data whose first states are near each other, ranked by the return from there on.
 *
 * The winner's condition and first state stand for both. A planner with returns is asked for the best, as when it is used.
 */
#include "pairs.h"

#include <math.h>
#include <string.h>

static size_t row_of(const dmc__pairs *p, dmc__position at)
{
    return p->a->view.data->start[at.episode] + (size_t)at.row;
}

/* Standard deviation over training rows. */
static double spread(const dmc__pairs *p)
{
    const dmc__trajectories *t = p->a->view.data;
    double sum = 0, square = 0, n = 0;
    for (int32_t i = 0; i < t->n_train; i++)
        for (size_t r = t->start[t->train[i]]; r < t->start[t->train[i] + 1]; r++) {
            sum += p->returns[r];
            square += (double)p->returns[r] * p->returns[r];
            n++;
        }
    return n > 0 ? sqrt(fmax(square / n - (sum / n) * (sum / n), 0)) : 0;
}

dmc_status dmc__pairs_open_data(dmc__pairs *p)
{
    const dmc__allocator *al = p->a->alloc;
    const dmc__view *v = &p->a->view;
    DMC_TRY(DMC_NEW(al, v->data->rows, &p->returns));
    for (int32_t i = 0; i < 2; i++) DMC_TRY(DMC_NEW(al, v->obs->n, &p->state[i]));
    DMC_TRY(DMC_NEW(al, p->elems, &p->other));
    DMC_TRY(DMC_NEW(al, p->c.pool, &p->near));
    dmc__trajectories_returns(v->data, p->c.discount, p->returns);
    p->std = spread(p);
    return dmc__neighbours_create(al, v->data, v->obs, &p->neighbours);
}

static const float *state_at(const dmc__pairs *p, int32_t which, dmc__position at)
{
    const dmc__view *v = &p->a->view;
    dmc__normaliser_apply(v->obs, v->data->obs + row_of(p, at) * (size_t)v->obs->n, 1, p->state[which]);
    return p->state[which];
}

static double return_at(const dmc__pairs *p, int32_t i)
{
    return p->returns[row_of(p, p->near[i].at)];
}

/* The best of n near windows, and the worst of those that are near that. */
static void choose(const dmc__pairs *p, int32_t n, int32_t *best, int32_t *worst)
{
    *best = 0;
    for (int32_t i = 1; i < n; i++)
        if (return_at(p, i) > return_at(p, *best)) *best = i;
    const float *winner = state_at(p, 0, p->near[*best].at);
    *worst = *best;
    for (int32_t i = 0; i < n; i++)
        if (return_at(p, i) < return_at(p, *worst) &&
            dmc__neighbours_distance(p->neighbours, winner, state_at(p, 1, p->near[i].at)) <= p->c.radius)
            *worst = i;
}

static void keep_windows(dmc__pairs *p, dmc__position best, dmc__position worst)
{
    const dmc__view *v = &p->a->view;
    const size_t e = p->elems, at = (size_t)p->kept++;
    float *const win = p->win + at * e, *const lose = p->lose + at * e, *const weight = p->weight + at * e;
    float *const cond = p->cond ? p->cond + at * p->cond_elems : NULL, *const mask = p->mask ? p->mask + at * e : NULL;
    dmc__view_sample(v, worst, lose, cond, NULL, p->other);
    dmc__view_sample(v, best, win, cond, NULL, weight);
    for (size_t j = 0; j < e; j++) weight[j] *= p->other[j];
    if (!mask) return;
    dmc__view_condition(v, best, cond, mask, p->other);
    for (size_t j = 0; j < e; j++)
        if (mask[j] != 0) lose[j] = p->other[j];
}

/* A pair beside every drawn row that has neighbours of other returns. */
dmc_status dmc__pairs_from_data(dmc__pairs *p)
{
    const dmc__align *a = p->a;
    const uint64_t draw = dmc__align_draw(p->a);
    int32_t most = 0;
    for (int32_t i = 0; i < p->c.room; i++) {
        const dmc__stream s = {a->config.seed, DMC_STREAM_BATCH, draw, (uint64_t)i};
        const dmc__position at = dmc__trajectories_draw(a->view.data, false, &s);
        const int32_t n = dmc__neighbours_find(p->neighbours, state_at(p, 0, at), p->c.radius, p->c.pool, p->near);
        int32_t best, worst;
        most = n > most ? n : most;
        choose(p, n, &best, &worst);
        if (return_at(p, best) - return_at(p, worst) > p->c.margin * p->std)
            keep_windows(p, p->near[best].at, p->near[worst].at);
    }
    if (most > 1) return DMC_OK;
    return dmc__fail(DMC_EINVAL, "dmc_align_dpo: of %d windows of the data none has another episode's within radius = %g of its "
                     "first state; take a larger radius", p->c.room, p->c.radius);
}
