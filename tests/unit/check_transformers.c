/* check_transformers.c — transformers as published: numbers of parameters, names, where weights start, what is refused; and
 * what of them depends on the sample. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/graph/graph_types.h"
#include "net_fixture.h"

/* ---- published sizes -------------------------------------------------------------------------------- */

#define CHI(D, O, W, L)                                                                                                   \
    {                                                                                                                     \
        .kind = DMC__NET_TRANSFORMER_CHI, .horizon = 10, .cols = D, .cond = 2 * (O), .n_obs = 2, .hidden = W, .heads = 4, \
        .blocks = L, .emb_dim = W, .dropout = 0.3F                                                                        \
    }
#define DIT(T, D, W, H, L, E)                                                                                            \
    {                                                                                                                    \
        .kind = DMC__NET_DIT1D, .horizon = T, .cols = D, .cond = E, .hidden = W, .heads = H, .blocks = L, .emb_dim = E,  \
        .time_embed = DMC__TIME_FOURIER                                                                                  \
    }

static const struct published {
    dmc__net_config config;
    size_t parameters;
    int32_t tensors; /* frozen ones included */
} published[] = {
    {CHI(2, 5, 256, 4), 5271554, 90},      /* PushT                        */
    {CHI(2, 20, 256, 4), 5275394, 90},     /* PushT, keypoints             */
    {CHI(10, 19, 256, 8), 9493002, 162},   /* robomimic lift               */
    {CHI(9, 60, 768, 8), 85132041, 162},   /* kitchen                      */
    {DIT(10, 2, 320, 10, 2, 128), 4067778, 35},  /* PushT                  */
    {DIT(32, 11, 320, 10, 2, 128), 4073547, 35}, /* Decision Diffuser, hopper */
    {DIT(32, 17, 320, 10, 2, 128), 4077393, 35}, /* halfcheetah            */
    {DIT(10, 9, 384, 12, 6, 256), 16591753, 75}, /* kitchen                */
    {DIT(10, 10, 384, 12, 6, 256), 16592522, 75}, /* robomimic lift        */
};
enum { PUBLISHED = sizeof published / sizeof *published };

START_TEST(parameter_counts)
{
    dmc__net *n = fixture_net(published[_i].config);
    ck_assert_uint_eq(dmc__graph_param_total(n->graph), published[_i].parameters);
    ck_assert_int_eq(dmc__graph_param_count(n->graph), published[_i].tensors);
    ck_assert_int_eq(dmc__graph_rows(n->graph, n->out), published[_i].config.horizon);
    ck_assert_int_eq(dmc__graph_cols(n->graph, n->out), published[_i].config.cols);
    dmc__net_destroy(n);
}
END_TEST

/* DiT1d as above, with a last layer of 160 columns, and 2 * 160 + (160 * 80 + 80) + 2 * 80 + 80 + 1 behind it. */
START_TEST(parameters_of_a_half)
{
    dmc__net_config c = DIT(32, 11, 320, 10, 2, 128);
    c.kind = DMC__NET_DIT1D_HALF;
    c.outputs = 1;
    dmc__net *n = fixture_net(c);
    ck_assert_uint_eq(dmc__graph_param_total(n->graph), 4073547 - 11 * 321 + 160 * 321 + 320 + 12880 + 160 + 81);
    ck_assert_int_eq(dmc__graph_rows(n->graph, n->out), 1);
    ck_assert_int_eq(dmc__graph_cols(n->graph, n->out), 1);
    dmc__net_destroy(n);
}
END_TEST

/* ---- names, shapes, starts -------------------------------------------------------------------------- */

typedef struct tensor {
    const char *name;
    int32_t rank, shape[3], init;
    double scale;
} tensor;

#define NORMAL DMC__INIT_NORMAL, 0.02
#define ZERO DMC__INIT_ZERO, 0
#define ONE DMC__INIT_ONE, 1
#define UNIFORM DMC__INIT_UNIFORM

