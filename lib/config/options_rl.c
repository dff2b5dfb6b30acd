/* options_rl.c — the field table of dmc_rl_options. */
#include "../../include/libdmc/aligner.h"
#include "options_rows.h"

#define RL_FIELDS(X, T)                                                                           \
    X##_CHOICE(T, method, DMC_RL_QVPG, "qvpg", 3, "ppo reinforce qvpg auto", "policy-gradient method") \
    X##_INT(T, updates, 300, 1, 1e9, "updates of the adapter")                                    \
    X##_INT(T, last_k, 3, 0, 1000, "last denoising steps that learn; 0 = all")                    \
    X##_CHOICE(T, kappa, DMC_KAPPA_GEOM, "geom", 5, "geom linear const proj cos paircos",         \
               "credit over denoising steps")                                                     \
    X##_INT(T, epochs, 2, 1, 1000, "ppo: passes over a batch of chains")                          \
    X##_CHOICE(T, kl_kind, DMC_KL_EPSILON, "epsilon", 1, "epsilon exact", "divergence per step")   \
    X##_OTHER(T, reserved0)                                                                       \
    X##_REAL(T, kappa_gamma, 0.99, 0, 1, "geom: credit of step t is gamma^(t-1)")                 \
    X##_REAL(T, clip, 0.02, DMC__ABOVE_ZERO, 1, "ppo: clip of the probability ratio")             \
    X##_REAL(T, kl, 0.1, 0, 1e6, "weight of the divergence to the model at the start of the call") \
    X##_REAL(T, advantage_clip, 5, DMC__ABOVE_ZERO, 1e6, "bound of the advantage")                 \
    X##_CHOICE(T, reduce, DMC_REDUCE_MEAN, "mean", 1, "mean sum",                                  \
               "log-probabilities over the entries of a sample")                                   \
    X##_CHOICE(T, advantage_std, DMC_STD_BATCH, "batch", 1, "batch group",                         \
               "deviation that advantages are measured by")                                        \
    X##_REAL(T, clip_base, 0, 0, 1, "ppo: clip at the noisiest learning step; 0 = clip")           \
    X##_REAL(T, target_kl, 1, 0, 1e6, "ppo: divergence from the old policy that ends the epochs; 0 = off") \
    X##_REAL(T, kl_target, 0, 0, 1e6, "KL per dimension that kl is adapted to; 0 = kl stays")      \
    X##_CHOICE(T, last_k_kind, DMC_LAST_K_FIXED, "fixed", 2, "fixed random curriculum",            \
               "last_k in every update, drawn up to it, or grown up to it")                        \
    X##_CHOICE(T, granularity, DMC_GRANULARITY_SAMPLE, "sample", 1, "sample row",                  \
               "what an advantage is given to")                                                    \
    X##_REAL(T, entropy, 0, 0, 1e6, "weight of the entropy of a condition's candidates; 0 = none")  \
    X##_REAL(T, entropy_target, 0, 0, 1, "share of their first spread that entropy is adapted to; 0 = entropy stays")

DMC__OPTIONS_TABLE(dmc__options_rl, DMC_OPTIONS_RL, dmc_rl_options, RL_FIELDS,
                   offsetof(dmc_rl_options, reserved0));
