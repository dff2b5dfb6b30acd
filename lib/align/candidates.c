/* candidates.c — draw groups in chunks of the aligner's batch and keep samples, rewards and conditions on the host. */
#include "candidates.h"

#include <math.h>
#include <string.h>

dmc_status dmc__candidates_create(const dmc__align *a, int32_t groups, int32_t pool, dmc__candidates **out)
{
    dmc_status status;
    dmc__candidates *c;
    const size_t n = (size_t)groups * (size_t)pool;
    *out = NULL;
    if (a->config.batch % pool != 0)
        return dmc__fail(DMC_EINVAL, "dmc_align: pool = %d does not divide the aligner's batch = %d", pool, a->config.batch);
    DMC_TRY(DMC_NEW(a->alloc, 1, &c));
    c->alloc = a->alloc;
    c->groups = groups;
    c->pool = pool;
    c->elems = dmc__align_elems(a);
    c->cond_elems = (size_t)dmc__view_cond(&a->view);
    DMC_TRY_GOTO(status, DMC_NEW(a->alloc, n * c->elems, &c->z), fail);
    DMC_TRY_GOTO(status, DMC_NEW(a->alloc, n, &c->reward), fail);
    DMC_TRY_GOTO(status, DMC_NEW(a->alloc, (size_t)groups * c->cond_elems, &c->cond), fail);
    if (a->view.planner) {
        DMC_TRY_GOTO(status, DMC_NEW(a->alloc, (size_t)groups * c->elems, &c->mask), fail);
        DMC_TRY_GOTO(status, DMC_NEW(a->alloc, (size_t)groups * c->elems, &c->known), fail);
    }
    *out = c;
    return DMC_OK;
fail:
    dmc__candidates_destroy(c);
    return status;
}

void dmc__candidates_destroy(dmc__candidates *c)
{
    if (!c) return;
    const size_t g = (size_t)c->groups, n = g * (size_t)c->pool;
    DMC_FREE(c->alloc, c->z, n * c->elems);
    DMC_FREE(c->alloc, c->reward, n);
    DMC_FREE(c->alloc, c->cond, g * c->cond_elems);
    DMC_FREE(c->alloc, c->mask, g * c->elems);
    DMC_FREE(c->alloc, c->known, g * c->elems);
    DMC_FREE(c->alloc, c, 1);
}

/* Keep chunk `first` .. first+groups of the aligner's staging conditions. */
static void keep_conditions(const dmc__align *a, dmc__candidates *c, int32_t first, int32_t groups)
{
    for (int32_t g = 0; g < groups; g++) {
        const size_t from = (size_t)g * (size_t)c->pool, to = (size_t)(first + g);
        if (c->mask) {
            memcpy(c->mask + to * c->elems, a->mask + from * c->elems, c->elems * sizeof(float));
            memcpy(c->known + to * c->elems, a->known + from * c->elems, c->elems * sizeof(float));
        }
        if (c->cond) {
            memcpy(c->cond + to * c->cond_elems, a->cond + from * c->cond_elems, c->cond_elems * sizeof(float));
        }
    }
}

/* ---- variations of the first of a group ---------------------------------------------------------------- */

typedef struct vary {
    const dmc__variation *how;   /* NULL: independent samples */
    uint64_t *noise;             /* (batch) LATENT: whose forward noise */
    float *mask, *spare;         /* (batch, elems) INPAINT */
    float *known;                /* likewise; IMPROVE: what the first were */
} vary;

static dmc_status open_vary(const dmc__align *a, const dmc__variation *how, vary *v)
{
    const size_t n = (size_t)a->config.batch, e = dmc__align_elems(a);
    *v = (vary){.how = how};
    DMC_TRY(DMC_NEW(a->alloc, n, &v->noise));
    if (how && how->kind >= DMC__VARY_INPAINT) DMC_TRY(DMC_NEW(a->alloc, n * e, &v->known));
    if (!how || how->kind != DMC__VARY_INPAINT) return DMC_OK;
    DMC_TRY(DMC_NEW(a->alloc, n * e, &v->mask));
    return DMC_NEW(a->alloc, n * e, &v->spare);
}

