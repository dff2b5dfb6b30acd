/* scores.c — means, standard errors and paired differences. */
#include "scores.h"

#include <math.h>
#include <string.h>

dmc_status dmc__scores_make(const dmc__allocator *a, int32_t n, dmc__scores *s)
{
    *s = (dmc__scores){.n = n};
    return n > 0 ? DMC_NEW(a, n, &s->value) : DMC_OK;
}

void dmc__scores_free(const dmc__allocator *a, dmc__scores *s)
{
    DMC_FREE(a, s->value, s->n);
    *s = (dmc__scores){0};
}

/* Sums to the mean and its standard error. */
static void conclude(double sum, double square, double n, double *mean, double *se)
{
    *mean = sum / n;
    *se = n > 1 ? sqrt(fmax(square / n - *mean * *mean, 0) / (n - 1)) : 0;
}

void dmc__scores_sum(dmc__scores *s)
{
    double sum = 0, square = 0;
    for (int32_t i = 0; i < s->n; i++) {
        sum += s->value[i];
        square += s->value[i] * s->value[i];
    }
    conclude(sum, square, s->n, &s->mean, &s->se);
}

dmc_status dmc__scores_copy(const dmc__allocator *a, const dmc__scores *from, dmc__scores *to)
{
    if (to->n != from->n) {
        dmc__scores_free(a, to);
        DMC_TRY(dmc__scores_make(a, from->n, to));
    }
    to->mean = from->mean;
    to->se = from->se;
    if (from->n > 0) memcpy(to->value, from->value, (size_t)from->n * sizeof *from->value);
    return DMC_OK;
}

void dmc__scores_diff(const dmc__scores *x, const dmc__scores *y, double *mean, double *se)
{
    *mean = x->mean - y->mean;
    *se = sqrt(x->se * x->se + y->se * y->se);
    if (x->n == 0 || x->n != y->n) return;
    double sum = 0, square = 0;
    for (int32_t i = 0; i < x->n; i++) {
        const double d = x->value[i] - y->value[i];
        sum += d;
        square += d * d;
    }
    conclude(sum, square, x->n, mean, se);
}
