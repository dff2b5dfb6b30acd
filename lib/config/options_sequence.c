/* options_sequence.c — the field table of dmc_sequence_options. */
#include "../../include/libdmc/aligner.h"
#include "options_rows.h"

#define SEQUENCE_FIELDS(X, T)                                                                     \
    X##_INT(T, passes, 2, 1, 10, "passes through the stages")                                     \
    X##_INT(T, cascade, 0, 0, 1, "1: train the cascade at the end")                               \
    X##_OTHER(T, reserved0)                                                                       \
    X##_TEXT(T, order, "rl,dpo,sft", "comma-separated stages of a pass; auto: by gain per second")

DMC__OPTIONS_TABLE(dmc__options_sequence, DMC_OPTIONS_SEQUENCE, dmc_sequence_options,
                   SEQUENCE_FIELDS, offsetof(dmc_sequence_options, reserved0));
