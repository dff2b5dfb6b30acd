/* table_rows.h — what tables are made of: the levels of a grid, and the rows of each family of samplers. */
#ifndef DMC_DIFFUSION_TABLE_ROWS_H
#define DMC_DIFFUSION_TABLE_ROWS_H

#include "table.h"

/* The steps + 1 levels of a table, noisiest first, the clean one last. */
dmc_status dmc__grid_fill(const dmc__process *p, const dmc__table_config *c, dmc__level *at);

/* methods.md 1.3: v = eta^2 (sigma_s^2/sigma_t^2)(sigma_t^2 - (alpha_t/alpha_s)^2 sigma_s^2),
 * mu = alpha_s x + sqrt(max(sigma_s^2 - v, 0)) eps_hat. Exact marginals on every path. */
dmc__row dmc__row_eta(const dmc__level *t, const dmc__level *s, double eta);

#endif
