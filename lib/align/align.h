/* align.h — the aligner: one adapter over a frozen foundation, and the pieces every method uses.
 *
 * Each method is a `dmc__stage`: how to do one update. dmc__stage_run drives it: evaluation on a fixed bank, keep-best,
 * collapse detection with roll-back (methods.md 6). Methods have headers of their own (rl.h, ...) and do not include each other's,
 * but sequence.h.
 */
#ifndef DMC_ALIGN_H
#define DMC_ALIGN_H

#include "../base/log.h"
#include "../critic/reward.h"
#include "../data/view.h"
#include "../diffusion/denoise.h"
#include "../diffusion/likelihood.h"

typedef struct dmc__align_config {
    int32_t lora_rank, batch, candidates, eval_every, eval_conditions;
    int32_t noised_known; /* the model's convention of in-painting: rollout.h */
    int32_t sampler, steps; /* DMC__SAMPLER_*; 0 = the process's */
    double lora_alpha, lr, weight_decay, grad_clip, std_floor;
    uint64_t seed;
    const char *lora_targets;
} dmc__align_config;

/* What the stage driver reports while it runs. NaN where there is nothing to say. */
typedef struct dmc__align_note {
    const char *stage;
    int32_t update, updates, pass;
    double score, best, loss, kl, reward, seconds;
} dmc__align_note;

typedef struct dmc__align_result {
    int32_t updates, rollbacks, accepted, stopped;
    double before, after, before_se, after_se, kl, seconds;
} dmc__align_result;

/* The owner (lib/api) supplies these. */
typedef struct dmc__align_hooks {
    void *user;
    /* A reward for `batch` samples; freed with free_reward. */
    dmc_status (*make_reward)(void *user, int32_t batch, int32_t want_gradient, dmc__reward *out);
    void (*free_reward)(void *user, dmc__reward *r);
    /* Score of the present weights; NULL = mean reward of a fixed bank of samples. */
    dmc_status (*score)(void *user, double *mean, double *se);
    /* Nonzero stops; NULL = none. */
    int32_t (*progress)(void *user, const dmc__align_note *note);
} dmc__align_hooks;

typedef struct dmc__align {
    const dmc__allocator *alloc;
    dmc__device *device;
    const dmc__log *log;
    const dmc__net *net;
    const dmc__process *process;
    const void *foundation;      /* its weights, never changed */
    dmc__view view;
    dmc__align_config config;    /* lora_targets is a copy */
    dmc__align_hooks hooks;
    dmc__learner *learner;
    char *lora_targets;
    double lr_scale;             /* halved by every collapse of a stage */
    uint64_t draws;              /* counts random draws over the aligner's life: no number is used twice */
    int32_t pass;                /* of a running sequence, else 0 */
    /* A condition that is not from the data, as the last n_obs raw observations (n_obs,S), or NULL: take one of the data for this
     * draw. Not asked for held-out conditions; NULL: all are of the data. The owner's, for as long as it wants. */
    const float *(*draw_condition)(void *user, const dmc__stream *s);
    void *draw_user;
    dmc__rollout *sample;        /* `batch` samples with the evaluation table */
    dmc__reward judge;           /* of `batch` samples, no gradient */
    float *cond, *mask, *known;  /* host staging: batch conditions */
    float *host;                 /* (batch, elems) */
    float *rewards, *gated;      /* (batch): of samples, and after a cascade pass */
    struct dmc__cascade *cascade;/* NULL until trained */
} dmc__align;

dmc_status dmc__align_create(const dmc__allocator *a, dmc__device *d, const dmc__log *log, const dmc__net *net,
                             const dmc__process *p, const void *foundation, const dmc__view *view,
                             const dmc__align_config *c, const dmc__align_hooks *hooks, dmc__align **out);
void dmc__align_destroy(dmc__align *a);

size_t dmc__align_elems(const dmc__align *a); /* of one sample */
size_t dmc__align_dims(const dmc__align *a);  /* of one sample, not in-painted */
/* A number that was never drawn before, for the `step` of random streams. */
uint64_t dmc__align_draw(dmc__align *a);
/* Zeroed AdamW settings of the aligner at its present learning rate. */
dmc__adamw_config dmc__align_adamw(const dmc__align *a);
/* Make the judge if there is none (every stage does this first); drop it when the reward is about to change. */
dmc_status dmc__align_need_reward(dmc__align *a);
void dmc__align_drop_reward(dmc__align *a);
/* Back to the foundation: adapter as initialised, no cascade. */
dmc_status dmc__align_forget(dmc__align *a);
/* Table of the configured sampler and steps; std_floor 0 = as sampled at evaluation. With a floor every step has noise: DDPM's
 * stands in for a sampler that has none. */
dmc_status dmc__align_table(const dmc__align *a, double std_floor, dmc__table *out);
/* Denoising steps of these tables. */
int32_t dmc__align_steps(const dmc__align *a);
/* Stage conditions for `groups` draws (each repeated `repeat` times; groups*repeat = batch of r, whose own group is 1 or
 * `repeat`) into a roll-out. */
dmc_status dmc__align_condition(dmc__align *a, dmc__rollout *r, int32_t groups, int32_t repeat, uint64_t draw, int32_t held);
/* The conditions staged last into a roll-out. A planner with returns is asked for the best of its data, (1, 1). */
dmc_status dmc__align_give_condition(const dmc__align *a, dmc__rollout *r);
/* Device copy of the learner's present effective weights; free with dmc__dev_free(elems of the graph). */
dmc_status dmc__align_snapshot(const dmc__align *a, void **weights);
/* A denoising loss over a chain, in the model's convention of in-painting. */
dmc_status dmc__align_denoise(const dmc__align *a, dmc__chain *c, const dmc__net *net, int32_t batch, dmc__denoise **out);
/* How likely samples are under the foundation, in the same convention. */
dmc_status dmc__align_judge(const dmc__align *a, int32_t batch, dmc__likelihood **out);
/* Mean and standard deviation of the reward of foundation samples on dataset conditions: the scale of every method. */
dmc_status dmc__align_reward_scale(dmc__align *a, double *mean, double *std);

/* ---- a method, as the driver sees it ---------------------------------------------------------------- */
typedef struct dmc__stage {
    const char *name;
    int32_t updates;
    void *self;
    /* One update; fills note->loss, kl, reward. DMC_ENUMERIC = collapse. */
    dmc_status (*update)(void *self, int32_t u, dmc__align_note *note);
    /* After a roll-back: tighten the constraint. May be NULL. */
    void (*tighten)(void *self);
    /* What learns in this stage (the aligner's adapter, or the cascade's weights). */
    dmc__learner *learner;
} dmc__stage;

dmc_status dmc__stage_run(dmc__align *a, const dmc__stage *s, dmc__align_result *result);
/* The score the driver uses. */
dmc_status dmc__align_score(dmc__align *a, double *mean, double *se);
/* KL per dimension of the whole chain to the foundation, on the evaluation bank. */
dmc_status dmc__align_kl(dmc__align *a, double *kl);

#endif
