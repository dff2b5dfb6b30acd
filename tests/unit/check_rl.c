/* check_rl.c — policy gradients against closed forms and their identities (methods.md 2: R1, R2), and what each option does. */
#include "align_fixture.h"
#include "linear_world.h"

Suite *dmc_suite_rl(void);

/* ---- R1: REINFORCE is unbiased --------------------------------------------------------------------------------- */

/* E[x^2; |x| < c] of a standard normal: an entry's log-probability is clamped from below at -5, where x = (z'-mu)/S is c. */
static double clamped_square(double std)
{
    const double half_ln_2pi = 0.91893853320467274178, c = sqrt(2 * (5 - log(std) - half_ln_2pi));
    return erf(c / sqrt(2)) - 2 * c * exp(-c * c / 2 - half_ln_2pi);
}

/* d loss / d L_k of all rows: with z_k ~ N(0, v_k), A_k the slopes after row k and r = -(z_0-c)^2,
 *     -E[r x_k] a Q z_k / S = 2 A_k^2 m_k v_k a Q E[x^2],
 * times 1 - 1/G, as the baseline holds the sample itself, over the deviation of r from it, (1-1/G) (2 v^2 + 4 v c^2) squared. */
static void closed_form(const dmc__rl *s, double group, double *slope)
{
    double m[LINEAR_STEPS], v[LINEAR_STEPS + 1] = {1}, after = 1;
    for (int32_t k = 0; k < LINEAR_STEPS; k++) {
        const dmc__row *r = dmc__rollout_row(s->chain, k);
        m[k] = r->a * (r->P + r->Q * linear_slope[(int)r->at.seen]) + r->b;
        v[k + 1] = m[k] * m[k] * v[k] + r->S * r->S;
    }
    const double z0 = v[LINEAR_STEPS], others = 1 - 1 / group;
    const double std = sqrt(others * (2 * z0 * z0 + 4 * z0 * linear_best * linear_best));
    for (int32_t k = LINEAR_STEPS - 1; k >= 0; k--) {
        const dmc__row *r = dmc__rollout_row(s->chain, k);
        if (k >= LINEAR_STEPS - s->k)
            slope[k - (LINEAR_STEPS - s->k)] = others / std * 2 * after * after * m[k] * v[k] * r->a * r->Q * clamped_square(r->S);
        after *= m[k];
    }
}

static dmc__rl_config plain(int32_t method, int32_t k)
{
    return (dmc__rl_config){.method = method, .updates = 1, .last_k = k, .kappa = DMC__KAPPA_CONST, .epochs = 1, .kappa_gamma = 1,
                            .clip = .1, .advantage_clip = 1e6};
}

/* 64 batches of 1024 chains: the mean gradient is within 3.5 standard errors, and those are below 8 % of it. */
START_TEST(reinforce_is_unbiased)
{
    enum { TIMES = 64, GROUP = 8 };
    linear_world w;
    dmc__rl *s;
    dmc__align_note note;
    const dmc__rl_config c = plain(DMC__RL_REINFORCE, _i);
    double expected[LINEAR_STEPS], sum[LINEAR_STEPS] = {0}, square[LINEAR_STEPS] = {0};
    linear_world_open(&w, "cpu", 1024, GROUP);
    ok(dmc__rl_create(w.a, &c, &s));
    for (int i = 0; i < TIMES; i++) {
        double g[LINEAR_STEPS];
        ok(dmc__rl_ratio_begin(s, &note));
        ok(dmc__rl_ratio_gradient(s, &note));
        linear_take_gradient(&w, s, g);
        for (int j = 0; j < s->k; j++) sum[j] += g[j], square[j] += g[j] * g[j];
    }
    closed_form(s, GROUP, expected);
    for (int j = 0; j < s->k; j++) {
        const double mean = sum[j] / TIMES, se = sqrt((square[j] / TIMES - mean * mean) / (TIMES - 1));
        ck_assert_msg(fabs(mean - expected[j]) < 3.5 * se, "row %d: %g, closed form %g, SE %g", j, mean, expected[j], se);
        ck_assert_double_lt(se, .08 * fabs(expected[j]));
    }
    dmc__rl_destroy(s);
    linear_world_close(&w);
}
END_TEST

/* ---- R2, and what the divergence counts ------------------------------------------------------------------------ */

/* An aligner of the bandit and what one method needs. */
typedef struct trial {
    bandit b;
    dmc__align *a;
    dmc__rl *s;
    dmc__align_note note;
    size_t n; /* weights */
} trial;

static void trial_open_model(trial *t, const char *device, const dmc__rl_config *c, float slope, const dmc_model_options *m)
{
    const dmc_align_options o = bandit_options();
    bandit_open_model(&t->b, device, 50, &o, m);
    t->b.slope = slope;
    t->a = t->b.aligner->run;
    t->n = dmc__graph_param_elems(t->a->net->graph);
    ok(dmc__align_need_reward(t->a));
    ok(dmc__rl_create(t->a, c, &t->s));
}

