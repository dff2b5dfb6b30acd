/* net_fixture.h — networks to test with: small configs, blocks of device memory, one forward pass. */
#ifndef DMC_TESTS_NET_FIXTURE_H
#define DMC_TESTS_NET_FIXTURE_H

#include <check.h>
#include <stdlib.h>

#include "../../lib/base/rng.h"
#include "../../lib/nn/net.h"
#include "../../lib/nn/params.h"

#define fixture_ok(expr)                                                                                      \
    do {                                                                                                      \
        const dmc_status fixture_status_ = (expr);                                                            \
        ck_assert_msg(fixture_status_ == DMC_OK, "%s: %d %s", #expr, (int)fixture_status_, dmc_last_error()); \
    } while (0)

/* Columns 3, condition 5, three rows; awkward widths. */
static inline dmc__net_config fixture_mlp(void)
{
    return (dmc__net_config){
        .kind = DMC__NET_IDQL_MLP,
        .horizon = 3,
        .cols = 3,
        .cond = 5,
        .hidden = 13,
        .blocks = 2,
        .emb_dim = 6,
    };
}

static inline dmc__net_config fixture_unet(void)
{
    return (dmc__net_config){
        .kind = DMC__NET_UNET1D_JANNER,
        .horizon = 8,
        .cols = 7,
        .hidden = 12,
        .emb_dim = 6,
        .kernel = 5,
        .levels = 3,
        .mult = {1, 2, 2},
    };
}

static inline dmc__net *fixture_net(dmc__net_config c)
{
    dmc__net *n;
    fixture_ok(dmc__net_create(&dmc__default_allocator, &c, &n));
    return n;
}

static inline dmc__device *fixture_device(const char *name)
{
    dmc__device *d;
    fixture_ok(dmc__device_open(&dmc__default_allocator, name, NULL, &d));
    return d;
}

static inline void *fixture_block(dmc__device *d, size_t n)
{
    void *p;
    fixture_ok(dmc__dev_alloc(d, n, &p));
    return p;
}

static inline float *fixture_floats(size_t n)
{
    float *f = calloc(n + 1, sizeof *f);
    ck_assert_ptr_nonnull(f);
    return f;
}

/* n normals times scale, from this seed. */
static inline float *fixture_normals(size_t n, uint64_t seed, double scale)
{
    float *f = fixture_floats(n);
    const dmc__stream s = {.seed = seed, .purpose = DMC_STREAM_NOISE};
    for (size_t i = 0; i < n; i++) f[i] = (float)(scale * dmc__rng_normal(&s, (uint32_t)i));
    return f;
}

static inline void fixture_fill(dmc__device *d, void *p, size_t n, uint64_t seed, double scale)
{
    float *f = fixture_normals(n, seed, scale);
    fixture_ok(dmc__dev_in(d, p, f, n));
    free(f);
}

/* n floats off the device; free them. */
static inline float *fixture_read(dmc__device *d, const void *p, size_t n)
{
    float *f = fixture_floats(n);
    fixture_ok(dmc__dev_out(d, f, p, n));
    return f;
}

/* Weights of a graph: its initial values with noise on top, so that nothing is exactly zero or one. */
static inline void *fixture_weights(dmc__device *d, const dmc__graph *g, uint64_t seed)
{
    const size_t n = dmc__graph_param_elems(g);
    void *block = fixture_block(d, n);
    fixture_ok(dmc__params_init(g, d, seed, block));
    for (dmc__parid i = 0; i < dmc__graph_param_count(g); i++) {
        const size_t size = dmc__graph_param(g, i)->size;
        float *v = fixture_floats(size), *noise = fixture_normals(size, seed + 1 + (uint64_t)i, 0.1);
        fixture_ok(dmc__params_get(g, d, block, i, v, size));
        for (size_t j = 0; j < size; j++) v[j] += noise[j];
        fixture_ok(dmc__params_set(g, d, block, i, v, size));
        free(v);
        free(noise);
    }
    return block;
}

static inline size_t fixture_val_size(const dmc__graph *g, dmc__val v, int32_t batch)
{
    return (size_t)batch * (size_t)dmc__graph_rows(g, v) * (size_t)dmc__graph_cols(g, v);
}

/* Inputs from a seed; those the network lacks are skipped. The side input is scaled by `extra`. */
static inline void fixture_inputs(const dmc__net *n, dmc__device *d, const dmc__plan *p, uint64_t seed, double extra)
{
    const struct {
        dmc__val v;
        double scale;
    } in[] = {{n->z, 1}, {n->t, 3}, {n->cond, 1}, {n->extra, extra}};
    for (int i = 0; i < 4; i++)
        if (in[i].v >= 0)
            fixture_fill(d, dmc__plan_value(p, in[i].v), fixture_val_size(n->graph, in[i].v, dmc__plan_batch(p)),
                         seed + (uint64_t)i, in[i].scale);
}

/* Output of the network for these weights and inputs; free it. */
static inline float *fixture_forward(const dmc__net *n, dmc__device *d, const void *weights, int32_t batch, uint64_t seed,
                                     double extra)
{
    dmc__plan *p;
    fixture_ok(dmc__plan_create(n->graph, d, batch, DMC__PLAN_INFER, NULL, &p));
    dmc__plan_bind(p, weights, NULL);
    fixture_inputs(n, d, p, seed, extra);
    fixture_ok(dmc__plan_forward(p));
    float *out = fixture_read(d, dmc__plan_value(p, n->out), fixture_val_size(n->graph, n->out, batch));
    dmc__plan_destroy(p);
    return out;
}

#endif
