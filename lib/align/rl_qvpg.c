/* rl_qvpg.c — QV-PG (eq. 9): the reward's gradient through the last K steps.
 *
 *     L = -mean_b r(z_0)/std - alpha H(z_0) + beta mean_b sum_t divergence
 */
#include "rl_state.h"

/* g <- -1/(batch std) g: the gradient of the loss, from the gradient of the reward. */
static dmc_status seed_reward_gradient(dmc__rl *s)
{
    dmc_kargs zero = {.out = s->g, .dim = {s->batch * (int32_t)s->elems}, .attr = {0}};
    DMC_TRY(dmc__dev_run(s->a->device, DMC_OP_FILL, &zero));
    /* LERP: out = (1-r) out + r x with out = 0 scales x by r. */
    dmc_kargs scale = {.in = {s->dmu}, .out = s->g, .dim = {s->batch * (int32_t)s->elems},
                       .attr = {-1 / (s->batch * s->reward_std)}};
    return dmc__dev_run(s->a->device, DMC_OP_LERP, &scale);
}

/* g -= alpha dH/dz, with dmu and mu as room. */
static dmc_status seed_entropy(dmc__rl *s, dmc__align_note *note)
{
    const size_t n = (size_t)s->batch * s->elems;
    DMC_TRY(dmc__rl_measure_entropy(s, note));
    if (!s->entropy) return DMC_OK;
    dmc__entropy_gradient(s->entropy, -s->entropy_weight, s->slope);
    DMC_TRY(dmc__dev_in(s->a->device, s->dmu, s->slope, n));
    dmc_kargs add = {.in = {s->g, s->dmu}, .out = s->mu, .dim = {(int32_t)n}};
    DMC_TRY(dmc__dev_run(s->a->device, DMC_OP_ADD, &add));
    note->loss -= s->entropy_weight * note->entropy;
    return dmc__dev_copy(s->a->device, s->g, s->mu, n);
}

dmc_status dmc__rl_qvpg_gradient(dmc__rl *s, dmc__align_note *note)
{
    dmc__device *d = s->a->device;
    const size_t n = (size_t)s->batch * s->elems;
    DMC_TRY(dmc__rl_draw(s, s->dmu, note));
    DMC_TRY(seed_reward_gradient(s));
    note->loss = -note->reward / s->reward_std;
    DMC_TRY(seed_entropy(s, note));
    for (int32_t j = s->k - 1; j >= 0; j--) {
        const int32_t row = dmc__rl_row(s, j);
        DMC_TRY(dmc__chain_mean(s->now, s->chain, row, dmc__rollout_latent(s->chain, row), s->mu));
        DMC_TRY(dmc__dev_copy(d, s->dmu, s->g, n));
        if (s->kl_weight > 0) DMC_TRY(dmc__rl_add_kl(s, j, s->kl_weight, 0));
        DMC_TRY(dmc__chain_backward(s->now, s->dmu, s->kappa[j], j > 0 ? s->g : NULL));
    }
    return dmc__rl_note_kl(s, note);
}

dmc_status dmc__rl_qvpg_update(dmc__rl *s, dmc__align_note *note)
{
    const dmc__adamw_config opt = dmc__align_adamw(s->a);
    DMC_TRY(dmc__rl_qvpg_gradient(s, note));
    return dmc__learner_update(s->a->learner, &opt, NULL);
}
