/* check_online.c — dmc_align_online: a world that pays for the opposite of what the data praise, and what is learnt from it. */
#include "align_fixture.h"
#include "failing_alloc.h"

Suite *dmc_suite_online(void);

enum { STEPS = 4, COPIES = 4, ROUNDS = 6, EPISODES = 8, LESS = 4 };

/* Observations uniform in [-1,1], or 100 plus the number of the step; pays `slope` times the action. */
typedef struct arena {
    int32_t t[COPIES], steps, fail_at, counted;
    const double *pays;       /* per step of round i, whatever is done; NULL: slope times the action */
    uint64_t seed[COPIES];
    double slope;
} arena;

static void observe(const arena *w, int32_t i, float *obs)
{
    const dmc__stream s = {w->seed[i], DMC_STREAM_ENV, 9, (uint64_t)w->t[i]};
    *obs = w->counted ? 100 + (float)w->t[i] : (float)(2 * dmc__rng_uniform(&s, 0) - 1);
}

static int32_t reset(void *user, int32_t env, uint64_t seed, float *obs)
{
    arena *w = user;
    w->t[env] = 0;
    w->seed[env] = seed;
    observe(w, env, obs);
    return 0;
}

static int32_t step(void *user, int32_t env, const float *act, float *obs, double *reward, int32_t *done)
{
    arena *w = user;
    if (++w->steps == w->fail_at) return 3;
    *reward = w->pays ? w->pays[w->seed[env] / EPISODES] : w->slope * act[0];
    *done = ++w->t[env] == STEPS;
    observe(w, env, obs);
    return 0;
}

static dmc_env world(arena *w)
{
    return (dmc_env){.struct_size = sizeof(dmc_env), .obs_dim = 1, .act_dim = 1, .max_steps = STEPS + 2, .count = COPIES, .user = w,
                     .reset = reset, .step = step};
}

/* Everything a run needs: data that pay for actions near 1, a model of all actions, a critic, an aligner, a replay. */
typedef struct cast {
    bandit b;
    arena w;
    dmc_env env;
    dmc_critic *critic;
    dmc_aligner *aligner;
    dmc_replay *replay;
} cast;

static void open_cast(cast *c, int32_t critic_steps)
{
    dmc_align_options o = bandit_options();
    dmc_critic_options k;
    memset(c, 0, sizeof *c);
    bandit_open(&c->b, "cpu", 300, &o);
    c->w.slope = -1;
    c->env = world(&c->w);
    dmc_critic_options_init(&k, sizeof k);
    k.hidden = 16;
    k.batch = 32;
    k.lr = 1e-2;
    k.gamma = 0;
    ck_assert_int_eq(dmc_critic_create(NULL, c->b.data, &k, &c->critic), DMC_OK);
    ck_assert_int_eq(dmc_critic_step(c->critic, critic_steps, NULL), DMC_OK);
    o.lr = 3e-3;
    ck_assert_int_eq(dmc_aligner_create(NULL, c->b.model, c->b.data, c->critic, &o, &c->aligner), DMC_OK);
    ck_assert_int_eq(dmc_replay_create(NULL, 1, 1, 1000, &c->replay), DMC_OK);
}

static void close_cast(cast *c)
{
    dmc_replay_destroy(c->replay);
    dmc_aligner_destroy(c->aligner);
    dmc_critic_destroy(c->critic);
    bandit_close(&c->b);
}

static dmc_online_options options(int32_t method)
{
    dmc_online_options o;
    dmc_online_options_init(&o, sizeof o);
    o.rounds = ROUNDS;
    o.episodes = EPISODES;
    o.method = method;
    o.updates = 20;
    o.candidates = 2;
    o.utd = 2;
    o.share = 1;
    return o;
}

static dmc_status run(cast *c, const dmc_online_options *o, double *returns, dmc_online_report *r)
{
    *r = (dmc_online_report){.struct_size = sizeof *r, .returns = returns};
    return dmc_align_online(c->aligner, c->critic, &c->env, c->replay, o, NULL, NULL, NULL, r);
}

