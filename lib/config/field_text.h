/* field_text.h — one field to and from text. */
#ifndef DMC_CONFIG_FIELD_TEXT_H
#define DMC_CONFIG_FIELD_TEXT_H

#include "field.h"

/* Longest text dmc__field_bounds makes, with NUL. */
enum { DMC__BOUNDS_TEXT = 256 };

/* What comes after "must be": "1..65536", "above 0 and below 1", "one of: ddpm ddim". Gives buf. */
const char *dmc__field_bounds(const dmc__field *f, char buf[DMC__BOUNDS_TEXT]);

/* DMC_EPARSE, DMC_ERANGE, DMC_EKEY (enumerations, with the nearest name): options unchanged. */
dmc_status dmc__field_set(const dmc__field_table *t, const dmc__field *f, void *options,
                          const char *text);

/* Length of the text without NUL, as snprintf: nothing useful is in buf if it is >= size. */
size_t dmc__field_print(const dmc__field *f, const void *options, char *buf, size_t size);

/* Name number `value` of an enumeration, not NUL-terminated; NULL if there is none. */
const char *dmc__field_name(const dmc__field *f, int32_t value, size_t *length);

#endif
