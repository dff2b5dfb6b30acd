#include "failing_alloc.h"
#include "small_model.h"

#include <string.h>

enum { BATCH = 6, STEPS = 5, HORIZON = 2, COLS = 3, COND = 2, EXTRA = 1, ELEMS = HORIZON * COLS };

static const small_model_config model_config = {.steps = 8, .horizon = HORIZON, .cols = COLS, .cond = COND, .extra = EXTRA,
                                                .predict = DMC__PREDICT_V, .clip = .7};
static const dmc__table_config noisy_table = {.sampler = DMC__SAMPLER_DDIM, .steps = STEPS, .eta = .8};

static void open_model(small_model *m, const char *device)
{
    small_model_config c = model_config;
    c.device = device;
    small_model_open(m, &c);
}

/* Row 0 of every sample known in its first two columns. */
static void make_mask(float mask[BATCH * ELEMS])
{
    for (int i = 0; i < BATCH * ELEMS; i++) mask[i] = i % ELEMS < 2;
}

/* Condition, side input, and with `masked` in-painting, of samples first..first+batch-1. */
static void set_inputs(dmc__rollout *r, int32_t first, int32_t masked)
{
    float *cond = some_floats(BATCH * COND, 1, 1), *extra = some_floats(BATCH * HORIZON * EXTRA, 2, 1);
    float *known = some_floats(BATCH * ELEMS, 3, .5), mask[BATCH * ELEMS];
    make_mask(mask);
    ok(dmc__rollout_set_cond(r, cond + first * COND));
    ok(dmc__rollout_set_extra(r, extra + first * HORIZON * EXTRA));
    ok(dmc__rollout_set_known(r, masked ? mask + first * ELEMS : NULL, known + first * ELEMS));
    free(cond);
    free(extra);
    free(known);
}

static float *final_sample(const dmc__rollout *r, small_model *m)
{
    return copy_from_device(m->device, dmc__rollout_latent(r, dmc__rollout_rows(r)),
                            (size_t)dmc__rollout_batch(r) * ELEMS);
}

/* ---- against a loop on the host -------------------------------------------------------------------------- */

/* f(z, index) of the whole batch with these weights, on a ref64 device. */
static void network(small_model *m, const dmc__rollout *r, const void *weights, int32_t index, const double *z, double *f)
{
    dmc__plan *p;
    ok(dmc__plan_create(m->net->graph, m->device, BATCH, DMC__PLAN_INFER, NULL, &p));
    dmc__plan_bind(p, weights, NULL);
    double *t = dmc__plan_value(p, m->net->t);
    for (int b = 0; b < BATCH; b++) t[b] = index;
    memcpy(dmc__plan_value(p, m->net->z), z, BATCH * ELEMS * sizeof *z);
    memcpy(dmc__plan_value(p, m->net->cond), dmc__rollout_cond(r), BATCH * COND * sizeof *z);
    memcpy(dmc__plan_value(p, m->net->extra), dmc__rollout_extra(r), BATCH * HORIZON * EXTRA * sizeof *z);
    ok(dmc__plan_forward(p));
    memcpy(f, dmc__plan_value(p, m->net->out), BATCH * ELEMS * sizeof *f);
    dmc__plan_destroy(p);
}

static double normal(uint32_t purpose, uint64_t step, uint64_t sample, int n)
{
    const dmc__stream s = {.seed = 5, .purpose = purpose, .step = step, .sample = sample};
    return dmc__rng_normal(&s, (uint32_t)n);
}

/* One row as table.h states it, with the documented noise keys. */
static void host_row(const dmc__row *row, double clip, uint64_t step, uint64_t first, const double *f, double *z)
{
    for (int i = 0; i < BATCH * ELEMS; i++) {
        double x = row->P * z[i] + row->Q * f[i];
        if (clip > 0) x = fmin(fmax(x, -clip), clip);
        z[i] = row->a * x + row->b * z[i];
        if (row->S > 0) z[i] += row->S * normal(DMC_STREAM_STEP, step, first + (uint64_t)(i / ELEMS), i % ELEMS);
    }
}

static void put_known(const dmc__rollout *r, double *z)
{
    const double *mask = dmc__rollout_mask(r), *known = dmc__rollout_known(r);
    for (int i = 0; mask && i < BATCH * ELEMS; i++)
        if (mask[i] != 0) z[i] = known[i];
}

