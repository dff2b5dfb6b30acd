/* sft.c — supervised fine-tuning on the model's own best samples (paper section 3.3; methods.md 4).
 *
 * A round makes samples (synthesis.h) and goes on training by denoising on what was kept in the last rounds, mixed with the
 * dataset's best episodes. It ends after its share of the updates, or when samples it did not learn from become less likely; one
 * that made the score worse is undone.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sft.h"
#include "regress.h"
#include "synthesis.h"

typedef struct sft {
    dmc__align *a;
    dmc__sft_config c;
    int32_t batch, per_round;
    size_t elems, cond;
    dmc__chain *now;
    dmc__denoise *noise;
    dmc__regress regress;
    dmc__synthesis *synthesis;
    int32_t *top, n_top;        /* dataset episodes with the highest returns */
    float *x0, *side, *mask, *weight;
    double *time;
    int32_t round_end, stale;   /* update at which the round ends; its held-out loss rose */
    double held_loss;           /* the least of the round */
    double score;               /* with which the round began */
    float *before;              /* what learns, then */
    size_t n;
} sft;

static dmc_status make_host(sft *s)
{
    const dmc__allocator *al = s->a->alloc;
    const size_t n = (size_t)s->batch;
    DMC_TRY(DMC_NEW(al, s->a->view.data->n_train, &s->top));
    DMC_TRY(DMC_NEW(al, n * s->elems, &s->x0));
    DMC_TRY(DMC_NEW(al, n * s->cond, &s->side));
    DMC_TRY(DMC_NEW(al, n * s->elems, &s->mask));
    DMC_TRY(DMC_NEW(al, n * s->elems, &s->weight));
    DMC_TRY(DMC_NEW(al, s->n, &s->before));
    return DMC_NEW(al, n, &s->time);
}

static dmc_status make_networks(sft *s)
{
    dmc__align *a = s->a;
    const dmc__synthesis_config c = {.conditions = s->c.conditions, .pool = s->c.pool, .top_k = s->c.top_k,
                                     .keep_rounds = s->c.keep_rounds, .hold_out = s->c.early_stop > 0,
                                     .likelihood = s->c.likelihood, .quantile = s->c.quantile, .beta = s->c.weight_beta};
    DMC_TRY(dmc__synthesis_create(a, &c, &s->synthesis));
    DMC_TRY(dmc__chain_create(a->net, a->device, s->batch, 0, dmc__learner_train_mask(a->learner), &s->now));
    dmc__chain_bind(s->now, dmc__learner_weights(a->learner), dmc__learner_grads(a->learner));
    DMC_TRY(dmc__align_denoise(a, s->now, a->net, s->batch, &s->noise));
    s->regress = (dmc__regress){.device = a->device, .denoise = s->noise, .learner = a->learner, .seed = a->config.seed,
                                .weight = 1};
    return dmc__regress_open(&s->regress);
}

static void sft_free(sft *s)
{
    const dmc__allocator *al = s->a->alloc;
    const size_t n = (size_t)s->batch;
    dmc__regress_close(&s->regress);
    dmc__denoise_destroy(s->noise);
    dmc__chain_destroy(s->now);
    dmc__synthesis_destroy(s->synthesis);
    DMC_FREE(al, s->top, s->a->view.data->n_train);
    DMC_FREE(al, s->x0, n * s->elems);
    DMC_FREE(al, s->side, n * s->cond);
    DMC_FREE(al, s->mask, n * s->elems);
    DMC_FREE(al, s->weight, n * s->elems);
    DMC_FREE(al, s->before, s->n);
    DMC_FREE(al, s->time, n);
}

/* ---- rounds ----------------------------------------------------------------------------------------- */

static dmc_status open_round(sft *s, int32_t u)
{
    DMC_TRY(dmc__learner_get(s->a->learner, s->before));
    s->round_end = u + s->per_round;
    s->held_loss = INFINITY;
    s->stale = 0;
    return dmc__synthesis_round(s->synthesis, dmc__learner_weights(s->a->learner));
}

/* On the same bank as when it began: was the round worth it? */
static dmc_status close_round(sft *s)
{
    double score, se;
    DMC_TRY(dmc__align_score(s->a, &score, &se));
    if (score >= s->score) {
        s->score = score;
        return DMC_OK;
    }
    dmc__log_line(s->a->log, DMC__LOG_DEBUG, "sft: a round is undone: its score is %g, was %g", score, s->score);
    DMC_TRY(dmc__learner_set(s->a->learner, s->before));
    return dmc__learner_reset_moments(s->a->learner);
}

static dmc_status next_round(sft *s, int32_t u, const dmc__align_note *note)
{
    if (u == 0) s->score = note->score; /* of the weights the call begins with */
    else if (s->c.accept) DMC_TRY(close_round(s));
    return open_round(s, u);
}

static dmc_status watch_held_out(sft *s, int32_t u)
{
    double loss;
    if (s->c.early_stop == 0 || (u + 1) % s->c.early_stop != 0) return DMC_OK;
    DMC_TRY(dmc__synthesis_loss(s->synthesis, dmc__learner_weights(s->a->learner), &loss));
    if (loss > s->held_loss) s->stale = 1;
    else if (loss < s->held_loss) s->held_loss = loss;
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

static dmc_status stage_batch(sft *s, uint64_t draw)
{
    const uint64_t seed = s->a->config.seed;
    const int32_t kept = s->synthesis->kept;
    for (size_t i = 0; i < (size_t)s->batch; i++) {
        const dmc__stream pick = {seed, DMC_STREAM_BATCH, draw, (uint64_t)i}, time = {seed, DMC_STREAM_TIME, draw, (uint64_t)i};
        if (kept == 0 || dmc__rng_uniform(&pick, 0) < s->c.replay) stage_replay(s, i, &pick);
        else
            dmc__synthesis_give(s->synthesis, dmc__rng_below(&pick, 1, (uint64_t)kept), s->x0 + i * s->elems, s->side + i * s->cond,
                                s->mask + i * s->elems, s->weight + i * s->elems);
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
    if (u == 0 || u >= s->round_end || s->stale) DMC_TRY(next_round(s, u, note));
    const uint64_t draw = dmc__align_draw(s->a);
    DMC_TRY(stage_batch(s, draw));
    DMC_TRY(dmc__regress_update(&s->regress, draw, &opt, &note->loss, NULL));
    return watch_held_out(s, u);
}

dmc_status dmc__sft_run(dmc__align *a, const dmc__sft_config *c, dmc__align_result *r)
{
    dmc_status status;
    sft s = {.a = a, .c = *c, .batch = a->config.batch, .elems = dmc__align_elems(a), .n = dmc__learner_elems(a->learner),
             .cond = (size_t)dmc__view_cond(&a->view), .per_round = (c->updates + c->rounds - 1) / c->rounds};
    const dmc__stage stage = {.name = "sft", .updates = c->updates, .self = &s, .update = update, .learner = a->learner};
    DMC_TRY(dmc__align_need_reward(a));
    DMC_TRY_GOTO(status, make_host(&s), done);
    DMC_TRY_GOTO(status, make_networks(&s), done);
    DMC_TRY_GOTO(status, rank_episodes(&s), done);
    status = dmc__stage_run(a, &stage, r);
done:
    sft_free(&s);
    return status;
}
