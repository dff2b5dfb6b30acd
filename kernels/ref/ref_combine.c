/* ref_combine.c — adding, joining, picking columns and repeating rows. */
#include "ref.h"

/* y[i] = x0[i] + x1[i].  dim: n.  y may be x0. */
int32_t REF(add_fwd)(const dmc_kargs *k)
{
    const real *const x0 = k->in[0], *const x1 = k->in[1];
    real *const y = k->out;
    for (size_t i = 0; i < ref_dim(k, 0); i++) y[i] = (real)((double)x0[i] + x1[i]);
    return 0;
}

/* dx0 = dy;  dx1 = dy */
int32_t REF(add_bwd)(const dmc_kargs *k)
{
    const real *const dy = k->dout;
    for (size_t i = 0; i < ref_dim(k, 0); i++) {
        ref_put(k, 0, i, dy[i]);
        ref_put(k, 1, i, dy[i]);
    }
    return 0;
}

/* y[b,t,c] = x0[b,t,c] + x1[b,c].  dim: B T C.  y may be x0. */
int32_t REF(add_time_fwd)(const dmc_kargs *k)
{
    const size_t B = ref_dim(k, 0), T = ref_dim(k, 1), C = ref_dim(k, 2);
    const real *const x0 = k->in[0], *const x1 = k->in[1];
    real *const y = k->out;
    for (size_t i = 0; i < B * T * C; i++) {
        const size_t b = i / C / T, c = i % C;
        y[i] = (real)((double)x0[i] + x1[b * C + c]);
    }
    return 0;
}

/* dx0[b,t,c] = dy[b,t,c];  dx1[b,c] = sum_t dy[b,t,c] */
int32_t REF(add_time_bwd)(const dmc_kargs *k)
{
    const size_t B = ref_dim(k, 0), T = ref_dim(k, 1), C = ref_dim(k, 2);
    const real *const dy = k->dout;
    for (size_t b = 0; b < B; b++)
        for (size_t c = 0; c < C; c++) {
            double sum = 0;
            for (size_t t = 0; t < T; t++) sum += dy[(b * T + t) * C + c];
            ref_put(k, 1, b * C + c, sum);
        }
    for (size_t i = 0; i < B * T * C; i++) ref_put(k, 0, i, dy[i]);
    return 0;
}

/* y[n,:] = x0[n,:], x1[n,:], x2[n,:] one after the other.  x_i(N,C_i); no x2 if C2 = 0.
 * dim: N C0 C1 C2 */
int32_t REF(concat_fwd)(const dmc_kargs *k)
{
    const size_t N = ref_dim(k, 0), width[3] = {ref_dim(k, 1), ref_dim(k, 2), ref_dim(k, 3)};
    real *y = k->out;
    for (size_t n = 0; n < N; n++)
        for (int part = 0; part < 3; part++) {
            const real *const x = k->in[part];
            for (size_t c = 0; c < width[part]; c++) *y++ = x[n * width[part] + c];
        }
    return 0;
}

/* dx_i[n,:] = the part of dy[n,:] that x_i went to */
int32_t REF(concat_bwd)(const dmc_kargs *k)
{
    const size_t N = ref_dim(k, 0), width[3] = {ref_dim(k, 1), ref_dim(k, 2), ref_dim(k, 3)};
    const real *dy = k->dout;
    for (size_t n = 0; n < N; n++)
        for (int part = 0; part < 3; part++)
            for (size_t c = 0; c < width[part]; c++) ref_put(k, part, n * width[part] + c, *dy++);
    return 0;
}

/* y[r,j] = x[r, off+j], j < n.  dim: N C off n */
int32_t REF(slice_fwd)(const dmc_kargs *k)
{
    const size_t N = ref_dim(k, 0), C = ref_dim(k, 1), off = ref_dim(k, 2), n = ref_dim(k, 3);
    const real *const x = k->in[0];
    real *const y = k->out;
    for (size_t r = 0; r < N; r++)
        for (size_t j = 0; j < n; j++) y[r * n + j] = x[r * C + off + j];
    return 0;
}

/* dx[r, off+j] = dy[r,j], 0 in other columns */
int32_t REF(slice_bwd)(const dmc_kargs *k)
{
    const size_t N = ref_dim(k, 0), C = ref_dim(k, 1), off = ref_dim(k, 2), n = ref_dim(k, 3);
    const real *const dy = k->dout;
    for (size_t r = 0; r < N; r++)
        for (size_t c = 0; c < C; c++) ref_put(k, 0, r * C + c, c >= off && c < off + n ? dy[r * n + c - off] : 0);
    return 0;
}

/* out[r, oc+j] = x[r, ic+j] scale[j] + shift[j] for j < n; other columns of out stay as they are.
 * x(R,Ci), out(R,Co), scale(n) or NULL = 1, shift(n) or NULL = 0.  dim: R Ci Co ic oc n */
int32_t REF(cols_fwd)(const dmc_kargs *k)
{
    const size_t R = ref_dim(k, 0), Ci = ref_dim(k, 1), Co = ref_dim(k, 2);
    const size_t ic = ref_dim(k, 3), oc = ref_dim(k, 4), n = ref_dim(k, 5);
    const real *const x = k->in[0];
    real *const out = k->out;
    for (size_t r = 0; r < R; r++)
        for (size_t j = 0; j < n; j++) {
            const double scale = ref_get(k->par[0], j, 1), shift = ref_get(k->par[1], j, 0);
            out[r * Co + oc + j] = (real)(x[r * Ci + ic + j] * scale + shift);
        }
    return 0;
}

/* dx[r, ic+j] = dout[r, oc+j] scale[j]; other columns of dx stay as they are. scale and shift come
 * from the data and have no gradient. */
int32_t REF(cols_bwd)(const dmc_kargs *k)
{
    const size_t R = ref_dim(k, 0), Ci = ref_dim(k, 1), Co = ref_dim(k, 2);
    const size_t ic = ref_dim(k, 3), oc = ref_dim(k, 4), n = ref_dim(k, 5);
    const real *const dout = k->dout;
    for (size_t r = 0; r < R; r++)
        for (size_t j = 0; j < n; j++)
            ref_put(k, 0, r * Ci + ic + j, dout[r * Co + oc + j] * ref_get(k->par[0], j, 1));
    return 0;
}

/* out[b,:] = in[first + b / group % turn, :].  in(first + turn, N), out(B,N).  dim: B N first group turn */
int32_t REF(repeat_fwd)(const dmc_kargs *k)
{
    const size_t B = ref_dim(k, 0), N = ref_dim(k, 1), first = ref_dim(k, 2), group = ref_dim(k, 3), turn = ref_dim(k, 4);
    const real *const in = k->in[0];
    real *const out = k->out;
    for (size_t b = 0; b < B; b++)
        for (size_t n = 0; n < N; n++) out[b * N + n] = in[(first + b / group % turn) * N + n];
    return 0;
}
