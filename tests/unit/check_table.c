#include "exact_rows.h"
#include "failing_alloc.h"
#include "vp_process.h"

static dmc__process make_process(int32_t schedule, int32_t predict, int32_t steps)
{
    dmc__process p;
    ck_assert_int_eq(vp_process(&dmc__default_allocator, schedule, predict, steps, 0, &p), DMC_OK);
    return p;
}

static dmc__table make_table(const dmc__process *p, const dmc__table_config *c)
{
    dmc__table t;
    ck_assert_int_eq(dmc__table_create(&dmc__default_allocator, p, c, &t), DMC_OK);
    ck_assert_int_eq(t.k, c->steps);
    return t;
}

/* T1: with eta = 1 and all steps the row is Ho et al.'s posterior, mu = c1 x0 + c2 z, variance beta~. */
START_TEST(full_table_is_the_ddpm_posterior)
{
    for (int32_t schedule = DMC__SCHEDULE_COSINE; schedule <= DMC__SCHEDULE_VP; schedule++) {
        dmc__process p = make_process(schedule, DMC__PREDICT_EPSILON, 20);
        dmc__table t = make_table(&p, &(dmc__table_config){.sampler = DMC__SAMPLER_DDIM, .steps = 20, .eta = 1});
        for (int32_t k = 0; k < 20; k++) {
            const dmc__row *row = &t.row[k];
            const int32_t i = 19 - k;
            const double before = i ? p.abar[i - 1] : 1;
            ck_assert_int_eq((int32_t)row->at.time, i);
            ck_assert_double_eq_tol(row->a, p.beta[i] * sqrt(before) / (1 - p.abar[i]), 1e-9);
            ck_assert_double_eq_tol(row->b, (1 - before) * sqrt(1 - p.beta[i]) / (1 - p.abar[i]), 1e-9);
            ck_assert_double_eq_tol(row->S * row->S, dmc__process_posterior_var(&p, i), 1e-9);
        }
        dmc__table_free(&t);
        dmc__process_free(&p);
    }
}
END_TEST

/* The sampler ddpm is ddim with eta = 1, whatever eta says. */
START_TEST(ddpm_ignores_eta)
{
    dmc__process p = make_process(DMC__SCHEDULE_COSINE, DMC__PREDICT_V, 12);
    dmc__table a = make_table(&p, &(dmc__table_config){.sampler = DMC__SAMPLER_DDIM, .steps = 7, .eta = 1});
    dmc__table b = make_table(&p, &(dmc__table_config){.sampler = DMC__SAMPLER_DDPM, .steps = 7, .eta = .3});
    ck_assert_mem_eq(a.row, b.row, 7 * sizeof *a.row);
    dmc__table_free(&a);
    dmc__table_free(&b);
    dmc__process_free(&p);
}
END_TEST

/* Song et al. 2021: z' = alpha_s x0 + sqrt(sigma_s^2 - v) eps^, v = eta^2 of the posterior between the two levels; on any
 * subset of steps, for every prediction. */
START_TEST(ddim_closed_form)
{
    static const double eta[] = {0, .5, 1};
    for (int32_t predict = DMC__PREDICT_EPSILON; predict <= DMC__PREDICT_V; predict++)
        for (size_t e = 0; e < 3; e++) {
            dmc__process p = make_process(DMC__SCHEDULE_COSINE, predict, 20);
            dmc__table t = make_table(&p, &(dmc__table_config){.sampler = DMC__SAMPLER_DDIM, .steps = 5, .eta = eta[e]});
            for (int32_t k = 0; k < 5; k++) {
                const dmc__row *r = &t.row[k];
                const int32_t i = (int32_t)r->at.time, s = k < 4 ? (int32_t)t.row[k + 1].at.time : -1;
                const double abar = p.abar[i], to = s < 0 ? 1 : p.abar[s];
                const double v = eta[e] * eta[e] * (1 - to) / (1 - abar) * (1 - abar / to);
                const double z = .8, f = -.3, x0 = r->P * z + r->Q * f, eps = (z - p.alpha[i] * x0) / p.sigma[i];
                ck_assert_double_eq_tol(r->a * x0 + r->b * z, sqrt(to) * x0 + sqrt(1 - to - v) * eps, 1e-9);
                ck_assert_double_eq_tol(r->S, sqrt(v), 1e-9);
            }
            ck_assert(t.row[4].a == 1 && t.row[4].b == 0 && t.row[4].S == 0);
            dmc__table_free(&t);
            dmc__process_free(&p);
        }
}
END_TEST