static void trial_open(trial *t, const char *device, const dmc__rl_config *c, float slope)
{
    const dmc_model_options m = bandit_model();
    trial_open_model(t, device, c, slope, &m);
}

static void trial_close(trial *t)
{
    dmc__rl_destroy(t->s);
    bandit_close(&t->b);
}

/* Away from the reference. */
static void trial_move(const trial *t, double by)
{
    const size_t m = dmc__learner_elems(t->a->learner);
    float *w = calloc(m, sizeof *w);
    ok(dmc__learner_get(t->a->learner, w));
    for (size_t i = 0; i < m; i++) w[i] += (float)(by * sin((double)i));
    ok(dmc__learner_set(t->a->learner, w));
    free(w);
}

static float *trial_gradient(trial *t)
{
    float *g = calloc(t->n, sizeof *g);
    ok(dmc__rl_ratio_gradient(t->s, &t->note));
    ok(dmc__dev_out(t->a->device, g, dmc__learner_grads(t->a->learner), t->n));
    return g;
}

/* Gradient of all weights for the chains of one draw; `moved`: the weights have left the reference before. caller frees */
static float *gradient_of(int32_t method, int32_t k, float slope, double kl, int32_t moved, trial *t)
{
    dmc__rl_config c = plain(method, k);
    c.kl = kl;
    trial_open(t, "ref64", &c, slope);
    if (moved) trial_move(t, .05);
    ok(dmc__rl_ratio_begin(t->s, &t->note));
    float *g = trial_gradient(t);
    trial_close(t);
    return g;
}

static void must_be_times(const float *x, double factor, const float *y, size_t n)
{
    double largest = 0;
    for (size_t i = 0; i < n; i++) largest = fmax(largest, fabs(x[i]));
    ck_assert_double_gt(largest, 1e-6);
    for (size_t i = 0; i < n; i++)
        ck_assert_msg(fabs(x[i] - factor * y[i]) <= 1e-6 * largest, "weight %zu: %g and %g times %g", i, x[i], factor, y[i]);
}

/* R2: where nothing has moved every ratio is 1 and nothing is clipped; PPO's mean over K transitions has the gradient of
 * REINFORCE's sum over K. */
START_TEST(ppo_starts_as_reinforce)
{
    trial p, r;
    float *ppo = gradient_of(DMC__RL_PPO, _i, 1, 0, 0, &p), *reinforce = gradient_of(DMC__RL_REINFORCE, _i, 1, 0, 0, &r);
    must_be_times(reinforce, _i, ppo, p.n);
    ck_assert_double_eq(p.note.ratio_max, 1);
    ck_assert_double_eq(p.note.clip_share, 0);
    ck_assert(isnan(r.note.ratio_max) && isnan(r.note.clip_share));
    free(ppo);
    free(reinforce);
}
END_TEST

/* The divergence is reduced over the rows as the advantages are: alone it makes K times the gradient in REINFORCE, too; and
 * the KL that is reported is the same. */
START_TEST(the_divergence_counts_as_the_policy)
{
    trial p, r;
    float *ppo = gradient_of(DMC__RL_PPO, _i, 0, 1, 1, &p), *reinforce = gradient_of(DMC__RL_REINFORCE, _i, 0, 1, 1, &r);
    must_be_times(reinforce, _i, ppo, p.n);
    ck_assert_double_gt(r.note.kl, 0);
    ck_assert_double_eq_tol(r.note.kl, p.note.kl, 1e-12);
    free(ppo);
    free(reinforce);
}
END_TEST

/* R6: at the reference the divergence is 0 and so is its gradient, of either kind and by either gradient. */
START_TEST(no_divergence_at_the_reference)
{
    trial t;
    dmc__rl_config c = plain(_i % 2 ? DMC__RL_QVPG : DMC__RL_PPO, 3);
    c.kl = 1;
    c.kl_exact = _i / 2;
    trial_open(&t, "cpu", &c, 0);
    if (_i % 2) ok(dmc__rl_qvpg_gradient(t.s, &t.note));
    else ok(dmc__rl_ratio_begin(t.s, &t.note));
    float *g = calloc(t.n, sizeof *g);
    if (_i % 2 == 0) ok(dmc__rl_ratio_gradient(t.s, &t.note));
    ok(dmc__dev_out(t.a->device, g, dmc__learner_grads(t.a->learner), t.n));
    ck_assert_double_eq(t.note.kl, 0);
    for (size_t i = 0; i < t.n; i++) ck_assert_float_eq(g[i], 0);
    free(g);
    trial_close(&t);
}
END_TEST

/* R6: and away from it, on one step, it is the mean of ln pi - ln pi_ref over the steps taken, up to sampling (4 standard errors,
 * themselves below a tenth of it). */
