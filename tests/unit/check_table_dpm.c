#include "exact_rows.h"

/* ---- the solvers as networks.md 2.3 has them, in alpha, sigma and h ----------------------------------------- */

typedef struct peer {
    double a, s, to_a, to_s, h;
} peer;

static peer peer_step(const dmc__row *r)
{
    peer p = {r->at.alpha, r->at.sigma, r->to.alpha, r->to.sigma, 0};
    p.h = log(p.to_a / p.to_s) - log(p.a / p.s);
    return p;
}

/* Mean and deviation from z with the prediction D (of 2M: extrapolated). */
static double peer_mean(int32_t sampler, const peer *p, double z, double D, double *std)
{
    const double eps = (z - p->a * D) / p->s;
    *std = 0;
    switch (sampler) {
    case DMC__SAMPLER_DPM: return p->to_a / p->a * z - p->to_s * expm1(p->h) * eps;
    case DMC__SAMPLER_DPMPP: case DMC__SAMPLER_DPMPP_2M: return p->to_s / p->s * z - p->to_a * expm1(-p->h) * D;
    case DMC__SAMPLER_SDE_DPM:
        *std = p->to_s * sqrt(expm1(2 * p->h));
        return p->to_a / p->a * z - 2 * p->to_s * expm1(p->h) * eps;
    default:
        *std = p->to_s * sqrt(-expm1(-2 * p->h));
        return p->to_s / p->s * exp(-p->h) * z - p->to_a * expm1(-2 * p->h) * D;
    }
}

static int32_t is_2m(int32_t sampler)
{
    return sampler == DMC__SAMPLER_DPMPP_2M || sampler == DMC__SAMPLER_SDE_DPMPP_2M;
}

/* D = (1 + .5/r) x - .5/r x_before, r = h_before/h; x alone in the first step. */
static double extrapolated(int32_t k, double x, double before, double h, double h_before)
{
    return k == 0 ? x : (1 + .5 * h / h_before) * x - .5 * h / h_before * before;
}

/* The whole chain, row by row, with the peer's arithmetic; `finite` rows, the others lead to the clean level. */
static void assert_like_peer(const dmc__table *t, int32_t sampler, int32_t finite)
{
    double z = .6, h = 0, before = 0, h_before = 0;
    for (int32_t k = 0; k < finite; k++) {
        const dmc__row *row = &t->row[k];
        const peer p = peer_step(row);
        const double x = two_modes_x0(z, row->at.alpha, row->at.sigma);
        const double D = is_2m(sampler) ? extrapolated(k, x, before, p.h, h_before) : x;
        double std;
        const double mean = peer_mean(sampler, &p, z, D, &std), xi = sin(3. * k);
        const double next = two_modes_row(row, z, &h, xi);
        assert_near(row->S, std, 1e-11);
        assert_near(next, mean + std * xi, 1e-10);
        z = next, before = x, h_before = p.h;
    }
}

static const int32_t solver[] = {DMC__SAMPLER_DPM, DMC__SAMPLER_DPMPP, DMC__SAMPLER_DPMPP_2M, DMC__SAMPLER_SDE_DPM,
                                 DMC__SAMPLER_SDE_DPMPP, DMC__SAMPLER_SDE_DPMPP_2M};

/* Solver _i on every process but flow: formulas in h; the last row is the prediction without noise. */
START_TEST(solvers_are_the_peers)
{
    for (int32_t kind = 0; kind < DMC__PROCESS_FLOW; kind++) {
        dmc__process p = plain_process(kind, 30);
        dmc__table_config c = table_of(&p, solver[_i], 9);
        dmc__table t = exact_table(&p, &c);
        assert_like_peer(&t, solver[_i], 8);
        const dmc__row *last = &t.row[8];
        ck_assert(last->a == 1 && last->b == 0 && last->d == 0 && last->S == 0);
        dmc__table_free(&t);
        dmc__process_free(&p);
    }
}
END_TEST

/* Identities on every process, flow included: SDE-DPM++(1) is DDPM. */
START_TEST(sde_plusplus_is_ddpm)
{
    for (int32_t kind = 0; kind < DMC__PROCESSES; kind++) {
        dmc__process p = plain_process(kind, 20);
        dmc__table_config c = table_of(&p, DMC__SAMPLER_SDE_DPMPP, 8);
        dmc__table t = exact_table(&p, &c);
        c.sampler = DMC__SAMPLER_DDPM;
        dmc__table ddpm = exact_table(&p, &c);
        for (int32_t k = 0; k < 8; k++) {
            assert_near(t.row[k].a, ddpm.row[k].a, 1e-13);
            assert_near(t.row[k].b, ddpm.row[k].b, 1e-13);
            assert_near(t.row[k].S, ddpm.row[k].S, 1e-13);
        }
        dmc__table_free(&t);
        dmc__table_free(&ddpm);
        dmc__process_free(&p);
    }
}
END_TEST

