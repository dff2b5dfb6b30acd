/* net_inputs.c — what every network does with the diffusion time and the condition before its own layers see them. */
#include "layers.h"
#include "net.h"

/* map_noise(t), (1,E); networks.md 2.6. */
dmc__val dmc__net_time(dmc__net *n)
{
    const int32_t e = n->config.emb_dim, cast = n->config.compat & DMC__COMPAT_INT_TIME;
    dmc__val x;
    switch (n->config.time_embed) {
    case DMC__TIME_FOURIER:
        x = dmc__g_fourier(n->graph, "map_noise.freqs", n->t, e / 4, cast);
        return dmc__layers_mlp(n->graph, "map_noise.mlp", x, e, e);
    case DMC__TIME_FROZEN: return dmc__g_fourier(n->graph, "map_noise.freqs", n->t, e, cast);
    default: return dmc__g_timestep(n->graph, n->t, e, n->config.time_embed, cast);
    }
}

/* Linear ReLU Linear over all frames together, as CleanDiffuser's MLPCondition. */
static dmc__val encode_mlp(dmc__net *n)
{
    dmc__graph *const g = n->graph;
    dmc__graph_push(g, "condition.mlp.mlp.");
    dmc__val x = dmc__g_linear(g, "0.0", n->cond, n->config.enc_hidden, 1);
    x = dmc__g_act(g, DMC_OP_RELU, x);
    x = dmc__g_linear(g, "1", x, n->config.enc_dim, 1);
    dmc__graph_pop(g);
    return x;
}

/* The MLP sees all frames together. */
int32_t dmc__net_frames(const dmc__net *n)
{
    if (n->cond < 0) return 0;
    return n->config.encoder != DMC__ENCODER_MLP && n->config.n_obs > 1 ? n->config.n_obs : 1;
}

dmc__val dmc__net_condition(dmc__net *n)
{
    if (n->cond < 0 || n->config.encoder == DMC__ENCODER_NONE) return n->cond;
    return dmc__net_sees(&n->config) ? dmc__resnet18_condition(n) : encode_mlp(n);
}
