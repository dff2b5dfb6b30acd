/* stage.c — the driver of every method: update, evaluate, do what the controller decides.
 *
 * What happened is written as rows (controller.h); the driver carries decisions out: keeps the best weights and their scores, rolls
 * back to exactly those, warns, ends. A stage can only end with weights that scored at least as well as it began with.
 */
#include "metrics.h"
#include "pause.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "../base/clock.h"
#include "../base/hash.h"

typedef struct dmc__stage_run {
    dmc__align *a;
    const dmc__stage *stage;
    dmc__align_result *result;
    dmc__control control;
    float *best, *now;           /* what learns: at the best score; staging */
    size_t n;
    dmc__scores best_scores, scores;
    double best_metric[DMC__METRICS];
    dmc__watch watch;
    dmc__decision d;             /* the last */
    dmc__ledger_row row;         /* what the last measurement found */
    int32_t update, resumed;     /* updates begun; 1: goes on from a checkpoint */
    int64_t began;
    dmc__align_note note;
} run;

static double seconds_since(int64_t began)
{
    return (double)(dmc__clock_ns() - began) * 1e-9;
}

/* ---- rows ------------------------------------------------------------------------------------------- */

static dmc_status make_room(dmc__align *a)
{
    dmc__ledger_row *more;
    const size_t room = a->room ? 2 * a->room : 64;
    if (a->n_rows < a->room) return DMC_OK;
    DMC_TRY(DMC_NEW(a->alloc, room, &more));
    if (a->n_rows) memcpy(more, a->rows, a->n_rows * sizeof *more);
    DMC_FREE(a->alloc, a->rows, a->room);
    a->rows = more;
    a->room = room;
    return DMC_OK;
}

static dmc__ledger_row new_row(const run *r, int32_t event)
{
    const dmc__align *a = r->a;
    dmc__ledger_row row = {.event = event, .stage = a->place, .turn = a->turn, .pass = a->pass, .update = r->update,
                           .updates = r->stage->updates, .finite = 1, .score = NAN, .se = NAN, .diff = NAN, .diff_se = NAN,
                           .foundation = a->foundation_scores.mean, .seconds = seconds_since(r->began), .seed = a->config.seed,
                           .draws = a->draws};
    for (int32_t i = 0; i < DMC__METRICS; i++) row.metric[i] = NAN;
    return row;
}

static dmc_status weights_hash(const run *r, uint64_t *out)
{
    DMC_TRY(dmc__learner_get(r->stage->learner, r->now));
    *out = dmc__hash(r->now, r->n * sizeof *r->now);
    return DMC_OK;
}

/* ---- what is decided is done ------------------------------------------------------------------------ */

/* Back to exactly the best weights. */
static dmc_status roll_back(run *r)
{
    dmc__align *a = r->a;
    a->lr_scale = r->d.lr_scale;
    r->result->rollbacks++;
    r->watch = (dmc__watch){0};
    if (r->stage->tighten) r->stage->tighten(r->stage->self);
    dmc__log_line(a->log, DMC__LOG_WARN, "%s: %s at update %d: best weights restored, learning rate x %g", r->stage->name,
                  r->d.why == DMC__WHY_NOT_FINITE ? dmc_last_error() : dmc__why_name(r->d.why), r->update, a->lr_scale);
    DMC_TRY(dmc__learner_set(r->stage->learner, r->best));
    return dmc__learner_reset_moments(r->stage->learner);
}

static void warn(run *r)
{
    r->result->warnings++;
    if (r->stage->caution) r->stage->caution(r->stage->self);
    dmc__log_line(r->a->log, DMC__LOG_INFO, "%s: %s at update %d", r->stage->name, dmc__why_name(r->d.why), r->update);
}

static dmc_status keep_best(run *r)
{
    r->note.best = r->scores.mean;
    memcpy(r->best_metric, r->row.metric, sizeof r->best_metric);
    DMC_TRY(dmc__scores_copy(r->a->alloc, &r->scores, &r->best_scores));
    return dmc__learner_get(r->stage->learner, r->best);
}

