/* dql_mlp.c — the plain MLP of Diffusion-QL (Wang et al. 2023), as in CleanDiffuser's DQLMlp.
 *
 *     e = Linear(2E,E) Mish Linear(E,2E) embed(t)
 *     f = Linear( (Mish Linear)^3 [z, e, o, extra] ), width `hidden`
 *
 * z and the side input are flattened, the output is cut into rows again; the side input comes last, so that a grown
 * first layer is [W | 0].
 */
#include "layers.h"
#include "net.h"

void dmc__dql_mlp_build(dmc__net *n)
{
    static const char *const hidden[3] = {"0", "2", "4"}; /* places in PyTorch's Sequential */
    const dmc__net_config *c = &n->config;
    dmc__graph *g = n->graph;
    const dmc__val e = dmc__layers_mlp(g, "time_mlp", dmc__net_time(n), 2 * c->emb_dim, c->emb_dim);
    dmc__val part[DMC__LAYERS_INPUTS];
    const int32_t parts = dmc__layers_flat_inputs(n, e, part);
    dmc__graph_push(g, "mid_layer.");
    dmc__val h = dmc__g_act(g, DMC_OP_MISH, dmc__g_linear_sum(g, hidden[0], parts, part, c->hidden, 1));
    for (int32_t i = 1; i < 3; i++) h = dmc__g_act(g, DMC_OP_MISH, dmc__g_linear(g, hidden[i], h, c->hidden, 1));
    dmc__graph_pop(g);
    h = dmc__g_linear(g, "final_layer", h, c->horizon * c->cols, 1);
    n->out = dmc__g_reshape(g, h, c->horizon, c->cols);
}
