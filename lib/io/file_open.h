/* file_open.h — opening regular files, and what to say when the system refuses. */
#ifndef DMC_IO_FILE_OPEN_H
#define DMC_IO_FILE_OPEN_H

#include <stddef.h>

#include "../base/status.h"

/* Open for reading; devices, pipes and folders are refused without waiting for them. */
dmc_status dmc__file_open(const char *path, int *fd, size_t *size);

/* Sentence from errno: "path: cannot be <verb>: reason". DMC_ENOENT, DMC_ENOMEM or DMC_EIO. */
dmc_status dmc__file_fail(const char *path, const char *verb);

#endif
