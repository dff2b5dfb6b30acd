#include "exact_rows.h"

/* Denoisers of a process in its own y = z/alpha at s = sigma/alpha; two modes, which no line goes through. */
static double denoise_y(double y, double s)
{
    return two_modes_x0(y, 1, s);
}

static double slope_y(double y, double s)
{
    return (y - denoise_y(y, s)) / s;
}

/* EULER, DPM and DPMPP of first order are DDIM with eta = 0, on every process, to the bit. */
START_TEST(euler_is_ddim_without_noise)
{
    static const int32_t same[] = {DMC__SAMPLER_EULER, DMC__SAMPLER_DPM, DMC__SAMPLER_DPMPP};
    for (int32_t kind = 0; kind < DMC__PROCESSES; kind++)
        for (size_t i = 0; i < 3; i++) {
            dmc__process p = plain_process(kind, 20);
            dmc__table_config c = table_of(&p, DMC__SAMPLER_DDIM, 7);
            dmc__table ddim = exact_table(&p, &c);
            c.sampler = same[i];
            dmc__table t = exact_table(&p, &c);
            ck_assert_mem_eq(t.row, ddim.row, 7 * sizeof *t.row);
            ck_assert_int_eq(t.k, 7);
            dmc__table_free(&t);
            dmc__table_free(&ddim);
            dmc__process_free(&p);
        }
}
END_TEST

/* The sign of flow: u = eps - x0, and a step is z - D u. */
START_TEST(flow_euler_goes_down_the_velocity)
{
    dmc__process p = some_process(DMC__PROCESS_FLOW, 0, DMC__PREDICT_VELOCITY, 20);
    dmc__table_config c = table_of(&p, DMC__SAMPLER_EULER, 10);
    dmc__table t = exact_table(&p, &c);
    for (int32_t k = 0; k < 10; k++) {
        const double z = .8, f = -.3, h = t.row[k].at.time - t.row[k].to.time;
        assert_near(h, .1, 1e-15);
        double none = 0;
        assert_near(apply_row(&t.row[k], t.row[k].P * z + t.row[k].Q * f, z, &none, 0), z - h * f, 1e-14);
    }
    double of_x0, of_eps;
    dmc__process_target(&p, &t.row[3].at, &of_x0, &of_eps);
    ck_assert(of_x0 == -1 && of_eps == 1);
    dmc__table_free(&t);
    dmc__process_free(&p);
}
END_TEST

/* Karras et al. 2022, alg. 1, in y; rows give z = alpha y. On VP as well, whose sigma/alpha is the s of that. */
START_TEST(heun_is_the_plain_loop)
{
    static const int32_t kinds[] = {DMC__PROCESS_VP, DMC__PROCESS_VP_GRID, DMC__PROCESS_VP_SDE, DMC__PROCESS_EDM};
    dmc__process p = plain_process(kinds[_i], 30);
    dmc__table_config c = table_of(&p, DMC__SAMPLER_HEUN, 9);
    dmc__table t = exact_table(&p, &c);
    double z = .6, h = 0, y = z / t.row[0].at.alpha;
    int32_t ended = 0;
    ck_assert_int_eq(t.k, 17);
    ck_assert_int_eq(t.carries, 1);
    for (int32_t k = 0; k < t.k; k++) {
        const dmc__row *row = &t.row[k];
        z = two_modes_row(row, z, &h, 0);
        if (!row->ends) continue;
        const dmc__level *from = &t.row[k == t.k - 1 ? k : k - 1].at;
        const double s = from->sigma / from->alpha, to = row->to.sigma / row->to.alpha, d = slope_y(y, s);
        y += (to - s) * d;
        if (to > 0) y += (to - s) / 2 * (slope_y(y, to) - d);
        assert_near(z, row->to.alpha * y, 1e-10);
        ended++;
    }
    ck_assert_int_eq(ended, 9);
    dmc__table_free(&t);
    dmc__process_free(&p);
}
END_TEST

/* On flow the average is that of u over t (methods.md 1.4). */
START_TEST(heun_averages_velocities)
{
    dmc__process p = plain_process(DMC__PROCESS_FLOW, 20);
    dmc__table_config c = table_of(&p, DMC__SAMPLER_HEUN, 6);
    dmc__table t = exact_table(&p, &c);
    double z = -.4, h = 0, plain = z;
    for (int32_t step = 0; step < 6; step++) {
        const double time = 1 - step / 6., to = 1 - (step + 1) / 6., u = (plain - two_modes_x0(plain, 1 - time, time)) / time;
        const double e = plain - (time - to) * u;
        plain = step == 5 ? e : plain - (time - to) / 2 * (u + (e - two_modes_x0(e, 1 - to, to)) / to);
        for (int32_t n = step == 5; n < 2; n++) z = two_modes_row(&t.row[2 * step + n - (step == 5)], z, &h, 0);
        assert_near(z, plain, 1e-12);
    }
    dmc__table_free(&t);
    dmc__process_free(&p);
}
END_TEST

/* ---- churn: alg. 2 ------------------------------------------------------------------------------------------ */

static double up(const dmc__table_config *c, double s)
{
    const double gamma = fmin(c->churn / c->steps, sqrt(2) - 1);
    return s >= c->churn_min && s <= c->churn_max ? s * (1 + gamma) : s;
}

/* Algorithm 2 written plainly in y, beginning behind the first churn, with the noise xi(i) of the others. */
static double algorithm_2(const dmc__table_config *c, const double *s, double y, const double *xi)
{
    for (int32_t i = 0; i < c->steps; i++) {
        const double hat = up(c, s[i]), to = s[i + 1];
        if (i > 0) y += sqrt(hat * hat - s[i] * s[i]) * c->churn_noise * xi[i];
        const double d = slope_y(y, hat), e = y + (to - hat) * d;
        y = to > 0 && c->sampler == DMC__SAMPLER_HEUN ? y + (to - hat) * (d + slope_y(e, to)) / 2 : e;
    }
    return y;
}

