/* unet1d_janner.c — the temporal U-Net of Diffuser (Janner et al. 2022), as in CleanDiffuser's JannerUNet1d.
 *
 * Level l has d_l = hidden * mult[0] * ... * mult[l] channels and T / 2^l rows. Down: two residual blocks, then a
 * strided convolution; up: the level's output is joined with the mirror level's, two blocks, then a transposed
 * convolution. The first level's output is never joined: there are levels - 1 ups, as in Diffuser's own code.
 * The time embedding is added inside a block after the first convolution's activation.
 *
 * A side input is joined behind z on channels, so that grown weights are [W | 0]; the first block then always has a
 * convolution on its residual path. A condition enters as Linear(cond) added to the time embedding (CleanDiffuser
 * keeps that layer in a module of its own).
 */
#include "layers.h"
#include "net.h"

typedef struct unet {
    dmc__graph *g;
    dmc__val emb; /* Mish(e), (1, hidden) */
    int32_t kernel, levels;
    int32_t d[DMC__MAX_LEVELS];
    dmc__val skip[DMC__MAX_LEVELS];
} unet;

/* y = Mish(norm(conv(x))) + Linear(Mish(e)); y = Mish(norm(conv(y))) + x, through a 1x1 convolution where the widths
 * differ. The additions are part of the norms. */
static dmc__val residual_block(unet *u, dmc__val x, int32_t co, int32_t project)
{
    dmc__graph *g = u->g;
    dmc__val y = dmc__layers_conv(g, "conv1.0", x, co, u->kernel);
    y = dmc__layers_norm(g, "conv1.1", y, dmc__g_linear(g, "emb_mlp.1", u->emb, co, 1), -1);
    y = dmc__layers_conv(g, "conv2.0", y, co, u->kernel);
    if (project || dmc__graph_cols(g, x) != co)
        x = dmc__g_conv1d(g, "residual_conv", x, co, 1, 1, 0);
    return dmc__layers_norm(g, "conv2.1", y, -1, x);
}

/* Two residual blocks under the present prefix: "downs.1." or "ups.0.". */
static dmc__val two_blocks(unet *u, dmc__val x, int32_t co, int32_t project)
{
    dmc__graph_push(u->g, "0.");
    x = residual_block(u, x, co, project);
    dmc__graph_pop(u->g);
    dmc__graph_push(u->g, "1.");
    x = residual_block(u, x, co, 0);
    dmc__graph_pop(u->g);
    return x;
}

static dmc__val go_down(unet *u, dmc__val x, int32_t project_first)
{
    for (int32_t l = 0; l < u->levels; l++) {
        dmc__graph_push(u->g, "downs.%d.", l);
        x = two_blocks(u, x, u->d[l], l == 0 && project_first);
        u->skip[l] = x;
        if (l + 1 < u->levels) x = dmc__g_conv1d(u->g, "3.conv", x, u->d[l], 3, 2, 1);
        dmc__graph_pop(u->g);
    }
    return x;
}

static dmc__val pass_middle(unet *u, dmc__val x)
{
    for (int32_t i = 1; i <= 2; i++) {
        dmc__graph_push(u->g, "mid_block%d.", i);
        x = residual_block(u, x, u->d[u->levels - 1], 0);
        dmc__graph_pop(u->g);
    }
    return x;
}

static dmc__val go_up(unet *u, dmc__val x)
{
    for (int32_t j = 0; j + 1 < u->levels; j++) {
        const int32_t l = u->levels - 1 - j;
        dmc__graph_push(u->g, "ups.%d.", j);
        x = dmc__g_concat(u->g, x, u->skip[l], -1);
        x = two_blocks(u, x, u->d[l - 1], 0);
        x = dmc__g_convt1d(u->g, "3.conv", x, u->d[l - 1], 4, 2, 1);
        dmc__graph_pop(u->g);
    }
    return x;
}

/* e = Linear(4m,m) Mish Linear(E,4m) (embed(t) + Linear(cond)?), then the Mish every block starts with. */
static dmc__val embed_time(dmc__net *n)
{
    const dmc__net_config *c = &n->config;
    dmc__graph *g = n->graph;
    dmc__val e = dmc__net_time(n);
    if (c->cond > 0) e = dmc__g_add(g, e, dmc__g_linear(g, "map_cond", dmc__net_condition(n), c->emb_dim, 1));
    e = dmc__layers_mlp(g, "map_emb", e, 4 * c->hidden, c->hidden);
    return dmc__g_act(g, DMC_OP_MISH, e);
}

void dmc__unet1d_janner_build(dmc__net *n)
{
    const dmc__net_config *c = &n->config;
    unet u = {.g = n->graph, .kernel = c->kernel, .levels = c->levels};
    u.emb = embed_time(n);
    for (int32_t l = 0, width = c->hidden; l < c->levels; l++) {
        width *= c->mult[l];
        u.d[l] = width;
    }
    dmc__val x = c->extra > 0 ? dmc__g_concat(u.g, n->z, n->extra, -1) : n->z; /* (T, cols + extra) */
    x = go_down(&u, x, c->extra > 0);
    x = pass_middle(&u, x);
    x = go_up(&u, x);
    x = dmc__layers_conv_block(u.g, "final_conv", x, c->hidden, 5);
    n->out = dmc__g_conv1d(u.g, "final_conv.3", x, c->cols, 1, 1, 0);
}
