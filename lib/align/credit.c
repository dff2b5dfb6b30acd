/* credit.c — who is to thank: candidates against their group, denoising steps against their chain. */
#include "credit.h"

#include <math.h>

/* adv <- r - mean, of n numbers `step` apart; the sum of squares. */
static double centre(const float *r, size_t n, size_t step, float *adv)
{
    double sum = 0, square = 0;
    for (size_t i = 0; i < n; i++) sum += r[i * step];
    for (size_t i = 0; i < n; i++) {
        const double d = r[i * step] - sum / (double)n;
        square += d * d;
        adv[i * step] = (float)d;
    }
    return square;
}

/* x <- x / (sqrt(square/n) + 1e-8), clipped. */
static void standardise(float *x, size_t n, double square, double clip)
{
    const double scale = 1 / (sqrt(square / (double)n) + 1e-8);
    for (size_t i = 0; i < n; i++) x[i] = (float)fmin(fmax(x[i] * scale, -clip), clip);
}

void dmc__credit_advantage(const float *r, int32_t groups, int32_t pool, int32_t rows, int32_t group_std, double clip, float *adv)
{
    const size_t step = (size_t)rows, n = (size_t)pool * step;
    double all = 0;
    for (size_t g = 0; g < (size_t)groups; g++) {
        double square = 0;
        for (size_t h = 0; h < step; h++) square += centre(r + g * n + h, (size_t)pool, step, adv + g * n + h);
        if (group_std) standardise(adv + g * n, n, square, clip);
        all += square;
    }
    if (!group_std) standardise(adv, (size_t)groups * n, all, clip);
}

/* Scale to mean 1 so that the learning rate does not depend on the option. */
static void normalise(double *kappa, int32_t k)
{
    double sum = 0;
    for (int32_t j = 0; j < k; j++) sum += kappa[j];
    for (int32_t j = 0; j < k; j++) kappa[j] = sum > 0 ? kappa[j] * k / sum : 1;
}

void dmc__credit_kappa(int32_t kind, int32_t k, double gamma, double *kappa)
{
    for (int32_t j = 0; j < k; j++) {
        if (kind == DMC__KAPPA_GEOM)
            kappa[j] = pow(gamma, k - 1 - j);
        else if (kind == DMC__KAPPA_LINEAR)
            kappa[j] = (j + 1.0) / k;
        else
            kappa[j] = 1;
    }
    normalise(kappa, k);
}

static double norm(const double x[2])
{
    return sqrt(x[0]) * sqrt(x[1]);
}

/* Dot products over free entries: d.D, |d|^2, |D|^2 for PROJ and COS, those of the pairs for PAIRCOS. */
static double products(int32_t kind, const float *from, const float *to, const float *start, const float *end, size_t elems,
                       const float *mask, double square[2])
{
    double dot = 0;
    square[0] = square[1] = 0;
    for (size_t i = 0; i < elems; i++) {
        if (mask && mask[i] != 0) continue;
        const double a = from[i], b = to[i], s = start[i], e = end[i];
        const int32_t pair = kind == DMC__KAPPA_PAIRCOS;
        dot += pair ? a * s + b * e : (b - a) * (e - s);
        square[0] += pair ? a * a + b * b : (b - a) * (b - a);
        square[1] += pair ? s * s + e * e : (e - s) * (e - s);
    }
    return dot;
}

void dmc__credit_similarity(int32_t kind, const float *const *chain, int32_t k, const float *start, size_t elems,
                            const float *mask, double *similarity)
{
    for (int32_t j = 0; j < k; j++) {
        double square[2];
        const double dot = products(kind, chain[j], chain[j + 1], start, chain[k], elems, mask, square);
        if (kind == DMC__KAPPA_PROJ) similarity[j] = square[1] > 0 ? dot / square[1] : 0;
        else similarity[j] = dot / (norm(square) + 1e-8);
    }
}

void dmc__credit_weigh(int32_t kind, int32_t k, int32_t total, double *kappa)
{
    for (int32_t j = 0; j < k; j++)
        kappa[j] = kind == DMC__KAPPA_PROJ ? fmin(fmax(total * kappa[j], 0), 4) : fmax(kappa[j], 0);
    normalise(kappa, k);
}
