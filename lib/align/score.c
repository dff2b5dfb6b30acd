/* score.c — how good the present weights are: the owner's score, or the mean reward on a fixed bank; and how far they
 * have moved from the foundation. The bank's conditions and noise never change, so scores are paired. */
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

/* Mean over conditions of the mean over candidates; the standard error is over conditions. */
static dmc_status score_bank(dmc__align *a, double *mean, double *se)
{
    const int32_t pool = a->config.candidates, groups = a->config.batch / pool;
    const int32_t batches = (a->config.eval_conditions + groups - 1) / groups;
    double sum = 0, square = 0;
    dmc__rollout_bind(a->sample, dmc__learner_weights(a->learner), NULL, dmc__rollout_rows(a->sample));
    for (int32_t b = 0; b < batches; b++) {
        DMC_TRY(score_batch(a, (uint64_t)b, a->rewards));
        for (int32_t g = 0; g < groups; g++) {
            double m = 0;
            for (int32_t i = 0; i < pool; i++) m += a->rewards[g * pool + i];
            sum += m / pool;
            square += (m / pool) * (m / pool);
        }
    }
    const double n = (double)batches * groups;
    *mean = sum / n;
    *se = n > 1 ? sqrt(fmax(square / n - *mean * *mean, 0) / (n - 1)) : 0;
    return DMC_OK;
}

dmc_status dmc__align_score(dmc__align *a, double *mean, double *se)
{
    if (a->hooks.score) {
        DMC_TRY(a->hooks.score(a->hooks.user, mean, se));
        if (!isfinite(*mean) || !isfinite(*se))
            return dmc__fail(DMC_ENUMERIC, "dmc_align: the score is %g +- %g, must be finite", *mean, *se);
        return DMC_OK;
    }
    return score_bank(a, mean, se);
}

/* Sum over rows of KL(mu_theta || mu_foundation) per dimension, mean over the batch, on the chain in a->sample. */
static dmc_status sum_chain_kl(dmc__align *a, dmc__chain *now, dmc__chain *foundation, void *mu, void *ref, void *kl, double *out)
{
    const int32_t n = a->config.batch;
    *out = 0;
    for (int32_t k = 0; k < dmc__rollout_rows(a->sample); k++) {
        const void *z = dmc__rollout_latent(a->sample, k);
        DMC_TRY(dmc__chain_mean(now, a->sample, k, z, mu));
        DMC_TRY(dmc__chain_mean(foundation, a->sample, k, z, ref));
        dmc_kargs args = {.in = {mu, ref}, .out = kl, .par = {dmc__rollout_mask(a->sample)},
                          .dim = {n, (int32_t)dmc__align_elems(a)},
                          .attr = {fmax(dmc__rollout_row(a->sample, k)->logp_std, a->config.std_floor), 1}};
        DMC_TRY(dmc__dev_run(a->device, DMC_OP_GAUSS_KL, &args));
        DMC_TRY(dmc__dev_out(a->device, a->host, kl, (size_t)n));
        for (int32_t b = 0; b < n; b++) *out += a->host[b] / (double)n;
    }
    return DMC_OK;
}

dmc_status dmc__align_kl(dmc__align *a, double *kl)
{
    const size_t n = (size_t)a->config.batch, e = dmc__align_elems(a);
    dmc__chain *now = NULL, *foundation = NULL;
    void *memory = NULL; /* mu, mu of the foundation, kl */
    dmc_status status;
    DMC_TRY_GOTO(status, dmc__chain_create(a->net, a->device, a->config.batch, 0, NULL, &now), done);
    DMC_TRY_GOTO(status, dmc__chain_create(a->net, a->device, a->config.batch, 0, NULL, &foundation), done);
    DMC_TRY_GOTO(status, dmc__dev_alloc(a->device, n * (2 * e + 1), &memory), done);
    dmc__chain_bind(now, dmc__learner_weights(a->learner), NULL);
    dmc__chain_bind(foundation, a->foundation, NULL);
    dmc__rollout_bind(a->sample, dmc__learner_weights(a->learner), NULL, dmc__rollout_rows(a->sample));
    DMC_TRY_GOTO(status, score_batch(a, 0, a->rewards), done);
    status = sum_chain_kl(a, now, foundation, memory, dmc__dev_at(a->device, memory, n * e),
                          dmc__dev_at(a->device, memory, 2 * n * e), kl);
done:
    dmc__dev_free(a->device, memory, n * (2 * e + 1));
    dmc__chain_destroy(foundation);
    dmc__chain_destroy(now);
    return status;
}
