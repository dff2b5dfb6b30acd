/* field_text.c — one field to and from text. */
#include "field_text.h"

#include <stdio.h>
#include <string.h>

#include "number_text.h"

enum { MAX_NAMES = 16, MAX_NAME = 32 };

static const char *lower_bound(const dmc__field *f, char buf[48])
{
    char n[DMC__NUMBER_TEXT];
    if (f->min == DMC__ABOVE_ZERO) return "above 0";
    snprintf(buf, 48, "at least %s", dmc__number_print(f->min, n));
    return buf;
}

static const char *upper_bound(const dmc__field *f, char buf[48])
{
    char n[DMC__NUMBER_TEXT];
    if (f->max == DMC__BELOW_ONE) return "below 1";
    snprintf(buf, 48, "at most %s", dmc__number_print(f->max, n));
    return buf;
}

const char *dmc__field_bounds(const dmc__field *f, char buf[DMC__BOUNDS_TEXT])
{
    char low[48], high[48];
    if (f->type == DMC_FIELD_ENUM) {
        snprintf(buf, DMC__BOUNDS_TEXT, "one of: %s", f->text);
    } else if (f->type == DMC_FIELD_UINT64) {
        snprintf(buf, DMC__BOUNDS_TEXT, "0..18446744073709551615");
    } else if (f->min == DMC__ABOVE_ZERO || f->max == DMC__BELOW_ONE) {
        snprintf(buf, DMC__BOUNDS_TEXT, "%s and %s", lower_bound(f, low), upper_bound(f, high));
    } else {
        snprintf(buf, DMC__BOUNDS_TEXT, "%s..%s", dmc__number_print(f->min, low),
                 dmc__number_print(f->max, high));
    }
    return buf;
}

const char *dmc__field_name(const dmc__field *f, int32_t value, size_t *length)
{
    const char *p = f->text;
    for (int32_t i = 0; *p; i++) {
        *length = strcspn(p, " ");
        if (i == value) return p;
        p += *length;
        p += strspn(p, " ");
    }
    return NULL;
}

/* The names as separate strings, for the search of the nearest; returns how many. */
static int32_t split_names(const dmc__field *f, char copy[MAX_NAMES][MAX_NAME],
                           const char *names[MAX_NAMES])
{
    int32_t n = 0;
    size_t length;
    for (const char *p; n < MAX_NAMES && (p = dmc__field_name(f, n, &length)); n++) {
        snprintf(copy[n], MAX_NAME, "%.*s", (int)length, p);
        names[n] = copy[n];
    }
    return n;
}

static dmc_status set_choice(const dmc__field_table *t, const dmc__field *f, void *at,
                             const char *text)
{
    char copy[MAX_NAMES][MAX_NAME];
    const char *names[MAX_NAMES];
    const int32_t n = split_names(f, copy, names);
    for (int32_t i = 0; i < n; i++)
        if (strcmp(names[i], text) == 0) {
            memcpy(at, &i, sizeof i);
            return DMC_OK;
        }
    const char *near = dmc__name_nearest(text, names, n);
    return dmc__fail(DMC_EKEY, "%s: %s = \"%.64s\"%s%s%s, must be one of: %s", t->name, f->key,
                     text, near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "",
                     f->text);
}

/* Why a number was not taken. */
static dmc_status refuse_number(const dmc__field_table *t, const dmc__field *f, const char *text,
                                dmc_status status)
{
    char bounds[DMC__BOUNDS_TEXT];
    const char *kind = f->type == DMC_FIELD_DOUBLE ? "a number" : "a whole number";
    if (status == DMC_ENOMEM) return dmc__fail(status, "%s: %s: out of memory", t->name, f->key);
    if (status == DMC_EPARSE)
        return dmc__fail(status, "%s: %s = \"%.64s\" is not %s", t->name, f->key, text, kind);
    return dmc__fail(DMC_ERANGE, "%s: %s = %.64s, must be %s", t->name, f->key, text,
                     dmc__field_bounds(f, bounds));
}

static dmc_status set_int32(const dmc__field_table *t, const dmc__field *f, void *at,
                            const char *text)
{
    int64_t v;
    const dmc_status status = dmc__number_i64(text, &v);
    if (status < 0) return refuse_number(t, f, text, status);
    if ((double)v < f->min || (double)v > f->max) return refuse_number(t, f, text, DMC_ERANGE);
    const int32_t narrow = (int32_t)v;
    memcpy(at, &narrow, sizeof narrow);
    return DMC_OK;
}

static dmc_status set_uint64(const dmc__field_table *t, const dmc__field *f, void *at,
                             const char *text)
{
    uint64_t v;
    const dmc_status status = dmc__number_u64(text, &v);
    if (status < 0) return refuse_number(t, f, text, status);
    memcpy(at, &v, sizeof v);
    return DMC_OK;
}

static dmc_status set_double(const dmc__field_table *t, const dmc__field *f, void *at,
                             const char *text)
{
    double v;
    const dmc_status status = dmc__number_double(text, &v);
    if (status < 0) return refuse_number(t, f, text, status);
    if (!(v >= f->min && v <= f->max)) return refuse_number(t, f, text, DMC_ERANGE);
    memcpy(at, &v, sizeof v);
    return DMC_OK;
}

dmc_status dmc__field_set(const dmc__field_table *t, const dmc__field *f, void *options,
                          const char *text)
{
    char *at = (char *)options + f->offset;
    switch (f->type) {
    case DMC_FIELD_INT32: return set_int32(t, f, at, text);
    case DMC_FIELD_UINT64: return set_uint64(t, f, at, text);
    case DMC_FIELD_DOUBLE: return set_double(t, f, at, text);
    case DMC_FIELD_ENUM: return set_choice(t, f, at, text);
    default: memcpy(at, &text, sizeof text); return DMC_OK;
    }
}

/* An int32, or the name it stands for. */
static int print_int32(const dmc__field *f, const char *at, char *buf, size_t size)
{
    int32_t v;
    size_t length = 0;
    memcpy(&v, at, sizeof v);
    const char *name = f->type == DMC_FIELD_ENUM ? dmc__field_name(f, v, &length) : NULL;
    return name ? snprintf(buf, size, "%.*s", (int)length, name) : snprintf(buf, size, "%d", v);
}

static int print_double(const char *at, char *buf, size_t size)
{
    double v;
    char n[DMC__NUMBER_TEXT];
    memcpy(&v, at, sizeof v);
    return snprintf(buf, size, "%s", dmc__number_print(v, n));
}

static int print_uint64(const char *at, char *buf, size_t size)
{
    uint64_t v;
    memcpy(&v, at, sizeof v);
    return snprintf(buf, size, "%llu", (unsigned long long)v);
}

static int print_text(const dmc__field *f, const char *at, char *buf, size_t size)
{
    const char *v;
    memcpy(&v, at, sizeof v);
    return snprintf(buf, size, "%s", v ? v : f->text);
}

size_t dmc__field_print(const dmc__field *f, const void *options, char *buf, size_t size)
{
    const char *at = (const char *)options + f->offset;
    switch (f->type) {
    case DMC_FIELD_UINT64: return (size_t)print_uint64(at, buf, size);
    case DMC_FIELD_DOUBLE: return (size_t)print_double(at, buf, size);
    case DMC_FIELD_STRING: return (size_t)print_text(f, at, buf, size);
    default: return (size_t)print_int32(f, at, buf, size);
    }
}