static double mean(const double *x, int32_t n)
{
    double sum = 0;
    for (int32_t i = 0; i < n; i++) sum += x[i] / n;
    return sum;
}

/* ---- what it does ----------------------------------------------------------------------------------- */

/* By any method: what was lived through says that actions near -1 pay, against what the data say. The highest return is 4. */
START_TEST(the_return_rises)
{
    cast c;
    double returns[ROUNDS * EPISODES];
    dmc_online_report r;
    const dmc_online_options o = options(_i);
    open_cast(&c, 100);
    ck_assert_int_eq(run(&c, &o, returns, &r), DMC_OK);
    const double first = mean(returns, EPISODES), last = mean(returns + (ROUNDS - 1) * EPISODES, EPISODES);
    ck_assert_msg(r.after > r.before + 4 * hypot(r.before_se, r.after_se) && r.after > r.before + 1, "%g +- %g, then %g +- %g",
                  r.before, r.before_se, r.after, r.after_se);
    ck_assert_msg(last > first + 1, "%g, then %g", first, last);
    close_cast(&c);
}
END_TEST

/* Without a share it is the data's word that counts: the return does not rise. */
START_TEST(without_a_share_nothing_is_learnt_from_it)
{
    cast c;
    dmc_online_report r;
    dmc_online_options o = options(DMC_ONLINE_RL);
    o.share = 0;
    o.restore = 0;
    open_cast(&c, 100);
    ck_assert_int_eq(run(&c, &o, NULL, &r), DMC_OK);
    ck_assert_msg(r.after <= r.before, "%g, then %g", r.before, r.after);
    close_cast(&c);
}
END_TEST

START_TEST(everything_is_counted)
{
    cast c;
    double returns[ROUNDS * EPISODES + 1];
    dmc_online_report r;
    dmc_critic_metrics m;
    dmc_online_options o = options(DMC_ONLINE_RL);
    returns[ROUNDS * EPISODES] = 77;
    o.utd = 0.5;
    o.updates = 3;
    open_cast(&c, 0);
    ck_assert_int_eq(run(&c, &o, returns, &r), DMC_OK);
    ck_assert_int_eq(r.rounds, ROUNDS);
    ck_assert_int_eq((int)r.steps, ROUNDS * EPISODES * STEPS);
    ck_assert_uint_eq(dmc_replay_count(c.replay), ROUNDS * EPISODES * STEPS);
    ck_assert_int_eq((int)r.critic_updates, ROUNDS * EPISODES * STEPS / 2);
    ck_assert_int_eq(r.updates, 3 * ROUNDS);
    ck_assert_int_eq(c.w.steps, (ROUNDS * EPISODES + 2 * 32) * STEPS);
    ck_assert_int_eq(dmc_critic_step(c.critic, 0, &m), DMC_OK);
    ck_assert_int_eq(m.step, ROUNDS * EPISODES * STEPS / 2);
    ck_assert(isfinite(r.q_loss) && isfinite(r.v_loss) && isfinite(r.kl) && r.seconds > 0);
    ck_assert_double_eq(returns[ROUNDS * EPISODES], 77);
    for (int i = 0; i < ROUNDS * EPISODES; i++) ck_assert(fabs(returns[i]) <= STEPS + 1e-6);
    close_cast(&c);
}
END_TEST

