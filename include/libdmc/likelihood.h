/* likelihood.h — how likely samples are under a model: to judge generated ones, to find outliers, to watch training.
 *
 * Four methods for every noise process; docs/math/likelihood.md has the formulas and what was measured:
 *
 *     bound            evidence lower bound, one noise per level: ranks well, lies below
 *     bank             -sum |eps - eps_hat|^2 over a fixed bank of draws: a cheap score, no density
 *     flow_hutchinson  the density by the probability-flow ODE, its divergence estimated along random signs
 *     flow_exact       the same with the exact divergence: one backward pass per entry of a sample and evaluation
 *
 * All are divided by the number of entries that are not known, and are of the normalised sample: for a density in dataset units
 * subtract the mean over those entries of ln of the normaliser's scale. Predicted samples are not clipped.
 *
 * Threads: the model is only read.
 */
#ifndef LIBDMC_LIKELIHOOD_H
#define LIBDMC_LIKELIHOOD_H

#include "model.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    DMC_LIKELIHOOD_BOUND = 0,
    DMC_LIKELIHOOD_BANK = 1,
    DMC_LIKELIHOOD_FLOW_HUTCHINSON = 2,
    DMC_LIKELIHOOD_FLOW_EXACT = 3
};

typedef struct dmc_likelihood_options {
    uint32_t struct_size;
    int32_t method;       /* DMC_LIKELIHOOD_*; default bound                                                    */
    int32_t steps;        /* levels of the bound (at most T of a process with T), draws of the bank, intervals  */
                          /* of the ODE; 0: min(T,64) or 64, 64, 20; default 0                                  */
    int32_t probes;       /* flow_hutchinson: vectors of signs per sample, 1..256; default 1                    */
    uint64_t seed;        /* of noise and signs; default 0                                                      */
    double target_return; /* planner with returns: the return it is conditioned on, 0..1 of the data's; default 1 */
} dmc_likelihood_options;

/* Defaults. size = sizeof *o. */
DMC_API dmc_status dmc_likelihood_options_init(dmc_likelihood_options *o, size_t size);

/* out (n) for n samples z (n,horizon,cols) in dataset units. A policy needs obs (n,n_obs*obs_dim), oldest observation first, in
 * dataset units; with cameras followed in each row by n_obs frames (h,w,c) of every camera as numbers from -1 to 1. A planner may
 * have obs (n,obs_dim), the current state, which is put into row 0 as when sampling; NULL: z has it there. That state is known and
 * counts for nothing. A cascade is left out. Sample i has the noise and signs of number i, however many there are.
 * o NULL: defaults. Allocates; not real-time.
 * Errors: DMC_EINVAL (role, a missing obs), DMC_ERANGE (n = 0, steps), DMC_ENUMERIC (input or result not finite), DMC_ENOMEM. */
DMC_API DMC_NODISCARD dmc_status dmc_likelihood(const dmc_model *m, const dmc_likelihood_options *o, size_t n, const float *obs,
                                                const float *z, double *out);

#ifdef __cplusplus
}
#endif
#endif
