/* check_collapse.c — runs that go wrong on purpose (methods.md 6): caught within two evaluations, rolled back to exactly the best
 * weights, and ended no worse than the foundation. */
#include "follower.h"
#include "ledger_replay.h"

Suite *dmc_suite_collapse(void);

static const char *const file = "build/check_collapse.jsonl";

enum { EVERY = 10, UPDATES = 120, FAULT_AT = 45 };

/* The reward of the bandit, wrong from some number of gradients on. */
typedef struct fault {
    bandit b;
    int32_t gradients, from, until; /* updates that asked for a gradient; wrong in [from, until) */
    float offset, slope;            /* then */
    float nan;                      /* 1: the gradient is not a number */
    double lr_factor;               /* then, by the progress callback */
    int32_t update;
} fault;

/* -(z - 0.3)^2 */
static int32_t faulty_reward(void *user, size_t n, const float *z, const float *obs, float *r, float *grad)
{
    fault *f = user;
    (void)obs;
    const int32_t wrong = grad && f->gradients >= f->from && f->gradients < f->until;
    f->gradients += grad != NULL;
    for (size_t i = 0; i < n; i++) {
        const float away = z[i] - 0.3f;
        r[i] = -away * away + (wrong ? f->offset : 0);
        if (grad) grad[i] = wrong && f->nan > 0 ? NAN : -2 * away + (wrong ? f->slope : 0);
    }
    return 0;
}

static int32_t faulty_progress(void *user, const dmc_align_progress *p)
{
    fault *f = user;
    if (f->lr_factor > 0 && p->update == f->from) f->b.aligner->run->config.lr *= f->lr_factor;
    return 0;
}

static dmc_align_options options(void)
{
    dmc_align_options o = bandit_options();
    o.eval_every = EVERY;
    o.eval_conditions = 32;
    o.lr = 1e-3;
    o.guard = 1;
    return o;
}

static void open_fault(fault *f)
{
    const dmc_align_options o = options();
    remove(file);
    bandit_open(&f->b, "cpu", 300, &o);
    ck_assert_int_eq(dmc_aligner_set_reward(f->b.aligner, faulty_reward, f, 1), DMC_OK);
    ck_assert_int_eq(dmc_aligner_set_progress(f->b.aligner, faulty_progress, f), DMC_OK);
    ck_assert_int_eq(dmc_aligner_set_ledger(f->b.aligner, file), DMC_OK);
}

static dmc_rl_options rl_options(void)
{
    dmc_rl_options o;
    dmc_rl_options_init(&o, sizeof o);
    o.updates = UPDATES;
    o.kl = 0;
    return o;
}

/* Caught within two evaluations of update `from`, for this reason; nothing before. */
static void expect_caught(const replay *r, int32_t from, int32_t why)
{
    for (size_t i = 0; i < r->n; i++) {
        const dmc__ledger_line *l = &r->line[i];
        if (!l->decision.roll_back) continue;
        ck_assert_int_ge(l->row.update, from);
        ck_assert_msg(l->row.update <= from + 2 * EVERY, "at update %d", l->row.update);
        ck_assert_msg(l->decision.why == why, "%s", dmc__why_name(l->decision.why));
        return;
    }
    ck_abort_msg("no roll-back");
}

static void expect_no_worse(const dmc_align_report *r, const replay *p)
{
    ck_assert_double_ge(r->after, r->before);
    ck_assert_double_ge(r->after, p->line[0].row.foundation);
    const dmc__ledger_line *end = &p->line[p->n - 1];
    ck_assert_int_eq(end->row.event, DMC__EVENT_END);
    ck_assert_uint_eq(end->after, end->best);
}

static void run_rl(fault *f, const dmc_rl_options *o, replay *p, dmc_align_report *r)
{
    *r = (dmc_align_report){.struct_size = sizeof *r};
    ck_assert_msg(dmc_align_rl(f->b.aligner, o, r) == DMC_OK, "%s", dmc_last_error());
    replay_check(&f->b, file, p); /* every roll-back ended in the best weights, by hash */
    expect_no_worse(r, p);
}

