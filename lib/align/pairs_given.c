/* pairs_given.c — pairs by the owner's callback, for conditions of the data or its own. All in the dataset's units. */
#include "pairs.h"

#include <math.h>
#include <string.h>

/* Numbers of a condition that are handed out: a policy's observations, a planner's first state. */
static size_t width(const dmc__pairs *p)
{
    const dmc__view *v = &p->a->view;
    return (size_t)v->obs->n * (size_t)(v->planner ? 1 : v->n_obs);
}

dmc_status dmc__pairs_open_given(dmc__pairs *p)
{
    if (!p->a->hooks.pairs)
        return dmc__fail(DMC_ESTATE, "dmc_align_dpo: pairs = callback, but there is none; call dmc_aligner_set_pairs");
    return DMC_NEW(p->a->alloc, (size_t)p->c.room * width(p), &p->raw);
}

/* Condition i: of a row of the data; a planner's state is left in `win`. */
static void draw_condition(dmc__pairs *p, size_t i, uint64_t draw)
{
    const dmc__view *v = &p->a->view;
    const dmc__stream s = {p->a->config.seed, DMC_STREAM_BATCH, draw, (uint64_t)i};
    const dmc__position at = dmc__trajectories_draw(v->data, false, &s);
    const size_t w = width(p), e = p->elems;
    float *const cond = p->cond ? p->cond + i * p->cond_elems : NULL;
    dmc__view_condition(v, at, cond, p->mask ? p->mask + i * e : NULL, p->win + i * e);
    dmc__normaliser_invert(v->obs, v->planner ? p->win + i * e : cond, w / (size_t)v->obs->n, p->raw + i * w);
}

/* What the callback left of a pair: known entries are the condition's, in both. */
static void take_pair(dmc__pairs *p, size_t i)
{
    const dmc__view *v = &p->a->view;
    const size_t w = width(p), e = p->elems, rows = w / (size_t)v->obs->n;
    float *const win = p->win + i * e, *const lose = p->lose + i * e;
    dmc__view_normalise(v, win, win);
    dmc__view_normalise(v, lose, lose);
    if (v->planner) {
        dmc__normaliser_apply(v->obs, p->raw + i * w, 1, win);
        dmc__normaliser_apply(v->obs, p->raw + i * w, 1, lose);
    } else {
        dmc__normaliser_apply(v->obs, p->raw + i * w, rows, p->cond + i * p->cond_elems);
    }
    for (size_t j = 0; j < e; j++) p->weight[i * e + j] = v->planner ? 1 - p->mask[i * e + j] : 1;
}

static dmc_status check(const char *what, const float *x, size_t n, size_t each)
{
    for (size_t i = 0; i < n * each; i++)
        if (!isfinite(x[i]))
            return dmc__fail(DMC_EINVAL, "dmc_align_dpo: the pairs callback gave %g for %s of pair %zu, must be finite",
                             (double)x[i], what, i / each);
    return DMC_OK;
}

dmc_status dmc__pairs_given(dmc__pairs *p)
{
    const size_t n = (size_t)p->c.room;
    const uint64_t draw = dmc__align_draw(p->a);
    for (size_t i = 0; i < n; i++) draw_condition(p, i, draw);
    memset(p->win, 0, n * p->elems * sizeof *p->win);
    memset(p->lose, 0, n * p->elems * sizeof *p->lose);
    DMC_TRY(p->a->hooks.pairs(p->a->hooks.user, n, p->raw, p->win, p->lose));
    DMC_TRY(check("the condition", p->raw, n, width(p)));
    DMC_TRY(check("the winner", p->win, n, p->elems));
    DMC_TRY(check("the loser", p->lose, n, p->elems));
    for (size_t i = 0; i < n; i++) take_pair(p, i);
    p->kept = p->c.room;
    return DMC_OK;
}
