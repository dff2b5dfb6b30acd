/* denoise.c — noise clean samples and compare the network with its target. */
#include "denoise.h"

#include <math.h>

#include "../backend/block.h"
#include "affine.h"
#include "feed.h"
#include "../nn/params.h"

enum { COEFS = 4 };

struct dmc__denoise {
    dmc__chain *chain;
    const dmc__net *net;
    const dmc__process *process;
    dmc__affine affine;             /* device and shape; mask while a batch has one */
    int32_t noised_known;           /* known entries are noised like the rest */
    size_t total;                   /* elements of (batch,T,cols) */
    int32_t outputs;                /* of a network that regresses, per sample; 0: its output is like z */
    size_t compared;                /* elements of the larger of z and the output */
    dmc__block memory;              /* cut into: */
    void *x0, *z, *mask;            /* (batch,T,cols) */
    void *target;                   /* (compared) */
    void *weight, *counted;         /* (batch,T,cols) loss weights; 1 where they are not 0 */
    void *noise;                    /* (compared) eps, later dL/df: the noise is dead once z and target are made */
    void *cond, *extra, *t, *coef;  /* (batch,cond) (batch,T,extra) (batch) (batch,4) */
    void *err, *derr;               /* (batch) */
    float *host;                    /* (batch, max(T*cols, 4)) */
    double *square;                 /* (batch) mean of x0^2 over counted entries */
    int32_t *count;                 /* (batch) counted entries */
};

static size_t host_elems(const dmc__denoise *n)
{
    const size_t b = (size_t)n->affine.batch;
    return n->total > COEFS * b ? n->total : COEFS * b;
}

static dmc_status take_memory(dmc__denoise *n)
{
    dmc__device *d = n->affine.device;
    const size_t b = (size_t)n->affine.batch;
    const dmc__part part[] = {
        {&n->x0, n->total},
        {&n->z, n->total},
        {&n->target, n->compared},
        {&n->mask, n->total},
        {&n->weight, n->total},
        {&n->counted, n->total},
        {&n->noise, n->compared},
        {&n->cond, b * dmc__feed_cond_elems(n->net)},
        {&n->extra, b * dmc__feed_extra_elems(n->net)},
        {&n->t, b},
        {&n->coef, COEFS * b},
        {&n->err, b},
        {&n->derr, b},
    };
    DMC_TRY(dmc__block_alloc(d, part, sizeof part / sizeof *part, &n->memory));
    DMC_TRY(DMC_NEW(d->alloc, host_elems(n), &n->host));
    DMC_TRY(DMC_NEW(d->alloc, b, &n->square));
    return DMC_NEW(d->alloc, b, &n->count);
}

dmc_status dmc__denoise_create(dmc__chain *c, const dmc__net *net, dmc__device *d, const dmc__process *p, int32_t batch,
                               dmc__denoise **out)
{
    *out = NULL;
    dmc__denoise *n = NULL;
    DMC_TRY(dmc__feed_check(net, batch, "denoise"));
    DMC_TRY(DMC_NEW(d->alloc, 1, &n));
    n->chain = c;
    n->net = net;
    n->process = p;
    n->affine = (dmc__affine){.device = d, .batch = batch, .elems = (int32_t)dmc__feed_elems(net)};
    n->total = (size_t)batch * dmc__feed_elems(net);
    n->outputs = dmc__net_regresses(net->config.kind) ? (int32_t)dmc__feed_out_elems(net) : 0;
    n->compared = (size_t)batch * dmc__feed_out_elems(net);
    if (n->compared < n->total) n->compared = n->total;
    const dmc_status status = take_memory(n);
    if (status < 0) {
        dmc__denoise_destroy(n);
        return status;
    }
    *out = n;
    return DMC_OK;
}

