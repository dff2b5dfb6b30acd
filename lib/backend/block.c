/* block.c — the same list of parts is walked twice: adding up, and cutting. */
#include "block.h"

#include "../base/arena.h"
#include "../base/checked.h"

dmc_status dmc__block_alloc(dmc__device *d, const dmc__part *part, size_t n, dmc__block *out)
{
    const size_t elem = d->backend->elem;
    dmc__arena arena = {0};
    size_t bytes;
    *out = (dmc__block){0};
    for (size_t i = 0; i < n; i++) {
        *part[i].at = NULL;
        if (!dmc__mul_ok(part[i].elems, elem, &bytes))
            return dmc__fail(DMC_EOVERFLOW, "device memory: %zu elements exceed the address space", part[i].elems);
        dmc__arena_take(&arena, bytes);
    }
    DMC_TRY(dmc__dev_alloc(d, arena.used / elem, &out->memory));
    out->elems = arena.used / elem;
    arena = (dmc__arena){.base = out->memory, .size = arena.used};
    for (size_t i = 0; i < n; i++)
        if (part[i].elems) *part[i].at = dmc__arena_take(&arena, part[i].elems * elem);
    return DMC_OK;
}

void dmc__block_free(dmc__device *d, dmc__block *b)
{
    dmc__dev_free(d, b->memory, b->elems);
    *b = (dmc__block){0};
}

size_t dmc__block_bytes(const dmc__device *d, const dmc__block *b)
{
    return b->elems * d->backend->elem;
}
