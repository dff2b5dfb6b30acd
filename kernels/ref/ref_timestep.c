/* ref_timestep.c — the embedding of the diffusion time. */
#include "ref.h"

/* y[b,j] = cos(t[b] f_j), y[b,C/2+j] = sin(t[b] f_j), f_j = 10000^(-j/(C/2)), j < C/2.
 * t(B), y(B,C), C even.  dim: B C.  The time is given, hence no gradient. */
int32_t REF(timestep_fwd)(const dmc_kargs *k)
{
    const size_t B = ref_dim(k, 0), C = ref_dim(k, 1), half = C / 2;
    const real *const t = k->in[0];
    real *const y = k->out;
    for (size_t b = 0; b < B; b++)
        for (size_t j = 0; j < half; j++) {
            const double angle = t[b] * pow(10000, -(double)j / (double)half);
            y[b * C + j] = (real)cos(angle);
            y[b * C + half + j] = (real)sin(angle);
        }
    return 0;
}
