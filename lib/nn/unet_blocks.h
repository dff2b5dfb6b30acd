/* unet_blocks.h — what the temporal U-Nets are made of. They differ in how the embedding enters a residual block, in the
 * middle, in the end, and in names.
 *
 * Level l has d_l = hidden * mult[0] * ... * mult[l] channels and T / 2^l rows. Down: two residual blocks, then a strided
 * convolution, but for the last level; up: the level's output is joined with the mirror level's, two blocks, then a
 * transposed convolution. The first level's output is never joined: there are levels - 1 ups, as in Diffuser's own code.
 *
 * A side input is joined behind z on channels, so that grown weights are [W | 0]; the first block then always has a
 * convolution on its residual path.
 */
#ifndef DMC_NN_UNET_BLOCKS_H
#define DMC_NN_UNET_BLOCKS_H

#include "net.h"

typedef struct dmc__unet {
    dmc__graph *g;
    const dmc__net_config *config;
    const char *embed;           /* name of a block's linear layer of the embedding                        */
    const char *resample;        /* and of a level's convolution that halves or doubles the rows           */
    int32_t film;                /* that layer makes [s | b], and s y + b; else one vector, that is added  */
    int32_t parts;
    dmc__val emb[2];             /* Mish of the embedding, in parts: what depends on the time alone, ...   */
    int32_t d[DMC__MAX_LEVELS];
    dmc__val skip[DMC__MAX_LEVELS];
} dmc__unet;

/* Everything but the embedding. */
dmc__unet dmc__unet_start(const dmc__net *n, const char *embed, const char *resample);
/* map_emb of the embedded time with Linear(cond) added, where there is a condition: (1, hidden). CleanDiffuser keeps that
 * layer in a module of its own. */
dmc__val dmc__unet_embed(dmc__net *n);
/* y = Mish(norm(conv(x))), modulated; y = Mish(norm(conv(y))) + x, through a 1x1 convolution where the widths differ or
 * `project` asks for it. k taps. */
dmc__val dmc__unet_block(dmc__unet *u, dmc__val x, int32_t co, int32_t k, int32_t project);
/* [z | side input] through all levels: (T / 2^(levels-1), d_last). */
dmc__val dmc__unet_down(dmc__unet *u, const dmc__net *n);
/* Two blocks `name`first and `name`first+1. */
dmc__val dmc__unet_middle(dmc__unet *u, dmc__val x, const char *name, int32_t first);
dmc__val dmc__unet_up(dmc__unet *u, dmc__val x);
/* Conv of k taps - norm - Mish - 1x1 convolution to the columns of z. */
dmc__val dmc__unet_end(dmc__unet *u, dmc__val x, int32_t k);

#endif
