/* watch.c — medians over a ring, by sorting a copy. */
#include "watch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../base/order.h"

enum { LEAST_SEEN = 20 };

/* Sorts v. */
static double median(double *v, int32_t n)
{
    qsort(v, (size_t)n, sizeof *v, dmc__order_double);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

/* The deviation has a floor, for losses that do not vary at all. */
static double z_score(const double *ring, int32_t n, double x)
{
    double v[DMC__WATCH_UPDATES];
    memcpy(v, ring, (size_t)n * sizeof *v);
    const double middle = median(v, n);
    for (int32_t i = 0; i < n; i++) v[i] = fabs(ring[i] - middle);
    return (x - middle) / fmax(1.4826 * median(v, n), 1e-3 * fabs(middle) + 1e-6);
}

static double ratio(const double *ring, int32_t n, double x)
{
    double v[DMC__WATCH_UPDATES];
    memcpy(v, ring, (size_t)n * sizeof *v);
    const double middle = median(v, n);
    return middle > 1e-12 ? x / middle : NAN;
}

void dmc__watch_update(dmc__watch *w, double loss, double norm, double *loss_z, double *norm_ratio)
{
    const int32_t n = w->seen < DMC__WATCH_UPDATES ? (int32_t)w->seen : DMC__WATCH_UPDATES;
    const int32_t at = (int32_t)fmod(w->seen, DMC__WATCH_UPDATES);
    *loss_z = *norm_ratio = NAN;
    if (!isfinite(loss) || !isfinite(norm)) return;
    if (n >= LEAST_SEEN) {
        *loss_z = z_score(w->loss, n, loss);
        *norm_ratio = ratio(w->norm, n, norm);
    }
    w->loss[at] = loss;
    w->norm[at] = norm;
    w->seen++;
}
