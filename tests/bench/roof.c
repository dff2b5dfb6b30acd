/* roof.c — see roof.h. The loops are written per instruction set, because a test file is
 * compiled for any processor. */
#include "roof.h"

#include "lib/base/pool.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

static double seconds_on(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Many short rounds. The shortest by the clock was not interrupted; where all are too long for that, because others use the
 * processor, CPU time tells better: of it what one round in twenty stays below, because a guest's clock, which guesses what
 * its host took, makes some too short. Several threads have only the clock. */
static double low_time(void (*work)(void *arg), void *arg, double seconds, int one_thread)
{
    enum { ROUND_US = 200, LEAST_ROUNDS = 5, MOST_ROUNDS = 4096 };
    double cpu[MOST_ROUNDS], best = INFINITY;
    int n = 0;
    work(arg);
    const double begin = seconds_on(CLOCK_MONOTONIC);
    work(arg);
    const int repeats = (int)(ROUND_US * 1e-6 / (seconds_on(CLOCK_MONOTONIC) - begin + 1e-9)) + 1;
    while (n < LEAST_ROUNDS || (n < MOST_ROUNDS && seconds_on(CLOCK_MONOTONIC) < begin + seconds)) {
        const double start = seconds_on(CLOCK_MONOTONIC), cpu_start = seconds_on(CLOCK_PROCESS_CPUTIME_ID);
        for (int i = 0; i < repeats; i++) work(arg);
        cpu[n++] = (seconds_on(CLOCK_PROCESS_CPUTIME_ID) - cpu_start) / repeats;
        best = fmin(best, (seconds_on(CLOCK_MONOTONIC) - start) / repeats);
    }
    qsort(cpu, (size_t)n, sizeof *cpu, by_size);
    return one_thread ? fmin(best, cpu[n / 20]) : best;
}

double dmc_bench_time(void (*work)(void *arg), void *arg, double seconds)
{
    return low_time(work, arg, seconds, 1);
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

/* ---- on several threads: every one does its share, and the last to finish counts -------------------- */

typedef struct crew {
    dmc__pool *pool; /* NULL: one thread */
    size_t threads;
    loops loops;
    const float *data;
    size_t bytes, repeats; /* of reading: of all threads together; so often in one round */
} crew;

static void multiply_share(void *arg, size_t i)
{
    float x[16];
    (void)i;
    for (int c = 0; c < 16; c++) x[c] = 0.5F;
    ((crew *)arg)->loops.multiply(x);
}

static void read_share(void *arg, size_t i)
{
    const crew *const c = arg;
    const size_t n = c->bytes / sizeof(float) / c->threads;
    reading r = {c->data + i * n, n, 0};
    for (size_t round = 0; round < c->repeats; round++) c->loops.read(&r);
}

static void multiply_all(void *arg)
{
    dmc__pool_run(((crew *)arg)->pool, multiply_share, arg, ((crew *)arg)->threads);
}

static void read_all(void *arg)
{
    dmc__pool_run(((crew *)arg)->pool, read_share, arg, ((crew *)arg)->threads);
}

/* Small sets are read so often that starting the threads does not count. */
static double read_rate(crew *c, size_t bytes)
{
    enum { ROUND = 8 << 20 };
    c->bytes = bytes;
    c->repeats = bytes < ROUND ? ROUND / bytes : 1;
    return (double)(bytes * c->repeats) / low_time(read_all, c, 0.08, c->pool == NULL) * 1e-9;
}

static size_t size_of(int i)
{
    return (size_t)DMC_BENCH_SMALLEST << i;
}

dmc_bench_roof dmc_bench_measure_roof(int threads)
{
    dmc_bench_roof roof = {.threads = threads};
    crew c = {.threads = (size_t)threads, .loops = best_loops()};
    const size_t most = size_of(DMC_BENCH_SIZES - 1);
    float *const data = aligned_alloc(4096, most); /* a load across two cache lines takes twice as long */
    c.data = data;
    if (data && (threads == 1 || dmc__pool_create(&dmc__default_allocator, threads, NULL, NULL, &c.pool) >= 0)) {
        for (size_t i = 0; i < most / sizeof *data; i++) data[i] = 1;
        roof.gflops = 2.0 * CHAINS * STEPS * c.loops.lanes * threads / low_time(multiply_all, &c, 0.2, c.pool == NULL) * 1e-9;
        for (int i = 0; i < DMC_BENCH_SIZES; i++) roof.gbps[i] = read_rate(&c, size_of(i));
    }
    dmc__pool_destroy(c.pool);
    free(data);
    return roof;
}

/* Between two measured sizes on a line over the logarithm of the size. */
double dmc_bench_bandwidth(const dmc_bench_roof *r, double bytes)
{
    const double at = log2(fmax(bytes, DMC_BENCH_SMALLEST) / DMC_BENCH_SMALLEST);
    const int i = (int)fmin(at, DMC_BENCH_SIZES - 2);
    const double part = fmin(at - i, 1);
    return r->gbps[i] * (1 - part) + r->gbps[i + 1] * part;
}
