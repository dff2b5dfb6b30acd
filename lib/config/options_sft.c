/* options_sft.c — the field table of dmc_sft_options. */
#include "../../include/libdmc/aligner.h"
#include "options_rows.h"

#define SFT_FIELDS(X, T)                                                                          \
    X##_INT(T, updates, 600, 1, 1e9, "updates of the adapter")                                    \
    X##_INT(T, rounds, 3, 1, 1e9, "times the data are generated anew")                            \
    X##_INT(T, pool, 16, 1, 4096, "candidates per condition: the best is kept")                   \
    X##_INT(T, conditions, 512, 1, 1048576, "conditions per round")                               \
    X##_OTHER(T, reserved0)                                                                       \
    X##_REAL(T, likelihood, 0.1, 0, 1,                                                            \
             "samples below this quantile of the foundation's likelihood of data are dropped")    \
    X##_REAL(T, replay, 0.25, 0, 1, "share of a batch from the dataset's best windows")           \
    X##_REAL(T, quantile, 0, 0, 1,                                                                \
             "in place of top_k: samples that reach this quantile of a round's rewards; 0 = off") \
    X##_REAL(T, weight_beta, 0, 0, 1e3, "samples weigh exp(beta * advantage), at most 100")       \
    X##_INT(T, top_k, 1, 1, 4096, "best samples kept per condition")                              \
    X##_INT(T, keep_rounds, 3, 1, 1000, "rounds whose samples are learnt from")                   \
    X##_INT(T, accept, 1, 0, 1, "undo a round that made the score worse")                         \
    X##_INT(T, early_stop, 0, 0, 1e9,                                                             \
            "updates between checks that held-out samples did not become less likely; 0 = none")

DMC__OPTIONS_TABLE(dmc__options_sft, DMC_OPTIONS_SFT, dmc_sft_options, SFT_FIELDS,
                   offsetof(dmc_sft_options, reserved0));
