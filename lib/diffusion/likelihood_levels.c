/* likelihood_levels.c — places on a process's path by how much of them is noise, whatever its clock counts. */
#include <math.h>

#include "likelihood_parts.h"
#include "schedule.h"

double dmc__likelihood_fraction(const dmc__level *l)
{
    return l->sigma / (l->alpha + l->sigma);
}

static double fraction_at(const dmc__process *p, double time)
{
    const dmc__level l = dmc__process_level(p, time);
    return dmc__likelihood_fraction(&l);
}

static double nearest_level(const dmc__process *p, double fraction)
{
    double i = 0;
    while (i < p->t_max && fabs(fraction_at(p, i + 1) - fraction) <= fabs(fraction_at(p, i) - fraction)) i++;
    return i;
}

double dmc__likelihood_time(const dmc__process *p, double fraction)
{
    const double ratio = fraction / (1 - fraction); /* sigma / alpha */
    double time = fraction;
    if (p->discrete) return nearest_level(p, fraction);
    if (fraction >= fraction_at(p, p->t_max)) return p->t_max;
    if (fraction <= fraction_at(p, p->t_min)) return p->t_min;
    if (p->config.kind == DMC__PROCESS_EDM) time = ratio;
    if (p->config.kind == DMC__PROCESS_VP_SDE) time = dmc__schedule_time(p->config.schedule, ratio);
    return fmin(fmax(time, p->t_min), p->t_max);
}
