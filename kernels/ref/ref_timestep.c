/* ref_timestep.c — the embedding of the diffusion time. */
#include "ref.h"

enum { POSITIONAL, SINUSOIDAL, FOURIER };

/* What t is multiplied by in column pair j of `half`; g: the frozen frequencies of kind FOURIER. */
static double frequency(int32_t kind, int32_t cast, size_t j, size_t half, const real *g)
{
    const double steps = kind == SINUSOIDAL ? (double)half - 1 : (double)half;
    const double f = kind == FOURIER ? 6.283185307179586476925 * g[j] : pow(10000, -(double)j / steps);
    return cast ? trunc(f) : f;
}

/* y[b,j] = cos(t[b] f_j), y[b,C/2+j] = sin(t[b] f_j), j < C/2; the other way round for kind 1. t(B), y(B,C), C even;
 * kind 1: C > 2.  dim: B C kind cast.  The time is given, hence no gradient. */
int32_t REF(timestep_fwd)(const dmc_kargs *k)
{
    const size_t B = ref_dim(k, 0), C = ref_dim(k, 1), half = C / 2;
    const size_t cosines = k->dim[2] == SINUSOIDAL ? half : 0, sines = half - cosines;
    const real *const t = k->in[0];
    real *const y = k->out;
    for (size_t j = 0; j < half; j++) {
        const double f = frequency(k->dim[2], k->dim[3], j, half, k->par[0]);
        for (size_t b = 0; b < B; b++) {
            y[b * C + cosines + j] = (real)cos(t[b] * f);
            y[b * C + sines + j] = (real)sin(t[b] * f);
        }
    }
    return 0;
}