/* Rows 0..turn-1 with `early`, the rest with m->weights; seed 5, call 3, samples from 11 on. */
static void assert_like_host(small_model *m, dmc__rollout *r, const void *early, int32_t turn, double temperature)
{
    double z[BATCH * ELEMS], f[BATCH * ELEMS];
    for (int i = 0; i < BATCH * ELEMS; i++)
        z[i] = temperature * normal(DMC_STREAM_LATENT, 3, 11 + (uint64_t)(i / ELEMS), i % ELEMS);
    put_known(r, z);
    ok(dmc__rollout_run(r, 5, 3, 11, temperature));
    for (int32_t k = 0; k <= dmc__rollout_rows(r); k++) {
        const double *latent = dmc__rollout_latent(r, k);
        for (int i = 0; i < BATCH * ELEMS; i++) ck_assert_double_eq_tol(latent[i], z[i], 1e-11);
        if (k == dmc__rollout_rows(r)) break;
        network(m, r, k < turn ? early : m->weights, dmc__rollout_row(r, k)->at.time, z, f);
        host_row(dmc__rollout_row(r, k), dmc__rollout_clip(r), 3 * 4096 + (uint64_t)k, 11, f, z);
        put_known(r, z);
    }
}

START_TEST(chain_is_the_table)
{
    for (int32_t predict = DMC__PREDICT_EPSILON; predict <= DMC__PREDICT_V; predict++)
        for (int32_t masked = 0; masked < 2; masked++) {
            small_model m;
            small_model_config c = model_config;
            c.device = "ref64";
            c.predict = predict;
            small_model_open(&m, &c);
            dmc__rollout *r = small_model_rollout(&m, &noisy_table, BATCH, 1);
            set_inputs(r, 0, masked);
            assert_like_host(&m, r, NULL, 0, 1);
            assert_like_host(&m, r, NULL, 0, .5);
            dmc__rollout_destroy(r);
            small_model_close(&m);
        }
}
END_TEST

START_TEST(early_rows_use_the_foundation)
{
    small_model m;
    open_model(&m, "ref64");
    dmc__rollout *r = small_model_rollout(&m, &noisy_table, BATCH, 1);
    void *early = some_device_floats(m.device, m.n, 4, .3);
    set_inputs(r, 0, 0);
    for (int32_t last_k = 0; last_k <= STEPS + 1; last_k++) {
        dmc__rollout_bind(r, m.weights, early, last_k);
        assert_like_host(&m, r, early, STEPS - last_k, 1);
        assert_like_host(&m, r, early, STEPS - last_k, .5); /* the first rows have their weights back */
    }
    dmc__dev_free(m.device, early, m.n);
    dmc__rollout_destroy(r);
    small_model_close(&m);
}
END_TEST

/* ---- what must be the same to the bit ---------------------------------------------------------------------- */

/* A condition given once for a group is a condition given to each of it, in every latent. */
START_TEST(groups_share_a_condition)
{
    enum { GROUP = 3 };
    float *cond = some_floats(BATCH * COND, 1, 1), distinct[BATCH / GROUP * COND];
    small_model m;
    open_model(&m, "cpu");
    void *early = some_device_floats(m.device, m.n, 4, .3);
    dmc__rollout *r[2];
    for (int i = 0; i < 2; i++) {
        dmc__table t;
        ok(dmc__table_create(&dmc__default_allocator, &m.process, &noisy_table, &t));
        ok(dmc__rollout_create(m.net, m.device, &t, rollout_of(BATCH, i ? GROUP : 1, 1), &r[i]));
        dmc__table_free(&t);
        ck_assert_int_eq(dmc__rollout_group(r[i]), i ? GROUP : 1);
        set_inputs(r[i], 0, 1);
        dmc__rollout_bind(r[i], m.weights, early, 2);
    }
    for (int b = 0; b < BATCH; b++) {
        memmove(cond + b * COND, cond + b / GROUP * GROUP * COND, COND * sizeof *cond);
        memcpy(distinct + b / GROUP * COND, cond + b * COND, COND * sizeof *cond);
    }
    ok(dmc__rollout_set_cond(r[0], cond));
    ok(dmc__rollout_set_cond(r[1], distinct));
    ck_assert_mem_eq(dmc__rollout_cond(r[0]), dmc__rollout_cond(r[1]), BATCH * COND * sizeof *cond);
    for (int i = 0; i < 2; i++) ok(dmc__rollout_run(r[i], 5, 3, 11, 1));
    for (int32_t k = 0; k <= STEPS; k++)
        ck_assert_mem_eq(dmc__rollout_latent(r[0], k), dmc__rollout_latent(r[1], k), BATCH * ELEMS * sizeof *cond);
    for (int i = 0; i < 2; i++) dmc__rollout_destroy(r[i]);
    dmc__dev_free(m.device, early, m.n);
    free(cond);
    small_model_close(&m);
}
END_TEST

