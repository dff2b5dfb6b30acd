/* check_inpaint.c — known entries in roll-outs and in training: both conventions, every process, and what becomes of the rest. */
#include "linear_net.h"

#include "../../lib/diffusion/denoise.h"

#include <string.h>

enum { BATCH = 6, STEPS = 6, HORIZON = 2, COLS = 3, ELEMS = HORIZON * COLS, ALL = BATCH * ELEMS };

static const int32_t predictions[DMC__PROCESSES] = {DMC__PREDICT_EPSILON, DMC__PREDICT_EPSILON, DMC__PREDICT_V, DMC__PREDICT_EDM,
                                                    DMC__PREDICT_VELOCITY};

/* A small model on this process. */
static void open_on(small_model *m, const char *device, int32_t kind)
{
    const small_model_config c = {.device = device, .steps = 8, .horizon = HORIZON, .cols = COLS, .clip = 2};
    dmc__process_config p = dmc__process_defaults();
    small_model_open(m, &c);
    dmc__process_free(&m->process);
    p.kind = kind;
    p.predict = predictions[kind];
    p.schedule = kind == DMC__PROCESS_VP ? DMC__SCHEDULE_COSINE : DMC__SCHEDULE_LINEAR;
    p.steps = 8;
    p.clip = 2;
    ok(dmc__process_create(&dmc__default_allocator, &p, &m->process));
}

static dmc__rollout *rollout(const small_model *m, const dmc__table_config *c, int32_t batch, int32_t noised, int32_t keep)
{
    const dmc__rollout_config config = {.batch = batch, .group = 1, .keep_chain = keep, .noised_known = noised};
    dmc__rollout *r;
    dmc__table t;
    ok(dmc__table_create(&dmc__default_allocator, &m->process, c, &t));
    ok(dmc__rollout_create(m->net, m->device, &t, &config, &r));
    dmc__table_free(&t);
    dmc__rollout_bind(r, m->weights, NULL, dmc__rollout_rows(r));
    return r;
}

/* Every other entry, another one in every sample; values that no noise and no arithmetic would hit. */
static void know(dmc__rollout *r, int32_t first, float mask[ALL], float known[ALL])
{
    float *values = some_floats(ALL, 3, 1.7);
    for (int i = 0; i < ALL; i++) mask[i] = (i / ELEMS + i % ELEMS) % 2;
    memcpy(known, values, ALL * sizeof *known);
    ok(dmc__rollout_set_known(r, mask + first * ELEMS, known + first * ELEMS));
    free(values);
}

static dmc__table_config table_of(int32_t sampler, int32_t jumps)
{
    return (dmc__table_config){.sampler = sampler, .grid = DMC__GRID_AUTO, .steps = STEPS, .rho = 7, .churn_noise = 1, .jump = 2,
                               .jumps = jumps};
}

static double known_normal(uint64_t step, int i, uint64_t first)
{
    const dmc__stream s = {.seed = 5, .purpose = DMC_STREAM_KNOWN, .step = step, .sample = first + (uint64_t)(i / ELEMS)};
    return dmc__rng_normal(&s, (uint32_t)(i % ELEMS));
}

/* ---- G1 -------------------------------------------------------------------------------------------------- */

/* Known entries of latent k: the floats themselves where they are clean, and in the sample; else at the level of row k. */
static void assert_known(const dmc__rollout *r, int32_t k, int32_t noised, const float *z, const float *mask, const float *known)
{
    const int32_t end = k == dmc__rollout_rows(r);
    const dmc__level at = end ? dmc__process_clean() : dmc__rollout_row(r, k)->at;
    for (int i = 0; i < ALL; i++) {
        if (mask[i] == 0) {
            ck_assert(memcmp(&z[i], &known[i], sizeof *z) != 0 && isfinite(z[i]));
        } else if (end || !noised) {
            ck_assert_msg(memcmp(&z[i], &known[i], sizeof *z) == 0, "latent %d entry %d: %g, known %g", k, i, z[i], known[i]);
        } else {
            const double want = at.alpha * known[i] + at.sigma * known_normal(3 * 4096 + (uint64_t)k, i, 11);
            ck_assert_msg(fabs(z[i] - want) < 1e-5 * (1 + fabs(want)), "latent %d entry %d: %g, want %g", k, i, z[i], want);
        }
    }
}

