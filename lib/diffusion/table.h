/* table.h — a sampler is a table (architecture.md idea 2): rows of an affine Gaussian transition
 *
 *     x = clip(P z + Q f(z, t, c));   mu = a x + b z + d h;   z' = mu + S xi;   h' = u x + w z if u or w is not 0.
 *
 * h is what a row hands on to a later one (the last prediction of 2M, the first slope of Heun). The same rows drive sampling,
 * the per-step log-probability, and the gradient through the last steps. docs/math/samplers.md lists every table.
 */
#ifndef DMC_DIFFUSION_TABLE_H
#define DMC_DIFFUSION_TABLE_H

#include "process.h"

enum {
    DMC__SAMPLER_DDPM = 0,            /* the eta kernel with eta = 1                           */
    DMC__SAMPLER_DDIM = 1,            /* the eta kernel                                        */
    DMC__SAMPLER_EULER = 2,           /* probability-flow ODE, with churn (EDM)                */
    DMC__SAMPLER_HEUN = 3,            /* the same, second order: two network calls a step      */
    DMC__SAMPLER_EULER_MARUYAMA = 4,  /* reverse SDE; not on FLOW                              */
    DMC__SAMPLER_FLOW_SDE = 5,        /* Flow-GRPO                                             */
    DMC__SAMPLER_REINFLOW = 6,        /* Euler plus noise of a given deviation                 */
    DMC__SAMPLER_DPM = 7,             /* DPM-Solver-1                                          */
    DMC__SAMPLER_DPMPP = 8,           /* DPM-Solver++(1)                                       */
    DMC__SAMPLER_DPMPP_2M = 9,
    DMC__SAMPLER_SDE_DPM = 10,
    DMC__SAMPLER_SDE_DPMPP = 11,
    DMC__SAMPLER_SDE_DPMPP_2M = 12,
    DMC__SAMPLER_AUTO = 13,           /* DDPM; on EDM HEUN, on FLOW EULER                      */
    DMC__SAMPLERS = 14
};
enum {
    DMC__GRID_LINSPACE = 0,
    DMC__GRID_TRAILING = 1,
    DMC__GRID_LEADING = 2,
    DMC__GRID_QUAD = 3,               /* power 1.5 of linspace: dense where it is clean        */
    DMC__GRID_LOGSNR = 4,             /* equal shares of ln(alpha/sigma); not on FLOW          */
    DMC__GRID_KARRAS = 5,             /* equal shares of (sigma/alpha)^(1/rho); not on FLOW    */
    DMC__GRID_CUSTOM = 6,
    DMC__GRID_AUTO = 7,               /* LINSPACE; on EDM KARRAS, on FLOW TRAILING             */
    DMC__GRIDS = 8
};

typedef struct dmc__row {
    dmc__level at, to;      /* from here to there                                                            */
    double P, Q, a, b, d, S; /* S: standard deviation of the noise added                                     */
    double u, w;            /* what is handed on                                                             */
    double logp_std;        /* max(S, 1e-3): the sigma~ of log-probabilities; equals S where a floor is used */
    int32_t network;        /* 0: a row that only adds noise (RePaint): a = Q = 0                            */
    int32_t ends;           /* a denoising step ends here: z' is on the path (Heun's first call is not). A chain may begin */
                            /* before row k only if row k - 1 ends, and with no row before it 2M starts over             */
} dmc__row;

typedef struct dmc__table {
    const dmc__allocator *alloc;
    int32_t k;              /* rows, noisiest first */
    int32_t carries;        /* some row hands on    */
    double clip;
    double start;           /* deviation of the latent the first row begins with: 1; on EDM sigma of it (Karras et al. 2022) */
    dmc__row *row;
} dmc__table;

typedef struct dmc__table_config {
    int32_t sampler, grid;
    int32_t steps;          /* K denoising steps, 1..T where the clock is discrete, else 1..1000 */
    double eta;             /* DDIM: share of the noise                                       */
    double std_floor;       /* >0: S = max(S, floor) where a step ends, the last too (training); 0: the last has S = 0 */
    double rho;             /* KARRAS                                                         */
    const double *times;    /* CUSTOM: (steps) places on the clock, noisiest first            */
    double churn, churn_min, churn_max, churn_noise; /* EULER, HEUN on EDM (Karras et al. 2022, alg. 2); churn 0: none */
    double sde_noise;       /* FLOW_SDE: a                                                    */
    double step_noise;      /* REINFLOW: deviation                                            */
    int32_t jump, jumps;    /* RePaint: length of a jump back in steps, and how often every stretch is walked; jumps <= 1: off */
    int32_t compat;         /* 1: tables of CleanDiffuser (networks.md 2.3, 2.4)              */
} dmc__table_config;

/* AUTO sampler and grid, K = the process's steps, eta 0, no floor; rho 7, churn 0 .05..50 1.003, sde_noise .7, step_noise .1. */
dmc__table_config dmc__table_defaults(const dmc__process *p);
/* DMC_ERANGE: steps > T and others; DMC_EINVAL: a sampler or grid the process cannot have. */
dmc_status dmc__table_create(const dmc__allocator *a, const dmc__process *p, const dmc__table_config *c, dmc__table *out);
void dmc__table_free(dmc__table *t);
/* The row where nothing was handed on before it: what 2M's is of first order. */
dmc__row dmc__row_alone(const dmc__row *row);

#endif
