/* synth.h — transitions that never happened: a diffusion model of (s, a, r, s', is s' the end?), as SynthER (Lu et al. 2023).
 *
 * A residual MLP learns, under the EDM process, rows of all five, each column z-scored with the data's statistics; samples take
 * Karras' steps with churn. What is sampled goes into a dmc_replay, which a critic may learn from (dmc_critic_step_on). Threads:
 * one at a time.
 */
#ifndef LIBDMC_SYNTH_H
#define LIBDMC_SYNTH_H

#include "replay.h"
#include "trainer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dmc_synth dmc_synth;

typedef struct dmc_synth_options {
    uint32_t struct_size;
    int32_t hidden;        /* width of the residual MLP; default 256 (SynthER: 1024)                              */
    int32_t blocks;        /* its residual blocks; default 3 (SynthER: 6)                                         */
    int32_t emb_dim;       /* width of the embedding of the noise level, even; default 128                        */
    int32_t batch;         /* transitions per update, and sampled at once; default 256                            */
    int32_t steps;         /* length of the cosine learning-rate schedule, in updates, 0 = constant; default 10000 */
    int32_t sample_steps;  /* levels of noise on the way to a sample, each two network calls, 1..1000; default 128 */
    int32_t reserved0;     /* 0                                                                                   */
    double lr;             /* AdamW; default 3e-4                                                                 */
    double ema;            /* decay of the averaged weights that sample; default 0.999                            */
    double churn;          /* S_churn: fresh noise on the way, 0 = none; default 80                               */
    double churn_noise;    /* S_noise: its deviation; default 1.003                                               */
    uint64_t seed;         /* of weights, batches and noise; default 0                                            */
} dmc_synth_options;

/* Defaults. size = sizeof *o. */
DMC_API dmc_status dmc_synth_options_init(dmc_synth_options *o, size_t size);

/* An untrained model of the transitions of the dataset's training episodes, of which it keeps a copy; o NULL = defaults. The last
 * row of a cut-off episode is none; s' of a terminal row, which a dataset does not hold, is taken to be s. Ownership: destroy
 * accepts NULL. Errors: DMC_ERANGE, DMC_EFORMAT (no transition), DMC_ENOMEM. */
DMC_API DMC_NODISCARD dmc_status dmc_synth_create(dmc_context *ctx, const dmc_dataset *d, const dmc_synth_options *o,
                                                  dmc_synth **out);
DMC_API void dmc_synth_destroy(dmc_synth *s);

/* Do n updates. metrics may be NULL. Errors: DMC_ENUMERIC: weights are left as before that update. */
DMC_API DMC_NODISCARD dmc_status dmc_synth_step(dmc_synth *s, int32_t n, dmc_train_metrics *metrics);

/* Push n transitions into r, in the dataset's units: actions within the data's limits, an end where the fifth number exceeds 1/2.
 * Sample i depends on the weights, `seed` and i alone. Errors: DMC_ESHAPE (widths), DMC_ENUMERIC (nothing of that batch is
 * pushed). */
DMC_API DMC_NODISCARD dmc_status dmc_synth_sample(dmc_synth *s, size_t n, uint64_t seed, dmc_replay *r);

#ifdef __cplusplus
}
#endif
#endif