START_TEST(divergence_is_the_mean_log_ratio)
{
    enum { N = 4096 };
    linear_world w;
    dmc__rl *s;
    dmc__align_note note;
    dmc__rl_config c = plain(DMC__RL_REINFORCE, 1);
    float *mu = calloc(2 * N, sizeof *mu), *ref = calloc(2 * N, sizeof *ref), *z = calloc(2 * N, sizeof *z);
    double sum = 0, square = 0;
    c.kl = 1;
    linear_world_open(&w, "cpu", N, 8);
    ok(dmc__rl_create(w.a, &c, &s));
    const size_t n = dmc__learner_elems(w.a->learner);
    float *weights = calloc(n, sizeof *weights);
    ok(dmc__learner_get(w.a->learner, weights));
    for (size_t i = 0; i < n; i++) weights[i] *= 1.04f;
    ok(dmc__learner_set(w.a->learner, weights));
    ok(dmc__rl_ratio_begin(s, &note));
    ok(dmc__rl_ratio_gradient(s, &note));
    ok(dmc__dev_out(w.m.device, mu, s->mu, 2 * N));
    ok(dmc__dev_out(w.m.device, ref, s->mu_ref, 2 * N));
    ok(dmc__dev_out(w.m.device, z, dmc__rollout_latent(s->chain, LINEAR_STEPS), 2 * N));
    const double std = dmc__rollout_row(s->chain, LINEAR_STEPS - 1)->S;
    for (int i = 1; i < 2 * N; i += 2) {
        const double now = (z[i] - mu[i]) / std, then = (z[i] - ref[i]) / std, ratio = (then * then - now * now) / 2;
        sum += ratio / N;
        square += ratio * ratio / N;
    }
    const double se = sqrt((square - sum * sum) / N);
    ck_assert_msg(fabs(note.kl - sum) < 4 * se, "KL %g, mean log ratio %g, SE %g", note.kl, sum, se);
    ck_assert_double_lt(se, .1 * note.kl);
    free(weights);
    free(mu);
    free(ref);
    free(z);
    dmc__rl_destroy(s);
    linear_world_close(&w);
}
END_TEST

/* ---- options --------------------------------------------------------------------------------------------------- */

/* Of D entries a sum has D times the gradient of the mean, policy and divergence alike; the KL is per dimension in both. */
START_TEST(a_sum_over_entries_is_larger)
{
    float *g[2];
    double kl[2];
    dmc_model_options m = bandit_model();
    trial t;
    m.horizon = 3;
    for (int32_t sum = 0; sum < 2; sum++) {
        dmc__rl_config c = plain(DMC__RL_REINFORCE, 2);
        c.reduce_sum = sum;
        c.kl = .5;
        trial_open_model(&t, "ref64", &c, 1, &m);
        trial_move(&t, .05);
        ok(dmc__rl_ratio_begin(t.s, &t.note));
        g[sum] = trial_gradient(&t);
        kl[sum] = t.note.kl;
        trial_close(&t);
    }
    must_be_times(g[1], 3, g[0], t.n);
    ck_assert_double_gt(kl[0], 0);
    ck_assert_double_eq_tol(kl[1], kl[0], 1e-6 * kl[0]);
    free(g[0]);
    free(g[1]);
}
END_TEST

/* methods.md 2.3, and pitfall 21: of one row it is the clip itself. */
START_TEST(clip_rises_with_the_step)
{
    ck_assert_double_eq(dmc__rl_clip(.001, .01, 0, 1), .01);
    ck_assert_double_eq_tol(dmc__rl_clip(.001, .01, 0, 3), .001, 1e-15);
    ck_assert_double_eq_tol(dmc__rl_clip(.001, .01, 1, 3), .001 + .009 * (exp(1.5) - 1) / (exp(3) - 1), 1e-15);
    ck_assert_double_eq_tol(dmc__rl_clip(.001, .01, 2, 3), .01, 1e-15);
    ck_assert_double_eq(dmc__rl_clip(0, .01, 0, 3), .01);
}
END_TEST

/* A narrow clip at the first row and none at the last: ratios leave it there alone. */
START_TEST(each_row_has_its_clip)
{
    trial t;
    dmc__rl_config c = plain(DMC__RL_PPO, 2);
    int32_t clipped[2] = {0}, units;
    double most = 0;
    c.clip = 1e6;
    c.clip_base = 1e-9;
    trial_open(&t, "cpu", &c, 1);
    ok(dmc__rl_ratio_begin(t.s, &t.note));
    trial_move(&t, .05);
    free(trial_gradient(&t));
    units = t.s->batch;
    for (int32_t j = 0; j < 2; j++)
        for (int32_t i = 0; i < units; i++) {
            const float *said = t.s->row + 3 * (j * units + i); /* loss, ratio, clipped */
            clipped[j] += said[2] != 0;
            most = fmax(most, said[1]);
        }
    ck_assert_int_gt(clipped[0], units / 8);
    ck_assert_int_eq(clipped[1], 0);
    ck_assert_double_eq_tol(t.note.clip_share, clipped[0] / (2.0 * units), 1e-12);
    ck_assert_double_eq(t.note.ratio_max, most);
    ck_assert_double_gt(most, 1);
    trial_close(&t);
}
END_TEST

