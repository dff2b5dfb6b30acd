/* count_driver.c — counts what is allocated and freed on a GPU: LD_PRELOAD=count_driver.so PROGRAM.
 *
 * The CUDA runtime, ours and cublasLt's, is linked statically and finds the driver by dlsym(driver, "cuGetProcAddress_v2"),
 * then everything else by that function. So dlsym is replaced here, which hands out a cuGetProcAddress of ours, which hands out
 * functions that count and go on to the driver's. No header of CUDA is needed: all of them take at most six words.
 */
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#define SHOWN __attribute__((visibility("default")))

typedef uintptr_t word;
typedef int (*driver_call)(word, word, word, word, word, word);

static atomic_ullong calls;

/* Allocations and frees of device and of pinned memory, by this process so far. */
SHOWN uint64_t dmc_driver_allocations(void)
{
    return atomic_load(&calls);
}

#define COUNTED(X)                                                                                                              \
    X(cuMemAlloc) X(cuMemAllocPitch) X(cuMemAllocManaged) X(cuMemAllocAsync) X(cuMemAllocFromPoolAsync) X(cuMemAllocHost)       \
    X(cuMemHostAlloc) X(cuMemHostRegister) X(cuMemCreate) X(cuMemFree) X(cuMemFreeAsync) X(cuMemFreeHost) X(cuMemHostUnregister) \
    X(cuMemRelease) X(cuArrayCreate) X(cuArray3DCreate) X(cuArrayDestroy)

/* Of each the driver has kinds, for two meanings of the default stream: they take the same arguments. */
enum { KINDS = 2 };
#define KIND(name, kind)                                                              \
    static int count_##name##_##kind(word a, word b, word c, word d, word e, word f)  \
    {                                                                                 \
        atomic_fetch_add(&calls, 1);                                                  \
        return real_##name[kind](a, b, c, d, e, f);                                   \
    }
#define WRAP(name) static driver_call real_##name[KINDS]; KIND(name, 0) KIND(name, 1)
COUNTED(WRAP)

static const struct wrapped {
    const char *name;
    driver_call *real, count[KINDS];
} wrapped[] = {
#define ROW(name) {#name, real_##name, {count_##name##_0, count_##name##_1}},
    COUNTED(ROW)
};

/* A name as the driver exports it may end in a version: cuMemAlloc_v2, cuMemFreeAsync_ptsz. */
static const struct wrapped *find_wrapped(const char *symbol)
{
    for (size_t i = 0; i < sizeof wrapped / sizeof *wrapped; i++) {
        const size_t n = strlen(wrapped[i].name);
        if (strncmp(symbol, wrapped[i].name, n) == 0 && (symbol[n] == '\0' || symbol[n] == '_')) return &wrapped[i];
    }
    return NULL;
}

/* *function, the driver's, becomes ours if it is one that counts. A third kind is left alone. */
static void wrap(const char *symbol, void **function)
{
    const struct wrapped *const w = find_wrapped(symbol);
    driver_call real;
    if (!w || !*function) return;
    memcpy(&real, function, sizeof real); /* C has no cast from data to functions */
    for (int kind = 0; kind < KINDS; kind++) {
        if (!w->real[kind]) w->real[kind] = real;
        if (w->real[kind] != real) continue;
        memcpy(function, &w->count[kind], sizeof real);
        return;
    }
}

static int (*real_get_v2)(const char *symbol, void **function, int version, uint64_t flags, void *status);
static int (*real_get_v1)(const char *symbol, void **function, int version, uint64_t flags);

static int get_v1(const char *symbol, void **function, int version, uint64_t flags);
static int get_v2(const char *symbol, void **function, int version, uint64_t flags, void *status);

/* The function that finds functions is asked for too; from version 12 on it has a fifth argument. */
static void wrap_found(const char *symbol, void **function, int version)
{
    int (*const ours_v1)(const char *, void **, int, uint64_t) = get_v1;
    int (*const ours_v2)(const char *, void **, int, uint64_t, void *) = get_v2;
    if (strncmp(symbol, "cuGetProcAddress", 16) != 0) {
        wrap(symbol, function);
    } else if (version >= 12000) {
        memcpy(&real_get_v2, function, sizeof real_get_v2);
        memcpy(function, &ours_v2, sizeof ours_v2);
    } else {
        memcpy(&real_get_v1, function, sizeof real_get_v1);
        memcpy(function, &ours_v1, sizeof ours_v1);
    }
}

static int get_v1(const char *symbol, void **function, int version, uint64_t flags)
{
    const int error = real_get_v1(symbol, function, version, flags);
    if (error == 0) wrap_found(symbol, function, version);
    return error;
}

static int get_v2(const char *symbol, void **function, int version, uint64_t flags, void *status)
{
    const int error = real_get_v2(symbol, function, version, flags, status);
    if (error == 0) wrap_found(symbol, function, version);
    return error;
}

static void *find_next(void *handle, const char *name)
{
    static void *(*real)(void *, const char *);
    static const char *const versions[] = {"GLIBC_2.34", "GLIBC_2.2.5", "GLIBC_2.17"};
    for (size_t i = 0; !real && i < sizeof versions / sizeof *versions; i++) {
        void *const symbol = dlvsym(RTLD_NEXT, "dlsym", versions[i]);
        memcpy(&real, &symbol, sizeof real);
    }
    return real ? real(handle, name) : NULL;
}

SHOWN void *dlsym(void *restrict handle, const char *restrict name)
{
    void *found = find_next(handle, name);
    if (found && strncmp(name, "cu", 2) == 0) wrap_found(name, &found, strcmp(name, "cuGetProcAddress_v2") == 0 ? 12000 : 0);
    return found;
}