/* The present weights stay although others scored higher: to the end of the stage they are its best. */
static dmc_status accept(run *r)
{
    r->d.best = 1;
    return keep_best(r);
}

static dmc_status carry_out(run *r)
{
    if (r->d.best) DMC_TRY(keep_best(r));
    if (r->d.warn) warn(r);
    if (r->d.plateau && r->stage->plateau) r->stage->plateau(r->stage->self);
    if (r->d.roll_back) DMC_TRY(roll_back(r));
    return r->d.end && r->d.accept && !r->d.best ? accept(r) : DMC_OK;
}

static dmc_status tell(run *r)
{
    const dmc__align *a = r->a;
    dmc__align_record record = {.stage = r->stage->name, .control = &r->control, .row = &r->row, .decision = &r->d};
    if (!a->hooks.record) return DMC_OK;
    record.at = a->n_rows - 1;
    record.best = dmc__hash(r->best, r->n * sizeof *r->best);
    DMC_TRY(weights_hash(r, &record.after));
    return a->hooks.record(a->hooks.user, &record);
}

/* Write r->row, ask the controller, obey. */
static dmc_status settle(run *r)
{
    dmc__align *a = r->a;
    DMC_TRY(make_room(a));
    if (a->hooks.record) DMC_TRY(weights_hash(r, &r->row.weights));
    a->rows[a->n_rows++] = r->row;
    r->d = dmc__control_decide(&r->control, a->rows, a->n_rows);
    r->note.lr_scale = r->d.lr_scale;
    DMC_TRY(carry_out(r));
    return tell(r);
}

/* ---- measuring -------------------------------------------------------------------------------------- */

/* What is measured besides the score, of the adapter: a cascade has no such reference. */
static dmc_status measure_more(run *r)
{
    dmc__align *a = r->a;
    if (r->stage->learner != a->learner) return DMC_OK;
    if (!a->metrics) DMC_TRY(dmc__metrics_create(a, &a->metrics));
    dmc__metrics_unlikely_limits(a->metrics, &r->control.unlikely_warn, &r->control.unlikely_limit);
    return dmc__metrics_measure(a->metrics, r->row.metric);
}

/* Score of the present weights; one that is not finite is a collapse, not an error. */
static dmc_status measure(run *r, int32_t event)
{
    dmc__ledger_row *row = &r->row;
    dmc_status status = dmc__align_scores(r->a, &r->scores);
    *row = new_row(r, event);
    if (status >= 0) status = measure_more(r);
    if (status == DMC_ENUMERIC && event == DMC__EVENT_EVALUATION) {
        row->finite = 0;
        return DMC_OK;
    }
    DMC_TRY(status);
    row->score = r->note.score = r->scores.mean;
    row->se = r->scores.se;
    dmc__scores_diff(&r->scores, event == DMC__EVENT_START ? &r->scores : &r->best_scores, &row->diff, &row->diff_se);
    for (int32_t i = 0; i < DMC__METRICS; i++)
        if (i != DMC__METRIC_LOSS && i != DMC__METRIC_NORM) r->note.metric[i] = row->metric[i];
    return DMC_OK;
}

static dmc_status evaluate(run *r)
{
    DMC_TRY(measure(r, DMC__EVENT_EVALUATION));
    return settle(r);
}

/* An update that is not finite, or whose loss or gradient is far from those before, is told to the controller. */
static dmc_status watch_update(run *r, dmc_status status)
{
    double loss_z = NAN, norm_ratio = NAN;
    r->note.norm = dmc__learner_norm(r->stage->learner);
    if (status >= 0) dmc__watch_update(&r->watch, r->note.loss, r->note.norm, &loss_z, &norm_ratio);
    r->row = new_row(r, DMC__EVENT_UPDATE);
    r->row.finite = status >= 0;
    r->row.metric[DMC__METRIC_LOSS] = r->note.metric[DMC__METRIC_LOSS] = loss_z;
    r->row.metric[DMC__METRIC_NORM] = r->note.metric[DMC__METRIC_NORM] = norm_ratio;
    r->d.roll_back = 0;
    return dmc__control_tells(&r->row) ? settle(r) : DMC_OK;
}

