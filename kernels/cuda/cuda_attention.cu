/* cuda_attention.cu — ATTENTION, in tiles: the matrix of shares is never whole. Short windows (10 to 64 steps, heads of 16 to
 * 64) are bound by bandwidth and latency, long ones by multiply-adds; sums are in single precision throughout.
 * Measured: not yet (docs/gpu-results.md).
 *
 * A block has ROWS rows of one head of one sample ("own" rows, OWN to a warp) and goes through the rows of the other side
 * ("other") in tiles of TILE, a lane for each. Forward and for dq, own rows are queries and others keys; for dk and dv it
 * is the other way round, so that no sum crosses blocks. A head is worked on FEATURES at a time: products go over all, a
 * block writes FEATURES of the result (`part`), which heads up to FEATURES have once.
 * save: (B,H,Tq,2) = the largest score of a row, 1 over the sum of exponentials. scratch of backward: (B,H,Tq), delta. */
#include <math.h>

#include "cuda_launch.cuh"
#include "cuda_philox.cuh"

enum { TILE = WARP, FEATURES = 64, PITCH = FEATURES + 4, HALVES = FEATURES / WARP };
enum { WARPS = BLOCK / WARP, OWN = 2, ROWS = WARPS * OWN };

/* Rows of a head: those of sample b, head h begin at p + b n ld + h d. */
struct rows {
    const float *p;
    int32_t n, ld;
};

struct heads {
    rows q, k, v, dy;
    int32_t H, d, parts; /* parts: of FEATURES, of a head */
    int32_t causal, shift;
    float scale; /* 1 / sqrt d */
    cuda_key key;
    uint64_t limit; /* words below are dropped; 0: none */
    float kept;     /* 1 / (1 - p) */
};

/* What a block works on. */
struct place {
    int32_t lane, warp, b, h, part;
    int32_t own; /* its first own row */
    bool idle;   /* a warp beyond the last own row */
};

static __device__ inline place place_of(const heads &a, int32_t own_rows)
{
    const uint32_t blocks = (own_rows + ROWS - 1) / ROWS;
    uint32_t i = blockIdx.x;
    place w;
    w.lane = threadIdx.x % WARP;
    w.warp = threadIdx.x / WARP;
    w.part = i % a.parts, i /= a.parts;
    w.own = i % blocks * ROWS, i /= blocks;
    w.idle = w.own + w.warp * OWN >= own_rows;
    w.h = i % a.H;
    w.b = i / a.H;
    return w;
}

/* Row 0 of the block's head. */
static __device__ inline const float *head_of(const heads &a, const place &w, const rows &x)
{
    return x.p + static_cast<size_t>(w.b) * x.n * x.ld + static_cast<size_t>(w.h) * a.d;
}

/* Shared memory of a block. `own` rows of two operands, `other` rows of two, what other rows are weighted with. */
struct alignas(16) room {
    float own[2][ROWS * PITCH], other[2][TILE * PITCH], weight[2][ROWS * TILE];
};

/* to(count, PITCH) = features f.. of rows r.. of a head, 0 where there are none, up to a whole 4. */
static __device__ void load_rows(const heads &a, const place &w, const rows &x, int32_t r, int32_t count, int32_t f, float *to)
{
    const float *const from = head_of(a, w, x);
    const int32_t left = a.d - f, width = left < FEATURES ? (left + 3) / 4 * 4 : FEATURES;
    for (int32_t i = w.warp; i < count; i += WARPS)
        for (int32_t c = w.lane; c < width; c += WARP)
            to[i * PITCH + c] = r + i < x.n && c < left ? from[static_cast<size_t>(r + i) * x.ld + f + c] : 0;
}

