/* ref_table.c — the table of the reference: one slot per row of ops.def. */
#include "ref.h"

#define BACKWARD_0(name) NULL
#define BACKWARD_1(name) REF(name##_bwd)

#define TABLE_JOIN(suffix) dmc__kernels_ref_##suffix
#define TABLE_EXPAND(suffix) TABLE_JOIN(suffix)

void TABLE_EXPAND(DMC_REF_SUFFIX)(dmc_kernel_table *t)
{
    *t = (dmc_kernel_table){{
#define OP(NAME, name, n_in, n_par, has_bwd) \
    [DMC_OP_##NAME] = {.fwd = REF(name##_fwd), .bwd = BACKWARD_##has_bwd(name)},
#include "../ops.def"
#undef OP
    }};
    t->op[DMC_OP_GROUPNORM].prepare = REF(groupnorm_prepare);
    t->op[DMC_OP_LAYERNORM].prepare = REF(layernorm_prepare);
    t->op[DMC_OP_ATTENTION].prepare = REF(attention_prepare);
    t->op[DMC_OP_ADALN].prepare = REF(adaln_prepare);
    t->op[DMC_OP_MAXPOOL2D].prepare = REF(maxpool2d_prepare);
    t->op[DMC_OP_SPATIAL_SOFTMAX].prepare = REF(spatial_softmax_prepare);
}