static void expect_tensors(const dmc__graph *g, const tensor *want, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const dmc__parid p = dmc__graph_find_param(g, want[i].name);
        ck_assert_msg(p >= 0, "no %s", want[i].name);
        const dmc__param_spec *s = dmc__graph_param(g, p);
        ck_assert_msg(s->rank == want[i].rank, "%s: rank %d", s->name, s->rank);
        for (int32_t k = 0; k < s->rank; k++)
            ck_assert_msg(s->shape[k] == want[i].shape[k], "%s: size %d is %d", s->name, k, s->shape[k]);
        ck_assert_msg(s->init == want[i].init, "%s starts as %d", s->name, s->init);
        if (s->init != DMC__INIT_ZERO) ck_assert_double_eq_tol(s->scale, want[i].scale, 1e-12);
    }
}

START_TEST(chi_names)
{
    static const tensor want[] = {
        {"pos_emb", 3, {1, 10, 256}, NORMAL},
        {"cond_pos_emb", 3, {1, 3, 256}, NORMAL},
        {"act_emb.weight", 2, {256, 2}, NORMAL},
        {"act_emb.bias", 1, {256}, ZERO},
        {"obs_emb.weight", 2, {256, 5}, NORMAL},
        {"cond_encoder.0.weight", 2, {1024, 256}, NORMAL},
        {"cond_encoder.2.bias", 1, {256}, ZERO},
        {"encoder.2.weight", 2, {256, 1024}, NORMAL},
        {"decoder.layers.0.self_attn.in_proj_weight", 2, {768, 256}, NORMAL},
        {"decoder.layers.0.self_attn.in_proj_bias", 1, {768}, ZERO},
        {"decoder.layers.1.multihead_attn.in_proj_weight", 2, {768, 256}, NORMAL},
        {"decoder.layers.1.multihead_attn.in_proj_bias", 1, {768}, ZERO},
        {"decoder.layers.2.multihead_attn.out_proj.weight", 2, {256, 256}, NORMAL},
        {"decoder.layers.3.linear1.weight", 2, {1024, 256}, NORMAL},
        {"decoder.layers.3.linear2.bias", 1, {256}, ZERO},
        {"decoder.layers.3.norm3.weight", 1, {256}, ONE},
        {"ln_f.bias", 1, {256}, ZERO},
        {"head.weight", 2, {2, 256}, NORMAL},
    };
    dmc__net *n = fixture_net(published[0].config);
    expect_tensors(n->graph, want, sizeof want / sizeof *want);
    dmc__net_destroy(n);
}
END_TEST

/* Of blocks.0 and of what stands around the blocks, for PushT. */
START_TEST(dit_names)
{
    const tensor want[] = {
        {"map_noise.freqs", 1, {16}, DMC__INIT_NORMAL, 16},
        {"map_noise.mlp.0.weight", 2, {128, 32}, UNIFORM, sqrt(6.0 / 160)},
        {"map_noise.mlp.2.bias", 1, {128}, ZERO},
        {"x_proj.weight", 2, {320, 2}, UNIFORM, sqrt(6.0 / 322)},
        {"x_proj.bias", 1, {320}, ZERO},
        {"map_emb.0.weight", 2, {320, 128}, NORMAL},
        {"map_emb.2.weight", 2, {320, 320}, NORMAL},
        {"blocks.0.attn.in_proj_weight", 2, {960, 320}, UNIFORM, sqrt(6.0 / 1280)},
        {"blocks.0.attn.in_proj_bias", 1, {960}, ZERO},
        {"blocks.0.attn.out_proj.weight", 2, {320, 320}, UNIFORM, sqrt(6.0 / 640)},
        {"blocks.0.mlp.0.weight", 2, {1280, 320}, UNIFORM, sqrt(6.0 / 1600)},
        {"blocks.0.mlp.3.bias", 1, {320}, ZERO},
        {"blocks.1.adaLN_modulation.1.weight", 2, {1920, 320}, ZERO},
        {"blocks.1.adaLN_modulation.1.bias", 1, {1920}, ZERO},
        {"final_layer.linear.weight", 2, {2, 320}, ZERO},
        {"final_layer.adaLN_modulation.1.weight", 2, {640, 320}, ZERO},
    };
    dmc__net *n = fixture_net(published[4].config);
    expect_tensors(n->graph, want, sizeof want / sizeof *want);
    ck_assert_int_eq(dmc__graph_find_param(n->graph, "map_cond.weight"), -1);
    ck_assert_int_eq(dmc__graph_param(n->graph, dmc__graph_find_param(n->graph, "map_noise.freqs"))->frozen, 1);
    dmc__net_destroy(n);
}
END_TEST