void dmc__denoise_destroy(dmc__denoise *n)
{
    if (!n) return;
    dmc__device *d = n->affine.device;
    DMC_FREE(d->alloc, n->count, n->affine.batch);
    DMC_FREE(d->alloc, n->square, n->affine.batch);
    DMC_FREE(d->alloc, n->host, host_elems(n));
    dmc__block_free(d, &n->memory);
    DMC_FREE(d->alloc, n, 1);
}

void dmc__denoise_noise_known(dmc__denoise *n, int32_t on)
{
    n->noised_known = on;
}

/* Loss weights with known entries taken out, and where they count, to the device. */
static dmc_status set_weights(dmc__denoise *n, const float *mask, const float *weight)
{
    dmc__device *d = n->affine.device;
    for (size_t i = 0; i < n->total; i++) n->host[i] = mask && mask[i] != 0 ? 0 : weight ? weight[i] : 1;
    DMC_TRY(dmc__dev_in(d, n->weight, n->host, n->total));
    for (size_t i = 0; i < n->total; i++) n->host[i] = n->host[i] != 0;
    return dmc__dev_in(d, n->counted, n->host, n->total);
}

/* Counted entries (n->host holds 1 and 0) and the mean of their x0^2. */
static void measure_squares(dmc__denoise *n, const float *x0)
{
    const size_t elems = (size_t)n->affine.elems;
    for (size_t b = 0; b < (size_t)n->affine.batch; b++) {
        double sum = 0, count = 0;
        for (size_t i = b * elems; i < (b + 1) * elems; i++) {
            sum += n->host[i] * (double)x0[i] * x0[i];
            count += n->host[i];
        }
        n->square[b] = sum / fmax(count, 1);
        n->count[b] = (int32_t)count;
    }
}

static dmc_status set_input(dmc__denoise *n, const char *name, void *to, const float *from, size_t elems)
{
    if (!to) return DMC_OK;
    if (!from) return dmc__fail(DMC_EINVAL, "denoise: %s is NULL, but the network has one", name);
    return dmc__dev_in(n->affine.device, to, from, elems);
}

dmc_status dmc__denoise_set(dmc__denoise *n, const float *x0, const float *cond, const float *extra, const float *mask,
                            const float *weight)
{
    const size_t b = (size_t)n->affine.batch;
    DMC_TRY(set_input(n, "x0", n->x0, x0, n->total));
    DMC_TRY(set_input(n, "the condition", n->cond, cond, b * dmc__feed_cond_elems(n->net)));
    DMC_TRY(set_input(n, "the side input", n->extra, extra, b * dmc__feed_extra_elems(n->net)));
    n->affine.mask = NULL;
    if (mask) {
        DMC_TRY(dmc__dev_in(n->affine.device, n->mask, mask, n->total));
        n->affine.mask = n->mask;
    }
    DMC_TRY(set_weights(n, mask, weight));
    measure_squares(n, x0);
    return DMC_OK;
}

/* (alpha, sigma, target's share of x0, of eps) per sample, and the times as the network gets them. */
static dmc_status set_levels(dmc__denoise *n, const double *time)
{
    const dmc__process *p = n->process;
    const size_t batch = (size_t)n->affine.batch;
    for (size_t b = 0; b < batch; b++) {
        double of_x0, of_eps;
        DMC_TRY(dmc__process_check_time(p, time[b], "denoise"));
        const dmc__level l = dmc__process_level(p, time[b]);
        dmc__process_target(p, &l, &of_x0, &of_eps);
        const double coef[COEFS] = {l.alpha, l.sigma, of_x0, of_eps};
        for (size_t j = 0; j < COEFS; j++) n->host[b * COEFS + j] = (float)coef[j];
    }
    DMC_TRY(dmc__dev_in(n->affine.device, n->coef, n->host, COEFS * batch));
    for (size_t b = 0; b < batch; b++) n->host[b] = (float)dmc__process_level(p, time[b]).seen;
    return dmc__dev_in(n->affine.device, n->t, n->host, batch);
}

