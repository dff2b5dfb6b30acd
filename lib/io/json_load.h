/* json_load.h — JSON from strangers into jansson: one object, no duplicate keys, bounded depth. */
#ifndef DMC_IO_JSON_LOAD_H
#define DMC_IO_JSON_LOAD_H

#include <jansson.h>
#include <stddef.h>

#include "../base/status.h"

enum { DMC__JSON_DEPTH = 4 };

/* text: n bytes, need not end in NUL. DMC_EFORMAT with line and column, DMC_ENOMEM. *out is owned.
 */
dmc_status dmc__json_load(const char *text, size_t n, json_t **out);

#endif
