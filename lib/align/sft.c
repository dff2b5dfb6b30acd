/* sft.c — supervised fine-tuning on the model's own best samples (paper section 3.3; methods.md 4).
 *
 * Each round draws a pool of samples per condition from the present weights, keeps the best of each pool by reward if
 * its likelihood under the *foundation* reaches the `likelihood` quantile of real data, and goes on training by
 * denoising on what was kept in the last rounds, mixed with the dataset's best episodes.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sft.h"
#include "regress.h"
#include "candidates.h"

enum { KEEP_ROUNDS = 3 };

typedef struct sft {
    dmc__align *a;
    dmc__sft_config c;
    int32_t batch, per_round;
    size_t elems, cond;
    double threshold;           /* log-likelihood per dimension */
    dmc__chain *now;
    dmc__denoise *noise;
    dmc__regress regress;
    dmc__likelihood *judge;     /* bound to the foundation */
    dmc__candidates *pool;
    int32_t kept, next;         /* ring of kept samples */
    float *buf_x0, *buf_cond, *buf_mask;
    int32_t *top, n_top;        /* dataset episodes with the highest returns */
    float *x0, *side, *mask, *weight;
    double *ell;
    double *time;
} sft;

static size_t ring_size(const sft *s)
{
    return (size_t)KEEP_ROUNDS * (size_t)s->c.conditions;
}

static dmc_status make_host(sft *s)
{
    const dmc__allocator *al = s->a->alloc;
    const size_t n = (size_t)s->batch, ring = ring_size(s);
    DMC_TRY(DMC_NEW(al, ring * s->elems, &s->buf_x0));
    DMC_TRY(DMC_NEW(al, ring * s->cond, &s->buf_cond));
    if (s->a->view.planner) DMC_TRY(DMC_NEW(al, ring * s->elems, &s->buf_mask));
    DMC_TRY(DMC_NEW(al, s->a->view.data->n_train, &s->top));
    DMC_TRY(DMC_NEW(al, n * s->elems, &s->x0));
    DMC_TRY(DMC_NEW(al, n * s->cond, &s->side));
    DMC_TRY(DMC_NEW(al, n * s->elems, &s->mask));
    DMC_TRY(DMC_NEW(al, n * s->elems, &s->weight));
    DMC_TRY(DMC_NEW(al, n, &s->ell));
    return DMC_NEW(al, n, &s->time);
}

static dmc_status make_networks(sft *s)
{
    dmc__align *a = s->a;
    DMC_TRY(dmc__chain_create(a->net, a->device, s->batch, 0, dmc__learner_train_mask(a->learner), &s->now));
    DMC_TRY(dmc__align_judge(a, s->batch, &s->judge));
    dmc__chain_bind(s->now, dmc__learner_weights(a->learner), dmc__learner_grads(a->learner));
    DMC_TRY(dmc__align_denoise(a, s->now, a->net, s->batch, &s->noise));
    s->regress = (dmc__regress){.device = a->device, .denoise = s->noise, .learner = a->learner, .seed = a->config.seed,
                                .weight = 1};
    DMC_TRY(dmc__regress_open(&s->regress));
    return dmc__candidates_create(a, s->c.conditions, s->c.pool, &s->pool);
}

static void sft_free(sft *s)
{
    const dmc__allocator *al = s->a->alloc;
    const size_t n = (size_t)s->batch, ring = ring_size(s);
    dmc__candidates_destroy(s->pool);
    dmc__likelihood_destroy(s->judge);
    dmc__regress_close(&s->regress);
    dmc__denoise_destroy(s->noise);
    dmc__chain_destroy(s->now);
    DMC_FREE(al, s->buf_x0, ring * s->elems);
    DMC_FREE(al, s->buf_cond, ring * s->cond);
    DMC_FREE(al, s->buf_mask, ring * s->elems);
    DMC_FREE(al, s->top, s->a->view.data->n_train);
    DMC_FREE(al, s->x0, n * s->elems);
    DMC_FREE(al, s->side, n * s->cond);
    DMC_FREE(al, s->mask, n * s->elems);
    DMC_FREE(al, s->weight, n * s->elems);
    DMC_FREE(al, s->ell, n);
    DMC_FREE(al, s->time, n);
}

/* ---- likelihood threshold --------------------------------------------------------------------------- */

