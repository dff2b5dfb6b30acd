/* bench_gpu.h — the card under the CUDA backend: what it is called, what memory is taken of it, what it can do at best. */
#ifndef DMC_BENCH_GPU_H
#define DMC_BENCH_GPU_H

#include "lib/backend/backend.h"

enum { DMC_BENCH_MATRICES = 3 }; /* DMC_MATRIX_FP32, _TF32, _BF16 */

/* Rates reached by anybody: our own calls, or the peer's. */
typedef struct dmc_bench_gpu_roof {
    double gbps;                      /* of a copy on the device, bytes read and written */
    double tflops[DMC_BENCH_MATRICES]; /* of a large square product                       */
} dmc_bench_gpu_roof;

const char *dmc_bench_matrix_name(int32_t matrix); /* "fp32", "tf32", "bf16" */

/* Name and driver of device 0, from the driver's library: "NVIDIA H100, driver 13.0"; "emulated" without one. */
void dmc_bench_gpu_name(char *text, size_t size);

/* A number that changes when device memory is allocated or freed: the calls so far, where tests/preload or the emulator counts
 * them; else the card's free bytes, which others may change. Negative: not known. */
double dmc_bench_gpu_allocations(const char *plugin_folder);

/* Seconds of copying `bytes` on the device, and of a square product of side n: medians over about `seconds`. */
dmc_status dmc_bench_gpu_copy(dmc__device *d, size_t bytes, double seconds, double *took);
dmc_status dmc_bench_gpu_product(dmc__device *d, int32_t n, double seconds, double *took);

#endif
