/* mha.c — see mha.h. In in_proj_weight queries are outputs 0 .. D, keys and values D .. 3D. */
#include "mha.h"

dmc__val dmc__mha_self(dmc__graph *g, const char *name, dmc__val x, const dmc__mha *a)
{
    const int32_t d = dmc__graph_cols(g, x);
    dmc__graph_push(g, "%s.", name);
    const dmc__glayer in = dmc__g_layer(g, "in_proj_weight", "in_proj_bias", d, 3 * d);
    x = dmc__g_linear_part(g, in, x, 0, 0, 3 * d, 1);
    x = dmc__g_linear(g, "out_proj", dmc__g_self_attention(g, x, a->heads, a->shift, a->p), d, 1);
    dmc__graph_pop(g);
    return x;
}

/* The rows of x and below them those of y, which is as wide. */
static dmc__val stack_rows(dmc__graph *g, dmc__val x, dmc__val y)
{
    const int32_t c = dmc__graph_cols(g, x), tx = dmc__graph_rows(g, x), ty = dmc__graph_rows(g, y);
    const dmc__val both = dmc__g_concat(g, dmc__g_reshape(g, x, 1, tx * c), dmc__g_reshape(g, y, 1, ty * c), -1);
    return dmc__g_reshape(g, both, tx + ty, c);
}

dmc__val dmc__mha_cross(dmc__graph *g, const char *name, dmc__val x, int32_t parts, const dmc__val *memory, const dmc__mha *a)
{
    const int32_t d = dmc__graph_cols(g, x);
    dmc__val kv = -1;
    dmc__graph_push(g, "%s.", name);
    const dmc__glayer in = dmc__g_layer(g, "in_proj_weight", "in_proj_bias", d, 3 * d);
    for (int32_t i = 0; i < parts; i++) {
        const dmc__val part = dmc__g_linear_part(g, in, memory[i], 0, d, 2 * d, 1);
        kv = i == 0 ? part : stack_rows(g, kv, part);
    }
    x = dmc__g_linear_part(g, in, x, 0, 0, d, 1);
    x = dmc__g_linear(g, "out_proj", dmc__g_cross_attention(g, x, kv, a->heads, a->shift, a->p), d, 1);
    dmc__graph_pop(g);
    return x;
}
