/* credit.c — who is to thank: candidates against their group, denoising steps against their chain. */
#include "credit.h"

#include <math.h>

static double group_mean(const float *r, int32_t n)
{
    double sum = 0;
    for (int32_t i = 0; i < n; i++) sum += r[i];
    return sum / n;
}

void dmc__credit_advantage(const float *r, int32_t groups, int32_t pool, double clip, float *adv)
{
    const size_t n = (size_t)groups * (size_t)pool;
    double square = 0;
    for (int32_t g = 0; g < groups; g++) {
        const float *x = r + (size_t)g * (size_t)pool;
        float *y = adv + (size_t)g * (size_t)pool;
        const double mean = group_mean(x, pool);
        for (int32_t i = 0; i < pool; i++) {
            const double d = x[i] - mean;
            square += d * d;
            y[i] = (float)d;
        }
    }
    const double scale = 1 / (sqrt(square / (double)n) + 1e-8);
    for (size_t i = 0; i < n; i++) adv[i] = (float)fmin(fmax(adv[i] * scale, -clip), clip);
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

void dmc__credit_projection(const float *const *chain, int32_t k, size_t elems, const float *mask, double *kappa)
{
    double norm = 0;
    for (int32_t j = 0; j < k; j++) kappa[j] = 0;
    for (size_t i = 0; i < elems; i++) {
        if (mask && mask[i] != 0) continue;
        const double total = (double)chain[k][i] - chain[0][i];
        norm += total * total;
        for (int32_t j = 0; j < k; j++) kappa[j] += ((double)chain[j + 1][i] - chain[j][i]) * total;
    }
    for (int32_t j = 0; j < k; j++) kappa[j] = norm > 0 ? fmin(fmax(k * kappa[j] / norm, 0), 4) : 1;
    normalise(kappa, k);
}