/* The weights after five epochs, the gradient's dropped where target_kl says so. */
static float *after_epochs(int32_t epochs, double target_kl, double *kl)
{
    trial t;
    dmc__rl_config c = plain(DMC__RL_PPO, 0);
    c.epochs = epochs;
    c.target_kl = target_kl;
    trial_open(&t, "cpu", &c, 1);
    ok(dmc__rl_ratio_update(t.s, &t.note));
    *kl = dmc__rl_ratio_kl(t.s);
    const size_t m = dmc__learner_elems(t.a->learner);
    float *w = calloc(m + 1, sizeof *w), *g = calloc(t.n, sizeof *g);
    w[m] = NAN; /* marks the end */
    ok(dmc__learner_get(t.a->learner, w));
    ok(dmc__dev_out(t.a->device, g, dmc__learner_grads(t.a->learner), t.n));
    for (size_t i = 0; i < t.n; i++) ck_assert_float_eq(g[i], 0);
    free(g);
    trial_close(&t);
    return w;
}

static int32_t alike(const float *x, const float *y)
{
    while (!isnan(*x) && *x == *y) x++, y++;
    return isnan(*x);
}

START_TEST(target_kl_ends_the_epochs)
{
    double kl[4];
    float *one = after_epochs(1, 1e-12, kl), *five = after_epochs(5, 1e-12, kl + 1), *all = after_epochs(5, 0, kl + 2);
    float *wide = after_epochs(5, 1, kl + 3);
    ck_assert_double_eq(kl[0], 0);
    ck_assert_double_gt(kl[1], 1e-12);
    ck_assert(alike(one, five)); /* the second found itself too far and was dropped */
    ck_assert(!alike(all, one));
    ck_assert(alike(wide, all));
    free(one);
    free(five);
    free(all);
    free(wide);
}
END_TEST

/* k3 = mean of (rho-1) - ln rho, of ratios by hand. */
START_TEST(ratio_kl_is_k3)
{
    trial t;
    dmc__rl_config c = plain(DMC__RL_PPO, 1);
    double sum = 0;
    trial_open(&t, "cpu", &c, 1);
    for (int32_t i = 0; i < t.s->batch; i++) {
        const double rho = .5 + .01 * i;
        t.s->row[3 * i + 1] = (float)rho;
        sum += rho - 1 - log(rho);
    }
    ck_assert_double_eq_tol(dmc__rl_ratio_kl(t.s), sum / t.s->batch, 1e-6);
    trial_close(&t);
}
END_TEST

START_TEST(advantages_by_the_group)
{
    trial t;
    dmc__rl_config c = plain(DMC__RL_REINFORCE, 1);
    c.group_std = 1;
    trial_open(&t, "cpu", &c, 1);
    ok(dmc__rl_ratio_begin(t.s, &t.note));
    for (int32_t g = 0; g < 8; g++) {
        double square = 0;
        for (int32_t i = 0; i < 8; i++) square += t.s->r[8 * g + i] * (double)t.s->r[8 * g + i] / 8;
        ck_assert_double_eq_tol(square, 1, 1e-4);
    }
    trial_close(&t);
}
END_TEST

START_TEST(kl_weight_follows_the_target)
{
    ck_assert_double_eq_tol(dmc__rl_adapt(.2, .16, .1), .3, 1e-12);
    ck_assert_double_eq_tol(dmc__rl_adapt(.3, .06, .1), .2, 1e-12);
    ck_assert_double_eq(dmc__rl_adapt(.3, .14, .1), .3);
    ck_assert_double_eq(dmc__rl_adapt(.3, .07, .1), .3);
    ck_assert_double_eq(dmc__rl_adapt(1e6, 1, .1), 1e6);
    ck_assert_double_eq(dmc__rl_adapt(1e-6, 0, .1), 1e-6);
}
END_TEST

static int32_t late_kl(void *user, const dmc_align_progress *p)
{
    if (p->update > 100) *(double *)user += log(p->kl) / 100;
    return 0;
}

/* Geometric mean of the KL of the second half of 200 updates: the weight swings about what is asked for. */
static double kl_of(double kl_target, double slope)
{
    bandit b;
    dmc_align_options o = bandit_options();
    dmc_rl_options c;
    double kl = 0;
    o.lr = 1e-3;
    bandit_open(&b, "cpu", 100, &o);
    b.slope = (float)slope;
    dmc_rl_options_init(&c, sizeof c);
    c.updates = 200;
    c.last_k = 0;
    c.kl_target = kl_target;
    ok(dmc_aligner_set_progress(b.aligner, late_kl, &kl));
    ok(dmc_align_rl(b.aligner, &c, NULL));
    bandit_close(&b);
    return exp(kl);
}

/* Whatever the fixed weight would give, the chain ends near the KL asked for. */
START_TEST(kl_target_is_reached)
{
    static const double target[] = {.1, .5};
    const double by_weight = kl_of(0, 1);
    for (int i = 0; i < 2; i++) {
        const double kl = kl_of(target[i], 1);
        ck_assert_msg(kl > target[i] / 2 && kl < 2 * target[i], "KL %g, target %g; by the weight %g", kl, target[i], by_weight);
    }
    ck_assert_msg(by_weight > 2 * .1 || by_weight < .5 / 2, "%g is both", by_weight);
}
END_TEST

