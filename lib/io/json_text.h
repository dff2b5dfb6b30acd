/* json_text.h — building and reading the small JSON contracts stored in files (jansson behind it). */
#ifndef DMC_IO_JSON_TEXT_H
#define DMC_IO_JSON_TEXT_H

#include "../base/alloc.h"

typedef struct dmc__json dmc__json; /* a JSON object */

dmc_status dmc__json_create(dmc__json **out);
/* text: one object, depth <= 4, <= 1 MiB, no duplicate keys. */
dmc_status dmc__json_parse(const char *text, dmc__json **out);
void dmc__json_destroy(dmc__json *j);
dmc_status dmc__json_set_text(dmc__json *j, const char *key, const char *value);
dmc_status dmc__json_set_number(dmc__json *j, const char *key, double value);   /* finite; integers print as such */
dmc_status dmc__json_set_numbers(dmc__json *j, const char *key, const float *v, int32_t n);
/* An object inside; the child is copied in. */
dmc_status dmc__json_set_object(dmc__json *j, const char *key, const dmc__json *child);
/* 1 if there is such a key. */
int32_t dmc__json_has(const dmc__json *j, const char *key);
/* Missing or wrong type: DMC_EFORMAT naming key and expectation. Text is owned by j. */
dmc_status dmc__json_get_text(const dmc__json *j, const char *key, const char **out);
dmc_status dmc__json_get_number(const dmc__json *j, const char *key, double min, double max, double *out);
dmc_status dmc__json_get_numbers(const dmc__json *j, const char *key, float *v, int32_t n);
dmc_status dmc__json_get_object(const dmc__json *j, const char *key, dmc__json **out); /* owned by the caller */
/* In one line; free with dmc__str_free. */
dmc_status dmc__json_line(const dmc__json *j, const dmc__allocator *a, char **out);
/* Pretty text with 2-space indent, sorted as set; free with dmc__str_free. */
dmc_status dmc__json_print(const dmc__json *j, const dmc__allocator *a, char **out);

#endif
