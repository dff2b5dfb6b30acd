/* cuda_sum.cuh — sums over a block in double precision, for numbers that cancel or are very many. */
#ifndef DMC_KERNELS_CUDA_SUM_CUH
#define DMC_KERNELS_CUDA_SUM_CUH

#include "cuda_launch.cuh"

/* Every thread of the block gets the sum. `slot` is shared memory of one double per thread; other threads may still read it when
 * the function returns, so that using it again takes a barrier. What a step adds is the upper half of what is left to its lower
 * half. */
static __device__ inline double block_sum_double(double x, double *slot)
{
    slot[threadIdx.x] = x;
    __syncthreads();
    for (unsigned left = blockDim.x; left > 1;) {
        const unsigned low = (left + 1) / 2;
        if (threadIdx.x < left - low) slot[threadIdx.x] += slot[threadIdx.x + low];
        __syncthreads();
        left = low;
    }
    return slot[0];
}

#endif
