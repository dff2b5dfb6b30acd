/* check_dpo.c — the preference loss and its gradient (methods.md 3, D1-D4), and what it makes of a mixture (D5). */
#include "dpo_fixture.h"


Suite *dmc_suite_dpo(void);

enum { PROCESSES = DMC_PROCESS_FLOW + 1 };

static double *gradient_of(const dpo_rig *r, const void *grads, size_t *n)
{
    *n = dmc__graph_param_elems(r->a->net->graph);
    double *g = malloc(*n * sizeof *g);
    memcpy(g, grads, *n * sizeof *g); /* ref64: doubles, here */
    return g;
}

static double largest(const double *x, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs(x[i]));
    return most;
}

/* At the reference s(u) = 1/2, so that dL/d eps^ = +- gamma D s 2 (eps^ - eps)/D / pairs, and the anchor's. */
static double *closed_form(dpo_rig *r, const dmc__dpo_terms *t, size_t *n)
{
    float derr[2 * DPO_PAIRS];
    const size_t params = dmc__graph_param_elems(r->a->net->graph);
    void *grads;
    ck_assert_int_eq(dmc__dev_alloc(r->a->device, params, &grads), DMC_OK);
    ck_assert_int_eq(dmc__params_zero(r->a->device, grads, params), DMC_OK);
    dmc__chain_bind(r->loss.now, dmc__learner_weights(r->a->learner), grads);
    ck_assert_int_eq(dmc__denoise_error(r->loss.noise_now, derr), DMC_OK);
    for (int32_t i = 0; i < DPO_PAIRS; i++) {
        const dmc__level l = dmc__process_level(r->a->process, r->loss.time[i]);
        const double factor = dmc__process_preference_weight(r->a->process, &l) / DPO_PAIRS;
        derr[i] = (float)(factor * (t->gamma * .5 + t->anchor));
        derr[DPO_PAIRS + i] = (float)(-factor * t->gamma * .5);
    }
    ck_assert_int_eq(dmc__denoise_backward(r->loss.noise_now, derr), DMC_OK);
    dmc__chain_bind(r->loss.now, dmc__learner_weights(r->a->learner), dmc__learner_grads(r->a->learner));
    double *g = gradient_of(r, grads, n);
    dmc__dev_free(r->a->device, grads, params);
    return g;
}

/* D1: ln 2 at the reference, whatever the pairs, and the gradient is the closed form. */
START_TEST(at_the_reference)
{
    static const dmc__dpo_terms terms = {.gamma = 5, .anchor = .3};
    dpo_rig r;
    size_t n;
    dpo_rig_open(&r, _i);
    const dmc__dpo_told told = dpo_rig_learn(&r, &terms);
    ck_assert_double_eq_tol(told.loss, log(2), 1e-7);
    double *got = gradient_of(&r, dmc__learner_grads(r.a->learner), &n), *want = closed_form(&r, &terms, &n);
    const double scale = largest(want, n);
    ck_assert_double_gt(scale, 1e-3);
    for (size_t i = 0; i < n; i++) ck_assert_double_eq_tol(got[i], want[i], 1e-6 * scale);
    free(got);
    free(want);
    dpo_rig_close(&r);
}
END_TEST

/* By the formulas of methods.md 3. */
static double omega(int32_t weighting, const dmc__level *l)
{
    const double snr = l->alpha * l->alpha / (l->sigma * l->sigma);
    if (weighting == DMC__WEIGHTING_SNR) return fmin(snr, 5) / fmax(snr, 1e-300);
    return weighting == DMC__WEIGHTING_SIGMOID ? 1 / (1 + exp(-log(snr))) : 1;
}

/* Mean squared error of sample i as a network left it, in the space of preferences; in double. */
static double error_of(const dpo_rig *r, const dmc__chain *c, dmc__denoise *d, int32_t i)
{
    void *target;
    dmc__denoise_batch(d, NULL, NULL, NULL, &target);
    const dmc__level l = dmc__process_level(r->a->process, r->loss.time[i]);
    const double away = ((const double *)dmc__chain_output((dmc__chain *)(uintptr_t)c))[i] - ((const double *)target)[i];
    return dmc__process_preference_weight(r->a->process, &l) * away * away;
}

/* The loss by its formula at the weights as they are. */
static double formula(const dpo_rig *r, const dmc__dpo_terms *t)
{
    float unused[2 * DPO_PAIRS];
    double sum = 0;
    ck_assert_int_eq(dmc__denoise_error(r->loss.noise_now, unused), DMC_OK);
    for (int32_t i = 0; i < DPO_PAIRS; i++) {
        double err[2], gap[2];
        for (int32_t j = 0; j < 2; j++) {
            err[j] = error_of(r, r->loss.now, r->loss.noise_now, j * DPO_PAIRS + i);
            gap[j] = err[j] - error_of(r, r->loss.ref, r->loss.noise_ref, j * DPO_PAIRS + i);
        }
        const dmc__level l = dmc__process_level(r->a->process, r->loss.time[i]);
        sum += (log1p(exp(t->gamma * omega(t->weighting, &l) * (gap[0] - gap[1]))) + t->anchor * err[0]) / DPO_PAIRS;
    }
    return sum;
}

