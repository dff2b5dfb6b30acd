/* ref_conv2d.c — convolution over the rows and columns of an image.
 *
 * x(B,H,W,Ci), W(k,k,Ci,Co), b(Co) or NULL, y(B,Ho,Wo,Co).  dim: B H W Ci Ho Wo Co k stride pad
 *
 * Tap (i,j) joins output pixel (p,q) to input pixel
 *     (r,s) = (p stride - pad + i, q stride - pad + j),      0 <= r < H, 0 <= s < W.
 */
#include "ref.h"

typedef struct conv2d {
    const dmc_kargs *k;
    size_t B, H, W, Ci, Ho, Wo, Co, taps;
    ptrdiff_t stride, pad;
} conv2d;

static conv2d read_shape(const dmc_kargs *k)
{
    return (conv2d){.k = k, .B = ref_dim(k, 0), .H = ref_dim(k, 1), .W = ref_dim(k, 2), .Ci = ref_dim(k, 3),
                    .Ho = ref_dim(k, 4), .Wo = ref_dim(k, 5), .Co = ref_dim(k, 6), .taps = ref_dim(k, 7),
                    .stride = k->dim[8], .pad = k->dim[9]};
}

/* Input row (or column) of output row p through tap i, of n there are; -1 outside. */
static ptrdiff_t input_place(const conv2d *c, size_t p, size_t i, size_t n)
{
    const ptrdiff_t r = (ptrdiff_t)p * c->stride - c->pad + (ptrdiff_t)i;
    return r >= 0 && r < (ptrdiff_t)n ? r : -1;
}

/* Output row (or column) of input row r through tap i, of n there are; -1 where there is none. */
static ptrdiff_t output_place(const conv2d *c, size_t r, size_t i, size_t n)
{
    const ptrdiff_t steps = (ptrdiff_t)r + c->pad - (ptrdiff_t)i;
    if (steps < 0 || steps % c->stride != 0) return -1;
    return steps / c->stride < (ptrdiff_t)n ? steps / c->stride : -1;
}

static double dot(const real *x, const real *w, size_t n, size_t step)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * w[i * step];
    return sum;
}

/* sum_{i,j,c} x[b,r,s,c] W[i,j,c,o] of output pixel (p,q) */
static double output_sum(const conv2d *c, size_t b, size_t p, size_t q, size_t o)
{
    const real *const x = c->k->in[0], *const w = c->k->par[0];
    double sum = 0;
    for (size_t i = 0; i < c->taps; i++)
        for (size_t j = 0; j < c->taps; j++) {
            const ptrdiff_t r = input_place(c, p, i, c->H), s = input_place(c, q, j, c->W);
            if (r < 0 || s < 0) continue;
            sum += dot(x + ((b * c->H + (size_t)r) * c->W + (size_t)s) * c->Ci,
                       w + (i * c->taps + j) * c->Ci * c->Co + o, c->Ci, c->Co);
        }
    return sum;
}

/* y[b,p,q,o] = bias[o] + sum_{i,j,c} x[b, p stride - pad + i, q stride - pad + j, c] W[i,j,c,o], x = 0 outside */
int32_t REF(conv2d_fwd)(const dmc_kargs *k)
{
    const conv2d c = read_shape(k);
    real *const y = k->out;
    for (size_t n = 0; n < c.B * c.Ho * c.Wo * c.Co; n++) {
        const size_t o = n % c.Co, q = n / c.Co % c.Wo, p = n / c.Co / c.Wo % c.Ho, b = n / c.Co / c.Wo / c.Ho;
        y[n] = (real)(ref_get(k->par[1], o, 0) + output_sum(&c, b, p, q, o));
    }
    return 0;
}

/* dx[b,r,s,c] = sum_{i,j,o} dy[b,p,q,o] W[i,j,c,o] over the taps that join (r,s) to an output pixel (p,q) */
static void input_gradient(const conv2d *c)
{
    const real *const dy = c->k->dout, *const w = c->k->par[0];
    for (size_t n = 0; n < c->B * c->H * c->W * c->Ci; n++) {
        const size_t ci = n % c->Ci, s = n / c->Ci % c->W, r = n / c->Ci / c->W % c->H, b = n / c->Ci / c->W / c->H;
        double sum = 0;
        for (size_t i = 0; i < c->taps; i++)
            for (size_t j = 0; j < c->taps; j++) {
                const ptrdiff_t p = output_place(c, r, i, c->Ho), q = output_place(c, s, j, c->Wo);
                if (p < 0 || q < 0) continue;
                sum += dot(dy + ((b * c->Ho + (size_t)p) * c->Wo + (size_t)q) * c->Co,
                           w + ((i * c->taps + j) * c->Ci + ci) * c->Co, c->Co, 1);
            }
        ref_put(c->k, 0, n, sum);
    }
}

/* dW[i,j,c,o] += sum_{b,p,q} x[b,r,s,c] dy[b,p,q,o] */
static void weight_gradient(const conv2d *c)
{
    const real *const x = c->k->in[0], *const dy = c->k->dout;
    real *const dw = c->k->dpar[0];
    for (size_t n = 0; n < c->taps * c->taps * c->Ci * c->Co; n++) {
        const size_t o = n % c->Co, ci = n / c->Co % c->Ci, j = n / c->Co / c->Ci % c->taps, i = n / c->Co / c->Ci / c->taps;
        double sum = 0;
        for (size_t row = 0; row < c->B * c->Ho; row++) {
            const ptrdiff_t r = input_place(c, row % c->Ho, i, c->H);
            for (size_t q = 0; r >= 0 && q < c->Wo; q++) {
                const ptrdiff_t s = input_place(c, q, j, c->W);
                if (s < 0) continue;
                sum += (double)x[((row / c->Ho * c->H + (size_t)r) * c->W + (size_t)s) * c->Ci + ci] *
                       dy[(row * c->Wo + q) * c->Co + o];
            }
        }
        dw[n] = (real)(dw[n] + sum);
    }
}

int32_t REF(conv2d_bwd)(const dmc_kargs *k)
{
    const conv2d c = read_shape(k);
    if (k->din[0]) input_gradient(&c);
    if (k->dpar[0]) weight_gradient(&c);
    ref_add_column_sums(k->dpar[1], k->dout, c.B * c.Ho * c.Wo, c.Co);
    return 0;
}
