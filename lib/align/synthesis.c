/* synthesis.c — draw, choose, filter, keep. */
#include "synthesis.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../base/order.h"

enum { HELD_SHARE = 8 };

static const double most_gain = 100, least_gain = 1e-6; /* a weight of 0 would mean: no entry of the sample counts */

/* ---- life ------------------------------------------------------------------------------------------- */

/* How many samples a round draws, and how many of them it chooses. */
static int64_t drawn(const dmc__synthesis_config *c)
{
    return (int64_t)c->conditions * c->pool;
}

static int64_t chosen(const dmc__synthesis_config *c)
{
    return c->quantile > 0 ? drawn(c) - (int64_t)(c->quantile * (double)(drawn(c) - 1)) : (int64_t)c->conditions * c->top_k;
}

static dmc_status check(const dmc__synthesis_config *c)
{
    if (c->top_k > c->pool)
        return dmc__fail(DMC_EINVAL, "dmc_align_sft: top_k = %d, must be at most pool = %d", c->top_k, c->pool);
    if (drawn(c) > INT32_MAX || chosen(c) > INT32_MAX / c->keep_rounds)
        return dmc__fail(DMC_EOVERFLOW, "dmc_align_sft: conditions * pool = %lld samples, of which those of %d rounds are kept, "
                         "are more than %d", (long long)drawn(c), c->keep_rounds, INT32_MAX);
    return DMC_OK;
}

static dmc_status make_host(dmc__synthesis *s)
{
    const dmc__allocator *al = s->a->alloc;
    const size_t n = (size_t)s->batch, e = s->elems;
    DMC_TRY(DMC_NEW(al, chosen(&s->c), &s->pick));
    DMC_TRY(DMC_NEW(al, s->room * e, &s->x0));
    DMC_TRY(DMC_NEW(al, s->room * s->cond, &s->side));
    DMC_TRY(DMC_NEW(al, s->room, &s->gain));
    DMC_TRY(DMC_NEW(al, n * e, &s->held_x0));
    DMC_TRY(DMC_NEW(al, n * s->cond, &s->held_side));
    DMC_TRY(DMC_NEW(al, n * e, &s->held_mask));
    if (s->a->view.planner) DMC_TRY(DMC_NEW(al, s->room * e, &s->mask));
    DMC_TRY(DMC_NEW(al, n * e, &s->one_x0));
    DMC_TRY(DMC_NEW(al, n * s->cond, &s->one_side));
    DMC_TRY(DMC_NEW(al, n * e, &s->one_mask));
    DMC_TRY(DMC_NEW(al, n * e, &s->one_weight));
    return DMC_NEW(al, n, &s->ell);
}

void dmc__synthesis_destroy(dmc__synthesis *s)
{
    if (!s) return;
    const dmc__allocator *al = s->a->alloc;
    const size_t n = (size_t)s->batch, e = s->elems;
    dmc__candidates_destroy(s->pool);
    dmc__likelihood_destroy(s->judge);
    DMC_FREE(al, s->pick, chosen(&s->c));
    DMC_FREE(al, s->x0, s->room * e);
    DMC_FREE(al, s->side, s->room * s->cond);
    DMC_FREE(al, s->gain, s->room);
    DMC_FREE(al, s->held_x0, n * e);
    DMC_FREE(al, s->held_side, n * s->cond);
    DMC_FREE(al, s->held_mask, n * e);
    DMC_FREE(al, s->mask, s->room * e);
    DMC_FREE(al, s->one_x0, n * e);
    DMC_FREE(al, s->one_side, n * s->cond);
    DMC_FREE(al, s->one_mask, n * e);
    DMC_FREE(al, s->one_weight, n * e);
    DMC_FREE(al, s->ell, n);
    DMC_FREE(al, s, 1);
}

/* ---- likelihood ------------------------------------------------------------------------------------- */

static dmc_status measure_likelihood(dmc__synthesis *s)
{
    const dmc__likelihood_batch batch = {.x0 = s->one_x0, .cond = s->cond ? s->one_side : NULL, .weight = s->one_weight,
                                         .mask = s->a->view.planner ? s->one_mask : NULL};
    return dmc__likelihood_run(s->judge, &batch, s->ell);
}

dmc_status dmc__synthesis_admit(dmc__synthesis *s, int32_t n, uint8_t *admitted)
{
    DMC_TRY(measure_likelihood(s));
    for (int32_t i = 0; i < n; i++) admitted[i] = s->ell[i] >= s->threshold;
    return DMC_OK;
}

