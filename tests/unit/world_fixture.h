/* world_fixture.h — a dataset in awkward units, small models and critics on it: what tests of the public objects start from. */
#ifndef DMC_TESTS_WORLD_FIXTURE_H
#define DMC_TESTS_WORLD_FIXTURE_H

#include "../../lib/api/handles.h"
#include "../../lib/diffusion/table.h"
#include "../../lib/nn/params.h"
#include "failing_alloc.h"
#include "file_fixture.h"

#include <math.h>

enum { WORLD_S = 3, WORLD_A = 2, WORLD_ROWS = 480, WORLD_EPISODE = 20 };

static const float world_centre[WORLD_S] = {5, -2, 100}, world_span[WORLD_S] = {3, 0.5f, 10};

/* Number i of stream `salt`, uniform in [-1,1]. */
static inline float world_uniform(uint64_t salt, uint64_t i)
{
    const dmc__stream s = {.seed = 11, .purpose = 77, .step = salt, .sample = i};
    return (float)(2 * dmc__rng_uniform(&s, 0) - 1);
}

/* An observation somewhere in the data. */
static inline void world_observe(uint64_t i, float obs[WORLD_S])
{
    for (uint64_t j = 0; j < WORLD_S; j++) obs[j] = world_centre[j] + world_span[j] * world_uniform(j, i);
}

/* Action 0 follows the first observation, action 1 is noise; the reward is highest for action 0 = 1. Every other episode
 * ends in a terminal, the rest are cut off. */
static inline dmc_dataset *world_data_with(dmc_context *ctx, const dmc_dataset_options *o)
{
    static float obs[WORLD_ROWS * WORLD_S], act[WORLD_ROWS * WORLD_A], rew[WORLD_ROWS];
    static uint8_t end[WORLD_ROWS], cut[WORLD_ROWS];
    dmc_dataset *d;
    for (uint32_t i = 0; i < WORLD_ROWS; i++) {
        world_observe(i, obs + (size_t)i * WORLD_S);
        act[2 * i] = 0.6f * (obs[(size_t)i * WORLD_S] - world_centre[0]) + 0.2f * world_uniform(8, i);
        act[2 * i + 1] = 7 + 4 * world_uniform(9, i);
        rew[i] = 1 - (act[2 * i] - 1) * (act[2 * i] - 1);
        const int last = i % WORLD_EPISODE == WORLD_EPISODE - 1, odd = i / WORLD_EPISODE % 2;
        end[i] = last && !odd;
        cut[i] = last && odd;
    }
    expect_ok(dmc_dataset_create(ctx, WORLD_ROWS, WORLD_S, WORLD_A, obs, act, rew, end, cut, o, &d));
    return d;
}

static inline dmc_dataset *world_data(dmc_context *ctx)
{
    return world_data_with(ctx, NULL);
}

static inline dmc_model_options world_policy(void)
{
    dmc_model_options o;
    dmc_model_options_init(&o, sizeof o);
    o.horizon = 2;
    o.n_obs = 2;
    o.hidden = 16;
    o.blocks = 1;
    o.emb_dim = 8;
    o.train_steps = 5;
    o.seed = 3;
    return o;
}

static inline dmc_model_options world_planner(void)
{
    dmc_model_options o = world_policy();
    o.role = DMC_ROLE_PLANNER;
    o.network = DMC_NETWORK_UNET1D_JANNER;
    o.horizon = 4;
    o.hidden = 8;
    o.mult = "1,2";
    o.obs_norm = DMC_NORM_MINMAX;
    return o;
}

static inline dmc_model *world_model(dmc_context *ctx, const dmc_dataset *d, const dmc_model_options *o)
{
    dmc_model *m;
    expect_ok(dmc_model_create(ctx, d, o, &m));
    return m;
}

/* A copy of m whose weights are `factor` times as large: samples that reach the limits. */
static inline dmc_model *world_scaled(const dmc_model *m, float factor)
{
    dmc_model *copy;
    expect_ok(dmc_model_clone(m, &copy));
    for (int32_t i = 0; i < dmc_model_tensor_count(copy); i++) {
        const char *name = dmc_model_tensor_name(copy, i);
        const size_t n = dmc__graph_param(copy->net->graph, i)->size;
        float *w = malloc(n * sizeof *w);
        expect_ok(dmc_model_get_tensor(copy, name, w, n));
        for (size_t j = 0; j < n; j++) w[j] *= factor;
        expect_ok(dmc_model_set_tensor(copy, name, w, n));
        free(w);
    }
    return copy;
}

/* A copy of m with a cascade of initial weights (alignment would have trained them). */
static inline dmc_model *world_cascade(const dmc_model *m)
{
    dmc__device *d = m->ref.ctx->device;
    dmc__net_config c = m->spec.net;
    dmc__net *net;
    dmc_model *out;
    void *w;
    c.extra = c.cols;
    expect_ok(dmc__net_create(&dmc__default_allocator, &c, &net));
    const size_t n = dmc__graph_param_elems(net->graph);
    expect_ok(dmc__dev_alloc(d, n, &w));
    expect_ok(dmc__params_init(net->graph, d, 91, w));
    expect_ok(dmc__model_derive(m, m->weights, net, w, &out));
    dmc__dev_free(d, w, n);
    dmc__net_destroy(net);
    return out;
}

static inline dmc_critic_options world_critic_options(void)
{
    dmc_critic_options o;
    dmc_critic_options_init(&o, sizeof o);
    o.hidden = 16;
    o.batch = 32;
    o.lr = 1e-3;
    return o;
}

