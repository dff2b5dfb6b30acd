/* atomic_file.h — files appear whole or not at all: written beside their place, then renamed. */
#ifndef DMC_IO_ATOMIC_FILE_H
#define DMC_IO_ATOMIC_FILE_H

#include "../base/alloc.h"

typedef struct dmc__atomic_file {
    const dmc__allocator *alloc;
    char *path; /* the place; NULL when finished */
    char *temp; /* path.tmp.<number of the thread> */
    int fd;     /* of temp */
} dmc__atomic_file;

/* Creates the temporary file, in the place of one that a crash may have left. */
dmc_status dmc__atomic_begin(const dmc__allocator *a, const char *path, dmc__atomic_file *out);
dmc_status dmc__atomic_write(const dmc__atomic_file *f, const void *data, size_t n);
/* status of the writing: DMC_OK: fsync, rename, fsync of the folder. A failure, then or now, leaves nothing behind and is
 * returned. */
dmc_status dmc__atomic_finish(dmc__atomic_file *f, dmc_status status);

#endif
