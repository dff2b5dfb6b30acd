/* dpo.c — direct preference optimisation of a diffusion model (paper section 3.2, eqs. 10-12; methods.md 3).
 *
 * Winner and loser of a condition are the best and worst of a pool of samples. The reference of the loss (dpo_loss.h) are the
 * weights at the start of the stage, or of some updates before.
 */
#include <string.h>

#include "dpo.h"
#include "candidates.h"
#include "dpo_loss.h"

typedef struct dpo {
    dmc__align *a;
    dmc__dpo_config c;
    int32_t pairs;               /* per update */
    dmc__dpo_loss loss;
    dmc__candidates *pool;
    int32_t *best, *worst, kept; /* pairs that passed the margin: candidate numbers in the pool */
    int32_t *group;
    void *reference;             /* weights */
    int32_t given_up;            /* the reference may be of weights that were rolled back */
    double seen, now, ref;       /* pairs and winners' errors of the last updates, fading */
} dpo;

static dmc_status dpo_open(dpo *s)
{
    dmc__align *a = s->a;
    DMC_TRY(DMC_NEW(a->alloc, s->pairs, &s->best));
    DMC_TRY(DMC_NEW(a->alloc, s->pairs, &s->worst));
    DMC_TRY(DMC_NEW(a->alloc, s->pairs, &s->group));
    DMC_TRY(dmc__align_snapshot(a, &s->reference));
    DMC_TRY(dmc__dpo_loss_open(a, s->pairs, s->reference, &s->loss));
    return dmc__candidates_create(a, s->pairs, s->c.pool, &s->pool);
}

static void dpo_close(dpo *s)
{
    dmc__align *a = s->a;
    dmc__candidates_destroy(s->pool);
    dmc__dpo_loss_close(&s->loss);
    dmc__dev_free(a->device, s->reference, dmc__graph_param_elems(a->net->graph));
    DMC_FREE(a->alloc, s->best, s->pairs);
    DMC_FREE(a->alloc, s->worst, s->pairs);
    DMC_FREE(a->alloc, s->group, s->pairs);
}

/* New samples of the present weights; a pair must differ by margin * std to say anything. */
static dmc_status refresh_pairs(dpo *s)
{
    DMC_TRY(dmc__candidates_draw(s->a, dmc__learner_weights(s->a->learner), s->pool));
    s->kept = 0;
    for (int32_t g = 0; g < s->pool->groups; g++) {
        int32_t best, worst;
        dmc__candidates_extremes(s->pool, g, &best, &worst);
        const float *r = s->pool->reward + (size_t)g * (size_t)s->pool->pool;
        if (r[best] - r[worst] <= s->c.margin * s->pool->std) continue;
        s->group[s->kept] = g;
        s->best[s->kept] = best;
        s->worst[s->kept++] = worst;
    }
    return DMC_OK;
}

static void stage_sample(dpo *s, int32_t at, int32_t group, int32_t candidate)
{
    const dmc__candidates *p = s->pool;
    const dmc__dpo_loss *l = &s->loss;
    const size_t e = l->elems, i = (size_t)at, g = (size_t)group;
    memcpy(l->x0 + i * e, p->z + (g * (size_t)p->pool + (size_t)candidate) * e, e * sizeof(float));
    if (l->mask) {
        memcpy(l->mask + i * e, p->mask + g * e, e * sizeof(float));
        for (size_t j = 0; j < e; j++) l->weight[i * e + j] = 1 - l->mask[i * e + j];
    }
    if (l->side) memcpy(l->side + i * l->cond, p->cond + g * l->cond, l->cond * sizeof(float));
}

/* Pairs fill the batch in turn when fewer than `pairs` were kept. */
static void stage_batch(dpo *s)
{
    for (int32_t i = 0; i < s->pairs; i++) {
        const int32_t pick = i % s->kept;
        stage_sample(s, i, s->group[pick], s->best[pick]);
        stage_sample(s, s->pairs + i, s->group[pick], s->worst[pick]);
    }
}