static inline dmc_critic *world_critic(dmc_context *ctx, const dmc_dataset *d, int32_t updates)
{
    const dmc_critic_options o = world_critic_options();
    dmc_critic *c;
    expect_ok(dmc_critic_create(ctx, d, &o, &c));
    expect_ok(dmc_critic_step(c, updates, NULL));
    return c;
}

static inline dmc_sampler_options world_sampling(int32_t batch, int32_t candidates, int32_t select)
{
    dmc_sampler_options o;
    dmc_sampler_options_init(&o, sizeof o);
    o.batch = batch;
    o.candidates = candidates;
    o.select = select;
    o.seed = 21;
    return o;
}

static inline dmc_sampler *world_sampler(const dmc_model *m, const dmc_critic *c, const dmc_sampler_options *o)
{
    dmc_sampler *s;
    expect_ok(dmc_sampler_create(NULL, m, c, o, &s));
    return s;
}

/* What call 0 of a policy's sampler must give, from the model's own forward pass and the numbered noise: normalised z
 * (batch, elems) for conditions cond (batch, ...). */
static inline void world_denoise(const dmc_model *m, const dmc_sampler_options *o, int32_t batch, const float *cond,
                                 float *z)
{
    const size_t elems = (size_t)m->spec.net.horizon * (size_t)m->spec.net.cols;
    const dmc__table_config c = {.sampler = o->sampler, .grid = o->grid, .eta = o->eta, .steps = o->steps};
    float *f = malloc((size_t)batch * elems * sizeof *f), *t = malloc((size_t)batch * sizeof *t);
    const double clip = m->process.config.clip > 0 ? m->process.config.clip : INFINITY;
    dmc__table table;
    expect_ok(dmc__table_create(&dmc__default_allocator, &m->process, &c, &table));
    for (size_t i = 0; i < (size_t)batch * elems; i++) {
        const dmc__stream s = {o->seed, DMC_STREAM_LATENT, 0, i / elems};
        z[i] = (float)(o->temperature * dmc__rng_normal(&s, (uint32_t)(i % elems)));
    }
    for (int32_t k = 0; k < table.k; k++) {
        const dmc__row *r = &table.row[k];
        for (int32_t b = 0; b < batch; b++) t[b] = (float)r->at.seen;
        expect_ok(dmc_model_forward(m, batch, z, t, cond, f));
        for (size_t i = 0; i < (size_t)batch * elems; i++) {
            const dmc__stream s = {o->seed, DMC_STREAM_STEP, (uint64_t)k, i / elems};
            const double x = fmin(fmax(r->P * z[i] + r->Q * f[i], -clip), clip);
            z[i] = (float)(r->a * x + r->b * z[i] + r->S * dmc__rng_normal(&s, (uint32_t)(i % elems)));
        }
    }
    dmc__table_free(&table);
    free(t);
    free(f);
}

/* Text of dmc_model_describe; the caller frees. */
static inline char *world_describe(const dmc_model *m)
{
    size_t need;
    expect_ok(dmc_model_describe(m, NULL, 0, &need));
    char *text = malloc(need);
    expect_ok(dmc_model_describe(m, text, need, NULL));
    return text;
}

/* All parameters of a graph bit for bit; what stands between them in a block is nobody's. */
static inline void same_weights(const dmc__graph *g, dmc__device *d, const void *a, const void *b)
{
    for (dmc__parid i = 0; i < dmc__graph_param_count(g); i++) {
        const dmc__param_spec *p = dmc__graph_param(g, i);
        float *x = malloc(2 * p->size * sizeof *x);
        expect_ok(dmc__params_get(g, d, a, i, x, p->size));
        expect_ok(dmc__params_get(g, d, b, i, x + p->size, p->size));
        ck_assert_msg(memcmp(x, x + p->size, p->size * sizeof *x) == 0, "%s differs", p->name);
        free(x);
    }
}

/* Models agree: contract, weights, cascade. */
static inline void same_models(const dmc_model *a, const dmc_model *b)
{
    char *x = world_describe(a), *y = world_describe(b);
    ck_assert_str_eq(x, y);
    free(x);
    free(y);
    same_weights(a->net->graph, a->ref.ctx->device, a->weights, b->weights);
    if (a->cascade) same_weights(a->cascade->graph, a->ref.ctx->device, a->cascade_weights, b->cascade_weights);
}

/* A context over this allocator. */
static inline dmc_context *world_context(failing_alloc *f, const char *device)
{
    dmc_context_options o;
    dmc_context *ctx;
    dmc_context_options_init(&o, sizeof o);
    o.device = device;
    o.alloc = failing_alloc_take;
    o.free = failing_alloc_give;
    o.alloc_user = f;
    expect_ok(dmc_context_create(&o, &ctx));
    return ctx;
}

/* Refuses one request after the other of `make` until it succeeds: what failed must leave nothing behind, what was made
 * must give everything back. */
static inline void world_without_memory(failing_alloc *f, void *arg, dmc_status (*make)(void *arg, void **out),
                                        void (*unmake)(void *thing))
{
    const int64_t before = f->live;
    for (int64_t n = 1;; n++) {
        void *thing = f;
        f->calls = 0;
        f->fail_at = n;
        const dmc_status status = make(arg, &thing);
        f->fail_at = 0;
        if (status >= 0) {
            ck_assert_int_gt(n, 1);
            unmake(thing);
            ck_assert_int_eq(f->live, before);
            return;
        }
        ck_assert_msg(status == DMC_ENOMEM, "request %ld: status %d, %s", (long)n, status, dmc_last_error());
        ck_assert_ptr_null(thing);
        ck_assert_msg(f->live == before, "request %ld: %ld blocks leaked", (long)n, (long)(f->live - before));
    }
}

#endif
