/* check_cascade.c — what cascades learn from and learn, when one is kept, and that a gate never loses (methods.md 5, C2 and C3). */
#include "align_fixture.h"

Suite *dmc_suite_cascade(void);

enum { GROUPS = 64, POOL = 8 };

static bandit b;
static double scores[8]; /* what the score callback says, call by call */
static int32_t scored;

static int32_t score(void *user, const dmc_model *m, double *mean, double *se)
{
    (void)user;
    (void)m;
    *mean = scores[scored < 7 ? scored : 7];
    *se = 0;
    scored++;
    return 0;
}

static void say(double a, double c, double d)
{
    const double list[8] = {a, c, d, d, d, d, d, d};
    memcpy(scores, list, sizeof scores);
    scored = 0;
    ck_assert_int_eq(dmc_aligner_set_score(b.aligner, score, NULL), DMC_OK);
}

static void setup(void)
{
    dmc_align_options o = bandit_options();
    o.lr = 3e-3;
    bandit_open(&b, "cpu", 300, &o);
    ck_assert_int_eq(dmc__align_need_reward(b.aligner->run), DMC_OK);
}

static void teardown(void)
{
    bandit_close(&b);
}

static dmc_cascade_options quick(void)
{
    dmc_cascade_options o;
    dmc_cascade_options_init(&o, sizeof o);
    o.updates = 10;
    o.conditions = GROUPS;
    o.gain = 0;
    return o;
}

static dmc_align_report run_cascade(const dmc_cascade_options *o)
{
    dmc_align_report r = {.struct_size = sizeof r};
    ck_assert_msg(dmc_align_cascade(b.aligner, o, &r) == DMC_OK, "%s", dmc_last_error());
    return r;
}

/* ---- C2 --------------------------------------------------------------------------------------------- */

/* Groups in which x_cond, the first, is to become x_cond + 0.3, the best: it is the worst, or there is a worse one. */
static dmc__candidates *shifted(dmc__align *a, int32_t improve)
{
    dmc__candidates *c;
    ck_assert_int_eq(dmc__candidates_create(a, 512, 4, &c), DMC_OK);
    for (uint32_t g = 0; g < 512; g++) {
        const dmc__stream s = {11, DMC_STREAM_ENV, 0, g};
        float *z = c->z + 4 * g, *r = c->reward + 4 * g;
        z[0] = z[3] = (float)(1.2 * dmc__rng_uniform(&s, 0) - 0.8);
        z[1] = z[0] - 0.5F;
        z[2] = z[0] + 0.3F;
        r[2] = 1;
        r[improve ? 1 : 0] = -1; /* of a sample and what was made of it the first counts, be it the worst or not */
        r[improve ? 0 : 1] = 0;
        r[3] = 0;
        c->cond[g] = (float)(2 * dmc__rng_uniform(&s, 1) - 1);
    }
    c->std = 1;
    return c;
}

START_TEST(a_shift_is_learnt)
{
    dmc__align *a = b.aligner->run;
    dmc__cascade_config c = {.updates = 1500, .conditions = 512, .pool = 4, .gain = 0.1,
                              .variation = _i ? DMC__VARY_IMPROVE : DMC__VARY_LATENT, .refresh = 10000};
    dmc__align_result r;
    float x[64], y[64];
    double error = 0, was = 0;
    say(0, 1, 2); /* what comes last is kept */
    dmc__candidates *pairs = shifted(a, _i);
    ck_assert_msg(dmc__cascade_learn(a, &c, pairs, &r) == DMC_OK, "%s", dmc_last_error());
    ck_assert(r.accepted && a->cascade);
    ck_assert_int_eq(dmc__align_condition(a, a->sample, 64, 1, 1, 0), DMC_OK);
    dmc__rollout_bind(a->sample, a->foundation, NULL, dmc__rollout_rows(a->sample));
    ck_assert_int_eq(dmc__rollout_run(a->sample, a->config.seed, 1, 0, 1), DMC_OK);
    for (int i = 0; i < 64; i++) x[i] = (float)(-0.7 + i / 64.);
    const int32_t rows = dmc__rollout_rows(a->sample);
    ck_assert_int_eq(dmc__dev_in(a->device, dmc__rollout_latent(a->sample, rows), x, 64), DMC_OK);
    ck_assert_int_eq(dmc__cascade_sample(a, a->cascade, 1), DMC_OK);
    ck_assert_int_eq(dmc__dev_out(a->device, y, dmc__rollout_latent(a->cascade->sample, rows), 64), DMC_OK);
    for (int i = 0; i < 64; i++) {
        error += fabs((double)y[i] - x[i] - 0.3) / 64;
        was += fabs((double)y[i] - 0.1) / 64; /* of a guess that does not look at x_cond */
    }
    ck_assert_msg(error < 0.08, "x_r - x_cond is 0.3 +- %g", error);
    ck_assert_double_gt(was, 2 * error);
    dmc__candidates_destroy(pairs);
}
END_TEST

