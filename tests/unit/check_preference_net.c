/* check_preference_net.c — a score from comparisons: its scale is that of the odds, candidates are ranked by it, and it teaches. */
#include "dpo_fixture.h"

#include "../../lib/align/dpo.h"
#include "../../lib/align/pairs.h"
#include "failing_alloc.h"

Suite *dmc_suite_preference_net(void);

enum { PAIRS = 64 };

typedef struct rig {
    bandit b;
    dmc__align *a;
    dmc__pairs *pairs;
    dmc__preference *f;
    uint64_t asked;
} rig;

/* Odds of a before b are exp(3(a - b) (2 + o)/2) at observation o. */
static int32_t compare(void *user, size_t n, float *obs, float *win, float *lose)
{
    rig *r = user;
    r->asked++;
    for (size_t i = 0; i < n; i++) {
        const dmc__stream s = {29, DMC_STREAM_ENV, r->asked, i};
        const double a = 2 * dmc__rng_uniform(&s, 0) - 1, b = 2 * dmc__rng_uniform(&s, 1) - 1;
        const int32_t won = dmc__rng_uniform(&s, 2) < 1 / (1 + exp(-3 * (a - b) * (2 + obs[i]) / 2));
        win[i] = (float)(won ? a : b);
        lose[i] = (float)(won ? b : a);
    }
    return 0;
}

static void rig_open(rig *r, const char *device)
{
    const dmc__pairs_config c = {.source = DMC__PAIRS_CALLBACK, .room = 8 * PAIRS};
    dmc_align_options o = bandit_options();
    o.batch = 2 * PAIRS;
    *r = (rig){.asked = 0};
    bandit_open(&r->b, device, 20, &o);
    ck_assert_int_eq(dmc_aligner_set_pairs(r->b.aligner, compare, r), DMC_OK);
    r->a = r->b.aligner->run;
    ck_assert_int_eq(dmc__pairs_create(r->a, &c, &r->pairs), DMC_OK);
    ck_assert_msg(dmc__preference_create(r->a, PAIRS, &r->f) == DMC_OK, "%s", dmc_last_error());
}

static void rig_close(rig *r)
{
    dmc__preference_destroy(r->f);
    dmc__pairs_destroy(r->pairs);
    bandit_close(&r->b);
}

static double rig_learn(rig *r, int32_t updates)
{
    double loss = 0, sum = 0;
    for (int32_t u = 0; u < updates; u++) {
        if (u % 10 == 0) ck_assert_int_eq(dmc__pairs_refresh(r->pairs), DMC_OK);
        ck_assert_int_eq(dmc__preference_learn(r->f, r->pairs, dmc__align_draw(r->a), &loss), DMC_OK);
        if (u >= updates - 50) sum += loss / 50;
    }
    return sum;
}

/* f(.6) - f(-.6), the observation in dataset units: normalised like everything. */
static double difference(rig *r, float obs)
{
    const dmc__view *v = &r->a->view;
    const float raw[2] = {.6f, -.6f};
    float z[2], cond, f[2];
    for (int32_t i = 0; i < 2; i++) dmc__view_normalise(v, &raw[i], &z[i]);
    dmc__view_observe(v, &obs, &cond, NULL, NULL);
    ck_assert_int_eq(dmc__preference_score(r->f, 2, 2, z, &cond, f), DMC_OK);
    return (double)f[0] - f[1];
}

/* Comparisons are noisy, with known odds: f is their logarithm, at every condition. 40 960 of them: a linear f would err by some
 * .06 (1/sqrt(n E[s(1-s) (a-b)^2]) times 1.2 of 3), a network that learns by steps by more. */
START_TEST(the_score_is_the_odds)
{
    rig r;
    rig_open(&r, "cpu");
    const double loss = rig_learn(&r, 800);
    for (int32_t i = -1; i <= 1; i++) {
        const double want = 3 * 1.2 * (2 + .7 * i) / 2, got = difference(&r, .7f * (float)i);
        ck_assert_msg(fabs(got - want) < .25 * want, "%g, should be %g", got, want);
    }
    ck_assert_double_lt(loss, .55);
    rig_close(&r);
}
END_TEST

