/* status.h (internal) — making error text. The only place sentences come from is dmc__fail. */
#ifndef DMC_BASE_STATUS_H
#define DMC_BASE_STATUS_H

#include "../../include/libdmc/status.h"

#if defined(__GNUC__)
#  define DMC_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#  define DMC_PRINTF(f, a)
#endif

/* Store the formatted sentence for dmc_last_error and return `status` unchanged. Allocates nothing. */
dmc_status dmc__fail(dmc_status status, const char *format, ...) DMC_PRINTF(2, 3);

/* Put "prefix: " in front of the stored sentence (adds where it happened); returns status. */
dmc_status dmc__fail_in(dmc_status status, const char *prefix_format, ...) DMC_PRINTF(2, 3);

/* Return from the calling function if expr failed (negative). */
#define DMC_TRY(expr)                       \
    do {                                    \
        dmc_status try_status_ = (expr);    \
        if (try_status_ < 0) return try_status_; \
    } while (0)

/* Same, but jump to `label` with `status` set. */
#define DMC_TRY_GOTO(status, expr, label)   \
    do {                                    \
        (status) = (expr);                  \
        if ((status) < 0) goto label;       \
    } while (0)

#endif
