/* ops.c — names of the operations, from ops.def. */
#include "backend.h"

const char *dmc__op_name(int32_t op)
{
    static const char *const names[] = {
#define OP(NAME, name, n_in, n_par, has_bwd) #name,
#include "../../kernels/ops.def"
#undef OP
    };
    return op >= 0 && op < DMC_OP_COUNT ? names[op] : NULL;
}
