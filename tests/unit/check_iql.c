#include "failing_alloc.h"
#include "small_critic.h"

#include <string.h>

enum { BATCH = 5, OBS = 3, ACT = 2 };

static const dmc__iql_config config = {.obs_dim = OBS, .act_dim = ACT, .hidden = 5, .batch = BATCH, .lr = 1e-3, .tau = .8,
                                       .gamma = .9, .polyak = .05, .seed = 3};

/* Transitions; sample 1 ends an episode and sample 3 is half a terminal (nothing but arithmetic may depend on 0 and 1). */
typedef struct batch {
    float *obs, *act, *rew, *next;
    float terminal[BATCH];
} batch;

static batch make_batch(void)
{
    const batch b = {some_floats(BATCH * OBS, 1, 1), some_floats(BATCH * ACT, 2, 1), some_floats(BATCH, 3, 1),
                     some_floats(BATCH * OBS, 4, 1), {0, 1, 0, .5f, 0}};
    return b;
}

static void free_batch(batch *b)
{
    free(b->obs);
    free(b->act);
    free(b->rew);
    free(b->next);
}

static dmc_status update(small_critic *s, const batch *b, dmc__iql_metrics *m)
{
    return dmc__iql_update(s->q, b->obs, b->act, b->rew, b->next, b->terminal, m);
}

/* ---- values in double, through the evaluators ------------------------------------------------------------------ */

/* q (2,BATCH) with the weights in block `which` of Q. */
static void evaluate_q(small_critic *s, const batch *b, int32_t which, double *q)
{
    dmc__qeval *e;
    double *online = dmc__iql_weights(s->q, DMC__IQL_Q), *other = dmc__iql_weights(s->q, which);
    const size_t n = dmc__graph_param_elems(dmc__iql_graph(s->q, DMC__IQL_Q)) * sizeof *online;
    double *keep = malloc(n);
    ck_assert_ptr_nonnull(keep);
    memcpy(keep, online, n);
    memmove(online, other, n);
    ok(dmc__qeval_create(s->q, s->device, BATCH, 0, &e));
    ok(dmc__dev_in(s->device, dmc__qeval_obs(e), b->obs, BATCH * OBS));
    ok(dmc__dev_in(s->device, dmc__qeval_act(e), b->act, BATCH * ACT));
    ok(dmc__qeval_run(e));
    for (int twin = 0; twin < 2; twin++) memcpy(q + twin * BATCH, dmc__qeval_q(e, twin), BATCH * sizeof *q);
    dmc__qeval_destroy(e);
    memcpy(online, keep, n);
    free(keep);
}

static void evaluate_v(small_critic *s, const float *obs, double *v)
{
    dmc__veval *e;
    ok(dmc__veval_create(s->q, s->device, BATCH, &e));
    ok(dmc__dev_in(s->device, dmc__veval_obs(e), obs, BATCH * OBS));
    ok(dmc__veval_run(e));
    memcpy(v, dmc__veval_v(e), BATCH * sizeof *v);
    dmc__veval_destroy(e);
}

/* ---- H2: the gradients of both losses ------------------------------------------------------------------------------ */

typedef struct loss_problem {
    small_critic *s;
    const batch *b;
    double q[2 * BATCH], y[BATCH];
} loss_problem;

/* mean |tau - [u<0]| u^2, u = min(q1,q2) - V(s) */
static double v_loss(void *self)
{
    const loss_problem *p = self;
    double v[BATCH], sum = 0;
    evaluate_v(p->s, p->b->obs, v);
    for (int i = 0; i < BATCH; i++) {
        const double u = fmin(p->q[i], p->q[BATCH + i]) - v[i];
        sum += (u < 0 ? 1 - config.tau : config.tau) * u * u / BATCH;
    }
    return sum;
}

/* mean sum_k (Q_k - y)^2 */
static double q_loss(void *self)
{
    const loss_problem *p = self;
    double q[2 * BATCH], sum = 0;
    evaluate_q(p->s, p->b, DMC__IQL_Q, q);
    for (int i = 0; i < 2 * BATCH; i++) sum += (q[i] - p->y[i % BATCH]) * (q[i] - p->y[i % BATCH]) / BATCH;
    return sum;
}

/* Adam's first step moves every weight by -lr g / (|g| + eps): from it the direction of the gradient can be read. */
static void assert_first_step(const double *before, const double *after, const double *gradient, size_t n)
{
    int moved = 0;
    for (size_t i = 0; i < n; i++) {
        const double g = gradient[i], step = -config.lr * g / (fabs(g) + 1e-8);
        if (fabs(g) < 1e-6 && g != 0) continue; /* differences say nothing about so small a slope */
        moved += g != 0;
        ck_assert_msg(fabs(after[i] - before[i] - step) < 1e-2 * config.lr, "weight %zu moved %g, expected %g", i,
                      after[i] - before[i], step);
    }
    ck_assert_int_gt(moved, 20);
}