static void walk_with(const small_model *m, const dmc__table_config *c, int32_t noised)
{
    float mask[ALL], known[ALL];
    dmc__rollout *r = rollout(m, c, BATCH, noised, 1);
    know(r, 0, mask, known);
    ok(dmc__rollout_run(r, 5, 3, 11, 1));
    for (int32_t k = 0; k <= dmc__rollout_rows(r); k++) {
        float *z = copy_from_device(m->device, dmc__rollout_latent(r, k), ALL);
        assert_known(r, k, noised, z, mask, known);
        free(z);
    }
    dmc__rollout_destroy(r);
}

static const char *const devices[] = {"ref", "cpu"};

START_TEST(known_entries_come_out)
{
    small_model m;
    open_on(&m, devices[_i % 2], _i / 2);
    for (int32_t noised = 0; noised < 2; noised++) {
        const dmc__table_config plain = table_of(DMC__SAMPLER_AUTO, 1), jumps = table_of(DMC__SAMPLER_DDPM, 3),
                                heun = table_of(DMC__SAMPLER_HEUN, 1), memory = table_of(DMC__SAMPLER_DPMPP_2M, 1);
        walk_with(&m, &plain, noised);
        walk_with(&m, &jumps, noised);
        walk_with(&m, &heun, noised);
        walk_with(&m, &memory, noised);
    }
    small_model_close(&m);
}
END_TEST

/* Stopped after any step, and begun anywhere with given samples. */
START_TEST(known_entries_survive_stops_and_forks)
{
    float mask[ALL], known[ALL];
    small_model m;
    open_on(&m, "cpu", DMC__PROCESS_VP);
    const dmc__table_config c = table_of(DMC__SAMPLER_DDPM, 1);
    dmc__rollout *r = rollout(&m, &c, BATCH, _i, 0);
    void *x0 = some_device_floats(m.device, ALL, 6, .5);
    know(r, 0, mask, known);
    for (int32_t n = 1; n <= STEPS; n++) {
        const int32_t from = n == 1 ? 2 : 0, steps = n == 1 ? 1 : n;
        if (from) ok(dmc__rollout_begin_from(r, x0, from, &(dmc__rollout_draw){5, 3, 11}, NULL, 1));
        else ok(dmc__rollout_begin(r, &(dmc__rollout_draw){5, 3, 11}, 1));
        for (int32_t k = 0; k < steps; k++) ok(dmc__rollout_step(r));
        ok(dmc__rollout_stop(r));
        float *z = copy_from_device(m.device, dmc__rollout_sample(r), ALL);
        for (int i = 0; i < ALL; i++) ck_assert((mask[i] != 0) == (memcmp(&z[i], &known[i], sizeof *z) == 0));
        free(z);
    }
    dmc__dev_free(m.device, x0, ALL);
    dmc__rollout_destroy(r);
    small_model_close(&m);
}
END_TEST

START_TEST(batches_may_be_cut)
{
    static const int32_t from[3] = {0, 0, 2}, size[3] = {BATCH, 2, 4};
    const dmc__table_config c = table_of(DMC__SAMPLER_DDPM, 2);
    small_model m;
    float *z[3], mask[ALL], known[ALL];
    open_on(&m, devices[_i], DMC__PROCESS_VP);
    for (int j = 0; j < 3; j++) {
        dmc__rollout *r = rollout(&m, &c, size[j], 1, 0);
        know(r, from[j], mask, known);
        ok(dmc__rollout_run(r, 3, 9, 100 + (uint64_t)from[j], .9));
        z[j] = copy_from_device(m.device, dmc__rollout_sample(r), (size_t)size[j] * ELEMS);
        dmc__rollout_destroy(r);
    }
    ck_assert_mem_eq(z[0], z[1], 2 * ELEMS * sizeof(float));
    ck_assert_mem_eq(z[0] + 2 * ELEMS, z[2], 4 * ELEMS * sizeof(float));
    for (int j = 0; j < 3; j++) free(z[j]);
    small_model_close(&m);
}
END_TEST