/* ---- C3 --------------------------------------------------------------------------------------------- */

/* Whatever a cascade's weights are, a score in which its samples are taken where they gain is not below the one without. */
START_TEST(a_gate_never_lowers_the_score)
{
    dmc__align *a = b.aligner->run;
    double without[2], with, se, gain = 0;
    for (int i = 0; i < 2; i++) { /* whatever is worth more */
        b.slope = i ? -1 : 1;
        ck_assert_int_eq(dmc__align_score(a, &without[i], &se), DMC_OK);
    }
    ck_assert_int_eq(dmc__cascade_create(a, a->foundation, &a->cascade), DMC_OK);
    const size_t n = dmc__learner_elems(a->cascade->learner);
    float *w = malloc(n * sizeof *w);
    for (uint32_t seed = 0; seed < 8; seed++) {
        for (uint32_t i = 0; i < n; i++) {
            const dmc__stream s = {seed / 2, DMC_STREAM_ENV, 0, i};
            w[i] = (float)dmc__rng_normal(&s, 0);
        }
        b.slope = seed % 2 ? -1 : 1;
        ck_assert_int_eq(dmc__learner_set(a->cascade->learner, w), DMC_OK);
        ck_assert_int_eq(dmc__align_score(a, &with, &se), DMC_OK);
        ck_assert_msg(with >= without[seed % 2], "%g with weights %u, %g without", with, seed, without[seed % 2]);
        gain = fmax(gain, with - without[seed % 2]);
    }
    ck_assert_double_gt(gain, 0.01); /* some of its samples were taken */
    free(w);
}
END_TEST

/* ---- which one is kept ------------------------------------------------------------------------------ */

/* Scores without it, with it untrained, with it trained. What it gains before it learnt is the gate's. */
START_TEST(a_cascade_that_is_no_better_is_dropped)
{
    const dmc_cascade_options o = quick();
    say(1, 1.5, 1.4);
    dmc_align_report r = run_cascade(&o);
    ck_assert_int_eq(scored, 3);
    ck_assert(r.accepted == 0 && r.before == 1 && r.after == 1);
    ck_assert_ptr_null(b.aligner->run->cascade);
    say(2, 1.5, 1.9); /* better than itself, but worse than nothing */
    r = run_cascade(&o);
    ck_assert(r.accepted == 0 && r.before == 2 && r.after == 2);
    ck_assert_ptr_null(b.aligner->run->cascade);
    say(1, 1.5, 2);
    r = run_cascade(&o);
    ck_assert(r.accepted == 1 && r.before == 1 && r.after == 2);
    ck_assert_ptr_nonnull(b.aligner->run->cascade);
}
END_TEST

/* Of a file's or an earlier call's cascade and a new one the better stays. */
START_TEST(an_earlier_cascade_is_kept)
{
    const dmc_cascade_options o = quick();
    say(1, 1.5, 2);
    run_cascade(&o);
    const dmc__cascade *first = b.aligner->run->cascade;
    say(2, 1.2, 1.8);
    ck_assert_int_eq(run_cascade(&o).accepted, 0);
    ck_assert_ptr_eq(b.aligner->run->cascade, first);
    say(2, 1.2, 2.1);
    ck_assert_int_eq(run_cascade(&o).accepted, 1);
    ck_assert_ptr_ne(b.aligner->run->cascade, first);
}
END_TEST

