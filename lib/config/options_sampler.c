/* options_sampler.c — the field table of dmc_sampler_options. */
#include "../../include/libdmc/sampler.h"
#include "options_rows.h"

#define SAMPLER_FIELDS(X, T)                                                                      \
    X##_CHOICE(T, sampler, DMC_SAMPLER_DDPM, "ddpm", 1, "ddpm ddim", "how noise becomes a sample") \
    X##_INT(T, steps, 0, 0, 1000, "denoising steps, at most the model's; 0 = the model's")        \
    X##_CHOICE(T, grid, DMC_GRID_LINSPACE, "linspace", 2, "linspace trailing leading",            \
               "which of the model's steps are used")                                             \
    X##_INT(T, batch, 1, 1, 4096, "conditions answered per call")                                 \
    X##_INT(T, candidates, 1, 1, 4096, "samples per condition")                                   \
    X##_CHOICE(T, select, DMC_SELECT_FIRST, "first", 3, "first expectation greedy softmax",       \
               "how one of the candidates is chosen; greedy and softmax need a critic")           \
    X##_INT(T, cascade_passes, 0, 0, 2, "passes through the model's cascade, if it has one")      \
    X##_REAL(T, eta, 0, 0, 1, "ddim: noise, from 0 (deterministic) to 1 (as ddpm)")               \
    X##_REAL(T, temperature, 1, 0, 100, "factor on the initial noise")                            \
    X##_REAL(T, beta, 1, 0, 1e6, "softmax: inverse temperature")                                  \
    X##_SEED(T, seed, "seed of the noise")                                                        \
    X##_CHOICE(T, weights, DMC_WEIGHTS_FLOAT32, "float32", 2, "float32 bf16 fp16",                \
               "what matrix weights are read as; 16 bits are faster where memory is the limit")   \
    X##_INT(T, horizon, 0, 0, 1024, "rows of a sample; 0 = the model's; others for U-Nets only")

DMC__OPTIONS_TABLE(dmc__options_sampler, DMC_OPTIONS_SAMPLER, dmc_sampler_options, SAMPLER_FIELDS, 0);
