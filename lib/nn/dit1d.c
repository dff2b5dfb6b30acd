/* dit1d.c — the diffusion transformer over the rows of a window, as in CleanDiffuser's DiT1d (Peebles and Xie 2023, adaLN-Zero).
 *
 *     e = Mish Linear(d,d) Mish Linear(E,d) (map_noise(t) + cond)
 *     x = Linear([z, extra]) + positions
 *     block: (sh1 sc1 g1 sh2 sc2 g2) = Linear(d,6d) SiLU e
 *            x += g1 MHA(LN(x)(1 + sc1) + sh1);   x += g2 Linear(4d,d) Dropout GELU Linear(d,4d) (LN(x)(1 + sc2) + sh2)
 *     f = Linear(LN(x)(1 + sc) + sh), (sh sc) = Linear(d,2d) SiLU e
 *
 * The published code loses the residual stream in front of the attention: x = LN(x)(1 + sc1) + sh1, then x += g1 MHA(x). Its
 * checkpoints need that, DMC__COMPAT_RESIDUAL; and positions whose frequencies were cast to integers,
 * DMC__COMPAT_INT_POSITIONS. A condition of another width than E passes through a layer map_cond first, which CleanDiffuser
 * keeps in a module of its own. All that depends on t and the condition is apart from what depends on z.
 */
#include "dit1d.h"
#include "layers.h"
#include "mha.h"

#define NORM_EPS 1e-6

typedef struct dit {
    dmc__graph *g;
    const dmc__net_config *c;
    dmc__val e; /* SiLU(e), (1,d) */
} dit;

/* Linear(d, parts d) SiLU e, (1, parts d), starting at zero: a new block is the identity. */
static dmc__val modulation(const dit *x, const char *name, int32_t parts)
{
    const dmc__val m = dmc__g_linear(x->g, name, x->e, parts * x->c->hidden, 1);
    dmc__g_init(x->g, DMC__INIT_ZERO, 0);
    return m;
}

static dmc__val feed_forward(const dit *x, dmc__val v)
{
    v = dmc__g_act(x->g, DMC_OP_GELU_TANH, dmc__g_linear(x->g, "mlp.0", v, 4 * x->c->hidden, 1));
    return dmc__g_linear(x->g, "mlp.3", dmc__g_dropout(x->g, v, x->c->dropout), x->c->hidden, 1);
}

static dmc__val block(const dit *x, dmc__val v)
{
    const int32_t d = x->c->hidden;
    const dmc__mha mha = {x->c->heads, DMC__NO_MASK, x->c->dropout};
    const dmc__val m = modulation(x, "adaLN_modulation.1", 6);
    dmc__val h = dmc__g_adaln(x->g, v, m, 0, d, NORM_EPS);
    const dmc__val stream = x->c->compat & DMC__COMPAT_RESIDUAL ? h : v;
    v = dmc__g_gate(x->g, stream, dmc__mha_self(x->g, "attn", h, &mha), m, 2 * d);
    h = feed_forward(x, dmc__g_adaln(x->g, v, m, 3 * d, 4 * d, NORM_EPS));
    return dmc__g_gate(x->g, v, h, m, 5 * d);
}

/* LN(x)(1 + sc) + sh, then Linear to `out` columns, starting at zero. */
static dmc__val final_layer(const dit *x, dmc__val v, int32_t out)
{
    dmc__graph_push(x->g, "final_layer.");
    v = dmc__g_adaln(x->g, v, modulation(x, "adaLN_modulation.1", 2), 0, x->c->hidden, NORM_EPS);
    v = dmc__g_linear(x->g, "linear", v, out, 1);
    dmc__g_init(x->g, DMC__INIT_ZERO, 0);
    dmc__graph_pop(x->g);
    return v;
}

static dmc__val emb_layer(dit *x, const char *name, dmc__val v)
{
    v = dmc__g_linear(x->g, name, v, x->c->hidden, 1);
    dmc__g_init(x->g, DMC__INIT_NORMAL, 0.02);
    return dmc__g_act(x->g, DMC_OP_MISH, v);
}

/* cond: behind its encoder, -1 = none. */
static dmc__val embed(dit *x, dmc__net *n, dmc__val cond)
{
    dmc__val e = dmc__net_time(n);
    if (cond >= 0) e = dmc__g_add(x->g, e, cond);
    dmc__graph_push(x->g, "map_emb.");
    e = emb_layer(x, "2", emb_layer(x, "0", e));
    dmc__graph_pop(x->g);
    return dmc__g_act(x->g, DMC_OP_SILU, e);
}

dmc__val dmc__dit1d_trunk(dmc__net *n, int32_t out)
{
    const dmc__net_config *c = &n->config;
    dmc__graph *g = n->graph;
    dit x = {.g = g, .c = c};
    dmc__val cond = dmc__net_condition(n);
    if (cond >= 0 && dmc__graph_cols(g, cond) != c->emb_dim) cond = dmc__g_linear(g, "map_cond", cond, c->emb_dim, 1);
    const dmc__parid first = dmc__graph_param_count(g);
    x.e = embed(&x, n, cond);
    const dmc__val in[2] = {n->z, n->extra};
    dmc__val v = dmc__g_linear_sum(g, "x_proj", c->extra > 0 ? 2 : 1, in, c->hidden, 1);
    v = dmc__g_add(g, v, dmc__g_positions(g, c->horizon, c->hidden, c->compat & DMC__COMPAT_INT_POSITIONS));
    for (int32_t i = 0; i < c->blocks; i++) {
        dmc__graph_push(g, "blocks.%d.", i);
        v = block(&x, v);
        dmc__graph_pop(g);
    }
    v = final_layer(&x, v, out);
    dmc__g_init_from(g, first, 0);
    return v;
}

void dmc__dit1d_build(dmc__net *n)
{
    n->out = dmc__dit1d_trunk(n, n->config.cols);
}
