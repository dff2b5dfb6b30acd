/* ledger_replay.h — a ledger read back: the controller must decide as it did, roll-backs must end in the best weights. */
#ifndef DMC_TESTS_LEDGER_REPLAY_H
#define DMC_TESTS_LEDGER_REPLAY_H

#include "align_fixture.h"

#include "../../lib/train/ledger.h"

enum { REPLAY_ROWS = 512 };

typedef struct replay {
    dmc__ledger_line line[REPLAY_ROWS];
    size_t n;
    int32_t roll_backs, warnings, ends, last_pass;
} replay;

static inline void replay_read(const bandit *b, const char *path, replay *r)
{
    dmc__ledger_line *line;
    ck_assert_msg(dmc__ledger_read(&b->aligner->ref.ctx->alloc, path, &line, &r->n) == DMC_OK, "%s", dmc_last_error());
    ck_assert_uint_le(r->n, REPLAY_ROWS);
    if (r->n) memcpy(r->line, line, r->n * sizeof *line);
    DMC_FREE(&b->aligner->ref.ctx->alloc, line, r->n);
}

static inline void same_decision(const dmc__decision *x, const dmc__decision *y, size_t i)
{
    ck_assert_msg(x->best == y->best && x->warn == y->warn && x->roll_back == y->roll_back && x->why == y->why &&
                      x->strikes == y->strikes &&
                      x->plateau == y->plateau && x->end == y->end && x->accept == y->accept && x->next == y->next &&
                      x->pass == y->pass && x->lr_scale == y->lr_scale,
                  "line %zu: another decision", i + 1);
}

/* Judge every row again by the rows of its run before it. */
static inline void replay_check(const bandit *b, const char *path, replay *r)
{
    static dmc__ledger_row row[REPLAY_ROWS];
    memset(r, 0, sizeof *r);
    replay_read(b, path, r);
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++) {
        const dmc__ledger_line *l = &r->line[i];
        n = l->at == 0 ? 0 : n;
        ck_assert_uint_eq(l->at, n);
        row[n++] = l->row;
        const dmc__decision d = dmc__control_decide(&l->control, row, n);
        same_decision(&d, &l->decision, i);
        r->roll_backs += d.roll_back;
        r->warnings += d.warn;
        r->ends += l->row.event == DMC__EVENT_END;
        r->last_pass = l->row.pass;
        if (d.roll_back) ck_assert_msg(l->after == l->best, "line %zu: not the best weights", i + 1);
    }
}

#endif
