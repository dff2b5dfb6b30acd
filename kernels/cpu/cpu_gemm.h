/* cpu_gemm.h — small dense products, the inside of LINEAR, the convolutions and LORA.
 *
 * cpu_gemm.inc     gemm: one column of register blocks, which everything else is made of; transpose
 * cpu_gather.inc   gather: rows of outputs from rows of inputs through taps of weights
 * cpu_outer.inc    outer: gradients of those weights
 *
 * All matrices are seen as rows of neighbouring numbers. Sums run in a fixed order, in single
 * precision with fused multiply-add: in gather an output row gets the same bits in any batch and on
 * any number of threads.
 */
#ifndef DMC_CPU_GEMM_H
#define DMC_CPU_GEMM_H

#include "cpu_kernels.h"

/* Memory that will be wanted next, line by line: the next one is at `at`, in a row that ends at `end`; `left` rows, that one
 * included, begin `step` bytes after each other. */
struct cpu_fetch {
    const char *at, *end;
    ptrdiff_t line, step, gap, left; /* line: 32 asks twice for each, that is half as fast; gap: from the end of a row to the
                                      * next */
};

/* A column of the product
 *     C[j] = from + sum over r < count, l < k of A[r][l] B[r][j][l],   `width` outputs, from = C[j] where it is NULL.
 * A[r] = a + r sa has k rows lda apart; B[r] = b + r sb goes on in steps of bk. Sums run over r, then l. */
struct cpu_gemm {
    const void *a;
    int32_t type; /* what A consists of, DMC_WEIGHT_* */
    size_t width; /* whole vectors, or less than one */
    size_t k, count;
    ptrdiff_t lda, sa, bk, sb;
    const float *from;
    float *keep;  /* (count,k,width in whole vectors) the first block copies A here, as floats, and all others read it here; NULL:
                   * A stays where it is */
    bool fetch_c; /* C comes from memory, not from a cache: ask for the next block's */
    size_t ahead; /* alone: A comes from memory: ask for what is so many rows further */
    struct cpu_fetch *fetch; /* what to ask for meanwhile; or NULL */
};

/* The rows of B and C: row (i, i1) = b + i b0 + i1 b1, c + i c0 + i1 c1 for i < n0, i1 < n1. */
struct cpu_rows {
    const float *b;
    float *c;
    size_t n0, n1;
    ptrdiff_t b0, b1, c0, c1;
};

/* Output row p of M channels reads through tap j the input row r of K channels
 *     down:  r = p stride + j - pad          CONV1D, input gradient of CONVT1D
 *     up:    r = (p + pad - j) / stride      CONVT1D, input gradient of CONV1D; where whole
 * where 0 <= r < R:  y[b][p] (M) = bias + sum over taps of x[b][r] (K) w[j].
 * Rows of w are ldw numbers apart. LINEAR is one tap, and one row per sample. */
struct cpu_gather {
    ptrdiff_t P, R, taps, stride, pad;
    size_t B, K, M, ldw;
    bool up;
    bool add;              /* y += instead of y = bias? +              */
    bool turned;           /* w is (taps,M,K), not (taps,K,M)          */
    int32_t type;          /* what w consists of, DMC_WEIGHT_*; floats where it is turned */
    const float *x, *bias; /* (B,R,K), (M)?                            */
    const void *w;         /* see turned                               */
    float *y;              /* (B,P,M)                                  */
};

/* Rows that meet: p, p + p_step, ... with r, r + r_step, ..., n of each. */
struct cpu_meeting {
    ptrdiff_t p, p_step, r, r_step, n;
};

enum {
    CPU_KEEP = 8192, /* floats of A that stay in a level-1 cache beside the rest: what `keep` may hold */
    CPU_ALONE = 6    /* rows of one block                                                              */
};

/* gemm            see struct cpu_gemm
 * gemm_width      outputs of the next column where `left` are left; rows: of the largest product
 * gemm_alone      the same product for m outputs and so few rows (CPU_ALONE) that A is used once
 * gemm_whole      the same product for m outputs and n rows, b0 and c0 apart, where A is near already
 * transpose       y[j][i] = x[i][j], i < n, j < m; rows of x ldx apart, of y ldy
 * through_tap     output rows p and input rows r that meet through tap j
 * gather          see struct cpu_gather
 * outer           dw (taps,K,M) += x^T dy (B,P,M) over the rows that meet; its rows are ldw apart;
 *                 of the operands only x
 * sum_rows        sum (m) += rows of x (rows,m)
 */
#define CPU_DECLARE_GEMM(isa)                                                                      \
    void dmc__cpu_gemm_##isa(struct cpu_gemm *g, const struct cpu_rows *rows);                     \
    size_t dmc__cpu_gemm_width_##isa(size_t left, size_t rows);                                    \
    void dmc__cpu_gemm_alone_##isa(struct cpu_gemm *g, const struct cpu_rows *rows, size_t m);     \
    void dmc__cpu_gemm_whole_##isa(const struct cpu_gemm *g, const struct cpu_rows *rows, size_t m);\
    void dmc__cpu_transpose_##isa(const float *x, size_t ldx, size_t n, size_t m, float *y,        \
                                  size_t ldy);                                                     \
    struct cpu_meeting dmc__cpu_through_tap_##isa(const struct cpu_gather *c, ptrdiff_t j);        \
    void dmc__cpu_gather_##isa(const struct cpu_gather *c, const dmc_parallel *p);                 \
    void dmc__cpu_outer_##isa(const struct cpu_gather *c, const float *dy, float *dw,              \
                              const dmc_parallel *p);                                              \
    void dmc__cpu_sum_rows_##isa(const float *x, size_t rows, size_t m, float *sum);
CPU_DECLARE_GEMM(avx2)
CPU_DECLARE_GEMM(avx512)

/* Bytes of n numbers of this type, and the address of number i of an array of it. */
static inline ptrdiff_t cpu_bytes(ptrdiff_t n, int32_t type)
{
    return n * (type == DMC_WEIGHT_FLOAT ? 4 : 2);
}
static inline const void *cpu_number(const void *a, ptrdiff_t i, int32_t type)
{
    return (const char *)a + cpu_bytes(i, type);
}

#endif
