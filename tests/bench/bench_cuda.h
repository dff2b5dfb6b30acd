/* bench_cuda.h — time of whole networks, sampler calls and training steps on a GPU, beside PyTorch on the same card. */
#ifndef DMC_BENCH_CUDA_H
#define DMC_BENCH_CUDA_H

#include "bench_setup.h"

/* Prints a table and writes one JSON array (docs/gpu-results.md). Starts no case after eight minutes. The environment says
 * where the plugin is (DMC_PLUGIN_FOLDER) and, to try this code in an emulator, that sizes and times are to be tiny and there is no
 * peer (DMC_BENCH_TINY). 0, or -1 with a sentence on stderr: without a GPU, say. */
int dmc_bench_cuda(const dmc_bench_setup *s);

#endif