/* ---- what stands on it ------------------------------------------------------------------------------------- */

/* The means alignment computes from the latents that were kept are the ones the roll-out made them of. */
START_TEST(replay_is_exact)
{
    const dmc__table_config c = {.sampler = DMC__SAMPLER_DDIM, .grid = DMC__GRID_LINSPACE, .steps = STEPS};
    float mask[ALL], known[ALL];
    small_model m;
    dmc__chain *chain;
    void *mu;
    open_on(&m, "ref64", DMC__PROCESS_VP);
    dmc__rollout *r = rollout(&m, &c, BATCH, _i, 1);
    know(r, 0, mask, known);
    ok(dmc__rollout_run(r, 5, 3, 11, 1));
    ok(dmc__chain_create(m.net, m.device, BATCH, 0, NULL, &chain));
    dmc__chain_bind(chain, m.weights, NULL);
    ok(dmc__dev_alloc(m.device, ALL, &mu));
    for (int32_t k = 0; k < dmc__rollout_rows(r); k++) {
        ok(dmc__chain_mean(chain, r, k, dmc__rollout_latent(r, k), mu));
        const double *next = dmc__rollout_latent(r, k + 1);
        for (int i = 0; i < ALL; i++)
            if (mask[i] == 0) ck_assert_double_eq_tol(((double *)mu)[i], next[i], 1e-13);
    }
    dmc__dev_free(m.device, mu, ALL);
    dmc__chain_destroy(chain);
    dmc__rollout_destroy(r);
    small_model_close(&m);
}
END_TEST

/* A run of 2M that begins with a row has no prediction before: it begins as one of first order, whatever ran before. */
START_TEST(nothing_is_handed_on_to_a_beginning)
{
    enum { FROM = 3 };
    small_model m;
    float *first[2];
    open_on(&m, "cpu", DMC__PROCESS_VP);
    for (int two = 0; two < 2; two++) {
        const dmc__table_config c = table_of(two ? DMC__SAMPLER_DPMPP_2M : DMC__SAMPLER_DPMPP, 1);
        dmc__rollout *r = rollout(&m, &c, BATCH, 0, 1);
        void *x0 = some_device_floats(m.device, ALL, 6, .5);
        ck_assert(!two || dmc__rollout_row(r, FROM)->d != 0);
        ok(dmc__rollout_run(r, 5, 3, 11, 1));
        ok(dmc__rollout_run_from(r, x0, FROM, 5, 4, 11, NULL));
        first[two] = copy_from_device(m.device, dmc__rollout_latent(r, FROM + 1), ALL);
        dmc__dev_free(m.device, x0, ALL);
        dmc__rollout_destroy(r);
    }
    for (int i = 0; i < ALL; i++) ck_assert_float_eq_tol(first[0][i], first[1][i], 1e-5);
    free(first[0]);
    free(first[1]);
    small_model_close(&m);
}
END_TEST

