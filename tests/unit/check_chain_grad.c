#include "../../lib/diffusion/chain_grad.h"
#include "failing_alloc.h"
#include "small_model.h"

#include <string.h>

enum { BATCH = 3, STEPS = 4, HORIZON = 2, COLS = 2, COND = 2, EXTRA = 1, ELEMS = HORIZON * COLS, TOTAL = BATCH * ELEMS };

/* A model, a noisy chain of it, and a differentiable row. */
typedef struct lab {
    small_model m;
    dmc__rollout *r;
    dmc__chain *c;
    void *grads; /* device, as the weights */
} lab;

static void set_inputs(dmc__rollout *r, int32_t masked)
{
    float *cond = some_floats(BATCH * COND, 1, 1), *extra = some_floats(BATCH * HORIZON * EXTRA, 2, 1);
    float *known = some_floats(TOTAL, 3, .5), mask[TOTAL];
    for (int i = 0; i < TOTAL; i++) mask[i] = i % ELEMS == 1;
    ok(dmc__rollout_set_cond(r, cond));
    ok(dmc__rollout_set_extra(r, extra));
    ok(dmc__rollout_set_known(r, masked ? mask : NULL, known));
    free(cond);
    free(extra);
    free(known);
}

static void open_lab(lab *l, const char *device, int32_t predict, double clip, int32_t masked, double std_floor)
{
    const small_model_config c = {.device = device, .predict = predict, .steps = 6, .horizon = HORIZON, .cols = COLS,
                                  .cond = COND, .extra = EXTRA, .clip = clip};
    const dmc__table_config t = {.sampler = DMC__SAMPLER_DDIM, .steps = STEPS, .eta = .8, .std_floor = std_floor};
    small_model_open(&l->m, &c);
    l->r = small_model_rollout(&l->m, &t, BATCH, 1);
    set_inputs(l->r, masked);
    ok(dmc__dev_alloc(l->m.device, l->m.n, &l->grads));
    ok(dmc__chain_create(l->m.net, l->m.device, BATCH, 1, NULL, &l->c));
    dmc__chain_bind(l->c, l->m.weights, l->grads);
    ok(dmc__rollout_run(l->r, 2, 0, 0, 1));
}

static void close_lab(lab *l)
{
    dmc__chain_destroy(l->c);
    dmc__dev_free(l->m.device, l->grads, l->m.n);
    dmc__rollout_destroy(l->r);
    small_model_close(&l->m);
}

static void clear_gradients(lab *l)
{
    memset(l->grads, 0, l->m.n * l->m.device->backend->elem);
}

/* ---- T2: replay -------------------------------------------------------------------------------------------- */

/* log N(z_{k+1}; mu, std^2), mean over free entries, unclamped; (BATCH) on the device. */
static dmc_kargs logp_args(const lab *l, int32_t k, const void *mu, void *out, int32_t mean)
{
    return (dmc_kargs){.in = {dmc__rollout_latent(l->r, k + 1), mu}, .out = out, .par = {dmc__rollout_mask(l->r)},
                       .dim = {BATCH, ELEMS}, .attr = {dmc__rollout_row(l->r, k)->logp_std, mean, -1e30, 1e30}};
}

/* The network of the training plan, put through the row with the chain's own noise, lands on the stored latent to the
 * bit: sampling and log-probability use the same times, deviations and inputs. */
static void assert_row_replays(lab *l, int32_t k, void *mu, void *next)
{
    dmc__device *d = l->m.device;
    const dmc__row *row = dmc__rollout_row(l->r, k);
    void *xi;
    ok(dmc__dev_alloc(d, TOTAL, &xi));
    dmc_kargs noise = {.out = xi, .dim = {BATCH, ELEMS}, .key = {2, DMC_STREAM_STEP, (uint64_t)k, 0}};
    ok(dmc__dev_run(d, DMC_OP_NORMAL, &noise));
    ok(dmc__chain_mean(l->c, l->r, k, dmc__rollout_latent(l->r, k), mu));
    dmc_kargs step = {.in = {dmc__rollout_latent(l->r, k), dmc__chain_output(l->c), row->S > 0 ? xi : NULL}, .out = next,
                      .par = {dmc__rollout_mask(l->r), dmc__rollout_known(l->r)}, .dim = {BATCH, ELEMS},
                      .attr = {row->P, row->Q, row->a, row->b, row->S, dmc__rollout_clip(l->r)}};
    ok(dmc__dev_run(d, DMC_OP_TRANSITION, &step));
    ck_assert_mem_eq(next, dmc__rollout_latent(l->r, k + 1), TOTAL * sizeof(float));
    dmc__dev_free(d, xi, TOTAL);
}

