/* rl_state.c — making and freeing what policy gradients need; drawing chains; the divergence from the reference. */
#include "rl_state.h"

#include <math.h>
#include <string.h>

#include "credit.h"

int32_t dmc__rl_own_kappa(const dmc__rl *s)
{
    return s->c.kappa >= DMC__KAPPA_PROJ;
}

int32_t dmc__rl_row(const dmc__rl *s, int32_t j)
{
    return dmc__rollout_rows(s->chain) - s->k + j;
}

void *dmc__rl_part(const dmc__rl *s, const void *buffer, int32_t j, size_t n)
{
    return dmc__dev_at(s->a->device, buffer, (size_t)j * n);
}

void dmc__rl_choose_k(dmc__rl *s)
{
    if (s->c.last_k_kind != DMC__LAST_K_RANDOM) return;
    const dmc__stream t = {s->a->config.seed, DMC_STREAM_BATCH, dmc__align_draw(s->a), 0};
    dmc__rl_set_k(s, 1 + (int32_t)dmc__rng_below(&t, 0, (uint64_t)s->most));
}

void dmc__rl_set_k(dmc__rl *s, int32_t k)
{
    s->k = k;
    if (!dmc__rl_own_kappa(s)) dmc__credit_kappa(s->c.kappa, k, s->c.kappa_gamma, s->kappa);
}

/* ---- life ------------------------------------------------------------------------------------------- */

static dmc_status take_memory(dmc__rl *s)
{
    const size_t b = (size_t)s->batch, u = (size_t)s->units, be = b * s->elems, most = (size_t)s->most;
    const dmc__part part[] = {
        {&s->mu, be},   {&s->mu_ref, be}, {&s->dmu, be}, {&s->g, be},         {&s->dkl, b},      {&s->logp, u},
        {&s->dlogp, u}, {&s->adv, u},     {&s->kappa_dev, u}, {&s->old, most * u}, {&s->kl, most * b}, {&s->stats, 3 * most * u},
    };
    return dmc__block_alloc(s->a->device, part, sizeof part / sizeof *part, &s->memory);
}

static size_t kappa_count(const dmc__rl *s)
{
    return (size_t)s->most * (dmc__rl_own_kappa(s) ? (size_t)s->batch : 1);
}

static size_t latent_count(const dmc__rl *s)
{
    return ((size_t)s->most + 2) * (size_t)s->batch * s->elems;
}

static dmc_status make_entropy(dmc__rl *s)
{
    const int32_t pool = s->a->config.candidates;
    DMC_TRY(DMC_NEW(s->a->alloc, (size_t)s->batch * s->elems, &s->slope));
    return dmc__entropy_create(s->a->alloc, s->batch / pool, pool, s->elems, &s->entropy);
}

static dmc_status make_host(dmc__rl *s)
{
    const dmc__allocator *al = s->a->alloc;
    const size_t u = (size_t)s->units;
    DMC_TRY(DMC_NEW(al, u, &s->r));
    DMC_TRY(DMC_NEW(al, 3 * (size_t)s->most * u, &s->row));
    DMC_TRY(DMC_NEW(al, kappa_count(s), &s->kappa));
    if (s->c.entropy > 0) DMC_TRY(make_entropy(s));
    return dmc__rl_own_kappa(s) ? DMC_NEW(al, latent_count(s), &s->latents) : DMC_OK;
}

static dmc_status make_chains(dmc__rl *s)
{
    dmc__align *a = s->a;
    dmc__table table;
    const int32_t qvpg = s->c.method == DMC__RL_QVPG;
    DMC_TRY(dmc__align_table(a, qvpg ? 0 : a->config.std_floor, &table));
    const int32_t group = qvpg && s->c.entropy == 0 ? 1 : a->config.candidates;
    const dmc__rollout_config c = {.batch = s->batch, .group = group, .keep_chain = 1, .noised_known = a->config.noised_known};
    const dmc_status status = dmc__rollout_create(a->net, a->device, &table, &c, &s->chain);
    dmc__table_free(&table);
    DMC_TRY(status);
    DMC_TRY(dmc__chain_create(a->net, a->device, s->batch, qvpg, dmc__learner_train_mask(a->learner), &s->now));
    DMC_TRY(dmc__chain_create(a->net, a->device, s->batch, 0, NULL, &s->ref));
    DMC_TRY(dmc__align_snapshot(a, &s->ref_weights));
    dmc__chain_bind(s->now, dmc__learner_weights(a->learner), dmc__learner_grads(a->learner));
    dmc__chain_set_inward(s->now, 1);
    dmc__chain_bind(s->ref, s->ref_weights, NULL);
    return a->hooks.make_reward(a->hooks.user, s->batch, qvpg, &s->reward);
}