static void assert_grid(int32_t grid, int32_t steps, int32_t k, const int32_t *golden)
{
    dmc__process p = make_process(DMC__SCHEDULE_COSINE, DMC__PREDICT_EPSILON, steps);
    dmc__table t = make_table(&p, &(dmc__table_config){.grid = grid, .steps = k});
    for (int32_t j = 0; j < k; j++)
        ck_assert_msg((int32_t)t.row[j].at.time == golden[j], "grid %d, %d of %d, row %d: %d, expected %d", grid, k, steps, j,
                      (int32_t)t.row[j].at.time, golden[j]);
    dmc__table_free(&t);
    dmc__process_free(&p);
}

/* numpy: round(linspace(0, T-1, K)), round(arange(T, 0, -T/K)) - 1, arange(K) * (T // K); noisiest first. */
START_TEST(grids_golden)
{
    assert_grid(DMC__GRID_LINSPACE, 20, 5, (int32_t[]){19, 14, 10, 5, 0});
    assert_grid(DMC__GRID_LINSPACE, 10, 3, (int32_t[]){9, 4, 0});
    assert_grid(DMC__GRID_LINSPACE, 20, 1, (int32_t[]){19});
    assert_grid(DMC__GRID_TRAILING, 20, 5, (int32_t[]){19, 15, 11, 7, 3});
    assert_grid(DMC__GRID_TRAILING, 10, 4, (int32_t[]){9, 7, 4, 1});
    assert_grid(DMC__GRID_TRAILING, 10, 1, (int32_t[]){9});
    assert_grid(DMC__GRID_LEADING, 20, 5, (int32_t[]){16, 12, 8, 4, 0});
    assert_grid(DMC__GRID_LEADING, 10, 3, (int32_t[]){6, 3, 0});
}
END_TEST

/* Every grid falls strictly to an index >= 0; those that must start from noise start at T-1; with K = T all are equal. */
START_TEST(grids_in_general)
{
    for (int32_t steps = 1; steps <= 24; steps++) {
        dmc__process p = make_process(DMC__SCHEDULE_COSINE, DMC__PREDICT_EPSILON, steps);
        for (int32_t grid = DMC__GRID_LINSPACE; grid <= DMC__GRID_LEADING; grid++)
            for (int32_t k = 1; k <= steps; k++) {
                dmc__table t = make_table(&p, &(dmc__table_config){.grid = grid, .steps = k});
                if (grid != DMC__GRID_LEADING || k == steps) ck_assert_int_eq((int32_t)t.row[0].at.time, steps - 1);
                if (grid != DMC__GRID_TRAILING && k > 1) ck_assert_int_eq((int32_t)t.row[k - 1].at.time, 0);
                for (int32_t j = 1; j < k; j++) ck_assert_int_lt((int32_t)t.row[j].at.time, (int32_t)t.row[j - 1].at.time);
                ck_assert_int_ge((int32_t)t.row[k - 1].at.time, 0);
                dmc__table_free(&t);
            }
        dmc__process_free(&p);
    }
}
END_TEST

/* A floor holds for the noise itself, on the last row too, and the log-probability uses the same number; without one the
 * last row is noiseless and the log-probability alone has its least deviation. The mean never moves. */
START_TEST(floors)
{
    dmc__process p = make_process(DMC__SCHEDULE_COSINE, DMC__PREDICT_EPSILON, 20);
    dmc__table plain = make_table(&p, &(dmc__table_config){.steps = 20});
    dmc__table noisy = make_table(&p, &(dmc__table_config){.steps = 20, .std_floor = .1});
    dmc__table slight = make_table(&p, &(dmc__table_config){.steps = 20, .std_floor = 1e-4});
    dmc__table even = make_table(&p, &(dmc__table_config){.sampler = DMC__SAMPLER_DDIM, .steps = 20});
    for (int32_t k = 0; k < 20; k++) {
        const dmc__row *a = &plain.row[k], *b = &noisy.row[k];
        ck_assert(b->S == fmax(a->S, .1) && b->logp_std == b->S);
        ck_assert(a->logp_std == fmax(a->S, 1e-3));
        ck_assert(slight.row[k].S == fmax(a->S, 1e-4) && slight.row[k].logp_std == slight.row[k].S);
        ck_assert(a->a == b->a && a->b == b->b && a->P == b->P && a->Q == b->Q);
        ck_assert(even.row[k].S == 0 && even.row[k].logp_std == 1e-3);
    }
    ck_assert(plain.row[19].S == 0 && noisy.row[19].S == .1);
    dmc__table_free(&plain);
    dmc__table_free(&noisy);
    dmc__table_free(&slight);
    dmc__table_free(&even);
    dmc__process_free(&p);
}
END_TEST

