/* checked.h — arithmetic on sizes that come from outside. */
#ifndef DMC_BASE_CHECKED_H
#define DMC_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool dmc__mul_ok(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

static inline bool dmc__add_ok(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

/* n rounded up to a multiple of 64 bytes. */
static inline size_t dmc__align64(size_t n)
{
    return (n + 63u) & ~(size_t)63u;
}

#endif
