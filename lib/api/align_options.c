/* align_options.c — public options of the methods, checked, as the methods want them. */
#include "align_options.h"

#include "../config/field.h"

dmc_status dmc__take_rl(const dmc_rl_options *o, dmc__rl_config *c)
{
    dmc_rl_options t;
    DMC_TRY(dmc__field_take(DMC_OPTIONS_RL, o, &t));
    *c = (dmc__rl_config){.method = t.method, .updates = t.updates, .last_k = t.last_k, .kappa = t.kappa, .epochs = t.epochs,
                          .kl_exact = t.kl_kind == DMC_KL_EXACT, .kappa_gamma = t.kappa_gamma, .clip = t.clip, .kl = t.kl,
                          .advantage_clip = t.advantage_clip, .reduce_sum = t.reduce == DMC_REDUCE_SUM,
                          .group_std = t.advantage_std == DMC_STD_GROUP, .clip_base = t.clip_base, .target_kl = t.target_kl,
                          .kl_target = t.kl_target, .last_k_kind = t.last_k_kind,
                          .by_row = t.granularity == DMC_GRANULARITY_ROW, .entropy = t.entropy,
                          .entropy_target = t.entropy_target};
    return DMC_OK;
}

dmc_status dmc__take_dpo(const dmc_dpo_options *o, dmc__dpo_config *c)
{
    dmc_dpo_options t;
    DMC_TRY(dmc__field_take(DMC_OPTIONS_DPO, o, &t));
    *c = (dmc__dpo_config){.updates = t.updates, .refresh = t.refresh, .pool = t.pool, .gamma = t.gamma, .anchor = t.anchor,
                           .margin = t.margin, .displacement = t.displacement, .weighting = t.weighting,
                           .reference_every = t.reference_every,
                           .pairs = t.pairs, .conditions = t.conditions, .radius = t.radius, .discount = t.discount,
                           .bradley_terry = t.preference == DMC_PREFERENCE_BRADLEY_TERRY,
                           .preference_updates = t.preference_updates};
    return DMC_OK;
}

dmc_status dmc__take_sft(const dmc_sft_options *o, dmc__sft_config *c)
{
    dmc_sft_options t;
    DMC_TRY(dmc__field_take(DMC_OPTIONS_SFT, o, &t));
    *c = (dmc__sft_config){.updates = t.updates, .rounds = t.rounds, .pool = t.pool, .conditions = t.conditions,
                           .likelihood = t.likelihood, .replay = t.replay, .quantile = t.quantile,
                           .weight_beta = t.weight_beta, .top_k = t.top_k, .keep_rounds = t.keep_rounds, .accept = t.accept,
                           .early_stop = t.early_stop};
    return DMC_OK;
}

dmc_status dmc__take_cascade(const dmc_cascade_options *o, dmc__cascade_config *c)
{
    dmc_cascade_options t;
    DMC_TRY(dmc__field_take(DMC_OPTIONS_CASCADE, o, &t));
    *c = (dmc__cascade_config){.updates = t.updates, .conditions = t.conditions, .pool = t.pool, .fork_min = t.fork_min,
                               .fork_max = t.fork_max, .gain = t.gain, .adherence = t.adherence,
                               .variation = t.pairs, .refresh = t.refresh};
    return DMC_OK;
}
