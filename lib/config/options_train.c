/* options_train.c — the field table of dmc_train_options. */
#include "../../include/libdmc/trainer.h"
#include "options_rows.h"

#define TRAIN_FIELDS(X, T)                                                                        \
    X##_INT(T, steps, 10000, 1, 1e9, "length of the cosine learning-rate schedule, in updates")   \
    X##_INT(T, batch, 256, 1, 65536, "windows per update")                                        \
    X##_INT(T, warmup, 0, 0, 1e9, "updates of linear warm-up")                                    \
    X##_REAL(T, lr, 3e-4, 0, 1, "AdamW learning rate at the start; ends at 0")                    \
    X##_REAL(T, weight_decay, 1e-5, 0, 1, "decoupled weight decay")                               \
    X##_REAL(T, grad_clip, 1, 0, 1e6, "bound of the gradient's norm; 0 = off")                    \
    X##_REAL(T, ema, 0.995, 0, DMC__BELOW_ONE, "decay of the averaged weights per update")        \
    X##_REAL(T, action_weight, 10, 0, 1e6, "planner: loss weight of the first row's action, of states alone of the second row") \
    X##_REAL(T, mask_share, 0, 0, 1, "share of samples whose first rows, a random number, are known") \
    X##_SEED(T, seed, "seed of batches, times and noise")                                         \
    X##_REAL(T, window_share, 0, 0, 1, "share of samples with a random window of unknown rows, all others known") \
    X##_INT(T, mask_rows, 0, 0, 1023, "most rows mask_share makes known; 0 = all but the last")   \
    X##_OTHER(T, reserved0)

DMC__OPTIONS_TABLE(dmc__options_train, DMC_OPTIONS_TRAIN, dmc_train_options, TRAIN_FIELDS,
                   offsetof(dmc_train_options, reserved0));
