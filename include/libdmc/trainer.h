/* trainer.h — fit a model to a dataset by denoising (Ho et al. 2020, eq. 5 of the paper).
 *
 * The trainer works on its own copy of the weights; dmc_trainer_publish makes a model out of the EMA.
 * Threads: one at a time. Model and dataset must outlive it.
 */
#ifndef LIBDMC_TRAINER_H
#define LIBDMC_TRAINER_H

#include "model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dmc_trainer dmc_trainer;

typedef struct dmc_train_options {
    uint32_t struct_size;
    int32_t steps;         /* length of the cosine learning-rate schedule, 1..1e9; default 10000        */
    int32_t batch;         /* windows per step, 1..65536; default 256                                   */
    int32_t warmup;        /* steps of linear warm-up, default 0                                        */
    double lr;             /* AdamW learning rate at the start; default 3e-4; ends at 0                 */
    double weight_decay;   /* decoupled; default 1e-5                                                   */
    double grad_clip;      /* global norm, 0 = off; default 1                                           */
    double ema;            /* p_ema <- ema p_ema + (1-ema) p; default 0.995                             */
    double action_weight;  /* planner: loss weight of row 0's action (Diffuser), with states_only of row 1's state (Decision */
                           /* Diffuser); default 10                                                    */
    double mask_share;     /* share of samples that learn with known first rows, uniformly 1..mask_rows of them, of a planner  */
                           /* with actions also the state of the row behind them (section 3.5); the others know a planner's */
                           /* first state, and a policy's nothing; default 0                            */
    uint64_t seed;         /* default 0                                                                 */
    double window_share;   /* share of samples that learn a window of rows, all others known; default 0; */
                           /* mask_share + window_share is at most 1                                    */
    int32_t mask_rows;     /* 0..horizon-1; 0 = horizon-1; default 0                                    */
    int32_t reserved0;     /* 0                                                                         */
} dmc_train_options;

typedef struct dmc_train_metrics {
    uint32_t struct_size;
    int32_t step;          /* updates done so far                         */
    double loss;           /* mean over the updates of this call          */
    double grad_norm;      /* before clipping, last update                */
    double lr;             /* of the last update                          */
    double seconds;        /* spent in this call                          */
} dmc_train_metrics;

/* Defaults. size = sizeof *o. */
DMC_API dmc_status dmc_train_options_init(dmc_train_options *o, size_t size);

/* Works on a private copy of the model's weights; o NULL = defaults. Ownership: destroy accepts NULL.
 * Errors: DMC_ESHAPE (the dataset does not fit the model), DMC_ERANGE, DMC_ENOMEM. */
DMC_API DMC_NODISCARD dmc_status dmc_trainer_create(dmc_context *ctx, const dmc_model *m, const dmc_dataset *d,
                                                    const dmc_train_options *o, dmc_trainer **out);
DMC_API void dmc_trainer_destroy(dmc_trainer *t);

/* Do n updates. metrics may be NULL. Errors: DMC_ENUMERIC if a loss or gradient is not finite: weights are left
 * as before that update. */
DMC_API DMC_NODISCARD dmc_status dmc_trainer_step(dmc_trainer *t, int32_t n, dmc_train_metrics *metrics);

/* Mean denoising loss of the EMA weights on held-out episodes, fixed windows, times and noise (so values of
 * different moments compare). DMC_ESTATE if the dataset holds none out. */
DMC_API DMC_NODISCARD dmc_status dmc_trainer_evaluate(dmc_trainer *t, double *loss);

/* A new model with the EMA weights. Ownership: caller destroys. */
DMC_API DMC_NODISCARD dmc_status dmc_trainer_publish(const dmc_trainer *t, dmc_model **out);

/* Everything needed to go on bit-exactly: weights, EMA, moments, step. Atomic. resume needs a trainer created
 * with the same model shape, dataset and options. */
DMC_API DMC_NODISCARD dmc_status dmc_trainer_save(const dmc_trainer *t, const char *path);
DMC_API DMC_NODISCARD dmc_status dmc_trainer_resume(dmc_trainer *t, const char *path);

#ifdef __cplusplus
}
#endif
#endif
