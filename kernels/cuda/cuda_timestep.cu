/* cuda_timestep.cu — TIMESTEP, POSITIONS: sines and cosines of products with fixed frequencies. A few thousand numbers:
 * bound by latency. Frequencies, products and what remains after whole turns are in double precision, since times reach
 * thousands of turns; the functions themselves are in single.
 * Measured: not yet (docs/gpu-results.md). */
#include "cuda_launch.cuh"

enum { POSITIONAL, SINUSOIDAL, FOURIER };

/* 10000^(-j/steps); cast: rounded towards 0, exactly 1 for j = 0 */
static __device__ inline double decaying_frequency(uint32_t j, uint32_t steps, int32_t cast)
{
    const double f = exp2(-13.287712379549449 * (static_cast<double>(j) / static_cast<double>(steps)));
    return cast ? trunc(f) : f;
}

static __device__ inline void turn(double angle, float *sine, float *cosine)
{
    const double rest = angle - 6.283185307179586476925 * rint(angle * 0.15915494309189533577);
    *sine = sinf(static_cast<float>(rest));
    *cosine = cosf(static_cast<float>(rest));
}

/* A thread has a pair of columns of a sample. */
static __global__ void timestep(float *y, const float *t, const float *g, uint32_t B, uint32_t half, int32_t kind, int32_t cast)
{
    const uint32_t i = static_cast<uint32_t>(cuda_index()), b = i / half, j = i % half;
    if (b >= B) return;
    double f;
    if (kind == FOURIER) {
        f = 6.283185307179586476925 * static_cast<double>(g[j]);
        if (cast) f = trunc(f);
    } else {
        f = decaying_frequency(j, kind == SINUSOIDAL ? half - 1 : half, cast);
    }
    float *const row = y + static_cast<size_t>(b) * 2 * half;
    const uint32_t cosines = kind == SINUSOIDAL ? half : 0;
    turn(static_cast<double>(t[b]) * f, row + (half - cosines) + j, row + cosines + j);
}

/* y[b,j] = cos(t[b] f_j), y[b,C/2+j] = sin(t[b] f_j), j < C/2; the other way round for kind 1.  dim: B C kind cast */
CUDA_OP timestep_fwd_cuda(const dmc_kargs *k)
{
    const uint32_t B = static_cast<uint32_t>(k->dim[0]), half = static_cast<uint32_t>(k->dim[1]) / 2;
    return launch_each(k, "timestep", static_cast<size_t>(B) * half, timestep, out_of(k), in_of(k, 0), par_of(k, 0), B, half,
                       k->dim[2], k->dim[3]);
}

/* Samples that one thread writes its pair of numbers for. */
enum { COPIES = 16 };

static __global__ void positions(float *y, uint32_t B, uint32_t T, uint32_t half, int32_t cast)
{
    const uint32_t i = static_cast<uint32_t>(cuda_index()), j = i % half, t = i / half % T, first = i / half / T * COPIES;
    if (first >= B) return;
    float sine, cosine;
    turn(static_cast<double>(t) * decaying_frequency(j, half - 1, cast), &sine, &cosine);
    for (uint32_t b = first; b < B && b < first + COPIES; b++) {
        float *const row = y + (static_cast<size_t>(b) * T + t) * 2 * half;
        row[j] = sine;
        row[half + j] = cosine;
    }
}

/* y[b,t,j] = sin(t f_j), y[b,t,C/2+j] = cos(t f_j), f_j = 10000^(-j/(C/2-1)), j < C/2.  dim: B T C cast */
CUDA_OP positions_fwd_cuda(const dmc_kargs *k)
{
    const uint32_t B = static_cast<uint32_t>(k->dim[0]), T = static_cast<uint32_t>(k->dim[1]);
    const uint32_t half = static_cast<uint32_t>(k->dim[2]) / 2, turns = (B + COPIES - 1) / COPIES;
    return launch_each(k, "positions", static_cast<size_t>(turns) * T * half, positions, out_of(k), B, T, half, k->dim[3]);
}
