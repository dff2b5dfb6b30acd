/* dpo.c — direct preference optimisation of a diffusion model (paper section 3.2, eqs. 10-12; methods.md 3).
 *
 * Winner and loser of a condition are the best and worst of a pool of samples. They are noised to the same level with
 * the same noise, and with F = err_theta - err_ref (err: mean squared error in epsilon, in velocity for v and x0 networks)
 *     L = softplus(gamma D (F_w - F_l)) + anchor err_theta,w ,   ref = the weights at the start of the stage.
 */
#include <string.h>

#include "dpo.h"
#include "candidates.h"

typedef struct dpo {
    dmc__align *a;
    dmc__dpo_config c;
    int32_t pairs;               /* per update; a network batch holds 2 pairs: winners, then losers */
    size_t elems, cond;
    dmc__chain *now, *ref;
    dmc__denoise *noise_now, *noise_ref;
    dmc__candidates *pool;
    int32_t *best, *worst, kept; /* pairs that passed the margin: candidate numbers in the pool */
    int32_t *group;
    void *ref_weights, *memory;  /* (5, pairs): err_w err_l ref out, stats (pairs,2) behind */
    float *x0, *side, *mask, *weight; /* host staging of a batch of 2 pairs */
    float *err, *err_ref, *derr; /* host (2 pairs) */
    double *time;
    uint64_t *sample;
} dpo;

static dmc_status make_host(dpo *s)
{
    const dmc__allocator *al = s->a->alloc;
    const size_t n = 2 * (size_t)s->pairs;
    DMC_TRY(DMC_NEW(al, s->pairs, &s->best));
    DMC_TRY(DMC_NEW(al, s->pairs, &s->worst));
    DMC_TRY(DMC_NEW(al, s->pairs, &s->group));
    DMC_TRY(DMC_NEW(al, n * s->elems, &s->x0));
    DMC_TRY(DMC_NEW(al, n * s->cond, &s->side));
    if (s->a->view.planner) {
        DMC_TRY(DMC_NEW(al, n * s->elems, &s->mask));
        DMC_TRY(DMC_NEW(al, n * s->elems, &s->weight));
    }
    DMC_TRY(DMC_NEW(al, n, &s->err));
    DMC_TRY(DMC_NEW(al, n, &s->err_ref));
    DMC_TRY(DMC_NEW(al, n, &s->derr));
    DMC_TRY(DMC_NEW(al, n, &s->time));
    return DMC_NEW(al, n, &s->sample);
}

static dmc_status make_networks(dpo *s)
{
    dmc__align *a = s->a;
    const int32_t n = 2 * s->pairs;
    DMC_TRY(dmc__align_snapshot(a, &s->ref_weights));
    DMC_TRY(dmc__chain_create(a->net, a->device, n, 0, dmc__learner_train_mask(a->learner), &s->now));
    DMC_TRY(dmc__chain_create(a->net, a->device, n, 0, NULL, &s->ref));
    dmc__chain_bind(s->now, dmc__learner_weights(a->learner), dmc__learner_grads(a->learner));
    dmc__chain_bind(s->ref, s->ref_weights, NULL);
    DMC_TRY(dmc__align_denoise(a, s->now, a->net, n, &s->noise_now));
    DMC_TRY(dmc__align_denoise(a, s->ref, a->net, n, &s->noise_ref));
    DMC_TRY(dmc__dev_alloc(a->device, 6 * (size_t)s->pairs, &s->memory));
    return dmc__candidates_create(a, s->pairs, s->c.pool, &s->pool);
}

