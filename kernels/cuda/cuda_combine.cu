/* cuda_combine.cu — ADD, ADD_TIME, CONCAT, SLICE, GATE, ADD_TABLE, MEAN_ROWS. Bound by memory: the roof is bandwidth.
 * Measured: not yet (docs/gpu-results.md).
 *
 * Forward kernels move packs of W floats; lengths and widths they get are in packs. Backward kernels that sum over the
 * rows of a sample hand on dy in the same pass. */
#include "cuda_columns.cuh"
#include "cuda_pack.cuh"

/* The dims whose product is the number of elements are such that it fits 31 bits. */
static inline uint32_t dim(const dmc_kargs *k, int i)
{
    return static_cast<uint32_t>(k->dim[i]);
}

/* ---- ADD ------------------------------------------------------------------------------------------------------------ */

template <int W> static __global__ void add(float *y, const float *x0, const float *x1, size_t n)
{
    const size_t i = cuda_index();
    if (i >= n) return;
    pack<W> v = load_pack<W>(x0, i);
    const pack<W> u = load_pack<W>(x1, i);
    for (int e = 0; e < W; e++) v.v[e] += u.v[e];
    store_pack<W>(y, i, v);
}

/* y[i] = x0[i] + x1[i].  dim: n.  y may be x0. */
CUDA_OP add_fwd_cuda(const dmc_kargs *k)
{
    const size_t n = dim(k, 0);
    if (n % 4 == 0 && on_fours(k->in[0], k->in[1], k->out))
        return launch_each(k, "add", n / 4, add<4>, out_of(k), in_of(k, 0), in_of(k, 1), n / 4);
    return launch_each(k, "add", n, add<1>, out_of(k), in_of(k, 0), in_of(k, 1), n);
}

template <int W> static __global__ void hand_on(float *d0, float *d1, const float *dy, size_t n, int32_t add0, int32_t add1)
{
    const size_t i = cuda_index();
    if (i >= n) return;
    const pack<W> g = load_pack<W>(dy, i);
    put_pack<W>(d0, i, g, add0);
    put_pack<W>(d1, i, g, add1);
}

/* d0 and d1 take dy(n). */
static int32_t launch_hand_on(const dmc_kargs *k, const char *name, float *d0, float *d1, size_t n)
{
    if (!d0 && !d1) return CUDA_OK;
    if (n % 4 == 0 && on_fours(k->dout, d0, d1))
        return launch_each(k, name, n / 4, hand_on<4>, d0, d1, dout_of(k), n / 4, adds(k, 0), adds(k, 1));
    return launch_each(k, name, n, hand_on<1>, d0, d1, dout_of(k), n, adds(k, 0), adds(k, 1));
}

/* dx0 = dy;  dx1 = dy */
CUDA_OP add_bwd_cuda(const dmc_kargs *k)
{
    return launch_hand_on(k, "add, backward", din_of(k, 0), din_of(k, 1), dim(k, 0));
}

/* ---- ADD_TIME, ADD_TABLE ---------------------------------------------------------------------------------------------- */

/* y[i] = x[i] + row[i / span * width + i % width]: a span of rows shares one of `row`. */
template <int W>
static __global__ void add_rows(float *y, const float *x, const float *row, uint32_t n, uint32_t span, uint32_t width)
{
    const uint32_t i = static_cast<uint32_t>(cuda_index());
    if (i >= n) return;
    pack<W> v = load_pack<W>(x, i);
    const pack<W> u = load_pack<W>(row, static_cast<size_t>(i / span) * width + i % width);
    for (int e = 0; e < W; e++) v.v[e] += u.v[e];
    store_pack<W>(y, i, v);
}

