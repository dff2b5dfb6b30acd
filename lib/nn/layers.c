/* layers.c — the embedding MLP, the inputs of flat networks, the convolution block. */
#include "layers.h"

dmc__val dmc__layers_mlp(dmc__graph *g, const char *name, dmc__val x, int32_t hidden, int32_t out)
{
    dmc__graph_push(g, "%s.", name);
    x = dmc__g_linear(g, "0", x, hidden, 1);
    x = dmc__g_act(g, DMC_OP_MISH, x);
    x = dmc__g_linear(g, "2", x, out, 1);
    dmc__graph_pop(g);
    return x;
}

int32_t dmc__layers_flat_inputs(dmc__net *n, dmc__val e, dmc__val part[DMC__LAYERS_INPUTS])
{
    const dmc__net_config *c = &n->config;
    int32_t count = 0;
    part[count++] = dmc__g_reshape(n->graph, n->z, 1, c->horizon * c->cols);
    part[count++] = e;
    if (c->cond > 0) part[count++] = dmc__net_condition(n);
    if (c->extra > 0) part[count++] = dmc__g_reshape(n->graph, n->extra, 1, c->horizon * c->extra);
    return count;
}

int32_t dmc__layers_groups(int32_t c)
{
    const int32_t groups = c / 4;
    return groups > 8 ? 8 : groups > 1 ? groups
                                       : 1;
}

dmc__val dmc__layers_conv(dmc__graph *g, const char *name, dmc__val x, int32_t co, int32_t k)
{
    return dmc__g_conv1d(g, name, x, co, k, 1, k / 2);
}

dmc__val dmc__layers_norm(dmc__graph *g, const char *name, dmc__glayer norm, dmc__val x, dmc__val e, dmc__val r)
{
    return dmc__g_groupnorm_block(g, name, norm, x, dmc__layers_groups(dmc__graph_cols(g, x)), 1e-5, 1, e, r);
}

dmc__val dmc__layers_conv_block(dmc__graph *g, const char *name, dmc__val x, int32_t co, int32_t k)
{
    dmc__graph_push(g, "%s.", name);
    x = dmc__layers_conv(g, "0", x, co, k);
    x = dmc__layers_norm(g, "1", dmc__g_norm(g, "1", co), x, -1, -1);
    dmc__graph_pop(g);
    return x;
}