static dmc_status advance(run *r)
{
    const int32_t u = r->update++;
    r->note.update = r->update;
    const dmc_status status = r->stage->update(r->stage->self, u, &r->note);
    if (status != DMC_ENUMERIC) DMC_TRY(status);
    r->result->updates += status >= 0;
    DMC_TRY(watch_update(r, status));
    if (r->d.roll_back) return DMC_OK;
    return r->update % r->a->config.eval_every == 0 || r->update == r->stage->updates ? evaluate(r) : DMC_OK;
}

static int32_t report(run *r)
{
    r->note.seconds = seconds_since(r->began);
    return r->a->hooks.progress ? r->a->hooks.progress(r->a->hooks.user, &r->note) : 0;
}

/* ---- a stage ---------------------------------------------------------------------------------------- */

static dmc_status allocate(run *r)
{
    r->n = dmc__learner_elems(r->stage->learner);
    DMC_TRY(DMC_NEW(r->a->alloc, r->n, &r->best));
    DMC_TRY(DMC_NEW(r->a->alloc, r->n, &r->now));
    return dmc__learner_get(r->stage->learner, r->best);
}

static void run_free(run *r)
{
    DMC_FREE(r->a->alloc, r->best, r->n);
    DMC_FREE(r->a->alloc, r->now, r->n);
    dmc__scores_free(r->a->alloc, &r->best_scores);
    dmc__scores_free(r->a->alloc, &r->scores);
}

static dmc__control control_of(const dmc__align *a)
{
    dmc__control c = a->control;
    c.converge = a->config.converge;
    c.accept = a->config.accept;
    c.guard = a->config.guard;
    c.kl_limit = a->config.kl_limit;
    c.unlikely_warn = c.unlikely_limit = INFINITY;
    return c;
}

/* What the foundation scores, which is what the first stage begins with. */
static dmc_status know_foundation(run *r)
{
    dmc__align *a = r->a;
    if (a->has_foundation) return DMC_OK;
    if (a->moved) DMC_TRY(dmc__align_foundation_scores(a, &a->foundation_scores));
    else DMC_TRY(dmc__scores_copy(a->alloc, &r->scores, &a->foundation_scores));
    a->has_foundation = 1;
    return DMC_OK;
}

/* The first stage of a pass, or a method alone. */
static int32_t begins_pass(const dmc__align *a)
{
    return a->n_rows == 0 || a->rows[a->n_rows - 1].pass != a->pass;
}

/* The rows of a stage that is begun anew, in all its parts. */
static void drop_turn(dmc__align *a)
{
    while (a->n_rows > 0 && a->rows[a->n_rows - 1].turn == a->turn) a->n_rows--;
}

static dmc_status start(run *r)
{
    dmc__align *a = r->a;
    DMC_TRY(dmc__learner_reset_moments(r->stage->learner));
    DMC_TRY(measure(r, DMC__EVENT_START));
    DMC_TRY(know_foundation(r));
    r->row.foundation = a->foundation_scores.mean;
    if (a->pass == 0) a->n_rows = 0;
    if (r->resumed) drop_turn(a);
    if (begins_pass(a)) DMC_TRY(dmc__scores_copy(a->alloc, &r->scores, &a->pass_scores));
    DMC_TRY(dmc__scores_copy(a->alloc, &r->scores, &r->best_scores));
    memcpy(r->best_metric, r->row.metric, sizeof r->best_metric);
    r->result->before = r->note.best = r->scores.mean;
    r->result->before_se = r->scores.se;
    a->lr_scale = 1;
    return settle(r);
}

/* A run can only go on as what it was. */
static dmc_status check_pause(const run *r)
{
    const dmc__pause *p = r->a->pause;
    if (strcmp(p->method, r->stage->name) != 0 || p->updates != r->stage->updates || p->pass != r->a->pass ||
        p->place != r->a->place)
        return dmc__fail(DMC_ESTATE, "dmc_align_%s: the checkpoint is of %s of %d updates, pass %d, this is %s of %d in %d",
                         r->stage->name, p->method, p->updates, p->pass, r->stage->name, r->stage->updates, r->a->pass);
    if (p->update == 0 || (r->stage->load && p->n == r->n)) return DMC_OK;
    return dmc__fail(DMC_ESHAPE, "dmc_align_%s: the checkpoint has %zu weights that learn, the aligner %zu", r->stage->name, p->n,
                     r->n);
}

