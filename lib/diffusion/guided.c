/* guided.c — one hoisted network, fed twice where its condition is weighed, and a push on what it says. */
#include "guided.h"

#include "../backend/block.h"
#include "feed.h"

struct dmc__guided {
    dmc__device *device;
    const dmc__net *net;
    dmc__hoist *hoist;          /* of copies * batch samples */
    dmc__guide guide;
    double null_share;
    int32_t batch, group, copies; /* of the roll-out; copies 2: with the condition, then without */
    const void *out;            /* what the last forward came to */
    dmc__block memory;          /* cut into: */
    void *z, *extra;            /* (copies, batch, ...) inputs, twice */
    void *f;                    /* (batch,T,cols) mixed, moved */
    void *x, *gradient;         /* (batch,T,cols) of the guide */
    void *cond;                 /* (batch,cond) where the network itself is fed none */
};

static int32_t has_guide(const dmc__guide *g)
{
    return g->gradient && g->scale != 0;
}

static size_t cond_elems(const dmc__guided *g)
{
    return dmc__feed_cond_elems(g->net);
}

static int32_t only_null(const dmc__guided *g)
{
    return g->null_share == 1 && g->net->cond >= 0;
}

/* ---- life --------------------------------------------------------------------------------------------- */

static dmc_status take_memory(dmc__guided *g)
{
    const int32_t twice = g->copies == 2, guide = has_guide(&g->guide);
    const size_t b = (size_t)g->batch, e = b * dmc__feed_elems(g->net), extra = b * dmc__feed_extra_elems(g->net);
    const dmc__part part[] = {
        {&g->z, twice ? 2 * e : 0},
        {&g->extra, twice ? 2 * extra : 0},
        {&g->f, twice || guide ? e : 0},
        {&g->x, guide && g->guide.of_sample ? e : 0},
        {&g->gradient, guide ? e : 0},
        {&g->cond, only_null(g) ? b * cond_elems(g) : 0},
    };
    return dmc__block_alloc(g->device, part, sizeof part / sizeof *part, &g->memory);
}

static dmc_status check_batch(const dmc__guided *g)
{
    if (g->batch > INT32_MAX / 2 && g->copies == 2)
        return dmc__fail(DMC_EOVERFLOW, "rollout: batch = %d, must be below 2^30 with guidance", g->batch);
    return dmc__feed_check(g->net, g->copies * g->batch, "rollout");
}

dmc_status dmc__guided_create(const dmc__net *net, dmc__device *d, const dmc__table *table, const dmc__rollout_config *c,
                              dmc__guided **out)
{
    dmc_status status;
    dmc__guided *g;
    *out = NULL;
    if (c->null_share != 0 && net->cond < 0)
        return dmc__fail(DMC_EINVAL, "rollout: null_share = %g, but the network has no condition to leave out", c->null_share);
    DMC_TRY(DMC_NEW(d->alloc, 1, &g));
    g->device = d;
    g->net = net;
    g->guide = c->guide;
    g->null_share = c->null_share;
    g->batch = c->batch;
    g->group = c->group;
    g->copies = c->null_share == 0 || c->null_share == 1 ? 1 : 2;
    DMC_TRY_GOTO(status, check_batch(g), fail);
    DMC_TRY_GOTO(status, dmc__hoist_create(net, d, table, g->copies * c->batch, c->group, &g->hoist), fail);
    DMC_TRY_GOTO(status, take_memory(g), fail);
    *out = g;
    return DMC_OK;
fail:
    dmc__guided_destroy(g);
    return status;
}

void dmc__guided_destroy(dmc__guided *g)
{
    if (!g) return;
    const dmc__allocator *a = g->device->alloc;
    dmc__block_free(g->device, &g->memory);
    dmc__hoist_destroy(g->hoist);
    DMC_FREE(a, g, 1);
}

void dmc__guided_bind(dmc__guided *g, const void *weights)
{
    dmc__hoist_bind(g->hoist, weights);
}

void dmc__guided_bind_half(dmc__guided *g, const void *half, int32_t type)
{
    dmc__hoist_bind_half(g->hoist, half, type);
}

dmc_status dmc__guided_settle(dmc__guided *g)
{
    return dmc__hoist_settle(g->hoist);
}

