/* options_dpo.c — the field table of dmc_dpo_options. */
#include "../../include/libdmc/aligner.h"
#include "options_rows.h"

#define DPO_FIELDS(X, T)                                                                          \
    X##_INT(T, updates, 800, 1, 1e9, "updates of the adapter")                                    \
    X##_INT(T, refresh, 25, 1, 1e9, "updates between new preference pairs")                      \
    X##_INT(T, pool, 16, 2, 4096, "candidates per condition: best and worst make a pair")         \
    X##_REAL(T, gamma, 5, 0, 1e6, "sharpness, per summed squared error")                          \
    X##_REAL(T, anchor, 0.1, 0, 1e6, "weight of the winner's denoising loss")                     \
    X##_REAL(T, margin, 0.25, 0, 1e6, "pairs closer than margin * std(reward) are dropped") \
    X##_REAL(T, displacement, 1.5, 0, 1e6,                                                        \
             "winners' error over the reference's that is a collapse, 1 or more; 0 = never") \
    X##_CHOICE(T, weighting, DMC_WEIGHTING_CONST, "const", 2, "const snr sigmoid",                \
               "a pair's errors by the signal-to-noise ratio l of their level: 1, min(l,5)/l, l/(1+l)") \
    X##_INT(T, reference_every, 0, 0, 1e9, "updates until the present weights become the reference; 0 = never") \
    X##_CHOICE(T, pairs, DMC_PAIRS_CANDIDATES, "candidates", 2, "candidates dataset callback",    \
               "best and worst of samples, of near windows of the data, or pairs of dmc_aligner_set_pairs") \
    X##_INT(T, conditions, 0, 0, 1048576, "pairs made at a refresh, at most; 0 = as many as an update takes") \
    X##_REAL(T, radius, 0.1, 0, 1e6, "dataset: first states are at most this far apart, rms of normalised columns") \
    X##_REAL(T, discount, 1, 0, 1, "dataset: of the return by which windows are ranked") \
    X##_CHOICE(T, preference, DMC_PREFERENCE_VALUE, "value", 1, "value bradley_terry",            \
               "candidates are ranked by the reward, or by a score learnt from pairs = dataset or callback") \
    X##_INT(T, preference_updates, 500, 1, 1e9, "bradley_terry: updates of that score")

DMC__OPTIONS_TABLE(dmc__options_dpo, DMC_OPTIONS_DPO, dmc_dpo_options, DPO_FIELDS, 0);