/* Are winners forgotten too? Copies of a pair tell nothing new, and few pairs little: it takes a batch of them to judge. */
static dmc_status watch_winners(dpo *s, dmc__align_note *note)
{
    static const double fade = .9;
    const int32_t n = s->kept < s->pairs ? s->kept : s->pairs;
    s->seen = fade * s->seen + n;
    s->now *= fade;
    s->ref *= fade;
    for (int32_t i = 0; i < n; i++) {
        s->now += s->loss.err[i];
        s->ref += s->loss.err_ref[i];
    }
    note->error_ratio = s->now / s->ref;
    if (s->c.displacement == 0 || s->seen < s->pairs || s->now <= s->c.displacement * s->ref) return DMC_OK;
    return dmc__fail(DMC_ENUMERIC, "the winners' error is %.3g times the reference's, above displacement = %g", note->error_ratio,
                     s->c.displacement);
}

static void forget_winners(dpo *s)
{
    s->seen = s->now = s->ref = 0;
}

static dmc_status renew_reference(dpo *s, int32_t u)
{
    const dmc__align *a = s->a;
    const int32_t every = s->c.reference_every;
    if (every == 0 || (u % every != 0 && !s->given_up)) return DMC_OK;
    s->given_up = 0;
    forget_winners(s);
    return dmc__dev_copy(a->device, s->reference, dmc__learner_weights(a->learner), dmc__graph_param_elems(a->net->graph));
}

static dmc_status update(void *self, int32_t u, dmc__align_note *note)
{
    dpo *s = self;
    const dmc__adamw_config opt = dmc__align_adamw(s->a);
    const dmc__dpo_terms terms = {.gamma = s->c.gamma, .anchor = s->c.anchor, .weighting = s->c.weighting};
    dmc__dpo_told told;
    DMC_TRY(renew_reference(s, u));
    if (u % s->c.refresh == 0 || s->kept == 0) DMC_TRY(refresh_pairs(s));
    if (s->kept == 0) { /* every group agrees: nothing to prefer */
        note->loss = 0;
        return DMC_OK;
    }
    stage_batch(s);
    DMC_TRY(dmc__dpo_loss_measure(&s->loss, dmc__align_draw(s->a)));
    DMC_TRY(watch_winners(s, note));
    DMC_TRY(dmc__dpo_loss_learn(&s->loss, &terms, &told));
    note->loss = told.loss;
    note->accuracy = told.accuracy;
    return dmc__learner_update(s->a->learner, &opt, NULL);
}

/* A larger gamma ties the model closer to its reference. */
static void tighten(void *self)
{
    dpo *s = self;
    s->c.gamma *= 2;
    s->given_up = 1;
    forget_winners(s);
}

static dmc_status check(const dmc__align *a, const dmc__dpo_config *c)
{
    if (a->config.batch < 2)
        return dmc__fail(DMC_ERANGE, "dmc_align_dpo: the aligner's batch = %d, must be at least 2", a->config.batch);
    if (c->displacement > 0 && c->displacement < 1)
        return dmc__fail(DMC_ERANGE, "dmc_align_dpo: displacement = %g, must be at least 1, or 0 for never", c->displacement);
    return DMC_OK;
}

dmc_status dmc__dpo_run(dmc__align *a, const dmc__dpo_config *c, dmc__align_result *r)
{
    dmc_status status;
    dpo s = {.a = a, .c = *c, .pairs = a->config.batch / 2};
    const dmc__stage stage = {.name = "dpo", .updates = c->updates, .self = &s, .update = update, .tighten = tighten,
                              .learner = a->learner};
    DMC_TRY(dmc__align_need_reward(a));
    DMC_TRY(check(a, c));
    DMC_TRY_GOTO(status, dpo_open(&s), done);
    status = dmc__stage_run(a, &stage, r);
done:
    dpo_close(&s);
    return status;
}
