/* cuda_groupnorm.cu — GROUPNORM: norm, activation, modulation and residual, forward and backward. Bound by memory: the
 * roof is bandwidth; a batch of one is bound by latency, hence one launch forward and at most two backward.
 * Measured: not yet (docs/gpu-results.md).
 *
 * A block has one group of one sample: T rows of C/G neighbouring channels. A thread keeps to its channels and walks down
 * the rows, so that what belongs to a channel stays in registers. What later passes need again lies in shared memory where
 * it fits. save: (B,G,2) = mean, 1/std. scratch of backward: (B,2C), dgamma and dbeta of each sample. */
#include "cuda_act.cuh"
#include "cuda_columns.cuh"
#include "cuda_pack.cuh"

enum { SHARED = 47 * 1024, SUMS = 4 };

struct group_shape {
    uint32_t B, T, C, G, E, width; /* width: channels of a group */
    float eps, part;               /* part: 1 / elements of a group */
};

/* What a thread works on: packs first + column, + columns, ... of rows slice, slice + slices, ... */
struct group_walk {
    uint32_t packs;           /* of a row of the group; those of a round: */
    uint32_t columns, slices; /* threads beyond columns slices have nothing to do */
    uint32_t column, slice;
    uint32_t sample, channel; /* first of the group */
    size_t base;              /* its first element */
};

template <int W> static __device__ inline group_walk walk_of(const group_shape &s)
{
    group_walk w;
    w.packs = s.width / W;
    w.columns = w.packs < blockDim.x ? w.packs : blockDim.x;
    w.slices = blockDim.x / w.columns;
    w.column = threadIdx.x % w.columns;
    w.slice = threadIdx.x / w.columns;
    if (w.slice >= w.slices) w.slice = 0xffffffffu; /* below nothing: no rows, no room for sums */
    w.sample = blockIdx.x / s.G;
    w.channel = blockIdx.x % s.G * s.width;
    w.base = static_cast<size_t>(w.sample) * s.T * s.C + w.channel;
    return w;
}

template <int ACT> static __device__ inline float activate(float u)
{
    return ACT == 1 ? mish_value(u) : ACT == 2 && u < 0 ? 0 : u;
}

template <int ACT> static __device__ inline float activation_slope(float u)
{
    return ACT == 1 ? mish_slope(u) : ACT == 2 ? (u > 0 ? 1.0f : 0.0f) : 1;
}

/* ---- forward ---------------------------------------------------------------------------------------------------------- */

/* Pack c of row t of the group; `kept`: where it is in shared memory, or NULL. */
template <int W>
static __device__ inline pack<W> read_group(const group_shape &s, const group_walk &w, const float *x, const float *kept,
                                            uint32_t t, uint32_t c)
{
    if (kept) return load_pack<W>(kept, t * w.packs + c);
    return load_pack<W>(x + w.base + static_cast<size_t>(t) * s.C, c);
}

/* This thread's share of the sum; puts what it reads into shared memory. */
template <int W> static __device__ float sum_group(const group_shape &s, const group_walk &w, const float *x, float *kept)
{
    float sum = 0;
    for (uint32_t c = w.column; c < w.packs; c += w.columns)
        for (uint32_t t = w.slice; t < s.T; t += w.slices) {
            const pack<W> v = read_group<W>(s, w, x, nullptr, t, c);
            if (kept) store_pack<W>(kept, t * w.packs + c, v);
            for (int e = 0; e < W; e++) sum += v.v[e];
        }
    return sum;
}

/* Of (x - mean)^2. */
template <int W>
static __device__ float sum_group_squares(const group_shape &s, const group_walk &w, const float *x, const float *kept, float mean)
{
    float sum = 0;
    for (uint32_t c = w.column; c < w.packs; c += w.columns)
        for (uint32_t t = w.slice; t < s.T; t += w.slices) {
            const pack<W> v = read_group<W>(s, w, x, kept, t, c);
            for (int e = 0; e < W; e++) sum += (v.v[e] - mean) * (v.v[e] - mean);
        }
    return sum;
}

/* W neighbouring channels of a sample: u = gamma xhat + beta, y = factor act(u) + shift */
template <int W> struct group_channels {
    pack<W> gamma, beta, factor, shift;
};

template <int W>
static __device__ inline group_channels<W> channels_at(const group_shape &s, const group_walk &w, uint32_t c, const float *gamma,
                                                       const float *beta, const float *e)
{
    const float *const row = e ? e + static_cast<size_t>(w.sample) * s.E + w.channel : nullptr;
    return {load_pack<W>(gamma + w.channel, c), load_pack<W>(beta + w.channel, c),
            e && s.E > s.C ? load_pack<W>(row, c) : pack_of<W>(1),
            e ? load_pack<W>(row + (s.E - s.C), c) : pack_of<W>(0)};
}

