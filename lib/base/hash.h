/* hash.h — a short name for bytes: 64-bit FNV-1a, enough to tell blocks of weights apart. */
#ifndef DMC_BASE_HASH_H
#define DMC_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t dmc__hash(const void *bytes, size_t n)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < n; i++) h = (h ^ ((const unsigned char *)bytes)[i]) * UINT64_C(0x100000001b3);
    return h;
}

#endif