/* Weights, values and returns, all to the bit; other noise, other actions and values. */
START_TEST(equal_seeds_give_equal_bits)
{
    double returns[3][ROUNDS * EPISODES];
    float q[3][BANDIT_ROWS], *weights[3];
    size_t n;
    for (int k = 0; k < 3; k++) {
        cast c;
        dmc_online_report r;
        dmc_online_options o = options(_i);
        o.rounds = LESS;
        o.seed = k / 2;
        open_cast(&c, 20);
        ck_assert_int_eq(run(&c, &o, returns[k], &r), DMC_OK);
        ck_assert_int_eq(dmc_critic_q(c.critic, BANDIT_ROWS, c.b.data->data->obs, c.b.data->data->act, q[k], NULL), DMC_OK);
        weights[k] = bandit_weights(c.aligner, &n);
        close_cast(&c);
    }
    ck_assert_mem_eq(returns[0], returns[1], LESS * EPISODES * sizeof(double));
    ck_assert_mem_eq(q[0], q[1], sizeof q[0]);
    ck_assert_mem_eq(weights[0], weights[1], n * sizeof(float));
    if (_i == DMC_ONLINE_RL) ck_assert_mem_ne(weights[0], weights[2], n * sizeof(float)); /* the others read ranks alone */
    ck_assert_mem_ne(returns[0], returns[2], LESS * EPISODES * sizeof(double));
    ck_assert_mem_ne(q[0], q[2], sizeof q[0]);
    for (int k = 0; k < 3; k++) free(weights[k]);
}
END_TEST

/* Without updates the critic alone learns. */
START_TEST(the_critic_alone)
{
    cast c;
    dmc_online_report r;
    dmc_online_options o = options(DMC_ONLINE_RL);
    size_t n;
    o.updates = 0;
    o.eval_episodes = 0;
    open_cast(&c, 0);
    float *const before = bandit_weights(c.aligner, &n);
    ck_assert_int_eq(run(&c, &o, NULL, &r), DMC_OK);
    float *const after = bandit_weights(c.aligner, &n);
    ck_assert(r.updates == 0 && r.critic_updates > 0 && isnan(r.before) && isnan(r.after) && isnan(r.kl));
    ck_assert_mem_eq(before, after, n * sizeof *before);
    free(before);
    free(after);
    close_cast(&c);
}
END_TEST

/* Scores rise, so every alignment is kept; the weights at the beginning of each are noted. */
typedef struct notes {
    int32_t calls;
    float *weights[ROUNDS]; /* at the beginning of round i's alignment */
} notes;

static int32_t note_weights(void *user, const dmc_model *m, double *mean, double *se)
{
    notes *n = user;
    const size_t size = dmc__graph_param_elems(m->net->graph);
    if (n->calls % 2 == 0) {
        float *const w = n->weights[n->calls / 2] = malloc(size * sizeof *w);
        if (dmc__dev_out(m->ref.ctx->device, w, m->weights, size) < 0) return 1;
    }
    *mean = n->calls++;
    *se = 0.01;
    return 0;
}

/* Round 1 is the best, 2 and 3 are much worse: what acted in round 1 is back in 3, unless nobody watches. */
START_TEST(a_collapse_of_the_returns_is_undone)
{
    static const double pays[ROUNDS] = {0, 10, -10, -10, 0, 20};
    cast c;
    notes n = {0};
    dmc_online_report r;
    dmc_online_options o = options(DMC_ONLINE_RL);
    o.updates = 1;
    o.eval_episodes = 0;
    o.restore = _i;
    open_cast(&c, 20);
    c.w.pays = pays;
    const size_t bytes = dmc__graph_param_elems(c.b.model->net->graph) * sizeof(float);
    const double lr = c.aligner->run->config.lr;
    ck_assert_int_eq(dmc_aligner_set_score(c.aligner, note_weights, &n), DMC_OK);
    ck_assert_int_eq(run(&c, &o, NULL, &r), DMC_OK);
    ck_assert_int_eq(n.calls, 2 * ROUNDS);
    ck_assert_int_eq(r.restored, _i);
    ck_assert_mem_ne(n.weights[1], n.weights[0], bytes);
    ck_assert_mem_ne(n.weights[2], n.weights[1], bytes);
    ck_assert_int_eq(memcmp(n.weights[3], n.weights[1], bytes) == 0, _i);
    ck_assert_mem_ne(n.weights[4], n.weights[1], bytes);
    ck_assert_double_eq(c.aligner->run->config.lr, lr);
    for (int i = 0; i < ROUNDS; i++) free(n.weights[i]);
    close_cast(&c);
}
END_TEST

