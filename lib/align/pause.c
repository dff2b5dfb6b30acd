/* pause.c — numbers on a tape: one list of fields, walked to count, to write and to read. */
#include "pause.h"

#include <string.h>

void dmc__pause_free(const dmc__allocator *a, dmc__pause *p)
{
    dmc__scores_free(a, &p->best_scores);
    DMC_FREE(a, p->start, p->n_start);
    DMC_FREE(a, p->now, p->n);
    DMC_FREE(a, p->best, p->n);
    DMC_FREE(a, p->moments, 2 * p->n);
    DMC_FREE(a, p->state, p->n_state);
    *p = (dmc__pause){0};
}

/* ---- the tape --------------------------------------------------------------------------------------- */

typedef struct tape {
    double *word;                /* NULL: only count */
    size_t at, n;
    int32_t reading, bad;        /* bad: it ended too early, or holds no words */
} tape;

static const double two32 = 4294967296.0;

static uint64_t take_word(tape *t, double v)
{
    if (!(v >= 0 && v < two32)) t->bad = 1;
    return t->bad ? 0 : (uint64_t)v;
}

static void put64(tape *t, uint64_t *v)
{
    const size_t at = t->at;
    t->at += 2;
    if (t->reading) {
        if (t->at > t->n) t->bad = 1;
        else *v = take_word(t, t->word[at]) << 32 | take_word(t, t->word[at + 1]);
    } else if (t->word) {
        t->word[at] = (double)(*v >> 32);
        t->word[at + 1] = (double)(*v & UINT32_MAX);
    }
}

static void put_real(tape *t, double *v)
{
    uint64_t bits;
    memcpy(&bits, v, sizeof bits);
    put64(t, &bits);
    memcpy(v, &bits, sizeof bits);
}

static void put_int(tape *t, int32_t *v)
{
    uint64_t bits = (uint32_t)*v;
    put64(t, &bits);
    *v = (int32_t)(uint32_t)bits;
}

static void put_size(tape *t, size_t *v)
{
    uint64_t bits = *v;
    put64(t, &bits);
    *v = (size_t)bits;
}

static void put_reals(tape *t, double *v, size_t n)
{
    for (size_t i = 0; i < n && !t->bad; i++) put_real(t, v + i);
}

static void put_ints(tape *t, int32_t *const *v, size_t n)
{
    for (size_t i = 0; i < n; i++) put_int(t, v[i]);
}

/* ---- what is on it ---------------------------------------------------------------------------------- */

static void put_result(tape *t, dmc__align_result *r)
{
    int32_t *const whole[] = {&r->updates,  &r->rollbacks, &r->accepted, &r->stopped,
                              &r->warnings, &r->end,       &r->next,     &r->next_pass};
    double *const real[] = {&r->before, &r->after, &r->before_se, &r->after_se, &r->kl, &r->seconds};
    put_ints(t, whole, sizeof whole / sizeof *whole);
    for (size_t i = 0; i < sizeof real / sizeof *real; i++) put_real(t, real[i]);
    put_reals(t, r->metric, DMC__METRICS);
}

static void put_row(tape *t, dmc__ledger_row *r)
{
    int32_t *const whole[] = {&r->event, &r->stage, &r->turn, &r->pass, &r->update, &r->updates, &r->finite};
    double *const real[] = {&r->score, &r->se, &r->foundation, &r->diff, &r->diff_se, &r->seconds};
    put_ints(t, whole, sizeof whole / sizeof *whole);
    for (size_t i = 0; i < sizeof real / sizeof *real; i++) put_real(t, real[i]);
    put_reals(t, r->metric, DMC__METRICS);
    put64(t, &r->seed);
    put64(t, &r->draws);
    put64(t, &r->weights);
}

/* A count that what is left of the tape can hold. */
static int32_t fits(tape *t, size_t n)
{
    if (t->reading && n > t->n) t->bad = 1;
    return !t->bad;
}

static dmc_status put_scores(tape *t, const dmc__allocator *a, dmc__scores *s)
{
    int32_t n = s->n;
    put_int(t, &n);
    if (n < 0 || !fits(t, (size_t)n)) t->bad = 1;
    if (t->bad) return DMC_OK;
    if (t->reading) {
        dmc__scores_free(a, s);
        DMC_TRY(dmc__scores_make(a, n, s));
    }
    put_real(t, &s->mean);
    put_real(t, &s->se);
    put_reals(t, s->value, (size_t)n);
    return DMC_OK;
}

