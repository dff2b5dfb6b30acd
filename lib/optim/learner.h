/* learner.h — weights that learn: a base block, optionally an adapter over it, gradients, AdamW, EMA.
 *
 * Trainers bind their plans to dmc__learner_weights / dmc__learner_grads, run backward passes (which add up), then
 * call dmc__learner_update once.
 */
#ifndef DMC_OPTIM_LEARNER_H
#define DMC_OPTIM_LEARNER_H

#include "../nn/lora.h"

typedef struct dmc__adamw_config {
    double lr, beta1, beta2, eps, weight_decay, max_norm /* 0 = off */, ema /* 0 = none */;
} dmc__adamw_config;

/* lr 3e-4, 0.9, 0.999, 1e-8, 0, 1, 0. */
dmc__adamw_config dmc__adamw_defaults(void);

/* Linear warm-up then cosine to zero at `total` (step counts from 0); total 0 = constant after the warm-up. */
double dmc__lr_cosine(double lr, int64_t step, int64_t warmup, int64_t total);

typedef struct dmc__learner dmc__learner;

/* A private copy of `weights` (graph's block). Parameters that do not learn (dmc__graph_param_learns) stay as they are.
 * g must outlive the learner. lora NULL: all weights learn. Otherwise the learner takes the adapter over (destroys it, on
 * failure too), the base stays frozen. with_ema: keep an EMA (full training only). */
dmc_status dmc__learner_create(const dmc__graph *g, dmc__device *d, const void *weights, dmc__lora *lora,
                               int32_t with_ema, dmc__learner **out);
/* The same of weights as dmc__params_init makes them, all of which learn. */
dmc_status dmc__learner_create_fresh(const dmc__graph *g, dmc__device *d, uint64_t seed, int32_t with_ema, dmc__learner **out);
void dmc__learner_destroy(dmc__learner *l);

const void *dmc__learner_base(const dmc__learner *l);     /* frozen foundation (LoRA) or the weights themselves */
const void *dmc__learner_weights(const dmc__learner *l);  /* effective weights: bind plans to this              */
const void *dmc__learner_ema(const dmc__learner *l);      /* EMA block, or the weights without EMA              */
void *dmc__learner_grads(const dmc__learner *l);
const uint8_t *dmc__learner_train_mask(const dmc__learner *l); /* NULL = all */
dmc__lora *dmc__learner_lora(const dmc__learner *l);

/* Gradients -> clip -> AdamW -> (merge) -> EMA; gradients are zero afterwards. *grad_norm (may be NULL) before clipping.
 * DMC_ENUMERIC if the norm is not finite: nothing is changed but the gradients, which are zeroed. */
dmc_status dmc__learner_update(dmc__learner *l, const dmc__adamw_config *c, double *grad_norm);
/* The same in three parts, so that the middle one may be recorded (replay.h): on the host; work of the device alone, after the
 * backward passes; on the host again, once the device was waited for. */
dmc_status dmc__learner_prepare(dmc__learner *l, const dmc__adamw_config *c);
dmc_status dmc__learner_apply(dmc__learner *l);
dmc_status dmc__learner_conclude(dmc__learner *l, double *grad_norm);
/* Gradient's norm of the last update, before clipping; the device was waited for. */
double dmc__learner_norm(const dmc__learner *l);
/* Moments and step to zero (stage boundaries, after a roll-back). */
dmc_status dmc__learner_reset_moments(dmc__learner *l);

/* What learns (factors, or all weights), as one block of host floats: snapshots, roll-back, exact resume. */
size_t dmc__learner_elems(const dmc__learner *l);
dmc_status dmc__learner_get(const dmc__learner *l, float *out);
dmc_status dmc__learner_set(dmc__learner *l, const float *values); /* merges; moments untouched */
/* Moments (2n) and EMA (graph elems), for checkpoints; any pointer may be NULL. */
dmc_status dmc__learner_get_state(const dmc__learner *l, float *moments, float *ema, int64_t *step);
dmc_status dmc__learner_set_state(dmc__learner *l, const float *moments, const float *ema, int64_t step);
size_t dmc__learner_bytes(const dmc__learner *l);

#endif