static double *copy_weights(const small_critic *s, int32_t which)
{
    const size_t n = dmc__graph_param_elems(dmc__iql_graph(s->q, which)) * sizeof(double);
    double *w = malloc(n);
    ck_assert_ptr_nonnull(w);
    memcpy(w, dmc__iql_weights(s->q, which), n);
    return w;
}

static void assert_v_step(loss_problem *p, const double *before, const double *gradient)
{
    const size_t n = dmc__graph_param_elems(dmc__iql_graph(p->s->q, DMC__IQL_V));
    assert_first_step(before, dmc__iql_weights(p->s->q, DMC__IQL_V), gradient, n);
}

/* y = r + gamma (1 - term) V_new(s'), with the V after its update. */
static void make_targets(loss_problem *p)
{
    double v[BATCH];
    evaluate_v(p->s, p->b->next, v);
    for (int i = 0; i < BATCH; i++) p->y[i] = p->b->rew[i] + config.gamma * (1 - (double)p->b->terminal[i]) * v[i];
}

/* Put the weights of Q before the update back, look at the loss there, and compare the step taken from it. */
static void assert_q_step(loss_problem *p, const double *before, double loss)
{
    const size_t n = dmc__graph_param_elems(dmc__iql_graph(p->s->q, DMC__IQL_Q));
    double *online = dmc__iql_weights(p->s->q, DMC__IQL_Q), *after = copy_weights(p->s, DMC__IQL_Q);
    memcpy(online, before, n * sizeof *online);
    ck_assert_double_eq_tol(loss, q_loss(p), 1e-5);
    double *gradient = differences(online, n, q_loss, p);
    assert_first_step(before, after, gradient, n);
    memcpy(online, after, n * sizeof *online);
    free(gradient);
    free(after);
}

/* H2 and H3: one update in ref64. V moves against the expectile gradient at the target's values, Q against that of the
 * squared error to y with the new V, and the target is exactly (1 - polyak) target + polyak Q. */
START_TEST(one_update)
{
    small_critic s;
    batch b = make_batch();
    dmc__iql_metrics m;
    small_critic_open(&s, "ref64", &config);
    loss_problem p = {.s = &s, .b = &b};
    double *target = dmc__iql_weights(s.q, DMC__IQL_TARGET);
    const size_t n = dmc__graph_param_elems(dmc__iql_graph(s.q, DMC__IQL_Q));
    for (size_t i = 0; i < n; i++) target[i] *= 1.25; /* not the online twins */
    evaluate_q(&s, &b, DMC__IQL_TARGET, p.q);
    double *v0 = copy_weights(&s, DMC__IQL_V), *q0 = copy_weights(&s, DMC__IQL_Q), *t0 = copy_weights(&s, DMC__IQL_TARGET);
    double *gradient = differences(dmc__iql_weights(s.q, DMC__IQL_V), dmc__graph_param_elems(dmc__iql_graph(s.q, DMC__IQL_V)),
                                   v_loss, &p);
    const double loss = v_loss(&p);
    ok(update(&s, &b, &m));
    ck_assert_double_eq_tol(m.v_loss, loss, 1e-5);
    assert_v_step(&p, v0, gradient);
    make_targets(&p);
    assert_q_step(&p, q0, m.q_loss);
    const double *online = dmc__iql_weights(s.q, DMC__IQL_Q);
    for (size_t i = 0; i < n; i++)
        ck_assert_double_eq_tol(target[i], (1 - config.polyak) * t0[i] + config.polyak * online[i], 1e-15);
    ck_assert_int_eq(dmc__iql_step(s.q), 1);
    free(gradient);
    free(v0);
    free(q0);
    free(t0);
    free_batch(&b);
    small_critic_close(&s);
}
END_TEST

/* ---- H4: terminals ---------------------------------------------------------------------------------------------------- */

/* Where an episode ends, what lies in `next` is not looked at; where it was only cut off, V(s') is bootstrapped. */
START_TEST(terminal_and_time_out)
{
    double loss[3];
    for (int variant = 0; variant < 3; variant++) {
        small_critic s;
        batch b = make_batch();
        dmc__iql_metrics m;
        small_critic_open(&s, "cpu", &config);
        if (variant == 1) /* rubbish behind the end */
            for (int j = 0; j < OBS; j++) b.next[OBS + j] = NAN;
        if (variant == 2) b.terminal[1] = 0;
        ok(update(&s, &b, &m));
        loss[variant] = m.q_loss;
        free_batch(&b);
        small_critic_close(&s);
    }
    ck_assert(loss[0] == loss[1]);
    ck_assert(fabs(loss[0] - loss[2]) > 1e-4);
}
END_TEST

