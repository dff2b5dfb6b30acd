/* sampler.c — making a sampler, and what it tells about itself; a call is in sampler_run.c. */
#include "sampler.h"

#include <math.h>
#include <string.h>

#include "../base/clock.h"
#include "../base/fp_mode.h"
#include "../nn/params.h"
#include "sampler_state.h"

/* ---- create ----------------------------------------------------------------------------------------- */

/* Bytes of one frame of every camera and condition. */
static size_t frame_bytes(const dmc__sampler *s)
{
    return (size_t)s->config.batch * (size_t)s->view.cameras * (size_t)s->view.frame;
}

/* A buffer: where its address goes, and its bytes. */
typedef struct buffer {
    void *at;
    size_t bytes;
} buffer;
enum { BUFFERS = 23 };

/* All that a sampler keeps on the host. */
static void list_buffers(dmc__sampler *s, buffer b[BUFFERS])
{
    const size_t batch = (size_t)s->config.batch, n_obs = (size_t)s->view.n_obs, act = (size_t)s->view.act->n;
    const size_t one = batch * s->elems, all = s->total * s->elems, number = sizeof(float);
    const size_t mean = s->config.select == DMC__SELECT_EXPECTATION ? (size_t)s->config.candidates * s->elems : 0;
    const size_t warm = s->config.warm_start > 0 ? all : 0;
    const buffer list[BUFFERS] = {
        {&s->history, batch * n_obs * (size_t)s->view.obs->n * number}, {&s->conds, batch * s->cond * number},
        {&s->mask, all * number}, {&s->known, all * number}, {&s->given, one * number}, {&s->given_z, one * number},
        {&s->placed, one * number}, {&s->moved, warm * number}, {&s->z, all * number},
        {&s->previous, s->cascade ? all * number : 0}, {&s->q, s->total * number}, {&s->q_previous, s->total * number},
        {&s->weight, (size_t)s->config.candidates * number}, {&s->raw, mean * number}, {&s->chosen, one * number},
        {&s->good, batch * (size_t)s->view.horizon * act * number}, {&s->frames, frame_bytes(s) * n_obs},
        {&s->image, frame_bytes(s)}, {&s->column, act}, {&s->given_mask, one}, {&s->placed_mask, one},
        {&s->pairs, dmc__sampler_pair_elems(s) * number}, {&s->inverted, dmc__sampler_inverted_elems(s) * number}};
    memcpy(b, list, sizeof list);
}

static dmc_status make_host(dmc__sampler *s)
{
    buffer b[BUFFERS];
    list_buffers(s, b);
    for (int32_t i = 0; i < BUFFERS; i++) {
        DMC_TRY(dmc__dev_host_alloc(s->ref.ctx->device, b[i].bytes, b[i].at));
        s->host_bytes += b[i].bytes;
    }
    return DMC_OK;
}

static void free_host(dmc__sampler *s)
{
    buffer b[BUFFERS];
    list_buffers(s, b);
    for (int32_t i = 0; i < BUFFERS; i++) {
        void *p;
        memcpy(&p, b[i].at, sizeof p);
        if (p) dmc__dev_host_free(s->ref.ctx->device, p, b[i].bytes);
    }
}

static size_t half_elems(const dmc__sampler *s, const dmc__net *net)
{
    return s->config.weights && net ? dmc__dev_half(s->ref.ctx->device, dmc__graph_param_elems(net->graph)) : 0;
}

static size_t own_elems(const dmc__sampler *s, const dmc__net *net)
{
    return s->records && net ? dmc__graph_param_elems(net->graph) : 0;
}

/* A network like `like`, room for its weights as floats and in 16 bits, and a roll-out of it; a cascade's is not guided. */
static dmc_status make_rollout(dmc__sampler *s, const dmc__net *like, const dmc__table *table, dmc__net **net, void **own,
                               void **half, dmc__rollout **out)
{
    const int32_t guided = out == &s->rollout;
    DMC_TRY(dmc__net_stretch(&s->ref.ctx->alloc, like, s->view.horizon, net));
    DMC_TRY(dmc__dev_alloc(s->ref.ctx->device, own_elems(s, *net), own));
    DMC_TRY(dmc__dev_alloc(s->ref.ctx->device, half_elems(s, *net), half));
    dmc__rollout_config c = {.batch = (int32_t)s->total, .group = s->config.candidates, .noised_known = s->model->spec.inpaint,
                             .live = s->records};
    if (guided) {
        c.null_share = 1 - s->config.guidance;
        c.guide = s->guide.guide;
    }
    return dmc__rollout_create(*net, s->ref.ctx->device, table, &c, out);
}