/* product[i] += own row i of the warp times the lane's other row, over n features in shared memory */
static __device__ inline void add_products(const place &w, const float *own, const float *other, int32_t n, float product[OWN])
{
    own += w.warp * OWN * PITCH;
    other += w.lane * PITCH;
    for (int32_t c = 0; !w.idle && c < n; c += 4) {
        const float4 y = *reinterpret_cast<const float4 *>(other + c);
        for (int32_t i = 0; i < OWN; i++) {
            const float4 x = *reinterpret_cast<const float4 *>(own + i * PITCH + c);
            product[i] += x.x * y.x + x.y * y.y + x.z * y.z + x.w * y.w;
        }
    }
}

/* product[i] = own row i of the warp times the lane's row of the tile from `other` on. The last features loaded stay. */
static __device__ void multiply(const heads &a, const place &w, const rows &x, const rows &y, int32_t other, float *own_room,
                                float *other_room, float product[OWN])
{
    for (int32_t i = 0; i < OWN; i++) product[i] = 0;
    for (int32_t f = 0; f < a.d; f += FEATURES) {
        __syncthreads();
        load_rows(a, w, x, w.own, ROWS, f, own_room);
        load_rows(a, w, y, other, TILE, f, other_room);
        __syncthreads();
        add_products(w, own_room, other_room, a.d - f < FEATURES ? a.d - f : FEATURES, product);
    }
}

/* The block's part of the tile, where multiply left something else. Between who reads the room before and this, another multiply
 * or load_part must stand, whose barrier is enough. */
static __device__ void load_part(const heads &a, const place &w, const rows &y, int32_t other, float *other_room)
{
    load_rows(a, w, y, other, TILE, w.part * FEATURES, other_room);
    __syncthreads();
}

/* mix[i][half] += sum over n rows of the tile of their weight for own row i times feature lane + 32 half */
static __device__ inline void add_mix(const heads &a, const place &w, const float *weight, const float *other, int32_t n,
                                      float mix[OWN][HALVES])
{
    weight += w.warp * OWN * TILE;
    if (w.idle) return;
    for (int32_t half = 0; half < HALVES && half * WARP < a.d; half++)
        for (int32_t s = 0; s < n; s++) {
            const float v = other[s * PITCH + w.lane + half * WARP];
            for (int32_t i = 0; i < OWN; i++) mix[i][half] += weight[i * TILE + s] * v;
        }
}

/* Query t sees keys below this. */
static __device__ inline int32_t seen(const heads &a, int32_t t)
{
    return a.causal && t + 1 + a.shift < a.k.n ? t + 1 + a.shift : a.k.n;
}

/* 0 or 1 / (1 - p), by the word of query t and key s */
static __device__ float kept_share(const heads &a, const place &w, int32_t t, int32_t s)
{
    if (a.limit == 0) return 1;
    uint64_t key[4];
    cuda_key_load(a.key, key);
    const size_t n = (static_cast<size_t>(w.h) * a.q.n + t) * ((a.k.n + PHILOX_WORDS - 1) / PHILOX_WORDS * PHILOX_WORDS) + s;
    const uint4 r = cuda_philox(key, key[3] + w.b, static_cast<uint32_t>(n / PHILOX_WORDS));
    return cuda_word(r, n % PHILOX_WORDS) < a.limit ? 0 : a.kept;
}

/* Where the save of query t lies; delta at half of it. */
static __device__ inline size_t stats_at(const heads &a, const place &w, int32_t t)
{
    return 2 * ((static_cast<size_t>(w.b) * a.H + w.h) * a.q.n + t);
}

/* ---- forward ---------------------------------------------------------------------------------------------------------- *
 *
 *     a_ts = q_t . k_s / sqrt d     p_ts = exp(a_ts - max_t) / sum_s exp(a_ts - max_t)      y_t = sum_s m_ts p_ts v_s
 *
 * Tile by tile, with the largest score so far; when a larger one appears, what has been summed is scaled down. */

struct softmax_rows {
    float most[OWN], sum[OWN], mix[OWN][HALVES];
};

