/* rl_ratio.c — REINFORCE and PPO: gradients by the log-probability of the chain's own steps.
 *
 * REINFORCE sums over the K learning rows, PPO is a mean over transitions, and the divergence beside either is reduced over the
 * rows likewise, so that `kl` weighs one transition's divergence against one transition's advantage (methods.md 2.1, 2.3).
 */
#include "rl_state.h"

#include <math.h>

#include "credit.h"

double dmc__rl_clip(double base, double clip, int32_t j, int32_t k)
{
    if (k < 2 || base <= 0) return clip;
    return base + (clip - base) * expm1(3.0 * j / (k - 1)) / expm1(3);
}

static int32_t is_ppo(const dmc__rl *s)
{
    return s->c.method == DMC__RL_PPO;
}

/* What a row counts in the loss. */
static double row_share(const dmc__rl *s)
{
    return is_ppo(s) ? 1.0 / s->k : 1;
}

/* What PG_SEED multiplies its mean over batch times rows of plans by: those rows are summed or averaged as entries are. */
static double policy_share(const dmc__rl *s)
{
    return row_share(s) * (s->c.reduce_sum ? s->rows : 1);
}

/* log pi(z'|z) of learning row j into out (units): a plan's rows are transitions of their own where each has its advantage. */
static dmc_status row_logp(dmc__rl *s, int32_t j, void *out, dmc_kargs *k)
{
    const int32_t row = dmc__rl_row(s, j);
    const void *z = dmc__rollout_latent(s->chain, row), *next = dmc__rollout_latent(s->chain, row + 1);
    DMC_TRY(dmc__chain_mean(s->now, s->chain, row, z, s->mu));
    *k = (dmc_kargs){.in = {next, s->mu}, .out = out, .par = {dmc__rollout_mask(s->chain)}, .dout = s->dlogp,
                     .din = {NULL, s->dmu}, .dim = {s->units, (int32_t)s->elems / s->rows},
                     .attr = {dmc__rollout_row(s->chain, row)->logp_std, !s->c.reduce_sum, -5, 2}};
    return dmc__dev_run(s->a->device, DMC_OP_GAUSS_LOGP, k);
}

/* ---- credit ----------------------------------------------------------------------------------------- */

/* Latents of the learning rows and, last, z_T onto the host. */
static dmc_status fetch_latents(dmc__rl *s)
{
    const size_t n = (size_t)s->batch * s->elems;
    for (int32_t j = 0; j <= s->k; j++)
        DMC_TRY(dmc__dev_out(s->a->device, s->latents + (size_t)j * n, dmc__rollout_latent(s->chain, dmc__rl_row(s, j)), n));
    return dmc__dev_out(s->a->device, s->latents + ((size_t)s->k + 1) * n, dmc__rollout_latent(s->chain, 0), n);
}

static dmc_status compare_steps(dmc__rl *s)
{
    const size_t b = (size_t)s->batch, e = s->elems;
    const float *chain[1002]; /* K <= 1000 rows, the public bound, and z_T */
    DMC_TRY(fetch_latents(s));
    for (size_t i = 0; i < b; i++) {
        for (int32_t j = 0; j <= s->k + 1; j++) chain[j] = s->latents + ((size_t)j * b + i) * e;
        double *kappa = s->kappa + i * (size_t)s->k;
        dmc__credit_similarity(s->c.kappa, chain, s->k, chain[s->k + 1], e, s->a->view.planner ? s->a->mask + i * e : NULL, kappa);
        dmc__credit_weigh(s->c.kappa, s->k, dmc__rollout_rows(s->chain), kappa);
    }
    return DMC_OK;
}

static dmc_status stage_kappa(dmc__rl *s, int32_t j)
{
    for (int32_t i = 0; i < s->units; i++) {
        const size_t b = (size_t)(i / s->rows);
        s->row[i] = (float)(dmc__rl_own_kappa(s) ? s->kappa[b * (size_t)s->k + (size_t)j] : s->kappa[j]);
    }
    return dmc__dev_in(s->a->device, s->kappa_dev, s->row, (size_t)s->units);
}

/* r += std alpha D ln rho, a sample's to each of its rows. */
static dmc_status reward_entropy(dmc__rl *s, dmc__align_note *note)
{
    DMC_TRY(dmc__rl_measure_entropy(s, note));
    for (int32_t i = 0; s->entropy && i < s->units; i++)
        s->r[i] += (float)(s->reward_std * s->entropy_weight * dmc__entropy_bonus(s->entropy, (size_t)(i / s->rows)));
    return DMC_OK;
}

/* ---- gradient --------------------------------------------------------------------------------------- */