/* ---- conditions ------------------------------------------------------------------------------------- */

typedef struct seen {
    int32_t rows, lived, wrong, width; /* numbers of an observation */
    size_t elems;                      /* of a sample               */
} seen;

/* Notes what gradients are asked for; observations of the counted world are 100..103, and a policy's two follow each other. */
static int32_t note_conditions(void *user, size_t n, const float *z, const float *obs, float *r, float *grad)
{
    seen *s = user;
    (void)z;
    for (size_t i = 0; i < n; i++) {
        const float *o = obs + i * (size_t)s->width, newest = o[s->width - 1];
        r[i] = 0;
        if (!grad || newest < 50) continue;
        s->lived++;
        s->wrong += newest > 103.5f || fabsf(newest - roundf(newest)) > 1e-3f;
        if (s->width == 2) s->wrong += fabsf(o[0] - fmaxf(newest - 1, 100)) > 1e-3f;
    }
    if (grad) s->rows += (int32_t)n;
    if (grad) memset(grad, 0, n * s->elems * sizeof *grad);
    return 0;
}

/* A policy that sees two observations, and a planner. Half of the groups are lived through, exactly. */
START_TEST(conditions_come_from_the_replay)
{
    cast c;
    seen s = {.width = _i ? 1 : 2, .elems = _i ? 4 : 1};
    dmc_model_options mo;
    dmc_model *m;
    dmc_aligner *a;
    dmc_online_report r = {.struct_size = sizeof r};
    dmc_align_options ao = bandit_options();
    dmc_online_options o = options(DMC_ONLINE_RL);
    open_cast(&c, 0);
    dmc_model_options_init(&mo, sizeof mo);
    mo.role = _i ? DMC_ROLE_PLANNER : DMC_ROLE_POLICY;
    mo.horizon = _i ? 2 : 1;
    mo.n_obs = _i ? 1 : 2;
    mo.hidden = 16;
    mo.blocks = 1;
    mo.emb_dim = 8;
    mo.train_steps = 4;
    ck_assert_msg(dmc_model_create(c.b.ctx, c.b.data, &mo, &m) == DMC_OK, "%s", dmc_last_error());
    ck_assert_int_eq(dmc_aligner_create(NULL, m, c.b.data, NULL, &ao, &a), DMC_OK);
    ck_assert_int_eq(dmc_aligner_set_reward(a, note_conditions, &s, 1), DMC_OK);
    c.w.counted = 1;
    o.rounds = 2;
    o.updates = 4;
    o.share = 0.5;
    ck_assert_msg(dmc_align_online(a, c.critic, &c.env, c.replay, &o, NULL, NULL, NULL, &r) == DMC_OK, "%s", dmc_last_error());
    ck_assert_int_ge(s.rows, 8 * 64);
    ck_assert_int_eq(2 * s.lived, s.rows);
    ck_assert_int_eq(s.wrong, 0);
    ck_assert_ptr_null((void *)(uintptr_t)a->run->draw_condition);
    dmc_aligner_destroy(a);
    dmc_model_destroy(m);
    close_cast(&c);
}
END_TEST

/* ---- ends and errors -------------------------------------------------------------------------------- */

static int32_t stop_in_round_two(void *user, const dmc_align_progress *p)
{
    *(int32_t *)user = p->pass;
    return p->pass == 2;
}

START_TEST(progress_may_stop_it)
{
    cast c;
    int32_t pass = 0;
    dmc_online_report r;
    const dmc_online_options o = options(DMC_ONLINE_RL);
    open_cast(&c, 0);
    ck_assert_int_eq(dmc_aligner_set_progress(c.aligner, stop_in_round_two, &pass), DMC_OK);
    ck_assert_int_eq(run(&c, &o, NULL, &r), DMC_STOPPED);
    ck_assert_int_eq(pass, 2);
    ck_assert_int_eq(r.rounds, 2);
    ck_assert_int_eq(r.updates, 21);
    ck_assert(isfinite(r.after));
    close_cast(&c);
}
END_TEST

