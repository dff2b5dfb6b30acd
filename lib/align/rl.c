/* rl.c — reinforcement learning through the denoising steps (paper section 3.1; methods.md 2): the stage.
 *
 * The denoising policy is pi(z'|z,c) = N(mu_theta(z,t,c), S^2) and only the last K transitions learn.
 *   REINFORCE (eq. 8)  L = -mean_b sum_t kappa A log pi(z'|z)
 *   PPO                L =  mean_bt max(-kappa A rho, -kappa A clip(rho, 1-e, 1+e)),  rho = pi/pi_old
 *   QV-PG (eq. 9)      L = -mean_b r(z_0), differentiated through the chain: g <- dmu/dz^T g
 * each plus beta times a divergence from mu_ref per step, reduced over the steps as the policy's term is (QV-PG: summed); ref =
 * the weights at the start of the stage. Less alpha times the entropy H of candidates that share a condition, D/G sum ln rho_i:
 * beside a reward each earns alpha D ln rho_i, in QV-PG H is differentiated.
 */
#include "rl_state.h"

#include <math.h>

double dmc__rl_adapt(double weight, double kl, double target)
{
    if (kl > 1.5 * target) weight *= 1.5;
    else if (kl < target / 1.5) weight /= 1.5;
    return fmin(fmax(weight, 1e-6), 1e6);
}

static dmc_status update(void *self, int32_t u, dmc__align_note *note)
{
    dmc__rl *s = self;
    (void)u;
    dmc__rl_choose_k(s);
    note->clip_share = note->ratio_max = note->entropy = note->spread = NAN;
    DMC_TRY(s->c.method == DMC__RL_QVPG ? dmc__rl_qvpg_update(s, note) : dmc__rl_ratio_update(s, note));
    if (s->c.kl_target > 0) s->kl_weight = dmc__rl_adapt(s->kl_weight, note->kl, s->c.kl_target);
    return DMC_OK;
}

static void tighten(void *self)
{
    dmc__rl *s = self;
    s->kl_weight = s->kl_weight > 0 ? 2 * s->kl_weight : 0.1;
    s->clip_scale *= 0.5;
    if (s->c.last_k_kind == DMC__LAST_K_CURRICULUM) dmc__rl_set_k(s, s->k > 1 ? s->k / 2 : 1);
}

static void plateau(void *self)
{
    dmc__rl *s = self;
    if (s->c.last_k_kind == DMC__LAST_K_CURRICULUM) dmc__rl_set_k(s, 2 * s->k < s->most ? 2 * s->k : s->most);
}

dmc__stage dmc__rl_stage(dmc__rl *s, int32_t updates)
{
    return (dmc__stage){.name = "rl", .updates = updates, .self = s, .update = update, .tighten = tighten, .plateau = plateau,
                        .learner = s->a->learner};
}

static int32_t has_qvpg(const dmc__rl_config *c)
{
    return c->method == DMC__RL_QVPG || c->method == DMC__RL_AUTO;
}

static dmc_status check(const dmc__align *a, const dmc__rl_config *c)
{
    if (c->last_k > dmc__align_steps(a))
        return dmc__fail(DMC_ERANGE, "dmc_align_rl: last_k = %d, must be 0..%d (the steps of a sample)", c->last_k,
                         dmc__align_steps(a));
    if (c->method == DMC__RL_AUTO && c->updates < 4)
        return dmc__fail(DMC_ERANGE, "dmc_align_rl: updates = %d, must be at least 4 for method = auto, which tries two first",
                         c->updates);
    if (has_qvpg(c) && c->kappa >= DMC__KAPPA_PROJ)
        return dmc__fail(DMC_EINVAL, "dmc_align_rl: kappa = proj, cos and paircos weigh likelihood terms, method qvpg has none");
    if (has_qvpg(c) && c->by_row)
        return dmc__fail(DMC_EINVAL, "dmc_align_rl: granularity = row gives advantages to rows, method qvpg has none");
    if (c->by_row && !a->view.planner)
        return dmc__fail(DMC_EINVAL, "dmc_align_rl: granularity = row is for planners, a policy's reward is of its first action");
    if (c->entropy > 0 && a->config.candidates < 2)
        return dmc__fail(DMC_EINVAL, "dmc_align_rl: entropy = %g is of candidates that share a condition, and candidates = 1",
                         c->entropy);
    if (c->entropy_target > 0 && c->entropy == 0)
        return dmc__fail(DMC_EINVAL, "dmc_align_rl: entropy_target = %g moves the weight entropy, which is 0", c->entropy_target);
    if (c->kl_target > 0 && c->kl == 0)
        return dmc__fail(DMC_EINVAL, "dmc_align_rl: kl_target = %g moves the weight kl, which is 0", c->kl_target);
    return DMC_OK;
}

static dmc_status run_one(dmc__align *a, const dmc__rl_config *c, dmc__align_result *r)
{
    dmc__rl *s;
    DMC_TRY(dmc__rl_create(a, c, &s));
    const dmc__stage stage = dmc__rl_stage(s, c->updates);
    const dmc_status status = dmc__stage_run(a, &stage, r);
    dmc__rl_destroy(s);
    return status;
}

dmc_status dmc__rl_run(dmc__align *a, const dmc__rl_config *c, dmc__align_result *r)
{
    DMC_TRY(check(a, c));
    DMC_TRY(dmc__align_need_reward(a));
    return c->method == DMC__RL_AUTO ? dmc__rl_auto(a, c, r) : run_one(a, c, r);
}
