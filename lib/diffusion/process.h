/* process.h — the noise process and what the network predicts. All schedule arithmetic in double.
 *
 * Discrete VP: z_i = alpha_i x0 + sigma_i eps for i = 0..T-1, alpha_i = sqrt(abar_i); the network gets t = i.
 */
#ifndef DMC_DIFFUSION_PROCESS_H
#define DMC_DIFFUSION_PROCESS_H

#include "../base/alloc.h"

enum { DMC__SCHEDULE_COSINE = 0, DMC__SCHEDULE_LINEAR = 1, DMC__SCHEDULE_VP = 2 };
enum { DMC__PREDICT_EPSILON = 0, DMC__PREDICT_X0 = 1, DMC__PREDICT_V = 2 };

typedef struct dmc__process {
    const dmc__allocator *alloc;
    int32_t schedule, predict, steps; /* T */
    double clip;                      /* 0 = off */
    double *beta, *abar, *alpha, *sigma; /* (T) */
} dmc__process;

dmc_status dmc__process_create(const dmc__allocator *a, int32_t schedule, int32_t predict, int32_t steps, double clip,
                               dmc__process *out);
void dmc__process_free(dmc__process *p);
/* x0hat = P z + Q f at time index i. */
void dmc__process_x0(const dmc__process *p, int32_t i, double *P, double *Q);
/* Training target = p x0 + q eps at time index i. */
void dmc__process_target(const dmc__process *p, int32_t i, double *coef_x0, double *coef_eps);
/* Factor from the network's squared error to the one preferences are measured in at time index i: epsilon for epsilon
 * networks, velocity for v and x0 networks (methods.md 3: an epsilon error would leave the noisy steps of an x0 network, where
 * lambda is 0, without any say). |v - v_hat|^2 = (1 + lambda) |x0 - x0_hat|^2. */
double dmc__process_preference_weight(const dmc__process *p, int32_t i);
/* Posterior variance beta~_i = beta_i (1-abar_{i-1})/(1-abar_i), 0 at i = 0. */
double dmc__process_posterior_var(const dmc__process *p, int32_t i);
/* SNR lambda_i = alpha_i^2 / sigma_i^2. */
double dmc__process_snr(const dmc__process *p, int32_t i);

#endif
