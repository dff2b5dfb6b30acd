/* likelihood_bank.c — the cheap score: errors of the noise prediction on a fixed bank of levels and noises.
 *
 *     S(x0) = -sum_k |eps_k - eps_hat(z_k)|^2,   eps - eps_hat = -(alpha/sigma) (x0 - x0_hat) = -(alpha/sigma) Q (y - f)
 */
#include <math.h>

#include "likelihood_parts.h"

/* The middle of the k-th of n equal shares: of the T levels, or of sigma/(alpha+sigma). */
static double share_time(const dmc__process *p, int32_t k, int32_t n)
{
    const double middle = (k + .5) / n;
    return p->discrete ? floor(middle * p->steps) : dmc__likelihood_time(p, middle);
}

void dmc__likelihood_bank_terms(dmc__likelihood *l)
{
    const dmc__process *p = l->process;
    for (l->terms = 0; l->terms < l->config.steps; l->terms++) {
        const double time = share_time(p, l->terms, l->config.steps);
        const dmc__level at = dmc__process_level(p, time);
        double P, Q;
        dmc__process_x0(p, &at, &P, &Q);
        l->term[l->terms] = (dmc__likelihood_term){time, dmc__level_snr(&at) * Q * Q, (uint64_t)l->terms};
    }
}
