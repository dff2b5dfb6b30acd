/* iql.c — one update of V, Q and the target (Kostrikov et al. 2021). */
#include "iql.h"

#include <math.h>

#include <string.h>

#include "../backend/block.h"
#include "../backend/replay.h"
#include "iql_nets.h"

/* What an update leaves for the host, (B) each. */
enum note { V_VALUE, V_LOSS, Q_VALUE, Q_LOSS = Q_VALUE + 2, NOTES = Q_LOSS + 2 };

struct dmc__iql {
    const dmc__allocator *alloc;
    dmc__device *device;
    dmc__iql_config config;
    int64_t step;
    dmc__value_net *q, *v;
    dmc__learner *learn_q, *learn_v;
    dmc__plan *plan_q, *plan_v;     /* training plans; the target runs on plan_q, V(s') on plan_v */
    dmc__block memory;              /* cut into: */
    void *obs, *act, *next;         /* (B,S) (B,A) (B,S) */
    void *rew, *keep;               /* (B); keep = gamma (1 - terminal) */
    void *target;                   /* weights of the target twins, as the graph of q */
    void *y, *tq[2], *each;         /* (B); each = 1/B: the loss is a mean */
    void *note;                     /* (NOTES,B) */
    float *host;                    /* memory up to target, as it will be sent */
    float *read;                    /* (NOTES,B) host */
    dmc__replay replay;
};

/* ---- life -------------------------------------------------------------------------------------------- */

static dmc_status check_config(const dmc__iql_config *c)
{
    if (c->batch < 1 || c->batch > 1 << 20)
        return dmc__fail(DMC_ERANGE, "critic: batch = %d, must be 1..%d", c->batch, 1 << 20);
    if (c->obs_dim < 1 || c->act_dim < 1 || c->obs_dim > 65536 || c->act_dim > 65536 ||
        (int64_t)c->batch * (c->obs_dim > c->act_dim ? c->obs_dim : c->act_dim) > INT32_MAX)
        return dmc__fail(DMC_ERANGE, "critic: widths %d and %d with batch %d, must be 1..65536 and below 2^31 in all",
                         c->obs_dim, c->act_dim, c->batch);
    if (!(c->tau > 0 && c->tau < 1)) return dmc__fail(DMC_ERANGE, "critic: tau = %g, must be inside (0,1)", c->tau);
    if (!(c->gamma >= 0 && c->gamma <= 1)) return dmc__fail(DMC_ERANGE, "critic: gamma = %g, must be 0..1", c->gamma);
    if (!(c->polyak >= 0 && c->polyak <= 1))
        return dmc__fail(DMC_ERANGE, "critic: polyak = %g, must be 0..1", c->polyak);
    if (!(c->lr >= 0) || isinf(c->lr)) return dmc__fail(DMC_ERANGE, "critic: lr = %g, must be finite and >= 0", c->lr);
    return DMC_OK;
}

/* Elements from the beginning of the memory to one of its parts. */
static size_t place(const dmc__iql *q, const void *part)
{
    return dmc__block_place(q->device, &q->memory, part);
}

static float *staged(const dmc__iql *q, const void *part)
{
    return q->host + place(q, part);
}

static void *note(const dmc__iql *q, int32_t which)
{
    return dmc__dev_at(q->device, q->note, (size_t)which * (size_t)q->config.batch);
}

static dmc_status take_memory(dmc__iql *q)
{
    const size_t b = (size_t)q->config.batch, s = (size_t)q->config.obs_dim, a = (size_t)q->config.act_dim;
    const dmc__part part[] = {
        {&q->obs, b * s}, {&q->act, b * a}, {&q->next, b * s}, {&q->rew, b}, {&q->keep, b},
        {&q->target, dmc__graph_param_elems(q->q->graph)},
        {&q->y, b}, {&q->tq[0], b}, {&q->tq[1], b}, {&q->each, b}, {&q->note, NOTES * b},
    };
    DMC_TRY(dmc__block_alloc(q->device, part, sizeof part / sizeof *part, &q->memory));
    DMC_TRY(dmc__dev_host_alloc(q->device, place(q, q->target) * sizeof *q->host, (void **)&q->host));
    DMC_TRY(dmc__dev_host_alloc(q->device, NOTES * b * sizeof *q->read, (void **)&q->read));
    dmc_kargs mean = {.out = q->each, .dim = {q->config.batch}, .attr = {1. / q->config.batch}};
    return dmc__dev_run(q->device, DMC_OP_FILL, &mean);
}

