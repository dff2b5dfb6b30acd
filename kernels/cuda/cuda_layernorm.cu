/* cuda_layernorm.cu — LAYERNORM, and ADALN, whose rows are scaled and shifted by what a row m(b) of modulation says: the
 * same kernels, y = xhat (one + gain[c]) + bias[c]. Bound by memory: the roof is bandwidth; a batch of one is bound by
 * latency.
 * Measured: not yet (docs/gpu-results.md).
 *
 * A block has a row. save: 2 floats per row, mean and 1/std. Gradients of gain and bias are sums down columns: LAYERNORM
 * makes them for pieces of PIECE rows, (pieces,2C) in scratch, and adds those up; ADALN for a sample, in one pass. */
#include "cuda_columns.cuh"
#include "cuda_pack.cuh"

enum { PIECE = 64 };

/* Row r belongs to group r / per of rows, whose gain and bias lie ld floats behind those of the group before. */
struct norm_rows {
    const float *x, *gain, *bias;
    uint32_t C, per, ld;
    float one, eps;
};

/* The mean over the row of a sum that each thread has a share of. */
static __device__ inline float row_mean(float share, float *slot, uint32_t C)
{
    return block_sum(share, slot) / static_cast<float>(C);
}

/* ---- rows ------------------------------------------------------------------------------------------------------------- */

/* C, as all columns here, in floats; a thread has packs threadIdx.x, + blockDim.x, ... */
template <int W> static __global__ void norm(float *y, float *save, norm_rows s)
{
    __shared__ float slot[WARP];
    const size_t r = blockIdx.x, group = blockIdx.x / s.per * static_cast<size_t>(s.ld);
    const float *const x = s.x + r * s.C;
    float sum = 0, squares = 0;
    for (uint32_t c = threadIdx.x; c < s.C / W; c += blockDim.x) {
        const pack<W> v = load_pack<W>(x, c);
        for (int e = 0; e < W; e++) sum += v.v[e];
    }
    const float mean = row_mean(sum, slot, s.C);
    for (uint32_t c = threadIdx.x; c < s.C / W; c += blockDim.x) {
        const pack<W> v = load_pack<W>(x, c);
        for (int e = 0; e < W; e++) squares += (v.v[e] - mean) * (v.v[e] - mean);
    }
    const float rstd = 1 / sqrtf(row_mean(squares, slot, s.C) + s.eps);
    for (uint32_t c = threadIdx.x; c < s.C / W; c += blockDim.x) {
        pack<W> v = load_pack<W>(x, c);
        const pack<W> gain = load_pack<W>(s.gain + group, c), bias = load_pack<W>(s.bias + group, c);
        for (int e = 0; e < W; e++) v.v[e] = (v.v[e] - mean) * rstd * (s.one + gain.v[e]) + bias.v[e];
        store_pack<W>(y + r * s.C, c, v);
    }
    if (threadIdx.x == 0) save[2 * r] = mean, save[2 * r + 1] = rstd;
}

/* With h = (one + gain) dy and means over the row:  dx = rstd (h - mean(h) - xhat mean(h xhat)) */
template <int W>
static __global__ void norm_gradient(float *dx, const float *dy, const float *save, norm_rows s, int32_t add)
{
    __shared__ float slot[WARP];
    const size_t r = blockIdx.x, at = r * s.C, group = blockIdx.x / s.per * static_cast<size_t>(s.ld);
    const float mean = save[2 * r], rstd = save[2 * r + 1];
    float h = 0, hx = 0;
    for (uint32_t c = threadIdx.x; c < s.C / W; c += blockDim.x) {
        const pack<W> v = load_pack<W>(s.x + at, c), g = load_pack<W>(dy + at, c), gain = load_pack<W>(s.gain + group, c);
        for (int e = 0; e < W; e++) {
            h += (s.one + gain.v[e]) * g.v[e];
            hx += (s.one + gain.v[e]) * g.v[e] * ((v.v[e] - mean) * rstd);
        }
    }
    h = row_mean(h, slot, s.C);
    hx = row_mean(hx, slot, s.C);
    for (uint32_t c = threadIdx.x; c < s.C / W; c += blockDim.x) {
        pack<W> v = load_pack<W>(s.x + at, c);
        const pack<W> g = load_pack<W>(dy + at, c), gain = load_pack<W>(s.gain + group, c);
        for (int e = 0; e < W; e++)
            v.v[e] = rstd * ((s.one + gain.v[e]) * g.v[e] - h - (v.v[e] - mean) * rstd * hx);
        put_pack<W>(dx + at, c, v, add);
    }
}

