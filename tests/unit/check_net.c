/* check_net.c — networks as published: numbers of parameters, names and shapes; configs that must be refused. */
#include <string.h>

#include "failing_alloc.h"
#include "net_fixture.h"

/* ---- published sizes -------------------------------------------------------------------------------- */

#define UNET(T, D, M, ...)                                                                                           \
    {                                                                                                                \
        .kind = DMC__NET_UNET1D_JANNER, .horizon = T, .cols = D, .hidden = M, .emb_dim = M, .kernel = 5, __VA_ARGS__ \
    }
#define HALF(T, D, M, ...)                                                                                            \
    {                                                                                                                \
        .kind = DMC__NET_UNET1D_HALF, .horizon = T, .cols = D, .hidden = M, .emb_dim = M, .kernel = 3, .outputs = 1, \
        __VA_ARGS__                                                                                                  \
    }
#define CHI(D, O)                                                                                                     \
    {                                                                                                                \
        .kind = DMC__NET_UNET1D_CHI, .horizon = 16, .cols = D, .cond = O, .hidden = 256, .emb_dim = 256, .kernel = 5, \
        .levels = 3, .mult = {1, 2, 2}, .n_obs = 2                                                                   \
    }
#define MLP(D, O)                                                                                                \
    {                                                                                                            \
        .kind = DMC__NET_IDQL_MLP, .horizon = 1, .cols = D, .cond = O, .hidden = 256, .blocks = 3, .emb_dim = 64 \
    }

static const struct published {
    dmc__net_config config;
    size_t parameters;
    int32_t tensors;
} published[] = {
    {UNET(32, 14, 32, .levels = 4, .mult = {1, 2, 2, 2}), 3956302, 196},  /* hopper      */
    {UNET(4, 23, 32, .levels = 3, .mult = {1, 4, 2}), 3685943, 148},      /* halfcheetah */
    {UNET(32, 23, 32, .levels = 4, .mult = {1, 2, 2, 2}), 3958327, 196},  /* walker2d    */
    {UNET(32, 69, 64, .levels = 4, .mult = {1, 2, 2, 2}), 15813893, 196}, /* kitchen     */
    {UNET(64, 37, 64, .levels = 4, .mult = {1, 2, 2, 2}), 15799525, 196}, /* antmaze     */
    {HALF(4, 23, 32, .levels = 3, .mult = {1, 4, 2}), 1411105, 106},      /* halfcheetah */
    {HALF(32, 14, 32, .levels = 4, .mult = {1, 2, 2, 2}), 1488801, 130},  /* hopper      */
    {HALF(32, 23, 32, .levels = 4, .mult = {1, 2, 2, 2}), 1489953, 130},  /* walker2d    */
    {HALF(32, 69, 64, .levels = 4, .mult = {1, 2, 2, 2}), 5946945, 130},  /* kitchen     */
    {HALF(64, 37, 64, .levels = 4, .mult = {1, 2, 2, 2}), 5967553, 130},  /* antmaze     */
    {CHI(2, 10), 68882690, 150},                                          /* PushT, state */
    {CHI(2, 40), 68890370, 150},                                          /* PushT, keypoints */
    {CHI(9, 120), 68923401, 150},                                         /* kitchen     */
    {CHI(10, 38), 68904202, 150},                                         /* lift        */
    {MLP(3, 11), 1615811, 26},                                            /* hopper      */
    {MLP(6, 17), 1618886, 26},                                            /* halfcheetah */
    {{.kind = DMC__NET_DQL_MLP, .horizon = 1, .cols = 6, .cond = 17, .hidden = 256, .emb_dim = 64}, 172230, 12},
    {{.kind = DMC__NET_IDQL_MLP, .horizon = 1, .cols = 42, .hidden = 1024, .blocks = 6, .emb_dim = 128}, 50658730,
     44}, /* SynthER, halfcheetah */
};
enum { PUBLISHED = sizeof published / sizeof *published };

