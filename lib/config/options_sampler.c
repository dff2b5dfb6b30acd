/* options_sampler.c — the field table of dmc_sampler_options. */
#include "../../include/libdmc/sampler.h"
#include "options_rows.h"

#define SAMPLER_FIELDS(X, T)                                                                      \
    X##_CHOICE(T, sampler, DMC_SAMPLER_AUTO, "auto", 13,                                          \
               "ddpm ddim euler heun euler_maruyama flow_sde reinflow dpm dpmpp dpmpp_2m sde_dpm sde_dpmpp sde_dpmpp_2m auto", \
               "how noise becomes a sample; auto: ddpm, on edm heun, on flow euler")              \
    X##_INT(T, steps, 0, 0, 1000, "denoising steps, at most the model's; 0 = the model's")        \
    X##_CHOICE(T, grid, DMC_GRID_AUTO, "auto", 7, "linspace trailing leading quad logsnr karras custom auto", \
               "where the steps are; auto: linspace, on edm karras, on flow trailing")            \
    X##_INT(T, batch, 1, 1, 4096, "conditions answered per call")                                 \
    X##_INT(T, candidates, 1, 1, 4096, "samples per condition")                                   \
    X##_CHOICE(T, select, DMC_SELECT_FIRST, "first", 3, "first expectation greedy softmax",       \
               "how one of the candidates is chosen; greedy and softmax need a critic")           \
    X##_INT(T, cascade_passes, 0, 0, 3, "passes through the model's cascade, if it has one")      \
    X##_REAL(T, eta, 0, 0, 1, "ddim: noise, from 0 (deterministic) to 1 (as ddpm)")               \
    X##_REAL(T, temperature, 1, 0, 100, "factor on the initial noise")                            \
    X##_REAL(T, beta, 1, 0, 1e6, "softmax: inverse temperature")                                  \
    X##_SEED(T, seed, "seed of the noise")                                                        \
    X##_CHOICE(T, weights, DMC_WEIGHTS_FLOAT32, "float32", 2, "float32 bf16 fp16",                \
               "what matrix weights are read as; 16 bits are faster where memory is the limit")   \
    X##_INT(T, horizon, 0, 0, 1024, "rows of a sample; 0 = the model's; others for U-Nets only")  \
    X##_REAL(T, rho, 7, 0.1, 100, "grid karras: the exponent")                                    \
    X##_REAL(T, churn, 0, 0, 1e6, "euler and heun on edm: S_churn")                               \
    X##_REAL(T, churn_min, 0.05, 0, 1e6, "smallest noise level with churn")                       \
    X##_REAL(T, churn_max, 50, 0, 1e6, "largest noise level with churn")                          \
    X##_REAL(T, churn_noise, 1.003, 0, 10, "churn: S_noise")                                      \
    X##_REAL(T, sde_noise, 0.7, 0, 10, "flow_sde: how much noise")                                \
    X##_REAL(T, step_noise, 0.1, 0, 10, "reinflow: deviation of every step's noise")              \
    X##_REAL(T, std_floor, 0, 0, 10, "least deviation of a step's noise; 0 = none, and none in the last step") \
    X##_REAL(T, warm_start, 0, 0, 1, "share of the way to noise that the last plan starts from; 0 = start from noise") \
    X##_REAL(T, guidance, 1, -100, 100, "classifier-free guidance; 1 = the condition alone")      \
    X##_REAL(T, target_return, 1, -10, 10, "planner with returns: the return asked for, 0..1 of the data's") \
    X##_REAL(T, guide_scale, 1, -1e6, 1e6, "guide: how far a predicted sample is moved")          \
    X##_TEXT(T, grid_times, "", "grid custom: places on the process's clock, noisiest first, commas between") \
    X##_TEXT(T, rotations, "", "expectation: first columns of rotations of six numbers in the action") \
    X##_TEXT(T, majorities, "", "expectation: columns of the action of which the median is taken") \
    X##_CHOICE(T, guide, DMC_GUIDE_NONE, "none", 2, "none critic value", "what predicted samples are moved by") \
    X##_INT(T, exec, 1, 1, 1024, "rows executed between calls, for warm_start")                   \
    X##_INT(T, jump, 5, 1, 1000, "RePaint: length of a jump back, in steps")                      \
    X##_INT(T, jumps, 1, 1, 100, "RePaint: how often each stretch is walked; 1 = once")           \
    X##_INT(T, table_compat, 0, 0, 1, "1 = tables as CleanDiffuser has them")                     \
    X##_OTHER(T, reserved0)

DMC__OPTIONS_TABLE(dmc__options_sampler, DMC_OPTIONS_SAMPLER, dmc_sampler_options, SAMPLER_FIELDS,
                   offsetof(dmc_sampler_options, reserved0));