static void log_probability(lab *l, int32_t k, void *mu, float *logp)
{
    void *out;
    ok(dmc__dev_alloc(l->m.device, BATCH, &out));
    ok(dmc__chain_mean(l->c, l->r, k, dmc__rollout_latent(l->r, k), mu));
    dmc_kargs args = logp_args(l, k, mu, out, 1);
    ok(dmc__dev_run(l->m.device, DMC_OP_GAUSS_LOGP, &args));
    ok(dmc__dev_out(l->m.device, logp, out, BATCH));
    dmc__dev_free(l->m.device, out, BATCH);
}

START_TEST(replay_is_exact)
{
    static const char *const device[] = {"ref", "cpu"};
    lab l;
    void *mu, *next;
    open_lab(&l, device[_i], DMC__PREDICT_EPSILON, 1, 1, .1);
    ok(dmc__dev_alloc(l.m.device, TOTAL, &mu));
    ok(dmc__dev_alloc(l.m.device, TOTAL, &next));
    for (int32_t k = 0; k < STEPS; k++) {
        float old[BATCH], now[BATCH];
        assert_row_replays(&l, k, mu, next);
        log_probability(&l, k, mu, old);
        log_probability(&l, STEPS - 1 - k, mu, now); /* something else in between */
        log_probability(&l, k, mu, now);
        for (int b = 0; b < BATCH; b++) ck_assert(exp(now[b] - old[b]) == 1);
    }
    dmc__dev_free(l.m.device, mu, TOTAL);
    dmc__dev_free(l.m.device, next, TOTAL);
    close_lab(&l);
}
END_TEST

/* ---- T4: gradient of the log-probability ------------------------------------------------------------------- */

typedef struct logp_problem {
    lab *l;
    const void *z;
    void *mu, *dmu, *logp, *seed;
    int32_t row, mean;
} logp_problem;

static double weighted_logp(void *self)
{
    const logp_problem *p = self;
    const double *logp = p->logp, *seed = p->seed;
    double sum = 0;
    ok(dmc__chain_mean(p->l->c, p->l->r, p->row, p->z, p->mu));
    dmc_kargs k = logp_args(p->l, p->row, p->mu, p->logp, p->mean);
    ok(dmc__dev_run(p->l->m.device, DMC_OP_GAUSS_LOGP, &k));
    for (int b = 0; b < BATCH; b++) sum += seed[b] * logp[b];
    return sum;
}

/* How many free entries of x = P z + Q f the clip holds, none of them near its edge. */
static int count_clipped(const lab *l, int32_t k, double clip)
{
    const dmc__row *row = dmc__rollout_row(l->r, k);
    const double *z = dmc__rollout_latent(l->r, k), *f = dmc__chain_output(l->c), *mask = dmc__rollout_mask(l->r);
    int n = 0;
    for (int i = 0; i < TOTAL; i++) {
        const double x = fabs(row->P * z[i] + row->Q * f[i]);
        if (mask && mask[i] != 0) continue;
        ck_assert_double_gt(fabs(x - clip), 1e-4);
        n += x > clip;
    }
    return n;
}

static void check_logp_gradient(lab *l, int32_t row, int32_t mean)
{
    dmc__device *d = l->m.device;
    logp_problem p = {.l = l, .z = dmc__rollout_latent(l->r, row), .row = row, .mean = mean};
    void *dz;
    ok(dmc__dev_alloc(d, TOTAL, &p.mu));
    ok(dmc__dev_alloc(d, TOTAL, &p.dmu));
    ok(dmc__dev_alloc(d, TOTAL, &dz));
    ok(dmc__dev_alloc(d, BATCH, &p.logp));
    p.seed = some_device_floats(d, BATCH, 5, 1);
    clear_gradients(l);
    weighted_logp(&p);
    dmc_kargs k = logp_args(l, row, p.mu, p.logp, mean);
    k.dout = p.seed;
    k.din[1] = p.dmu;
    ok(dmc__dev_run_bwd(d, DMC_OP_GAUSS_LOGP, &k));
    ok(dmc__chain_backward(l->c, p.dmu, 1, dz));
    double *numeric = differences(l->m.weights, l->m.n, weighted_logp, &p);
    assert_gradients(l->grads, numeric, l->m.n);
    free(numeric);
    numeric = differences(dmc__rollout_latent(l->r, row), TOTAL, weighted_logp, &p);
    assert_gradients(dz, numeric, TOTAL);
    free(numeric);
    dmc__dev_free(d, p.mu, TOTAL);
    dmc__dev_free(d, p.dmu, TOTAL);
    dmc__dev_free(d, dz, TOTAL);
    dmc__dev_free(d, p.logp, BATCH);
    dmc__dev_free(d, p.seed, BATCH);
}

