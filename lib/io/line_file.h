/* line_file.h — files of lines that only grow: each line is there whole or not at all. */
#ifndef DMC_IO_LINE_FILE_H
#define DMC_IO_LINE_FILE_H

#include "../base/alloc.h"

/* Appends text and a newline by one write; makes the file if there is none. */
dmc_status dmc__line_append(const dmc__allocator *a, const char *path, const char *text);
/* All of it, at most 256 MiB, each newline a '\0'; what follows the last newline, an interrupted write, is left out. *n counts
 * bytes; free with DMC_FREE(a, *text, *n + 1). */
dmc_status dmc__lines_read(const dmc__allocator *a, const char *path, char **text, size_t *n);

#endif
