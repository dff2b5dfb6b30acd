/* exact_rows.h — tables run in double with a denoiser that is known: on one number, on a Gaussian, on a density. */
#ifndef DMC_TESTS_EXACT_ROWS_H
#define DMC_TESTS_EXACT_ROWS_H

#include "../../lib/diffusion/table.h"
#include "two_modes.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static inline dmc__process some_process(int32_t kind, int32_t schedule, int32_t predict, int32_t steps)
{
    dmc__process_config c = dmc__process_defaults();
    dmc__process p;
    c.kind = kind;
    c.schedule = schedule;
    c.predict = predict;
    c.steps = steps;
    ck_assert_msg(dmc__process_create(&dmc__default_allocator, &c, &p) == DMC_OK, "%s", dmc_last_error());
    return p;
}

/* Predicting x0, which every process knows. */
static inline dmc__process plain_process(int32_t kind, int32_t steps)
{
    return some_process(kind, DMC__SCHEDULE_COSINE, DMC__PREDICT_X0, steps);
}

/* Defaults, but for the sampler and its steps. */
static inline dmc__table_config table_of(const dmc__process *p, int32_t sampler, int32_t steps)
{
    dmc__table_config c = dmc__table_defaults(p);
    c.sampler = sampler;
    c.steps = steps;
    return c;
}

static inline dmc__table exact_table(const dmc__process *p, const dmc__table_config *c)
{
    dmc__table t;
    ck_assert_msg(dmc__table_create(&dmc__default_allocator, p, c, &t) == DMC_OK, "%s", dmc_last_error());
    return t;
}

static inline void assert_near(double value, double wanted, double tolerance)
{
    ck_assert_msg(fabs(value - wanted) <= tolerance * fmax(1, fabs(wanted)), "%.17g, expected %.17g", value, wanted);
}

/* ---- one number ----------------------------------------------------------------------------------------- */

/* z' of a row from z with predicted sample x and noise xi; h is read, then replaced. */
static inline double apply_row(const dmc__row *r, double x, double z, double *h, double xi)
{
    const double next = r->a * x + r->b * z + r->d * *h + r->S * xi;
    if (r->u != 0 || r->w != 0) *h = r->u * x + r->w * z;
    return next;
}

/* The same with the exact denoiser of two_modes.h. */
static inline double two_modes_row(const dmc__row *r, double z, double *h, double xi)
{
    return apply_row(r, r->network ? two_modes_x0(z, r->at.alpha, r->at.sigma) : 0, z, h, xi);
}

/* ---- a Gaussian: data N(m, v), all maps are affine ---------------------------------------------------------- */

typedef struct gauss {
    double z, h, zz, hh, zh; /* means, variances, covariance */
} gauss;

static inline void gauss_row(const dmc__row *r, double m, double v, gauss *g)
{
    const double al = r->at.alpha, si = r->at.sigma;
    const double slope = r->network ? al * v / (al * al * v + si * si) : 0, shift = r->network ? m - slope * al * m : 0;
    const double c = r->a * slope + r->b, k = r->u * slope + r->w;
    const gauss o = *g;
    g->z = c * o.z + r->d * o.h + r->a * shift;
    g->zz = c * c * o.zz + 2 * c * r->d * o.zh + r->d * r->d * o.hh + r->S * r->S;
    if (r->u == 0 && r->w == 0) {
        g->zh = c * o.zh + r->d * o.hh;
        return;
    }
    g->h = k * o.z + r->u * shift;
    g->hh = k * k * o.zz;
    g->zh = c * k * o.zz + r->d * k * o.zh;
}

/* ---- a density ------------------------------------------------------------------------------------------------ */

static inline double normal_cdf(double u)
{
    return .5 * erfc(-u / sqrt(2));
}

enum { EXACT_CELLS = 640, EXACT_POINTS = 4000 };
static const double exact_low = -4, exact_width = 8. / EXACT_CELLS;

static inline double exact_edge(int i)
{
    return exact_low + i * exact_width;
}

/* mass(cells) after one row with noise: each cell's mass spreads as a Gaussian around its mean. */
static inline void spread_masses(const dmc__row *r, double *mass)
{
    double next[EXACT_CELLS] = {0}, none = 0;
    for (int i = 0; i < EXACT_CELLS; i++) {
        if (mass[i] < 1e-12) continue;
        const double mu = two_modes_row(r, exact_edge(i) + exact_width / 2, &none, 0);
        const int from = (int)fmin(fmax((mu - 6 * r->S - exact_low) / exact_width, 0), EXACT_CELLS - 1);
        const int to = (int)fmax(fmin((mu + 6 * r->S - exact_low) / exact_width, EXACT_CELLS - 1), 0);
        double below = 0;
        for (int j = from; j <= to; j++) {
            const double upto = j == to ? 1 : normal_cdf((exact_edge(j + 1) - mu) / r->S);
            next[j] += mass[i] * (upto - below);
            below = upto;
        }
    }
    memcpy(mass, next, sizeof next);
}

/* Integral of |F - F_data| over a fine grid; F from points x with masses, in ascending order. */
static inline double two_modes_distance(const double *x, const double *mass, int n)
{
    const double step = 1e-3;
    double w1 = 0, model = 0;
    int next = 0;
    for (double at = -2; at < 2; at += step) {
        while (next < n && x[next] <= at) model += mass[next++];
        w1 += fabs(model - two_modes_cdf(at)) * step;
    }
    return w1;
}

/* With noise: the density on a grid of cells, row by row; the last, noiseless row moves the cells' centres. */
static inline double distance_with_noise(const dmc__table *t)
{
    static double mass[EXACT_CELLS], x[EXACT_CELLS];
    double none = 0;
    for (int i = 0; i < EXACT_CELLS; i++)
        mass[i] = normal_cdf(exact_edge(i + 1) / t->start) - normal_cdf(exact_edge(i) / t->start);
    for (int32_t k = 0; k + 1 < t->k; k++) spread_masses(&t->row[k], mass);
    for (int i = 0; i < EXACT_CELLS; i++) x[i] = two_modes_row(&t->row[t->k - 1], exact_edge(i) + exact_width / 2, &none, 0);
    return two_modes_distance(x, mass, EXACT_CELLS);
}

static inline int by_place(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Without: quantiles of the noise are moved, and sorted where a map was not monotone. */
static inline double distance_without_noise(const dmc__table *t)
{
    static double point[EXACT_POINTS][2], x[EXACT_POINTS], mass[EXACT_POINTS];
    for (int i = 0; i < EXACT_POINTS; i++) {
        const double z = -4 + 8. * (i + .5) / EXACT_POINTS;
        double h = 0;
        point[i][0] = z * t->start;
        point[i][1] = normal_cdf(z + 4. / EXACT_POINTS) - normal_cdf(z - 4. / EXACT_POINTS);
        for (int32_t k = 0; k < t->k; k++) point[i][0] = two_modes_row(&t->row[k], point[i][0], &h, 0);
    }
    qsort(point, EXACT_POINTS, sizeof *point, by_place);
    for (int i = 0; i < EXACT_POINTS; i++) x[i] = point[i][0], mass[i] = point[i][1];
    return two_modes_distance(x, mass, EXACT_POINTS);
}

#endif
