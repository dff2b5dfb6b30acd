/* denoise.c — noise clean samples and compare the network with its target. */
#include "denoise.h"

#include <math.h>
#include <string.h>

#include "../backend/block.h"
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
    dmc__block memory;              /* cut into what the host says of the samples: */
    void *x0, *mask;                /* (batch,T,cols) */
    void *weight, *counted;         /* (batch,T,cols) loss weights; 1 where they are not 0 */
    void *cond, *extra, *given;     /* (batch,cond) (batch,T,extra) (batch,outputs) targets */
    void *t, *coef;                 /* of their noise: (batch) (batch,4) */
    void *z;                        /* and of what is made: (batch,T,cols) */
    void *target;                   /* (compared) */
    void *noise;                    /* (compared) eps, later dL/df: the noise is dead once z and target are made */
    void *err, *derr;               /* (batch) */
    float *host;                    /* memory up to z, as it will be sent */
    float *read;                    /* (batch) host */
    double *square;                 /* (batch) mean of x0^2 over counted entries */
    int32_t *count;                 /* (batch) counted entries */
};

/* Elements from the beginning of the memory to one of its parts. */
static size_t place(const dmc__denoise *n, const void *part)
{
    return dmc__block_place(n->affine.device, &n->memory, part);
}

/* Where the host writes a part that it sends. */
static float *staged(const dmc__denoise *n, const void *part)
{
    return part ? n->host + place(n, part) : NULL;
}

static dmc_status take_memory(dmc__denoise *n)
{
    dmc__device *d = n->affine.device;
    const size_t b = (size_t)n->affine.batch;
    const dmc__part part[] = {
        {&n->x0, n->total},
        {&n->mask, n->total},
        {&n->weight, n->total},
        {&n->counted, n->total},
        {&n->cond, b * dmc__feed_cond_elems(n->net)},
        {&n->extra, b * dmc__feed_extra_elems(n->net)},
        {&n->given, b * (size_t)n->outputs},
        {&n->t, b},
        {&n->coef, COEFS * b},
        {&n->z, n->total},
        {&n->target, n->compared},
        {&n->noise, n->compared},
        {&n->err, b},
        {&n->derr, b},
    };
    DMC_TRY(dmc__block_alloc(d, part, sizeof part / sizeof *part, &n->memory));
    DMC_TRY(dmc__dev_host_alloc(d, place(n, n->z) * sizeof *n->host, (void **)&n->host));
    DMC_TRY(dmc__dev_host_alloc(d, b * sizeof *n->read, (void **)&n->read));
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
    if (n->read) dmc__dev_host_free(d, n->read, (size_t)n->affine.batch * sizeof *n->read);
    if (n->host) dmc__dev_host_free(d, n->host, place(n, n->z) * sizeof *n->host);
    dmc__block_free(d, &n->memory);
    DMC_FREE(d->alloc, n, 1);
}

void dmc__denoise_noise_known(dmc__denoise *n, int32_t on)
{
    n->noised_known = on;
}

/* ---- on the host ---------------------------------------------------------------------------------------- */

/* Loss weights with known entries taken out, and where they count. */
static void stage_weights(const dmc__denoise *n, const float *mask, const float *weight)
{
    float *const w = staged(n, n->weight), *const counted = staged(n, n->counted);
    for (size_t i = 0; i < n->total; i++) {
        w[i] = mask && mask[i] != 0 ? 0 : weight ? weight[i] : 1;
        counted[i] = w[i] != 0;
    }
}

/* Counted entries and the mean of their x0^2. */
static void measure_squares(dmc__denoise *n, const float *x0)
{
    const size_t elems = (size_t)n->affine.elems;
    const float *const counted = staged(n, n->counted);
    for (size_t b = 0; b < (size_t)n->affine.batch; b++) {
        double sum = 0, count = 0;
        for (size_t i = b * elems; i < (b + 1) * elems; i++) {
            sum += counted[i] * (double)x0[i] * x0[i];
            count += counted[i];
        }
        n->square[b] = sum / fmax(count, 1);
        n->count[b] = (int32_t)count;
    }
}

static dmc_status stage_part(const dmc__denoise *n, const char *name, const void *part, const float *from, size_t elems)
{
    if (!part) return DMC_OK;
    if (!from) return dmc__fail(DMC_EINVAL, "denoise: %s is NULL, but the network has one", name);
    memcpy(staged(n, part), from, elems * sizeof *from);
    return DMC_OK;
}

dmc_status dmc__denoise_stage(dmc__denoise *n, const float *x0, const float *cond, const float *extra, const float *mask,
                              const float *weight)
{
    const size_t b = (size_t)n->affine.batch;
    DMC_TRY(stage_part(n, "x0", n->x0, x0, n->total));
    DMC_TRY(stage_part(n, "the condition", n->cond, cond, b * dmc__feed_cond_elems(n->net)));
    DMC_TRY(stage_part(n, "the side input", n->extra, extra, b * dmc__feed_extra_elems(n->net)));
    if (mask) DMC_TRY(stage_part(n, "the mask", n->mask, mask, n->total));
    n->affine.mask = mask ? n->mask : NULL;
    stage_weights(n, mask, weight);
    measure_squares(n, x0);
    return DMC_OK;
}

dmc_status dmc__denoise_stage_target(dmc__denoise *n, const float *target)
{
    return stage_part(n, "the target", n->given, target, (size_t)n->affine.batch * (size_t)n->outputs);
}

