/* run_bench.c — `make bench`: the roofs of this machine, then every benchmark. Usage: bench [FOLDER [nets|ops|rt|cuda [CASE...]]].
 * Results go to FOLDER (build/bench) as JSON: machine.json, nets.json, ops.json, rt.json; cuda.json if it is
 * asked for. A CASE is a pattern as in a shell, such as "jan*" or "janner/forward/1@2" (two threads); nets and cuda know them. */
#include "bench_cuda.h"
#include "bench_nets.h"
#include "bench_ops.h"
#include "bench_rt.h"

#include "kernels/kernels.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const struct benchmark {
    const char *name;
    int (*run)(const dmc_bench_setup *s);
    int asked; /* only by name: it is about another machine */
} benchmarks[] = {{"nets", dmc_bench_nets, 0}, {"ops", dmc_bench_ops, 0}, {"rt", dmc_bench_rt, 0}, {"cuda", dmc_bench_cuda, 1}};

int dmc_bench_wanted(const dmc_bench_setup *s, const char *name, int threads)
{
    char full[96];
    snprintf(full, sizeof full, "%s@%d", name, threads);
    for (int i = 0; i < s->patterns; i++)
        if (fnmatch(s->pattern[i], name, 0) == 0 || fnmatch(s->pattern[i], full, 0) == 0) return 1;
    return s->patterns == 0;
}

static FILE *open_json(const char *folder, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.json", folder, name);
    FILE *const json = fopen(path, "w");
    if (json == NULL) perror(path);
    return json;
}

static int run_one(const struct benchmark *b, const char *folder, dmc_bench_setup *s)
{
    s->json = open_json(folder, b->name);
    if (s->json == NULL) return -1;
    const int failed = b->run(s);
    return fclose(s->json) != 0 || failed ? -1 : 0;
}

/* ---- what machine this is --------------------------------------------------------------------------- */

/* The value of the first line "key : value" of /proc/cpuinfo, without quotes. */
static void read_cpuinfo(const char *key, char *out, size_t size)
{
    FILE *const f = fopen("/proc/cpuinfo", "r");
    char line[512];
    snprintf(out, size, "unknown");
    while (f && fgets(line, sizeof line, f)) {
        char *value = strchr(line, ':');
        if (strncmp(line, key, strlen(key)) != 0 || !value) continue;
        value += strspn(value, ": \t");
        value[strcspn(value, "\n\"\\")] = '\0';
        snprintf(out, size, "%s", value);
        break;
    }
    if (f) fclose(f);
}

static void write_roofs(FILE *json, const dmc_bench_setup *s)
{
    for (int i = 0; i < DMC_BENCH_THREADS && s->roof[i].threads; i++) {
        fprintf(json, "%s\n  {\"threads\": %d, \"gflops\": %.2f, \"gbps\": {", i ? "," : "", s->roof[i].threads, s->roof[i].gflops);
        for (int k = 0; k < DMC_BENCH_SIZES; k++)
            fprintf(json, "%s\"%ld\": %.2f", k ? ", " : "", (long)DMC_BENCH_SMALLEST << k, s->roof[i].gbps[k]);
        fputs("}}", json);
    }
}

static int write_machine(const char *folder, const dmc_bench_setup *s)
{
    dmc_kernel_table table;
    char model[256], date[16];
    const char *const commit = getenv("DMC_COMMIT");
    const time_t now = time(NULL);
    FILE *const json = open_json(folder, "machine");
    if (json == NULL) return -1;
    read_cpuinfo("model name", model, sizeof model);
    strftime(date, sizeof date, "%Y-%m-%d", gmtime(&now));
    dmc__kernels_ref_f32(&table);
    fprintf(json, "{\"processor\": \"%s\", \"processors\": %ld, \"kernels\": \"%s\", \"compiler\": \"%s\", ", model,
            sysconf(_SC_NPROCESSORS_ONLN), dmc__kernels_cpu(&table), __VERSION__);
    fprintf(json, "\"date\": \"%s\", \"commit\": \"%s\", \"load\": ", date, commit ? commit : "unknown");
    double load[1];
    if (getloadavg(load, 1) == 1) fprintf(json, "%.2f", load[0]);
    else fputs("null", json);
    fputs(", \"roofs\": [", json);
    write_roofs(json, s);
    fputs("\n]}\n", json);
    return fclose(json) != 0 ? -1 : 0;
}

int main(int argc, char **argv)
{
    const char *const folder = argc > 1 ? argv[1] : "build/bench", *const only = argc > 2 ? argv[2] : "";
    dmc_bench_setup s = {.pattern = argv + 3, .patterns = argc > 3 ? argc - 3 : 0};
    const int of_processor = strcmp(only, "cuda") != 0;
    for (int i = 0; of_processor && i < DMC_BENCH_THREADS && i < sysconf(_SC_NPROCESSORS_ONLN); i++)
        s.roof[i] = dmc_bench_measure_roof(i + 1);
    int failed = of_processor ? write_machine(folder, &s) : 0;
    for (size_t i = 0; i < sizeof benchmarks / sizeof *benchmarks; i++)
        if (*only ? strcmp(only, benchmarks[i].name) == 0 : !benchmarks[i].asked) failed |= run_one(&benchmarks[i], folder, &s);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
