/* ref_loss.c — losses of a batch, and the derivatives of a loss that alignment starts from. */
#include "ref.h"

/* D_b = number of entries with w != 0, at least 1; all N without weights. */
static double weight_count(const dmc_kargs *k, size_t b)
{
    const size_t N = ref_dim(k, 1);
    double count = 0;
    for (size_t i = b * N; i < (b + 1) * N; i++) count += ref_get(k->par[0], i, 1) != 0 ? 1 : 0;
    return fmax(count, 1);
}

/* out[b] = sum_n w (f - y)^2 / D_b.  in: f y (B,N);  par0: w(B,N) or NULL = 1.  dim: B N */
int32_t REF(mse_fwd)(const dmc_kargs *k)
{
    const size_t N = ref_dim(k, 1);
    const real *const f = k->in[0], *const y = k->in[1];
    real *const out = k->out;
    for (size_t b = 0; b < ref_dim(k, 0); b++) {
        double sum = 0;
        for (size_t i = b * N; i < (b + 1) * N; i++) {
            const double d = (double)f[i] - y[i];
            sum += ref_get(k->par[0], i, 1) * d * d;
        }
        out[b] = (real)(sum / weight_count(k, b));
    }
    return 0;
}

/* df = dout[b] 2 w (f - y) / D_b.  Goes to din[0]; the target has no gradient. */
int32_t REF(mse_bwd)(const dmc_kargs *k)
{
    const size_t N = ref_dim(k, 1);
    const real *const f = k->in[0], *const y = k->in[1], *const dout = k->dout;
    for (size_t b = 0; b < ref_dim(k, 0); b++) {
        const double g = 2 * dout[b] / weight_count(k, b);
        for (size_t i = b * N; i < (b + 1) * N; i++)
            ref_put(k, 0, i, g * ref_get(k->par[0], i, 1) * ((double)f[i] - y[i]));
    }
    return 0;
}

/* With rho = exp(logp - logp_old) and w = kappa adv, per sample:
 *   mode 0 (REINFORCE)  loss = -w logp                               dloss/dlogp = -w
 *   mode 1 (PPO)        loss = max(-w rho, -w clip(rho, 1-e, 1+e))   dloss/dlogp = -w rho
 * clipped: the term with clip is strictly the larger one; then dloss/dlogp = 0.
 * out[b] = dloss/dlogp scale / B;  out2[b] = {loss, rho, clipped}.
 * in: logp logp_old adv (B);  par0: kappa(B) or NULL = 1.  dim: B   attr: mode e scale */
int32_t REF(pg_seed_fwd)(const dmc_kargs *k)
{
    const size_t B = ref_dim(k, 0);
    const int ppo = k->attr[0] != 0;
    const double e = k->attr[1], scale = k->attr[2] / (double)B;
    const real *const logp = k->in[0], *const logp_old = k->in[1], *const adv = k->in[2];
    real *const out = k->out, *const note = k->out2;
    for (size_t b = 0; b < B; b++) {
        const double w = ref_get(k->par[0], b, 1) * adv[b];
        const double rho = exp((double)logp[b] - logp_old[b]);
        const double free_loss = ppo ? -w * rho : -w * logp[b];
        const double clip_loss = ppo ? -w * ref_clamp(rho, 1 - e, 1 + e) : free_loss;
        const int clipped = clip_loss > free_loss;
        out[b] = (real)(clipped ? 0 : -w * (ppo ? rho : 1) * scale);
        note[3 * b] = (real)(clipped ? clip_loss : free_loss);
        note[3 * b + 1] = (real)rho;
        note[3 * b + 2] = (real)clipped;
    }
    return 0;
}

/* u = gamma ((err_w - err_l) - ref);  loss = softplus(u) = -ln sigmoid(-u).
 * out[b] = dL/derr_w = gamma sigmoid(u) / B for L = mean loss; dL/derr_l is its negative.
 * out2[b] = {loss, u < 0}.
 * in: err_w err_l ref (B), ref = err_ref_w - err_ref_l.  dim: B   attr: gamma */
int32_t REF(dpo_seed_fwd)(const dmc_kargs *k)
{
    const size_t B = ref_dim(k, 0);
    const double gamma = k->attr[0];
    const real *const err_w = k->in[0], *const err_l = k->in[1], *const ref = k->in[2];
    real *const out = k->out, *const note = k->out2;
    for (size_t b = 0; b < B; b++) {
        const double u = gamma * (((double)err_w[b] - err_l[b]) - ref[b]);
        out[b] = (real)(gamma * ref_sigmoid(u) / (double)B);
        note[2 * b] = (real)ref_softplus(u);
        note[2 * b + 1] = (real)(u < 0);
    }
    return 0;
}

/* u = min(q1, q2) - v, q2 may be NULL; NaN of either stays NaN */
static double expectile_error(const dmc_kargs *k, size_t b)
{
    const real *const v = k->in[0], *const q1 = k->in[1];
    const double q2 = ref_get(k->in[2], b, q1[b]);
    return (isnan(q2) || q2 < q1[b] ? q2 : q1[b]) - v[b];
}

/* out[b] = |tau - [u < 0]| u^2.  in: v q1 q2? (B).  dim: B   attr: tau */
int32_t REF(expectile_fwd)(const dmc_kargs *k)
{
    const double tau = k->attr[0];
    real *const out = k->out;
    for (size_t b = 0; b < ref_dim(k, 0); b++) {
        const double u = expectile_error(k, b);
        out[b] = (real)(fabs(tau - (u < 0)) * u * u);
    }
    return 0;
}

/* dv = -2 |tau - [u < 0]| u dout.  Goes to din[0]; the q are constants. */
int32_t REF(expectile_bwd)(const dmc_kargs *k)
{
    const double tau = k->attr[0];
    const real *const dout = k->dout;
    for (size_t b = 0; b < ref_dim(k, 0); b++) {
        const double u = expectile_error(k, b);
        ref_put(k, 0, b, -2 * fabs(tau - (u < 0)) * u * dout[b]);
    }
    return 0;
}

/* out[b] = r + d v'.  in: r d v' (B).  dim: B */
int32_t REF(td_target_fwd)(const dmc_kargs *k)
{
    const real *const r = k->in[0], *const d = k->in[1], *const v = k->in[2];
    real *const out = k->out;
    for (size_t b = 0; b < ref_dim(k, 0); b++) out[b] = (real)(r[b] + (double)d[b] * v[b]);
    return 0;
}
