/* unet1d_janner.c — the temporal U-Net of Diffuser (Janner et al. 2022), as in CleanDiffuser's JannerUNet1d.
 *
 * The embedding of the time, with the condition's added, is added inside a block after the first convolution's activation.
 */
#include "unet_blocks.h"

void dmc__unet1d_janner_build(dmc__net *n)
{
    dmc__unet u = dmc__unet_start(n, "emb_mlp.1", "3.conv");
    u.emb[u.parts++] = dmc__g_act(u.g, DMC_OP_MISH, dmc__unet_embed(n));
    dmc__val x = dmc__unet_down(&u, n);
    x = dmc__unet_middle(&u, x, "mid_block", 1);
    x = dmc__unet_up(&u, x);
    n->out = dmc__unet_end(&u, x, 5);
}
