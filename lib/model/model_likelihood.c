/* model_likelihood.c — samples in dataset units, a batch at a time, as the network sees them. */
#include "model_likelihood.h"

#include <math.h>
#include <string.h>

enum { CHUNK = 64 };

typedef struct stage {
    const dmc__model *m;
    dmc__view view;
    size_t elems, cond, raw;             /* per sample: of z, of the network's condition, of obs */
    int32_t batch;
    dmc__likelihood *likelihood;
    float *x0, *side, *mask, *known, *weight; /* (batch, ...) */
    double *out;                         /* (batch) */
} stage;

static dmc_status make_stage(stage *s, const dmc__likelihood_config *config)
{
    dmc__likelihood_config c = *config;
    c.noised_known = s->m->spec.inpaint == DMC__INPAINT_NOISED;
    const dmc__context *ctx = s->m->ref.ctx;
    const size_t b = (size_t)s->batch;
    DMC_TRY(dmc__likelihood_create(s->m->net, ctx->device, &s->m->process, s->batch, &c, &s->likelihood));
    dmc__likelihood_bind(s->likelihood, s->m->weights);
    DMC_TRY(DMC_NEW(&ctx->alloc, b * s->elems, &s->x0));
    DMC_TRY(DMC_NEW(&ctx->alloc, b * s->cond, &s->side));
    DMC_TRY(DMC_NEW(&ctx->alloc, b * s->elems, &s->mask));
    DMC_TRY(DMC_NEW(&ctx->alloc, s->elems, &s->known));
    DMC_TRY(DMC_NEW(&ctx->alloc, b * s->elems, &s->weight));
    return DMC_NEW(&ctx->alloc, b, &s->out);
}

static void free_stage(stage *s)
{
    const dmc__allocator *a = &s->m->ref.ctx->alloc;
    const size_t b = (size_t)s->batch;
    DMC_FREE(a, s->out, b);
    DMC_FREE(a, s->weight, b * s->elems);
    DMC_FREE(a, s->known, s->elems);
    DMC_FREE(a, s->mask, b * s->elems);
    DMC_FREE(a, s->side, b * s->cond);
    DMC_FREE(a, s->x0, b * s->elems);
    dmc__likelihood_destroy(s->likelihood);
}

/* The current state in row 0 is known; of the caller's, or of the sample's own. */
static void place_plan(stage *s, const dmc__model_samples *x, size_t from, size_t at)
{
    float *z = s->x0 + at * s->elems, *mask = s->mask + at * s->elems;
    const float *state = x->obs ? x->obs + from * s->raw : x->z + from * s->elems;
    dmc__view_observe(&s->view, state, NULL, mask, s->known);
    for (size_t j = 0; j < s->elems; j++) {
        if (mask[j] != 0) z[j] = s->known[j];
        s->weight[at * s->elems + j] = 1 - mask[j];
    }
    if (s->cond) {
        s->side[at * s->cond] = (float)x->target_return;
        s->side[at * s->cond + 1] = 1;
    }
}

/* Observations in dataset units, frames as they are. */
static void place_condition(stage *s, const dmc__model_samples *x, size_t from, size_t at)
{
    float *side = s->side + at * s->cond;
    memcpy(side, x->obs + from * s->raw, s->raw * sizeof *side);
    dmc__normaliser_apply(&s->m->obs, side, (size_t)s->view.n_obs, side);
}

static void place(stage *s, const dmc__model_samples *x, size_t from, size_t at)
{
    dmc__view_normalise(&s->view, x->z + from * s->elems, s->x0 + at * s->elems);
    if (s->view.planner) place_plan(s, x, from, at);
    else place_condition(s, x, from, at);
}

static dmc_status run_chunk(stage *s, const dmc__model_samples *x, size_t first, double *out)
{
    const size_t left = x->n - first, n = left < (size_t)s->batch ? left : (size_t)s->batch;
    const int32_t planner = s->view.planner;
    for (size_t i = 0; i < (size_t)s->batch; i++) place(s, x, first + (i < n ? i : 0), i);
    const dmc__likelihood_batch b = {.x0 = s->x0, .cond = s->cond ? s->side : NULL, .mask = planner ? s->mask : NULL,
                                     .weight = planner ? s->weight : NULL, .first = first};
    DMC_TRY(dmc__likelihood_run(s->likelihood, &b, s->out));
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(s->out[i]))
            return dmc__fail(DMC_ENUMERIC, "dmc_likelihood: the result of sample %zu is not finite", first + i);
        out[first + i] = s->out[i];
    }
    return DMC_OK;
}

static dmc_status check_finite(const char *name, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i])) return dmc__fail(DMC_ENUMERIC, "dmc_likelihood: %s[%zu] is not finite", name, i);
    return DMC_OK;
}

static dmc_status check_samples(const stage *s, const dmc__model_samples *x)
{
    if (x->n < 1) return dmc__fail(DMC_ERANGE, "dmc_likelihood: n = 0, must be at least 1");
    if (!x->obs && !s->view.planner)
        return dmc__fail(DMC_EINVAL, "dmc_likelihood: obs is NULL, a policy needs (n,%zu)", s->raw);
    DMC_TRY(check_finite("z", x->z, x->n * s->elems));
    return x->obs ? check_finite("obs", x->obs, x->n * s->raw) : DMC_OK;
}

dmc_status dmc__model_likelihood(const dmc__model *m, const dmc__likelihood_config *c, const dmc__model_samples *x, double *out)
{
    dmc_status status;
    stage s = {.m = m, .view = dmc__model_view(m, NULL)};
    DMC_TRY(dmc__model_draws(m, "dmc_likelihood"));
    s.elems = dmc__view_elems(&s.view);
    s.cond = (size_t)dmc__view_cond(&s.view);
    s.raw = s.view.planner ? (size_t)m->obs.n : s.cond;
    s.batch = (int32_t)(x->n < CHUNK ? x->n : CHUNK);
    DMC_TRY(check_samples(&s, x));
    status = make_stage(&s, c);
    for (size_t first = 0; first < x->n && status >= 0; first += (size_t)s.batch) status = run_chunk(&s, x, first, out);
    free_stage(&s);
    return status;
}
