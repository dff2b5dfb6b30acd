/* check_resnet18.c — the encoder of images: published numbers of parameters, the peers' names, configs that must be refused,
 * and that every frame and every camera stands where view.h puts it. */
#include <math.h>
#include <string.h>

#include "net_fixture.h"

Suite *dmc_suite_resnet18(void);

/* A policy of two frames of `features` numbers and `cameras` images. */
static dmc__net_config seeing(int32_t encoder, int32_t cameras, int32_t features, int32_t size, int32_t crop)
{
    return (dmc__net_config){.kind = DMC__NET_DQL_MLP, .horizon = 1, .cols = 2, .hidden = 7, .emb_dim = 6, .n_obs = 2,
                             .cond = 2 * (features + cameras * size * size * 3), .encoder = encoder, .enc_hidden = 256,
                             .enc_dim = 256, .cameras = cameras, .image_h = size, .image_w = size, .image_c = 3,
                             .crop_h = crop, .crop_w = crop, .enc_width = 64};
}

/* Of the encoder alone. */
static size_t condition_parameters(const dmc__graph *g)
{
    size_t sum = 0;
    for (int32_t i = 0; i < dmc__graph_param_count(g); i++) {
        const dmc__param_spec *const p = dmc__graph_param(g, i);
        if (strncmp(p->name, "condition.", 10) == 0) sum += p->size;
    }
    return sum;
}

static const struct published {
    int32_t encoder, cameras, features, size, crop;
    size_t parameters;
} published[] = {
    {DMC__ENCODER_RESNET18, 1, 2, 96, 84, 11374144},      /* PushT                                             */
    {DMC__ENCODER_RESNET18, 2, 9, 84, 76, 22683520},      /* robomimic                                         */
    {DMC__ENCODER_RESNET18, 4, 18, 84, 76, 45300992},     /* robomimic transport                               */
    {DMC__ENCODER_RESNET18_KEYS, 1, 0, 64, 64, 11504705}, /* ResNet18ImageCondition(64, 3, 256): "11.5M"       */
};
enum { PUBLISHED = sizeof published / sizeof *published };

START_TEST(published_sizes)
{
    const struct published *const p = &published[_i];
    dmc__net *const n = fixture_net(seeing(p->encoder, p->cameras, p->features, p->size, p->crop));
    ck_assert_uint_eq(condition_parameters(n->graph), p->parameters);
    dmc__net_destroy(n);
}
END_TEST

/* Diffusion Policy's U-Net on PushT's images: 69.01 M parameters, and the encoder's. */
START_TEST(a_whole_policy)
{
    dmc__net_config c = seeing(DMC__ENCODER_RESNET18, 1, 2, 96, 84);
    c.kind = DMC__NET_UNET1D_CHI;
    c.horizon = 16;
    c.hidden = c.emb_dim = 256;
    c.kernel = 5;
    c.levels = 3;
    c.mult[0] = 1;
    c.mult[1] = c.mult[2] = 2;
    dmc__net *const n = fixture_net(c);
    ck_assert_uint_eq(dmc__graph_param_total(n->graph), 69011202 + 11374144);
    dmc__net_destroy(n);
}
END_TEST

static void expect_tensor(const dmc__graph *g, const char *name, int32_t rank, const int32_t *shape)
{
    const dmc__parid i = dmc__graph_find_param(g, name);
    ck_assert_msg(i >= 0, "no %s", name);
    ck_assert_int_eq(dmc__graph_param(g, i)->rank, rank);
    for (int32_t k = 0; k < rank; k++) ck_assert_int_eq(dmc__graph_param(g, i)->shape[k], shape[k]);
}

