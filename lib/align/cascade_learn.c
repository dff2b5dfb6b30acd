/* cascade_learn.c — a cascade learns to improve samples (paper section 3.4; methods.md 5).
 *
 * Pairs r(x_cond) < r(x_r): the worst and the best of `pool` variations of a sample (candidates.h), unless they gain too little or
 * lie further apart than 95 % of pairs. Loss: denoising of x_r given x_cond, plus adherence |f - f_foundation|^2.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../base/order.h"
#include "cascade.h"
#include "regress.h"

typedef struct casc {
    dmc__align *a;
    dmc__cascade_config c;
    dmc__cascade *cascade;
    int32_t batch, pairs;        /* pairs kept */
    size_t elems, cond;
    dmc__chain *now, *ref;       /* the cascade; the foundation */
    dmc__denoise *noise;
    dmc__regress regress;
    dmc__candidates *pool;
    int32_t given;               /* by the caller, whose it stays */
    float *low, *high;           /* (conditions, elems): x_cond, x_r */
    int32_t *group;              /* condition of each pair */
    double *distance;
    float *x0, *extra, *side, *mask, *weight;
    double *time;
} casc;

/* ---- memory ----------------------------------------------------------------------------------------- */

static dmc_status make_host(casc *s)
{
    const dmc__allocator *al = s->a->alloc;
    const size_t n = (size_t)s->batch, g = (size_t)s->c.conditions;
    DMC_TRY(DMC_NEW(al, g * s->elems, &s->low));
    DMC_TRY(DMC_NEW(al, g * s->elems, &s->high));
    DMC_TRY(DMC_NEW(al, g, &s->group));
    DMC_TRY(DMC_NEW(al, g, &s->distance));
    DMC_TRY(DMC_NEW(al, n * s->elems, &s->x0));
    DMC_TRY(DMC_NEW(al, n * s->elems, &s->extra));
    DMC_TRY(DMC_NEW(al, n * s->cond, &s->side));
    DMC_TRY(DMC_NEW(al, n * s->elems, &s->mask));
    DMC_TRY(DMC_NEW(al, n * s->elems, &s->weight));
    return DMC_NEW(al, n, &s->time);
}

/* (f - y)^2 + m (f - f_ref)^2 has the gradient of (1+m)(f - y')^2 with y' = (y + m f_ref)/(1+m), so adherence is a pull of
 * the target towards the foundation's output. */
static dmc_status pull_target(void *self)
{
    casc *s = self;
    const void *z, *t, *cond;
    void *target;
    const int32_t n = s->batch * (int32_t)s->elems;
    if (s->c.adherence <= 0) return DMC_OK;
    dmc__denoise_batch(s->noise, &z, &t, &cond, &target);
    DMC_TRY(dmc__chain_network(s->ref, z, t, cond, NULL));
    dmc_kargs k = {.in = {dmc__chain_output(s->ref)}, .out = target, .dim = {n},
                   .attr = {s->c.adherence / (1 + s->c.adherence)}};
    return dmc__dev_run(s->a->device, DMC_OP_LERP, &k);
}

static dmc_status make_networks(casc *s)
{
    dmc__align *a = s->a;
    DMC_TRY(dmc__cascade_create(a, dmc__learner_weights(a->learner), &s->cascade));
    DMC_TRY(dmc__chain_create(s->cascade->net, a->device, s->batch, 0, NULL, &s->now));
    DMC_TRY(dmc__chain_create(a->net, a->device, s->batch, 0, NULL, &s->ref));
    dmc__chain_bind(s->now, dmc__learner_weights(s->cascade->learner), dmc__learner_grads(s->cascade->learner));
    dmc__chain_bind(s->ref, a->foundation, NULL);
    DMC_TRY(dmc__align_denoise(a, s->now, s->cascade->net, s->batch, &s->noise));
    s->regress = (dmc__regress){.device = a->device, .denoise = s->noise, .learner = s->cascade->learner, .seed = a->config.seed,
                                .weight = 1 + s->c.adherence, .between = pull_target, .self = s};
    DMC_TRY(dmc__regress_open(&s->regress));
    return s->given ? DMC_OK : dmc__candidates_create(a, s->c.conditions, s->c.pool, &s->pool);
}

