/* controller.c — the rules of methods.md 6, folded over the rows of a stage. Host arithmetic alone: nothing is kept. */
#include "controller.h"

#include <math.h>

enum { STRIKES = 3, BAD_SCORES = 2, LOUD_UPDATES = 2, WINDOW = 5, NO_BEST = 3, FLAT = 2, LEAST_EVALUATIONS = 3 };

static const double loud_loss = 8, loud_norm = 20, kl_factor = 5, spread_least = 0.05,
                    disagreement_most = 3, lr_least = 1.0 / 16;

/* What the rows of a stage so far amount to. */
typedef struct trace {
    const dmc__ledger_row *start;
    double best;                 /* score */
    double window[WINDOW];       /* the last scores since the start or a roll-back, newest last */
    double last, lr_scale;       /* score before; rate */
    int32_t scores, since_best;  /* in a row: evaluations since then, without a new best */
    int32_t bad, loud, loud_at;  /* in a row: fallen scores, loud losses; update of the last of those */
    int32_t strikes, flat;       /* in a row: evaluations without a new best since the last plateau */
} trace;

static trace begin(const dmc__ledger_row *start)
{
    return (trace){.start = start, .best = start->score, .last = start->score, .lr_scale = 1};
}

/* ---- collapse and warnings -------------------------------------------------------------------------- */

/* A loss may jump once; twice in a row is a collapse. */
static int32_t is_loud(trace *t, const dmc__ledger_row *r)
{
    if (!(r->metric[DMC__METRIC_LOSS] > loud_loss)) return 0;
    t->loud = t->loud > 0 && r->update == t->loud_at + 1 ? t->loud + 1 : 1;
    t->loud_at = r->update;
    return t->loud >= LOUD_UPDATES;
}

static int32_t collapse_of_update(const dmc__control *c, trace *t, const dmc__ledger_row *r)
{
    if (!r->finite) return DMC__WHY_NOT_FINITE;
    if (!c->guard) return DMC__WHY_NOTHING;
    if (is_loud(t, r)) return DMC__WHY_LOSS;
    return r->metric[DMC__METRIC_NORM] > loud_norm ? DMC__WHY_NORM : DMC__WHY_NOTHING;
}

/* A score below the best by more than chance, and by a share of what was gained, twice in a row. */
static int32_t has_fallen(trace *t, const dmc__ledger_row *r)
{
    const double slack = fmax(2 * r->diff_se, 0.1 * fabs(t->best - r->foundation));
    t->bad = r->diff < -slack ? t->bad + 1 : 0;
    return t->bad >= BAD_SCORES;
}

/* Beyond a limit that the stage did not begin beyond. Comparisons with NaN are false: what is unknown accuses nobody. */
static int32_t passed(const trace *t, const dmc__ledger_row *r, int32_t metric, double limit)
{
    return r->metric[metric] > limit && !(t->start->metric[metric] > limit);
}

static int32_t collapse_of_score(const dmc__control *c, trace *t, const dmc__ledger_row *r)
{
    if (!r->finite) return DMC__WHY_NOT_FINITE;
    if (has_fallen(t, r)) return DMC__WHY_SCORE;
    if (c->kl_limit > 0 && passed(t, r, DMC__METRIC_KL, kl_factor * c->kl_limit)) return DMC__WHY_KL;
    if (!c->guard) return DMC__WHY_NOTHING;
    if (passed(t, r, DMC__METRIC_UNLIKELY, c->unlikely_limit)) return DMC__WHY_UNLIKELY;
    if (r->metric[DMC__METRIC_SPREAD] < spread_least && r->score < t->last) return DMC__WHY_SPREAD;
    return passed(t, r, DMC__METRIC_DISAGREEMENT, disagreement_most) ? DMC__WHY_DISAGREEMENT : DMC__WHY_NOTHING;
}

static int32_t warning(const dmc__control *c, const dmc__ledger_row *r)
{
    if (c->kl_limit > 0 && r->metric[DMC__METRIC_KL] > c->kl_limit) return DMC__WHY_KL_HIGH;
    return c->guard && r->metric[DMC__METRIC_UNLIKELY] > c->unlikely_warn ? DMC__WHY_UNLIKELY_HIGH : DMC__WHY_NOTHING;
}

