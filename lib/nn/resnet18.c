/* resnet18.c — a condition with images: a ResNet-18 with GroupNorm (16 channels a group, or all) per camera.
 *
 * The condition is [n_obs rows of S low-dimensional features | n_obs frames of camera 0 | of camera 1 ...]. Every frame,
 * cut to a window (drawn at random while training), becomes a row
 *
 *     f = Linear(act(Linear([camera 0 | camera 1 | ... | features])))        (enc_dim)
 *
 * RESNET18: torchvision's network without its last layer (means over the last map, 8 enc_width per camera), LeakyReLU:
 * CleanDiffuser's MultiImageObsCondition. RESNET18_KEYS: no ReLU behind a block's sum, keypoints of the last map
 * (16 enc_width per camera), SiLU: CleanDiffuser's ResNet18ImageCondition, for one camera without features.
 */
#include "net.h"

#include <math.h>

enum { STAGES = 4, BLOCKS = 2, GROUP = 16 };
enum { PLAIN = 0, RELU = 2 }; /* behind a norm */

static dmc__gimage norm(dmc__graph *g, const char *name, dmc__gimage x, int32_t act)
{
    const int32_t c = dmc__graph_cols(g, x.v);
    return dmc__g_groupnorm2d(g, name, x, c < GROUP ? 1 : c / GROUP, 1e-5, act);
}

/* Names of the two forms, which differ in nothing else as far as layers go. */
typedef struct form {
    const char *conv1, *norm1, *conv2, *norm2, *skip, *skip_norm; /* of a block */
    int32_t torchvision;
} form;
static const form torchvision = {"conv1", "bn1", "conv2", "bn2", "downsample.0", "downsample.1", 1};
static const form keypoints = {"cnn.0", "cnn.1", "cnn.3", "cnn.4", "skip.0", "skip.1", 0};

/* torchvision starts from N(0, 2 / fan_out). */
static dmc__gimage convolve(dmc__graph *g, const form *f, const char *name, dmc__gimage x, int32_t co, int32_t k, int32_t stride)
{
    x = dmc__g_conv2d(g, name, x, co, k, stride, k / 2, 0);
    if (f->torchvision) dmc__g_init(g, DMC__INIT_NORMAL, sqrt(2.0 / (co * k * k)));
    return x;
}

/* GN Conv ReLU GN Conv of x, plus x; with a stride, x through a convolution of one tap. */
static dmc__gimage block(dmc__graph *g, const form *f, dmc__gimage x, int32_t co, int32_t stride)
{
    dmc__gimage y = norm(g, f->norm1, convolve(g, f, f->conv1, x, co, 3, stride), RELU);
    y = norm(g, f->norm2, convolve(g, f, f->conv2, y, co, 3, 1), PLAIN);
    if (stride > 1) x = norm(g, f->skip_norm, convolve(g, f, f->skip, x, co, 1, stride), PLAIN);
    y = dmc__g_add2d(g, y, x);
    return f->torchvision ? dmc__g_act2d(g, DMC_OP_RELU, y) : y;
}

static dmc__gimage stages(dmc__graph *g, const form *f, dmc__gimage x, int32_t width)
{
    for (int32_t s = 0; s < STAGES; s++)
        for (int32_t b = 0; b < BLOCKS; b++) {
            if (f->torchvision) dmc__graph_push(g, "layer%d.%d.", s + 1, b);
            else dmc__graph_push(g, "cnn.%d.", 4 + BLOCKS * s + b);
            x = block(g, f, x, width << s, s > 0 && b == 0 ? 2 : 1);
            dmc__graph_pop(g);
        }
    return x;
}

/* Frames (h,w,c) to (frames, features). */
static dmc__val see(dmc__graph *g, const form *f, dmc__gimage x, int32_t width)
{
    x = convolve(g, f, f->torchvision ? "conv1" : "cnn.0", x, width, 7, 2);
    x = dmc__g_maxpool2d(g, norm(g, f->torchvision ? "bn1" : "cnn.1", x, RELU), 3, 2, 1);
    x = stages(g, f, x, width);
    return f->torchvision ? dmc__g_mean2d(g, x) : dmc__g_spatial_softmax(g, "cnn.12", x);
}

/* A camera's name as tensors have it. */
static void push_camera(dmc__net *n, int32_t i)
{
    const char *const name = n->config.camera[i];
    if (n->config.encoder == DMC__ENCODER_RESNET18_KEYS)
        if (n->config.cameras == 1) dmc__graph_push(n->graph, "resnet18.");
        else dmc__graph_push(n->graph, "resnet18.%d.", i);
    else if (*name) dmc__graph_push(n->graph, "key_model_map.%s.", name);
    else dmc__graph_push(n->graph, "key_model_map.%d.", i);
}

/* Features of camera i, (n_obs, ...). */
static dmc__val see_camera(dmc__net *n, const form *f, int32_t frames, int32_t i)
{
    const dmc__net_config *const c = &n->config;
    const int32_t frame = dmc__net_frame(c), first = frames * (dmc__net_features(c) + i * frame);
    dmc__graph *const g = n->graph;
    dmc__gimage x = dmc__g_image(g, dmc__g_slice(g, n->cond, first, frames * frame), c->image_h, c->image_w, c->image_c);
    x = dmc__g_crop2d(g, x, c->crop_h, c->crop_w, c->crop_random);
    push_camera(n, i);
    const dmc__val y = see(g, f, x, c->enc_width);
    dmc__graph_pop(g);
    return y;
}

/* Linear act Linear over every frame's parts. */
static dmc__val join(dmc__net *n, const form *f, int32_t parts, const dmc__val *part)
{
    dmc__graph *const g = n->graph;
    dmc__graph_push(g, f->torchvision || n->config.cameras > 1 ? "mlp." : "resnet18.mlp.");
    dmc__val x = dmc__g_linear_sum(g, "0", parts, part, n->config.enc_hidden, 1);
    x = f->torchvision ? dmc__g_leaky_relu(g, x, 0.01) : dmc__g_act(g, DMC_OP_SILU, x);
    x = dmc__g_linear(g, "2", x, n->config.enc_dim, 1);
    dmc__graph_pop(g);
    return x;
}

dmc__val dmc__resnet18_condition(dmc__net *n)
{
    const dmc__net_config *const c = &n->config;
    const form *const f = c->encoder == DMC__ENCODER_RESNET18 ? &torchvision : &keypoints;
    const int32_t frames = c->n_obs > 1 ? c->n_obs : 1, features = dmc__net_features(c);
    dmc__graph *const g = n->graph;
    dmc__val part[DMC__MAX_CAMERAS + 1];
    int32_t parts = 0;
    dmc__graph_push(g, "condition.");
    for (int32_t i = 0; i < c->cameras; i++) part[parts++] = see_camera(n, f, frames, i);
    if (features > 0)
        part[parts++] = dmc__g_reshape(g, dmc__g_slice(g, n->cond, 0, frames * features), frames, features);
    const dmc__val x = join(n, f, parts, part);
    dmc__graph_pop(g);
    return dmc__g_reshape(g, x, 1, frames * c->enc_dim);
}