START_TEST(parameter_counts)
{
    dmc__net *n = fixture_net(published[_i].config);
    ck_assert_uint_eq(dmc__graph_param_total(n->graph), published[_i].parameters);
    ck_assert_int_eq(dmc__graph_param_count(n->graph), published[_i].tensors);
    const dmc__net_config *c = &published[_i].config;
    const int32_t regresses = dmc__net_regresses(c->kind);
    ck_assert_int_eq(dmc__graph_rows(n->graph, n->out), regresses ? 1 : c->horizon);
    ck_assert_int_eq(dmc__graph_cols(n->graph, n->out), regresses ? c->outputs : c->cols);
    dmc__net_destroy(n);
}
END_TEST

START_TEST(critic_counts)
{
    dmc__value_net *q, *v;
    fixture_ok(dmc__twin_q_create(&dmc__default_allocator, 11, 3, 256, &q));
    fixture_ok(dmc__v_create(&dmc__default_allocator, 11, 256, &v));
    ck_assert_uint_eq(dmc__graph_param_total(q->graph), 141826);
    ck_assert_uint_eq(dmc__graph_param_total(v->graph), 70145);
    ck_assert_int_ge(dmc__graph_find_param(q->graph, "Q2.6.weight"), 0);
    ck_assert_int_ge(dmc__graph_find_param(v->graph, "V.4.bias"), 0);
    ck_assert_int_eq(v->act, -1);
    ck_assert_int_eq(v->out[1], -1);
    dmc__value_net_destroy(q);
    dmc__value_net_destroy(v);
}
END_TEST

/* ---- names and shapes ------------------------------------------------------------------------------- */

typedef struct tensor {
    const char *name;
    int32_t rank, shape[3];
} tensor;

static void expect_tensors(const dmc__graph *g, const tensor *want, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const dmc__parid p = dmc__graph_find_param(g, want[i].name);
        ck_assert_msg(p >= 0, "no %s", want[i].name);
        const dmc__param_spec *s = dmc__graph_param(g, p);
        ck_assert_int_eq(s->rank, want[i].rank);
        for (int32_t k = 0; k < s->rank; k++)
            ck_assert_msg(s->shape[k] == want[i].shape[k], "%s: size %d is %d", s->name, k, s->shape[k]);
    }
}

START_TEST(unet_names)
{
    static const tensor want[] = {
        {"map_emb.0.weight", 2, {128, 32}},
        {"map_emb.2.bias", 1, {32}},
        {"downs.0.0.conv1.0.weight", 3, {32, 14, 5}},
        {"downs.0.0.conv1.1.weight", 1, {32}},
        {"downs.0.0.emb_mlp.1.weight", 2, {32, 32}},
        {"downs.0.0.residual_conv.weight", 3, {32, 14, 1}},
        {"downs.2.3.conv.weight", 3, {128, 128, 3}},
        {"downs.3.1.conv2.1.bias", 1, {256}},
        {"mid_block2.conv2.0.weight", 3, {256, 256, 5}},
        {"ups.0.0.conv1.0.weight", 3, {128, 512, 5}},
        {"ups.0.0.residual_conv.bias", 1, {128}},
        {"ups.2.3.conv.weight", 3, {32, 32, 4}},
        {"final_conv.0.weight", 3, {32, 32, 5}},
        {"final_conv.3.weight", 3, {14, 32, 1}},
    };
    static const char *const absent[] = {"downs.3.3.conv.weight", "downs.0.1.residual_conv.weight",
                                         "ups.3.0.conv1.0.weight", "mid_block1.residual_conv.weight"};
    dmc__net *n = fixture_net(published[0].config);
    expect_tensors(n->graph, want, sizeof want / sizeof *want);
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
        ck_assert_int_eq(dmc__graph_find_param(n->graph, absent[i]), -1);
    dmc__net_destroy(n);
}
END_TEST

/* The first published network of this kind and width. */
static dmc__net *published_net(int32_t kind, int32_t cols)
{
    for (int32_t i = 0; i < PUBLISHED; i++)
        if (published[i].config.kind == kind && published[i].config.cols == cols) return fixture_net(published[i].config);
    ck_abort_msg("no such network");
}

