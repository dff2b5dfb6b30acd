/* cuda_blas.h — one product by cublasLt: C(m,n) = op(A)(m,k) op(B)(k,n) + bias?(n), or added to C; all row by row. */
#ifndef DMC_KERNELS_CUDA_BLAS_H
#define DMC_KERNELS_CUDA_BLAS_H

#include "cuda_queue.h"

typedef struct cuda_gemm {
    const float *a, *b, *bias; /* bias NULL: none */
    float *c;
    uint32_t m, n, k;
    uint32_t lda, ldb, ldc;    /* width of rows in memory */
    int32_t turn_a, turn_b;    /* 1: A is stored (k,m), B is stored (n,k) */
    int32_t add;               /* to what is in C; then there is no bias */
} cuda_gemm;

/* Is there so much to do that cublasLt is the better choice? By shape alone; where the border lies is not measured. */
static inline int32_t cuda_blas_pays(uint32_t m, uint32_t n, uint32_t k)
{
    return m >= 128 && n >= 64 && k >= 64;
}

/* No error: cublasLt has no way to do it, nothing was done, and a kernel of ours must. */
enum { CUDA_NO_WAY = 1 };

int32_t cuda_blas(const dmc_kargs *k, const cuda_gemm &g);

#endif