static void dpo_free(dpo *s)
{
    dmc__align *a = s->a;
    const size_t n = 2 * (size_t)s->pairs;
    dmc__candidates_destroy(s->pool);
    dmc__dev_free(a->device, s->memory, 6 * (size_t)s->pairs);
    dmc__denoise_destroy(s->noise_ref);
    dmc__denoise_destroy(s->noise_now);
    dmc__chain_destroy(s->ref);
    dmc__chain_destroy(s->now);
    dmc__dev_free(a->device, s->ref_weights, dmc__graph_param_elems(a->net->graph));
    DMC_FREE(a->alloc, s->best, s->pairs);
    DMC_FREE(a->alloc, s->worst, s->pairs);
    DMC_FREE(a->alloc, s->group, s->pairs);
    DMC_FREE(a->alloc, s->x0, n * s->elems);
    DMC_FREE(a->alloc, s->side, n * s->cond);
    DMC_FREE(a->alloc, s->mask, n * s->elems);
    DMC_FREE(a->alloc, s->weight, n * s->elems);
    DMC_FREE(a->alloc, s->err, n);
    DMC_FREE(a->alloc, s->err_ref, n);
    DMC_FREE(a->alloc, s->derr, n);
    DMC_FREE(a->alloc, s->time, n);
    DMC_FREE(a->alloc, s->sample, n);
}

/* New samples of the present weights; a pair must differ by margin * std to say anything. */
static dmc_status refresh_pairs(dpo *s)
{
    DMC_TRY(dmc__candidates_draw(s->a, dmc__learner_weights(s->a->learner), s->pool));
    s->kept = 0;
    for (int32_t g = 0; g < s->pool->groups; g++) {
        int32_t best, worst;
        dmc__candidates_extremes(s->pool, g, &best, &worst);
        const float *r = s->pool->reward + (size_t)g * (size_t)s->pool->pool;
        if (r[best] - r[worst] <= s->c.margin * s->pool->std) continue;
        s->group[s->kept] = g;
        s->best[s->kept] = best;
        s->worst[s->kept++] = worst;
    }
    return DMC_OK;
}

static void stage_sample(dpo *s, int32_t at, int32_t group, int32_t candidate)
{
    const dmc__candidates *p = s->pool;
    const size_t e = s->elems, i = (size_t)at, g = (size_t)group;
    memcpy(s->x0 + i * e, p->z + (g * (size_t)p->pool + (size_t)candidate) * e, e * sizeof(float));
    if (s->mask) {
        memcpy(s->mask + i * e, p->mask + g * e, e * sizeof(float));
        for (size_t j = 0; j < e; j++) s->weight[i * e + j] = 1 - s->mask[i * e + j];
    }
    if (s->side) {
        memcpy(s->side + i * s->cond, p->cond + g * s->cond, s->cond * sizeof(float));
    }
}

/* Pairs fill the batch in turn when fewer than `pairs` were kept. */
static dmc_status stage_batch(dpo *s, uint64_t draw)
{
    for (int32_t i = 0; i < s->pairs; i++) {
        const int32_t pick = i % s->kept;
        const dmc__stream t = {s->a->config.seed, DMC_STREAM_TIME, draw, (uint64_t)i};
        stage_sample(s, i, s->group[pick], s->best[pick]);
        stage_sample(s, s->pairs + i, s->group[pick], s->worst[pick]);
        s->time[i] = s->time[s->pairs + i] = dmc__process_draw_time(s->a->process, &t);
        s->sample[i] = s->sample[s->pairs + i] = (uint64_t)i;
    }
    const float *cond = s->side;
    dmc__denoise *const both[2] = {s->noise_now, s->noise_ref};
    for (int32_t j = 0; j < 2; j++) {
        DMC_TRY(dmc__denoise_set(both[j], s->x0, cond, NULL, s->mask, s->weight));
        DMC_TRY(dmc__denoise_noise(both[j], s->time, s->sample, s->a->config.seed, DMC_STREAM_NOISE, draw));
    }
    return DMC_OK;
}

