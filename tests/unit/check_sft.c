/* check_sft.c — what SFT keeps of a model's own samples and what that does to it (methods.md 4, S1 to S3). Actions of two kinds, at
 * -1/2 and at 1/2, and one observation for all, so that all samples are of one distribution. */
#include "../../lib/align/synthesis.h"
#include "align_fixture.h"

Suite *dmc_suite_sft(void);

enum { MANY = 1024 };

static bandit b;
static int32_t scored;
static double scores[8]; /* what the score callback says, call by call; the last for ever */

static dmc_dataset *two_kinds(dmc_context *ctx)
{
    static float obs[BANDIT_ROWS], act[BANDIT_ROWS], rew[BANDIT_ROWS];
    static uint8_t end[BANDIT_ROWS];
    dmc_dataset *d;
    for (uint32_t i = 0; i < BANDIT_ROWS; i++) {
        const dmc__stream s = {7, DMC_STREAM_ENV, 0, i};
        const double width = 0.05 * dmc__rng_normal(&s, 4);
        obs[i] = 0;
        act[i] = i == 0 ? -1 : i == 1 ? 1 : (float)((dmc__rng_uniform(&s, 0) < 0.6 ? -0.5 : 0.5) + width);
        rew[i] = act[i];
        end[i] = i % BANDIT_EPISODE == BANDIT_EPISODE - 1;
    }
    ck_assert_int_eq(dmc_dataset_create(ctx, BANDIT_ROWS, 1, 1, obs, act, rew, end, NULL, NULL, &d), DMC_OK);
    return d;
}

/* A model of these data after 600 updates; rank 0, so that an update moves a weight by the learning rate. */
static void setup(void)
{
    dmc_model_options m;
    dmc_train_options t;
    dmc_trainer *trainer;
    dmc_model *start;
    dmc_align_options o = bandit_options();
    memset(&b, 0, sizeof b);
    b.slope = 1;
    scored = 0;
    ck_assert_int_eq(dmc_context_create(NULL, &b.ctx), DMC_OK);
    b.data = two_kinds(b.ctx);
    dmc_model_options_init(&m, sizeof m);
    m.hidden = 32;
    m.blocks = 1;
    m.emb_dim = 8;
    m.train_steps = 5;
    m.seed = 3;
    ck_assert_int_eq(dmc_model_create(b.ctx, b.data, &m, &start), DMC_OK);
    dmc_train_options_init(&t, sizeof t);
    t.steps = 600;
    t.batch = 64;
    t.lr = 3e-3;
    t.ema = 0.9;
    ck_assert_int_eq(dmc_trainer_create(NULL, start, b.data, &t, &trainer), DMC_OK);
    ck_assert_int_eq(dmc_trainer_step(trainer, t.steps, NULL), DMC_OK);
    ck_assert_int_eq(dmc_trainer_publish(trainer, &b.model), DMC_OK);
    dmc_trainer_destroy(trainer);
    dmc_model_destroy(start);
    o.lora_rank = 0;
    o.lr = 1e-3;
    b.aligner = bandit_aligner(&b, &o);
}

static void teardown(void)
{
    bandit_close(&b);
}

static dmc__synthesis_config synthesis_options(void)
{
    return (dmc__synthesis_config){.conditions = 64, .pool = 8, .top_k = 1, .keep_rounds = 2};
}

static dmc__synthesis *open_synthesis(const dmc__synthesis_config *c)
{
    dmc__synthesis *s;
    ck_assert_int_eq(dmc__align_need_reward(b.aligner->run), DMC_OK);
    ck_assert_msg(dmc__synthesis_create(b.aligner->run, c, &s) == DMC_OK, "%s", dmc_last_error());
    return s;
}

static void one_round(dmc__synthesis *s)
{
    ck_assert_msg(dmc__synthesis_round(s, s->a->foundation) == DMC_OK, "%s", dmc_last_error());
}

static double kept(const dmc__synthesis *s, int32_t at, float *weight)
{
    float x, side, mask, w;
    dmc__synthesis_give(s, (size_t)at, &x, &side, &mask, weight ? weight : &w);
    return x;
}