dmc_status dmc__denoise_noise(dmc__denoise *n, const double *time, const uint64_t *sample, uint64_t seed,
                              uint32_t purpose, uint64_t step)
{
    const dmc__noise_key key = {.seed = seed, .step = step, .sample = sample, .purpose = purpose};
    DMC_TRY(set_levels(n, time));
    DMC_TRY(dmc__affine_noise(&n->affine, &key, n->noise));
    dmc_kargs k = {.in = {n->x0, n->noise, n->noised_known ? NULL : n->affine.mask},
                   .par = {n->coef},
                   .out = n->z,
                   .out2 = n->target,
                   .dim = {n->affine.batch, n->affine.elems}};
    return dmc__dev_run(n->affine.device, DMC_OP_DIFFUSE, &k);
}

dmc_status dmc__denoise_clean(dmc__denoise *n)
{
    DMC_TRY(dmc__params_zero(n->affine.device, n->t, (size_t)n->affine.batch));
    return dmc__dev_copy(n->affine.device, n->z, n->x0, n->total);
}

dmc_status dmc__denoise_set_target(dmc__denoise *n, const float *target)
{
    return dmc__dev_in(n->affine.device, n->target, target, (size_t)n->affine.batch * (size_t)n->outputs);
}

/* Loss weights belong to entries of z: a network that regresses has none. */
static dmc_kargs error_args(const dmc__denoise *n, const void *weight)
{
    return (dmc_kargs){.in = {dmc__chain_output(n->chain), n->target},
                       .par = {n->outputs ? NULL : weight},
                       .out = n->err,
                       .dim = {n->affine.batch, n->outputs ? n->outputs : n->affine.elems}};
}

static dmc_status measure_error(dmc__denoise *n, const void *weight, float *err)
{
    DMC_TRY(dmc__chain_network(n->chain, n->z, n->t, n->cond, n->extra));
    dmc_kargs k = error_args(n, weight);
    DMC_TRY(dmc__dev_run(n->affine.device, DMC_OP_MSE, &k));
    return dmc__dev_out(n->affine.device, err, n->err, (size_t)n->affine.batch);
}

dmc_status dmc__denoise_error(dmc__denoise *n, float *err)
{
    return measure_error(n, n->weight, err);
}

dmc_status dmc__denoise_counted_error(dmc__denoise *n, float *err)
{
    return measure_error(n, n->counted, err);
}

void dmc__denoise_counted(const dmc__denoise *n, const int32_t **count, const double **square)
{
    *count = n->count;
    *square = n->square;
}

dmc_status dmc__denoise_evaluate(dmc__denoise *n, const float *z, double seen, float *f)
{
    dmc__device *d = n->affine.device;
    const size_t b = (size_t)n->affine.batch;
    DMC_TRY(dmc__dev_in(d, n->z, z, n->total));
    for (size_t i = 0; i < b; i++) n->host[i] = (float)seen;
    DMC_TRY(dmc__dev_in(d, n->t, n->host, b));
    DMC_TRY(dmc__chain_network(n->chain, n->z, n->t, n->cond, n->extra));
    return dmc__dev_out(d, f, dmc__chain_output(n->chain), b * dmc__feed_out_elems(n->net));
}

dmc_status dmc__denoise_backward(dmc__denoise *n, const float *derr)
{
    DMC_TRY(dmc__dev_in(n->affine.device, n->derr, derr, (size_t)n->affine.batch));
    dmc_kargs k = error_args(n, n->weight);
    k.dout = n->derr;
    k.din[0] = n->noise;
    DMC_TRY(dmc__dev_run_bwd(n->affine.device, DMC_OP_MSE, &k));
    return dmc__chain_network_backward(n->chain, n->noise);
}

void dmc__denoise_batch(const dmc__denoise *n, const void **z, const void **t, const void **cond, void **target)
{
    if (z) *z = n->z;
    if (t) *t = n->t;
    if (cond) *cond = n->cond;
    if (target) *target = n->target;
}
