/* pretrain.h — fit a model's network to a dataset by denoising; exact save and resume. */
#ifndef DMC_TRAIN_PRETRAIN_H
#define DMC_TRAIN_PRETRAIN_H

#include "../diffusion/denoise.h"
#include "../model/model.h"
#include "../optim/learner.h"

typedef struct dmc__pretrain_config {
    int32_t steps, batch, warmup;
    double lr, weight_decay, grad_clip, ema, action_weight;
    double mask_share, window_share; /* of samples with a causal mask, with a window; their sum at most 1 */
    int32_t mask_rows;               /* most known rows of a causal mask; 0 = horizon - 1                 */
    uint64_t seed;
} dmc__pretrain_config;

typedef struct dmc__pretrain_metrics {
    int64_t step;
    double loss, grad_norm, lr, seconds;
} dmc__pretrain_metrics;

typedef struct dmc__pretrain dmc__pretrain;

/* ctx NULL: the model's. model and data must outlive it. */
dmc_status dmc__pretrain_create(dmc__context *ctx, const dmc__model *m, const dmc__trajectories *data,
                                const dmc__pretrain_config *c, dmc__pretrain **out);
void dmc__pretrain_destroy(dmc__pretrain *p);
dmc_status dmc__pretrain_step(dmc__pretrain *p, int32_t n, dmc__pretrain_metrics *m);
/* Mean denoising loss of the EMA weights on held-out windows with fixed times and noise. */
dmc_status dmc__pretrain_evaluate(dmc__pretrain *p, double *loss);
/* A model with the EMA weights. */
dmc_status dmc__pretrain_publish(const dmc__pretrain *p, dmc__model **out);
dmc_status dmc__pretrain_save(const dmc__pretrain *p, const char *path);
dmc_status dmc__pretrain_resume(dmc__pretrain *p, const char *path);

#endif
