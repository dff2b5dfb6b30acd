/* check_metrics.c — what an evaluation measures, on weights for which the answer is known (methods.md 6: m1-m8). */
#include "follower.h"

#include "../../lib/align/metrics.h"
#include "../../lib/align/watch.h"

Suite *dmc_suite_metrics(void);

static void measure(const bandit *b, double metric[DMC__METRICS])
{
    dmc__align *a = b->aligner->run;
    for (int32_t i = 0; i < DMC__METRICS; i++) metric[i] = NAN;
    if (!a->metrics) ck_assert_msg(dmc__metrics_create(a, &a->metrics) == DMC_OK, "%s", dmc_last_error());
    ck_assert_msg(dmc__metrics_measure(a->metrics, metric) == DMC_OK, "%s", dmc_last_error());
}

/* Everything that learns, times a factor. */
static void scale_weights(const bandit *b, float factor)
{
    dmc__learner *l = b->aligner->run->learner;
    const size_t n = dmc__learner_elems(l);
    float *w = malloc(n * sizeof *w);
    ck_assert_int_eq(dmc__learner_get(l, w), DMC_OK);
    for (size_t i = 0; i < n; i++) w[i] *= factor;
    ck_assert_int_eq(dmc__learner_set(l, w), DMC_OK);
    free(w);
}

static void open_bandit(bandit *b, int32_t rank)
{
    dmc_align_options o = bandit_options();
    o.lora_rank = rank;
    bandit_open(b, "cpu", 300, &o);
}

/* Before anything was learned: nothing has moved, spread is the foundation's, a tenth of samples may be unlikely. */
START_TEST(the_foundation)
{
    double m[DMC__METRICS], warn, limit;
    bandit b;
    open_bandit(&b, 4);
    measure(&b, m);
    ck_assert_double_eq(m[DMC__METRIC_KL], 0);
    ck_assert_double_eq(m[DMC__METRIC_SPREAD], 1);
    dmc__metrics_unlikely_limits(b.aligner->run->metrics, &warn, &limit);
    ck_assert_double_lt(m[DMC__METRIC_UNLIKELY], warn);
    ck_assert_double_eq_tol(warn, 0.1 + 3 * 0.3 / 8, 1e-12); /* of 64 samples */
    ck_assert_double_eq(limit, 0.5);
    ck_assert(isfinite(m[DMC__METRIC_ENTROPY]));
    ck_assert(isnan(m[DMC__METRIC_DISAGREEMENT])); /* a callback has one opinion */
    ck_assert(isnan(m[DMC__METRIC_COHERENCY]));
    bandit_close(&b);
}
END_TEST

/* A model that knows nothing of its data cannot tell what is unlikely. */
START_TEST(an_untrained_foundation_does_not_judge)
{
    double m[DMC__METRICS], warn, limit;
    bandit b;
    dmc_align_options o = bandit_options();
    bandit_open(&b, "cpu", 0, &o);
    measure(&b, m);
    dmc__metrics_unlikely_limits(b.aligner->run->metrics, &warn, &limit);
    ck_assert_msg(isinf(warn) && isinf(limit), "share %g", m[DMC__METRIC_UNLIKELY]);
    bandit_close(&b);
}
END_TEST

/* An output of zero everywhere: samples say nothing of the data's spread, and are far from the foundation's. */
START_TEST(weights_that_are_lost)
{
    double before[DMC__METRICS], m[DMC__METRICS], again[DMC__METRICS];
    bandit b;
    open_bandit(&b, 0);
    measure(&b, before);
    scale_weights(&b, 0);
    measure(&b, m);
    ck_assert_double_gt(m[DMC__METRIC_KL], 0.1);
    ck_assert(fabs(m[DMC__METRIC_SPREAD] - 1) > 0.2);
    ck_assert_double_ne(m[DMC__METRIC_ENTROPY], before[DMC__METRIC_ENTROPY]);
    measure(&b, again); /* nothing is drawn anew */
    for (int32_t i = 0; i < DMC__METRICS; i++) ck_assert(m[i] == again[i] || (isnan(m[i]) && isnan(again[i])));
    bandit_close(&b);
}
END_TEST

/* Actions that follow nothing, where data do. */
START_TEST(samples_far_from_data_are_unlikely)
{
    double m[DMC__METRICS];
    bandit b;
    dmc_align_options o = bandit_options();
    o.lora_rank = 0;
    follower_open(&b, &o);
    measure(&b, m);
    ck_assert_msg(m[DMC__METRIC_UNLIKELY] < 0.5, "share %g", m[DMC__METRIC_UNLIKELY]);
    scale_weights(&b, 0);
    measure(&b, m);
    ck_assert_msg(m[DMC__METRIC_UNLIKELY] > 0.5, "share %g", m[DMC__METRIC_UNLIKELY]);
    bandit_close(&b);
}
END_TEST

static int32_t half(void *user, size_t n, const float *z, const float *obs, float *r, float *grad)
{
    (void)obs;
    *(size_t *)user += n;
    for (size_t i = 0; i < n; i++) r[i] = 0.5f + 0 * z[i];
    return grad != NULL;
}

