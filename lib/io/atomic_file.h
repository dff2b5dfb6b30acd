/* atomic_file.h — files appear whole or not at all: written beside their place, then renamed. */
#ifndef DMC_IO_ATOMIC_FILE_H
#define DMC_IO_ATOMIC_FILE_H

#include "../base/alloc.h"

typedef struct dmc__atomic_file {
    const dmc__allocator *alloc;
    char *path; /* the place                                                      */
    char *temp; /* path.tmp.<pid>: create and write this one; NULL when finished */
} dmc__atomic_file;

/* Makes the names and removes what a crash may have left under the temporary one. */
dmc_status dmc__atomic_begin(const dmc__allocator *a, const char *path, dmc__atomic_file *out);
/* fsync of the file, rename, fsync of the folder. On failure nothing is left behind. */
dmc_status dmc__atomic_commit(dmc__atomic_file *f);
/* Removes the temporary file; does nothing after a commit. */
void dmc__atomic_abort(dmc__atomic_file *f);

#endif
