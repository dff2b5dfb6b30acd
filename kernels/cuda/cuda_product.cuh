/* cuda_product.cuh — matrix products of linear layers and convolutions, which are one sum over taps and channels:
 *
 *   forward            C[m,n] = bias[n] + sum_tap sum_c X(m,tap)[c] W[tap][c,n]
 *   gradient of input  C[m,n] (+)=        sum_tap sum_c X(m,tap)[c] W[tap][n,c]
 *   gradient of weight D[tap][i,j] +=     sum_r X(r,tap)[i] Y(r)[j]
 *
 * X(m,tap) is a row of channels in place, or NULL where there is padding: `rows` is a struct whose `at` says where. So nothing is
 * gathered beforehand, and an index is worked out once per row and tap.
 *
 * A block makes a tile of 64 by 64 from shared memory, a thread 4 by 4 of it. Of up to FEW_ROWS rows a block makes 32 columns, a
 * lane one; its warps share the sum, so that a batch of one reads its weights with the whole card. Which of the two it is
 * depends on the shape alone. Roof: multiply-adds (many rows), bandwidth (few). Measured: not yet (docs/gpu-results.md).
 */
#ifndef DMC_KERNELS_CUDA_PRODUCT_CUH
#define DMC_KERNELS_CUDA_PRODUCT_CUH

#include "cuda_columns.cuh"
#include "cuda_pack.cuh"

enum { TILE = 64, DEEP = 16, PER_THREAD = 4, FEW_ROWS = 64, FEW_WARPS = 8, AT_ONCE = 8 };

/* ---- weights: floats or 16-bit numbers ---------------------------------------------------------------------------- */

struct float_weights {
    const float *w;
    __device__ float at(size_t i) const { return w[i]; }
};

struct bf16_weights {
    const uint16_t *w;
    __device__ float at(size_t i) const { return __uint_as_float(static_cast<uint32_t>(w[i]) << 16); }
};

/* The exponent moves from bias 15 to 127 by a product, which is right for the smallest numbers, too. */
struct fp16_weights {
    const uint16_t *w;
    __device__ float at(size_t i) const
    {
        const uint32_t h = w[i], sign = (h & 0x8000u) << 16, size = (h & 0x7fffu) << 13;
        if ((h & 0x7c00u) == 0x7c00u) return __uint_as_float(sign | 0x7f800000u | size);
        return __uint_as_float(sign | __float_as_uint(__uint_as_float(size) * 0x1p112f));
    }
};

/* What a product multiplies: `taps` matrices of `channels` by `n` (turned: n by channels) whose rows are `ld` apart and which
 * are `step` apart. */
template <typename WEIGHTS> struct product {
    WEIGHTS weights;
    const float *bias; /* NULL: none */
    float *out;        /* (m,n) */
    uint32_t m, n, channels, taps, ld;
    size_t step;
    int32_t add;       /* to what is in out */
};

template <typename WEIGHTS> static __device__ inline void put_product(const product<WEIGHTS> &p, uint32_t m, uint32_t n, float sum)
{
    if (m >= p.m || n >= p.n) return;
    const size_t i = static_cast<size_t>(m) * p.n + n;
    if (p.bias) sum += p.bias[n];
    p.out[i] = p.add ? p.out[i] + sum : sum;
}

/* ---- many rows ---------------------------------------------------------------------------------------------------- */

struct tile_memory {
    float a[DEEP][TILE + 4], b[DEEP][TILE + 4];
};

/* sum[i][j] += the sum over DEEP of a(i) b(j) of the thread's rows and columns. */
static __device__ inline void multiply_tile(const tile_memory &t, uint32_t row, uint32_t column, float sum[PER_THREAD][PER_THREAD])
{
#pragma unroll
    for (int d = 0; d < DEEP; d++) {
        float a[PER_THREAD], b[PER_THREAD];
#pragma unroll
        for (int i = 0; i < PER_THREAD; i++) a[i] = t.a[d][row + i], b[i] = t.b[d][column + i];
#pragma unroll
        for (int i = 0; i < PER_THREAD; i++)
#pragma unroll
            for (int j = 0; j < PER_THREAD; j++) sum[i][j] += a[i] * b[j];
    }
}