static int order_float(const void *x, const void *y)
{
    const float a = *(const float *)x, c = *(const float *)y;
    return (a > c) - (a < c);
}

/* ---- what is kept ----------------------------------------------------------------------------------- */

/* S1: the higher the quantile of real data, the less is kept; without one all is. */
START_TEST(a_higher_threshold_keeps_less)
{
    static const double quantile[] = {0, 0.1, 0.5, 0.9};
    int32_t before = INT32_MAX;
    for (int i = 0; i < 4; i++) {
        dmc__synthesis_config c = synthesis_options();
        c.top_k = c.pool;
        c.likelihood = quantile[i];
        dmc__synthesis *s = open_synthesis(&c);
        b.aligner->run->draws = 0; /* the same samples every time */
        one_round(s);
        if (i == 0) ck_assert_int_eq(s->kept, c.conditions * c.pool);
        ck_assert_msg(s->kept <= before, "quantile %g keeps %d, a lower one %d", quantile[i], s->kept, before);
        before = s->kept;
        dmc__synthesis_destroy(s);
    }
    ck_assert_int_lt(before, 256);
}
END_TEST

/* S1: of samples from far outside none passes, of real ones nine in ten. */
START_TEST(what_is_far_away_is_rejected)
{
    enum { N = 64 };
    uint8_t near[N], far[N];
    int32_t nears = 0, fars = 0;
    dmc__synthesis_config c = synthesis_options();
    c.likelihood = 0.1;
    dmc__synthesis *s = open_synthesis(&c);
    ck_assert_int_eq(dmc__synthesis_admit(s, N, near), DMC_OK); /* the windows the threshold is of are still there */
    for (int i = 0; i < N; i++) s->one_x0[i] = (float)((i % 2 ? 1 : -1) * (2 + i / (double)N));
    ck_assert_int_eq(dmc__synthesis_admit(s, N, far), DMC_OK);
    for (int i = 0; i < N; i++) nears += near[i], fars += far[i];
    ck_assert_int_eq(fars, 0);
    ck_assert_msg(nears >= 48 && nears <= 62, "%d of 64, should be 58 +- 2.4", nears);
    dmc__synthesis_destroy(s);
}
END_TEST

/* S3: a sample of the better kind is among the k best of N as often as there are so many: E min(B, k) / k, B ~ Bin(N, p). */
START_TEST(the_share_of_the_better_kind)
{
    dmc__synthesis_config c = synthesis_options();
    c.conditions = 512;
    c.top_k = _i;
    dmc__synthesis *s = open_synthesis(&c);
    one_round(s);
    double p = 0, want = 0, variance = 0, share = 0, chance = 1;
    const int32_t all = c.conditions * c.pool, n = c.pool;
    for (int32_t i = 0; i < all; i++) p += (s->pool->z[i] > 0) / (double)all;
    ck_assert_msg(p > 0.2 && p < 0.6, "%g of the samples are of the better kind", p);
    for (int32_t k = 0; k <= n; k++) { /* chance: of exactly k */
        chance = k == 0 ? pow(1 - p, n) : chance * (n - k + 1) / k * p / (1 - p);
        const double part = k < c.top_k ? k / (double)c.top_k : 1;
        want += chance * part;
        variance += chance * part * part;
    }
    ck_assert_int_eq(s->kept, c.conditions * c.top_k);
    for (int32_t i = 0; i < s->kept; i++) share += (kept(s, i, NULL) > 0) / (double)s->kept;
    const double se = sqrt((variance - want * want) / c.conditions);
    ck_assert_msg(fabs(share - want) < 4 * se + 1e-9, "%g, should be %g +- %g (p = %g)", share, want, se, p);
    ck_assert_double_gt(share, p);
    dmc__synthesis_destroy(s);
}
END_TEST