static dmc_status make_rollouts(dmc__sampler *s)
{
    const dmc__sampler_config *c = &s->config;
    const dmc__model *m = s->model;
    dmc__table_config tc = c->table;
    if (tc.steps == 0) tc.steps = m->process.steps;
    dmc__table table;
    DMC_TRY(dmc__table_create(&s->ref.ctx->alloc, &m->process, &tc, &table));
    dmc_status status = make_rollout(s, m->net, &table, &s->net, &s->own, &s->half, &s->rollout);
    if (status >= 0 && m->cascade && c->cascade_passes > 0)
        status = make_rollout(s, m->cascade, &table, &s->cascade_net, &s->cascade_own, &s->cascade_half, &s->cascade);
    dmc__table_free(&table);
    s->config.table.times = NULL; /* the caller's, read */
    return status;
}

static void use_model(dmc__sampler *s, const dmc__model *m)
{
    s->model = m;
    s->view = dmc__model_view(m, NULL);
    if (s->config.horizon > 0) s->view.horizon = s->config.horizon;
}

/* Weights for all rows of a roll-out; what is wanted in 16 bits is converted here, so that a call only reads. */
static dmc_status bind_rollout(const dmc__sampler *s, dmc__rollout *r, const dmc__net *net, const void *weights, void *own,
                               void *half)
{
    dmc__device *d = s->ref.ctx->device;
    const size_t n = dmc__graph_param_elems(net->graph);
    if (own) DMC_TRY(dmc__dev_copy(d, own, weights, n));
    dmc__rollout_bind(r, own ? own : weights, NULL, dmc__rollout_rows(r));
    if (half) DMC_TRY(dmc__params_narrow(d, weights, n, s->config.weights, half));
    if (half) dmc__rollout_bind_half(r, half, s->config.weights);
    return s->records ? dmc__rollout_settle(r) : DMC_OK;
}

static dmc_status bind_weights(dmc__sampler *s)
{
    DMC_TRY(dmc__dev_sync(s->model->ref.ctx->device)); /* the model may have been made a moment ago, in another queue */
    DMC_TRY(bind_rollout(s, s->rollout, s->net, s->model->weights, s->own, s->half));
    if (!s->cascade) return DMC_OK;
    return bind_rollout(s, s->cascade, s->cascade_net, s->model->cascade_weights, s->cascade_own, s->cascade_half);
}

static dmc_status check_config(const dmc__sampler_config *c, const dmc__model *m, const dmc__sampler_parts *p)
{
    DMC_TRY(dmc__model_draws(m, "dmc_sampler_create"));
    DMC_TRY(dmc__sampler_guide_check(c, m, p));
    DMC_TRY(dmc__sampler_warm_check(c, m));
    DMC_TRY(dmc__sampler_inverse_check(c, m, p->inverse));
    if (m->process.discrete && c->table.steps > m->process.steps)
        return dmc__fail(DMC_ERANGE, "dmc_sampler_create: steps = %d, must be 0..%d (the model's train_steps)", c->table.steps,
                         m->process.steps);
    if (c->select >= DMC__SELECT_GREEDY && !p->q)
        return dmc__fail(DMC_EINVAL, "dmc_sampler_create: select = %s needs a critic, critic is NULL",
                         c->select == DMC__SELECT_GREEDY ? "greedy" : "softmax");
    if ((int64_t)c->batch * c->candidates > 1 << 20)
        return dmc__fail(DMC_ERANGE, "dmc_sampler_create: batch * candidates = %d * %d, must be at most %d", c->batch,
                         c->candidates, 1 << 20);
    return DMC_OK;
}

static dmc_status make_judge(dmc__sampler *s, const dmc__iql *q, const dmc__critic_map *map)
{
    dmc__critic_map m = *map;
    m.horizon = s->view.horizon;
    return dmc__reward_critic_create(q, s->ref.ctx->device, &m, (int32_t)s->total, 0, 0, &s->judge);
}

/* A planner's condition is the return asked for, in every call the same: (return, 1). */
static dmc_status ask_return(dmc__sampler *s)
{
    for (size_t i = 0; s->view.returns && i < (size_t)s->config.batch; i++) {
        s->conds[2 * i] = (float)s->config.target_return;
        s->conds[2 * i + 1] = 1;
    }
    if (!s->view.returns) return DMC_OK;
    if (s->cascade) DMC_TRY(dmc__rollout_set_cond(s->cascade, s->conds));
    return dmc__rollout_set_cond(s->rollout, s->conds);
}

