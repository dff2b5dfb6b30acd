#include "arena.h"
#include "checked.h"

void *dmc__arena_take(dmc__arena *arena, size_t bytes)
{
    const size_t at = arena->used;
    size_t end;
    /* A count that does not fit sticks at the maximum, so that the reservation fails instead of being too small. */
    if (bytes > SIZE_MAX - 63 || !dmc__add_ok(at, dmc__align64(bytes), &end)) end = SIZE_MAX;
    if (!arena->base) {
        arena->used = end;
        return NULL;
    }
    if (end > arena->size) return NULL;
    arena->used = end;
    return arena->base + at;
}