static void casc_free(casc *s)
{
    const dmc__allocator *al = s->a->alloc;
    const size_t n = (size_t)s->batch, g = (size_t)s->c.conditions;
    if (!s->given) dmc__candidates_destroy(s->pool);
    dmc__regress_close(&s->regress);
    dmc__denoise_destroy(s->noise);
    dmc__chain_destroy(s->ref);
    dmc__chain_destroy(s->now);
    dmc__cascade_destroy(al, s->cascade);
    DMC_FREE(al, s->low, g * s->elems);
    DMC_FREE(al, s->high, g * s->elems);
    DMC_FREE(al, s->group, g);
    DMC_FREE(al, s->distance, g);
    DMC_FREE(al, s->x0, n * s->elems);
    DMC_FREE(al, s->extra, n * s->elems);
    DMC_FREE(al, s->side, n * s->cond);
    DMC_FREE(al, s->mask, n * s->elems);
    DMC_FREE(al, s->weight, n * s->elems);
    DMC_FREE(al, s->time, n);
}

/* ---- pairs ------------------------------------------------------------------------------------------ */

static double rms_distance(const float *x, const float *y, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += ((double)x[i] - y[i]) * ((double)x[i] - y[i]);
    return sqrt(sum / (double)n);
}

/* Remove pairs further apart than 95 % of them: those are jumps, not improvements of the same sample. */
static dmc_status drop_far_pairs(casc *s)
{
    double *sorted;
    DMC_TRY(DMC_NEW(s->a->alloc, s->c.conditions, &sorted));
    memcpy(sorted, s->distance, (size_t)s->pairs * sizeof *sorted);
    qsort(sorted, (size_t)s->pairs, sizeof *sorted, dmc__order_double);
    const double limit = s->pairs ? sorted[(size_t)(0.95 * (s->pairs - 1))] : 0;
    DMC_FREE(s->a->alloc, sorted, s->c.conditions);
    int32_t kept = 0;
    for (int32_t i = 0; i < s->pairs; i++) {
        if (s->distance[i] > limit) continue;
        memmove(s->low + (size_t)kept * s->elems, s->low + (size_t)i * s->elems, s->elems * sizeof(float));
        memmove(s->high + (size_t)kept * s->elems, s->high + (size_t)i * s->elems, s->elems * sizeof(float));
        s->group[kept++] = s->group[i];
    }
    s->pairs = kept;
    return DMC_OK;
}

/* The worst of a group, or the sample itself that was to be improved, and the best. */
static dmc_status collect_pairs(casc *s, int32_t improved)
{
    const dmc__candidates *p = s->pool;
    s->pairs = 0;
    for (int32_t g = 0; g < p->groups; g++) {
        int32_t best, worst;
        dmc__candidates_extremes(p, g, &best, &worst);
        if (improved) worst = 0;
        const size_t at = (size_t)g * (size_t)p->pool, e = s->elems, i = (size_t)s->pairs;
        if (p->reward[at + (size_t)best] - p->reward[at + (size_t)worst] <= s->c.gain * p->std) continue;
        memcpy(s->low + i * e, p->z + (at + (size_t)worst) * e, e * sizeof(float));
        memcpy(s->high + i * e, p->z + (at + (size_t)best) * e, e * sizeof(float));
        s->distance[i] = rms_distance(s->low + i * e, s->high + i * e, e);
        s->group[s->pairs++] = g;
    }
    return drop_far_pairs(s);
}

/* What the cascade makes of the samples in a->sample, in their place. */
static dmc_status improve(void *self, dmc__align *a, uint64_t draw)
{
    const casc *s = self;
    const int32_t rows = dmc__rollout_rows(a->sample);
    DMC_TRY(dmc__cascade_sample(a, s->cascade, draw));
    return dmc__dev_copy(a->device, dmc__rollout_latent(a->sample, rows), dmc__rollout_latent(s->cascade->sample, rows),
                         (size_t)s->batch * s->elems);
}

static dmc_status make_pairs(casc *s, int32_t variation)
{
    const dmc__variation how = {variation, s->c.fork_min, s->c.fork_max, improve, s};
    if (!s->given) DMC_TRY(dmc__candidates_vary(s->a, dmc__learner_weights(s->a->learner), &how, s->pool));
    return collect_pairs(s, variation == DMC__VARY_IMPROVE);
}

/* A cascade that has not learnt improves nothing. */
static dmc_status first_pairs(casc *s)
{
    DMC_TRY(make_pairs(s, s->c.variation == DMC__VARY_IMPROVE && !s->given ? DMC__VARY_LATENT : s->c.variation));
    if (s->pairs > 0) return DMC_OK;
    return dmc__fail(DMC_ESTATE, "dmc_align_cascade: none of %d conditions gave a pair that gains %g std of the reward",
                     s->pool->groups, s->c.gain);
}

/* ---- training --------------------------------------------------------------------------------------- */

