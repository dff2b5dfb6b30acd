/* line_file.c — appending to and reading files of lines. */
#include "line_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "file_open.h"

enum { MOST_BYTES = 256 << 20 };

/* The system keeps appends of different writers apart if each is one call. */
static dmc_status write_once(int fd, const char *path, const char *line, size_t n)
{
    ssize_t done;
    do done = write(fd, line, n);
    while (done < 0 && errno == EINTR);
    if (done < 0) return dmc__file_fail(path, "written");
    return (size_t)done == n ? DMC_OK : dmc__fail(DMC_EIO, "%s: %zd of %zu bytes could be written", path, done, n);
}

dmc_status dmc__line_append(const dmc__allocator *a, const char *path, const char *text)
{
    const size_t n = strlen(text);
    char *line;
    DMC_TRY(DMC_NEW(a, n + 1, &line));
    memcpy(line, text, n);
    line[n] = '\n';
    const int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    dmc_status status = fd < 0 ? dmc__file_fail(path, "opened") : write_once(fd, path, line, n + 1);
    if (fd >= 0 && close(fd) != 0 && status == DMC_OK) status = dmc__file_fail(path, "written");
    DMC_FREE(a, line, n + 1);
    return status;
}

static dmc_status read_all(int fd, const char *path, char *to, size_t n)
{
    for (size_t at = 0; at < n;) {
        const ssize_t got = read(fd, to + at, n - at);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return dmc__file_fail(path, "read");
        if (got == 0) return dmc__fail(DMC_EIO, "%s: ended after %zu of %zu bytes", path, at, n);
        at += (size_t)got;
    }
    return DMC_OK;
}

/* Ends every line; the last that has no newline becomes empty. */
static void split(char *text, size_t n)
{
    size_t whole = 0;
    for (size_t i = 0; i < n; i++) {
        if (text[i] != '\n') continue;
        text[i] = '\0';
        whole = i + 1;
    }
    memset(text + whole, 0, n - whole);
}

dmc_status dmc__lines_read(const dmc__allocator *a, const char *path, char **text, size_t *n)
{
    int fd;
    *text = NULL;
    *n = 0;
    DMC_TRY(dmc__file_open(path, &fd, n));
    dmc_status status = *n <= MOST_BYTES ? DMC_NEW(a, *n + 1, text)
                                         : dmc__fail(DMC_ERANGE, "%s: %zu bytes, must be at most %d", path, *n, MOST_BYTES);
    if (status >= 0) status = read_all(fd, path, *text, *n);
    close(fd);
    if (status >= 0) split(*text, *n);
    else if (*text) DMC_FREE(a, *text, *n + 1);
    if (status < 0) *text = NULL;
    return status;
}
