/* idql_mlp.c — the residual MLP of IDQL (Hansen-Estruch et al. 2023), as in CleanDiffuser's IDQLMlp.
 *
 *     e = Linear(2E,E) Mish Linear(E,2E) embed(t)
 *     h = Linear([z, e, o, extra]);   h += Linear(4W,W) Mish Linear(W,4W) LayerNorm(Dropout(h)), `blocks` times
 *     f = Linear(h)
 *
 * z and the side input are flattened, the output is cut into rows again; a dropout stands in front of each LayerNorm.
 * The side input comes last, so that a grown first layer is [W | 0].
 */
#include "layers.h"
#include "net.h"

/* h + Linear(Mish(Linear(LayerNorm(Dropout(h))))); the numbers are positions in PyTorch's Sequential (0 is the dropout). */
static dmc__val residual_block(dmc__graph *g, dmc__val h, int32_t width, double dropout)
{
    dmc__val y = dmc__g_layernorm(g, "1", dmc__g_dropout(g, h, dropout), 1e-5);
    y = dmc__g_linear(g, "2", y, 4 * width, 1);
    y = dmc__g_act(g, DMC_OP_MISH, y);
    y = dmc__g_linear(g, "4", y, width, 1);
    return dmc__g_add(g, h, y);
}

void dmc__idql_mlp_build(dmc__net *n)
{
    const dmc__net_config *c = &n->config;
    dmc__graph *g = n->graph;
    const dmc__val e = dmc__layers_mlp(g, "time_mlp", dmc__net_time(n), 2 * c->emb_dim, c->emb_dim);
    dmc__val part[DMC__LAYERS_INPUTS];
    const int32_t parts = dmc__layers_flat_inputs(n, e, part);
    dmc__val h = dmc__g_linear_sum(g, "affine_in", parts, part, c->hidden, 1);
    for (int32_t i = 0; i < c->blocks; i++) {
        dmc__graph_push(g, "ln_resnet.%d.net.", i);
        h = residual_block(g, h, c->hidden, c->dropout);
        dmc__graph_pop(g);
    }
    h = dmc__g_linear(g, "affine_out", h, c->horizon * c->cols, 1);
    n->out = dmc__g_reshape(g, h, c->horizon, c->cols);
}
