/* Every table through a roll-out and through the learning chain: rows, what they hand on, log-probabilities. */
#include "../../lib/diffusion/affine.h"
#include "../../lib/diffusion/chain_grad.h"
#include "small_model.h"

#include <string.h>

enum { BATCH = 2, STEPS = 5, HORIZON = 2, COLS = 2, COND = 2, ELEMS = HORIZON * COLS, TOTAL = BATCH * ELEMS, SEED = 2 };

typedef struct table_case {
    int32_t process, sampler;
    double eta, churn;
    int32_t jumps;
} table_case;

enum { VP = DMC__PROCESS_VP, GRID = DMC__PROCESS_VP_GRID, SDE = DMC__PROCESS_VP_SDE, EDM = DMC__PROCESS_EDM,
       FLOW = DMC__PROCESS_FLOW };

static const table_case cases[] = {
    {VP, DMC__SAMPLER_DDPM, 0, 0, 1}, {VP, DMC__SAMPLER_DDIM, .6, 0, 2},
    {EDM, DMC__SAMPLER_DDPM, 0, 0, 1}, {FLOW, DMC__SAMPLER_DDIM, .6, 0, 2},
    {FLOW, DMC__SAMPLER_DDIM, 1, 0, 1}, {EDM, DMC__SAMPLER_EULER, 0, 2, 1},
    {EDM, DMC__SAMPLER_HEUN, 0, 2, 1}, {FLOW, DMC__SAMPLER_HEUN, 0, 0, 1},
    {SDE, DMC__SAMPLER_EULER_MARUYAMA, 0, 0, 1}, {VP, DMC__SAMPLER_EULER_MARUYAMA, 0, 0, 1},
    {EDM, DMC__SAMPLER_EULER_MARUYAMA, 0, 0, 2}, {FLOW, DMC__SAMPLER_FLOW_SDE, 0, 0, 1},
    {FLOW, DMC__SAMPLER_REINFLOW, 0, 0, 1}, {SDE, DMC__SAMPLER_DPMPP_2M, 0, 0, 1},
    {GRID, DMC__SAMPLER_SDE_DPM, 0, 0, 2}, {FLOW, DMC__SAMPLER_SDE_DPMPP, 0, 0, 1},
    {SDE, DMC__SAMPLER_SDE_DPMPP, 0, 0, 1}, {GRID, DMC__SAMPLER_SDE_DPMPP_2M, 0, 0, 1},
    {FLOW, DMC__SAMPLER_SDE_DPMPP_2M, 0, 0, 1}, {EDM, DMC__SAMPLER_SDE_DPMPP_2M, 0, 0, 1},
};
enum { CASES = sizeof cases / sizeof *cases };

typedef struct lab {
    small_model m;
    dmc__rollout *r, *last; /* with the chain, and without */
    dmc__chain *c;
    void *grads;
} lab;

static int32_t own_prediction(int32_t process)
{
    return process == EDM ? DMC__PREDICT_EDM : process == FLOW ? DMC__PREDICT_VELOCITY : DMC__PREDICT_V;
}

static dmc__rollout *run_of(const lab *l, const table_case *k, double std_floor, int32_t keep_chain)
{
    dmc__table_config c = dmc__table_defaults(&l->m.process);
    float *cond = some_floats(BATCH * COND, 1, 1);
    c.sampler = k->sampler;
    c.steps = STEPS;
    c.eta = k->eta;
    c.churn = k->churn;
    c.churn_max = 1e3;
    c.jump = 2;
    c.jumps = k->jumps;
    c.std_floor = std_floor;
    dmc__rollout *r = small_model_rollout(&l->m, &c, BATCH, keep_chain);
    ok(dmc__rollout_set_cond(r, cond));
    ok(dmc__rollout_run(r, SEED, 0, 0, 1));
    free(cond);
    return r;
}

static void open_lab(lab *l, const char *device, const table_case *k, double std_floor, double clip)
{
    const small_model_config c = {.device = device, .process = k->process, .predict = own_prediction(k->process), .steps = 8,
                                  .horizon = HORIZON, .cols = COLS, .cond = COND, .clip = clip};
    small_model_open(&l->m, &c);
    l->r = run_of(l, k, std_floor, 1);
    l->last = run_of(l, k, std_floor, 0);
    ok(dmc__dev_alloc(l->m.device, l->m.n, &l->grads));
    ok(dmc__chain_create(l->m.net, l->m.device, BATCH, 1, NULL, &l->c));
    dmc__chain_bind(l->c, l->m.weights, l->grads);
}

static void close_lab(lab *l)
{
    dmc__chain_destroy(l->c);
    dmc__dev_free(l->m.device, l->grads, l->m.n);
    dmc__rollout_destroy(l->r);
    dmc__rollout_destroy(l->last);
    small_model_close(&l->m);
}

static double noise(int32_t k, int i)
{
    const dmc__stream s = {.seed = SEED, .purpose = DMC_STREAM_STEP, .step = (uint64_t)k, .sample = (uint64_t)(i / ELEMS)};
    return dmc__rng_normal(&s, (uint32_t)(i % ELEMS));
}

