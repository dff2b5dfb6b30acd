/* cuda_image.cu — MAXPOOL2D, SPATIAL_SOFTMAX, CROP2D on images (B,H,W,C). Bound by memory: the roof is bandwidth.
 * Measured: not yet (docs/gpu-results.md). */
#include <math.h>

#include "cuda_launch.cuh"
#include "cuda_philox.cuh"

/* ---- MAXPOOL2D: dim B H W C Ho Wo k stride pad   save: the tap that won, one int32_t per output ------------------------- */

struct pool {
    int32_t B, H, W, C, Ho, Wo, taps, stride, pad;
};

static pool pool_of(const dmc_kargs *k)
{
    return {k->dim[0], k->dim[1], k->dim[2], k->dim[3], k->dim[4], k->dim[5], k->dim[6], k->dim[7], k->dim[8]};
}

static size_t outputs_of(const pool &s)
{
    return static_cast<size_t>(s.B) * s.Ho * s.Wo * s.C;
}

/* Of equals the first tap; NaN wins over all. */
static __global__ void maxpool2d(float *y, int32_t *won, const float *x, uint32_t n, pool s)
{
    const uint32_t i = static_cast<uint32_t>(cuda_index());
    if (i >= n) return;
    const int32_t c = i % s.C, q = i / s.C % s.Wo, p = i / s.C / s.Wo % s.Ho, b = i / s.C / s.Wo / s.Ho;
    float best = -INFINITY;
    int32_t at = -1;
    for (int32_t tap = 0; tap < s.taps * s.taps; tap++) {
        const int32_t row = p * s.stride - s.pad + tap / s.taps, column = q * s.stride - s.pad + tap % s.taps;
        if (row < 0 || column < 0 || row >= s.H || column >= s.W) continue;
        const float v = x[((static_cast<size_t>(b) * s.H + row) * s.W + column) * s.C + c];
        if (at >= 0 && !(v > best || isnan(v))) continue;
        best = v;
        at = tap;
    }
    y[i] = best;
    won[i] = at;
}

/* y[b,p,q,c] = max_{i,j} x[b, p stride - pad + i, q stride - pad + j, c] over the pixels there are */
CUDA_OP maxpool2d_fwd_cuda(const dmc_kargs *k)
{
    const pool s = pool_of(k);
    const size_t n = outputs_of(s);
    return launch_each(k, "maxpool2d", n, maxpool2d, out_of(k), static_cast<int32_t *>(k->save), in_of(k, 0), n, s);
}

/* Windows that pixel `at` lies in: first .. last of n. */
struct windows {
    int32_t first, last;
};

static __device__ inline windows windows_over(int32_t at, int32_t n, const pool &s)
{
    const int32_t reach = at + s.pad - s.taps + 1, last = (at + s.pad) / s.stride;
    return {reach > 0 ? (reach + s.stride - 1) / s.stride : 0, last < n ? last : n - 1};
}

/* A pixel gathers from the windows it won. */
static __global__ void maxpool2d_gradient(float *dx, const float *dy, const int32_t *won, uint32_t n, pool s, int32_t add)
{
    const uint32_t i = static_cast<uint32_t>(cuda_index());
    if (i >= n) return;
    const int32_t c = i % s.C, column = i / s.C % s.W, row = i / s.C / s.W % s.H, b = i / s.C / s.W / s.H;
    const windows down = windows_over(row, s.Ho, s), along = windows_over(column, s.Wo, s);
    float sum = 0;
    for (int32_t p = down.first; p <= down.last; p++)
        for (int32_t q = along.first; q <= along.last; q++) {
            const size_t from = ((static_cast<size_t>(b) * s.Ho + p) * s.Wo + q) * s.C + c;
            const int32_t tap = (row + s.pad - p * s.stride) * s.taps + column + s.pad - q * s.stride;
            if (won[from] == tap) sum += dy[from];
        }
    put_gradient(dx, i, sum, add);
}

