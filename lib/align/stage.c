/* stage.c — the driver of every method: update, evaluate, keep the best, catch a collapse and go back.
 *
 * Thresholds are methods.md 6. A stage can only end with weights that scored at least as well as it began with.
 */
#include "align.h"

#include <math.h>

#include "../base/clock.h"

enum { STRIKES = 3, BAD_SCORES = 2 };

typedef struct run {
    dmc__align *a;
    const dmc__stage *stage;
    dmc__align_result *result;
    float *best;          /* what learns, at the best score */
    size_t n;
    double score, se, best_score, best_se;
    int32_t bad, strikes;
    int64_t began;
    dmc__align_note note;
} run;

static double seconds_since(int64_t began)
{
    return (double)(dmc__clock_ns() - began) * 1e-9;
}

static dmc_status begin(run *r)
{
    dmc__align *a = r->a;
    r->began = dmc__clock_ns();
    r->n = dmc__learner_elems(r->stage->learner);
    DMC_TRY(DMC_NEW(a->alloc, r->n, &r->best));
    DMC_TRY(dmc__learner_get(r->stage->learner, r->best));
    DMC_TRY(dmc__learner_reset_moments(r->stage->learner));
    DMC_TRY(dmc__align_score(a, &r->score, &r->se));
    r->best_score = r->result->before = r->score;
    r->best_se = r->result->before_se = r->se;
    a->lr_scale = 1;
    r->note = (dmc__align_note){.stage = r->stage->name, .updates = r->stage->updates, .pass = a->pass, .score = r->score,
                                .best = r->score, .loss = NAN, .kl = NAN, .reward = NAN};
    r->note.accuracy = r->note.error_ratio = NAN;
    return DMC_OK;
}

/* Back to the best weights with half the learning rate and a tighter constraint. */
static dmc_status roll_back(run *r, const char *why)
{
    r->strikes++;
    r->bad = 0;
    r->result->rollbacks++;
    r->a->lr_scale *= 0.5;
    if (r->stage->tighten) r->stage->tighten(r->stage->self);
    dmc__log_line(r->a->log, DMC__LOG_WARN, "%s: %s at update %d: best weights restored, learning rate x %g",
                  r->stage->name, why, r->note.update, r->a->lr_scale);
    DMC_TRY(dmc__learner_set(r->stage->learner, r->best));
    return dmc__learner_reset_moments(r->stage->learner);
}

static dmc_status evaluate(run *r)
{
    DMC_TRY(dmc__align_score(r->a, &r->score, &r->se));
    r->note.score = r->score;
    if (r->score > r->best_score) {
        r->best_score = r->note.best = r->score;
        r->best_se = r->se;
        r->bad = 0;
        return dmc__learner_get(r->stage->learner, r->best);
    }
    const double slack = fmax(2 * r->best_se, 0.1 * fabs(r->best_score - r->result->before));
    r->bad = r->score < r->best_score - slack ? r->bad + 1 : 0;
    return r->bad >= BAD_SCORES ? roll_back(r, "the score fell") : DMC_OK;
}

/* One update; an update that is not finite is a collapse, not an error. */
static dmc_status advance(run *r, int32_t u)
{
    r->note.update = u + 1;
    const dmc_status status = r->stage->update(r->stage->self, u, &r->note);
    if (status == DMC_ENUMERIC) return roll_back(r, dmc_last_error());
    DMC_TRY(status);
    r->result->updates++;
    if ((u + 1) % r->a->config.eval_every == 0 || u + 1 == r->stage->updates) return evaluate(r);
    return DMC_OK;
}

static int32_t report(run *r)
{
    r->note.seconds = seconds_since(r->began);
    return r->a->hooks.progress ? r->a->hooks.progress(r->a->hooks.user, &r->note) : 0;
}

static dmc_status finish(run *r)
{
    DMC_TRY(dmc__learner_set(r->stage->learner, r->best));
    DMC_TRY(dmc__learner_reset_moments(r->stage->learner));
    r->a->lr_scale = 1;
    r->result->after = r->best_score;
    r->result->after_se = r->best_se;
    r->result->accepted = r->best_score > r->result->before;
    if (r->stage->learner == r->a->learner) DMC_TRY(dmc__align_kl(r->a, &r->result->kl));
    r->result->seconds = seconds_since(r->began);
    if (r->result->updates == 0 && r->strikes >= STRIKES)
        return dmc__fail(DMC_EDIVERGED, "dmc_align_%s: %d collapses and not one good update: the starting weights are restored",
                         r->stage->name, r->strikes);
    return DMC_OK;
}

dmc_status dmc__stage_run(dmc__align *a, const dmc__stage *s, dmc__align_result *result)
{
    run r = {.a = a, .stage = s, .result = result};
    *result = (dmc__align_result){0};
    dmc_status status = begin(&r);
    for (int32_t u = 0; status >= 0 && u < s->updates && r.strikes < STRIKES; u++) {
        status = advance(&r, u);
        if (status >= 0 && report(&r) != 0) {
            result->stopped = 1;
            break;
        }
    }
    if (status >= 0) status = finish(&r);
    else if (r.best && dmc__learner_set(s->learner, r.best) < 0)
        dmc__log_line(a->log, DMC__LOG_ERROR, "%s: the starting weights could not be restored", s->name);
    DMC_FREE(a->alloc, r.best, r.n);
    if (status < 0) return status;
    return result->stopped ? DMC_STOPPED : DMC_OK;
}