/* ---- rows ------------------------------------------------------------------------------------------------- */

/* Latent k + 1 from latent k as table.h states it; h is what was handed on. */
static void assert_row(lab *l, int32_t k, double *h)
{
    const dmc__row *row = dmc__rollout_row(l->r, k);
    const double *z = dmc__rollout_latent(l->r, k), *next = dmc__rollout_latent(l->r, k + 1), *carry = dmc__rollout_carry(l->r, k);
    const double clip = dmc__rollout_clip(l->r), seen[BATCH] = {row->at.seen, row->at.seen};
    ok(dmc__chain_network(l->c, z, seen, dmc__rollout_cond(l->r), NULL));
    const double *f = dmc__chain_output(l->c);
    for (int i = 0; i < TOTAL; i++) {
        const double p = row->P * z[i] + row->Q * f[i], x = clip > 0 ? fmin(fmax(p, -clip), clip) : p;
        const double wanted = row->a * x + row->b * z[i] + row->d * h[i] + row->S * noise(k, i);
        if (row->d != 0) ck_assert_double_eq_tol(carry[i], h[i], 1e-11);
        ck_assert_double_eq_tol(next[i], wanted, 1e-11 * (1 + fabs(wanted)));
        if (row->u != 0 || row->w != 0) h[i] = row->u * x + row->w * z[i];
    }
}

START_TEST(chain_is_the_table)
{
    lab l;
    double h[TOTAL] = {0};
    open_lab(&l, "ref64", &cases[_i], 0, .8);
    const int32_t rows = dmc__rollout_rows(l.r);
    for (int32_t k = 0; k < rows; k++) assert_row(&l, k, h);
    ck_assert_mem_eq(dmc__rollout_sample(l.last), dmc__rollout_latent(l.r, rows), TOTAL * sizeof(double));
    close_lab(&l);
}
END_TEST

/* A step runs up to the row that ends it: as many steps as the table has, whatever its rows. */
START_TEST(steps_end_where_rows_do)
{
    lab l;
    open_lab(&l, "cpu", &cases[_i], 0, 0);
    const dmc__rollout_draw draw = {SEED, 0, 0};
    int32_t steps = 0, ends = 0;
    for (int32_t k = 0; k < dmc__rollout_rows(l.last); k++) {
        const dmc__row *row = dmc__rollout_row(l.last, k);
        ends += row->network && row->ends;
    }
    ok(dmc__rollout_begin(l.last, &draw, 1));
    while (dmc__rollout_next(l.last) < dmc__rollout_rows(l.last)) {
        ok(dmc__rollout_step(l.last));
        ck_assert(dmc__rollout_row(l.last, dmc__rollout_next(l.last) - 1)->ends);
        steps++;
    }
    ck_assert_int_eq(steps, ends);
    ck_assert_mem_eq(dmc__rollout_sample(l.last), dmc__rollout_latent(l.r, dmc__rollout_rows(l.r)), TOTAL * sizeof(float));
    close_lab(&l);
}
END_TEST

/* ---- log-probability ---------------------------------------------------------------------------------------- */

static dmc_kargs logp_args(const lab *l, int32_t k, const void *mu, void *out)
{
    return (dmc_kargs){.in = {dmc__rollout_latent(l->r, k + 1), mu}, .out = out, .dim = {BATCH, ELEMS},
                       .attr = {dmc__rollout_row(l->r, k)->logp_std, 0, -1e30, 1e30}};
}

static void log_probability(lab *l, int32_t k, void *mu, void *scratch, float *logp)
{
    ok(dmc__chain_mean(l->c, l->r, k, dmc__rollout_latent(l->r, k), mu));
    dmc_kargs args = logp_args(l, k, mu, scratch);
    ok(dmc__dev_run(l->m.device, DMC_OP_GAUSS_LOGP, &args));
    ok(dmc__dev_out(l->m.device, logp, scratch, BATCH));
}

/* The learning chain's network, through the row with the roll-out's noise and what it was handed, lands on the stored
 * latent to the bit. */
static void assert_row_replays(lab *l, int32_t k, void *xi, void *next, void *h)
{
    const dmc__row *row = dmc__rollout_row(l->r, k);
    dmc__affine a = {.device = l->m.device, .batch = BATCH, .elems = ELEMS, .clip = dmc__rollout_clip(l->r)};
    ok(dmc__affine_noise(&a, &(dmc__noise_key){.seed = SEED, .step = (uint64_t)k, .purpose = DMC_STREAM_STEP}, xi));
    if (dmc__rollout_carry(l->r, k)) {
        ok(dmc__dev_copy(l->m.device, h, dmc__rollout_carry(l->r, k), TOTAL));
        a.carry = h;
    }
    ok(dmc__affine_step(&a, row, dmc__rollout_latent(l->r, k), dmc__chain_output(l->c), row->S > 0 ? xi : NULL, next));
    ck_assert_mem_eq(next, dmc__rollout_latent(l->r, k + 1), TOTAL * sizeof(float));
}

