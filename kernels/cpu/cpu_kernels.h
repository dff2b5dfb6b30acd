/* cpu_kernels.h — what the files of kernels/cpu share: who fills which slots, and how work is cut.
 *
 * Each subject is written once, in cpu_<subject>.inc, and compiled twice: cpu_<subject>_avx2.c and
 * cpu_<subject>_avx512.c include it under different compiler flags. CPU_NAME gives the two copies
 * their names.
 */
#ifndef DMC_CPU_KERNELS_H
#define DMC_CPU_KERNELS_H

#include "../kernels.h"

#include <stdbool.h>

#if defined(__AVX512F__)
#    define CPU_NAME(name) dmc__cpu_##name##_avx512
#else
#    define CPU_NAME(name) dmc__cpu_##name##_avx2
#endif

/* Files that fill slots. */
#define CPU_FILLS(X)                                                                               \
    X(conv) X(groupnorm) X(layernorm) X(activation) X(combine) X(random) X(optim) X(diffusion)     \
    X(lora) X(narrow) X(attention) X(modulate) X(rows) X(conv2d) X(image)

#define DECLARE(name)                                                                              \
    void dmc__cpu_fill_##name##_avx2(dmc_kernel_table *t);                                         \
    void dmc__cpu_fill_##name##_avx512(dmc_kernel_table *t);
CPU_FILLS(DECLARE)
#undef DECLARE

/* Below this many floating-point operations (about 3 us on one core) waking a thread costs more
 * than it saves. */
enum { CPU_PARALLEL_FLOP = 200000 };

/* Run n tasks of `flop` operations together. How work is cut depends on shapes only, so results
 * do not depend on whether, or on how many threads, this runs in parallel. */
static inline void cpu_run(const dmc_parallel *p, dmc_task task, void *arg, size_t n, double flop)
{
    if (p != NULL && p->run != NULL && n > 1 && flop > CPU_PARALLEL_FLOP) {
        p->run(p->pool, task, arg, n);
        return;
    }
    for (size_t i = 0; i < n; i++) task(arg, i);
}

/* Pieces of at most `most` that n is cut into, and where piece i begins: sizes differ by one at
 * most. */
static inline size_t cpu_pieces(size_t n, size_t most)
{
    return n == 0 ? 0 : (n - 1) / most + 1;
}
static inline size_t cpu_piece(size_t n, size_t pieces, size_t i)
{
    return n / pieces * i + n % pieces * i / pieces;
}

static inline size_t cpu_min(size_t a, size_t b)
{
    return a < b ? a : b;
}
static inline size_t cpu_max(size_t a, size_t b)
{
    return a > b ? a : b;
}

#endif