/* Whole warps, about one pack for each thread. */
static uint32_t row_threads(uint32_t C, int W)
{
    const uint32_t packs = C / static_cast<uint32_t>(W);
    const uint32_t whole = (packs + WARP - 1) / WARP * WARP, most = BLOCK;
    return whole < most ? whole : most;
}

static int32_t launch_norm(const dmc_kargs *k, const char *name, size_t rows, const norm_rows &s, bool four)
{
    const int W = four && on_fours(s.x, s.gain, s.bias, k->out) ? 4 : 1;
    return launch(k, name, static_cast<unsigned>(rows), row_threads(s.C, W), 0, W == 4 ? norm<4> : norm<1>, out_of(k),
                  static_cast<float *>(k->save), s);
}

static int32_t launch_norm_gradient(const dmc_kargs *k, const char *name, size_t rows, const norm_rows &s, bool four)
{
    float *const dx = din_of(k, 0);
    const int W = four && on_fours(s.x, s.gain, k->dout, dx) ? 4 : 1;
    if (!dx) return CUDA_OK;
    return launch(k, name, static_cast<unsigned>(rows), row_threads(s.C, W), 0, W == 4 ? norm_gradient<4> : norm_gradient<1>, dx,
                  dout_of(k), static_cast<const float *>(k->save), s, adds(k, 0));
}

/* ---- columns ---------------------------------------------------------------------------------------------------------- */

struct column_sums {
    float gain, bias;
};

/* Over rows r0 .. r1 of column c, every slices-th: dy xhat and dy. */
static __device__ column_sums look_down(const float *x, const float *dy, const float *save, uint32_t C, uint32_t c, size_t r0,
                                        size_t r1, uint32_t slices)
{
    column_sums sum = {0, 0};
    for (size_t r = r0; r < r1; r += slices) {
        const float g = dy[r * C + c];
        sum.gain += g * ((x[r * C + c] - save[2 * r]) * save[2 * r + 1]);
        sum.bias += g;
    }
    return sum;
}

/* parts[p] = [dgain | dbias] of piece p of the N rows; i counts the columns of all pieces */
static __global__ void norm_parts(float *parts, const float *x, const float *dy, const float *save, strips s, uint32_t N,
                                  uint32_t C, uint32_t pieces)
{
    __shared__ float slot[BLOCK];
    const uint32_t i = blockIdx.x * s.columns + threadIdx.x % s.columns, slice = threadIdx.x / s.columns;
    const size_t piece = i / C, first = piece * PIECE, last = first + PIECE < N ? first + PIECE : N;
    column_sums sum = {0, 0};
    if (piece < pieces) sum = look_down(x, dy, save, C, i % C, first + slice, last, s.slices);
    sum.gain = add_slices(sum.gain, slot, s);
    sum.bias = add_slices(sum.bias, slot, s);
    if (threadIdx.x >= s.columns || piece >= pieces) return;
    parts[piece * 2 * C + i % C] = sum.gain;
    parts[piece * 2 * C + C + i % C] = sum.bias;
}

static norm_rows layernorm_rows(const dmc_kargs *k)
{
    const uint32_t N = static_cast<uint32_t>(k->dim[0]), C = static_cast<uint32_t>(k->dim[1]);
    return {in_of(k, 0), par_of(k, 0), par_of(k, 1), C, N, 0, 0.0f, static_cast<float>(k->attr[0])};
}

/* y = gamma[c] (x - mean) / sqrt(var + eps) + beta[c]; mean and variance of each row.  dim: N C   attr: eps */
CUDA_OP layernorm_fwd_cuda(const dmc_kargs *k)
{
    return launch_norm(k, "layernorm", static_cast<size_t>(k->dim[0]), layernorm_rows(k), k->dim[1] % 4 == 0);
}

static uint32_t pieces_of(const dmc_kargs *k)
{
    return (static_cast<uint32_t>(k->dim[0]) + PIECE - 1) / PIECE;
}

