/* guide_value.h — a value network V(z, t) as a guide: the gradient of its prediction with respect to a noised sample. */
#ifndef DMC_DIFFUSION_GUIDE_VALUE_H
#define DMC_DIFFUSION_GUIDE_VALUE_H

#include "../nn/net.h"
#include "guide.h"

typedef struct dmc__guide_value dmc__guide_value;

/* A plan of a network that regresses, for `batch` samples, with gradients of its inputs and none of its weights. p: the
 * process it was trained with, whose clock tells what it sees of a row's time. net and p must outlive it. Allocates; the
 * rest does not. */
dmc_status dmc__guide_value_create(const dmc__net *net, dmc__device *d, const dmc__process *p, int32_t batch,
                                   dmc__guide_value **out);
void dmc__guide_value_destroy(dmc__guide_value *v);
void dmc__guide_value_bind(dmc__guide_value *v, const void *weights);
/* The gradient of the sum over the batch, which is dV_b/dz_b of every sample. */
dmc__guide dmc__guide_value_guide(dmc__guide_value *v, double scale);
size_t dmc__guide_value_bytes(const dmc__guide_value *v);

#endif
