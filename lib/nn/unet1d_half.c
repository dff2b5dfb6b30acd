/* unet1d_half.c — the way down of Janner's U-Net and a regression behind it: Diffuser's value function and the classifier of
 * CleanDiffuser (HalfJannerUNet1d).
 *
 *     x (R,C) = downs(z);  twice: x = block of 5 taps to half the channels, rows halved
 *     out = Linear(F/2,outputs) Mish Linear(F + hidden, F/2) [flatten(x), e],   F = elements of x
 *
 * Rows are a power of two, so that halving them is exact down to the one that is left.
 */
#include "layers.h"
#include "unet_blocks.h"

static dmc__val halve(dmc__unet *u, dmc__val x, int32_t i, int32_t co)
{
    dmc__graph_push(u->g, "mid_block%d.", i);
    dmc__graph_push(u->g, "0.");
    x = dmc__unet_block(u, x, co, 5, 0);
    dmc__graph_pop(u->g);
    x = dmc__g_conv1d(u->g, "1.conv", x, co, 3, 2, 1);
    dmc__graph_pop(u->g);
    return x;
}

/* PyTorch flattens (C,R), we have (R,C): the weight knows. */
static dmc__val regress(dmc__graph *g, dmc__val x, dmc__val e, int32_t outputs)
{
    const int32_t rows = dmc__graph_rows(g, x), c = dmc__graph_cols(g, x), f = rows * c;
    dmc__graph_push(g, "final_block.");
    const dmc__glayer l = dmc__g_layer(g, "0.weight", "0.bias", f + dmc__graph_cols(g, e), f / 2);
    dmc__g_layer_flattens(g, l, rows, c);
    x = dmc__g_linear_part(g, l, dmc__g_reshape(g, x, 1, f), 0, 0, f / 2, 1);
    x = dmc__g_add(g, x, dmc__g_linear_part(g, l, e, f, 0, f / 2, 0));
    x = dmc__g_linear(g, "2", dmc__g_act(g, DMC_OP_MISH, x), outputs, 1);
    dmc__graph_pop(g);
    return x;
}

void dmc__unet1d_half_build(dmc__net *n)
{
    dmc__unet u = dmc__unet_start(n, "emb_mlp.1", "2.conv");
    const dmc__val e = dmc__unet_embed(n);
    const int32_t widest = u.d[n->config.levels - 1];
    u.emb[u.parts++] = dmc__g_act(u.g, DMC_OP_MISH, e);
    dmc__val x = dmc__unet_down(&u, n);
    x = halve(&u, x, 1, widest / 2);
    x = halve(&u, x, 2, widest / 4);
    n->out = regress(u.g, x, e, n->config.outputs);
}
