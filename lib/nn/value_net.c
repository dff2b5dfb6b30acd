/* value_net.c — the critic's networks (networks.md 4, TwinQ and V): LayerNorm and Mish between three linear layers. */
#include "net.h"

/* Linear - LayerNorm - Mish, twice, then Linear(1); numbers are positions in PyTorch's Sequential. */
static dmc__val value_head(dmc__graph *g, const char *name, dmc__val x, int32_t hidden)
{
    static const char *const linear[2] = {"0", "3"}, *const norm[2] = {"1", "4"};
    dmc__graph_push(g, "%s.", name);
    for (int32_t i = 0; i < 2; i++) {
        x = dmc__g_linear(g, linear[i], x, hidden, 1);
        x = dmc__g_layernorm(g, norm[i], x, 1e-5);
        x = dmc__g_act(g, DMC_OP_MISH, x);
    }
    x = dmc__g_linear(g, "6", x, 1, 1);
    dmc__graph_output(g, x);
    dmc__graph_pop(g);
    return x;
}

static dmc_status create_empty(const dmc__allocator *a, dmc__value_net **out)
{
    *out = NULL;
    dmc__value_net *n = NULL;
    DMC_TRY(DMC_NEW(a, 1, &n));
    *n = (dmc__value_net){.alloc = a, .obs = -1, .act = -1, .out = {-1, -1}};
    const dmc_status status = dmc__graph_create(a, &n->graph);
    if (status < 0) {
        dmc__value_net_destroy(n);
        return status;
    }
    *out = n;
    return DMC_OK;
}

/* Hand the network out, or destroy it if an op was refused. */
static dmc_status finish(dmc__value_net *n, dmc__value_net **out)
{
    const dmc_status status = dmc__graph_status(n->graph);
    if (status < 0) {
        dmc__value_net_destroy(n);
        return status;
    }
    *out = n;
    return DMC_OK;
}

dmc_status dmc__twin_q_create(const dmc__allocator *a, int32_t obs_dim, int32_t act_dim, int32_t hidden,
                              dmc__value_net **out)
{
    *out = NULL;
    dmc__value_net *n;
    DMC_TRY(create_empty(a, &n));
    n->obs = dmc__graph_input(n->graph, "obs", 1, obs_dim);
    n->act = dmc__graph_input(n->graph, "act", 1, act_dim);
    const dmc__val x = dmc__g_concat(n->graph, n->obs, n->act, -1);
    n->out[0] = value_head(n->graph, "Q1", x, hidden);
    n->out[1] = value_head(n->graph, "Q2", x, hidden);
    return finish(n, out);
}

dmc_status dmc__v_create(const dmc__allocator *a, int32_t obs_dim, int32_t hidden, dmc__value_net **out)
{
    *out = NULL;
    dmc__value_net *n;
    DMC_TRY(create_empty(a, &n));
    n->obs = dmc__graph_input(n->graph, "obs", 1, obs_dim);
    n->out[0] = value_head(n->graph, "V", n->obs, hidden);
    return finish(n, out);
}

void dmc__value_net_destroy(dmc__value_net *n)
{
    if (!n) return;
    dmc__graph_destroy(n->graph);
    DMC_FREE(n->alloc, n, 1);
}
