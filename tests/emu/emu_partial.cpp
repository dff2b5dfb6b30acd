/* emu_partial.cpp — with PARTIAL=1, in place of cuda_blas.cu where that is not there: the plugin opens without products. */
#ifdef CUDA_PARTIAL
#include "../../kernels/cuda/cuda_device.h"

__attribute__((weak)) int32_t cuda_products_open(cuda_queue *)
{
    return CUDA_OK;
}

__attribute__((weak)) void cuda_products_close(cuda_queue *)
{
}
#endif