/* ---- T3: quality with the exact denoiser ---------------------------------------------------------------- */

/* methods.md 1.3 (drawn samples, with a sampling error of about .007) within 20 % where that error allows it; and the
 * exact values, computed here without sampling, within 2 %. */
START_TEST(two_modes_distances)
{
    static const struct {
        int32_t steps;
        double published[2], exact[2]; /* ddpm, ddim; published 0: its error is larger than 20 % */
    } golden[] = {
        {5, {.108, .090}, {.1095, .0934}},
        {10, {.066, .042}, {.0588, .0415}},
        {20, {.037, .022}, {.0362, .0233}},
        {50, {0, .011}, {.0191, .0102}},
    };
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) {
        dmc__process p = make_process(DMC__SCHEDULE_COSINE, DMC__PREDICT_EPSILON, golden[i].steps);
        for (int32_t sampler = DMC__SAMPLER_DDPM; sampler <= DMC__SAMPLER_DDIM; sampler++) {
            dmc__table t = make_table(&p, &(dmc__table_config){.sampler = sampler, .steps = golden[i].steps});
            const double w1 = sampler == DMC__SAMPLER_DDPM ? distance_with_noise(&t) : distance_without_noise(&t);
            const double published = golden[i].published[sampler], exact = golden[i].exact[sampler];
            if (published > 0)
                ck_assert_msg(fabs(w1 - published) < .2 * published, "T = %d: %g, published %g", golden[i].steps, w1, published);
            ck_assert_msg(fabs(w1 - exact) < .02 * exact, "T = %d, sampler %d: %g, exact %g", golden[i].steps, sampler, w1,
                          exact);
            dmc__table_free(&t);
        }
        dmc__process_free(&p);
    }
}
END_TEST

/* ---- refusals --------------------------------------------------------------------------------------------- */

static void assert_refused(dmc__table_config c, dmc_status status)
{
    dmc__process p = make_process(DMC__SCHEDULE_COSINE, DMC__PREDICT_EPSILON, 10);
    dmc__table t;
    ck_assert_int_eq(dmc__table_create(&dmc__default_allocator, &p, &c, &t), status);
    ck_assert_ptr_null(t.row);
    dmc__table_free(&t);
    dmc__process_free(&p);
}

START_TEST(refusals)
{
    assert_refused((dmc__table_config){.steps = 11}, DMC_ERANGE);
    assert_refused((dmc__table_config){.steps = 0}, DMC_ERANGE);
    assert_refused((dmc__table_config){.steps = 5, .eta = 1.5}, DMC_ERANGE);
    assert_refused((dmc__table_config){.steps = 5, .eta = NAN}, DMC_ERANGE);
    assert_refused((dmc__table_config){.steps = 5, .std_floor = -1}, DMC_ERANGE);
    assert_refused((dmc__table_config){.steps = 5, .std_floor = INFINITY}, DMC_ERANGE);
    assert_refused((dmc__table_config){.steps = 5, .sampler = 14}, DMC_EINVAL);
    assert_refused((dmc__table_config){.steps = 5, .grid = 8}, DMC_EINVAL);
    failing_alloc f = {.fail_at = 1};
    const dmc__allocator a = failing_allocator(&f);
    dmc__process p = make_process(DMC__SCHEDULE_COSINE, DMC__PREDICT_EPSILON, 10);
    dmc__table t;
    ck_assert_int_eq(dmc__table_create(&a, &p, &(dmc__table_config){.steps = 5}, &t), DMC_ENOMEM);
    dmc__table_free(&t);
    dmc__table_free(NULL);
    dmc__process_free(&p);
}
END_TEST

Suite *dmc_suite_table(void);
Suite *dmc_suite_table(void)
{
    Suite *const s = suite_create("table");
    TCase *const t = tcase_create("table");
    tcase_add_test(t, full_table_is_the_ddpm_posterior);
    tcase_add_test(t, ddpm_ignores_eta);
    tcase_add_test(t, ddim_closed_form);
    tcase_add_test(t, grids_golden);
    tcase_add_test(t, grids_in_general);
    tcase_add_test(t, floors);
    tcase_add_test(t, two_modes_distances);
    tcase_add_test(t, refusals);
    suite_add_tcase(s, t);
    return s;
}