/* Flow's first level has no lambda: 2M is of first order there and after it, and then the peer's. */
START_TEST(second_order_on_flow)
{
    for (int32_t sde = 0; sde < 2; sde++) {
        const int32_t sampler = sde ? DMC__SAMPLER_SDE_DPMPP_2M : DMC__SAMPLER_DPMPP_2M;
        dmc__process p = plain_process(DMC__PROCESS_FLOW, 20);
        dmc__table_config c = table_of(&p, sampler, 8);
        dmc__table t = exact_table(&p, &c);
        ck_assert(t.row[0].d == 0 && t.row[1].d == 0 && t.row[7].d == 0 && t.row[7].u == 0);
        for (int32_t k = 2; k < 7; k++) {
            const peer now = peer_step(&t.row[k]), before = peer_step(&t.row[k - 1]);
            double std;
            const double D = extrapolated(k, -.3, .2, now.h, before.h), mean = peer_mean(sampler, &now, .8, D, &std);
            double h = .2;
            assert_near(apply_row(&t.row[k], -.3, .8, &h, 1), mean + std, 1e-12);
            ck_assert(h == -.3);
        }
        dmc__table_free(&t);
        dmc__process_free(&p);
    }
}
END_TEST

/* ---- CleanDiffuser's tables ---------------------------------------------------------------------------------- */

/* The last row ends at the first level of the grid, with noise where the solver has some. */
START_TEST(compat_ends_at_a_level)
{
    for (int32_t kind = DMC__PROCESS_VP_GRID; kind <= DMC__PROCESS_VP_SDE; kind++)
        for (size_t i = 0; i < 6; i++) {
            dmc__process p = plain_process(kind, 30);
            dmc__table_config c = table_of(&p, solver[i], 7);
            c.compat = 1;
            dmc__table t = exact_table(&p, &c);
            assert_like_peer(&t, solver[i], 7);
            assert_near(t.row[6].to.alpha, .999979, 1e-6);
            assert_near(t.row[6].to.sigma, .006425, 1e-6);
            ck_assert((t.row[6].S > 0) == (solver[i] >= DMC__SAMPLER_SDE_DPM));
            dmc__table_free(&t);
            dmc__process_free(&p);
        }
}
END_TEST

/* ddpm: (a'/a)(z - s eps) + sqrt(s'^2 - std^2 + 1e-8) eps, std z but in the last step; ddim: a' x + s' eps. */
START_TEST(compat_ddpm_and_ddim)
{
    dmc__process p = plain_process(DMC__PROCESS_VP_GRID, 20);
    for (int32_t sampler = DMC__SAMPLER_DDPM; sampler <= DMC__SAMPLER_DDIM; sampler++) {
        dmc__table_config c = table_of(&p, sampler, 20);
        c.compat = 1;
        dmc__table t = exact_table(&p, &c);
        for (int32_t k = 0; k < 20; k++) {
            const dmc__row *r = &t.row[k];
            const double a = r->at.alpha, s = r->at.sigma, to_a = r->to.alpha, to_s = r->to.sigma, x = -.3, z = .8;
            const double std = sampler ? 0 : to_s / s * sqrt(1 - a / to_a * (a / to_a)), eps = (z - a * x) / s;
            const double wanted = to_a * x + (sampler ? to_s : sqrt(to_s * to_s - std * std + 1e-8)) * eps;
            double none = 0;
            assert_near(apply_row(r, x, z, &none, 0), wanted, 1e-12);
            assert_near(r->S, k < 19 ? std : 0, 1e-9);
        }
        ck_assert(t.row[19].at.time == 0 && t.row[19].to.time == 0); /* S = T: index 0 twice */
        dmc__table_free(&t);
    }
    dmc__process_free(&p);
}
END_TEST