void dmc__guided_forget(dmc__guided *g)
{
    dmc__hoist_forget(g->hoist);
}

/* The network's own condition stays the zeros it was made with, as that of a second copy does. */
static dmc_status keep_cond(const dmc__guided *g, const float *cond)
{
    const size_t n = cond_elems(g);
    for (size_t b = 0; b < (size_t)g->batch; b++)
        DMC_TRY(dmc__dev_in(g->device, dmc__dev_at(g->device, g->cond, b * n), cond + b / (size_t)g->group * n, n));
    return DMC_OK;
}

dmc_status dmc__guided_set_cond(dmc__guided *g, const float *cond)
{
    return g->cond ? keep_cond(g, cond) : dmc__hoist_set_cond(g->hoist, cond, g->batch / g->group);
}

/* ---- a row -------------------------------------------------------------------------------------------- */

static dmc_status feed_twice(const dmc__guided *g, size_t n, const void *from, void *to)
{
    DMC_TRY(dmc__dev_copy(g->device, to, from, n));
    return dmc__dev_copy(g->device, dmc__dev_at(g->device, to, n), from, n);
}

/* The two answers stand one after the other. */
static dmc_status run_both(dmc__guided *g, const dmc__affine *bare, int32_t k, const void *z, const void *extra)
{
    const size_t b = (size_t)g->batch, n = b * dmc__feed_elems(g->net);
    DMC_TRY(feed_twice(g, n, z, g->z));
    if (extra) DMC_TRY(feed_twice(g, b * dmc__feed_extra_elems(g->net), extra, g->extra));
    DMC_TRY(dmc__hoist_forward(g->hoist, k, g->z, extra ? g->extra : NULL));
    const void *f = dmc__hoist_output(g->hoist), *null = dmc__dev_at(g->device, f, n);
    g->out = g->f;
    return dmc__affine_mix(bare, 1 - g->null_share, f, g->null_share, null, g->f);
}

double dmc__guide_coefficient(const dmc__guide *g, const dmc__row *row)
{
    const double al = row->at.alpha, var = row->at.sigma * row->at.sigma;
    if (!has_guide(g) || row->Q == 0 || (al == 0 && !g->of_sample)) return 0;
    return g->scale * var / (g->of_sample ? var + al * al : al) / row->Q;
}

/* What is known of z' does not come from f, so that it may be moved too. */
static dmc_status push(dmc__guided *g, const dmc__affine *a, const dmc__affine *bare, const dmc__row *row, const void *z)
{
    const dmc__row clean = {.P = row->P, .Q = row->Q, .a = 1};
    const double coefficient = dmc__guide_coefficient(&g->guide, row);
    if (coefficient == 0) return DMC_OK;
    if (g->x) DMC_TRY(dmc__affine_step(a, &clean, z, g->out, NULL, g->x));
    DMC_TRY(g->guide.gradient(g->guide.self, row, g->x ? g->x : z, dmc__guided_cond(g), g->gradient));
    DMC_TRY(dmc__affine_mix(bare, 1, g->out, coefficient, g->gradient, g->f));
    g->out = g->f;
    return DMC_OK;
}

dmc_status dmc__guided_forward(dmc__guided *g, const dmc__affine *a, const dmc__row *row, int32_t k, const void *z,
                               const void *extra)
{
    const dmc__affine bare = {.device = a->device, .batch = a->batch, .elems = a->elems};
    if (g->copies == 2) {
        DMC_TRY(run_both(g, &bare, k, z, extra));
    } else {
        DMC_TRY(dmc__hoist_forward(g->hoist, k, z, extra));
        g->out = dmc__hoist_output(g->hoist);
    }
    return has_guide(&g->guide) ? push(g, a, &bare, row, z) : DMC_OK;
}

/* ---- what it holds ------------------------------------------------------------------------------------ */

const void *dmc__guided_output(const dmc__guided *g)
{
    return g->out;
}

/* Those of the first copy come first. */
const void *dmc__guided_cond(const dmc__guided *g)
{
    return g->cond ? g->cond : dmc__hoist_cond(g->hoist);
}

size_t dmc__guided_bytes(const dmc__guided *g)
{
    return sizeof *g + dmc__block_bytes(g->device, &g->memory) + dmc__hoist_bytes(g->hoist);
}