/* By hand: the best k of each condition; or the best of all, wherever they come from. */
START_TEST(the_best_are_kept)
{
    dmc__synthesis_config c = synthesis_options();
    c.top_k = 3;
    if (_i) c.quantile = 0.75;
    dmc__synthesis *s = open_synthesis(&c);
    one_round(s);
    const size_t all = (size_t)(c.conditions * c.pool);
    float *z = s->pool->z, want[64 * 8];
    int32_t n = 0;
    if (_i) qsort(z, all, sizeof *z, order_float);
    for (int32_t g = 0; g < c.conditions && !_i; g++) {
        qsort(z + g * c.pool, (size_t)c.pool, sizeof *z, order_float);
        for (int32_t k = 1; k <= 3; k++) want[n++] = z[(g + 1) * c.pool - k];
    }
    for (size_t i = all - 1; i >= 383 && _i; i--) want[n++] = z[i]; /* .75 * 511 = 383.25 */
    ck_assert_int_eq(s->kept, n);
    for (int32_t i = 0; i < n; i++) ck_assert_float_eq((float)kept(s, i, NULL), want[i]);
    dmc__synthesis_destroy(s);
}
END_TEST

/* Weights are exp(beta A) up to 100, over their mean; alike for beta 0. */
START_TEST(weights_grow_with_the_advantage)
{
    dmc__synthesis_config c = synthesis_options();
    double sum = 0;
    float w[2];
    c.top_k = c.pool;
    c.beta = _i ? 30 : 0.7;
    dmc__synthesis *s = open_synthesis(&c);
    one_round(s);
    double least = INFINITY, most = 0;
    for (int32_t i = 0; i < s->kept; i++) {
        kept(s, i, w);
        sum += w[0];
        least = fmin(least, w[0]);
        most = fmax(most, w[0]);
    }
    ck_assert_double_eq_tol(sum / s->kept, 1, 1e-4);
    if (_i) ck_assert_double_eq_tol(most / least, 1e8, 1e6); /* 100 and the least that is not nothing */
    const double first = kept(s, 0, w), second = kept(s, 1, w + 1); /* of one condition: A differs by (r - r') / std */
    if (!_i) ck_assert_double_eq_tol(w[0] / w[1], exp(c.beta * (first - second) / s->pool->std), 1e-4);
    dmc__synthesis_destroy(s);
    c.beta = 0;
    s = open_synthesis(&c);
    one_round(s);
    kept(s, 5, w);
    ck_assert_float_eq(w[0], 1);
    dmc__synthesis_destroy(s);
}
END_TEST

/* A ring of so many rounds. */
START_TEST(old_rounds_are_forgotten)
{
    dmc__synthesis_config c = synthesis_options();
    dmc__synthesis *s = open_synthesis(&c);
    one_round(s);
    const double first = kept(s, 0, NULL);
    one_round(s);
    ck_assert_int_eq(s->kept, 2 * c.conditions);
    ck_assert_double_eq(kept(s, 0, NULL), first);
    one_round(s);
    ck_assert_int_eq(s->kept, 2 * c.conditions);
    ck_assert_double_ne(kept(s, 0, NULL), first);
    dmc__synthesis_destroy(s);
}
END_TEST

/* An eighth is not learnt from. It is likeliest under the weights that drew it, and asking leaves the threshold's judge alone. */
START_TEST(the_held_out_loss)
{
    dmc__synthesis_config c = synthesis_options();
    double of_model, of_others;
    uint8_t was[64], is[64];
    c.conditions = 256;
    c.hold_out = 1;
    c.likelihood = 0.1;
    dmc__synthesis *s = open_synthesis(&c);
    ck_assert_int_eq(dmc__synthesis_loss(s, s->a->foundation, &of_model), DMC_OK);
    ck_assert(isnan(of_model)); /* nothing is held yet */
    one_round(s);
    ck_assert_int_eq(s->n_held, (s->kept + s->n_held) / 8);
    ck_assert_int_gt(s->n_held, 8);
    memcpy(s->one_x0, s->pool->z, 64 * sizeof(float));
    ck_assert_int_eq(dmc__synthesis_admit(s, 64, was), DMC_OK);
    ck_assert_int_eq(dmc__synthesis_loss(s, s->a->foundation, &of_model), DMC_OK);
    const size_t n = dmc__learner_elems(s->a->learner);
    float *w = malloc(n * sizeof *w);
    ck_assert_int_eq(dmc__learner_get(s->a->learner, w), DMC_OK);
    for (size_t i = 0; i < n; i++) w[i] *= 1.3F;
    ck_assert_int_eq(dmc__learner_set(s->a->learner, w), DMC_OK);
    ck_assert_int_eq(dmc__synthesis_loss(s, dmc__learner_weights(s->a->learner), &of_others), DMC_OK);
    ck_assert_msg(of_others > of_model + 0.1, "%g, under other weights %g", of_model, of_others);
    memcpy(s->one_x0, s->pool->z, 64 * sizeof(float));
    ck_assert_int_eq(dmc__synthesis_admit(s, 64, is), DMC_OK);
    ck_assert_mem_eq(was, is, sizeof was);
    free(w);
    dmc__synthesis_destroy(s);
}
END_TEST

