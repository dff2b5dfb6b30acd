/* bench_gpu.c — see bench_gpu.h. CUDA is not linked here: the driver's library is opened, where there is one. */
#include "bench_gpu.h"

#include "bench_timing.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

const char *dmc_bench_matrix_name(int32_t matrix)
{
    static const char *const names[DMC_BENCH_MATRICES] = {"fp32", "tf32", "bf16"};
    return names[matrix];
}

/* ---- the driver --------------------------------------------------------------------------------------- */

/* C has no cast from data to functions. */
static int find(void *library, const char *name, void *function, size_t size)
{
    void *const symbol = dlsym(library, name); /* NULL: anywhere */
    if (symbol) memcpy(function, &symbol, size);
    return symbol != NULL;
}

void dmc_bench_gpu_name(char *text, size_t size)
{
    int (*init)(unsigned), (*get_name)(char *, int, int), (*get_version)(int *), version = 0;
    char name[128] = "";
    void *const driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    snprintf(text, size, "emulated");
    if (!find(driver, "cuInit", &init, sizeof init) || init(0) != 0) return;
    if (find(driver, "cuDeviceGetName", &get_name, sizeof get_name)) get_name(name, sizeof name, 0);
    if (find(driver, "cuDriverGetVersion", &get_version, sizeof get_version)) get_version(&version);
    snprintf(text, size, "%s, driver for CUDA %d.%d", *name ? name : "unknown", version / 1000, version % 1000 / 10);
}

double dmc_bench_gpu_allocations(const char *plugin_folder)
{
    char path[1024];
    uint64_t (*count)(void);
    int (*memory)(size_t *, size_t *);
    size_t left, all;
    snprintf(path, sizeof path, "%s/libdmc-cuda.so", plugin_folder ? plugin_folder : ".");
    if (find(RTLD_DEFAULT, "dmc_driver_allocations", &count, sizeof count)) return (double)count();
    if (find(dlopen(path, RTLD_NOW | RTLD_NOLOAD), "emu_allocations", &count, sizeof count)) return (double)count();
    if (!find(dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD), "cuMemGetInfo_v2", &memory, sizeof memory)) return -1;
    return memory(&left, &all) == 0 ? (double)left : -1;
}

/* ---- roofs -------------------------------------------------------------------------------------------- */

typedef struct work {
    dmc__device *device;
    dmc_status (*run)(const struct work *w);
    void *block[3];
    size_t elems;
    int32_t n;
} work;

static dmc_status run_copy(const work *w)
{
    return dmc__dev_copy(w->device, w->block[1], w->block[0], w->elems);
}

static dmc_status run_product(const work *w)
{
    dmc_kargs k = {.in = {w->block[0]}, .out = w->block[2], .par = {w->block[1]}, .dim = {w->n, w->n, w->n}};
    return dmc__dev_run(w->device, DMC_OP_LINEAR, &k);
}

/* Random numbers: zeros are multiplied faster than what networks hold. */
static dmc_status fill(const work *w, void *block, uint64_t seed)
{
    dmc_kargs k = {.out = block, .dim = {1, (int32_t)w->elems}, .key = {seed, DMC_STREAM_INIT}};
    return dmc__dev_run(w->device, DMC_OP_NORMAL, &k);
}

static dmc_status measure(const work *w, double seconds, double *took)
{
    static dmc_bench_timing t;
    const double end = dmc_bench_now() + seconds;
    for (t.n = -2; t.n < 1 || (dmc_bench_now() < end && t.n < DMC_BENCH_SAMPLES); t.n++) {
        DMC_TRY(dmc__dev_sync(w->device));
        const double start = dmc_bench_now();
        DMC_TRY(w->run(w));
        DMC_TRY(dmc__dev_sync(w->device));
        if (t.n >= 0) t.ms[t.n] = dmc_bench_now() - start;
    }
    *took = dmc_bench_median(&t);
    return DMC_OK;
}

static dmc_status run_on_blocks(work *w, int blocks, double seconds, double *took)
{
    dmc_status status = DMC_OK;
    for (int i = 0; i < blocks && status >= 0; i++) {
        status = dmc__dev_alloc(w->device, w->elems, &w->block[i]);
        if (status >= 0) status = fill(w, w->block[i], (uint64_t)i);
    }
    if (status >= 0) status = measure(w, seconds, took);
    for (int i = 0; i < blocks; i++) dmc__dev_free(w->device, w->block[i], w->elems);
    return status;
}

dmc_status dmc_bench_gpu_copy(dmc__device *d, size_t bytes, double seconds, double *took)
{
    work w = {.device = d, .run = run_copy, .elems = bytes / sizeof(float)};
    return run_on_blocks(&w, 2, seconds, took);
}

dmc_status dmc_bench_gpu_product(dmc__device *d, int32_t n, double seconds, double *took)
{
    work w = {.device = d, .run = run_product, .elems = (size_t)n * (size_t)n, .n = n};
    return run_on_blocks(&w, 3, seconds, took);
}
