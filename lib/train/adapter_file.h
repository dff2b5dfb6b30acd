/* adapter_file.h — what alignment learned, without the foundation: LoRA factors (or all weights) and the cascade. */
#ifndef DMC_TRAIN_ADAPTER_FILE_H
#define DMC_TRAIN_ADAPTER_FILE_H

#include "../align/cascade.h"
#include "../io/tensor_file.h"
#include "../model/model.h"

/* Tensors "<layer>.lora_A", "<layer>.lora_B" in PyTorch shapes, or the weights' own names when lora_rank = 0; a cascade's
 * weights under "cascade.". The file names the foundation by a digest of its weights; loading refuses any other. */
dmc_status dmc__adapter_save(const dmc__align *a, const char *path);
/* The same into and out of a file that holds more; cascade = 0: without it. */
dmc_status dmc__adapter_write(const dmc__align *a, dmc__tensor_writer *w, int32_t cascade);
dmc_status dmc__adapter_read(dmc__align *a, const dmc__tensor_file *f);
dmc_status dmc__adapter_load(dmc__align *a, const char *path);
/* The model with what was learned so far: a copy, so that learning may go on. `m` is what alignment began with. */
dmc_status dmc__adapter_publish(const dmc__align *a, const dmc__model *m, dmc__model **out);

#endif
