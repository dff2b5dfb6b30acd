#include "../../lib/diffusion/denoise.h"
#include "failing_alloc.h"
#include "hinge_net.h"
#include "two_modes.h"

#include <string.h>

enum { BATCH = 4, STEPS = 8, HORIZON = 3, COLS = 2, COND = 2, EXTRA = 1, ELEMS = HORIZON * COLS, TOTAL = BATCH * ELEMS };

typedef struct lab {
    small_model m;
    dmc__chain *c;
    dmc__denoise *n;
    void *grads;
    float *x0, *cond, *extra, *weight, mask[TOTAL];
} lab;

static void bind_model(lab *l, int32_t batch)
{
    ok(dmc__dev_alloc(l->m.device, l->m.n, &l->grads));
    ok(dmc__chain_create(l->m.net, l->m.device, batch, 0, NULL, &l->c));
    dmc__chain_bind(l->c, l->m.weights, l->grads);
    ok(dmc__denoise_create(l->c, l->m.net, l->m.device, &l->m.process, batch, &l->n));
}

/* Known: the first entry of every sample. Weights: 0 for the last row of sample 1, else 1, 2, 3 in turn. */
static void open_lab(lab *l, int32_t predict, int32_t masked)
{
    /* VP: its last step keeps .6 % of the sample, so that terms in abar_T show. */
    const small_model_config c = {.device = "ref64", .schedule = DMC__SCHEDULE_VP, .predict = predict, .steps = STEPS,
                                  .horizon = HORIZON, .cols = COLS, .cond = COND, .extra = EXTRA};
    small_model_open(&l->m, &c);
    bind_model(l, BATCH);
    l->x0 = some_floats(TOTAL, 1, .5);
    l->cond = some_floats(BATCH * COND, 2, 1);
    l->extra = some_floats(BATCH * HORIZON * EXTRA, 3, 1);
    l->weight = some_floats(TOTAL, 4, 1);
    for (int i = 0; i < TOTAL; i++) {
        l->mask[i] = i % ELEMS == 0;
        l->weight[i] = i >= 2 * ELEMS - COLS && i < 2 * ELEMS ? 0 : 1 + i % 3;
    }
    ok(dmc__denoise_set(l->n, l->x0, l->cond, l->extra, masked ? l->mask : NULL, masked ? l->weight : NULL));
}

static void close_model(lab *l)
{
    dmc__denoise_destroy(l->n);
    dmc__chain_destroy(l->c);
    dmc__dev_free(l->m.device, l->grads, l->m.n);
    small_model_close(&l->m);
}

static void close_lab(lab *l)
{
    close_model(l);
    free(l->x0);
    free(l->cond);
    free(l->extra);
    free(l->weight);
}

static const double times[BATCH] = {0, 7, 3, 3};
static const uint64_t samples[BATCH] = {40, 41, 5, 5};

static void make_noise(lab *l)
{
    ok(dmc__denoise_noise(l->n, times, samples, 17, DMC_STREAM_NOISE, 6));
}

static double normal(uint32_t purpose, uint64_t seed, uint64_t step, uint64_t sample, size_t n)
{
    const dmc__stream s = {.seed = seed, .purpose = purpose, .step = step, .sample = sample};
    return dmc__rng_normal(&s, (uint32_t)n);
}

/* ---- the noised batch -------------------------------------------------------------------------------------- */

