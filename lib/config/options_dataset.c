/* options_dataset.c — the field table of dmc_dataset_options. */
#include "../../include/libdmc/dataset.h"
#include "options_rows.h"

#define DATASET_FIELDS(X, T)                                                                      \
    X##_CHOICE(T, reward, DMC_REWARD_RAW, "raw", 2, "raw range minus1",                           \
               "rewards of a critic: as stored, times 1000 / range of returns, or minus 1") \
    X##_INT(T, max_steps, 0, 0, INT32_MAX, "read at most this many steps; 0 = all")               \
    X##_OTHER(T, reserved0)                                                                       \
    X##_REAL(T, held_out, 0.05, 0, 0.5, "share of episodes kept for validation")                  \
    X##_SEED(T, seed, "seed of the split into training and validation episodes")

DMC__OPTIONS_TABLE(dmc__options_dataset, DMC_OPTIONS_DATASET, dmc_dataset_options, DATASET_FIELDS,
                   offsetof(dmc_dataset_options, reserved0));