START_TEST(names_of_torchvision)
{
    dmc__net_config c = seeing(DMC__ENCODER_RESNET18, 2, 9, 84, 76);
    strcpy(c.camera[0], "agentview_image");
    strcpy(c.camera[1], "robot0_eye_in_hand_image");
    dmc__net *const n = fixture_net(c);
    const dmc__graph *const g = n->graph;
    expect_tensor(g, "condition.key_model_map.agentview_image.conv1.weight", 4, (int32_t[]){64, 3, 7, 7});
    expect_tensor(g, "condition.key_model_map.agentview_image.bn1.bias", 1, (int32_t[]){64});
    expect_tensor(g, "condition.key_model_map.robot0_eye_in_hand_image.layer1.1.conv2.weight", 4, (int32_t[]){64, 64, 3, 3});
    expect_tensor(g, "condition.key_model_map.robot0_eye_in_hand_image.layer4.0.downsample.0.weight", 4,
                  (int32_t[]){512, 256, 1, 1});
    expect_tensor(g, "condition.key_model_map.robot0_eye_in_hand_image.layer4.0.downsample.1.weight", 1, (int32_t[]){512});
    expect_tensor(g, "condition.mlp.0.weight", 2, (int32_t[]){256, 2 * 512 + 9});
    expect_tensor(g, "condition.mlp.2.weight", 2, (int32_t[]){256, 256});
    ck_assert_int_eq(dmc__graph_find_param(g, "condition.key_model_map.agentview_image.layer1.0.downsample.0.weight"), -1);
    ck_assert_int_eq(dmc__graph_find_param(g, "condition.key_model_map.agentview_image.conv1.bias"), -1);
    dmc__net_destroy(n);
}
END_TEST

START_TEST(names_of_keypoints)
{
    dmc__net *const one = fixture_net(seeing(DMC__ENCODER_RESNET18_KEYS, 1, 0, 64, 64));
    expect_tensor(one->graph, "condition.resnet18.cnn.0.weight", 4, (int32_t[]){64, 3, 7, 7});
    expect_tensor(one->graph, "condition.resnet18.cnn.6.skip.0.weight", 4, (int32_t[]){128, 64, 1, 1});
    expect_tensor(one->graph, "condition.resnet18.cnn.11.cnn.4.weight", 1, (int32_t[]){512});
    expect_tensor(one->graph, "condition.resnet18.cnn.12.temperature", 1, (int32_t[]){1});
    expect_tensor(one->graph, "condition.resnet18.mlp.0.weight", 2, (int32_t[]){256, 1024});
    dmc__net_destroy(one);
    dmc__net *const two = fixture_net(seeing(DMC__ENCODER_RESNET18_KEYS, 2, 9, 64, 64));
    expect_tensor(two->graph, "condition.resnet18.1.cnn.12.temperature", 1, (int32_t[]){1});
    expect_tensor(two->graph, "condition.mlp.0.weight", 2, (int32_t[]){256, 2 * 1024 + 9});
    dmc__net_destroy(two);
}
END_TEST

/* ---- what must be refused --------------------------------------------------------------------------- */

static const struct refused {
    int32_t cameras, size, crop, width, cond;
    const char *sentence;
} refused[] = {
    {0, 84, 76, 64, 100, "dql_mlp: cameras = 0, must be 1..8"},
    {9, 84, 76, 64, 100, "dql_mlp: cameras = 9, must be 1..8"},
    {1, 0, 76, 64, 100, "dql_mlp: image_h = 0, must be 1..2048"},
    {1, 84, 85, 64, 42340, "dql_mlp: crop of 85 x 85 pixels, images have 84 x 84"},
    {1, 84, 0, 64, 42340, "dql_mlp: crop_h = 0, must be 1..2048"},
    {1, 84, 76, 24, 42340, "dql_mlp: enc_width = 24, must be 1, 2, 4, 8 or a multiple of 16"},
    {1, 84, 76, 64, 42334, "dql_mlp: condition of 42334 numbers, frames of 1 cameras are 42336"},
};
enum { REFUSED = sizeof refused / sizeof *refused };

START_TEST(refusals)
{
    const struct refused *const r = &refused[_i];
    dmc__net_config c = seeing(DMC__ENCODER_RESNET18, 1, 2, r->size, r->crop);
    dmc__net *n = (dmc__net *)&n;
    c.cameras = r->cameras;
    c.cond = r->cond;
    c.enc_width = r->width;
    ck_assert_int_lt(dmc__net_create(&dmc__default_allocator, &c, &n), 0);
    ck_assert_str_eq(dmc_last_error(), r->sentence);
    ck_assert_ptr_null(n);
}
END_TEST

/* ---- where frames stand ----------------------------------------------------------------------------- */

enum { SIZE = 12, FEATURES = 3, FRAME = SIZE * SIZE * 3, ROW = 2 * (FEATURES + 2 * FRAME), CODE = 5 };