static int order_double(const void *x, const void *y)
{
    const double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

static dmc_status foundation_likelihood(sft *s, double *ell)
{
    const dmc__likelihood_batch batch = {.x0 = s->x0, .cond = s->cond ? s->side : NULL, .weight = s->weight,
                                         .mask = s->a->view.planner ? s->mask : NULL};
    return dmc__likelihood_run(s->judge, &batch, ell);
}

/* The quantile of real (held-out, if there are any) windows under the foundation. */
static dmc_status find_threshold(sft *s)
{
    const dmc__view *v = &s->a->view;
    for (int32_t i = 0; i < s->batch; i++) {
        const dmc__stream t = {s->a->config.seed, DMC_STREAM_BANK, 0, (uint64_t)i};
        const size_t at = (size_t)i;
        dmc__view_sample(v, dmc__trajectories_draw(v->data, v->data->n_held > 0, &t), s->x0 + at * s->elems,
                         s->side + at * s->cond, s->mask + at * s->elems, s->weight + at * s->elems);
    }
    DMC_TRY(foundation_likelihood(s, s->ell));
    qsort(s->ell, (size_t)s->batch, sizeof *s->ell, order_double);
    s->threshold = s->c.likelihood > 0 ? s->ell[(size_t)(s->c.likelihood * (s->batch - 1))] : -INFINITY;
    return DMC_OK;
}

/* ---- a round: draw, choose, filter ------------------------------------------------------------------ */

static void stage_candidate(sft *s, int32_t at, int32_t group)
{
    const dmc__candidates *p = s->pool;
    const size_t e = s->elems, i = (size_t)at, g = (size_t)group;
    int32_t best, worst;
    dmc__candidates_extremes(p, group, &best, &worst);
    memcpy(s->x0 + i * e, p->z + (g * (size_t)p->pool + (size_t)best) * e, e * sizeof(float));
    if (p->mask) memcpy(s->mask + i * e, p->mask + g * e, e * sizeof(float));
    if (p->cond) memcpy(s->side + i * s->cond, p->cond + g * s->cond, s->cond * sizeof(float));
    for (size_t j = 0; j < e; j++) s->weight[i * e + j] = p->mask ? 1 - s->mask[i * e + j] : 1;
}

static void keep(sft *s, size_t i)
{
    const size_t at = (size_t)s->next, e = s->elems;
    memcpy(s->buf_x0 + at * e, s->x0 + i * e, e * sizeof(float));
    if (s->buf_mask) memcpy(s->buf_mask + at * e, s->mask + i * e, e * sizeof(float));
    if (s->buf_cond) memcpy(s->buf_cond + at * s->cond, s->side + i * s->cond, s->cond * sizeof(float));
    s->next = (int32_t)((at + 1) % ring_size(s));
    if ((size_t)s->kept < ring_size(s)) s->kept++;
}

static dmc_status start_round(sft *s)
{
    DMC_TRY(dmc__candidates_draw(s->a, dmc__learner_weights(s->a->learner), s->pool));
    int32_t passed = 0;
    for (int32_t first = 0; first < s->c.conditions; first += s->batch) {
        const int32_t n = s->c.conditions - first < s->batch ? s->c.conditions - first : s->batch;
        for (int32_t i = 0; i < s->batch; i++) stage_candidate(s, i, first + (i < n ? i : 0));
        DMC_TRY(foundation_likelihood(s, s->ell));
        for (int32_t i = 0; i < n; i++) {
            if (s->ell[i] < s->threshold) continue;
            keep(s, (size_t)i);
            passed++;
        }
    }
    dmc__log_line(s->a->log, DMC__LOG_DEBUG, "sft: %d of %d best samples reach the likelihood threshold %g", passed,
                  s->c.conditions, s->threshold);
    return DMC_OK;
}

/* ---- training --------------------------------------------------------------------------------------- */

typedef struct ranked { double value; int32_t episode; } ranked;

static int order_ranked(const void *x, const void *y)
{
    const ranked *a = x, *b = y;
    if (a->value != b->value) return a->value < b->value ? 1 : -1;
    return (a->episode > b->episode) - (a->episode < b->episode);
}

/* The best tenth of the training episodes by return. */
static dmc_status rank_episodes(sft *s)
{
    const dmc__trajectories *t = s->a->view.data;
    ranked *r;
    DMC_TRY(DMC_NEW(s->a->alloc, t->n_train, &r));
    for (int32_t i = 0; i < t->n_train; i++) r[i] = (ranked){dmc__trajectories_return(t, t->train[i]), t->train[i]};
    qsort(r, (size_t)t->n_train, sizeof *r, order_ranked);
    s->n_top = t->n_train >= 10 ? t->n_train / 10 : 1;
    for (int32_t i = 0; i < s->n_top; i++) s->top[i] = r[i].episode;
    DMC_FREE(s->a->alloc, r, t->n_train);
    return DMC_OK;
}

static void stage_replay(sft *s, size_t i, const dmc__stream *t)
{
    const dmc__trajectories *data = s->a->view.data;
    dmc__position p;
    p.episode = s->top[dmc__rng_below(t, 1, (uint64_t)s->n_top)];
    p.row = (int32_t)dmc__rng_below(t, 2, data->start[p.episode + 1] - data->start[p.episode]);
    dmc__view_sample(&s->a->view, p, s->x0 + i * s->elems, s->side + i * s->cond, s->mask + i * s->elems,
                     s->weight + i * s->elems);
}

static void stage_kept(sft *s, size_t i, const dmc__stream *t)
{
    const size_t at = dmc__rng_below(t, 1, (uint64_t)s->kept), e = s->elems;
    memcpy(s->x0 + i * e, s->buf_x0 + at * e, e * sizeof(float));
    if (s->buf_mask) memcpy(s->mask + i * e, s->buf_mask + at * e, e * sizeof(float));
    if (s->buf_cond) memcpy(s->side + i * s->cond, s->buf_cond + at * s->cond, s->cond * sizeof(float));
    for (size_t j = 0; j < e; j++) s->weight[i * e + j] = s->buf_mask ? 1 - s->mask[i * e + j] : 1;
}

static dmc_status stage_batch(sft *s, uint64_t draw)
{
    const uint64_t seed = s->a->config.seed;
    for (int32_t i = 0; i < s->batch; i++) {
        const dmc__stream pick = {seed, DMC_STREAM_BATCH, draw, (uint64_t)i}, time = {seed, DMC_STREAM_TIME, draw, (uint64_t)i};
        if (s->kept == 0 || dmc__rng_uniform(&pick, 0) < s->c.replay) stage_replay(s, (size_t)i, &pick);
        else stage_kept(s, (size_t)i, &pick);
        s->time[i] = dmc__process_draw_time(s->a->process, &time);
    }
    const float *cond = s->cond ? s->side : NULL, *mask = s->a->view.planner ? s->mask : NULL;
    DMC_TRY(dmc__denoise_stage(s->noise, s->x0, cond, NULL, mask, s->weight));
    return dmc__denoise_stage_times(s->noise, s->time);
}

static dmc_status update(void *self, int32_t u, dmc__align_note *note)
{
    sft *s = self;
    const dmc__adamw_config opt = dmc__align_adamw(s->a);
    if (u % s->per_round == 0) DMC_TRY(start_round(s));
    const uint64_t draw = dmc__align_draw(s->a);
    DMC_TRY(stage_batch(s, draw));
    return dmc__regress_update(&s->regress, draw, &opt, &note->loss, NULL);
}

dmc_status dmc__sft_run(dmc__align *a, const dmc__sft_config *c, dmc__align_result *r)
{
    dmc_status status;
    sft s = {.a = a, .c = *c, .batch = a->config.batch, .elems = dmc__align_elems(a),
             .cond = (size_t)dmc__view_cond(&a->view), .per_round = (c->updates + c->rounds - 1) / c->rounds};
    const dmc__stage stage = {.name = "sft", .updates = c->updates, .self = &s, .update = update, .learner = a->learner};
    DMC_TRY(dmc__align_need_reward(a));
    DMC_TRY_GOTO(status, make_host(&s), done);
    DMC_TRY_GOTO(status, make_networks(&s), done);
    DMC_TRY_GOTO(status, rank_episodes(&s), done);
    DMC_TRY_GOTO(status, find_threshold(&s), done);
    status = dmc__stage_run(a, &stage, r);
done:
    sft_free(&s);
    return status;
}
