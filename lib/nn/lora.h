/* lora.h — low-rank adapters as a reparametrisation of the parameter block.
 *
 * W_eff = W + s B A for every adapted weight (methods.md 10), computed once per update into a block of its own; the
 * network then runs unchanged on that block, and dA, dB follow from dW_eff by two small products. So no network,
 * plan or kernel knows about adapters: the base model is the base block (bit-exactly), merging is copying, and any
 * op with a weight can be adapted. Stored A is (R, r) and B (r, Co) with R = k Ci, in the order of the weight block;
 * files hold PyTorch shapes: linear A (r,Ci) B (Co,r); conv A (r,Ci,k[,k]) B (Co,r).
 */
#ifndef DMC_NN_LORA_H
#define DMC_NN_LORA_H

#include "params.h"

typedef struct dmc__lora dmc__lora;

/* patterns: comma-separated, `*` matches anything, against weight names without ".weight"; "" or NULL = all.
 * rank is capped per layer at min(R, Co). A ~ U(+-1/sqrt(fan_in)), B = 0. DMC_EKEY if nothing matches. */
dmc_status dmc__lora_create(const dmc__graph *g, dmc__device *d, int32_t rank, double alpha, const char *patterns,
                            uint64_t seed, dmc__lora **out);
void dmc__lora_destroy(dmc__lora *l);
size_t dmc__lora_elems(const dmc__lora *l);     /* size of the factor block */
void *dmc__lora_factors(const dmc__lora *l);    /* device block: A and B of every layer */
/* effective <- base everywhere, + s B A on adapted weights. */
dmc_status dmc__lora_merge(const dmc__lora *l, const void *base, void *effective);
/* factor_grad += gradient from d(effective). */
dmc_status dmc__lora_backward(const dmc__lora *l, const void *effective_grad, void *factor_grad);
/* 1 for parameters whose gradient is needed; for dmc__plan_create. (graph param_count bytes, owned by l) */
const uint8_t *dmc__lora_train_mask(const dmc__lora *l);
/* Adapted layers, for files: name ("mid_block1.conv1.0"), shapes in PyTorch order. */
int32_t dmc__lora_count(const dmc__lora *l);
const char *dmc__lora_name(const dmc__lora *l, int32_t i);
void dmc__lora_shape(const dmc__lora *l, int32_t i, int32_t *rank_a, int32_t shape_a[DMC__MAX_RANK], int32_t shape_b[2]);
dmc_status dmc__lora_get(const dmc__lora *l, int32_t i, float *a, float *b);
dmc_status dmc__lora_set(dmc__lora *l, int32_t i, const float *a, const float *b);

#endif
