#include "failing_alloc.h"
#include "vp_process.h"

#include <check.h>
#include <math.h>
#include <string.h>

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

/* ---- every process ------------------------------------------------------------------------------------------ */

static dmc__process make_kind(int32_t kind, int32_t schedule, int32_t predict, int32_t steps)
{
    dmc__process_config c = dmc__process_defaults();
    dmc__process p;
    c.kind = kind;
    c.schedule = schedule;
    c.predict = predict;
    c.steps = steps;
    ck_assert_int_eq(dmc__process_create(&dmc__default_allocator, &c, &p), DMC_OK);
    return p;
}

static void assert_level(const dmc__process *p, double time, double alpha, double sigma)
{
    const dmc__level l = dmc__process_level(p, time);
    ck_assert_msg(fabs(l.alpha - alpha) < 6e-7 && fabs(l.sigma - sigma) < 6e-7, "time %g: %.7f %.7f, expected %.7f %.7f", time,
                  l.alpha, l.sigma, alpha, sigma);
}

/* networks.md, golden values: CleanDiffuser's levels by index, and the same in continuous time. */
START_TEST(sde_levels_golden)
{
    static const double time[5] = {.001, .25075, .5005, .75025, .9946};
    static const double alpha[5] = {.999979, .919875, .702185, .379471, .008416};
    static const double sigma[5] = {.006425, .392213, .711994, .925204, .999965};
    dmc__process grid = make_kind(DMC__PROCESS_VP_GRID, DMC__SCHEDULE_COSINE, 0, 5);
    dmc__process sde = make_kind(DMC__PROCESS_VP_SDE, DMC__SCHEDULE_COSINE, 0, 5);
    for (int32_t i = 0; i < 5; i++) {
        assert_level(&grid, i, alpha[i], sigma[i]);
        assert_level(&sde, time[i], alpha[i], sigma[i]);
        ck_assert(dmc__process_level(&grid, i).seen == i && dmc__process_level(&sde, time[i]).seen == time[i]);
    }
    dmc__process_free(&grid);
    dmc__process_free(&sde);
    grid = make_kind(DMC__PROCESS_VP_GRID, DMC__SCHEDULE_COSINE, 0, 20);
    assert_level(&grid, 1, .995477, .095006);
    assert_level(&grid, 10, .672431, .740160);
    assert_level(&grid, 18, .081850, .996645);
    dmc__process_free(&grid);
    sde = make_kind(DMC__PROCESS_VP_SDE, DMC__SCHEDULE_LINEAR, 0, 20);
    assert_level(&sde, 1e-3, .999945, .010485);
    dmc__process_free(&sde);
}
END_TEST

/* z = y / sqrt(s^2 + sd^2) is c_in y, and x0 = P z + Q F is c_skip y + c_out F (Karras et al. 2022, table 1); the target is
 * (x0 - c_skip y)/c_out, and the network sees ln(s)/4. */
START_TEST(edm_is_karras)
{
    const double sd = .5, x0 = .4, eps = -1.3, F = .7;
    dmc__process p = make_kind(DMC__PROCESS_EDM, 0, DMC__PREDICT_EDM, 20);
    for (double s = .002; s < 100; s *= 1.7) {
        const dmc__level l = dmc__process_level(&p, s);
        const double norm = s * s + sd * sd, y = x0 + s * eps, z = l.alpha * x0 + l.sigma * eps;
        const double c_skip = sd * sd / norm, c_out = s * sd / sqrt(norm);
        double P, Q, of_x0, of_eps;
        dmc__process_x0(&p, &l, &P, &Q);
        dmc__process_target(&p, &l, &of_x0, &of_eps);
        assert_rel(z, y / sqrt(norm), 1e-12);
        assert_rel(P * z + Q * F, c_skip * y + c_out * F, 1e-12);
        assert_rel(of_x0 * x0 + of_eps * eps, (x0 - c_skip * y) / c_out, 1e-10);
        assert_rel(l.seen, log(s) / 4, 1e-12);
        assert_rel(l.alpha * l.alpha * sd * sd + l.sigma * l.sigma, 1, 1e-12);
    }
    dmc__process_free(&p);
}
END_TEST

/* Places on a clock, almost clean to almost noise (flow: noise). */
static double place_on(const dmc__process *p, int32_t n, int32_t of)
{
    if (p->discrete) return floor(n * (p->steps - 1.) / of);
    return p->t_max - (p->t_max - p->t_min) * (1 - (n + 1.) / (of + 1));
}

/* Every prediction on every process: the target inverts, an x0 error is Q times the output's, and outputs that say the same
 * x0 give the same x0, whatever they are. */
