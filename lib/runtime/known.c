/* known.c — what is known of a sample before it is drawn: a planner's first state, and what the caller says. */
#include "../base/fp_mode.h"

#include <math.h>
#include <string.h>

#include "sampler_state.h"

static size_t entries(const dmc__sampler *s)
{
    return (size_t)s->config.batch * s->elems;
}

/* The first entry that is known and not finite; their number if there is none. */
static size_t find_bad(const uint8_t *mask, const float *values, size_t n)
{
    size_t i = 0;
    while (i < n && (!mask[i] || isfinite(values[i]))) i++;
    return i;
}

dmc_status dmc__sampler_set_known(dmc__sampler *s, const uint8_t *mask, const float *values)
{
    const size_t n = entries(s), cols = (size_t)dmc__view_cols(&s->view), bad = mask ? find_bad(mask, values, n) : n;
    if (bad < n)
        return dmc__fail(DMC_ENUMERIC, "dmc_sampler_set_known: the known value of condition %zu, row %zu, column %zu is not finite",
                         bad / s->elems, bad % s->elems / cols, bad % cols);
    s->have_given = mask != NULL;
    if (!mask && !s->view.planner) memset(s->mask, 0, s->total * s->elems * sizeof *s->mask);
    if (!mask) return DMC_OK;
    const dmc__fp_mode host = dmc__fp_enter();
    for (size_t i = 0; i < n; i++) {
        s->given_mask[i] = mask[i] != 0;
        s->given[i] = mask[i] ? values[i] : 0; /* what is not known is not read: it may be anything */
    }
    for (size_t b = 0; b < (size_t)s->config.batch; b++)
        dmc__view_normalise(&s->view, s->given + b * s->elems, s->given_z + b * s->elems);
    dmc__fp_set(host);
    return DMC_OK;
}

/* The floats that must come out again: normalised and back they would be a rounding error off. */
static void note_values(dmc__sampler *s, size_t b)
{
    const size_t w = (size_t)s->view.obs->n, first = b * s->elems;
    uint8_t *mask = s->placed_mask + first;
    memset(mask, 0, s->elems);
    if (s->view.planner) {
        const float *newest = s->history + (b * (size_t)s->view.n_obs + (size_t)s->view.n_obs - 1) * w;
        memset(mask, 1, w);
        memcpy(s->placed + first, newest, w * sizeof *newest);
    }
    for (size_t j = 0; s->have_given && j < s->elems; j++) {
        if (!s->given_mask[first + j]) continue;
        mask[j] = 1;
        s->placed[first + j] = s->given[first + j];
    }
}

/* For the roll-out: what the caller knows goes over what the observation says. */
static void add_given(dmc__sampler *s, size_t sample)
{
    const size_t from = sample / (size_t)s->config.candidates * s->elems, to = sample * s->elems;
    if (!s->view.planner) memset(s->mask + to, 0, s->elems * sizeof *s->mask);
    for (size_t j = 0; j < s->elems; j++) {
        if (!s->given_mask[from + j]) continue;
        s->mask[to + j] = 1;
        s->known[to + j] = s->given_z[from + j];
    }
}

/* What is recorded suits every answer: there, nothing is known by a mask of zeros. */
dmc_status dmc__sampler_place_known(dmc__sampler *s, dmc__rollout *r)
{
    const int32_t any = s->view.planner || s->have_given || s->records;
    return dmc__rollout_set_known(r, any ? s->mask : NULL, any ? s->known : NULL);
}

void dmc__sampler_gather_known(dmc__sampler *s)
{
    for (size_t b = 0; b < (size_t)s->config.batch; b++) note_values(s, b);
    for (size_t i = 0; s->have_given && i < s->total; i++) add_given(s, i);
}

void dmc__sampler_restore_known(const dmc__sampler *s, size_t b, float *plan)
{
    const size_t first = b * s->elems;
    for (size_t j = 0; j < s->elems; j++)
        if (s->placed_mask[first + j]) plan[j] = s->placed[first + j];
}
