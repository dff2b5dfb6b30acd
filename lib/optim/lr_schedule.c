/* lr_schedule.c — the learning rate over a run. */
#include <math.h>

#include "learner.h"

double dmc__lr_cosine(double lr, int64_t step, int64_t warmup, int64_t total)
{
    if (step < warmup) return lr * (double)(step + 1) / (double)warmup;
    if (total <= 0) return lr;
    if (step >= total) return 0;
    const double x = (double)(step - warmup) / (double)(total - warmup);
    return 0.5 * lr * (1 + cos(3.14159265358979323846 * x));
}