/* The first update's loss is that of f as it is, and it goes down along the gradient: ref64 and cpu agree on both. */
START_TEST(devices_agree)
{
    double loss[2], f[2];
    for (int32_t i = 0; i < 2; i++) {
        rig r;
        rig_open(&r, i ? "ref64" : "cpu");
        ck_assert_int_eq(dmc__pairs_refresh(r.pairs), DMC_OK);
        for (int32_t u = 0; u < 5; u++) ck_assert_int_eq(dmc__preference_learn(r.f, r.pairs, 7, &loss[i]), DMC_OK);
        f[i] = difference(&r, 0);
        rig_close(&r);
    }
    ck_assert_double_eq_tol(loss[0], loss[1], 1e-4);
    ck_assert_double_eq_tol(f[0], f[1], 1e-3);
}
END_TEST

/* The reward prefers small actions, f large ones. */
START_TEST(candidates_are_ranked_by_it)
{
    rig r;
    dmc__pairs *p;
    rig_open(&r, "cpu");
    r.b.slope = -1;
    rig_learn(&r, 100);
    for (int32_t by = 0; by < 2; by++) {
        const dmc__pairs_config c = {.room = 20, .pool = 8, .margin = .25, .rank = by ? r.f : NULL};
        ck_assert_int_eq(dmc__align_need_reward(r.a), DMC_OK);
        ck_assert_int_eq(dmc__pairs_create(r.a, &c, &p), DMC_OK);
        ck_assert_int_eq(dmc__pairs_refresh(p), DMC_OK);
        ck_assert_int_gt(p->kept, 10);
        for (int32_t i = 0; i < p->kept; i++) {
            float f[2];
            ck_assert_int_eq(dmc__preference_score(r.f, 1, 1, p->win + i, p->cond + i, &f[0]), DMC_OK);
            ck_assert_int_eq(dmc__preference_score(r.f, 1, 1, p->lose + i, p->cond + i, &f[1]), DMC_OK);
            ck_assert_int_eq(f[0] > f[1], by);
        }
        dmc__pairs_destroy(p);
    }
    rig_close(&r);
}
END_TEST

static int32_t no_reward(void *user, size_t n, const float *z, const float *obs, float *r, float *grad)
{
    (void)user, (void)z, (void)obs, (void)grad;
    for (size_t i = 0; i < n; i++) r[i] = 0;
    return 0;
}

/* The share of samples in the rarer mode. */
static int32_t rarer_share(void *user, const dmc_model *m, double *mean, double *se)
{
    enum { N = 512 };
    static float obs[N], act[N];
    dmc_sampler_options o;
    dmc_sampler *s;
    (void)user;
    dmc_sampler_options_init(&o, sizeof o);
    o.batch = N;
    if (dmc_sampler_create(NULL, m, NULL, &o, &s) < 0) return 1;
    const dmc_status status = dmc_sampler_sample(s, obs, N, act, N);
    dmc_sampler_destroy(s);
    *mean = 0;
    for (int32_t i = 0; i < N; i++) *mean += (act[i] < 0) / (double)N;
    *se = .02;
    return status < 0;
}

