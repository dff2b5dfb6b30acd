/* graph_place.c — offsets by lifetime. Create time only: quadratic in the number of pieces, a few hundred. */
#include "graph_place.h"
#include "../base/checked.h"

/* Numbers of the pieces that need a place, largest first, equals in their own order. Returns how many. */
static int32_t sort_by_size(const dmc__piece *piece, int32_t n, int32_t *order)
{
    int32_t count = 0;
    for (int32_t i = 0; i < n; i++) {
        if (piece[i].bytes == 0) continue;
        int32_t j = count++;
        for (; j > 0 && piece[order[j - 1]].bytes < piece[i].bytes; j--) order[j] = order[j - 1];
        order[j] = i;
    }
    return count;
}

/* The smallest gap for p between the pieces that live at the same time, else behind them. `placed` goes upwards. */
static size_t find_place(const dmc__piece *piece, const int32_t *placed, int32_t count, const dmc__piece *p)
{
    size_t end = 0, best = SIZE_MAX, at = 0;
    for (int32_t i = 0; i < count; i++) {
        const dmc__piece *const q = &piece[placed[i]];
        if (q->last < p->first || q->first > p->last) continue;
        if (q->at > end && q->at - end >= p->bytes && q->at - end < best) {
            best = q->at - end;
            at = end;
        }
        if (q->at + q->bytes > end) end = q->at + q->bytes;
    }
    return best < SIZE_MAX ? at : end;
}

/* order[0..i) are placed and sorted by offset, the rest are sorted by size. */
static void place_next(dmc__piece *piece, int32_t *order, int32_t i)
{
    const int32_t next = order[i];
    dmc__piece *const p = &piece[next];
    p->at = find_place(piece, order, i, p);
    for (; i > 0 && piece[order[i - 1]].at > p->at; i--) order[i] = order[i - 1];
    order[i] = next;
}

dmc_status dmc__place_pieces(const dmc__allocator *a, dmc__piece *piece, int32_t n, size_t *total)
{
    size_t sum = 0;
    int32_t *order;
    *total = 0;
    for (int32_t i = 0; i < n; i++)
        if (!dmc__add_ok(sum, piece[i].bytes, &sum))
            return dmc__fail(DMC_EOVERFLOW, "out of memory: a plan's sizes exceed the address space");
    DMC_TRY(DMC_NEW(a, n, &order));
    const int32_t count = sort_by_size(piece, n, order);
    for (int32_t i = 0; i < count; i++) place_next(piece, order, i);
    for (int32_t i = 0; i < n; i++)
        if (piece[i].bytes && piece[i].at + piece[i].bytes > *total) *total = piece[i].at + piece[i].bytes;
    DMC_FREE(a, order, n);
    return DMC_OK;
}
