/* sampler_state.h — the inside of a sampler, which the files of this room share. */
#ifndef DMC_RUNTIME_SAMPLER_STATE_H
#define DMC_RUNTIME_SAMPLER_STATE_H

#include "../critic/inverse_pass.h"
#include "sampler.h"
#include "sampler_guide.h"

/* The answer that is being made. */
typedef struct dmc__sampler_run {
    const char *who;                 /* the public function, for sentences */
    int32_t open;                    /* begun and not finished */
    int32_t pass;                    /* 0: the model itself; 1..: through the cascade */
    int32_t done, left;              /* denoising steps */
    int64_t mark, spent;             /* clock when the lap began; nanoseconds of all laps */
} dmc__sampler_run;

/* What is recorded: an answer from noise, one from the plan before, a pass of either through the cascade, and of planners of states
 * only, once one is chosen, its actions. */
enum { DMC__TAPE_NOISE, DMC__TAPE_PLAN, DMC__TAPE_PASS, DMC__TAPE_INVERSE, DMC__TAPES };

struct dmc__sampler {
    dmc__context_ref base;           /* as given; NULL unless ref is one forked from it */
    dmc__context_ref ref;
    const dmc__model *model;
    dmc__view view;
    dmc__sampler_config config;
    dmc__net *net, *cascade_net;     /* own ones: the model they are like may go after a rebind */
    dmc__rollout *rollout, *cascade; /* cascade NULL unless the model has one and passes > 0 */
    void *half, *cascade_half;       /* their weights in 16 bits; NULL with weights = float32 */
    int32_t records;                 /* the device can write an answer down */
    void *own, *cascade_own;         /* with records: copies of the weights, so that a recording outlives a rebind */
    dmc__tape *tape[DMC__TAPES];     /* NULL: not recorded */
    dmc__sampler_guide guide;        /* of the first roll-out, not of the cascade */
    dmc__inverse_pass *inverse;      /* of the chosen plans; NULL unless they are states only */
    dmc__reward judge;               /* judge.self NULL without a critic */
    size_t elems, cond, total;       /* of one sample, one condition; batch*candidates */
    uint64_t call;
    int32_t seen;                    /* the history holds at least one observation */
    int32_t have_good;
    int32_t have_plan;               /* chosen is of the answer before: a warm start may begin with it */
    int32_t have_given;              /* the caller said what is known */
    int32_t warm_row;                /* of the table: where warm starts begin */
    dmc__sampler_run run;
    int64_t (*clock)(void);          /* dmc__clock_ns, but for tests */
    int64_t step_ns, finish_ns;      /* what a step after the first and a finish are expected to take */
    dmc__sampler_facts facts;
    float *history;                  /* (batch, n_obs, S) raw             */
    uint8_t *frames;                 /* (batch, cameras, n_obs, frame)    */
    uint8_t *image;                  /* (cameras, batch, frame): of the next call */
    int32_t fresh[DMC__MAX_CAMERAS]; /* the camera's image came since the last call */
    float *conds;                    /* (batch, cond) normalised          */
    float *mask, *known;             /* (total, elems) normalised         */
    float *z, *previous;             /* (total, elems) normalised         */
    float *q, *q_previous;           /* (total)                           */
    float *weight;                   /* (candidates) softmax; median      */
    float *raw;                      /* (candidates, elems) of one condition, for their mean; else NULL */
    uint8_t *column;                 /* (A) what stands in it, for the mean (average.c) */
    uint8_t *given_mask, *placed_mask; /* (batch, elems) 1 = known: by the caller; in this answer */
    float *given, *given_z, *placed; /* (batch, elems) raw, normalised; raw */
    float *moved;                    /* (total, elems) normalised: what a warm start begins with; else NULL */
    float *chosen;                   /* (batch, elems) raw                */
    float *pairs, *inverted;         /* states only: (batch, horizon-1, 2, S) normalised; (batch, horizon-1, A) raw */
    float *good;                     /* (batch, horizon, A) last good     */
    size_t host_bytes;               /* of these */
};