static void check_replay(const char *device, const table_case *c)
{
    lab l;
    void *mu, *xi, *next, *h;
    open_lab(&l, device, c, .05, .8);
    void **const all[] = {&mu, &xi, &next, &h};
    for (int i = 0; i < 4; i++) ok(dmc__dev_alloc(l.m.device, TOTAL, all[i]));
    const int32_t rows = dmc__rollout_rows(l.r);
    for (int32_t k = 0; k < rows; k++) {
        float old[BATCH], other[BATCH], now[BATCH];
        if (!dmc__rollout_row(l.r, k)->network) continue;
        log_probability(&l, k, mu, xi, old);
        assert_row_replays(&l, k, xi, next, h);
        if (dmc__rollout_row(l.r, rows - 1 - k)->network) log_probability(&l, rows - 1 - k, mu, xi, other);
        log_probability(&l, k, mu, xi, now);
        for (int b = 0; b < BATCH; b++) ck_assert(exp(now[b] - old[b]) == 1);
    }
    for (int i = 0; i < 4; i++) dmc__dev_free(l.m.device, *all[i], TOTAL);
    close_lab(&l);
}

START_TEST(replay_is_exact)
{
    check_replay("ref", &cases[_i]);
    check_replay("cpu", &cases[_i]);
}
END_TEST

typedef struct logp_problem {
    lab *l;
    void *mu, *dmu, *logp, *seed;
    int32_t row;
} logp_problem;

static double weighted_logp(void *self)
{
    const logp_problem *p = self;
    const double *logp = p->logp, *seed = p->seed;
    double sum = 0;
    ok(dmc__chain_mean(p->l->c, p->l->r, p->row, dmc__rollout_latent(p->l->r, p->row), p->mu));
    dmc_kargs k = logp_args(p->l, p->row, p->mu, p->logp);
    ok(dmc__dev_run(p->l->m.device, DMC_OP_GAUSS_LOGP, &k));
    for (int b = 0; b < BATCH; b++) sum += seed[b] * logp[b];
    return sum;
}

/* d log pi / d weights, and / d z where nothing was taken up: for an h that is kept, its own path is not asked about. */
static void check_logp_gradient(lab *l, int32_t row)
{
    dmc__device *d = l->m.device;
    logp_problem p = {.l = l, .row = row};
    const int32_t with_z = dmc__rollout_row(l->r, row)->d == 0;
    void *dz;
    ok(dmc__dev_alloc(d, TOTAL, &p.mu));
    ok(dmc__dev_alloc(d, TOTAL, &p.dmu));
    ok(dmc__dev_alloc(d, TOTAL, &dz));
    ok(dmc__dev_alloc(d, BATCH, &p.logp));
    p.seed = some_device_floats(d, BATCH, 5, 1);
    memset(l->grads, 0, l->m.n * sizeof(double));
    weighted_logp(&p);
    dmc_kargs k = logp_args(l, row, p.mu, p.logp);
    k.dout = p.seed;
    k.din[1] = p.dmu;
    ok(dmc__dev_run_bwd(d, DMC_OP_GAUSS_LOGP, &k));
    if (!with_z) ck_assert_int_eq(dmc__chain_backward(l->c, p.dmu, 1, dz), DMC_EINVAL);
    ok(dmc__chain_backward(l->c, p.dmu, 1, with_z ? dz : NULL));
    double *numeric = differences(l->m.weights, l->m.n, weighted_logp, &p);
    assert_gradients(l->grads, numeric, l->m.n);
    free(numeric);
    if (with_z) {
        numeric = differences(dmc__rollout_latent(l->r, row), TOTAL, weighted_logp, &p);
        assert_gradients(dz, numeric, TOTAL);
        free(numeric);
    }
    void *const all[] = {p.mu, p.dmu, dz};
    for (int i = 0; i < 3; i++) dmc__dev_free(d, all[i], TOTAL);
    dmc__dev_free(d, p.logp, BATCH);
    dmc__dev_free(d, p.seed, BATCH);
}

START_TEST(logp_gradient_by_differences)
{
    lab l;
    int32_t checked = 0;
    open_lab(&l, "ref64", &cases[_i], .3, 0);
    for (int32_t k = 0; k < dmc__rollout_rows(l.r); k++) {
        const dmc__row *row = dmc__rollout_row(l.r, k);
        if (!row->network || !row->ends) continue;
        ck_assert(row->S > 0 && row->logp_std == row->S);
        check_logp_gradient(&l, k);
        checked++;
    }
    ck_assert_int_ge(checked, STEPS);
    close_lab(&l);
}
END_TEST

Suite *dmc_suite_rollout_tables(void);
Suite *dmc_suite_rollout_tables(void)
{
    Suite *const s = suite_create("rollout_tables");
    TCase *const t = tcase_create("rollout_tables");
    tcase_add_loop_test(t, chain_is_the_table, 0, CASES);
    tcase_add_loop_test(t, steps_end_where_rows_do, 0, CASES);
    tcase_add_loop_test(t, replay_is_exact, 0, CASES);
    tcase_add_loop_test(t, logp_gradient_by_differences, 0, CASES);
    suite_add_tcase(s, t);
    return s;
}
