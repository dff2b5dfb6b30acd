#include "failing_alloc.h"
#include "vp_process.h"

#include <check.h>
#include <math.h>

static dmc__process make(int32_t schedule, int32_t predict, int32_t steps)
{
    dmc__process p;
    ck_assert_int_eq(vp_process(&dmc__default_allocator, schedule, predict, steps, 1, &p), DMC_OK);
    return p;
}

static void assert_rel(double value, double golden, double tolerance)
{
    ck_assert_msg(fabs(value - golden) <= tolerance * fabs(golden), "%.17g, expected %.17g", value, golden);
}

/* networks.md, "Legacy DDPM cosine": beta and abar of T = 5, ends of T = 50. */
START_TEST(cosine_golden)
{
    static const double beta[5] = {.101294, .279544, .473635, .724052, .999};
    static const double abar[5] = {.898706, .647478, .340810, .0940456, 9.40456e-5};
    dmc__process p = make(DMC__SCHEDULE_COSINE, DMC__PREDICT_EPSILON, 5);
    for (int32_t i = 0; i < 5; i++) {
        assert_rel(p.beta[i], beta[i], 2e-6);
        assert_rel(p.abar[i], abar[i], 2e-6);
        ck_assert_double_eq_tol(p.alpha[i] * p.alpha[i] + p.sigma[i] * p.sigma[i], 1, 1e-15);
    }
    dmc__process_free(&p);
    p = make(DMC__SCHEDULE_COSINE, DMC__PREDICT_EPSILON, 50);
    assert_rel(p.abar[0], .998252, 1e-6);
    assert_rel(p.abar[49], 9.71e-7, 1e-3);
    dmc__process_free(&p);
}
END_TEST

/* methods.md 1.1: 1/sqrt(abar_T), and the posterior deviation at i = 0, 1, 2, last. */
START_TEST(posterior_golden)
{
    static const struct {
        int32_t steps;
        double gain, std[3];
    } golden[] = {
        {5, 103, {.2834, .5033, .9514}},   {10, 204, {.1442, .2432, .9874}},   {20, 406, {.0758, .1232, .9965}},
        {50, 1015, {.0345, .0527, .9990}}, {100, 2029, {.0201, .0289, .9994}},
    };
    for (size_t k = 0; k < sizeof golden / sizeof *golden; k++) {
        dmc__process p = make(DMC__SCHEDULE_COSINE, DMC__PREDICT_EPSILON, golden[k].steps);
        ck_assert_double_eq_tol(1 / p.alpha[p.steps - 1], golden[k].gain, .5);
        ck_assert(dmc__process_posterior_var(&p, 0) == 0);
        const int32_t at[3] = {1, 2, p.steps - 1};
        for (int32_t j = 0; j < 3; j++)
            ck_assert_double_eq_tol(sqrt(dmc__process_posterior_var(&p, at[j])), golden[k].std[j], 6e-5);
        dmc__process_free(&p);
    }
}
END_TEST

/* Ho et al.'s abar_1000 = 4.0358e-5; without the factor 1000/T few steps would end at .95 instead of noise. */
START_TEST(linear_reaches_noise)
{
    dmc__process p = make(DMC__SCHEDULE_LINEAR, DMC__PREDICT_EPSILON, 1000);
    ck_assert_double_eq_tol(p.beta[0], 1e-4, 1e-18);
    ck_assert_double_eq_tol(p.beta[999], 2e-2, 1e-16);
    assert_rel(p.abar[999], 4.0358e-5, 1e-4);
    dmc__process_free(&p);
    static const int32_t steps[] = {2, 5, 20, 100};
    for (size_t k = 0; k < sizeof steps / sizeof *steps; k++) {
        p = make(DMC__SCHEDULE_LINEAR, DMC__PREDICT_EPSILON, steps[k]);
        ck_assert_double_lt(p.abar[steps[k] - 1], 1e-3);
        for (int32_t i = 0; i < p.steps; i++) ck_assert(p.beta[i] > 0 && p.beta[i] <= .999);
        dmc__process_free(&p);
    }
}
END_TEST

/* methods.md 1.1: abar_T = .00641 for every T. */
START_TEST(vp_ends_alike)
{
    static const int32_t steps[] = {5, 10, 50, 1000};
    for (size_t k = 0; k < sizeof steps / sizeof *steps; k++) {
        dmc__process p = make(DMC__SCHEDULE_VP, DMC__PREDICT_EPSILON, steps[k]);
        ck_assert_double_eq_tol(p.abar[steps[k] - 1], exp(-5.05), 1e-12);
        dmc__process_free(&p);
    }
}
END_TEST

/* x0 = P z + Q target, and an output error e means the x0 error Q^2 e of the table in methods.md 1.2. */
START_TEST(predictions_invert)
{
    for (int32_t predict = DMC__PREDICT_EPSILON; predict <= DMC__PREDICT_V; predict++) {
        dmc__process p = make(DMC__SCHEDULE_COSINE, predict, 20);
        for (int32_t i = 0; i < 20; i++) {
            double P, Q, of_x0, of_eps;
            const double x0 = .37, eps = -1.4, z = p.alpha[i] * x0 + p.sigma[i] * eps, snr = vp_snr(&p, i);
            const double relation[3] = {1 / snr, 1, 1 / (1 + snr)};
            vp_x0(&p, i, &P, &Q);
            const dmc__level l = dmc__process_level(&p, i);
            dmc__process_target(&p, &l, &of_x0, &of_eps);
            ck_assert_double_eq_tol(P * z + Q * (of_x0 * x0 + of_eps * eps), x0, 1e-12);
            assert_rel(Q * Q, relation[predict], 1e-9);
        }
        dmc__process_free(&p);
    }
}
END_TEST

static void assert_refused(int32_t schedule, int32_t predict, int32_t steps, double clip, dmc_status status)
{
    dmc__process p;
    ck_assert_int_eq(vp_process(&dmc__default_allocator, schedule, predict, steps, clip, &p), status);
    ck_assert_ptr_null(p.beta);
    dmc__process_free(&p);
}

START_TEST(refusals)
{
    assert_refused(3, 0, 10, 0, DMC_EINVAL);
    assert_refused(-1, 0, 10, 0, DMC_EINVAL);
    assert_refused(0, 5, 10, 0, DMC_EINVAL);
    assert_refused(0, 0, 0, 0, DMC_ERANGE);
    assert_refused(0, 0, 4097, 0, DMC_ERANGE);
    assert_refused(0, 0, 10, -1, DMC_ERANGE);
    assert_refused(0, 0, 10, NAN, DMC_ERANGE);
    assert_refused(0, 0, 10, INFINITY, DMC_ERANGE);
    failing_alloc f = {.fail_at = 1};
    const dmc__allocator a = failing_allocator(&f);
    dmc__process p;
    ck_assert_int_eq(vp_process(&a, 0, 0, 10, 0, &p), DMC_ENOMEM);
    dmc__process_free(&p);
    ck_assert_int_eq(f.live, 0);
    dmc__process_free(NULL);
}
END_TEST

Suite *dmc_suite_process(void);
Suite *dmc_suite_process(void)
{
    Suite *const s = suite_create("process");
    TCase *const t = tcase_create("process");
    tcase_add_test(t, cosine_golden);
    tcase_add_test(t, posterior_golden);
    tcase_add_test(t, linear_reaches_noise);
    tcase_add_test(t, vp_ends_alike);
    tcase_add_test(t, predictions_invert);
    tcase_add_test(t, refusals);
    suite_add_tcase(s, t);
    return s;
}