/* The score that a call begins with is of the model as it was. */
START_TEST(before_is_without_the_new_one)
{
    dmc__align *a = b.aligner->run;
    dmc_cascade_options o = quick();
    double without, se;
    ck_assert_int_eq(dmc__align_score(a, &without, &se), DMC_OK);
    o.updates = 60;
    const dmc_align_report r = run_cascade(&o);
    ck_assert_double_eq(r.before, without);
    ck_assert_double_eq(r.before_se, se);
}
END_TEST

/* ---- pairs ------------------------------------------------------------------------------------------ */

static dmc__candidates *varied(dmc__align *a, int32_t groups, int32_t kind, double low, double high)
{
    const dmc__variation v = {.kind = kind, .fork_min = low, .fork_max = high};
    dmc__candidates *c;
    ck_assert_int_eq(dmc__candidates_create(a, groups, POOL, &c), DMC_OK);
    ck_assert_msg(dmc__candidates_vary(a, a->foundation, &v, c) == DMC_OK, "%s", dmc_last_error());
    return c;
}

enum { WIDE = 512, BATCHES = 8 };

/* Mean distance to the first of its group, over the groups of one batch. */
static double apart(const dmc__candidates *c, int32_t batch)
{
    double sum = 0;
    for (int32_t i = batch * WIDE; i < (batch + 1) * WIDE; i++) sum += fabs((double)c->z[i] - c->z[i - i % POOL]) / WIDE;
    return sum;
}

/* The nearest and the farthest of the batches. */
static void distances(int32_t process, double low, double high, double *least, double *most)
{
    dmc_align_options o = bandit_options();
    o.batch = WIDE;
    bandit_close(&b);
    bandit_open_process(&b, "cpu", 300, &o, process);
    ck_assert_int_eq(dmc__align_need_reward(b.aligner->run), DMC_OK);
    dmc__candidates *c = varied(b.aligner->run, BATCHES * WIDE / POOL, DMC__VARY_LATENT, low, high);
    *least = INFINITY;
    *most = 0;
    for (int32_t i = 0; i < BATCHES; i++) {
        *least = fmin(*least, apart(c, i));
        *most = fmax(*most, apart(c, i));
    }
    dmc__candidates_destroy(c);
}

/* Every batch of groups has its own level: some lie far apart, some close together. Nowhere are they the same, not even behind the
 * last noise of a sampler, or with one that has none (flow). */
START_TEST(levels_are_drawn_anew)
{
    const int32_t process = _i ? DMC_PROCESS_FLOW : DMC_PROCESS_VP;
    double least, most, same_least, same_most;
    distances(process, 0.1, 0.9, &least, &most);
    distances(process, 0.4, 0.4, &same_least, &same_most);
    ck_assert_msg(least > 0 && most > 1.5 * least, "%g to %g apart", least, most);
    ck_assert_msg(same_least > 0 && same_most < 1.3 * same_least, "%g to %g apart", same_least, same_most);
}
END_TEST

/* The samples that dmc__candidates_draw gives. */
START_TEST(independent_samples_share_nothing)
{
    dmc__align *a = b.aligner->run;
    dmc__candidates *c = varied(a, GROUPS, DMC__VARY_INDEPENDENT, 0, 0), *plain;
    ck_assert_int_eq(dmc__candidates_create(a, GROUPS, POOL, &plain), DMC_OK);
    a->draws = 0;
    ck_assert_int_eq(dmc__candidates_draw(a, a->foundation, plain), DMC_OK);
    ck_assert_mem_eq(c->z, plain->z, GROUPS * POOL * sizeof(float));
    dmc__candidates_destroy(plain);
    dmc__candidates_destroy(c);
}
END_TEST

/* An aligner of a model with four rows over the bandit's data. */
static dmc_aligner *of_four_rows(int32_t planner, dmc_model **m)
{
    dmc_model_options o;
    dmc_align_options align = bandit_options();
    dmc_aligner *a;
    dmc_model_options_init(&o, sizeof o);
    o.role = planner ? DMC_ROLE_PLANNER : DMC_ROLE_POLICY;
    o.network = planner ? DMC_NETWORK_UNET1D_JANNER : DMC_NETWORK_IDQL_MLP;
    o.horizon = 4;
    o.hidden = 8;
    o.mult = "1,2";
    o.blocks = 1;
    o.emb_dim = 8;
    o.train_steps = 5;
    o.predict = DMC_PREDICT_X0; /* an untrained network of noise would meet the limits everywhere */
    ck_assert_msg(dmc_model_create(b.ctx, b.data, &o, m) == DMC_OK, "%s", dmc_last_error());
    ck_assert_int_eq(dmc_aligner_create(NULL, *m, b.data, NULL, &align, &a), DMC_OK);
    return a;
}