START_TEST(chi_names)
{
    static const tensor want[] = {
        {"map_emb.0.weight", 2, {1024, 256}},
        {"map_emb.2.weight", 2, {256, 1024}},
        {"global_cond_encoder.weight", 2, {256, 10}},
        {"downs.0.0.conv1.0.weight", 3, {256, 2, 5}},
        {"downs.0.0.cond_encoder.1.weight", 2, {512, 512}},
        {"downs.0.0.residual_conv.bias", 1, {256}},
        {"downs.1.2.conv.weight", 3, {512, 512, 3}},
        {"downs.2.1.cond_encoder.1.bias", 1, {2048}},
        {"mids.0.conv1.0.weight", 3, {1024, 1024, 5}},
        {"mids.1.cond_encoder.1.weight", 2, {2048, 512}},
        {"ups.0.0.conv1.0.weight", 3, {512, 2048, 5}},
        {"ups.0.2.conv.weight", 3, {512, 512, 4}},
        {"ups.1.1.conv2.1.weight", 1, {256}},
        {"final_conv.0.weight", 3, {256, 256, 5}},
        {"final_conv.3.weight", 3, {2, 256, 1}},
    };
    dmc__net *n = published_net(DMC__NET_UNET1D_CHI, 2);
    expect_tensors(n->graph, want, sizeof want / sizeof *want);
    ck_assert_int_eq(dmc__graph_find_param(n->graph, "downs.2.2.conv.weight"), -1);
    ck_assert_int_eq(dmc__graph_find_param(n->graph, "ups.2.0.conv1.0.weight"), -1);
    dmc__net_destroy(n);
}
END_TEST

START_TEST(half_names)
{
    static const tensor want[] = {
        {"map_emb.2.weight", 2, {32, 128}},
        {"downs.0.0.conv1.0.weight", 3, {32, 14, 3}},
        {"downs.2.2.conv.weight", 3, {128, 128, 3}},
        {"downs.3.1.emb_mlp.1.weight", 2, {256, 32}},
        {"mid_block1.0.conv1.0.weight", 3, {128, 256, 5}},
        {"mid_block1.0.residual_conv.weight", 3, {128, 256, 1}},
        {"mid_block1.1.conv.weight", 3, {128, 128, 3}},
        {"mid_block2.0.emb_mlp.1.bias", 1, {64}},
        {"mid_block2.1.conv.bias", 1, {64}},
        {"final_block.0.weight", 2, {32, 96}},
        {"final_block.2.weight", 2, {1, 32}},
    };
    dmc__net *n = published_net(DMC__NET_UNET1D_HALF, 14);
    expect_tensors(n->graph, want, sizeof want / sizeof *want);
    ck_assert_int_eq(dmc__graph_find_param(n->graph, "downs.3.2.conv.weight"), -1);
    dmc__net_destroy(n);
}
END_TEST

/* What depends on the time and what depends on the condition meet in the blocks, not before. */
START_TEST(chi_parts)
{
    dmc__net *n = published_net(DMC__NET_UNET1D_CHI, 2);
    const int32_t values = dmc__graph_value_count(n->graph);
    uint8_t *const bits = calloc((size_t)values, 1);
    ck_assert_ptr_nonnull(bits);
    bits[n->z] = 1;
    bits[n->t] = 2;
    bits[n->cond] = 4;
    dmc__graph_spread(n->graph, bits);
    int32_t count[8] = {0};
    for (int32_t i = 0; i < dmc__graph_node_count(n->graph); i++)
        if (dmc__graph_cols(n->graph, dmc__graph_made_by(n->graph, i)) == 2048 &&
            dmc__graph_rows(n->graph, dmc__graph_made_by(n->graph, i)) == 1)
            count[bits[dmc__graph_made_by(n->graph, i)]]++;
    /* widths 2048: two blocks of the last level, two of the middle; each has a time part, a condition part and a sum */
    ck_assert_int_eq(count[2], 4);
    ck_assert_int_eq(count[4], 4);
    ck_assert_int_eq(count[6], 4);
    free(bits);
    dmc__net_destroy(n);
}
END_TEST

