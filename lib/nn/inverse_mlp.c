/* inverse_mlp.c — the action that leads from one state to the next (Ajay et al. 2023), as in CleanDiffuser's MlpInvDynamic.
 *
 *     a = tanh Linear(H,A) ReLU Linear(H,H) ReLU Linear(2S,H) [s, s']
 *
 * z holds the two states as rows; the diffusion time is not used.
 */
#include "net.h"

void dmc__inverse_mlp_build(dmc__net *n)
{
    const dmc__net_config *c = &n->config;
    dmc__graph *g = n->graph;
    dmc__val h = dmc__g_reshape(g, n->z, 1, c->horizon * c->cols);
    dmc__graph_push(g, "mlp.");
    h = dmc__g_act(g, DMC_OP_RELU, dmc__g_linear(g, "0.0", h, c->hidden, 1));
    h = dmc__g_act(g, DMC_OP_RELU, dmc__g_linear(g, "1.0", h, c->hidden, 1));
    h = dmc__g_act(g, DMC_OP_TANH, dmc__g_linear(g, "2", h, c->outputs, 1));
    dmc__graph_pop(g);
    n->out = h;
}