/* Known entries are the given floats in every latent, the noise included. */
START_TEST(known_entries_stay)
{
    float mask[BATCH * ELEMS], *known = some_floats(BATCH * ELEMS, 3, .5);
    small_model m;
    open_model(&m, "cpu");
    dmc__rollout *r = small_model_rollout(&m, &(dmc__table_config){.steps = STEPS, .std_floor = .1}, BATCH, 1);
    make_mask(mask);
    set_inputs(r, 0, 1);
    ok(dmc__rollout_run(r, 1, 0, 0, 1));
    for (int32_t k = 0; k <= STEPS; k++) {
        float *z = copy_from_device(m.device, dmc__rollout_latent(r, k), BATCH * ELEMS);
        for (int i = 0; i < BATCH * ELEMS; i++) ck_assert((mask[i] != 0) == (memcmp(&z[i], &known[i], sizeof *z) == 0));
        free(z);
    }
    free(known);
    dmc__rollout_destroy(r);
    small_model_close(&m);
}
END_TEST

static const char *const float_devices[] = {"ref", "cpu"};

/* One batch of 6, or 2 + 4 of it with the numbers of their samples. */
START_TEST(samples_do_not_depend_on_the_batch)
{
    static const int32_t from[3] = {0, 0, 2}, size[3] = {BATCH, 2, 4};
    small_model m;
    float *z[3];
    open_model(&m, float_devices[_i]);
    for (int j = 0; j < 3; j++) {
        dmc__rollout *r = small_model_rollout(&m, &noisy_table, size[j], 0);
        set_inputs(r, from[j], 1);
        ok(dmc__rollout_run(r, 3, 9, 100 + (uint64_t)from[j], .9));
        z[j] = final_sample(r, &m);
        dmc__rollout_destroy(r);
    }
    ck_assert_mem_eq(z[0], z[1], 2 * ELEMS * sizeof(float));
    ck_assert_mem_eq(z[0] + 2 * ELEMS, z[2], 4 * ELEMS * sizeof(float));
    ck_assert_mem_ne(z[0], z[0] + 2 * ELEMS, 2 * ELEMS * sizeof(float));
    for (int j = 0; j < 3; j++) free(z[j]);
    small_model_close(&m);
}
END_TEST

/* One latent written over itself gives what K+1 latents give; a second run forgets the first. */
START_TEST(keeping_the_chain_changes_nothing)
{
    small_model m;
    open_model(&m, float_devices[_i]);
    dmc__rollout *one = small_model_rollout(&m, &noisy_table, BATCH, 0);
    dmc__rollout *all = small_model_rollout(&m, &noisy_table, BATCH, 1);
    set_inputs(one, 0, 0);
    set_inputs(all, 0, 0);
    ck_assert_ptr_null(dmc__rollout_latent(one, 0));
    ck_assert_ptr_null(dmc__rollout_latent(all, STEPS + 1));
    ck_assert_ptr_null(dmc__rollout_latent(all, -1));
    float *z[3];
    ok(dmc__rollout_run(one, 3, 9, 0, 1));
    z[0] = final_sample(one, &m);
    ok(dmc__rollout_run(one, 3, 10, 0, 1));
    z[1] = final_sample(one, &m);
    ok(dmc__rollout_run(one, 3, 9, 0, 1));
    ok(dmc__rollout_run(all, 3, 9, 0, 1));
    z[2] = final_sample(all, &m);
    ck_assert_mem_eq(z[0], z[2], BATCH * ELEMS * sizeof(float));
    ck_assert_mem_ne(z[0], z[1], BATCH * ELEMS * sizeof(float));
    free(z[1]);
    z[1] = final_sample(one, &m);
    ck_assert_mem_eq(z[0], z[1], BATCH * ELEMS * sizeof(float));
    for (int j = 0; j < 3; j++) free(z[j]);
    ck_assert_uint_gt(dmc__rollout_bytes(all), dmc__rollout_bytes(one));
    dmc__rollout_destroy(one);
    dmc__rollout_destroy(all);
    small_model_close(&m);
}
END_TEST

/* ---- forks --------------------------------------------------------------------------------------------------- */

