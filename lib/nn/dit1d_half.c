/* dit1d_half.c — a value of a window, as in CleanDiffuser's HalfDiT1d: DiT1d whose last layer has d/2 columns, then
 *
 *     f = Linear SiLU LN Linear(d/2,d/4) SiLU LN mean over the rows
 */
#include "dit1d.h"

static dmc__val norm_and_silu(dmc__graph *g, const char *name, dmc__val x)
{
    return dmc__g_act(g, DMC_OP_SILU, dmc__g_layernorm(g, name, x, 1e-5));
}

void dmc__dit1d_half_build(dmc__net *n)
{
    const dmc__net_config *c = &n->config;
    dmc__graph *g = n->graph;
    dmc__val x = dmc__g_mean_rows(g, dmc__dit1d_trunk(n, c->hidden / 2));
    dmc__graph_push(g, "proj.");
    x = dmc__g_linear(g, "2", norm_and_silu(g, "0", x), c->hidden / 4, 1);
    n->out = dmc__g_linear(g, "5", norm_and_silu(g, "3", x), c->outputs, 1);
    dmc__graph_pop(g);
}
