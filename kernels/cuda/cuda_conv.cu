/* cuda_conv.cu — convolutions over the horizon, over images, and transposed: products over taps (cuda_product.cuh), whose rows are
 * read where they are. Roof: multiply-adds, and for a batch of one reading the weights. Measured: not yet
 * (docs/gpu-results.md). */
#include "cuda_product.cuh"

/* One relation between coarse places u and fine places v, as in kernels/ref/ref_conv.c: tap j joins u to v = u stride - pad + j. */
struct axis {
    int32_t own, other, stride, pad; /* places on this side; on the other */
    bool coarse;                     /* this side is the coarse one */

    /* The place on the other side, -1: none. */
    __device__ int32_t over(int32_t place, int32_t tap) const
    {
        const int32_t steps = coarse ? place * stride - pad + tap : place + pad - tap;
        if (steps < 0 || (!coarse && steps % stride != 0)) return -1;
        const int32_t to = coarse ? steps : steps / stride;
        return to < other ? to : -1;
    }
};

struct line_rows {
    const float *x; /* (B, other, channels) */
    axis t;
    uint32_t channels;

    __device__ const float *at(uint32_t m, uint32_t tap) const
    {
        const uint32_t b = m / t.own;
        const int32_t to = t.over(static_cast<int32_t>(m - b * t.own), static_cast<int32_t>(tap));
        return to < 0 ? nullptr : x + (static_cast<size_t>(b) * t.other + to) * channels;
    }
};

struct image_rows {
    const float *x; /* (B, other of h, other of w, channels) */
    axis h, w;
    uint32_t channels, taps; /* per axis */

    __device__ const float *at(uint32_t m, uint32_t tap) const
    {
        const uint32_t pixels = h.own * w.own, b = m / pixels, p = m - b * pixels;
        const int32_t r = h.over(static_cast<int32_t>(p / w.own), static_cast<int32_t>(tap / taps));
        const int32_t s = w.over(static_cast<int32_t>(p % w.own), static_cast<int32_t>(tap % taps));
        return r < 0 || s < 0 ? nullptr : x + ((static_cast<size_t>(b) * h.other + r) * w.other + s) * channels;
    }
};

/* ---- what all of them do with their rows -------------------------------------------------------------------------- */

struct shape {
    uint32_t in, out, ci, co, taps; /* rows in and out, with the batch; channels; all taps */
};

/* Every row on 16 bytes, and channels in fours. */
static bool in_fours(const float *x, uint32_t channels)
{
    return on_fours(x) && channels % 4 == 0;
}

template <typename ROWS> static int32_t forward(const dmc_kargs *k, const char *name, const shape &s, const ROWS &rows)
{
    const product<float_weights> p = {{par_of(k, 0)}, par_of(k, 1), out_of(k), s.out, s.co, s.ci, s.taps, s.co,
                                      static_cast<size_t>(s.ci) * s.co, 0};
    return launch_typed(k, name, p, rows, in_fours(in_of(k, 0), s.ci));
}

/* `reads`: rows of x as forward reads them; `hits`: rows of dy that a row of x is in. */
template <typename ROWS>
static int32_t backward(const dmc_kargs *k, const char *name, const shape &s, const ROWS &reads, const ROWS &hits)
{
    int32_t status = CUDA_OK;
    if (k->din[0]) {
        const product<float_weights> p = {{par_of(k, 0)}, nullptr, din_of(k, 0), s.in, s.ci, s.co, s.taps, s.co,
                                          static_cast<size_t>(s.ci) * s.co, adds(k, 0)};
        status = launch_many<true>(k, name, p, hits, in_fours(dout_of(k), s.co));
    }
    if (status == CUDA_OK && k->dpar[0])
        status = launch_outer(k, name, outer_sum{dout_of(k), dpar_of(k, 0), nullptr, s.out, s.ci, s.co, s.taps, s.co, 0, 0}, reads);
    return status == CUDA_OK ? launch_bias_gradient(k, name, s.out, s.co) : status;
}

/* ---- over the horizon.  dim: B T Ci To Co k stride pad ------------------------------------------------------------ */

static shape line_shape(const dmc_kargs *k)
{
    const uint32_t B = k->dim[0], T = k->dim[1], Ci = k->dim[2], To = k->dim[3], Co = k->dim[4], taps = k->dim[5];
    return {B * T, B * To, Ci, Co, taps};
}

/* Rows of x (T,Ci) as an output row reads them; the output is the coarse side of a convolution, the fine one of its transpose. */
static line_rows line_reads(const dmc_kargs *k, bool coarse)
{
    return {in_of(k, 0), {k->dim[3], k->dim[1], k->dim[6], k->dim[7], coarse}, static_cast<uint32_t>(k->dim[2])};
}

static line_rows line_hits(const dmc_kargs *k, bool coarse)
{
    return {dout_of(k), {k->dim[1], k->dim[3], k->dim[6], k->dim[7], !coarse}, static_cast<uint32_t>(k->dim[4])};
}

CUDA_OP conv1d_fwd_cuda(const dmc_kargs *k)
{
    return forward(k, "conv1d", line_shape(k), line_reads(k, true));
}

CUDA_OP conv1d_bwd_cuda(const dmc_kargs *k)
{
    return backward(k, "conv1d", line_shape(k), line_reads(k, true), line_hits(k, true));
}

CUDA_OP convt1d_fwd_cuda(const dmc_kargs *k)
{
    return forward(k, "convt1d", line_shape(k), line_reads(k, false));
}

CUDA_OP convt1d_bwd_cuda(const dmc_kargs *k)
{
    return backward(k, "convt1d", line_shape(k), line_reads(k, false), line_hits(k, false));
}

/* ---- over images.  dim: B H W Ci Ho Wo Co k stride pad ------------------------------------------------------------- */

static shape image_shape(const dmc_kargs *k)
{
    const uint32_t B = k->dim[0], H = k->dim[1], W = k->dim[2], Ci = k->dim[3], Ho = k->dim[4], Wo = k->dim[5], Co = k->dim[6];
    return {B * H * W, B * Ho * Wo, Ci, Co, static_cast<uint32_t>(k->dim[7] * k->dim[7])};
}

static image_rows image_reads(const dmc_kargs *k)
{
    const int32_t stride = k->dim[8], pad = k->dim[9];
    return {in_of(k, 0), {k->dim[4], k->dim[1], stride, pad, true}, {k->dim[5], k->dim[2], stride, pad, true},
            static_cast<uint32_t>(k->dim[3]), static_cast<uint32_t>(k->dim[7])};
}

static image_rows image_hits(const dmc_kargs *k)
{
    const int32_t stride = k->dim[8], pad = k->dim[9];
    return {dout_of(k), {k->dim[1], k->dim[4], stride, pad, false}, {k->dim[2], k->dim[5], stride, pad, false},
            static_cast<uint32_t>(k->dim[6]), static_cast<uint32_t>(k->dim[7])};
}

CUDA_OP conv2d_fwd_cuda(const dmc_kargs *k)
{
    return forward(k, "conv2d", image_shape(k), image_reads(k));
}

CUDA_OP conv2d_bwd_cuda(const dmc_kargs *k)
{
    return backward(k, "conv2d", image_shape(k), image_reads(k), image_hits(k));
}
