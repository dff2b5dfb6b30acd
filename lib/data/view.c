/* view.c — from dataset rows to what a network is fed, and back. */
#include "view.h"

#include <string.h>

int32_t dmc__view_cols(const dmc__view *v)
{
    return (v->states_only ? 0 : v->act->n) + (v->planner ? v->obs->n : 0);
}

int32_t dmc__view_cond(const dmc__view *v)
{
    if (v->planner) return v->returns ? 2 : 0;
    return v->n_obs * (v->obs->n + v->cameras * v->frame);
}

size_t dmc__view_elems(const dmc__view *v)
{
    return (size_t)v->horizon * (size_t)dmc__view_cols(v);
}

/* Row 0's state is known to a planner; a policy knows nothing of z. */
static void base_mask(const dmc__view *v, float *mask)
{
    memset(mask, 0, dmc__view_elems(v) * sizeof *mask);
    if (v->planner)
        for (int32_t j = 0; j < v->obs->n; j++) mask[j] = 1;
}

/* The loss counts where the entry is unknown and its row exists. */
static void base_weight(const dmc__view *v, const uint8_t *valid, float *weight)
{
    const int32_t c = dmc__view_cols(v);
    for (int32_t h = 0; h < v->horizon; h++)
        for (int32_t j = 0; j < c; j++) weight[(size_t)h * c + j] = valid[h];
    if (v->planner)
        for (int32_t j = 0; j < v->obs->n; j++) weight[j] = 0;
}

static float *frames_of(const dmc__view *v, float *cond)
{
    return cond + (size_t)v->n_obs * (size_t)v->obs->n;
}

/* m <- memory m + (1 - memory) o */
static void remember(const dmc__view *v, const float *obs, float *m)
{
    const float keep = (float)v->memory, take = 1 - keep;
    for (int32_t j = 0; j < v->obs->n; j++) m[j] = keep * m[j] + take * obs[j];
}

void dmc__view_push(const dmc__view *v, const float *obs, float *window)
{
    const size_t w = (size_t)v->obs->n, rows = (size_t)v->n_obs, first = v->memory > 0 ? 1 : 0;
    if (first) remember(v, window + w, window);
    memmove(window + first * w, window + (first + 1) * w, (rows - 1 - first) * w * sizeof *window);
    memcpy(window + (rows - 1) * w, obs, w * sizeof *obs);
}

/* Row 0 of a window of the data: the memory of everything that has left it, as dmc__view_push would have made it. */
static void remember_window(const dmc__view *v, dmc__position p, float *cond)
{
    const size_t w = (size_t)v->obs->n;
    const float *const obs = v->data->obs + v->data->start[p.episode] * w;
    memcpy(cond, obs, w * sizeof *cond);
    for (int32_t i = 1; i <= p.row - (v->n_obs - 1); i++) remember(v, obs + (size_t)i * w, cond);
}

/* What a policy saw at p. */
static void take_condition(const dmc__view *v, dmc__position p, float *cond)
{
    const size_t frames = (size_t)v->n_obs * (size_t)v->frame;
    dmc__window_context(v->data, p, v->n_obs, cond);
    if (v->memory > 0) remember_window(v, p, cond);
    dmc__normaliser_apply(v->obs, cond, (size_t)v->n_obs, cond);
    for (int32_t i = 0; i < v->cameras; i++)
        dmc__window_frames(v->data, p, v->n_obs, v->camera[i], frames_of(v, cond) + (size_t)i * frames);
}

/* (return, 1); (0, 0) stands for none. */
static void take_return(const dmc__view *v, dmc__position p, float *cond)
{
    const double r = dmc__trajectories_return_from(v->data, p, v->discount);
    cond[0] = (float)((r - v->return_min) / (v->return_max - v->return_min));
    cond[1] = 1;
}

void dmc__view_sample(const dmc__view *v, dmc__position p, float *z, float *cond, float *mask, float *weight)
{
    uint8_t valid[1024]; /* the public bound on horizon */
    if (v->planner) {
        if (v->states_only) dmc__window_states(v->data, p, v->horizon, z, valid);
        else dmc__window_plan(v->data, p, v->horizon, z, valid);
        dmc__view_normalise(v, z, z);
        if (v->returns) take_return(v, p, cond);
    } else {
        dmc__window_actions(v->data, p, v->horizon, z, valid);
        dmc__normaliser_apply(v->act, z, (size_t)v->horizon, z);
        take_condition(v, p, cond);
    }
    if (mask) base_mask(v, mask);
    if (weight) base_weight(v, valid, weight);
}

