/* model_likelihood.h — likelihoods of samples in dataset units. */
#ifndef DMC_MODEL_LIKELIHOOD_H
#define DMC_MODEL_LIKELIHOOD_H

#include "../diffusion/likelihood.h"
#include "model.h"

/* What dmc_likelihood (likelihood.h of the public headers) says of its arguments. */
typedef struct dmc__model_samples {
    size_t n;
    const float *obs, *z; /* obs NULL: planners only */
    double target_return;
} dmc__model_samples;

dmc_status dmc__model_likelihood(const dmc__model *m, const dmc__likelihood_config *c, const dmc__model_samples *x, double *out);

#endif
