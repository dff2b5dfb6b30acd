/* experience.c — a ring of transitions. */
#include "experience.h"

#include <math.h>
#include <string.h>

#include "../base/checked.h"

static dmc_status make_arrays(dmc__experience *x)
{
    const size_t n = x->capacity;
    DMC_TRY(DMC_NEW(x->alloc, n * (size_t)x->obs_dim, &x->obs));
    DMC_TRY(DMC_NEW(x->alloc, n * (size_t)x->act_dim, &x->act));
    DMC_TRY(DMC_NEW(x->alloc, n, &x->rew));
    DMC_TRY(DMC_NEW(x->alloc, n * (size_t)x->obs_dim, &x->after));
    DMC_TRY(DMC_NEW(x->alloc, n, &x->terminal));
    return DMC_NEW(x->alloc, n, &x->place);
}

dmc_status dmc__experience_create(const dmc__allocator *a, int32_t obs_dim, int32_t act_dim, size_t capacity, dmc__experience *out)
{
    size_t numbers;
    *out = (dmc__experience){.alloc = a, .obs_dim = obs_dim, .act_dim = act_dim, .capacity = capacity};
    if (obs_dim < 1 || act_dim < 1)
        return dmc__fail(DMC_ESHAPE, "replay: obs_dim = %d, act_dim = %d, must be at least 1", obs_dim, act_dim);
    if (capacity < 1 || capacity > INT32_MAX)
        return dmc__fail(DMC_ERANGE, "replay: capacity = %zu, must be 1..%d", capacity, INT32_MAX);
    if (!dmc__mul_ok(capacity, ((size_t)obs_dim + (size_t)act_dim) * sizeof(float), &numbers))
        return dmc__fail(DMC_EOVERFLOW, "replay: %zu rows of %d and %d numbers are too large", capacity, obs_dim, act_dim);
    const dmc_status status = make_arrays(out);
    if (status < 0) dmc__experience_free(out);
    return status;
}

void dmc__experience_free(dmc__experience *x)
{
    const size_t n = x->capacity;
    if (!x->alloc) return;
    DMC_FREE(x->alloc, x->obs, n * (size_t)x->obs_dim);
    DMC_FREE(x->alloc, x->act, n * (size_t)x->act_dim);
    DMC_FREE(x->alloc, x->rew, n);
    DMC_FREE(x->alloc, x->after, n * (size_t)x->obs_dim);
    DMC_FREE(x->alloc, x->terminal, n);
    DMC_FREE(x->alloc, x->place, n);
    *x = (dmc__experience){0};
}

static dmc_status check_finite(const char *name, const float *x, size_t rows, size_t cols)
{
    for (size_t i = 0; i < rows * cols; i++)
        if (!isfinite(x[i]))
            return dmc__fail(DMC_ENUMERIC, "replay: %s: row %zu, column %zu is %f, must be finite", name, i / cols, i % cols, x[i]);
    return DMC_OK;
}

/* The row in slot `last` leads to this observation and is not the end. */
static int32_t leads_to(const dmc__experience *x, size_t last, const float *obs)
{
    const size_t s = (size_t)x->obs_dim;
    return !x->terminal[last] && memcmp(x->after + last * s, obs, s * sizeof *obs) == 0;
}

static void push_row(dmc__experience *x, const float *obs, const float *act, float rew, const float *after, int32_t terminal)
{
    const size_t s = (size_t)x->obs_dim, a = (size_t)x->act_dim, at = x->next;
    const size_t last = (at + x->capacity - 1) % x->capacity;
    x->place[at] = x->count > 0 && leads_to(x, last, obs) ? x->place[last] + 1 : 0;
    memcpy(x->obs + at * s, obs, s * sizeof *obs);
    memcpy(x->act + at * a, act, a * sizeof *act);
    memcpy(x->after + at * s, after, s * sizeof *after);
    x->rew[at] = rew;
    x->terminal[at] = terminal != 0;
    x->next = (at + 1) % x->capacity;
    if (x->count < x->capacity) x->count++;
    x->pushed++;
}

dmc_status dmc__experience_push(dmc__experience *x, size_t n, const dmc__transitions *t)
{
    const size_t s = (size_t)x->obs_dim;
    DMC_TRY(check_finite("observations", t->obs, n, s));
    DMC_TRY(check_finite("actions", t->act, n, (size_t)x->act_dim));
    DMC_TRY(check_finite("rewards", t->rew, n, 1));
    DMC_TRY(check_finite("next observations", t->after, n, s));
    for (size_t i = 0; i < n; i++)
        push_row(x, t->obs + i * s, t->act + i * (size_t)x->act_dim, t->rew[i], t->after + i * s, t->terminal[i]);
    return DMC_OK;
}

dmc_status dmc__experience_push_episode(dmc__experience *x, size_t n, const float *obs, const float *act, const float *rew,
                                        int32_t terminal)
{
    const size_t s = (size_t)x->obs_dim, a = (size_t)x->act_dim;
    DMC_TRY(check_finite("observations", obs, n + 1, s));
    DMC_TRY(check_finite("actions", act, n, a));
    DMC_TRY(check_finite("rewards", rew, n, 1));
    for (size_t i = 0; i < n; i++)
        push_row(x, obs + i * s, act + i * a, rew[i], obs + (i + 1) * s, terminal && i + 1 == n);
    return DMC_OK;
}

size_t dmc__experience_slot(const dmc__experience *x, size_t i)
{
    return (x->next + x->capacity - x->count + i) % x->capacity;
}

size_t dmc__experience_draw(const dmc__experience *x, const dmc__stream *s)
{
    return (size_t)dmc__rng_below(s, 0, x->count);
}

size_t dmc__experience_run(const dmc__experience *x, size_t i, size_t most)
{
    size_t n = 1;
    while (n < most && i + n < x->count && x->place[dmc__experience_slot(x, i + n)] > 0) n++;
    return n;
}

size_t dmc__experience_past(const dmc__experience *x, size_t i)
{
    const size_t place = x->place[dmc__experience_slot(x, i)];
    return place < i ? place : i;
}