static void close_vary(const dmc__align *a, vary *v)
{
    const size_t n = (size_t)a->config.batch, e = dmc__align_elems(a);
    DMC_FREE(a->alloc, v->noise, n);
    DMC_FREE(a->alloc, v->mask, n * e);
    DMC_FREE(a->alloc, v->known, n * e);
    DMC_FREE(a->alloc, v->spare, n * e);
}

/* Every sample of the batch becomes the first of its group, in `to` (batch, elems). */
static dmc_status spread_first(dmc__align *a, int32_t pool, float *to)
{
    const size_t e = dmc__align_elems(a), n = (size_t)a->config.batch;
    DMC_TRY(dmc__dev_out(a->device, to, dmc__rollout_latent(a->sample, dmc__rollout_rows(a->sample)), n * e));
    for (size_t i = 0; i < n; i++) memmove(to + i * e, to + (i - i % (size_t)pool) * e, e * sizeof *to);
    return DMC_OK;
}

/* Row 0 is the noisiest; at least one row comes before and after the fork. */
static int32_t fork_row(const dmc__align *a, const dmc__variation *how, uint64_t draw)
{
    const int32_t steps = dmc__align_steps(a);
    const dmc__stream t = {a->config.seed, DMC_STREAM_TIME, draw, 0};
    const double share = how->fork_min + (how->fork_max - how->fork_min) * dmc__rng_uniform(&t, 0);
    const int32_t row = (int32_t)((1 - share) * steps);
    return row < 1 ? 1 : row > steps - 1 ? steps - 1 : row;
}

/* From one latent to different samples it takes noise on the way. */
static int32_t is_noisy_after(const dmc__align *a, int32_t row)
{
    for (int32_t k = row; k < dmc__rollout_rows(a->sample); k++)
        if (dmc__rollout_row(a->sample, k)->S > 0) return 1;
    return 0;
}

/* Where there is no noise after the fork the latents are near each other, not the same: each has forward noise of its own. */
static dmc_status fork_samples(dmc__align *a, int32_t pool, const vary *v, uint64_t draw)
{
    const size_t n = (size_t)a->config.batch;
    const int32_t row = fork_row(a, v->how, draw), shared = is_noisy_after(a, row);
    void *z0 = dmc__rollout_latent(a->sample, dmc__rollout_rows(a->sample));
    DMC_TRY(spread_first(a, pool, a->host));
    for (size_t i = 0; i < n; i++) v->noise[i] = shared ? i - i % (size_t)pool : i;
    DMC_TRY(dmc__dev_in(a->device, z0, a->host, n * dmc__align_elems(a)));
    return dmc__rollout_run_from(a->sample, z0, row, a->config.seed, draw, (uint64_t)n, v->noise);
}

/* The same window for a group. The masks are of this run alone. */
static dmc_status repaint_samples(dmc__align *a, int32_t pool, const vary *v, uint64_t draw)
{
    const size_t e = dmc__align_elems(a), n = (size_t)a->config.batch;
    DMC_TRY(spread_first(a, pool, v->known));
    for (size_t i = 0; i < n; i++) {
        const dmc__stream s = {a->config.seed, DMC_STREAM_MASK, draw, (uint64_t)(i / (size_t)pool)};
        if (a->mask) memcpy(v->mask + i * e, a->mask + i * e, e * sizeof *v->mask);
        else memset(v->mask + i * e, 0, e * sizeof *v->mask);
        dmc__view_window_mask(&a->view, &s, v->mask + i * e, v->spare + i * e);
    }
    DMC_TRY(dmc__rollout_set_known(a->sample, v->mask, v->known));
    DMC_TRY(dmc__rollout_run(a->sample, a->config.seed, draw, (uint64_t)n, 1));
    return dmc__rollout_set_known(a->sample, a->mask, a->known);
}

static dmc_status improve_samples(dmc__align *a, int32_t pool, const vary *v, uint64_t draw)
{
    const size_t e = dmc__align_elems(a), n = (size_t)a->config.batch;
    void *z0 = dmc__rollout_latent(a->sample, dmc__rollout_rows(a->sample));
    DMC_TRY(spread_first(a, pool, v->known));
    DMC_TRY(dmc__dev_in(a->device, z0, v->known, n * e));
    DMC_TRY(v->how->improve(v->how->self, a, draw));
    DMC_TRY(dmc__dev_out(a->device, a->host, z0, n * e));
    for (size_t i = 0; i < n; i += (size_t)pool) memcpy(a->host + i * e, v->known + i * e, e * sizeof(float));
    return dmc__dev_in(a->device, z0, a->host, n * e);
}

