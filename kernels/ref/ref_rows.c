/* ref_rows.c — tables over the rows of a window, and the mean of its rows. */
#include "ref.h"

/* y[b,t,c] = x[b,t,c] + P[t,c].  y may be x.  dim: B T C */
int32_t REF(add_table_fwd)(const dmc_kargs *k)
{
    const size_t B = ref_dim(k, 0), n = ref_dim(k, 1) * ref_dim(k, 2);
    const real *const x = k->in[0], *const P = k->par[0];
    real *const y = k->out;
    for (size_t i = 0; i < B * n; i++) y[i] = (real)((double)x[i] + P[i % n]);
    return 0;
}

/* dx = dy;  dP[t,c] += sum_b dy[b,t,c] */
int32_t REF(add_table_bwd)(const dmc_kargs *k)
{
    const size_t B = ref_dim(k, 0), n = ref_dim(k, 1) * ref_dim(k, 2);
    const real *const dy = k->dout;
    ref_add_column_sums(k->dpar[0], dy, B, n);
    for (size_t i = 0; i < B * n; i++) ref_put(k, 0, i, dy[i]);
    return 0;
}

/* y[b,t,j] = sin(t f_j), y[b,t,C/2+j] = cos(t f_j), f_j = 10000^(-j/(C/2-1)), j < C/2.  C even, at least 4.
 * cast: f_j rounded towards 0, which leaves f_0 = 1.  dim: B T C cast.  Nothing to differentiate by. */
int32_t REF(positions_fwd)(const dmc_kargs *k)
{
    const size_t B = ref_dim(k, 0), T = ref_dim(k, 1), C = ref_dim(k, 2), half = C / 2;
    real *const y = k->out;
    for (size_t t = 0; t < T; t++)
        for (size_t j = 0; j < half; j++) {
            const double f = pow(10000, -(double)j / (double)(half - 1));
            const double angle = (double)t * (k->dim[3] ? trunc(f) : f);
            y[t * C + j] = (real)sin(angle);
            y[t * C + half + j] = (real)cos(angle);
        }
    for (size_t i = T * C; i < B * T * C; i++) y[i] = y[i - T * C];
    return 0;
}

/* y[b,c] = sum_t x[b,t,c] / T.  dim: B T C */
int32_t REF(mean_rows_fwd)(const dmc_kargs *k)
{
    const size_t B = ref_dim(k, 0), T = ref_dim(k, 1), C = ref_dim(k, 2);
    const real *const x = k->in[0];
    real *const y = k->out;
    for (size_t i = 0; i < B * C; i++) {
        double sum = 0;
        for (size_t t = 0; t < T; t++) sum += x[(i / C * T + t) * C + i % C];
        y[i] = (real)(sum / (double)T);
    }
    return 0;
}

/* dx[b,t,c] = dy[b,c] / T */
int32_t REF(mean_rows_bwd)(const dmc_kargs *k)
{
    const size_t B = ref_dim(k, 0), T = ref_dim(k, 1), C = ref_dim(k, 2);
    const real *const dy = k->dout;
    for (size_t i = 0; i < B * T * C; i++) ref_put(k, 0, i, dy[i / C / T * C + i % C] / (double)T);
    return 0;
}