static dmc_status check_reward(const dmc__rl *s)
{
    if (s->c.method == DMC__RL_QVPG && !s->reward.has_gradient)
        return dmc__fail(DMC_EINVAL, "dmc_align_rl: method = qvpg needs a reward with a gradient");
    if (s->rows > 1 && !s->reward.eval_rows)
        return dmc__fail(DMC_EINVAL, "dmc_align_rl: granularity = row needs the critic's reward, a callback's is of whole samples");
    if (s->rows > 1 && s->reward.rows != s->rows)
        return dmc__fail(DMC_EINVAL,
                         "dmc_align_rl: granularity = row, but the reward is of %d of %d rows (row_discount = 0 or chunks)",
                         s->reward.rows, s->rows);
    return DMC_OK;
}

static dmc_status fill(dmc__rl *s)
{
    double mean;
    DMC_TRY(make_host(s));
    dmc__rl_set_k(s, s->c.last_k_kind == DMC__LAST_K_CURRICULUM ? 1 : s->most);
    DMC_TRY(take_memory(s));
    DMC_TRY(make_chains(s));
    DMC_TRY(check_reward(s));
    if (s->c.method == DMC__RL_QVPG || s->c.entropy > 0) /* advantages carry their own scale */
        return dmc__align_reward_scale(s->a, &mean, &s->reward_std);
    return DMC_OK;
}

dmc_status dmc__rl_create(dmc__align *a, const dmc__rl_config *c, dmc__rl **out)
{
    dmc__rl *s;
    *out = NULL;
    DMC_TRY(DMC_NEW(a->alloc, 1, &s));
    const int32_t k = c->last_k ? c->last_k : dmc__align_steps(a);
    *s = (dmc__rl){.a = a, .c = *c, .most = k, .batch = a->config.batch, .elems = dmc__align_elems(a),
                   .kl_weight = c->kl, .entropy_weight = c->entropy, .clip_scale = 1, .rows = c->by_row ? a->view.horizon : 1};
    s->units = s->batch * s->rows;
    const dmc_status status = fill(s);
    if (status < 0) dmc__rl_destroy(s);
    else *out = s;
    return status;
}

void dmc__rl_destroy(dmc__rl *s)
{
    if (!s) return;
    dmc__align *a = s->a;
    const size_t u = (size_t)s->units;
    if (s->reward.self) a->hooks.free_reward(a->hooks.user, &s->reward);
    dmc__dev_free(a->device, s->ref_weights, dmc__graph_param_elems(a->net->graph));
    dmc__block_free(a->device, &s->memory);
    dmc__chain_destroy(s->ref);
    dmc__chain_destroy(s->now);
    dmc__rollout_destroy(s->chain);
    DMC_FREE(a->alloc, s->r, u);
    DMC_FREE(a->alloc, s->row, 3 * (size_t)s->most * u);
    DMC_FREE(a->alloc, s->kappa, kappa_count(s));
    DMC_FREE(a->alloc, s->latents, latent_count(s));
    DMC_FREE(a->alloc, s->slope, (size_t)s->batch * s->elems);
    dmc__entropy_destroy(s->entropy);
    DMC_FREE(a->alloc, s, 1);
}

/* ---- chains ----------------------------------------------------------------------------------------- */