/* Every weight and every entry of z, at every row; prediction _i, with and without in-painting, the clip at work on some
 * entries (predicting noise, the first row would hold them all with a clip near 1: methods.md 1.2). */
START_TEST(logp_gradient_by_differences)
{
    const double clip = (const double[]){60, .3, .8}[_i];
    for (int32_t masked = 0; masked < 2; masked++) {
        lab l;
        void *mu;
        int clipped = 0;
        open_lab(&l, "ref64", _i, clip, masked, .3);
        ok(dmc__dev_alloc(l.m.device, TOTAL, &mu));
        for (int32_t k = 0; k < STEPS; k++) {
            ok(dmc__chain_mean(l.c, l.r, k, dmc__rollout_latent(l.r, k), mu));
            clipped += count_clipped(&l, k, clip);
            check_logp_gradient(&l, k, k % 2);
        }
        ck_assert_int_gt(clipped, 0);
        ck_assert_int_lt(clipped, STEPS * TOTAL);
        dmc__dev_free(l.m.device, mu, TOTAL);
        close_lab(&l);
    }
}
END_TEST

/* ---- QV-PG: gradient through the last K rows ------------------------------------------------------------------ */

typedef struct chain_problem {
    lab *l;
    void *moved; /* weights that are moved; the lab's own serve the early rows */
    int32_t k;
} chain_problem;

/* L = sum (z_0 - .3)^2 (1 + .1 i) of a chain with fixed noise. */
static double chain_loss(void *self)
{
    const chain_problem *p = self;
    double sum = 0;
    dmc__rollout_bind(p->l->r, p->moved, p->l->m.weights, p->k);
    ok(dmc__rollout_run(p->l->r, 2, 0, 0, 1));
    const double *z = dmc__rollout_latent(p->l->r, STEPS);
    for (int i = 0; i < TOTAL; i++) sum += (z[i] - .3) * (z[i] - .3) * (1 + .1 * i);
    return sum;
}

static void loss_gradient(const lab *l, double *g)
{
    const double *z = dmc__rollout_latent(l->r, STEPS);
    for (int i = 0; i < TOTAL; i++) g[i] = 2 * (z[i] - .3) * (1 + .1 * i);
}

/* Into l->grads, through the last k rows, row j weighed by kappa[j] (NULL: 1); g is left at dL/dz of the first of them. */
static void backward_through(lab *l, int32_t k, const double *kappa, double *g)
{
    double *mu;
    ok(dmc__dev_alloc(l->m.device, TOTAL, (void **)&mu));
    clear_gradients(l);
    loss_gradient(l, g);
    for (int32_t row = STEPS - 1; row >= STEPS - k; row--) {
        ok(dmc__chain_mean(l->c, l->r, row, dmc__rollout_latent(l->r, row), mu));
        ok(dmc__chain_backward(l->c, g, kappa ? kappa[row - (STEPS - k)] : 1, g));
    }
    dmc__dev_free(l->m.device, mu, TOTAL);
}

/* d loss / d (weights of the last k rows), by differences. */
static double *chain_differences(lab *l, int32_t k)
{
    chain_problem p = {.l = l, .k = k};
    ok(dmc__dev_alloc(l->m.device, l->m.n, &p.moved));
    memcpy(p.moved, l->m.weights, l->m.n * sizeof(double));
    double *numeric = differences(p.moved, l->m.n, chain_loss, &p);
    chain_loss(&p);
    dmc__dev_free(l->m.device, p.moved, l->m.n);
    return numeric;
}

