/* ref_activation.c — elementwise: y[i] = f(x[i]), dx[i] = dy[i] f'(x[i]).  dim: n.  y may be x. */
#include "ref.h"

typedef double (*function)(double x);

static int32_t apply(const dmc_kargs *k, function f)
{
    const real *const x = k->in[0];
    real *const y = k->out;
    for (size_t i = 0; i < ref_dim(k, 0); i++) y[i] = (real)f(x[i]);
    return 0;
}

static int32_t apply_slope(const dmc_kargs *k, function slope)
{
    const real *const x = k->in[0], *const dy = k->dout;
    for (size_t i = 0; i < ref_dim(k, 0); i++) ref_put(k, 0, i, dy[i] * slope(x[i]));
    return 0;
}

/* mish(x) = x tanh(softplus(x)); the slope stands in ref.h, since GroupNorm needs it too */
int32_t REF(mish_fwd)(const dmc_kargs *k)
{
    return apply(k, ref_mish);
}

int32_t REF(mish_bwd)(const dmc_kargs *k)
{
    return apply_slope(k, ref_mish_slope);
}

/* silu(x) = x s(x), s(x) = 1 / (1 + e^-x) */
static double silu(double x)
{
    return x * ref_sigmoid(x);
}

/* silu'(x) = s (1 + x (1 - s)) */
static double silu_slope(double x)
{
    const double s = ref_sigmoid(x);
    return s * (1 + x * (1 - s));
}

int32_t REF(silu_fwd)(const dmc_kargs *k)
{
    return apply(k, silu);
}

int32_t REF(silu_bwd)(const dmc_kargs *k)
{
    return apply_slope(k, silu_slope);
}

/* relu(x) = max(x, 0), NaN stays NaN */
static double relu(double x)
{
    return x < 0 ? 0 : x;
}

/* relu'(x) = 1 for x > 0, else 0 */
static double relu_slope(double x)
{
    return x > 0 ? 1 : 0;
}

int32_t REF(relu_fwd)(const dmc_kargs *k)
{
    return apply(k, relu);
}

int32_t REF(relu_bwd)(const dmc_kargs *k)
{
    return apply_slope(k, relu_slope);
}

/* tanh'(x) = 1 - tanh(x)^2 */
static double tanh_slope(double x)
{
    const double t = tanh(x);
    return 1 - t * t;
}

int32_t REF(tanh_fwd)(const dmc_kargs *k)
{
    return apply(k, tanh);
}

int32_t REF(tanh_bwd)(const dmc_kargs *k)
{
    return apply_slope(k, tanh_slope);
}
