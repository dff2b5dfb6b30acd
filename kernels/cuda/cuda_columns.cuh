/* cuda_columns.cuh — sums down the rows of a matrix. A block of BLOCK threads takes `columns` neighbouring columns; its
 * threads are `slices` groups, of which group s takes rows s, s + slices, ...; then the groups' sums are added in order.
 * The cut follows from the number of rows alone, so that a sample's bits do not depend on its batch. */
#ifndef DMC_KERNELS_CUDA_COLUMNS_CUH
#define DMC_KERNELS_CUDA_COLUMNS_CUH

#include "cuda_launch.cuh"

struct strips {
    uint32_t columns, slices; /* columns slices = BLOCK; whole warps of columns */
};

/* More groups where there are more rows. */
static inline strips strips_of(size_t rows)
{
    const uint32_t slices = rows <= 8 ? 1 : rows <= 32 ? 4 : 8;
    return {BLOCK / slices, slices};
}

/* The sum of x over the groups of a column, for threads of group 0. All threads of the block come here. */
static __device__ inline float add_slices(float x, float slot[BLOCK], strips s)
{
    __syncthreads();
    slot[threadIdx.x] = x;
    __syncthreads();
    float sum = 0;
    for (uint32_t i = 0; threadIdx.x < s.columns && i < s.slices; i++) sum += slot[i * s.columns + threadIdx.x];
    return sum;
}

/* d0[c] += the sum of column c < C of x(rows, C + C1), d1[c] += that of column C + c. NULL: not wanted. */
static __global__ void add_column_sums(float *d0, float *d1, const float *x, strips s, uint32_t rows, uint32_t C, uint32_t C1)
{
    __shared__ float slot[BLOCK];
    const uint32_t c = blockIdx.x * s.columns + threadIdx.x % s.columns;
    float sum = 0;
    for (uint32_t r = threadIdx.x / s.columns; c < C + C1 && r < rows; r += s.slices)
        sum += x[static_cast<size_t>(r) * (C + C1) + c];
    sum = add_slices(sum, slot, s);
    float *const d = c < C ? d0 : d1;
    if (threadIdx.x < s.columns && c < C + C1 && d) d[c < C ? c : c - C] += sum;
}

/* Of parts(rows, 2C): dpar[0] and dpar[1] take the sums of the left and the right half. */
static inline int32_t launch_parameter_sums(const dmc_kargs *k, const char *name, const float *parts, size_t rows, size_t C)
{
    const strips s = strips_of(rows);
    return launch(k, name, blocks_of(2 * C, s.columns), BLOCK, 0, add_column_sums, dpar_of(k, 0), dpar_of(k, 1), parts, s, rows,
                  C, C);
}

#endif