START_TEST(mlp_names)
{
    static const tensor want[] = {
        {"time_mlp.0.weight", 2, {128, 64}},
        {"time_mlp.2.weight", 2, {64, 128}},
        {"affine_in.weight", 2, {256, 78}},
        {"ln_resnet.0.net.1.weight", 1, {256}},
        {"ln_resnet.1.net.2.weight", 2, {1024, 256}},
        {"ln_resnet.2.net.4.weight", 2, {256, 1024}},
        {"affine_out.bias", 1, {3}},
    };
    dmc__net *n = published_net(DMC__NET_IDQL_MLP, 3);
    expect_tensors(n->graph, want, sizeof want / sizeof *want);
    dmc__net_destroy(n);
}
END_TEST

/* ---- configs that must be refused ------------------------------------------------------------------- */

/* A change to a good config, and words the sentence must contain. */
static const struct refusal {
    int32_t kind;
    size_t field;
    int32_t value;
    const char *option, *bound;
} refusals[] = {
#define FIELD(name) offsetof(dmc__net_config, name)
    {DMC__NET_UNET1D_JANNER, FIELD(horizon), 10, "horizon = 10", "2^(levels-1) = 4"},
    {DMC__NET_UNET1D_JANNER, FIELD(horizon), 0, "horizon = 0", "1..1024"},
    {DMC__NET_UNET1D_JANNER, FIELD(kernel), 4, "kernel = 4", "odd"},
    {DMC__NET_UNET1D_JANNER, FIELD(kernel), -1, "kernel = -1", "1..31"},
    {DMC__NET_UNET1D_JANNER, FIELD(hidden), 13, "hidden = 13", "3 groups"},
    {DMC__NET_UNET1D_JANNER, FIELD(hidden), 0, "hidden = 0", "1..16384"},
    {DMC__NET_UNET1D_JANNER, FIELD(levels), 9, "levels = 9", "1..8"},
    {DMC__NET_UNET1D_JANNER, FIELD(mult[0]), 2, "mult of level 0 = 2", "must be 1"},
    {DMC__NET_UNET1D_JANNER, FIELD(mult[1]), 0, "mult of level 1 = 0", "1..1365"},
    {DMC__NET_UNET1D_JANNER, FIELD(mult[2]), 2000000000, "mult of level 2", "1..682"},
    {DMC__NET_UNET1D_JANNER, FIELD(emb_dim), 7, "emb_dim = 7", "even"},
    {DMC__NET_UNET1D_JANNER, FIELD(emb_dim), 0, "emb_dim = 0", "2..4096"},
    {DMC__NET_IDQL_MLP, FIELD(blocks), -1, "blocks = -1", "0..256"},
    {DMC__NET_IDQL_MLP, FIELD(cols), 0, "columns of z = 0", "1..8192"},
    {DMC__NET_IDQL_MLP, FIELD(cond), -5, "condition = -5", "0..16777216"},
    {DMC__NET_IDQL_MLP, FIELD(extra), -1, "extra = -1", "0..8192"},
    {DMC__NET_IDQL_MLP, FIELD(kind), DMC__NET_COUNT, "network = 9", "0..8"},
    {DMC__NET_IDQL_MLP, FIELD(kind), -1, "network = -1", "0..8"},
    {DMC__NET_IDQL_MLP, FIELD(time_embed), 4, "time_embed = 4", "0..3"},
    {DMC__NET_IDQL_MLP, FIELD(time_embed), DMC__TIME_FOURIER, "emb_dim = 6", "multiple of 8"},
    {DMC__NET_IDQL_MLP, FIELD(n_obs), 2, "n_obs = 2", "condition of 5"},
    {DMC__NET_IDQL_MLP, FIELD(encoder), DMC__ENCODER_MLP, "enc_hidden = 0", "1..16384"},
    {DMC__NET_IDQL_MLP, FIELD(dropout), 0x3f800000 /* 1.0f */, "dropout = 1", "[0, 1)"},
    {DMC__NET_UNET1D_JANNER, FIELD(compat), 4, "compat = 4", "0..3"},
    {DMC__NET_UNET1D_CHI, FIELD(horizon), 10, "unet1d_chi: horizon = 10", "2^(levels-1) = 4"},
    {DMC__NET_UNET1D_CHI, FIELD(hidden), 13, "hidden = 13", "3 groups"},
    {DMC__NET_UNET1D_HALF, FIELD(horizon), 12, "unet1d_half: horizon = 12", "power of two"},
    {DMC__NET_UNET1D_HALF, FIELD(mult[2]), 12, "mid block 1 60 channels", "8 groups"},
    {DMC__NET_UNET1D_HALF, FIELD(mult[2]), 1, "gives the last level 10 channels", "multiple of 4"},
#undef FIELD
};
enum { REFUSALS = sizeof refusals / sizeof *refusals };