/* Check an observation and shift it in, with its images. */
dmc_status dmc__sampler_see(dmc__sampler *s, const float *obs);
/* The same with something made up, for warming up. */
void dmc__sampler_see_anything(dmc__sampler *s);
/* Condition the roll-outs on what was seen: make it up, send it. */
void dmc__sampler_gather_conditions(dmc__sampler *s);
dmc_status dmc__sampler_send_conditions(dmc__sampler *s);
/* What is known in the answer to come: note it, after dmc__view_observe has filled s->mask and s->known of a planner; */
void dmc__sampler_gather_known(dmc__sampler *s);
/* tell a roll-out; */
dmc_status dmc__sampler_place_known(dmc__sampler *s, dmc__rollout *r);
/* write it, as it was given, over a raw sample (elems) of condition b. */
void dmc__sampler_restore_known(const dmc__sampler *s, size_t b, float *plan);
/* Does the answer to come begin with the plan before? If so, move it up. */
int32_t dmc__sampler_is_warm(const dmc__sampler *s);
void dmc__sampler_move_plan(dmc__sampler *s);
/* Begin the roll-out: with the plan that was moved up, or with noise. */
dmc_status dmc__sampler_start(dmc__sampler *s, int32_t warm, const dmc__rollout_draw *draw);
/* Of planners of states only, whose sampler has an inverse model: DMC_EINVAL and others where it is missing or does not fit; */
dmc_status dmc__sampler_inverse_check(const dmc__sampler_config *c, const dmc__model *m, const dmc__model *inverse);
dmc_status dmc__sampler_make_inverse(dmc__sampler *s, const dmc__model *inverse);
size_t dmc__sampler_pair_elems(const dmc__sampler *s); /* of s->pairs, else 0 */
size_t dmc__sampler_inverted_elems(const dmc__sampler *s);
/* the actions of the chosen plans; its part that is recorded; and that played. */
dmc_status dmc__sampler_invert(dmc__sampler *s);
dmc_status dmc__sampler_run_inverse(dmc__sampler *s);
dmc_status dmc__sampler_play_inverse(dmc__sampler *s);
/* Raw action (A) of row h of what was chosen for condition b; the last state has none, and the one before is given again. */
const float *dmc__sampler_action(const dmc__sampler *s, size_t b, size_t h);
/* With records: write down what an answer is made of. After the warm-up. */
dmc_status dmc__sampler_record(dmc__sampler *s);
void dmc__sampler_erase(dmc__sampler *s);
/* Play one of them and wait for what it comes to: s->z and s->q. A pass begins with s->previous. */
dmc_status dmc__sampler_play(dmc__sampler *s, int32_t tape, const dmc__rollout_draw *draw);
/* DMC_ERANGE unless a row of the plan before is left. */
dmc_status dmc__sampler_warm_check(const dmc__sampler_config *c, const dmc__model *m);
/* Row of the table a warm start begins with. */
int32_t dmc__sampler_warm_row(const dmc__sampler *s);
/* Choose among the candidates in s->z; actions (batch,horizon,A), NULL: only kept as the last good ones. DMC_ENUMERIC if the
 * sample is not finite. */
dmc_status dmc__sampler_conclude(dmc__sampler *s, float *actions);
/* What is safe to send when there is nothing new: the last good actions, or rest held inside the limits. */
void dmc__sampler_hold(dmc__sampler *s, float *actions);
/* One answer to something made up, and then a reset: afterwards code and memory are where a processor gets at them quickly. */
dmc_status dmc__sampler_warm_up(dmc__sampler *s);

/* Note the columns of an action that are not averaged like numbers. */
dmc_status dmc__sampler_mark_columns(dmc__sampler *s);
/* What stands for the candidates z (candidates, elems) of one condition, raw. */
void dmc__sampler_average(const dmc__sampler *s, const float *z, float *mean);
/* Write the chosen sample of every condition, raw, into s->chosen, and facts of condition 0. */
void dmc__sampler_choose(dmc__sampler *s);

#endif
