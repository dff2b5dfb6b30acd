/* bench_rig.c — see bench_rig.h. */
#include "bench_rig.h"

#include "bench_work.h"

#include "lib/critic/iql_nets.h"
#include "lib/nn/params.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 512, EPISODE = 64 };

/* ---- data and networks ------------------------------------------------------------------------------ */

static float some_value(size_t i)
{
    return (float)(int32_t)((uint32_t)i * 2654435761u) * 0x1p-31f;
}

static float *some_values(size_t n)
{
    float *const x = malloc(n * sizeof *x);
    for (size_t i = 0; x && i < n; i++) x[i] = some_value(i);
    return x;
}

static dmc_status make_data(dmc_bench_rig *r, const dmc_bench_net *net)
{
    uint8_t end[ROWS];
    float *const obs = some_values((size_t)ROWS * (size_t)net->obs), *const act = some_values((size_t)ROWS * (size_t)net->act),
                 *const rew = some_values(ROWS);
    for (int i = 0; i < ROWS; i++) end[i] = i % EPISODE == EPISODE - 1;
    const dmc_status status =
        obs && act && rew
            ? dmc_dataset_create(r->context, ROWS, net->obs, net->act, obs, act, rew, end, NULL, NULL, &r->data)
            : dmc__fail(DMC_ENOMEM, "out of memory: %d rows", ROWS);
    free(obs);
    free(act);
    free(rew);
    return status;
}

/* Cuts "key=value key=value" into its words, which must live as long as the options. */
static dmc_status take_options(char *text, dmc_model_options *o)
{
    for (char *word; (word = strtok_r(text, " ", &text)) != NULL;) {
        char *const value = strchr(word, '=');
        if (!value) return dmc__fail(DMC_EINVAL, "%s: not key=value", word);
        *value = '\0';
        DMC_TRY(dmc_options_set(DMC_OPTIONS_MODEL, o, word, value + 1));
    }
    return DMC_OK;
}

static dmc_status make_model(dmc_bench_rig *r, const dmc_bench_net *net)
{
    dmc_model_options o;
    char text[256];
    snprintf(text, sizeof text, "%s", net->options);
    DMC_TRY(dmc_model_options_init(&o, sizeof o));
    DMC_TRY(take_options(text, &o));
    return dmc_model_create(r->context, r->data, &o, &r->model);
}

static dmc_status make_critic(dmc_bench_rig *r, int32_t batch, dmc_critic **out)
{
    dmc_critic_options o;
    DMC_TRY(dmc_critic_options_init(&o, sizeof o));
    o.batch = batch;
    return dmc_critic_create(r->context, r->data, &o, out);
}

/* ResNet-18 with what else is observed, of one frame; no network behind it. */
static dmc_status build_encoder(dmc__net *n)
{
    n->z = n->t = n->extra = -1;
    DMC_TRY(dmc__graph_create(n->alloc, &n->graph));
    n->cond = dmc__graph_input(n->graph, "cond", 1, n->config.cond);
    n->out = dmc__net_condition(n);
    dmc__graph_output(n->graph, n->out);
    return dmc__graph_status(n->graph);
}

static dmc_status make_encoder(dmc_bench_rig *r, const dmc_bench_net *net)
{
    const int32_t side = net->image;
    const dmc__allocator *const a = &dmc__default_allocator;
    dmc__device *const d = r->context->device;
    DMC_TRY(DMC_NEW(a, 1, &r->encoder));
    *r->encoder = (dmc__net){.alloc = a,
                             .config = {.cond = net->obs + 3 * side * side, .n_obs = 1, .encoder = DMC__ENCODER_RESNET18,
                                        .enc_hidden = 256, .enc_dim = 256, .enc_width = 64, .cameras = 1, .image_h = side,
                                        .image_w = side, .image_c = 3, .crop_h = side, .crop_w = side}};
    DMC_TRY(build_encoder(r->encoder));
    DMC_TRY(dmc__dev_alloc(d, dmc__graph_param_elems(r->encoder->graph), &r->weights));
    return dmc__params_init(r->encoder->graph, d, 0, r->weights);
}

static dmc_status make_net(dmc_bench_rig *r, const dmc_bench_net *net, int32_t batch)
{
    if (net->image > 0) return make_encoder(r, net);
    DMC_TRY(make_data(r, net));
    return net->options ? make_model(r, net) : make_critic(r, batch, &r->critic);
}

/* ---- what runs -------------------------------------------------------------------------------------- */

/* An input of the plan, filled and counted. */
static dmc_status fill_input(dmc_bench_rig *r, const dmc__graph *g, dmc__val v, float value)
{
    if (v < 0) return DMC_OK;
    const size_t n = (size_t)dmc__plan_batch(r->plan) * (size_t)dmc__graph_rows(g, v) * (size_t)dmc__graph_cols(g, v);
    float *const x = some_values(n);
    if (!x) return dmc__fail(DMC_ENOMEM, "out of memory: input of %zu numbers", n);
    for (size_t i = 0; i < n && value != 0; i++) x[i] = value;
    const dmc_status status = dmc__dev_in(r->context->device, dmc__plan_value(r->plan, v), x, n);
    free(x);
    r->bytes += (double)n * sizeof(float);
    return status;
}

