/* ref_optimizer.c — what one update of the weights consists of. */
#include "ref.h"

/* out[0] = sum_i x[i]^2.  dim: n */
int32_t REF(sumsq_fwd)(const dmc_kargs *k)
{
    const real *const x = k->in[0];
    double sum = 0;
    for (size_t i = 0; i < ref_dim(k, 0); i++) sum += (double)x[i] * x[i];
    *(real *)k->out = (real)sum;
    return 0;
}

/* min(1, max_norm / (sqrt(sumsq) + 1e-6)); 1 without sumsq or if max_norm <= 0 */
static double clip_factor(const dmc_kargs *k)
{
    const double max_norm = k->attr[6];
    if (!k->in[1] || max_norm <= 0) return 1;
    const double factor = max_norm / (sqrt(ref_get(k->in[1], 0, 0)) + 1e-6);
    return factor > 1 ? 1 : factor;
}

/* Decoupled AdamW, t = step, counted from 1:
 *   g = grad clip_factor;  m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2
 *   w = (1 - lr wd) w - lr (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + eps)
 *   ema = rate ema + (1-rate) w
 * and nothing of it where sumsq is not finite.
 * in: grad(n) sumsq(1)?;  out w;  out2 ema?;  save m(n) then v(n), zero before step 1.
 * dim: n   attr: lr b1 b2 eps wd step max_norm rate */
int32_t REF(adamw_fwd)(const dmc_kargs *k)
{
    const size_t n = ref_dim(k, 0);
    const double lr = k->attr[0], b1 = k->attr[1], b2 = k->attr[2], eps = k->attr[3];
    const double wd = k->attr[4], step = k->attr[5], rate = k->attr[7], factor = clip_factor(k);
    const double unbias1 = 1 - pow(b1, step), unbias2 = 1 - pow(b2, step);
    const real *const grad = k->in[0];
    real *const w = k->out, *const ema = k->out2, *const m = k->save, *const v = m + n;
    if (k->in[1] && !isfinite(ref_get(k->in[1], 0, 0))) return 0;
    for (size_t i = 0; i < n; i++) {
        const double g = grad[i] * factor;
        const double mi = b1 * m[i] + (1 - b1) * g, vi = b2 * v[i] + (1 - b2) * g * g;
        const double wi = (1 - lr * wd) * w[i] - lr * (mi / unbias1) / (sqrt(vi / unbias2) + eps);
        m[i] = (real)mi;
        v[i] = (real)vi;
        w[i] = (real)wi;
        if (ema) ema[i] = (real)(rate * ema[i] + (1 - rate) * wi);
    }
    return 0;
}

/* out = (1 - r) out + r x.  dim: n   attr: r */
int32_t REF(lerp_fwd)(const dmc_kargs *k)
{
    const real *const x = k->in[0];
    real *const out = k->out;
    const double r = k->attr[0];
    for (size_t i = 0; i < ref_dim(k, 0); i++) out[i] = (real)((1 - r) * out[i] + r * x[i]);
    return 0;
}
