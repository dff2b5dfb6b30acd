/* ref_likelihood.c — per sample: log-probability of a transition, and divergence of two of equal
 * variance.
 *
 * Sums run over the free entries of a sample: mask = 0, or all without a mask. reduce = 1 divides
 * by their number, or by 1 if there are none.
 */
#include "ref.h"

#define HALF_LN_2PI 0.91893853320467274178

static int is_free(const dmc_kargs *k, size_t i)
{
    return ref_get(k->par[0], i, 0) == 0;
}

/* What a sample's sum is multiplied by: 1, or 1 / number of free entries. */
static double reduction(const dmc_kargs *k, size_t b)
{
    const size_t N = ref_dim(k, 1);
    size_t count = 0;
    for (size_t i = b * N; i < (b + 1) * N; i++) count += is_free(k, i) ? 1 : 0;
    return k->attr[1] != 0 && count > 0 ? 1 / (double)count : 1;
}

/* ln N(z'; mu, std^2) = -(z' - mu)^2 / (2 std^2) - ln std - ln(2 pi) / 2, not yet clamped */
static double log_density(const dmc_kargs *k, size_t i)
{
    const real *const z = k->in[0], *const mu = k->in[1];
    const double std = k->attr[0], d = ((double)z[i] - mu[i]) / std;
    return -0.5 * d * d - log(std) - HALF_LN_2PI;
}

/* out[b] = sum or mean of clamp(ln N(z'; mu, std^2), lo, hi); no clamping if hi <= lo.
 * in: z' mu (B,N);  par0: mask?.  dim: B N   attr: std reduce lo hi */
int32_t REF(gauss_logp_fwd)(const dmc_kargs *k)
{
    const size_t N = ref_dim(k, 1);
    const double lo = k->attr[2], hi = k->attr[3];
    real *const out = k->out;
    for (size_t b = 0; b < ref_dim(k, 0); b++) {
        double sum = 0;
        for (size_t i = b * N; i < (b + 1) * N; i++) {
            const double l = log_density(k, i);
            if (is_free(k, i)) sum += hi > lo ? ref_clamp(l, lo, hi) : l;
        }
        out[b] = (real)(sum * reduction(k, b));
    }
    return 0;
}

/* dmu = dout[b] (z' - mu) / std^2 (/ number), 0 where masked or outside [lo,hi]. Goes to din[1]: z'
 * is a sample and has no gradient. */
int32_t REF(gauss_logp_bwd)(const dmc_kargs *k)
{
    const size_t N = ref_dim(k, 1);
    const real *const z = k->in[0], *const mu = k->in[1], *const dout = k->dout;
    const double std = k->attr[0], lo = k->attr[2], hi = k->attr[3];
    for (size_t b = 0; b < ref_dim(k, 0); b++) {
        const double g = dout[b] * reduction(k, b);
        for (size_t i = b * N; i < (b + 1) * N; i++) {
            const double l = log_density(k, i), slope = ((double)z[i] - mu[i]) / (std * std);
            const int clamped = hi > lo && (l < lo || l > hi);
            ref_put(k, 1, i, is_free(k, i) && !clamped ? g * slope : 0);
        }
    }
    return 0;
}

/* out[b] = sum or mean of (mu - mu_ref)^2 / (2 std^2) = KL(N(mu, std^2) || N(mu_ref, std^2)).
 * in: mu mu_ref (B,N);  par0: mask?.  dim: B N   attr: std reduce */
int32_t REF(gauss_kl_fwd)(const dmc_kargs *k)
{
    const size_t N = ref_dim(k, 1);
    const real *const mu = k->in[0], *const ref = k->in[1];
    real *const out = k->out;
    for (size_t b = 0; b < ref_dim(k, 0); b++) {
        double sum = 0;
        for (size_t i = b * N; i < (b + 1) * N; i++) {
            const double d = ((double)mu[i] - ref[i]) / k->attr[0];
            if (is_free(k, i)) sum += 0.5 * d * d;
        }
        out[b] = (real)(sum * reduction(k, b));
    }
    return 0;
}

/* dmu = dout[b] (mu - mu_ref) / std^2 (/ number), 0 where masked. Goes to din[0]. */
int32_t REF(gauss_kl_bwd)(const dmc_kargs *k)
{
    const size_t N = ref_dim(k, 1);
    const real *const mu = k->in[0], *const ref = k->in[1], *const dout = k->dout;
    for (size_t b = 0; b < ref_dim(k, 0); b++) {
        const double g = dout[b] * reduction(k, b) / (k->attr[0] * k->attr[0]);
        for (size_t i = b * N; i < (b + 1) * N; i++)
            ref_put(k, 0, i, is_free(k, i) ? g * ((double)mu[i] - ref[i]) : 0);
    }
    return 0;
}
