/* cuda_random.cu — NORMAL and DROPOUT. A thread makes one block of Philox, four elements of a row. Bound by integer products
 * (NORMAL), by memory at large sizes (DROPOUT), by the launch at the sizes of one action.
 * Measured: not yet (docs/gpu-results.md). */
#include "cuda_pack.cuh"
#include "cuda_philox.cuh"

#include <math.h>

/* ---- normal numbers -------------------------------------------------------------------------------------------------- */

/* sqrt(-2 ln u), u = (w + 1) / 2^32 in (0,1]. Near 1 a float holds 1 - u, which is a small integer, but not u. */
static __device__ float radius_of(uint32_t w)
{
    const float below = static_cast<float>(w) + 1.0f, above = static_cast<float>(~w);
    const float log_u = w < 0x80000000u ? logf(below * 0x1p-32f) : log1pf(above * -0x1p-32f);
    return sqrtf(-2.0f * log_u);
}

/* radius {cos, sin}(2 pi w / 2^32). Whole quarters of a turn are taken off the integer; what is left, at most an eighth of a turn
 * either way, is exact enough as a float to give small results their digits. */
static __device__ void turn_by(uint32_t w, float radius, float *cosine, float *sine)
{
    const uint32_t quarters = (w + 0x20000000u) >> 30;
    float c, s;
    sincospif(static_cast<float>(static_cast<int32_t>(w - (quarters << 30))) * 0x1p-31f, &s, &c);
    c *= radius, s *= radius;
    *cosine = quarters == 0 ? c : quarters == 1 ? -s : quarters == 2 ? -c : s;
    *sine = quarters == 0 ? s : quarters == 1 ? c : quarters == 2 ? -s : -c;
}

static __device__ float4 normals_of(uint4 w)
{
    float4 v;
    turn_by(w.y, radius_of(w.x), &v.x, &v.y);
    turn_by(w.w, radius_of(w.z), &v.z, &v.w);
    return v;
}

/* The first n of four numbers. */
static __device__ inline void store_some(float *to, float4 v, size_t n)
{
    to[0] = v.x;
    if (n > 1) to[1] = v.y;
    if (n > 2) to[2] = v.z;
    if (n > 3) to[3] = v.w;
}

/* Elements 4 q .. 4 q + 4 of row b, for thread b * blocks + q. WHOLE: rows consist of whole, aligned fours. */
template <bool WHOLE>
static __global__ void normal(float *out, uint32_t rows, uint32_t n, uint32_t blocks, cuda_key stream)
{
    const size_t i = cuda_index(), b = i / blocks, first = i % blocks * PHILOX_WORDS;
    if (b >= rows) return;
    uint64_t key[4];
    cuda_key_load(stream, key);
    const float4 v = normals_of(cuda_philox(key, key[3] + b, static_cast<uint32_t>(i % blocks)));
    float *const row = out + b * n + first;
    if (WHOLE) *reinterpret_cast<float4 *>(row) = v;
    else store_some(row, v, n - first);
}

/* out[b,n] = the standard normal of (seed, purpose, step, first + b, n), from Box and Muller.
 * key: seed, purpose, step, first.  dim: B N */
CUDA_OP normal_fwd_cuda(const dmc_kargs *k)
{
    const uint32_t rows = static_cast<uint32_t>(k->dim[0]), n = static_cast<uint32_t>(k->dim[1]);
    const uint32_t blocks = blocks_of(n, PHILOX_WORDS);
    const bool whole = n % PHILOX_WORDS == 0 && on_fours(k->out);
    return launch_each(k, "normal", static_cast<size_t>(rows) * blocks, whole ? normal<true> : normal<false>, out_of(k), rows, n,
                       blocks, cuda_key_of(k));
}

/* ---- dropout --------------------------------------------------------------------------------------------------------- */

/* y = x scale where a word is not below limit, else x 0, which leaves NaN what it is; y += that where add. y may be x. */
static __global__ void drop(const float *x, float *y, uint32_t rows, uint32_t n, uint32_t blocks, uint64_t limit, float scale,
                            int32_t add, cuda_key stream)
{
    const size_t i = cuda_index(), b = i / blocks, first = i % blocks * PHILOX_WORDS;
    if (b >= rows) return;
    uint64_t key[4];
    cuda_key_load(stream, key);
    const uint4 w = cuda_philox(key, key[3] + b, static_cast<uint32_t>(i % blocks));
    for (size_t e = 0; e < PHILOX_WORDS && first + e < n; e++) {
        const size_t at = b * n + first + e;
        put_gradient(y, at, x[at] * (cuda_word(w, e) < limit ? 0.0f : scale), add);
    }
}

static int32_t run_drop(const dmc_kargs *k, const float *x, float *y, int32_t add)
{
    const uint32_t rows = static_cast<uint32_t>(k->dim[0]), n = static_cast<uint32_t>(k->dim[1]);
    const uint32_t blocks = blocks_of(n, PHILOX_WORDS);
    const uint64_t limit = static_cast<uint64_t>(ceil(k->attr[0] * 0x1p32)); /* an integer is below p 2^32 iff below this */
    const float scale = static_cast<float>(1 / (1 - k->attr[0]));
    return launch_each(k, "dropout", static_cast<size_t>(rows) * blocks, drop, x, y, rows, n, blocks, limit, scale, add,
                       cuda_key_of(k));
}

/* y[b,n] = m x[b,n] / (1 - p), m = 0 where word n of sample first + b is below 2^32 p, else 1.  y may be x.
 * dim: B N   attr: p */
CUDA_OP dropout_fwd_cuda(const dmc_kargs *k)
{
    return run_drop(k, in_of(k, 0), out_of(k), 0);
}

/* dx = m dy / (1 - p) */
CUDA_OP dropout_bwd_cuda(const dmc_kargs *k)
{
    return k->din[0] ? run_drop(k, dout_of(k), din_of(k, 0), adds(k, 0)) : CUDA_OK;
}
