/* options_context.c — the field table of dmc_context_options. Callbacks cannot be set by name. */
#include "../../include/libdmc/context.h"
#include "options_rows.h"

#define CONTEXT_FIELDS(X, T)                                                                      \
    X##_INT(T, threads, 1, 1, 64, "worker threads for training and large batches")                \
    X##_CHOICE(T, log_level, DMC_LOG_INFO, "info", 3, "error warn info debug",                    \
               "log lines above this level are dropped")                                          \
    X##_OTHER(T, reserved0)                                                                       \
    X##_TEXT(T, device, "cpu", "cpu, ref (plain C), ref64 (plain C in double, to check), cuda or cuda:INDEX") \
    X##_OTHER(T, alloc) X##_OTHER(T, free) X##_OTHER(T, alloc_user)                               \
    X##_OTHER(T, log) X##_OTHER(T, log_user)                                                      \
    X##_OTHER(T, parallel_for) X##_OTHER(T, parallel_user)               \
    X##_TEXT(T, plugin_folder, "", "folder of libdmc-cuda.so; empty: beside libdmc.so, then the system's") \
    X##_OTHER(T, cuda_stream)                                                                     \
    X##_CHOICE(T, matrix, DMC_MATRIX_FP32, "fp32", 2, "fp32 tf32 bf16", "cuda: what matrices are multiplied in") \
    X##_OTHER(T, reserved1)

DMC__OPTIONS_TABLE(dmc__options_context, DMC_OPTIONS_CONTEXT, dmc_context_options, CONTEXT_FIELDS,
                   offsetof(dmc_context_options, reserved0));
