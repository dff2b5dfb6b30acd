/* critic_replay.c — batches of which a share was lived through: the last samples of a batch come from the ring. */
#include "critic_replay.h"

#include <math.h>
#include <string.h>

/* Draws from the ring, beside those from the dataset, whose sample numbers are below this. */
static const uint64_t replay_sample = UINT64_C(1) << 39;

/* Sample i of the batch: row `row` of the ring and, for a critic of chunks, the rows of its episode behind it.
 * r = sum gamma^k r_k; of V after `rows` rows gamma^rows = gamma (1 - term) counts, or nothing where the last row is terminal. */
static void stage_row(dmc__critic *c, const dmc__experience *x, size_t row, size_t i)
{
    const size_t s = (size_t)c->obs.n, a = (size_t)c->act.n, chunk = (size_t)dmc__iql_get_config(c->iql)->act_dim / a;
    const size_t rows = dmc__experience_run(x, row, chunk);
    const size_t first = dmc__experience_slot(x, row), last = dmc__experience_slot(x, row + rows - 1);
    double r = 0;
    dmc__normaliser_apply(&c->obs, x->obs + first * s, 1, c->s + i * s);
    dmc__normaliser_apply(&c->obs, x->after + last * s, 1, c->next + i * s);
    for (size_t k = 0; k < chunk; k++) { /* past the end the last action is repeated, as in windows of the dataset */
        const size_t slot = k < rows ? dmc__experience_slot(x, row + k) : last;
        dmc__normaliser_apply(&c->act, x->act + slot * a, 1, c->a + (i * chunk + k) * a);
        if (k < rows) r += pow(c->config.gamma, (double)k) * (x->rew[slot] * c->reward_scale + c->reward_shift);
    }
    c->r[i] = (float)r;
    c->term[i] = (float)(x->terminal[last] ? 1 : 1 - pow(c->config.gamma, (double)(rows - 1)));
}

static void stage_replayed(dmc__critic *c, const dmc__experience *x, int32_t first)
{
    const uint64_t step = (uint64_t)dmc__iql_step(c->iql);
    for (int32_t i = first; i < c->config.batch; i++) {
        const dmc__stream s = {c->config.seed, DMC_STREAM_BATCH, step, replay_sample + (uint64_t)i};
        stage_row(c, x, dmc__experience_draw(x, &s), (size_t)i);
    }
}

static dmc_status check(const dmc__critic *c, const dmc__experience *x, double share)
{
    if (!c->data) return dmc__fail(DMC_ESTATE, "dmc_critic_step_on: the critic was loaded without a dataset");
    if (x->obs_dim != c->obs.n || x->act_dim != c->act.n)
        return dmc__fail(DMC_ESHAPE, "dmc_critic_step_on: the replay has observations of %d and actions of %d, the critic wants %d "
                         "and %d", x->obs_dim, x->act_dim, c->obs.n, c->act.n);
    if (!(share >= 0 && share <= 1)) return dmc__fail(DMC_ERANGE, "dmc_critic_step_on: share = %g, must be 0..1", share);
    if (share > 0 && x->count == 0) return dmc__fail(DMC_ESTATE, "dmc_critic_step_on: share = %g of an empty replay", share);
    return DMC_OK;
}

dmc_status dmc__critic_step_on(dmc__critic *c, const dmc__experience *x, double share, int32_t n, dmc__iql_metrics *mean)
{
    *mean = (dmc__iql_metrics){0};
    DMC_TRY(check(c, x, share));
    const int32_t kept = c->config.batch - (int32_t)floor(share * c->config.batch + 0.5);
    for (int32_t i = 0; i < n; i++) {
        DMC_TRY(dmc__critic_stage(c, kept));
        stage_replayed(c, x, kept);
        DMC_TRY(dmc__critic_learn(c, n, mean));
    }
    return dmc__dev_sync(c->ref.ctx->device);
}
