/* denoise.h — the denoising loss (paper eq. 5), for batches of clean samples. */
#ifndef DMC_DIFFUSION_DENOISE_H
#define DMC_DIFFUSION_DENOISE_H

#include "affine.h"
#include "chain_grad.h"

typedef struct dmc__denoise dmc__denoise;

/* Buffers for one batch over an existing chain (network plan). */
dmc_status dmc__denoise_create(dmc__chain *c, const dmc__net *net, dmc__device *d, const dmc__process *p, int32_t batch,
                               dmc__denoise **out);
void dmc__denoise_destroy(dmc__denoise *n);

/* Host inputs, normalised: x0 (batch,T,cols), cond (batch,cond) or NULL, extra or NULL, mask (batch,T,cols) 1 = known (no
 * loss) or NULL, weight (batch,T,cols) loss weights or NULL (0 = no loss, e.g. padding). */
dmc_status dmc__denoise_set(dmc__denoise *n, const float *x0, const float *cond, const float *extra, const float *mask,
                            const float *weight);
/* From here on: 1 = known entries are noised like the rest, 0 = clean, as at first (rollout.h: noised_known). Either way they have
 * no loss. */
void dmc__denoise_noise_known(dmc__denoise *n, int32_t on);
/* Noise it: time[b] on the process's clock (host), noise number sample[b] of stream (seed, purpose, step). Equal sample
 * numbers share noise, which is what DPO pairs need. */
dmc_status dmc__denoise_noise(dmc__denoise *n, const double *time, const uint64_t *sample, uint64_t seed,
                              uint32_t purpose, uint64_t step);
/* Forward with the chain's bound weights; err (host (batch)) = weighted mean squared error per sample. */
dmc_status dmc__denoise_error(dmc__denoise *n, float *err);
/* Backward: dL/derr per sample (host (batch)). Call after dmc__denoise_error. */
dmc_status dmc__denoise_backward(dmc__denoise *n, const float *derr);

/* The same for work that may be recorded (replay.h). On the host: as dmc__denoise_set; times as dmc__denoise_noise; and what the
 * output (batch, outputs) of a network that regresses must be. */
dmc_status dmc__denoise_stage(dmc__denoise *n, const float *x0, const float *cond, const float *extra, const float *mask,
                              const float *weight);
dmc_status dmc__denoise_stage_times(dmc__denoise *n, const double *time);
dmc_status dmc__denoise_stage_target(dmc__denoise *n, const float *target);
/* On the device: what was staged, noised with this key, or (NULL) as it is, at time 0. */
dmc_status dmc__denoise_send(dmc__denoise *n, const dmc__noise_key *key);
/* On the device: forward, and backward from weight times the mean of the errors; if one of them is not finite, the gradient is
 * not either. */
dmc_status dmc__denoise_learn(dmc__denoise *n, double weight);
/* On the host, once the device was waited for: the mean of the errors. */
double dmc__denoise_mean(const dmc__denoise *n);

/* Device memory of the present batch: noised z (batch,T,cols), times (batch), condition, and the regression target (batch,T,
 * cols), which may be changed before dmc__denoise_error (e.g. pulled towards another network's output). NULL pointers skip. */
void dmc__denoise_batch(const dmc__denoise *n, const void **z, const void **t, const void **cond, void **target);

/* For likelihoods. The mean squared error over counted entries (w != 0, not known), all alike. */
dmc_status dmc__denoise_counted_error(dmc__denoise *n, float *err);
/* Of the present batch, host (batch): how many entries count, and the mean of their squares in x0. */
void dmc__denoise_counted(const dmc__denoise *n, const int32_t **count, const double **square);
/* The network's output f (host (batch,T,cols)) for these z (host, likewise) in place of noised x0, all at one time as the
 * network sees it, with the batch's condition and side input. */
dmc_status dmc__denoise_evaluate(dmc__denoise *n, const float *z, double seen, float *f);

#endif