/* The preference loss and its derivative with respect to the errors, by the DPO_SEED kernel. */
static dmc_status seed(dpo *s, double *loss)
{
    dmc__device *d = s->a->device;
    const size_t n = (size_t)s->pairs;
    float *diff = s->derr; /* reused as staging */
    for (size_t i = 0; i < n; i++) diff[i] = s->err_ref[i] - s->err_ref[n + i];
    void *w = s->memory, *l = dmc__dev_at(d, w, n), *r = dmc__dev_at(d, w, 2 * n), *out = dmc__dev_at(d, w, 3 * n);
    void *stats = dmc__dev_at(d, w, 4 * n);
    DMC_TRY(dmc__dev_in(d, w, s->err, n));
    DMC_TRY(dmc__dev_in(d, l, s->err + n, n));
    DMC_TRY(dmc__dev_in(d, r, diff, n));
    dmc_kargs k = {.in = {w, l, r}, .out = out, .out2 = stats, .dim = {s->pairs},
                   .attr = {s->c.gamma * (double)dmc__align_dims(s->a)}};
    DMC_TRY(dmc__dev_run(d, DMC_OP_DPO_SEED, &k));
    DMC_TRY(dmc__dev_out(d, s->derr, stats, 2 * n));
    *loss = 0;
    for (size_t i = 0; i < n; i++) *loss += s->derr[2 * i] / (double)n;
    DMC_TRY(dmc__dev_out(d, s->derr, out, n));
    for (size_t i = 0; i < n; i++) {
        s->derr[n + i] = -s->derr[i];
        s->derr[i] += (float)(s->c.anchor / (double)n);
    }
    return DMC_OK;
}

/* From the network's squared error to the one preferences are measured in, of sample i. */
static float preference_weight(const dpo *s, int32_t i)
{
    const dmc__level l = dmc__process_level(s->a->process, s->time[i]);
    return (float)dmc__process_preference_weight(s->a->process, &l);
}

/* Forward of both networks; errors in the space preferences are measured in. */
static dmc_status measure_errors(dpo *s)
{
    DMC_TRY(dmc__denoise_error(s->noise_ref, s->err_ref));
    DMC_TRY(dmc__denoise_error(s->noise_now, s->err));
    for (int32_t i = 0; i < 2 * s->pairs; i++) {
        const float w = preference_weight(s, i);
        s->err[i] *= w;
        s->err_ref[i] *= w;
    }
    return DMC_OK;
}

static dmc_status update(void *self, int32_t u, dmc__align_note *note)
{
    dpo *s = self;
    const dmc__adamw_config opt = dmc__align_adamw(s->a);
    if (u % s->c.refresh == 0 || s->kept == 0) DMC_TRY(refresh_pairs(s));
    if (s->kept == 0) { /* every group agrees: nothing to prefer */
        note->loss = 0;
        return DMC_OK;
    }
    DMC_TRY(stage_batch(s, dmc__align_draw(s->a)));
    DMC_TRY(measure_errors(s));
    DMC_TRY(seed(s, &note->loss));
    for (int32_t i = 0; i < 2 * s->pairs; i++)
        s->derr[i] *= preference_weight(s, i); /* back to the network's error */
    DMC_TRY(dmc__denoise_backward(s->noise_now, s->derr));
    return dmc__learner_update(s->a->learner, &opt, NULL);
}

/* A larger gamma ties the model closer to its reference. */
static void tighten(void *self)
{
    ((dpo *)self)->c.gamma *= 2;
}

dmc_status dmc__dpo_run(dmc__align *a, const dmc__dpo_config *c, dmc__align_result *r)
{
    dmc_status status;
    dpo s = {.a = a, .c = *c, .pairs = a->config.batch / 2, .elems = dmc__align_elems(a),
             .cond = (size_t)dmc__view_cond(&a->view)};
    const dmc__stage stage = {.name = "dpo", .updates = c->updates, .self = &s, .update = update, .tighten = tighten,
                              .learner = a->learner};
    DMC_TRY(dmc__align_need_reward(a));
    if (s.pairs < 1)
        return dmc__fail(DMC_ERANGE, "dmc_align_dpo: the aligner's batch = %d, must be at least 2", a->config.batch);
    DMC_TRY_GOTO(status, make_host(&s), done);
    DMC_TRY_GOTO(status, make_networks(&s), done);
    status = dmc__stage_run(a, &stage, r);
done:
    dpo_free(&s);
    return status;
}