static dmc_status make_parts(dmc__sampler *s, const dmc__sampler_parts *p)
{
    if (!dmc__device_shares(s->ref.ctx->device, s->model->ref.ctx->device))
        return dmc__fail(DMC_EINVAL, "dmc_sampler_create: the context's device is %s, the model lives on %s", s->ref.ctx->name,
                         s->model->ref.ctx->name);
    DMC_TRY(dmc__sampler_guide_create(&s->config, &s->view, s->ref.ctx->device, p, s->total, &s->guide));
    s->records = dmc__dev_records(s->ref.ctx->device);
    DMC_TRY(make_rollouts(s));
    DMC_TRY(make_host(s));
    DMC_TRY(dmc__sampler_make_inverse(s, p->inverse));
    s->warm_row = dmc__sampler_warm_row(s);
    DMC_TRY(ask_return(s));
    DMC_TRY(dmc__sampler_mark_columns(s));
    s->config.rotations = s->config.majorities = (dmc__columns){NULL, 0}; /* the caller's, read */
    if (p->q) DMC_TRY(make_judge(s, p->q, p->q_map));
    return bind_weights(s);
}

/* Work of its own need not wait for the context's, where the device has such. */
static dmc_status take_context(dmc__sampler *s, const dmc__context_ref *ref)
{
    dmc__context *fork;
    s->ref = *ref;
    DMC_TRY(dmc__context_fork(ref->ctx, &fork));
    if (!fork) return DMC_OK;
    s->base = *ref;
    s->ref = (dmc__context_ref){fork, 1};
    return DMC_OK;
}

dmc_status dmc__sampler_create(const dmc__context_ref *ref, const dmc__model *m, const dmc__sampler_parts *parts,
                               const dmc__sampler_config *c, dmc__sampler **out)
{
    dmc__sampler *s;
    *out = NULL;
    dmc_status status = check_config(c, m, parts);
    if (status >= 0) status = DMC_NEW(&ref->ctx->alloc, 1, &s);
    if (status < 0) {
        dmc__context_release(&(dmc__context_ref){ref->ctx, ref->owned});
        return status;
    }
    s->clock = dmc__clock_ns;
    s->config = *c;
    use_model(s, m);
    s->elems = dmc__view_elems(&s->view);
    s->cond = (size_t)dmc__view_cond(&s->view);
    s->total = (size_t)c->batch * (size_t)c->candidates;
    status = take_context(s, ref);
    if (status >= 0) status = make_parts(s, parts);
    if (status >= 0) status = dmc__sampler_warm_up(s);
    if (status >= 0) status = dmc__sampler_record(s);
    if (status < 0) dmc__sampler_destroy(s);
    else *out = s;
    return status;
}

void dmc__sampler_destroy(dmc__sampler *s)
{
    if (!s) return;
    dmc__context_ref ref = s->ref, base = s->base;
    dmc__sampler_erase(s);
    if (s->judge.self) dmc__reward_critic_free(&s->judge);
    dmc__inverse_pass_destroy(s->inverse);
    dmc__rollout_destroy(s->cascade);
    dmc__rollout_destroy(s->rollout);
    dmc__sampler_guide_free(&s->guide);
    dmc__dev_free(ref.ctx->device, s->cascade_half, half_elems(s, s->cascade_net));
    dmc__dev_free(ref.ctx->device, s->half, half_elems(s, s->net));
    dmc__dev_free(ref.ctx->device, s->cascade_own, own_elems(s, s->cascade_net));
    dmc__dev_free(ref.ctx->device, s->own, own_elems(s, s->net));
    dmc__net_destroy(s->cascade_net);
    dmc__net_destroy(s->net);
    free_host(s);
    const dmc__allocator alloc = ref.ctx->alloc; /* a context of the sampler's own is about to go */
    DMC_FREE(&alloc, s, 1);
    dmc__context_release(&ref);
    dmc__context_release(&base);
}

/* ---- the rest --------------------------------------------------------------------------------------- */

void dmc__sampler_set_image(dmc__sampler *s, int32_t camera, const uint8_t *pixels)
{
    const size_t n = (size_t)s->config.batch * (size_t)s->view.frame;
    memcpy(s->image + (size_t)camera * n, pixels, n);
    s->fresh[camera] = 1;
}

