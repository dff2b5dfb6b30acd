/* check_golden_nets.c — every network against PyTorch: outputs, gradients of all parameters and of all inputs. */
#include <stdio.h>
#include <string.h>

#include "golden_reader.h"
#include "../../lib/nn/lora.h"
#include "../../lib/nn/net.h"

static const char *const networks[] = {"mlp_t1", "mlp_t3", "mlp_free", "unet_two", "unet_three", "unet_same",
                                       "dql", "dql_plain", "mlp_frozen", "inverse",
                                       "image_means", "image_keys", "image_key",
                                       "chi", "chi_extra", "chi_free", "half", "half_flat",
                                       "chitf", "chitf_wide", "chitf_step", "dit", "dit_compat", "dit_half"};
enum { NETWORKS = sizeof networks / sizeof *networks,
       MOST_PORTS = 4 };

/* An input or output of a graph and the tensor it is in the file. */
typedef struct port {
    const char *name;
    dmc__val val;
} port;

/* A graph's plan with weights and room for gradients. */
typedef struct bench {
    golden *g;
    golden_device d;
    const dmc__graph *graph;
    dmc__plan *plan;
    void *weights, *grads;
    size_t elems;
} bench;

static void open_bench(bench *b, const dmc__graph *graph, int32_t batch, int32_t flags)
{
    b->graph = graph;
    b->elems = dmc__graph_param_elems(graph);
    golden_ok(dmc__plan_create(graph, b->d.device, batch, flags, NULL, &b->plan));
    golden_ok(dmc__dev_alloc(b->d.device, b->elems, &b->weights));
    golden_ok(dmc__dev_alloc(b->d.device, b->elems, &b->grads));
    golden_load_params(b->g, "param/", graph, &b->d, b->weights);
    dmc__plan_bind(b->plan, b->weights, b->grads);
}

static void close_bench(bench *b)
{
    dmc__dev_free(b->d.device, b->weights, b->elems);
    dmc__dev_free(b->d.device, b->grads, b->elems);
    dmc__plan_destroy(b->plan);
}

static size_t port_size(const bench *b, dmc__val v)
{
    return (size_t)dmc__plan_batch(b->plan) * (size_t)dmc__graph_rows(b->graph, v) * (size_t)dmc__graph_cols(b->graph, v);
}

static void run_forward(const bench *b, const port *in, const port *out)
{
    for (; in->name; in++)
        golden_load(b->g, in->name, &b->d, dmc__plan_value(b->plan, in->val), port_size(b, in->val));
    golden_ok(dmc__plan_forward(b->plan));
    for (; out->name; out++)
        golden_compare_device(b->g, out->name, &b->d, dmc__plan_value(b->plan, out->val), b->d.forward);
}

/* Gradients of a tensor x are the tensor "d" x. */
static void run_backward(const bench *b, const port *in, const port *out)
{
    char name[32];
    for (; out->name; out++) {
        snprintf(name, sizeof name, "d%s", out->name);
        golden_load(b->g, name, &b->d, dmc__plan_grad(b->plan, out->val), port_size(b, out->val));
    }
    golden_ok(dmc__plan_backward(b->plan));
    golden_compare_params(b->g, "grad/", b->graph, &b->d, b->grads, b->d.backward);
    for (; in->name; in++) {
        snprintf(name, sizeof name, "d%s", in->name);
        if (golden_has(b->g, name))
            golden_compare_device(b->g, name, &b->d, dmc__plan_grad(b->plan, in->val), b->d.backward);
    }
}

/* Inference plan and training plan, on one backend. */
static void check_graph(golden *g, int device, const dmc__graph *graph, const port *in, const port *out)
{
    bench b = {.g = g, .d = golden_device_open(device)};
    size_t n;
    golden_read(g, in[0].name, &n);
    const int32_t per_sample = dmc__graph_rows(graph, in[0].val) * dmc__graph_cols(graph, in[0].val);
    const int32_t batch = (int32_t)(n / (size_t)per_sample);
    open_bench(&b, graph, batch, DMC__PLAN_INFER);
    run_forward(&b, in, out);
    close_bench(&b);
    open_bench(&b, graph, batch, DMC__PLAN_TRAIN | DMC__PLAN_DINPUT);
    run_forward(&b, in, out);
    run_backward(&b, in, out);
    close_bench(&b);
    golden_device_close(&b.d);
}

/* ---- denoisers -------------------------------------------------------------------------------------- */

/* Fields in the order of the struct, all int32. */
static dmc__net_config read_config(golden *g)
{
    size_t n;
    const double *v = golden_read(g, "config", &n);
    int32_t field[sizeof(dmc__net_config) / sizeof(int32_t)] = {0};
    dmc__net_config c;
    ck_assert_uint_le(n, sizeof field / sizeof *field);
    for (size_t i = 0; i < n; i++) field[i] = (int32_t)v[i];
    memcpy(&c, field, sizeof c);
    return c;
}

