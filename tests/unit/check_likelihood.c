#include "../../lib/diffusion/likelihood_parts.h"
#include "exact_net.h"
#include "failing_alloc.h"
#include "two_modes.h"

#include <string.h>

enum { BATCH = 4, STEPS = 8, HORIZON = 3, COLS = 2, COND = 2, EXTRA = 1, ELEMS = HORIZON * COLS, TOTAL = BATCH * ELEMS };

typedef struct lab {
    small_model m;
    dmc__likelihood *l;
    dmc__chain *c;              /* the tests' own, for errors by hand */
    dmc__denoise *n;
    float *x0, *cond, *extra, *weight, mask[TOTAL];
    dmc__likelihood_batch batch;
} lab;

static void bind_model(lab *l, int32_t batch, const dmc__likelihood_config *c)
{
    ok(dmc__likelihood_create(l->m.net, l->m.device, &l->m.process, batch, c, &l->l));
    dmc__likelihood_bind(l->l, l->m.weights);
}

/* Known: the first entry of every sample. Weights: 0 for the last row of sample 1, else 1, 2, 3 in turn. */
static void open_lab(lab *l, int32_t predict, int32_t masked, const dmc__likelihood_config *c)
{
    /* VP: its last step keeps .6 % of the sample, so that terms in abar_T show. */
    const small_model_config s = {.device = "ref64", .schedule = DMC__SCHEDULE_VP, .predict = predict, .steps = STEPS,
                                  .horizon = HORIZON, .cols = COLS, .cond = COND, .extra = EXTRA};
    small_model_open(&l->m, &s);
    bind_model(l, BATCH, c);
    ok(dmc__chain_create(l->m.net, l->m.device, BATCH, 0, NULL, &l->c));
    dmc__chain_bind(l->c, l->m.weights, NULL);
    ok(dmc__denoise_create(l->c, l->m.net, l->m.device, &l->m.process, BATCH, &l->n));
    l->x0 = some_floats(TOTAL, 1, .5);
    l->cond = some_floats(BATCH * COND, 2, 1);
    l->extra = some_floats(BATCH * HORIZON * EXTRA, 3, 1);
    l->weight = some_floats(TOTAL, 4, 1);
    for (int i = 0; i < TOTAL; i++) {
        l->mask[i] = i % ELEMS == 0;
        l->weight[i] = i >= 2 * ELEMS - COLS && i < 2 * ELEMS ? 0 : 1 + i % 3;
    }
    l->batch = (dmc__likelihood_batch){.x0 = l->x0, .cond = l->cond, .extra = l->extra, .mask = masked ? l->mask : NULL,
                                       .weight = masked ? l->weight : NULL};
    ok(dmc__denoise_set(l->n, l->x0, l->cond, l->extra, l->batch.mask, l->batch.weight));
}

static void close_model(lab *l)
{
    dmc__likelihood_destroy(l->l);
    small_model_close(&l->m);
}

static void close_lab(lab *l)
{
    dmc__denoise_destroy(l->n);
    dmc__chain_destroy(l->c);
    close_model(l);
    free(l->x0);
    free(l->cond);
    free(l->extra);
    free(l->weight);
}

static const dmc__likelihood_config bound = {.method = DMC__LIKELIHOOD_BOUND, .seed = 3};

static double normal(uint32_t purpose, uint64_t seed, uint64_t step, uint64_t sample, size_t n)
{
    const dmc__stream s = {.seed = seed, .purpose = purpose, .step = step, .sample = sample};
    return dmc__rng_normal(&s, (uint32_t)n);
}

static double entry_weight(const lab *l, int32_t masked, int i)
{
    return !masked ? 1 : l->mask[i] != 0 ? 0 : l->weight[i];
}