/* z of row `from` is alpha x0 + sigma eps with the noise number asked for; equal numbers share it; known entries are clean. */
START_TEST(forks_share_noise)
{
    static const uint64_t sample[BATCH] = {7, 7, 8, 9, 7, 20};
    const int32_t from = 2;
    small_model m;
    open_model(&m, "ref64");
    dmc__rollout *r = small_model_rollout(&m, &noisy_table, BATCH, 1);
    double *x0 = some_device_floats(m.device, BATCH * ELEMS, 6, .5);
    set_inputs(r, 0, 1);
    ok(dmc__rollout_run_from(r, x0, from, 5, 4, 11, sample));
    const int32_t i = dmc__rollout_row(r, from)->at.time;
    double *z = malloc(BATCH * ELEMS * sizeof *z), f[BATCH * ELEMS];
    for (int e = 0; e < BATCH * ELEMS; e++)
        z[e] = m.process.alpha[i] * x0[e] + m.process.sigma[i] * normal(DMC_STREAM_LATENT, 4, sample[e / ELEMS], e % ELEMS);
    put_known(r, z);
    const double *latent = dmc__rollout_latent(r, from);
    for (int e = 0; e < BATCH * ELEMS; e++) ck_assert_double_eq_tol(latent[e], z[e], 1e-12);
    network(&m, r, m.weights, i, z, f); /* the steps after it number their noise by the sample, not by the fork */
    host_row(dmc__rollout_row(r, from), dmc__rollout_clip(r), 4 * 4096 + (uint64_t)from, 11, f, z);
    put_known(r, z);
    latent = dmc__rollout_latent(r, from + 1);
    for (int e = 0; e < BATCH * ELEMS; e++) ck_assert_double_eq_tol(latent[e], z[e], 1e-11);
    free(z);
    dmc__dev_free(m.device, x0, BATCH * ELEMS);
    dmc__rollout_destroy(r);
    small_model_close(&m);
}
END_TEST

/* Without numbers each sample has its own: first_sample + b. */
START_TEST(forks_without_numbers)
{
    static const uint64_t sample[BATCH] = {11, 12, 13, 14, 15, 16};
    float *z[2];
    small_model m;
    open_model(&m, "cpu");
    dmc__rollout *r = small_model_rollout(&m, &noisy_table, BATCH, 0);
    void *x0 = some_device_floats(m.device, BATCH * ELEMS, 6, .5);
    set_inputs(r, 0, 0);
    for (int j = 0; j < 2; j++) {
        ok(dmc__rollout_run_from(r, x0, 1, 5, 4, 11, j ? sample : NULL));
        z[j] = final_sample(r, &m);
    }
    ck_assert_mem_eq(z[0], z[1], BATCH * ELEMS * sizeof(float));
    free(z[0]);
    free(z[1]);
    dmc__dev_free(m.device, x0, BATCH * ELEMS);
    dmc__rollout_destroy(r);
    small_model_close(&m);
}
END_TEST

/* ---- memory and refusals ---------------------------------------------------------------------------------------- */

/* A roll-out on a device of its own allocator: after create nothing is asked for. */
START_TEST(run_allocates_nothing)
{
    failing_alloc f = {0};
    const dmc__allocator a = failing_allocator(&f);
    small_model m, own;
    open_model(&m, "cpu");
    own = m;
    ok(dmc__device_open(&a, "cpu", NULL, &own.device));
    dmc__rollout *r = small_model_rollout(&own, &noisy_table, BATCH, 0);
    void *x0 = some_device_floats(m.device, BATCH * ELEMS, 6, .5);
    const int64_t calls = f.calls;
    set_inputs(r, 0, 1);
    ok(dmc__rollout_run(r, 1, 0, 0, 1));
    ok(dmc__rollout_run_from(r, x0, 1, 1, 2, 0, NULL));
    ck_assert_int_eq(f.calls, calls);
    dmc__rollout_destroy(r);
    dmc__device_close(own.device);
    ck_assert_int_eq(f.live, 0);
    dmc__dev_free(m.device, x0, BATCH * ELEMS);
    small_model_close(&m);
}
END_TEST

