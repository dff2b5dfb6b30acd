/* fixed_alloc.c — memory from the caller's block, or counted as if it were. */
#include "fixed_alloc.h"
#include "checked.h"

#include <string.h>

enum { ALIGN = 64 };

/* A block may begin anywhere: that many bytes in front of the first aligned one are never used, whether they are there or not. */
enum { SLACK = ALIGN - 1 };

static size_t head_bytes(void)
{
    return dmc__align64(sizeof(dmc__fixed_alloc));
}

/* Bytes a request takes; SIZE_MAX if there is no such number. */
static size_t room_of(size_t size)
{
    return size > SIZE_MAX - SLACK ? SIZE_MAX : dmc__align64(size);
}

static void *take(void *user, size_t size, size_t align)
{
    dmc__fixed_alloc *const f = user;
    const size_t at = f->used;
    size_t end;
    if (align > ALIGN || !dmc__add_ok(at, room_of(size), &end) || end > f->size) return NULL;
    f->used = end;
    if (end > f->most) f->most = end;
    return f->base + at;
}

static void give(void *user, void *p, size_t size)
{
    dmc__fixed_alloc *const f = user;
    const size_t at = (size_t)((char *)p - f->base);
    if (at + room_of(size) == f->used) f->used = at;
}

dmc__fixed_alloc *dmc__fixed_open(void *block, size_t size)
{
    if (size < SLACK + head_bytes()) return NULL;
    dmc__fixed_alloc *const f = (dmc__fixed_alloc *)(void *)((char *)block + (ALIGN - (uintptr_t)block % ALIGN) % ALIGN);
    *f = (dmc__fixed_alloc){.allocator = {take, give, f}, .base = (char *)f + head_bytes(), .size = size - SLACK - head_bytes()};
    return f;
}

/* ---- counting ----------------------------------------------------------------------------------------- */

/* In front of what is handed out stands where it would have been. */
static void *count_take(void *user, size_t size, size_t align)
{
    dmc__fixed_alloc *const f = user;
    const dmc__allocator *const a = &dmc__default_allocator;
    const size_t at = f->used;
    size_t end, whole;
    if (align > ALIGN || !dmc__add_ok(at, room_of(size), &end) || !dmc__add_ok(size, ALIGN, &whole)) return NULL;
    char *const p = a->alloc(a->user, whole, ALIGN);
    if (!p) return NULL;
    memcpy(p, &at, sizeof at);
    f->used = end;
    if (end > f->most) f->most = end;
    return p + ALIGN;
}

static void count_give(void *user, void *p, size_t size)
{
    dmc__fixed_alloc *const f = user;
    const dmc__allocator *const a = &dmc__default_allocator;
    size_t at;
    memcpy(&at, (char *)p - ALIGN, sizeof at);
    if (at + room_of(size) == f->used) f->used = at;
    a->free(a->user, (char *)p - ALIGN, size + ALIGN);
}

void dmc__fixed_count(dmc__fixed_alloc *f)
{
    *f = (dmc__fixed_alloc){.allocator = {count_take, count_give, f}};
}

size_t dmc__fixed_need(const dmc__fixed_alloc *f)
{
    return f->most + head_bytes() + SLACK;
}
