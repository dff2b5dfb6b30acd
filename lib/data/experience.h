/* experience.h — transitions gathered while acting, in a ring: the newest push the oldest out. Plain host floats, dataset units.
 *
 * A row holds what followed it, so it is a whole transition. It continues the episode of the row before it if that row is not
 * terminal and led, bit for bit, to where this one begins.
 */
#ifndef DMC_DATA_EXPERIENCE_H
#define DMC_DATA_EXPERIENCE_H

#include "../base/alloc.h"
#include "../base/rng.h"

typedef struct dmc__experience {
    const dmc__allocator *alloc;
    int32_t obs_dim, act_dim;
    size_t capacity, count;  /* rows there is room for, and that there are          */
    size_t next;             /* where the next row goes                             */
    uint64_t pushed;         /* rows that ever were                                 */
    float *obs, *act, *rew;  /* (capacity,S) (capacity,A) (capacity)                */
    float *after;            /* (capacity,S): the observation that followed         */
    uint8_t *terminal;       /* (capacity)                                          */
    size_t *place;           /* (capacity): rows of its episode that came before it */
} dmc__experience;

/* n transitions: obs (n,S), act (n,A), rew (n), after (n,S), terminal (n). */
typedef struct dmc__transitions {
    const float *obs, *act, *rew, *after;
    const uint8_t *terminal;
} dmc__transitions;

dmc_status dmc__experience_create(const dmc__allocator *a, int32_t obs_dim, int32_t act_dim, size_t capacity, dmc__experience *out);
void dmc__experience_free(dmc__experience *x);
/* All or, where an entry is not finite (DMC_ENUMERIC with array, row and column), none. Allocates nothing. */
dmc_status dmc__experience_push(dmc__experience *x, size_t n, const dmc__transitions *t);

/* An episode of n steps: obs (n+1,S); terminal: its last row is a true end. */
dmc_status dmc__experience_push_episode(dmc__experience *x, size_t n, const float *obs, const float *act, const float *rew,
                                        int32_t terminal);

/* The slot of row i, counted from the oldest; i < count. */
size_t dmc__experience_slot(const dmc__experience *x, size_t i);
/* Row number drawn uniformly, number 0 of the stream; count > 0. */
size_t dmc__experience_draw(const dmc__experience *x, const dmc__stream *s);
/* How many of the rows i, i+1, ... belong to one episode, at most `most`. */
size_t dmc__experience_run(const dmc__experience *x, size_t i, size_t most);
/* How many rows of its episode before row i are still there. */
size_t dmc__experience_past(const dmc__experience *x, size_t i);

#endif
