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

/* Refuse a file with fewer than `weights` values in all its tensors. */
dmc_status dmc__file_holds(const dmc__tensor_file *f, size_t weights);

/* A model with this contract and weights zero, refused before they are allocated if f cannot fill them; *cascade: the file
 * also holds a cascade's tensors. */
dmc_status dmc__contract_make_model(dmc__context *ctx, const char *text, const dmc__tensor_file *f, int32_t *cascade,
                                    dmc__model **out);
/* The network of a model's cascade: its own, grown by a side input. */
dmc__net_config dmc__contract_cascade(const dmc__net_config *net);

#endif
