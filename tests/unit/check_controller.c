/* check_controller.c — every rule of the controller on made-up ledgers (methods.md 6: F1 F2 F4 F5). */
#include <check.h>
#include <math.h>
#include <string.h>

#include "../../lib/align/controller.h"

Suite *dmc_suite_controller(void);

enum { MOST = 64, BUDGET = 1000 };

typedef struct story {
    dmc__ledger_row row[MOST];
    size_t n;
    dmc__control c;
    dmc__decision d;             /* on the last row */
} story;

static dmc__ledger_row *add(story *s, int32_t event)
{
    dmc__ledger_row *r = &s->row[s->n++];
    ck_assert_uint_le(s->n, MOST);
    *r = (dmc__ledger_row){.event = event, .finite = 1, .updates = BUDGET, .foundation = 1, .se = 0.01, .diff_se = 0.01};
    for (int32_t i = 0; i < DMC__METRICS; i++) r->metric[i] = NAN;
    if (s->n > 1) {
        r->update = r[-1].update;
        r->pass = r[-1].pass;
        r->stage = r[-1].stage;
        r->turn = r[-1].turn;
    }
    return r;
}

static void decide(story *s)
{
    s->d = dmc__control_decide(&s->c, s->row, s->n);
}

static story begin(double score)
{
    story s = {.c = {.stages = 1, .passes = 1, .guard = 1, .kl_limit = 0.05, .unlikely_warn = 0.1, .unlikely_limit = 0.5}};
    add(&s, DMC__EVENT_START)->score = score;
    return s;
}

/* An evaluation `every` updates on; its difference is taken to the best of the rows before, as a driver does. */
static dmc__ledger_row *evaluate(story *s, double score)
{
    double best = -INFINITY;
    for (size_t i = 0; i < s->n; i++)
        if (s->row[i].event != DMC__EVENT_UPDATE) best = fmax(best, s->row[i].score);
    dmc__ledger_row *r = add(s, DMC__EVENT_EVALUATION);
    r->update += 50;
    r->score = score;
    r->diff = score - best;
    decide(s);
    return r;
}

static void update(story *s, double loss, double norm, int32_t finite)
{
    dmc__ledger_row *r = add(s, DMC__EVENT_UPDATE);
    r->update++;
    r->finite = finite;
    r->score = NAN;
    r->metric[DMC__METRIC_LOSS] = loss;
    r->metric[DMC__METRIC_NORM] = norm;
    decide(s);
}

static void expect_roll_back(const story *s, int32_t why, int32_t strikes)
{
    ck_assert_msg(s->d.roll_back == 1, "no roll-back");
    ck_assert_msg(s->d.why == why, "\"%s\", not \"%s\"", dmc__why_name(s->d.why), dmc__why_name(why));
    ck_assert_int_eq(s->d.strikes, strikes);
    ck_assert_int_eq(s->d.best, 0);
    ck_assert_double_eq(s->d.lr_scale, pow(0.5, strikes));
}

static void expect_calm(const story *s)
{
    ck_assert_msg(!s->d.roll_back && !s->d.warn && !s->d.end, "\"%s\"", dmc__why_name(s->d.why));
}

START_TEST(a_rising_score_goes_on)
{
    story s = begin(1);
    s.c.converge = 1;
    for (int32_t i = 1; i < 15; i++) {
        evaluate(&s, 1 + 0.1 * i);
        expect_calm(&s);
        ck_assert_int_eq(s.d.best, 1);
        ck_assert_double_eq(s.d.lr_scale, 1);
    }
}
END_TEST

/* F1: a plateau ends the stage, but not before three evaluations without a new best; without `converge` the budget does. */
START_TEST(a_plateau_ends_the_stage)
{
    for (int32_t converge = 0; converge < 2; converge++) {
        story s = begin(1);
        s.c.converge = converge;
        for (int32_t i = 1; i <= 5; i++) evaluate(&s, 1 + i);
        evaluate(&s, 5.999);
        expect_calm(&s);
        evaluate(&s, 5.999);
        expect_calm(&s);
        evaluate(&s, 5.999);
        expect_calm(&s); /* the window still holds the rise from 5 to 6 */
        evaluate(&s, 5.999);
        ck_assert_int_eq(s.d.end, converge ? DMC__END_CONVERGED : DMC__END_NOT);
        ck_assert_int_eq(s.d.accept, 0);
    }
}
END_TEST

