/* cuda_optim.cu — SUMSQ, ADAMW with clipping and moving average in one pass, LERP. Bound by memory: the roof is bandwidth, with
 * 28 bytes for each weight in ADAMW (36 with the average). Measured: not yet (docs/gpu-results.md). */
#include "cuda_pack.cuh"
#include "cuda_sum.cuh"

enum { FOUR = 4 };

/* Blocks that walk over n things: as many as there are, at most eight for each multiprocessor. */
static unsigned walking_blocks(const dmc_kargs *k, size_t n)
{
    const unsigned most = 8u * static_cast<unsigned>(queue_of(k)->processors), all = blocks_of(n, BLOCK);
    return all < most ? all : most;
}

/* ---- sum of squares -------------------------------------------------------------------------------------------------- */

enum { SUM_PIECE = 8 * FOUR * BLOCK, SUM_MOST = 1024 }; /* elements a block is worth, and the most blocks */

/* Squares i .. i+4 of n, zeros past the end. The sum of four keeps its digits in a float; the sums of fours are double's. */
static __device__ float four_squares(const float *x, size_t i, size_t n, bool aligned)
{
    float4 v;
    if (aligned && i + FOUR <= n) v = *reinterpret_cast<const float4 *>(x + i);
    else v = make_float4(x[i], i + 1 < n ? x[i + 1] : 0.0f, i + 2 < n ? x[i + 2] : 0.0f, i + 3 < n ? x[i + 3] : 0.0f);
    return fmaf(v.x, v.x, v.y * v.y) + fmaf(v.z, v.z, v.w * v.w);
}

static __global__ void sum_pieces(const float *x, double *part, size_t n, bool aligned)
{
    __shared__ double slot[BLOCK];
    const size_t stride = static_cast<size_t>(gridDim.x) * BLOCK * FOUR;
    double sum = 0;
    for (size_t i = cuda_index() * FOUR; i < n; i += stride) sum += four_squares(x, i, n, aligned);
    sum = block_sum_double(sum, slot);
    if (threadIdx.x == 0) part[blockIdx.x] = sum;
}

static __global__ void sum_parts(const double *part, float *out, unsigned parts)
{
    __shared__ double slot[BLOCK];
    double sum = 0;
    for (unsigned i = threadIdx.x; i < parts; i += BLOCK) sum += part[i];
    sum = block_sum_double(sum, slot);
    if (threadIdx.x == 0) out[0] = static_cast<float>(sum);
}

/* out[0] = sum_i x[i]^2, cut by n alone.  dim: n */
CUDA_OP sumsq_fwd_cuda(const dmc_kargs *k)
{
    const size_t n = static_cast<size_t>(k->dim[0]);
    const unsigned most = SUM_MOST, pieces = blocks_of(n, SUM_PIECE), parts = pieces < most ? pieces : most;
    double *const part = static_cast<double *>(queue_of(k)->workspace);
    if (parts > 0) {
        const int32_t status = launch(k, "sumsq", parts, BLOCK, 0, sum_pieces, in_of(k, 0), part, n, on_fours(k->in[0]));
        if (status != CUDA_OK) return status;
    }
    return launch(k, "sumsq", 1, BLOCK, 0, sum_parts, part, out_of(k), parts);
}

/* ---- one update of the weights --------------------------------------------------------------------------------------- */

struct adamw_attr {
    double lr, b1, b2, eps, wd, step, max_norm, rate; /* as in attr and in live */
};

struct adamw_step {
    float clip, b1, rest1, b2, rest2, decay, rate, unbias2, eps, ema_rest;
};

/* min(1, max_norm / (sqrt(sumsq) + 1e-6)); 1 without sumsq or if max_norm <= 0 */
static __device__ double clip_factor(const float *sumsq, double max_norm)
{
    if (!sumsq || max_norm <= 0) return 1;
    const double factor = max_norm / (sqrt(static_cast<double>(*sumsq)) + 1e-6);
    return factor > 1 ? 1 : factor;
}

/* What is near 1, or is what is left to 1, is made in double, once for each block. */
static __device__ adamw_step make_step(const adamw_attr &a, const float *sumsq)
{
    adamw_step s;
    s.clip = static_cast<float>(clip_factor(sumsq, a.max_norm));
    s.b1 = static_cast<float>(a.b1);
    s.rest1 = static_cast<float>(1 - a.b1);
    s.b2 = static_cast<float>(a.b2);
    s.rest2 = static_cast<float>(1 - a.b2);
    s.decay = static_cast<float>(a.lr * a.wd);
    s.rate = static_cast<float>(a.lr / (1 - pow(a.b1, a.step)));
    s.unbias2 = static_cast<float>(1 / (1 - pow(a.b2, a.step)));
    s.eps = static_cast<float>(a.eps);
    s.ema_rest = static_cast<float>(1 - a.rate);
    return s;
}

