#include "../../lib/diffusion/schedule.h"
#include "exact_rows.h"

/* Times of the rows of a table, and the last `to`, in order. */
static int32_t times_of(const dmc__process *p, const dmc__table_config *c, double *time)
{
    dmc__table t = exact_table(p, c);
    for (int32_t k = 0; k < t.k; k++) time[k] = t.row[k].at.time;
    time[t.k] = t.row[t.k - 1].to.time;
    const int32_t n = t.k;
    dmc__table_free(&t);
    return n;
}

static dmc__table_config grid_of(const dmc__process *p, int32_t grid, int32_t steps)
{
    dmc__table_config c = table_of(p, DMC__SAMPLER_DDIM, steps);
    c.grid = grid;
    return c;
}

/* ---- discrete clocks ------------------------------------------------------------------------------------ */

static void assert_indices(int32_t kind, int32_t grid, int32_t compat, int32_t T, int32_t steps, const int32_t *golden)
{
    double time[64];
    dmc__process p = plain_process(kind, T);
    dmc__table_config c = grid_of(&p, grid, steps);
    c.compat = compat;
    times_of(&p, &c, time);
    for (int32_t k = 0; k < steps + compat; k++)
        ck_assert_msg(time[k] == golden[k], "grid %d, %d of %d, row %d: %g, expected %d", grid, steps, T, k, time[k], golden[k]);
    dmc__process_free(&p);
}

/* networks.md 2.4, from the noisy end: one place more than steps. */
START_TEST(compat_grids_golden)
{
    const int32_t kind = DMC__PROCESS_VP_GRID;
    assert_indices(kind, DMC__GRID_LINSPACE, 1, 5, 5, (int32_t[]){4, 3, 2, 1, 0, 0});
    assert_indices(kind, DMC__GRID_LINSPACE, 1, 20, 5, (int32_t[]){19, 15, 11, 7, 3, 0});
    assert_indices(kind, DMC__GRID_AUTO, 1, 50, 15, (int32_t[]){49, 45, 42, 39, 35, 32, 29, 26, 22, 19, 16, 13, 9, 6, 3, 0});
    assert_indices(kind, DMC__GRID_QUAD, 1, 20, 5, (int32_t[]){19, 13, 8, 4, 1, 0});
}
END_TEST

/* round(19 (i/4)^1.5), and one that had to be kept apart: round(4 (i/4)^1.5) = 0 .5 1.4 2.6 4 of five. */
START_TEST(quad_golden)
{
    assert_indices(DMC__PROCESS_VP, DMC__GRID_QUAD, 0, 20, 5, (int32_t[]){19, 12, 7, 2, 0});
    assert_indices(DMC__PROCESS_VP, DMC__GRID_QUAD, 0, 5, 5, (int32_t[]){4, 3, 2, 1, 0});
    assert_indices(DMC__PROCESS_VP, DMC__GRID_QUAD, 0, 5, 4, (int32_t[]){4, 2, 1, 0});
    assert_indices(DMC__PROCESS_VP, DMC__GRID_QUAD, 0, 20, 1, (int32_t[]){19});
}
END_TEST

/* Whatever the grid: it falls strictly, from T - 1 to 0 where it promises both, and with K = T it is everything. */
START_TEST(discrete_grids_fall)
{
    static const int32_t grids[] = {DMC__GRID_QUAD, DMC__GRID_LOGSNR, DMC__GRID_KARRAS};
    double time[64];
    for (int32_t kind = DMC__PROCESS_VP; kind <= DMC__PROCESS_VP_GRID; kind++)
        for (int32_t T = 1; T <= 24; T++) {
            dmc__process p = plain_process(kind, T);
            for (int32_t g = 0; g < 3; g++)
                for (int32_t K = 1; K <= T; K++) {
                    const dmc__table_config c = grid_of(&p, grids[g], K);
                    times_of(&p, &c, time);
                    ck_assert(time[0] == T - 1);
                    if (K > 1) ck_assert(time[K - 1] == 0);
                    for (int32_t k = 1; k < K; k++) ck_assert(time[k] < time[k - 1]);
                }
            dmc__process_free(&p);
        }
}
END_TEST

/* Nearest: no index that was passed over lies nearer to the equal share than the one taken (K far below T). */
START_TEST(warped_indices_are_nearest)
{
    for (int32_t grid = DMC__GRID_LOGSNR; grid <= DMC__GRID_KARRAS; grid++) {
        double time[64], at[200];
        dmc__process p = some_process(DMC__PROCESS_VP, DMC__SCHEDULE_VP, DMC__PREDICT_X0, 200);
        const dmc__table_config c = grid_of(&p, grid, 6);
        times_of(&p, &c, time);
        for (int32_t i = 0; i < 200; i++) {
            const double ratio = p.sigma[i] / p.alpha[i];
            at[i] = grid == DMC__GRID_LOGSNR ? log(ratio) : pow(ratio, 1 / 7.);
        }
        for (int32_t k = 0; k < 6; k++) {
            const double share = (5 - k) / 5., wanted = share * at[199] + (1 - share) * at[0];
            for (int32_t i = 0; i < 200; i++)
                ck_assert_double_le(fabs(at[(int32_t)time[k]] - wanted), fabs(at[i] - wanted) + 1e-12);
        }
        dmc__process_free(&p);
    }
}
END_TEST

