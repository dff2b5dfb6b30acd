/* options_rows.h — how an options struct becomes a field table.
 *
 * A struct is one list of its fields in order,
 *
 *     #define TRAIN_FIELDS(X, T) X##_INT(T, steps, 10000, 1, 1e9, "...") X##_REAL(T, lr, ...) ...
 *
 * read twice: as the rows of the table, and as a sum of sizes, which equals the size of the struct
 * only if every field is listed with its right type and nothing is padded.
 */
#ifndef DMC_CONFIG_OPTIONS_ROWS_H
#define DMC_CONFIG_OPTIONS_ROWS_H

#include <stddef.h>

#include "field.h"

/* clang-format off */
#define DMC__ROW_INT(T, key, initial, min, max, doc) \
    { #key, doc, DMC_FIELD_INT32, offsetof(T, key), min, max, initial, "", #initial },
#define DMC__ROW_REAL(T, key, initial, min, max, doc) \
    { #key, doc, DMC_FIELD_DOUBLE, offsetof(T, key), min, max, initial, "", #initial },
#define DMC__ROW_SEED(T, key, doc) \
    { #key, doc, DMC_FIELD_UINT64, offsetof(T, key), 0, 0x1p64, 0, "", "0" },
/* names: of the values 0..last, in order; shown: the name of `initial` */
#define DMC__ROW_CHOICE(T, key, initial, shown, last, names, doc) \
    { #key, doc, DMC_FIELD_ENUM, offsetof(T, key), 0, last, initial, names, shown },
#define DMC__ROW_TEXT(T, key, initial, doc) \
    { #key, doc, DMC_FIELD_STRING, offsetof(T, key), 0, 0, 0, initial, initial },
/* Not an option: reserved, a callback or its argument. */
#define DMC__ROW_OTHER(T, key)

#define DMC__SIZE_INT(T, key, ...)    + _Generic(((T *)0)->key, int32_t: sizeof(int32_t))
#define DMC__SIZE_REAL(T, key, ...)   + _Generic(((T *)0)->key, double: sizeof(double))
#define DMC__SIZE_SEED(T, key, ...)   + _Generic(((T *)0)->key, uint64_t: sizeof(uint64_t))
#define DMC__SIZE_CHOICE(T, key, ...) DMC__SIZE_INT(T, key)
#define DMC__SIZE_TEXT(T, key, ...)   + _Generic(((T *)0)->key, const char *: sizeof(char *))
#define DMC__SIZE_OTHER(T, key)       + sizeof(((T *)0)->key)
/* clang-format on */

/* Defines the table `variable` of struct T; reserved is the offset of its reserved0, or 0. */
#define DMC__OPTIONS_TABLE(variable, kind, T, FIELDS, reserved)                                   \
    _Static_assert(sizeof(uint32_t) FIELDS(DMC__SIZE, T) == sizeof(T), #T ": padding or no row"); \
    _Static_assert(sizeof(T) <= DMC__OPTIONS_MAX, #T " is larger than DMC__OPTIONS_MAX");         \
    static const dmc__field fields[] = { FIELDS(DMC__ROW, T) };                                   \
    const dmc__field_table variable = { kind,     #T,     sizeof(T),                              \
                                        reserved, fields, sizeof fields / sizeof *fields }

/* One per struct, each in its own file options_<x>.c. */
extern const dmc__field_table dmc__options_context, dmc__options_dataset, dmc__options_model,
    dmc__options_train, dmc__options_critic, dmc__options_sampler, dmc__options_align,
    dmc__options_rl, dmc__options_dpo, dmc__options_sft, dmc__options_cascade,
    dmc__options_sequence, dmc__options_likelihood, dmc__options_online,
    dmc__options_synth;

#endif
