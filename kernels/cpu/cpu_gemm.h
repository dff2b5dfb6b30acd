/* cpu_gemm.h — small dense products, the inside of LINEAR, the convolutions and LORA.
 *
 * cpu_gemm.inc     gemm: the register-blocked product everything else is made of; transpose
 * cpu_gather.inc   gather: rows of outputs from rows of inputs through taps of weights;
 *                  outer: gradients of those weights
 *
 * All matrices are seen as rows of neighbouring floats. Sums run in a fixed order, in single
 * precision with fused multiply-add: in gather an output row gets the same bits in any batch and on
 * any number of threads.
 */
#ifndef DMC_CPU_GEMM_H
#define DMC_CPU_GEMM_H

#include "cpu_kernels.h"

/* C[j][i] += sum over r < count, l < k of A[r][l][i] B[r][j][l], for n rows of m outputs.
 * A[r] = a + r sa has k rows lda apart, B[r] = b + r sb steps bn along j and bk along l, rows of C
 * are ldc apart. An element is summed in the order r, l, whatever m and n are. */
struct cpu_gemm {
    size_t m, n, k;
    ptrdiff_t lda, bn, bk, ldc;
    ptrdiff_t sa, sb; /* may be negative                                                */
    bool stream;      /* A comes from memory, not from a cache: read it in order, ahead */
    int32_t type;     /* what A consists of, DMC_WEIGHT_*                               */
};

/* Output row p of M channels reads through tap j the input row r of K channels
 *     down:  r = p stride + j - pad          CONV1D, input gradient of CONVT1D
 *     up:    r = (p + pad - j) / stride      CONVT1D, input gradient of CONV1D; where whole
 * where 0 <= r < R:  y[b][p] (M) = bias + sum over taps of x[b][r] (K) w[j].
 * Rows of w are ldw floats apart. LINEAR is one tap, and one row per sample. */
struct cpu_gather {
    ptrdiff_t P, R, taps, stride, pad;
    size_t B, K, M, ldw;
    bool up;
    bool add;                  /* y += instead of y = bias? +              */
    bool turned;               /* w is (taps,M,K), not (taps,K,M)          */
    int32_t type;              /* what w consists of, DMC_WEIGHT_*; floats where it is turned */
    const float *x, *bias;     /* (B,R,K), (M)?                            */
    const void *w;             /* see turned                               */
    float *y, *scratch;        /* (B,P,M); gather_scratch bytes            */
};

/* gemm            see struct cpu_gemm
 * transpose       y[j][i] = x[i][j], i < n, j < m; rows of x ldx apart, of y ldy;
 *                 stream: x comes from memory
 * gather          see struct cpu_gather
 * gather_scratch  bytes of scratch that takes
 * outer           dw (taps,K,M) += x^T dy (B,P,M) over the rows that meet; its rows are ldw apart;
 *                 of the operands only x
 * sum_rows        sum (m) += rows of x (rows,m)
 */
#define CPU_DECLARE_GEMM(isa)                                                                      \
    void dmc__cpu_gemm_##isa(const struct cpu_gemm *g, const void *a, const float *b, float *c,   \
                             size_t count);                                                        \
    void dmc__cpu_transpose_##isa(const float *x, size_t ldx, size_t n, size_t m, bool stream,     \
                                  float *y, size_t ldy);                                           \
    void dmc__cpu_gather_##isa(const struct cpu_gather *c, const dmc_parallel *p);                 \
    size_t dmc__cpu_gather_scratch_##isa(const struct cpu_gather *c);                              \
    void dmc__cpu_outer_##isa(const struct cpu_gather *c, const float *dy, float *dw,              \
                              const dmc_parallel *p);                                              \
    void dmc__cpu_sum_rows_##isa(const float *x, size_t rows, size_t m, float *sum);
/* Address of number i of an array of this type. */
static inline const void *cpu_number(const void *a, ptrdiff_t i, int32_t type)
{
    return (const char *)a + i * (type == DMC_WEIGHT_FLOAT ? 4 : 2);
}

CPU_DECLARE_GEMM(avx2)
CPU_DECLARE_GEMM(avx512)

#endif
