/* cuda_rows.cu — constants, and moving rows and columns. Bound by memory: the roof is bandwidth.
 * Measured: not yet (docs/gpu-results.md). */
#include "cuda_launch.cuh"

static __global__ void fill(float *out, size_t n, float value)
{
    const size_t i = cuda_index();
    if (i < n) out[i] = value;
}

/* out[i] = value.  dim: n   attr: value */
CUDA_OP fill_fwd_cuda(const dmc_kargs *k)
{
    const size_t n = static_cast<size_t>(k->dim[0]);
    return launch_each(k, "fill", n, fill, out_of(k), n, static_cast<float>(k->attr[0]));
}

/* ---- columns --------------------------------------------------------------------------------------------------------- */

/* Columns ic .. ic+n of rows of Ci against columns oc .. oc+n of rows of Co. */
struct columns {
    uint32_t rows, Ci, Co, ic, oc, n;
};

static columns read_columns(const dmc_kargs *k)
{
    const int32_t *const d = k->dim;
    return {static_cast<uint32_t>(d[0]), static_cast<uint32_t>(d[1]), static_cast<uint32_t>(d[2]),
            static_cast<uint32_t>(d[3]), static_cast<uint32_t>(d[4]), static_cast<uint32_t>(d[5])};
}

static __device__ inline size_t column_in(const columns &c, size_t row, uint32_t j)
{
    return row * c.Ci + c.ic + j;
}

static __device__ inline size_t column_out(const columns &c, size_t row, uint32_t j)
{
    return row * c.Co + c.oc + j;
}

static __global__ void cols(const float *x, const float *scale, const float *shift, float *out, columns c)
{
    const uint32_t i = static_cast<uint32_t>(cuda_index()), row = i / c.n, j = i % c.n;
    if (row < c.rows) out[column_out(c, row, j)] = fmaf(x[column_in(c, row, j)], scale ? scale[j] : 1.0f, shift ? shift[j] : 0.0f);
}

/* out[r, oc+j] = x[r, ic+j] scale[j] + shift[j] for j < n; other columns of out stay as they are.
 * par: scale? shift?.  dim: R Ci Co ic oc n */
CUDA_OP cols_fwd_cuda(const dmc_kargs *k)
{
    const columns c = read_columns(k);
    return launch_each(k, "cols", static_cast<size_t>(c.rows) * c.n, cols, in_of(k, 0), par_of(k, 0), par_of(k, 1), out_of(k), c);
}

static __global__ void cols_slope(const float *dout, const float *scale, float *dx, int32_t add, columns c)
{
    const uint32_t i = static_cast<uint32_t>(cuda_index()), row = i / c.n, j = i % c.n;
    if (row < c.rows) put_gradient(dx, column_in(c, row, j), dout[column_out(c, row, j)] * (scale ? scale[j] : 1.0f), add);
}

/* dx[r, ic+j] = dout[r, oc+j] scale[j]; other columns of dx stay as they are. */
CUDA_OP cols_bwd_cuda(const dmc_kargs *k)
{
    const columns c = read_columns(k);
    if (!k->din[0]) return CUDA_OK;
    return launch_each(k, "cols backward", static_cast<size_t>(c.rows) * c.n, cols_slope, dout_of(k), par_of(k, 0), din_of(k, 0),
                       adds(k, 0), c);
}

/* ---- rows ------------------------------------------------------------------------------------------------------------ */

static __global__ void repeat(const float *in, float *out, size_t total, uint32_t n, uint32_t first, uint32_t group, uint32_t turn)
{
    const size_t i = cuda_index();
    if (i >= total) return;
    const uint32_t b = static_cast<uint32_t>(i) / n, column = static_cast<uint32_t>(i) % n;
    out[i] = in[static_cast<size_t>(first + b / group % turn) * n + column];
}

/* out[b,:] = in[first + b / group % turn, :].  in(first + turn, N), out(B,N).  dim: B N first group turn */
CUDA_OP repeat_fwd_cuda(const dmc_kargs *k)
{
    const size_t total = static_cast<size_t>(k->dim[0]) * static_cast<size_t>(k->dim[1]);
    return launch_each(k, "repeat", total, repeat, in_of(k, 0), out_of(k), total, static_cast<uint32_t>(k->dim[1]),
                       static_cast<uint32_t>(k->dim[2]), static_cast<uint32_t>(k->dim[3]), static_cast<uint32_t>(k->dim[4]));
}