static dmc_status build(dmc__iql *q)
{
    const dmc__iql_config *c = &q->config;
    dmc__device *d = q->device;
    DMC_TRY(dmc__twin_q_create(q->alloc, c->obs_dim, c->act_dim, c->hidden, &q->q));
    DMC_TRY(dmc__v_create(q->alloc, c->obs_dim, c->hidden, &q->v));
    DMC_TRY(dmc__learner_create_fresh(q->q->graph, d, c->seed, 0, &q->learn_q));
    DMC_TRY(dmc__learner_create_fresh(q->v->graph, d, ~c->seed, 0, &q->learn_v)); /* not the numbers of Q */
    DMC_TRY(dmc__plan_create(q->q->graph, d, c->batch, DMC__PLAN_TRAIN, NULL, &q->plan_q));
    DMC_TRY(dmc__plan_create(q->v->graph, d, c->batch, DMC__PLAN_TRAIN, NULL, &q->plan_v));
    dmc__plan_bind(q->plan_v, dmc__learner_weights(q->learn_v), dmc__learner_grads(q->learn_v));
    DMC_TRY(take_memory(q));
    return dmc__dev_copy(d, q->target, dmc__learner_weights(q->learn_q), dmc__graph_param_elems(q->q->graph));
}

dmc_status dmc__iql_create(const dmc__allocator *a, dmc__device *d, const dmc__iql_config *c, dmc__iql **out)
{
    *out = NULL;
    dmc__iql *q = NULL;
    DMC_TRY(check_config(c));
    DMC_TRY(DMC_NEW(a, 1, &q));
    q->alloc = a;
    q->device = d;
    q->config = *c;
    const dmc_status status = build(q);
    if (status < 0) {
        dmc__iql_destroy(q);
        return status;
    }
    *out = q;
    return DMC_OK;
}

void dmc__iql_destroy(dmc__iql *q)
{
    if (!q) return;
    dmc__replay_drop(q->device, &q->replay);
    if (q->read) dmc__dev_host_free(q->device, q->read, NOTES * (size_t)q->config.batch * sizeof *q->read);
    if (q->host) dmc__dev_host_free(q->device, q->host, place(q, q->target) * sizeof *q->host);
    dmc__block_free(q->device, &q->memory);
    dmc__plan_destroy(q->plan_v);
    dmc__plan_destroy(q->plan_q);
    dmc__learner_destroy(q->learn_v);
    dmc__learner_destroy(q->learn_q);
    dmc__value_net_destroy(q->v);
    dmc__value_net_destroy(q->q);
    DMC_FREE(q->alloc, q, 1);
}

/* ---- one update --------------------------------------------------------------------------------------- */

static dmc_status copy_to(dmc__iql *q, dmc__plan *p, dmc__val v, const void *from, int32_t width)
{
    return dmc__dev_copy(q->device, dmc__plan_value(p, v), from, (size_t)q->config.batch * (size_t)width);
}

static dmc_status forward_q(dmc__iql *q, const void *weights, void *grads)
{
    dmc__plan_bind(q->plan_q, weights, grads);
    DMC_TRY(copy_to(q, q->plan_q, q->q->obs, q->obs, q->config.obs_dim));
    DMC_TRY(copy_to(q, q->plan_q, q->q->act, q->act, q->config.act_dim));
    return dmc__plan_forward(q->plan_q);
}

static dmc_status forward_v(dmc__iql *q, const void *obs)
{
    DMC_TRY(copy_to(q, q->plan_v, q->v->obs, obs, q->config.obs_dim));
    return dmc__plan_forward(q->plan_v);
}