/* ---- H1: a chain of five states ---------------------------------------------------------------------------------------- */

/* States 0..4, one-hot. Action -1 moves left, +1 right; walls hold. Entering 4 pays 1 and ends the episode; every other step
 * pays -.05. Seen: in states 0..3 right once and left three times, in state 2 left only. */
enum { STATES = 5, SEEN = 13 };

static const struct {
    int state, act;
} seen[SEEN] = {{0, 1}, {0, -1}, {0, -1}, {0, -1}, {1, 1}, {1, -1}, {1, -1}, {1, -1}, {2, -1}, {3, 1}, {3, -1}, {3, -1}, {3, -1}};

static int move(int state, int act)
{
    const int to = state + act;
    return to < 0 ? 0 : to;
}

static double pay(int to)
{
    return to == STATES - 1 ? 1 : -.05;
}

/* What IQL's V tends to, by iteration: the tau-expectile of Q(s,a) over the actions seen, v = sum w q / sum w with w = tau
 * where q > v, else 1 - tau. */
static void tabular_values(double gamma, double tau, double *v)
{
    memset(v, 0, STATES * sizeof *v);
    for (int sweep = 0; sweep < 2000; sweep++)
        for (int s = 0; s < STATES - 1; s++) {
            double sum = 0, weight = 0;
            for (int i = 0; i < SEEN; i++) {
                if (seen[i].state != s) continue;
                const int to = move(s, seen[i].act);
                const double q = pay(to) + gamma * v[to], w = q > v[s] ? tau : 1 - tau;
                sum += w * q;
                weight += w;
            }
            v[s] = sum / weight;
        }
}

/* Policy evaluation of the behaviour: the plain mean (best = 0), or the best action among those seen. */
static void sarsa_or_best(double gamma, int best, double *v)
{
    memset(v, 0, STATES * sizeof *v);
    for (int sweep = 0; sweep < 500; sweep++)
        for (int s = 0; s < STATES - 1; s++) {
            double sum = 0, most = -HUGE_VAL;
            int n = 0;
            for (int i = 0; i < SEEN; i++) {
                if (seen[i].state != s) continue;
                const double q = pay(move(s, seen[i].act)) + gamma * v[move(s, seen[i].act)];
                sum += q;
                most = fmax(most, q);
                n++;
            }
            v[s] = best ? most : sum / n;
        }
}

static void chain_batch(float *obs, float *act, float *rew, float *next, float *terminal)
{
    memset(obs, 0, SEEN * STATES * sizeof *obs);
    memset(next, 0, SEEN * STATES * sizeof *next);
    for (int i = 0; i < SEEN; i++) {
        const int to = move(seen[i].state, seen[i].act);
        obs[i * STATES + seen[i].state] = next[i * STATES + to] = 1;
        act[i] = (float)seen[i].act;
        rew[i] = (float)pay(to);
        terminal[i] = to == STATES - 1;
    }
}

/* V of states 0..3 after `updates` on everything that was seen. */
static void learn_chain(double tau, int32_t updates, double *v)
{
    float obs[SEEN * STATES], act[SEEN], rew[SEEN], next[SEEN * STATES], terminal[SEEN], out[SEEN];
    const dmc__iql_config c = {.obs_dim = STATES, .act_dim = 1, .hidden = 32, .batch = SEEN, .lr = 3e-3, .tau = tau,
                               .gamma = .8, .polyak = .05, .steps = updates, .seed = 1};
    small_critic s;
    dmc__veval *e;
    small_critic_open(&s, "cpu", &c);
    chain_batch(obs, act, rew, next, terminal);
    for (int32_t i = 0; i < updates; i++) ok(dmc__iql_update(s.q, obs, act, rew, next, terminal, NULL));
    ok(dmc__veval_create(s.q, s.device, SEEN, &e));
    ok(dmc__dev_in(s.device, dmc__veval_obs(e), obs, SEEN * STATES));
    ok(dmc__veval_run(e));
    ok(dmc__dev_out(s.device, out, dmc__veval_v(e), SEEN));
    for (int i = 0; i < SEEN; i++) v[seen[i].state] = out[i];
    dmc__veval_destroy(e);
    small_critic_close(&s);
}