static int32_t first_number(void *user, size_t n, const float *z, const float *obs, float *r, float *grad)
{
    const size_t *elems = user;
    (void)obs;
    (void)grad;
    for (size_t i = 0; i < n; i++) r[i] = z[i * *elems + *elems - 1];
    return 0;
}

/* Rows outside the window are the same in a group, rows in it are not; windows differ from group to group. A plan's first state is
 * given anyway, and the masks that are kept for learning are the condition's alone. */
START_TEST(windows_are_drawn_anew)
{
    dmc_model *m;
    dmc_aligner *x = of_four_rows(_i, &m);
    dmc__align *a = x->run;
    size_t e = dmc__align_elems(a);
    const size_t cols = e / 4;
    int32_t seen[5] = {0}, begins[5] = {0};
    ck_assert_int_eq(dmc_aligner_set_reward(x, first_number, &e, 0), DMC_OK);
    ck_assert_int_eq(dmc__align_need_reward(a), DMC_OK);
    dmc__candidates *c = varied(a, GROUPS, DMC__VARY_INPAINT, 0, 0);
    for (int32_t g = 0; g < GROUPS; g++) {
        const float *z = c->z + (size_t)g * POOL * e;
        int32_t first = 4, last = -1, equal = 0;
        for (int32_t row = 0; row < 4; row++) {
            const size_t at = (size_t)row * cols + cols - 1; /* an action: never given */
            const int same = z[at] == z[e + at] && z[at] == z[2 * e + at];
            equal += same;
            if (!same && first == 4) first = row;
            if (!same) last = row;
        }
        ck_assert_int_eq(last - first + 1 + equal, 4); /* contiguous */
        ck_assert_int_le(first, last);
        seen[last - first + 1]++;
        begins[first]++;
        if (_i) ck_assert(c->mask[(size_t)g * e] == 1 && c->mask[(size_t)g * e + 1] == 0 && z[0] == z[e]);
    }
    ck_assert(seen[1] && seen[2] && seen[3] && seen[4] && begins[0] && begins[1] && begins[2] && begins[3]);
    dmc__candidates_destroy(c);
    /* and afterwards nothing is in-painted that was not before */
    ck_assert_int_eq(dmc__candidates_create(a, GROUPS, POOL, &c), DMC_OK);
    ck_assert_int_eq(dmc__candidates_draw(a, a->foundation, c), DMC_OK);
    for (size_t row = 0; row < 4; row++) ck_assert_float_ne(c->z[row * cols + cols - 1], c->z[e + row * cols + cols - 1]);
    dmc__candidates_destroy(c);
    dmc_aligner_destroy(x);
    dmc_model_destroy(m);
}
END_TEST

static dmc_status add_a_fifth(void *self, dmc__align *a, uint64_t draw)
{
    void *z0 = dmc__rollout_latent(a->sample, dmc__rollout_rows(a->sample));
    float *calls = self, z[64];
    (void)draw;
    ck_assert_int_eq(dmc__dev_out(a->device, z, z0, 64), DMC_OK);
    for (int i = 0; i < 64; i++) ck_assert_float_eq(z[i], z[i - i % POOL]);
    for (int i = 0; i < 64; i++) z[i] += 0.2F;
    ++*calls;
    return dmc__dev_in(a->device, z0, z, 64);
}

