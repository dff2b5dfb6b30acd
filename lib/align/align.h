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
#include "controller.h"
#include "scores.h"

typedef struct dmc__align_config {
    int32_t lora_rank, batch, candidates, eval_every, eval_conditions;
    int32_t noised_known; /* the model's convention of in-painting: rollout.h */
    int32_t sampler, steps; /* DMC__SAMPLER_*; 0 = the process's */
    double lora_alpha, lr, weight_decay, grad_clip, std_floor;
    uint64_t seed;
    const char *lora_targets;
    int32_t converge, accept, guard; /* dmc__control */
    double kl_limit;
} dmc__align_config;

/* What the stage driver reports while it runs. NaN where there is nothing to say. */
typedef struct dmc__align_note {
    const char *stage;
    int32_t update, updates, pass;
    double score, best, loss, kl, reward, seconds;
    /* of the last update by likelihood ratios: share of transitions whose ratio was clipped, and the largest ratio */
    double clip_share, ratio_max;
    double entropy, spread; /* of the candidates of a condition: nearest-neighbour entropy and median deviation */
    double accuracy;    /* of a preference batch: share of pairs whose winner is preferred, more than by the reference */
    double error_ratio; /* winners' error / the reference's, over the last ten updates or so */
    double norm, metric[DMC__METRICS], lr_scale; /* filled by the driver */
} dmc__align_note;

typedef struct dmc__align_result {
    int32_t updates, rollbacks, accepted, stopped;
    double before, after, before_se, after_se, kl, seconds;
    int32_t warnings, end;       /* DMC__END_* of the last stage */
    int32_t next, next_pass;     /* what the controller would do next: of a sequence */
    double metric[DMC__METRICS]; /* at the end */
} dmc__align_result;

/* A row of the ledger as it is told: with what was decided, and hashes of what learns after that and at its best. */
typedef struct dmc__align_record {
    const char *stage;
    const dmc__control *control;
    const dmc__ledger_row *row;
    const dmc__decision *decision;
    uint64_t after, best;
    size_t at;                   /* number of the row in its run */
} dmc__align_record;

/* The owner (lib/api) supplies these. */
typedef struct dmc__align_hooks {
    void *user;
    /* A reward for `batch` samples; freed with free_reward. */
    dmc_status (*make_reward)(void *user, int32_t batch, int32_t want_gradient, dmc__reward *out);
    void (*free_reward)(void *user, dmc__reward *r);
    /* Another reward to score by, out->self NULL if there is none; may be NULL itself. */
    dmc_status (*make_judge)(void *user, int32_t batch, dmc__reward *out);
    /* Score of the present weights; NULL = mean reward of a fixed bank of samples. */
    dmc_status (*score)(void *user, double *mean, double *se);
    /* Nonzero stops; NULL = none. */
    int32_t (*progress)(void *user, const dmc__align_note *note);
    /* Winners and losers (n, elems) for conditions obs (n, ...), all in dataset units; obs may be changed. NULL = none. */
    dmc_status (*pairs)(void *user, size_t n, float *obs, float *win, float *lose);
    /* Scores of the present weights by episode, always of the same `episodes`; before `score`. NULL = none. */
    dmc_status (*scores)(void *user, int32_t n, double *value);
    int32_t episodes;
    /* Coherency of samples, as a reward without a gradient; freed with free_reward. NULL = none. */
    dmc_status (*make_coherency)(void *user, int32_t batch, dmc__reward *out);
    /* Keeps a record; NULL = none. */
    dmc_status (*record)(void *user, const dmc__align_record *r);
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
    dmc__reward held_out;        /* likewise, which the score is of; self NULL: the judge */
    float *cond, *mask, *known;  /* host staging: batch conditions */
    float *host;                 /* (batch, elems) */
    float *rewards, *gated;      /* (batch): of samples, and after a cascade pass */
    float *scores;               /* (2,batch): the same by the one that scores    */
    struct dmc__cascade *cascade;/* NULL until trained */
    struct dmc__metrics *metrics;/* NULL until measured */
    int32_t moved;               /* 1: the weights may differ from the foundation's */
    int32_t place, turn;         /* of the running stage in a sequence's order; stages before it */
    dmc__control control;        /* stages, passes, automatic: of the running sequence, else 1, 1, 0 */
    dmc__scores foundation_scores, pass_scores; /* by the present score; at the start of the pass */
    int32_t has_foundation;      /* the former is known */
    dmc__ledger_row *rows;       /* (room) of the running sequence or method */
    size_t n_rows, room;
    struct dmc__stage_run *running; /* the driver's, while a stage runs; else NULL */
    uint64_t entry_draws;        /* when the running method was entered, with: */
    float *entry;                /* the adapter then */
    int32_t entry_updates, parts;/* updates of the first run of its stage; runs so far */
    dmc__align_result total;     /* of the running sequence, before the running stage */
    struct dmc__pause *pause;    /* where the last run was stopped, or resumed from; NULL = nowhere */
    int32_t resuming;            /* 1: the next method goes on from there */
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
/* Every method begins with this, before it draws or copies anything: makes the judge if there is none. Drop it when the reward is
 * about to change. */
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
    /* Two evaluations in a row had no new best (then they are counted anew): let more of the model learn. May be NULL. */
    void (*plateau)(void *self);
    /* What learns in this stage (the aligner's adapter, or the cascade's weights). */
    dmc__learner *learner;
    /* A warning: constraint x 1.5. May be NULL. */
    void (*caution)(void *self);
    /* What a method knows between two updates beyond what learns, its moments and the aligner's draws (samples it keeps, weights of
     * its terms): n numbers, out, and back into one that was just made from the weights and draws the stage began with. With
     * `save` NULL a checkpoint in the middle of a stage goes on from the stage's start. */
    size_t (*state_size)(const void *self);
    dmc_status (*save)(const void *self, double *state);
    dmc_status (*load)(void *self, const double *state, size_t n);
} dmc__stage;

/* Go on from here with the next method, if one was running there; takes p over, in the place of what there was. */
void dmc__align_set_pause(dmc__align *a, struct dmc__pause *p);
/* Take the state of the running stage, or of the stop of the last one, into a->pause; where there is neither, of none. */
dmc_status dmc__stage_pause(dmc__align *a);
dmc_status dmc__stage_run(dmc__align *a, const dmc__stage *s, dmc__align_result *result);
/* The score the driver uses: of the present weights. */
dmc_status dmc__align_score(dmc__align *a, double *mean, double *se);
/* By episode, into s (made anew if need be); and of the foundation, whatever the present weights are. */
dmc_status dmc__align_scores(dmc__align *a, dmc__scores *s);
dmc_status dmc__align_foundation_scores(dmc__align *a, dmc__scores *s);
/* The score is another one from now on: nothing that was scored before counts. */
void dmc__align_forget_scores(dmc__align *a);

#endif
