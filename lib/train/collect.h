/* collect.h — what copies of a simulator live through, kept until their episodes are over. */
#ifndef DMC_TRAIN_COLLECT_H
#define DMC_TRAIN_COLLECT_H

#include "../data/experience.h"

typedef struct dmc__collector {
    dmc__experience *to;
    int32_t count, longest;  /* copies; steps of the longest episode           */
    float *obs, *act, *rew;  /* (count,longest+1,S) (count,longest,A) (count,longest) */
    int32_t *steps, *ended;  /* (count): steps so far; it was a true end       */
} dmc__collector;

dmc_status dmc__collector_create(dmc__experience *to, int32_t count, int32_t longest, dmc__collector *out);
void dmc__collector_free(dmc__collector *c);
/* Copy i begins an episode at obs (S); it did act (A), was paid and came to next (S), which is a true end or not. */
void dmc__collector_begin(dmc__collector *c, int32_t i, const float *obs);
void dmc__collector_step(dmc__collector *c, int32_t i, const float *act, double reward, const float *next, int32_t ended);
/* The episodes of the first n copies, in their order, into the ring. */
dmc_status dmc__collector_push(dmc__collector *c, int32_t n);

#endif