static void strike(trace *t, dmc__decision *d, int32_t why, int32_t last)
{
    t->bad = t->loud = t->scores = t->since_best = t->flat = 0;
    t->strikes++;
    t->lr_scale = fmax(t->lr_scale / 2, lr_least);
    t->last = t->best;
    d->roll_back = 1;
    d->why = why;
    if (last) d->end = DMC__END_BUDGET;
    if (t->strikes >= STRIKES) d->end = DMC__END_STRIKES;
}

/* ---- the end of a stage ----------------------------------------------------------------------------- */

static void remember(trace *t, double score)
{
    for (int32_t i = 1; i < WINDOW; i++) t->window[i - 1] = t->window[i];
    t->window[WINDOW - 1] = score;
    t->last = score;
    t->scores++;
}

/* Slope of the least squares line through the last n scores, per evaluation. */
static double slope(const double *y, int32_t n)
{
    const double middle = (n - 1) / 2.0;
    double xy = 0, xx = 0;
    for (int32_t i = 0; i < n; i++) {
        xy += (i - middle) * y[i];
        xx += (i - middle) * (i - middle);
    }
    return xy / xx;
}

static int32_t has_converged(const trace *t, const dmc__ledger_row *r)
{
    const int32_t n = t->scores < WINDOW ? t->scores : WINDOW;
    if (n < LEAST_EVALUATIONS || t->since_best < NO_BEST) return 0;
    const double gain = fabs(t->best - r->foundation), least = fmax(r->diff_se, 0.01 * gain + 1e-6);
    return slope(t->window + WINDOW - n, n) * WINDOW < least;
}

/* Never weights that score below those the stage began with. */
static int32_t may_stay(const dmc__control *c, const trace *t, const dmc__ledger_row *r, int32_t best)
{
    return best || (c->accept && r->score >= t->start->score && r->diff >= -r->diff_se);
}

/* ---- the decisions ---------------------------------------------------------------------------------- */

static dmc__decision on_update(const dmc__control *c, trace *t, const dmc__ledger_row *r)
{
    dmc__decision d = {.next = -1};
    const int32_t why = collapse_of_update(c, t, r);
    if (why) strike(t, &d, why, r->update >= r->updates);
    return d;
}

static dmc__decision on_score(const dmc__control *c, trace *t, const dmc__ledger_row *r)
{
    dmc__decision d = {.next = -1};
    const int32_t why = collapse_of_score(c, t, r);
    if (why) {
        strike(t, &d, why, r->update >= r->updates);
        return d;
    }
    d.best = r->score > t->best;
    d.why = warning(c, r);
    d.warn = d.why != DMC__WHY_NOTHING;
    if (d.best) t->best = r->score;
    t->since_best = d.best ? 0 : t->since_best + 1;
    t->flat = d.best ? 0 : t->flat + 1;
    d.plateau = t->flat >= FLAT;
    if (d.plateau) t->flat = 0;
    remember(t, r->score);
    if (r->update >= r->updates) d.end = DMC__END_BUDGET;
    if (c->converge && has_converged(t, r)) d.end = DMC__END_CONVERGED;
    d.accept = d.end && may_stay(c, t, r, d.best);
    return d;
}

/* The last START at or before row i. */
static size_t start_of(const dmc__ledger_row *row, size_t i)
{
    while (i > 0 && row[i].event != DMC__EVENT_START) i--;
    return i;
}

/* ---- what comes after a stage ----------------------------------------------------------------------- */

/* Gain per second of the turn that ends in row `end`, all its parts. */
static double rate_of_turn(const dmc__ledger_row *row, size_t end)
{
    double seconds = 0;
    size_t first = end;
    for (size_t i = end + 1; i-- > 0 && row[i].turn == row[end].turn;) {
        if (row[i].event == DMC__EVENT_END) seconds += row[i].seconds;
        first = i;
    }
    return (row[end].score - row[first].score) / fmax(seconds, 1e-6);
}

/* Of the last turn of a stage; *when: its row. */
static double rate_of(const dmc__ledger_row *row, size_t n, int32_t stage, size_t *when)
{
    for (size_t i = n; i-- > 0;) {
        if (row[i].event != DMC__EVENT_END || row[i].stage != stage) continue;
        *when = i;
        return rate_of_turn(row, i);
    }
    *when = 0;
    return 0;
}

