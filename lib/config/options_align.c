/* options_align.c — the field table of dmc_align_options. */
#include "../../include/libdmc/aligner.h"
#include "options_rows.h"

#define ALIGN_FIELDS(X, T)                                                                        \
    X##_INT(T, lora_rank, 16, 0, 1024, "rank of the adapter; 0 = train all weights")              \
    X##_INT(T, batch, 256, 1, 65536, "samples per update")                                        \
    X##_INT(T, candidates, 8, 1, 4096, "samples per condition; divides batch")                    \
    X##_INT(T, eval_every, 50, 1, 1e9, "updates between evaluations")                             \
    X##_INT(T, eval_conditions, 64, 1, 65536, "conditions of the fixed evaluation bank")          \
    X##_REAL(T, lora_alpha, 16, 0, 1e6, "the adapter is scaled by alpha / rank")                  \
    X##_REAL(T, lr, 3e-4, 0, 1, "AdamW learning rate")                                            \
    X##_REAL(T, weight_decay, 0, 0, 1, "decoupled weight decay")                                  \
    X##_REAL(T, grad_clip, 1, 0, 1e6, "bound of the gradient's norm; 0 = off")                    \
    X##_REAL(T, std_floor, 0.1, 1e-4, 1, "least standard deviation of a stochastic step")         \
    X##_REAL(T, row_discount, 0.99, 0, 1, "planner: row h of a plan counts row_discount^h")       \
    X##_SEED(T, seed, "seed of samples and noise")                                                \
    X##_TEXT(T, lora_targets, "*", "comma-separated patterns with * over tensor names")           \
    X##_CHOICE(T, sampler, DMC_SAMPLER_AUTO, "auto", 13,                                          \
               "ddpm ddim euler heun euler_maruyama flow_sde reinflow dpm dpmpp dpmpp_2m sde_dpm sde_dpmpp sde_dpmpp_2m auto", \
               "how the samples that are judged and learnt from come about; auto: ddpm, on edm and flow euler") \
    X##_INT(T, steps, 0, 0, 1000, "denoising steps, at most the model's; 0 = the model's")        \
    X##_INT(T, converge, 0, 0, 1, "1: a stage ends when its score no longer rises")               \
    X##_INT(T, accept, 0, 0, 1, "1: a stage leaves its last weights if they score as well as the best, by 1 SE") \
    X##_INT(T, guard, 0, 0, 1, "1: jumps of loss and gradient and samples unlike data are collapses, too") \
    X##_OTHER(T, reserved0)                                                                       \
    X##_REAL(T, kl_limit, 0, 0, 1e6, "nats per dimension to the foundation: a warning, 5 of it a collapse; 0 = none")

DMC__OPTIONS_TABLE(dmc__options_align, DMC_OPTIONS_ALIGN, dmc_align_options, ALIGN_FIELDS,
                   offsetof(dmc_align_options, reserved0));
