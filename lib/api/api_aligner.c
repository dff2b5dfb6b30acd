/* api_aligner.c — dmc_aligner: rewards from a critic or a callback, scores, the four methods and their sequence. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "../align/metrics.h"
#include "../train/adapter_file.h"
#include "../train/ledger.h"
#include "../train/pause_file.h"
#include "align_options.h"
#include "handles.h"
#include "reward_callback.h"

/* ---- hooks ------------------------------------------------------------------------------------------ */

/* A critic judges actions, of which a plan of states only has none of its own. */
static dmc_status need_inverse(const dmc_aligner *a)
{
    if (!a->model->spec.states_only || a->inverse) return DMC_OK;
    return dmc__fail(DMC_ESTATE, "dmc_align: a planner of states only is judged by the critic through an inverse model; call "
                     "dmc_aligner_set_inverse");
}

static dmc_status make_reward(void *user, int32_t batch, int32_t want_gradient, dmc__reward *out)
{
    dmc_aligner *a = user;
    if (a->reward)
        return dmc__reward_callback_create(&a->ref.ctx->alloc, a->ref.ctx->device, &a->run->view, batch,
                                           a->reward_gradient && want_gradient, a->reward, a->reward_user, out);
    if (a->critic) DMC_TRY(need_inverse(a));
    if (a->critic)
        return dmc__reward_critic_create(a->critic->iql, a->ref.ctx->device, &a->critic_map, batch, a->row_discount,
                                         want_gradient, out);
    return dmc__fail(DMC_ESTATE, "dmc_align: there is no reward; give dmc_aligner_create a critic or call dmc_aligner_set_reward");
}

static dmc_status make_judge(void *user, int32_t batch, dmc__reward *out)
{
    dmc_aligner *a = user;
    *out = (dmc__reward){0};
    if (!a->judge) return DMC_OK;
    DMC_TRY(need_inverse(a));
    return dmc__reward_critic_create(a->judge->iql, a->ref.ctx->device, &a->judge_map, batch, a->row_discount, 0, out);
}

static dmc_status make_coherency(void *user, int32_t batch, dmc__reward *out)
{
    dmc_aligner *a = user;
    return dmc__reward_callback_create(&a->ref.ctx->alloc, a->ref.ctx->device, &a->run->view, batch, 0, a->coherency,
                                       a->coherency_user, out);
}

static void free_reward(void *user, dmc__reward *r)
{
    (void)user;
    if (dmc__reward_is_callback(r)) dmc__reward_callback_free(r);
    else dmc__reward_critic_free(r);
}

static dmc_status score_hook(void *user, double *mean, double *se)
{
    dmc_aligner *a = user;
    dmc_model *m;
    DMC_TRY(dmc_aligner_publish(a, &m));
    const int32_t failed = a->score(a->score_user, m, mean, se);
    dmc_model_destroy(m);
    return failed ? dmc__fail(DMC_ECALLBACK, "dmc_align: the score callback returned %d", failed) : DMC_OK;
}

static dmc_status scores_hook(void *user, int32_t n, double *value)
{
    dmc_aligner *a = user;
    dmc_model *m;
    DMC_TRY(dmc_aligner_publish(a, &m));
    const int32_t failed = a->scores(a->scores_user, m, n, value);
    dmc_model_destroy(m);
    return failed ? dmc__fail(DMC_ECALLBACK, "dmc_align: the scores callback returned %d", failed) : DMC_OK;
}

static int32_t progress_hook(void *user, const dmc__align_note *n)
{
    dmc_aligner *a = user;
    const int32_t pass = a->round ? a->round : n->pass;
    const dmc_align_progress p = {.struct_size = sizeof p, .update = n->update, .updates = n->updates, .pass = pass,
                                  .stage = n->stage, .score = n->score, .best = n->best, .loss = n->loss, .kl = n->kl,
                                  .reward = n->reward, .seconds = n->seconds, .grad_norm = n->norm,
                                  .loss_z = n->metric[DMC__METRIC_LOSS], .norm_ratio = n->metric[DMC__METRIC_NORM],
                                  .lr_scale = n->lr_scale, .kl_foundation = n->metric[DMC__METRIC_KL],
                                  .unlikely = n->metric[DMC__METRIC_UNLIKELY], .spread = n->metric[DMC__METRIC_SPREAD],
                                  .entropy = n->metric[DMC__METRIC_ENTROPY], .coherency = n->metric[DMC__METRIC_COHERENCY],
                                  .disagreement = n->metric[DMC__METRIC_DISAGREEMENT]};
    return a->progress ? a->progress(a->progress_user, &p) : 0;
}

