/* two_modes.h — a one-dimensional mixture .3 N(-.5, .1^2) + .7 N(.5, .1^2) whose exact denoiser is known.
 *
 * methods.md 1.3 gives W1 distances of such a mixture without saying which; this one gives seven of its eight within 20 %.
 */
#ifndef DMC_TESTS_TWO_MODES_H
#define DMC_TESTS_TWO_MODES_H

#include <math.h>

static const double two_modes_mean[2] = {-.5, .5}, two_modes_weight[2] = {.3, .7}, two_modes_std = .1;

/* E[x0 | alpha x0 + sigma eps = z] */
static inline double two_modes_x0(double z, double alpha, double sigma)
{
    const double variance = alpha * alpha * two_modes_std * two_modes_std + sigma * sigma;
    const double d0 = z - alpha * two_modes_mean[0], d1 = z - alpha * two_modes_mean[1];
    const double odds = two_modes_weight[1] / two_modes_weight[0] * exp((d0 * d0 - d1 * d1) / (2 * variance));
    const double share = isinf(odds) ? 1 : odds / (1 + odds), d = share * d1 + (1 - share) * d0;
    return share * two_modes_mean[1] + (1 - share) * two_modes_mean[0] +
           alpha * two_modes_std * two_modes_std / variance * d;
}

static inline double two_modes_cdf(double x)
{
    double sum = 0;
    for (int i = 0; i < 2; i++)
        sum += two_modes_weight[i] * .5 * erfc(-(x - two_modes_mean[i]) / (two_modes_std * sqrt(2)));
    return sum;
}

static inline double two_modes_log_density(double x)
{
    double sum = 0;
    for (int i = 0; i < 2; i++) {
        const double u = (x - two_modes_mean[i]) / two_modes_std;
        sum += two_modes_weight[i] * exp(-u * u / 2) / (two_modes_std * sqrt(6.28318530717958647692));
    }
    return log(sum);
}

#endif