/* One weight. Small factors multiply differences, so that they are not rounded away next to 1. */
static __device__ inline void adamw_element(const adamw_step &s, float grad, float *w, float *m, float *v)
{
    const float g = grad * s.clip;
    *m = fmaf(s.b1, *m, s.rest1 * g);
    *v = fmaf(s.b2, *v, s.rest2 * g * g);
    *w = fmaf(-s.rate, *m / (sqrtf(*v * s.unbias2) + s.eps), fmaf(-s.decay, *w, *w));
}

struct adamw_arrays {
    const float *grad, *sumsq;
    float *w, *ema, *m, *v;
};

/* n packs of W elements. live: read when the kernel runs, in place of fixed. */
template <int W>
static __global__ void adamw(adamw_arrays a, size_t n, adamw_attr fixed, const adamw_attr *live)
{
    __shared__ adamw_step s;
    if (a.sumsq && !isfinite(*a.sumsq)) return;
    if (threadIdx.x == 0) s = make_step(live ? *live : fixed, a.sumsq);
    __syncthreads();
    for (size_t i = cuda_index(); i < n; i += static_cast<size_t>(gridDim.x) * blockDim.x) {
        const pack<W> g = load_pack<W>(a.grad, i);
        pack<W> w = load_pack<W>(a.w, i), m = load_pack<W>(a.m, i), v = load_pack<W>(a.v, i);
        for (int e = 0; e < W; e++) adamw_element(s, g.v[e], &w.v[e], &m.v[e], &v.v[e]);
        store_pack<W>(a.w, i, w);
        store_pack<W>(a.m, i, m);
        store_pack<W>(a.v, i, v);
        if (!a.ema) continue;
        pack<W> ema = load_pack<W>(a.ema, i);
        for (int e = 0; e < W; e++) ema.v[e] = fmaf(s.ema_rest, w.v[e] - ema.v[e], ema.v[e]);
        store_pack<W>(a.ema, i, ema);
    }
}

static adamw_attr read_attr(const dmc_kargs *k)
{
    const double *const a = k->attr;
    return {a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]};
}

/* g = grad clip_factor;  m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2;  ema = rate ema + (1-rate) w
 * w = (1 - lr wd) w - lr (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + eps);  nothing where sumsq is not finite
 * in: grad(n) sumsq(1)?;  out w;  out2 ema?;  save m(n) then v(n).  dim: n   attr: lr b1 b2 eps wd step max_norm rate */
CUDA_OP adamw_fwd_cuda(const dmc_kargs *k)
{
    const size_t n = static_cast<size_t>(k->dim[0]);
    float *const m = static_cast<float *>(k->save);
    const adamw_arrays a = {in_of(k, 0), in_of(k, 1), out_of(k), static_cast<float *>(k->out2), m, m + n};
    const adamw_attr *const live = reinterpret_cast<const adamw_attr *>(k->live);
    const bool fours = n % FOUR == 0 && on_fours(a.grad, a.w, a.ema, m);
    const size_t packs = fours ? n / FOUR : n;
    if (n == 0) return CUDA_OK;
    return launch(k, "adamw", walking_blocks(k, packs), BLOCK, 0, fours ? adamw<FOUR> : adamw<1>, a, packs, read_attr(k), live);
}

/* ---- moving average -------------------------------------------------------------------------------------------------- */

template <int W>
static __global__ void lerp(const float *x, float *out, size_t n, float r)
{
    for (size_t i = cuda_index(); i < n; i += static_cast<size_t>(gridDim.x) * blockDim.x) {
        const pack<W> v = load_pack<W>(x, i);
        pack<W> o = load_pack<W>(out, i);
        for (int e = 0; e < W; e++) o.v[e] = fmaf(r, v.v[e] - o.v[e], o.v[e]);
        store_pack<W>(out, i, o);
    }
}

/* out = (1 - r) out + r x.  dim: n   attr: r */
CUDA_OP lerp_fwd_cuda(const dmc_kargs *k)
{
    const size_t n = static_cast<size_t>(k->dim[0]);
    const bool fours = n % FOUR == 0 && on_fours(k->in[0], k->out);
    const size_t packs = fours ? n / FOUR : n;
    if (n == 0) return CUDA_OK;
    return launch(k, "lerp", walking_blocks(k, packs), BLOCK, 0, fours ? lerp<FOUR> : lerp<1>, in_of(k, 0), out_of(k), packs,
                  static_cast<float>(k->attr[0]));
}