/* z = alpha x0 + sigma eps, known entries clean; the target follows the prediction; equal numbers, equal noise. */
START_TEST(noised_batch)
{
    for (int32_t masked = 0; masked < 2; masked++) {
        const void *z_at, *t_at, *cond_at;
        void *target_at;
        lab l;
        open_lab(&l, _i, masked);
        make_noise(&l);
        dmc__denoise_batch(l.n, &z_at, &t_at, &cond_at, &target_at);
        const double *z = z_at, *t = t_at, *cond = cond_at, *target = target_at;
        for (int i = 0; i < TOTAL; i++) {
            const int32_t at = (int32_t)times[i / ELEMS];
            const double alpha = l.m.process.alpha[at], sigma = l.m.process.sigma[at], x0 = l.x0[i];
            const double eps = normal(DMC_STREAM_NOISE, 17, 6, samples[i / ELEMS], (size_t)(i % ELEMS));
            const double expected[] = {eps, x0, alpha * eps - sigma * x0};
            ck_assert_double_eq_tol(z[i], masked && l.mask[i] != 0 ? x0 : alpha * x0 + sigma * eps, 1e-6);
            ck_assert_double_eq_tol(target[i], expected[_i], 1e-6);
        }
        for (int b = 0; b < BATCH; b++) ck_assert(t[b] == times[b]);
        for (int i = 0; i < BATCH * COND; i++) ck_assert(cond[i] == (double)l.cond[i]);
        dmc__denoise_batch(l.n, NULL, NULL, NULL, NULL);
        close_lab(&l);
    }
}
END_TEST

/* ---- the loss and its gradient ------------------------------------------------------------------------------ */

static double entry_weight(const lab *l, int32_t masked, int i)
{
    return !masked ? 1 : l->mask[i] != 0 ? 0 : l->weight[i];
}

/* sum w (f - y)^2 / (number of w != 0) of sample b, in double, from what lies on the device. */
static double host_error(const lab *l, int32_t masked, int b)
{
    void *target_at;
    dmc__denoise_batch(l->n, NULL, NULL, NULL, &target_at);
    const double *f = dmc__chain_output(l->c), *y = target_at;
    double sum = 0, count = 0;
    for (int i = b * ELEMS; i < (b + 1) * ELEMS; i++) {
        const double w = entry_weight(l, masked, i);
        sum += w * (f[i] - y[i]) * (f[i] - y[i]);
        count += w != 0;
    }
    return sum / count;
}

typedef struct error_problem {
    lab *l;
    const float *derr;
    int32_t masked;
} error_problem;

static double weighted_error(void *self)
{
    const error_problem *p = self;
    float err[BATCH];
    double sum = 0;
    ok(dmc__denoise_error(p->l->n, err));
    for (int b = 0; b < BATCH; b++) {
        const double host = host_error(p->l, p->masked, b);
        ck_assert_double_eq_tol(err[b], host, 1e-6 * (1 + host));
        sum += (double)p->derr[b] * host;
    }
    return sum;
}

START_TEST(error_gradient_by_differences)
{
    static const float derr[BATCH] = {1, -.5f, .25f, 2};
    for (int32_t masked = 0; masked < 2; masked++) {
        lab l;
        open_lab(&l, _i, masked);
        error_problem p = {&l, derr, masked};
        make_noise(&l);
        weighted_error(&p);
        ok(dmc__denoise_backward(l.n, derr));
        double *numeric = differences(l.m.weights, l.m.n, weighted_error, &p);
        assert_gradients(l.grads, numeric, l.m.n);
        free(numeric);
        close_lab(&l);
    }
}
END_TEST

/* Where the target was pulled, the error follows. */
START_TEST(target_may_be_changed)
{
    float err[BATCH];
    void *target;
    lab l;
    open_lab(&l, DMC__PREDICT_EPSILON, 0);
    make_noise(&l);
    ok(dmc__denoise_error(l.n, err));
    dmc__denoise_batch(l.n, NULL, NULL, NULL, &target);
    memcpy(target, dmc__chain_output(l.c), TOTAL * sizeof(double));
    ok(dmc__denoise_error(l.n, err));
    for (int b = 0; b < BATCH; b++) ck_assert(err[b] == 0);
    close_lab(&l);
}
END_TEST

/* ---- evidence lower bound ------------------------------------------------------------------------------------ */

