/* table_grid.c — which places on the clock a table stops at. */
#include <math.h>

#include "table_rows.h"

/* num / den to the nearest integer, halves to even (numpy's round, so that published grids come out). */
static int32_t round_ratio(int64_t num, int64_t den)
{
    const int64_t q = num / den, twice = 2 * (num % den);
    return (int32_t)(twice > den || (twice == den && (q & 1)) ? q + 1 : q);
}

/* Time index of row k, noisiest first. */
static int32_t grid_index(const dmc__table_config *c, int32_t steps, int32_t k)
{
    const int32_t left = c->steps - 1 - k;
    switch (c->grid) {
    case DMC__GRID_TRAILING: return round_ratio((int64_t)steps * (left + 1), c->steps) - 1;
    case DMC__GRID_LEADING: return left * (steps / c->steps);
    default: return c->steps > 1 ? round_ratio((int64_t)(steps - 1) * left, c->steps - 1) : steps - 1;
    }
}

dmc_status dmc__grid_fill(const dmc__process *p, const dmc__table_config *c, dmc__level *at)
{
    for (int32_t k = 0; k < c->steps; k++) at[k] = dmc__process_level(p, grid_index(c, p->steps, k));
    at[c->steps] = dmc__process_clean();
    return DMC_OK;
}