/* Take in a tile's scores: weights of its rows go to shared memory. */
static __device__ void take_tile(const heads &a, const place &w, int32_t s, const float score[OWN], float *weight, softmax_rows *x)
{
    for (int32_t i = 0; i < OWN; i++) {
        const int32_t t = w.own + w.warp * OWN + i;
        const bool sees = s < seen(a, t);
        const float value = score[i] * a.scale, most = fmaxf(x->most[i], warp_max(sees ? value : -INFINITY));
        const float before = expf(x->most[i] - most), e = sees ? expf(value - most) : 0;
        x->most[i] = most;
        x->sum[i] = x->sum[i] * before + warp_sum(e);
        for (int32_t half = 0; half < HALVES; half++) x->mix[i][half] *= before;
        weight[(w.warp * OWN + i) * TILE + w.lane] = sees ? e * kept_share(a, w, t, s) : 0;
    }
    __syncwarp();
}

static __device__ void write_rows(const heads &a, const place &w, const softmax_rows &x, float *y, float *save)
{
    for (int32_t i = 0; i < OWN; i++) {
        const int32_t t = w.own + w.warp * OWN + i, first = w.part * FEATURES + w.lane;
        if (t >= a.q.n) return;
        const float share = 1 / x.sum[i];
        float *const row = y + ((static_cast<size_t>(w.b) * a.q.n + t) * a.H + w.h) * a.d;
        for (int32_t half = 0; half < HALVES; half++)
            if (first + half * WARP < a.d) row[first + half * WARP] = x.mix[i][half] * share;
        if (w.part || w.lane) continue;
        save[stats_at(a, w, t)] = x.most[i];
        save[stats_at(a, w, t) + 1] = share;
    }
}

static __global__ void attention(heads a, float *y, float *save)
{
    __shared__ room m;
    const place w = place_of(a, a.q.n);
    const int32_t last = w.own + ROWS < a.q.n ? w.own + ROWS - 1 : a.q.n - 1, end = seen(a, last);
    softmax_rows x = {};
    for (int32_t i = 0; i < OWN; i++) x.most[i] = -INFINITY;
    for (int32_t s = 0; s < end; s += TILE) {
        float score[OWN];
        multiply(a, w, a.q, a.k, s, m.own[0], m.other[0], score);
        take_tile(a, w, s + w.lane, score, m.weight[0], &x);
        load_part(a, w, a.v, s, m.other[1]);
        add_mix(a, w, m.weight[0], m.other[1], end - s < TILE ? end - s : TILE, x.mix);
    }
    write_rows(a, w, x, y, save);
}

/* ---- backward --------------------------------------------------------------------------------------------------------- *
 *
 *     dp_ts = m_ts dy_t . v_s       delta_t = sum_s p_ts dp_ts      da_ts = p_ts (dp_ts - delta_t) / sqrt d
 *     dq_t = sum_s da_ts k_s        dk_s = sum_t da_ts q_t          dv_s = sum_t m_ts p_ts dy_t
 */

/* p, dp and m of the lane's other row with each own row of the warp; all 0 where the query does not see the key. */
struct pairs {
    float p[OWN], dp[OWN], kept[OWN];
};

/* KEYS: own rows are keys. */
template <bool KEYS>
static __device__ void look_at(const heads &a, const place &w, const float *save, int32_t other, room *m, pairs *x)
{
    multiply(a, w, KEYS ? a.k : a.q, KEYS ? a.q : a.k, other, m->own[0], m->other[0], x->p);
    multiply(a, w, KEYS ? a.v : a.dy, KEYS ? a.dy : a.v, other, m->own[1], m->other[1], x->dp);
    for (int32_t i = 0; i < OWN; i++) {
        const int32_t own = w.own + w.warp * OWN + i, t = KEYS ? other + w.lane : own, s = KEYS ? own : other + w.lane;
        const bool sees = t < a.q.n && s < seen(a, t);
        x->kept[i] = sees ? kept_share(a, w, t, s) : 0;
        x->p[i] = sees ? expf(x->p[i] * a.scale - save[stats_at(a, w, t)]) * save[stats_at(a, w, t) + 1] : 0;
        x->dp[i] = sees ? x->dp[i] * x->kept[i] : 0;
    }
}

