/* affine.h — the two device calls all of diffusion is made of: an affine Gaussian transition, and keyed normal noise. */
#ifndef DMC_DIFFUSION_AFFINE_H
#define DMC_DIFFUSION_AFFINE_H

#include "../backend/backend.h"
#include "table.h"

/* A batch of samples and what is in-painted in it. */
typedef struct dmc__affine {
    dmc__device *device;
    int32_t batch, elems;    /* tensors are (batch,elems)          */
    double clip;             /* of the predicted sample, 0 = off   */
    int32_t inward;          /* gradients that lead back inside pass the clip */
    const void *mask, *known; /* device, NULL: nothing is in-painted */
    void *carry;             /* h of rows that hand on; NULL: there is none */
} dmc__affine;

/* out <- mu + S xi of one row; xi NULL: the mean. out may alias z. */
dmc_status dmc__affine_step(const dmc__affine *s, const dmc__row *row, const void *z, const void *f, const void *xi,
                            void *out);
/* dmu -> dz (the direct path only; NULL: not wanted) and df. */
dmc_status dmc__affine_step_backward(const dmc__affine *s, const dmc__row *row, const void *z, const void *f,
                                     const void *dmu, void *dz, void *df);
/* out <- b z + S xi, in-painted; xi may be z. out may alias z. */
dmc_status dmc__affine_mix(const dmc__affine *s, double b, const void *z, double S, const void *xi, void *out);

/* Normals keyed (seed, purpose, step) into out (batch,elems); sample b gets the numbers of sample[b], or of first + b when
 * sample is NULL. */
typedef struct dmc__noise_key {
    uint64_t seed, step, first;
    const uint64_t *sample;
    const uint64_t *base;    /* device (4), added to {seed, purpose, step, sample}; NULL: nothing. See dmc_kargs.key_base */
    uint32_t purpose;
} dmc__noise_key;
dmc_status dmc__affine_noise(const dmc__affine *s, const dmc__noise_key *key, void *out);

#endif
