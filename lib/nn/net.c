/* net.c — from a config to a network: bounds are checked here, each network's own file appends the ops. */
#include "net.h"

#include <string.h>

#include "layers.h"

/* ---- bounds ----------------------------------------------------------------------------------------- */

/* The maxima keep every product of two sizes far below 2^31. */
#define NUMBER(field, min, max) {#field, offsetof(dmc__net_config, field), min, max}
const dmc__net_number dmc__net_numbers[DMC__NET_NUMBERS] = {
    NUMBER(horizon, 1, 1024),
    NUMBER(hidden, 1, 16384),
    NUMBER(blocks, 0, 256),
    NUMBER(emb_dim, 2, 4096),
    NUMBER(kernel, 0, 31),
    NUMBER(n_obs, 0, 64),
    NUMBER(heads, 0, 256),
    NUMBER(time_embed, DMC__TIME_POSITIONAL, DMC__TIME_FROZEN),
    NUMBER(compat, 0, DMC__COMPAT_ALL),
    NUMBER(encoder, DMC__ENCODER_NONE, DMC__ENCODER_RESNET18_KEYS),
    NUMBER(enc_hidden, 0, 16384),
    NUMBER(enc_dim, 0, 16384),
};
const dmc__net_number dmc__net_image_numbers[DMC__NET_IMAGE_NUMBERS] = {
    NUMBER(cameras, 1, DMC__MAX_CAMERAS), NUMBER(image_h, 1, 2048), NUMBER(image_w, 1, 2048), NUMBER(image_c, 1, 16),
    NUMBER(crop_h, 1, 2048),              NUMBER(crop_w, 1, 2048),  NUMBER(crop_random, 0, 1), NUMBER(enc_width, 1, 512),
};
/* They follow from the data. */
static const dmc__net_number from_data[] = {
    {"columns of z", offsetof(dmc__net_config, cols), 1, 8192},
    NUMBER(extra, 0, 8192),
    {"width of the condition", offsetof(dmc__net_config, cond), 0, 1 << 24},
    NUMBER(outputs, 0, 8192),
};
/* Where a network needs them. */
static const dmc__net_number levels = NUMBER(levels, 1, DMC__MAX_LEVELS), taps = NUMBER(kernel, 1, 31),
                             inner = NUMBER(enc_hidden, 1, 16384), outer = NUMBER(enc_dim, 1, 16384);

static dmc_status check_number(const dmc__net_config *c, const dmc__net_number *n)
{
    int32_t value;
    memcpy(&value, (const char *)c + n->offset, sizeof value);
    if (value >= n->min && value <= n->max) return DMC_OK;
    return dmc__fail(DMC_ERANGE, "%s: %s = %d, must be %d..%d", dmc__net_name(c->kind), n->name, value, n->min, n->max);
}

/* ---- images ----------------------------------------------------------------------------------------- */

int32_t dmc__net_sees(const dmc__net_config *c)
{
    return c->encoder == DMC__ENCODER_RESNET18 || c->encoder == DMC__ENCODER_RESNET18_KEYS;
}

int32_t dmc__net_frame(const dmc__net_config *c)
{
    return dmc__net_sees(c) ? c->image_h * c->image_w * c->image_c : 0;
}

int32_t dmc__net_features(const dmc__net_config *c)
{
    return c->cond / (c->n_obs > 1 ? c->n_obs : 1) - c->cameras * dmc__net_frame(c);
}

static dmc_status check_images(const dmc__net_config *c)
{
    const char *const name = dmc__net_name(c->kind);
    for (size_t i = 0; i < DMC__NET_IMAGE_NUMBERS; i++) DMC_TRY(check_number(c, &dmc__net_image_numbers[i]));
    if (c->crop_h > c->image_h || c->crop_w > c->image_w)
        return dmc__fail(DMC_ERANGE, "%s: crop of %d x %d pixels, images have %d x %d", name, c->crop_h, c->crop_w, c->image_h,
                         c->image_w);
    if (c->enc_width % 16 && 16 % c->enc_width)
        return dmc__fail(DMC_ERANGE, "%s: enc_width = %d, must be 1, 2, 4, 8 or a multiple of 16", name, c->enc_width);
    const int64_t frames = (int64_t)c->cameras * dmc__net_frame(c) * (c->n_obs > 1 ? c->n_obs : 1);
    if (c->cond < frames)
        return dmc__fail(DMC_ERANGE, "%s: condition of %d numbers, frames of %d cameras are %lld", name, c->cond, c->cameras,
                         (long long)frames);
    return DMC_OK;
}

/* ---- what every network has ------------------------------------------------------------------------- */