static void take_note(run *r, const dmc__pause *p)
{
    r->note.update = p->update;
    r->note.loss = p->loss;
    r->note.kl = p->kl;
    r->note.reward = p->reward;
    r->note.norm = p->norm;
    r->note.score = p->score;
    r->note.best = p->best_scores.mean;
    r->note.lr_scale = p->lr_scale;
    memcpy(r->note.metric, p->metric, sizeof p->metric);
}

/* In the middle of the stage: the method was made from what the stage began with, now it learns what it knew. */
static dmc_status go_on(run *r)
{
    dmc__align *a = r->a;
    const dmc__pause *p = a->pause;
    DMC_TRY(r->stage->load(r->stage->self, p->state, p->n_state));
    DMC_TRY(dmc__learner_set(r->stage->learner, p->now));
    DMC_TRY(dmc__learner_set_state(r->stage->learner, p->moments, NULL, p->step));
    memcpy(r->best, p->best, r->n * sizeof *r->best);
    memcpy(r->best_metric, p->best_metric, sizeof r->best_metric);
    DMC_TRY(dmc__scores_copy(a->alloc, &p->best_scores, &r->best_scores));
    take_note(r, p);
    r->watch = p->watch;
    *r->result = p->result;
    r->update = p->update;
    r->began -= (int64_t)(p->seconds * 1e9);
    a->draws = p->draws;
    a->lr_scale = p->lr_scale;
    r->d = dmc__control_decide(&r->control, a->rows, a->n_rows);
    r->d.end = DMC__END_NOT;
    return DMC_OK;
}

static dmc_status begin(run *r)
{
    r->began = dmc__clock_ns();
    r->control = control_of(r->a);
    r->note = (dmc__align_note){.stage = r->stage->name, .updates = r->stage->updates, .pass = r->a->pass, .loss = NAN, .kl = NAN,
                                .reward = NAN, .norm = NAN, .lr_scale = 1};
    r->note.clip_share = r->note.ratio_max = r->note.entropy = r->note.spread = NAN;
    r->note.accuracy = r->note.error_ratio = NAN;
    for (int32_t i = 0; i < DMC__METRICS; i++) r->note.metric[i] = NAN;
    DMC_TRY(allocate(r));
    if (r->a->parts++ == 0) r->a->entry_updates = r->stage->updates;
    if (!r->a->resuming) return start(r);
    DMC_TRY(check_pause(r));
    r->a->resuming = 0;
    r->resumed = 1;
    return r->a->pause->update > 0 ? go_on(r) : start(r);
}

/* ---- a stop ----------------------------------------------------------------------------------------- */

/* The middle of the stage: what the driver and the method know. */
static dmc_status take_middle(const run *r, dmc__pause *p)
{
    const dmc__align *a = r->a;
    p->n = r->n;
    p->n_state = r->stage->state_size ? r->stage->state_size(r->stage->self) : 0;
    DMC_TRY(DMC_NEW(a->alloc, r->n, &p->now));
    DMC_TRY(DMC_NEW(a->alloc, r->n, &p->best));
    DMC_TRY(DMC_NEW(a->alloc, 2 * r->n, &p->moments));
    DMC_TRY(DMC_NEW(a->alloc, p->n_state, &p->state));
    DMC_TRY(r->stage->save(r->stage->self, p->state));
    DMC_TRY(dmc__learner_get(r->stage->learner, p->now));
    DMC_TRY(dmc__learner_get_state(r->stage->learner, p->moments, NULL, &p->step));
    memcpy(p->best, r->best, r->n * sizeof *p->best);
    memcpy(p->metric, r->note.metric, sizeof p->metric);
    memcpy(p->best_metric, r->best_metric, sizeof p->best_metric);
    p->update = r->update;
    p->draws = a->draws;
    p->seconds = seconds_since(r->began);
    p->lr_scale = a->lr_scale;
    p->loss = r->note.loss;
    p->kl = r->note.kl;
    p->reward = r->note.reward;
    p->norm = r->note.norm;
    p->score = r->note.score;
    p->watch = r->watch;
    p->result = *r->result;
    p->result.stopped = 0;
    return dmc__scores_copy(a->alloc, &r->best_scores, &p->best_scores);
}