/* Training noises known entries as the model says, and they never count. */
START_TEST(training_has_both_conventions)
{
    static const uint64_t sample[BATCH] = {0, 1, 2, 3, 4, 5};
    const double time[BATCH] = {7, 3, 0, 5, 1, 6};
    float mask[ALL], *x0 = some_floats(ALL, 8, .5), err[2][BATCH];
    small_model m;
    dmc__chain *chain;
    dmc__denoise *n;
    const void *z;
    void *target;
    open_on(&m, "ref64", DMC__PROCESS_VP);
    ok(dmc__chain_create(m.net, m.device, BATCH, 0, NULL, &chain));
    dmc__chain_bind(chain, m.weights, NULL);
    ok(dmc__denoise_create(chain, m.net, m.device, &m.process, BATCH, &n));
    for (int i = 0; i < ALL; i++) mask[i] = i % 2;
    dmc__denoise_noise_known(n, _i);
    for (int again = 0; again < 2; again++) {
        ok(dmc__denoise_set(n, x0, NULL, NULL, mask, NULL));
        ok(dmc__denoise_noise(n, time, sample, 5, DMC_STREAM_NOISE, 2));
        dmc__denoise_batch(n, &z, NULL, NULL, &target);
        for (int i = 0; i < ALL; i++) {
            const dmc__stream s = {5, DMC_STREAM_NOISE, 2, (uint64_t)(i / ELEMS)};
            const int32_t at = (int32_t)time[i / ELEMS];
            const double noised = m.process.alpha[at] * x0[i] + m.process.sigma[at] * dmc__rng_normal(&s, (uint32_t)(i % ELEMS));
            ck_assert_double_eq_tol(((const double *)z)[i], mask[i] != 0 && !_i ? x0[i] : noised, 1e-6);
            if (again && mask[i] != 0) ((double *)target)[i] = 1e3;
        }
        ok(dmc__denoise_error(n, err[again]));
    }
    ck_assert_mem_eq(err[0], err[1], sizeof err[0]);
    dmc__denoise_destroy(n);
    dmc__chain_destroy(chain);
    free(x0);
    small_model_close(&m);
}
END_TEST

/* ---- G2: two correlated numbers, the first known ------------------------------------------------------------- */

/* N(0, [1 r; r 1]); given the first = 1 the second is N(r, 1 - r^2). */
enum { GAUSS_STEPS = 50, GAUSS_BATCH = 8192 };
static const double gauss_r = .8;

/* E[x | z] of both numbers noised, a Kalman gain; or with the first clean, for a model that was trained with masks. */
static void gauss_maps(const dmc__process *p, int32_t clean, double map[GAUSS_STEPS][2][2])
{
    for (int32_t i = 0; i < GAUSS_STEPS; i++) {
        const double al = p->alpha[i], s2 = p->sigma[i] * p->sigma[i], rest = 1 - gauss_r * gauss_r;
        const double d = al * al + s2, o = al * al * gauss_r, det = d * d - o * o, own = al * rest / (al * al * rest + s2);
        const double same = al * (d - gauss_r * o) / det, other = al * (gauss_r * d - o) / det;
        map[i][0][0] = clean ? 1 : same;
        map[i][0][1] = clean ? 0 : other;
        map[i][1][0] = clean ? gauss_r * (1 - own * al) : other;
        map[i][1][1] = clean ? own : same;
    }
}

typedef struct moments {
    double mean, var;
} moments;

/* Of the second number, by carrying both through the rows: everything is linear and Gaussian. */
static moments expected(const dmc__rollout *r, const double map[GAUSS_STEPS][2][2], int32_t noised)
{
    moments m = {0, 1};
    for (int32_t k = 0; k < dmc__rollout_rows(r); k++) {
        const dmc__row *row = dmc__rollout_row(r, k);
        const double *g = map[(int32_t)row->at.time][1], on = row->network ? row->a * g[1] + row->b : row->b;
        const double first = row->network ? row->a * g[0] : 0, al = noised ? row->at.alpha : 1, si = noised ? row->at.sigma : 0;
        m.mean = on * m.mean + first * al;
        m.var = on * on * m.var + first * first * si * si + row->S * row->S;
    }
    return m;
}