/* T5/R3 of methods.md: K = 1, 2, T; with and without clip and in-painting. */
START_TEST(chain_gradient_by_differences)
{
    static const int32_t last[] = {1, 2, STEPS};
    for (int32_t variant = 0; variant < 4; variant++)
        for (int j = 0; j < 3; j++) {
            double g[TOTAL];
            lab l;
            open_lab(&l, "ref64", _i, variant & 1 ? .8 : 0, variant & 2, .1);
            double *numeric = chain_differences(&l, last[j]);
            backward_through(&l, last[j], NULL, g);
            assert_gradients(l.grads, numeric, l.m.n);
            free(numeric);
            close_lab(&l);
        }
}
END_TEST

/* kappa weighs a row's parameters only: with kappa the gradient is the sum of kappa_j times what row j adds, and dL/dz is
 * that without kappa. */
START_TEST(kappa_weighs_parameters_only)
{
    const double kappa[2] = {_i ? 0 : .37, 1.9};
    double g[TOTAL], plain[TOTAL];
    lab l;
    open_lab(&l, "ref64", DMC__PREDICT_V, .8, 1, .1);
    double *one = chain_differences(&l, 1), *two = chain_differences(&l, 2);
    for (size_t i = 0; i < l.m.n; i++) two[i] = kappa[1] * one[i] + kappa[0] * (two[i] - one[i]);
    backward_through(&l, 2, NULL, plain);
    backward_through(&l, 2, kappa, g);
    assert_gradients(l.grads, two, l.m.n);
    for (int i = 0; i < TOTAL; i++) ck_assert_double_eq_tol(g[i], plain[i], 1e-13);
    free(one);
    free(two);
    close_lab(&l);
}
END_TEST

/* ---- network only --------------------------------------------------------------------------------------------- */

typedef struct network_problem {
    lab *l;
    const void *z, *t, *seed;
} network_problem;

static double network_loss(void *self)
{
    const network_problem *p = self;
    const double *seed = p->seed;
    double sum = 0;
    ok(dmc__chain_network(p->l->c, p->z, p->t, dmc__rollout_cond(p->l->r), dmc__rollout_extra(p->l->r)));
    const double *f = dmc__chain_output(p->l->c);
    for (int i = 0; i < TOTAL; i++) sum += seed[i] * f[i];
    return sum;
}

/* Samples at different times; the mean of a row agrees with it where all times are the row's. */
START_TEST(network_gradient_by_differences)
{
    lab l;
    open_lab(&l, "ref64", DMC__PREDICT_EPSILON, 0, 0, 0);
    dmc__device *d = l.m.device;
    network_problem p = {.l = &l, .z = dmc__rollout_latent(l.r, 1), .seed = some_device_floats(d, TOTAL, 8, 1)};
    double time[BATCH] = {0, 3, 5};
    p.t = time;
    clear_gradients(&l);
    network_loss(&p);
    ok(dmc__chain_network_backward(l.c, p.seed));
    double *numeric = differences(l.m.weights, l.m.n, network_loss, &p);
    assert_gradients(l.grads, numeric, l.m.n);
    free(numeric);
    double of_row[TOTAL], mu[TOTAL];
    ok(dmc__chain_mean(l.c, l.r, 1, p.z, mu));
    memcpy(of_row, dmc__chain_output(l.c), sizeof of_row);
    for (int b = 0; b < BATCH; b++) time[b] = dmc__rollout_row(l.r, 1)->at.time;
    network_loss(&p);
    ck_assert_mem_eq(of_row, dmc__chain_output(l.c), sizeof of_row);
    dmc__dev_free(d, (void *)(uintptr_t)p.seed, TOTAL);
    close_lab(&l);
}
END_TEST

/* ---- frozen weights, memory, refusals --------------------------------------------------------------------------- */

