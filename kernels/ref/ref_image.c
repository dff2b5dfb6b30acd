/* ref_image.c — pooling, keypoints and windows of images (B,H,W,C). */
#include "ref_philox.h"

/* ---- MAXPOOL2D: dim B H W C Ho Wo k stride pad ------------------------------------------------------ */

typedef struct pool {
    size_t B, H, W, C, Ho, Wo, taps;
    ptrdiff_t stride, pad;
} pool;

static pool pool_shape(const dmc_kargs *k)
{
    return (pool){ref_dim(k, 0), ref_dim(k, 1), ref_dim(k, 2), ref_dim(k, 3), ref_dim(k, 4),
                  ref_dim(k, 5), ref_dim(k, 6), k->dim[7], k->dim[8]};
}

/* Element of x that output element n sees through tap (i,j) = tap; -1 in the padding. */
static ptrdiff_t pooled_from(const pool *s, size_t n, size_t tap)
{
    const size_t q = n / s->C % s->Wo, p = n / s->C / s->Wo % s->Ho, b = n / s->C / s->Wo / s->Ho;
    const ptrdiff_t r = (ptrdiff_t)p * s->stride - s->pad + (ptrdiff_t)(tap / s->taps);
    const ptrdiff_t c = (ptrdiff_t)q * s->stride - s->pad + (ptrdiff_t)(tap % s->taps);
    if (r < 0 || c < 0 || r >= (ptrdiff_t)s->H || c >= (ptrdiff_t)s->W) return -1;
    return (ptrdiff_t)(((b * s->H + (size_t)r) * s->W + (size_t)c) * s->C + n % s->C);
}

/* y[b,p,q,c] = max_{i,j} x[b, p stride - pad + i, q stride - pad + j, c] over the pixels there are.
 * save: the tap i k + j that won, of equals the first; NaN wins over all. */
int32_t REF(maxpool2d_fwd)(const dmc_kargs *k)
{
    const pool s = pool_shape(k);
    const real *const x = k->in[0];
    real *const y = k->out, *const won = k->save;
    for (size_t n = 0; n < s.B * s.Ho * s.Wo * s.C; n++) {
        double best = -INFINITY;
        ptrdiff_t at = -1;
        for (size_t tap = 0; tap < s.taps * s.taps; tap++) {
            const ptrdiff_t from = pooled_from(&s, n, tap);
            if (from < 0 || (at >= 0 && !(x[from] > best || isnan(x[from])))) continue;
            best = x[from];
            at = (ptrdiff_t)tap;
        }
        y[n] = (real)best;
        won[n] = (real)at;
    }
    return 0;
}

/* dx of the winner += dy */
int32_t REF(maxpool2d_bwd)(const dmc_kargs *k)
{
    const pool s = pool_shape(k);
    const real *const dy = k->dout, *const won = k->save;
    real *const dx = k->din[0];
    if (!dx) return 0;
    for (size_t i = 0; i < s.B * s.H * s.W * s.C; i++) ref_put(k, 0, i, 0);
    for (size_t n = 0; n < s.B * s.Ho * s.Wo * s.C; n++) {
        const ptrdiff_t to = pooled_from(&s, n, (size_t)won[n]);
        dx[to] = (real)(dx[to] + (double)dy[n]);
    }
    return 0;
}

int32_t REF(maxpool2d_prepare)(dmc_kargs *k, dmc_op_need *need)
{
    const pool s = pool_shape(k);
    need->save = s.B * s.Ho * s.Wo * s.C * sizeof(real);
    return 0;
}

/* ---- SPATIAL_SOFTMAX: dim B H W C ------------------------------------------------------------------- */

/* -1..1 over n places; a single one is at -1. */
static double coordinate(size_t i, size_t n)
{
    return n > 1 ? 2 * (double)i / (double)(n - 1) - 1 : -1;
}

/* One channel of one frame: its pixels are C apart. save (B,C,4): max of x / tau, 1 / sum, the two results. */
typedef struct keymap {
    const real *x;
    size_t H, W, C;
    double tau, max, scale, X, Y;
} keymap;

static keymap keymap_at(const dmc_kargs *k, size_t n)
{
    const size_t H = ref_dim(k, 1), W = ref_dim(k, 2), C = ref_dim(k, 3);
    return (keymap){.x = (const real *)k->in[0] + n / C * H * W * C + n % C, .H = H, .W = W, .C = C,
                    .tau = ((const real *)k->par[0])[0]};
}

/* s_p = e^(x_p / tau - max) / sum */
static double weight_at(const keymap *m, size_t p)
{
    return exp(m->x[p * m->C] / m->tau - m->max) * m->scale;
}