static void open_network(golden *g, dmc__net **net, port in[MOST_PORTS + 1])
{
    const dmc__net_config c = read_config(g);
    golden_ok(dmc__net_create(&dmc__default_allocator, &c, net));
    const port all[] = {{"z", (*net)->z}, {"t", (*net)->t}, {"cond", (*net)->cond}, {"extra", (*net)->extra}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].val >= 0) *in++ = all[i];
    *in = (port){NULL, -1};
}

START_TEST(denoiser)
{
    golden *g = golden_open(networks[_i / golden_devices()]);
    dmc__net *net;
    port in[MOST_PORTS + 1];
    open_network(g, &net, in);
    const port out[] = {{"out", net->out}, {NULL, -1}};
    check_graph(g, _i % golden_devices(), net->graph, in, out);
    dmc__net_destroy(net);
    golden_close(g);
}
END_TEST

/* ---- critics ---------------------------------------------------------------------------------------- */

START_TEST(twin_q)
{
    golden *g = golden_open("twin_q");
    const double *c = golden_read(g, "config", NULL);
    dmc__value_net *q;
    golden_ok(dmc__twin_q_create(&dmc__default_allocator, (int32_t)c[0], (int32_t)c[1], (int32_t)c[2], &q));
    const port in[] = {{"obs", q->obs}, {"act", q->act}, {NULL, -1}};
    const port out[] = {{"out0", q->out[0]}, {"out1", q->out[1]}, {NULL, -1}};
    check_graph(g, _i, q->graph, in, out);
    dmc__value_net_destroy(q);
    golden_close(g);
}
END_TEST

START_TEST(state_value)
{
    golden *g = golden_open("v");
    const double *c = golden_read(g, "config", NULL);
    dmc__value_net *v;
    golden_ok(dmc__v_create(&dmc__default_allocator, (int32_t)c[0], (int32_t)c[2], &v));
    const port in[] = {{"obs", v->obs}, {NULL, -1}};
    const port out[] = {{"out0", v->out[0]}, {NULL, -1}};
    check_graph(g, _i, v->graph, in, out);
    dmc__value_net_destroy(v);
    golden_close(g);
}
END_TEST

/* ---- adapters --------------------------------------------------------------------------------------- */

static const char *const adapted[] = {"conv", "up", "lin"};

/* The network of lora_file() in gen_golden.py. */
static dmc__graph *adapted_graph(dmc__val *x, dmc__val *y)
{
    dmc__graph *g;
    golden_ok(dmc__graph_create(&dmc__default_allocator, &g));
    *x = dmc__graph_input(g, "x", 8, 7);
    *y = dmc__g_conv1d(g, "conv", *x, 13, 5, 1, 2);
    *y = dmc__g_convt1d(g, "up", *y, 6, 4, 2, 1);
    *y = dmc__g_linear(g, "lin", *y, 5, 1);
    dmc__graph_output(g, *y);
    golden_ok(dmc__graph_status(g));
    return g;
}

/* A or B of a layer as the file has it, and where it goes. */
static const float *factor(golden *g, const char *which, const char *layer, float *to, size_t room)
{
    char name[DMC__NAME_MAX + 8];
    size_t n;
    snprintf(name, sizeof name, "%s/%s", which, layer);
    const double *v = golden_read(g, name, &n);
    ck_assert_uint_le(n, room);
    for (size_t j = 0; j < n; j++) to[j] = (float)v[j];
    return to;
}

enum { MOST = 512 }; /* numbers of a factor */

static void load_factors(golden *g, dmc__lora *lora)
{
    float a[MOST], b[MOST];
    for (int32_t i = 0; i < dmc__lora_count(lora); i++) {
        const char *name = dmc__lora_name(lora, i);
        golden_ok(dmc__lora_set(lora, i, factor(g, "A", name, a, MOST), factor(g, "B", name, b, MOST)));
    }
}

static void compare_factor(golden *g, const golden_device *d, const char *which, const char *layer, const float *got, size_t n)
{
    char name[DMC__NAME_MAX + 8];
    double wide[MOST];
    for (size_t j = 0; j < n; j++) wide[j] = (double)got[j];
    snprintf(name, sizeof name, "%s/%s", which, layer);
    golden_compare(g, name, wide, n, d->backward + 1e-6); /* read through floats */
}

