/* layers.h — pieces that several networks are made of. Each appends ops to a graph under its present prefix. */
#ifndef DMC_NN_LAYERS_H
#define DMC_NN_LAYERS_H

#include "net.h"

/* Linear(C,hidden) - Mish - Linear(hidden,out), parameters name.0 and name.2. */
dmc__val dmc__layers_mlp(dmc__graph *g, const char *name, dmc__val x, int32_t hidden, int32_t out);
/* What a network of flat vectors reads: z, the embedded time e, the condition and the side input, each (1, n), those there are,
 * in this order. Returns how many. */
enum { DMC__LAYERS_INPUTS = 4 };
int32_t dmc__layers_flat_inputs(dmc__net *n, dmc__val e, dmc__val part[DMC__LAYERS_INPUTS]);
/* Conv1d(C,co,k) of the same length, k odd. */
dmc__val dmc__layers_conv(dmc__graph *g, const char *name, dmc__val x, int32_t co, int32_t k);
/* GroupNorm - Mish, modulated by e and with r added as in dmc__g_groupnorm_block; -1 = without. */
dmc__val dmc__layers_norm(dmc__graph *g, const char *name, dmc__glayer norm, dmc__val x, dmc__val e, dmc__val r);
/* The two, parameters name.0 and name.1. */
dmc__val dmc__layers_conv_block(dmc__graph *g, const char *name, dmc__val x, int32_t co, int32_t k);
/* Groups of the norm above for c channels: min(8, c/4), at least 1 (networks.md 4). Not every c is a multiple. */
int32_t dmc__layers_groups(int32_t c);

#endif