/* Drawn anew for every update, all of 1..K alike (600 draws of 5: 120 +- 4 standard deviations of 9.8), the weights with it. */
START_TEST(last_k_is_drawn)
{
    enum { DRAWS = 600, K = 5 };
    trial t;
    dmc__rl_config c = plain(DMC__RL_REINFORCE, K);
    int32_t seen[K + 1] = {0};
    c.kappa = DMC__KAPPA_LINEAR;
    c.last_k_kind = DMC__LAST_K_RANDOM;
    trial_open(&t, "cpu", &c, 1);
    for (int i = 0; i < DRAWS; i++) {
        double sum = 0;
        dmc__rl_choose_k(t.s);
        ck_assert(t.s->k >= 1 && t.s->k <= K);
        seen[t.s->k]++;
        for (int32_t j = 0; j < t.s->k; j++) sum += t.s->kappa[j] / t.s->k;
        ck_assert_double_eq_tol(sum, 1, 1e-12);
    }
    for (int k = 1; k <= K; k++) ck_assert_msg(abs(seen[k] - DRAWS / K) < 40, "%d of %d draws are %d", seen[k], DRAWS, k);
    trial_close(&t);
}
END_TEST

/* Every update draws, of either kind of gradient. */
START_TEST(an_update_draws)
{
    trial t;
    int32_t changes = 0;
    dmc__rl_config c = plain(_i ? DMC__RL_QVPG : DMC__RL_PPO, 5);
    c.last_k_kind = DMC__LAST_K_RANDOM;
    trial_open(&t, "cpu", &c, 1);
    const dmc__stage stage = dmc__rl_stage(t.s, 1);
    for (int i = 0, last = t.s->k; i < 12; i++, last = t.s->k) {
        ok(stage.update(stage.self, i, &t.note));
        changes += t.s->k != last;
    }
    ck_assert_int_gt(changes, 3);
    trial_close(&t);
}
END_TEST

/* 1, 2, 4 and last_k on plateaus, half on a collapse; a fixed K stays, and draws nothing. */
START_TEST(last_k_grows_on_plateaus)
{
    static const int32_t grown[] = {2, 4, 5, 5}, halved[] = {2, 1, 1};
    for (int32_t kind = DMC__LAST_K_FIXED; kind <= DMC__LAST_K_CURRICULUM; kind += DMC__LAST_K_CURRICULUM) {
        trial t;
        dmc__rl_config c = plain(DMC__RL_QVPG, 5);
        c.last_k_kind = kind;
        trial_open(&t, "cpu", &c, 1);
        const dmc__stage stage = dmc__rl_stage(t.s, 1);
        const int32_t moves = kind == DMC__LAST_K_CURRICULUM;
        const uint64_t draws = t.a->draws;
        dmc__rl_choose_k(t.s);
        ck_assert_uint_eq(t.a->draws, draws);
        ck_assert_int_eq(t.s->k, moves ? 1 : 5);
        for (int i = 0; i < 4; i++) {
            stage.plateau(stage.self);
            ck_assert_int_eq(t.s->k, moves ? grown[i] : 5);
        }
        for (int i = 0; i < 3; i++) {
            stage.tighten(stage.self);
            ck_assert_int_eq(t.s->k, moves ? halved[i] : 5);
        }
        ck_assert_double_eq(t.s->clip_scale, 1.0 / 8);
        trial_close(&t);
    }
}
END_TEST

/* ---- entropy --------------------------------------------------------------------------------------------------- */

typedef struct entropy_problem {
    linear_world *w;
    dmc__rl *s;
    double alpha;
} entropy_problem;

/* -mean r/std - alpha H of the chains of the last draw, the last K rows with the present weights and those before with the
 * foundation's. */
static double entropy_loss(void *self)
{
    enum { GROUPS = 4, POOL = 4 };
    const entropy_problem *p = self;
    double sum = 0;
    dmc__rollout_bind(p->s->chain, dmc__learner_weights(p->w->a->learner), p->w->a->foundation, p->s->k);
    ok(dmc__rollout_run(p->s->chain, 0, p->w->a->draws, 0, 1));
    const double *z = dmc__rollout_latent(p->s->chain, LINEAR_STEPS);
    for (int i = 0; i < GROUPS * POOL; i++) {
        const double miss = z[2 * i + 1] - linear_best;
        double least = INFINITY;
        for (int j = i / POOL * POOL; j < (i / POOL + 1) * POOL; j++)
            if (j != i) least = fmin(least, fabs(z[2 * i + 1] - z[2 * j + 1]));
        sum += miss * miss / p->s->reward_std - p->alpha * log(least + 1e-6);
    }
    return sum / (GROUPS * POOL);
}

