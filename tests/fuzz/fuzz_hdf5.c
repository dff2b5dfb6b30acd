/* fuzz_hdf5.c — any bytes as a dataset: read or refused.
 *
 * HDF5 itself parses a file before our checks can look at it, and HDF5 1.10 has bugs of its own in
 * doing so. So each input runs in a child: one that dies inside HDF5 is counted and reported, one
 * that dies inside libdmc ends the test. */
#include "fuzz_loop.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../lib/io/hdf5_dataset.h"

const long fuzz_inputs = 500;

const char *const fuzz_words[] = {"observations", "actions", "rewards", "terminals",
                                  "timeouts",     "TREE",    "HEAP",    "SNOD",
                                  "GCOL",         "FRHP",    "OHDR",    "images",
                                  "front",        "wrist",   NULL};

/* How a child ends */
enum { REFUSED = 0, ACCEPTED = 1, DIED_IN_HDF5 = 42, SANITIZER = 99 };

/* libhdf5 is not instrumented: what AddressSanitizer sees of it are its calls of memcpy and the
 * like. */
const char *__asan_default_suppressions(void);
const char *__asan_default_suppressions(void)
{
    return "interceptor_via_lib:libhdf5\n";
}

const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "exitcode=99:handle_segv=0:handle_sigbus=0:handle_abort=0:handle_sigfpe=0:allocator_may_"
           "return_null=1:print_suppressions=0";
}

size_t fuzz_seed(int index, uint8_t *out, size_t room)
{
    float obs[12], act[4], rew[4] = {1, 2, 3, 4};
    uint8_t ends[4] = {0, 1, 0, 0};
    for (int i = 0; i < 12; i++) obs[i] = (float)i;
    memcpy(act, obs, sizeof act);
    uint8_t pixels[2][4 * 3 * 2 * 2];
    dmc__hdf5_arrays x = {4, 3, 1, obs, act, rew, ends, index == 1 ? NULL : ends, {0}};
    char path[64];
    strcpy(path, "/tmp/dmc_fuzz_XXXXXX");
    if (index > 2) return 0;
    for (size_t i = 0; i < sizeof pixels; i++) (&pixels[0][0])[i] = (uint8_t)(7 * i);
    if (index == 2)
        x.images = (dmc__images){.cameras = 2, .h = 3, .w = 2, .c = 2, .rows = 4, .name = {"front", "wrist"},
                                 .pixels = {pixels[0], pixels[1]}};
    const int fd = mkstemp(path);
    if (fd < 0 || dmc__hdf5_write(path, &x) < 0) fuzz_broken("a seed can be written");
    close(fd);
    FILE *f = fopen(path, "rb"); /* the rename has replaced the file behind fd */
    const size_t n = f ? fread(out, 1, room, f) : 0;
    if (f) fclose(f);
    remove(path);
    return n;
}

/* Was HDF5 running, perhaps in a function of libc? It never calls libdmc, so one frame of it says so. */
static void on_death(int signal)
{
    void *frame[32];
    const int n = backtrace(frame, 32);
    for (int i = 0; i < n; i++) {
        Dl_info at;
        if (!dladdr(frame[i], &at) || !at.dli_fname) continue;
        if (strstr(at.dli_fname, "libhdf5")) _exit(DIED_IN_HDF5);
    }
    fprintf(stderr, "signal %d in libdmc\n", signal);
    _exit(SANITIZER);
}

static void watch_deaths(void)
{
    static const int deadly[] = {SIGSEGV, SIGBUS, SIGFPE, SIGABRT, SIGALRM};
    void *warm[2];
    backtrace(warm, 2); /* loads what it needs while all is well */
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++) signal(deadly[i], on_death);
    alarm(10);
}

/* The library's own blocks: HDF5's are its own affair. */
static void *count_alloc(void *live, size_t size, size_t align)
{
    void *p = dmc__default_allocator.alloc(NULL, size, align);
    *(long *)live += p != NULL;
    return p;
}

static void count_free(void *live, void *p, size_t size)
{
    --*(long *)live;
    dmc__default_allocator.free(NULL, p, size);
}

static volatile uint64_t fuzz_sum; /* what was read is there to be read */

static int read_one(const char *path)
{
    long live = 0;
    const dmc__allocator a = {count_alloc, count_free, &live};
    dmc__hdf5_arrays x;
    const dmc_status status = dmc__hdf5_read(&a, path, 0, &x);
    if (status < 0 && (x.obs || x.act || x.rew || x.terminals || x.timeouts || x.n || x.images.cameras))
        fuzz_broken("nothing is left of a refused file");
    if (status == DMC_OK && (x.n < 1 || x.obs_dim < 1 || x.act_dim < 1))
        fuzz_broken("sizes are positive");
    for (size_t i = 0; i < x.n; i++)
        if (x.terminals[i] > 1 || (x.timeouts && x.timeouts[i] > 1))
            fuzz_broken("flags are 0 or 1");
    if (x.images.cameras && (x.images.rows != x.n || dmc__images_frame(&x.images) < 1))
        fuzz_broken("a camera has a frame for every row");
    for (int32_t i = 0; i < x.images.cameras; i++)
        for (size_t j = 0; j < x.n * dmc__images_frame(&x.images); j += 61) fuzz_sum += x.images.pixels[i][j];
    dmc__hdf5_arrays_free(&a, &x);
    if (live != 0) fuzz_broken("all memory is given back");
    return status == DMC_OK ? ACCEPTED : REFUSED;
}

static long died_in_hdf5;

static void report_deaths(void)
{
    printf("%ld inputs ended inside HDF5 itself\n", died_in_hdf5);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int reports;
    if (!reports++) atexit(report_deaths);
    const char *path = fuzz_file(data, size);
    const pid_t child = fork();
    if (child == 0) {
        watch_deaths();
        _exit(read_one(path));
    }
    int end = 0;
    if (child < 0 || waitpid(child, &end, 0) != child) fuzz_broken("a child process");
    const int code = WIFEXITED(end) ? WEXITSTATUS(end) : -1;
    if (code != REFUSED && code != ACCEPTED && code != DIED_IN_HDF5)
        fuzz_broken("a file cannot bring libdmc down");
    died_in_hdf5 += code == DIED_IN_HDF5;
    fuzz_accepted += code == ACCEPTED;
    return 0;
}