static dmc_status make_plan(dmc_bench_rig *r, const dmc__graph *g, const void *weights, int32_t batch)
{
    DMC_TRY(dmc__plan_create(g, r->context->device, batch, DMC__PLAN_INFER, NULL, &r->plan));
    dmc__plan_bind(r->plan, weights, NULL);
    return DMC_OK;
}

static dmc_status make_net_plan(dmc_bench_rig *r, const dmc__net *n, const void *weights, int32_t batch)
{
    DMC_TRY(make_plan(r, n->graph, weights, batch));
    DMC_TRY(fill_input(r, n->graph, n->z, 0));
    DMC_TRY(fill_input(r, n->graph, n->cond, 0));
    return fill_input(r, n->graph, n->t, 3);
}

static dmc_status make_forward(dmc_bench_rig *r, int32_t batch)
{
    if (r->model) return make_net_plan(r, r->model->net, r->model->weights, batch);
    if (r->encoder) return make_net_plan(r, r->encoder, r->weights, batch);
    const dmc__value_net *q = dmc__iql_net(r->critic->iql, DMC__IQL_Q);
    DMC_TRY(make_plan(r, q->graph, dmc__iql_weights(r->critic->iql, DMC__IQL_Q), batch));
    DMC_TRY(fill_input(r, q->graph, q->obs, 0));
    return fill_input(r, q->graph, q->act, 0);
}

static dmc_status make_trainer(dmc_bench_rig *r, int32_t batch)
{
    dmc_train_options o;
    DMC_TRY(dmc_train_options_init(&o, sizeof o));
    o.batch = batch;
    return dmc_trainer_create(r->context, r->model, r->data, &o, &r->trainer);
}

/* Samples of one call of a sampler's network: without its condition each is there once more. */
static int32_t network_batch(const dmc_bench_case *c)
{
    return c->batch * (c->kind == DMC_BENCH_SAMPLE_GUIDED ? 2 : 1);
}

static dmc_status make_sampler(dmc_bench_rig *r, const dmc_bench_case *c, const dmc_bench_net *net, int on_device)
{
    dmc_sampler_options o;
    DMC_TRY(dmc_sampler_options_init(&o, sizeof o));
    o.candidates = c->batch;
    if (c->kind == DMC_BENCH_SAMPLE_BF16) o.weights = DMC_WEIGHTS_BF16;
    if (c->kind == DMC_BENCH_SAMPLE_GUIDED) o.guidance = 1.2;
    if (c->kind == DMC_BENCH_SAMPLE_GREEDY) {
        o.select = DMC_SELECT_GREEDY;
        DMC_TRY(make_critic(r, c->batch, &r->judge));
    }
    DMC_TRY(dmc_sampler_create(r->context, r->model, r->judge, &o, &r->sampler));
    if (c->kind != DMC_BENCH_SAMPLE_BF16 && !on_device)
        DMC_TRY(dmc_bench_loop_open(&r->loop, r->context, r->model, network_batch(c), c->batch));
    r->n_obs = (size_t)net->obs;
    r->n_act = (size_t)r->model->spec.net.horizon * (size_t)net->act;
    r->obs = calloc(r->n_obs, sizeof *r->obs);
    r->act = calloc(r->n_act, sizeof *r->act);
    return r->obs && r->act ? DMC_OK : dmc__fail(DMC_ENOMEM, "out of memory: actions");
}

/* ---- work ------------------------------------------------------------------------------------------- */

static dmc_status count_forward(dmc_bench_rig *r, const dmc_bench_case *c, const dmc__graph *g)
{
    dmc_bench_work w;
    DMC_TRY(dmc_bench_count_work(g, NULL, &w));
    r->flop = c->batch * dmc_bench_sum(w.flop);
    r->bytes = r->set = dmc_bench_sum(w.bytes);
    return DMC_OK;
}

/* A step is a forward pass and a backward pass of twice its work; then the optimiser reads and writes weights, gradients, two
 * moments and the average: nothing of that can be done earlier, because the norm of the gradient comes first. */
static void count_training(dmc_bench_rig *r, double flop, size_t parameters)
{
    enum { ARRAYS = 5 };
    r->flop = flop;
    r->set = ARRAYS * sizeof(float) * (double)parameters;
    r->bytes = 2 * r->set;
    r->in_turn = 1;
}

/* Forward and backward of V and Q, forward of the target twins and of V in the next state. */
static void count_critic_training(dmc_bench_rig *r, const dmc_bench_case *c)
{
    const dmc__graph *q = dmc__iql_graph(r->critic->iql, DMC__IQL_Q), *v = dmc__iql_graph(r->critic->iql, DMC__IQL_V);
    count_training(r, 4.0 * c->batch * (dmc__graph_flops(q) + dmc__graph_flops(v)),
                   dmc__graph_param_total(q) + dmc__graph_param_total(v));
}

