/* ref.h — what the reference kernels share.
 *
 * Every file of this folder is compiled twice: with DMC_REAL = float, DMC_REF_SUFFIX = f32 for the
 * backend ref (and for what cpu leaves alone), with double and f64 for ref64. Elements are read and
 * written as `real`; all arithmetic between is double, and sums run in a fixed order on one thread.
 *
 * Backward kernels read in, par, save and dout, never out. A NULL din or dpar is not wanted.
 */
#ifndef DMC_KERNELS_REF_H
#define DMC_KERNELS_REF_H

#include "../kernels.h"

#include <math.h>

typedef DMC_REAL real;

/* REF(linear_fwd) is dmc__linear_fwd_ref_f32, the second time dmc__linear_fwd_ref_f64. */
#define REF_JOIN(name, suffix) dmc__##name##_ref_##suffix
#define REF_EXPAND(name, suffix) REF_JOIN(name, suffix)
#define REF(name) REF_EXPAND(name, DMC_REF_SUFFIX)

#define OP(NAME, name, n_in, n_par, has_bwd)        \
    int32_t REF(name##_fwd)(const dmc_kargs *k);    \
    int32_t REF(name##_bwd)(const dmc_kargs *k);
#include "../ops.def"
#undef OP

/* Only these have something to keep between forward and backward. */
int32_t REF(groupnorm_prepare)(dmc_kargs *k, dmc_op_need *need);
int32_t REF(layernorm_prepare)(dmc_kargs *k, dmc_op_need *need);
int32_t REF(attention_prepare)(dmc_kargs *k, dmc_op_need *need);
int32_t REF(adaln_prepare)(dmc_kargs *k, dmc_op_need *need);
int32_t REF(maxpool2d_prepare)(dmc_kargs *k, dmc_op_need *need);
int32_t REF(spatial_softmax_prepare)(dmc_kargs *k, dmc_op_need *need);

static inline size_t ref_dim(const dmc_kargs *k, int i)
{
    return (size_t)k->dim[i];
}

/* An optional scalar operand: x[i], or `absent` where the pointer is NULL. */
static inline double ref_get(const void *x, size_t i, double absent)
{
    return x ? ((const real *)x)[i] : absent;
}

/* Value of a 16-bit number with m bits of fraction: 10 in fp16, 7 in bf16. */
static inline double ref_widen(uint16_t h, int m)
{
    const int all = (1 << (15 - m)) - 1, bias = all >> 1, e = h >> m & all, f = h & ((1 << m) - 1);
    const double x = e == all ? (f ? NAN : INFINITY) : ldexp(e ? f + (1 << m) : f, (e ? e : 1) - bias - m);
    return h >> 15 ? -x : x;
}

/* Element i of the matrix weight par[0], whatever it consists of. */
static inline double ref_weight(const dmc_kargs *k, size_t i)
{
    if (k->weight_type == DMC_WEIGHT_FLOAT) return ((const real *)k->par[0])[i];
    return ref_widen(((const uint16_t *)k->par[0])[i], k->weight_type == DMC_WEIGHT_FP16 ? 10 : 7);
}

/* g is the gradient of element i of input `input`: overwrite, or add where the acc bit says so. */
static inline void ref_put(const dmc_kargs *k, int input, size_t i, double g)
{
    real *const d = k->din[input];
    if (d) d[i] = (real)(k->acc >> input & 1 ? d[i] + g : g);
}

/* db(C) += column sums of dy(N,C): the gradient of a bias. */
static inline void ref_add_column_sums(real *db, const real *dy, size_t N, size_t C)
{
    for (size_t c = 0; db && c < C; c++) {
        double sum = 0;
        for (size_t n = 0; n < N; n++) sum += dy[n * C + c];
        db[c] = (real)(db[c] + sum);
    }
}

/* x clipped to [lo, hi]; NaN stays NaN: a broken network must not pass for a saturated one. */
static inline double ref_clamp(double x, double lo, double hi)
{
    return x < lo ? lo : x > hi ? hi : x;
}

/* 1 / (1 + e^-x), without overflow. */
static inline double ref_sigmoid(double x)
{
    const double e = exp(-fabs(x));
    return x >= 0 ? 1 / (1 + e) : e / (1 + e);
}

/* ln(1 + e^x), without overflow. */
static inline double ref_softplus(double x)
{
    return fmax(x, 0) + log1p(exp(-fabs(x)));
}

/* mish(x) = x tanh(softplus(x)) */
static inline double ref_mish(double x)
{
    return x * tanh(ref_softplus(x));
}

/* mish'(x) = t + x (1 - t^2) sigmoid(x), t = tanh(softplus(x)) */
static inline double ref_mish_slope(double x)
{
    const double t = tanh(ref_softplus(x));
    return t + x * (1 - t * t) * ref_sigmoid(x);
}

#endif