/* (alpha, sigma, target's share of x0, of eps) per sample, and the times as the network gets them. */
dmc_status dmc__denoise_stage_times(dmc__denoise *n, const double *time)
{
    const dmc__process *p = n->process;
    float *const t = staged(n, n->t), *const coefs = staged(n, n->coef);
    for (size_t b = 0; b < (size_t)n->affine.batch; b++) {
        double of_x0, of_eps;
        DMC_TRY(dmc__process_check_time(p, time[b], "denoise"));
        const dmc__level l = dmc__process_level(p, time[b]);
        dmc__process_target(p, &l, &of_x0, &of_eps);
        const double coef[COEFS] = {l.alpha, l.sigma, of_x0, of_eps};
        for (size_t j = 0; j < COEFS; j++) coefs[b * COEFS + j] = (float)coef[j];
        t[b] = (float)l.seen;
    }
    return DMC_OK;
}

/* ---- on the device -------------------------------------------------------------------------------------- */

static dmc_status send(const dmc__denoise *n, void *from, const void *to)
{
    return dmc__dev_in(n->affine.device, from, staged(n, from), place(n, to) - place(n, from));
}

static dmc_status mix(dmc__denoise *n, const dmc__noise_key *key)
{
    dmc_kargs k = {.in = {n->x0, n->noise, n->noised_known ? NULL : n->affine.mask},
                   .par = {n->coef},
                   .out = n->z,
                   .out2 = n->target,
                   .dim = {n->affine.batch, n->affine.elems}};
    DMC_TRY(dmc__affine_noise(&n->affine, key, n->noise));
    return dmc__dev_run(n->affine.device, DMC_OP_DIFFUSE, &k);
}

static dmc_status leave_clean(dmc__denoise *n)
{
    DMC_TRY(dmc__params_zero(n->affine.device, n->t, (size_t)n->affine.batch));
    return dmc__dev_copy(n->affine.device, n->z, n->x0, n->total);
}

dmc_status dmc__denoise_send(dmc__denoise *n, const dmc__noise_key *key)
{
    DMC_TRY(send(n, n->x0, n->z));
    DMC_TRY(key ? mix(n, key) : leave_clean(n));
    return dmc__dev_copy(n->affine.device, n->target, n->given, (size_t)n->affine.batch * (size_t)n->outputs);
}

dmc_status dmc__denoise_set(dmc__denoise *n, const float *x0, const float *cond, const float *extra, const float *mask,
                            const float *weight)
{
    DMC_TRY(dmc__denoise_stage(n, x0, cond, extra, mask, weight));
    return send(n, n->x0, n->t);
}

dmc_status dmc__denoise_noise(dmc__denoise *n, const double *time, const uint64_t *sample, uint64_t seed,
                              uint32_t purpose, uint64_t step)
{
    const dmc__noise_key key = {.seed = seed, .step = step, .sample = sample, .purpose = purpose};
    DMC_TRY(dmc__denoise_stage_times(n, time));
    DMC_TRY(send(n, n->t, n->z));
    return mix(n, &key);
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
    float *const t = staged(n, n->t);
    DMC_TRY(dmc__dev_in(d, n->z, z, n->total));
    for (size_t i = 0; i < b; i++) t[i] = (float)seen;
    DMC_TRY(dmc__dev_in(d, n->t, t, b));
    DMC_TRY(dmc__chain_network(n->chain, n->z, n->t, n->cond, n->extra));
    return dmc__dev_out(d, f, dmc__chain_output(n->chain), b * dmc__feed_out_elems(n->net));
}

static dmc_status backward(dmc__denoise *n)
{
    dmc_kargs k = error_args(n, n->weight);
    k.dout = n->derr;
    k.din[0] = n->noise;
    DMC_TRY(dmc__dev_run_bwd(n->affine.device, DMC_OP_MSE, &k));
    return dmc__chain_network_backward(n->chain, n->noise);
}

dmc_status dmc__denoise_backward(dmc__denoise *n, const float *derr)
{
    DMC_TRY(dmc__dev_in(n->affine.device, n->derr, derr, (size_t)n->affine.batch));
    return backward(n);
}

/* The same each, but not a number where an error is infinite: x + 0 (err - x). So the gradient tells. */
static dmc_status seed_mean(dmc__denoise *n, double weight)
{
    dmc_kargs fill = {.out = n->derr, .dim = {n->affine.batch}, .attr = {weight / n->affine.batch}};
    dmc_kargs mark = {.in = {n->err}, .out = n->derr, .dim = {n->affine.batch}, .attr = {0}};
    DMC_TRY(dmc__dev_run(n->affine.device, DMC_OP_FILL, &fill));
    return dmc__dev_run(n->affine.device, DMC_OP_LERP, &mark);
}

dmc_status dmc__denoise_learn(dmc__denoise *n, double weight)
{
    DMC_TRY(measure_error(n, n->weight, n->read));
    DMC_TRY(seed_mean(n, weight));
    return backward(n);
}

double dmc__denoise_mean(const dmc__denoise *n)
{
    double mean = 0;
    for (int32_t b = 0; b < n->affine.batch; b++) mean += n->read[b] / (double)n->affine.batch;
    return mean;
}

void dmc__denoise_batch(const dmc__denoise *n, const void **z, const void **t, const void **cond, void **target)
{
    if (z) *z = n->z;
    if (t) *t = n->t;
    if (cond) *cond = n->cond;
    if (target) *target = n->target;
}
