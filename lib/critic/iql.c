/* iql.c — one update of V, Q and the target (Kostrikov et al. 2021). */
#include "iql.h"

#include <math.h>

#include "../backend/block.h"
#include "iql_nets.h"

struct dmc__iql {
    const dmc__allocator *alloc;
    dmc__device *device;
    dmc__iql_config config;
    int64_t step;
    dmc__value_net *q, *v;
    dmc__learner *learn_q, *learn_v;
    dmc__plan *plan_q, *plan_v;     /* training plans; the target runs on plan_q, V(s') on plan_v */
    dmc__block memory;              /* cut into: */
    void *target;                   /* weights of the target twins, as the graph of q */
    void *obs, *act, *next;         /* (B,S) (B,A) (B,S) */
    void *rew, *keep, *y;           /* (B); keep = gamma (1 - terminal) */
    void *tq[2], *loss, *each;      /* (B); each = 1/B: the loss is a mean */
    float *host;                    /* (B, max(S,2)) */
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

static size_t host_elems(const dmc__iql_config *c)
{
    return (size_t)c->batch * (size_t)(c->obs_dim > 2 ? c->obs_dim : 2);
}

static dmc_status take_memory(dmc__iql *q)
{
    const size_t b = (size_t)q->config.batch, s = (size_t)q->config.obs_dim, a = (size_t)q->config.act_dim;
    const dmc__part part[] = {
        {&q->target, dmc__graph_param_elems(q->q->graph)},
        {&q->obs, b * s}, {&q->act, b * a}, {&q->next, b * s},
        {&q->rew, b}, {&q->keep, b}, {&q->y, b}, {&q->tq[0], b}, {&q->tq[1], b}, {&q->loss, b}, {&q->each, b},
    };
    DMC_TRY(dmc__block_alloc(q->device, part, sizeof part / sizeof *part, &q->memory));
    DMC_TRY(DMC_NEW(q->alloc, host_elems(&q->config), &q->host));
    dmc_kargs mean = {.out = q->each, .dim = {q->config.batch}, .attr = {1. / q->config.batch}};
    return dmc__dev_run(q->device, DMC_OP_FILL, &mean);
}

/* Fresh weights and what learns them. */
static dmc_status create_learner(dmc__device *d, const dmc__graph *g, uint64_t seed, dmc__learner **out)
{
    const size_t n = dmc__graph_param_elems(g);
    void *weights = NULL;
    DMC_TRY(dmc__dev_alloc(d, n, &weights));
    dmc_status status = dmc__params_init(g, d, seed, weights);
    if (status >= 0) status = dmc__learner_create(g, d, weights, NULL, 0, out);
    dmc__dev_free(d, weights, n);
    return status;
}

static dmc_status build(dmc__iql *q)
{
    const dmc__iql_config *c = &q->config;
    dmc__device *d = q->device;
    DMC_TRY(dmc__twin_q_create(q->alloc, c->obs_dim, c->act_dim, c->hidden, &q->q));
    DMC_TRY(dmc__v_create(q->alloc, c->obs_dim, c->hidden, &q->v));
    DMC_TRY(create_learner(d, q->q->graph, c->seed, &q->learn_q));
    DMC_TRY(create_learner(d, q->v->graph, ~c->seed, &q->learn_v)); /* not the numbers of Q */
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
    DMC_FREE(q->alloc, q->host, host_elems(&q->config));
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

/* Mean of a device vector (B), added to *mean. */
static dmc_status add_mean(dmc__iql *q, const void *x, double *mean)
{
    const size_t b = (size_t)q->config.batch;
    DMC_TRY(dmc__dev_out(q->device, q->host, x, b));
    for (size_t i = 0; i < b; i++) *mean += q->host[i] / (double)b;
    return DMC_OK;
}

static dmc_status refuse_bad_loss(const char *name, double loss)
{
    return isfinite(loss) ? DMC_OK : dmc__fail(DMC_ENUMERIC, "critic: the loss of %s is not finite", name);
}

static dmc_status apply(dmc__iql *q, dmc__learner *l)
{
    dmc__adamw_config adam = dmc__adamw_defaults();
    adam.lr = dmc__lr_cosine(q->config.lr, q->step, 0, q->config.steps);
    adam.weight_decay = 0;
    adam.max_norm = 0;
    return dmc__learner_update(l, &adam, NULL);
}

/* (1) V by expectile regression towards min(Qt1,Qt2). */
static dmc_status update_v(dmc__iql *q, dmc__iql_metrics *m)
{
    DMC_TRY(forward_q(q, q->target, dmc__learner_grads(q->learn_q)));
    for (int32_t i = 0; i < 2; i++)
        DMC_TRY(dmc__dev_copy(q->device, q->tq[i], dmc__plan_value(q->plan_q, q->q->out[i]), (size_t)q->config.batch));
    DMC_TRY(forward_v(q, q->obs));
    const void *v = dmc__plan_value(q->plan_v, q->v->out[0]);
    dmc_kargs k = {.in = {v, q->tq[0], q->tq[1]}, .out = q->loss, .dim = {q->config.batch}, .attr = {q->config.tau}};
    DMC_TRY(dmc__dev_run(q->device, DMC_OP_EXPECTILE, &k));
    DMC_TRY(add_mean(q, v, &m->v_mean));
    DMC_TRY(add_mean(q, q->loss, &m->v_loss));
    DMC_TRY(refuse_bad_loss("V", m->v_loss));
    k.dout = q->each;
    k.din[0] = dmc__plan_grad(q->plan_v, q->v->out[0]);
    DMC_TRY(dmc__dev_run_bwd(q->device, DMC_OP_EXPECTILE, &k));
    DMC_TRY(dmc__plan_backward(q->plan_v));
    return apply(q, q->learn_v);
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
static dmc_status regress_twin(dmc__iql *q, int32_t twin, dmc__iql_metrics *m)
{
    const dmc__val out = q->q->out[twin];
    const void *value = dmc__plan_value(q->plan_q, out);
    double mean = 0;
    dmc_kargs k = {.in = {value, q->y}, .out = q->loss, .dim = {q->config.batch, 1}};
    DMC_TRY(dmc__dev_run(q->device, DMC_OP_MSE, &k));
    DMC_TRY(add_mean(q, q->loss, &m->q_loss));
    DMC_TRY(add_mean(q, value, &mean));
    m->q_mean += mean / 2;
    k.dout = q->each;
    k.din[0] = dmc__plan_grad(q->plan_q, out);
    return dmc__dev_run_bwd(q->device, DMC_OP_MSE, &k);
}

/* (2) both twins towards y, (3) the target after them. */
static dmc_status update_q(dmc__iql *q, dmc__iql_metrics *m)
{
    DMC_TRY(make_targets(q));
    DMC_TRY(forward_q(q, dmc__learner_weights(q->learn_q), dmc__learner_grads(q->learn_q)));
    for (int32_t twin = 0; twin < 2; twin++) DMC_TRY(regress_twin(q, twin, m));
    DMC_TRY(refuse_bad_loss("Q", m->q_loss));
    DMC_TRY(dmc__plan_backward(q->plan_q));
    DMC_TRY(apply(q, q->learn_q));
    dmc_kargs k = {.in = {dmc__learner_weights(q->learn_q)}, .out = q->target,
                   .dim = {(int32_t)dmc__graph_param_elems(q->q->graph)}, .attr = {q->config.polyak}};
    return dmc__dev_run(q->device, DMC_OP_LERP, &k);
}

/* Where an episode ends `next` may hold anything; zeros keep 0 * V(next) a number. */
static dmc_status load_next(dmc__iql *q, const float *next, const float *terminal)
{
    const size_t b = (size_t)q->config.batch, s = (size_t)q->config.obs_dim;
    for (size_t i = 0; i < b * s; i++) q->host[i] = terminal[i / s] >= 1 ? 0 : next[i];
    DMC_TRY(dmc__dev_in(q->device, q->next, q->host, b * s));
    for (size_t i = 0; i < b; i++) q->host[i] = (float)(q->config.gamma * (1 - (double)terminal[i]));
    return dmc__dev_in(q->device, q->keep, q->host, b);
}

dmc_status dmc__iql_update(dmc__iql *q, const float *obs, const float *act, const float *rew, const float *next,
                           const float *terminal, dmc__iql_metrics *m)
{
    const size_t b = (size_t)q->config.batch;
    dmc__iql_metrics unread;
    if (!m) m = &unread;
    *m = (dmc__iql_metrics){0};
    DMC_TRY(dmc__dev_in(q->device, q->obs, obs, b * (size_t)q->config.obs_dim));
    DMC_TRY(dmc__dev_in(q->device, q->act, act, b * (size_t)q->config.act_dim));
    DMC_TRY(dmc__dev_in(q->device, q->rew, rew, b));
    DMC_TRY(load_next(q, next, terminal));
    DMC_TRY(update_v(q, m));
    DMC_TRY(update_q(q, m));
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
