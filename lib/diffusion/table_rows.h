/* table_rows.h — what tables are made of: the levels of a grid, and the rows of each family of samplers. */
#ifndef DMC_DIFFUSION_TABLE_ROWS_H
#define DMC_DIFFUSION_TABLE_ROWS_H

#include "table.h"

/* Rows of one chain: noise is numbered call*4096 + row (rollout.c). */
enum { DMC__MAX_ROWS = 4096, DMC__MAX_CONTINUOUS_STEPS = 1000 };

/* What every row is made from. Step i leads from at[i] to at[i + 1]. */
typedef struct dmc__steps {
    const dmc__process *p;
    const dmc__table_config *c; /* AUTO resolved                                                  */
    const dmc__level *at;       /* (c->steps + 1), noisiest first; the last is clean, but in compat */
} dmc__steps;

/* ---- table_check.c: what may be asked for -------------------------------------------------------------- */

/* AUTO as what it stands for. */
dmc__table_config dmc__table_resolve(const dmc__process *p, const dmc__table_config *c);
/* Of a resolved config; the places of a custom grid are checked where they are taken. */
dmc_status dmc__table_check(const dmc__process *p, const dmc__table_config *c);

/* ---- table_grid.c --------------------------------------------------------------------------------------- */

/* The steps + 1 levels of a table. */
dmc_status dmc__grid_fill(const dmc__process *p, const dmc__table_config *c, dmc__level *at);

/* ---- one file per family ---------------------------------------------------------------------------------- */

/* methods.md 1.3: v = eta^2 (sigma_s^2/sigma_t^2)(sigma_t^2 - (alpha_t/alpha_s)^2 sigma_s^2),
 * mu = alpha_s x + sqrt(max(sigma_s^2 - v, 0)) eps_hat. Exact marginals on every path. */
dmc__row dmc__row_eta(const dmc__level *t, const dmc__level *s, double eta);
/* CleanDiffuser's ddpm: 1e-8 under the root, no noise in the last step. */
dmc__row dmc__row_eta_compat(const dmc__steps *g, int32_t i);
/* EULER and HEUN: one row or two. */
int32_t dmc__rows_ode(const dmc__steps *g, int32_t i, dmc__row row[2]);
/* Deviation of what a chain begins with. */
double dmc__ode_start(const dmc__steps *g);
/* EULER_MARUYAMA, FLOW_SDE, REINFLOW. */
dmc__row dmc__row_sde(const dmc__steps *g, int32_t i);
/* The DPM solvers. */
dmc__row dmc__row_dpm(const dmc__steps *g, int32_t i);

/* ---- table_jump.c: RePaint ---------------------------------------------------------------------------------- */

/* How many levels a walk down `steps` levels stops at, the clean one included. jumps <= 1: steps + 1. */
int64_t dmc__jump_count(int32_t steps, int32_t jump, int32_t jumps);
/* Those levels, steps - 1 is the noisiest and -1 the clean one. */
void dmc__jump_levels(int32_t steps, int32_t jump, int32_t jumps, int32_t *level);
/* From a level back to a noisier one. */
dmc__row dmc__row_jump(const dmc__level *from, const dmc__level *to);

#endif