/* tau = .5 gives the SARSA values of the behaviour; tau -> 1 the best action among those seen and not more: going right
 * from state 2 was never seen, so the reward at the end is out of reach from the left. */
START_TEST(chain_values)
{
    static const double tau[] = {.5, .8, .99};
    double learned[STATES], table[STATES], limit[STATES];
    tabular_values(.8, tau[_i], table);
    learn_chain(tau[_i], 4000, learned);
    for (int s = 0; s < STATES - 1; s++)
        ck_assert_msg(fabs(learned[s] - table[s]) < .03, "tau = %g: V(%d) = %g, table %g", tau[_i], s, learned[s], table[s]);
    sarsa_or_best(.8, tau[_i] > .9, limit);
    for (int s = 0; s < STATES - 1 && _i != 1; s++) ck_assert_double_eq_tol(table[s], limit[s], _i == 0 ? 1e-12 : .05);
    if (_i == 2) ck_assert(limit[3] == 1 && limit[2] < 0);
}
END_TEST

/* ---- evaluators, adoption, refusals ---------------------------------------------------------------------------------------- */

typedef struct q_problem {
    dmc__qeval *e;
    const double *seed;
} q_problem;

static double weighted_q(void *self)
{
    const q_problem *p = self;
    double sum = 0;
    ok(dmc__qeval_run(p->e));
    for (int twin = 0; twin < 2; twin++)
        for (int i = 0; i < BATCH; i++) sum += p->seed[twin * BATCH + i] * ((const double *)dmc__qeval_q(p->e, twin))[i];
    return sum;
}

START_TEST(input_gradient_by_differences)
{
    static const double seed[2 * BATCH] = {1, -2, .5, 3, 1, -1, .25, 2, 1, .1};
    small_critic s;
    small_critic_open(&s, "ref64", &config);
    q_problem p = {.seed = seed};
    float *x = some_floats(BATCH * OBS, 1, 1);
    ok(dmc__qeval_create(s.q, s.device, BATCH, 1, &p.e));
    ok(dmc__dev_in(s.device, dmc__qeval_obs(p.e), x, BATCH * OBS));
    ok(dmc__dev_in(s.device, dmc__qeval_act(p.e), x, BATCH * ACT));
    weighted_q(&p);
    for (int twin = 0; twin < 2; twin++) memcpy(dmc__qeval_dq(p.e, twin), seed + twin * BATCH, BATCH * sizeof *seed);
    ok(dmc__qeval_backward(p.e));
    double *numeric = differences(dmc__qeval_obs(p.e), BATCH * OBS, weighted_q, &p);
    assert_gradients(dmc__qeval_dobs(p.e), numeric, BATCH * OBS);
    free(numeric);
    numeric = differences(dmc__qeval_act(p.e), BATCH * ACT, weighted_q, &p);
    assert_gradients(dmc__qeval_dact(p.e), numeric, BATCH * ACT);
    free(numeric);
    ck_assert_uint_gt(dmc__qeval_bytes(p.e), 0);
    dmc__qeval_destroy(p.e);
    free(x);
    small_critic_close(&s);
}
END_TEST

/* A critic given another's weights goes on exactly like one that starts from them; an evaluator made before sees them. */
START_TEST(adopted_weights_are_used)
{
    small_critic a, c;
    batch b = make_batch();
    dmc__iql_metrics m[2];
    dmc__iql_config other = config;
    other.seed = 4;
    small_critic_open(&a, "cpu", &config);
    small_critic_open(&c, "cpu", &other);
    ok(update(&c, &b, &m[0])); /* moments that must be forgotten */
    dmc__veval *e;
    float v[2][BATCH];
    ok(dmc__veval_create(c.q, c.device, BATCH, &e));
    ok(dmc__iql_adopt(c.q, dmc__iql_weights(a.q, DMC__IQL_Q), dmc__iql_weights(a.q, DMC__IQL_TARGET),
                      dmc__iql_weights(a.q, DMC__IQL_V)));
    for (int j = 0; j < 2; j++) {
        if (j) {
            dmc__veval_destroy(e);
            ok(dmc__veval_create(a.q, a.device, BATCH, &e));
        }
        ok(dmc__dev_in(c.device, dmc__veval_obs(e), b.obs, BATCH * OBS));
        ok(dmc__veval_run(e));
        ok(dmc__dev_out(c.device, v[j], dmc__veval_v(e), BATCH));
    }
    ck_assert_mem_eq(v[0], v[1], sizeof v[0]);
    dmc__veval_destroy(e);
    for (int32_t i = 0; i < 2; i++) {
        ok(update(&a, &b, &m[0]));
        ok(update(&c, &b, &m[1]));
        ck_assert_mem_eq(&m[0], &m[1], sizeof m[0]);
    }
    free_batch(&b);
    small_critic_close(&a);
    small_critic_close(&c);
}
END_TEST

