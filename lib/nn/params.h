/* params.h — the weights of one graph in one flat device block, in the graph's stored order. */
#ifndef DMC_NN_PARAMS_H
#define DMC_NN_PARAMS_H

#include "../base/rng.h"
#include "../graph/graph.h"

/* Initialise a block of dmc__graph_param_elems(g) elements as the specs say (DMC_STREAM_INIT, seed, step 0, sample =
 * parameter number): independent of everything but seed and architecture. */
dmc_status dmc__params_init(const dmc__graph *g, dmc__device *d, uint64_t seed, void *block);

/* Host floats in PyTorch shape <-> parameter i of a block. n must be spec->size. */
dmc_status dmc__params_set(const dmc__graph *g, dmc__device *d, void *block, dmc__parid i, const float *torch, size_t n);
dmc_status dmc__params_get(const dmc__graph *g, dmc__device *d, const void *block, dmc__parid i, float *torch, size_t n);

/* The same three for one spec alone: tensors that have a PyTorch shape but belong to no graph (adapters). */
dmc_status dmc__params_init_spec(const dmc__param_spec *spec, dmc__device *d, const dmc__stream *s, void *block);
dmc_status dmc__params_set_spec(const dmc__param_spec *spec, dmc__device *d, void *block, const float *torch, size_t n);
dmc_status dmc__params_get_spec(const dmc__param_spec *spec, dmc__device *d, const void *block, float *torch, size_t n);

/* The first n elements of a block as 16-bit numbers of this type (DMC_WEIGHT_*), for dmc__plan_bind_half. */
dmc_status dmc__params_narrow(dmc__device *d, const void *block, size_t n, int32_t type, void *half);

/* n elements <- 0. */
dmc_status dmc__params_zero(dmc__device *d, void *p, size_t n);

/* Index permutation between orders: stored[dmc__params_stored_index(spec, j)] = torch[j]. */
size_t dmc__params_stored_index(const dmc__param_spec *spec, size_t torch_index);

/* Copy the weights of `small` into `grown`, the same architecture with more input columns (extra > 0): equal shapes are
 * copied, a weight with more input channels gets the old ones first and zeros behind (W' = [W | 0]). Output of the
 * grown network is then bit-equal for any extra input. DMC_ESHAPE if they do not correspond. */
dmc_status dmc__params_grow(const dmc__graph *small, const void *from, const dmc__graph *grown, dmc__device *d, void *to);

#endif
