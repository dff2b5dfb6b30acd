/* pairs.c — room for pairs, and pairs of candidates: best and worst of each group, where they differ enough to say anything. */
#include "pairs.h"

#include <string.h>

static dmc_status make_room(dmc__pairs *p)
{
    const dmc__allocator *al = p->a->alloc;
    const size_t n = (size_t)p->c.room, e = p->elems;
    DMC_TRY(DMC_NEW(al, n * e, &p->win));
    DMC_TRY(DMC_NEW(al, n * e, &p->lose));
    DMC_TRY(DMC_NEW(al, n * e, &p->weight));
    DMC_TRY(DMC_NEW(al, n * p->cond_elems, &p->cond));
    return p->a->view.planner ? DMC_NEW(al, n * e, &p->mask) : DMC_OK;
}

static dmc_status open_source(dmc__pairs *p)
{
    switch (p->c.source) {
    case DMC__PAIRS_DATASET: return dmc__pairs_open_data(p);
    case DMC__PAIRS_CALLBACK: return dmc__pairs_open_given(p);
    default: return dmc__candidates_create(p->a, p->c.room, p->c.pool, &p->pool);
    }
}

dmc_status dmc__pairs_create(dmc__align *a, const dmc__pairs_config *c, dmc__pairs **out)
{
    dmc__pairs *p;
    *out = NULL;
    DMC_TRY(DMC_NEW(a->alloc, 1, &p));
    *p = (dmc__pairs){.a = a, .c = *c, .elems = dmc__align_elems(a), .cond_elems = (size_t)dmc__view_cond(&a->view)};
    dmc_status status = make_room(p);
    if (status >= 0) status = open_source(p);
    if (status < 0) {
        dmc__pairs_destroy(p);
        return status;
    }
    *out = p;
    return DMC_OK;
}

void dmc__pairs_destroy(dmc__pairs *p)
{
    if (!p) return;
    const dmc__allocator *al = p->a->alloc;
    const dmc__view *v = &p->a->view;
    const size_t n = (size_t)p->c.room, e = p->elems;
    dmc__candidates_destroy(p->pool);
    dmc__neighbours_destroy(p->neighbours);
    DMC_FREE(al, p->win, n * e);
    DMC_FREE(al, p->lose, n * e);
    DMC_FREE(al, p->weight, n * e);
    DMC_FREE(al, p->cond, n * p->cond_elems);
    DMC_FREE(al, p->mask, n * e);
    DMC_FREE(al, p->returns, v->data->rows);
    for (int32_t i = 0; i < 2; i++) DMC_FREE(al, p->state[i], v->obs->n);
    DMC_FREE(al, p->other, e);
    DMC_FREE(al, p->near, p->c.pool);
    DMC_FREE(al, p->raw, n * (size_t)v->obs->n * (size_t)(v->planner ? 1 : v->n_obs));
    DMC_FREE(al, p, 1);
}

/* ---- candidates --------------------------------------------------------------------------------------- */

static void keep_candidates(dmc__pairs *p, size_t group, int32_t best, int32_t worst)
{
    const dmc__candidates *c = p->pool;
    const size_t e = p->elems, at = (size_t)p->kept++, first = group * (size_t)c->pool;
    memcpy(p->win + at * e, c->z + (first + (size_t)best) * e, e * sizeof(float));
    memcpy(p->lose + at * e, c->z + (first + (size_t)worst) * e, e * sizeof(float));
    if (c->cond) memcpy(p->cond + at * p->cond_elems, c->cond + group * p->cond_elems, p->cond_elems * sizeof(float));
    if (c->mask) memcpy(p->mask + at * e, c->mask + group * e, e * sizeof(float));
    for (size_t j = 0; j < e; j++) p->weight[at * e + j] = c->mask ? 1 - c->mask[group * e + j] : 1;
}

/* New samples of the present weights. */
static dmc_status from_candidates(dmc__pairs *p)
{
    dmc__candidates *c = p->pool;
    DMC_TRY(dmc__candidates_draw(p->a, dmc__learner_weights(p->a->learner), c));
    if (p->c.rank) DMC_TRY(dmc__preference_rank(p->c.rank, c));
    for (int32_t g = 0; g < c->groups; g++) {
        int32_t best, worst;
        dmc__candidates_extremes(c, g, &best, &worst);
        const float *r = c->reward + (size_t)g * (size_t)c->pool;
        if (r[best] - r[worst] > p->c.margin * c->std) keep_candidates(p, (size_t)g, best, worst);
    }
    return DMC_OK;
}

dmc_status dmc__pairs_refresh(dmc__pairs *p)
{
    p->kept = 0;
    switch (p->c.source) {
    case DMC__PAIRS_DATASET: return dmc__pairs_from_data(p);
    case DMC__PAIRS_CALLBACK: return dmc__pairs_given(p);
    default: return from_candidates(p);
    }
}
