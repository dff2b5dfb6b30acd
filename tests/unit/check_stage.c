/* check_stage.c — the driver of every method on scripted scores: keep-best, roll-back, strikes, stopping (methods.md F). */
#include "align_fixture.h"

Suite *dmc_suite_stage(void);

/* A stage whose every update shifts what learns by 1 and whose score follows a script. */
typedef struct script {
    dmc__align *a;
    const double *score;
    int32_t asked, scores;
    int32_t nan_at;          /* update number that is not finite, -1 = none */
    int32_t stop_at, tightened;
    int32_t rows, lists;     /* records; 1: scores come by episode */
    uint64_t best, after;    /* hashes of the last roll-back's record */
    dmc__decision d;         /* and its decision */
    double diff, diff_se;    /* of the last evaluation */
    float *value;
    double lr_seen;
} script;

static dmc_status scripted_score(void *user, double *mean, double *se)
{
    script *s = user;
    *mean = s->score[s->asked < s->scores - 1 ? s->asked : s->scores - 1];
    *se = 0.01;
    s->asked++;
    return DMC_OK;
}

/* Four episodes that differ much, but by the same each time: differences are exact. */
static dmc_status scripted_scores(void *user, int32_t n, double *value)
{
    double mean, se;
    DMC_TRY(scripted_score(user, &mean, &se));
    for (int32_t i = 0; i < n; i++) value[i] = mean + 10 * (i - (n - 1) / 2.0);
    return DMC_OK;
}

static dmc_status scripted_record(void *user, const dmc__align_record *r)
{
    script *s = user;
    s->rows++;
    if (r->row->event == DMC__EVENT_EVALUATION) {
        s->diff = r->row->diff;
        s->diff_se = r->row->diff_se;
    }
    if (!r->decision->roll_back) return DMC_OK;
    s->best = r->best;
    s->after = r->after;
    s->d = *r->decision;
    if (r->decision->why == DMC__WHY_SCORE) ck_assert_uint_ne(r->row->weights, r->best);
    return DMC_OK;
}

static int32_t scripted_progress(void *user, const dmc__align_note *n)
{
    const script *s = user;
    return s->stop_at > 0 && n->update >= s->stop_at;
}

static dmc_status scripted_update(void *self, int32_t u, dmc__align_note *note)
{
    script *s = self;
    note->loss = 0;
    s->lr_seen = dmc__align_adamw(s->a).lr;
    if (u == s->nan_at) return dmc__fail(DMC_ENUMERIC, "injected");
    DMC_TRY(dmc__learner_get(s->a->learner, s->value));
    s->value[0] += 1;
    return dmc__learner_set(s->a->learner, s->value);
}

static void scripted_tighten(void *self)
{
    ((script *)self)->tightened++;
}

typedef struct outcome {
    dmc_status status;
    dmc__align_result r;
    script s;
    float first, last;       /* value[0] at the start and the end */
} outcome;

static outcome play_with(dmc_align_options o, const script *plan, int32_t updates)
{
    bandit b;
    bandit_open(&b, "cpu", 0, &o);
    dmc__align *a = b.aligner->run;
    ck_assert_int_eq(dmc__align_need_reward(a), DMC_OK); /* the KL report at the end judges the bank */
    outcome out = {.s = *plan};
    out.s.a = a;
    out.s.value = calloc(dmc__learner_elems(a->learner), sizeof *out.s.value);
    dmc__align_hooks own = a->hooks;
    a->hooks = (dmc__align_hooks){.user = &out.s, .score = scripted_score, .progress = scripted_progress,
                                 .record = scripted_record};
    if (plan->lists) {
        a->hooks.scores = scripted_scores;
        a->hooks.episodes = 4;
    }
    const dmc__stage stage = {.name = "script", .updates = updates, .self = &out.s, .update = scripted_update,
                              .tighten = scripted_tighten, .learner = a->learner};
    ck_assert_int_eq(dmc__learner_get(a->learner, out.s.value), DMC_OK);
    out.first = out.s.value[0];
    out.status = dmc__stage_run(a, &stage, &out.r);
    ck_assert_int_eq(dmc__learner_get(a->learner, out.s.value), DMC_OK);
    out.last = out.s.value[0];
    free(out.s.value);
    a->hooks = own; /* the judge is freed through it */
    bandit_close(&b);
    return out;
}

static outcome play(const double *score, int32_t n, int32_t updates, int32_t nan_at, int32_t stop_at)
{
    dmc_align_options o = bandit_options();
    o.eval_every = 1;
    return play_with(o, &(script){.score = score, .scores = n, .nan_at = nan_at, .stop_at = stop_at}, updates);
}

/* Every update scores better: the last weights are kept. */
START_TEST(improvement_is_kept)
{
    static const double score[] = {1, 2, 3, 4};
    const outcome o = play(score, 4, 3, -1, 0);
    ck_assert_int_eq(o.status, DMC_OK);
    ck_assert_int_eq(o.r.accepted, 1);
    ck_assert_double_eq(o.r.before, 1);
    ck_assert_double_eq(o.r.after, 4);
    ck_assert_int_eq(o.r.updates, 3);
    ck_assert_float_eq_tol(o.last, o.first + 3, 1e-5f);
}
END_TEST

/* A dip after the best does not survive the stage: the weights of the best score come back. */
START_TEST(the_best_weights_come_back)
{
    static const double score[] = {1, 3, 2.995, 2.99};
    const outcome o = play(score, 4, 3, -1, 0);
    ck_assert_int_eq(o.r.rollbacks, 0);
    ck_assert_double_eq(o.r.after, 3);
    ck_assert_float_eq_tol(o.last, o.first + 1, 1e-5f);
}
END_TEST