/* dx of the winner += dy */
CUDA_OP maxpool2d_bwd_cuda(const dmc_kargs *k)
{
    const pool s = pool_of(k);
    const size_t n = static_cast<size_t>(s.B) * s.H * s.W * s.C;
    if (!din_of(k, 0)) return CUDA_OK;
    return launch_each(k, "maxpool2d, backward", n, maxpool2d_gradient, din_of(k, 0), dout_of(k),
                       static_cast<const int32_t *>(k->save), n, s, adds(k, 0));
}

CUDA_OP maxpool2d_prepare_cuda(dmc_kargs *k, dmc_op_need *need)
{
    need->save = outputs_of(pool_of(k)) * sizeof(int32_t);
    return CUDA_OK;
}

/* ---- SPATIAL_SOFTMAX: dim B H W C   save: (B,C,4) = max of x / tau, 1 / sum, the two results ---------------------------- *
 *
 * A block has WARP channels of a frame, a lane for each; its warps share the pixels. */

enum { WARPS = BLOCK / WARP };

struct keymap {
    uint32_t H, W, C, lanes; /* lanes: blocks of a frame */
};

struct keyplace {
    uint32_t frame, c, lane, warp;
    size_t base; /* of the channel's first pixel */
};

static __device__ inline keyplace keyplace_of(const keymap &s)
{
    keyplace p;
    p.lane = threadIdx.x % WARP;
    p.warp = threadIdx.x / WARP;
    p.frame = blockIdx.x / s.lanes;
    p.c = blockIdx.x % s.lanes * WARP + p.lane;
    p.base = static_cast<size_t>(p.frame) * s.H * s.W * s.C + p.c;
    return p;
}

/* -1..1 over n places; a single one is at -1. */
static __device__ inline float coordinate(uint32_t i, uint32_t n)
{
    return n > 1 ? 2 * static_cast<float>(i) / static_cast<float>(n - 1) - 1 : -1;
}

/* The sum of the warps' numbers of each lane, for all threads. They may still read `slot` from the call before, and after. */
static __device__ inline float add_warps(float x, float slot[BLOCK])
{
    __syncthreads();
    slot[threadIdx.x] = x;
    __syncthreads();
    float sum = 0;
    for (uint32_t w = 0; w < WARPS; w++) sum += slot[w * WARP + threadIdx.x % WARP];
    return sum;
}

/* Of memory that nothing has used before. */
static __device__ inline float greatest_of_warps(float x, float slot[BLOCK])
{
    slot[threadIdx.x] = x;
    __syncthreads();
    float most = -INFINITY;
    for (uint32_t w = 0; w < WARPS; w++) {
        const float v = slot[w * WARP + threadIdx.x % WARP];
        if (v > most) most = v;
    }
    return most;
}

static __global__ void spatial_softmax(float *y, float *save, const float *x, const float *par, keymap s)
{
    __shared__ float slot[BLOCK];
    const keyplace p = keyplace_of(s);
    const uint32_t pixels = p.c < s.C ? s.H * s.W : 0;
    const float tau = par[0];
    float most = -INFINITY, sum = 0, X = 0, Y = 0;
    for (uint32_t i = p.warp; i < pixels; i += WARPS) {
        const float u = x[p.base + static_cast<size_t>(i) * s.C] / tau;
        if (u > most) most = u;
    }
    most = greatest_of_warps(most, slot);
    for (uint32_t i = p.warp; i < pixels; i += WARPS) {
        const float e = expf(x[p.base + static_cast<size_t>(i) * s.C] / tau - most);
        sum += e;
        X += e * coordinate(i % s.W, s.W);
        Y += e * coordinate(i / s.W, s.H);
    }
    const float scale = 1 / add_warps(sum, slot);
    X = add_warps(X, slot) * scale;
    Y = add_warps(Y, slot) * scale;
    if (p.warp || p.c >= s.C) return;
    const size_t n = static_cast<size_t>(p.frame) * s.C + p.c;
    y[2 * n] = save[4 * n + 2] = X;
    y[2 * n + 1] = save[4 * n + 3] = Y;
    save[4 * n] = most;
    save[4 * n + 1] = scale;
}

