/* run_bench.c — `make bench`: the roof of this machine, then every benchmark, on one thread. Results also as JSON in the
 * folder given, build/bench if none. A second argument, nets or ops, runs that one alone. */
#include "bench_nets.h"
#include "bench_ops.h"

#include <stdlib.h>
#include <string.h>

static const struct benchmark {
    const char *name;
    int (*run)(FILE *json, const dmc_bench_roof *roof);
} benchmarks[] = {{"nets", dmc_bench_nets}, {"ops", dmc_bench_ops}};

static int run_one(const struct benchmark *b, const char *folder, const dmc_bench_roof *roof)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.json", folder, b->name);
    FILE *const json = fopen(path, "w");
    if (json == NULL) {
        perror(path);
        return -1;
    }
    const int failed = b->run(json, roof);
    return fclose(json) != 0 || failed ? -1 : 0;
}

int main(int argc, char **argv)
{
    const dmc_bench_roof roof = dmc_bench_measure_roof();
    int failed = 0;
    for (size_t i = 0; i < sizeof benchmarks / sizeof *benchmarks; i++)
        if (argc < 3 || strcmp(argv[2], benchmarks[i].name) == 0)
            failed |= run_one(&benchmarks[i], argc > 1 ? argv[1] : "build/bench", &roof);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
