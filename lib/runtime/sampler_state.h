/* sampler_state.h — the inside of a sampler, which the files of this room share. */
#ifndef DMC_RUNTIME_SAMPLER_STATE_H
#define DMC_RUNTIME_SAMPLER_STATE_H

#include "sampler.h"
#include "sampler_guide.h"

struct dmc__sampler {
    dmc__context_ref ref;
    const dmc__model *model;
    dmc__view view;
    dmc__sampler_config config;
    dmc__net *net, *cascade_net;     /* own ones: the model they are like may go after a rebind */
    dmc__rollout *rollout, *cascade; /* cascade NULL unless the model has one and passes > 0 */
    void *half, *cascade_half;       /* their weights in 16 bits; NULL with weights = float32 */
    dmc__sampler_guide guide;        /* of the first roll-out, not of the cascade */
    dmc__reward judge;               /* judge.self NULL without a critic */
    size_t elems, cond, total;       /* of one sample, one condition; batch*candidates */
    uint64_t call;
    int32_t seen;                    /* the history holds at least one observation */
    int32_t have_good;
    dmc__sampler_facts facts;
    float *history;                  /* (batch, n_obs, S) raw             */
    uint8_t *frames;                 /* (batch, cameras, n_obs, frame)    */
    uint8_t *image;                  /* (cameras, batch, frame): of the next call */
    int32_t fresh[DMC__MAX_CAMERAS]; /* the camera's image came since the last call */
    float *conds;                    /* (batch, cond) normalised          */
    float *mask, *known;             /* (total, elems) normalised         */
    float *z, *previous;             /* (total, elems) normalised         */
    float *q, *q_previous;           /* (total)                           */
    float *weight;                   /* (candidates) softmax              */
    float *chosen;                   /* (batch, elems) raw                */
    float *good;                     /* (batch, horizon, A) last good     */
    size_t host_bytes;               /* of these */
};

/* Write the chosen sample of every condition, raw, into s->chosen, and facts of condition 0. */
void dmc__sampler_choose(dmc__sampler *s);

#endif
