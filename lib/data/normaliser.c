/* normaliser.c — scaling of columns. */
#include "normaliser.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "../base/checked.h"

/* shift, scale, lo and hi are the quarters of one block. */
static void point_into(dmc__normaliser *m, float *block)
{
    m->shift = block;
    m->scale = block + m->n;
    m->lo = block + 2 * (size_t)m->n;
    m->hi = block + 3 * (size_t)m->n;
}

dmc_status dmc__normaliser_create(const dmc__allocator *a, int32_t kind, int32_t n,
                                  dmc__normaliser *out)
{
    float *block;
    *out = (dmc__normaliser){0};
    if (kind < DMC__NORM_NONE || kind > DMC__NORM_MINMAX)
        return dmc__fail(DMC_ERANGE, "normaliser: kind = %d, must be %d..%d", kind, DMC__NORM_NONE,
                         DMC__NORM_MINMAX);
    if (n < 1) return dmc__fail(DMC_ERANGE, "normaliser: n = %d, must be at least 1", n);
    DMC_TRY(DMC_NEW(a, 4 * (size_t)n, &block));
    *out = (dmc__normaliser){.alloc = a, .kind = kind, .n = n};
    point_into(out, block);
    for (int32_t i = 0; i < n; i++) out->scale[i] = 1;
    return DMC_OK;
}

void dmc__normaliser_free(dmc__normaliser *m)
{
    if (m->shift) DMC_FREE(m->alloc, m->shift, 4 * (size_t)m->n);
    *m = (dmc__normaliser){0};
}

static void find_limits(dmc__normaliser *m, const float *x, size_t rows)
{
    const size_t n = (size_t)m->n;
    for (size_t j = 0; j < n; j++) m->lo[j] = m->hi[j] = x[j];
    for (size_t i = 1; i < rows; i++)
        for (size_t j = 0; j < n; j++) {
            const float v = x[i * n + j];
            if (v < m->lo[j]) m->lo[j] = v;
            if (v > m->hi[j]) m->hi[j] = v;
        }
}

/* Mean and standard deviation of column j, in two passes. */
static void column_moments(const float *x, size_t rows, size_t n, size_t j, double *mean,
                           double *sd)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < rows; i++) sum += x[i * n + j];
    *mean = sum / (double)rows;
    for (size_t i = 0; i < rows; i++) {
        const double d = x[i * n + j] - *mean;
        squares += d * d;
    }
    *sd = sqrt(squares / (double)rows);
}

void dmc__normaliser_fit(dmc__normaliser *m, const float *x, size_t rows)
{
    if (rows == 0) return;
    find_limits(m, x, rows);
    for (int32_t j = 0; j < m->n; j++) {
        double shift = 0, scale = 1;
        if (m->kind == DMC__NORM_GAUSSIAN) {
            column_moments(x, rows, (size_t)m->n, (size_t)j, &shift, &scale);
        } else if (m->kind == DMC__NORM_MINMAX) {
            shift = ((double)m->lo[j] + m->hi[j]) / 2;
            scale = ((double)m->hi[j] - m->lo[j]) / 2;
        }
        m->shift[j] = (float)shift;
        m->scale[j] = scale < FLT_MIN ? 1 : (float)scale; /* constant, or as good as */
    }
}

dmc_status dmc__normaliser_copy(const dmc__allocator *a, const dmc__normaliser *from,
                                dmc__normaliser *out)
{
    DMC_TRY(dmc__normaliser_create(a, from->kind, from->n, out));
    memcpy(out->shift, from->shift, 4 * (size_t)from->n * sizeof *from->shift);
    return DMC_OK;
}

void dmc__normaliser_apply(const dmc__normaliser *m, const float *x, size_t rows, float *y)
{
    const size_t n = (size_t)m->n;
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < n; j++) y[i * n + j] = (x[i * n + j] - m->shift[j]) / m->scale[j];
}

void dmc__normaliser_invert(const dmc__normaliser *m, const float *y, size_t rows, float *x)
{
    const size_t n = (size_t)m->n;
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < n; j++) x[i * n + j] = y[i * n + j] * m->scale[j] + m->shift[j];
}

int32_t dmc__normaliser_alike(const dmc__normaliser *a, const dmc__normaliser *b)
{
    const size_t bytes = (size_t)a->n * sizeof *a->shift;
    return a->n == b->n && memcmp(a->shift, b->shift, bytes) == 0 && memcmp(a->scale, b->scale, bytes) == 0;
}