/* The quantile of real (held-out, if there are any) windows under the foundation. */
static dmc_status find_threshold(dmc__synthesis *s)
{
    const dmc__view *v = &s->a->view;
    for (size_t i = 0; i < (size_t)s->batch; i++) {
        const dmc__stream t = {s->a->config.seed, DMC_STREAM_BANK, 0, (uint64_t)i};
        dmc__view_sample(v, dmc__trajectories_draw(v->data, v->data->n_held > 0, &t), s->one_x0 + i * s->elems,
                         s->one_side + i * s->cond, s->one_mask + i * s->elems, s->one_weight + i * s->elems);
    }
    DMC_TRY(measure_likelihood(s));
    qsort(s->ell, (size_t)s->batch, sizeof *s->ell, dmc__order_double);
    s->threshold = s->c.likelihood > 0 ? s->ell[(size_t)(s->c.likelihood * (s->batch - 1))] : -INFINITY;
    return DMC_OK;
}

static dmc_status fill(dmc__synthesis *s)
{
    DMC_TRY(make_host(s));
    DMC_TRY(dmc__align_judge(s->a, s->batch, &s->judge));
    DMC_TRY(dmc__candidates_create(s->a, s->c.conditions, s->c.pool, &s->pool));
    return find_threshold(s);
}

dmc_status dmc__synthesis_create(dmc__align *a, const dmc__synthesis_config *c, dmc__synthesis **out)
{
    dmc__synthesis *s;
    *out = NULL;
    DMC_TRY(check(c));
    DMC_TRY(DMC_NEW(a->alloc, 1, &s));
    s->a = a;
    s->c = *c;
    s->batch = a->config.batch;
    s->elems = dmc__align_elems(a);
    s->cond = (size_t)dmc__view_cond(&a->view);
    s->room = (size_t)c->keep_rounds * (size_t)chosen(c);
    s->mean_gain = 1;
    const dmc_status status = fill(s);
    if (status < 0) dmc__synthesis_destroy(s);
    else *out = s;
    return status;
}

/* ---- choosing --------------------------------------------------------------------------------------- */

typedef struct ranked { float reward; int32_t sample; } ranked;

/* Best first; the earlier of equals. */
static int order_ranked(const void *x, const void *y)
{
    const ranked *a = x, *b = y;
    if (a->reward != b->reward) return a->reward < b->reward ? 1 : -1;
    return (a->sample > b->sample) - (a->sample < b->sample);
}

/* Of `n` samples from `first` on the best `most`. */
static void pick_best(dmc__synthesis *s, ranked *r, int32_t first, int32_t n, int32_t most)
{
    for (int32_t i = 0; i < n; i++) r[i] = (ranked){s->pool->reward[first + i], first + i};
    qsort(r, (size_t)n, sizeof *r, order_ranked);
    for (int32_t i = 0; i < most; i++) s->pick[s->picks++] = r[i].sample;
}

/* Of each condition the best top_k, or of all together those from the quantile up. */
static dmc_status pick_samples(dmc__synthesis *s)
{
    const int32_t n = s->c.conditions * s->c.pool;
    ranked *r;
    DMC_TRY(DMC_NEW(s->a->alloc, n, &r));
    s->picks = 0;
    if (s->c.quantile > 0)
        pick_best(s, r, 0, n, (int32_t)chosen(&s->c));
    else
        for (int32_t g = 0; g < s->c.conditions; g++) pick_best(s, r, g * s->c.pool, s->c.pool, s->c.top_k);
    DMC_FREE(s->a->alloc, r, n);
    return DMC_OK;
}

/* How much more a sample is worth than others of its condition, in std of all rewards. */
static double gain_of(const dmc__synthesis *s, int32_t sample)
{
    const dmc__candidates *p = s->pool;
    const float *group = p->reward + sample / p->pool * p->pool;
    double mean = 0;
    if (s->c.beta == 0) return 1;
    for (int32_t i = 0; i < p->pool; i++) mean += group[i] / (double)p->pool;
    const double advantage = p->std > 0 ? (p->reward[sample] - mean) / p->std : 0;
    return fmax(fmin(exp(s->c.beta * advantage), most_gain), least_gain);
}

/* ---- keeping ---------------------------------------------------------------------------------------- */

/* From row `from` of one set of arrays to row `to` of another. */
static void copy_sample(const dmc__synthesis *s, size_t from, const float *x0, const float *side, const float *mask, size_t to,
                        float *to_x0, float *to_side, float *to_mask)
{
    const size_t e = s->elems;
    memcpy(to_x0 + to * e, x0 + from * e, e * sizeof *x0);
    if (s->cond) memcpy(to_side + to * s->cond, side + from * s->cond, s->cond * sizeof *side);
    if (mask) memcpy(to_mask + to * e, mask + from * e, e * sizeof *mask);
}

