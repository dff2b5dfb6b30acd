/* likelihood_levels.c — places on a process's path by how much of them is noise, whatever its clock counts. */
#include <math.h>

#include "likelihood_parts.h"

double dmc__likelihood_fraction(const dmc__level *l)
{
    return l->sigma / (l->alpha + l->sigma);
}

static double fraction_at(const dmc__process *p, double time)
{
    const dmc__level l = dmc__process_level(p, time);
    return dmc__likelihood_fraction(&l);
}

/* Noise grows with the clock on every process. */
double dmc__likelihood_time(const dmc__process *p, double fraction)
{
    double lo = p->t_min, hi = p->t_max;
    if (p->discrete) {
        double i = 0;
        while (i < hi && fabs(fraction_at(p, i + 1) - fraction) <= fabs(fraction_at(p, i) - fraction)) i++;
        return i;
    }
    if (fraction <= fraction_at(p, lo)) return lo;
    if (fraction >= fraction_at(p, hi)) return hi;
    for (int32_t i = 0; i < 100; i++) {
        const double mid = .5 * (lo + hi);
        if (fraction_at(p, mid) < fraction) lo = mid;
        else hi = mid;
    }
    return hi;
}
