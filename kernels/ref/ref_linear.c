/* ref_linear.c — dense layer.  x(N,Ci), W(Ci,Co), b(Co) or NULL, y(N,Co).  dim: N Ci Co Cw
 * Rows of W are Cw elements apart, or Co where Cw = 0; nothing beyond column Co is read or written. */
#include "ref.h"

static size_t row_width(const dmc_kargs *k)
{
    return ref_dim(k, k->dim[3] > 0 ? 3 : 2);
}

/* y[n,o] = b[o] + sum_i x[n,i] W[i,o] */
int32_t REF(linear_fwd)(const dmc_kargs *k)
{
    const size_t N = ref_dim(k, 0), Ci = ref_dim(k, 1), Co = ref_dim(k, 2), Cw = row_width(k);
    const real *const x = k->in[0];
    real *const y = k->out;
    for (size_t n = 0; n < N; n++)
        for (size_t o = 0; o < Co; o++) {
            double sum = ref_get(k->par[1], o, 0);
            for (size_t i = 0; i < Ci; i++) sum += x[n * Ci + i] * ref_weight(k, i * Cw + o);
            y[n * Co + o] = (real)sum;
        }
    return 0;
}

/* dx[n,i] = sum_o dy[n,o] W[i,o] */
static void input_gradient(const dmc_kargs *k)
{
    const size_t N = ref_dim(k, 0), Ci = ref_dim(k, 1), Co = ref_dim(k, 2), Cw = row_width(k);
    const real *const dy = k->dout, *const W = k->par[0];
    for (size_t n = 0; n < N; n++)
        for (size_t i = 0; i < Ci; i++) {
            double sum = 0;
            for (size_t o = 0; o < Co; o++) sum += (double)dy[n * Co + o] * W[i * Cw + o];
            ref_put(k, 0, n * Ci + i, sum);
        }
}

/* dW[i,o] += sum_n x[n,i] dy[n,o] */
static void weight_gradient(const dmc_kargs *k)
{
    const size_t N = ref_dim(k, 0), Ci = ref_dim(k, 1), Co = ref_dim(k, 2), Cw = row_width(k);
    const real *const x = k->in[0], *const dy = k->dout;
    real *const dW = k->dpar[0];
    for (size_t i = 0; i < Ci; i++)
        for (size_t o = 0; o < Co; o++) {
            double sum = 0;
            for (size_t n = 0; n < N; n++) sum += (double)x[n * Ci + i] * dy[n * Co + o];
            dW[i * Cw + o] = (real)(dW[i * Cw + o] + sum);
        }
}

/* dx = dy W^T;  dW += x^T dy;  db += column sums of dy */
int32_t REF(linear_bwd)(const dmc_kargs *k)
{
    if (k->din[0]) input_gradient(k);
    if (k->dpar[0]) weight_gradient(k);
    ref_add_column_sums(k->dpar[1], k->dout, ref_dim(k, 0), ref_dim(k, 2));
    return 0;
}