static dmc_status record_hook(void *user, const dmc__align_record *r)
{
    dmc_aligner *a = user;
    return dmc__ledger_append(&a->ref.ctx->alloc, a->ledger, r);
}

/* ---- life ------------------------------------------------------------------------------------------- */

static dmc_status check_critic(const dmc_aligner *a, const dmc_critic *c, const char *function)
{
    if (c->obs.n == a->model->obs.n && c->act.n == a->model->act.n) return DMC_OK;
    return dmc__fail(DMC_ESHAPE, "%s: the critic is for observations of %d and actions of %d, the model for %d and %d", function,
                     c->obs.n, c->act.n, a->model->obs.n, a->model->act.n);
}

static dmc_status use_critic(dmc_aligner *a)
{
    const dmc_critic *c = a->critic;
    a->map_elems = 2 * ((size_t)a->model->obs.n + (size_t)a->model->act.n);
    if (!c) return DMC_OK;
    DMC_TRY(check_critic(a, c, "dmc_aligner_create"));
    DMC_TRY(DMC_NEW(&a->ref.ctx->alloc, a->map_elems, &a->map));
    dmc__critic_make_map(c, a->model, a->map, &a->critic_map);
    return DMC_OK;
}

static dmc_status make_run(dmc_aligner *a, const dmc_align_options *o)
{
    const dmc__align_config c = {.lora_rank = o->lora_rank, .batch = o->batch, .candidates = o->candidates,
                                 .eval_every = o->eval_every, .eval_conditions = o->eval_conditions, .lora_alpha = o->lora_alpha,
                                 .lr = o->lr, .weight_decay = o->weight_decay, .grad_clip = o->grad_clip,
                                 .std_floor = o->std_floor, .seed = o->seed, .lora_targets = o->lora_targets,
                                 .noised_known = a->model->spec.inpaint, .sampler = o->sampler, .steps = o->steps,
                                 .converge = o->converge, .accept = o->accept, .kl_limit = o->kl_limit, .guard = o->guard};
    const dmc__align_hooks hooks = {.user = a, .make_reward = make_reward, .free_reward = free_reward, .progress = progress_hook,
                                    .make_judge = make_judge};
    const dmc__view view = dmc__model_view(a->model, a->data->data);
    DMC_TRY(use_critic(a));
    return dmc__align_create(&a->ref.ctx->alloc, a->ref.ctx->device, &a->ref.ctx->log, a->model->net, &a->model->process,
                             a->model->weights, &view, &c, &hooks, &a->run);
}

dmc_status dmc_aligner_create(dmc_context *ctx, const dmc_model *m, const dmc_dataset *d, const dmc_critic *critic,
                              const dmc_align_options *o, dmc_aligner **out)
{
    dmc_align_options c;
    dmc__context_ref ref;
    dmc_aligner *a;
    DMC_NEED("dmc_aligner_create", out);
    *out = NULL;
    DMC_NEED("dmc_aligner_create", m);
    DMC_NEED("dmc_aligner_create", d);
    DMC_TRY(dmc__field_take(DMC_OPTIONS_ALIGN, o, &c));
    DMC_TRY(dmc__model_draws(m, "dmc_aligner_create"));
    DMC_TRY(dmc__model_fits(m, d->data, "dmc_aligner_create"));
    DMC_TRY(ctx ? dmc__context_acquire(ctx, &ref) : dmc__context_share(&m->ref, &ref));
    dmc_status status = DMC_NEW(&ref.ctx->alloc, 1, &a);
    if (status < 0) {
        dmc__context_release(&ref);
        return status;
    }
    a->ref = ref;
    a->model = m;
    a->data = d;
    a->critic = critic;
    a->row_discount = c.row_discount;
    status = dmc__device_shares(ref.ctx->device, m->ref.ctx->device)
                 ? make_run(a, &c)
                 : dmc__fail(DMC_EINVAL, "dmc_aligner_create: the context's device is %s, the model lives on %s", ref.ctx->name,
                             m->ref.ctx->name);
    if (status < 0) dmc_aligner_destroy(a);
    else *out = a;
    return status;
}