struct group_operands {
    const float *x, *e, *r, *gamma, *beta; /* e, r: NULL = none */
    float *y, *save;
};

template <int W, int ACT>
static __device__ void write_group(const group_shape &s, const group_walk &w, const group_operands &o, const float *kept,
                                   float mean, float rstd)
{
    for (uint32_t c = w.column; c < w.packs; c += w.columns) {
        const group_channels<W> a = channels_at<W>(s, w, c, o.gamma, o.beta, o.e);
        for (uint32_t t = w.slice; t < s.T; t += w.slices) {
            const size_t row = w.base + static_cast<size_t>(t) * s.C;
            pack<W> v = read_group<W>(s, w, o.x, kept, t, c);
            const pack<W> r = o.r ? load_pack<W>(o.r + row, c) : pack_of<W>(0);
            for (int e = 0; e < W; e++) {
                const float u = a.gamma.v[e] * ((v.v[e] - mean) * rstd) + a.beta.v[e];
                v.v[e] = a.factor.v[e] * activate<ACT>(u) + a.shift.v[e] + r.v[e];
            }
            store_pack<W>(o.y + row, c, v);
        }
    }
}

/* keep: shared memory holds a group */
template <int W, int ACT> static __global__ void groupnorm(group_shape s, group_operands o, int32_t keep)
{
    CUDA_SHARED(float, shared);
    __shared__ float slot[WARP];
    const group_walk w = walk_of<W>(s);
    float *const kept = keep ? shared : nullptr;
    const float mean = block_sum(sum_group<W>(s, w, o.x, kept), slot) * s.part;
    const float squares = block_sum(sum_group_squares<W>(s, w, o.x, kept, mean), slot);
    const float rstd = 1 / sqrtf(squares * s.part + s.eps);
    if (threadIdx.x == 0) {
        o.save[2 * static_cast<size_t>(blockIdx.x)] = mean;
        o.save[2 * static_cast<size_t>(blockIdx.x) + 1] = rstd;
    }
    write_group<W, ACT>(s, w, o, kept, mean, rstd);
}

/* ---- backward --------------------------------------------------------------------------------------------------------- */

/* NULL: not wanted. parts: (B,2C), dgamma and dbeta of each sample. */
struct group_gradients {
    const float *dy;
    float *dx, *de, *dr, *parts;
    int32_t add_x, add_e, add_r, film;
};

/* Of an element: xhat, and h = gamma du with du the gradient in front of the activation. */
struct group_element {
    float xhat, du, h;
};

template <int ACT>
static __device__ inline group_element element_of(float x, float dy, float mean, float rstd, float gamma, float beta, float factor)
{
    const float xhat = (x - mean) * rstd, du = dy * factor * activation_slope<ACT>(gamma * xhat + beta);
    return {xhat, du, gamma * du};
}

/* Column sums of W channels: du xhat, du, dy act(u), dy; and of all of them: h, h xhat. */
template <int W> struct group_sums {
    pack<W> of[SUMS];
    float h, hx;
};

/* One column of packs, down the rows of a slice: sums, what the residual gets, and xhat and h for later. */
template <int W, int ACT>
static __device__ void look_down(const group_shape &s, const group_walk &w, const group_operands &o, const group_gradients &d,
                                 uint32_t c, float mean, float rstd, float *kept, group_sums<W> *sums)
{
    const group_channels<W> a = channels_at<W>(s, w, c, o.gamma, o.beta, o.e);
    for (uint32_t t = w.slice; t < s.T; t += w.slices) {
        const size_t row = w.base + static_cast<size_t>(t) * s.C;
        pack<W> v = load_pack<W>(o.x + row, c), h;
        const pack<W> g = load_pack<W>(d.dy + row, c);
        for (int e = 0; e < W; e++) {
            const float gamma = a.gamma.v[e], beta = a.beta.v[e];
            const group_element q = element_of<ACT>(v.v[e], g.v[e], mean, rstd, gamma, beta, a.factor.v[e]);
            sums->h += q.h;
            sums->hx += q.h * q.xhat;
            sums->of[0].v[e] += q.du * q.xhat;
            sums->of[1].v[e] += q.du;
            if (d.film) sums->of[2].v[e] += g.v[e] * activate<ACT>(gamma * q.xhat + beta);
            sums->of[3].v[e] += g.v[e];
            v.v[e] = q.xhat;
            h.v[e] = q.h;
        }
        if (kept) {
            store_pack<W>(kept, t * w.packs + c, v);
            store_pack<W>(kept, (s.T + t) * w.packs + c, h);
        }
        if (d.dr) put_pack<W>(d.dr + row, c, g, d.add_r);
    }
}

