/* table.h — a sampler is a table (architecture.md idea 2): K rows of an affine Gaussian transition
 *
 *     x = clip(P z + Q f(z,t,c));   mu = a x + b z;   z' = mu + S xi.
 *
 * The same rows drive sampling, the per-step log-probability, and the gradient through the last steps.
 */
#ifndef DMC_DIFFUSION_TABLE_H
#define DMC_DIFFUSION_TABLE_H

#include "process.h"

enum { DMC__SAMPLER_DDPM = 0, DMC__SAMPLER_DDIM = 1 };
enum { DMC__GRID_LINSPACE = 0, DMC__GRID_TRAILING = 1, DMC__GRID_LEADING = 2 };

typedef struct dmc__row {
    int32_t index;          /* time index i the network sees (t = i)                          */
    double P, Q, a, b, S;   /* S: standard deviation of the noise added                       */
    double logp_std;        /* max(S, floor): the sigma~ of log-probabilities; equals S when a floor is used */
} dmc__row;

typedef struct dmc__table {
    const dmc__allocator *alloc;
    int32_t k;              /* rows, noisiest first */
    double clip;
    dmc__row *row;
} dmc__table;

typedef struct dmc__table_config {
    int32_t sampler, grid;
    int32_t steps;          /* K, 1..T                                                        */
    double eta;             /* variance share; DDPM is 1                                      */
    double std_floor;       /* >0: S = max(S, floor) on every row, also the last (training); 0: S = 0 on the last row */
} dmc__table_config;

/* methods.md 1.3: v = eta^2 (sigma_s^2/sigma_t^2)(sigma_t^2 - (alpha_t/alpha_s)^2 sigma_s^2),
 * mu = alpha_s x + sqrt(max(sigma_s^2 - v, 0)) eps_hat; the last row goes to alpha = 1, sigma = 0.
 * DMC_ERANGE: steps > T. */
dmc_status dmc__table_create(const dmc__allocator *a, const dmc__process *p, const dmc__table_config *c, dmc__table *out);
void dmc__table_free(dmc__table *t);

#endif