dmc_status dmc__rl_ratio_begin(dmc__rl *s, dmc__align_note *note)
{
    const int32_t pool = s->a->config.candidates;
    dmc_kargs unused;
    DMC_TRY(dmc__rl_draw(s, NULL, note));
    DMC_TRY(reward_entropy(s, note));
    dmc__credit_advantage(s->r, s->batch / pool, pool, s->rows, s->c.group_std, s->c.advantage_clip, s->r);
    DMC_TRY(dmc__dev_in(s->a->device, s->adv, s->r, (size_t)s->units));
    if (dmc__rl_own_kappa(s)) DMC_TRY(compare_steps(s));
    for (int32_t j = 0; j < s->k; j++) DMC_TRY(row_logp(s, j, dmc__rl_part(s, s->old, j, (size_t)s->units), &unused));
    return DMC_OK;
}

/* Gradient of one learning row for every chain of the batch. */
static dmc_status row_gradient(dmc__rl *s, int32_t j)
{
    dmc__device *d = s->a->device;
    dmc_kargs logp;
    DMC_TRY(row_logp(s, j, s->logp, &logp));
    DMC_TRY(stage_kappa(s, j));
    dmc_kargs seed = {.in = {s->logp, dmc__rl_part(s, s->old, j, (size_t)s->units), s->adv}, .par = {s->kappa_dev},
                      .out = s->dlogp, .out2 = dmc__rl_part(s, s->stats, j, 3 * (size_t)s->units), .dim = {s->units},
                      .attr = {is_ppo(s), s->clip_scale * dmc__rl_clip(s->c.clip_base, s->c.clip, j, s->k), policy_share(s)}};
    DMC_TRY(dmc__dev_run(d, DMC_OP_PG_SEED, &seed));
    DMC_TRY(dmc__dev_run_bwd(d, DMC_OP_GAUSS_LOGP, &logp));
    if (s->kl_weight > 0) DMC_TRY(dmc__rl_add_kl(s, j, s->kl_weight * row_share(s), s->c.reduce_sum));
    return dmc__chain_backward(s->now, s->dmu, 1, NULL);
}

static size_t transitions(const dmc__rl *s)
{
    return (size_t)s->k * (size_t)s->units;
}

/* What PG_SEED said of all rows; it stays in s->row. */
static dmc_status note_stats(dmc__rl *s, dmc__align_note *note)
{
    const size_t n = transitions(s);
    double loss = 0, clipped = 0, most = 0;
    DMC_TRY(dmc__dev_out(s->a->device, s->row, s->stats, 3 * n));
    for (size_t i = 0; i < n; i++) {
        loss += s->row[3 * i];
        most = fmax(most, s->row[3 * i + 1]);
        clipped += s->row[3 * i + 2];
    }
    note->loss = loss * policy_share(s) / s->units;
    note->clip_share = is_ppo(s) ? clipped / (double)n : NAN;
    note->ratio_max = is_ppo(s) ? most : NAN;
    return DMC_OK;
}

double dmc__rl_ratio_kl(const dmc__rl *s)
{
    const size_t n = transitions(s);
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += s->row[3 * i + 1] - 1 - log(s->row[3 * i + 1]);
    return sum / (double)n;
}

dmc_status dmc__rl_ratio_gradient(dmc__rl *s, dmc__align_note *note)
{
    for (int32_t j = s->k - 1; j >= 0; j--) DMC_TRY(row_gradient(s, j));
    DMC_TRY(dmc__rl_note_kl(s, note));
    return note_stats(s, note);
}

/* The gradient of an epoch that comes too late is dropped. */
static int32_t went_too_far(const dmc__rl *s)
{
    return is_ppo(s) && s->c.target_kl > 0 && !(dmc__rl_ratio_kl(s) <= s->c.target_kl);
}

dmc_status dmc__rl_ratio_update(dmc__rl *s, dmc__align_note *note)
{
    const int32_t epochs = is_ppo(s) ? s->c.epochs : 1;
    void *const grads = dmc__learner_grads(s->a->learner);
    const size_t n = dmc__graph_param_elems(s->a->net->graph);
    const dmc__adamw_config opt = dmc__align_adamw(s->a);
    DMC_TRY(dmc__rl_ratio_begin(s, note));
    for (int32_t e = 0; e < epochs; e++) {
        DMC_TRY(dmc__rl_ratio_gradient(s, note));
        if (e > 0 && went_too_far(s)) return dmc__params_zero(s->a->device, grads, n);
        DMC_TRY(dmc__learner_update(s->a->learner, &opt, NULL));
    }
    return DMC_OK;
}
