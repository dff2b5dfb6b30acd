/* mha.h — PyTorch's MultiheadAttention: one projection to queries, keys and values, attention, one projection back.
 * Parameters name.in_proj_weight, name.in_proj_bias, name.out_proj.weight, name.out_proj.bias. */
#ifndef DMC_NN_MHA_H
#define DMC_NN_MHA_H

#include "../graph/graph.h"

/* Query t sees keys 0 .. t + shift, or all of them (DMC__NO_MASK); p: dropout of shares. */
typedef struct dmc__mha {
    int32_t heads, shift;
    double p;
} dmc__mha;

dmc__val dmc__mha_self(dmc__graph *g, const char *name, dmc__val x, const dmc__mha *a);
/* Keys and values are the rows of memory[0], memory[1], ..: projected part by part, so that a part which is known earlier than
 * the others need not wait. */
dmc__val dmc__mha_cross(dmc__graph *g, const char *name, dmc__val x, int32_t parts, const dmc__val *memory, const dmc__mha *a);

#endif
