/* transformer_chi.c — the transformer of Diffusion Policy (Chi et al. 2023), as in CleanDiffuser's ChiTransformer.
 *
 *     memory = Linear(4d,d) Mish Linear(d,4d) ([embed(t); Linear(o_1); .. Linear(o_To)] + cond_pos_emb), row by row
 *     x = Linear([z, extra]) + pos_emb
 *     x += SA(LN x), causal;   x += CA(LN x, memory);   x += Linear(4d,d) GELU Linear(d,4d) LN x, `blocks` times
 *     f = Linear(LN x)
 *
 * Step t sees the embedded time and observations 0 .. t: with two observations the first action does not see the newest,
 * as published. Dropout stands behind each sublayer, inside the last, and on the shares of attention. The row of the time
 * and those of the observations meet in the attention only: each is computed when its input is known. cond_encoder is
 * never used, but published checkpoints have it.
 */
#include "layers.h"
#include "mha.h"
#include "net.h"

#define START 0.02 /* standard deviation of all weights and tables */

enum { MEMORY_PARTS = 2 };

typedef struct chi {
    dmc__graph *g;
    const dmc__net_config *c;
    int32_t parts;
    dmc__val memory[MEMORY_PARTS];
} chi;

/* Rows row .. of the memory, by the layers of the encoder. */
static void add_memory(chi *x, dmc__val v, dmc__parid table, int32_t row, const dmc__glayer encoder[2])
{
    const int32_t d = x->c->hidden;
    v = dmc__g_add_table(x->g, table, row, v);
    v = dmc__g_act(x->g, DMC_OP_MISH, dmc__g_linear_part(x->g, encoder[0], v, 0, 0, 4 * d, 1));
    x->memory[x->parts++] = dmc__g_linear_part(x->g, encoder[1], v, 0, 0, d, 1);
}

static void declare_mlp(dmc__graph *g, const char *name, int32_t d, dmc__glayer layer[2])
{
    dmc__graph_push(g, "%s.", name);
    layer[0] = dmc__g_layer(g, "0.weight", "0.bias", d, 4 * d);
    layer[1] = dmc__g_layer(g, "2.weight", "2.bias", 4 * d, d);
    dmc__graph_pop(g);
}

/* cond: the condition behind its encoder, cut into frames; -1 = none, the time is all there is to know. */
static void build_memory(chi *x, dmc__net *n, dmc__val cond, int32_t frames)
{
    const int32_t d = x->c->hidden;
    dmc__glayer encoder[2], unused[2];
    const dmc__parid table = dmc__g_table(x->g, "cond_pos_emb", 1 + frames, d, START);
    declare_mlp(x->g, "encoder", d, encoder);
    declare_mlp(x->g, "cond_encoder", d, unused);
    add_memory(x, dmc__net_time(n), table, 0, encoder);
    if (cond < 0) return;
    cond = dmc__g_reshape(x->g, cond, frames, dmc__graph_cols(x->g, cond) / frames);
    add_memory(x, dmc__g_linear(x->g, "obs_emb", cond, d, 1), table, 1, encoder);
}

static dmc__val feed_forward(const chi *x, dmc__val v)
{
    v = dmc__g_act(x->g, DMC_OP_GELU, dmc__g_linear(x->g, "linear1", v, 4 * x->c->hidden, 1));
    return dmc__g_linear(x->g, "linear2", dmc__g_dropout(x->g, v, x->c->dropout), x->c->hidden, 1);
}

/* torch's TransformerDecoderLayer with norm_first. */
static dmc__val decoder_layer(const chi *x, dmc__val v)
{
    const double p = x->c->dropout;
    const dmc__mha self = {x->c->heads, 0, p}, cross = {x->c->heads, 1, p};
    dmc__val y = dmc__mha_self(x->g, "self_attn", dmc__g_layernorm(x->g, "norm1", v, 1e-5), &self);
    v = dmc__g_add(x->g, v, dmc__g_dropout(x->g, y, p));
    y = dmc__mha_cross(x->g, "multihead_attn", dmc__g_layernorm(x->g, "norm2", v, 1e-5), x->parts, x->memory, &cross);
    v = dmc__g_add(x->g, v, dmc__g_dropout(x->g, y, p));
    y = feed_forward(x, dmc__g_layernorm(x->g, "norm3", v, 1e-5));
    return dmc__g_add(x->g, v, dmc__g_dropout(x->g, y, p));
}

void dmc__transformer_chi_build(dmc__net *n)
{
    const dmc__net_config *c = &n->config;
    dmc__graph *g = n->graph;
    chi x = {.g = g, .c = c};
    const dmc__val cond = dmc__net_condition(n), in[2] = {n->z, n->extra};
    const dmc__parid first = dmc__graph_param_count(g);
    build_memory(&x, n, cond, dmc__net_frames(n));
    dmc__val v = dmc__g_linear_sum(g, "act_emb", c->extra > 0 ? 2 : 1, in, c->hidden, 1);
    v = dmc__g_add_table(g, dmc__g_table(g, "pos_emb", c->horizon, c->hidden, START), 0, v);
    for (int32_t i = 0; i < c->blocks; i++) {
        dmc__graph_push(g, "decoder.layers.%d.", i);
        v = decoder_layer(&x, v);
        dmc__graph_pop(g);
    }
    n->out = dmc__g_linear(g, "head", dmc__g_layernorm(g, "ln_f", v, 1e-5), c->cols, 1);
    dmc__g_init_from(g, first, START);
}