START_TEST(coherency_is_the_owners)
{
    double m[DMC__METRICS];
    size_t samples = 0;
    bandit b;
    open_bandit(&b, 4);
    ck_assert_int_eq(dmc_aligner_set_coherency(b.aligner, half, &samples), DMC_OK);
    measure(&b, m);
    ck_assert_double_eq(m[DMC__METRIC_COHERENCY], 0.5);
    ck_assert_uint_eq(samples, 64);
    ck_assert_int_eq(dmc_aligner_set_coherency(b.aligner, NULL, NULL), DMC_OK);
    measure(&b, m);
    ck_assert(isnan(m[DMC__METRIC_COHERENCY]));
    bandit_close(&b);
}
END_TEST

/* With a critic the twins are compared: on the foundation's samples about as on data. */
START_TEST(critics_disagree)
{
    double m[DMC__METRICS];
    dmc_critic_options o;
    dmc_critic *c;
    dmc_align_options ao = bandit_options();
    bandit b;
    open_bandit(&b, 4);
    dmc_critic_options_init(&o, sizeof o);
    o.hidden = 16;
    o.batch = 32;
    ck_assert_msg(dmc_critic_create(b.ctx, b.data, &o, &c) == DMC_OK, "%s", dmc_last_error());
    dmc_aligner_destroy(b.aligner);
    ck_assert_msg(dmc_aligner_create(NULL, b.model, b.data, c, &ao, &b.aligner) == DMC_OK, "%s", dmc_last_error());
    measure(&b, m);
    ck_assert_msg(m[DMC__METRIC_DISAGREEMENT] > 0.5 && m[DMC__METRIC_DISAGREEMENT] < 2, "%g", m[DMC__METRIC_DISAGREEMENT]);
    dmc_aligner_destroy(b.aligner);
    b.aligner = NULL;
    dmc_critic_destroy(c);
    bandit_close(&b);
}
END_TEST

/* m5 and m6 by hand: losses 0..49 have the median 24.5 and the median deviation 12.5; norms are all 2. */
START_TEST(the_watch)
{
    dmc__watch w = {0};
    double z, ratio;
    for (int32_t i = 0; i < 50; i++) {
        dmc__watch_update(&w, i, 2, &z, &ratio);
        ck_assert_int_eq(isnan(z), i < 20);
        ck_assert_int_eq(isnan(ratio), i < 20);
    }
    dmc__watch_update(&w, 100, 50, &z, &ratio);
    ck_assert_double_eq_tol(z, 75.5 / (1.4826 * 12.5), 1e-12);
    ck_assert_double_eq(ratio, 25);
    dmc__watch_update(&w, NAN, 2, &z, &ratio); /* not among those seen */
    ck_assert(isnan(z) && isnan(ratio));
    dmc__watch_update(&w, 0, 2, &z, &ratio); /* now 1..49 and 100: median 25.5 */
    ck_assert_double_eq_tol(z, -25.5 / (1.4826 * 12.5), 1e-12);
    ck_assert_double_eq(ratio, 1);
}
END_TEST

/* Losses that never vary, and gradients that are zero, do not divide by nothing. */
START_TEST(the_watch_of_nothing)
{
    dmc__watch w = {0};
    double z, ratio;
    for (int32_t i = 0; i < 60; i++) dmc__watch_update(&w, 0, 0, &z, &ratio);
    ck_assert_double_eq(z, 0);
    ck_assert(isnan(ratio));
}
END_TEST

/* They reach the user: at every update what the last evaluation found. */
static int32_t look(void *user, const dmc_align_progress *p)
{
    double *worst = user;
    if (!(p->kl_foundation >= 0 && p->spread > 0 && p->unlikely >= 0 && p->grad_norm > 0) || !isfinite(p->entropy)) *worst = 1;
    return 0;
}

START_TEST(progress_and_report_tell)
{
    double wrong = 0;
    dmc_rl_options rl;
    dmc_align_report r = {.struct_size = sizeof r};
    bandit b;
    open_bandit(&b, 4);
    dmc_rl_options_init(&rl, sizeof rl);
    rl.updates = 3;
    ck_assert_int_eq(dmc_aligner_set_progress(b.aligner, look, &wrong), DMC_OK);
    ck_assert_msg(dmc_align_rl(b.aligner, &rl, &r) == DMC_OK, "%s", dmc_last_error());
    ck_assert_double_eq(wrong, 0);
    ck_assert_int_eq(r.end, DMC_ALIGN_DONE);
    ck_assert(r.spread > 0 && r.unlikely >= 0 && isfinite(r.entropy));
    bandit_close(&b);
}
END_TEST

Suite *dmc_suite_metrics(void)
{
    Suite *s = suite_create("metrics");
    TCase *t = tcase_create("metrics");
    tcase_add_test(t, the_foundation);
    tcase_add_test(t, an_untrained_foundation_does_not_judge);
    tcase_add_test(t, weights_that_are_lost);
    tcase_add_test(t, samples_far_from_data_are_unlikely);
    tcase_add_test(t, coherency_is_the_owners);
    tcase_add_test(t, critics_disagree);
    tcase_add_test(t, the_watch);
    tcase_add_test(t, the_watch_of_nothing);
    tcase_add_test(t, progress_and_report_tell);
    suite_add_tcase(s, t);
    return s;
}
