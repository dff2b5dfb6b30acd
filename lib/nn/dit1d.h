/* dit1d.h — what DiT1d and HalfDiT1d have in common. */
#ifndef DMC_NN_DIT1D_H
#define DMC_NN_DIT1D_H

#include "net.h"

/* All of DiT1d (dit1d.c) with a last layer of `out` columns: (T,out). */
dmc__val dmc__dit1d_trunk(dmc__net *n, int32_t out);

#endif