/* Gradients of rows of a head, at rows.p of the operand; to = NULL: not wanted. */
struct head_gradient {
    float *to;
    int32_t n, ld, add;
};

static __device__ void write_gradient(const heads &a, const place &w, const head_gradient &d, const float mix[OWN][HALVES])
{
    for (int32_t i = 0; i < OWN; i++) {
        const int32_t r = w.own + w.warp * OWN + i, first = w.part * FEATURES + w.lane;
        if (r >= d.n) return;
        const size_t row = (static_cast<size_t>(w.b) * d.n + r) * d.ld + static_cast<size_t>(w.h) * a.d;
        for (int32_t half = 0; half < HALVES; half++)
            if (first + half * WARP < a.d) put_gradient(d.to, row + first + half * WARP, mix[i][half], d.add);
    }
}

/* delta_t of the warp's queries, from the lanes' shares of it */
static __device__ void finish_delta(const heads &a, const place &w, float delta[OWN], float *kept)
{
    for (int32_t i = 0; i < OWN; i++) {
        const int32_t t = w.own + w.warp * OWN + i;
        delta[i] = warp_sum(delta[i]);
        if (w.part == 0 && w.lane == 0 && t < a.q.n) kept[stats_at(a, w, t) / 2] = delta[i];
    }
}

/* Once over the keys for delta, once more for dq; of a single tile the pairs are still there. */
static __global__ void query_gradient(heads a, const float *save, float *kept, head_gradient dq)
{
    __shared__ room m;
    const place w = place_of(a, a.q.n);
    const int32_t last = w.own + ROWS < a.q.n ? w.own + ROWS - 1 : a.q.n - 1, end = seen(a, last);
    float delta[OWN] = {}, mix[OWN][HALVES] = {};
    pairs x;
    for (int32_t s = 0; s < end; s += TILE) {
        look_at<false>(a, w, save, s, &m, &x);
        for (int32_t i = 0; i < OWN; i++) delta[i] += x.p[i] * x.dp[i];
    }
    finish_delta(a, w, delta, kept);
    if (!dq.to) return;
    for (int32_t s = 0; s < end; s += TILE) {
        if (end > TILE) look_at<false>(a, w, save, s, &m, &x);
        for (int32_t i = 0; i < OWN; i++)
            m.weight[0][(w.warp * OWN + i) * TILE + w.lane] = x.p[i] * (x.dp[i] - delta[i]) * a.scale;
        __syncwarp();
        if (a.parts > 1) load_part(a, w, a.k, s, m.other[0]);
        add_mix(a, w, m.weight[0], m.other[0], end - s < TILE ? end - s : TILE, mix);
        __syncwarp();
    }
    write_gradient(a, w, dq, mix);
}

/* Once over the queries. */
static __global__ void key_gradient(heads a, const float *save, const float *kept, head_gradient dk, head_gradient dv)
{
    __shared__ room m;
    const place w = place_of(a, a.k.n);
    float mix_k[OWN][HALVES] = {}, mix_v[OWN][HALVES] = {};
    for (int32_t t = 0; t < a.q.n; t += TILE) {
        const int32_t n = a.q.n - t < TILE ? a.q.n - t : TILE;
        const float delta = w.lane < n ? kept[stats_at(a, w, t + w.lane) / 2] : 0;
        pairs x;
        look_at<true>(a, w, save, t, &m, &x);
        for (int32_t i = 0; i < OWN; i++) {
            const int32_t at = (w.warp * OWN + i) * TILE + w.lane;
            m.weight[0][at] = x.p[i] * (x.dp[i] - delta) * a.scale;
            m.weight[1][at] = x.p[i] * x.kept[i];
        }
        __syncwarp();
        if (a.parts > 1) load_part(a, w, a.q, t, m.other[0]);
        if (a.parts > 1) load_part(a, w, a.dy, t, m.other[1]);
        add_mix(a, w, m.weight[0], m.other[0], n, mix_k);
        add_mix(a, w, m.weight[1], m.other[1], n, mix_v);
        __syncwarp();
    }
    write_gradient(a, w, dk, mix_k);
    write_gradient(a, w, dv, mix_v);
}