/* (formula(w_i + h) - formula(w_i - h))/2h; the weights are floats, so the step is what they can be. */
static double slope(const dpo_rig *r, const dmc__dpo_terms *t, float *w, size_t i, double h)
{
    const float at = w[i];
    double side[2], step[2];
    for (int32_t j = 0; j < 2; j++) {
        w[i] = (float)(at + (j ? -h : h));
        step[j] = w[i];
        ck_assert_int_eq(dmc__learner_set(r->a->learner, w), DMC_OK);
        side[j] = formula(r, t);
    }
    w[i] = at;
    return (side[0] - side[1]) / (step[0] - step[1]);
}

/* D2: derivatives by differences (h and h/2, extrapolated), away from the reference, for every process and weighting. */
START_TEST(gradient_by_differences)
{
    const dmc__dpo_terms terms = {.gamma = 3, .anchor = .2, .weighting = _i / PROCESSES};
    dpo_rig r;
    size_t n;
    dpo_rig_open(&r, _i % PROCESSES);
    dpo_rig_move(&r, .1);
    dpo_rig_learn(&r, &terms);
    double *g = gradient_of(&r, dmc__learner_grads(r.a->learner), &n);
    float *w = malloc(n * sizeof *w);
    ck_assert_uint_eq(dmc__learner_elems(r.a->learner), n);
    ck_assert_int_eq(dmc__learner_get(r.a->learner, w), DMC_OK);
    const double scale = largest(g, n);
    ck_assert_double_gt(scale, 1e-3);
    for (size_t i = 0; i < n; i += n / 15) {
        const double d = (4 * slope(&r, &terms, w, i, 1e-3) - slope(&r, &terms, w, i, 2e-3)) / 3;
        ck_assert_double_eq_tol(g[i], d, 2e-6 * scale);
    }
    free(g);
    free(w);
    dpo_rig_close(&r);
}
END_TEST

START_TEST(weights_of_levels)
{
    static const dmc__level noise = {.alpha = 0, .sigma = 1}, even = {.alpha = .6, .sigma = .6}, clear = {.alpha = 3, .sigma = 1};
    const dmc__level *const level[] = {&noise, &even, &clear};
    static const double want[3][3] = {{1, 1, 1}, {1, 1, 5. / 9}, {0, .5, .9}}; /* ratios 0, 1, 9 */
    for (int32_t w = 0; w < 3; w++)
        for (int32_t i = 0; i < 3; i++) ck_assert_double_eq_tol(dmc__dpo_weight(w, level[i]), want[w][i], 1e-15);
}
END_TEST

/* D3: losses of a pair and of the same pair the other way round are -ln s(-u) and -ln s(u). */
START_TEST(swapped_pairs_flip_the_logit)
{
    static const dmc__dpo_terms terms = {.gamma = 40};
    double logit[2][DPO_PAIRS];
    double accuracy = 0;
    dpo_rig r;
    dpo_rig_open(&r, DMC_PROCESS_VP);
    dpo_rig_move(&r, .1);
    for (int32_t j = 0; j < 2; j++) {
        accuracy += dpo_rig_learn(&r, &terms).accuracy;
        for (int32_t i = 0; i < DPO_PAIRS; i++) logit[j][i] = log(expm1(r.loss.told[2 * i]));
        dpo_rig_swap(&r);
    }
    for (int32_t i = 0; i < DPO_PAIRS; i++) {
        ck_assert_double_eq_tol(logit[0][i], -logit[1][i], 1e-4);
        ck_assert_double_gt(fabs(logit[0][i]), 1e-4);
    }
    ck_assert_double_eq_tol(accuracy, 1, 1e-6);
    dpo_rig_close(&r);
}
END_TEST

/* D4: nothing is learnt from a pair that is no pair. */
START_TEST(equal_samples_teach_nothing)
{
    static const dmc__dpo_terms terms = {.gamma = 40}, winners = {.gamma = 0, .anchor = 20};
    dpo_rig r;
    size_t n;
    dpo_rig_open(&r, DMC_PROCESS_VP);
    dpo_rig_move(&r, .1);
    for (size_t i = 0; i < DPO_PAIRS; i++) r.loss.x0[DPO_PAIRS + i] = r.loss.x0[i];
    const dmc__dpo_told told = dpo_rig_learn(&r, &terms);
    double *none = gradient_of(&r, dmc__learner_grads(r.a->learner), &n);
    dpo_rig_learn(&r, &winners);
    double *half = gradient_of(&r, dmc__learner_grads(r.a->learner), &n);
    ck_assert_double_eq_tol(told.loss, log(2), 1e-7);
    ck_assert_double_gt(largest(half, n), 1e-2);
    ck_assert_double_le(largest(none, n), 1e-13 * largest(half, n));
    free(none);
    free(half);
    dpo_rig_close(&r);
}
END_TEST