static dmc_status check_condition(const dmc__net_config *c)
{
    if (c->n_obs > 1 && c->cond % c->n_obs)
        return dmc__fail(DMC_ERANGE, "%s: condition of %d numbers, must be a multiple of n_obs = %d", dmc__net_name(c->kind),
                         c->cond, c->n_obs);
    if (c->encoder == DMC__ENCODER_NONE) return DMC_OK;
    if (c->cond == 0)
        return dmc__fail(DMC_EINVAL, "%s: encoder = %d needs a condition, there is none", dmc__net_name(c->kind), c->encoder);
    DMC_TRY(check_number(c, &inner));
    DMC_TRY(check_number(c, &outer));
    return dmc__net_sees(c) ? check_images(c) : DMC_OK;
}

static dmc_status check_time(const dmc__net_config *c)
{
    const int32_t multiple = c->time_embed == DMC__TIME_FOURIER ? 8 : 2;
    if (c->emb_dim % multiple)
        return dmc__fail(DMC_ERANGE, "%s: emb_dim = %d, must be %s", dmc__net_name(c->kind), c->emb_dim,
                         multiple == 2 ? "even" : "a multiple of 8 with time_embed fourier");
    if (c->time_embed == DMC__TIME_SINUSOIDAL && c->emb_dim < 4)
        return dmc__fail(DMC_ERANGE, "%s: emb_dim = %d, must be at least 4 with time_embed sinusoidal", dmc__net_name(c->kind),
                         c->emb_dim);
    return DMC_OK;
}

/* What every network has. */
static dmc_status check_common(const dmc__net_config *c)
{
    for (size_t i = 0; i < DMC__NET_NUMBERS; i++) DMC_TRY(check_number(c, &dmc__net_numbers[i]));
    for (size_t i = 0; i < sizeof from_data / sizeof *from_data; i++) DMC_TRY(check_number(c, &from_data[i]));
    if (!(c->dropout >= 0 && c->dropout < 1))
        return dmc__fail(DMC_ERANGE, "%s: dropout = %g, must be in [0, 1)", dmc__net_name(c->kind), (double)c->dropout);
    if (dmc__net_regresses(c->kind) != (c->outputs > 0))
        return dmc__fail(DMC_EINVAL, "%s: outputs = %d, must be %s", dmc__net_name(c->kind), c->outputs,
                         dmc__net_regresses(c->kind) ? "at least 1" : "0");
    DMC_TRY(check_time(c));
    return check_condition(c);
}

/* The norm must be able to cut the channels into equal groups. */
static dmc_status check_width(const dmc__net_config *c, const char *place, int32_t l, int32_t width)
{
    const int32_t groups = dmc__layers_groups(width);
    if (width % groups == 0) return DMC_OK;
    return dmc__fail(DMC_ERANGE, "%s: hidden = %d gives %s %d %d channels, must be a multiple of its %d groups",
                     dmc__net_name(c->kind), c->hidden, place, l, width, groups);
}

static dmc_status check_widths(const dmc__net_config *c)
{
    enum { WIDEST = 16384 };
    int32_t width = c->hidden;
    for (int32_t l = 0; l < c->levels; l++) {
        const int32_t m = c->mult[l];
        if (m < 1 || m > WIDEST / width)
            return dmc__fail(DMC_ERANGE, "%s: mult of level %d = %d, must be 1..%d (%d channels at most)",
                             dmc__net_name(c->kind), l, m, WIDEST / width, WIDEST);
        width *= m;
        DMC_TRY(check_width(c, "level", l, width));
    }
    return DMC_OK;
}

static dmc_status check_unet(const dmc__net_config *c)
{
    const char *const name = dmc__net_name(c->kind);
    DMC_TRY(check_number(c, &taps));
    DMC_TRY(check_number(c, &levels));
    DMC_TRY(check_common(c));
    if (c->kernel % 2 == 0) return dmc__fail(DMC_ERANGE, "%s: kernel = %d, must be odd", name, c->kernel);
    const int32_t factor = 1 << (c->levels - 1);
    if (c->horizon % factor)
        return dmc__fail(DMC_ERANGE, "%s: horizon = %d, must be divisible by 2^(levels-1) = %d", name, c->horizon, factor);
    if (c->mult[0] != 1)
        return dmc__fail(DMC_ERANGE, "%s: mult of level 0 = %d, must be 1 (hidden is that level's width)", name, c->mult[0]);
    return check_widths(c);
}

/* Behind the levels, channels and rows are halved twice more. */
static dmc_status check_half(const dmc__net_config *c)
{
    DMC_TRY(check_unet(c));
    int32_t width = c->hidden;
    for (int32_t l = 0; l < c->levels; l++) width *= c->mult[l];
    if (c->horizon & (c->horizon - 1))
        return dmc__fail(DMC_ERANGE, "%s: horizon = %d, must be a power of two", dmc__net_name(c->kind), c->horizon);
    if (width % 4)
        return dmc__fail(DMC_ERANGE, "%s: hidden = %d gives the last level %d channels, must be a multiple of 4",
                         dmc__net_name(c->kind), c->hidden, width);
    DMC_TRY(check_width(c, "mid block", 1, width / 2));
    return check_width(c, "mid block", 2, width / 4);
}

