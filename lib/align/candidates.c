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

/* Make every sample of the batch a variation of the first of its group. */
static dmc_status fork_samples(dmc__align *a, int32_t pool, int32_t row, uint64_t draw, uint64_t *noise)
{
    const size_t e = dmc__align_elems(a), n = (size_t)a->config.batch;
    void *z0 = dmc__rollout_latent(a->sample, dmc__rollout_rows(a->sample));
    DMC_TRY(dmc__dev_out(a->device, a->host, z0, n * e));
    for (size_t i = 0; i < n; i++) {
        const size_t first = i - i % (size_t)pool;
        memmove(a->host + i * e, a->host + first * e, e * sizeof(float));
        noise[i] = first;
    }
    DMC_TRY(dmc__dev_in(a->device, z0, a->host, n * e));
    return dmc__rollout_run_from(a->sample, z0, row, a->config.seed, draw, (uint64_t)n, noise);
}

/* One chunk: as many groups as fill the aligner's batch; the last chunk may keep fewer. row < 0: independent samples. */
static dmc_status draw_chunk(dmc__align *a, dmc__candidates *c, int32_t first, int32_t row, uint64_t *noise)
{
    const int32_t per_chunk = a->config.batch / c->pool;
    const int32_t groups = first + per_chunk <= c->groups ? per_chunk : c->groups - first;
    const size_t n = (size_t)groups * (size_t)c->pool, at = (size_t)first * (size_t)c->pool;
    const uint64_t draw = dmc__align_draw(a);
    const void *z0 = dmc__rollout_latent(a->sample, dmc__rollout_rows(a->sample));
    DMC_TRY(dmc__align_condition(a, a->sample, per_chunk, c->pool, draw, 0));
    DMC_TRY(dmc__rollout_run(a->sample, a->config.seed, draw, 0, 1));
    if (row >= 0) DMC_TRY(fork_samples(a, c->pool, row, draw, noise));
    DMC_TRY(a->judge.eval(a->judge.self, z0, dmc__rollout_cond(a->sample), 1, a->gated, NULL));
    memcpy(c->reward + at, a->gated, n * sizeof(float));
    DMC_TRY(dmc__dev_out(a->device, c->z + at * c->elems, z0, n * c->elems));
    keep_conditions(a, c, first, groups);
    return DMC_OK;
}

static double spread(const float *r, size_t n)
{
    double sum = 0, square = 0;
    for (size_t i = 0; i < n; i++) {
        sum += r[i];
        square += (double)r[i] * r[i];
    }
    const double mean = sum / (double)n;
    return sqrt(fmax(square / (double)n - mean * mean, 0));
}

static dmc_status draw_all(dmc__align *a, const void *weights, int32_t row, dmc__candidates *c)
{
    const int32_t per_chunk = a->config.batch / c->pool;
    uint64_t *noise;
    dmc_status status = DMC_OK;
    DMC_TRY(DMC_NEW(a->alloc, a->config.batch, &noise));
    dmc__rollout_bind(a->sample, weights, NULL, dmc__rollout_rows(a->sample));
    for (int32_t first = 0; first < c->groups && status >= 0; first += per_chunk)
        status = draw_chunk(a, c, first, row, noise);
    DMC_FREE(a->alloc, noise, a->config.batch);
    c->std = spread(c->reward, (size_t)c->groups * (size_t)c->pool);
    return status;
}

dmc_status dmc__candidates_draw(dmc__align *a, const void *weights, dmc__candidates *c)
{
    return draw_all(a, weights, -1, c);
}

dmc_status dmc__candidates_draw_forked(dmc__align *a, const void *weights, int32_t row, dmc__candidates *c)
{
    return draw_all(a, weights, row, c);
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