/* What depends on the time alone is known before; what depends on the condition is done once for all candidates. */
static dmc_status count_sampling(dmc_bench_rig *r, const dmc_bench_case *c)
{
    dmc_bench_work w;
    const double steps = r->model->spec.process.steps, width = c->kind == DMC_BENCH_SAMPLE_BF16 ? 0.5 : 1;
    DMC_TRY(dmc_bench_count_work(r->model->net->graph, r->model->net, &w));
    const double batch = network_batch(c), conds = batch / c->batch;
    r->flop = conds * w.flop[DMC_BENCH_COND] + steps * (conds * w.flop[DMC_BENCH_BOTH] + batch * w.flop[DMC_BENCH_REST]);
    if (r->judge) r->flop += c->batch * dmc__graph_flops(dmc__iql_graph(r->judge->iql, DMC__IQL_Q));
    r->set = width * (w.bytes[DMC_BENCH_BOTH] + w.bytes[DMC_BENCH_REST]);
    r->bytes = steps * r->set;
    return DMC_OK;
}

static dmc_status count_work(dmc_bench_rig *r, const dmc_bench_case *c)
{
    const dmc__graph *g = r->critic ? dmc__iql_graph(r->critic->iql, DMC__IQL_Q)
                                    : (r->encoder ? r->encoder : r->model->net)->graph;
    r->parameters = dmc__graph_param_total(g);
    if (c->kind == DMC_BENCH_FORWARD) return count_forward(r, c, g);
    if (c->kind != DMC_BENCH_TRAIN) return count_sampling(r, c);
    if (r->critic) count_critic_training(r, c);
    else count_training(r, 3.0 * c->batch * dmc__graph_flops(g), r->parameters);
    return DMC_OK;
}

double dmc_bench_rig_floor_ms(const dmc_bench_rig *r, const dmc_bench_roof *roof, int *by_memory)
{
    const double work = r->flop / (roof->gflops * 1e6), read = r->bytes / (dmc_bench_bandwidth(roof, r->set) * 1e6);
    *by_memory = read > work;
    return r->in_turn ? work + read : fmax(work, read);
}

/* ---- a rig ------------------------------------------------------------------------------------------ */

static dmc_status make_context(dmc_bench_rig *r, const dmc_bench_place *where)
{
    dmc_context_options o;
    DMC_TRY(dmc_context_options_init(&o, sizeof o));
    o.threads = where->threads;
    if (where->device) o.device = where->device;
    if (where->plugin_folder) o.plugin_folder = where->plugin_folder;
    o.matrix = where->matrix;
    return dmc_context_create(&o, &r->context);
}

dmc_status dmc_bench_rig_open(dmc_bench_rig *r, const dmc_bench_case *c, const dmc_bench_place *where)
{
    const dmc_bench_net *const net = dmc_bench_net_find(c->net);
    *r = (dmc_bench_rig){0};
    if (!net) return dmc__fail(DMC_EKEY, "%s: no such network in bench_cases.c", c->net);
    DMC_TRY(make_context(r, where));
    DMC_TRY(make_net(r, net, c->batch));
    DMC_TRY(count_work(r, c));
    if (c->kind == DMC_BENCH_FORWARD) return make_forward(r, c->batch);
    if (c->kind != DMC_BENCH_TRAIN) return make_sampler(r, c, net, where->device != NULL);
    return r->critic ? DMC_OK : make_trainer(r, c->batch);
}

void dmc_bench_rig_close(dmc_bench_rig *r)
{
    dmc_bench_loop_close(&r->loop);
    dmc_sampler_destroy(r->sampler);
    dmc_critic_destroy(r->judge);
    dmc_trainer_destroy(r->trainer);
    dmc__plan_destroy(r->plan);
    if (r->encoder) dmc__dev_free(r->context->device, r->weights, dmc__graph_param_elems(r->encoder->graph));
    dmc__net_destroy(r->encoder);
    dmc_critic_destroy(r->critic);
    dmc_model_destroy(r->model);
    dmc_dataset_destroy(r->data);
    dmc_context_destroy(r->context);
    free(r->obs);
    free(r->act);
    *r = (dmc_bench_rig){0};
}

dmc_status dmc_bench_rig_run(dmc_bench_rig *r)
{
    if (r->plan) return dmc__plan_forward(r->plan);
    if (r->trainer) return dmc_trainer_step(r->trainer, 1, NULL);
    if (r->critic) return dmc_critic_step(r->critic, 1, NULL);
    return dmc_sampler_sample(r->sampler, r->obs, r->n_obs, r->act, r->n_act);
}

dmc_status dmc_bench_rig_loop(dmc_bench_rig *r)
{
    return dmc_bench_loop_run(&r->loop);
}
