/* learner.c — one update: gradient, clipping, AdamW, merge, EMA. */
#include "learner.h"

#include <math.h>
#include <string.h>

#include "../backend/replay.h"

struct dmc__learner {
    const dmc__allocator *alloc;
    dmc__device *device;
    dmc__lora *lora;    /* NULL: all weights learn */
    size_t n, learn;    /* elements of the weight block, of what learns */
    void *base;         /* (n) */
    void *effective;    /* (n) with an adapter, else NULL */
    void *grads;        /* (n) of the effective weights */
    void *factor_grads; /* (learn) with an adapter, else NULL */
    void *moments;      /* (2 learn) */
    void *ema;          /* (n) or NULL */
    void *sumsq;        /* (1) */
    float *norm;        /* (1) host: sumsq of the last update */
    dmc__live attr;     /* (DMC_KATTR) doubles, of ADAMW */
    const dmc__graph *graph;
    size_t held;        /* elements of parameters that do not learn (dmc__graph_param_learns) */
    void *frozen;       /* (held) what they are, without an adapter; NULL if there are none */
    int64_t step;       /* updates since the moments were zero */
};

dmc__adamw_config dmc__adamw_defaults(void)
{
    return (dmc__adamw_config){.lr = 3e-4, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .max_norm = 1};
}

/* ---- life ------------------------------------------------------------------------------------------- */

static dmc_status allocate(dmc__learner *l, int32_t with_ema)
{
    dmc__device *d = l->device;
    DMC_TRY(dmc__dev_alloc(d, l->n, &l->base));
    DMC_TRY(dmc__dev_alloc(d, l->n, &l->grads));
    DMC_TRY(dmc__dev_alloc(d, 2 * l->learn, &l->moments));
    DMC_TRY(dmc__dev_alloc(d, 1, &l->sumsq));
    DMC_TRY(dmc__dev_host_alloc(d, sizeof *l->norm, (void **)&l->norm));
    DMC_TRY(dmc__live_open(d, DMC_KATTR * sizeof(double), &l->attr));
    if (with_ema) DMC_TRY(dmc__dev_alloc(d, l->n, &l->ema));
    if (!l->lora) DMC_TRY(dmc__dev_alloc(d, l->held, &l->frozen));
    if (!l->lora) return DMC_OK;
    DMC_TRY(dmc__dev_alloc(d, l->n, &l->effective));
    return dmc__dev_alloc(d, l->learn, &l->factor_grads);
}

static dmc_status merge(dmc__learner *l)
{
    return l->lora ? dmc__lora_merge(l->lora, l->base, l->effective) : DMC_OK;
}

static size_t count_frozen(const dmc__graph *g)
{
    size_t n = 0;
    for (dmc__parid i = 0; i < dmc__graph_param_count(g); i++)
        if (!dmc__graph_param_learns(g, i)) n += dmc__graph_param(g, i)->size;
    return n;
}

/* Parameters of a block that do not learn: kept from it (back = 0), or put back into it. Weight decay moves the whole block. */
static dmc_status hold_frozen(const dmc__learner *l, void *block, int32_t back)
{
    size_t at = 0;
    for (dmc__parid i = 0; l->frozen && block && i < dmc__graph_param_count(l->graph); i++) {
        const dmc__param_spec *const s = dmc__graph_param(l->graph, i);
        if (dmc__graph_param_learns(l->graph, i)) continue;
        void *const kept = dmc__dev_at(l->device, l->frozen, at), *const in = dmc__dev_at(l->device, block, s->offset);
        DMC_TRY(dmc__dev_copy(l->device, back ? in : kept, back ? kept : in, s->size));
        at += s->size;
    }
    return DMC_OK;
}

static dmc_status fill_learner(dmc__learner *l, const dmc__graph *g, const void *weights, int32_t with_ema)
{
    if (l->lora && with_ema)
        return dmc__fail(DMC_EINVAL, "dmc__learner_create: with_ema = %d with an adapter, must be 0", with_ema);
    l->graph = g;
    l->held = count_frozen(g);
    l->n = dmc__graph_param_elems(g);
    l->learn = l->lora ? dmc__lora_elems(l->lora) : l->n;
    if (l->n > INT32_MAX || l->learn > INT32_MAX)
        return dmc__fail(DMC_EOVERFLOW, "dmc__learner_create: %zu weights, must be at most %d", l->n, INT32_MAX);
    DMC_TRY(allocate(l, with_ema));
    DMC_TRY(dmc__dev_copy(l->device, l->base, weights, l->n));
    if (l->ema) DMC_TRY(dmc__dev_copy(l->device, l->ema, weights, l->n));
    DMC_TRY(hold_frozen(l, l->base, 0));
    return merge(l);
}

