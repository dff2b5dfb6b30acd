/* sampler_guide.h — what moves a sampler's predicted samples: its critic, or a value model. */
#ifndef DMC_RUNTIME_SAMPLER_GUIDE_H
#define DMC_RUNTIME_SAMPLER_GUIDE_H

#include "../diffusion/guide_value.h"
#include "sampler.h"

typedef struct dmc__sampler_guide {
    dmc__guide guide;        /* gradient NULL: none              */
    dmc__guide_value *value;
    dmc__reward reward;      /* with a gradient; self NULL: none */
} dmc__sampler_guide;

/* Refuse guidance the model was not trained for, a guide whose part is missing, and a value model of other plans than the
 * model's. */
dmc_status dmc__sampler_guide_check(const dmc__sampler_config *c, const dmc__model *m, const dmc__sampler_parts *p);
/* For `samples` samples of view v on device d. The guide points at g, which must stay where it is. Allocates; guiding does not. */
dmc_status dmc__sampler_guide_create(const dmc__sampler_config *c, const dmc__view *v, dmc__device *d, const dmc__sampler_parts *p,
                                     size_t samples, dmc__sampler_guide *g);
void dmc__sampler_guide_free(dmc__sampler_guide *g);
size_t dmc__sampler_guide_bytes(const dmc__sampler_guide *g);

#endif
