#include "alloc.h"
#include "checked.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGN = 64 };

static void *alloc_default(void *user, size_t size, size_t align)
{
    (void)user;
    void *p = NULL;
    return posix_memalign(&p, align < sizeof p ? sizeof p : align, size) == 0 ? p : NULL;
}

static void free_default(void *user, void *p, size_t size)
{
    (void)user;
    (void)size;
    free(p);
}

const dmc__allocator dmc__default_allocator = {alloc_default, free_default, NULL};

dmc_status dmc__alloc(const dmc__allocator *a, size_t count, size_t size, void **out)
{
    size_t bytes;
    *out = NULL;
    if (!dmc__mul_ok(count, size, &bytes))
        return dmc__fail(DMC_EOVERFLOW, "out of memory: %zu elements of %zu bytes exceed the address space", count, size);
    if (bytes == 0) return DMC_OK;
    void *p = a->alloc(a->user, bytes, ALIGN);
    if (!p) return dmc__fail(DMC_ENOMEM, "out of memory: %zu bytes were refused", bytes);
    *out = memset(p, 0, bytes);
    return DMC_OK;
}

void dmc__free(const dmc__allocator *a, void *p, size_t count, size_t size)
{
    if (p) a->free(a->user, p, count * size);
}

dmc_status dmc__str_dup(const dmc__allocator *a, const char *s, char **out)
{
    const size_t size = strlen(s) + 1;
    DMC_TRY(dmc__alloc(a, size, 1, (void **)out));
    memcpy(*out, s, size);
    return DMC_OK;
}

void dmc__str_free(const dmc__allocator *a, char *s)
{
    if (s) dmc__free(a, s, strlen(s) + 1, 1);
}