START_TEST(predictions_agree_on_every_process)
{
    const double x0 = .37, eps = -1.4, said = -.22;
    for (int32_t kind = 0; kind < DMC__PROCESSES; kind++)
        for (int32_t predict = 0; predict < DMC__PREDICTIONS; predict++) {
            if (kind == DMC__PROCESS_FLOW && predict == DMC__PREDICT_EPSILON) continue;
            dmc__process p = make_kind(kind, DMC__SCHEDULE_COSINE, predict, 20);
            for (int32_t n = 0; n <= 10; n++) {
                const dmc__level l = dmc__process_level(&p, place_on(&p, n, 10));
                const double z = l.alpha * x0 + l.sigma * eps, implied = (z - l.alpha * said) / l.sigma;
                double P, Q, of_x0, of_eps;
                dmc__process_x0(&p, &l, &P, &Q);
                dmc__process_target(&p, &l, &of_x0, &of_eps);
                ck_assert_double_eq_tol(P * z + Q * (of_x0 * x0 + of_eps * eps), x0, 1e-11);
                ck_assert_double_eq_tol(P * z + Q * (of_x0 * said + of_eps * implied), said, 1e-11);
            }
            dmc__process_free(&p);
        }
}
END_TEST

/* The end of flow is noise and nothing else; its velocity there still says an x0. */
START_TEST(flow_at_its_ends)
{
    dmc__process p = make_kind(DMC__PROCESS_FLOW, 0, DMC__PREDICT_VELOCITY, 20);
    const dmc__level noise = dmc__process_level(&p, 1), clean = dmc__process_clean();
    double P, Q;
    ck_assert(noise.alpha == 0 && noise.sigma == 1 && clean.alpha == 1 && clean.sigma == 0);
    dmc__process_x0(&p, &noise, &P, &Q);
    ck_assert(P == 1 && Q == -1); /* x0 = z - u */
    ck_assert_int_eq(dmc__process_check_time(&p, 0, "here"), DMC_OK);
    ck_assert_int_eq(dmc__process_check_time(&p, 1.001, "here"), DMC_ERANGE);
    dmc__process_free(&p);
}
END_TEST

/* Training times: on the clock, ln s normal on EDM, uniform elsewhere, the logistic of a normal on flow if asked for. */
START_TEST(training_times)
{
    for (int32_t kind = 0; kind < DMC__PROCESSES; kind++) {
        enum { N = 20000 };
        dmc__process p = make_kind(kind, 0, DMC__PREDICT_X0, 10);
        double sum = 0, squares = 0;
        for (uint64_t i = 0; i < N; i++) {
            const double t = dmc__process_draw_time(&p, &(dmc__stream){.seed = 3, .purpose = 1, .sample = i});
            const double x = kind == DMC__PROCESS_EDM ? log(t) : (t - p.t_min) / (p.t_max - p.t_min);
            ck_assert_int_eq(dmc__process_check_time(&p, t, "drawn"), DMC_OK);
            sum += x;
            squares += x * x;
        }
        const double mean = sum / N, var = squares / N - mean * mean, edm = kind == DMC__PROCESS_EDM;
        ck_assert_double_eq_tol(mean, edm ? -1.2 : .5, .03);
        ck_assert_double_eq_tol(var, edm ? 1.44 : p.discrete ? (100 - 1) / 12. / 81 : 1 / 12., edm ? .05 : .003);
        dmc__process_free(&p);
    }
}
END_TEST

static void assert_process_refused(dmc__process_config c, dmc_status status, const char *says)
{
    dmc__process p;
    ck_assert_int_eq(dmc__process_create(&dmc__default_allocator, &c, &p), status);
    ck_assert_msg(strstr(dmc_last_error(), says), "\"%s\": %s", says, dmc_last_error());
    ck_assert_ptr_null(p.beta);
}

START_TEST(refusals_of_every_process)
{
    dmc__process_config c = dmc__process_defaults();
    c.kind = DMC__PROCESS_FLOW;
    assert_process_refused(c, DMC_EINVAL, "predict = epsilon");
    c.kind = 5;
    assert_process_refused(c, DMC_EINVAL, "kind = 5");
    c = dmc__process_defaults();
    c.kind = DMC__PROCESS_EDM;
    c.sigma_min = 90;
    assert_process_refused(c, DMC_ERANGE, "sigma_min = 90");
    c.sigma_min = 0;
    assert_process_refused(c, DMC_ERANGE, "sigma_min = 0");
    c = dmc__process_defaults();
    c.sigma_data = NAN;
    assert_process_refused(c, DMC_ERANGE, "sigma_data = nan");
    c = dmc__process_defaults();
    c.logit_std = -1;
    assert_process_refused(c, DMC_ERANGE, "logit_std = -1");
    c = dmc__process_defaults();
    c.seen_scale = 0;
    assert_process_refused(c, DMC_ERANGE, "seen_scale = 0");
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
    tcase_add_test(t, sde_levels_golden);
    tcase_add_test(t, edm_is_karras);
    tcase_add_test(t, predictions_agree_on_every_process);
    tcase_add_test(t, flow_at_its_ends);
    tcase_add_test(t, training_times);
    tcase_add_test(t, refusals_of_every_process);
    tcase_add_test(t, refusals);
    suite_add_tcase(s, t);
    return s;
}
