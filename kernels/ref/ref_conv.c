/* ref_conv.c — convolution over the horizon and its transpose.
 *
 * x(B,T,Ci), W(k,Ci,Co), b(Co) or NULL, y(B,To,Co).  dim: B T Ci To Co k stride pad
 *
 * Both are one relation between coarse rows u and fine rows v: tap j joins u to
 *     v = u stride - pad + j,      0 <= u < coarse, 0 <= v < fine.
 * A convolution reads fine rows and writes coarse ones, the transposed one reads coarse rows and
 * writes fine ones. So the sums are written once; the caller says how to get from row to row.
 */
#include "ref.h"

typedef struct conv {
    size_t B, T, Ci, To, Co, k;
    ptrdiff_t stride, pad, coarse, fine;
} conv;

/* The row on the other side of tap j, or -1 where there is none. */
typedef ptrdiff_t (*other_row)(const conv *c, size_t row, size_t j);

static ptrdiff_t coarse_to_fine(const conv *c, size_t u, size_t j)
{
    const ptrdiff_t v = (ptrdiff_t)u * c->stride - c->pad + (ptrdiff_t)j;
    return v >= 0 && v < c->fine ? v : -1;
}

static ptrdiff_t fine_to_coarse(const conv *c, size_t v, size_t j)
{
    const ptrdiff_t steps = (ptrdiff_t)v + c->pad - (ptrdiff_t)j;
    if (steps < 0 || steps % c->stride != 0) return -1;
    return steps / c->stride < c->coarse ? steps / c->stride : -1;
}

static conv read_shape(const dmc_kargs *k)
{
    return (conv){.B = ref_dim(k, 0), .T = ref_dim(k, 1), .Ci = ref_dim(k, 2), .To = ref_dim(k, 3),
                  .Co = ref_dim(k, 4), .k = ref_dim(k, 5), .stride = k->dim[6], .pad = k->dim[7]};
}

static conv conv_shape(const dmc_kargs *k)
{
    conv c = read_shape(k);
    c.fine = (ptrdiff_t)c.T;
    c.coarse = (ptrdiff_t)c.To;
    return c;
}

static conv convt_shape(const dmc_kargs *k)
{
    conv c = read_shape(k);
    c.coarse = (ptrdiff_t)c.T;
    c.fine = (ptrdiff_t)c.To;
    return c;
}

/* y[b,r,o] = bias[o] + sum_{j,i} x[b, in_row(r,j), i] W[j,i,o] */
static void forward(const dmc_kargs *k, const conv *c, other_row in_row)
{
    const real *const x = k->in[0];
    real *const y = k->out;
    for (size_t n = 0; n < c->B * c->To * c->Co; n++) {
        const size_t o = n % c->Co, r = n / c->Co % c->To, b = n / c->Co / c->To;
        double sum = ref_get(k->par[1], o, 0);
        for (size_t j = 0; j < c->k; j++) {
            const ptrdiff_t t = in_row(c, r, j);
            if (t < 0) continue;
            const real *const row = x + (b * c->T + (size_t)t) * c->Ci;
            for (size_t i = 0; i < c->Ci; i++)
                sum += row[i] * ref_weight(k, (j * c->Ci + i) * c->Co + o);
        }
        y[n] = (real)sum;
    }
}

/* dx[b,t,i] = sum_{j,o} dy[b, out_row(t,j), o] W[j,i,o] */
static void input_gradient(const dmc_kargs *k, const conv *c, other_row out_row)
{
    const real *const dy = k->dout, *const W = k->par[0];
    for (size_t n = 0; n < c->B * c->T * c->Ci; n++) {
        const size_t i = n % c->Ci, t = n / c->Ci % c->T, b = n / c->Ci / c->T;
        double sum = 0;
        for (size_t j = 0; j < c->k; j++) {
            const ptrdiff_t r = out_row(c, t, j);
            if (r < 0) continue;
            const real *const row = dy + (b * c->To + (size_t)r) * c->Co;
            for (size_t o = 0; o < c->Co; o++)
                sum += (double)row[o] * W[(j * c->Ci + i) * c->Co + o];
        }
        ref_put(k, 0, n, sum);
    }
}

/* dW[j,i,o] += sum_{b,r} x[b, in_row(r,j), i] dy[b,r,o] */
static void weight_gradient(const dmc_kargs *k, const conv *c, other_row in_row)
{
    const real *const x = k->in[0], *const dy = k->dout;
    real *const dW = k->dpar[0];
    for (size_t n = 0; n < c->k * c->Ci * c->Co; n++) {
        const size_t o = n % c->Co, i = n / c->Co % c->Ci, j = n / c->Co / c->Ci;
        double sum = 0;
        for (size_t row = 0; row < c->B * c->To; row++) {
            const size_t b = row / c->To;
            const ptrdiff_t t = in_row(c, row % c->To, j);
            if (t >= 0) sum += (double)x[(b * c->T + (size_t)t) * c->Ci + i] * dy[row * c->Co + o];
        }
        dW[n] = (real)(dW[n] + sum);
    }
}

static void backward(const dmc_kargs *k, const conv *c, other_row in_row, other_row out_row)
{
    if (k->din[0]) input_gradient(k, c, out_row);
    if (k->dpar[0]) weight_gradient(k, c, in_row);
    ref_add_column_sums(k->dpar[1], k->dout, c->B * c->To, c->Co);
}

/* y[b,r,o] = bias[o] + sum_{j,i} x[b, r stride - pad + j, i] W[j,i,o], x = 0 outside */
int32_t REF(conv1d_fwd)(const dmc_kargs *k)
{
    const conv c = conv_shape(k);
    forward(k, &c, coarse_to_fine);
    return 0;
}

int32_t REF(conv1d_bwd)(const dmc_kargs *k)
{
    const conv c = conv_shape(k);
    backward(k, &c, coarse_to_fine, fine_to_coarse);
    return 0;
}

/* y[b,r,o] = bias[o] + sum of x[b,t,i] W[j,i,o] over all t, j, i with t stride - pad + j = r */
int32_t REF(convt1d_fwd)(const dmc_kargs *k)
{
    const conv c = convt_shape(k);
    forward(k, &c, fine_to_coarse);
    return 0;
}

int32_t REF(convt1d_bwd)(const dmc_kargs *k)
{
    const conv c = convt_shape(k);
    backward(k, &c, fine_to_coarse, coarse_to_fine);
    return 0;
}