/* ---- what that does --------------------------------------------------------------------------------- */

static int32_t score(void *user, const dmc_model *m, double *mean, double *se)
{
    (void)user;
    (void)m;
    *mean = scores[scored < 7 ? scored : 7];
    *se = 0;
    scored++;
    return 0;
}

static dmc_sft_options quick(void)
{
    dmc_sft_options o;
    dmc_sft_options_init(&o, sizeof o);
    o.updates = 60;
    o.pool = 16;
    o.conditions = 64;
    o.likelihood = 0;
    o.replay = 0;
    return o;
}

static void run_sft(const dmc_sft_options *o, dmc_align_report *r)
{
    *r = (dmc_align_report){.struct_size = sizeof *r};
    ck_assert_msg(dmc_align_sft(b.aligner, o, r) == DMC_OK, "%s", dmc_last_error());
}

/* Share of the better kind among samples of what the aligner would publish, and their standard deviation within it. */
static double better_share(double *width)
{
    static float obs[MANY], act[MANY];
    dmc_model *m;
    dmc_sampler *s;
    dmc_sampler_options o;
    double n = 0, sum = 0, square = 0;
    ck_assert_int_eq(dmc_aligner_publish(b.aligner, &m), DMC_OK);
    dmc_sampler_options_init(&o, sizeof o);
    o.batch = MANY;
    ck_assert_int_eq(dmc_sampler_create(NULL, m, NULL, &o, &s), DMC_OK);
    ck_assert_int_ge(dmc_sampler_sample(s, obs, MANY, act, MANY), DMC_OK);
    for (int i = 0; i < MANY; i++) {
        if (act[i] <= 0) continue;
        n++;
        sum += act[i];
        square += (double)act[i] * act[i];
    }
    dmc_sampler_destroy(s);
    dmc_model_destroy(m);
    *width = sqrt(fmax(square / n - sum / n * (sum / n), 0));
    return n / MANY;
}

/* S2: learning from all of its own samples changes nothing but by chance; the best of sixteen leave one kind. */
START_TEST(one_candidate_changes_nothing)
{
    dmc_align_report r;
    dmc_sft_options o = quick();
    double width, narrow, best;
    for (int i = 0; i < 8; i++) scores[i] = i; /* whatever comes last is kept */
    ck_assert_int_eq(dmc_aligner_set_score(b.aligner, score, NULL), DMC_OK);
    const double share = better_share(&width);
    o.pool = 1;
    run_sft(&o, &r);
    const double same = better_share(&narrow);
    ck_assert_int_eq(r.accepted, 1);
    ck_assert_msg(fabs(same - share) < 0.12, "share %g, was %g", same, share);
    ck_assert_msg(fabs(narrow / width - 1) < 0.35, "width %g, was %g", narrow, width);
    scored = 0;
    ck_assert_int_eq(dmc_aligner_reset(b.aligner), DMC_OK);
    o.pool = 16;
    run_sft(&o, &r);
    ck_assert_msg((best = better_share(&narrow)) > share + 0.25, "share %g, was %g", best, share);
}
END_TEST

/* The largest change of a weight, in learning rates: a first step of AdamW is one of them. */
static double moved(const dmc_sft_options *o)
{
    dmc_align_report r;
    size_t n;
    double most = 0;
    scored = 0;
    ck_assert_int_eq(dmc_aligner_reset(b.aligner), DMC_OK);
    float *before = bandit_weights(b.aligner, &n);
    run_sft(o, &r);
    float *after = bandit_weights(b.aligner, &n);
    ck_assert_int_eq(r.accepted, 1);
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs((double)after[i] - before[i]));
    free(before);
    free(after);
    return most / 1e-3;
}

