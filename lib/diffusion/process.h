/* process.h — the noise process and what the network predicts. All schedule arithmetic in double.
 *
 * Every process is a Gaussian path z = alpha x0 + sigma eps with levels from almost clean to almost noise, and a clock:
 *
 *     VP       T levels of a beta schedule: alpha = sqrt(abar_i). Clock i = 0..T-1.
 *     VP_GRID  T levels of the schedule of VP_SDE, at linspace(1e-3, t_max, T). Clock i = 0..T-1.
 *     VP_SDE   alpha(t) in continuous time. Clock t = 1e-3..t_max.
 *     EDM      y = x0 + s eps for any s > 0 (Karras et al. 2022), held as z = y / sqrt(s^2 + sigma_data^2), which is what its
 *              network is fed. Clock s = sigma_min..sigma_max.
 *     FLOW     alpha = 1-t, sigma = t. Clock t = 0..1.
 */
#ifndef DMC_DIFFUSION_PROCESS_H
#define DMC_DIFFUSION_PROCESS_H

#include "../base/alloc.h"
#include "../base/rng.h"

enum { DMC__PROCESS_VP = 0, DMC__PROCESS_VP_GRID = 1, DMC__PROCESS_VP_SDE = 2, DMC__PROCESS_EDM = 3, DMC__PROCESS_FLOW = 4,
       DMC__PROCESSES = 5 };
enum { DMC__SCHEDULE_COSINE = 0, DMC__SCHEDULE_LINEAR = 1, DMC__SCHEDULE_VP = 2 };
enum { DMC__PREDICT_EPSILON = 0, DMC__PREDICT_X0 = 1, DMC__PREDICT_V = 2, DMC__PREDICT_VELOCITY = 3, DMC__PREDICT_EDM = 4,
       DMC__PREDICTIONS = 5 };

typedef struct dmc__process_config {
    int32_t kind;                /* DMC__PROCESS_*                                                        */
    int32_t schedule;            /* VP*                                                                   */
    int32_t predict;
    int32_t steps;               /* T; for continuous clocks only how many rows a table has by default    */
    double clip;                 /* of the predicted sample; 0 = off                                      */
    double sigma_data;           /* EDM (the process or the prediction): deviation of the data            */
    double sigma_min, sigma_max; /* EDM: range of its clock                                               */
    double log_mean, log_std;    /* EDM: ln s of a training sample is normal                              */
    double logit_std;            /* FLOW: t of a training sample is the logistic of a normal; 0: uniform  */
    double seen_scale;           /* continuous clocks: what the network sees is the clock times this      */
} dmc__process_config;

typedef struct dmc__process {
    const dmc__allocator *alloc;
    dmc__process_config config;
    int32_t discrete;            /* the clock has T values */
    int32_t steps;               /* of the config */
    double t_min, t_max;         /* range of the clock */
    double *beta, *abar, *alpha, *sigma; /* (T) of discrete clocks, else NULL */
} dmc__process;

/* A place on the path. */
typedef struct dmc__level {
    double time;         /* on the clock                                                        */
    double seen;         /* what the network gets as t: i; t seen_scale; ln(s)/4 seen_scale     */
    double alpha, sigma; /* z = alpha x0 + sigma eps                                            */
} dmc__level;

/* VP with everything else at its default: cosine, epsilon, no clip; sigma_data 0.5, 0.002..80, -1.2, 1.2; seen_scale 1. */
dmc__process_config dmc__process_defaults(void);
/* DMC_EINVAL, DMC_ERANGE naming the field and the bound; DMC_EINVAL for epsilon on FLOW, where alpha = 0 has no x0. */
dmc_status dmc__process_create(const dmc__allocator *a, const dmc__process_config *c, dmc__process *out);
void dmc__process_free(dmc__process *p);
size_t dmc__process_bytes(const dmc__process *p); /* held beside itself */

/* DMC_ERANGE unless `time` is on the clock (and whole, where the clock is discrete). */
dmc_status dmc__process_check_time(const dmc__process *p, double time, const char *who);
/* time is on the clock. */
dmc__level dmc__process_level(const dmc__process *p, double time);
/* Clean: alpha 1, sigma 0. */
dmc__level dmc__process_clean(void);
/* The time of a training sample: uniform, or as the config says. Uses blocks 0.. of the stream. */
double dmc__process_draw_time(const dmc__process *p, const dmc__stream *s);

/* x0hat = P z + Q f. */
void dmc__process_x0(const dmc__process *p, const dmc__level *l, double *P, double *Q);
/* Training target = p x0 + q eps, so that x0 - x0hat = Q (target - f). sigma > 0. */
void dmc__process_target(const dmc__process *p, const dmc__level *l, double *coef_x0, double *coef_eps);
/* Factor from the network's squared error to the one preferences are measured in: epsilon for epsilon networks, velocity
 * for the others (methods.md 3: an epsilon error would leave the noisy steps of an x0 network, where lambda is 0, without any
 * say). |v - v_hat|^2 = (1 + lambda) |x0 - x0_hat|^2. */
double dmc__process_preference_weight(const dmc__process *p, const dmc__level *l);
/* Posterior variance beta~_i = beta_i (1-abar_{i-1})/(1-abar_i), 0 at i = 0. Discrete clocks. */
double dmc__process_posterior_var(const dmc__process *p, int32_t i);
/* SNR lambda = alpha^2 / sigma^2. */
double dmc__level_snr(const dmc__level *l);

#endif