void dmc_aligner_destroy(dmc_aligner *a)
{
    if (!a) return;
    dmc__context_ref ref = a->ref;
    dmc__align_destroy(a->run);
    DMC_FREE(&ref.ctx->alloc, a->judge_store, a->map_elems);
    dmc__str_free(&ref.ctx->alloc, a->ledger);
    DMC_FREE(&ref.ctx->alloc, a->map, a->map_elems);
    DMC_FREE(&ref.ctx->alloc, a, 1);
    dmc__context_release(&ref);
}

dmc_status dmc_aligner_set_reward(dmc_aligner *a, dmc_reward_fn fn, void *user, int32_t has_gradient)
{
    DMC_NEED("dmc_aligner_set_reward", a);
    dmc__align_drop_reward(a->run);
    a->reward = fn;
    a->reward_user = user;
    a->reward_gradient = has_gradient;
    return DMC_OK;
}

dmc_status dmc_aligner_set_score(dmc_aligner *a, dmc_score_fn fn, void *user)
{
    DMC_NEED("dmc_aligner_set_score", a);
    a->score = fn;
    a->score_user = user;
    a->run->hooks.score = fn ? score_hook : NULL;
    dmc__align_forget_scores(a->run);
    return DMC_OK;
}

dmc_status dmc_aligner_set_coherency(dmc_aligner *a, dmc_reward_fn fn, void *user)
{
    DMC_NEED("dmc_aligner_set_coherency", a);
    dmc__metrics_drop_rewards(a->run->metrics);
    a->coherency = fn;
    a->coherency_user = user;
    a->run->hooks.make_coherency = fn ? make_coherency : NULL;
    return DMC_OK;
}

dmc_status dmc_aligner_set_scores(dmc_aligner *a, dmc_scores_fn fn, void *user, int32_t n)
{
    DMC_NEED("dmc_aligner_set_scores", a);
    if (fn && n < 2) return dmc__fail(DMC_ERANGE, "dmc_aligner_set_scores: n = %d, must be at least 2", n);
    a->scores = fn;
    a->scores_user = user;
    a->run->hooks.scores = fn ? scores_hook : NULL;
    a->run->hooks.episodes = fn ? n : 0;
    dmc__align_forget_scores(a->run);
    return DMC_OK;
}

dmc_status dmc_aligner_set_progress(dmc_aligner *a, dmc_progress_fn fn, void *user)
{
    DMC_NEED("dmc_aligner_set_progress", a);
    a->progress = fn;
    a->progress_user = user;
    return DMC_OK;
}

dmc_status dmc_aligner_set_ledger(dmc_aligner *a, const char *path)
{
    char *copy = NULL;
    DMC_NEED("dmc_aligner_set_ledger", a);
    if (path) DMC_TRY(dmc__str_dup(&a->ref.ctx->alloc, path, &copy));
    dmc__str_free(&a->ref.ctx->alloc, a->ledger);
    a->ledger = copy;
    a->run->hooks.record = copy ? record_hook : NULL;
    return DMC_OK;
}

/* What the report of the first version held. */
enum { DMC_ALIGN_REPORT_LEAST = offsetof(dmc_align_report, seconds) + sizeof(double) };

/* ---- the methods ------------------------------------------------------------------------------------ */

/* Callers of an earlier version have a shorter one. */
static dmc_status check_report(const char *function, const dmc_align_report *r)
{
    if (r && (r->struct_size < DMC_ALIGN_REPORT_LEAST || r->struct_size > sizeof *r))
        return dmc__fail(DMC_EINVAL, "%s: report->struct_size = %u, set it to sizeof *report = %zu", function, r->struct_size,
                         sizeof *r);
    return DMC_OK;
}

