/* cuda_likelihood.cu — GAUSS_LOGP, GAUSS_KL and MSE: one block for each sample, which sums its row in an order that its length
 * gives. Bound by memory, at the sizes of one batch by the launch. Measured: not yet (docs/gpu-results.md).
 *
 * Sums of squares lose nothing in single precision. The terms of a log-probability cancel, and policy gradients take differences
 * of them: those are made and summed in double. */
#include "cuda_sum.cuh"

#include <math.h>

static constexpr double HALF_LN_2PI = 0.91893853320467274178;

/* Row blockIdx.x of x(B,N). */
template <typename T>
static __device__ T *row_of(T *x, size_t n)
{
    return x ? x + blockIdx.x * n : nullptr;
}

static __device__ inline bool is_free(const float *mask, size_t i)
{
    return !mask || mask[i] == 0;
}

/* What a sample's sum is multiplied by: 1, or 1 / number of free entries (1 if there is none). Called by all threads. */
static __device__ float reduction(const float *mask, size_t n, int32_t mean, float *slot)
{
    float count = 0;
    if (!mean) return 1.0f;
    if (!mask) return 1.0f / static_cast<float>(n);
    for (size_t i = threadIdx.x; i < n; i += blockDim.x) count += mask[i] == 0 ? 1.0f : 0.0f;
    count = block_sum(count, slot);
    return count > 0 ? 1.0f / count : 1.0f;
}

/* A block for each row; no more threads than elements. */
template <typename... Parameters, typename... Arguments>
static int32_t launch_rows(const dmc_kargs *k, const char *name, void (*kernel)(Parameters...), Arguments... arguments)
{
    const unsigned most = BLOCK, whole = blocks_of(static_cast<size_t>(k->dim[1]), WARP) * WARP;
    return launch(k, name, static_cast<unsigned>(k->dim[0]), whole < most ? whole : most, 0, kernel, arguments...);
}

/* ---- log-probability of a transition --------------------------------------------------------------------------------- */

struct density {
    double scale, shift, lo, hi; /* 1 / std, ln std + ln(2 pi) / 2 */
    int32_t clamps, mean;
};

static density read_density(const dmc_kargs *k)
{
    const double *const a = k->attr;
    return {1 / a[0], log(a[0]) + HALF_LN_2PI, a[2], a[3], a[3] > a[2], a[1] != 0};
}

/* ln N(z; mu, std^2), not yet clamped */
static __device__ inline double log_density(const density &d, float z, float mu)
{
    const double e = (static_cast<double>(z) - mu) * d.scale;
    return -0.5 * e * e - d.shift;
}

static __global__ void logp(const float *z, const float *mu, const float *mask, float *out, size_t n, density d)
{
    __shared__ double sum_slot[BLOCK];
    __shared__ float count_slot[WARP];
    z = row_of(z, n), mu = row_of(mu, n), mask = row_of(mask, n);
    double sum = 0;
    for (size_t i = threadIdx.x; i < n; i += blockDim.x) {
        const double l = log_density(d, z[i], mu[i]);
        if (is_free(mask, i)) sum += !d.clamps ? l : l < d.lo ? d.lo : l > d.hi ? d.hi : l;
    }
    sum = block_sum_double(sum, sum_slot);
    const float share = reduction(mask, n, d.mean, count_slot);
    if (threadIdx.x == 0) out[blockIdx.x] = static_cast<float>(sum * share);
}

/* out[b] = sum or mean of clamp(ln N(z'; mu, std^2), lo, hi) over free entries; no clamping if hi <= lo.
 * in: z' mu (B,N);  par0: mask?.  dim: B N   attr: std reduce lo hi */
CUDA_OP gauss_logp_fwd_cuda(const dmc_kargs *k)
{
    return launch_rows(k, "gauss_logp", logp, in_of(k, 0), in_of(k, 1), par_of(k, 0), out_of(k), static_cast<size_t>(k->dim[1]),
                       read_density(k));
}

static __global__ void logp_slope(const float *z, const float *mu, const float *mask, const float *dout, float *dmu, int32_t add,
                                  size_t n, density d)
{
    __shared__ float count_slot[WARP];
    z = row_of(z, n), mu = row_of(mu, n), mask = row_of(mask, n), dmu = row_of(dmu, n);
    const float g = dout[blockIdx.x] * reduction(mask, n, d.mean, count_slot), slope = static_cast<float>(d.scale * d.scale);
    for (size_t i = threadIdx.x; i < n; i += blockDim.x) {
        const double l = log_density(d, z[i], mu[i]);
        const bool passes = is_free(mask, i) && !(d.clamps && (l < d.lo || l > d.hi));
        put_gradient(dmu, i, passes ? g * ((z[i] - mu[i]) * slope) : 0.0f, add);
    }
}

/* dmu = dout[b] (z' - mu) / std^2 (/ number), 0 where masked or outside [lo,hi]. Goes to din[1]. */
CUDA_OP gauss_logp_bwd_cuda(const dmc_kargs *k)
{
    if (!k->din[1]) return CUDA_OK;
    return launch_rows(k, "gauss_logp backward", logp_slope, in_of(k, 0), in_of(k, 1), par_of(k, 0), dout_of(k), din_of(k, 1),
                       adds(k, 1), static_cast<size_t>(k->dim[1]), read_density(k));
}