/* From the first evaluation on nothing rises: three are the fewest. */
START_TEST(three_evaluations_are_the_fewest)
{
    story s = begin(1);
    s.c.converge = 1;
    evaluate(&s, 1);
    evaluate(&s, 1);
    expect_calm(&s);
    evaluate(&s, 1);
    ck_assert_int_eq(s.d.end, DMC__END_CONVERGED);
}
END_TEST

START_TEST(the_budget_ends_the_stage)
{
    story s = begin(1);
    evaluate(&s, 2);
    dmc__ledger_row *r = evaluate(&s, 3);
    r->update = BUDGET;
    decide(&s);
    ck_assert_int_eq(s.d.end, DMC__END_BUDGET);
    ck_assert_int_eq(s.d.best, 1);
    ck_assert_int_eq(s.d.accept, 1);
}
END_TEST

/* The last weights stay if the paired difference to the best is within a standard error, and never below the start. */
START_TEST(acceptance)
{
    static const struct { double last; int32_t accept, expected; } cases[] = {
        {2.995, 1, 1}, {2.995, 0, 0}, {2.98, 1, 0}, {3, 1, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        story s = begin(1);
        s.c.accept = cases[i].accept;
        evaluate(&s, 3);
        evaluate(&s, cases[i].last)->update = BUDGET;
        decide(&s);
        ck_assert_int_eq(s.d.accept, cases[i].expected);
    }
    story s = begin(1);
    s.c.accept = 1;
    evaluate(&s, 0.995)->update = BUDGET; /* within one, but below the start */
    decide(&s);
    ck_assert_int_eq(s.d.accept, 0);
}
END_TEST

/* F2, the decision: two fallen scores in a row, one alone is noise. */
START_TEST(a_fallen_score)
{
    story s = begin(1);
    evaluate(&s, 3);
    evaluate(&s, 2);
    expect_calm(&s);
    evaluate(&s, 2.9); /* 10 % of what was gained is 0.2 */
    expect_calm(&s);
    evaluate(&s, 2);
    expect_calm(&s);
    evaluate(&s, 2);
    expect_roll_back(&s, DMC__WHY_SCORE, 1);
    evaluate(&s, 3.1);
    ck_assert_int_eq(s.d.best, 1);
    ck_assert_double_eq(s.d.lr_scale, 0.5);
}
END_TEST

/* The paired standard error is what chance may explain. */
START_TEST(a_fall_within_two_standard_errors_is_chance)
{
    story s = begin(1);
    evaluate(&s, 1.5);
    for (int32_t i = 0; i < 4; i++) evaluate(&s, 1.2)->diff_se = 0.2;
    decide(&s);
    expect_calm(&s);
    for (int32_t i = 0; i < 2; i++) evaluate(&s, 1.2)->diff_se = 0.1;
    decide(&s);
    expect_roll_back(&s, DMC__WHY_SCORE, 1);
}
END_TEST

START_TEST(an_update_that_is_not_finite)
{
    story s = begin(1);
    update(&s, NAN, NAN, 0);
    expect_roll_back(&s, DMC__WHY_NOT_FINITE, 1);
}
END_TEST

START_TEST(a_score_that_is_not_finite)
{
    story s = begin(1);
    dmc__ledger_row *r = evaluate(&s, NAN);
    r->finite = 0;
    decide(&s);
    expect_roll_back(&s, DMC__WHY_NOT_FINITE, 1);
}
END_TEST

START_TEST(a_loss_that_jumps_twice)
{
    story s = begin(1);
    update(&s, 9, 1, 1);
    expect_calm(&s);
    evaluate(&s, 1); /* 50 updates on */
    update(&s, 9, 1, 1);
    expect_calm(&s);
    update(&s, 8.5, 1, 1);
    expect_roll_back(&s, DMC__WHY_LOSS, 1);
    update(&s, 8.5, 1, 1); /* counted anew */
    ck_assert_int_eq(s.d.roll_back, 0);
}
END_TEST

START_TEST(a_norm_that_jumps)
{
    story s = begin(1);
    update(&s, 0, 20, 1);
    expect_calm(&s);
    update(&s, 0, 20.5, 1);
    expect_roll_back(&s, DMC__WHY_NORM, 1);
}
END_TEST

/* One measurement beyond its limit, all others unknown. */
static story with_metric(int32_t metric, double value, double at_start)
{
    story s = begin(1);
    s.row[0].metric[metric] = at_start;
    evaluate(&s, 2)->metric[metric] = value;
    decide(&s);
    return s;
}

START_TEST(limits_of_what_is_measured)
{
    static const struct { int32_t metric; double within, beyond; int32_t why; } cases[] = {
        {DMC__METRIC_KL, 0.249, 0.251, DMC__WHY_KL},
        {DMC__METRIC_UNLIKELY, 0.499, 0.501, DMC__WHY_UNLIKELY},
        {DMC__METRIC_DISAGREEMENT, 2.99, 3.01, DMC__WHY_DISAGREEMENT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        story s = with_metric(cases[i].metric, cases[i].beyond, NAN);
        expect_roll_back(&s, cases[i].why, 1);
        s = with_metric(cases[i].metric, cases[i].within, NAN);
        ck_assert_int_eq(s.d.roll_back, 0);
        ck_assert_int_eq(s.d.best, 1);
        s = with_metric(cases[i].metric, cases[i].beyond, cases[i].beyond); /* the stage began there */
        ck_assert_int_eq(s.d.roll_back, 0);
    }
}
END_TEST

/* A narrow distribution is a collapse only while the score falls. */
START_TEST(a_spread_that_is_gone)
{
    story s = with_metric(DMC__METRIC_SPREAD, 0.04, 1);
    ck_assert_int_eq(s.d.roll_back, 0);
    evaluate(&s, 1.999)->metric[DMC__METRIC_SPREAD] = 0.06;
    decide(&s);
    ck_assert_int_eq(s.d.roll_back, 0);
    evaluate(&s, 1.998)->metric[DMC__METRIC_SPREAD] = 0.04;
    decide(&s);
    expect_roll_back(&s, DMC__WHY_SPREAD, 1);
}
END_TEST

START_TEST(warnings)
{
    static const struct { int32_t metric; double calm, high; int32_t why; } cases[] = {
        {DMC__METRIC_KL, 0.049, 0.051, DMC__WHY_KL_HIGH}, {DMC__METRIC_UNLIKELY, 0.099, 0.101, DMC__WHY_UNLIKELY_HIGH}};
    for (size_t i = 0; i < 2; i++) {
        story s = with_metric(cases[i].metric, cases[i].calm, NAN);
        expect_calm(&s);
        s = with_metric(cases[i].metric, cases[i].high, NAN);
        ck_assert_int_eq(s.d.warn, 1);
        ck_assert_int_eq(s.d.why, cases[i].why);
        ck_assert_int_eq(s.d.roll_back, 0);
        ck_assert_int_eq(s.d.best, 1); /* nothing is restored */
    }
}
END_TEST

/* Without the guard only what is not finite and what scores less are collapses. */
START_TEST(without_the_guard)
{
    story s = begin(1);
    s.c.guard = 0;
    dmc__ledger_row *r = evaluate(&s, 2);
    r->metric[DMC__METRIC_UNLIKELY] = 1;
    r->metric[DMC__METRIC_DISAGREEMENT] = 10;
    decide(&s);
    expect_calm(&s);
    evaluate(&s, 1.999)->metric[DMC__METRIC_SPREAD] = 0;
    decide(&s);
    expect_calm(&s);
    update(&s, 100, 100, 1);
    update(&s, 100, 100, 1);
    expect_calm(&s);
    evaluate(&s, 1);
    evaluate(&s, 1);
    expect_roll_back(&s, DMC__WHY_SCORE, 1);
    update(&s, NAN, NAN, 0);
    expect_roll_back(&s, DMC__WHY_NOT_FINITE, 2);
}
END_TEST

/* No limit of the KL divergence: it neither warns nor ends anything. */
START_TEST(without_a_limit_kl_is_only_told)
{
    story s = begin(1);
    s.c.kl_limit = 0;
    evaluate(&s, 2)->metric[DMC__METRIC_KL] = 100;
    decide(&s);
    expect_calm(&s);
}
END_TEST

/* F4: the third strike ends the stage, and the sequence goes on with the next. */
START_TEST(three_strikes)
{
    story s = begin(1);
    s.c.stages = 3;
    s.c.passes = 2;
    s.row[0].pass = 1;
    for (int32_t i = 1; i <= 3; i++) {
        update(&s, NAN, NAN, 0);
        expect_roll_back(&s, DMC__WHY_NOT_FINITE, i);
        ck_assert_int_eq(s.d.end, i < 3 ? DMC__END_NOT : DMC__END_STRIKES);
        ck_assert_int_eq(s.d.accept, 0);
    }
    add(&s, DMC__EVENT_END)->score = 1;
    decide(&s);
    ck_assert_int_eq(s.d.next, 1);
    ck_assert_int_eq(s.d.pass, 1);
}
END_TEST

/* Stage `stage` of pass `pass`: from `score` to `after` in `seconds`; `diff` since the pass began. */
static void play_stage(story *s, int32_t pass, int32_t stage, double score, double after, double diff, double seconds)
{
    for (int32_t event = DMC__EVENT_START; event <= DMC__EVENT_END; event += DMC__EVENT_END - DMC__EVENT_START) {
        dmc__ledger_row *r = add(s, event);
        r->pass = pass;
        r->stage = stage;
        if (event == DMC__EVENT_START) r->turn++;
        r->score = event == DMC__EVENT_START ? score : after;
        r->diff = diff;
        r->seconds = seconds;
    }
    decide(s);
}

static story sequence(int32_t passes, int32_t automatic)
{
    return (story){.c = {.stages = 3, .passes = passes, .automatic = automatic}};
}

/* F5: a pass that gains less than max(1 SE, 2 % of all that was gained) is the last. */
START_TEST(a_pass_without_gain_is_the_last)
{
    static const struct { double gain; int32_t goes_on; } cases[] = {{1, 1}, {0.09, 0}, {0.3, 1}};
    for (size_t i = 0; i < 3; i++) {
        story s = sequence(3, 0);
        for (int32_t stage = 0; stage < 3; stage++) play_stage(&s, 1, stage, 1 + 2 * stage, 3 + 2 * stage, 2 * stage + 2, 1);
        ck_assert_int_eq(s.d.next, 0);
        ck_assert_int_eq(s.d.pass, 2);
        play_stage(&s, 2, 0, 7, 7, 0, 1);
        ck_assert_int_eq(s.d.next, 1); /* within a pass nothing stops */
        play_stage(&s, 2, 1, 7, 7, 0, 1);
        play_stage(&s, 2, 2, 7, 7 + cases[i].gain, cases[i].gain, 1);
        ck_assert_int_eq(s.d.next, cases[i].goes_on ? 0 : -1);
        ck_assert_int_eq(s.d.pass, cases[i].goes_on ? 3 : 2);
    }
}
END_TEST

START_TEST(a_gain_within_its_error_is_none)
{
    story s = sequence(3, 0);
    for (int32_t stage = 0; stage < 3; stage++) play_stage(&s, 1, stage, 1, 1.5, 0.5, 1);
    ck_assert_int_eq(s.d.next, 0);
    s.row[s.n - 1].diff_se = 0.6;
    decide(&s);
    ck_assert_int_eq(s.d.next, -1);
}
END_TEST

START_TEST(the_last_pass)
{
    story s = sequence(1, 0);
    for (int32_t stage = 0; stage < 3; stage++) play_stage(&s, 1, stage, stage, stage + 1, stage + 1, 1);
    ck_assert_int_eq(s.d.next, -1);
}
END_TEST

/* From the second pass on the stage that gained most per second, by its last run; where none gains, the oldest. */
START_TEST(automatic_order)
{
    story s = sequence(9, 1);
    play_stage(&s, 1, 0, 1, 2, 1, 10);  /* 0.1 per second */
    ck_assert_int_eq(s.d.next, 1);
    play_stage(&s, 1, 1, 2, 4, 3, 4);   /* 0.5 */
    ck_assert_int_eq(s.d.next, 2);
    play_stage(&s, 1, 2, 4, 5, 4, 4);   /* 0.25 */
    ck_assert_int_eq(s.d.next, 1);
    play_stage(&s, 2, 1, 5, 5.2, 0.2, 4); /* 0.05 now */
    ck_assert_int_eq(s.d.next, 2);
    play_stage(&s, 2, 2, 5.2, 5.2, 0.2, 4);
    ck_assert_int_eq(s.d.next, 0);
    play_stage(&s, 2, 0, 5.2, 5.2, 0.2, 4);
    ck_assert_int_eq(s.d.pass, 3);
    ck_assert_int_eq(s.d.next, 1);
    play_stage(&s, 3, 1, 5.2, 5.2, 0, 4);
    ck_assert_int_eq(s.d.next, 2); /* none gained: 2 ran before 0 */
}
END_TEST

/* A stage that is run in parts (two tried, the better goes on) has one turn; its gain per second is over all of them. */
START_TEST(parts_of_a_turn)
{
    story s = sequence(9, 1);
    play_stage(&s, 1, 0, 1, 1.5, 0.5, 1);
    play_stage(&s, 1, 0, 1, 2, 1, 1);
    for (size_t i = 0; i < s.n; i++) s.row[i].turn = 1;
    decide(&s);
    ck_assert_int_eq(s.d.next, 1);
    play_stage(&s, 1, 1, 2, 2.45, 1.45, 1); /* 0.45 per second, the parts 0.5 */
    ck_assert_int_eq(s.d.next, 2);
    play_stage(&s, 1, 2, 2.45, 2.46, 1.46, 1);
    ck_assert_int_eq(s.d.next, 0);
    ck_assert_int_eq(s.d.pass, 2);
}
END_TEST

/* Two evaluations without a new best, then counted anew; a best in between begins it again. */
START_TEST(plateaus)
{
    story s = begin(1);
    static const double score[] = {2, 2, 3, 3, 3, 3, 3};
    static const int32_t expected[] = {0, 0, 0, 0, 1, 0, 1};
    for (size_t i = 0; i < 7; i++) {
        evaluate(&s, score[i]);
        ck_assert_int_eq(s.d.plateau, expected[i]);
    }
}
END_TEST

/* Row by row or all at once, in any run: what was decided depends on the rows alone. */
START_TEST(a_stage_does_not_see_the_one_before)
{
    story s = begin(1), t = begin(3);
    update(&s, NAN, NAN, 0);
    evaluate(&s, 3);
    add(&s, DMC__EVENT_END)->score = 3;
    *add(&s, DMC__EVENT_START) = t.row[0];
    evaluate(&s, 3.5);
    evaluate(&t, 3.5);
    ck_assert_int_eq(memcmp(&s.d, &t.d, sizeof s.d), 0);
    ck_assert_int_eq(s.d.strikes, 0);
}
END_TEST

START_TEST(everything_has_a_name)
{
    for (int32_t i = 0; i < DMC__EVENTS; i++) ck_assert_ptr_nonnull(dmc__event_name(i));
    for (int32_t i = 0; i < DMC__METRICS; i++) ck_assert_ptr_nonnull(dmc__metric_name(i));
    for (int32_t i = 0; i < DMC__ENDS; i++) ck_assert_ptr_nonnull(dmc__end_name(i));
    for (int32_t i = 0; i < DMC__WHYS; i++) ck_assert_ptr_nonnull(dmc__why_name(i));
    ck_assert_ptr_null(dmc__event_name(DMC__EVENTS));
    ck_assert_ptr_null(dmc__metric_name(-1));
}
END_TEST

Suite *dmc_suite_controller(void)
{
    Suite *s = suite_create("controller");
    TCase *t = tcase_create("controller");
    tcase_add_test(t, a_rising_score_goes_on);
    tcase_add_test(t, a_plateau_ends_the_stage);
    tcase_add_test(t, three_evaluations_are_the_fewest);
    tcase_add_test(t, the_budget_ends_the_stage);
    tcase_add_test(t, acceptance);
    tcase_add_test(t, a_fallen_score);
    tcase_add_test(t, a_fall_within_two_standard_errors_is_chance);
    tcase_add_test(t, an_update_that_is_not_finite);
    tcase_add_test(t, a_score_that_is_not_finite);
    tcase_add_test(t, a_loss_that_jumps_twice);
    tcase_add_test(t, a_norm_that_jumps);
    tcase_add_test(t, limits_of_what_is_measured);
    tcase_add_test(t, a_spread_that_is_gone);
    tcase_add_test(t, warnings);
    tcase_add_test(t, without_the_guard);
    tcase_add_test(t, without_a_limit_kl_is_only_told);
    tcase_add_test(t, three_strikes);
    tcase_add_test(t, a_pass_without_gain_is_the_last);
    tcase_add_test(t, a_gain_within_its_error_is_none);
    tcase_add_test(t, the_last_pass);
    tcase_add_test(t, automatic_order);
    tcase_add_test(t, parts_of_a_turn);
    tcase_add_test(t, plateaus);
    tcase_add_test(t, a_stage_does_not_see_the_one_before);
    tcase_add_test(t, everything_has_a_name);
    suite_add_tcase(s, t);
    return s;
}
