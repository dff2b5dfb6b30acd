/* candidates.h — groups of samples that share a condition, with their rewards: what DPO, SFT and cascades learn from. */
#ifndef DMC_ALIGN_CANDIDATES_H
#define DMC_ALIGN_CANDIDATES_H

#include "align.h"

typedef struct dmc__candidates {
    const dmc__allocator *alloc;
    int32_t groups, pool;        /* conditions, samples of each */
    size_t elems, cond_elems;
    float *z;                    /* (groups, pool, elems) normalised */
    float *reward;               /* (groups, pool) pessimistic       */
    float *cond, *mask, *known;  /* (groups, ...) of each condition; NULL where the role has none */
    double std;                  /* of all rewards */
} dmc__candidates;

dmc_status dmc__candidates_create(const dmc__align *a, int32_t groups, int32_t pool, dmc__candidates **out);
void dmc__candidates_destroy(dmc__candidates *c);
/* Fill with samples of these weights on freshly drawn training conditions. pool must divide the aligner's batch. */
dmc_status dmc__candidates_draw(dmc__align *a, const void *weights, dmc__candidates *c);
/* Likewise, but each group starts from one sample of these weights, re-noised to the level of table row `row` with noise
 * its members share: candidates that are variations of one sample (methods.md 5, P2). */
dmc_status dmc__candidates_draw_forked(dmc__align *a, const void *weights, int32_t row, dmc__candidates *c);
/* Best and worst of group g. */
void dmc__candidates_extremes(const dmc__candidates *c, int32_t g, int32_t *best, int32_t *worst);

#endif
