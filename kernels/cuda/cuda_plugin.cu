/* cuda_plugin.cu — the table of kernels, from ops.def, and the one symbol the plugin exports. */
#include "cuda_device.h"

#define DECLARE_0(name)
#define DECLARE_1(name) extern "C" int32_t name##_bwd_cuda(const dmc_kargs *k);
#define OP(NAME, name, n_in, n_par, has_bwd) extern "C" int32_t name##_fwd_cuda(const dmc_kargs *k); DECLARE_##has_bwd(name)
#include "../ops.def"
#undef OP

/* Operations that keep something between forward and backward. */
#define PREPARED(X)                                                                                                     \
    X(GROUPNORM, groupnorm) X(LAYERNORM, layernorm) X(ATTENTION, attention) X(ADALN, adaln) X(MAXPOOL2D, maxpool2d)     \
    X(SPATIAL_SOFTMAX, spatial_softmax)
#define DECLARE(NAME, name) extern "C" int32_t name##_prepare_cuda(dmc_kargs *k, dmc_op_need *need);
PREPARED(DECLARE)

void cuda_fill_table(void *state, dmc_kernel_table *t, const char **isa)
{
#define BACKWARD_0(name) nullptr
#define BACKWARD_1(name) name##_bwd_cuda
#define OP(NAME, name, n_in, n_par, has_bwd) t->op[DMC_OP_##NAME] = {name##_fwd_cuda, BACKWARD_##has_bwd(name), nullptr};
#include "../ops.def"
#undef OP
#define PREPARE(NAME, name) t->op[DMC_OP_##NAME].prepare = name##_prepare_cuda;
    PREPARED(PREPARE)
    *isa = static_cast<const cuda_queue *>(state)->isa;
}

/* The only name the plugin exports: DMC_PLUGIN_ENTRY. */
extern "C" __attribute__((visibility("default"))) const dmc__backend *dmc__plugin_backend(void)
{
    return &cuda_backend;
}