/* R3, R4: QV-PG by differences, with entropy and without, of the last K rows for K = 1, 2, T: a row before moves the sample, but
 * not the gradient. Candidates share their condition. The samples go to the host as floats, hence the tolerance. */
START_TEST(qvpg_by_differences)
{
    enum { UNITS = 3 * LINEAR_STEPS };
    linear_world w;
    dmc__align_note note;
    dmc__rl_config c = plain(DMC__RL_QVPG, 1 + _i / 2);
    entropy_problem p = {.w = &w, .alpha = _i % 2 ? .7 : 0};
    double g[LINEAR_STEPS];
    c.entropy = p.alpha;
    linear_world_open(&w, "ref64", 16, 4);
    ok(dmc__rl_create(w.a, &c, &p.s));
    ck_assert_int_eq(dmc__rollout_group(p.s->chain), p.alpha > 0 ? 4 : 1);
    ok(dmc__rl_qvpg_gradient(p.s, &note));
    linear_take_gradient(&w, p.s, g);
    ck_assert_double_eq_tol(note.loss, entropy_loss(&p), 1e-5);
    const dmc__graph *graph = w.m.net->graph;
    double *weight = (double *)(uintptr_t)dmc__learner_weights(w.a->learner);
    weight += dmc__graph_param(graph, dmc__graph_find_param(graph, "hinge.weight"))->offset + UNITS;
    for (int32_t j = 0; j < p.s->k; j++) {
        const int time = (int)dmc__rollout_row(p.s->chain, dmc__rl_row(p.s, j))->at.seen;
        double *numeric = differences(weight + 3 * time + 1, 1, entropy_loss, &p);
        ck_assert_msg(fabs(g[j] - *numeric) < 1e-4 * fmax(fabs(*numeric), 1), "row %d: %g, differences %g", j, g[j], *numeric);
        free(numeric);
    }
    dmc__rl_destroy(p.s);
    linear_world_close(&w);
}
END_TEST

/* Of slopes that are `moved` from the reference's the divergence of row k is mean_b (a Q moved z_k)^2 / (2 S^2) at the latents as
 * they are. Were it to pass through them, rows before would feel it, too. */
START_TEST(the_divergence_does_not_pass_through_the_latents)
{
    enum { UNITS = 3 * LINEAR_STEPS, N = 16 };
    static const double moved[LINEAR_STEPS] = {.3, -.2, .25};
    linear_world w;
    dmc__rl *s;
    dmc__align_note note;
    dmc__rl_config c = plain(DMC__RL_QVPG, LINEAR_STEPS);
    double with[LINEAR_STEPS], without[LINEAR_STEPS];
    c.kl = .7;
    c.kl_exact = 1;
    linear_world_open(&w, "ref64", N, 4);
    ok(dmc__rl_create(w.a, &c, &s));
    const dmc__graph *graph = w.m.net->graph;
    double *weight = (double *)(uintptr_t)dmc__learner_weights(w.a->learner);
    weight += dmc__graph_param(graph, dmc__graph_find_param(graph, "hinge.weight"))->offset + UNITS;
    for (int32_t j = 0; j < LINEAR_STEPS; j++) weight[3 * (int)dmc__rollout_row(s->chain, j)->at.seen + 1] += moved[j];
    ok(dmc__rl_qvpg_gradient(s, &note));
    linear_take_gradient(&w, s, with);
    w.a->draws--;
    s->kl_weight = 0;
    ok(dmc__rl_qvpg_gradient(s, &note));
    linear_take_gradient(&w, s, without);
    for (int32_t j = 0; j < LINEAR_STEPS; j++) {
        const dmc__row *r = dmc__rollout_row(s->chain, j);
        const double *z = dmc__rollout_latent(s->chain, j), std = fmax(r->logp_std, w.a->config.std_floor);
        double square = 0;
        for (int i = 0; i < N; i++) square += z[2 * i + 1] * z[2 * i + 1] / N;
        const double expected = c.kl * pow(r->a * r->Q / std, 2) * moved[j] * square;
        ck_assert_msg(fabs(with[j] - without[j] - expected) < 1e-6 * fabs(expected), "row %d: %g, want %g", j, with[j] - without[j],
                      expected);
    }
    dmc__rl_destroy(s);
    linear_world_close(&w);
}
END_TEST

/* Spread of the candidates in the last of 120 updates over that in the first; 3 is the highest reward. */
static double spread_left(int32_t method, double entropy, double target, double *weight, double *reward)
{
    trial t;
    double first = 0;
    dmc__rl_config c = plain(method, 0);
    c.entropy = entropy;
    c.entropy_target = target;
    c.epochs = 2;
    trial_open(&t, "cpu", &c, 3);
    t.a->config.lr = method == DMC__RL_QVPG ? 3e-3 : 2e-2;
    const dmc__stage stage = dmc__rl_stage(t.s, 1);
    for (int i = 0; i < 120; i++) {
        ok(stage.update(stage.self, i, &t.note));
        if (i == 0) first = t.note.spread;
    }
    const double left = t.note.spread / first;
    ck_assert(isfinite(t.note.entropy));
    *weight = t.s->entropy_weight;
    *reward = t.note.reward;
    trial_close(&t);
    return left;
}