static dmc_status give_report(dmc_status status, const dmc__align_result *x, dmc_align_report *r)
{
    if (!r) return status;
    const dmc_align_report all = {.struct_size = r->struct_size, .updates = x->updates, .rollbacks = x->rollbacks,
                                  .accepted = x->accepted, .before = x->before, .after = x->after, .before_se = x->before_se,
                                  .after_se = x->after_se, .kl = x->kl, .seconds = x->seconds, .warnings = x->warnings,
                                  .end = x->end, .unlikely = x->metric[DMC__METRIC_UNLIKELY],
                                  .spread = x->metric[DMC__METRIC_SPREAD], .entropy = x->metric[DMC__METRIC_ENTROPY],
                                  .coherency = x->metric[DMC__METRIC_COHERENCY],
                                  .disagreement = x->metric[DMC__METRIC_DISAGREEMENT]};
    memcpy(r, &all, all.struct_size);
    return status;
}

dmc_status dmc_align_rl(dmc_aligner *a, const dmc_rl_options *o, dmc_align_report *report)
{
    dmc__rl_config c;
    dmc__align_result r = {0};
    DMC_NEED("dmc_align_rl", a);
    DMC_TRY(check_report("dmc_align_rl", report));
    DMC_TRY(dmc__take_rl(o, &c));
    return give_report(dmc__rl_run(a->run, &c, &r), &r, report);
}

dmc_status dmc_align_dpo(dmc_aligner *a, const dmc_dpo_options *o, dmc_align_report *report)
{
    dmc__dpo_config c;
    dmc__align_result r = {0};
    DMC_NEED("dmc_align_dpo", a);
    DMC_TRY(check_report("dmc_align_dpo", report));
    DMC_TRY(dmc__take_dpo(o, &c));
    return give_report(dmc__dpo_run(a->run, &c, &r), &r, report);
}

dmc_status dmc_align_sft(dmc_aligner *a, const dmc_sft_options *o, dmc_align_report *report)
{
    dmc__sft_config c;
    dmc__align_result r = {0};
    DMC_NEED("dmc_align_sft", a);
    DMC_TRY(check_report("dmc_align_sft", report));
    DMC_TRY(dmc__take_sft(o, &c));
    return give_report(dmc__sft_run(a->run, &c, &r), &r, report);
}

dmc_status dmc_align_cascade(dmc_aligner *a, const dmc_cascade_options *o, dmc_align_report *report)
{
    dmc__cascade_config c;
    dmc__align_result r = {0};
    DMC_NEED("dmc_align_cascade", a);
    DMC_TRY(check_report("dmc_align_cascade", report));
    DMC_TRY(dmc__take_cascade(o, &c));
    return give_report(dmc__cascade_run(a->run, &c, &r), &r, report);
}

dmc_status dmc_align_sequence(dmc_aligner *a, const dmc_sequence_options *o, const dmc_rl_options *rl, const dmc_dpo_options *dpo,
                              const dmc_sft_options *sft, const dmc_cascade_options *cascade, dmc_align_report *report)
{
    dmc_sequence_options t;
    dmc__align_result r = {0};
    DMC_NEED("dmc_align_sequence", a);
    DMC_TRY(check_report("dmc_align_sequence", report));
    DMC_TRY(dmc__field_take(DMC_OPTIONS_SEQUENCE, o, &t));
    dmc__sequence_config c = {.passes = t.passes, .cascade = t.cascade, .order = t.order};
    DMC_TRY(dmc__take_rl(rl, &c.rl));
    DMC_TRY(dmc__take_dpo(dpo, &c.dpo));
    DMC_TRY(dmc__take_sft(sft, &c.sft));
    DMC_TRY(dmc__take_cascade(cascade, &c.cascade_config));
    return give_report(dmc__sequence_run(a->run, &c, &r), &r, report);
}

/* ---- results ---------------------------------------------------------------------------------------- */

