/* small_model.h — a device, a process, a small network with weights: what the tests of diffusion start from. */
#ifndef DMC_TESTS_SMALL_MODEL_H
#define DMC_TESTS_SMALL_MODEL_H

#include "../../lib/base/rng.h"
#include "../../lib/diffusion/rollout.h"
#include "../../lib/nn/params.h"
#include "vp_process.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

#define ok(expr) ck_assert_msg((expr) == DMC_OK, "%s: %s", #expr, dmc_last_error())

typedef struct small_model_config {
    const char *device;
    int32_t schedule, predict, steps, horizon, cols, cond, extra;
    double clip;
    int32_t process;
} small_model_config;

typedef struct small_model {
    dmc__device *device;
    dmc__process process;
    dmc__net *net;
    void *weights; /* device, n elements */
    size_t n, elems;
} small_model;

static inline void small_model_open(small_model *m, const small_model_config *c)
{
    const dmc__net_config net = {.kind = DMC__NET_IDQL_MLP, .horizon = c->horizon, .cols = c->cols, .extra = c->extra,
                                 .cond = c->cond, .hidden = 6, .blocks = 1, .emb_dim = 4};
    dmc__process_config process = dmc__process_defaults();
    process.kind = c->process;
    process.schedule = c->schedule;
    process.predict = c->predict;
    process.steps = c->steps;
    process.clip = c->clip;
    ok(dmc__device_open(&dmc__default_allocator, c->device, NULL, &m->device));
    ok(dmc__process_create(&dmc__default_allocator, &process, &m->process));
    ok(dmc__net_create(&dmc__default_allocator, &net, &m->net));
    m->n = dmc__graph_param_elems(m->net->graph);
    m->elems = (size_t)c->horizon * (size_t)c->cols;
    ok(dmc__dev_alloc(m->device, m->n, &m->weights));
    ok(dmc__params_init(m->net->graph, m->device, 7, m->weights));
}

static inline void small_model_close(small_model *m)
{
    dmc__dev_free(m->device, m->weights, m->n);
    dmc__net_destroy(m->net);
    dmc__process_free(&m->process);
    dmc__device_close(m->device);
}

/* The address lives as long as the expression it is in. */
#define rollout_of(b, g, keep) (&(dmc__rollout_config){.batch = (b), .group = (g), .keep_chain = (keep)})

static inline dmc__rollout *small_model_rollout(const small_model *m, const dmc__table_config *c, int32_t batch,
                                                int32_t keep_chain)
{
    dmc__table t;
    dmc__rollout *r;
    ok(dmc__table_create(&dmc__default_allocator, &m->process, c, &t));
    ok(dmc__rollout_create(m->net, m->device, &t, rollout_of(batch, 1, keep_chain), &r));
    dmc__table_free(&t);
    dmc__rollout_bind(r, m->weights, NULL, dmc__rollout_rows(r));
    return r;
}

/* n reproducible normals times scale; different salts, different numbers. */
static inline float *some_floats(size_t n, uint64_t salt, double scale)
{
    float *x = malloc((n ? n : 1) * sizeof *x);
    const dmc__stream s = {.seed = 99, .purpose = 77, .sample = salt};
    ck_assert_ptr_nonnull(x);
    for (size_t i = 0; i < n; i++) x[i] = (float)(scale * dmc__rng_normal(&s, (uint32_t)i));
    return x;
}

/* The same on a device; free with dmc__dev_free. */
static inline void *some_device_floats(dmc__device *d, size_t n, uint64_t salt, double scale)
{
    float *x = some_floats(n, salt, scale);
    void *p;
    ok(dmc__dev_alloc(d, n, &p));
    ok(dmc__dev_in(d, p, x, n));
    free(x);
    return p;
}

static inline float *copy_from_device(dmc__device *d, const void *p, size_t n)
{
    float *x = malloc(n * sizeof *x);
    ck_assert_ptr_nonnull(x);
    ok(dmc__dev_out(d, x, p, n));
    return x;
}

/* Analytic against numeric derivatives, relative to the largest: no entry may be off by more than 1e-6 of it. */
static inline void assert_gradients(const double *analytic, const double *numeric, size_t n)
{
    double largest = 0;
    for (size_t i = 0; i < n; i++) largest = fmax(largest, fabs(numeric[i]));
    ck_assert_double_gt(largest, 1e-6);
    for (size_t i = 0; i < n; i++)
        ck_assert_msg(fabs(analytic[i] - numeric[i]) <= 1e-6 * largest, "entry %zu of %zu: %.12g, differences give %.12g", i, n,
                      analytic[i], numeric[i]);
}

/* d loss / d x[i] by central differences, for n doubles of a ref64 device. */
static inline double *differences(double *x, size_t n, double (*loss)(void *self), void *self)
{
    const double h = 1e-5;
    double *g = malloc(n * sizeof *g);
    ck_assert_ptr_nonnull(g);
    for (size_t i = 0; i < n; i++) {
        const double keep = x[i];
        x[i] = keep + h;
        const double up = loss(self);
        x[i] = keep - h;
        g[i] = (up - loss(self)) / (2 * h);
        x[i] = keep;
    }
    return g;
}

#endif
