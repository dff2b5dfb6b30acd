/* cuda_queue.h — what stands behind dmc_kargs.queue: a device, a stream, and what libraries need to work in it.
 *
 * One thread at a time uses a queue. Work of one queue is done in order; queues do not wait for each other. An error of
 * the device stays: the call that finds it makes the sentence, all later calls return DMC_EDEVICE without touching the device.
 */
#ifndef DMC_KERNELS_CUDA_QUEUE_H
#define DMC_KERNELS_CUDA_QUEUE_H

#include <cublasLt.h>
#include <cuda_runtime.h>

#include "../plugin.h"

enum { CUDA_OK = 0, CUDA_ENOMEM = -20, CUDA_EDEVICE = -40 }; /* dmc_status */

typedef struct cuda_products cuda_products; /* what cublasLt chose for shapes seen before: cuda_blas.cu */

typedef struct cuda_queue {
    int32_t device, processors;   /* index; number of multiprocessors          */
    int32_t matrix;               /* DMC_MULTIPLY_*                            */
    int32_t failed;               /* the device failed: nothing works any more */
    int32_t recording;
    cudaStream_t stream;          /* work goes here (while recording: to be written down) */
    cudaStream_t own, target;     /* own: made here, records; target: where work is done  */
    cublasLtHandle_t blas;
    cuda_products *products;
    void *workspace;              /* of cublasLt, for one product at a time */
    size_t workspace_bytes;
    const dmc_host *host;
    char isa[16];                 /* "sm_90" */
} cuda_queue;

/* Make the queue's device the calling thread's, and afterwards what it was before the caller's again. */
int cuda_enter(const cuda_queue *q);
void cuda_leave(const cuda_queue *q, int before);

/* CUDA_OK, or the sentence "what: error", the queue's end, and CUDA_EDEVICE (CUDA_ENOMEM for a lack of memory, which
 * leaves the queue as it was). */
int32_t cuda_result(cuda_queue *q, cudaError_t error, const char *what);
/* CUDA_EDEVICE with a sentence: the queue has come to its end before. */
int32_t cuda_refuse(const cuda_queue *q, const char *what);

#endif