/* ---- continuous clocks ------------------------------------------------------------------------------------ */

static void assert_times(const dmc__process *p, int32_t grid, int32_t steps, const double *golden)
{
    double time[64];
    const dmc__table_config c = grid_of(p, grid, steps);
    times_of(p, &c, time);
    for (int32_t k = 0; k < steps; k++)
        ck_assert_msg(fabs(time[k] - golden[k]) < 1e-12 * (1 + golden[k]), "grid %d, row %d: %.17g, expected %.17g", grid, k,
                      time[k], golden[k]);
    ck_assert(time[steps] == 0); /* clean */
}

START_TEST(vp_sde_grids)
{
    const double e = 1e-3, m = .9946, w = m - e;
    dmc__process p = plain_process(DMC__PROCESS_VP_SDE, 20);
    assert_times(&p, DMC__GRID_LINSPACE, 5, (double[]){m, e + .75 * w, e + .5 * w, e + .25 * w, e});
    assert_times(&p, DMC__GRID_LINSPACE, 1, (double[]){m});
    assert_times(&p, DMC__GRID_TRAILING, 4, (double[]){m, e + .75 * w, e + .5 * w, e + .25 * w});
    assert_times(&p, DMC__GRID_LEADING, 4, (double[]){e + .75 * w, e + .5 * w, e + .25 * w, e});
    assert_times(&p, DMC__GRID_QUAD, 3, (double[]){m, e + w * pow(.5, 1.5), e});
    dmc__process_free(&p);
}
END_TEST

/* t = 0 is the sample: no grid holds it. */
START_TEST(flow_grids)
{
    dmc__process p = plain_process(DMC__PROCESS_FLOW, 20);
    assert_times(&p, DMC__GRID_TRAILING, 4, (double[]){1, .75, .5, .25});
    assert_times(&p, DMC__GRID_LINSPACE, 4, (double[]){1, .75, .5, .25});
    assert_times(&p, DMC__GRID_LEADING, 4, (double[]){.8, .6, .4, .2});
    assert_times(&p, DMC__GRID_QUAD, 2, (double[]){1, pow(.5, 1.5)});
    dmc__process_free(&p);
}
END_TEST

/* EDM's clock is s: Karras's nodes, both ends to the bit; linspace is linear in s. */
START_TEST(edm_grids)
{
    dmc__process p = plain_process(DMC__PROCESS_EDM, 20);
    const double high = pow(80, 1 / 7.), low = pow(.002, 1 / 7.), third = pow(80, 1 / 3.), small = pow(.002, 1 / 3.);
    assert_times(&p, DMC__GRID_KARRAS, 4, (double[]){80, pow((2 * high + low) / 3, 7), pow((high + 2 * low) / 3, 7), .002});
    assert_times(&p, DMC__GRID_LOGSNR, 3, (double[]){80, sqrt(80 * .002), .002});
    assert_times(&p, DMC__GRID_LINSPACE, 3, (double[]){80, 40.001, .002});
    assert_times(&p, DMC__GRID_KARRAS, 1, (double[]){80});
    dmc__table_config c = grid_of(&p, DMC__GRID_KARRAS, 3);
    double time[4];
    c.rho = 3;
    times_of(&p, &c, time);
    ck_assert(time[0] == 80 && time[2] == .002);
    assert_near(time[1], pow((third + small) / 2, 3), 1e-12);
    dmc__process_free(&p);
}
END_TEST

/* vp_sde: equal shares of ln(alpha/sigma) and of (sigma/alpha)^(1/rho), for each schedule. */
START_TEST(warped_times_are_equal_shares)
{
    for (int32_t schedule = DMC__SCHEDULE_COSINE; schedule <= DMC__SCHEDULE_VP; schedule++)
        for (int32_t grid = DMC__GRID_LOGSNR; grid <= DMC__GRID_KARRAS; grid++) {
            double at[8];
            dmc__process p = some_process(DMC__PROCESS_VP_SDE, schedule, DMC__PREDICT_X0, 20);
            const dmc__table_config c = grid_of(&p, grid, 8);
            dmc__table t = exact_table(&p, &c);
            for (int32_t k = 0; k < 8; k++) {
                const double ratio = t.row[k].at.sigma / t.row[k].at.alpha;
                at[k] = grid == DMC__GRID_LOGSNR ? log(ratio) : pow(ratio, 1 / 7.);
            }
            for (int32_t k = 0; k < 8; k++) assert_near(at[k], at[0] + k / 7. * (at[7] - at[0]), 1e-9);
            ck_assert(t.row[0].at.time == p.t_max && t.row[7].at.time == p.t_min);
            dmc__table_free(&t);
            dmc__process_free(&p);
        }
}
END_TEST

