/* scores.h — what weights scored, episode by episode where that is known, so that differences are paired. */
#ifndef DMC_ALIGN_SCORES_H
#define DMC_ALIGN_SCORES_H

#include "../base/alloc.h"

typedef struct dmc__scores {
    int32_t n;      /* episodes; 0 = mean and standard error are all there is */
    double mean, se;
    double *value;  /* (n) */
} dmc__scores;

/* Zeroed values of n episodes; free what was there with dmc__scores_free first. */
dmc_status dmc__scores_make(const dmc__allocator *a, int32_t n, dmc__scores *s);
void dmc__scores_free(const dmc__allocator *a, dmc__scores *s);
/* Mean and standard error of the values. */
void dmc__scores_sum(dmc__scores *s);
/* to <- from, made anew if the numbers of episodes differ. */
dmc_status dmc__scores_copy(const dmc__allocator *a, const dmc__scores *from, dmc__scores *to);
/* x - y: of the same episodes where both know them, else of independent means. */
void dmc__scores_diff(const dmc__scores *x, const dmc__scores *y, double *mean, double *se);

#endif