/* methods.md 1.6 as written there, in terms of the error of x0: one sample with noise eps(i, entry), counted entries only. */
static double host_elbo(lab *l, const dmc__process *p, int32_t masked, int b, uint64_t seed)
{
    double ell = 0, count = 0;
    for (int i = b * ELEMS; i < (b + 1) * ELEMS; i++) {
        if (entry_weight(l, masked, i) == 0) continue;
        const double last = p->abar[p->steps - 1], x0 = l->x0[i];
        ell -= .5 * (last * x0 * x0 - last - log(1 - last));
        count++;
    }
    for (int32_t t = 0; t < p->steps; t++) {
        double time[BATCH] = {t, t, t, t};
        const uint64_t sample[BATCH] = {0};
        const void *z_at;
        float err[BATCH];
        double P, Q;
        ok(dmc__denoise_noise(l->n, time, sample, seed, DMC_STREAM_BANK, (uint64_t)t));
        ok(dmc__denoise_error(l->n, err));
        dmc__denoise_batch(l->n, &z_at, NULL, NULL, NULL);
        vp_x0(p, t, &P, &Q);
        const double *z = z_at, *f = dmc__chain_output(l->c);
        for (int i = b * ELEMS; i < (b + 1) * ELEMS; i++) {
            const double d = l->x0[i] - (P * z[i] + Q * f[i]);
            if (entry_weight(l, masked, i) == 0) continue;
            ell -= t == 0 ? .5 * log(6.283185307179586 * p->beta[0]) + d * d / (2 * p->beta[0])
                          : .5 * (vp_snr(p, t - 1) - vp_snr(p, t)) * d * d;
        }
    }
    return ell / count;
}

START_TEST(elbo_is_the_sum_of_its_terms)
{
    for (int32_t masked = 0; masked < 2; masked++) {
        double ell[BATCH];
        lab l;
        open_lab(&l, _i, masked);
        ok(dmc__denoise_elbo(l.n, 3, ell));
        for (int b = 0; b < BATCH; b++) {
            const double host = host_elbo(&l, &l.m.process, masked, b, 3);
            ck_assert_double_eq_tol(ell[b], host, 1e-4 * fabs(host)); /* alpha and sigma pass through floats */
        }
        close_lab(&l);
    }
}
END_TEST

/* The identity of methods.md 1.6 between the weight of an x0 error and that of a noise error, which the sum above relies on. */
START_TEST(weights_identity)
{
    dmc__process p;
    ok(vp_process(&dmc__default_allocator, DMC__SCHEDULE_COSINE, DMC__PREDICT_EPSILON, 20, 0, &p));
    for (int32_t i = 1; i < 20; i++) {
        double P, Q;
        vp_x0(&p, i, &P, &Q);
        const double of_x0 = .5 * (vp_snr(&p, i - 1) - vp_snr(&p, i)) * Q * Q;
        const double beta = p.beta[i];
        const double of_eps = beta * beta / (2 * dmc__process_posterior_var(&p, i) * (1 - beta) * (1 - p.abar[i]));
        ck_assert_double_eq_tol(of_x0, of_eps, 1e-9 * of_eps);
    }
    dmc__process_free(&p);
}
END_TEST

static double correlation(const double *x, const double *y, int n)
{
    double mx = 0, my = 0, xx = 0, yy = 0, xy = 0;
    for (int i = 0; i < n; i++) {
        mx += x[i] / n;
        my += y[i] / n;
    }
    for (int i = 0; i < n; i++) {
        xx += (x[i] - mx) * (x[i] - mx);
        yy += (y[i] - my) * (y[i] - my);
        xy += (x[i] - mx) * (y[i] - my);
    }
    return xy / sqrt(xx * yy);
}

/* Gaussian data N(0, .5^2): the best eps^ is linear in z. */
static const double spread = .5;

static double gaussian_eps(const dmc__process *p, int32_t i, double z)
{
    const double alpha = p->alpha[i], sigma = p->sigma[i];
    return sigma / (alpha * alpha * spread * spread + sigma * sigma) * z;
}

