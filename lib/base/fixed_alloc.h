/* fixed_alloc.h — an allocator over one block of the caller's, or one that counts how large such a block must be.
 *
 * Blocks stand one behind the other. What is freed at the end is taken back, what is freed in between is not. A counting one
 * hands out memory of the default allocator, but adds up what a block would have had to hold: the same requests in the same
 * order need the same number of bytes.
 */
#ifndef DMC_BASE_FIXED_ALLOC_H
#define DMC_BASE_FIXED_ALLOC_H

#include "alloc.h"

typedef struct dmc__fixed_alloc {
    dmc__allocator allocator; /* for requests; alignments above 64 are refused */
    char *base;               /* 64-byte aligned; NULL: counting               */
    size_t size, used, most;  /* of the block; now; ever                       */
} dmc__fixed_alloc;

/* Put one at the start of a block of any alignment, without touching the rest. NULL when the block is too small even for that. */
dmc__fixed_alloc *dmc__fixed_open(void *block, size_t size);
void dmc__fixed_count(dmc__fixed_alloc *f);
/* Bytes of a block of any alignment in which the requests so far would have succeeded; with one less they would not. */
size_t dmc__fixed_need(const dmc__fixed_alloc *f);

#endif
