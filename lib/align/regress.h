/* regress.h — one update of a network towards its targets under noise (paper eq. 5), the same every time: pre-training, synthesis
 * and cascades. What is staged in `denoise` is learnt from; the device does it by one recording, where it can. */
#ifndef DMC_ALIGN_REGRESS_H
#define DMC_ALIGN_REGRESS_H

#include "../backend/replay.h"
#include "../diffusion/denoise.h"
#include "../optim/learner.h"

/* Zeroed to begin with; the caller's up to `self`, and not to be changed after the first update. */
typedef struct dmc__regress {
    dmc__device *device;
    dmc__denoise *denoise;
    dmc__learner *learner;
    dmc__chain *dropout;                 /* the chain, if its network drops; else NULL */
    uint64_t seed;
    int32_t clean;                       /* no noise */
    double weight;                       /* of the mean of the errors */
    dmc_status (*between)(void *self);   /* work of the device after the noise; may be NULL */
    void *self;
    uint64_t step;
    dmc__live keys;                      /* (2,4) words: what an update adds to the keys of its noise, of dropout */
    dmc__replay replay;
} dmc__regress;

dmc_status dmc__regress_open(dmc__regress *r);
void dmc__regress_close(dmc__regress *r);
/* Noise number b of stream (seed, DMC_STREAM_NOISE, step) is sample b's. *loss: the mean of the errors. Where that or the
 * gradient (*norm, may be NULL) is not finite the weights stay as they are: DMC_ENUMERIC. */
dmc_status dmc__regress_update(dmc__regress *r, uint64_t step, const dmc__adamw_config *c, double *loss, double *norm);

#endif
