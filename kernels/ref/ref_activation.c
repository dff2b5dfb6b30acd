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

/* relu(x) = x for x >= 0, slope x below, NaN stays NaN.  attr: slope */
int32_t REF(relu_fwd)(const dmc_kargs *k)
{
    const real *const x = k->in[0];
    real *const y = k->out;
    for (size_t i = 0; i < ref_dim(k, 0); i++) y[i] = (real)(x[i] < 0 ? k->attr[0] * x[i] : x[i]);
    return 0;
}

/* relu'(x) = 1 for x > 0, else slope */
int32_t REF(relu_bwd)(const dmc_kargs *k)
{
    const real *const x = k->in[0], *const dy = k->dout;
    for (size_t i = 0; i < ref_dim(k, 0); i++) ref_put(k, 0, i, x[i] > 0 ? dy[i] : k->attr[0] * dy[i]);
    return 0;
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

/* gelu(x) = x Phi(x), Phi(x) = (1 + erf(x / sqrt 2)) / 2 = erfc(-x / sqrt 2) / 2 */
static double normal_below(double x)
{
    return 0.5 * erfc(-x * 0.70710678118654752440);
}

static double gelu(double x)
{
    return x * normal_below(x);
}

/* gelu'(x) = Phi(x) + x e^(-x^2/2) / sqrt(2 pi) */
static double gelu_slope(double x)
{
    return normal_below(x) + x * 0.39894228040143267794 * exp(-0.5 * x * x);
}

int32_t REF(gelu_fwd)(const dmc_kargs *k)
{
    return apply(k, gelu);
}

int32_t REF(gelu_bwd)(const dmc_kargs *k)
{
    return apply_slope(k, gelu_slope);
}

/* gelu_tanh(x) = x (1 + tanh(u)) / 2 = x s(2u), u = sqrt(2/pi) (x + 0.044715 x^3), s the sigmoid */
static double gelu_tanh(double x)
{
    return x * ref_sigmoid(2 * 0.79788456080286535588 * (x + 0.044715 * x * x * x));
}

/* s + x s (1 - s) 2 du/dx */
static double gelu_tanh_slope(double x)
{
    const double s = ref_sigmoid(2 * 0.79788456080286535588 * (x + 0.044715 * x * x * x));
    return s + x * s * (1 - s) * 2 * 0.79788456080286535588 * (1 + 3 * 0.044715 * x * x);
}

int32_t REF(gelu_tanh_fwd)(const dmc_kargs *k)
{
    return apply(k, gelu_tanh);
}

int32_t REF(gelu_tanh_bwd)(const dmc_kargs *k)
{
    return apply_slope(k, gelu_tanh_slope);
}
