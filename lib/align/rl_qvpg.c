/* rl_qvpg.c — QV-PG (eq. 9): the reward's gradient through the last K steps.
 *
 *     L = -mean_b r(z_0)/std - alpha H(z_0) + beta mean_b sum_t divergence
 */
#include "../diffusion/affine.h"
#include "rl_state.h"

/* out <- factor x, of a batch of samples. */
static dmc_status scale(const dmc__rl *s, double factor, const void *x, void *out)
{
    const dmc__affine all = {.device = s->a->device, .batch = s->batch, .elems = (int32_t)s->elems};
    return dmc__affine_mix(&all, factor, x, 0, NULL, out);
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

/* g <- what it is before row j, and the gradient of the row's parameters. The divergence does not pass through the latent: it is of
 * two networks at the same one, and what both do to it all but cancels. */
static dmc_status row_through(dmc__rl *s, int32_t j)
{
    if (s->kl_weight <= 0) {
        DMC_TRY(dmc__dev_copy(s->a->device, s->dmu, s->g, (size_t)s->batch * s->elems));
        return dmc__chain_backward(s->now, s->dmu, s->kappa[j], j > 0 ? s->g : NULL);
    }
    DMC_TRY(scale(s, s->kappa[j], s->g, s->dmu));
    DMC_TRY(dmc__rl_add_kl(s, j, s->kl_weight, 0));
    if (j > 0) DMC_TRY(dmc__chain_backward(s->now, s->g, 0, s->g));
    return dmc__chain_backward(s->now, s->dmu, 1, NULL);
}

dmc_status dmc__rl_qvpg_gradient(dmc__rl *s, dmc__align_note *note)
{
    DMC_TRY(dmc__rl_draw(s, s->dmu, note));
    DMC_TRY(scale(s, -1 / (s->batch * s->reward_std), s->dmu, s->g)); /* of the loss, from that of the reward */
    note->loss = -note->reward / s->reward_std;
    DMC_TRY(seed_entropy(s, note));
    for (int32_t j = s->k - 1; j >= 0; j--) {
        const int32_t row = dmc__rl_row(s, j);
        DMC_TRY(dmc__chain_mean(s->now, s->chain, row, dmc__rollout_latent(s->chain, row), s->mu));
        DMC_TRY(row_through(s, j));
    }
    return dmc__rl_note_kl(s, note);
}

dmc_status dmc__rl_qvpg_update(dmc__rl *s, dmc__align_note *note)
{
    const dmc__adamw_config opt = dmc__align_adamw(s->a);
    DMC_TRY(dmc__rl_qvpg_gradient(s, note));
    return dmc__learner_update(s->a->learner, &opt, NULL);
}