/* (1) V by expectile regression towards min(Qt1,Qt2). */
static dmc_status update_v(dmc__iql *q)
{
    const size_t b = (size_t)q->config.batch;
    DMC_TRY(forward_q(q, q->target, dmc__learner_grads(q->learn_q)));
    for (int32_t i = 0; i < 2; i++) DMC_TRY(dmc__dev_copy(q->device, q->tq[i], dmc__plan_value(q->plan_q, q->q->out[i]), b));
    DMC_TRY(forward_v(q, q->obs));
    const void *v = dmc__plan_value(q->plan_v, q->v->out[0]);
    dmc_kargs k = {.in = {v, q->tq[0], q->tq[1]}, .out = note(q, V_LOSS), .dim = {q->config.batch}, .attr = {q->config.tau}};
    DMC_TRY(dmc__dev_copy(q->device, note(q, V_VALUE), v, b));
    DMC_TRY(dmc__dev_run(q->device, DMC_OP_EXPECTILE, &k));
    k.dout = q->each;
    k.din[0] = dmc__plan_grad(q->plan_v, q->v->out[0]);
    DMC_TRY(dmc__dev_run_bwd(q->device, DMC_OP_EXPECTILE, &k));
    DMC_TRY(dmc__plan_backward(q->plan_v));
    return dmc__learner_apply(q->learn_v);
}

/* y = r + gamma (1 - term) V(s') with the V just updated. */
static dmc_status make_targets(dmc__iql *q)
{
    DMC_TRY(forward_v(q, q->next));
    dmc_kargs k = {.in = {q->rew, q->keep, dmc__plan_value(q->plan_v, q->v->out[0])},
                   .out = q->y, .dim = {q->config.batch}};
    return dmc__dev_run(q->device, DMC_OP_TD_TARGET, &k);
}

/* Loss and seed of one twin. */
static dmc_status regress_twin(dmc__iql *q, int32_t twin)
{
    const dmc__val out = q->q->out[twin];
    const void *value = dmc__plan_value(q->plan_q, out);
    dmc_kargs k = {.in = {value, q->y}, .out = note(q, Q_LOSS + twin), .dim = {q->config.batch, 1}};
    DMC_TRY(dmc__dev_copy(q->device, note(q, Q_VALUE + twin), value, (size_t)q->config.batch));
    DMC_TRY(dmc__dev_run(q->device, DMC_OP_MSE, &k));
    k.dout = q->each;
    k.din[0] = dmc__plan_grad(q->plan_q, out);
    return dmc__dev_run_bwd(q->device, DMC_OP_MSE, &k);
}

/* (2) both twins towards y, (3) the target after them. */
static dmc_status update_q(dmc__iql *q)
{
    DMC_TRY(make_targets(q));
    DMC_TRY(forward_q(q, dmc__learner_weights(q->learn_q), dmc__learner_grads(q->learn_q)));
    for (int32_t twin = 0; twin < 2; twin++) DMC_TRY(regress_twin(q, twin));
    DMC_TRY(dmc__plan_backward(q->plan_q));
    DMC_TRY(dmc__learner_apply(q->learn_q));
    dmc_kargs k = {.in = {dmc__learner_weights(q->learn_q)}, .out = q->target,
                   .dim = {(int32_t)dmc__graph_param_elems(q->q->graph)}, .attr = {q->config.polyak}};
    return dmc__dev_run(q->device, DMC_OP_LERP, &k);
}

/* All that the device does in an update. */
static dmc_status work(void *self)
{
    dmc__iql *q = self;
    DMC_TRY(dmc__dev_in(q->device, q->memory.memory, q->host, place(q, q->target)));
    DMC_TRY(update_v(q));
    DMC_TRY(update_q(q));
    return dmc__dev_out(q->device, q->read, q->note, NOTES * (size_t)q->config.batch);
}

/* Where an episode ends `next` may hold anything; zeros keep 0 * V(next) a number. */
static void stage(dmc__iql *q, const float *obs, const float *act, const float *rew, const float *next, const float *terminal)
{
    const size_t b = (size_t)q->config.batch, s = (size_t)q->config.obs_dim, a = (size_t)q->config.act_dim;
    float *const to = staged(q, q->next), *const keep = staged(q, q->keep);
    memcpy(staged(q, q->obs), obs, b * s * sizeof *obs);
    memcpy(staged(q, q->act), act, b * a * sizeof *act);
    memcpy(staged(q, q->rew), rew, b * sizeof *rew);
    for (size_t i = 0; i < b * s; i++) to[i] = terminal[i / s] >= 1 ? 0 : next[i];
    for (size_t i = 0; i < b; i++) keep[i] = (float)(q->config.gamma * (1 - (double)terminal[i]));
}