/* The first of a group is the sample itself, the others are made of it. */
START_TEST(the_first_stays_what_it_was)
{
    dmc__align *a = b.aligner->run;
    float calls = 0;
    const dmc__variation v = {.kind = DMC__VARY_IMPROVE, .improve = add_a_fifth, .self = &calls};
    dmc__candidates *c;
    ck_assert_int_eq(dmc__candidates_create(a, GROUPS, POOL, &c), DMC_OK);
    ck_assert_int_eq(dmc__candidates_vary(a, a->foundation, &v, c), DMC_OK);
    ck_assert_float_eq(calls, GROUPS * POOL / 64);
    for (int32_t i = 0; i < GROUPS * POOL; i++) {
        const float first = c->z[i - i % POOL];
        ck_assert_double_eq_tol(c->z[i], first + (i % POOL ? 0.2 : 0), 1e-6);
        ck_assert_double_eq_tol(c->reward[i], c->z[i], 0.02); /* of what came out, in the data's units */
    }
    dmc__candidates_destroy(c);
}
END_TEST

/* Learning from its own gains goes on improving: the samples it makes in the end are worth more than by the first pairs alone. */
START_TEST(its_own_gains_go_further)
{
    dmc_cascade_options o = quick();
    double gain[2];
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(dmc_aligner_reset(b.aligner), DMC_OK);
        b.aligner->run->draws = 0;
        o.updates = 400;
        o.pairs = i ? DMC_PAIRS_OWN : DMC_PAIRS_LATENT;
        o.refresh = 50;
        const dmc_align_report r = run_cascade(&o);
        gain[i] = r.after - r.before;
    }
    ck_assert_msg(gain[1] > 1.1 * gain[0] && gain[0] > 0, "%g by its own, %g by shared latents", gain[1], gain[0]);
}
END_TEST

/* Rewards are asked for when pairs are made. */
START_TEST(pairs_are_refreshed)
{
    dmc_cascade_options o = quick();
    say(1, 1.5, 2);
    b.calls = 0;
    run_cascade(&o);
    const int32_t once = b.calls;
    ck_assert_int_eq(once, GROUPS * POOL / 64);
    o.refresh = 4;
    say(2, 2.5, 3);
    b.calls = 0;
    run_cascade(&o);
    ck_assert_int_eq(b.calls, 3 * once); /* at 0, 4 and 8 of 10 */
}
END_TEST

START_TEST(refusals)
{
    dmc_cascade_options o = quick();
    o.pairs = DMC_PAIRS_INPAINT;
    ck_assert_int_eq(dmc_align_cascade(b.aligner, &o, NULL), DMC_ESTATE);
    ck_assert_ptr_nonnull(strstr(dmc_last_error(), "samples have 1 row, must be at least 2"));
    o.pairs = DMC_PAIRS_OWN;
    ck_assert_int_eq(dmc_align_cascade(b.aligner, &o, NULL), DMC_EINVAL);
    ck_assert_ptr_nonnull(strstr(dmc_last_error(), "needs refresh > 0"));
    o.pairs = 4;
    ck_assert_int_eq(dmc_align_cascade(b.aligner, &o, NULL), DMC_ERANGE);
    o = quick();
    o.gain = 1e6;
    ck_assert_int_eq(dmc_align_cascade(b.aligner, &o, NULL), DMC_ESTATE);
    ck_assert_ptr_nonnull(strstr(dmc_last_error(), "none of 64 conditions gave a pair"));
    o.gain = 0;
    o.fork_min = 0.8;
    ck_assert_int_eq(dmc_align_cascade(b.aligner, &o, NULL), DMC_EINVAL);
    ck_assert_ptr_null(b.aligner->run->cascade);
}
END_TEST

Suite *dmc_suite_cascade(void)
{
    Suite *const s = suite_create("cascade");
    TCase *const t = tcase_create("cascade");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, a_shift_is_learnt, 0, 2);
    tcase_add_test(t, a_gate_never_lowers_the_score);
    tcase_add_test(t, a_cascade_that_is_no_better_is_dropped);
    tcase_add_test(t, an_earlier_cascade_is_kept);
    tcase_add_test(t, before_is_without_the_new_one);
    tcase_add_loop_test(t, levels_are_drawn_anew, 0, 2);
    tcase_add_test(t, independent_samples_share_nothing);
    tcase_add_loop_test(t, windows_are_drawn_anew, 0, 2);
    tcase_add_test(t, the_first_stays_what_it_was);
    tcase_add_test(t, its_own_gains_go_further);
    tcase_add_test(t, pairs_are_refreshed);
    tcase_add_test(t, refusals);
    suite_add_tcase(s, t);
    return s;
}
