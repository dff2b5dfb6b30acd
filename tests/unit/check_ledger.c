/* check_ledger.c — the ledger of a run: every line is read back as it was written, and leads to the same decisions. */
#include "ledger_replay.h"

Suite *dmc_suite_ledger(void);

static const char *const file = "build/check_ledger.jsonl";

/* Three short methods in passes. */
typedef struct plan {
    dmc_sequence_options q;
    dmc_rl_options rl;
    dmc_dpo_options dpo;
    dmc_sft_options sft;
} plan;

static plan short_plan(void)
{
    plan p;
    dmc_sequence_options_init(&p.q, sizeof p.q);
    dmc_rl_options_init(&p.rl, sizeof p.rl);
    dmc_dpo_options_init(&p.dpo, sizeof p.dpo);
    dmc_sft_options_init(&p.sft, sizeof p.sft);
    p.rl.updates = p.dpo.updates = p.sft.updates = 10;
    p.dpo.pool = p.sft.pool = 8;
    p.sft.conditions = 32;
    return p;
}

static dmc_status run_plan(const bandit *b, const plan *p, dmc_align_report *r)
{
    return dmc_align_sequence(b->aligner, &p->q, &p->rl, &p->dpo, &p->sft, NULL, r);
}

static void open_with_ledger(bandit *b)
{
    dmc_align_options o = bandit_options();
    o.eval_every = 5;
    remove(file);
    bandit_open(b, "cpu", 100, &o);
    ck_assert_int_eq(dmc_aligner_set_ledger(b->aligner, file), DMC_OK);
}

START_TEST(a_run_is_judged_again)
{
    static replay r;
    bandit b;
    plan p = short_plan();
    p.q.passes = 3;
    if (_i) p.q.order = "auto";
    dmc_align_report report = {.struct_size = sizeof report};
    open_with_ledger(&b);
    ck_assert_msg(run_plan(&b, &p, &report) == DMC_OK, "%s", dmc_last_error());
    replay_check(&b, file, &r);
    ck_assert_int_eq(r.ends, 3 * r.last_pass);
    ck_assert_int_eq(r.roll_backs, report.rollbacks);
    ck_assert_int_eq(r.warnings, report.warnings);
    const dmc__ledger_line *last = &r.line[r.n - 1];
    ck_assert_int_eq(last->row.event, DMC__EVENT_END);
    ck_assert_double_eq(last->row.score, report.after); /* to the last bit */
    ck_assert_double_eq(last->row.metric[DMC__METRIC_KL], report.kl);
    ck_assert_double_eq(r.line[0].row.score, report.before);
    bandit_close(&b);
    remove(file);
}
END_TEST

/* A second run goes on in the same file, and begins at 0 again; without a path nothing is written. */
START_TEST(runs_follow_each_other)
{
    static replay r;
    bandit b;
    plan p = short_plan();
    open_with_ledger(&b);
    ck_assert_int_eq(dmc_align_rl(b.aligner, &p.rl, NULL), DMC_OK);
    ck_assert_int_eq(dmc_align_dpo(b.aligner, &p.dpo, NULL), DMC_OK);
    replay_check(&b, file, &r);
    ck_assert_uint_eq(r.n, 8); /* start, 5, 10, end */
    ck_assert_int_eq(r.ends, 2);
    ck_assert_double_eq(r.line[0].row.foundation, r.line[4].row.foundation);
    ck_assert_uint_eq(r.line[3].after, r.line[4].row.weights); /* the second began with what the first left */
    ck_assert_int_eq(dmc_aligner_set_ledger(b.aligner, NULL), DMC_OK);
    ck_assert_int_eq(dmc_align_rl(b.aligner, &p.rl, NULL), DMC_OK);
    replay_read(&b, file, &r);
    ck_assert_uint_eq(r.n, 8);
    bandit_close(&b);
    remove(file);
}
END_TEST

static void append_text(const char *text)
{
    FILE *f = fopen(file, "a");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

/* An interrupted last line is left out, a damaged one is named. */
START_TEST(damage)
{
    static replay r;
    bandit b;
    dmc__ledger_line *line;
    size_t n;
    plan p = short_plan();
    open_with_ledger(&b);
    ck_assert_int_eq(dmc_align_rl(b.aligner, &p.rl, NULL), DMC_OK);
    append_text("{\"at\":4,\"meth");
    replay_read(&b, file, &r);
    ck_assert_uint_eq(r.n, 4);
    append_text("od\":1}\n");
    ck_assert_int_eq(dmc__ledger_read(&b.aligner->ref.ctx->alloc, file, &line, &n), DMC_EFORMAT);
    ck_assert_ptr_null(line);
    ck_assert_msg(strstr(dmc_last_error(), "line 5") != NULL, "%s", dmc_last_error());
    bandit_close(&b);
    remove(file);
}
END_TEST

START_TEST(a_place_that_cannot_be_written_ends_the_method)
{
    bandit b;
    plan p = short_plan();
    open_with_ledger(&b);
    ck_assert_int_eq(dmc_aligner_set_ledger(b.aligner, "build/no such folder/x"), DMC_OK);
    ck_assert_int_lt(dmc_align_rl(b.aligner, &p.rl, NULL), 0);
    ck_assert_msg(strstr(dmc_last_error(), "no such folder") != NULL, "%s", dmc_last_error());
    bandit_close(&b);
}
END_TEST

Suite *dmc_suite_ledger(void)
{
    Suite *s = suite_create("ledger");
    TCase *t = tcase_create("ledger");
    tcase_add_loop_test(t, a_run_is_judged_again, 0, 2);
    tcase_add_test(t, runs_follow_each_other);
    tcase_add_test(t, damage);
    tcase_add_test(t, a_place_that_cannot_be_written_ends_the_method);
    suite_add_tcase(s, t);
    return s;
}
