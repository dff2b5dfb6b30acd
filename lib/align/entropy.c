/* entropy.c — nearest neighbours within groups by comparing all pairs: a group has a few candidates. */
#include "entropy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../base/order.h"

struct dmc__entropy {
    const dmc__allocator *alloc;
    size_t groups, pool, elems;
    const float *mask;
    float *z;         /* (groups, pool, elems) */
    size_t *nearest;  /* (groups, pool), within the group */
    double *rho;      /* (groups, pool)        */
    double *dims;     /* (groups) D            */
    double *spread;   /* (groups), in order    */
    double *slope;    /* (pool, elems) gradient of one group */
};

static size_t samples(const dmc__entropy *e)
{
    return e->groups * e->pool;
}

static dmc_status allocate(dmc__entropy *e)
{
    DMC_TRY(DMC_NEW(e->alloc, samples(e) * e->elems, &e->z));
    DMC_TRY(DMC_NEW(e->alloc, samples(e), &e->nearest));
    DMC_TRY(DMC_NEW(e->alloc, samples(e), &e->rho));
    DMC_TRY(DMC_NEW(e->alloc, e->groups, &e->dims));
    DMC_TRY(DMC_NEW(e->alloc, e->groups, &e->spread));
    return DMC_NEW(e->alloc, e->pool * e->elems, &e->slope);
}

dmc_status dmc__entropy_create(const dmc__allocator *a, int32_t groups, int32_t pool, size_t elems, dmc__entropy **out)
{
    dmc__entropy *e;
    *out = NULL;
    DMC_TRY(DMC_NEW(a, 1, &e));
    *e = (dmc__entropy){.alloc = a, .groups = (size_t)groups, .pool = (size_t)pool, .elems = elems};
    const dmc_status status = allocate(e);
    if (status < 0) dmc__entropy_destroy(e);
    else *out = e;
    return status;
}

void dmc__entropy_destroy(dmc__entropy *e)
{
    if (!e) return;
    DMC_FREE(e->alloc, e->z, samples(e) * e->elems);
    DMC_FREE(e->alloc, e->nearest, samples(e));
    DMC_FREE(e->alloc, e->rho, samples(e));
    DMC_FREE(e->alloc, e->dims, e->groups);
    DMC_FREE(e->alloc, e->spread, e->groups);
    DMC_FREE(e->alloc, e->slope, e->pool * e->elems);
    DMC_FREE(e->alloc, e, 1);
}

float *dmc__entropy_samples(dmc__entropy *e)
{
    return e->z;
}

/* Entry i of all samples' entries counts. */
static int32_t is_free(const dmc__entropy *e, size_t i)
{
    return !e->mask || e->mask[i] == 0;
}

static double square_distance(const dmc__entropy *e, size_t a, size_t b)
{
    double sum = 0;
    for (size_t i = 0; i < e->elems; i++) {
        const double d = (double)e->z[a * e->elems + i] - e->z[b * e->elems + i];
        if (is_free(e, a * e->elems + i)) sum += d * d;
    }
    return sum;
}

static void find_neighbour(dmc__entropy *e, size_t first, size_t i)
{
    double least = INFINITY;
    for (size_t j = 0; j < e->pool; j++) {
        if (j == i) continue;
        const double d = square_distance(e, first + i, first + j);
        if (d >= least && least < INFINITY) continue;
        least = d;
        e->nearest[first + i] = j;
    }
    e->rho[first + i] = sqrt(least) + 1e-6;
}

/* Root of the mean over free entries of the variance over the candidates. */
static double group_spread(const dmc__entropy *e, size_t first, double dims)
{
    double sum = 0;
    for (size_t i = 0; i < e->elems; i++) {
        double mean = 0, square = 0;
        if (!is_free(e, first * e->elems + i)) continue;
        for (size_t j = 0; j < e->pool; j++) mean += e->z[(first + j) * e->elems + i] / (double)e->pool;
        for (size_t j = 0; j < e->pool; j++) {
            const double d = e->z[(first + j) * e->elems + i] - mean;
            square += d * d / (double)e->pool;
        }
        sum += square;
    }
    return sqrt(sum / dims);
}

void dmc__entropy_measure(dmc__entropy *e, const float *mask)
{
    e->mask = mask;
    for (size_t g = 0; g < e->groups; g++) {
        const size_t first = g * e->pool;
        e->dims[g] = 0;
        for (size_t i = 0; i < e->elems; i++) e->dims[g] += is_free(e, first * e->elems + i);
        for (size_t i = 0; i < e->pool; i++) find_neighbour(e, first, i);
        e->spread[g] = group_spread(e, first, fmax(e->dims[g], 1));
    }
    qsort(e->spread, e->groups, sizeof *e->spread, dmc__order_double);
}

double dmc__entropy_bonus(const dmc__entropy *e, size_t i)
{
    return e->dims[i / e->pool] * log(e->rho[i]);
}

double dmc__entropy_value(const dmc__entropy *e)
{
    double sum = 0;
    for (size_t i = 0; i < samples(e); i++) sum += dmc__entropy_bonus(e, i);
    return sum / (double)samples(e);
}

/* slope <- dH/dz of a group: each pair (i, nn(i)) pushes both ends apart. */
static void group_gradient(const dmc__entropy *e, size_t g)
{
    const size_t first = g * e->pool, n = e->elems;
    memset(e->slope, 0, e->pool * n * sizeof *e->slope);
    for (size_t i = 0; i < e->pool; i++) {
        const size_t j = e->nearest[first + i];
        const double factor = e->dims[g] / ((double)e->pool * e->rho[first + i] * e->rho[first + i]);
        for (size_t k = 0; k < n; k++) {
            const double push = factor * ((double)e->z[(first + i) * n + k] - e->z[(first + j) * n + k]);
            if (!is_free(e, (first + i) * n + k)) continue;
            e->slope[i * n + k] += push;
            e->slope[j * n + k] -= push;
        }
    }
}

void dmc__entropy_gradient(const dmc__entropy *e, double scale, float *out)
{
    const size_t n = e->pool * e->elems;
    for (size_t g = 0; g < e->groups; g++) {
        group_gradient(e, g);
        for (size_t i = 0; i < n; i++) out[g * n + i] = (float)(scale * e->slope[i] / (double)e->groups);
    }
}

double dmc__entropy_spread(const dmc__entropy *e)
{
    return (e->spread[(e->groups - 1) / 2] + e->spread[e->groups / 2]) / 2;
}

double dmc__entropy_tune(double weight, double least, double spread, double floor)
{
    if (spread < floor) weight *= 1.5;
    else if (spread > 1.5 * floor) weight /= 1.5;
    return fmin(fmax(weight, least), 1e6);
}