/* ---- the bound on discrete clocks -------------------------------------------------------------------------------- */

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
    for (int32_t kind = 0; kind < 3; kind++) { /* nothing known; known and clean; known and noised like the rest */
        const int32_t masked = kind > 0;
        dmc__likelihood_config c = bound;
        double ell[BATCH];
        lab l;
        c.noised_known = kind == 2;
        open_lab(&l, _i, masked, &c);
        dmc__denoise_noise_known(l.n, c.noised_known);
        ok(dmc__likelihood_run(l.l, &l.batch, ell));
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

/* Of `batch` samples, all entries of sample b equal to x[b]: `rows` noises per level for each. */
static void run_repeated(lab *l, int32_t batch, int32_t rows, const double *x, const dmc__likelihood_config *c, double *out)
{
    float *x0 = malloc((size_t)(batch * rows) * sizeof *x0);
    ck_assert_ptr_nonnull(x0);
    for (int32_t i = 0; i < batch * rows; i++) x0[i] = (float)x[i / rows];
    bind_model(l, batch, c);
    ok(dmc__likelihood_run(l->l, &(dmc__likelihood_batch){.x0 = x0}, out));
    dmc__likelihood_destroy(l->l);
    l->l = NULL;
    free(x0);
}

static void repeated_elbo(lab *l, int32_t batch, int32_t rows, const double *x, uint64_t seed, double *ell)
{
    const dmc__likelihood_config c = {.method = DMC__LIKELIHOOD_BOUND, .seed = seed};
    run_repeated(l, batch, rows, x, &c, ell);
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
    lab l = {0};
    hinge_net_open(&l.m, "cpu", &shape);
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

/* Samples of the two modes and their log-density. */
static void draw_modes(int n, double *x, double *truth)
{
    for (int b = 0; b < n; b++) {
        const int mode = b % 10 < 3 ? 0 : 1;
        x[b] = two_modes_mean[mode] + two_modes_std * normal(DMC_STREAM_BANK, 1, 0, 0, (size_t)b);
        truth[b] = two_modes_log_density(x[b]);
    }
}

/* methods.md 1.6 measured a correlation of .990 between bound and log-density at T = 20. */
START_TEST(elbo_ranks_like_the_density)
{
    enum { ROWS = 256, SAMPLES = 40 };
    const hinge_shape shape = {.rows = ROWS, .steps = 20, .knots = 90, .low = -4.5, .gap = .1, .f = two_modes_eps};
    double x[SAMPLES], truth[SAMPLES], ell[SAMPLES];
    lab l = {0};
    draw_modes(SAMPLES, x, truth);
    hinge_net_open(&l.m, "cpu", &shape);
    repeated_elbo(&l, SAMPLES, ROWS, x, 1, ell);
    ck_assert_double_gt(correlation(ell, truth, SAMPLES), .98);
    close_model(&l);
}
END_TEST


/* ---- every process, with its exact denoiser ------------------------------------------------------------------------ */

static const two_gaussians bell = {.mean = {0, 0}, .weight = {.5, .5}, .std = .5};
static const two_gaussians modes = {.mean = {-.5, .5}, .weight = {.3, .7}, .std = .1};

static dmc__process make_process(int32_t kind, int32_t predict, int32_t steps)
{
    dmc__process_config c = dmc__process_defaults();
    dmc__process p;
    c.kind = kind;
    c.predict = predict;
    c.steps = steps;
    ok(dmc__process_create(&dmc__default_allocator, &c, &p));
    return p;
}

static int32_t add_time(double *time, int32_t n, double t)
{
    for (int32_t i = 0; i < n; i++)
        if (time[i] == t) return n;
    time[n] = t;
    return n + 1;
}

/* At which times a method asks the network, each once. */
static int32_t method_times(const dmc__process *p, const dmc__likelihood_config *c, double *time)
{
    lab l = {0};
    int32_t n = 0;
    exact_net_open(&l.m, "ref", p, &bell, 1, &p->t_max, 1);
    bind_model(&l, 1, c);
    for (int32_t i = 0; i < l.l->terms; i++) n = add_time(time, n, l.l->term[i].time);
    for (int32_t i = 1; i < l.l->flow.nodes; i++) n = add_time(time, n, l.l->flow.node[i].time);
    l.m.process = (dmc__process){0};
    close_model(&l);
    return n;
}

/* A model of this process, which it takes, exact at the method's times. */
static void open_process(lab *l, const dmc__process *p, const two_gaussians *g, int32_t rows, const dmc__likelihood_config *c)
{
    double time[1024];
    const int32_t n = method_times(p, c, time);
    *l = (lab){0};
    exact_net_open(&l->m, "cpu", p, g, rows, time, n);
}

static void open_exact(lab *l, int32_t kind, int32_t predict, int32_t steps, const two_gaussians *g, int32_t rows,
                       const dmc__likelihood_config *c)
{
    const dmc__process p = make_process(kind, predict, steps);
    open_process(l, &p, g, rows, c);
}

/* Predictions a process knows. */
static int32_t knows(int32_t kind, int32_t predict)
{
    return kind != DMC__PROCESS_FLOW || predict != DMC__PREDICT_EPSILON;
}

static int32_t native(int32_t kind)
{
    return kind == DMC__PROCESS_EDM ? DMC__PREDICT_EDM : kind == DMC__PROCESS_FLOW ? DMC__PREDICT_VELOCITY : DMC__PREDICT_EPSILON;
}

/* Everything below says a level by s = sigma/alpha alone: y = x0 + s eps, x0^ = E[x0|y]. */
static double bell_error(double s, double x, double eps)
{
    const double v = bell.std * bell.std, d = x - v / (v + s * s) * (x + s * eps);
    return d * d;
}

static double bell_mean_error(double s, double x)
{
    const double v = bell.std * bell.std, share = s * s / (v + s * s);
    return share * share * x * x + (1 - share) * (1 - share) * s * s;
}

static double noise_ratio(const dmc__process *p, double time)
{
    const dmc__level l = dmc__process_level(p, time);
    return l.sigma / l.alpha;
}

/* Levels of a bound, by s. */
static void bound_ratios(const dmc__process *p, int32_t n, double *s)
{
    const int32_t flow = p->config.kind == DMC__PROCESS_FLOW, shares = flow ? n - 2 : n - 1;
    const double from = log(flow ? .01 / .99 : noise_ratio(p, p->t_min)), to = log(flow ? 99 : noise_ratio(p, p->t_max));
    for (int32_t j = 0; j < n; j++)
        s[j] = p->discrete ? noise_ratio(p, j) : exp(from + (to - from) * j / shares);
    if (flow) s[n - 1] = INFINITY;
}

/* KL(q(z|x0) || N(0,I)) at the noisiest level: z is y, scaled as the process has it. */
static double prior_term(const dmc__process *p, double s, double x)
{
    const double d = p->config.sigma_data;
    const double al2 = isinf(s) ? 0 : 1 / (s * s + (p->config.kind == DMC__PROCESS_EDM ? d * d : 1));
    const double si2 = isinf(s) ? 1 : al2 * s * s;
    return .5 * (al2 * x * x + si2 - 1 - log(si2));
}

/* The bound of one entry: noise number `entry`, or (entry < 0) its mean over noises. */
static double bell_bound(const dmc__process *p, int32_t n, double x, uint64_t seed, int entry)
{
    double s[256];
    bound_ratios(p, n, s);
    const double variance = p->discrete ? p->beta[0] : s[0] * s[0];
    double ell = -prior_term(p, s[n - 1], x) - .5 * log(6.283185307179586 * variance);
    for (int32_t j = 0; j < n; j++) {
        const double eps = entry < 0 ? 0 : normal(DMC_STREAM_BANK, seed, (uint64_t)j, 0, (size_t)entry);
        /* at s = inf all is noise, and the mean of the data all that can be said */
        const double error = isinf(s[j]) ? x * x : entry < 0 ? bell_mean_error(s[j], x) : bell_error(s[j], x, eps);
        ell -= error * (j ? .5 * (1 / (s[j - 1] * s[j - 1]) - 1 / (s[j] * s[j])) : .5 / variance);
    }
    return ell;
}

static const double some_x[BATCH] = {0, .3, -.6, 1};

/* Bound of every process and prediction, noise by noise. */
START_TEST(bound_of_every_process)
{
    enum { ROWS = 5, N = 12 };
    const dmc__likelihood_config c = {.method = DMC__LIKELIHOOD_BOUND, .steps = N, .seed = 9};
    for (int32_t predict = 0; predict < DMC__PREDICTIONS; predict++) {
        double out[BATCH];
        lab l;
        if (!knows(_i, predict)) continue;
        dmc__process p = make_process(_i, predict, N);
        if (_i == DMC__PROCESS_EDM) p.t_max = p.config.sigma_max = 2; /* some of the sample is left there */
        open_process(&l, &p, &bell, ROWS, &c);
        run_repeated(&l, BATCH, ROWS, some_x, &c, out);
        for (int b = 0; b < BATCH; b++) {
            double expected = 0;
            for (int i = 0; i < ROWS; i++) expected += bell_bound(&l.m.process, N, some_x[b], 9, i) / ROWS;
            ck_assert_msg(fabs(out[b] - expected) < 2e-4 * (1 + fabs(expected)), "predict %d, x = %g: %.9g, expected %.9g", predict,
                          some_x[b], out[b], expected);
        }
        close_model(&l);
    }
}
END_TEST

/* From the clock's end to its start, or as near as there is noise. */
START_TEST(bound_reaches_both_ends)
{
    const dmc__likelihood_config c = {.method = DMC__LIKELIHOOD_BOUND, .steps = 9};
    lab l;
    open_exact(&l, _i, native(_i), 9, &bell, 1, &c);
    bind_model(&l, 1, &c);
    ck_assert_int_eq(l.l->terms, 9);
    ck_assert_double_eq_tol(l.l->term[0].time, _i == DMC__PROCESS_FLOW ? .01 : l.m.process.t_min, 1e-12);
    ck_assert_double_eq(l.l->term[8].time, l.m.process.t_max);
    for (int k = 1; k < 9; k++) ck_assert_double_gt(l.l->term[k].time, l.l->term[k - 1].time);
    close_model(&l);
}
END_TEST

/* Its mean over noises is the closed form, below the log-density, and on continuous clocks the nearer the more levels there are.
 * VP_GRID's first levels are far apart: 15 nats at T = 64. */
START_TEST(bound_lies_below_the_density)
{
    enum { ROWS = 256, SEEDS = 16 };
    double gap[2][BATCH];
    for (int fine = 0; fine < 2; fine++) {
        const int32_t n = fine ? 64 : 16;
        double mean[BATCH] = {0}, out[BATCH];
        dmc__likelihood_config c = {.method = DMC__LIKELIHOOD_BOUND, .steps = n};
        lab l;
        open_exact(&l, _i, native(_i), n, &bell, ROWS, &c);
        for (c.seed = 0; c.seed < SEEDS; c.seed++) {
            run_repeated(&l, BATCH, ROWS, some_x, &c, out);
            for (int b = 0; b < BATCH; b++) mean[b] += out[b] / SEEDS;
        }
        for (int b = 0; b < BATCH; b++) {
            const double expected = bell_bound(&l.m.process, n, some_x[b], 0, -1);
            gap[fine][b] = two_gaussians_log_density(&bell, some_x[b]) - expected; /* which is what varies with the noise */
            ck_assert_msg(fabs(mean[b] - expected) < .08 + .08 * gap[fine][b], "x = %g: %g, expected %g", some_x[b], mean[b],
                          expected);
        }
        close_model(&l);
    }
    for (int b = 0; b < BATCH; b++) {
        ck_assert_double_gt(gap[1][b], 0);
        if (_i >= DMC__PROCESS_VP_SDE) ck_assert_double_gt(gap[0][b], 4 * gap[1][b]);
        if (_i != DMC__PROCESS_VP_GRID) ck_assert_double_lt(gap[1][b], 1.3);
    }
}
END_TEST

/* Two modes: the bound on continuous clocks ranks as well as that on discrete ones (methods.md 1.6: .990 at T = 20). */
START_TEST(bound_ranks_on_continuous_clocks)
{
    enum { ROWS = 64, SAMPLES = 40 };
    const dmc__likelihood_config c = {.method = DMC__LIKELIHOOD_BOUND, .seed = 1};
    double x[SAMPLES], truth[SAMPLES], out[SAMPLES];
    lab l;
    draw_modes(SAMPLES, x, truth);
    open_exact(&l, _i, native(_i), 20, &modes, ROWS, &c);
    run_repeated(&l, SAMPLES, ROWS, x, &c, out);
    ck_assert_double_gt(correlation(out, truth, SAMPLES), .98);
    close_model(&l);
}
END_TEST

/* ---- the bank ------------------------------------------------------------------------------------------------------ */

/* -sum |eps - eps^|^2, eps^ = eps - (x0 - x0^)(-1/s) by hand: |eps - eps^| = |x0 - x0^|/s. */
START_TEST(bank_of_every_process)
{
    enum { ROWS = 5, N = 13, T = 10 };
    const dmc__likelihood_config c = {.method = DMC__LIKELIHOOD_BANK, .steps = N, .seed = 4};
    for (int32_t predict = 0; predict < DMC__PREDICTIONS; predict++) {
        double out[BATCH];
        lab l;
        if (!knows(_i, predict)) continue;
        open_exact(&l, _i, predict, T, &bell, ROWS, &c);
        run_repeated(&l, BATCH, ROWS, some_x, &c, out);
        for (int b = 0; b < BATCH; b++) {
            double expected = 0;
            for (int k = 0; k < N; k++) {
                const double middle = (k + .5) / N;
                const double s = l.m.process.discrete ? noise_ratio(&l.m.process, floor(middle * T)) : middle / (1 - middle);
                for (int i = 0; i < ROWS; i++)
                    expected -= bell_error(s, some_x[b], normal(DMC_STREAM_BANK, 4, (uint64_t)k, 0, (size_t)i)) / (s * s) / ROWS;
            }
            ck_assert_msg(fabs(out[b] - expected) < 2e-4 * (1 + fabs(expected)), "predict %d, x = %g: %.9g, expected %.9g", predict,
                          some_x[b], out[b], expected);
        }
        close_model(&l);
    }
}
END_TEST

/* Two modes, the mean over eight banks of the correlation with the log-density: methods.md 1.6 has .61/.87/.96 for 4, 16 and 64
 * draws of a mixture and a stratification it does not name. */
START_TEST(bank_ranks_the_better_the_larger)
{
    enum { SAMPLES = 200, SEEDS = 8 };
    double x[SAMPLES], truth[SAMPLES], out[SAMPLES], mean[3] = {0};
    draw_modes(SAMPLES, x, truth);
    for (int k = 0; k < 3; k++) {
        dmc__likelihood_config c = {.method = DMC__LIKELIHOOD_BANK, .steps = 4 << 2 * k};
        lab l;
        open_exact(&l, _i, native(_i), 20, &modes, 1, &c);
        for (c.seed = 0; c.seed < SEEDS; c.seed++) {
            run_repeated(&l, SAMPLES, 1, x, &c, out);
            mean[k] += correlation(out, truth, SAMPLES) / SEEDS;
        }
        close_model(&l);
    }
    ck_assert_double_gt(mean[0], .5);
    ck_assert_double_gt(mean[1], .7);
    ck_assert_double_gt(mean[2], .8);
    ck_assert_double_gt(mean[2], mean[0] + .05);
}
END_TEST

/* ---- the flow ------------------------------------------------------------------------------------------------------- */

static void measure_flow(int32_t kind, int32_t predict, int32_t steps, int32_t intervals, double *error, double *corr)
{
    enum { SAMPLES = 200 };
    const dmc__likelihood_config c = {.method = DMC__LIKELIHOOD_EXACT, .steps = intervals};
    double x[SAMPLES], truth[SAMPLES], out[SAMPLES];
    lab l;
    draw_modes(SAMPLES, x, truth);
    open_exact(&l, kind, predict, steps, &modes, 1, &c);
    run_repeated(&l, SAMPLES, 1, x, &c, out);
    *error = 0;
    for (int b = 0; b < SAMPLES; b++) *error += fabs(out[b] - truth[b]) / SAMPLES;
    *corr = correlation(out, truth, SAMPLES);
    close_model(&l);
}

/* Two modes: methods.md 1.6 has mean errors .12/.031/.004 and correlations .979/.997/1.000 for 10, 20, 50 intervals of a mixture
 * it does not name; this one gives .146/.038/.0045 whatever the process, as one coordinate serves all. */
START_TEST(flow_errors_are_those_of_the_design)
{
    static const struct { int32_t n; double error, corr; } goal[] = {{10, .146, .98}, {20, .038, .998}, {50, .0045, .9999}};
    for (size_t k = 0; k < sizeof goal / sizeof *goal; k++) {
        double error, corr;
        measure_flow(_i, native(_i), 1000, goal[k].n, &error, &corr);
        ck_assert_msg(fabs(error - goal[k].error) < .05 * goal[k].error, "%d intervals: error %g", goal[k].n, error);
        ck_assert_double_gt(corr, goal[k].corr);
    }
}
END_TEST

/* Every prediction gives the same density. */
START_TEST(flow_of_every_prediction)
{
    double error, corr;
    for (int32_t predict = 0; predict < DMC__PREDICTIONS; predict++) {
        if (!knows(_i, predict)) continue;
        measure_flow(_i, predict, 100, 50, &error, &corr);
        ck_assert_msg(error < .006, "predict %d: error %g", predict, error);
    }
}
END_TEST

/* A few levels are too few for modes a tenth wide, but they still rank. */
START_TEST(flow_on_twenty_levels)
{
    double error, corr;
    measure_flow(_i, DMC__PREDICT_EPSILON, 20, 20, &error, &corr);
    ck_assert_msg(error < .11, "error %g", error);
    ck_assert_double_gt(corr, .995);
}
END_TEST

/* Whatever the network says, its flow's density integrates to 1. */
START_TEST(densities_integrate_to_one)
{
    enum { N = 2000 };
    const double step = 20. / N;
    const dmc__likelihood_config c = {.method = DMC__LIKELIHOOD_EXACT, .steps = 100};
    /* An untrained network's epsilon or x0 would be divided by the little there is of them at one end. */
    const int32_t predict = _i == DMC__PROCESS_EDM ? DMC__PREDICT_EDM : DMC__PREDICT_VELOCITY;
    const small_model_config s = {.device = "ref64", .predict = predict, .steps = 400, .horizon = 1, .cols = 1, .cond = 2};
    static float x0[N], cond[2 * N];
    static double out[N];
    double mass = 0, mean = 0;
    lab l = {0};
    small_model_open(&l.m, &s);
    dmc__process_free(&l.m.process);
    l.m.process = make_process(_i, predict, 400);
    bind_model(&l, N, &c);
    for (int i = 0; i < N; i++) {
        x0[i] = (float)(-10 + (i + .5) * step);
        cond[2 * i] = .7f, cond[2 * i + 1] = -1;
    }
    ok(dmc__likelihood_run(l.l, &(dmc__likelihood_batch){.x0 = x0, .cond = cond}, out));
    for (int i = 0; i < N; i++) {
        mass += exp(out[i]) * step;
        mean += exp(out[i]) * step * x0[i];
    }
    ck_assert_msg(fabs(mass - 1) < 2e-3, "mass %g", mass);
    ck_assert_double_gt(fabs(mean), 1e-3); /* the network has its say */
    close_model(&l);
}
END_TEST

/* ---- its divergence -------------------------------------------------------------------------------------------------- */

static const dmc__likelihood_config exact = {.method = DMC__LIKELIHOOD_EXACT, .steps = 4, .seed = 3};

/* One evaluation of the lab's network at the likelihood's batch. */
static void evaluate_once(lab *l, const float *z, double *f_out)
{
    float f[TOTAL];
    ok(dmc__denoise_evaluate(l->l->noise, z, 3, f));
    for (int i = 0; f_out && i < TOTAL; i++) f_out[i] = ((const double *)dmc__chain_output(l->l->chain))[i];
}

/* Steps of 2^-9 of floats are exact. */
static void trace_by_differences(lab *l, int32_t masked, double *trace)
{
    const float h = 1.f / 512;
    double up[TOTAL], down[TOTAL];
    float z[TOTAL];
    for (int b = 0; b < BATCH; b++) trace[b] = 0;
    for (int j = 0; j < ELEMS; j++) {
        memcpy(z, l->x0, sizeof z);
        for (int b = 0; b < BATCH; b++) z[b * ELEMS + j] = l->x0[b * ELEMS + j] + h;
        evaluate_once(l, z, up);
        for (int b = 0; b < BATCH; b++) z[b * ELEMS + j] = l->x0[b * ELEMS + j] - h;
        evaluate_once(l, z, down);
        for (int b = 0; b < BATCH; b++) {
            const int i = b * ELEMS + j;
            if (!masked || l->mask[i] == 0) trace[b] += (up[i] - down[i]) / (2 * h);
        }
    }
}

static void open_traced(lab *l, int32_t masked)
{
    open_lab(l, DMC__PREDICT_EPSILON, masked, &exact);
    for (int i = 0; i < TOTAL; i++) l->x0[i] = (float)(rint(l->x0[i] * 1024) / 1024);
    l->batch.weight = NULL;
    ok(dmc__denoise_set(l->l->noise, l->x0, l->cond, l->extra, l->batch.mask, NULL));
    l->l->flow.mask = l->batch.mask;
}

START_TEST(exact_divergence_by_differences)
{
    double trace[BATCH], expected[BATCH], largest = 0;
    lab l;
    open_traced(&l, _i);
    trace_by_differences(&l, _i, expected);
    evaluate_once(&l, l.x0, NULL);
    ok(dmc__likelihood_exact_trace(l.l, trace));
    for (int b = 0; b < BATCH; b++) {
        ck_assert_msg(fabs(trace[b] - expected[b]) < 1e-5, "sample %d: %g, differences give %g", b, trace[b], expected[b]);
        largest = fmax(largest, fabs(trace[b]));
    }
    ck_assert_double_gt(largest, .01);
    close_lab(&l);
}
END_TEST

/* The mean over all patterns of signs is the trace. */
START_TEST(all_signs_together_are_exact)
{
    double trace[BATCH], one[BATCH], mean[BATCH] = {0}, spread_of = 0;
    lab l;
    open_traced(&l, _i);
    evaluate_once(&l, l.x0, NULL);
    ok(dmc__likelihood_exact_trace(l.l, trace));
    for (int pattern = 0; pattern < 1 << ELEMS; pattern++) {
        for (int i = 0; i < TOTAL; i++)
            l.l->flow.probe[i] = _i && l.mask[i] != 0 ? 0 : pattern >> i % ELEMS & 1 ? 1 : -1;
        ok(dmc__likelihood_probe_trace(l.l, one));
        for (int b = 0; b < BATCH; b++) mean[b] += one[b] / (1 << ELEMS);
        spread_of = fmax(spread_of, fabs(one[0] - trace[0]));
    }
    for (int b = 0; b < BATCH; b++) ck_assert_double_eq_tol(mean[b], trace[b], 1e-6);
    ck_assert_double_gt(spread_of, .01); /* one pattern alone is not */
    close_lab(&l);
}
END_TEST

/* Mean over many vectors near the exact density; not equal for one. */
START_TEST(hutchinson_means_the_exact_density)
{
    double value[BATCH], many[BATCH], one[BATCH], off_many = 0, off_one = 0;
    const dmc__likelihood_config c = {.method = DMC__LIKELIHOOD_HUTCHINSON, .steps = 4, .probes = 256, .seed = 5};
    dmc__likelihood_config single = c;
    lab l;
    single.probes = 1;
    open_lab(&l, DMC__PREDICT_EPSILON, 0, &exact);
    ok(dmc__likelihood_run(l.l, &l.batch, value));
    dmc__likelihood_destroy(l.l);
    bind_model(&l, BATCH, &c);
    ok(dmc__likelihood_run(l.l, &l.batch, many));
    dmc__likelihood_destroy(l.l);
    bind_model(&l, BATCH, &single);
    ok(dmc__likelihood_run(l.l, &l.batch, one));
    for (int b = 0; b < BATCH; b++) {
        off_many = fmax(off_many, fabs(many[b] - value[b]));
        off_one = fmax(off_one, fabs(one[b] - value[b]));
    }
    ck_assert_double_gt(off_one, 1e-4);
    ck_assert_double_lt(off_many, .5 * off_one);
    close_lab(&l);
}
END_TEST

/* ---- batches and masks ------------------------------------------------------------------------------------------------- */

/* Sample b alone, as number b, is sample b of the batch, to the bit. */
START_TEST(samples_do_not_depend_on_the_batch)
{
    const dmc__likelihood_config c = {.method = _i, .steps = 4, .probes = 2, .seed = 8};
    double all[BATCH], alone;
    lab l;
    open_lab(&l, DMC__PREDICT_EPSILON, 0, &c);
    ok(dmc__likelihood_run(l.l, &l.batch, all));
    dmc__likelihood_destroy(l.l);
    bind_model(&l, 1, &c);
    for (int b = 0; b < BATCH; b++) {
        const dmc__likelihood_batch x = {.x0 = l.x0 + b * ELEMS, .cond = l.cond + b * COND,
                                         .extra = l.extra + b * HORIZON * EXTRA, .first = (uint64_t)b};
        ok(dmc__likelihood_run(l.l, &x, &alone));
        ck_assert_double_eq(alone, all[b]);
    }
    close_lab(&l);
}
END_TEST

/* Entries that know nothing of each other: what is known changes neither the result nor the count it is divided by. */
START_TEST(known_entries_do_not_count)
{
    enum { ROWS = 3 };
    static const float mask[2 * ROWS] = {1, 0, 0, 1, 0, 0}, x[2 * ROWS] = {.1f, .4f, -.2f, -.9f, .4f, -.2f};
    const float rest[2] = {.4f, -.2f};
    const dmc__likelihood_config c = {.method = _i % 4, .steps = 10, .probes = 1, .seed = 8};
    const int32_t kind = _i / 4;
    double out[2], pair[2];
    lab l;
    open_exact(&l, kind, native(kind), 10, &bell, ROWS, &c);
    bind_model(&l, 2, &c);
    ok(dmc__likelihood_run(l.l, &(dmc__likelihood_batch){.x0 = x, .mask = mask}, out));
    ck_assert_double_eq(out[0], out[1]);
    close_model(&l);
    if (c.method >= DMC__LIKELIHOOD_HUTCHINSON) { /* without noise: the same as without the known entry */
        open_exact(&l, kind, native(kind), 10, &bell, 2, &c);
        bind_model(&l, 1, &c);
        ok(dmc__likelihood_run(l.l, &(dmc__likelihood_batch){.x0 = rest}, pair));
        ck_assert_double_eq_tol(pair[0], out[0], 1e-5);
        close_model(&l);
    }
}
END_TEST

/* A network whose entries see each other: a known one is a condition. Its place in the bound's and the ODE's sums is empty. */
START_TEST(known_entries_are_conditions)
{
    const dmc__likelihood_config c = {.method = _i, .steps = 4, .probes = 1, .seed = 8};
    double before[BATCH], after[BATCH];
    lab l;
    open_lab(&l, DMC__PREDICT_EPSILON, 1, &c);
    l.batch.weight = NULL;
    ok(dmc__likelihood_run(l.l, &l.batch, before));
    l.x0[0] += 5; /* known */
    ok(dmc__likelihood_run(l.l, &l.batch, after));
    for (int b = 0; b < BATCH && _i >= DMC__LIKELIHOOD_HUTCHINSON; b++)
        ck_assert(l.l->flow.z[b * ELEMS] == l.x0[b * ELEMS]); /* clean, and where it was */
    ck_assert_double_gt(fabs(after[0] - before[0]), 1e-6);
    ck_assert_double_lt(fabs(after[0] - before[0]), 2); /* were it counted: some 25/2/5 */
    for (int b = 1; b < BATCH; b++) ck_assert_double_eq(after[b], before[b]);
    close_lab(&l);
}
END_TEST

/* ---- memory and refusals ------------------------------------------------------------------------------------------------- */

START_TEST(create_survives_lack_of_memory)
{
    const dmc__likelihood_config c = {.method = _i, .probes = 1};
    dmc_status status = DMC_ENOMEM;
    lab l;
    open_lab(&l, DMC__PREDICT_EPSILON, 0, &c);
    for (int64_t n = 1; status == DMC_ENOMEM; n++) {
        failing_alloc f = {0};
        const dmc__allocator a = failing_allocator(&f);
        dmc__device *d;
        dmc__likelihood *made = NULL;
        ok(dmc__device_open(&a, "cpu", NULL, &d));
        const int64_t before = f.live;
        f.fail_at = f.calls + n;
        status = dmc__likelihood_create(l.m.net, d, &l.m.process, BATCH, &c, &made);
        ck_assert((status == DMC_OK) == (made != NULL));
        dmc__likelihood_destroy(made);
        ck_assert_int_eq(f.live, before);
        dmc__device_close(d);
    }
    ck_assert_int_eq(status, DMC_OK);
    close_lab(&l);
}
END_TEST

static void refused(dmc_status status, dmc_status expected, const char *words)
{
    ck_assert_int_eq(status, expected);
    ck_assert_msg(strstr(dmc_last_error(), words) != NULL, "\"%s\" does not say \"%s\"", dmc_last_error(), words);
}

START_TEST(refusals)
{
    static const struct { dmc__likelihood_config c; dmc_status status; const char *words; } bad[] = {
        {{.method = 4}, DMC_EINVAL, "method = 4, must be 0..3"},
        {{.method = DMC__LIKELIHOOD_BOUND, .steps = 9}, DMC_ERANGE, "steps = 9, must be 2..8"},
        {{.method = DMC__LIKELIHOOD_BOUND, .steps = 1}, DMC_ERANGE, "steps = 1, must be 2..8"},
        {{.method = DMC__LIKELIHOOD_BANK, .steps = -1}, DMC_ERANGE, "steps = -1, must be 1..1000"},
        {{.method = DMC__LIKELIHOOD_HUTCHINSON}, DMC_ERANGE, "probes = 0, must be 1..256"},
    };
    double out[BATCH];
    dmc__likelihood *none;
    lab l;
    open_lab(&l, DMC__PREDICT_EPSILON, 1, &exact);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        refused(dmc__likelihood_create(l.m.net, l.m.device, &l.m.process, BATCH, &bad[i].c, &none), bad[i].status, bad[i].words);
        ck_assert_ptr_null(none);
    }
    refused(dmc__likelihood_create(l.m.net, l.m.device, &l.m.process, 0, &exact, &none), DMC_ERANGE, "batch = 0");
    refused(dmc__likelihood_run(l.l, &l.batch, out), DMC_EINVAL, "entry 4 of sample 1 is neither known nor counts");
    l.batch.x0 = NULL;
    refused(dmc__likelihood_run(l.l, &l.batch, out), DMC_EINVAL, "x0 is NULL");
    dmc__likelihood_destroy(NULL);
    close_lab(&l);
}
END_TEST

Suite *dmc_suite_likelihood(void);
Suite *dmc_suite_likelihood(void)
{
    Suite *const s = suite_create("likelihood");
    TCase *const t = tcase_create("likelihood");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, elbo_is_the_sum_of_its_terms, DMC__PREDICT_EPSILON, DMC__PREDICT_V + 1);
    tcase_add_test(t, weights_identity);
    tcase_add_loop_test(t, elbo_of_a_gaussian, 0, 2);
    tcase_add_test(t, elbo_ranks_like_the_density);
    tcase_add_loop_test(t, bound_of_every_process, 0, DMC__PROCESSES);
    tcase_add_loop_test(t, bound_reaches_both_ends, 0, DMC__PROCESSES);
    tcase_add_loop_test(t, bound_lies_below_the_density, 0, DMC__PROCESSES);
    tcase_add_loop_test(t, bound_ranks_on_continuous_clocks, DMC__PROCESS_VP_SDE, DMC__PROCESSES);
    tcase_add_loop_test(t, bank_of_every_process, 0, DMC__PROCESSES);
    tcase_add_loop_test(t, bank_ranks_the_better_the_larger, 0, DMC__PROCESSES);
    tcase_add_loop_test(t, flow_errors_are_those_of_the_design, 0, DMC__PROCESSES);
    tcase_add_loop_test(t, flow_of_every_prediction, 0, DMC__PROCESSES);
    tcase_add_loop_test(t, flow_on_twenty_levels, DMC__PROCESS_VP, DMC__PROCESS_VP_SDE);
    tcase_add_loop_test(t, densities_integrate_to_one, 0, DMC__PROCESSES);
    tcase_add_loop_test(t, exact_divergence_by_differences, 0, 2);
    tcase_add_loop_test(t, all_signs_together_are_exact, 0, 2);
    tcase_add_test(t, hutchinson_means_the_exact_density);
    tcase_add_loop_test(t, samples_do_not_depend_on_the_batch, 0, DMC__LIKELIHOODS);
    tcase_add_loop_test(t, known_entries_do_not_count, 0, 4 * DMC__PROCESSES);
    tcase_add_loop_test(t, known_entries_are_conditions, 0, DMC__LIKELIHOODS);
    tcase_add_loop_test(t, create_survives_lack_of_memory, 0, DMC__LIKELIHOODS);
    tcase_add_test(t, refusals);
    suite_add_tcase(s, t);
    return s;
}
