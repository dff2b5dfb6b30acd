/* cpu_act.h — activations of one vector and their derivatives, shared by the activation ops and
 * GROUPNORM. */
#ifndef DMC_CPU_ACT_H
#define DMC_CPU_ACT_H

#include "cpu_vec.h"

/* With e = exp(x): tanh(log(1 + e)) = n / (n + 2) where n = e (e + 2). No cancellation for small
 * e; e is capped where the ratio is 1 already, so that n does not overflow. */
CPU_INLINE vf v_mish(vf x)
{
    const vf e = v_exp_inside(v_max(v_set(-104), v_min(v_set(20), x))), n = e * (e + v_set(2));
    return x * (n / (n + v_set(2)));
}

/* With w = n / (n + 2): dw/dx = 4 e (e + 1) / (n + 2)^2, and d(x w)/dx = w + x dw/dx. */
CPU_INLINE vf v_mish_both(vf x, vf *slope)
{
    const vf top = v_min(v_set(20), x), e = v_exp_inside(v_max(v_set(-104), top));
    const vf n = e * (e + v_set(2)), r = v_set(1) / (n + v_set(2)), w = n * r;
    *slope = v_fma(top * r, v_set(4) * e * (e + v_set(1)) * r, w);
    return x * w;
}
CPU_INLINE vf v_mish_slope(vf x)
{
    vf slope;
    v_mish_both(x, &slope);
    return slope;
}

CPU_INLINE vf v_sigmoid(vf x)
{
    return v_set(1) / (v_set(1) + v_exp(v_zero() - x));
}
CPU_INLINE vf v_silu(vf x)
{
    return x * v_sigmoid(x);
}
CPU_INLINE vf v_silu_slope(vf x)
{
    const vf s = v_sigmoid(x);
    return s * v_fma(x, v_set(1) - s, v_set(1));
}

/* ReLU with a slope below zero; NaN stays NaN. */
CPU_INLINE vf v_leaky(vf x, vf slope)
{
    return v_select(v_gt(x, v_zero()), x, slope * x);
}

/* x Phi(x), Phi(x) = (1 + erf(x / sqrt 2)) / 2; slope Phi + x phi */
CPU_INLINE vf v_gelu(vf x)
{
    return v_set(0.5f) * x * (v_set(1) + v_erf(x * v_set(0.70710678f)));
}
CPU_INLINE vf v_gelu_slope(vf x)
{
    const vf below = v_set(0.5f) * (v_set(1) + v_erf(x * v_set(0.70710678f)));
    return v_fma(x * v_set(0.39894228f), v_exp(x * x * v_set(-0.5f)), below);
}

/* x s(2u), u = sqrt(2/pi) (x + 0.044715 x^3); slope s + x s (1 - s) 2 du/dx */
CPU_INLINE vf v_gelu_gate(vf x)
{
    return v_sigmoid(x * v_fma(x * x, v_set(0.07135481f), v_set(1.59576912f)));
}
CPU_INLINE vf v_gelu_tanh(vf x)
{
    return x * v_gelu_gate(x);
}
CPU_INLINE vf v_gelu_tanh_slope(vf x)
{
    const vf s = v_gelu_gate(x), du = v_fma(x * x, v_set(0.21406444f), v_set(1.59576912f));
    return v_fma(x * s * (v_set(1) - s), du, s);
}

/* 1 - tanh^2 = 4 e / (1 + e)^2 with e = exp(-2|x|): no cancellation for large |x|. */
CPU_INLINE vf v_tanh_slope(vf x)
{
    const vf e = v_exp(v_min(x, v_zero() - x) * v_set(2)), r = v_set(1) / (v_set(1) + e);
    return v_set(4) * e * r * r;
}

/* What GROUPNORM has beside Mish: nothing, and ReLU that passes NaN on. */
CPU_INLINE vf v_same(vf x)
{
    return x;
}
CPU_INLINE vf v_same_both(vf x, vf *slope)
{
    *slope = v_set(1);
    return x;
}
CPU_INLINE vf v_relu(vf x)
{
    return v_max(v_zero(), x);
}
CPU_INLINE vf v_relu_both(vf x, vf *slope)
{
    *slope = v_select(v_gt(x, v_zero()), v_set(1), v_zero());
    return v_relu(x);
}

#endif
