/* bench_setup.h — what every benchmark is told. */
#ifndef DMC_BENCH_SETUP_H
#define DMC_BENCH_SETUP_H

#include "roof.h"

#include <stdio.h>

enum { DMC_BENCH_THREADS = 2 };

typedef struct dmc_bench_setup {
    FILE *json;                             /* one array                                                       */
    dmc_bench_roof roof[DMC_BENCH_THREADS]; /* with 1 and 2 threads; threads = 0 where there are too few cores */
    char **pattern;                         /* cases to run: those that fit any, as in a shell; none: all      */
    int patterns;
} dmc_bench_setup;

/* Name of a case, or name@threads. */
int dmc_bench_wanted(const dmc_bench_setup *s, const char *name, int threads);

#endif