/* ---- D5 ------------------------------------------------------------------------------------------------- */

typedef struct course {
    double score[64];
    int32_t n;
} course;

static dmc_align_options two_modes_options(void)
{
    dmc_align_options o = bandit_options();
    o.batch = 128;
    o.eval_every = 40;
    o.eval_conditions = 64;
    return o;
}

static dmc_dpo_options two_modes_dpo(void)
{
    dmc_dpo_options o;
    dmc_dpo_options_init(&o, sizeof o);
    o.updates = 200;
    o.refresh = 20;
    o.anchor = 1; /* of .1 to 1: all but a quarter of the samples have to go, winners of them stay */
    o.pool = 8;
    return o;
}

static int32_t keep_scores(void *user, const dmc_align_progress *p)
{
    course *c = user;
    if (p->update % 40 == 0) c->score[c->n++] = p->score;
    return 0;
}

/* The rarer mode, .3, is preferred: its share rises from evaluation to evaluation to above .9, until hardly one of 512 samples (the
 * same noise each time) is left to win. */
START_TEST(the_preferred_mode_takes_over)
{
    bandit b;
    course c = {.n = 0};
    const dmc_align_options o = two_modes_options();
    const dmc_dpo_options dpo = two_modes_dpo();
    dmc_align_report r = {.struct_size = sizeof r};
    two_modes_open(&b, &o);
    ck_assert_int_eq(dmc_aligner_set_progress(b.aligner, keep_scores, &c), DMC_OK);
    ck_assert_msg(dmc_align_dpo(b.aligner, &dpo, &r) == DMC_OK, "%s", dmc_last_error());
    ck_assert_double_eq_tol(r.before, two_modes_weight[0], .08);
    ck_assert_double_gt(r.after, .9);
    double last = r.before;
    for (int32_t i = 0; i < c.n; i++) {
        ck_assert_msg(c.score[i] > last || last > .99, "P(mode 2) %g after %g", c.score[i], last);
        last = c.score[i];
    }
    ck_assert(isfinite(r.kl) && r.kl > 0);
    ck_assert_int_eq(r.rollbacks, 0);
    bandit_close(&b);
}
END_TEST

typedef struct notes {
    double accuracy, ratio, highest;
} notes;

static int32_t keep_notes(void *user, const dmc__align_note *n)
{
    notes *x = user;
    x->accuracy = n->accuracy;
    x->ratio = n->error_ratio;
    x->highest = fmax(x->highest, n->error_ratio);
    return 0;
}

/* The hooks' reward, and notes in place of progress. */
static dmc__align *with_notes(bandit *b, notes *x, dmc__align_hooks *own)
{
    dmc__align *a = b->aligner->run;
    ck_assert_int_eq(dmc__align_need_reward(a), DMC_OK);
    *own = a->hooks;
    a->hooks = (dmc__align_hooks){.user = x, .progress = keep_notes};
    return a;
}

static dmc__dpo_config two_modes_config(void)
{
    return (dmc__dpo_config){.updates = 100, .refresh = 25, .pool = 8, .gamma = 5, .anchor = .1, .margin = .25,
                             .displacement = 1.5};
}

/* What is displaced is reported and undone, the rest is left alone: without an anchor and with large steps winners are forgotten,
 * with it and usual ones they are not. */
START_TEST(displaced_winners_are_a_collapse)
{
    static const struct {
        double lr, anchor, displacement, at_least, at_most;
        int32_t back;
    } runs[] = {{3e-4, .1, 1.5, 0, 1.5, 0}, {1e-2, 0, 0, 2, INFINITY, 0}, {1e-2, 0, 1.5, 1.5, INFINITY, 1}};
    bandit b;
    notes x = {0};
    dmc_align_options o = two_modes_options();
    dmc__dpo_config c = two_modes_config();
    dmc__align_result r;
    dmc__align_hooks own;
    o.lr = runs[_i].lr;
    o.eval_every = 1000;
    c.anchor = runs[_i].anchor;
    c.displacement = runs[_i].displacement;
    two_modes_open(&b, &o);
    dmc__align *a = with_notes(&b, &x, &own);
    const dmc_status status = dmc__dpo_run(a, &c, &r);
    a->hooks = own;
    ck_assert_msg(status == DMC_OK, "%s", dmc_last_error());
    ck_assert_double_ge(x.highest, runs[_i].at_least);
    ck_assert_double_le(x.highest, runs[_i].at_most);
    ck_assert_int_eq(r.rollbacks > 0, runs[_i].back);
    ck_assert_double_gt(x.accuracy, .6);
    ck_assert_double_le(x.accuracy, 1);
    bandit_close(&b);
}
END_TEST

