/* atomic_file.c — files appear whole or not at all. */
#include "atomic_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "file_open.h"

static void free_names(dmc__atomic_file *f)
{
    dmc__str_free(f->alloc, f->temp);
    dmc__str_free(f->alloc, f->path);
    f->temp = f->path = NULL;
}

/* The thread's number is the process's in a program with one thread, and tells two savers apart in
 * others. */
static dmc_status temporary_name(const dmc__allocator *a, const char *path, char **out)
{
    char suffix[32];
    const size_t tail = (size_t)snprintf(suffix, sizeof suffix, ".tmp.%ld", (long)gettid());
    const size_t head = strlen(path);
    DMC_TRY(DMC_NEW(a, head + tail + 1, out));
    memcpy(*out, path, head);
    memcpy(*out + head, suffix, tail + 1);
    return DMC_OK;
}

dmc_status dmc__atomic_begin(const dmc__allocator *a, const char *path, dmc__atomic_file *out)
{
    *out = (dmc__atomic_file){.alloc = a};
    if (*path == '\0') return dmc__fail(DMC_EINVAL, "path = \"\", must name a file");
    dmc_status status = dmc__str_dup(a, path, &out->path);
    if (status == DMC_OK) status = temporary_name(a, path, &out->temp);
    if (status == DMC_OK && unlink(out->temp) != 0 && errno != ENOENT)
        status = dmc__file_fail(out->temp, "removed");
    if (status < 0) free_names(out);
    return status;
}

/* The file's bytes, or a folder's names, reach the disk. */
static dmc_status sync_path(const char *path, int flags)
{
    const int fd = open(path, flags | O_RDONLY | O_CLOEXEC);
    if (fd < 0) return dmc__file_fail(path, "opened");
    dmc_status status = DMC_OK;
    /* Some file systems cannot sync a folder and say so with EINVAL. */
    if (fsync(fd) != 0 && errno != EINVAL) status = dmc__file_fail(path, "made durable");
    close(fd);
    return status;
}

/* The folder of f->path: what is before its last slash. */
static dmc_status sync_folder(const dmc__atomic_file *f)
{
    char *slash = strrchr(f->path, '/');
    if (!slash) return sync_path(".", O_DIRECTORY);
    if (slash == f->path) return sync_path("/", O_DIRECTORY);
    *slash = '\0';
    const dmc_status status = sync_path(f->path, O_DIRECTORY);
    *slash = '/';
    return status;
}

dmc_status dmc__atomic_commit(dmc__atomic_file *f)
{
    dmc_status status = sync_path(f->temp, 0);
    if (status == DMC_OK && rename(f->temp, f->path) != 0)
        status = dmc__file_fail(f->path, "replaced");
    if (status < 0) {
        dmc__atomic_abort(f);
        return status;
    }
    status = sync_folder(f);
    free_names(f);
    return status;
}

void dmc__atomic_abort(dmc__atomic_file *f)
{
    if (!f->temp) return;
    unlink(f->temp);
    free_names(f);
}