START_TEST(create_survives_lack_of_memory)
{
    small_model m;
    dmc__table t;
    open_model(&m, "cpu");
    ok(dmc__table_create(&dmc__default_allocator, &m.process, &noisy_table, &t));
    dmc__rollout *r = NULL;
    dmc_status status = DMC_ENOMEM;
    for (int64_t n = 1; status == DMC_ENOMEM; n++) {
        failing_alloc f = {0};
        const dmc__allocator a = failing_allocator(&f);
        dmc__device *d;
        ok(dmc__device_open(&a, "cpu", NULL, &d));
        const int64_t before = f.live;
        f.fail_at = f.calls + n;
        status = dmc__rollout_create(m.net, d, &t, rollout_of(BATCH, 1, 1), &r);
        ck_assert((status == DMC_OK) == (r != NULL));
        dmc__rollout_destroy(r);
        ck_assert_int_eq(f.live, before);
        dmc__device_close(d);
    }
    ck_assert_int_eq(status, DMC_OK);
    dmc__table_free(&t);
    small_model_close(&m);
}
END_TEST

/* A broken network must not look like one that saturates: clip lets NaN through. */
START_TEST(nan_reaches_the_sample)
{
    small_model m;
    open_model(&m, float_devices[_i]);
    dmc__rollout *r = small_model_rollout(&m, &noisy_table, BATCH, 0);
    float bad = NAN;
    for (size_t i = 0; i < m.n; i++) ok(dmc__dev_in(m.device, dmc__dev_at(m.device, m.weights, i), &bad, 1));
    set_inputs(r, 0, 0);
    ok(dmc__rollout_run(r, 1, 0, 0, 1));
    float *z = final_sample(r, &m);
    for (int i = 0; i < BATCH * ELEMS; i++) ck_assert(isnan(z[i]));
    free(z);
    dmc__rollout_destroy(r);
    small_model_close(&m);
}
END_TEST

START_TEST(refusals)
{
    small_model m;
    dmc__table t;
    open_model(&m, "cpu");
    ok(dmc__table_create(&dmc__default_allocator, &m.process, &noisy_table, &t));
    dmc__rollout *r = (dmc__rollout *)&r;
    ck_assert_int_eq(dmc__rollout_create(m.net, m.device, &t, rollout_of(0, 1, 0), &r), DMC_ERANGE);
    ck_assert_ptr_null(r);
    ck_assert_int_eq(dmc__rollout_create(m.net, m.device, &t, rollout_of(INT32_MAX / 2, 1, 0), &r), DMC_EOVERFLOW);
    ck_assert_ptr_null(r);
    ok(dmc__rollout_create(m.net, m.device, &t, rollout_of(1, 1, 0), &r));
    ck_assert_int_eq(dmc__rollout_run(r, 0, 0, 0, 1), DMC_ESTATE);
    const float one[ELEMS] = {1};
    ck_assert_int_eq(dmc__rollout_set_cond(r, NULL), DMC_EINVAL);
    ck_assert_int_eq(dmc__rollout_set_extra(r, NULL), DMC_EINVAL);
    ck_assert_int_eq(dmc__rollout_set_known(r, one, NULL), DMC_EINVAL);
    ck_assert_ptr_null(dmc__rollout_mask(r));
    dmc__rollout_bind(r, m.weights, NULL, STEPS);
    void *x0 = some_device_floats(m.device, ELEMS, 6, .5);
    ck_assert_int_eq(dmc__rollout_run_from(r, x0, STEPS, 0, 0, 0, NULL), DMC_ERANGE);
    ck_assert_int_eq(dmc__rollout_run_from(r, x0, -1, 0, 0, 0, NULL), DMC_ERANGE);
    dmc__dev_free(m.device, x0, ELEMS);
    dmc__rollout_destroy(r);
    dmc__rollout_destroy(NULL);
    dmc__table_free(&t);
    small_model_close(&m);
}
END_TEST

Suite *dmc_suite_rollout(void);
Suite *dmc_suite_rollout(void)
{
    Suite *const s = suite_create("rollout");
    TCase *const t = tcase_create("rollout");
    tcase_add_test(t, chain_is_the_table);
    tcase_add_test(t, early_rows_use_the_foundation);
    tcase_add_test(t, groups_share_a_condition);
    tcase_add_test(t, known_entries_stay);
    tcase_add_loop_test(t, samples_do_not_depend_on_the_batch, 0, 2);
    tcase_add_loop_test(t, keeping_the_chain_changes_nothing, 0, 2);
    tcase_add_test(t, forks_share_noise);
    tcase_add_test(t, forks_without_numbers);
    tcase_add_test(t, run_allocates_nothing);
    tcase_add_test(t, create_survives_lack_of_memory);
    tcase_add_loop_test(t, nan_reaches_the_sample, 0, 2);
    tcase_add_test(t, refusals);
    suite_add_tcase(s, t);
    return s;
}
