/* dpo.c — direct preference optimisation of a diffusion model (paper section 3.2, eqs. 10-12; methods.md 3).
 *
 * Pairs (pairs.h) are renewed every `refresh` updates. The reference of the loss (dpo_loss.h) are the
 * weights at the start of the stage, or of some updates before.
 */
#include <string.h>

#include "dpo.h"
#include "dpo_loss.h"
#include "pairs.h"

enum { ENOUGH_PAIRS = 64 }; /* to judge how winners fare */

typedef struct dpo {
    dmc__align *a;
    dmc__dpo_config c;
    int32_t batch;               /* pairs of an update */
    dmc__dpo_loss loss;
    dmc__pairs *pairs;
    dmc__preference *rank;       /* NULL: the reward */
    int32_t *order;              /* (room of pairs) */
    void *reference;             /* weights */
    int32_t given_up;            /* the reference may be of weights that were rolled back */
    double seen, now, ref;       /* pairs and winners' errors of the last updates, fading */
} dpo;

static dmc__pairs_config pairs_config(const dpo *s)
{
    const dmc__dpo_config *c = &s->c;
    return (dmc__pairs_config){.source = c->pairs, .room = c->conditions > 0 ? c->conditions : s->batch, .pool = c->pool,
                               .margin = c->margin, .radius = c->radius, .discount = c->discount};
}

static dmc_status train_preference(dpo *s, dmc__pairs *examples)
{
    double loss = 0;
    for (int32_t u = 0; u < s->c.preference_updates; u++) {
        if (u % s->c.refresh == 0) DMC_TRY(dmc__pairs_refresh(examples));
        if (examples->kept == 0)
            return dmc__fail(DMC_EINVAL, "dmc_align_dpo: preference = bradley_terry found no pair of windows that differ by "
                             "margin = %g in return", s->c.margin);
        DMC_TRY(dmc__preference_learn(s->rank, examples, dmc__align_draw(s->a), &loss));
    }
    dmc__log_line(s->a->log, DMC__LOG_DEBUG, "dpo: the preference's loss is %.3f after %d updates; of a coin it is 0.693", loss,
                  s->c.preference_updates);
    return DMC_OK;
}

/* A score learnt from the pairs that were asked for, to rank candidates by. */
static dmc_status learn_preference(dpo *s, dmc__pairs_config *c)
{
    dmc__pairs *examples;
    DMC_TRY(dmc__preference_create(s->a, s->batch, &s->rank));
    DMC_TRY(dmc__pairs_create(s->a, c, &examples));
    const dmc_status status = train_preference(s, examples);
    dmc__pairs_destroy(examples);
    c->source = DMC__PAIRS_CANDIDATES;
    c->rank = s->rank;
    return status;
}

static dmc_status dpo_open(dpo *s)
{
    dmc__align *a = s->a;
    dmc__pairs_config pairs = pairs_config(s);
    if (s->c.bradley_terry) DMC_TRY(learn_preference(s, &pairs));
    DMC_TRY(DMC_NEW(a->alloc, pairs.room, &s->order));
    DMC_TRY(dmc__align_snapshot(a, &s->reference));
    DMC_TRY(dmc__dpo_loss_open(a, s->batch, s->reference, &s->loss));
    return dmc__pairs_create(a, &pairs, &s->pairs);
}

static void dpo_close(dpo *s)
{
    dmc__align *a = s->a;
    dmc__pairs_destroy(s->pairs);
    dmc__preference_destroy(s->rank);
    dmc__dpo_loss_close(&s->loss);
    dmc__dev_free(a->device, s->reference, dmc__graph_param_elems(a->net->graph));
    DMC_FREE(a->alloc, s->order, pairs_config(s).room);
}

/* A fresh order, so that no pairs are always the ones that are left over or taken twice. */
static void shuffle(dpo *s, uint64_t draw)
{
    const int32_t n = s->pairs->kept;
    for (int32_t i = 0; i < n; i++) s->order[i] = i;
    for (int32_t i = n - 1; i > 0; i--) {
        const dmc__stream t = {s->a->config.seed, DMC_STREAM_BATCH, draw, (uint64_t)i};
        const int32_t j = (int32_t)dmc__rng_below(&t, 0, (uint64_t)i + 1), other = s->order[j];
        s->order[j] = s->order[i];
        s->order[i] = other;
    }
}

static void stage_sample(dpo *s, size_t at, size_t pick, const float *from)
{
    const dmc__pairs *p = s->pairs;
    const dmc__dpo_loss *l = &s->loss;
    const size_t e = l->elems;
    memcpy(l->x0 + at * e, from + pick * e, e * sizeof(float));
    memcpy(l->weight + at * e, p->weight + pick * e, e * sizeof(float));
    if (l->mask) memcpy(l->mask + at * e, p->mask + pick * e, e * sizeof(float));
    if (l->side) memcpy(l->side + at * l->cond, p->cond + pick * l->cond, l->cond * sizeof(float));
}

/* Pairs fill the batch in turn when fewer than that were kept. */
static void stage_batch(dpo *s, uint64_t draw)
{
    shuffle(s, draw);
    for (int32_t i = 0; i < s->batch; i++) {
        const size_t pick = (size_t)s->order[i % s->pairs->kept];
        stage_sample(s, (size_t)i, pick, s->pairs->win);
        stage_sample(s, (size_t)(s->batch + i), pick, s->pairs->lose);
    }
}

/* Are winners forgotten too? Copies of a pair tell nothing new, and few pairs little. */
static dmc_status watch_winners(dpo *s, dmc__align_note *note)
{
    static const double fade = .9;
    const int32_t n = s->pairs->kept < s->batch ? s->pairs->kept : s->batch;
    s->seen = fade * s->seen + n;
    s->now *= fade;
    s->ref *= fade;
    for (int32_t i = 0; i < n; i++) {
        s->now += s->loss.err[i];
        s->ref += s->loss.err_ref[i];
    }
    note->error_ratio = s->now / s->ref;
    if (s->c.displacement == 0 || s->seen < ENOUGH_PAIRS || s->now <= s->c.displacement * s->ref) return DMC_OK;
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
    if (u % s->c.refresh == 0 || s->pairs->kept == 0) DMC_TRY(dmc__pairs_refresh(s->pairs));
    if (s->pairs->kept == 0) { /* every group agrees: nothing to prefer */
        note->loss = 0;
        return DMC_OK;
    }
    const uint64_t draw = dmc__align_draw(s->a);
    stage_batch(s, draw);
    DMC_TRY(dmc__dpo_loss_measure(&s->loss, draw));
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
    if (c->bradley_terry && c->pairs == DMC__PAIRS_CANDIDATES)
        return dmc__fail(DMC_EINVAL, "dmc_align_dpo: preference = bradley_terry learns from pairs = dataset or callback, not from "
                         "candidates");
    return DMC_OK;
}

dmc_status dmc__dpo_run(dmc__align *a, const dmc__dpo_config *c, dmc__align_result *r)
{
    dmc_status status;
    dpo s = {.a = a, .c = *c, .batch = a->config.batch / 2};
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
