/* failing_alloc.h — an allocator that refuses the n-th request and checks what is given back.
 *
 *     for (int64_t n = 1;; n++) {
 *         failing_alloc f = {.fail_at = n};
 *         const dmc__allocator a = failing_allocator(&f);
 *         const dmc_status s = dmc__thing_create(&a, &thing);
 *         if (s == DMC_OK) break;   (destroy; then f.live must be 0)
 *         ck_assert_int_eq(s, DMC_ENOMEM);
 *         ck_assert_ptr_null(thing);
 *         ck_assert_int_eq(f.live, 0);
 *     }
 */
#ifndef DMC_TESTS_FAILING_ALLOC_H
#define DMC_TESTS_FAILING_ALLOC_H

#include "../../lib/base/alloc.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

typedef struct failing_alloc {
    int64_t fail_at; /* 1 = refuse the first request; 0 = refuse none */
    int64_t calls;   /* requests so far                               */
    int64_t live;    /* blocks not given back                         */
    int64_t bytes;   /* in these                                      */
    int64_t peak;    /* most bytes there were; a test may lower it    */
} failing_alloc;

/* In front of each block, so that free can compare the size it is told. As large as the block's alignment. */
typedef struct failing_alloc_header {
    size_t size, align;
} failing_alloc_header;

static inline void *failing_alloc_take(void *user, size_t size, size_t align)
{
    failing_alloc *const f = user;
    if (++f->calls == f->fail_at) return NULL;
    const size_t room = align < 64 ? 64 : align;
    char *block = NULL;
    if (posix_memalign((void **)&block, room, room + size) != 0) return NULL;
    memset(block, 0xa5, room + size); /* nobody may count on zeros from a host's allocator */
    const failing_alloc_header header = {size, room};
    memcpy(block + room - sizeof header, &header, sizeof header);
    f->live++;
    f->bytes += (int64_t)size;
    if (f->bytes > f->peak) f->peak = f->bytes;
    return block + room;
}

static inline void failing_alloc_give(void *user, void *p, size_t size)
{
    failing_alloc *const f = user;
    failing_alloc_header header;
    ck_assert_ptr_nonnull(p);
    memcpy(&header, (char *)p - sizeof header, sizeof header);
    ck_assert_msg(header.size == size, "free: size = %zu, %zu were allocated", size, header.size);
    f->live--;
    f->bytes -= (int64_t)size;
    free((char *)p - header.align);
}

static inline dmc__allocator failing_allocator(failing_alloc *f)
{
    return (dmc__allocator){failing_alloc_take, failing_alloc_give, f};
}

#endif
