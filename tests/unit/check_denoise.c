#include "../../lib/diffusion/denoise.h"
#include "failing_alloc.h"
#include "small_model.h"

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
    tcase_add_test(t, create_survives_lack_of_memory);
    tcase_add_test(t, refusals);
    suite_add_tcase(s, t);
    return s;
}
