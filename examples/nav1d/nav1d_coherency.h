/* nav1d_coherency.h — does a model still describe the world and the data's policy?
 *
 * Eqs. 15 and 16. Eq. 15 asks for s' = T(s,a) exactly, which never happens to a generated number,
 * so a kernel of width .05 stands in for the indicator: real data score 1; the root mean square
 * error says the same in units of the line.
 */
#ifndef NAV1D_COHERENCY_H
#define NAV1D_COHERENCY_H

#include "nav1d_data.h"

/* Plans in the units of the data, (plans,rows,cols), of which one column is the location and one
 * the action. */
typedef struct nav1d_plans {
    const float *x;
    size_t plans, rows, cols;
    size_t state_col, action_col;
} nav1d_plans;

/* Over the plans' transitions, with e = s_{h+1} - clip(s_h + gamma a_h, -1, 1): C = mean
 * exp(-e^2/(2 .05^2)) and rms = sqrt(mean e^2). Returns 0, or -1 if there is no transition, a
 * column is not there or an entry is not finite. */
int32_t nav1d_coherency_plan(const nav1d_plans *p, double *c, double *rms);

/* n observations (n,4) and for each `draws` sampled actions (n,draws), which are clipped to [-1,1]
 * as the environment does.
 *
 * overlap  mean over observations of sum_b min(p(b|s), p_beta(b|s)), 20 bins of
 *          action. A finite sample costs: 256 draws of pi_beta itself score .89
 *          (full), .90 (partial), .93 (expert).
 * density  mean over actions of pi_beta(a|s) / max_a pi_beta(a|s). pi_beta itself
 *          scores 1 (full, as does every policy there), 1 (partial), .64 (expert).
 *
 * Returns 0; or -1 if n or draws is 0, an action is not finite, an observation has no time in
 * 0..11, the behaviour is not valid or an expert's noise is 0. */
int32_t nav1d_coherency_policy(const nav1d_behaviour *b, const float *obs, const float *actions,
                               size_t n, size_t draws, double *overlap, double *density);

#endif
