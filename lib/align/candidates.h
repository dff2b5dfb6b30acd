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

/* How candidates of a group are variations of one sample (methods.md 5). */
enum {
    DMC__VARY_LATENT = 0,      /* P2: they share a latent, that sample re-noised to a level in [fork_min, fork_max] T, which is
                                * drawn for every batch of groups; of a sampler without noise each has one of its own */
    DMC__VARY_INPAINT = 1,     /* P1: a window of rows is drawn anew, the others are that sample's */
    DMC__VARY_INDEPENDENT = 2, /* P3: not at all */
    DMC__VARY_IMPROVE = 3      /* the first is the sample, the others are what `improve` makes of it */
};
typedef struct dmc__variation {
    int32_t kind;
    double fork_min, fork_max;
    /* Replaces the samples in a->sample, of which each group's are the same, by others. */
    dmc_status (*improve)(void *self, dmc__align *a, uint64_t draw);
    void *self;
} dmc__variation;

/* As dmc__candidates_draw; DMC_ESTATE if samples have no rows or steps to vary. */
dmc_status dmc__candidates_vary(dmc__align *a, const void *weights, const dmc__variation *v, dmc__candidates *c);
/* Best and worst of group g. */
void dmc__candidates_extremes(const dmc__candidates *c, int32_t g, int32_t *best, int32_t *worst);

/* std <- that of the rewards as they are now. */
void dmc__candidates_spread(dmc__candidates *c);

#endif