/* Without a fault none of the rules says anything. */
START_TEST(a_healthy_run)
{
    static replay p;
    fault f = {0};
    const dmc_rl_options o = rl_options();
    dmc_align_report r;
    open_fault(&f);
    run_rl(&f, &o, &p, &r);
    ck_assert_int_eq(r.rollbacks, 0);
    ck_assert_msg(r.after > r.before + 0.05, "%g, then %g", r.before, r.after);
    bandit_close(&f.b);
}
END_TEST

/* One gradient is not a number: the run goes on. */
START_TEST(a_gradient_that_is_not_finite)
{
    static replay p;
    fault f = {.from = FAULT_AT, .until = FAULT_AT + 1, .nan = 1};
    const dmc_rl_options o = rl_options();
    dmc_align_report r;
    open_fault(&f);
    run_rl(&f, &o, &p, &r);
    expect_caught(&p, FAULT_AT, DMC__WHY_NOT_FINITE);
    ck_assert_int_eq(r.updates, UPDATES - 1);
    ck_assert_int_eq(r.end, DMC_ALIGN_DONE);
    ck_assert_double_gt(r.after, r.before);
    bandit_close(&f.b);
}
END_TEST

START_TEST(a_loss_that_spikes)
{
    static replay p;
    fault f = {.from = FAULT_AT, .until = FAULT_AT + 2, .offset = -100};
    const dmc_rl_options o = rl_options();
    dmc_align_report r;
    open_fault(&f);
    run_rl(&f, &o, &p, &r);
    expect_caught(&p, FAULT_AT, DMC__WHY_LOSS);
    ck_assert_int_eq(r.rollbacks, 1);
    ck_assert_int_eq(r.updates, UPDATES);
    ck_assert_double_gt(r.after, r.before);
    bandit_close(&f.b);
}
END_TEST

START_TEST(a_gradient_that_explodes)
{
    static replay p;
    fault f = {.from = FAULT_AT, .until = FAULT_AT + 1, .slope = 1000};
    const dmc_rl_options o = rl_options();
    dmc_align_report r;
    open_fault(&f);
    run_rl(&f, &o, &p, &r);
    expect_caught(&p, FAULT_AT, DMC__WHY_NORM);
    ck_assert_int_eq(r.rollbacks, 1);
    ck_assert_double_gt(r.after, r.before);
    bandit_close(&f.b);
}
END_TEST

/* A hundred times the learning rate, in the middle of the run. */
START_TEST(a_learning_rate_a_hundred_times_too_large)
{
    static replay p;
    fault f = {.from = FAULT_AT - 5, .until = UPDATES, .lr_factor = 100}; /* right after an evaluation */
    const dmc_rl_options o = rl_options();
    dmc_align_report r;
    open_fault(&f);
    run_rl(&f, &o, &p, &r);
    ck_assert_int_ge(r.rollbacks, 1);
    for (size_t i = 0; i < p.n; i++)
        if (p.line[i].decision.roll_back) {
            ck_assert_int_gt(p.line[i].row.update, f.from);
            ck_assert_msg(p.line[i].row.update <= f.from + 2 * EVERY, "at update %d", p.line[i].row.update);
            break;
        }
    ck_assert_double_gt(r.after, r.before);
    bandit_close(&f.b);
}
END_TEST

/* A reward that says nothing: no collapse, no change, and a run that may converge does so after three evaluations. */
START_TEST(a_reward_that_is_always_zero)
{
    static replay p;
    bandit b;
    dmc_align_options o = options();
    const dmc_rl_options rl = rl_options();
    dmc_align_report r = {.struct_size = sizeof r};
    o.converge = 1;
    remove(file);
    bandit_open(&b, "cpu", 300, &o);
    b.slope = 0;
    ck_assert_int_eq(dmc_aligner_set_ledger(b.aligner, file), DMC_OK);
    ck_assert_msg(dmc_align_rl(b.aligner, &rl, &r) == DMC_OK, "%s", dmc_last_error());
    replay_check(&b, file, &p);
    ck_assert_int_eq(r.rollbacks, 0);
    ck_assert_int_eq(r.end, DMC_ALIGN_CONVERGED);
    ck_assert_int_eq(r.updates, 3 * EVERY);
    ck_assert_uint_eq(p.line[p.n - 1].after, p.line[0].row.weights);
    ck_assert_double_eq(r.kl, 0);
    bandit_close(&b);
}
END_TEST