static void nodes(const dmc__table_config *c, double *s)
{
    const double high = pow(80, 1 / c->rho), low = pow(.002, 1 / c->rho);
    for (int32_t i = 0; i < c->steps; i++) s[i] = pow(high + i / (c->steps - 1.) * (low - high), c->rho);
    s[c->steps] = 0;
}

START_TEST(churn_is_algorithm_2)
{
    enum { K = 18 };
    static const double churn[] = {3, 40}, most[] = {50, 1e6}; /* S_max below and above the first node */
    for (int32_t variant = 0; variant < 8; variant++) {
        double s[K + 1], xi[K + 1], h = 0;
        dmc__process p = plain_process(DMC__PROCESS_EDM, 20);
        dmc__table_config c = table_of(&p, variant & 1 ? DMC__SAMPLER_HEUN : DMC__SAMPLER_EULER, K);
        c.churn = churn[variant >> 1 & 1];
        c.churn_max = most[variant >> 2 & 1];
        dmc__table t = exact_table(&p, &c);
        nodes(&c, s);
        for (int32_t i = 0; i <= K; i++) xi[i] = sin(7. * i + variant);
        const double hat = up(&c, s[0]), first = t.row[0].at.alpha;
        assert_near(t.row[0].at.time, hat, 1e-12);
        assert_near(t.start / first, sqrt(s[0] * s[0] + 1.003 * 1.003 * (hat * hat - s[0] * s[0])), 1e-12);
        double z = .9 * t.start;
        const double wanted = algorithm_2(&c, s, z / first, xi);
        int32_t step = 0;
        for (int32_t k = 0; k < t.k; k++) {
            step += t.row[k].ends;
            ck_assert(t.row[k].ends || t.row[k].S == 0);
            z = two_modes_row(&t.row[k], z, &h, xi[step]);
        }
        assert_near(z, wanted, 1e-9);
        ck_assert(t.row[t.k - 1].S == 0);
        dmc__table_free(&t);
        dmc__process_free(&p);
    }
}
END_TEST

/* Without churn a chain of EDM begins with y = sigma_max xi; the other processes with variance 1. */
START_TEST(chains_begin_with)
{
    for (int32_t kind = 0; kind < DMC__PROCESSES; kind++) {
        dmc__process p = plain_process(kind, 20);
        dmc__table_config c = table_of(&p, DMC__SAMPLER_AUTO, 5);
        dmc__table t = exact_table(&p, &c);
        if (kind == DMC__PROCESS_EDM) assert_near(t.start, 80 / sqrt(80 * 80 + .25), 1e-15);
        else ck_assert(t.start == 1);
        dmc__table_free(&t);
        dmc__process_free(&p);
    }
}
END_TEST

/* AUTO is ddpm, on EDM heun, on flow euler, each on its grid. */
START_TEST(what_auto_is)
{
    static const int32_t sampler[] = {DMC__SAMPLER_DDPM, DMC__SAMPLER_DDPM, DMC__SAMPLER_DDPM, DMC__SAMPLER_HEUN,
                                      DMC__SAMPLER_EULER};
    static const int32_t grid[] = {DMC__GRID_LINSPACE, DMC__GRID_LINSPACE, DMC__GRID_LINSPACE, DMC__GRID_KARRAS,
                                   DMC__GRID_TRAILING};
    for (int32_t kind = 0; kind < DMC__PROCESSES; kind++) {
        dmc__process p = plain_process(kind, 20);
        dmc__table_config c = table_of(&p, DMC__SAMPLER_AUTO, 6);
        dmc__table t = exact_table(&p, &c);
        c.sampler = sampler[kind];
        c.grid = grid[kind];
        dmc__table same = exact_table(&p, &c);
        ck_assert_int_eq(t.k, same.k);
        ck_assert_mem_eq(t.row, same.row, (size_t)t.k * sizeof *t.row);
        dmc__table_free(&t);
        dmc__table_free(&same);
        dmc__process_free(&p);
    }
}
END_TEST

/* A floor is for what ends a step: Heun's first call stays without noise. */
START_TEST(floor_leaves_the_first_call)
{
    dmc__process p = plain_process(DMC__PROCESS_EDM, 20);
    dmc__table_config c = table_of(&p, DMC__SAMPLER_HEUN, 5);
    c.std_floor = .1;
    dmc__table t = exact_table(&p, &c);
    for (int32_t k = 0; k < t.k; k++) {
        ck_assert(t.row[k].S == (t.row[k].ends ? .1 : 0));
        ck_assert(t.row[k].logp_std == (t.row[k].ends ? .1 : 1e-3));
    }
    dmc__table_free(&t);
    dmc__process_free(&p);
}
END_TEST

Suite *dmc_suite_table_ode(void);
Suite *dmc_suite_table_ode(void)
{
    Suite *const s = suite_create("table_ode");
    TCase *const t = tcase_create("table_ode");
    tcase_add_test(t, euler_is_ddim_without_noise);
    tcase_add_test(t, flow_euler_goes_down_the_velocity);
    tcase_add_loop_test(t, heun_is_the_plain_loop, 0, 4);
    tcase_add_test(t, heun_averages_velocities);
    tcase_add_test(t, churn_is_algorithm_2);
    tcase_add_test(t, chains_begin_with);
    tcase_add_test(t, what_auto_is);
    tcase_add_test(t, floor_leaves_the_first_call);
    suite_add_tcase(s, t);
    return s;
}