/* ---- divergence of two transitions of equal variance ----------------------------------------------------------------- */

static __global__ void kl(const float *mu, const float *ref, const float *mask, float *out, size_t n, float scale, int32_t mean)
{
    __shared__ float slot[WARP];
    mu = row_of(mu, n), ref = row_of(ref, n), mask = row_of(mask, n);
    float sum = 0;
    for (size_t i = threadIdx.x; i < n; i += blockDim.x) {
        const float e = (mu[i] - ref[i]) * scale;
        if (is_free(mask, i)) sum = fmaf(0.5f * e, e, sum);
    }
    sum = block_sum(sum, slot);
    const float share = reduction(mask, n, mean, slot);
    if (threadIdx.x == 0) out[blockIdx.x] = sum * share;
}

/* out[b] = sum or mean of (mu - mu_ref)^2 / (2 std^2) over free entries.
 * in: mu mu_ref (B,N);  par0: mask?.  dim: B N   attr: std reduce */
CUDA_OP gauss_kl_fwd_cuda(const dmc_kargs *k)
{
    return launch_rows(k, "gauss_kl", kl, in_of(k, 0), in_of(k, 1), par_of(k, 0), out_of(k), static_cast<size_t>(k->dim[1]),
                       static_cast<float>(1 / k->attr[0]), k->attr[1] != 0);
}

static __global__ void kl_slope(const float *mu, const float *ref, const float *mask, const float *dout, float *dmu, int32_t add,
                                size_t n, float slope, int32_t mean)
{
    __shared__ float slot[WARP];
    mu = row_of(mu, n), ref = row_of(ref, n), mask = row_of(mask, n), dmu = row_of(dmu, n);
    const float g = dout[blockIdx.x] * reduction(mask, n, mean, slot);
    for (size_t i = threadIdx.x; i < n; i += blockDim.x)
        put_gradient(dmu, i, is_free(mask, i) ? g * ((mu[i] - ref[i]) * slope) : 0.0f, add);
}

/* dmu = dout[b] (mu - mu_ref) / std^2 (/ number), 0 where masked. Goes to din[0]. */
CUDA_OP gauss_kl_bwd_cuda(const dmc_kargs *k)
{
    if (!k->din[0]) return CUDA_OK;
    const float slope = static_cast<float>(1 / (k->attr[0] * k->attr[0]));
    return launch_rows(k, "gauss_kl backward", kl_slope, in_of(k, 0), in_of(k, 1), par_of(k, 0), dout_of(k), din_of(k, 0),
                       adds(k, 0), static_cast<size_t>(k->dim[1]), slope, k->attr[1] != 0);
}

/* ---- weighted mean square error -------------------------------------------------------------------------------------- */

/* Entries of a row with w != 0, at least 1; all n without weights. Called by all threads. */
static __device__ float weight_count(const float *w, size_t n, float *slot)
{
    float count = 0;
    if (!w) return static_cast<float>(n);
    for (size_t i = threadIdx.x; i < n; i += blockDim.x) count += w[i] != 0 ? 1.0f : 0.0f;
    count = block_sum(count, slot);
    return count > 1 ? count : 1.0f;
}

static __global__ void mse(const float *f, const float *y, const float *w, float *out, size_t n)
{
    __shared__ float slot[WARP];
    f = row_of(f, n), y = row_of(y, n), w = row_of(w, n);
    float sum = 0;
    for (size_t i = threadIdx.x; i < n; i += blockDim.x) {
        const float e = f[i] - y[i];
        sum = fmaf(w ? w[i] * e : e, e, sum);
    }
    sum = block_sum(sum, slot);
    const float count = weight_count(w, n, slot);
    if (threadIdx.x == 0) out[blockIdx.x] = sum / count;
}

/* out[b] = sum_n w (f - y)^2 / number of w != 0, at least 1.  in: f y (B,N);  par0: w(B,N) or NULL = 1.  dim: B N */
CUDA_OP mse_fwd_cuda(const dmc_kargs *k)
{
    return launch_rows(k, "mse", mse, in_of(k, 0), in_of(k, 1), par_of(k, 0), out_of(k), static_cast<size_t>(k->dim[1]));
}

static __global__ void mse_slope(const float *f, const float *y, const float *w, const float *dout, float *df, int32_t add,
                                 size_t n)
{
    __shared__ float slot[WARP];
    f = row_of(f, n), y = row_of(y, n), w = row_of(w, n), df = row_of(df, n);
    const float g = 2 * dout[blockIdx.x] / weight_count(w, n, slot);
    for (size_t i = threadIdx.x; i < n; i += blockDim.x) put_gradient(df, i, g * (f[i] - y[i]) * (w ? w[i] : 1.0f), add);
}

/* df = dout[b] 2 w (f - y) / number. Goes to din[0]; the target has no gradient. */
CUDA_OP mse_bwd_cuda(const dmc_kargs *k)
{
    if (!k->din[0]) return CUDA_OK;
    return launch_rows(k, "mse backward", mse_slope, in_of(k, 0), in_of(k, 1), par_of(k, 0), dout_of(k), din_of(k, 0), adds(k, 0),
                       static_cast<size_t>(k->dim[1]));
}