START_TEST(half_names)
{
    const tensor want[] = {
        {"final_layer.linear.weight", 2, {160, 320}, ZERO},  {"proj.0.weight", 1, {160}, ONE},
        {"proj.2.weight", 2, {80, 160}, UNIFORM, sqrt(1.0 / 160)}, {"proj.2.bias", 1, {80}, UNIFORM, sqrt(1.0 / 160)},
        {"proj.3.bias", 1, {80}, ZERO},                       {"proj.5.weight", 2, {1, 80}, UNIFORM, sqrt(1.0 / 80)},
    };
    dmc__net_config c = published[5].config;
    c.kind = DMC__NET_DIT1D_HALF;
    c.outputs = 1;
    dmc__net *n = fixture_net(c);
    expect_tensors(n->graph, want, sizeof want / sizeof *want);
    dmc__net_destroy(n);
}
END_TEST

/* A condition of another width gets a layer; one of several frames is a row each, and none leaves the time alone. */
START_TEST(conditions)
{
    dmc__net_config c = published[4].config;
    c.cond = 10;
    dmc__net *n = fixture_net(c);
    const tensor map[] = {{"map_cond.weight", 2, {128, 10}, UNIFORM, sqrt(0.1)}};
    expect_tensors(n->graph, map, 1);
    dmc__net_destroy(n);
    c = published[0].config;
    c.cond = 0;
    n = fixture_net(c);
    const tensor time_alone[] = {{"cond_pos_emb", 3, {1, 1, 256}, NORMAL}};
    expect_tensors(n->graph, time_alone, 1);
    ck_assert_int_eq(dmc__graph_find_param(n->graph, "obs_emb.weight"), -1);
    dmc__net_destroy(n);
    c = published[0].config;
    c.encoder = DMC__ENCODER_MLP;
    c.enc_hidden = 7;
    c.enc_dim = 13;
    n = fixture_net(c);
    const tensor encoded[] = {{"cond_pos_emb", 3, {1, 2, 256}, NORMAL}, {"obs_emb.weight", 2, {256, 13}, NORMAL},
                              {"condition.mlp.mlp.0.0.weight", 2, {7, 10}, UNIFORM, sqrt(0.1)}};
    expect_tensors(n->graph, encoded, 3);
    dmc__net_destroy(n);
}
END_TEST

/* ---- refusals --------------------------------------------------------------------------------------- */

static const struct refusal {
    int32_t published;
    size_t field;
    int32_t value;
    const char *option, *bound;
} refusals[] = {
#define FIELD(f) offsetof(dmc__net_config, f)
    {0, FIELD(heads), 0, "transformer_chi: heads = 0", "1..256"},
    {0, FIELD(heads), 3, "hidden = 256", "multiple of heads = 3"},
    {0, FIELD(emb_dim), 64, "emb_dim = 64", "hidden = 256"},
    {4, FIELD(heads), 0, "dit1d: heads = 0", "1..256"},
    {4, FIELD(heads), 7, "hidden = 320", "multiple of heads = 7"},
    {4, FIELD(hidden), 10 * 2 + 1, "hidden = 21", "multiple of heads = 10"},
#undef FIELD
};
enum { REFUSALS = sizeof refusals / sizeof *refusals };