CUDA_OP layernorm_bwd_cuda(const dmc_kargs *k)
{
    const uint32_t N = static_cast<uint32_t>(k->dim[0]), C = static_cast<uint32_t>(k->dim[1]), pieces = pieces_of(k);
    float *const parts = static_cast<float *>(k->scratch);
    const strips s = strips_of(pieces > 1 ? static_cast<uint32_t>(PIECE) : N);
    int32_t status = launch_norm_gradient(k, "layernorm, backward", N, layernorm_rows(k), C % 4 == 0);
    if (status != CUDA_OK || (!k->dpar[0] && !k->dpar[1])) return status;
    status = launch(k, "layernorm, columns", blocks_of(static_cast<size_t>(pieces) * C, s.columns), BLOCK, 0, norm_parts, parts,
                    in_of(k, 0), dout_of(k), static_cast<const float *>(k->save), s, N, C, pieces);
    return status != CUDA_OK ? status : launch_parameter_sums(k, "layernorm, parameters", parts, pieces, C);
}

CUDA_OP layernorm_prepare_cuda(dmc_kargs *k, dmc_op_need *need)
{
    need->save = 2 * static_cast<size_t>(k->dim[0]) * sizeof(float);
    need->scratch_bwd = 2 * static_cast<size_t>(pieces_of(k)) * static_cast<size_t>(k->dim[1]) * sizeof(float);
    return CUDA_OK;
}

/* ---- ADALN: dim B T C M shift scale ----------------------------------------------------------------------------------- */

struct modulation {
    uint32_t B, T, C, M, shift, scale;
};

/* dm[b,shift+c] = sum_t dy, dm[b,scale+c] = sum_t dy xhat, 0 in other columns. i counts the columns of all samples. */
static __global__ void modulation_gradient(float *dm, const float *x, const float *dy, const float *save, strips s, modulation m,
                                           int32_t add)
{
    __shared__ float slot[BLOCK];
    const uint32_t i = blockIdx.x * s.columns + threadIdx.x % s.columns, j = i % m.M;
    const uint32_t c = j - m.scale < m.C ? j - m.scale : j - m.shift; /* wraps round in columns of neither */
    const size_t b = i / m.M;
    column_sums sum = {0, 0};
    if (b < m.B && c < m.C) sum = look_down(x, dy, save, m.C, c, b * m.T + threadIdx.x / s.columns, (b + 1) * m.T, s.slices);
    const float g = add_slices(j - m.scale < m.C ? sum.gain : sum.bias, slot, s);
    if (threadIdx.x < s.columns && b < m.B) put_gradient(dm, i, g, add);
}

static modulation modulation_of(const dmc_kargs *k)
{
    uint32_t d[6];
    for (int i = 0; i < 6; i++) d[i] = static_cast<uint32_t>(k->dim[i]);
    return {d[0], d[1], d[2], d[3], d[4], d[5]};
}

static norm_rows adaln_rows(const dmc_kargs *k, const modulation &m)
{
    return {in_of(k, 0), in_of(k, 1) + m.scale, in_of(k, 1) + m.shift, m.C, m.T, m.M, 1.0f, static_cast<float>(k->attr[0])};
}

static bool modulation_on_fours(const modulation &m)
{
    return m.C % 4 == 0 && m.M % 4 == 0 && m.shift % 4 == 0 && m.scale % 4 == 0;
}

/* y = xhat (1 + m[b,scale+c]) + m[b,shift+c]; mean and variance of each row.  attr: eps */
CUDA_OP adaln_fwd_cuda(const dmc_kargs *k)
{
    const modulation m = modulation_of(k);
    return launch_norm(k, "adaln", static_cast<size_t>(m.B) * m.T, adaln_rows(k, m), modulation_on_fours(m));
}

CUDA_OP adaln_bwd_cuda(const dmc_kargs *k)
{
    const modulation m = modulation_of(k);
    const strips s = strips_of(m.T);
    const int32_t status = launch_norm_gradient(k, "adaln, backward", static_cast<size_t>(m.B) * m.T, adaln_rows(k, m),
                                                modulation_on_fours(m));
    if (status != CUDA_OK || !din_of(k, 1)) return status;
    return launch(k, "adaln, modulation", blocks_of(static_cast<size_t>(m.B) * m.M, s.columns), BLOCK, 0, modulation_gradient,
                  din_of(k, 1), in_of(k, 0), dout_of(k), static_cast<const float *>(k->save), s, m, adds(k, 1));
}

CUDA_OP adaln_prepare_cuda(dmc_kargs *k, dmc_op_need *need)
{
    need->save = 2 * static_cast<size_t>(k->dim[0]) * static_cast<size_t>(k->dim[1]) * sizeof(float);
    return CUDA_OK;
}
