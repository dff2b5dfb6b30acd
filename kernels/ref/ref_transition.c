/* ref_transition.c — noising a sample, and one step of a sampling chain. Masks: 1 = known
 * (in-painted), 0 = free. */
#include "ref.h"

/* z = al x0 + si eps where free, x0 where known;  target = p x0 + q eps.
 * in: x0 eps mask?, all (B,N);  par0: (B,4) = al si p q;  out z, out2 target.  dim: B N */
int32_t REF(diffuse_fwd)(const dmc_kargs *k)
{
    const size_t B = ref_dim(k, 0), N = ref_dim(k, 1);
    const real *const x0 = k->in[0], *const eps = k->in[1];
    real *const z = k->out, *const target = k->out2;
    for (size_t i = 0; i < B * N; i++) {
        const real *const coef = (const real *)k->par[0] + 4 * (i / N);
        const double x = x0[i], e = eps[i];
        z[i] = (real)(ref_get(k->in[2], i, 0) != 0 ? x : coef[0] * x + coef[1] * e);
        target[i] = (real)(coef[2] * x + coef[3] * e);
    }
    return 0;
}

typedef struct transition {
    double P, Q, a, b, S, c, d, u, w;
} transition;

static transition read_row(const dmc_kargs *k)
{
    return (transition){k->attr[0], k->attr[1], k->attr[2], k->attr[3], k->attr[4],
                        k->attr[5], k->attr[7], k->attr[8], k->attr[9]};
}

/* x = P z + Q f, clipped to +-c if c > 0;  mu = a x + b z + d h;  z' = mu + S xi;  mu = z' = known
 * where masked;  h' = u x + w z if u or w.
 * in: z f xi?, par: mask? known? (needed with mask), save: h?, all (B,N);  out z' (may be z), out2
 * mu?.   dim: B N   attr: P Q a b S c inward d u w */
int32_t REF(transition_fwd)(const dmc_kargs *k)
{
    const transition r = read_row(k);
    const real *const z = k->in[0], *const f = k->in[1], *const known = k->par[1];
    real *const next = k->out, *const mean = k->out2, *const h = k->save;
    for (size_t i = 0; i < ref_dim(k, 0) * ref_dim(k, 1); i++) {
        double x = r.P * z[i] + r.Q * f[i];
        if (r.c > 0) x = ref_clamp(x, -r.c, r.c);
        double mu = r.a * x + r.b * z[i], noise = r.S * ref_get(k->in[2], i, 0);
        if (h && r.d != 0) mu += r.d * h[i];
        if (h && (r.u != 0 || r.w != 0)) h[i] = (real)(r.u * x + r.w * z[i]);
        if (ref_get(k->par[0], i, 0) != 0) {
            mu = known[i];
            noise = 0;
        }
        next[i] = (real)(mu + noise);
        if (mean) mean[i] = (real)mu;
    }
    return 0;
}

/* dz = dmu (a P [open] + b);  df = dmu a Q [open];  both 0 where masked.
 * open: c <= 0, or |x| < c, or attr inward and x dmu a > 0 (descent would bring x back inside). */
int32_t REF(transition_bwd)(const dmc_kargs *k)
{
    const transition r = read_row(k);
    const real *const z = k->in[0], *const f = k->in[1], *const dmu = k->dout;
    for (size_t i = 0; i < ref_dim(k, 0) * ref_dim(k, 1); i++) {
        const double x = r.P * z[i] + r.Q * f[i];
        const double g = ref_get(k->par[0], i, 0) != 0 ? 0 : dmu[i];
        const int inside = r.c <= 0 || fabs(x) < r.c;
        const double open = inside || (k->attr[6] != 0 && x * g * r.a > 0);
        ref_put(k, 0, i, g * (r.a * r.P * open + r.b));
        ref_put(k, 1, i, g * r.a * r.Q * open);
    }
    return 0;
}
