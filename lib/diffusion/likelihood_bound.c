/* likelihood_bound.c — the evidence lower bound as weighted errors of the network.
 *
 *     -KL(q(z_N|x0) || N(0,I)) - sum_j 1/2 (SNR_{j-1} - SNR_j) Q_j^2 (y - f)^2 - 1/2 ln(2 pi v) - Q_0^2 (y - f)^2 / (2 v)
 *
 * over a chain of levels: the process's own T of a discrete clock, N that share its log-SNR equally of a continuous one.
 */
#include <math.h>

#include "likelihood_parts.h"

static const double two_pi = 6.28318530717958647692;
/* Where the shares of a clock end that goes on to SNR infinity and 0. The first term says what is finer than 1 % of a unit. */
static const double open_end = .01;

static double snr(const dmc__process *p, double time)
{
    const dmc__level l = dmc__process_level(p, time);
    return dmc__level_snr(&l);
}

/* What one unit of squared network error costs where x0's costs c, since x0 - x0hat = Q (target - f). */
static double error_weight(const dmc__process *p, double time, double c)
{
    const dmc__level l = dmc__process_level(p, time);
    double P, Q;
    dmc__process_x0(p, &l, &P, &Q);
    return c * Q * Q;
}

static double step_weight(const dmc__process *p, double from, double to)
{
    return error_weight(p, to, .5 * (snr(p, from) - snr(p, to)));
}

/* End of the stratum that starts at index lo when `left` strata are still to come: equal shares of what is left of the
 * log-SNR, because the weights per unit of it are alike. All remaining indices get one stratum each if they fit. */
static int32_t stratum_end(const dmc__process *p, int32_t lo, int32_t left)
{
    const double from = log(snr(p, lo - 1)), to = log(snr(p, p->steps - 1));
    const double goal = from + (to - from) / left;
    int32_t hi = lo + 1;
    if (left == 1) return p->steps;
    while (hi < p->steps - (left - 1) && log(snr(p, hi)) >= goal) hi++;
    return hi;
}

/* A stratum's middle index stands for all of it. */
static void discrete_steps(dmc__likelihood *l)
{
    const dmc__process *p = l->process;
    for (int32_t lo = 1; l->terms < l->config.steps && lo < p->steps;) {
        const int32_t hi = stratum_end(p, lo, l->config.steps - l->terms), mid = lo + (hi - 1 - lo) / 2;
        double weight = 0;
        for (int32_t i = lo; i < hi; i++) weight += step_weight(p, i - 1, i);
        l->term[l->terms++] = (dmc__likelihood_term){mid, weight, (uint64_t)mid};
        lo = hi;
    }
}

/* Level j of n; the last is the clock's end even where its SNR is 0, which has no logarithm. */
static double continuous_time(const dmc__process *p, int32_t j, int32_t n)
{
    const int32_t open = p->config.kind == DMC__PROCESS_FLOW;
    const dmc__level clean = dmc__process_level(p, open ? open_end : p->t_min);
    const dmc__level noise = dmc__process_level(p, open ? 1 - open_end : p->t_max);
    const double from = log(clean.sigma / clean.alpha), to = log(noise.sigma / noise.alpha);
    const int32_t shares = open ? n - 2 : n - 1;
    if (j == n - 1) return p->t_max;
    const double s = exp(from + (to - from) * j / (shares > 0 ? shares : 1));
    return dmc__likelihood_time(p, s / (1 + s));
}

static void continuous_steps(dmc__likelihood *l)
{
    const dmc__process *p = l->process;
    for (int32_t j = 1; j < l->config.steps; j++) {
        const double time = continuous_time(p, j, l->config.steps);
        l->term[l->terms++] = (dmc__likelihood_term){time, step_weight(p, l->term[j - 1].time, time), (uint64_t)j};
    }
}

/* The first term reconstructs x0 from the cleanest level. */
void dmc__likelihood_bound_terms(dmc__likelihood *l)
{
    const dmc__process *p = l->process;
    const double time = p->discrete ? 0 : continuous_time(p, 0, l->config.steps);
    const double variance = p->discrete ? p->beta[0] : 1 / snr(p, time);
    l->constant = -.5 * log(two_pi * variance);
    l->last = dmc__process_level(p, p->t_max);
    l->term[0] = (dmc__likelihood_term){time, error_weight(p, time, .5 / variance), 0};
    l->terms = 1;
    if (p->discrete) discrete_steps(l);
    else continuous_steps(l);
}

double dmc__likelihood_bound_rest(const dmc__likelihood *l, double square)
{
    const double signal = l->last.alpha * l->last.alpha, noise = l->last.sigma * l->last.sigma;
    return l->constant - .5 * (signal * square + noise - 1 - log(noise));
}
