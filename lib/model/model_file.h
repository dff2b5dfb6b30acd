/* model_file.h — blocks of weights as named tensors, for every file that holds a network. */
#ifndef DMC_MODEL_FILE_H
#define DMC_MODEL_FILE_H

#include "../io/tensor_file.h"
#include "model.h"

/* Every parameter of g from/to tensors "<prefix><name>". Reading refuses a missing tensor or a wrong shape by name. */
dmc_status dmc__block_write(dmc__tensor_writer *w, const char *prefix, const dmc__graph *g, dmc__device *d,
                            const dmc__allocator *a, const void *block);
dmc_status dmc__block_read(const dmc__tensor_file *f, const char *prefix, const dmc__graph *g, dmc__device *d,
                           const dmc__allocator *a, void *block);

/* A model with this contract and initial weights; *cascade: the file also holds a cascade's tensors. */
dmc_status dmc__contract_make_model(dmc__context *ctx, const char *text, int32_t *cascade, dmc__model **out);

#endif
