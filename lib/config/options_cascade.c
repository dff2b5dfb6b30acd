/* options_cascade.c — the field table of dmc_cascade_options. */
#include "../../include/libdmc/aligner.h"
#include "options_rows.h"

#define CASCADE_FIELDS(X, T)                                                                      \
    X##_INT(T, updates, 600, 1, 1e9, "updates of the cascade")                                    \
    X##_INT(T, conditions, 512, 1, 1048576, "conditions from which pairs are made")               \
    X##_INT(T, pool, 8, 1, 4096, "re-noised continuations per sample")                            \
    X##_REAL(T, fork_min, 0.3, 0, 1, "lowest latent level shared by a pair, as share of T")       \
    X##_REAL(T, fork_max, 0.7, 0, 1, "highest latent level shared by a pair, as share of T")      \
    X##_REAL(T, gain, 0.1, 0, 1e6, "pairs that gain less than gain * std(reward) are dropped")    \
    X##_REAL(T, adherence, 0.01, 0, 1e6, "weight of the squared distance to the foundation")      \
    X##_CHOICE(T, pairs, DMC_PAIRS_LATENT, "latent", 3, "latent inpaint independent own",         \
               "samples that share a latent, rows around a window, nothing; the cascade's own")   \
    X##_INT(T, refresh, 0, 0, 1e9, "updates between new pairs; 0 = the first are kept")

DMC__OPTIONS_TABLE(dmc__options_cascade, DMC_OPTIONS_CASCADE, dmc_cascade_options, CASCADE_FIELDS,
                   0);