/* Two rounds of one update, the first makes the score worse: undone, so that one update is left. */
START_TEST(a_worse_round_is_undone)
{
    const double list[8] = {1, 0.5, 2, 2, 2, 2, 2, 2};
    dmc_sft_options o = quick();
    memcpy(scores, list, sizeof scores);
    ck_assert_int_eq(dmc_aligner_set_score(b.aligner, score, NULL), DMC_OK);
    o.updates = o.rounds = 2;
    const double undone = moved(&o);
    ck_assert_int_eq(scored, 3); /* before, after the first round, at the end */
    o.accept = 0;
    scores[1] = 2;
    const double both = moved(&o);
    ck_assert_int_eq(scored, 2);
    o.accept = 1;
    scores[1] = 1; /* not worse */
    const double kept_both = moved(&o);
    ck_assert_msg(undone < 1.01, "undone: %g learning rates", undone);
    ck_assert_msg(both > 1.5 && kept_both > 1.5, "kept: %g and %g learning rates", both, kept_both);
}
END_TEST

/* Rewards are asked for when samples are made, so calls tell how many rounds there were: with a learning rate that overshoots the
 * held-out loss rises at once. */
static int32_t reward_calls(int32_t early_stop, double lr)
{
    dmc_align_options a = bandit_options();
    dmc_align_report r;
    dmc_sft_options o = quick();
    a.lora_rank = 0;
    a.lr = lr;
    dmc_aligner_destroy(b.aligner);
    b.aligner = bandit_aligner(&b, &a);
    ck_assert_int_eq(dmc_aligner_set_score(b.aligner, score, NULL), DMC_OK);
    for (int i = 0; i < 8; i++) scores[i] = i;
    scored = b.calls = 0;
    o.updates = 20;
    o.rounds = 1;
    o.early_stop = early_stop;
    run_sft(&o, &r);
    return b.calls;
}

START_TEST(a_round_ends_when_held_out_samples_become_unlikely)
{
    const int32_t whole = reward_calls(0, 0.05);
    ck_assert_int_gt(reward_calls(2, 0.05), 2 * whole);
    ck_assert_int_eq(reward_calls(0, 1e-9), whole);
    ck_assert_int_eq(reward_calls(21, 0.05), whole); /* never looked */
}
END_TEST

START_TEST(refusals)
{
    dmc_sft_options o = quick();
    o.top_k = 17;
    ck_assert_int_eq(dmc_align_sft(b.aligner, &o, NULL), DMC_EINVAL);
    ck_assert_ptr_nonnull(strstr(dmc_last_error(), "top_k = 17, must be at most pool = 16"));
    o = quick();
    o.conditions = 1048576;
    o.pool = 4096;
    ck_assert_int_eq(dmc_align_sft(b.aligner, &o, NULL), DMC_EOVERFLOW);
    o = quick();
    o.quantile = 1.5;
    ck_assert_int_eq(dmc_align_sft(b.aligner, &o, NULL), DMC_ERANGE);
    o = quick();
    o.accept = 2;
    ck_assert_int_eq(dmc_align_sft(b.aligner, &o, NULL), DMC_ERANGE);
}
END_TEST

Suite *dmc_suite_sft(void)
{
    Suite *const s = suite_create("sft");
    TCase *const t = tcase_create("sft");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_higher_threshold_keeps_less);
    tcase_add_test(t, what_is_far_away_is_rejected);
    tcase_add_loop_test(t, the_share_of_the_better_kind, 1, 5);
    tcase_add_loop_test(t, the_best_are_kept, 0, 2);
    tcase_add_loop_test(t, weights_grow_with_the_advantage, 0, 2);
    tcase_add_test(t, old_rounds_are_forgotten);
    tcase_add_test(t, the_held_out_loss);
    tcase_add_test(t, one_candidate_changes_nothing);
    tcase_add_test(t, a_worse_round_is_undone);
    tcase_add_test(t, a_round_ends_when_held_out_samples_become_unlikely);
    tcase_add_test(t, refusals);
    suite_add_tcase(s, t);
    return s;
}