/* F2: two bad scores in a row: roll-back to exactly the best weights, half the learning rate, constraint tightened. */
START_TEST(a_crash_rolls_back)
{
    static const double score[] = {1, 3, 0, 0, 3.5};
    const outcome o = play(score, 5, 4, -1, 0);
    ck_assert_int_eq(o.r.rollbacks, 1);
    ck_assert_int_eq(o.s.tightened, 1);
    ck_assert_double_eq(o.s.lr_seen, 3e-4 / 2);
    ck_assert_double_eq(o.r.after, 3.5);
    ck_assert_float_eq_tol(o.last, o.first + 2, 1e-5f); /* best was +1, one more update after the roll-back */
    ck_assert_int_eq(o.s.d.why, DMC__WHY_SCORE);
    ck_assert_uint_eq(o.s.after, o.s.best); /* bit for bit */
}
END_TEST

/* F1: a plateau ends the stage long before its budget, if it may. */
START_TEST(a_plateau_ends_the_stage)
{
    static const double score[] = {1, 2, 3, 3};
    dmc_align_options o = bandit_options();
    o.eval_every = 1;
    for (int32_t converge = 0; converge < 2; converge++) {
        o.converge = converge;
        const outcome r = play_with(o, &(script){.score = score, .scores = 4, .nan_at = -1}, 40);
        ck_assert_int_eq(r.r.end, converge ? DMC__END_CONVERGED : DMC__END_BUDGET);
        ck_assert_int_eq(r.r.updates, converge ? 6 : 40);
        ck_assert_double_eq(r.r.after, 3);
        ck_assert_float_eq_tol(r.last, r.first + 2, 1e-5f);
    }
}
END_TEST

/* The last weights score a little below the best: by the standard error of means they may stay, paired they may not. */
START_TEST(acceptance_is_by_paired_differences)
{
    static const double score[] = {1, 3, 2.99};
    dmc_align_options o = bandit_options();
    o.eval_every = 1;
    o.accept = 1;
    for (int32_t lists = 0; lists < 2; lists++) {
        const outcome r = play_with(o, &(script){.score = score, .scores = 3, .nan_at = -1, .lists = lists}, 2);
        ck_assert_double_eq_tol(r.s.diff, -0.01, 1e-12);
        ck_assert_double_eq_tol(r.s.diff_se, lists ? 0 : 0.01 * sqrt(2), 1e-7);
        ck_assert_double_eq(r.r.after, lists ? 3 : 2.99);
        ck_assert_float_eq_tol(r.last, r.first + (lists ? 1 : 2), 1e-5f);
    }
}
END_TEST

/* Start, three evaluations, end: each is told once. */
START_TEST(everything_is_told)
{
    static const double score[] = {1, 2, 3, 4};
    ck_assert_int_eq(play(score, 4, 3, -1, 0).s.rows, 5);
}
END_TEST

/* One bad score alone is noise. */
START_TEST(one_bad_score_is_not_a_crash)
{
    static const double score[] = {1, 3, 0, 3.2, 0};
    const outcome o = play(score, 5, 4, -1, 0);
    ck_assert_int_eq(o.r.rollbacks, 0);
    ck_assert_float_eq_tol(o.last, o.first + 3, 1e-5f);
}
END_TEST

/* F3: an update that is not finite changes nothing and is rolled back. */
START_TEST(nan_is_a_crash_not_an_error)
{
    static const double score[] = {1, 2, 3};
    const outcome o = play(score, 3, 3, 1, 0);
    ck_assert_int_eq(o.status, DMC_OK);
    ck_assert_int_eq(o.r.rollbacks, 1);
    ck_assert_int_eq(o.r.updates, 2);
    ck_assert_float_eq_tol(o.last, o.first + 2, 1e-5f);
}
END_TEST

/* F4: three strikes end the stage early. */
START_TEST(three_strikes_end_the_stage)
{
    static const double score[] = {5, 0};
    const outcome o = play(score, 2, 50, -1, 0);
    ck_assert_int_eq(o.r.rollbacks, 3);
    ck_assert_int_eq(o.r.updates, 6);
    ck_assert_int_eq(o.r.accepted, 0);
    ck_assert_float_eq(o.last, o.first);
    ck_assert_double_eq(o.r.after, 5);
}
END_TEST

START_TEST(progress_can_stop)
{
    static const double score[] = {1, 2, 3, 4, 5};
    const outcome o = play(score, 5, 4, -1, 2);
    ck_assert_int_eq(o.status, DMC_STOPPED);
    ck_assert_int_eq(o.r.updates, 2);
    ck_assert_float_eq_tol(o.last, o.first + 2, 1e-5f);
}
END_TEST

Suite *dmc_suite_stage(void)
{
    Suite *s = suite_create("stage");
    TCase *t = tcase_create("stage");
    tcase_add_test(t, improvement_is_kept);
    tcase_add_test(t, the_best_weights_come_back);
    tcase_add_test(t, a_crash_rolls_back);
    tcase_add_test(t, a_plateau_ends_the_stage);
    tcase_add_test(t, acceptance_is_by_paired_differences);
    tcase_add_test(t, everything_is_told);
    tcase_add_test(t, one_bad_score_is_not_a_crash);
    tcase_add_test(t, nan_is_a_crash_not_an_error);
    tcase_add_test(t, three_strikes_end_the_stage);
    tcase_add_test(t, progress_can_stop);
    suite_add_tcase(s, t);
    return s;
}
