/* number_text.h — numbers to and from text, the same under every locale of the host. */
#ifndef DMC_CONFIG_NUMBER_TEXT_H
#define DMC_CONFIG_NUMBER_TEXT_H

#include <stddef.h>

#include "../base/status.h"

/* Longest text dmc__number_print makes, with NUL. */
enum { DMC__NUMBER_TEXT = 32 };

/* Whole text, decimal, optional sign. No sentence is stored; DMC_EPARSE: not a number of this kind,
 * DMC_ERANGE: a number, but too large for the type, DMC_ENOMEM. */
dmc_status dmc__number_i64(const char *text, int64_t *out);
dmc_status dmc__number_u64(const char *text, uint64_t *out);
/* "1", ".5", "3e-4"; no hexadecimal, infinity or NaN. Correctly rounded. */
dmc_status dmc__number_double(const char *text, double *out);

/* The shortest of %.15g, %.16g, %.17g that reads back to the same bits. Returns buf. */
const char *dmc__number_print(double value, char buf[DMC__NUMBER_TEXT]);

#endif
