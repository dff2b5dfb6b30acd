/* api_online.c — dmc_align_online. */
#include <stddef.h>
#include <string.h>

#include "../train/online.h"
#include "align_options.h"
#include "handles.h"

_Static_assert((int)DMC_ONLINE_RL == (int)DMC__ONLINE_RL && (int)DMC_ONLINE_DPO == (int)DMC__ONLINE_DPO &&
               (int)DMC_ONLINE_SFT == (int)DMC__ONLINE_SFT, "one number");

/* What the report of the first version held. */
enum { DMC_ONLINE_REPORT_LEAST = offsetof(dmc_online_report, seconds) + sizeof(double) };

static dmc_status check_report(const dmc_online_report *r)
{
    if (r && (r->struct_size < DMC_ONLINE_REPORT_LEAST || r->struct_size > sizeof *r))
        return dmc__fail(DMC_EINVAL, "dmc_align_online: report->struct_size = %u, set it to sizeof *report = %zu", r->struct_size,
                         sizeof *r);
    return DMC_OK;
}

static void give_report(const dmc__online_result *x, dmc_online_report *r)
{
    if (!r) return;
    const dmc_online_report all = {.struct_size = r->struct_size, .rounds = x->rounds, .returns = r->returns, .steps = x->steps,
                                   .critic_updates = x->critic_updates, .updates = x->updates, .rollbacks = x->rollbacks,
                                   .restored = x->restored,
                                   .before = x->before, .before_se = x->before_se, .after = x->after, .after_se = x->after_se,
                                   .q_loss = x->q_loss, .v_loss = x->v_loss, .kl = x->kl, .seconds = x->seconds};
    memcpy(r, &all, all.struct_size);
}

/* Only the chosen method's options are read; how long it is run is decided here. */
static dmc_status take_method(const dmc_rl_options *rl, const dmc_dpo_options *dpo, const dmc_sft_options *sft,
                              dmc__online_config *c)
{
    switch (c->method) {
    case DMC__ONLINE_RL: DMC_TRY(dmc__take_rl(rl, &c->rl)); break;
    case DMC__ONLINE_DPO: DMC_TRY(dmc__take_dpo(dpo, &c->dpo)); break;
    default: DMC_TRY(dmc__take_sft(sft, &c->sft)); break;
    }
    c->rl.updates = c->dpo.updates = c->sft.updates = c->updates;
    c->sft.rounds = 1;
    return DMC_OK;
}

static dmc_status take(const dmc_online_options *o, dmc__online_config *c)
{
    dmc_online_options t;
    DMC_TRY(dmc__field_take(DMC_OPTIONS_ONLINE, o, &t));
    *c = (dmc__online_config){.rounds = t.rounds, .episodes = t.episodes, .method = t.method, .updates = t.updates,
                              .candidates = t.candidates, .select = t.select, .exec = t.exec, .eval_episodes = t.eval_episodes,
                              .restore = t.restore,
                              .utd = t.utd, .share = t.share, .beta = t.beta, .first_seed = t.first_seed, .seed = t.seed};
    return DMC_OK;
}

static dmc_status check_critic(const dmc_aligner *a, const dmc_critic *critic)
{
    if (a->reward || a->critic == critic) return DMC_OK;
    return dmc__fail(DMC_EINVAL, "dmc_align_online: critic is not the one the aligner was created with, and the aligner has no "
                     "reward callback");
}

dmc_status dmc_align_online(dmc_aligner *a, dmc_critic *critic, const dmc_env *env, dmc_replay *replay, const dmc_online_options *o,
                            const dmc_rl_options *rl, const dmc_dpo_options *dpo, const dmc_sft_options *sft,
                            dmc_online_report *report)
{
    dmc__online_config c;
    dmc__env e;
    DMC_NEED("dmc_align_online", a);
    DMC_NEED("dmc_align_online", critic);
    DMC_NEED("dmc_align_online", replay);
    DMC_TRY(check_report(report));
    DMC_TRY(dmc__take_env("dmc_align_online", env, &e));
    DMC_TRY(take(o, &c));
    DMC_TRY(take_method(rl, dpo, sft, &c));
    DMC_TRY(check_critic(a, critic));
    const dmc__online_parts p = {a->run, a->model, critic, &e, &replay->x, &a->round};
    dmc__online_result r = {.returns = report ? report->returns : NULL};
    const dmc_status status = dmc__online_run(&p, &c, &r);
    give_report(&r, report);
    return status;
}