/* Four neighbours of x from c on, 0 beyond n; x = NULL: zeros. */
static __device__ inline void load_four(const float *x, uint32_t c, uint32_t n, bool packed, float v[4])
{
    for (int e = 0; e < 4; e++) v[e] = 0;
    if (!x || c >= n) return;
    if (packed) {
        const pack<4> p = load_pack<4>(x + c, 0);
        for (int e = 0; e < 4; e++) v[e] = p.v[e];
    } else {
        for (uint32_t e = 0; e < 4 && c + e < n; e++) v[e] = x[c + e];
    }
}

/* Rows of W: a thread brings four neighbours in the direction that is contiguous. */
template <bool TURNED, typename WEIGHTS>
static __device__ inline void load_weights(const product<WEIGHTS> &p, uint32_t tap, uint32_t c0, uint32_t n0, tile_memory *t)
{
    const uint32_t major = TURNED ? threadIdx.x / 4 : threadIdx.x / 16, minor = TURNED ? threadIdx.x % 4 * 4 : threadIdx.x % 16 * 4;
    for (uint32_t e = 0; e < 4; e++) {
        const uint32_t c = c0 + (TURNED ? minor + e : major), n = n0 + (TURNED ? major : minor + e);
        const size_t i = tap * p.step + (TURNED ? static_cast<size_t>(n) * p.ld + c : static_cast<size_t>(c) * p.ld + n);
        t->b[c - c0][n - n0] = c < p.channels && n < p.n ? p.weights.at(i) : 0.0f;
    }
}

/* One block per tile: x the columns, y the rows. */
template <bool TURNED, typename WEIGHTS, typename ROWS>
static __global__ void __launch_bounds__(BLOCK) multiply_many(product<WEIGHTS> p, ROWS rows, bool packed, uint32_t across)
{
    __shared__ tile_memory t;
    const uint32_t m0 = blockIdx.x / across * TILE, n0 = blockIdx.x % across * TILE;
    const uint32_t row = threadIdx.x / 16 * PER_THREAD, column = threadIdx.x % 16 * PER_THREAD;
    const uint32_t mine = threadIdx.x / 4, part = threadIdx.x % 4 * 4;
    float sum[PER_THREAD][PER_THREAD] = {};
    for (uint32_t tap = 0; tap < p.taps; tap++) {
        const float *const x = m0 + mine < p.m ? rows.at(m0 + mine, tap) : nullptr;
        for (uint32_t c0 = 0; c0 < p.channels; c0 += DEEP) {
            float v[4];
            load_four(x, c0 + part, p.channels, packed, v);
            __syncthreads();
            for (int e = 0; e < 4; e++) t.a[part + e][mine] = v[e];
            load_weights<TURNED>(p, tap, c0, n0, &t);
            __syncthreads();
            multiply_tile(t, row, column, sum);
        }
    }
    for (int i = 0; i < PER_THREAD; i++)
        for (int j = 0; j < PER_THREAD; j++) put_product(p, m0 + row + i, n0 + column + j, sum[i][j]);
}

/* ---- few rows ----------------------------------------------------------------------------------------------------- */

/* A lane's share of the sum of ROWS_ rows from m0 on and column n: channels warp, warp + FEW_WARPS, ... of every tap. */
template <int COUNT, typename WEIGHTS, typename ROWS>
static __device__ inline void add_share(const product<WEIGHTS> &p, const ROWS &rows, uint32_t m0, uint32_t n, float sum[COUNT])
{
    const uint32_t warp = threadIdx.x / WARP;
    for (uint32_t tap = 0; tap < p.taps; tap++) {
        const float *x[COUNT];
        bool any = false;
        for (int i = 0; i < COUNT; i++) {
            x[i] = m0 + i < p.m ? rows.at(m0 + i, tap) : nullptr;
            any |= x[i] != nullptr;
        }
        if (!any || n >= p.n) continue;
#pragma unroll 2
        for (uint32_t c = warp; c < p.channels; c += FEW_WARPS) {
            const float w = p.weights.at(tap * p.step + static_cast<size_t>(c) * p.ld + n);
#pragma unroll
            for (int i = 0; i < COUNT; i++)
                if (x[i]) sum[i] += x[i][c] * w;
        }
    }
}