dmc_status dmc__learner_create(const dmc__graph *g, dmc__device *d, const void *weights, dmc__lora *lora,
                               int32_t with_ema, dmc__learner **out)
{
    *out = NULL;
    dmc__learner *l = NULL;
    dmc_status status = DMC_NEW(d->alloc, 1, &l);
    if (status < 0) {
        dmc__lora_destroy(lora);
        return status;
    }
    *l = (dmc__learner){.alloc = d->alloc, .device = d, .lora = lora};
    status = fill_learner(l, g, weights, with_ema);
    if (status < 0) {
        dmc__learner_destroy(l);
        return status;
    }
    *out = l;
    return DMC_OK;
}

dmc_status dmc__learner_create_fresh(const dmc__graph *g, dmc__device *d, uint64_t seed, int32_t with_ema, dmc__learner **out)
{
    const size_t n = dmc__graph_param_elems(g);
    void *weights = NULL;
    *out = NULL;
    DMC_TRY(dmc__dev_alloc(d, n, &weights));
    dmc_status status = dmc__params_init(g, d, seed, weights);
    if (status >= 0) status = dmc__learner_create(g, d, weights, NULL, with_ema, out);
    dmc__dev_free(d, weights, n);
    return status;
}

void dmc__learner_destroy(dmc__learner *l)
{
    if (!l) return;
    dmc__device *d = l->device;
    dmc__dev_free(d, l->base, l->n);
    dmc__dev_free(d, l->effective, l->n);
    dmc__dev_free(d, l->grads, l->n);
    dmc__dev_free(d, l->factor_grads, l->learn);
    dmc__dev_free(d, l->moments, 2 * l->learn);
    dmc__dev_free(d, l->ema, l->n);
    dmc__dev_free(d, l->sumsq, 1);
    if (l->norm) dmc__dev_host_free(d, l->norm, sizeof *l->norm);
    dmc__live_close(d, &l->attr);
    dmc__dev_free(d, l->frozen, l->held);
    dmc__lora_destroy(l->lora);
    DMC_FREE(l->alloc, l, 1);
}

/* ---- reading ---------------------------------------------------------------------------------------- */

const void *dmc__learner_base(const dmc__learner *l)
{
    return l->base;
}

const void *dmc__learner_weights(const dmc__learner *l)
{
    return l->lora ? l->effective : l->base;
}

const void *dmc__learner_ema(const dmc__learner *l)
{
    return l->ema ? l->ema : dmc__learner_weights(l);
}

void *dmc__learner_grads(const dmc__learner *l)
{
    return l->grads;
}

const uint8_t *dmc__learner_train_mask(const dmc__learner *l)
{
    return l->lora ? dmc__lora_train_mask(l->lora) : NULL;
}

dmc__lora *dmc__learner_lora(const dmc__learner *l)
{
    return l->lora;
}

size_t dmc__learner_elems(const dmc__learner *l)
{
    return l->learn;
}

size_t dmc__learner_bytes(const dmc__learner *l)
{
    const size_t blocks = 2 + (l->ema ? 1 : 0) + (l->lora ? 1 : 0); /* of n */
    const size_t parts = 2 + (l->lora ? 2 : 0);                     /* of learn: moments; factors, their gradients */
    return l->device->backend->elem * (blocks * l->n + parts * l->learn + (l->frozen ? l->held : 0) + 1);
}

/* What the optimizer moves, and its gradient. */
static void *learning(const dmc__learner *l)
{
    return l->lora ? dmc__lora_factors(l->lora) : l->base;
}

static void *learning_grads(const dmc__learner *l)
{
    return l->lora ? l->factor_grads : l->grads;
}

/* ---- the update ------------------------------------------------------------------------------------- */

static dmc_status check_config(const dmc__adamw_config *c)
{
    const struct {
        const char *name;
        double value, min, end;
    } field[] = {
        {"lr", c->lr, 0, INFINITY},
        {"beta1", c->beta1, 0, 1},
        {"beta2", c->beta2, 0, 1},
        {"eps", c->eps, 0, INFINITY},
        {"weight_decay", c->weight_decay, 0, INFINITY},
        {"max_norm", c->max_norm, 0, INFINITY},
        {"ema", c->ema, 0, 1},
    };
    for (size_t i = 0; i < sizeof field / sizeof *field; i++)
        if (!(field[i].value >= field[i].min && field[i].value < field[i].end))
            return dmc__fail(DMC_ERANGE, "dmc__learner_update: %s = %g, must be in [%g, %g)", field[i].name,
                             field[i].value, field[i].min, field[i].end);
    return DMC_OK;
}

