/* block.h — several device buffers in one allocation. */
#ifndef DMC_BACKEND_BLOCK_H
#define DMC_BACKEND_BLOCK_H

#include "backend.h"

/* A buffer to be: where its address goes, and how many elements it has (0 gives NULL). */
typedef struct dmc__part {
    void **at;
    size_t elems;
} dmc__part;

typedef struct dmc__block {
    void *memory;
    size_t elems;
} dmc__block;

/* Zeroed, every part 64-byte aligned. On failure all addresses are NULL. */
dmc_status dmc__block_alloc(dmc__device *d, const dmc__part *part, size_t n, dmc__block *out);
void dmc__block_free(dmc__device *d, dmc__block *b);
size_t dmc__block_bytes(const dmc__device *d, const dmc__block *b);
/* Elements from the beginning to one of its parts: where that stands in a copy of the block. */
static inline size_t dmc__block_place(const dmc__device *d, const dmc__block *b, const void *part)
{
    return (size_t)((const char *)part - (const char *)b->memory) / d->backend->elem;
}

#endif