/* Orthogonal weights take time that grows with the cube of the width: seconds here. */
static dmc_status check_inverse(const dmc__net_config *c)
{
    static const dmc__net_number width = NUMBER(hidden, 1, 2048);
    DMC_TRY(check_number(c, &width));
    return check_common(c);
}

/* `multiple`: of the width, what the network's layers need. */
static dmc_status check_heads(const dmc__net_config *c, int32_t multiple)
{
    static const dmc__net_number some = NUMBER(heads, 1, 256);
    const char *const name = dmc__net_name(c->kind);
    DMC_TRY(check_number(c, &some));
    DMC_TRY(check_common(c));
    if (c->hidden % c->heads || c->hidden % multiple || c->hidden < 4)
        return dmc__fail(DMC_ERANGE, "%s: hidden = %d, must be a multiple of heads = %d and of %d, and at least 4", name,
                         c->hidden, c->heads, multiple);
    return DMC_OK;
}

/* The embedded time is a row of the memory. */
static dmc_status check_chi_transformer(const dmc__net_config *c)
{
    DMC_TRY(check_heads(c, 1));
    if (c->emb_dim != c->hidden)
        return dmc__fail(DMC_ERANGE, "%s: emb_dim = %d, must be hidden = %d", dmc__net_name(c->kind), c->emb_dim, c->hidden);
    return DMC_OK;
}

static dmc_status check_dit(const dmc__net_config *c)
{
    return check_heads(c, c->kind == DMC__NET_DIT1D_HALF ? 4 : 2);
}

/* ---- the networks there are: number = place in the list --------------------------------------------- */

static const struct network {
    const char *name;
    dmc_status (*check)(const dmc__net_config *c);
    void (*build)(dmc__net *n);
    int32_t regresses;
} networks[DMC__NET_COUNT] = {
    [DMC__NET_IDQL_MLP] = {"idql_mlp", check_common, dmc__idql_mlp_build, 0},
    [DMC__NET_UNET1D_JANNER] = {"unet1d_janner", check_unet, dmc__unet1d_janner_build, 0},
    [DMC__NET_UNET1D_CHI] = {"unet1d_chi", check_unet, dmc__unet1d_chi_build, 0},
    [DMC__NET_TRANSFORMER_CHI] = {"transformer_chi", check_chi_transformer, dmc__transformer_chi_build, 0},
    [DMC__NET_DIT1D] = {"dit1d", check_dit, dmc__dit1d_build, 0},
    [DMC__NET_UNET1D_HALF] = {"unet1d_half", check_half, dmc__unet1d_half_build, 1},
    [DMC__NET_DIT1D_HALF] = {"dit1d_half", check_dit, dmc__dit1d_half_build, 1},
    [DMC__NET_DQL_MLP] = {"dql_mlp", check_common, dmc__dql_mlp_build, 0},
    [DMC__NET_INVERSE_MLP] = {"inverse_mlp", check_inverse, dmc__inverse_mlp_build, 1},
};

const char *dmc__net_name(int32_t kind)
{
    return kind >= 0 && kind < DMC__NET_COUNT ? networks[kind].name : NULL;
}

int32_t dmc__net_regresses(int32_t kind)
{
    return networks[kind].regresses;
}

static dmc_status build(dmc__net *n)
{
    const dmc__net_config *c = &n->config;
    DMC_TRY(dmc__graph_create(n->alloc, &n->graph));
    n->z = dmc__graph_input(n->graph, "z", c->horizon, c->cols);
    n->t = dmc__graph_input(n->graph, "t", 1, 1);
    n->cond = c->cond > 0 ? dmc__graph_input(n->graph, "cond", 1, c->cond) : -1;
    n->extra = c->extra > 0 ? dmc__graph_input(n->graph, "extra", c->horizon, c->extra) : -1;
    networks[c->kind].build(n);
    dmc__graph_output(n->graph, n->out);
    return dmc__graph_status(n->graph);
}

dmc_status dmc__net_create(const dmc__allocator *a, const dmc__net_config *c, dmc__net **out)
{
    *out = NULL;
    if (!dmc__net_name(c->kind) || !networks[c->kind].build)
        return dmc__fail(DMC_ERANGE, "dmc__net_create: network = %d, must be 0..%d", c->kind, DMC__NET_COUNT - 1);
    DMC_TRY(networks[c->kind].check(c));
    dmc__net *n = NULL;
    DMC_TRY(DMC_NEW(a, 1, &n));
    n->alloc = a;
    n->config = *c;
    const dmc_status status = build(n);
    if (status < 0) {
        dmc__net_destroy(n);
        return status;
    }
    *out = n;
    return DMC_OK;
}

void dmc__net_destroy(dmc__net *n)
{
    if (!n) return;
    dmc__graph_destroy(n->graph);
    DMC_FREE(n->alloc, n, 1);
}

size_t dmc__net_bytes(const dmc__net *n)
{
    return n ? sizeof *n + dmc__graph_bytes(n->graph) : 0;
}
