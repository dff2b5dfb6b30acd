#include "exact_rows.h"

static const double z0 = .8, x0 = -.35;

static double mean_of(const dmc__row *r)
{
    double none = 0;
    return apply_row(r, x0, z0, &none, 0);
}

static double score(const dmc__level *t)
{
    return -(z0 - t->alpha * x0) / (t->sigma * t->sigma);
}

/* z + r (z/2 + score), deviation sqrt(r); r is the integral of the linear schedule's beta. */
START_TEST(vp_is_the_reverse_sde)
{
    dmc__process p = some_process(DMC__PROCESS_VP_SDE, DMC__SCHEDULE_LINEAR, DMC__PREDICT_X0, 20);
    dmc__table_config c = table_of(&p, DMC__SAMPLER_EULER_MARUYAMA, 40);
    dmc__table t = exact_table(&p, &c);
    for (int32_t k = 0; k < 39; k++) {
        const dmc__row *row = &t.row[k];
        const double a = row->at.time, b = row->to.time, r = .1 * (a - b) + (20 - .1) / 2 * (a * a - b * b);
        assert_near(mean_of(row), z0 + r * (z0 / 2 + score(&row->at)), 1e-11);
        assert_near(row->S, sqrt(r), 1e-12);
    }
    ck_assert(t.row[39].a == 1 && t.row[39].b == 0 && t.row[39].S == 0);
    dmc__table_free(&t);
    dmc__process_free(&p);
}
END_TEST

/* Discrete clocks: the same with beta's sum, -ln of the ratio of abar. */
START_TEST(discrete_clocks_likewise)
{
    for (int32_t kind = DMC__PROCESS_VP; kind <= DMC__PROCESS_VP_GRID; kind++) {
        dmc__process p = plain_process(kind, 12);
        dmc__table_config c = table_of(&p, DMC__SAMPLER_EULER_MARUYAMA, 12);
        dmc__table t = exact_table(&p, &c);
        for (int32_t k = 0; k < 11; k++) {
            const double r = log(p.abar[10 - k] / p.abar[11 - k]);
            assert_near(mean_of(&t.row[k]), z0 + r * (z0 / 2 + score(&t.row[k].at)), 1e-10);
            assert_near(t.row[k].S, sqrt(r), 1e-12);
        }
        dmc__table_free(&t);
        dmc__process_free(&p);
    }
}
END_TEST

/* y + (s^2 - s'^2) score_y, deviation sqrt(s^2 - s'^2), with y = z/alpha. */
START_TEST(edm_is_the_reverse_sde)
{
    dmc__process p = plain_process(DMC__PROCESS_EDM, 20);
    dmc__table_config c = table_of(&p, DMC__SAMPLER_EULER_MARUYAMA, 15);
    dmc__table t = exact_table(&p, &c);
    for (int32_t k = 0; k < 14; k++) {
        const dmc__row *row = &t.row[k];
        const double s = row->at.time, to = row->to.time, y = z0 / row->at.alpha, fall = s * s - to * to;
        assert_near(mean_of(row) / row->to.alpha, y + fall * (x0 - y) / (s * s), 1e-12);
        assert_near(row->S / row->to.alpha, sqrt(fall), 1e-12);
    }
    ck_assert(t.row[14].a == 1 && t.row[14].b == 0 && t.row[14].S == 0);
    dmc__table_free(&t);
    dmc__process_free(&p);
}
END_TEST

/* methods.md 1.5 F2, in u. */
START_TEST(flow_sde_is_flow_grpos)
{
    dmc__process p = plain_process(DMC__PROCESS_FLOW, 20);
    dmc__table_config c = table_of(&p, DMC__SAMPLER_FLOW_SDE, 10);
    dmc__table t = exact_table(&p, &c);
    for (int32_t k = 0; k < 9; k++) {
        const double time = 1 - k / 10., at = k ? time : .9, gg = .49 * at / (1 - at), u = (z0 - x0) / time;
        assert_near(mean_of(&t.row[k]), z0 * (1 - gg * .1 / (2 * time)) - u * (1 + gg * (1 - time) / (2 * time)) * .1, 1e-12);
        assert_near(t.row[k].S, sqrt(gg * .1), 1e-12);
    }
    ck_assert(t.row[9].S == 0);
    assert_near(mean_of(&t.row[9]), x0, 1e-15);
    dmc__table_free(&t);
    c.steps = 1; /* no place inside: a step without noise */
    t = exact_table(&p, &c);
    ck_assert(t.row[0].a == 1 && t.row[0].b == 0 && t.row[0].S == 0);
    dmc__table_free(&t);
    c.steps = 10; /* no noise at all: Euler */
    c.sde_noise = 0;
    t = exact_table(&p, &c);
    for (int32_t k = 0; k < 10; k++) {
        ck_assert(t.row[k].S == 0);
        assert_near(mean_of(&t.row[k]), z0 - .1 * (z0 - x0) / t.row[k].at.time, 1e-12);
    }
    dmc__table_free(&t);
    dmc__process_free(&p);
}
END_TEST

/* F3: z - D u, the same noise in every row, the last included. */
START_TEST(reinflow_is_euler_with_noise)
{
    dmc__process p = plain_process(DMC__PROCESS_FLOW, 20);
    dmc__table_config c = table_of(&p, DMC__SAMPLER_REINFLOW, 4);
    c.step_noise = .07;
    dmc__table t = exact_table(&p, &c);
    for (int32_t k = 0; k < 4; k++) {
        assert_near(mean_of(&t.row[k]), z0 - .25 * (z0 - x0) / t.row[k].at.time, 1e-14);
        ck_assert(t.row[k].S == .07 && t.row[k].logp_std == .07);
    }
    dmc__table_free(&t);
    dmc__process_free(&p);
}
END_TEST

/* F1: methods.md 1.5 lists the deviations of N = 10, eta = 1. */
START_TEST(eta_on_flow)
{
    static const double listed[10] = {.9, .717, .569, .46, .373, .298, .23, .162, .09, 0};
    dmc__process p = plain_process(DMC__PROCESS_FLOW, 20);
    dmc__table_config c = table_of(&p, DMC__SAMPLER_DDIM, 10);
    c.eta = 1;
    dmc__table t = exact_table(&p, &c);
    for (int32_t k = 0; k < 10; k++) ck_assert_double_eq_tol(t.row[k].S, listed[k], 6e-4);
    dmc__table_free(&t);
    dmc__process_free(&p);
}
END_TEST

Suite *dmc_suite_table_sde(void);
Suite *dmc_suite_table_sde(void)
{
    Suite *const s = suite_create("table_sde");
    TCase *const t = tcase_create("table_sde");
    tcase_add_test(t, vp_is_the_reverse_sde);
    tcase_add_test(t, discrete_clocks_likewise);
    tcase_add_test(t, edm_is_the_reverse_sde);
    tcase_add_test(t, flow_sde_is_flow_grpos);
    tcase_add_test(t, reinflow_is_euler_with_noise);
    tcase_add_test(t, eta_on_flow);
    suite_add_tcase(s, t);
    return s;
}