static keymap keymap_of(const dmc_kargs *k)
{
    const uint32_t C = static_cast<uint32_t>(k->dim[3]);
    return {static_cast<uint32_t>(k->dim[1]), static_cast<uint32_t>(k->dim[2]), C, (C + WARP - 1) / WARP};
}

/* y[b,c] = {sum_p s_p X_p, sum_p s_p Y_p},  s_p = e^(x_p / tau) / sum_q e^(x_q / tau) */
CUDA_OP spatial_softmax_fwd_cuda(const dmc_kargs *k)
{
    const keymap s = keymap_of(k);
    return launch(k, "spatial_softmax", static_cast<uint32_t>(k->dim[0]) * s.lanes, BLOCK, 0, spatial_softmax, out_of(k),
                  static_cast<float *>(k->save), in_of(k, 0), par_of(k, 0), s);
}

/* du_p = s_p (gX (X_p - X) + gY (Y_p - Y)), u = x / tau;  dx = du / tau;  parts[block] = -sum du x / tau^2 */
static __global__ void spatial_softmax_gradient(float *dx, float *parts, const float *x, const float *par, const float *save,
                                                const float *dy, keymap s, int32_t add)
{
    __shared__ float slot[WARP];
    const keyplace p = keyplace_of(s);
    const uint32_t pixels = p.c < s.C ? s.H * s.W : 0;
    const size_t n = p.c < s.C ? static_cast<size_t>(p.frame) * s.C + p.c : 0;
    const float tau = par[0], most = save[4 * n], scale = save[4 * n + 1];
    float sum = 0;
    for (uint32_t i = p.warp; i < pixels; i += WARPS) {
        const size_t at = p.base + static_cast<size_t>(i) * s.C;
        const float u = x[at] / tau, along = coordinate(i % s.W, s.W), down = coordinate(i / s.W, s.H);
        const float pull = dy[2 * n] * (along - save[4 * n + 2]) + dy[2 * n + 1] * (down - save[4 * n + 3]);
        const float du = expf(u - most) * scale * pull;
        if (dx) put_gradient(dx, at, du / tau, add);
        sum -= du * u / tau;
    }
    sum = block_sum(sum, slot);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

/* One block: d[0] += sum of parts(n) */
static __global__ void add_parts(float *d, const float *parts, size_t n)
{
    __shared__ float slot[WARP];
    float sum = 0;
    for (size_t i = threadIdx.x; i < n; i += blockDim.x) sum += parts[i];
    sum = block_sum(sum, slot);
    if (threadIdx.x == 0) d[0] += sum;
}

CUDA_OP spatial_softmax_bwd_cuda(const dmc_kargs *k)
{
    const keymap s = keymap_of(k);
    const uint32_t blocks = static_cast<uint32_t>(k->dim[0]) * s.lanes;
    float *const parts = static_cast<float *>(k->scratch);
    const int32_t status = launch(k, "spatial_softmax, backward", blocks, BLOCK, 0, spatial_softmax_gradient, din_of(k, 0), parts,
                                  in_of(k, 0), par_of(k, 0), static_cast<const float *>(k->save), dout_of(k), s, adds(k, 0));
    if (status != CUDA_OK || !dpar_of(k, 0)) return status;
    return launch(k, "spatial_softmax, tau", 1, BLOCK, 0, add_parts, dpar_of(k, 0), parts, blocks);
}

CUDA_OP spatial_softmax_prepare_cuda(dmc_kargs *k, dmc_op_need *need)
{
    const size_t frames = static_cast<size_t>(k->dim[0]);
    need->save = frames * static_cast<size_t>(k->dim[3]) * 4 * sizeof(float);
    need->scratch_bwd = frames * keymap_of(k).lanes * sizeof(float);
    return CUDA_OK;
}

/* ---- CROP2D: dim B H W C h w   attr: random -------------------------------------------------------------------------- */

struct crop {
    uint32_t H, W, C, h, w, blocks; /* blocks: of a frame */
    int32_t random;
};

/* The corner of the block's frame: in the middle, or by the first words of the frame's stream. */
static __device__ void find_corner(const crop &s, const cuda_key &key, uint32_t frame, uint32_t corner[2])
{
    if (threadIdx.x == 0) {
        corner[0] = (s.H - s.h) / 2;
        corner[1] = (s.W - s.w) / 2;
        if (s.random) {
            uint64_t word[4];
            cuda_key_load(key, word);
            const uint4 r = cuda_philox(word, word[3] + frame, 0);
            corner[0] = static_cast<uint32_t>(static_cast<uint64_t>(r.x) * (s.H - s.h + 1) >> 32);
            corner[1] = static_cast<uint32_t>(static_cast<uint64_t>(r.y) * (s.W - s.w + 1) >> 32);
        }
    }
    __syncthreads();
}

static __global__ void crop2d(float *y, const float *x, crop s, cuda_key key)
{
    __shared__ uint32_t corner[2];
    const uint32_t b = blockIdx.x / s.blocks, i = blockIdx.x % s.blocks * BLOCK + threadIdx.x, row = i / (s.w * s.C);
    find_corner(s, key, b, corner);
    if (row >= s.h) return;
    const size_t from = ((static_cast<size_t>(b) * s.H + corner[0] + row) * s.W + corner[1]) * s.C + i % (s.w * s.C);
    y[static_cast<size_t>(b) * s.h * s.w * s.C + i] = x[from];
}

/* y[b,r,s,c] = x[b, top + r, left + s, c] */
static crop crop_of(const dmc_kargs *k)
{
    crop s = {};
    s.H = static_cast<uint32_t>(k->dim[1]);
    s.W = static_cast<uint32_t>(k->dim[2]);
    s.C = static_cast<uint32_t>(k->dim[3]);
    s.h = static_cast<uint32_t>(k->dim[4]);
    s.w = static_cast<uint32_t>(k->dim[5]);
    s.random = k->attr[0] != 0;
    return s;
}

CUDA_OP crop2d_fwd_cuda(const dmc_kargs *k)
{
    crop s = crop_of(k);
    s.blocks = blocks_of(static_cast<size_t>(s.h) * s.w * s.C, BLOCK);
    return launch(k, "crop2d", static_cast<uint32_t>(k->dim[0]) * s.blocks, BLOCK, 0, crop2d, out_of(k), in_of(k, 0), s,
                  cuda_key_of(k));
}

static __global__ void crop2d_gradient(float *dx, const float *dy, crop s, cuda_key key, int32_t add)
{
    __shared__ uint32_t corner[2];
    const uint32_t b = blockIdx.x / s.blocks, i = blockIdx.x % s.blocks * BLOCK + threadIdx.x;
    find_corner(s, key, b, corner);
    /* both wrap round before the window begins */
    const uint32_t row = i / (s.W * s.C) - corner[0], at = i % (s.W * s.C) - corner[1] * s.C;
    if (i >= s.H * s.W * s.C) return;
    const bool inside = row < s.h && at < s.w * s.C;
    const float g = inside ? dy[(static_cast<size_t>(b) * s.h + row) * s.w * s.C + at] : 0;
    put_gradient(dx, static_cast<size_t>(b) * s.H * s.W * s.C + i, g, add);
}

/* dx[b, top + r, left + s, c] = dy[b,r,s,c], 0 outside the window */
CUDA_OP crop2d_bwd_cuda(const dmc_kargs *k)
{
    crop s = crop_of(k);
    s.blocks = blocks_of(static_cast<size_t>(s.H) * s.W * s.C, BLOCK);
    if (!din_of(k, 0)) return CUDA_OK;
    return launch(k, "crop2d, backward", static_cast<uint32_t>(k->dim[0]) * s.blocks, BLOCK, 0, crop2d_gradient, din_of(k, 0),
                  dout_of(k), s, cuda_key_of(k), adds(k, 0));
}