static void stage_pair(casc *s, size_t i, size_t pair)
{
    const dmc__candidates *p = s->pool;
    const size_t e = s->elems, g = (size_t)s->group[pair];
    memcpy(s->x0 + i * e, s->high + pair * e, e * sizeof(float));
    memcpy(s->extra + i * e, s->low + pair * e, e * sizeof(float));
    if (p->mask) memcpy(s->mask + i * e, p->mask + g * e, e * sizeof(float));
    if (p->cond) memcpy(s->side + i * s->cond, p->cond + g * s->cond, s->cond * sizeof(float));
    for (size_t j = 0; j < e; j++) s->weight[i * e + j] = p->mask ? 1 - s->mask[i * e + j] : 1;
}

static dmc_status stage_batch(casc *s, uint64_t draw)
{
    const uint64_t seed = s->a->config.seed;
    for (int32_t i = 0; i < s->batch; i++) {
        const dmc__stream pick = {seed, DMC_STREAM_BATCH, draw, (uint64_t)i}, time = {seed, DMC_STREAM_TIME, draw, (uint64_t)i};
        stage_pair(s, (size_t)i, dmc__rng_below(&pick, 0, (uint64_t)s->pairs));
        s->time[i] = dmc__process_draw_time(s->a->process, &time);
    }
    const float *cond = s->cond ? s->side : NULL, *mask = s->a->view.planner ? s->mask : NULL;
    DMC_TRY(dmc__denoise_stage(s->noise, s->x0, cond, s->extra, mask, s->weight));
    return dmc__denoise_stage_times(s->noise, s->time);
}

/* A pool that gave no pairs teaches nothing until the next one. */
static dmc_status update(void *self, int32_t u, dmc__align_note *note)
{
    casc *s = self;
    const dmc__adamw_config opt = dmc__align_adamw(s->a);
    if (u > 0 && s->c.refresh > 0 && u % s->c.refresh == 0) DMC_TRY(make_pairs(s, s->c.variation));
    note->loss = NAN;
    if (s->pairs == 0) return DMC_OK;
    const uint64_t draw = dmc__align_draw(s->a);
    DMC_TRY(stage_batch(s, draw));
    return dmc__regress_update(&s->regress, draw, &opt, &note->loss, NULL);
}

/* While it learns the cascade is part of the score. What came before, another cascade or none, stays unless the new one is better
 * than that and than it was itself before it learnt: a gate gains by the mere choice between two samples. */
static dmc_status run_stage(casc *s, dmc__align_result *r)
{
    dmc__align *a = s->a;
    dmc__cascade *const before = a->cascade, *const after = s->cascade;
    const dmc__stage stage = {.name = "cascade", .updates = s->c.updates, .self = s, .update = update, .learner = after->learner};
    double score, se;
    DMC_TRY(dmc__align_score(a, &score, &se));
    a->cascade = after;
    const dmc_status status = dmc__stage_run(a, &stage, r);
    r->accepted = status >= 0 && r->accepted && r->after > score;
    if (!r->accepted) {
        r->after = score;
        r->after_se = se;
        a->cascade = before;
    }
    r->before = score;
    r->before_se = se;
    s->cascade = r->accepted ? before : after; /* freed with the rest */
    return status;
}

static dmc_status check(const dmc__cascade_config *c)
{
    if (c->variation == DMC__VARY_IMPROVE && c->refresh == 0)
        return dmc__fail(DMC_EINVAL, "dmc_align_cascade: pairs = own needs refresh > 0: the first pairs are not its own");
    if (c->fork_min <= c->fork_max) return DMC_OK;
    return dmc__fail(DMC_EINVAL, "dmc_align_cascade: fork_min = %g is above fork_max = %g", c->fork_min, c->fork_max);
}

dmc_status dmc__cascade_learn(dmc__align *a, const dmc__cascade_config *c, dmc__candidates *given, dmc__align_result *r)
{
    dmc_status status;
    casc s = {.a = a, .c = *c, .batch = a->config.batch, .elems = dmc__align_elems(a), .cond = (size_t)dmc__view_cond(&a->view),
              .pool = given, .given = given != NULL};
    DMC_TRY(check(c));
    DMC_TRY(dmc__align_need_reward(a));
    DMC_TRY_GOTO(status, make_host(&s), done);
    DMC_TRY_GOTO(status, make_networks(&s), done);
    DMC_TRY_GOTO(status, first_pairs(&s), done);
    status = run_stage(&s, r);
done:
    casc_free(&s);
    return status;
}

dmc_status dmc__cascade_run(dmc__align *a, const dmc__cascade_config *c, dmc__align_result *r)
{
    return dmc__cascade_learn(a, c, NULL, r);
}