/* The inverse of alpha(t). */
START_TEST(schedule_time_inverts)
{
    for (int32_t schedule = DMC__SCHEDULE_COSINE; schedule <= DMC__SCHEDULE_VP; schedule++)
        for (double t = 1e-3; t < .99; t += .0173) {
            const double alpha = dmc__schedule_alpha(schedule, t);
            ck_assert_double_eq_tol(dmc__schedule_time(schedule, sqrt(1 - alpha * alpha) / alpha), t, 1e-9);
        }
}
END_TEST

/* ---- places of the caller ------------------------------------------------------------------------------------ */

START_TEST(custom_is_taken_as_it_is)
{
    static const double flow[] = {1, .3, .01}, index[] = {17, 4, 0}, s[] = {120, 1, .5};
    const struct { int32_t kind; const double *times; } given[] = {
        {DMC__PROCESS_FLOW, flow}, {DMC__PROCESS_VP, index}, {DMC__PROCESS_VP_GRID, index}, {DMC__PROCESS_EDM, s}};
    for (int32_t i = 0; i < 4; i++) {
        double time[4];
        dmc__process p = plain_process(given[i].kind, 20);
        dmc__table_config c = grid_of(&p, DMC__GRID_CUSTOM, 3);
        c.times = given[i].times;
        ck_assert_int_eq(times_of(&p, &c, time), 3);
        for (int32_t k = 0; k < 3; k++) ck_assert(time[k] == given[i].times[k]);
        dmc__process_free(&p);
    }
}
END_TEST

static void assert_sentence(int32_t kind, const double *times, dmc_status status, const char *a, const char *b)
{
    dmc__table t;
    dmc__process p = plain_process(kind, 20);
    dmc__table_config c = grid_of(&p, DMC__GRID_CUSTOM, 3);
    c.times = times;
    ck_assert_int_eq(dmc__table_create(&dmc__default_allocator, &p, &c, &t), status);
    ck_assert_msg(strstr(dmc_last_error(), a) && strstr(dmc_last_error(), b), "%s", dmc_last_error());
    ck_assert_ptr_null(t.row);
    dmc__table_free(&t);
    dmc__process_free(&p);
}

/* Sentences name the position, the value and what it is held against. */
START_TEST(custom_refusals)
{
    assert_sentence(DMC__PROCESS_FLOW, NULL, DMC_EINVAL, "times", "NULL");
    assert_sentence(DMC__PROCESS_FLOW, (double[]){.9, .9, .1}, DMC_ERANGE, "number 2 of 3", "0.9");
    assert_sentence(DMC__PROCESS_FLOW, (double[]){.9, .5, .6}, DMC_ERANGE, "number 3 of 3", "0.6");
    assert_sentence(DMC__PROCESS_FLOW, (double[]){1.5, .5, .1}, DMC_ERANGE, "number 1 of 3", "1.5");
    assert_sentence(DMC__PROCESS_FLOW, (double[]){.9, .5, 0}, DMC_ERANGE, "number 3 of 3", "sample itself");
    assert_sentence(DMC__PROCESS_FLOW, (double[]){.9, NAN, .1}, DMC_ERANGE, "number 2 of 3", "nan");
    assert_sentence(DMC__PROCESS_VP, (double[]){19, 3.5, 0}, DMC_ERANGE, "number 2 of 3", "3.5");
    assert_sentence(DMC__PROCESS_VP, (double[]){20, 3, 0}, DMC_ERANGE, "number 1 of 3", "20");
    assert_sentence(DMC__PROCESS_VP_SDE, (double[]){.9, .5, 0}, DMC_ERANGE, "number 3 of 3", "0.001");
    assert_sentence(DMC__PROCESS_EDM, (double[]){10, 1, -1}, DMC_ERANGE, "number 3 of 3", "-1");
}
END_TEST

Suite *dmc_suite_table_grid(void);
Suite *dmc_suite_table_grid(void)
{
    Suite *const s = suite_create("table_grid");
    TCase *const t = tcase_create("table_grid");
    tcase_add_test(t, compat_grids_golden);
    tcase_add_test(t, quad_golden);
    tcase_add_test(t, discrete_grids_fall);
    tcase_add_test(t, warped_indices_are_nearest);
    tcase_add_test(t, vp_sde_grids);
    tcase_add_test(t, flow_grids);
    tcase_add_test(t, edm_grids);
    tcase_add_test(t, warped_times_are_equal_shares);
    tcase_add_test(t, schedule_time_inverts);
    tcase_add_test(t, custom_is_taken_as_it_is);
    tcase_add_test(t, custom_refusals);
    suite_add_tcase(s, t);
    return s;
}
