/* options_synth.c — the field table of dmc_synth_options. */
#include "../../include/libdmc/synth.h"
#include "options_rows.h"

#define SYNTH_FIELDS(X, T)                                                                        \
    X##_INT(T, hidden, 256, 1, 65536, "width of the residual MLP")                                \
    X##_INT(T, blocks, 3, 1, 256, "residual blocks")                                              \
    X##_INT(T, emb_dim, 128, 2, 1024, "width of the embedding of the noise level, even")                \
    X##_INT(T, batch, 256, 1, 65536, "transitions per update, and sampled at once")               \
    X##_INT(T, steps, 10000, 0, 1e9, "length of the cosine learning-rate schedule, in updates; 0 = constant") \
    X##_INT(T, sample_steps, 128, 1, 1000, "levels of noise on the way to a sample")              \
    X##_OTHER(T, reserved0)                                                                       \
    X##_REAL(T, lr, 3e-4, 0, 1, "AdamW learning rate")                                            \
    X##_REAL(T, ema, 0.999, 0, DMC__BELOW_ONE, "decay of the averaged weights that sample")       \
    X##_REAL(T, churn, 80, 0, 1e6, "S_churn: fresh noise on the way to a sample; 0 = none")       \
    X##_REAL(T, churn_noise, 1.003, 0, 10, "S_noise: its deviation")                              \
    X##_SEED(T, seed, "seed of weights, batches and noise")

DMC__OPTIONS_TABLE(dmc__options_synth, DMC_OPTIONS_SYNTH, dmc_synth_options, SYNTH_FIELDS, offsetof(dmc_synth_options, reserved0));
