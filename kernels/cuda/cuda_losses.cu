/* cuda_losses.cu — PG_SEED, DPO_SEED, EXPECTILE and TD_TARGET: one thread for each sample of a batch. A few thousand numbers at
 * most, so that the launch is what they cost, and differences of nearly equal ones are made in double.
 * Measured: not yet (docs/gpu-results.md). */
#include "cuda_launch.cuh"

/* ---- seeds of alignment ---------------------------------------------------------------------------------------------- */

struct pg_rule {
    int32_t ppo;
    double e, scale; /* how far the ratio may go; scale / B */
};

/* loss -w logp, or max(-w rho, -w clip(rho)): clipped where the second is strictly larger. NaN clips to NaN. */
static __global__ void pg_seed(const float *logp, const float *logp_old, const float *adv, const float *kappa, float *out,
                               float *note, size_t n, pg_rule r)
{
    const size_t b = cuda_index();
    if (b >= n) return;
    const double w = (kappa ? static_cast<double>(kappa[b]) : 1.0) * adv[b];
    const double rho = exp(static_cast<double>(logp[b]) - logp_old[b]), lo = 1 - r.e, hi = 1 + r.e;
    const double bounded = rho < lo ? lo : rho > hi ? hi : rho;
    const double free_loss = r.ppo ? -w * rho : -w * logp[b], clip_loss = r.ppo ? -w * bounded : free_loss;
    const bool clipped = clip_loss > free_loss;
    out[b] = static_cast<float>(clipped ? 0 : -w * (r.ppo ? rho : 1) * r.scale);
    note[3 * b] = static_cast<float>(clipped ? clip_loss : free_loss);
    note[3 * b + 1] = static_cast<float>(rho);
    note[3 * b + 2] = clipped ? 1.0f : 0.0f;
}

/* rho = exp(logp - logp_old), w = kappa adv.  mode 0: loss = -w logp;  1: loss = max(-w rho, -w clip(rho, 1-e, 1+e)).
 * out[b] = dloss/dlogp scale / B;  out2[b] = {loss, rho, clipped}.
 * in: logp logp_old adv (B);  par0: kappa(B) or NULL = 1.  dim: B   attr: mode e scale */
CUDA_OP pg_seed_fwd_cuda(const dmc_kargs *k)
{
    const size_t n = static_cast<size_t>(k->dim[0]);
    const pg_rule r = {k->attr[0] != 0, k->attr[1], k->attr[2] / static_cast<double>(n)};
    return launch_each(k, "pg_seed", n, pg_seed, in_of(k, 0), in_of(k, 1), in_of(k, 2), par_of(k, 0), out_of(k),
                       static_cast<float *>(k->out2), n, r);
}

/* sigmoid(u) and softplus(u) from e^-|u|, which does not overflow. */
static __global__ void dpo_seed(const float *err_w, const float *err_l, const float *ref, float *out, float *note, size_t n,
                                double gamma)
{
    const size_t b = cuda_index();
    if (b >= n) return;
    const double u = gamma * ((static_cast<double>(err_w[b]) - err_l[b]) - ref[b]), e = exp(-fabs(u));
    const double sigmoid = u >= 0 ? 1 / (1 + e) : e / (1 + e), softplus = (u < 0 ? 0 : u) + log1p(e);
    out[b] = static_cast<float>(gamma * sigmoid / static_cast<double>(n));
    note[2 * b] = static_cast<float>(softplus);
    note[2 * b + 1] = u < 0 ? 1.0f : 0.0f;
}

/* u = gamma ((err_w - err_l) - ref);  loss = softplus(u).  out[b] = dL/derr_w = gamma sigmoid(u) / B;  out2[b] = {loss, u < 0}.
 * in: err_w err_l ref (B).  dim: B   attr: gamma */
CUDA_OP dpo_seed_fwd_cuda(const dmc_kargs *k)
{
    const size_t n = static_cast<size_t>(k->dim[0]);
    return launch_each(k, "dpo_seed", n, dpo_seed, in_of(k, 0), in_of(k, 1), in_of(k, 2), out_of(k),
                       static_cast<float *>(k->out2), n, k->attr[0]);
}

/* ---- critics --------------------------------------------------------------------------------------------------------- */

/* u = min(q1, q2) - v, q2 may be NULL; NaN of either stays NaN */
static __device__ double expectile_error(const float *v, const float *q1, const float *q2, size_t b)
{
    const double first = q1[b], second = q2 ? static_cast<double>(q2[b]) : first;
    return (isnan(second) || second < first ? second : first) - v[b];
}

static __device__ double expectile_weight(double tau, double u)
{
    return fabs(u < 0 ? tau - 1 : tau);
}

static __global__ void expectile(const float *v, const float *q1, const float *q2, float *out, size_t n, double tau)
{
    const size_t b = cuda_index();
    if (b >= n) return;
    const double u = expectile_error(v, q1, q2, b);
    out[b] = static_cast<float>(expectile_weight(tau, u) * u * u);
}

/* out[b] = |tau - [u < 0]| u^2.  in: v q1 q2? (B).  dim: B   attr: tau */
CUDA_OP expectile_fwd_cuda(const dmc_kargs *k)
{
    const size_t n = static_cast<size_t>(k->dim[0]);
    return launch_each(k, "expectile", n, expectile, in_of(k, 0), in_of(k, 1), in_of(k, 2), out_of(k), n, k->attr[0]);
}

static __global__ void expectile_slope(const float *v, const float *q1, const float *q2, const float *dout, float *dv, int32_t add,
                                       size_t n, double tau)
{
    const size_t b = cuda_index();
    if (b >= n) return;
    const double u = expectile_error(v, q1, q2, b);
    put_gradient(dv, b, static_cast<float>(-2 * expectile_weight(tau, u) * u * dout[b]), add);
}

/* dv = -2 |tau - [u < 0]| u dout.  Goes to din[0]; the q are constants. */
CUDA_OP expectile_bwd_cuda(const dmc_kargs *k)
{
    const size_t n = static_cast<size_t>(k->dim[0]);
    if (!k->din[0]) return CUDA_OK;
    return launch_each(k, "expectile backward", n, expectile_slope, in_of(k, 0), in_of(k, 1), in_of(k, 2), dout_of(k), din_of(k, 0),
                       adds(k, 0), n, k->attr[0]);
}

static __global__ void td_target(const float *r, const float *d, const float *v, float *out, size_t n)
{
    const size_t b = cuda_index();
    if (b < n) out[b] = fmaf(d[b], v[b], r[b]);
}

/* out[b] = r + d v'.  in: r d v' (B).  dim: B */
CUDA_OP td_target_fwd_cuda(const dmc_kargs *k)
{
    const size_t n = static_cast<size_t>(k->dim[0]);
    return launch_each(k, "td_target", n, td_target, in_of(k, 0), in_of(k, 1), in_of(k, 2), out_of(k), n);
}
