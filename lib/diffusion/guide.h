/* guide.h — what moves a predicted sample: a classifier, a value, a reward (guide_*.c), behind one function. */
#ifndef DMC_DIFFUSION_GUIDE_H
#define DMC_DIFFUSION_GUIDE_H

#include "table.h"

typedef struct dmc__guide {
    void *self;
    double scale;
    int32_t of_sample; /* 1: a function of clean samples, differentiated at the predicted one; 0: of z and its time */
    /* g (batch,T,cols) <- d/dx of what is to grow, at x (batch,T,cols) of row; all on the device. cond: (batch,cond) or NULL. */
    dmc_status (*gradient)(void *self, const dmc__row *row, const void *x, const void *cond, void *g);
} dmc__guide;

#endif