static void fill_weights(const dmc__synthesis *s, const float *mask, double gain, float *weight)
{
    for (size_t j = 0; j < s->elems; j++) weight[j] = (float)(mask ? gain * (1 - mask[j]) : gain);
}

static void stage_pick(dmc__synthesis *s, size_t to, int32_t sample)
{
    const dmc__candidates *p = s->pool;
    const size_t g = (size_t)(sample / p->pool), e = s->elems;
    memcpy(s->one_x0 + to * e, p->z + (size_t)sample * e, e * sizeof(float));
    if (p->mask) memcpy(s->one_mask + to * e, p->mask + g * e, e * sizeof(float));
    if (p->cond) memcpy(s->one_side + to * s->cond, p->cond + g * s->cond, s->cond * sizeof(float));
    fill_weights(s, p->mask ? s->one_mask + to * e : NULL, 1, s->one_weight + to * e);
}

static void keep(dmc__synthesis *s, size_t i, double gain)
{
    const size_t at = (size_t)s->next;
    copy_sample(s, i, s->one_x0, s->one_side, s->mask ? s->one_mask : NULL, at, s->x0, s->side, s->mask);
    s->gain[at] = gain;
    s->next = (int32_t)((at + 1) % s->room);
    if ((size_t)s->kept < s->room) s->kept++;
}

static void hold(dmc__synthesis *s, size_t i)
{
    copy_sample(s, i, s->one_x0, s->one_side, s->mask ? s->one_mask : NULL, (size_t)s->n_held++, s->held_x0, s->held_side,
                s->held_mask);
}

/* The picks from `first` on, as many as make a batch. */
static dmc_status filter(dmc__synthesis *s, int32_t first, uint8_t *admitted, int32_t *passed)
{
    const int32_t n = s->picks - first < s->batch ? s->picks - first : s->batch;
    for (int32_t i = 0; i < s->batch; i++) stage_pick(s, (size_t)i, s->pick[first + (i < n ? i : 0)]);
    DMC_TRY(dmc__synthesis_admit(s, n, admitted));
    for (int32_t i = 0; i < n; i++) {
        if (!admitted[i]) continue;
        const int32_t held = s->c.hold_out && *passed % HELD_SHARE == HELD_SHARE - 1 && s->n_held < s->batch;
        if (held) hold(s, (size_t)i);
        else keep(s, (size_t)i, gain_of(s, s->pick[first + i]));
        ++*passed;
    }
    return DMC_OK;
}

dmc_status dmc__synthesis_round(dmc__synthesis *s, const void *weights)
{
    uint8_t *admitted;
    int32_t passed = 0;
    double sum = 0;
    DMC_TRY(dmc__candidates_draw(s->a, weights, s->pool));
    DMC_TRY(pick_samples(s));
    DMC_TRY(DMC_NEW(s->a->alloc, s->batch, &admitted));
    s->n_held = 0;
    dmc_status status = DMC_OK;
    for (int32_t first = 0; first < s->picks && status >= 0; first += s->batch) status = filter(s, first, admitted, &passed);
    DMC_FREE(s->a->alloc, admitted, s->batch);
    for (int32_t i = 0; i < s->kept; i++) sum += s->gain[i] / s->kept;
    s->mean_gain = s->kept ? sum : 1;
    dmc__log_line(s->a->log, DMC__LOG_DEBUG, "sft: %d of %d best samples reach the likelihood threshold %g", passed, s->picks,
                  s->threshold);
    return status;
}

void dmc__synthesis_give(const dmc__synthesis *s, size_t at, float *x0, float *side, float *mask, float *weight)
{
    copy_sample(s, at, s->x0, s->side, s->mask, 0, x0, side, mask);
    fill_weights(s, s->mask ? mask : NULL, s->c.beta == 0 ? 1 : s->gain[at] / s->mean_gain, weight);
}

dmc_status dmc__synthesis_loss(dmc__synthesis *s, const void *weights, double *loss)
{
    *loss = NAN;
    if (s->n_held == 0) return DMC_OK;
    for (size_t i = 0; i < (size_t)s->batch; i++) {
        const size_t from = i < (size_t)s->n_held ? i : 0;
        copy_sample(s, from, s->held_x0, s->held_side, s->mask ? s->held_mask : NULL, i, s->one_x0, s->one_side, s->one_mask);
        fill_weights(s, s->mask ? s->one_mask + i * s->elems : NULL, 1, s->one_weight + i * s->elems);
    }
    dmc__likelihood_bind(s->judge, weights);
    const dmc_status status = measure_likelihood(s);
    dmc__likelihood_bind(s->judge, s->a->foundation);
    DMC_TRY(status);
    *loss = 0;
    for (int32_t i = 0; i < s->n_held; i++) *loss -= s->ell[i] / s->n_held;
    return DMC_OK;
}
