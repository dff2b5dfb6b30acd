/* unet1d_chi.c — the U-Net of Diffusion Policy (Chi et al. 2023), as in CleanDiffuser's ChiUNet1d: the observations are a
 * global condition, and FiLM joins time and condition to the blocks.
 *
 *     e = Linear(4E,E) Mish Linear(E,4E) embed(t);   c = Linear(cond,E)
 *     a block multiplies by s and adds b:   [s | b] = Linear(2E,2C)(Mish([e, c]))
 *
 * [e, c] is never joined: what depends on the time and what depends on the condition are products of their own, so that a
 * roll-out computes the first once per step for all plans and the second once per plan.
 */
#include "layers.h"
#include "unet_blocks.h"

static void add_part(dmc__unet *u, dmc__val e)
{
    u->emb[u->parts++] = dmc__g_act(u->g, DMC_OP_MISH, e);
}

void dmc__unet1d_chi_build(dmc__net *n)
{
    const dmc__net_config *c = &n->config;
    dmc__unet u = dmc__unet_start(n, "cond_encoder.1", "2.conv");
    u.film = 1;
    add_part(&u, dmc__layers_mlp(u.g, "map_emb", dmc__net_time(n), 4 * c->emb_dim, c->emb_dim));
    if (c->cond > 0) add_part(&u, dmc__g_linear(u.g, "global_cond_encoder", dmc__net_condition(n), c->emb_dim, 1));
    dmc__val x = dmc__unet_down(&u, n);
    x = dmc__unet_middle(&u, x, "mids.", 0);
    x = dmc__unet_up(&u, x);
    n->out = dmc__unet_end(&u, x, c->kernel);
}