START_TEST(refused)
{
    const struct refusal *const r = &refusals[_i];
    dmc__net_config c = published[r->published].config;
    memcpy((char *)&c + r->field, &r->value, sizeof r->value);
    dmc__net *n = (dmc__net *)&c;
    ck_assert_int_eq(dmc__net_create(&dmc__default_allocator, &c, &n), DMC_ERANGE);
    ck_assert_ptr_null(n);
    ck_assert_msg(strstr(dmc_last_error(), r->option) && strstr(dmc_last_error(), r->bound), "%s", dmc_last_error());
}
END_TEST

START_TEST(a_half_needs_quarters)
{
    dmc__net_config c = DIT(4, 3, 6, 3, 1, 8);
    dmc__net *n;
    c.kind = DMC__NET_DIT1D_HALF;
    c.outputs = 1;
    ck_assert_int_eq(dmc__net_create(&dmc__default_allocator, &c, &n), DMC_ERANGE);
    ck_assert_ptr_nonnull(strstr(dmc_last_error(), "hidden = 6, must be a multiple of heads = 3 and of 4"));
}
END_TEST

/* ---- what leaves the denoising loop ----------------------------------------------------------------- */

enum { TIME = 1, COND = 2, SAMPLE = 4 };

/* Multiply-adds of linear layers that depend on these inputs and no others. */
static double linear_work(const dmc__net *n, uint8_t depends)
{
    const dmc__graph *const g = n->graph;
    uint8_t *const bits = calloc((size_t)dmc__graph_value_count(g), 1);
    double work = 0;
    bits[n->z] = SAMPLE;
    bits[n->t] = TIME;
    if (n->cond >= 0) bits[n->cond] = COND;
    dmc__graph_spread(g, bits);
    for (int32_t i = 0; i < g->nodes; i++)
        if (g->node[i].op == DMC_OP_LINEAR && bits[g->node[i].out] == depends)
            work += (double)g->node[i].dim[0] * g->node[i].dim[1] * g->node[i].dim[2];
    free(bits);
    return work;
}

/* Modulation depends on the time and the condition, and so does no other layer of a block. */
START_TEST(dit_is_cut_at_its_modulation)
{
    dmc__net *n = fixture_net(published[4].config);
    const double d = 320, e = 128;
    ck_assert_double_eq(linear_work(n, TIME), e * e / 4 + e * e);
    ck_assert_double_eq(linear_work(n, TIME | COND), e * d + d * d + 2 * d * 6 * d + d * 2 * d);
    ck_assert_double_eq(linear_work(n, SAMPLE), 10 * 2 * d);
    dmc__net_destroy(n);
}
END_TEST

/* The memory and its keys and values: the time's row by itself, the observations' rows by themselves. */
START_TEST(chi_memory_is_apart)
{
    dmc__net *n = fixture_net(published[0].config);
    const double d = 256, row = 8 * d * d + 4 * 2 * d * d;
    ck_assert_double_eq(linear_work(n, TIME), row);
    ck_assert_double_eq(linear_work(n, COND), 2 * (5 * d + row));
    ck_assert_double_eq(linear_work(n, TIME | COND), 0);
    dmc__net_destroy(n);
}
END_TEST

/* ---- dropout, growing ------------------------------------------------------------------------------- */

/* Nodes of this op that draw random numbers while training. */
static int32_t count_random(const dmc__net *n, enum dmc_op op)
{
    int32_t count = 0;
    for (int32_t i = 0; i < n->graph->nodes; i++) {
        const dmc__graph_node *const node = &n->graph->node[i];
        if (node->op != op || !node->random) continue;
        ck_assert(node->random == 1 && node->attr[0] == (double)n->config.dropout);
        count++;
    }
    return count;
}

/* A decoder layer: shares of both attentions; behind each sublayer and inside the last. A block of DiT: shares, inside. */
START_TEST(where_dropout_stands)
{
    dmc__net *n = fixture_net(published[0].config);
    ck_assert_int_eq(count_random(n, DMC_OP_ATTENTION), 4 * 2);
    ck_assert_int_eq(count_random(n, DMC_OP_DROPOUT), 4 * 4);
    dmc__net_destroy(n);
    dmc__net_config c = published[4].config;
    c.dropout = 0.1F;
    n = fixture_net(c);
    ck_assert_int_eq(count_random(n, DMC_OP_ATTENTION), 2);
    ck_assert_int_eq(count_random(n, DMC_OP_DROPOUT), 2);
    dmc__net_destroy(n);
}
END_TEST