static int32_t launch_add_rows(const dmc_kargs *k, const char *name, const float *row, uint32_t n, uint32_t span, uint32_t width)
{
    if (width % 4 == 0 && on_fours(k->in[0], row, k->out))
        return launch_each(k, name, n / 4, add_rows<4>, out_of(k), in_of(k, 0), row, n / 4, span / 4, width / 4);
    return launch_each(k, name, n, add_rows<1>, out_of(k), in_of(k, 0), row, n, span, width);
}

/* y[b,t,c] = x0[b,t,c] + x1[b,c].  dim: B T C.  y may be x0. */
CUDA_OP add_time_fwd_cuda(const dmc_kargs *k)
{
    const uint32_t span = dim(k, 1) * dim(k, 2);
    return launch_add_rows(k, "add_time", in_of(k, 1), dim(k, 0) * span, span, dim(k, 2));
}

/* y[b,t,c] = x[b,t,c] + P[t,c].  y may be x.  dim: B T C */
CUDA_OP add_table_fwd_cuda(const dmc_kargs *k)
{
    const uint32_t width = dim(k, 1) * dim(k, 2), n = dim(k, 0) * width;
    return launch_add_rows(k, "add_table", par_of(k, 0), n, n, width);
}

/* Of every sample's (T,C): dx = dy and sum[b,c] = sum_t dy[b,t,c]; NULL: not wanted. i counts columns of all samples. */
static __global__ void sum_rows(float *dx, float *sum, const float *dy, strips s, uint32_t B, uint32_t T, uint32_t C, int32_t add_x,
                                int32_t add_sum)
{
    __shared__ float slot[BLOCK];
    const uint32_t i = blockIdx.x * s.columns + threadIdx.x % s.columns, b = i / C;
    float total = 0;
    for (uint32_t t = threadIdx.x / s.columns; i < B * C && t < T; t += s.slices) {
        const size_t at = (static_cast<size_t>(b) * T + t) * C + i % C;
        total += dy[at];
        if (dx) put_gradient(dx, at, dy[at], add_x);
    }
    total = add_slices(total, slot, s);
    if (sum && threadIdx.x < s.columns && i < B * C) put_gradient(sum, i, total, add_sum);
}

/* dx0[b,t,c] = dy[b,t,c];  dx1[b,c] = sum_t dy[b,t,c] */
CUDA_OP add_time_bwd_cuda(const dmc_kargs *k)
{
    const uint32_t B = dim(k, 0), T = dim(k, 1), C = dim(k, 2);
    const strips s = strips_of(T);
    if (!din_of(k, 1)) return launch_hand_on(k, "add_time, backward", din_of(k, 0), nullptr, static_cast<size_t>(B) * T * C);
    return launch(k, "add_time, backward", blocks_of(B * C, s.columns), BLOCK, 0, sum_rows, din_of(k, 0), din_of(k, 1), dout_of(k),
                  s, B, T, C, adds(k, 0), adds(k, 1));
}

/* dx = dy;  dP[t,c] += sum_b dy[b,t,c]: one sample of B rows */
CUDA_OP add_table_bwd_cuda(const dmc_kargs *k)
{
    const uint32_t B = dim(k, 0), n = dim(k, 1) * dim(k, 2);
    const strips s = strips_of(B);
    if (!dpar_of(k, 0)) return launch_hand_on(k, "add_table, backward", din_of(k, 0), nullptr, static_cast<size_t>(B) * n);
    return launch(k, "add_table, backward", blocks_of(n, s.columns), BLOCK, 0, sum_rows, din_of(k, 0), dpar_of(k, 0), dout_of(k), s,
                  1, B, n, adds(k, 0), 1);
}

/* ---- CONCAT, SLICE ---------------------------------------------------------------------------------------------------- */

struct parts {
    uint32_t width[3], all; /* columns of each input and of the result, in packs */
};

/* Which part column c lies in; c becomes the column of that part. */
static __device__ inline int part_of(const parts &p, uint32_t *c)
{
    if (*c < p.width[0]) return 0;
    *c -= p.width[0];
    if (*c < p.width[1]) return 1;
    *c -= p.width[1];
    return 2;
}

