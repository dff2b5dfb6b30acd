/* unet_blocks.c — see unet_blocks.h. */
#include "unet_blocks.h"

#include "layers.h"

dmc__unet dmc__unet_start(const dmc__net *n, const char *embed, const char *resample)
{
    const dmc__net_config *c = &n->config;
    dmc__unet u = {.g = n->graph, .config = c, .embed = embed, .resample = resample};
    for (int32_t l = 0, width = c->hidden; l < c->levels; l++) {
        width *= c->mult[l];
        u.d[l] = width;
    }
    return u;
}

dmc__val dmc__unet_embed(dmc__net *n)
{
    const dmc__net_config *c = &n->config;
    dmc__val e = dmc__net_time(n);
    if (c->cond > 0) e = dmc__g_add(n->graph, e, dmc__g_linear(n->graph, "map_cond", dmc__net_condition(n), c->emb_dim, 1));
    return dmc__layers_mlp(n->graph, "map_emb", e, 4 * c->hidden, c->hidden);
}

/* What is added to y, and what y is modulated with, belongs to the norms: no pass of its own. */
dmc__val dmc__unet_block(dmc__unet *u, dmc__val x, int32_t co, int32_t k, int32_t project)
{
    dmc__graph *const g = u->g;
    dmc__val y = dmc__layers_conv(g, "conv1.0", x, co, k);
    dmc__glayer norm = dmc__g_norm(g, "conv1.1", co);
    const dmc__val e = dmc__g_linear_sum(g, u->embed, u->parts, u->emb, u->film ? 2 * co : co, 1);
    y = dmc__layers_norm(g, "conv1.1", norm, y, e, -1);
    y = dmc__layers_conv(g, "conv2.0", y, co, k);
    norm = dmc__g_norm(g, "conv2.1", co);
    if (project || dmc__graph_cols(g, x) != co) x = dmc__g_conv1d(g, "residual_conv", x, co, 1, 1, 0);
    return dmc__layers_norm(g, "conv2.1", norm, y, -1, x);
}

/* Two blocks under the present prefix: "downs.1." or "ups.0.". */
static dmc__val two_blocks(dmc__unet *u, dmc__val x, int32_t co, int32_t project)
{
    for (int32_t i = 0; i < 2; i++) {
        dmc__graph_push(u->g, "%d.", i);
        x = dmc__unet_block(u, x, co, u->config->kernel, i == 0 && project);
        dmc__graph_pop(u->g);
    }
    return x;
}

dmc__val dmc__unet_down(dmc__unet *u, const dmc__net *n)
{
    const int32_t levels = u->config->levels, joined = u->config->extra > 0;
    dmc__val x = joined ? dmc__g_concat(u->g, n->z, n->extra, -1) : n->z; /* (T, cols + extra) */
    for (int32_t l = 0; l < levels; l++) {
        dmc__graph_push(u->g, "downs.%d.", l);
        x = two_blocks(u, x, u->d[l], l == 0 && joined);
        u->skip[l] = x;
        if (l + 1 < levels) x = dmc__g_conv1d(u->g, u->resample, x, u->d[l], 3, 2, 1);
        dmc__graph_pop(u->g);
    }
    return x;
}

dmc__val dmc__unet_middle(dmc__unet *u, dmc__val x, const char *name, int32_t first)
{
    for (int32_t i = first; i < first + 2; i++) {
        dmc__graph_push(u->g, "%s%d.", name, i);
        x = dmc__unet_block(u, x, u->d[u->config->levels - 1], u->config->kernel, 0);
        dmc__graph_pop(u->g);
    }
    return x;
}

dmc__val dmc__unet_up(dmc__unet *u, dmc__val x)
{
    for (int32_t j = 0, l = u->config->levels - 1; l > 0; j++, l--) {
        dmc__graph_push(u->g, "ups.%d.", j);
        x = dmc__g_concat(u->g, x, u->skip[l], -1);
        x = two_blocks(u, x, u->d[l - 1], 0);
        x = dmc__g_convt1d(u->g, u->resample, x, u->d[l - 1], 4, 2, 1);
        dmc__graph_pop(u->g);
    }
    return x;
}

dmc__val dmc__unet_end(dmc__unet *u, dmc__val x, int32_t k)
{
    x = dmc__layers_conv_block(u->g, "final_conv", x, u->config->hidden, k);
    return dmc__g_conv1d(u->g, "final_conv.3", x, u->config->cols, 1, 1, 0);
}