/* Expected bound per dimension. With x0hat = G z, E|x0 - x0hat|^2 = (1 - G alpha)^2 x0^2 + G^2 sigma^2. */
static double expected_gaussian_elbo(const dmc__process *p, double x0)
{
    const double last = p->abar[p->steps - 1];
    double ell = -.5 * (last * x0 * x0 - last - log(1 - last)) - .5 * log(6.283185307179586 * p->beta[0]);
    for (int32_t i = 0; i < p->steps; i++) {
        const double alpha = p->alpha[i], sigma = p->sigma[i];
        const double G = alpha * spread * spread / (alpha * alpha * spread * spread + sigma * sigma);
        const double error = (1 - G * alpha) * (1 - G * alpha) * x0 * x0 + G * G * sigma * sigma;
        ell -= error * (i ? .5 * (vp_snr(p, i - 1) - vp_snr(p, i)) : .5 / p->beta[0]);
    }
    return ell;
}

static double gaussian_log_density(double x)
{
    return -x * x / (2 * spread * spread) - .5 * log(6.283185307179586 * spread * spread);
}

/* Bound of `batch` samples, all entries of sample b equal to x[b]: `rows` noises per step for each. */
static void repeated_elbo(lab *l, int32_t batch, int32_t rows, const double *x, uint64_t seed, double *ell)
{
    float *x0 = malloc((size_t)(batch * rows) * sizeof *x0);
    ck_assert_ptr_nonnull(x0);
    for (int32_t i = 0; i < batch * rows; i++) x0[i] = (float)x[i / rows];
    ok(dmc__denoise_set(l->n, x0, NULL, NULL, NULL, NULL));
    ok(dmc__denoise_elbo(l->n, seed, ell));
    free(x0);
}

/* Sum over steps (20) and stratified (100): the mean over 12288 noises (standard error about .02) is the closed form; it lies
 * below the log-density, by what the few first, coarse steps in log-SNR cost. */
START_TEST(elbo_of_a_gaussian)
{
    enum { ROWS = 512, SAMPLES = 5, SEEDS = 24 };
    static const double x[SAMPLES] = {0, .25, -.5, .75, 1};
    const int32_t steps = _i ? 100 : 20;
    const hinge_shape shape = {.rows = ROWS, .steps = steps, .knots = 1, .low = -10, .gap = 1, .f = gaussian_eps};
    double mean[SAMPLES] = {0}, ell[SAMPLES], truth[SAMPLES];
    lab l;
    hinge_net_open(&l.m, "cpu", &shape);
    bind_model(&l, SAMPLES);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        repeated_elbo(&l, SAMPLES, ROWS, x, seed, ell);
        for (int b = 0; b < SAMPLES; b++) mean[b] += ell[b] / SEEDS;
    }
    for (int b = 0; b < SAMPLES; b++) {
        const double expected = expected_gaussian_elbo(&l.m.process, x[b]);
        truth[b] = gaussian_log_density(x[b]);
        ck_assert_msg(fabs(mean[b] - expected) < .06, "T = %d, x = %g: %g, expected %g", steps, x[b], mean[b], expected);
        ck_assert_double_lt(mean[b], truth[b]);
    }
    ck_assert_double_gt(correlation(mean, truth, SAMPLES), .99);
    close_model(&l);
}
END_TEST

static double two_modes_eps(const dmc__process *p, int32_t i, double z)
{
    return (z - p->alpha[i] * two_modes_x0(z, p->alpha[i], p->sigma[i])) / p->sigma[i];
}