/* A small U-Net of this kind. */
static dmc__net_config fixture_of(int32_t kind)
{
    dmc__net_config c = fixture_unet();
    c.kind = kind;
    c.outputs = dmc__net_regresses(kind);
    if (c.outputs) c.hidden = 5; /* 5 10 20, then 10 and 5 */
    return c;
}

START_TEST(refused)
{
    const struct refusal *r = &refusals[_i];
    dmc__net_config c = r->kind == DMC__NET_IDQL_MLP ? fixture_mlp() : fixture_of(r->kind);
    dmc__net *n = (dmc__net *)&c;
    memcpy((char *)&c + r->field, &r->value, sizeof r->value);
    ck_assert_int_eq(dmc__net_create(&dmc__default_allocator, &c, &n), DMC_ERANGE);
    ck_assert_ptr_null(n);
    ck_assert_msg(strstr(dmc_last_error(), r->option) && strstr(dmc_last_error(), r->bound), "%s", dmc_last_error());
}
END_TEST

START_TEST(bad_critics)
{
    dmc__value_net *n;
    ck_assert_int_lt(dmc__twin_q_create(&dmc__default_allocator, 0, 3, 8, &n), 0);
    ck_assert_ptr_null(n);
    ck_assert_int_lt(dmc__v_create(&dmc__default_allocator, 3, 0, &n), 0);
    ck_assert_ptr_null(n);
}
END_TEST

/* ---- memory ----------------------------------------------------------------------------------------- */

START_TEST(out_of_memory)
{
    for (int64_t n = 1;; n++) {
        failing_alloc f = {.fail_at = n};
        const dmc__allocator a = failing_allocator(&f);
        static const int32_t kinds[] = {DMC__NET_IDQL_MLP, DMC__NET_UNET1D_JANNER, DMC__NET_UNET1D_CHI, DMC__NET_UNET1D_HALF};
        dmc__net_config c = _i == 0 ? fixture_mlp() : fixture_of(kinds[_i]);
        c.extra = 2;
        dmc__net *net;
        const dmc_status s = dmc__net_create(&a, &c, &net);
        dmc__net_destroy(net);
        ck_assert_int_eq(f.live, 0);
        if (s == DMC_OK) break;
        ck_assert_int_eq(s, DMC_ENOMEM);
        ck_assert_ptr_null(net);
    }
}
END_TEST

START_TEST(critic_out_of_memory)
{
    for (int64_t n = 1;; n++) {
        failing_alloc f = {.fail_at = n};
        const dmc__allocator a = failing_allocator(&f);
        dmc__value_net *net;
        const dmc_status s = _i == 0 ? dmc__twin_q_create(&a, 7, 3, 13, &net) : dmc__v_create(&a, 7, 13, &net);
        dmc__value_net_destroy(net);
        ck_assert_int_eq(f.live, 0);
        if (s == DMC_OK) break;
        ck_assert_int_eq(s, DMC_ENOMEM);
        ck_assert_ptr_null(net);
    }
}
END_TEST

Suite *dmc_suite_net(void);
Suite *dmc_suite_net(void)
{
    Suite *s = suite_create("net");
    TCase *t = tcase_create("net");
    tcase_add_loop_test(t, parameter_counts, 0, PUBLISHED);
    tcase_add_test(t, critic_counts);
    tcase_add_test(t, unet_names);
    tcase_add_test(t, chi_names);
    tcase_add_test(t, half_names);
    tcase_add_test(t, chi_parts);
    tcase_add_test(t, mlp_names);
    tcase_add_loop_test(t, refused, 0, REFUSALS);
    tcase_add_test(t, bad_critics);
    tcase_add_loop_test(t, out_of_memory, 0, 4);
    tcase_add_loop_test(t, critic_out_of_memory, 0, 2);
    suite_add_tcase(s, t);
    return s;
}
