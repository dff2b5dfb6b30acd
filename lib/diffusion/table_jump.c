/* table_jump.c — RePaint (Lugmayr et al. 2022): every stretch of `jump` levels is walked down `jumps` times.
 *
 * A jump back over j levels is one row here, not j: noise on noise is noise, so both have the same law.
 */
#include <math.h>

#include "table_rows.h"

/* Stretches begin at 0, jump, 2 jump ... below steps - jump. */
static int32_t stretches(int32_t steps, int32_t jump, int32_t jumps)
{
    return jumps > 1 && steps > jump ? (steps - 1) / jump : 0;
}

int64_t dmc__jump_count(int32_t steps, int32_t jump, int32_t jumps)
{
    return steps + 1 + (int64_t)stretches(steps, jump, jumps) * (jumps - 1) * (jump + 1);
}

/* Writes from, from - 1 .. to. */
static int32_t *walk_down(int32_t from, int32_t to, int32_t *level)
{
    while (from >= to) *level++ = from--;
    return level;
}

void dmc__jump_levels(int32_t steps, int32_t jump, int32_t jumps, int32_t *level)
{
    int32_t top = steps - 1;
    for (int32_t n = stretches(steps, jump, jumps) - 1; n >= 0; n--) {
        const int32_t bottom = n * jump;
        level = walk_down(top, bottom, level);
        for (int32_t again = 1; again < jumps; again++) level = walk_down(bottom + jump, bottom, level);
        top = bottom - 1;
    }
    walk_down(top, -1, level);
}

dmc__row dmc__row_jump(const dmc__level *from, const dmc__level *to)
{
    const double kept = to->alpha / from->alpha, sigma = kept * from->sigma;
    return (dmc__row){.at = *from, .to = *to, .b = kept, .S = sqrt(fmax(to->sigma * to->sigma - sigma * sigma, 0)), .ends = 1};
}