START_TEST(arguments_are_checked)
{
    cast c;
    dmc_critic *other;
    dmc_online_report r;
    dmc_online_options o = options(DMC_ONLINE_RL);
    dmc_rl_options bad;
    open_cast(&c, 0);
    ck_assert_int_eq(dmc_critic_create(NULL, c.b.data, NULL, &other), DMC_OK);
    dmc_critic *const own = c.critic;
    c.critic = other;
    ck_assert_int_eq(run(&c, &o, NULL, &r), DMC_EINVAL);
    ck_assert_ptr_nonnull(strstr(dmc_last_error(), "not the one the aligner was created with"));
    c.critic = own;
    dmc_critic_destroy(other);
    c.w.fail_at = 32 * STEPS + 3; /* the third step of the first round */
    ck_assert_int_eq(run(&c, &o, NULL, &r), DMC_ECALLBACK);
    ck_assert_ptr_nonnull(strstr(dmc_last_error(), "dmc_collect: step of copy 2"));
    ck_assert(r.rounds == 0 && r.steps == 0);
    c.env.obs_dim = 2;
    ck_assert_int_eq(run(&c, &o, NULL, &r), DMC_ESHAPE);
    c.env.obs_dim = 1;
    c.env.struct_size = 8;
    ck_assert_int_eq(run(&c, &o, NULL, &r), DMC_EINVAL);
    c.env.struct_size = sizeof c.env;
    o.share = 2;
    ck_assert_int_eq(run(&c, &o, NULL, &r), DMC_ERANGE);
    o.share = 1;
    dmc_rl_options_init(&bad, sizeof bad);
    bad.clip = -1;
    ck_assert_int_eq(dmc_align_online(c.aligner, c.critic, &c.env, c.replay, &o, &bad, NULL, NULL, NULL), DMC_ERANGE);
    o.method = DMC_ONLINE_SFT; /* whose options are those, then */
    o.rounds = 1;
    o.updates = 1;
    ck_assert_int_eq(dmc_align_online(c.aligner, c.critic, &c.env, c.replay, &o, &bad, NULL, NULL, NULL), DMC_OK);
    r.struct_size = 8;
    ck_assert_int_eq(dmc_align_online(c.aligner, c.critic, &c.env, c.replay, &o, NULL, NULL, NULL, &r), DMC_EINVAL);
    ck_assert_int_eq(dmc_align_online(NULL, c.critic, &c.env, c.replay, &o, NULL, NULL, NULL, NULL), DMC_EINVAL);
    ck_assert_int_eq(dmc_align_online(c.aligner, NULL, &c.env, c.replay, &o, NULL, NULL, NULL, NULL), DMC_EINVAL);
    ck_assert_int_eq(dmc_align_online(c.aligner, c.critic, NULL, c.replay, &o, NULL, NULL, NULL, NULL), DMC_EINVAL);
    ck_assert_int_eq(dmc_align_online(c.aligner, c.critic, &c.env, NULL, &o, NULL, NULL, NULL, NULL), DMC_EINVAL);
    close_cast(&c);
}
END_TEST

Suite *dmc_suite_online(void)
{
    Suite *s = suite_create("online");
    TCase *c = tcase_create("online");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, the_return_rises, 0, 3);
    tcase_add_test(c, without_a_share_nothing_is_learnt_from_it);
    tcase_add_test(c, everything_is_counted);
    tcase_add_loop_test(c, equal_seeds_give_equal_bits, 0, 3);
    tcase_add_test(c, the_critic_alone);
    tcase_add_loop_test(c, a_collapse_of_the_returns_is_undone, 0, 2);
    tcase_add_loop_test(c, conditions_come_from_the_replay, 0, 2);
    tcase_add_test(c, progress_may_stop_it);
    tcase_add_test(c, arguments_are_checked);
    suite_add_tcase(s, c);
    return s;
}
