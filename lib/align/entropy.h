/* entropy.h — how much the candidates of a condition differ: nearest-neighbour entropy and its gradient (methods.md 2.6).
 *
 * With fixed noise levels the steps' own entropy is constant, so what is measured are samples: per group of G candidates with D
 * free entries each, rho_i = |z_i - z_nn(i)| + 1e-6 to the nearest other candidate and H = D/G sum_i ln rho_i, which is the entropy
 * up to a constant. Host arithmetic in double.
 */
#ifndef DMC_ALIGN_ENTROPY_H
#define DMC_ALIGN_ENTROPY_H

#include "../base/alloc.h"

typedef struct dmc__entropy dmc__entropy;

/* Groups of `pool` >= 2 samples of `elems` numbers. */
dmc_status dmc__entropy_create(const dmc__allocator *a, int32_t groups, int32_t pool, size_t elems, dmc__entropy **out);
void dmc__entropy_destroy(dmc__entropy *e);
/* Where the samples are put: (groups, pool, elems). */
float *dmc__entropy_samples(dmc__entropy *e);
/* Find the neighbours. mask (groups, pool, elems): 1 = in-painted, the same within a group; NULL = none. It must live until the
 * last call that reads the result. */
void dmc__entropy_measure(dmc__entropy *e, const float *mask);
/* H, mean over the groups. */
double dmc__entropy_value(const dmc__entropy *e);
/* D ln rho_i of sample i: what it does for the entropy, as a reward. */
double dmc__entropy_bonus(const dmc__entropy *e, size_t i);
/* g (groups, pool, elems) <- scale dH/dz, with dH/dz_i = D/G [(z_i - z_nn)/rho_i^2 + sum_{j: nn(j)=i} (z_i - z_j)/rho_j^2] over the
 * number of groups; 0 where in-painted. */
void dmc__entropy_gradient(const dmc__entropy *e, double scale, float *g);
/* Median over the groups of the candidates' standard deviation (root of the mean variance of the free entries). */
double dmc__entropy_spread(const dmc__entropy *e);
/* The weight of the entropy after an update that measured this spread: 1.5 times as large below the floor, as small above 1.5 times
 * that; within least .. 1e6. (Candidates that have become one point have no gradient apart, so a weight must not fade before.) */
double dmc__entropy_tune(double weight, double least, double spread, double floor);

#endif
