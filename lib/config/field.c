/* field.c — defaults, ranges and versions of options structs, for every struct at once. */
#include "field.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "field_text.h"
#include "number_text.h"
#include "options_rows.h"

static const dmc__field_table *const tables[] = {
    &dmc__options_context, &dmc__options_dataset, &dmc__options_model,   &dmc__options_train,
    &dmc__options_critic,  &dmc__options_sampler, &dmc__options_align,   &dmc__options_rl,
    &dmc__options_dpo,     &dmc__options_sft,     &dmc__options_cascade, &dmc__options_sequence,
    &dmc__options_likelihood, &dmc__options_online,  &dmc__options_synth,
    NULL,
};

const dmc__field_table *dmc__field_table_find(int32_t kind)
{
    for (const dmc__field_table *const *t = tables; *t; t++)
        if ((*t)->kind == kind) return *t;
    return NULL;
}

const dmc__field *dmc__field_find(const dmc__field_table *t, const char *key)
{
    for (int32_t i = 0; i < t->count; i++)
        if (strcmp(t->field[i].key, key) == 0) return &t->field[i];
    return NULL;
}

static uint32_t field_bytes(const dmc__field *f)
{
    const int narrow = f->type == DMC_FIELD_INT32 || f->type == DMC_FIELD_ENUM;
    return narrow ? sizeof(int32_t) : f->type == DMC_FIELD_STRING ? sizeof(char *) : sizeof(double);
}

static void set_default(const dmc__field *f, void *options)
{
    char *at = (char *)options + f->offset;
    if (f->type == DMC_FIELD_STRING) {
        memcpy(at, &f->text, sizeof f->text);
    } else if (f->type == DMC_FIELD_DOUBLE) {
        memcpy(at, &f->initial, sizeof f->initial);
    } else if (f->type == DMC_FIELD_UINT64) {
        const uint64_t v = (uint64_t)f->initial;
        memcpy(at, &v, sizeof v);
    } else {
        const int32_t v = (int32_t)f->initial;
        memcpy(at, &v, sizeof v);
    }
}

void dmc__field_defaults(const dmc__field_table *t, void *options)
{
    memset(options, 0, t->size);
    memcpy(options, &t->size, sizeof t->size);
    for (int32_t i = 0; i < t->count; i++) set_default(&t->field[i], options);
}

/* The value as a double, for the range check of numbers. */
static double number_at(const dmc__field *f, const void *options)
{
    const char *at = (const char *)options + f->offset;
    if (f->type == DMC_FIELD_DOUBLE) {
        double v;
        memcpy(&v, at, sizeof v);
        return v;
    }
    int32_t v;
    memcpy(&v, at, sizeof v);
    return v;
}

/* Also false for NaN. */
static bool in_range(const dmc__field *f, const void *options)
{
    if (f->type == DMC_FIELD_STRING || f->type == DMC_FIELD_UINT64) return true;
    const double v = number_at(f, options);
    return v >= f->min && v <= f->max;
}

dmc_status dmc__field_check(const dmc__field_table *t, const void *options)
{
    char value[DMC__NUMBER_TEXT], bounds[DMC__BOUNDS_TEXT];
    for (int32_t i = 0; i < t->count; i++) {
        const dmc__field *f = &t->field[i];
        if (!in_range(f, options))
            return dmc__fail(DMC_ERANGE, "%s: %s = %s, must be %s", t->name, f->key,
                             dmc__number_print(number_at(f, options), value),
                             dmc__field_bounds(f, bounds));
    }
    int32_t reserved = 0;
    if (t->reserved) memcpy(&reserved, (const char *)options + t->reserved, sizeof reserved);
    if (reserved != 0)
        return dmc__fail(DMC_EINVAL, "%s: reserved0 = %d, must be 0", t->name, reserved);
    return DMC_OK;
}

/* Does a struct of `size` bytes end inside a field? No version of it ever did. */
static bool cuts_field(const dmc__field_table *t, uint32_t size)
{
    for (int32_t i = 0; i < t->count; i++) {
        const uint32_t begin = t->field[i].offset;
        if (size > begin && size < begin + field_bytes(&t->field[i])) return true;
    }
    return false;
}

dmc_status dmc__field_size(const dmc__field_table *t, const void *options, uint32_t *size)
{
    enum { LARGEST = 4096 }; /* beyond it a size is noise, and the tail must not be read */
    memcpy(size, options, sizeof *size);
    if (*size < sizeof *size || *size > LARGEST || cuts_field(t, *size))
        return dmc__fail(DMC_EINVAL, "%s: struct_size = %u, must be %u: call %s_init first",
                         t->name, *size, t->size, t->name);
    return DMC_OK;
}

/* A newer program may only have set fields that this library knows. */
static dmc_status check_tail(const dmc__field_table *t, const char *options, uint32_t size)
{
    for (uint32_t i = t->size; i < size; i++)
        if (options[i] != 0)
            return dmc__fail(
                DMC_EINVAL,
                "%s: byte %u of %u is set, but this library knows only %u bytes: it is "
                "older than the program",
                t->name, i, size, t->size);
    return DMC_OK;
}

dmc_status dmc__field_merge(const dmc__field_table *t, const void *user, void *options)
{
    dmc__field_defaults(t, options);
    if (!user) return DMC_OK;
    uint32_t size;
    DMC_TRY(dmc__field_size(t, user, &size));
    DMC_TRY(check_tail(t, user, size));
    memcpy(options, user, size < t->size ? size : t->size);
    memcpy(options, &t->size, sizeof t->size);
    for (int32_t i = 0; i < t->count; i++) {
        const dmc__field *f = &t->field[i];
        const char *text;
        if (f->type != DMC_FIELD_STRING) continue;
        memcpy(&text, (char *)options + f->offset, sizeof text);
        if (!text) set_default(f, options);
    }
    return DMC_OK;
}

dmc_status dmc__field_take(int32_t kind, const void *user, void *options)
{
    const dmc__field_table *t = dmc__field_table_find(kind);
    if (!t) return dmc__fail(DMC_EINVAL, "options kind = %d is not known", kind);
    DMC_TRY(dmc__field_merge(t, user, options));
    return dmc__field_check(t, options);
}

const char *dmc__field_choice(int32_t kind, const char *key, int32_t value, char *buf, size_t size)
{
    const dmc__field_table *t = dmc__field_table_find(kind);
    const dmc__field *f = t ? dmc__field_find(t, key) : NULL;
    size_t length = 1;
    const char *name = f && f->type == DMC_FIELD_ENUM ? dmc__field_name(f, value, &length) : NULL;
    snprintf(buf, size, "%.*s", (int)length, name ? name : "?");
    return buf;
}