/* y[b,c] = {sum_p s_p X_p, sum_p s_p Y_p},  s_p = e^(x_p / tau) / sum_q e^(x_q / tau) */
int32_t REF(spatial_softmax_fwd)(const dmc_kargs *k)
{
    real *const y = k->out, *const save = k->save;
    for (size_t n = 0; n < ref_dim(k, 0) * ref_dim(k, 3); n++) {
        keymap m = keymap_at(k, n);
        double sum = 0;
        m.max = -INFINITY;
        m.scale = 1;
        for (size_t p = 0; p < m.H * m.W; p++) { /* not by fmax: gcc 12 for aarch64 breaks down over it */
            const double x = m.x[p * m.C] / m.tau;
            if (x > m.max) m.max = x;
        }
        for (size_t p = 0; p < m.H * m.W; p++) sum += weight_at(&m, p);
        m.scale = 1 / sum;
        for (size_t p = 0; p < m.H * m.W; p++) {
            m.X += weight_at(&m, p) * coordinate(p % m.W, m.W);
            m.Y += weight_at(&m, p) * coordinate(p / m.W, m.H);
        }
        y[2 * n] = (real)m.X;
        y[2 * n + 1] = (real)m.Y;
        const double kept[4] = {m.max, m.scale, m.X, m.Y};
        for (size_t i = 0; i < 4; i++) save[4 * n + i] = (real)kept[i];
    }
    return 0;
}

/* du_p = s_p (gX (X_p - X) + gY (Y_p - Y)), u = x / tau;   dx = du / tau;   dtau = -sum du x / tau^2 */
int32_t REF(spatial_softmax_bwd)(const dmc_kargs *k)
{
    const real *const dy = k->dout, *const save = k->save;
    real *const dtau = k->dpar[0];
    double sum = 0;
    for (size_t n = 0; n < ref_dim(k, 0) * ref_dim(k, 3); n++) {
        keymap m = keymap_at(k, n);
        m.max = save[4 * n];
        m.scale = save[4 * n + 1];
        m.X = save[4 * n + 2];
        m.Y = save[4 * n + 3];
        for (size_t p = 0; p < m.H * m.W; p++) {
            const double du = weight_at(&m, p) * (dy[2 * n] * (coordinate(p % m.W, m.W) - m.X) +
                                                  dy[2 * n + 1] * (coordinate(p / m.W, m.H) - m.Y));
            ref_put(k, 0, (n / m.C * m.H * m.W + p) * m.C + n % m.C, du / m.tau);
            sum -= du * m.x[p * m.C] / (m.tau * m.tau);
        }
    }
    if (dtau) dtau[0] = (real)(dtau[0] + sum);
    return 0;
}

int32_t REF(spatial_softmax_prepare)(dmc_kargs *k, dmc_op_need *need)
{
    need->save = ref_dim(k, 0) * ref_dim(k, 3) * 4 * sizeof(real);
    return 0;
}

/* ---- CROP2D: dim B H W C h w   attr: random --------------------------------------------------------- */

/* Element of x that output element n is. The corner of frame b is ((H-h)/2, (W-w)/2), or with `random`
 * (w0 (H-h+1) / 2^32, w1 (W-w+1) / 2^32), w the first words of the frame's stream. */
static size_t cropped_from(const dmc_kargs *k, size_t n)
{
    const size_t H = ref_dim(k, 1), W = ref_dim(k, 2), C = ref_dim(k, 3), h = ref_dim(k, 4), w = ref_dim(k, 5);
    const size_t s = n / C % w, r = n / C / w % h, b = n / C / w / h;
    size_t top = (H - h) / 2, left = (W - w) / 2;
    if (k->attr[0] != 0) {
        const philox4x32_ctr_t word = ref_philox(k->key, k->key[3] + b, 0);
        top = (size_t)((uint64_t)word.v[0] * (H - h + 1) >> 32);
        left = (size_t)((uint64_t)word.v[1] * (W - w + 1) >> 32);
    }
    return ((b * H + top + r) * W + left + s) * C + n % C;
}

/* y[b,r,s,c] = x[b, top + r, left + s, c] */
int32_t REF(crop2d_fwd)(const dmc_kargs *k)
{
    const real *const x = k->in[0];
    real *const y = k->out;
    for (size_t n = 0; n < ref_dim(k, 0) * ref_dim(k, 4) * ref_dim(k, 5) * ref_dim(k, 3); n++)
        y[n] = x[cropped_from(k, n)];
    return 0;
}

/* dx[b, top + r, left + s, c] = dy[b,r,s,c], 0 outside the window */
int32_t REF(crop2d_bwd)(const dmc_kargs *k)
{
    const real *const dy = k->dout;
    real *const dx = k->din[0];
    if (!dx) return 0;
    for (size_t i = 0; i < ref_dim(k, 0) * ref_dim(k, 1) * ref_dim(k, 2) * ref_dim(k, 3); i++) ref_put(k, 0, i, 0);
    for (size_t n = 0; n < ref_dim(k, 0) * ref_dim(k, 4) * ref_dim(k, 5) * ref_dim(k, 3); n++) {
        const size_t to = cropped_from(k, n);
        dx[to] = (real)((double)dx[to] + dy[n]);
    }
    return 0;
}
