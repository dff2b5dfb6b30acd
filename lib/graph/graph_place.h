/* graph_place.h — several things in one block of memory, sharing where they are not alive at the same time. */
#ifndef DMC_GRAPH_PLACE_H
#define DMC_GRAPH_PLACE_H

#include "../base/alloc.h"

/* bytes is a multiple of 64 (0: needs no place); alive during the steps first..last, both included. */
typedef struct dmc__piece {
    size_t bytes;
    int32_t first, last;
    size_t at; /* result: offset in the block */
} dmc__piece;

/* Largest first into the smallest gap that fits. *total is the size of the block. */
dmc_status dmc__place_pieces(const dmc__allocator *a, dmc__piece *piece, int32_t n, size_t *total);

#endif