/* A reward that grows to the bound draws all candidates to one place, unless they are rewarded for staying apart, which costs some
 * reward (a weight of 1e-30 only measures). A target keeps the share asked for, from a weight that alone would not. */
START_TEST(entropy_keeps_candidates_apart)
{
    static const int32_t methods[] = {DMC__RL_PPO, DMC__RL_REINFORCE, DMC__RL_QVPG};
    const double alpha = methods[_i] == DMC__RL_QVPG ? .1 : 1;
    double weight, reward;
    const double without = spread_left(methods[_i], 1e-30, 0, &weight, &reward);
    ck_assert_msg(without < .35, "spread left: %g", without);
    const double with = spread_left(methods[_i], alpha, 0, &weight, &reward);
    ck_assert_double_eq(weight, alpha);
    ck_assert_msg(with > .4 && reward > 1.6, "spread left: %g, reward %g", with, reward);
    const double kept = spread_left(methods[_i], .01, .6, &weight, &reward);
    ck_assert_msg(kept > .42, "spread left: %g, for a target of 0.6", kept);
    ck_assert_double_gt(weight, .01);
}
END_TEST

/* ---- auto ------------------------------------------------------------------------------------------------------ */

/* What progress said: the KL and score at each first update of a part, and the number of parts. */
typedef struct parts {
    int32_t n, stop_in; /* stop in the part of this number, 0 = never */
    double kl[4], score[4];
} parts;

static int32_t watch(void *user, const dmc_align_progress *p)
{
    parts *w = user;
    if (p->update == 1) w->kl[w->n++] = p->kl;
    if (w->n > 0) w->score[w->n - 1] = p->best;
    return w->stop_in > 0 && w->n == w->stop_in;
}

static dmc_rl_options auto_options(int32_t method)
{
    dmc_rl_options c;
    dmc_rl_options_init(&c, sizeof c);
    c.method = method;
    c.updates = 40;
    c.epochs = 1;
    return c;
}

static dmc_status run_auto(bandit *b, int32_t method, parts *w, dmc_align_report *r)
{
    const dmc_rl_options c = auto_options(method);
    *r = (dmc_align_report){.struct_size = sizeof *r};
    ok(dmc_aligner_set_progress(b->aligner, watch, w));
    return dmc_align_rl(b->aligner, &c, r);
}

/* Both trials start at the reference, where the KL is 0; the one with the better score goes on from what it came to. */
START_TEST(auto_tries_both)
{
    bandit b;
    dmc_align_options o = bandit_options();
    dmc_align_report r;
    parts w = {0};
    o.lr = 3e-3;
    o.eval_every = 5;
    bandit_open(&b, "cpu", 200, &o);
    ok(run_auto(&b, DMC_RL_AUTO, &w, &r));
    ck_assert_int_eq(w.n, 3);
    ck_assert_int_eq(r.updates, 40);
    ck_assert_int_eq(r.accepted, 1);
    ck_assert(w.kl[0] == 0 && w.kl[1] == 0);
    ck_assert_double_gt(w.kl[2], 0);
    ck_assert_double_ne(w.score[0], w.score[1]);
    ck_assert_double_ge(w.score[2], fmax(w.score[0], w.score[1]));
    ck_assert_double_eq(r.after, w.score[2]);
    bandit_close(&b);
}
END_TEST

/* Stopped in the second trial, the better of the two is kept; and in the first, that. */
START_TEST(auto_can_be_stopped)
{
    bandit b;
    dmc_align_options o = bandit_options();
    dmc_align_report r;
    parts w = {.stop_in = _i};
    o.lr = 3e-3;
    o.eval_every = 1;
    bandit_open(&b, "cpu", 200, &o);
    ck_assert_int_eq(run_auto(&b, DMC_RL_AUTO, &w, &r), DMC_STOPPED);
    ck_assert_int_eq(w.n, _i);
    ck_assert_int_eq(r.updates, _i == 1 ? 1 : 11);
    ck_assert_double_eq(r.after, _i == 1 ? w.score[0] : fmax(w.score[0], w.score[1]));
    bandit_close(&b);
}
END_TEST

/* Without a gradient there is one candidate: the whole run is that of method = ppo. */
START_TEST(auto_without_a_gradient_is_ppo)
{
    float *v[2];
    size_t n;
    for (int32_t i = 0; i < 2; i++) {
        bandit b;
        const dmc_align_options o = bandit_options();
        dmc_align_report r;
        parts w = {0};
        bandit_open(&b, "cpu", 50, &o);
        ok(dmc_aligner_set_reward(b.aligner, bandit_reward, &b, 0));
        ok(run_auto(&b, i ? DMC_RL_AUTO : DMC_RL_PPO, &w, &r));
        ck_assert_int_eq(w.n, 1);
        v[i] = bandit_weights(b.aligner, &n);
        bandit_close(&b);
    }
    ck_assert_mem_eq(v[0], v[1], n * sizeof(float));
    free(v[0]);
    free(v[1]);
}
END_TEST