/* A reward that says nothing leaves the modes as they are; the data's returns, learnt as a score, do not. */
START_TEST(a_learnt_score_teaches)
{
    bandit b;
    dmc_align_options align = bandit_options();
    dmc_dpo_options o;
    dmc_align_report r = {.struct_size = sizeof r};
    align.batch = 128;
    align.eval_every = 20;
    two_modes_open(&b, &align);
    dmc_dpo_options_init(&o, sizeof o);
    o.updates = 60;
    o.pool = 8;
    o.pairs = DMC_PAIRS_DATASET;
    o.discount = 0;
    o.preference = DMC_PREFERENCE_BRADLEY_TERRY;
    o.preference_updates = 200;
    if (_i == 0) {
        o.pairs = DMC_PAIRS_CANDIDATES;
        o.preference = DMC_PREFERENCE_VALUE;
    }
    ck_assert_int_eq(dmc_aligner_set_reward(b.aligner, no_reward, NULL, 0), DMC_OK);
    ck_assert_int_eq(dmc_aligner_set_score(b.aligner, rarer_share, NULL), DMC_OK);
    ck_assert_msg(dmc_align_dpo(b.aligner, &o, &r) == DMC_OK, "%s", dmc_last_error());
    ck_assert_double_lt(r.before, .4);
    if (_i == 0) ck_assert_double_eq(r.after, r.before);
    else ck_assert_double_gt(r.after, .6);
    bandit_close(&b);
}
END_TEST

static void refused(bandit *b, const dmc_dpo_options *o, dmc_status expected, const char *sentence)
{
    ck_assert_int_eq(dmc_align_dpo(b->aligner, o, NULL), expected);
    ck_assert_msg(strstr(dmc_last_error(), sentence) != NULL, "%s", dmc_last_error());
}

START_TEST(bad_options_are_named)
{
    bandit b;
    const dmc_align_options align = bandit_options();
    dmc_dpo_options o;
    bandit_open(&b, "cpu", 0, &align);
    dmc_dpo_options_init(&o, sizeof o);
    o.pool = 8;
    o.preference = DMC_PREFERENCE_BRADLEY_TERRY;
    refused(&b, &o, DMC_EINVAL, "learns from pairs = dataset or callback");
    o.pairs = DMC_PAIRS_DATASET;
    o.margin = 1e3;
    refused(&b, &o, DMC_EINVAL, "margin = 1000");
    o.preference_updates = 0;
    refused(&b, &o, DMC_ERANGE, "preference_updates = 0");
    o.preference = 2;
    refused(&b, &o, DMC_ERANGE, "preference");
    bandit_close(&b);
}
END_TEST

/* All that a stage takes, given back wherever memory ends; a stage that has all of it needs no more. What the aligner itself keeps
 * from its first stage on is there before. */
START_TEST(memory_that_ends_is_given_back)
{
    const dmc__dpo_config c = {.updates = 2, .refresh = 1, .pool = 8, .pairs = DMC__PAIRS_DATASET, .radius = .5, .discount = 1,
                               .bradley_terry = 1, .preference_updates = 2, .gamma = 5, .reference_every = 1};
    bandit b;
    int32_t ended = 0;
    const dmc_align_options align = bandit_options();
    bandit_open(&b, "cpu", 0, &align);
    dmc__align *a = b.aligner->run;
    const dmc__allocator *own = a->alloc, *devices = a->device->alloc;
    dmc__align_result first;
    ck_assert_int_eq(dmc__dpo_run(a, &c, &first), DMC_OK);
    for (int64_t n = 1; !ended; n++) {
        failing_alloc f = {.fail_at = n};
        const dmc__allocator few = failing_allocator(&f);
        dmc__align_result r;
        a->alloc = a->device->alloc = &few;
        const dmc_status status = dmc__dpo_run(a, &c, &r);
        a->alloc = own;
        a->device->alloc = devices;
        ended = status == DMC_OK;
        ck_assert_msg(ended || status == DMC_ENOMEM, "request %d: %s", (int)n, dmc_last_error());
        ck_assert_int_eq(f.live, 0);
    }
    bandit_close(&b);
}
END_TEST

Suite *dmc_suite_preference_net(void)
{
    Suite *s = suite_create("preference_net");
    TCase *t = tcase_create("preference_net");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, the_score_is_the_odds);
    tcase_add_test(t, devices_agree);
    tcase_add_test(t, candidates_are_ranked_by_it);
    tcase_add_loop_test(t, a_learnt_score_teaches, 0, 2);
    tcase_add_test(t, bad_options_are_named);
    tcase_add_test(t, memory_that_ends_is_given_back);
    suite_add_tcase(s, t);
    return s;
}