static dmc_status vary_samples(dmc__align *a, int32_t pool, const vary *v, uint64_t draw)
{
    if (!v->how) return DMC_OK;
    switch (v->how->kind) {
    case DMC__VARY_LATENT: return fork_samples(a, pool, v, draw);
    case DMC__VARY_INPAINT: return repaint_samples(a, pool, v, draw);
    case DMC__VARY_IMPROVE: return improve_samples(a, pool, v, draw);
    default: return DMC_OK;
    }
}

/* ---- drawing ------------------------------------------------------------------------------------------- */

/* One chunk: as many groups as fill the aligner's batch; the last chunk may keep fewer. */
static dmc_status draw_chunk(dmc__align *a, dmc__candidates *c, int32_t first, const vary *v)
{
    const int32_t per_chunk = a->config.batch / c->pool;
    const int32_t groups = first + per_chunk <= c->groups ? per_chunk : c->groups - first;
    const size_t n = (size_t)groups * (size_t)c->pool, at = (size_t)first * (size_t)c->pool;
    const uint64_t draw = dmc__align_draw(a);
    const void *z0 = dmc__rollout_latent(a->sample, dmc__rollout_rows(a->sample));
    DMC_TRY(dmc__align_condition(a, a->sample, per_chunk, c->pool, draw, 0));
    DMC_TRY(dmc__rollout_run(a->sample, a->config.seed, draw, 0, 1));
    DMC_TRY(vary_samples(a, c->pool, v, draw));
    DMC_TRY(a->judge.eval(a->judge.self, z0, dmc__rollout_cond(a->sample), 1, a->gated, NULL));
    memcpy(c->reward + at, a->gated, n * sizeof(float));
    DMC_TRY(dmc__dev_out(a->device, c->z + at * c->elems, z0, n * c->elems));
    keep_conditions(a, c, first, groups);
    return DMC_OK;
}

void dmc__candidates_spread(dmc__candidates *c)
{
    const size_t n = (size_t)c->groups * (size_t)c->pool;
    double sum = 0, square = 0;
    for (size_t i = 0; i < n; i++) {
        sum += c->reward[i];
        square += (double)c->reward[i] * c->reward[i];
    }
    const double mean = sum / (double)n;
    c->std = sqrt(fmax(square / (double)n - mean * mean, 0));
}

static dmc_status draw_all(dmc__align *a, const void *weights, const dmc__variation *how, dmc__candidates *c)
{
    const int32_t per_chunk = a->config.batch / c->pool;
    vary v;
    dmc_status status = open_vary(a, how, &v);
    dmc__rollout_bind(a->sample, weights, NULL, dmc__rollout_rows(a->sample));
    for (int32_t first = 0; first < c->groups && status >= 0; first += per_chunk) status = draw_chunk(a, c, first, &v);
    close_vary(a, &v);
    dmc__candidates_spread(c);
    return status;
}

dmc_status dmc__candidates_draw(dmc__align *a, const void *weights, dmc__candidates *c)
{
    return draw_all(a, weights, NULL, c);
}

dmc_status dmc__candidates_vary(dmc__align *a, const void *weights, const dmc__variation *v, dmc__candidates *c)
{
    if (v->kind == DMC__VARY_LATENT && dmc__align_steps(a) < 2)
        return dmc__fail(DMC_ESTATE, "dmc_align_cascade: samples have %d steps, must be at least 2 to share a latent",
                         dmc__align_steps(a));
    if (v->kind == DMC__VARY_INPAINT && a->view.horizon < 2)
        return dmc__fail(DMC_ESTATE, "dmc_align_cascade: samples have %d row, must be at least 2 to draw a window of them anew",
                         a->view.horizon);
    return draw_all(a, weights, v, c);
}

void dmc__candidates_extremes(const dmc__candidates *c, int32_t g, int32_t *best, int32_t *worst)
{
    const float *r = c->reward + (size_t)g * (size_t)c->pool;
    *best = *worst = 0;
    for (int32_t i = 1; i < c->pool; i++) {
        if (r[i] > r[*best]) *best = i;
        if (r[i] < r[*worst]) *worst = i;
    }
}
