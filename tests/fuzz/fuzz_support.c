/* fuzz_support.c — what targets need under either driver. */
#include "fuzz_loop.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

long fuzz_accepted;

static char
    path[64]; /* in memory where there is such a folder; HDF5 wants a name that is no link */

static void remove_file(void)
{
    unlink(path);
}

static int make_file(void)
{
    strcpy(path,
           access("/dev/shm", W_OK) == 0 ? "/dev/shm/dmc_fuzz_XXXXXX" : "/tmp/dmc_fuzz_XXXXXX");
    const int fd = mkstemp(path);
    if (fd < 0 || atexit(remove_file) != 0) fuzz_broken("a temporary file");
    return fd;
}

const char *fuzz_file(const uint8_t *data, size_t size)
{
    static int fd = -1;
    if (fd < 0) fd = make_file();
    if (ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
        fuzz_broken("a temporary file can be written");
    return path;
}

_Noreturn void fuzz_broken(const char *promise)
{
    fprintf(stderr, "broken: %s\n", promise);
    abort();
}