/* One block per 32 columns and COUNT rows. */
template <int COUNT, typename WEIGHTS, typename ROWS>
static __global__ void __launch_bounds__(FEW_WARPS *WARP) multiply_few(product<WEIGHTS> p, ROWS rows, uint32_t across)
{
    __shared__ float share[COUNT][FEW_WARPS][WARP];
    const uint32_t lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    const uint32_t m0 = blockIdx.x / across * COUNT, n0 = blockIdx.x % across * WARP;
    float sum[COUNT] = {};
    add_share<COUNT>(p, rows, m0, n0 + lane, sum);
    for (int i = 0; i < COUNT; i++) share[i][warp][lane] = sum[i];
    __syncthreads();
    for (uint32_t i = warp; i < COUNT; i += FEW_WARPS) {
        float all = 0;
        for (int w = 0; w < FEW_WARPS; w++) all += share[i][w][lane];
        put_product(p, m0 + i, n0 + lane, all);
    }
}

template <int COUNT, typename WEIGHTS, typename ROWS>
static int32_t launch_few(const dmc_kargs *k, const char *name, const product<WEIGHTS> &p, const ROWS &rows)
{
    const unsigned across = blocks_of(p.n, WARP);
    return launch(k, name, across * blocks_of(p.m, COUNT), FEW_WARPS * WARP, 0, multiply_few<COUNT, WEIGHTS, ROWS>, p, rows, across);
}

/* `packed`: every row of X begins on 16 bytes, and channels come in fours. */
template <bool TURNED, typename WEIGHTS, typename ROWS>
static int32_t launch_many(const dmc_kargs *k, const char *name, const product<WEIGHTS> &p, const ROWS &rows, bool packed)
{
    const unsigned across = blocks_of(p.n, TILE);
    return launch(k, name, across * blocks_of(p.m, TILE), BLOCK, 0, multiply_many<TURNED, WEIGHTS, ROWS>, p, rows, packed, across);
}

template <typename WEIGHTS, typename ROWS>
static int32_t launch_forward(const dmc_kargs *k, const char *name, const product<WEIGHTS> &p, const ROWS &rows, bool packed)
{
    if (p.m == 1) return launch_few<1>(k, name, p, rows);
    if (p.m <= FEW_ROWS) return launch_few<AT_ONCE>(k, name, p, rows);
    return launch_many<false>(k, name, p, rows, packed);
}

/* p without its weights, which may be of any type. */
template <typename ROWS>
static int32_t launch_typed(const dmc_kargs *k, const char *name, product<float_weights> p, const ROWS &rows, bool packed)
{
    const uint16_t *const half = static_cast<const uint16_t *>(k->par[0]);
    if (k->weight_type == DMC_WEIGHT_BF16)
        return launch_forward(k, name, product<bf16_weights>{{half}, p.bias, p.out, p.m, p.n, p.channels, p.taps, p.ld, p.step, p.add},
                              rows, packed);
    if (k->weight_type == DMC_WEIGHT_FP16)
        return launch_forward(k, name, product<fp16_weights>{{half}, p.bias, p.out, p.m, p.n, p.channels, p.taps, p.ld, p.step, p.add},
                              rows, packed);
    return launch_forward(k, name, p, rows, packed);
}

/* ---- gradients of weights ----------------------------------------------------------------------------------------- */

/* D (taps,i,j): rows of D are `ld` apart. The sum over r < rows is cut into chunks; with more than one, chunk z goes to
 * part[z] (taps,i,j), packed, and is added up by add_chunks. */
struct outer_sum {
    const float *y;   /* (rows,j) */
    float *out, *part;
    uint32_t rows, i, j, taps, ld, chunk, chunks;
};

