/* rl.c — reinforcement learning through the denoising steps (paper section 3.1; methods.md 2).
 *
 * The denoising policy is pi(z'|z,c) = N(mu_theta(z,t,c), S^2) and only the last K transitions learn.
 *   REINFORCE (eq. 8)  L = -mean kappa A log pi(z'|z)
 *   PPO                L =  mean max(-kappa A rho, -kappa A clip(rho, 1-e, 1+e)),  rho = pi/pi_old
 *   QV-PG (eq. 9)      L = -mean r(z_0), differentiated through the chain: g <- dmu/dz^T g
 * each plus beta times a divergence from mu_ref per step, ref = the weights at the start of the stage.
 */
#include <math.h>
#include <string.h>

#include "rl.h"
#include "credit.h"

typedef struct rl {
    dmc__align *a;
    dmc__rl_config c;
    int32_t k, batch;            /* learning rows, samples */
    size_t elems;
    double kl_weight, reward_std;
    dmc__rollout *chain;         /* noisy table for likelihood ratios; table of evaluation for QV-PG */
    dmc__chain *now, *ref;
    dmc__reward reward;
    void *ref_weights;
    void *memory;                /* one device block, cut into: */
    void *mu, *mu_ref, *dmu, *g; /* (batch, elems)               */
    void *logp, *dlogp, *kl, *adv, *stats; /* (batch), stats (batch,3) */
    void *old;                   /* (K, batch) log-probabilities */
    void *kappa_dev;             /* (batch) */
    double *kappa;               /* (K), or (batch, K) for PROJ */
    float *r, *row;              /* host (batch), (batch,3) */
    float *latents;              /* host (K+1, batch, elems), PROJ only */
} rl;

static size_t device_elems(const rl *s)
{
    const size_t b = (size_t)s->batch;
    return 4 * b * s->elems + 8 * b + (size_t)s->k * b;
}

static dmc_status cut_memory(rl *s)
{
    const dmc__device *d = s->a->device;
    const size_t b = (size_t)s->batch, be = b * s->elems;
    DMC_TRY(dmc__dev_alloc(s->a->device, device_elems(s), &s->memory));
    s->mu = s->memory;
    s->mu_ref = dmc__dev_at(d, s->memory, be);
    s->dmu = dmc__dev_at(d, s->memory, 2 * be);
    s->g = dmc__dev_at(d, s->memory, 3 * be);
    s->logp = dmc__dev_at(d, s->memory, 4 * be);
    s->dlogp = dmc__dev_at(d, s->logp, b);
    s->kl = dmc__dev_at(d, s->logp, 2 * b);
    s->adv = dmc__dev_at(d, s->logp, 3 * b);
    s->kappa_dev = dmc__dev_at(d, s->logp, 4 * b);
    s->stats = dmc__dev_at(d, s->logp, 5 * b);
    s->old = dmc__dev_at(d, s->logp, 8 * b);
    return DMC_OK;
}

static int32_t per_sample_kappa(const rl *s)
{
    return s->c.kappa == DMC__KAPPA_PROJ;
}

static dmc_status make_host(rl *s)
{
    const dmc__allocator *al = s->a->alloc;
    const size_t b = (size_t)s->batch, k = (size_t)s->k;
    DMC_TRY(DMC_NEW(al, b, &s->r));
    DMC_TRY(DMC_NEW(al, 3 * b, &s->row));
    DMC_TRY(DMC_NEW(al, per_sample_kappa(s) ? b * k : k, &s->kappa));
    if (per_sample_kappa(s)) return DMC_NEW(al, (k + 1) * b * s->elems, &s->latents);
    dmc__credit_kappa(s->c.kappa, s->k, s->c.kappa_gamma, s->kappa);
    return DMC_OK;
}

