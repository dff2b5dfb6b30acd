/* alloc.h — all memory of the library comes through here, so that a host can supply its own. */
#ifndef DMC_BASE_ALLOC_H
#define DMC_BASE_ALLOC_H

#include "status.h"

/* alloc returns memory aligned to `align` (a power of two) or NULL; free gets the size back. */
typedef struct dmc__allocator {
    void *(*alloc)(void *user, size_t size, size_t align);
    void (*free)(void *user, void *p, size_t size);
    void *user;
} dmc__allocator;

/* posix_memalign / free. */
extern const dmc__allocator dmc__default_allocator;

/* Zeroed block of count*size bytes, 64-byte aligned. DMC_EOVERFLOW / DMC_ENOMEM with the number of bytes in
 * the sentence; *out = NULL on failure. count*size = 0 gives NULL and DMC_OK. */
dmc_status dmc__alloc(const dmc__allocator *a, size_t count, size_t size, void **out);
/* Accepts NULL. count and size as given to dmc__alloc. */
void dmc__free(const dmc__allocator *a, void *p, size_t count, size_t size);

/* Typed shorthand: DMC_NEW(a, n, &ptr). */
#define DMC_NEW(a, n, out) dmc__alloc((a), (size_t)(n), sizeof **(out), (void **)(out))
#define DMC_FREE(a, p, n) dmc__free((a), (p), (size_t)(n), sizeof *(p))

/* Copy of a NUL-terminated string; free with dmc__str_free. */
dmc_status dmc__str_dup(const dmc__allocator *a, const char *s, char **out);
void dmc__str_free(const dmc__allocator *a, char *s);

#endif