template <int W>
static __global__ void concat(float *y, const float *x0, const float *x1, const float *x2, uint32_t n, parts p)
{
    const uint32_t i = static_cast<uint32_t>(cuda_index());
    if (i >= n) return;
    uint32_t c = i % p.all;
    const int part = part_of(p, &c);
    const float *const x = part == 0 ? x0 : part == 1 ? x1 : x2;
    store_pack<W>(y, i, load_pack<W>(x, static_cast<size_t>(i / p.all) * p.width[part] + c));
}

template <int W>
static __global__ void split(float *d0, float *d1, float *d2, const float *dy, uint32_t n, parts p, int32_t add0, int32_t add1,
                             int32_t add2)
{
    const uint32_t i = static_cast<uint32_t>(cuda_index());
    if (i >= n) return;
    uint32_t c = i % p.all;
    const int part = part_of(p, &c);
    const size_t at = static_cast<size_t>(i / p.all) * p.width[part] + c;
    const pack<W> g = load_pack<W>(dy, i);
    if (part == 0) put_pack<W>(d0, at, g, add0);
    else if (part == 1) put_pack<W>(d1, at, g, add1);
    else put_pack<W>(d2, at, g, add2);
}

static parts parts_of(const dmc_kargs *k, uint32_t W)
{
    parts p = {{dim(k, 1) / W, dim(k, 2) / W, dim(k, 3) / W}, 0};
    p.all = p.width[0] + p.width[1] + p.width[2];
    return p;
}

static bool parts_on_fours(const dmc_kargs *k)
{
    return dim(k, 1) % 4 == 0 && dim(k, 2) % 4 == 0 && dim(k, 3) % 4 == 0;
}

/* y[n,:] = x0[n,:], x1[n,:], x2[n,:] one after the other.  dim: N C0 C1 C2 (C2 = 0: two) */
CUDA_OP concat_fwd_cuda(const dmc_kargs *k)
{
    const float *const x0 = in_of(k, 0), *const x1 = in_of(k, 1), *const x2 = in_of(k, 2);
    const bool four = parts_on_fours(k) && on_fours(x0, x1, x2, k->out);
    const parts p = parts_of(k, four ? 4 : 1);
    const uint32_t n = dim(k, 0) * p.all;
    return launch_each(k, "concat", n, four ? concat<4> : concat<1>, out_of(k), x0, x1, x2, n, p);
}

/* dx_i[n,:] = the part of dy[n,:] that x_i went to */
CUDA_OP concat_bwd_cuda(const dmc_kargs *k)
{
    float *const d0 = din_of(k, 0), *const d1 = din_of(k, 1), *const d2 = din_of(k, 2);
    const bool four = parts_on_fours(k) && on_fours(d0, d1, d2, k->dout);
    const parts p = parts_of(k, four ? 4 : 1);
    const uint32_t n = dim(k, 0) * p.all;
    if (!d0 && !d1 && !d2) return CUDA_OK;
    return launch_each(k, "concat, backward", n, four ? split<4> : split<1>, d0, d1, d2, dout_of(k), n, p, adds(k, 0), adds(k, 1),
                       adds(k, 2));
}

/* Widths in packs: y(N,n) = columns off .. off + n of x(N,C). `count` = N n. */
template <int W> static __global__ void slice(float *y, const float *x, uint32_t count, uint32_t C, uint32_t off, uint32_t n)
{
    const uint32_t i = static_cast<uint32_t>(cuda_index());
    if (i < count) store_pack<W>(y, i, load_pack<W>(x, static_cast<size_t>(i / n) * C + off + i % n));
}

