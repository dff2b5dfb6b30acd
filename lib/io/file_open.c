/* file_open.c — opening regular files, and what to say when the system refuses. */
#include "file_open.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

dmc_status dmc__file_fail(const char *path, const char *verb)
{
    const dmc_status status = errno == ENOENT ? DMC_ENOENT : errno == ENOMEM ? DMC_ENOMEM : DMC_EIO;
    return dmc__fail(status, "%s: cannot be %s: %m", path, verb);
}

dmc_status dmc__file_open(const char *path, int *fd, size_t *size)
{
    struct stat info;
    *size = 0;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0) return dmc__file_fail(path, "opened");
    dmc_status status = DMC_OK;
    if (fstat(*fd, &info) != 0)
        status = dmc__file_fail(path, "examined");
    else if (!S_ISREG(info.st_mode))
        status = dmc__fail(DMC_EIO, "%s: is not a regular file", path);
    if (status < 0) {
        close(*fd);
        *fd = -1;
        return status;
    }
    *size = (size_t)info.st_size;
    return DMC_OK;
}