/* methods.md 1.6 measured a correlation of .990 between bound and log-density at T = 20. */
START_TEST(elbo_ranks_like_the_density)
{
    enum { ROWS = 256, SAMPLES = 40 };
    const hinge_shape shape = {.rows = ROWS, .steps = 20, .knots = 90, .low = -4.5, .gap = .1, .f = two_modes_eps};
    double x[SAMPLES], truth[SAMPLES], ell[SAMPLES];
    lab l;
    for (int b = 0; b < SAMPLES; b++) {
        const int mode = b % 10 < 3 ? 0 : 1;
        x[b] = two_modes_mean[mode] + two_modes_std * normal(DMC_STREAM_BANK, 1, 0, 0, (size_t)b);
        truth[b] = two_modes_log_density(x[b]);
    }
    hinge_net_open(&l.m, "cpu", &shape);
    bind_model(&l, SAMPLES);
    repeated_elbo(&l, SAMPLES, ROWS, x, 1, ell);
    ck_assert_double_gt(correlation(ell, truth, SAMPLES), .98);
    close_model(&l);
}
END_TEST

/* ---- memory and refusals --------------------------------------------------------------------------------------- */

START_TEST(create_survives_lack_of_memory)
{
    lab l;
    open_lab(&l, DMC__PREDICT_EPSILON, 0);
    dmc_status status = DMC_ENOMEM;
    for (int64_t n = 1; status == DMC_ENOMEM; n++) {
        failing_alloc f = {0};
        const dmc__allocator a = failing_allocator(&f);
        dmc__device *d;
        dmc__denoise *made = NULL;
        ok(dmc__device_open(&a, "cpu", NULL, &d));
        const int64_t before = f.live;
        f.fail_at = f.calls + n;
        status = dmc__denoise_create(l.c, l.m.net, d, &l.m.process, BATCH, &made);
        ck_assert((status == DMC_OK) == (made != NULL));
        dmc__denoise_destroy(made);
        ck_assert_int_eq(f.live, before);
        dmc__device_close(d);
    }
    ck_assert_int_eq(status, DMC_OK);
    close_lab(&l);
}
END_TEST

START_TEST(refusals)
{
    double time[BATCH] = {0, STEPS, 0, 0};
    dmc__denoise *none;
    lab l;
    open_lab(&l, DMC__PREDICT_EPSILON, 0);
    ck_assert_int_eq(dmc__denoise_create(l.c, l.m.net, l.m.device, &l.m.process, 0, &none), DMC_ERANGE);
    ck_assert_ptr_null(none);
    ck_assert_int_eq(dmc__denoise_noise(l.n, time, samples, 0, DMC_STREAM_NOISE, 0), DMC_ERANGE);
    time[1] = -1;
    ck_assert_int_eq(dmc__denoise_noise(l.n, time, samples, 0, DMC_STREAM_NOISE, 0), DMC_ERANGE);
    ck_assert_int_eq(dmc__denoise_set(l.n, NULL, l.cond, l.extra, NULL, NULL), DMC_EINVAL);
    ck_assert_int_eq(dmc__denoise_set(l.n, l.x0, NULL, l.extra, NULL, NULL), DMC_EINVAL);
    ck_assert_int_eq(dmc__denoise_set(l.n, l.x0, l.cond, NULL, NULL, NULL), DMC_EINVAL);
    dmc__denoise_destroy(NULL);
    close_lab(&l);
}
END_TEST

Suite *dmc_suite_denoise(void);
Suite *dmc_suite_denoise(void)
{
    Suite *const s = suite_create("denoise");
    TCase *const t = tcase_create("denoise");
    tcase_add_loop_test(t, noised_batch, DMC__PREDICT_EPSILON, DMC__PREDICT_V + 1);
    tcase_add_loop_test(t, error_gradient_by_differences, DMC__PREDICT_EPSILON, DMC__PREDICT_V + 1);
    tcase_add_test(t, target_may_be_changed);
    tcase_add_loop_test(t, elbo_is_the_sum_of_its_terms, DMC__PREDICT_EPSILON, DMC__PREDICT_V + 1);
    tcase_add_test(t, weights_identity);
    tcase_add_loop_test(t, elbo_of_a_gaussian, 0, 2);
    tcase_add_test(t, elbo_ranks_like_the_density);
    tcase_add_test(t, create_survives_lack_of_memory);
    tcase_add_test(t, refusals);
    suite_add_tcase(s, t);
    return s;
}