/* The sum over the rows of channel c of the sample has its place. */
static __device__ inline void give_column(const group_shape &s, const group_walk &w, const group_gradients &d, uint32_t which,
                                          uint32_t c, float sum)
{
    if (which < 2 && d.parts) d.parts[(2 * static_cast<size_t>(w.sample) + which) * s.C + c] = sum;
    if (which == 2 && d.de && d.film) put_gradient(d.de, static_cast<size_t>(w.sample) * s.E + c, sum, d.add_e);
    if (which == 3 && d.de) put_gradient(d.de, static_cast<size_t>(w.sample) * s.E + s.E - s.C + c, sum, d.add_e);
}

/* Add the slices' sums of `count` packs of columns from `first` on. room: (SUMS, slices, columns) packs. */
template <int W>
static __device__ void add_columns(const group_shape &s, const group_walk &w, const group_gradients &d, const group_sums<W> &sums,
                                   uint32_t first, float *room)
{
    const uint32_t left = w.packs - first, pitch = w.columns * W, count = left < w.columns ? left * W : pitch;
    __syncthreads();
    for (uint32_t q = 0; w.slice < w.slices && q < SUMS; q++)
        store_pack<W>(room, (q * w.slices + w.slice) * w.columns + w.column, sums.of[q]);
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < SUMS * count; i += blockDim.x) {
        const uint32_t q = i / count, c = i % count;
        float sum = 0;
        for (uint32_t r = 0; r < w.slices; r++) sum += room[(q * w.slices + r) * pitch + c];
        give_column(s, w, d, q, w.channel + first * W + c, sum);
    }
}

/* dx = rstd (h - mean(h) - xhat mean(h xhat)) */
template <int W, int ACT>
static __device__ void write_gradient(const group_shape &s, const group_walk &w, const group_operands &o, const group_gradients &d,
                                      const float *kept, float mean, float rstd, float mean_h, float mean_hx)
{
    for (uint32_t c = w.column; c < w.packs; c += w.columns) {
        const group_channels<W> a = channels_at<W>(s, w, c, o.gamma, o.beta, o.e);
        for (uint32_t t = w.slice; t < s.T; t += w.slices) {
            const size_t row = w.base + static_cast<size_t>(t) * s.C;
            pack<W> v, h;
            v = kept ? load_pack<W>(kept, t * w.packs + c) : load_pack<W>(o.x + row, c);
            h = kept ? load_pack<W>(kept, (s.T + t) * w.packs + c) : load_pack<W>(d.dy + row, c);
            for (int e = 0; e < W; e++) {
                group_element q = {v.v[e], 0, h.v[e]};
                if (!kept) q = element_of<ACT>(v.v[e], h.v[e], mean, rstd, a.gamma.v[e], a.beta.v[e], a.factor.v[e]);
                v.v[e] = rstd * (q.h - mean_h - q.xhat * mean_hx);
            }
            put_pack<W>(d.dx + row, c, v, d.add_x);
        }
    }
}

/* room: floats of shared memory for add_columns; keep: behind them 2 elements of a group fit */
template <int W, int ACT>
static __global__ void groupnorm_gradient(group_shape s, group_operands o, group_gradients d, uint32_t room, int32_t keep)
{
    CUDA_SHARED(float, shared);
    __shared__ float slot[WARP];
    const group_walk w = walk_of<W>(s);
    const float mean = o.save[2 * static_cast<size_t>(blockIdx.x)], rstd = o.save[2 * static_cast<size_t>(blockIdx.x) + 1];
    float *const kept = keep ? shared + room : nullptr;
    float h = 0, hx = 0;
    for (uint32_t first = 0; first < w.packs; first += w.columns) {
        group_sums<W> sums = {};
        if (first + w.column < w.packs) look_down<W, ACT>(s, w, o, d, first + w.column, mean, rstd, kept, &sums);
        h += sums.h;
        hx += sums.hx;
        if (d.parts || d.de) add_columns<W>(s, w, d, sums, first, shared);
    }
    h = block_sum(h, slot) * s.part;
    hx = block_sum(hx, slot) * s.part;
    if (d.dx) write_gradient<W, ACT>(s, w, o, d, kept, mean, rstd, h, hx);
}

/* ---- launchers -------------------------------------------------------------------------------------------------------- */

static group_shape shape_of(const dmc_kargs *k)
{
    group_shape s = {};
    s.B = static_cast<uint32_t>(k->dim[0]);
    s.T = static_cast<uint32_t>(k->dim[1]);
    s.C = static_cast<uint32_t>(k->dim[2]);
    s.G = static_cast<uint32_t>(k->dim[3]);
    s.E = static_cast<uint32_t>(k->dim[4]);
    s.width = s.C / s.G;
    s.eps = static_cast<float>(k->attr[0]);
    s.part = static_cast<float>(1 / (static_cast<double>(s.width) * s.T));
    return s;
}

