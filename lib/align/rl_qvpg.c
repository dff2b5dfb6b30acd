/* rl_qvpg.c — QV-PG (eq. 9): the reward's gradient through the last K steps. L = -mean r(z_0)/std + kl sum over rows. */
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

dmc_status dmc__rl_qvpg_update(dmc__rl *s, dmc__align_note *note)
{
    dmc__device *d = s->a->device;
    const dmc__adamw_config opt = dmc__align_adamw(s->a);
    const size_t n = (size_t)s->batch * s->elems;
    DMC_TRY(dmc__rl_draw(s, s->dmu, note));
    DMC_TRY(seed_reward_gradient(s));
    note->loss = -note->reward / s->reward_std;
    for (int32_t j = s->k - 1; j >= 0; j--) {
        const int32_t row = dmc__rl_row(s, j);
        DMC_TRY(dmc__chain_mean(s->now, s->chain, row, dmc__rollout_latent(s->chain, row), s->mu));
        DMC_TRY(dmc__dev_copy(d, s->dmu, s->g, n));
        if (s->kl_weight > 0) DMC_TRY(dmc__rl_add_kl(s, j, s->kl_weight, 0));
        DMC_TRY(dmc__chain_backward(s->now, s->dmu, s->kappa[j], j > 0 ? s->g : NULL));
    }
    DMC_TRY(dmc__rl_note_kl(s, note));
    return dmc__learner_update(s->a->learner, &opt, NULL);
}