/* One block per tile of a tap's matrix (x), tap (y) and chunk (z). */
template <typename ROWS> static __global__ void __launch_bounds__(BLOCK) multiply_outer(outer_sum s, ROWS rows, bool packed, uint32_t across)
{
    __shared__ tile_memory t;
    const uint32_t i0 = blockIdx.x / across * TILE, j0 = blockIdx.x % across * TILE, tap = blockIdx.y;
    const uint32_t row = threadIdx.x / 16 * PER_THREAD, column = threadIdx.x % 16 * PER_THREAD;
    const uint32_t mine = threadIdx.x / 16, part = threadIdx.x % 16 * 4;
    const uint32_t first = blockIdx.z * s.chunk, end = s.rows - first < s.chunk ? s.rows : first + s.chunk;
    float sum[PER_THREAD][PER_THREAD] = {};
    for (uint32_t r0 = first; r0 < end; r0 += DEEP) {
        const uint32_t r = r0 + mine;
        const float *const x = r < end ? rows.at(r, tap) : nullptr;
        float a[4], b[4];
        load_four(x, i0 + part, s.i, packed, a);
        load_four(x ? s.y + static_cast<size_t>(r) * s.j : nullptr, j0 + part, s.j, packed, b);
        __syncthreads();
        for (int e = 0; e < 4; e++) t.a[mine][part + e] = a[e], t.b[mine][part + e] = b[e];
        __syncthreads();
        multiply_tile(t, row, column, sum);
    }
    for (uint32_t i = i0 + row; i < i0 + row + PER_THREAD && i < s.i; i++)
        for (uint32_t j = j0 + column; j < j0 + column + PER_THREAD && j < s.j; j++) {
            const size_t flat = (static_cast<size_t>(tap) * s.i + i) * s.j + j;
            const float v = sum[i - i0 - row][j - j0 - column];
            if (s.chunks > 1) s.part[blockIdx.z * (static_cast<size_t>(s.taps) * s.i * s.j) + flat] = v;
            else s.out[(static_cast<size_t>(tap) * s.i + i) * s.ld + j] += v;
        }
}

static __global__ void add_chunks(outer_sum s)
{
    const size_t n = static_cast<size_t>(s.taps) * s.i * s.j, flat = cuda_index();
    if (flat >= n) return;
    float sum = 0;
    for (uint32_t z = 0; z < s.chunks; z++) sum += s.part[z * n + flat];
    s.out[flat / s.j * s.ld + flat % s.j] += sum;
}

/* Enough chunks to keep a card busy, as many as the workspace holds, none shorter than two loads of a tile. */
static inline void cut_outer(const cuda_queue *q, outer_sum *s)
{
    const size_t n = static_cast<size_t>(s->taps) * s->i * s->j, room = q->workspace_bytes / sizeof(float) / n;
    const size_t tiles = static_cast<size_t>(blocks_of(s->i, TILE)) * blocks_of(s->j, TILE) * s->taps;
    size_t chunks = (512 + tiles - 1) / tiles;
    if (chunks > blocks_of(s->rows, 2 * DEEP)) chunks = blocks_of(s->rows, 2 * DEEP);
    if (chunks > room) chunks = room;
    if (chunks < 1) chunks = 1;
    s->chunk = blocks_of(s->rows, chunks);
    s->chunks = blocks_of(s->rows, s->chunk);
    s->part = static_cast<float *>(q->workspace);
}

template <typename ROWS> static int32_t launch_outer(const dmc_kargs *k, const char *name, outer_sum s, const ROWS &rows)
{
    const bool packed = on_fours(k->in[0], k->dout) && s.i % 4 == 0 && s.j % 4 == 0;
    const unsigned across = blocks_of(s.j, TILE);
    cut_outer(queue_of(k), &s);
    const int32_t status = launch(k, name, dim3(across * blocks_of(s.i, TILE), s.taps, s.chunks), BLOCK, 0, multiply_outer<ROWS>, s,
                                  rows, packed, across);
    if (status != CUDA_OK || s.chunks == 1) return status;
    return launch_each(k, name, static_cast<size_t>(s.taps) * s.i * s.j, add_chunks, s);
}

/* db(n) += column sums of dy(rows,n) */
static inline int32_t launch_bias_gradient(const dmc_kargs *k, const char *name, uint32_t rows, uint32_t n)
{
    const strips s = strips_of(rows);
    if (!k->dpar[1]) return CUDA_OK;
    return launch(k, name, blocks_of(n, s.columns), BLOCK, 0, add_column_sums, dpar_of(k, 1), static_cast<float *>(nullptr),
                  dout_of(k), s, rows, n, 0u);
}

#endif