/* A loss that is not a number stops the update before anything moved. */
START_TEST(bad_numbers_change_nothing)
{
    small_critic s;
    batch b = make_batch();
    dmc__iql_metrics m;
    small_critic_open(&s, "ref64", &config);
    double *v0 = copy_weights(&s, DMC__IQL_V), *q0 = copy_weights(&s, DMC__IQL_Q);
    b.obs[0] = NAN;
    ck_assert_int_eq(update(&s, &b, &m), DMC_ENUMERIC);
    ck_assert_str_eq(dmc_last_error(), "critic: the loss of V is not finite");
    ck_assert_int_eq(dmc__iql_step(s.q), 0);
    ck_assert_mem_eq(v0, dmc__iql_weights(s.q, DMC__IQL_V),
                     dmc__graph_param_elems(dmc__iql_graph(s.q, DMC__IQL_V)) * sizeof(double));
    ck_assert_mem_eq(q0, dmc__iql_weights(s.q, DMC__IQL_Q),
                     dmc__graph_param_elems(dmc__iql_graph(s.q, DMC__IQL_Q)) * sizeof(double));
    b.obs[0] = 1;
    ok(update(&s, &b, NULL));
    free(v0);
    free(q0);
    free_batch(&b);
    small_critic_close(&s);
}
END_TEST

START_TEST(create_survives_lack_of_memory)
{
    dmc_status status = DMC_ENOMEM;
    for (int64_t n = 1; status == DMC_ENOMEM; n++) {
        failing_alloc f = {0};
        const dmc__allocator a = failing_allocator(&f);
        dmc__device *d;
        dmc__iql *q = NULL;
        ok(dmc__device_open(&a, "cpu", NULL, &d));
        const int64_t before = f.live;
        f.fail_at = f.calls + n;
        status = dmc__iql_create(&a, d, &config, &q);
        ck_assert((status == DMC_OK) == (q != NULL));
        dmc__iql_destroy(q);
        ck_assert_int_eq(f.live, before);
        dmc__device_close(d);
    }
    ck_assert_int_eq(status, DMC_OK);
}
END_TEST

static void assert_refused(dmc__iql_config c)
{
    dmc__device *d;
    dmc__iql *q = (dmc__iql *)&q;
    ok(dmc__device_open(&dmc__default_allocator, "cpu", NULL, &d));
    ck_assert_int_eq(dmc__iql_create(&dmc__default_allocator, d, &c, &q), DMC_ERANGE);
    ck_assert_ptr_null(q);
    dmc__device_close(d);
}

#define WITH(field, value)         \
    do {                           \
        dmc__iql_config c = config; \
        c.field = value;           \
        assert_refused(c);         \
    } while (0)

START_TEST(refusals)
{
    WITH(batch, 0);
    WITH(batch, 1 << 21);
    WITH(obs_dim, 0);
    WITH(act_dim, 0);
    WITH(obs_dim, 1 << 20);
    WITH(tau, 0);
    WITH(tau, 1);
    WITH(tau, NAN);
    WITH(gamma, 1.1);
    WITH(polyak, -.1);
    WITH(lr, -1);
    WITH(lr, INFINITY);
    small_critic s;
    dmc__qeval *e;
    dmc__veval *v;
    small_critic_open(&s, "cpu", &config);
    ck_assert_int_eq(dmc__qeval_create(s.q, s.device, 0, 0, &e), DMC_ERANGE);
    ck_assert_int_eq(dmc__veval_create(s.q, s.device, 0, &v), DMC_ERANGE);
    ck_assert(e == NULL && v == NULL);
    dmc__qeval_destroy(NULL);
    dmc__veval_destroy(NULL);
    dmc__iql_destroy(NULL);
    small_critic_close(&s);
}
END_TEST

Suite *dmc_suite_iql(void);
Suite *dmc_suite_iql(void)
{
    Suite *const s = suite_create("iql");
    TCase *const t = tcase_create("iql");
    tcase_add_test(t, one_update);
    tcase_add_test(t, terminal_and_time_out);
    tcase_add_loop_test(t, chain_values, 0, 3);
    tcase_add_test(t, input_gradient_by_differences);
    tcase_add_test(t, adopted_weights_are_used);
    tcase_add_test(t, bad_numbers_change_nothing);
    tcase_add_test(t, create_survives_lack_of_memory);
    tcase_add_test(t, refusals);
    suite_add_tcase(s, t);
    return s;
}
