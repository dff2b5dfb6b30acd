/* check_half_plan.c — plans that read their matrix weights from 16 bits: the bits of a network with rounded weights, and near
 * the network they come from. */
#include "half_fixture.h"
#include "net_fixture.h"

Suite *dmc_suite_half_plan(void);

enum { BATCH = 3 };

typedef struct half_rig {
    dmc__device *device;
    dmc__net *net;
    dmc__plan *plan;
    size_t elems, outputs;
    void *weights, *half;
    int32_t type;
} half_rig;

static void open_rig(half_rig *r, const char *device, dmc__net_config c, int32_t type)
{
    *r = (half_rig){.device = fixture_device(device), .net = fixture_net(c), .type = type};
    r->elems = dmc__graph_param_elems(r->net->graph);
    r->outputs = fixture_val_size(r->net->graph, r->net->out, BATCH);
    r->weights = fixture_block(r->device, r->elems);
    r->half = fixture_block(r->device, dmc__dev_half(r->device, r->elems));
    fixture_ok(dmc__params_init(r->net->graph, r->device, 5, r->weights));
    fixture_ok(dmc__params_narrow(r->device, r->weights, r->elems, type, r->half));
    fixture_ok(dmc__plan_create(r->net->graph, r->device, BATCH, DMC__PLAN_INFER, NULL, &r->plan));
}

static void close_rig(half_rig *r)
{
    dmc__plan_destroy(r->plan);
    dmc__dev_free(r->device, r->half, dmc__dev_half(r->device, r->elems));
    dmc__dev_free(r->device, r->weights, r->elems);
    dmc__net_destroy(r->net);
    dmc__device_close(r->device);
}

/* The block with every matrix changed by `f`; to be freed like it. */
static void *changed_block(const half_rig *r, float (*f)(float x, int32_t type))
{
    void *block = fixture_block(r->device, r->elems);
    fixture_ok(dmc__dev_copy(r->device, block, r->weights, r->elems));
    for (dmc__parid i = 0; i < dmc__graph_param_count(r->net->graph); i++) {
        const dmc__param_spec *p = dmc__graph_param(r->net->graph, i);
        if (!half_matrix(p)) continue;
        float *w = fixture_floats(p->size);
        fixture_ok(dmc__params_get(r->net->graph, r->device, block, i, w, p->size));
        for (size_t j = 0; j < p->size; j++) w[j] = f(w[j], r->type);
        fixture_ok(dmc__params_set(r->net->graph, r->device, block, i, w, p->size));
        free(w);
    }
    return block;
}

static float lost(float x, int32_t type)
{
    (void)x, (void)type;
    return NAN;
}

/* Output with matrices from `half`, or as they are where it is NULL; free it. */
static float *forward(const half_rig *r, const void *weights, const void *half)
{
    dmc__plan_bind(r->plan, weights, NULL);
    if (half) dmc__plan_bind_half(r->plan, half, r->type);
    fixture_inputs(r->net, r->device, r->plan, 40, 1);
    fixture_ok(dmc__plan_forward(r->plan));
    return fixture_read(r->device, dmc__plan_value(r->plan, r->net->out), r->outputs);
}

static const char *const devices[] = {"cpu", "ref", "ref64"};

/* Every matrix comes from `half` and nothing else does: the float block it is read beside has no matrices to speak of. */
START_TEST(a_half_plan_is_the_plan_of_rounded_weights)
{
    half_rig r;
    open_rig(&r, devices[_i % 3], _i / 3 % 2 ? fixture_unet() : fixture_mlp(), 1 + _i / 6);
    void *round = changed_block(&r, half_rounded), *biases = changed_block(&r, lost);
    float *want = forward(&r, round, NULL), *got = forward(&r, biases, r.half);
    ck_assert_mem_eq(got, want, r.outputs * sizeof *got);
    float *before = forward(&r, r.weights, NULL); /* a bind makes a float plan of it again */
    ck_assert_mem_ne(before, got, r.outputs * sizeof *got);
    const double error = half_error(got, before, r.outputs);
    ck_assert_msg(error < 2e-2, "relative error %g", error);
    free(want), free(got), free(before);
    dmc__dev_free(r.device, round, r.elems);
    dmc__dev_free(r.device, biases, r.elems);
    close_rig(&r);
}
END_TEST

/* Networks of published sizes: relative to the largest output, bf16 within 2 %, fp16 within 0.3 %. */
START_TEST(published_networks_stay_near)
{
    static const dmc__net_config nets[] = {
        {.kind = DMC__NET_IDQL_MLP, .horizon = 1, .cols = 3, .cond = 11, .hidden = 256, .blocks = 3, .emb_dim = 64},
        {.kind = DMC__NET_UNET1D_JANNER, .horizon = 32, .cols = 14, .hidden = 32, .emb_dim = 32, .kernel = 5, .levels = 4,
         .mult = {1, 2, 2, 2}},
    };
    half_rig r;
    open_rig(&r, "cpu", nets[_i % 2], 1 + _i / 2);
    float *want = forward(&r, r.weights, NULL), *got = forward(&r, r.weights, r.half);
    const double error = half_error(got, want, r.outputs);
    ck_assert_msg(error > 0 && error < (r.type == DMC_WEIGHT_BF16 ? 2e-2 : 3e-3), "relative error %g", error);
    free(want), free(got);
    close_rig(&r);
}
END_TEST

Suite *dmc_suite_half_plan(void)
{
    Suite *s = suite_create("half_plan");
    TCase *c = tcase_create("half_plan");
    tcase_add_loop_test(c, a_half_plan_is_the_plan_of_rounded_weights, 0, 12);
    tcase_add_loop_test(c, published_networks_stay_near, 0, 4);
    suite_add_tcase(s, c);
    return s;
}