static dmc_status take_pause(const run *r, dmc__pause *p)
{
    const dmc__align *a = r->a;
    snprintf(p->method, sizeof p->method, "%s", r->stage->name);
    p->pass = a->pass;
    p->place = a->place;
    p->turn = a->turn;
    p->updates = a->entry_updates;
    p->total = a->total;
    p->entry = a->entry_draws;
    p->n_start = dmc__learner_elems(a->learner);
    DMC_TRY(DMC_NEW(a->alloc, p->n_start, &p->start));
    memcpy(p->start, a->entry, p->n_start * sizeof *p->start);
    return r->stage->save && r->stage->learner == a->learner && a->parts == 1 ? take_middle(r, p) : DMC_OK;
}

dmc_status dmc__stage_pause(dmc__align *a)
{
    if (!a->pause) DMC_TRY(DMC_NEW(a->alloc, 1, &a->pause));
    else if (!a->running) return DMC_OK;
    dmc__pause_free(a->alloc, a->pause);
    return a->running ? take_pause(a->running, a->pause) : DMC_OK;
}

/* ---- the end of a stage ----------------------------------------------------------------------------- */

/* The last row: what the stage leaves. */
static dmc_status conclude(run *r)
{
    const int32_t end = r->d.end;
    r->row = new_row(r, DMC__EVENT_END);
    memcpy(r->row.metric, r->best_metric, sizeof r->row.metric);
    r->row.score = r->best_scores.mean;
    r->row.se = r->best_scores.se;
    dmc__scores_diff(&r->best_scores, &r->a->pass_scores, &r->row.diff, &r->row.diff_se);
    DMC_TRY(settle(r));
    r->result->next = r->d.next;
    r->result->next_pass = r->d.pass;
    r->result->end = end;
    return DMC_OK;
}

static dmc_status finish(run *r)
{
    const int32_t strikes = r->d.strikes;
    DMC_TRY(dmc__learner_set(r->stage->learner, r->best));
    DMC_TRY(dmc__learner_reset_moments(r->stage->learner));
    r->a->lr_scale = 1;
    r->result->after = r->best_scores.mean;
    r->result->after_se = r->best_scores.se;
    r->result->accepted = r->result->after > r->result->before;
    r->result->kl = r->stage->learner == r->a->learner ? r->best_metric[DMC__METRIC_KL] : 0;
    if (!r->result->stopped) DMC_TRY(conclude(r));
    memcpy(r->result->metric, r->best_metric, sizeof r->best_metric);
    r->result->seconds = seconds_since(r->began);
    if (r->result->updates == 0 && r->result->end == DMC__END_STRIKES)
        return dmc__fail(DMC_EDIVERGED, "dmc_align_%s: %d collapses and not one good update: the starting weights are restored",
                         r->stage->name, strikes);
    return DMC_OK;
}

static dmc_status train(run *r)
{
    while (!r->d.end && r->update < r->stage->updates) {
        DMC_TRY(advance(r));
        if (report(r) == 0) continue;
        r->result->stopped = 1;
        return dmc__stage_pause(r->a);
    }
    return DMC_OK;
}

dmc_status dmc__stage_run(dmc__align *a, const dmc__stage *s, dmc__align_result *result)
{
    run r = {.a = a, .stage = s, .result = result};
    *result = (dmc__align_result){.next = -1};
    dmc_status status = begin(&r);
    a->moved = 1;
    a->running = &r;
    if (status >= 0) status = train(&r);
    a->running = NULL;
    if (status >= 0) status = finish(&r);
    else if (r.best && dmc__learner_set(s->learner, r.best) < 0)
        dmc__log_line(a->log, DMC__LOG_ERROR, "%s: the starting weights could not be restored", s->name);
    run_free(&r);
    if (status < 0) return status;
    return result->stopped ? DMC_STOPPED : DMC_OK;
}
