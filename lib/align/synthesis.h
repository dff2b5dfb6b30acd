/* synthesis.h — what SFT learns from: the model's own samples, drawn, ranked, held against the foundation's likelihood, and kept
 * for some rounds (methods.md 4). */
#ifndef DMC_ALIGN_SYNTHESIS_H
#define DMC_ALIGN_SYNTHESIS_H

#include "candidates.h"

typedef struct dmc__synthesis_config {
    int32_t conditions, pool;    /* of a round; samples of each                                                   */
    int32_t top_k;               /* samples kept of each condition                                                */
    int32_t keep_rounds;         /* rounds whose samples are learnt from                                          */
    int32_t hold_out;            /* keep an eighth of a round for dmc__synthesis_loss                             */
    double likelihood;           /* quantile of real data that samples must reach under the foundation            */
    double quantile;             /* > 0: in place of top_k, samples that reach this quantile of the round's rewards */
    double beta;                 /* samples weigh min(exp(beta A), 100), A = (r - mean of its condition) / std    */
} dmc__synthesis_config;

typedef struct dmc__synthesis {
    dmc__align *a;
    dmc__synthesis_config c;
    int32_t batch;
    size_t elems, cond;
    double threshold;            /* log-likelihood per dimension */
    dmc__likelihood *judge;      /* bound to the foundation */
    dmc__candidates *pool;
    int32_t *pick, picks;        /* of a round: samples of the pool */
    size_t room;                 /* for so many kept samples: a ring */
    int32_t kept, next;
    float *x0, *side, *mask;     /* (room, ...) */
    double *gain, mean_gain;     /* (room) before they are divided by their mean */
    int32_t n_held;              /* the first of (batch, ...): */
    float *held_x0, *held_side, *held_mask;
    float *one_x0, *one_side, *one_mask, *one_weight; /* (batch, ...) staging */
    double *ell;
} dmc__synthesis;

/* Takes the threshold from the data: held-out windows, if there are any. */
dmc_status dmc__synthesis_create(dmc__align *a, const dmc__synthesis_config *c, dmc__synthesis **out);
void dmc__synthesis_destroy(dmc__synthesis *s);
/* Draw with these weights and keep what passes. */
dmc_status dmc__synthesis_round(dmc__synthesis *s, const void *weights);
/* Kept sample `at` of 0..kept-1: x0, its condition and mask, and loss weights, which hold its gain. */
void dmc__synthesis_give(const dmc__synthesis *s, size_t at, float *x0, float *side, float *mask, float *weight);
/* Minus the mean log-likelihood per dimension, under these weights, of what the last round held out; NaN if that is nothing. */
dmc_status dmc__synthesis_loss(dmc__synthesis *s, const void *weights, double *loss);
/* Samples 0..n-1 of the staging arrays: do they reach the threshold? n: 1..batch */
dmc_status dmc__synthesis_admit(dmc__synthesis *s, int32_t n, uint8_t *admitted);

#endif
