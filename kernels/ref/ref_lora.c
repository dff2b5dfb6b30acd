/* ref_lora.c — low-rank adapter merged into a weight.  W0, W(R,Co), A(R,r), Bm(r,Co); R is Ci, or
 * k Ci for a convolution.  dim: R Co r   attr: s */
#include "ref.h"

/* W[i,o] = W0[i,o] + s sum_q A[i,q] Bm[q,o] */
int32_t REF(lora_fwd)(const dmc_kargs *k)
{
    const size_t R = ref_dim(k, 0), Co = ref_dim(k, 1), r = ref_dim(k, 2);
    const real *const W0 = k->in[0], *const A = k->par[0], *const Bm = k->par[1];
    real *const W = k->out;
    for (size_t i = 0; i < R; i++)
        for (size_t o = 0; o < Co; o++) {
            double sum = 0;
            for (size_t q = 0; q < r; q++) sum += (double)A[i * r + q] * Bm[q * Co + o];
            W[i * Co + o] = (real)(W0[i * Co + o] + k->attr[0] * sum);
        }
    return 0;
}

/* dA[i,q] += s sum_o dW[i,o] Bm[q,o] */
static void add_a_gradient(const dmc_kargs *k)
{
    const size_t R = ref_dim(k, 0), Co = ref_dim(k, 1), r = ref_dim(k, 2);
    const real *const dW = k->dout, *const Bm = k->par[1];
    real *const dA = k->dpar[0];
    for (size_t i = 0; i < R; i++)
        for (size_t q = 0; q < r; q++) {
            double sum = 0;
            for (size_t o = 0; o < Co; o++) sum += (double)dW[i * Co + o] * Bm[q * Co + o];
            dA[i * r + q] = (real)(dA[i * r + q] + k->attr[0] * sum);
        }
}

/* dBm[q,o] += s sum_i A[i,q] dW[i,o] */
static void add_b_gradient(const dmc_kargs *k)
{
    const size_t R = ref_dim(k, 0), Co = ref_dim(k, 1), r = ref_dim(k, 2);
    const real *const dW = k->dout, *const A = k->par[0];
    real *const dB = k->dpar[1];
    for (size_t q = 0; q < r; q++)
        for (size_t o = 0; o < Co; o++) {
            double sum = 0;
            for (size_t i = 0; i < R; i++) sum += (double)A[i * r + q] * dW[i * Co + o];
            dB[q * Co + o] = (real)(dB[q * Co + o] + k->attr[0] * sum);
        }
}

/* dout is dW; W0 is frozen and has no gradient here. */
int32_t REF(lora_bwd)(const dmc_kargs *k)
{
    if (k->dpar[0]) add_a_gradient(k);
    if (k->dpar[1]) add_b_gradient(k);
    return 0;
}
