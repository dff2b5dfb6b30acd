/* api_replay.c — dmc_replay, and critics that learn from it. */
#include <string.h>

#include "../base/clock.h"
#include "handles.h"

dmc_status dmc_replay_create(dmc_context *ctx, int32_t obs_dim, int32_t act_dim, size_t capacity, dmc_replay **out)
{
    dmc__context_ref ref;
    dmc_replay *r;
    DMC_NEED("dmc_replay_create", out);
    *out = NULL;
    DMC_TRY(dmc__context_acquire(ctx, &ref));
    dmc_status status = DMC_NEW(&ref.ctx->alloc, 1, &r);
    if (status < 0) {
        dmc__context_release(&ref);
        return status;
    }
    r->ref = ref;
    status = dmc__experience_create(&ref.ctx->alloc, obs_dim, act_dim, capacity, &r->x);
    if (status < 0) dmc_replay_destroy(r);
    else *out = r;
    return status;
}

void dmc_replay_destroy(dmc_replay *r)
{
    if (!r) return;
    dmc__context_ref ref = r->ref;
    dmc__experience_free(&r->x);
    DMC_FREE(&ref.ctx->alloc, r, 1);
    dmc__context_release(&ref);
}

dmc_status dmc_replay_push(dmc_replay *r, size_t n, const float *obs, const float *act, const float *rew, const float *next,
                           const uint8_t *terminals)
{
    DMC_NEED("dmc_replay_push", r);
    DMC_NEED("dmc_replay_push", obs);
    DMC_NEED("dmc_replay_push", act);
    DMC_NEED("dmc_replay_push", rew);
    DMC_NEED("dmc_replay_push", next);
    DMC_NEED("dmc_replay_push", terminals);
    const dmc__transitions t = {obs, act, rew, next, terminals};
    return dmc__experience_push(&r->x, n, &t);
}

dmc_status dmc_replay_push_episode(dmc_replay *r, size_t n, const float *obs, const float *act, const float *rew, int32_t terminal)
{
    DMC_NEED("dmc_replay_push_episode", r);
    DMC_NEED("dmc_replay_push_episode", obs);
    DMC_NEED("dmc_replay_push_episode", act);
    DMC_NEED("dmc_replay_push_episode", rew);
    return dmc__experience_push_episode(&r->x, n, obs, act, rew, terminal);
}

size_t dmc_replay_count(const dmc_replay *r)
{
    return r ? r->x.count : 0;
}

/* Where transitions are copied to; any of them may be NULL. */
typedef struct target {
    float *obs, *act, *rew, *next;
    uint8_t *terminals;
} target;

/* Row `row` of the ring becomes number i. */
static void copy_row(const dmc__experience *x, size_t row, const target *t, size_t i)
{
    const size_t s = (size_t)x->obs_dim, a = (size_t)x->act_dim, slot = dmc__experience_slot(x, row);
    if (t->obs) memcpy(t->obs + i * s, x->obs + slot * s, s * sizeof(float));
    if (t->act) memcpy(t->act + i * a, x->act + slot * a, a * sizeof(float));
    if (t->rew) t->rew[i] = x->rew[slot];
    if (t->next) memcpy(t->next + i * s, x->after + slot * s, s * sizeof(float));
    if (t->terminals) t->terminals[i] = x->terminal[slot];
}

dmc_status dmc_replay_read(const dmc_replay *r, size_t first, size_t n, float *obs, float *act, float *rew, float *next,
                           uint8_t *terminals)
{
    const target t = {obs, act, rew, next, terminals};
    DMC_NEED("dmc_replay_read", r);
    if (first > r->x.count || n > r->x.count - first)
        return dmc__fail(DMC_ERANGE, "dmc_replay_read: first = %zu and n = %zu, but there are %zu transitions", first, n,
                         r->x.count);
    for (size_t i = 0; i < n; i++) copy_row(&r->x, first + i, &t, i);
    return DMC_OK;
}

dmc_status dmc_replay_draw(const dmc_replay *r, uint64_t seed, size_t n, float *obs, float *act, float *rew, float *next,
                           uint8_t *terminals)
{
    const target t = {obs, act, rew, next, terminals};
    DMC_NEED("dmc_replay_draw", r);
    if (r->x.count == 0) return dmc__fail(DMC_ESTATE, "dmc_replay_draw: the replay is empty");
    for (size_t i = 0; i < n; i++) {
        const dmc__stream s = {seed, DMC_STREAM_BATCH, 0, i};
        copy_row(&r->x, dmc__experience_draw(&r->x, &s), &t, i);
    }
    return DMC_OK;
}

dmc_status dmc_critic_step_on(dmc_critic *c, const dmc_replay *r, double share, int32_t n, dmc_critic_metrics *metrics)
{
    dmc__iql_metrics m;
    const int64_t began = dmc__clock_ns();
    DMC_NEED("dmc_critic_step_on", c);
    DMC_NEED("dmc_critic_step_on", r);
    if (n < 0) return dmc__fail(DMC_ERANGE, "dmc_critic_step_on: n = %d, must be at least 0", n);
    const dmc_status status = dmc__critic_step_on(c, &r->x, share, n, &m);
    dmc__critic_give(c, &m, began, metrics);
    return status;
}