static dmc_status prepare(const dmc__iql *q, dmc__learner *l)
{
    dmc__adamw_config adam = dmc__adamw_defaults();
    adam.lr = dmc__lr_cosine(q->config.lr, q->step, 0, q->config.steps);
    adam.weight_decay = 0;
    adam.max_norm = 0;
    return dmc__learner_prepare(l, &adam);
}

static double mean(const dmc__iql *q, int32_t which)
{
    const size_t b = (size_t)q->config.batch;
    double sum = 0;
    for (size_t i = 0; i < b; i++) sum += q->read[(size_t)which * b + i] / (double)b;
    return sum;
}

/* Where a loss is not finite the gradient is not either, and the weights stay as they are. */
static dmc_status conclude(const char *name, dmc__learner *l, double loss)
{
    const dmc_status status = dmc__learner_conclude(l, NULL);
    return isfinite(loss) ? status : dmc__fail(DMC_ENUMERIC, "critic: the loss of %s is not finite", name);
}

dmc_status dmc__iql_update(dmc__iql *q, const float *obs, const float *act, const float *rew, const float *next,
                           const float *terminal, dmc__iql_metrics *m)
{
    stage(q, obs, act, rew, next, terminal);
    DMC_TRY(prepare(q, q->learn_v));
    DMC_TRY(prepare(q, q->learn_q));
    DMC_TRY(dmc__replay_run(q->device, &q->replay, work, q));
    const dmc__iql_metrics now = {.q_loss = mean(q, Q_LOSS) + mean(q, Q_LOSS + 1), .v_loss = mean(q, V_LOSS),
                                  .q_mean = (mean(q, Q_VALUE) + mean(q, Q_VALUE + 1)) / 2, .v_mean = mean(q, V_VALUE)};
    if (m) *m = now;
    DMC_TRY(conclude("V", q->learn_v, now.v_loss));
    DMC_TRY(conclude("Q", q->learn_q, now.q_loss));
    q->step++;
    return DMC_OK;
}

int64_t dmc__iql_step(const dmc__iql *q)
{
    return q->step;
}

void dmc__iql_set_step(dmc__iql *q, int64_t step)
{
    q->step = step;
}

/* ---- weights by name ---------------------------------------------------------------------------------- */

const dmc__graph *dmc__iql_graph(const dmc__iql *q, int32_t which)
{
    return which == DMC__IQL_V ? q->v->graph : q->q->graph;
}

void *dmc__iql_weights(const dmc__iql *q, int32_t which)
{
    if (which == DMC__IQL_TARGET) return q->target;
    return (void *)(uintptr_t)dmc__learner_weights(which == DMC__IQL_V ? q->learn_v : q->learn_q);
}

/* Device block -> learner. The learner keeps its own block, so that plans bound to it stay valid. */
static dmc_status adopt(dmc__iql *q, dmc__learner *l, const void *weights)
{
    const size_t n = dmc__learner_elems(l);
    float *host = NULL;
    DMC_TRY(DMC_NEW(q->alloc, n, &host));
    dmc_status status = dmc__dev_out(q->device, host, weights, n);
    if (status >= 0) status = dmc__learner_set(l, host);
    if (status >= 0) status = dmc__learner_reset_moments(l);
    DMC_FREE(q->alloc, host, n);
    return status;
}

dmc_status dmc__iql_adopt(dmc__iql *q, const void *q_weights, const void *target, const void *v)
{
    DMC_TRY(adopt(q, q->learn_q, q_weights));
    DMC_TRY(adopt(q, q->learn_v, v));
    return dmc__dev_copy(q->device, q->target, target, dmc__graph_param_elems(q->q->graph));
}

const dmc__iql_config *dmc__iql_get_config(const dmc__iql *q)
{
    return &q->config;
}

const dmc__value_net *dmc__iql_net(const dmc__iql *q, int32_t which)
{
    return which == DMC__IQL_V ? q->v : q->q;
}

dmc__device *dmc__iql_device(const dmc__iql *q)
{
    return q->device;
}
