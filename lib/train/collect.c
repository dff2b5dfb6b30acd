/* collect.c — episodes of copies that are stepped together, put one behind the other. */
#include "collect.h"

#include <string.h>

#include "../base/checked.h"

static size_t rows_of(const dmc__collector *c)
{
    return (size_t)c->count * (size_t)c->longest;
}

static size_t observations(const dmc__collector *c)
{
    return (size_t)c->count * ((size_t)c->longest + 1) * (size_t)c->to->obs_dim;
}

static dmc_status make_arrays(dmc__collector *c)
{
    const dmc__allocator *a = c->to->alloc;
    DMC_TRY(DMC_NEW(a, observations(c), &c->obs));
    DMC_TRY(DMC_NEW(a, rows_of(c) * (size_t)c->to->act_dim, &c->act));
    DMC_TRY(DMC_NEW(a, rows_of(c), &c->rew));
    DMC_TRY(DMC_NEW(a, (size_t)c->count, &c->steps));
    return DMC_NEW(a, (size_t)c->count, &c->ended);
}

dmc_status dmc__collector_create(dmc__experience *to, int32_t count, int32_t longest, dmc__collector *out)
{
    size_t numbers;
    *out = (dmc__collector){.to = to, .count = count, .longest = longest};
    if (!dmc__mul_ok(rows_of(out) + (size_t)count, ((size_t)to->obs_dim + (size_t)to->act_dim) * sizeof(float), &numbers))
        return dmc__fail(DMC_EOVERFLOW, "dmc_collect: %d copies of %d steps are too large", count, longest);
    const dmc_status status = make_arrays(out);
    if (status < 0) dmc__collector_free(out);
    return status;
}

void dmc__collector_free(dmc__collector *c)
{
    if (!c->to) return;
    const dmc__allocator *a = c->to->alloc;
    DMC_FREE(a, c->obs, observations(c));
    DMC_FREE(a, c->act, rows_of(c) * (size_t)c->to->act_dim);
    DMC_FREE(a, c->rew, rows_of(c));
    DMC_FREE(a, c->steps, (size_t)c->count);
    DMC_FREE(a, c->ended, (size_t)c->count);
    *c = (dmc__collector){0};
}

static float *observation(const dmc__collector *c, int32_t i, int32_t step)
{
    return c->obs + ((size_t)i * ((size_t)c->longest + 1) + (size_t)step) * (size_t)c->to->obs_dim;
}

void dmc__collector_begin(dmc__collector *c, int32_t i, const float *obs)
{
    c->steps[i] = c->ended[i] = 0;
    memcpy(observation(c, i, 0), obs, (size_t)c->to->obs_dim * sizeof *obs);
}

void dmc__collector_step(dmc__collector *c, int32_t i, const float *act, double reward, const float *next, int32_t ended)
{
    const size_t row = (size_t)i * (size_t)c->longest + (size_t)c->steps[i], a = (size_t)c->to->act_dim;
    memcpy(c->act + row * a, act, a * sizeof *act);
    c->rew[row] = (float)reward;
    memcpy(observation(c, i, ++c->steps[i]), next, (size_t)c->to->obs_dim * sizeof *next);
    c->ended[i] = ended;
}

dmc_status dmc__collector_push(dmc__collector *c, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        const size_t first = (size_t)i * (size_t)c->longest;
        DMC_TRY(dmc__experience_push_episode(c->to, (size_t)c->steps[i], observation(c, i, 0),
                                             c->act + first * (size_t)c->to->act_dim, c->rew + first, c->ended[i]));
    }
    return DMC_OK;
}