static int residual_of(const group_shape &s)
{
    return s.E ? 2 : 1;
}

static group_operands operands_of(const dmc_kargs *k, const group_shape &s)
{
    return {in_of(k, 0), s.E ? in_of(k, 1) : nullptr, in_of(k, residual_of(s)), par_of(k, 0), par_of(k, 1), out_of(k),
            static_cast<float *>(k->save)};
}

static bool group_on_fours(const group_shape &s, const group_operands &o)
{
    return s.width % 4 == 0 && on_fours(o.x, o.e, o.r, o.gamma, o.beta, o.y);
}

static bool gradients_on_fours(const group_gradients &d)
{
    return on_fours(d.dy, d.dx, d.dr);
}

/* A thread for each pack, up to a number. */
static uint32_t group_threads(const group_shape &s, int W)
{
    const size_t packs = static_cast<size_t>(s.T) * (s.width / W), most = packs > 2048 ? 512 : 256;
    return static_cast<uint32_t>(packs >= most ? most : (packs + WARP - 1) / WARP * WARP);
}

typedef void (*forward_kernel)(group_shape, group_operands, int32_t);
typedef void (*backward_kernel)(group_shape, group_operands, group_gradients, uint32_t, int32_t);

template <int W> static forward_kernel forward_of(int act)
{
    return act == 1 ? groupnorm<W, 1> : act == 2 ? groupnorm<W, 2> : groupnorm<W, 0>;
}

template <int W> static backward_kernel backward_of(int act)
{
    return act == 1 ? groupnorm_gradient<W, 1> : act == 2 ? groupnorm_gradient<W, 2> : groupnorm_gradient<W, 0>;
}

/* y = s[b,c] act(gamma[c] (x - mean) / sqrt(var + eps) + beta[c]) + b[b,c] + r, mean and variance of each group of a
 * sample. act: 0 none, 1 Mish, 2 ReLU.  in: x, e? (E > 0), r?.  dim: B T C G E   attr: eps act */
CUDA_OP groupnorm_fwd_cuda(const dmc_kargs *k)
{
    const group_shape s = shape_of(k);
    const group_operands o = operands_of(k, s);
    const bool four = group_on_fours(s, o);
    const int act = static_cast<int>(k->attr[1]);
    const size_t bytes = static_cast<size_t>(s.T) * s.width * sizeof(float);
    const int32_t keep = bytes <= SHARED;
    return launch(k, "groupnorm", s.B * s.G, group_threads(s, four ? 4 : 1), keep ? bytes : 0,
                  four ? forward_of<4>(act) : forward_of<1>(act), s, o, keep);
}

static int32_t launch_gradient(const dmc_kargs *k, const group_shape &s, const group_operands &o, const group_gradients &d)
{
    const int W = group_on_fours(s, o) && gradients_on_fours(d) ? 4 : 1, act = static_cast<int>(k->attr[1]);
    const uint32_t threads = group_threads(s, W), room = SUMS * threads * static_cast<uint32_t>(W);
    const size_t bytes = (room + 2 * static_cast<size_t>(s.T) * s.width) * sizeof(float);
    const int32_t keep = bytes <= SHARED;
    return launch(k, "groupnorm, backward", s.B * s.G, threads, keep ? bytes : room * sizeof(float),
                  W == 4 ? backward_of<4>(act) : backward_of<1>(act), s, o, d, room, keep);
}

CUDA_OP groupnorm_bwd_cuda(const dmc_kargs *k)
{
    const group_shape s = shape_of(k);
    const group_operands o = operands_of(k, s);
    const int r = residual_of(s);
    group_gradients d = {};
    d.dy = dout_of(k);
    d.dx = din_of(k, 0), d.add_x = adds(k, 0);
    if (o.e) d.de = din_of(k, 1), d.add_e = adds(k, 1), d.film = d.de && s.E > s.C;
    if (o.r) d.dr = din_of(k, r), d.add_r = adds(k, r);
    if (k->dpar[0] || k->dpar[1]) d.parts = static_cast<float *>(k->scratch);
    const int32_t status = launch_gradient(k, s, o, d);
    if (status != CUDA_OK || !d.parts) return status;
    return launch_parameter_sums(k, "groupnorm, parameters", d.parts, s.B, s.C);
}

CUDA_OP groupnorm_prepare_cuda(dmc_kargs *k, dmc_op_need *need)
{
    const group_shape s = shape_of(k);
    need->save = 2 * static_cast<size_t>(s.B) * s.G * sizeof(float);
    need->scratch_bwd = 2 * static_cast<size_t>(s.B) * s.C * sizeof(float);
    return CUDA_OK;
}
