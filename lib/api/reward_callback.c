/* reward_callback.c — device samples out, denormalised, to the callback; its gradient back through the normaliser. */
#include "reward_callback.h"

#include <math.h>
#include <string.h>

typedef struct callback {
    const dmc__allocator *alloc;
    dmc__device *device;
    dmc__view view;
    dmc_reward_fn fn;
    void *user;
    size_t batch, elems, obs;     /* obs: width of the raw condition handed out */
    size_t width;                 /* of the whole condition, frames included    */
    float *z, *raw, *cond, *grad; /* (batch, ...) */
} callback;

/* The raw condition: a policy's window, or a planner's first state (which is in-painted in the sample). */
static dmc_status fetch_condition(callback *c, const void *cond, float *out)
{
    if (!c->view.planner) {
        for (size_t b = 0; b < c->batch; b++)
            DMC_TRY(dmc__dev_out(c->device, out + b * c->obs, dmc__dev_at(c->device, cond, b * c->width), c->obs));
        dmc__normaliser_invert(c->view.obs, out, c->batch * (size_t)c->view.n_obs, out);
        return DMC_OK;
    }
    for (size_t b = 0; b < c->batch; b++) memcpy(out + b * c->obs, c->raw + b * c->elems, c->obs * sizeof *out);
    return DMC_OK;
}

/* d r / d z_normalised = d r / d z_raw * scale, column by column. */
static void scale_gradient(const callback *c)
{
    const size_t s = c->view.planner ? (size_t)c->view.obs->n : 0, cols = (size_t)dmc__view_cols(&c->view);
    for (size_t i = 0; i < c->batch * c->elems; i++) {
        const size_t j = i % cols;
        c->grad[i] *= j < s ? c->view.obs->scale[j] : c->view.act->scale[j - s];
    }
}

static dmc_status check_rewards(const float *r, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(r[i])) return dmc__fail(DMC_ENUMERIC, "the reward callback gave %g for sample %zu", (double)r[i], i);
    return DMC_OK;
}

static dmc_status eval(void *self, const void *z, const void *cond, int32_t pessimistic, float *r, void *dz)
{
    callback *c = self;
    (void)pessimistic; /* a callback has one opinion */
    DMC_TRY(dmc__dev_out(c->device, c->z, z, c->batch * c->elems));
    for (size_t b = 0; b < c->batch; b++) dmc__view_denormalise(&c->view, c->z + b * c->elems, c->raw + b * c->elems);
    DMC_TRY(fetch_condition(c, cond, c->cond));
    const int32_t failed = c->fn(c->user, c->batch, c->raw, c->cond, r, dz ? c->grad : NULL);
    if (failed) return dmc__fail(DMC_ECALLBACK, "dmc_align: the reward callback returned %d", failed);
    DMC_TRY(check_rewards(r, c->batch));
    if (!dz) return DMC_OK;
    scale_gradient(c);
    return dmc__dev_in(c->device, dz, c->grad, c->batch * c->elems);
}

static dmc_status make_buffers(callback *c, int32_t has_gradient)
{
    DMC_TRY(DMC_NEW(c->alloc, c->batch * c->elems, &c->z));
    DMC_TRY(DMC_NEW(c->alloc, c->batch * c->elems, &c->raw));
    DMC_TRY(DMC_NEW(c->alloc, c->batch * c->obs, &c->cond));
    return has_gradient ? DMC_NEW(c->alloc, c->batch * c->elems, &c->grad) : DMC_OK;
}

dmc_status dmc__reward_callback_create(const dmc__allocator *a, dmc__device *d, const dmc__view *view, int32_t batch,
                                       int32_t has_gradient, dmc_reward_fn fn, void *user, dmc__reward *out)
{
    callback *c;
    memset(out, 0, sizeof *out);
    DMC_TRY(DMC_NEW(a, 1, &c));
    c->alloc = a;
    c->device = d;
    c->view = *view;
    c->fn = fn;
    c->user = user;
    c->batch = (size_t)batch;
    c->elems = dmc__view_elems(view);
    c->obs = (size_t)view->obs->n * (size_t)(view->planner ? 1 : view->n_obs);
    c->width = (size_t)dmc__view_cond(view);
    *out = (dmc__reward){.self = c, .batch = batch, .has_gradient = has_gradient, .eval = eval};
    const dmc_status status = make_buffers(c, has_gradient);
    if (status < 0) dmc__reward_callback_free(out);
    return status;
}

void dmc__reward_callback_free(dmc__reward *r)
{
    callback *c = r->self;
    if (!c) return;
    DMC_FREE(c->alloc, c->z, c->batch * c->elems);
    DMC_FREE(c->alloc, c->raw, c->batch * c->elems);
    DMC_FREE(c->alloc, c->cond, c->batch * c->obs);
    DMC_FREE(c->alloc, c->grad, c->batch * c->elems);
    DMC_FREE(c->alloc, c, 1);
    memset(r, 0, sizeof *r);
}

int32_t dmc__reward_is_callback(const dmc__reward *r)
{
    return r->eval == eval;
}