/* `count` = N C */
template <int W>
static __global__ void unslice(float *dx, const float *dy, uint32_t count, uint32_t C, uint32_t off, uint32_t n, int32_t add)
{
    const uint32_t i = static_cast<uint32_t>(cuda_index());
    if (i >= count) return;
    const uint32_t c = i % C;
    const bool inside = c >= off && c < off + n;
    if (inside) put_pack<W>(dx, i, load_pack<W>(dy, static_cast<size_t>(i / C) * n + c - off), add);
    else if (!add) store_pack<W>(dx, i, pack_of<W>(0));
}

static bool slice_on_fours(const dmc_kargs *k)
{
    return dim(k, 1) % 4 == 0 && dim(k, 2) % 4 == 0 && dim(k, 3) % 4 == 0;
}

/* y[r,j] = x[r, off+j], j < n.  dim: N C off n */
CUDA_OP slice_fwd_cuda(const dmc_kargs *k)
{
    const bool four = slice_on_fours(k) && on_fours(k->in[0], k->out);
    const uint32_t W = four ? 4 : 1, C = dim(k, 1) / W, off = dim(k, 2) / W, n = dim(k, 3) / W, count = dim(k, 0) * n;
    return launch_each(k, "slice", count, four ? slice<4> : slice<1>, out_of(k), in_of(k, 0), count, C, off, n);
}

/* dx[r, off+j] = dy[r,j], 0 in other columns */
CUDA_OP slice_bwd_cuda(const dmc_kargs *k)
{
    float *const dx = din_of(k, 0);
    const bool four = slice_on_fours(k) && on_fours(dx, k->dout);
    const uint32_t W = four ? 4 : 1, C = dim(k, 1) / W, off = dim(k, 2) / W, n = dim(k, 3) / W, count = dim(k, 0) * C;
    if (!dx) return CUDA_OK;
    return launch_each(k, "slice, backward", count, four ? unslice<4> : unslice<1>, dx, dout_of(k), count, C, off, n, adds(k, 0));
}

/* ---- GATE ------------------------------------------------------------------------------------------------------------- */

struct gate_shape {
    uint32_t B, T, C, M, at; /* C, M, at in packs */
};

template <int W>
static __global__ void gate(float *y, const float *x, const float *h, const float *m, uint32_t n, gate_shape s)
{
    const uint32_t i = static_cast<uint32_t>(cuda_index());
    if (i >= n) return;
    pack<W> v = load_pack<W>(x, i);
    const pack<W> u = load_pack<W>(h, i), g = load_pack<W>(m, static_cast<size_t>(i / s.C / s.T) * s.M + s.at + i % s.C);
    for (int e = 0; e < W; e++) v.v[e] += g.v[e] * u.v[e];
    store_pack<W>(y, i, v);
}

/* y[b,t,c] = x[b,t,c] + m[b,gate+c] h[b,t,c].  y may be x.  dim: B T C M gate */
CUDA_OP gate_fwd_cuda(const dmc_kargs *k)
{
    const bool four = dim(k, 2) % 4 == 0 && dim(k, 3) % 4 == 0 && dim(k, 4) % 4 == 0 &&
                      on_fours(k->in[0], k->in[1], k->in[2], k->out);
    const uint32_t W = four ? 4 : 1;
    const gate_shape s = {dim(k, 0), dim(k, 1), dim(k, 2) / W, dim(k, 3) / W, dim(k, 4) / W};
    const uint32_t n = s.B * s.T * s.C;
    return launch_each(k, "gate", n, four ? gate<4> : gate<1>, out_of(k), in_of(k, 0), in_of(k, 1), in_of(k, 2), n, s);
}

struct gate_gradients {
    float *dx, *dh, *dm; /* NULL: not wanted */
    int32_t add_x, add_h, add_m;
};

/* What a row hands on: dx = dy, dh = g dy. Returns dy h, its contribution to dg. */
static __device__ inline float gate_row(const gate_gradients &d, size_t i, float dy, float h, float g)
{
    if (d.dh) put_gradient(d.dh, i, g * dy, d.add_h);
    if (d.dx) put_gradient(d.dx, i, dy, d.add_x);
    return dy * h;
}