static dmc_status put_rows(tape *t, dmc__align *a)
{
    size_t n = a->n_rows;
    put_size(t, &n);
    if (!fits(t, n)) return DMC_OK;
    if (t->reading) {
        DMC_FREE(a->alloc, a->rows, a->room);
        a->rows = NULL;
        a->n_rows = a->room = 0;
        if (n) DMC_TRY(DMC_NEW(a->alloc, n, &a->rows));
        a->n_rows = a->room = n;
    }
    for (size_t i = 0; i < n && !t->bad; i++) put_row(t, a->rows + i);
    return DMC_OK;
}

static void put_method(tape *t, char method[16])
{
    uint64_t half[2];
    memcpy(half, method, sizeof half);
    put64(t, &half[0]);
    put64(t, &half[1]);
    memcpy(method, half, sizeof half);
    method[15] = '\0';
}

static void put_pause(tape *t, dmc__pause *p)
{
    int32_t *const whole[] = {&p->pass, &p->place, &p->turn, &p->updates, &p->update};
    double *const real[] = {&p->seconds, &p->lr_scale, &p->loss, &p->kl, &p->reward, &p->norm, &p->score, &p->watch.seen};
    uint64_t step = (uint64_t)p->step;
    put_method(t, p->method);
    put_ints(t, whole, sizeof whole / sizeof *whole);
    put64(t, &p->entry);
    put64(t, &p->draws);
    put64(t, &step);
    p->step = (int64_t)step;
    for (size_t i = 0; i < sizeof real / sizeof *real; i++) put_real(t, real[i]);
    put_reals(t, p->metric, DMC__METRICS);
    put_reals(t, p->best_metric, DMC__METRICS);
    put_reals(t, p->watch.loss, DMC__WATCH_UPDATES);
    put_reals(t, p->watch.norm, DMC__WATCH_UPDATES);
    put_result(t, &p->result);
    put_result(t, &p->total);
    put_size(t, &p->n_start);
    put_size(t, &p->n);
    put_size(t, &p->n_state);
}

static dmc_status put_all(tape *t, dmc__align *a, dmc__pause *p)
{
    put_pause(t, p);
    put64(t, &a->draws);
    put_int(t, &a->moved);
    put_int(t, &a->has_foundation);
    DMC_TRY(put_scores(t, a->alloc, &p->best_scores));
    DMC_TRY(put_scores(t, a->alloc, &a->foundation_scores));
    DMC_TRY(put_scores(t, a->alloc, &a->pass_scores));
    return put_rows(t, a);
}

/* ---- writing and reading ---------------------------------------------------------------------------- */

/* Neither counting nor writing changes what is walked. */
dmc_status dmc__pause_write(const dmc__align *a, const dmc__pause *p, double **word, size_t *n)
{
    dmc__align *const walked = (dmc__align *)(uintptr_t)a;
    dmc__pause *const pause = (dmc__pause *)(uintptr_t)p;
    tape t = {0};
    DMC_TRY(put_all(&t, walked, pause));
    *n = t.at;
    DMC_TRY(DMC_NEW(a->alloc, t.at, word));
    t = (tape){.word = *word, .n = *n};
    return put_all(&t, walked, pause);
}

/* Into a shadow of the aligner, which takes its place if all is well. */
dmc_status dmc__pause_read(dmc__align *a, dmc__pause *p, const double *word, size_t n)
{
    dmc__align shadow = {.alloc = a->alloc};
    tape t = {.word = (double *)(uintptr_t)word, .n = n, .reading = 1};
    dmc_status status = put_all(&t, &shadow, p);
    if (status >= 0 && (t.bad || t.at != n))
        status = dmc__fail(DMC_EFORMAT, "the checkpoint's numbers do not end where they should (%zu of %zu)", t.at, n);
    dmc__align *const old = status < 0 ? &shadow : a;
    dmc__scores_free(a->alloc, &old->foundation_scores);
    dmc__scores_free(a->alloc, &old->pass_scores);
    DMC_FREE(a->alloc, old->rows, old->room);
    if (status < 0) return status;
    a->draws = shadow.draws;
    a->moved = shadow.moved;
    a->has_foundation = shadow.has_foundation;
    a->foundation_scores = shadow.foundation_scores;
    a->pass_scores = shadow.pass_scores;
    a->rows = shadow.rows;
    a->n_rows = shadow.n_rows;
    a->room = shadow.room;
    return DMC_OK;
}
