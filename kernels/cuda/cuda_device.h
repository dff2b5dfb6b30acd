/* cuda_device.h — the two halves of the plugin: memory and queues (cuda_device.cu), and kernels (cuda_plugin.cu). */
#ifndef DMC_KERNELS_CUDA_DEVICE_H
#define DMC_KERNELS_CUDA_DEVICE_H

#include "cuda_queue.h"

extern const dmc__backend cuda_backend;

void cuda_fill_table(void *state, dmc_kernel_table *t, const char **isa);

/* cuda_blas.cu: the cublasLt handle of a queue, and what it remembers. */
int32_t cuda_products_open(cuda_queue *q);
void cuda_products_close(cuda_queue *q);

#endif
