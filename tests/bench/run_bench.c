/* run_bench.c — `make bench`: the roof of this machine, then every benchmark, on one thread. Results
 * also as JSON in the folder given, build/bench if none. */
#include "bench_ops.h"

#include <stdlib.h>

int main(int argc, char **argv)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/ops.json", argc > 1 ? argv[1] : "build/bench");
    FILE *const json = fopen(path, "w");
    if (json == NULL) {
        perror(path);
        return EXIT_FAILURE;
    }
    const dmc_bench_roof roof = dmc_bench_measure_roof();
    const int failed = dmc_bench_ops(json, &roof);
    return fclose(json) != 0 || failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