void dmc__view_transition(const dmc__view *v, dmc__position p, float *states, float *action)
{
    const dmc__trajectories *t = v->data;
    const size_t s = (size_t)v->obs->n, a = (size_t)v->act->n;
    const size_t first = t->start[p.episode], last = t->start[p.episode + 1] - 1;
    size_t row = first + (size_t)p.row;
    if (row == last && row > first) row--;
    const size_t next = row < last ? row + 1 : row;
    dmc__normaliser_apply(v->obs, t->obs + row * s, 1, states);
    dmc__normaliser_apply(v->obs, t->obs + next * s, 1, states + s);
    dmc__normaliser_apply(v->act, t->act + row * a, 1, action);
}

/* In-paint one raw state (S) into row 0. */
static void know_state(const dmc__view *v, const float *raw, float *mask, float *known)
{
    base_mask(v, mask);
    memset(known, 0, dmc__view_elems(v) * sizeof *known);
    dmc__normaliser_apply(v->obs, raw, 1, known);
}

void dmc__view_condition(const dmc__view *v, dmc__position p, float *cond, float *mask, float *known)
{
    if (v->planner) {
        const size_t row = v->data->start[p.episode] + (size_t)p.row;
        know_state(v, v->data->obs + row * (size_t)v->obs->n, mask, known);
        if (v->returns) cond[0] = cond[1] = 1;
    } else {
        take_condition(v, p, cond);
    }
}

void dmc__view_observe(const dmc__view *v, const float *raw, float *cond, float *mask, float *known)
{
    if (v->planner)
        know_state(v, raw + (size_t)(v->n_obs - 1) * (size_t)v->obs->n, mask, known);
    else
        dmc__normaliser_apply(v->obs, raw, (size_t)v->n_obs, cond);
}

void dmc__view_see(const dmc__view *v, const uint8_t *frames, float *cond)
{
    dmc__images_convert(frames, (size_t)v->cameras * (size_t)v->n_obs * (size_t)v->frame, frames_of(v, cond));
}

void dmc__view_normalise(const dmc__view *v, const float *raw, float *z)
{
    const int32_t s = v->planner ? v->obs->n : 0, c = dmc__view_cols(v);
    for (int32_t h = 0; h < v->horizon; h++) {
        const size_t row = (size_t)h * (size_t)c;
        if (s) dmc__normaliser_apply(v->obs, raw + row, 1, z + row);
        if (s < c) dmc__normaliser_apply(v->act, raw + row + s, 1, z + row + s);
    }
}

void dmc__view_denormalise(const dmc__view *v, const float *z, float *out)
{
    const int32_t s = v->planner ? v->obs->n : 0, c = dmc__view_cols(v);
    for (int32_t h = 0; h < v->horizon; h++) {
        const size_t row = (size_t)h * (size_t)c;
        if (s) dmc__normaliser_invert(v->obs, z + row, 1, out + row);
        if (s < c) dmc__normaliser_invert(v->act, z + row + s, 1, out + row + s);
    }
}

/* Entries from..to-1 are known. */
static void know(float *mask, float *weight, size_t from, size_t to)
{
    for (size_t j = from; j < to; j++) {
        mask[j] = 1;
        weight[j] = 0;
    }
}

void dmc__view_causal_mask(const dmc__view *v, int32_t most, const dmc__stream *s, float *mask, float *weight)
{
    if (v->horizon < 2) return;
    const uint64_t bound = (uint64_t)(most > 0 && most < v->horizon ? most : v->horizon - 1);
    const size_t rows = 1 + (size_t)dmc__rng_below(s, 0, bound), state = v->planner && !v->states_only ? (size_t)v->obs->n : 0;
    know(mask, weight, 0, rows * (size_t)dmc__view_cols(v) + state); /* rows before, and this row's state */
}

void dmc__view_window_mask(const dmc__view *v, const dmc__stream *s, float *mask, float *weight)
{
    const uint64_t rows = (uint64_t)v->horizon;
    const size_t c = (size_t)dmc__view_cols(v), x = (size_t)dmc__rng_below(s, 2, rows), y = (size_t)dmc__rng_below(s, 3, rows);
    know(mask, weight, 0, (x < y ? x : y) * c);
    know(mask, weight, ((x < y ? y : x) + 1) * c, (size_t)rows * c);
}
