/* field.h — one table per options struct: the single source for ranges, YAML, overrides, help and bindings. */
#ifndef DMC_CONFIG_FIELD_H
#define DMC_CONFIG_FIELD_H

#include "../../include/libdmc/options.h"
#include "../base/status.h"

typedef struct dmc__field {
    const char *key;
    const char *doc;
    int32_t type;        /* DMC_FIELD_* */
    uint32_t offset;
    double min, max;     /* numbers: inclusive bounds */
    double initial;      /* numbers and enumerations  */
    const char *text;    /* strings: the default; enumerations: names in value order, space-separated */
    const char *shown;   /* the default as text, as dmc_options_set would take it */
} dmc__field;

typedef struct dmc__field_table {
    int32_t kind;        /* DMC_OPTIONS_* */
    const char *name;    /* "dmc_model_options", for messages */
    uint32_t size;       /* sizeof the struct */
    uint32_t reserved;   /* offset of an int32 that must be 0; 0 = the struct has none */
    const dmc__field *field;
    int32_t count;
} dmc__field_table;

/* NULL for an unknown kind. */
const dmc__field_table *dmc__field_table_find(int32_t kind);

/* Exclusive bounds: the nearest single-precision number inside (networks compute in float). */
#define DMC__ABOVE_ZERO 0x1p-126
#define DMC__BELOW_ONE 0x1.fffffep-1

/* No options struct is larger, so a copy fits in a local of this size. */
enum { DMC__OPTIONS_MAX = 512 };

void dmc__field_defaults(const dmc__field_table *t, void *options);
/* Every field inside its range, else DMC_ERANGE "dmc_model_options: batch = 0, must be 1..65536". */
dmc_status dmc__field_check(const dmc__field_table *t, const void *options);
/* What every create call does: NULL user = defaults; else copy min(struct_size, known) bytes over the defaults, refuse
 * struct_size 0 (naming the init function) and a longer struct whose tail is not zero, then check ranges. */
dmc_status dmc__field_take(int32_t kind, const void *user, void *options);
/* The same without the range check: what a getter reads. */
dmc_status dmc__field_merge(const dmc__field_table *t, const void *user, void *options);
/* Bytes of `options` that the caller's struct has; refuses sizes no version of the struct ever had. */
dmc_status dmc__field_size(const dmc__field_table *t, const void *options, uint32_t *size);
/* The row of `key`, NULL if there is none. */
const dmc__field *dmc__field_find(const dmc__field_table *t, const char *key);
/* The known key nearest to `key` by edit distance, NULL if nothing is near (distance > 3). */
const char *dmc__field_nearest(const dmc__field_table *t, const char *key);
/* Same over any list of names. */
const char *dmc__name_nearest(const char *key, const char *const *names, int32_t n);
/* Name of an enumeration's value, e.g. "ddim"; "?" if there is none. */
const char *dmc__field_choice(int32_t kind, const char *key, int32_t value, char *buf, size_t size);

#endif