static void compare_factor_grads(golden *g, const golden_device *d, dmc__lora *lora, const void *effective_grads)
{
    void *grads;
    float a[MOST], b[MOST];
    const size_t n = dmc__lora_elems(lora);
    golden_ok(dmc__dev_alloc(d->device, n, &grads));
    golden_ok(dmc__lora_backward(lora, effective_grads, grads));
    /* The gradients have the factors' order: put them in the factors' place to read them by name. */
    golden_ok(dmc__dev_copy(d->device, dmc__lora_factors(lora), grads, n));
    for (int32_t i = 0; i < dmc__lora_count(lora); i++) {
        int32_t rank, sa[DMC__MAX_RANK], sb[2];
        dmc__lora_shape(lora, i, &rank, sa, sb);
        golden_ok(dmc__lora_get(lora, i, a, b));
        compare_factor(g, d, "dA", dmc__lora_name(lora, i), a, (size_t)(sa[0] * sa[1] * (rank == 3 ? sa[2] : 1)));
        compare_factor(g, d, "dB", dmc__lora_name(lora, i), b, (size_t)(sb[0] * sb[1]));
    }
    dmc__dev_free(d->device, grads, n);
}

/* Forward and backward with the adapter merged into the weights. */
static void run_adapted(bench *b, dmc__lora *lora, const port *in, const port *out)
{
    void *effective;
    golden_ok(dmc__dev_alloc(b->d.device, b->elems, &effective));
    golden_ok(dmc__lora_merge(lora, b->weights, effective));
    dmc__plan_bind(b->plan, effective, b->grads);
    run_forward(b, in, out);
    golden_load(b->g, "dout", &b->d, dmc__plan_grad(b->plan, out->val), port_size(b, out->val));
    golden_ok(dmc__plan_backward(b->plan));
    compare_factor_grads(b->g, &b->d, lora, b->grads);
    dmc__dev_free(b->d.device, effective, b->elems);
}

START_TEST(adapters)
{
    golden *g = golden_open("lora");
    const double *c = golden_read(g, "config", NULL);
    dmc__val x, y;
    dmc__graph *graph = adapted_graph(&x, &y);
    bench t = {.g = g, .d = golden_device_open(_i)};
    open_bench(&t, graph, 2, DMC__PLAN_TRAIN);
    dmc__lora *lora;
    golden_ok(dmc__lora_create(graph, t.d.device, (int32_t)c[0], c[1], "*", 5, &lora));
    ck_assert_int_eq(dmc__lora_count(lora), 3);
    for (int32_t i = 0; i < 3; i++) ck_assert_str_eq(dmc__lora_name(lora, i), adapted[i]);
    load_factors(g, lora);
    const port in[] = {{"x", x}, {NULL, -1}}, out[] = {{"out", y}, {NULL, -1}};
    run_adapted(&t, lora, in, out);
    dmc__lora_destroy(lora);
    close_bench(&t);
    golden_device_close(&t.d);
    dmc__graph_destroy(graph);
    golden_close(g);
}
END_TEST

/* Whole networks: weights of which a layer's nodes read parts, and one whose inputs stand in another order than PyTorch's. */
static const struct adapted_net {
    const char *file, *patterns;
    int32_t layers;
} adapted_nets[] = {
    {"lora_chi", "*cond_encoder.1, downs.0.0.*", 11},
    {"lora_half", "final_block.*, mid_block2.0.conv1.0", 3},
    {"dit_lora", "*", 12}, /* attention's in_proj is one layer */
};
enum { ADAPTED_NETS = sizeof adapted_nets / sizeof *adapted_nets };

START_TEST(adapted_network)
{
    const struct adapted_net *a = &adapted_nets[_i / golden_devices()];
    golden *g = golden_open(a->file);
    dmc__net *net;
    port in[MOST_PORTS + 1];
    bench t = {.g = g, .d = golden_device_open(_i % golden_devices())};
    open_network(g, &net, in);
    open_bench(&t, net->graph, 2, DMC__PLAN_TRAIN);
    const double *c = golden_read(g, "lora", NULL);
    dmc__lora *lora;
    golden_ok(dmc__lora_create(net->graph, t.d.device, (int32_t)c[0], c[1], a->patterns, 5, &lora));
    ck_assert_int_eq(dmc__lora_count(lora), a->layers);
    load_factors(g, lora);
    const port out[] = {{"out", net->out}, {NULL, -1}};
    run_adapted(&t, lora, in, out);
    dmc__lora_destroy(lora);
    close_bench(&t);
    golden_device_close(&t.d);
    dmc__net_destroy(net);
    golden_close(g);
}
END_TEST

Suite *dmc_golden_nets(void);
Suite *dmc_golden_nets(void)
{
    Suite *s = suite_create("golden_nets");
    TCase *t = tcase_create("networks");
    tcase_add_loop_test(t, denoiser, 0, NETWORKS * golden_devices());
    tcase_add_loop_test(t, twin_q, 0, golden_devices());
    tcase_add_loop_test(t, state_value, 0, golden_devices());
    tcase_add_loop_test(t, adapters, 0, golden_devices());
    tcase_add_loop_test(t, adapted_network, 0, ADAPTED_NETS * golden_devices());
    suite_add_tcase(s, t);
    return s;
}