dmc_status dmc__rl_draw(dmc__rl *s, void *dz, dmc__align_note *note)
{
    dmc__align *a = s->a;
    const int32_t rows = dmc__rollout_rows(s->chain), repeat = dmc__rollout_group(s->chain);
    const uint64_t draw = dmc__align_draw(a);
    DMC_TRY(dmc__align_condition(a, s->chain, s->batch / repeat, repeat, draw, 0));
    dmc__rollout_bind(s->chain, dmc__learner_weights(a->learner), NULL, rows);
    DMC_TRY(dmc__rollout_run(s->chain, a->config.seed, draw, 0, 1));
    const void *z0 = dmc__rollout_latent(s->chain, rows), *cond = dmc__rollout_cond(s->chain);
    if (s->rows > 1) DMC_TRY(s->reward.eval_rows(s->reward.self, z0, cond, 0, s->r));
    else DMC_TRY(s->reward.eval(s->reward.self, z0, cond, 0, s->r, dz));
    note->reward = 0;
    for (int32_t i = 0; i < s->units; i++) note->reward += s->r[i] / (double)s->units;
    return DMC_OK;
}

/* The first draw is the reference's own. */
dmc_status dmc__rl_measure_entropy(dmc__rl *s, dmc__align_note *note)
{
    const void *z0 = dmc__rollout_latent(s->chain, dmc__rollout_rows(s->chain));
    if (!s->entropy) return DMC_OK;
    DMC_TRY(dmc__dev_out(s->a->device, dmc__entropy_samples(s->entropy), z0, (size_t)s->batch * s->elems));
    dmc__entropy_measure(s->entropy, s->a->view.planner ? s->a->mask : NULL);
    note->entropy = dmc__entropy_value(s->entropy);
    note->spread = dmc__entropy_spread(s->entropy);
    if (s->first_spread == 0) s->first_spread = note->spread;
    if (s->c.entropy_target > 0)
        s->entropy_weight = dmc__entropy_tune(s->entropy_weight, s->c.entropy, note->spread, s->c.entropy_target * s->first_spread);
    return DMC_OK;
}

/* ---- divergence ------------------------------------------------------------------------------------- */

static double exact_std(const dmc__rl *s, const dmc__row *r)
{
    return fmax(r->logp_std, s->a->config.std_floor);
}

/* The deviation that turns |mu - mu_ref|^2/(2 std^2) into the divergence wanted: sigma~ for the exact KL; since
 * mu - mu_ref = -a sigma/alpha (eps - eps_ref), std = a sigma/(alpha sqrt 2) gives |eps - eps_ref|^2, whose weight does not
 * span the factor 1000 between noisy and clean steps that the exact one does (methods.md 2.4). */
static double kl_std(const dmc__rl *s, const dmc__row *r)
{
    return s->c.kl_exact ? exact_std(s, r) : fabs(r->a) * r->at.sigma / (r->at.alpha * sqrt(2));
}

dmc_status dmc__rl_add_kl(dmc__rl *s, int32_t j, double weight, int32_t sum)
{
    dmc__device *d = s->a->device;
    const int32_t row = dmc__rl_row(s, j);
    const dmc__row *r = dmc__rollout_row(s->chain, row);
    DMC_TRY(dmc__chain_mean(s->ref, s->chain, row, dmc__rollout_latent(s->chain, row), s->mu_ref));
    dmc_kargs k = {.in = {s->mu, s->mu_ref}, .out = dmc__rl_part(s, s->kl, j, (size_t)s->batch),
                   .par = {dmc__rollout_mask(s->chain)}, .dout = s->dkl, .din = {s->dmu}, .acc = 1,
                   .dim = {s->batch, (int32_t)s->elems}, .attr = {exact_std(s, r), 1}};
    dmc_kargs fill = {.out = s->dkl, .dim = {s->batch}, .attr = {weight / s->batch}};
    DMC_TRY(dmc__dev_run(d, DMC_OP_GAUSS_KL, &k)); /* reported in nats whatever is minimised */
    DMC_TRY(dmc__dev_run(d, DMC_OP_FILL, &fill));
    k.attr[0] = kl_std(s, r);
    k.attr[1] = sum ? 0 : 1;
    return dmc__dev_run_bwd(d, DMC_OP_GAUSS_KL, &k);
}

dmc_status dmc__rl_note_kl(dmc__rl *s, dmc__align_note *note)
{
    const size_t n = (size_t)s->k * (size_t)s->batch;
    note->kl = NAN;
    if (s->kl_weight <= 0) return DMC_OK;
    DMC_TRY(dmc__dev_out(s->a->device, s->row, s->kl, n));
    note->kl = 0;
    for (size_t i = 0; i < n; i++) note->kl += s->row[i] / (double)s->batch;
    return DMC_OK;
}