dmc_status dmc_aligner_reset(dmc_aligner *a)
{
    DMC_NEED("dmc_aligner_reset", a);
    return dmc__align_forget(a->run);
}

dmc_status dmc_aligner_publish(const dmc_aligner *a, dmc_model **out)
{
    DMC_NEED("dmc_aligner_publish", out);
    *out = NULL;
    DMC_NEED("dmc_aligner_publish", a);
    return dmc__adapter_publish(a->run, a->model, out);
}

dmc_status dmc_aligner_save(const dmc_aligner *a, const char *path)
{
    DMC_NEED("dmc_aligner_save", a);
    DMC_NEED("dmc_aligner_save", path);
    return dmc__adapter_save(a->run, path);
}

dmc_status dmc_aligner_load(dmc_aligner *a, const char *path)
{
    DMC_NEED("dmc_aligner_load", a);
    DMC_NEED("dmc_aligner_load", path);
    return dmc__adapter_load(a->run, path);
}

/* ---- who judges ------------------------------------------------------------------------------------- */

dmc_status dmc_aligner_set_judge(dmc_aligner *a, const dmc_critic *judge)
{
    DMC_NEED("dmc_aligner_set_judge", a);
    if (judge) DMC_TRY(check_critic(a, judge, "dmc_aligner_set_judge"));
    if (judge && !a->judge_store) DMC_TRY(DMC_NEW(&a->ref.ctx->alloc, a->map_elems, &a->judge_store));
    dmc__align_drop_reward(a->run);
    a->judge = judge;
    if (judge) dmc__critic_make_map(judge, a->model, a->judge_store, &a->judge_map);
    dmc__critic_map_inverse(a->inverse, &a->judge_map);
    return DMC_OK;
}

dmc_status dmc_aligner_set_inverse(dmc_aligner *a, const dmc_model *inverse)
{
    DMC_NEED("dmc_aligner_set_inverse", a);
    if (inverse) DMC_TRY(dmc__model_inverse_fits(a->model, inverse, "dmc_aligner_set_inverse"));
    if (inverse && !dmc__device_shares(inverse->ref.ctx->device, a->ref.ctx->device))
        return dmc__fail(DMC_EINVAL, "dmc_aligner_set_inverse: the inverse model lives on %s, the aligner's device is %s",
                         inverse->ref.ctx->name, a->ref.ctx->name);
    if (inverse) DMC_TRY(dmc__dev_sync(inverse->ref.ctx->device)); /* its weights may have been made in another queue */
    dmc__align_drop_reward(a->run);
    a->inverse = inverse;
    dmc__critic_map_inverse(inverse, &a->critic_map);
    dmc__critic_map_inverse(inverse, &a->judge_map);
    return DMC_OK;
}

/* ---- pairs ------------------------------------------------------------------------------------------ */

static dmc_status pairs_hook(void *user, size_t n, float *obs, float *win, float *lose)
{
    const dmc_aligner *a = user;
    const int32_t failed = a->pairs(a->pairs_user, n, obs, win, lose);
    return failed ? dmc__fail(DMC_ECALLBACK, "dmc_align: the pairs callback returned %d", failed) : DMC_OK;
}

dmc_status dmc_aligner_set_pairs(dmc_aligner *a, dmc_pairs_fn fn, void *user)
{
    DMC_NEED("dmc_aligner_set_pairs", a);
    a->pairs = fn;
    a->pairs_user = user;
    a->run->hooks.pairs = fn ? pairs_hook : NULL;
    return DMC_OK;
}

dmc_status dmc_aligner_checkpoint(dmc_aligner *a, const char *path)
{
    DMC_NEED("dmc_aligner_checkpoint", a);
    DMC_NEED("dmc_aligner_checkpoint", path);
    return dmc__pause_save(a->run, path);
}

dmc_status dmc_aligner_resume(dmc_aligner *a, const char *path)
{
    DMC_NEED("dmc_aligner_resume", a);
    DMC_NEED("dmc_aligner_resume", path);
    return dmc__pause_load(a->run, path);
}