/* i counts the columns of all rows of m; one that is no gate has the gradient 0. */
static __global__ void gate_gradient(gate_gradients d, const float *h, const float *m, const float *dy, strips r, gate_shape s)
{
    __shared__ float slot[BLOCK];
    const uint32_t i = blockIdx.x * r.columns + threadIdx.x % r.columns, b = i / s.M, c = i % s.M - s.at;
    const bool is_gate = i < s.B * s.M && c < s.C; /* c wraps round where it lies before the gate */
    float sum = 0;
    for (uint32_t t = threadIdx.x / r.columns; is_gate && t < s.T; t += r.slices) {
        const size_t at = (static_cast<size_t>(b) * s.T + t) * s.C + c;
        sum += gate_row(d, at, dy[at], h[at], m[i]);
    }
    sum = add_slices(sum, slot, r);
    if (d.dm && threadIdx.x < r.columns && i < s.B * s.M) put_gradient(d.dm, i, sum, d.add_m);
}

/* dx = dy;  dh = g dy;  dg[b,c] = sum_t dy h */
CUDA_OP gate_bwd_cuda(const dmc_kargs *k)
{
    const gate_shape s = {dim(k, 0), dim(k, 1), dim(k, 2), dim(k, 3), dim(k, 4)};
    const strips r = strips_of(s.T);
    const gate_gradients d = {din_of(k, 0), din_of(k, 1), din_of(k, 2), adds(k, 0), adds(k, 1), adds(k, 2)};
    return launch(k, "gate, backward", blocks_of(static_cast<size_t>(s.B) * s.M, r.columns), BLOCK, 0, gate_gradient, d,
                  in_of(k, 1), in_of(k, 2), dout_of(k), r, s);
}

/* ---- MEAN_ROWS -------------------------------------------------------------------------------------------------------- */

/* i counts the columns of all samples. */
static __global__ void mean_rows(float *y, const float *x, strips s, uint32_t B, uint32_t T, uint32_t C)
{
    __shared__ float slot[BLOCK];
    const uint32_t i = blockIdx.x * s.columns + threadIdx.x % s.columns, b = i / C;
    float sum = 0;
    for (uint32_t t = threadIdx.x / s.columns; i < B * C && t < T; t += s.slices)
        sum += x[(static_cast<size_t>(b) * T + t) * C + i % C];
    sum = add_slices(sum, slot, s);
    if (threadIdx.x < s.columns && i < B * C) y[i] = sum / static_cast<float>(T);
}

/* y[b,c] = sum_t x[b,t,c] / T.  dim: B T C */
CUDA_OP mean_rows_fwd_cuda(const dmc_kargs *k)
{
    const uint32_t B = dim(k, 0), T = dim(k, 1), C = dim(k, 2);
    const strips s = strips_of(T);
    return launch(k, "mean_rows", blocks_of(static_cast<size_t>(B) * C, s.columns), BLOCK, 0, mean_rows, out_of(k), in_of(k, 0), s,
                  B, T, C);
}

static __global__ void spread_mean(float *dx, const float *dy, uint32_t n, uint32_t T, uint32_t C, int32_t add)
{
    const uint32_t i = static_cast<uint32_t>(cuda_index());
    if (i < n) put_gradient(dx, i, dy[static_cast<size_t>(i / C / T) * C + i % C] / static_cast<float>(T), add);
}

/* dx[b,t,c] = dy[b,c] / T */
CUDA_OP mean_rows_bwd_cuda(const dmc_kargs *k)
{
    const uint32_t T = dim(k, 1), C = dim(k, 2), n = dim(k, 0) * T * C;
    if (!din_of(k, 0)) return CUDA_OK;
    return launch_each(k, "mean_rows, backward", n, spread_mean, din_of(k, 0), dout_of(k), n, T, C, adds(k, 0));
}