static dmc_status make_chains(rl *s)
{
    dmc__align *a = s->a;
    dmc__table table;
    const int32_t qvpg = s->c.method == DMC__RL_QVPG;
    DMC_TRY(dmc__align_table(a, qvpg ? 0 : a->config.std_floor, &table));
    const int32_t group = qvpg ? 1 : a->config.candidates;
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

static void rl_free(rl *s)
{
    dmc__align *a = s->a;
    const size_t b = (size_t)s->batch, k = (size_t)s->k;
    if (s->reward.self) a->hooks.free_reward(a->hooks.user, &s->reward);
    dmc__dev_free(a->device, s->ref_weights, dmc__graph_param_elems(a->net->graph));
    dmc__dev_free(a->device, s->memory, device_elems(s));
    dmc__chain_destroy(s->ref);
    dmc__chain_destroy(s->now);
    dmc__rollout_destroy(s->chain);
    DMC_FREE(a->alloc, s->r, b);
    DMC_FREE(a->alloc, s->row, 3 * b);
    DMC_FREE(a->alloc, s->kappa, per_sample_kappa(s) ? b * k : k);
    DMC_FREE(a->alloc, s->latents, (k + 1) * b * s->elems);
}

/* Row of the table that learning row j is: j = K-1 ends in z_0. */
static int32_t table_row(const rl *s, int32_t j)
{
    return dmc__rollout_rows(s->chain) - s->k + j;
}

/* The deviation that turns |mu - mu_ref|^2/(2 std^2) into the divergence wanted: sigma~ for the exact KL; since
 * mu - mu_ref = -a sigma/alpha (eps - eps_ref), std = a sigma/(alpha sqrt 2) gives |eps - eps_ref|^2, whose weight does not
 * span the factor 1000 between noisy and clean steps that the exact one does (methods.md 2.4). */
static double kl_std(const rl *s, int32_t row)
{
    const dmc__row *r = dmc__rollout_row(s->chain, row);
    if (s->c.kl_exact) return fmax(r->logp_std, s->a->config.std_floor);
    return fabs(r->a) * r->at.sigma / (r->at.alpha * sqrt(2));
}

/* dmu (+)= kl_weight/batch d KL(mu||mu_ref)/dmu; adds the mean KL of the row to note->kl. */
static dmc_status add_kl(rl *s, int32_t row, uint32_t acc, dmc__align_note *note)
{
    dmc__device *d = s->a->device;
    DMC_TRY(dmc__chain_mean(s->ref, s->chain, row, dmc__rollout_latent(s->chain, row), s->mu_ref));
    dmc_kargs k = {.in = {s->mu, s->mu_ref}, .out = s->kl, .par = {dmc__rollout_mask(s->chain)}, .dout = s->dlogp,
                   .din = {s->dmu}, .acc = acc, .dim = {s->batch, (int32_t)s->elems}, .attr = {kl_std(s, row), 1}};
    dmc_kargs fill = {.out = s->dlogp, .dim = {s->batch}, .attr = {s->kl_weight / s->batch}};
    DMC_TRY(dmc__dev_run(d, DMC_OP_GAUSS_KL, &k));
    DMC_TRY(dmc__dev_out(d, s->row, s->kl, (size_t)s->batch));
    for (int32_t b = 0; b < s->batch; b++) note->kl += s->row[b] / (double)s->batch;
    DMC_TRY(dmc__dev_run(d, DMC_OP_FILL, &fill));
    return dmc__dev_run_bwd(d, DMC_OP_GAUSS_KL, &k);
}

/* Draw the batch's chains with the present weights and their rewards into s->r. */
static dmc_status draw_chains(rl *s, void *dz, dmc__align_note *note)
{
    dmc__align *a = s->a;
    const int32_t rows = dmc__rollout_rows(s->chain), repeat = dmc__rollout_group(s->chain);
    const uint64_t draw = dmc__align_draw(a);
    DMC_TRY(dmc__align_condition(a, s->chain, s->batch / repeat, repeat, draw, 0));
    dmc__rollout_bind(s->chain, dmc__learner_weights(a->learner), NULL, rows);
    DMC_TRY(dmc__rollout_run(s->chain, a->config.seed, draw, 0, 1));
    DMC_TRY(s->reward.eval(s->reward.self, dmc__rollout_latent(s->chain, rows), dmc__rollout_cond(s->chain), 0, s->r, dz));
    note->reward = 0;
    for (int32_t b = 0; b < s->batch; b++) note->reward += s->r[b] / (double)s->batch;
    return DMC_OK;
}

/* ---- QV-PG ------------------------------------------------------------------------------------------ */

/* g <- -1/(batch std) g: the gradient of the loss, from the gradient of the reward. */
static dmc_status seed_reward_gradient(rl *s)
{
    dmc_kargs zero = {.out = s->g, .dim = {s->batch * (int32_t)s->elems}, .attr = {0}};
    DMC_TRY(dmc__dev_run(s->a->device, DMC_OP_FILL, &zero));
    /* LERP: out = (1-r) out + r x with out = 0 scales x by r. */
    dmc_kargs scale = {.in = {s->dmu}, .out = s->g, .dim = {s->batch * (int32_t)s->elems},
                       .attr = {-1 / (s->batch * s->reward_std)}};
    return dmc__dev_run(s->a->device, DMC_OP_LERP, &scale);
}

/* g <- what it is before the row, and the gradient of the row's parameters. The divergence does not pass through the latent: it is
 * of two networks at the same one, and what both do to it all but cancels. */
static dmc_status row_through(rl *s, int32_t j, int32_t row, dmc__align_note *note)
{
    dmc__device *d = s->a->device;
    const size_t n = (size_t)s->batch * s->elems;
    dmc_kargs scale = {.in = {s->g}, .out = s->dmu, .dim = {(int32_t)n}, .attr = {s->kappa[j]}};
    dmc_kargs zero = {.out = s->dmu, .dim = {(int32_t)n}};
    if (s->kl_weight <= 0) {
        DMC_TRY(dmc__dev_copy(d, s->dmu, s->g, n));
        return dmc__chain_backward(s->now, s->dmu, s->kappa[j], j > 0 ? s->g : NULL);
    }
    DMC_TRY(dmc__dev_run(d, DMC_OP_FILL, &zero));
    DMC_TRY(dmc__dev_run(d, DMC_OP_LERP, &scale));
    DMC_TRY(add_kl(s, row, 1, note));
    if (j > 0) DMC_TRY(dmc__chain_backward(s->now, s->g, 0, s->g));
    return dmc__chain_backward(s->now, s->dmu, 1, NULL);
}

static dmc_status update_qvpg(rl *s, dmc__align_note *note)
{
    DMC_TRY(draw_chains(s, s->dmu, note));
    DMC_TRY(seed_reward_gradient(s));
    note->loss = -note->reward / s->reward_std;
    for (int32_t j = s->k - 1; j >= 0; j--) {
        const int32_t row = table_row(s, j);
        DMC_TRY(dmc__chain_mean(s->now, s->chain, row, dmc__rollout_latent(s->chain, row), s->mu));
        DMC_TRY(row_through(s, j, row, note));
    }
    return DMC_OK;
}

/* ---- REINFORCE and PPO ------------------------------------------------------------------------------ */

static dmc_status row_logp(rl *s, int32_t j, void *out, dmc_kargs *k)
{
    const int32_t row = table_row(s, j);
    const void *z = dmc__rollout_latent(s->chain, row), *next = dmc__rollout_latent(s->chain, row + 1);
    DMC_TRY(dmc__chain_mean(s->now, s->chain, row, z, s->mu));
    *k = (dmc_kargs){.in = {next, s->mu}, .out = out, .par = {dmc__rollout_mask(s->chain)}, .dout = s->dlogp,
                     .din = {NULL, s->dmu}, .dim = {s->batch, (int32_t)s->elems},
                     .attr = {dmc__rollout_row(s->chain, row)->logp_std, 1, -5, 2}};
    return dmc__dev_run(s->a->device, DMC_OP_GAUSS_LOGP, k);
}

static void *old_row(const rl *s, int32_t j)
{
    return dmc__dev_at(s->a->device, s->old, (size_t)j * (size_t)s->batch);
}

static dmc_status project_kappa(rl *s)
{
    const size_t b = (size_t)s->batch, e = s->elems;
    const float *chain[1025]; /* K <= 1000 rows, the public bound, plus one */
    for (int32_t j = 0; j <= s->k; j++)
        DMC_TRY(dmc__dev_out(s->a->device, s->latents + (size_t)j * b * e,
                             dmc__rollout_latent(s->chain, table_row(s, j)), b * e));
    for (size_t i = 0; i < b; i++) {
        for (int32_t j = 0; j <= s->k; j++) chain[j] = s->latents + ((size_t)j * b + i) * e;
        const float *mask = s->a->view.planner ? s->a->mask + i * e : NULL;
        dmc__credit_projection(chain, s->k, e, mask, s->kappa + i * (size_t)s->k);
    }
    return DMC_OK;
}

static dmc_status stage_kappa(rl *s, int32_t j)
{
    for (int32_t b = 0; b < s->batch; b++)
        s->row[b] = (float)(per_sample_kappa(s) ? s->kappa[(size_t)b * (size_t)s->k + (size_t)j] : s->kappa[j]);
    return dmc__dev_in(s->a->device, s->kappa_dev, s->row, (size_t)s->batch);
}

/* Gradient of one learning row for every chain of the batch. */
static dmc_status row_gradient(rl *s, int32_t j, dmc__align_note *note)
{
    dmc__device *d = s->a->device;
    dmc_kargs logp;
    DMC_TRY(row_logp(s, j, s->logp, &logp));
    DMC_TRY(stage_kappa(s, j));
    dmc_kargs seed = {.in = {s->logp, old_row(s, j), s->adv}, .par = {s->kappa_dev}, .out = s->dlogp, .out2 = s->stats,
                      .dim = {s->batch},
                      .attr = {s->c.method == DMC__RL_PPO ? 1 : 0, s->c.clip, 1.0 / s->k}};
    DMC_TRY(dmc__dev_run(d, DMC_OP_PG_SEED, &seed));
    DMC_TRY(dmc__dev_run_bwd(d, DMC_OP_GAUSS_LOGP, &logp));
    if (s->kl_weight > 0) DMC_TRY(add_kl(s, table_row(s, j), 1, note));
    return dmc__chain_backward(s->now, s->dmu, 1, NULL);
}

/* Mean over the batch of the seed's first column. */
static dmc_status mean_loss(rl *s, double *loss)
{
    DMC_TRY(dmc__dev_out(s->a->device, s->row, s->stats, 3 * (size_t)s->batch));
    *loss = 0;
    for (int32_t b = 0; b < s->batch; b++) *loss += s->row[3 * b] / (double)s->batch;
    return DMC_OK;
}

static dmc_status update_ratio(rl *s, dmc__align_note *note)
{
    dmc__align *a = s->a;
    const int32_t pool = a->config.candidates;
    const int32_t epochs = s->c.method == DMC__RL_PPO ? s->c.epochs : 1;
    dmc_kargs unused;
    DMC_TRY(draw_chains(s, NULL, note));
    dmc__credit_advantage(s->r, s->batch / pool, pool, s->c.advantage_clip, s->r);
    DMC_TRY(dmc__dev_in(a->device, s->adv, s->r, (size_t)s->batch));
    if (per_sample_kappa(s)) DMC_TRY(project_kappa(s));
    for (int32_t j = 0; j < s->k; j++) DMC_TRY(row_logp(s, j, old_row(s, j), &unused));
    for (int32_t e = 0; e < epochs; e++) {
        const dmc__adamw_config opt = dmc__align_adamw(a);
        note->kl = 0;
        for (int32_t j = s->k - 1; j >= 0; j--) DMC_TRY(row_gradient(s, j, note));
        DMC_TRY(mean_loss(s, &note->loss));
        if (e + 1 < epochs) DMC_TRY(dmc__learner_update(a->learner, &opt, NULL));
    }
    return DMC_OK;
}

/* ---- the stage -------------------------------------------------------------------------------------- */

static dmc_status update(void *self, int32_t u, dmc__align_note *note)
{
    rl *s = self;
    (void)u;
    const dmc__adamw_config opt = dmc__align_adamw(s->a);
    note->kl = 0;
    DMC_TRY(s->c.method == DMC__RL_QVPG ? update_qvpg(s, note) : update_ratio(s, note));
    return dmc__learner_update(s->a->learner, &opt, NULL);
}

static void tighten(void *self)
{
    rl *s = self;
    s->kl_weight = s->kl_weight > 0 ? 2 * s->kl_weight : 0.1;
    s->c.clip *= 0.5;
}

static dmc_status check(const dmc__align *a, const dmc__rl_config *c)
{
    if (c->last_k > dmc__align_steps(a))
        return dmc__fail(DMC_ERANGE, "dmc_align_rl: last_k = %d, must be 0..%d (the steps of a sample)", c->last_k,
                         dmc__align_steps(a));
    if (c->method == DMC__RL_QVPG && c->kappa == DMC__KAPPA_PROJ)
        return dmc__fail(DMC_EINVAL, "dmc_align_rl: kappa = proj weighs likelihood terms, method qvpg has none");
    return DMC_OK;
}

dmc_status dmc__rl_run(dmc__align *a, const dmc__rl_config *c, dmc__align_result *r)
{
    double mean;
    dmc_status status;
    DMC_TRY(check(a, c));
    DMC_TRY(dmc__align_need_reward(a));
    rl s = {.a = a, .c = *c, .k = c->last_k ? c->last_k : dmc__align_steps(a), .batch = a->config.batch,
            .elems = dmc__align_elems(a), .kl_weight = c->kl};
    const dmc__stage stage = {.name = "rl", .updates = c->updates, .self = &s, .update = update, .tighten = tighten,
                              .learner = a->learner};
    DMC_TRY_GOTO(status, make_host(&s), done);
    DMC_TRY_GOTO(status, cut_memory(&s), done);
    DMC_TRY_GOTO(status, make_chains(&s), done);
    if (c->method == DMC__RL_QVPG && !s.reward.has_gradient) {
        status = dmc__fail(DMC_EINVAL, "dmc_align_rl: method = qvpg needs a reward with a gradient");
        goto done;
    }
    if (c->method == DMC__RL_QVPG) /* advantages carry their own scale */
        DMC_TRY_GOTO(status, dmc__align_reward_scale(a, &mean, &s.reward_std), done);
    status = dmc__stage_run(a, &stage, r);
done:
    rl_free(&s);
    return status;
}
