/* score.c — how good the present weights are: the owner's score, or the mean reward on a fixed bank, whose conditions and noise
 * never change, so scores are paired. */
#include "cascade.h"

#include <math.h>
#include <string.h>

/* Bank draws live above every number dmc__align_draw can reach; roll-outs have 28 bits for the draw. */
static const uint64_t bank_draw = UINT64_C(1) << 26;

/* The samples of r: rewards (batch) on the host, and what they score: the rewards, unless someone else judges. */
static dmc_status judge(dmc__align *a, const dmc__rollout *r, float *reward, float *score)
{
    const void *z0 = dmc__rollout_latent((dmc__rollout *)(uintptr_t)r, dmc__rollout_rows(r));
    DMC_TRY(a->judge.eval(a->judge.self, z0, dmc__rollout_cond(r), 1, reward, NULL));
    if (a->held_out.self) return a->held_out.eval(a->held_out.self, z0, dmc__rollout_cond(r), 1, score, NULL);
    memcpy(score, reward, (size_t)a->config.batch * sizeof *score);
    return DMC_OK;
}

/* One batch of the bank: scores of batch/candidates conditions into r (batch). A cascade is applied where the reward gains. */
static dmc_status score_batch(dmc__align *a, uint64_t batch, float *r)
{
    const int32_t groups = a->config.batch / a->config.candidates;
    const int32_t held = a->view.data->n_held > 0;
    DMC_TRY(dmc__align_condition(a, a->sample, groups, a->config.candidates, bank_draw + batch, held));
    DMC_TRY(dmc__rollout_run(a->sample, a->config.seed, bank_draw + batch, 0, 1));
    float *const reward = a->scores, *const score = a->scores + a->config.batch;
    DMC_TRY(judge(a, a->sample, reward, r));
    if (!a->cascade) return DMC_OK;
    DMC_TRY(dmc__cascade_sample(a, a->cascade, bank_draw + batch));
    DMC_TRY(judge(a, a->cascade->sample, a->gated, score));
    for (int32_t b = 0; b < a->config.batch; b++)
        if (a->gated[b] > reward[b]) r[b] = score[b];
    return DMC_OK;
}

/* Conditions that are judged: whole batches of them. */
static int32_t bank_size(const dmc__align *a)
{
    const int32_t groups = a->config.batch / a->config.candidates;
    return (a->config.eval_conditions + groups - 1) / groups * groups;
}

/* Of every condition the mean over its candidates. */
static dmc_status score_bank(dmc__align *a, double *value)
{
    const int32_t pool = a->config.candidates, groups = a->config.batch / pool, n = bank_size(a);
    dmc__rollout_bind(a->sample, dmc__learner_weights(a->learner), NULL, dmc__rollout_rows(a->sample));
    for (int32_t first = 0; first < n; first += groups) {
        DMC_TRY(score_batch(a, (uint64_t)(first / groups), a->rewards));
        for (int32_t g = 0; g < groups; g++) {
            double m = 0;
            for (int32_t i = 0; i < pool; i++) m += a->rewards[g * pool + i];
            value[first + g] = m / pool;
        }
    }
    return DMC_OK;
}

/* Episodes whose scores are known one by one. */
static int32_t episodes(const dmc__align *a)
{
    if (a->hooks.scores) return a->hooks.episodes;
    return a->hooks.score ? 0 : bank_size(a);
}

static dmc_status fill_scores(dmc__align *a, dmc__scores *s)
{
    if (s->n == 0) return a->hooks.score(a->hooks.user, &s->mean, &s->se);
    DMC_TRY(a->hooks.scores ? a->hooks.scores(a->hooks.user, s->n, s->value) : score_bank(a, s->value));
    dmc__scores_sum(s);
    return DMC_OK;
}

dmc_status dmc__align_scores(dmc__align *a, dmc__scores *s)
{
    if (s->n != episodes(a)) {
        dmc__scores_free(a->alloc, s);
        DMC_TRY(dmc__scores_make(a->alloc, episodes(a), s));
    }
    DMC_TRY(fill_scores(a, s));
    if (!isfinite(s->mean) || !isfinite(s->se))
        return dmc__fail(DMC_ENUMERIC, "dmc_align: the score is %g +- %g, must be finite", s->mean, s->se);
    return DMC_OK;
}

dmc_status dmc__align_score(dmc__align *a, double *mean, double *se)
{
    dmc__scores s = {0};
    const dmc_status status = dmc__align_scores(a, &s);
    *mean = s.mean;
    *se = s.se;
    dmc__scores_free(a->alloc, &s);
    return status;
}

void dmc__align_forget_scores(dmc__align *a)
{
    dmc__scores_free(a->alloc, &a->foundation_scores);
    dmc__scores_free(a->alloc, &a->pass_scores);
    a->has_foundation = 0;
}
