/* cuda_diffusion.cu — DIFFUSE and TRANSITION: one thread for each element. Bound by memory: the roof is bandwidth, and at the
 * sizes of one action the launch. Masks: 1 = known, 0 = free. Measured: not yet (docs/gpu-results.md). */
#include "cuda_launch.cuh"

static __device__ inline bool is_known(const float *mask, size_t i)
{
    return mask && mask[i] != 0;
}

static inline size_t elements_of(const dmc_kargs *k)
{
    return static_cast<size_t>(k->dim[0]) * static_cast<size_t>(k->dim[1]);
}

static __global__ void diffuse(const float *x0, const float *eps, const float *mask, const float *coef, float *z, float *target,
                               size_t n, uint32_t row)
{
    const size_t i = cuda_index();
    if (i >= n) return;
    const float *const c = coef + 4 * (static_cast<uint32_t>(i) / row);
    const float x = x0[i], e = eps[i];
    z[i] = is_known(mask, i) ? x : fmaf(c[0], x, c[1] * e);
    target[i] = fmaf(c[2], x, c[3] * e);
}

/* z = al x0 + si eps where free, x0 where known;  target = p x0 + q eps.
 * in: x0 eps mask?, all (B,N);  par0: (B,4) = al si p q;  out z, out2 target.  dim: B N */
CUDA_OP diffuse_fwd_cuda(const dmc_kargs *k)
{
    const size_t n = elements_of(k);
    return launch_each(k, "diffuse", n, diffuse, in_of(k, 0), in_of(k, 1), in_of(k, 2), par_of(k, 0), out_of(k),
                       static_cast<float *>(k->out2), n, static_cast<uint32_t>(k->dim[1]));
}

struct step_row {
    float P, Q, a, b, S, c, d, u, w;
    int32_t clips, inward, takes_up, hands_on;
};

static step_row read_row(const dmc_kargs *k)
{
    const double *const r = k->attr;
    step_row s = {};
    s.P = static_cast<float>(r[0]);
    s.Q = static_cast<float>(r[1]);
    s.a = static_cast<float>(r[2]);
    s.b = static_cast<float>(r[3]);
    s.S = static_cast<float>(r[4]);
    s.c = static_cast<float>(r[5]);
    s.d = static_cast<float>(r[7]);
    s.u = static_cast<float>(r[8]);
    s.w = static_cast<float>(r[9]);
    s.clips = r[5] > 0;
    s.inward = r[6] != 0;
    s.takes_up = k->save && r[7] != 0;
    s.hands_on = k->save && (r[8] != 0 || r[9] != 0);
    return s;
}

/* next may be z: a thread has read its element when it writes it. Comparisons leave NaN what it is. */
static __global__ void transition(const float *z, const float *f, const float *xi, const float *mask, const float *known,
                                  float *next, float *mean, float *h, size_t n, step_row r)
{
    const size_t i = cuda_index();
    if (i >= n) return;
    const float zi = z[i];
    float x = fmaf(r.P, zi, r.Q * f[i]);
    if (r.clips) x = x < -r.c ? -r.c : x > r.c ? r.c : x;
    float mu = fmaf(r.a, x, r.b * zi);
    if (r.takes_up) mu = fmaf(r.d, h[i], mu);
    if (r.hands_on) h[i] = fmaf(r.u, x, r.w * zi);
    float out = xi ? fmaf(r.S, xi[i], mu) : mu;
    if (is_known(mask, i)) out = mu = known[i];
    next[i] = out;
    if (mean) mean[i] = mu;
}

/* x = P z + Q f, clipped to +-c if c > 0;  mu = a x + b z + d h;  z' = mu + S xi;  mu = z' = known where masked;  h' = u x + w z if
 * u or w.  in: z f xi?, par: mask? known? (needed with mask), save: h?, all (B,N);  out z' (may be z), out2 mu?.
 * dim: B N   attr: P Q a b S c inward d u w */
CUDA_OP transition_fwd_cuda(const dmc_kargs *k)
{
    const size_t n = elements_of(k);
    return launch_each(k, "transition", n, transition, in_of(k, 0), in_of(k, 1), in_of(k, 2), par_of(k, 0), par_of(k, 1), out_of(k),
                       static_cast<float *>(k->out2), static_cast<float *>(k->save), n, read_row(k));
}

static __global__ void transition_slope(const float *z, const float *f, const float *mask, const float *dmu, float *dz, float *df,
                                        int32_t add_z, int32_t add_f, size_t n, step_row r)
{
    const size_t i = cuda_index();
    if (i >= n) return;
    const float x = fmaf(r.P, z[i], r.Q * f[i]), g = is_known(mask, i) ? 0.0f : dmu[i];
    const bool open = !r.clips || fabsf(x) < r.c || (r.inward && x * g * r.a > 0);
    const float through = open ? r.a : 0.0f;
    if (dz) put_gradient(dz, i, g * fmaf(through, r.P, r.b), add_z);
    if (df) put_gradient(df, i, g * (through * r.Q), add_f);
}

/* dz = dmu (a P [open] + b);  df = dmu a Q [open];  both 0 where masked.
 * open: c <= 0, or |x| < c, or attr inward and x dmu a > 0 (descent would bring x back inside). */
CUDA_OP transition_bwd_cuda(const dmc_kargs *k)
{
    const size_t n = elements_of(k);
    if (!k->din[0] && !k->din[1]) return CUDA_OK;
    return launch_each(k, "transition backward", n, transition_slope, in_of(k, 0), in_of(k, 1), par_of(k, 0), dout_of(k),
                       din_of(k, 0), din_of(k, 1), adds(k, 0), adds(k, 1), n, read_row(k));
}