/* The encoded condition of one sample, (2, CODE); free it. */
static float *encode(const dmc__net *n, dmc__device *d, const void *weights, const float *cond)
{
    dmc__plan *p;
    fixture_ok(dmc__plan_create(n->graph, d, 1, DMC__PLAN_INFER, NULL, &p));
    dmc__plan_bind(p, weights, NULL);
    fixture_fill(d, dmc__plan_value(p, n->z), fixture_val_size(n->graph, n->z, 1), 3, 1);
    fixture_fill(d, dmc__plan_value(p, n->t), 1, 4, 1);
    fixture_ok(dmc__dev_in(d, dmc__plan_value(p, n->cond), cond, ROW));
    fixture_ok(dmc__plan_forward(p));
    float *const out = fixture_read(d, dmc__plan_value(p, n->out), fixture_val_size(n->graph, n->out, 1));
    dmc__plan_destroy(p);
    return out;
}

/* A net whose output is the encoded condition. */
static dmc__net *encoder_alone(void)
{
    dmc__net *n;
    fixture_ok(DMC_NEW(&dmc__default_allocator, 1, &n));
    n->alloc = &dmc__default_allocator;
    n->config = seeing(DMC__ENCODER_RESNET18, 2, FEATURES, SIZE, SIZE - 2);
    n->config.enc_width = 2;
    n->config.enc_hidden = 9;
    n->config.enc_dim = CODE;
    fixture_ok(dmc__graph_create(n->alloc, &n->graph));
    n->z = dmc__graph_input(n->graph, "z", 1, 1);
    n->t = dmc__graph_input(n->graph, "t", 1, 1);
    n->cond = dmc__graph_input(n->graph, "cond", 1, ROW);
    n->out = dmc__net_condition(n);
    dmc__graph_output(n->graph, n->out);
    fixture_ok(dmc__graph_status(n->graph));
    ck_assert_int_eq(dmc__graph_cols(n->graph, n->out), 2 * CODE);
    return n;
}

/* Which of the two rows of the code change when element i of the condition does. */
static int32_t rows_changed(const dmc__net *n, dmc__device *d, const void *weights, const float *cond, size_t i, const float *was)
{
    float *const other = fixture_floats(ROW);
    memcpy(other, cond, ROW * sizeof *cond);
    other[i] += 3;
    float *const is = encode(n, d, weights, other);
    int32_t rows = 0;
    for (int r = 0; r < 2; r++) rows |= (memcmp(is + r * CODE, was + r * CODE, CODE * sizeof *is) != 0) << r;
    free(is);
    free(other);
    return rows;
}

/* First, last but one ... of features and frames; a pixel at the edge is outside the window. */
START_TEST(frames_stand_in_order)
{
    dmc__device *const d = fixture_device("cpu");
    dmc__net *const n = encoder_alone();
    void *const weights = fixture_weights(d, n->graph, 1);
    float *const cond = fixture_normals(ROW, 2, 1), *const was = encode(n, d, weights, cond);
    const size_t middle = FRAME / 2 + SIZE / 2 * 3, first = 2 * FEATURES;
    for (size_t frame = 0; frame < 2; frame++) {
        for (size_t j = 0; j < FEATURES; j++)
            ck_assert_int_eq(rows_changed(n, d, weights, cond, frame * FEATURES + j, was), 1 << frame);
        for (size_t camera = 0; camera < 2; camera++) {
            const size_t at = first + (2 * camera + frame) * FRAME;
            ck_assert_int_eq(rows_changed(n, d, weights, cond, at + middle, was), 1 << frame);
            ck_assert_int_eq(rows_changed(n, d, weights, cond, at + (SIZE + 1) * 3, was), 1 << frame);
            ck_assert_int_eq(rows_changed(n, d, weights, cond, at, was), 0);
            ck_assert_int_eq(rows_changed(n, d, weights, cond, at + FRAME - 1, was), 0);
        }
    }
    free(was);
    free(cond);
    dmc__dev_free(d, weights, dmc__graph_param_elems(n->graph));
    dmc__net_destroy(n);
    dmc__device_close(d);
}
END_TEST

Suite *dmc_suite_resnet18(void)
{
    Suite *s = suite_create("resnet18");
    TCase *t = tcase_create("resnet18");
    tcase_add_loop_test(t, published_sizes, 0, PUBLISHED);
    tcase_add_test(t, a_whole_policy);
    tcase_add_test(t, names_of_torchvision);
    tcase_add_test(t, names_of_keypoints);
    tcase_add_loop_test(t, refusals, 0, REFUSED);
    tcase_add_test(t, frames_stand_in_order);
    suite_add_tcase(s, t);
    return s;
}
