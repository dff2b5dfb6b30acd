/* inverse_mlp.c — the action that leads from one state to the next (Ajay et al. 2023), as in CleanDiffuser's MlpInvDynamic.
 *
 *     a = tanh Linear(H,A) ReLU Linear(H,H) ReLU Linear(2S,H) [s, s']
 *
 * z holds the two states as rows; the diffusion time is not used. Weights start orthogonal, biases at zero.
 */
#include "net.h"

static dmc__val layer(dmc__graph *g, const char *name, dmc__val x, int32_t co)
{
    x = dmc__g_linear(g, name, x, co, 1);
    dmc__g_init(g, DMC__INIT_ORTHOGONAL, 1);
    return x;
}

void dmc__inverse_mlp_build(dmc__net *n)
{
    const dmc__net_config *c = &n->config;
    dmc__graph *g = n->graph;
    dmc__val h = dmc__g_reshape(g, n->z, 1, c->horizon * c->cols);
    dmc__graph_push(g, "mlp.");
    h = dmc__g_act(g, DMC_OP_RELU, layer(g, "0.0", h, c->hidden));
    h = dmc__g_act(g, DMC_OP_RELU, layer(g, "1.0", h, c->hidden));
    n->out = dmc__g_act(g, DMC_OP_TANH, layer(g, "2", h, c->outputs));
    dmc__graph_pop(g);
}
