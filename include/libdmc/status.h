/* status.h — what every call returns.
 *
 * 0 is success, negative is an error, positive is a success that says more. Numbers never change.
 * After an error `dmc_last_error` gives one sentence naming the function, the argument, its value and the
 * bound. The same list makes the Python exceptions and the table in docs/errors.md.
 */
#ifndef LIBDMC_STATUS_H
#define LIBDMC_STATUS_H

#include "export.h"

#ifdef __cplusplus
extern "C" {
#endif

/* X(NAME, number, text): text is what dmc_status_string returns. */
#define DMC_STATUS_MAP(X)                                                                           \
    X(OK, 0, "ok")                                                                                  \
    X(STOPPED, 1, "stopped by the progress callback")                                               \
    X(CLAMPED, 2, "actions were clamped to the limits in the model")                                \
    X(PARTIAL, 3, "stopped before all denoising steps were done")                                   \
    X(EINVAL, -1, "invalid argument")                                                               \
    X(ERANGE, -2, "value out of range")                                                             \
    X(ESHAPE, -3, "sizes do not match")                                                             \
    X(EKEY, -4, "unknown option or name")                                                           \
    X(EOVERFLOW, -5, "size too large")                                                              \
    X(ENOMEM, -20, "out of memory")                                                                 \
    X(ENOENT, -30, "file or dataset not found")                                                     \
    X(EIO, -31, "file could not be read or written")                                                \
    X(EFORMAT, -32, "file is not in the expected format")                                           \
    X(ECORRUPT, -33, "file is damaged")                                                             \
    X(EPARSE, -34, "text could not be parsed")                                                      \
    X(EDEVICE, -40, "device failed or is not there")                                                \
    X(ENUMERIC, -50, "a value became infinite or not a number")                                     \
    X(EDIVERGED, -51, "training diverged")                                                          \
    X(ESTATE, -60, "not possible in this state")                                                    \
    X(ECALLBACK, -61, "a user callback reported failure")                                           \
    X(EDEADLINE, -62, "the deadline had passed")

typedef int32_t dmc_status;

#define DMC_STATUS_ENUM(NAME, number, text) DMC_##NAME = number,
enum dmc_status_code { DMC_STATUS_MAP(DMC_STATUS_ENUM) DMC_STATUS_END_ = 0x7fffffff };
#undef DMC_STATUS_ENUM

/* Fixed text for a status; "unknown status" for numbers not in the list.
 * Threads: any. REAL-TIME. Ownership: static string. */
DMC_API const char *dmc_status_string(dmc_status status);

/* The sentence of the last failure on this thread, "" if there was none. A success does not clear it.
 * Threads: any, each has its own. REAL-TIME. Ownership: valid until the next failing call on this thread. */
DMC_API const char *dmc_last_error(void);

#ifdef __cplusplus
}
#endif
#endif