void dmc__sampler_reset(dmc__sampler *s, uint64_t seed)
{
    memset(s->fresh, 0, sizeof s->fresh);
    s->config.seed = seed;
    s->call = 0;
    s->seen = 0;
    s->have_good = 0;
    s->have_plan = 0;
    s->run = (dmc__sampler_run){0};
    s->facts = (dmc__sampler_facts){.chosen = -1, .q = NAN, .seed = seed};
}

static int32_t same_units(const dmc__normaliser *a, const dmc__normaliser *b)
{
    const size_t bytes = (size_t)a->n * sizeof *a->lo;
    return a->kind == b->kind && dmc__normaliser_alike(a, b) && memcmp(a->lo, b->lo, bytes) == 0 &&
           memcmp(a->hi, b->hi, bytes) == 0;
}

static int32_t same_contract(const dmc__model *a, const dmc__model *b)
{
    return memcmp(&a->spec.net, &b->spec.net, sizeof a->spec.net) == 0 && a->spec.role == b->spec.role &&
           a->spec.states_only == b->spec.states_only && a->spec.n_obs == b->spec.n_obs && a->spec.memory == b->spec.memory &&
           memcmp(&a->spec.process, &b->spec.process, sizeof a->spec.process) == 0 && a->spec.returns == b->spec.returns &&
           a->spec.return_min == b->spec.return_min && a->spec.return_max == b->spec.return_max &&
           a->spec.inpaint == b->spec.inpaint && same_units(&a->obs, &b->obs) &&
           same_units(&a->act, &b->act) && !a->cascade == !b->cascade;
}

dmc_status dmc__sampler_rebind(dmc__sampler *s, const dmc__model *m)
{
    if (!same_contract(s->model, m) || !dmc__device_shares(m->ref.ctx->device, s->ref.ctx->device))
        return dmc__fail(DMC_ESHAPE,
                         "dmc_sampler_rebind: the new model's architecture, process, normalisation or device differs from the old "
                                     "one's");
    if (s->config.guidance != 1 && m->spec.cond_dropout == 0)
        return dmc__fail(DMC_EINVAL, "dmc_sampler_rebind: guidance = %g, but the new model has cond_dropout = 0",
                         s->config.guidance);
    const dmc__fp_mode host = dmc__fp_enter();
    use_model(s, m);
    s->run.open = 0;
    const dmc_status status = bind_weights(s);
    dmc__fp_set(host);
    return status;
}

const dmc__sampler_facts *dmc__sampler_get_facts(const dmc__sampler *s)
{
    return &s->facts;
}

const float *dmc__sampler_chosen(const dmc__sampler *s, int32_t b)
{
    return s->chosen + (size_t)b * s->elems;
}

void dmc__sampler_candidates(const dmc__sampler *s, float *out)
{
    const dmc__fp_mode host = dmc__fp_enter();
    for (size_t i = 0; i < s->total; i++) {
        dmc__view_denormalise(&s->view, s->z + i * s->elems, out + i * s->elems);
        dmc__sampler_restore_known(s, i / (size_t)s->config.candidates, out + i * s->elems);
    }
    dmc__fp_set(host);
}

const dmc__sampler_config *dmc__sampler_get_config(const dmc__sampler *s)
{
    return &s->config;
}

const dmc__model *dmc__sampler_model(const dmc__sampler *s)
{
    return s->model;
}

int32_t dmc__sampler_horizon(const dmc__sampler *s)
{
    return s->view.horizon;
}

const dmc__allocator *dmc__sampler_allocator(const dmc__sampler *s)
{
    return &s->ref.ctx->alloc;
}

size_t dmc__sampler_bytes(const dmc__sampler *s)
{
    const size_t halves = half_elems(s, s->net) + half_elems(s, s->cascade_net);
    const size_t copies = own_elems(s, s->net) + own_elems(s, s->cascade_net);
    return sizeof *s + s->host_bytes + (halves + copies) * s->ref.ctx->device->backend->elem + dmc__net_bytes(s->net) +
           dmc__net_bytes(s->cascade_net) + dmc__rollout_bytes(s->rollout) +
           (s->cascade ? dmc__rollout_bytes(s->cascade) : 0) + (s->judge.self ? dmc__reward_critic_bytes(&s->judge) : 0) +
           (s->inverse ? dmc__inverse_pass_bytes(s->inverse) : 0) + dmc__sampler_guide_bytes(&s->guide) +
           dmc__context_bytes(&s->ref) + dmc__context_bytes(&s->base);
}