typedef struct losses {
    double of[16];
    int32_t n, asked;
} losses;

static int32_t keep_losses(void *user, const dmc__align_note *n)
{
    losses *x = user;
    x->of[x->n++] = n->loss;
    return 0;
}

/* 1, 2, then no good. */
static dmc_status failing_score(void *user, double *mean, double *se)
{
    static const double score[] = {1, 2, 0};
    losses *x = user;
    *mean = score[x->asked < 2 ? x->asked : 2];
    *se = .01;
    x->asked++;
    return DMC_OK;
}

static losses losses_of(int32_t updates, int32_t reference_every, int32_t eval_every, int32_t fails)
{
    bandit b;
    losses x = {.n = 0};
    dmc_align_options o = bandit_options();
    dmc__dpo_config c = two_modes_config();
    dmc__align_result r;
    o.lr = 3e-3;
    o.eval_every = eval_every;
    c.updates = updates;
    c.reference_every = reference_every;
    bandit_open(&b, "cpu", 50, &o);
    dmc__align *a = b.aligner->run;
    ck_assert_int_eq(dmc__align_need_reward(a), DMC_OK);
    const dmc__align_hooks own = a->hooks;
    a->hooks = (dmc__align_hooks){.user = &x, .progress = keep_losses, .score = fails ? failing_score : NULL};
    const dmc_status status = dmc__dpo_run(a, &c, &r);
    a->hooks = own;
    ck_assert_msg(status == DMC_OK, "%s", dmc_last_error());
    ck_assert_int_eq(r.rollbacks, fails);
    bandit_close(&b);
    return x;
}

/* At the reference the loss is ln 2, and only there. */
START_TEST(the_reference_follows)
{
    const losses never = losses_of(7, 0, 1000, 0), third = losses_of(7, 3, 1000, 0);
    for (int32_t i = 0; i < 7; i++) {
        ck_assert_int_eq(fabs(never.of[i] - log(2)) < 1e-6, i == 0);
        ck_assert_int_eq(fabs(third.of[i] - log(2)) < 1e-6, i % 3 == 0);
    }
}
END_TEST

/* The weights before update 2 became the reference, then those before update 1 came back. */
START_TEST(no_reference_is_kept_that_was_given_up)
{
    const losses x = losses_of(4, 2, 1, 1);
    for (int32_t i = 0; i < 4; i++) ck_assert_int_eq(fabs(x.of[i] - log(2)) < 1e-6, i != 1);
}
END_TEST

static void refused(const dmc_dpo_options *o, dmc_status expected, const char *sentence)
{
    bandit b;
    const dmc_align_options align = bandit_options();
    bandit_open(&b, "cpu", 0, &align);
    ck_assert_int_eq(dmc_align_dpo(b.aligner, o, NULL), expected);
    ck_assert_msg(strstr(dmc_last_error(), sentence) != NULL, "%s", dmc_last_error());
    bandit_close(&b);
}

START_TEST(bad_options_are_named)
{
    dmc_dpo_options o = two_modes_dpo();
    o.displacement = .5;
    refused(&o, DMC_ERANGE, "displacement = 0.5, must be at least 1, or 0 for never");
    o.displacement = -1;
    refused(&o, DMC_ERANGE, "displacement");
    o = two_modes_dpo();
    o.weighting = 3;
    refused(&o, DMC_ERANGE, "weighting");
    o = two_modes_dpo();
    o.reference_every = -1;
    refused(&o, DMC_ERANGE, "reference_every = -1");
}
END_TEST

Suite *dmc_suite_dpo(void)
{
    Suite *s = suite_create("dpo");
    TCase *t = tcase_create("dpo");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, at_the_reference, DMC_PROCESS_VP, PROCESSES);
    tcase_add_loop_test(t, gradient_by_differences, 0, 3 * PROCESSES);
    tcase_add_test(t, weights_of_levels);
    tcase_add_test(t, the_reference_follows);
    tcase_add_test(t, no_reference_is_kept_that_was_given_up);
    tcase_add_test(t, swapped_pairs_flip_the_logit);
    tcase_add_test(t, equal_samples_teach_nothing);
    tcase_add_test(t, the_preferred_mode_takes_over);
    tcase_add_loop_test(t, displaced_winners_are_a_collapse, 0, 3);
    tcase_add_test(t, bad_options_are_named);
    suite_add_tcase(s, t);
    return s;
}
