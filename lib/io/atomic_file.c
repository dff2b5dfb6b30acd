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

static dmc_status create(dmc__atomic_file *f)
{
    if (unlink(f->temp) != 0 && errno != ENOENT) return dmc__file_fail(f->temp, "removed");
    f->fd = open(f->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    return f->fd < 0 ? dmc__file_fail(f->temp, "created") : DMC_OK;
}

dmc_status dmc__atomic_begin(const dmc__allocator *a, const char *path, dmc__atomic_file *out)
{
    *out = (dmc__atomic_file){.alloc = a, .fd = -1};
    if (*path == '\0') return dmc__fail(DMC_EINVAL, "path = \"\", must name a file");
    dmc_status status = dmc__str_dup(a, path, &out->path);
    if (status == DMC_OK) status = temporary_name(a, path, &out->temp);
    if (status == DMC_OK) status = create(out);
    if (status < 0) free_names(out);
    return status;
}

dmc_status dmc__atomic_write(const dmc__atomic_file *f, const void *data, size_t n)
{
    const char *p = data;
    while (n > 0) {
        const ssize_t done = write(f->fd, p, n);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return dmc__file_fail(f->temp, "written");
        p += done;
        n -= (size_t)done;
    }
    return DMC_OK;
}

/* Bytes of a file, or names in a folder, reach the disk. */
static dmc_status sync_file(int fd, const char *path)
{
    /* Some file systems cannot sync a folder and say so with EINVAL. */
    return fsync(fd) == 0 || errno == EINVAL ? DMC_OK : dmc__file_fail(path, "made durable");
}

static dmc_status sync_folder(const char *path)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return dmc__file_fail(path, "opened");
    const dmc_status status = sync_file(fd, path);
    close(fd);
    return status;
}

/* The folder of f->path: what is before its last slash. */
static dmc_status sync_parent(const dmc__atomic_file *f)
{
    char *slash = strrchr(f->path, '/');
    if (!slash) return sync_folder(".");
    if (slash == f->path) return sync_folder("/");
    *slash = '\0';
    const dmc_status status = sync_folder(f->path);
    *slash = '/';
    return status;
}

dmc_status dmc__atomic_finish(dmc__atomic_file *f, dmc_status status)
{
    if (status == DMC_OK) status = sync_file(f->fd, f->temp);
    if (close(f->fd) != 0 && status == DMC_OK) status = dmc__file_fail(f->temp, "written");
    if (status == DMC_OK && rename(f->temp, f->path) != 0)
        status = dmc__file_fail(f->path, "replaced");
    if (status == DMC_OK)
        status = sync_parent(f);
    else
        unlink(f->temp);
    free_names(f);
    return status;
}
