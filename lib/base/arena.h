/* arena.h — one block cut into 64-byte aligned pieces; nothing is ever returned to it.
 * Use: count what you need with dmc__arena_take on an arena without memory, then reserve and take again. */
#ifndef DMC_BASE_ARENA_H
#define DMC_BASE_ARENA_H

#include "alloc.h"

typedef struct dmc__arena {
    char *base;      /* NULL while counting */
    size_t size, used;
} dmc__arena;

/* Next `bytes`, 64-byte aligned. Counting arena: returns NULL and only adds up. A real arena returns NULL
 * when full. */
void *dmc__arena_take(dmc__arena *arena, size_t bytes);

#endif