static void contradicts(const bandit *b, const dmc_rl_options *c, const char *words)
{
    ck_assert_int_eq(dmc_align_rl(b->aligner, c, NULL), DMC_EINVAL);
    ck_assert_msg(strstr(dmc_last_error(), words) != NULL, "\"%s\" does not say \"%s\"", dmc_last_error(), words);
}

START_TEST(options_that_contradict_each_other)
{
    bandit b;
    const dmc_align_options o = bandit_options();
    dmc_rl_options c;
    bandit_open(&b, "cpu", 0, &o);
    dmc_rl_options_init(&c, sizeof c);
    c.kl = 0;
    c.kl_target = .05;
    contradicts(&b, &c, "kl_target = 0.05");
    dmc_rl_options_init(&c, sizeof c);
    c.entropy_target = .3;
    contradicts(&b, &c, "entropy_target = 0.3");
    c.entropy = .5;
    b.aligner->run->config.candidates = 1;
    contradicts(&b, &c, "entropy = 0.5");
    b.aligner->run->config.candidates = 8;
    dmc_rl_options_init(&c, sizeof c);
    c.method = DMC_RL_PPO;
    c.granularity = DMC_GRANULARITY_ROW;
    contradicts(&b, &c, "is for planners");
    c = auto_options(DMC_RL_AUTO);
    c.updates = 3;
    ck_assert_int_eq(dmc_align_rl(b.aligner, &c, NULL), DMC_ERANGE);
    bandit_close(&b);
}
END_TEST

/* ---- credit ---------------------------------------------------------------------------------------------------- */

/* Where K < T the way is still that from z_T; the state is in-painted and does not count. */
START_TEST(projection_is_of_the_whole_chain)
{
    enum { N = 16, K = 2 };
    linear_world w;
    dmc__rl *s;
    dmc__align_note note;
    dmc__rl_config c = plain(DMC__RL_REINFORCE, K);
    float z[LINEAR_STEPS + 1][2 * N];
    c.kappa = DMC__KAPPA_PROJ;
    linear_world_open(&w, "cpu", N, 8);
    ok(dmc__rl_create(w.a, &c, &s));
    ok(dmc__rl_ratio_begin(s, &note));
    for (int k = 0; k <= LINEAR_STEPS; k++) ok(dmc__dev_out(w.m.device, z[k], dmc__rollout_latent(s->chain, k), 2 * N));
    for (int i = 1; i < 2 * N; i += 2) {
        const double way = z[3][i] - z[0][i], step[K] = {z[2][i] - z[1][i], z[3][i] - z[2][i]};
        double share[K];
        for (int j = 0; j < K; j++) share[j] = fmin(fmax(LINEAR_STEPS * step[j] / way, 0), 4);
        const double sum = share[0] + share[1];
        for (int j = 0; j < K; j++)
            ck_assert_double_eq_tol(s->kappa[i / 2 * K + j], sum > 0 ? K * share[j] / sum : 1, 1e-5);
    }
    dmc__rl_destroy(s);
    linear_world_close(&w);
}
END_TEST

Suite *dmc_suite_rl(void)
{
    Suite *s = suite_create("rl");
    TCase *t = tcase_create("rl");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, reinforce_is_unbiased, 1, LINEAR_STEPS + 1);
    tcase_add_loop_test(t, ppo_starts_as_reinforce, 1, 6);
    tcase_add_loop_test(t, the_divergence_counts_as_the_policy, 1, 6);
    tcase_add_loop_test(t, no_divergence_at_the_reference, 0, 4);
    tcase_add_test(t, divergence_is_the_mean_log_ratio);
    tcase_add_test(t, a_sum_over_entries_is_larger);
    tcase_add_test(t, clip_rises_with_the_step);
    tcase_add_test(t, each_row_has_its_clip);
    tcase_add_test(t, target_kl_ends_the_epochs);
    tcase_add_test(t, ratio_kl_is_k3);
    tcase_add_test(t, advantages_by_the_group);
    tcase_add_test(t, kl_weight_follows_the_target);
    tcase_add_test(t, kl_target_is_reached);
    tcase_add_test(t, last_k_is_drawn);
    tcase_add_loop_test(t, an_update_draws, 0, 2);
    tcase_add_test(t, last_k_grows_on_plateaus);
    tcase_add_loop_test(t, qvpg_by_differences, 0, 2 * LINEAR_STEPS);
    tcase_add_test(t, the_divergence_does_not_pass_through_the_latents);
    tcase_add_loop_test(t, entropy_keeps_candidates_apart, 0, 3);
    tcase_add_test(t, auto_tries_both);
    tcase_add_loop_test(t, auto_can_be_stopped, 1, 3);
    tcase_add_test(t, auto_without_a_gradient_is_ppo);
    tcase_add_test(t, options_that_contradict_each_other);
    tcase_add_test(t, projection_is_of_the_whole_chain);
    suite_add_tcase(s, t);
    return s;
}