/* The stage that gained most per second when it ran last; where none gains, the one that has waited longest. */
static int32_t best_arm(const dmc__control *c, const dmc__ledger_row *row, size_t n)
{
    int32_t fastest = 0, oldest = 0;
    double most = 0;
    size_t earliest = n;
    for (int32_t s = 0; s < c->stages; s++) {
        size_t when;
        const double rate = rate_of(row, n, s, &when);
        if (rate > most) {
            most = rate;
            fastest = s;
        }
        if (when < earliest) {
            earliest = when;
            oldest = s;
        }
    }
    return most > 0 ? fastest : oldest;
}

/* Turns of a pass that came to an end. */
static int32_t ends_in_pass(const dmc__ledger_row *row, size_t n, int32_t pass)
{
    int32_t count = 0, last = -1;
    for (size_t i = 0; i < n; i++) {
        if (row[i].event != DMC__EVENT_END || row[i].pass != pass) continue;
        count += row[i].turn != last;
        last = row[i].turn;
    }
    return count;
}

static dmc__decision on_end(const dmc__control *c, const dmc__ledger_row *row, size_t n)
{
    const dmc__ledger_row *r = row + n - 1;
    dmc__decision d = {.next = -1, .pass = r->pass, .lr_scale = 1};
    const int32_t done = ends_in_pass(row, n, r->pass), pass_over = done >= c->stages;
    const int32_t enough = r->diff < fmax(r->diff_se, 0.02 * (r->score - r->foundation));
    if (pass_over && (r->pass >= c->passes || enough)) return d;
    if (pass_over) d.pass++;
    d.next = c->automatic && d.pass > 1 ? best_arm(c, row, n) : pass_over ? 0 : done;
    return d;
}

int32_t dmc__control_tells(const dmc__ledger_row *r)
{
    return !r->finite || r->metric[DMC__METRIC_LOSS] > loud_loss || r->metric[DMC__METRIC_NORM] > loud_norm;
}

dmc__decision dmc__control_decide(const dmc__control *c, const dmc__ledger_row *row, size_t n)
{
    if (row[n - 1].event == DMC__EVENT_END) return on_end(c, row, n);
    const size_t first = start_of(row, n - 1);
    trace t = begin(row + first);
    dmc__decision d = {.next = -1};
    for (size_t i = first + 1; i < n; i++)
        d = row[i].event == DMC__EVENT_UPDATE ? on_update(c, &t, row + i) : on_score(c, &t, row + i);
    d.strikes = t.strikes;
    d.lr_scale = t.lr_scale;
    return d;
}

/* ---- names ------------------------------------------------------------------------------------------ */

const char *dmc__event_name(int32_t event)
{
    static const char *const name[DMC__EVENTS] = {"start", "update", "evaluation", "end"};
    return event >= 0 && event < DMC__EVENTS ? name[event] : NULL;
}

const char *dmc__metric_name(int32_t metric)
{
    static const char *const name[DMC__METRICS] = {"kl",     "unlikely",   "spread",       "coherency",
                                                   "loss_z", "norm_ratio", "disagreement", "entropy"};
    return metric >= 0 && metric < DMC__METRICS ? name[metric] : NULL;
}

const char *dmc__end_name(int32_t end)
{
    static const char *const name[DMC__ENDS] = {"", "budget", "converged", "strikes"};
    return end >= 0 && end < DMC__ENDS ? name[end] : NULL;
}

const char *dmc__why_name(int32_t why)
{
    static const char *const name[DMC__WHYS] = {
        "",
        "an update was not finite",
        "the loss jumped twice",
        "the gradient's norm jumped",
        "the score fell",
        "the KL divergence to the foundation passed its limit fivefold",
        "half of the samples are unlikely under the foundation",
        "candidates are all alike while the score falls",
        "the critics disagree on samples",
        "the KL divergence to the foundation passed its limit",
        "more samples than in data are unlikely under the foundation",
    };
    return why >= 0 && why < DMC__WHYS ? name[why] : NULL;
}
