/* crew.h — threads that help with a loop. The caller works too, and waits for nobody who has not taken a part of the loop: a
 * helper that the scheduler keeps away costs its help, not the caller's time.
 */
#ifndef DMC_BASE_CREW_H
#define DMC_BASE_CREW_H

#include "alloc.h"

typedef struct dmc__crew dmc__crew;

typedef void (*dmc__task)(void *arg, size_t i);

/* helpers: at least 1, besides the caller. They sleep while there is nothing to do, and take no signals. */
dmc_status dmc__crew_create(const dmc__allocator *a, int32_t helpers, dmc__crew **out);
void dmc__crew_destroy(dmc__crew *c);
/* task(arg, i) once for every i < n, in any order; returns when all are done. Any thread may call; while one loop runs, the
 * callers of others do theirs alone. */
void dmc__crew_run(dmc__crew *c, dmc__task task, void *arg, size_t n);

#endif