/* Reward for what data never do (actions follow observations, the reward is the action): the score rises all the while. */
START_TEST(a_reward_out_of_distribution)
{
    static replay p;
    bandit b;
    dmc_align_options o = options();
    const dmc_rl_options rl = rl_options();
    dmc_align_report r = {.struct_size = sizeof r};
    o.lr = 5e-3;
    remove(file);
    follower_open(&b, &o);
    ck_assert_int_eq(dmc_aligner_set_ledger(b.aligner, file), DMC_OK);
    ck_assert_msg(dmc_align_rl(b.aligner, &rl, &r) == DMC_OK, "%s", dmc_last_error());
    replay_check(&b, file, &p);
    int32_t caught = 0;
    for (size_t i = 0; i < p.n; i++) {
        if (p.line[i].row.event != DMC__EVENT_EVALUATION) continue;
        caught += p.line[i].row.metric[DMC__METRIC_UNLIKELY] > 0.5;
        ck_assert_int_eq(p.line[i].decision.roll_back, p.line[i].row.metric[DMC__METRIC_UNLIKELY] > 0.5); /* at once */
    }
    ck_assert_int_ge(caught, 1);
    ck_assert_msg(r.unlikely <= 0.5, "share %g", r.unlikely);
    expect_no_worse(&r, &p);
    bandit_close(&b);
}
END_TEST

/* F4: what only rl sees never heals; the sequence goes on, and dpo, which takes no gradient, still gains. */
START_TEST(a_stage_that_collapses_does_not_end_the_sequence)
{
    static replay p;
    fault f = {.from = 0, .until = INT32_MAX, .nan = 1};
    dmc_sequence_options q;
    dmc_rl_options rl = rl_options();
    dmc_dpo_options dpo;
    dmc_align_report r = {.struct_size = sizeof r};
    dmc_sequence_options_init(&q, sizeof q);
    dmc_dpo_options_init(&dpo, sizeof dpo);
    q.order = "rl,dpo";
    q.passes = 1;
    dpo.updates = 60;
    dpo.pool = 8;
    open_fault(&f);
    ck_assert_msg(dmc_align_sequence(f.b.aligner, &q, &rl, &dpo, NULL, NULL, &r) == DMC_OK, "%s", dmc_last_error());
    replay_check(&f.b, file, &p);
    expect_no_worse(&r, &p);
    int32_t strikes[2] = {0};
    for (size_t i = 0; i < p.n; i++) strikes[p.line[i].row.stage] += p.line[i].decision.roll_back;
    ck_assert_int_eq(strikes[0], 3);
    ck_assert_int_lt(strikes[1], 3);
    ck_assert_int_ge(r.updates, 60 - strikes[1]);
    ck_assert_int_eq(p.ends, 2);
    ck_assert_double_gt(r.after, r.before);
    bandit_close(&f.b);
}
END_TEST

Suite *dmc_suite_collapse(void)
{
    Suite *s = suite_create("collapse");
    TCase *t = tcase_create("collapse");
    tcase_add_test(t, a_healthy_run);
    tcase_add_test(t, a_gradient_that_is_not_finite);
    tcase_add_test(t, a_loss_that_spikes);
    tcase_add_test(t, a_gradient_that_explodes);
    tcase_add_test(t, a_learning_rate_a_hundred_times_too_large);
    tcase_add_test(t, a_reward_that_is_always_zero);
    tcase_add_test(t, a_reward_out_of_distribution);
    tcase_add_test(t, a_stage_that_collapses_does_not_end_the_sequence);
    suite_add_tcase(s, t);
    return s;
}
