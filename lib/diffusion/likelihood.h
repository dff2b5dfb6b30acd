/* likelihood.h — how likely clean samples are under a model: a bound, a cheap score, or the density itself.
 *
 * All of them are nats per counted entry of the normalised sample. Known entries count nowhere; predicted samples are not
 * clipped. docs/math/likelihood.md.
 */
#ifndef DMC_DIFFUSION_LIKELIHOOD_H
#define DMC_DIFFUSION_LIKELIHOOD_H

#include "process.h"
#include "../nn/net.h"

enum {
    DMC__LIKELIHOOD_BOUND = 0,      /* evidence lower bound, one noise per level                          */
    DMC__LIKELIHOOD_BANK = 1,       /* -sum_k |eps_k - eps_hat|^2 over a fixed bank: a score, no density  */
    DMC__LIKELIHOOD_HUTCHINSON = 2, /* probability-flow ODE, divergence estimated                         */
    DMC__LIKELIHOOD_EXACT = 3,      /* probability-flow ODE, divergence exact: a VJP per entry            */
    DMC__LIKELIHOODS = 4
};

typedef struct dmc__likelihood_config {
    int32_t method;  /* DMC__LIKELIHOOD_*                                                                          */
    int32_t steps;   /* levels of the bound, draws of the bank, intervals of the ODE; 0: min(T,64) or 64, 64, 20   */
    int32_t probes;  /* HUTCHINSON: vectors per trajectory                                                         */
    int32_t noised_known; /* known entries are noised like the rest (rollout.h), which only BOUND and BANK can follow */
    uint64_t seed;   /* of noise and vectors                                                                       */
} dmc__likelihood_config;

typedef struct dmc__likelihood dmc__likelihood;

/* For batches of this size. Net and process must outlive it. DMC_EINVAL, DMC_ERANGE. */
dmc_status dmc__likelihood_create(const dmc__net *net, dmc__device *d, const dmc__process *p, int32_t batch,
                                  const dmc__likelihood_config *c, dmc__likelihood **out);
void dmc__likelihood_destroy(dmc__likelihood *l);
void dmc__likelihood_bind(dmc__likelihood *l, const void *weights);

/* Host, normalised. The arguments of dmc__denoise_set; the ODE needs every entry to be known or to count. */
typedef struct dmc__likelihood_batch {
    const float *x0, *cond, *extra, *mask, *weight;
    uint64_t first; /* number of the first sample: sample b's vectors are those of first + b */
} dmc__likelihood_batch;
/* out: host (batch). */
dmc_status dmc__likelihood_run(dmc__likelihood *l, const dmc__likelihood_batch *x, double *out);

#endif
