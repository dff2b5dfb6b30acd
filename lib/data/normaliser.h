/* normaliser.h — y = (x - shift) / scale per column, fitted on data, stored in the model. */
#ifndef DMC_DATA_NORMALISER_H
#define DMC_DATA_NORMALISER_H

#include "../base/alloc.h"

enum { DMC__NORM_NONE = 0, DMC__NORM_GAUSSIAN = 1, DMC__NORM_MINMAX = 2 };

/* GAUSSIAN: shift mean, scale std (zero std -> 1). MINMAX: [min,max] -> [-1,1], zero range -> y = 0 (shift the
 * value, scale 1). NONE: shift 0, scale 1. lo/hi: smallest and largest value seen, for the action limits. */
typedef struct dmc__normaliser {
    const dmc__allocator *alloc;
    int32_t kind, n;
    float *shift, *scale, *lo, *hi; /* (n) */
} dmc__normaliser;

dmc_status dmc__normaliser_create(const dmc__allocator *a, int32_t kind, int32_t n, dmc__normaliser *out);
void dmc__normaliser_free(dmc__normaliser *m);
/* Fit on rows of x (rows,n); double accumulation, two passes. */
void dmc__normaliser_fit(dmc__normaliser *m, const float *x, size_t rows);
dmc_status dmc__normaliser_copy(const dmc__allocator *a, const dmc__normaliser *from, dmc__normaliser *out);
/* (rows,n), in place allowed. */
void dmc__normaliser_apply(const dmc__normaliser *m, const float *x, size_t rows, float *y);
/* 1 if both map all numbers alike; their limits may differ. */
int32_t dmc__normaliser_alike(const dmc__normaliser *a, const dmc__normaliser *b);
void dmc__normaliser_invert(const dmc__normaliser *m, const float *y, size_t rows, float *x);

#endif