/* EDM's nodes are one more, the last of them sigma_min, where the chain ends; Heun's last step is Euler's. */
START_TEST(compat_edm)
{
    for (int32_t sampler = DMC__SAMPLER_EULER; sampler <= DMC__SAMPLER_HEUN; sampler++) {
        dmc__process p = plain_process(DMC__PROCESS_EDM, 20);
        dmc__table_config c = table_of(&p, sampler, 5);
        c.compat = 1;
        dmc__table t = exact_table(&p, &c);
        double z = .6, h = 0, y = z / t.row[0].at.alpha;
        for (int32_t k = 0; k < t.k; k++) z = two_modes_row(&t.row[k], z, &h, 0);
        for (int32_t i = 5; i > 0; i--) {
            const double low = pow(.002, 1 / 7.), high = pow(80, 1 / 7.);
            const double s = pow(low + i / 5. * (high - low), 7), to = pow(low + (i - 1) / 5. * (high - low), 7);
            const double d = (y - two_modes_x0(y, 1, s)) / s, e = y + (to - s) * d;
            y = sampler == DMC__SAMPLER_HEUN && i > 1 ? y + (to - s) * (d + (e - two_modes_x0(e, 1, to)) / to) / 2 : e;
        }
        assert_near(t.row[t.k - 1].to.time, .002, 1e-15);
        assert_near(z / t.row[t.k - 1].to.alpha, y, 1e-10);
        dmc__table_free(&t);
        dmc__process_free(&p);
    }
}
END_TEST

/* Legacy DDPM and the Euler of rectified flow are what we have anyway. */
START_TEST(compat_where_both_agree)
{
    static const int32_t kinds[] = {DMC__PROCESS_VP, DMC__PROCESS_FLOW};
    for (int32_t i = 0; i < 2; i++) {
        dmc__process p = plain_process(kinds[i], 20);
        dmc__table_config c = table_of(&p, DMC__SAMPLER_AUTO, 20);
        dmc__table ours = exact_table(&p, &c);
        c.compat = 1;
        dmc__table t = exact_table(&p, &c);
        ck_assert_mem_eq(t.row, ours.row, 20 * sizeof *t.row);
        dmc__table_free(&t);
        dmc__table_free(&ours);
        dmc__process_free(&p);
    }
}
END_TEST

/* ---- everything is finite ------------------------------------------------------------------------------------ */

static void assert_finite(const dmc__table *t, int32_t kind, int32_t sampler)
{
    for (int32_t k = 0; k < t->k; k++) {
        const dmc__row *r = &t->row[k];
        const double v[] = {r->P, r->Q, r->a, r->b, r->d, r->S, r->u, r->w, r->logp_std, r->at.seen};
        for (size_t i = 0; i < sizeof v / sizeof *v; i++)
            ck_assert_msg(isfinite(v[i]), "process %d, sampler %d, row %d of %d, number %zu: %g", kind, sampler, k, t->k, i, v[i]);
        ck_assert(r->S >= 0 && r->logp_std > 0);
    }
}

/* Every sampler on every process and grid that suits it, few steps and many, levels that coincide (vp_grid, T = 400, where
 * the cosine's last two per cent are one). */
START_TEST(every_table_is_finite)
{
    int32_t made = 0;
    for (int32_t kind = 0; kind < DMC__PROCESSES; kind++) {
        dmc__process p = some_process(kind, DMC__SCHEDULE_COSINE, kind == DMC__PROCESS_FLOW ? DMC__PREDICT_VELOCITY :
                                      DMC__PREDICT_EDM, 400);
        for (int32_t sampler = 0; sampler < DMC__SAMPLERS; sampler++)
            for (int32_t grid = 0; grid < DMC__GRIDS; grid++)
                for (int32_t n = 0; n < 8; n++) {
                    dmc__table_config c = table_of(&p, sampler, (const int32_t[]){1, 2, 3, 400}[n % 4]);
                    dmc__table t;
                    c.grid = grid;
                    c.compat = n / 4;
                    if (dmc__table_create(&dmc__default_allocator, &p, &c, &t) == DMC_OK) {
                        assert_finite(&t, kind, sampler);
                        made++;
                    }
                    dmc__table_free(&t);
                }
        dmc__process_free(&p);
    }
    ck_assert_int_gt(made, 1000);
}
END_TEST

Suite *dmc_suite_table_dpm(void);
Suite *dmc_suite_table_dpm(void)
{
    Suite *const s = suite_create("table_dpm");
    TCase *const t = tcase_create("table_dpm");
    tcase_add_loop_test(t, solvers_are_the_peers, 0, 6);
    tcase_add_test(t, sde_plusplus_is_ddpm);
    tcase_add_test(t, second_order_on_flow);
    tcase_add_test(t, compat_ends_at_a_level);
    tcase_add_test(t, compat_ddpm_and_ddim);
    tcase_add_test(t, compat_edm);
    tcase_add_test(t, compat_where_both_agree);
    tcase_add_test(t, every_table_is_finite);
    suite_add_tcase(s, t);
    return s;
}