static const dmc__net_config small[] = {
    {.kind = DMC__NET_TRANSFORMER_CHI, .horizon = 7, .cols = 3, .cond = 10, .n_obs = 2, .hidden = 14, .heads = 2, .blocks = 2,
     .emb_dim = 14, .dropout = 0.3F},
    {.kind = DMC__NET_DIT1D, .horizon = 7, .cols = 3, .cond = 5, .hidden = 14, .heads = 2, .blocks = 2, .emb_dim = 8},
    {.kind = DMC__NET_DIT1D_HALF, .horizon = 7, .cols = 3, .hidden = 12, .heads = 3, .blocks = 1, .emb_dim = 8, .outputs = 2},
};
enum { SMALL = sizeof small / sizeof *small, BATCH = 3 };

/* A grown first layer is [W | 0]: the side input changes nothing until it is learned. */
START_TEST(grown_network_is_bit_equal)
{
    dmc__device *d = fixture_device("cpu");
    dmc__net_config c = small[_i];
    dmc__net *n = fixture_net(c);
    c.extra = 4;
    dmc__net *grown = fixture_net(c);
    const size_t elems = dmc__graph_param_elems(grown->graph);
    void *weights = fixture_weights(d, n->graph, 4), *wide = fixture_block(d, elems);
    fixture_ok(dmc__params_grow(n->graph, weights, grown->graph, d, wide));
    float *want = fixture_forward(n, d, weights, BATCH, 20, 0), *got = fixture_forward(grown, d, wide, BATCH, 20, 100);
    ck_assert_mem_eq(got, want, fixture_val_size(n->graph, n->out, BATCH) * sizeof *got);
    free(want);
    free(got);
    dmc__dev_free(d, weights, dmc__graph_param_elems(n->graph));
    dmc__dev_free(d, wide, elems);
    dmc__net_destroy(n);
    dmc__net_destroy(grown);
    dmc__device_close(d);
}
END_TEST

/* DiT1d starts as a network whose output is 0, whatever goes in. */
START_TEST(dit_starts_at_zero)
{
    dmc__device *d = fixture_device("cpu");
    dmc__net *n = fixture_net(small[1]);
    void *weights = fixture_block(d, dmc__graph_param_elems(n->graph));
    fixture_ok(dmc__params_init(n->graph, d, 3, weights));
    float *out = fixture_forward(n, d, weights, BATCH, 20, 0);
    for (size_t i = 0; i < fixture_val_size(n->graph, n->out, BATCH); i++) ck_assert(out[i] == 0);
    free(out);
    dmc__dev_free(d, weights, dmc__graph_param_elems(n->graph));
    dmc__net_destroy(n);
    dmc__device_close(d);
}
END_TEST

Suite *dmc_suite_transformers(void);
Suite *dmc_suite_transformers(void)
{
    Suite *s = suite_create("transformers");
    TCase *t = tcase_create("transformers");
    tcase_add_loop_test(t, parameter_counts, 0, PUBLISHED);
    tcase_add_test(t, parameters_of_a_half);
    tcase_add_test(t, chi_names);
    tcase_add_test(t, dit_names);
    tcase_add_test(t, half_names);
    tcase_add_test(t, conditions);
    tcase_add_loop_test(t, refused, 0, REFUSALS);
    tcase_add_test(t, a_half_needs_quarters);
    tcase_add_test(t, dit_is_cut_at_its_modulation);
    tcase_add_test(t, chi_memory_is_apart);
    tcase_add_test(t, where_dropout_stands);
    tcase_add_loop_test(t, grown_network_is_bit_equal, 0, SMALL);
    tcase_add_test(t, dit_starts_at_zero);
    suite_add_tcase(s, t);
    return s;
}
