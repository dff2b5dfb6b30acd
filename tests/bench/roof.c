/* roof.c — see roof.h. Times are CPU time: what others take of a shared machine does not count. The
 * loops are written per instruction set, because a test file is compiled for any processor. */
#include "roof.h"

#include <stdint.h>
#include <stdlib.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Many short rounds and the least of them: a round that was interrupted does not count. */
double dmc_bench_time(void (*work)(void *arg), void *arg, double seconds)
{
    enum { ROUND_US = 200, LEAST_ROUNDS = 5 };
    work(arg);
    const double begin = now();
    work(arg);
    double best = now() - begin + 1e-9;
    const int repeats = (int)(ROUND_US * 1e-6 / best) + 1;
    for (int round = 0; round < LEAST_ROUNDS || now() - begin < seconds; round++) {
        const double start = now();
        for (int i = 0; i < repeats; i++) work(arg);
        const double each = (now() - start) / repeats;
        if (each < best) best = each;
    }
    return best;
}

enum { CHAINS = 16, STEPS = 4096 }; /* independent accumulators; multiply-adds of each */

typedef struct reading {
    const float *data;
    size_t n;
    float sum; /* kept, so that the reading is not optimised away */
} reading;

#if defined(__x86_64__)

#    include <immintrin.h>

#    define LOOPS(isa, features, vector, lanes, zero, fma, add, load)                              \
        __attribute__((target(features))) static void multiply_##isa(void *arg)                    \
        {                                                                                          \
            vector acc[CHAINS];                                                                    \
            for (int c = 0; c < CHAINS; c++) acc[c] = zero();                                      \
            const vector x = load(arg);                                                            \
            for (int s = 0; s < STEPS; s++)                                                        \
                _Pragma("GCC unroll 16") for (int c = 0; c < CHAINS; c++) acc[c] =                 \
                    fma(acc[c], x, x);                                                             \
            for (int c = 1; c < CHAINS; c++) acc[0] = add(acc[0], acc[c]);                         \
            *(float *)arg = acc[0][0] * 0 + 0.5F;                                                  \
        }                                                                                          \
        __attribute__((target(features))) static void read_##isa(void *arg)                        \
        {                                                                                          \
            reading *const r = arg;                                                                \
            vector acc[8];                                                                         \
            for (int c = 0; c < 8; c++) acc[c] = zero();                                           \
            for (size_t i = 0; i + 8 * (lanes) <= r->n; i += 8 * (lanes))                          \
                _Pragma("GCC unroll 8") for (int c = 0; c < 8; c++) acc[c] =                       \
                    add(acc[c], load(r->data + i + c * (lanes)));                                  \
            for (int c = 1; c < 8; c++) acc[0] = add(acc[0], acc[c]);                              \
            r->sum += acc[0][0];                                                                   \
        }

LOOPS(avx512, "avx512f", __m512, 16, _mm512_setzero_ps, _mm512_fmadd_ps, _mm512_add_ps,
      _mm512_loadu_ps)
LOOPS(avx2, "avx2,fma", __m256, 8, _mm256_setzero_ps, _mm256_fmadd_ps, _mm256_add_ps,
      _mm256_loadu_ps)

#endif

static void multiply_any(void *arg)
{
    float acc[CHAINS] = {0}, *const x = arg;
    for (int s = 0; s < STEPS; s++)
        for (int c = 0; c < CHAINS; c++) acc[c] = acc[c] * *x + *x;
    for (int c = 1; c < CHAINS; c++) acc[0] += acc[c];
    *x = acc[0] * 0 + 0.5F;
}

static void read_any(void *arg)
{
    reading *const r = arg;
    float acc[8] = {0};
    for (size_t i = 0; i + 8 <= r->n; i += 8)
        for (size_t c = 0; c < 8; c++) acc[c] += r->data[i + c];
    for (int c = 0; c < 8; c++) r->sum += acc[c];
}

typedef struct loops {
    void (*multiply)(void *arg), (*read)(void *arg);
    int lanes;
} loops;

static loops best_loops(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) return (loops){multiply_avx512, read_avx512, 16};
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return (loops){multiply_avx2, read_avx2, 8};
#endif
    return (loops){multiply_any, read_any, 1};
}

static double read_rate(const float *data, size_t bytes, double seconds)
{
    reading r = {data, bytes / sizeof *data, 0};
    return (double)bytes / dmc_bench_time(best_loops().read, &r, seconds) * 1e-9;
}

double dmc_bench_read_rate(const float *data, size_t bytes)
{
    return read_rate(data, bytes, 0.01);
}

dmc_bench_roof dmc_bench_measure_roof(void)
{
    enum { MOST = 256 << 20 };
    const loops l = best_loops();
    dmc_bench_roof roof = {0};
    float x[16];
    for (int i = 0; i < 16; i++) x[i] = 0.5F;
    roof.gflops = 2.0 * CHAINS * STEPS * l.lanes / dmc_bench_time(l.multiply, x, 0.1) * 1e-9;
    float *const data = aligned_alloc(64, MOST); /* a vector across two lines takes twice as long */
    if (data == NULL) return roof;
    for (size_t i = 0; i < MOST / sizeof *data; i++) data[i] = 1;
    roof.l2 = read_rate(data, 256 << 10, 0.12);
    roof.l3 = read_rate(data, 4 << 20, 0.12);
    roof.dram = read_rate(data, MOST, 0.12);
    free(data);
    return roof;
}

double dmc_bench_multiply_rate(void)
{
    const loops l = best_loops();
    float x[16];
    for (int i = 0; i < 16; i++) x[i] = 0.5F;
    return 2.0 * CHAINS * STEPS * l.lanes / dmc_bench_time(l.multiply, x, 0.005) * 1e-9;
}

double dmc_bench_bandwidth(const dmc_bench_roof *r, double bytes)
{
    return bytes <= 768 << 10 ? r->l2 : bytes <= 16 << 20 ? r->l3 : r->dram;
}