dmc_status dmc__learner_prepare(dmc__learner *l, const dmc__adamw_config *c)
{
    const double attr[DMC_KATTR] = {c->lr, c->beta1, c->beta2, c->eps, c->weight_decay, (double)(l->step + 1), c->max_norm, c->ema};
    DMC_TRY(check_config(c));
    memcpy(l->attr.host, attr, sizeof attr);
    return DMC_OK;
}

/* Gradient of what learns, and its sum of squares. */
static dmc_status gather_gradient(dmc__learner *l)
{
    dmc__device *d = l->device;
    if (l->lora) {
        DMC_TRY(dmc__params_zero(d, l->factor_grads, l->learn));
        DMC_TRY(dmc__lora_backward(l->lora, l->grads, l->factor_grads));
    }
    dmc_kargs k = {.in = {learning_grads(l)}, .out = l->sumsq, .dim = {(int32_t)l->learn}};
    return dmc__dev_run(d, DMC_OP_SUMSQ, &k);
}

/* Nothing of it where the sum of squares is not finite (ops.def). */
static dmc_status take_step(dmc__learner *l)
{
    dmc_kargs k = {
        .in = {learning_grads(l), l->sumsq},
        .out = learning(l),
        .out2 = l->ema,
        .save = l->moments,
        .dim = {(int32_t)l->learn},
        .live = l->attr.device,
    };
    memcpy(k.attr, l->attr.host, sizeof k.attr);
    DMC_TRY(dmc__live_send(l->device, &l->attr));
    DMC_TRY(dmc__dev_run(l->device, DMC_OP_ADAMW, &k));
    DMC_TRY(hold_frozen(l, l->base, 1));
    DMC_TRY(hold_frozen(l, l->ema, 1));
    return merge(l);
}

dmc_status dmc__learner_apply(dmc__learner *l)
{
    DMC_TRY(gather_gradient(l));
    DMC_TRY(take_step(l));
    DMC_TRY(dmc__params_zero(l->device, l->grads, l->n));
    return dmc__dev_out(l->device, l->norm, l->sumsq, 1);
}

double dmc__learner_norm(const dmc__learner *l)
{
    return sqrt((double)*l->norm);
}

dmc_status dmc__learner_conclude(dmc__learner *l, double *grad_norm)
{
    const double norm = dmc__learner_norm(l);
    if (grad_norm) *grad_norm = norm;
    if (!isfinite(norm)) return dmc__fail(DMC_ENUMERIC, "dmc__learner_update: the gradient's norm is %g, must be finite", norm);
    l->step++;
    return DMC_OK;
}

dmc_status dmc__learner_update(dmc__learner *l, const dmc__adamw_config *c, double *grad_norm)
{
    DMC_TRY(dmc__learner_prepare(l, c));
    DMC_TRY(dmc__learner_apply(l));
    return dmc__learner_conclude(l, grad_norm);
}

dmc_status dmc__learner_reset_moments(dmc__learner *l)
{
    l->step = 0;
    return dmc__params_zero(l->device, l->moments, 2 * l->learn);
}

/* ---- snapshots -------------------------------------------------------------------------------------- */

dmc_status dmc__learner_get(const dmc__learner *l, float *out)
{
    return dmc__dev_out(l->device, out, learning(l), l->learn);
}

dmc_status dmc__learner_set(dmc__learner *l, const float *values)
{
    DMC_TRY(dmc__dev_in(l->device, learning(l), values, l->learn));
    return merge(l);
}

dmc_status dmc__learner_get_state(const dmc__learner *l, float *moments, float *ema, int64_t *step)
{
    if (moments) DMC_TRY(dmc__dev_out(l->device, moments, l->moments, 2 * l->learn));
    if (ema) DMC_TRY(dmc__dev_out(l->device, ema, dmc__learner_ema(l), l->n));
    if (step) *step = l->step;
    return DMC_OK;
}

dmc_status dmc__learner_set_state(dmc__learner *l, const float *moments, const float *ema, int64_t step)
{
    if (step < 0)
        return dmc__fail(DMC_ERANGE, "dmc__learner_set_state: step = %lld, must be at least 0", (long long)step);
    if (ema && !l->ema) return dmc__fail(DMC_ESTATE, "dmc__learner_set_state: this learner keeps no EMA");
    if (moments) DMC_TRY(dmc__dev_in(l->device, l->moments, moments, 2 * l->learn));
    if (ema) DMC_TRY(dmc__dev_in(l->device, l->ema, ema, l->n));
    l->step = step;
    return DMC_OK;
}