/* ---- launchers -------------------------------------------------------------------------------------------------------- */

static heads heads_of(const dmc_kargs *k)
{
    const int32_t Tq = k->dim[1], Tk = k->dim[2], H = k->dim[3], d = k->dim[4], D = H * d;
    const float *const x = in_of(k, 0), *const kv = in_of(k, 1), *const keys = kv ? kv : x + D;
    const double p = k->attr[0];
    heads a = {};
    a.q = {x, Tq, kv ? D : 3 * D};
    a.k = {keys, Tk, kv ? 2 * D : 3 * D};
    a.v = {keys + D, Tk, a.k.ld};
    a.dy = {dout_of(k), Tq, D};
    a.H = H;
    a.d = d;
    a.parts = (d + FEATURES - 1) / FEATURES;
    a.causal = k->attr[1] != 0;
    a.shift = k->attr[2] < Tk ? static_cast<int32_t>(k->attr[2]) : Tk;
    a.scale = static_cast<float>(1 / sqrt(static_cast<double>(d)));
    a.key = cuda_key_of(k);
    a.limit = static_cast<uint64_t>(ceil(p * 4294967296.0));
    a.kept = static_cast<float>(1 / (1 - p));
    return a;
}

/* Of blocks for every head and sample, each with ROWS of n rows and a part of the features. */
static uint32_t head_blocks(const dmc_kargs *k, const heads &a, int32_t n)
{
    const uint32_t of_head = static_cast<uint32_t>((n + ROWS - 1) / ROWS * a.parts);
    return static_cast<uint32_t>(k->dim[0] * a.H) * of_head;
}

/* in: qkv, or q and kv.  dim: B Tq Tk H d   attr: p causal shift */
CUDA_OP attention_fwd_cuda(const dmc_kargs *k)
{
    const heads a = heads_of(k);
    return launch(k, "attention", head_blocks(k, a, a.q.n), BLOCK, 0, attention, a, out_of(k), static_cast<float *>(k->save));
}

/* Where the gradient of an operand's rows goes: `offset` columns into that of input `input`. */
static head_gradient gradient_of(const dmc_kargs *k, int input, int32_t offset, const rows &x)
{
    float *const d = din_of(k, input);
    return {d ? d + offset : nullptr, x.n, x.ld, adds(k, input)};
}

CUDA_OP attention_bwd_cuda(const dmc_kargs *k)
{
    const heads a = heads_of(k);
    const int source = k->in[1] != nullptr;
    const int32_t D = a.H * a.d, first = source ? 0 : D;
    const head_gradient dq = gradient_of(k, 0, 0, a.q), dk = gradient_of(k, source, first, a.k);
    const head_gradient dv = gradient_of(k, source, first + D, a.v);
    const float *const save = static_cast<const float *>(k->save);
    float *const delta = static_cast<float *>(k->scratch);
    if (!dq.to && !dk.to) return CUDA_OK;
    const int32_t status = launch(k, "attention, queries", head_blocks(k, a, a.q.n), BLOCK, 0, query_gradient, a, save, delta, dq);
    if (status != CUDA_OK || !dk.to) return status;
    return launch(k, "attention, keys", head_blocks(k, a, a.k.n), BLOCK, 0, key_gradient, a, save, delta, dk, dv);
}

CUDA_OP attention_prepare_cuda(dmc_kargs *k, dmc_op_need *need)
{
    const size_t queries = static_cast<size_t>(k->dim[0]) * k->dim[3] * k->dim[1];
    need->save = 2 * queries * sizeof(float);
    need->scratch_bwd = queries * sizeof(float);
    return CUDA_OK;
}