START_TEST(frozen_weights_get_no_gradient)
{
    lab l;
    open_lab(&l, "ref64", DMC__PREDICT_EPSILON, 0, 0, .1);
    const dmc__graph *g = l.m.net->graph;
    uint8_t train[64] = {0};
    ck_assert_int_le(dmc__graph_param_count(g), 64);
    const dmc__parid one = dmc__graph_find_param(g, "affine_out.weight");
    ck_assert_int_ge(one, 0);
    train[one] = 1;
    dmc__chain_destroy(l.c);
    ok(dmc__chain_create(l.m.net, l.m.device, BATCH, 0, train, &l.c));
    dmc__chain_bind(l.c, l.m.weights, l.grads);
    double mu[TOTAL], dmu[TOTAL];
    for (int i = 0; i < TOTAL; i++) dmu[i] = 1;
    clear_gradients(&l);
    ok(dmc__chain_mean(l.c, l.r, 0, dmc__rollout_latent(l.r, 0), mu));
    ok(dmc__chain_backward(l.c, dmu, 1, NULL));
    const dmc__param_spec *spec = dmc__graph_param(g, one);
    const double *grad = l.grads;
    for (size_t i = 0; i < l.m.n; i++) {
        const int inside = i >= spec->offset && i < spec->offset + spec->size;
        ck_assert(inside ? grad[i] != 0 : grad[i] == 0);
    }
    ck_assert_int_eq(dmc__chain_backward(l.c, dmu, 1, mu), DMC_ESTATE); /* dz was not asked for */
    close_lab(&l);
}
END_TEST

START_TEST(create_survives_lack_of_memory)
{
    lab l;
    open_lab(&l, "cpu", DMC__PREDICT_EPSILON, 0, 0, 0);
    dmc_status status = DMC_ENOMEM;
    for (int64_t n = 1; status == DMC_ENOMEM; n++) {
        failing_alloc f = {0};
        const dmc__allocator a = failing_allocator(&f);
        dmc__device *d;
        dmc__chain *c = NULL;
        ok(dmc__device_open(&a, "cpu", NULL, &d));
        const int64_t before = f.live;
        f.fail_at = f.calls + n;
        status = dmc__chain_create(l.m.net, d, BATCH, 1, NULL, &c);
        ck_assert((status == DMC_OK) == (c != NULL));
        dmc__chain_destroy(c);
        ck_assert_int_eq(f.live, before);
        dmc__device_close(d);
    }
    ck_assert_int_eq(status, DMC_OK);
    close_lab(&l);
}
END_TEST

START_TEST(refusals)
{
    lab l;
    dmc__chain *other;
    double mu[2 * TOTAL] = {0};
    open_lab(&l, "ref64", DMC__PREDICT_EPSILON, 0, 0, 0);
    ck_assert_int_eq(dmc__chain_create(l.m.net, l.m.device, 0, 0, NULL, &other), DMC_ERANGE);
    ck_assert_ptr_null(other);
    ok(dmc__chain_create(l.m.net, l.m.device, BATCH + 1, 0, NULL, &other));
    ck_assert_int_eq(dmc__chain_mean(other, l.r, 0, mu, mu), DMC_ESHAPE);
    dmc__chain_destroy(other);
    dmc__chain_destroy(NULL);
    ck_assert_int_eq(dmc__chain_mean(l.c, l.r, STEPS, mu, mu), DMC_ERANGE);
    ck_assert_int_eq(dmc__chain_mean(l.c, l.r, -1, mu, mu), DMC_ERANGE);
    ok(dmc__chain_mean(l.c, l.r, 0, dmc__rollout_latent(l.r, 0), mu));
    dmc__chain_bind(l.c, l.m.weights, NULL);
    ck_assert_int_eq(dmc__chain_backward(l.c, mu, 1, NULL), DMC_ESTATE);
    ck_assert_int_eq(dmc__chain_network(l.c, mu, mu, NULL, mu), DMC_EINVAL);
    ck_assert_uint_gt(dmc__chain_bytes(l.c), 2 * TOTAL * sizeof(double));
    close_lab(&l);
}
END_TEST

Suite *dmc_suite_chain_grad(void);
Suite *dmc_suite_chain_grad(void)
{
    Suite *const s = suite_create("chain_grad");
    TCase *const t = tcase_create("chain_grad");
    tcase_add_loop_test(t, replay_is_exact, 0, 2);
    tcase_add_loop_test(t, logp_gradient_by_differences, DMC__PREDICT_EPSILON, DMC__PREDICT_V + 1);
    tcase_add_loop_test(t, chain_gradient_by_differences, DMC__PREDICT_EPSILON, DMC__PREDICT_V + 1);
    tcase_add_loop_test(t, kappa_weighs_parameters_only, 0, 2);
    tcase_add_test(t, network_gradient_by_differences);
    tcase_add_test(t, frozen_weights_get_no_gradient);
    tcase_add_test(t, create_survives_lack_of_memory);
    tcase_add_test(t, refusals);
    suite_add_tcase(s, t);
    return s;
}