static moments drawn(small_model *m, dmc__rollout *r)
{
    float *z = copy_from_device(m->device, dmc__rollout_sample(r), 2 * GAUSS_BATCH);
    moments s = {0, 0};
    for (size_t b = 0; b < GAUSS_BATCH; b++) {
        ck_assert_float_eq(z[2 * b], 1);
        s.mean += z[2 * b + 1] / (double)GAUSS_BATCH;
        s.var += (double)z[2 * b + 1] * z[2 * b + 1] / GAUSS_BATCH;
    }
    s.var -= s.mean * s.mean;
    free(z);
    return s;
}

/* In-paint 8192 times; the moments are within four standard errors of what the rows say, which are returned. */
static moments in_paint(int32_t clean, int32_t jump, int32_t jumps)
{
    static float mask[2 * GAUSS_BATCH], known[2 * GAUSS_BATCH];
    static double map[GAUSS_STEPS][2][2];
    const dmc__table_config c = {.sampler = DMC__SAMPLER_DDPM, .grid = DMC__GRID_LINSPACE, .steps = GAUSS_STEPS, .jump = jump,
                                 .jumps = jumps};
    small_model m;
    linear_net_open(&m, "cpu", GAUSS_STEPS);
    gauss_maps(&m.process, clean, map);
    linear_net_maps(&m, GAUSS_STEPS, map);
    dmc__rollout *r = rollout(&m, &c, GAUSS_BATCH, !clean, 0);
    for (size_t i = 0; i < 2 * GAUSS_BATCH; i++) mask[i] = known[i] = i % 2 == 0;
    ok(dmc__rollout_set_known(r, mask, known));
    ok(dmc__rollout_run(r, 5, 3, 0, 1));
    const moments want = expected(r, map, !clean), have = drawn(&m, r);
    ck_assert_double_eq_tol(have.mean, want.mean, 4 * sqrt(want.var / GAUSS_BATCH));
    ck_assert_double_eq_tol(have.var, want.var, 4 * want.var * sqrt(2.0 / GAUSS_BATCH));
    dmc__rollout_destroy(r);
    small_model_close(&m);
    return want;
}

/* Mean .8, variance .36. DDPM of 50 rows makes every variance a tenth too small, in-painted or not. */
START_TEST(trained_masks_give_the_conditional)
{
    const moments m = in_paint(1, 5, 1);
    ck_assert_double_eq_tol(m.mean, gauss_r, 1e-5);
    ck_assert_double_eq_tol(m.var, 1 - gauss_r * gauss_r, .05);
}
END_TEST

/* Without such training: one walk pays too little heed to what is known; walking every stretch ten times cures that. */
START_TEST(resampling_converges)
{
    const moments once = in_paint(0, 5, 1), twice = in_paint(0, 5, 2), ten = in_paint(0, 5, 10);
    ck_assert_double_lt(once.mean, .5);
    ck_assert_double_gt(twice.mean, once.mean + .1);
    ck_assert_double_eq_tol(ten.mean, gauss_r, .05);
    ck_assert_double_gt(once.var, .45);
    ck_assert_double_eq_tol(ten.var, 1 - gauss_r * gauss_r, .06);
}
END_TEST

Suite *dmc_suite_inpaint(void);
Suite *dmc_suite_inpaint(void)
{
    Suite *const s = suite_create("inpaint");
    TCase *const t = tcase_create("inpaint");
    tcase_add_loop_test(t, known_entries_come_out, 0, 2 * DMC__PROCESSES);
    tcase_add_loop_test(t, known_entries_survive_stops_and_forks, 0, 2);
    tcase_add_loop_test(t, batches_may_be_cut, 0, 2);
    tcase_add_loop_test(t, replay_is_exact, 0, 2);
    tcase_add_test(t, nothing_is_handed_on_to_a_beginning);
    tcase_add_loop_test(t, training_has_both_conventions, 0, 2);
    tcase_add_test(t, trained_masks_give_the_conditional);
    tcase_add_test(t, resampling_converges);
    suite_add_tcase(s, t);
    return s;
}
