/* json_text.c — building and reading the small JSON contracts stored in files. */
#include "json_text.h"

#include <math.h>
#include <string.h>

#include "json_load.h"

enum { LONGEST_TEXT = 1 << 20 };

/* A dmc__json is a json_t that is an object. */
static json_t *object_of(const dmc__json *j)
{
    return (json_t *)(uintptr_t)j;
}

dmc_status dmc__json_create(dmc__json **out)
{
    *out = (dmc__json *)json_object();
    return *out ? DMC_OK : dmc__fail(DMC_ENOMEM, "out of memory: JSON object");
}

dmc_status dmc__json_parse(const char *text, dmc__json **out)
{
    json_t *root;
    *out = NULL;
    const size_t n = strnlen(text, LONGEST_TEXT + 1);
    if (n > LONGEST_TEXT)
        return dmc__fail(DMC_EFORMAT, "JSON is longer than %d bytes", LONGEST_TEXT);
    DMC_TRY(dmc__json_load(text, n, &root));
    *out = (dmc__json *)root;
    return DMC_OK;
}

void dmc__json_destroy(dmc__json *j)
{
    json_decref((json_t *)j);
}

/* Takes `value` over. NULL means that jansson could not make it: text that is not UTF-8, or no
 * memory. */
static dmc_status set_value(dmc__json *j, const char *key, json_t *value)
{
    if (!value) return dmc__fail(DMC_EINVAL, "JSON \"%s\": value is not UTF-8 text", key);
    if (json_object_set_new((json_t *)j, key, value) == 0) return DMC_OK;
    return dmc__fail(DMC_EINVAL, "JSON \"%s\": key is not UTF-8 text", key);
}

dmc_status dmc__json_set_text(dmc__json *j, const char *key, const char *value)
{
    return set_value(j, key, json_string(value));
}

/* Whole numbers print without a fraction; 2^53 is where doubles stop being able to tell them apart.
 */
static json_t *number_value(double v)
{
    const int whole = v == floor(v) && fabs(v) <= 0x1p53 && !(v == 0 && signbit(v));
    return whole ? json_integer((json_int_t)v) : json_real(v);
}

dmc_status dmc__json_set_number(dmc__json *j, const char *key, double value)
{
    if (!isfinite(value))
        return dmc__fail(DMC_ENUMERIC, "JSON \"%s\" = %g, must be finite", key, value);
    return set_value(j, key, number_value(value));
}

dmc_status dmc__json_set_numbers(dmc__json *j, const char *key, const float *v, int32_t n)
{
    json_t *list = json_array();
    dmc_status status = list ? DMC_OK : dmc__fail(DMC_ENOMEM, "out of memory: JSON \"%s\"", key);
    for (int32_t i = 0; status == DMC_OK && i < n; i++) {
        if (!isfinite(v[i]))
            status = dmc__fail(DMC_ENUMERIC, "JSON \"%s\"[%d] = %g, must be finite", key, i, v[i]);
        else if (json_array_append_new(list, number_value(v[i])) != 0)
            status = dmc__fail(DMC_ENOMEM, "out of memory: JSON \"%s\"", key);
    }
    if (status == DMC_OK) return set_value(j, key, list);
    json_decref(list);
    return status;
}

dmc_status dmc__json_set_object(dmc__json *j, const char *key, const dmc__json *child)
{
    json_t *copy = json_deep_copy(object_of(child));
    if (!copy) return dmc__fail(DMC_ENOMEM, "out of memory: JSON \"%s\"", key);
    return set_value(j, key, copy);
}

/* The value of a key of the wanted type, or a sentence that says what is there instead. */
static dmc_status find_value(const dmc__json *j, const char *key, int found_type_ok(const json_t *),
                             const char *want, json_t **out)
{
    json_t *v = json_object_get(object_of(j), key);
    if (!v) return dmc__fail(DMC_EFORMAT, "JSON has no \"%s\", which must be %s", key, want);
    if (!found_type_ok(v)) return dmc__fail(DMC_EFORMAT, "JSON \"%s\" must be %s", key, want);
    *out = v;
    return DMC_OK;
}

static int is_text(const json_t *v)
{
    return json_is_string(v);
}

static int is_number(const json_t *v)
{
    return json_is_number(v);
}

static int is_list(const json_t *v)
{
    return json_is_array(v);
}

static int is_object(const json_t *v)
{
    return json_is_object(v);
}

int32_t dmc__json_has(const dmc__json *j, const char *key)
{
    return json_object_get(object_of(j), key) != NULL;
}

dmc_status dmc__json_get_text(const dmc__json *j, const char *key, const char **out)
{
    json_t *v = NULL;
    *out = NULL;
    DMC_TRY(find_value(j, key, is_text, "text", &v));
    *out = json_string_value(v);
    return DMC_OK;
}

dmc_status dmc__json_get_number(const dmc__json *j, const char *key, double min, double max,
                                double *out)
{
    json_t *v = NULL;
    DMC_TRY(find_value(j, key, is_number, "a number", &v));
    const double x = json_number_value(v);
    if (!(x >= min && x <= max))
        return dmc__fail(DMC_EFORMAT, "JSON \"%s\" = %g, must be %g..%g", key, x, min, max);
    *out = x;
    return DMC_OK;
}

dmc_status dmc__json_get_numbers(const dmc__json *j, const char *key, float *v, int32_t n)
{
    json_t *list = NULL;
    DMC_TRY(find_value(j, key, is_list, "a list of numbers", &list));
    if (json_array_size(list) != (size_t)n)
        return dmc__fail(DMC_EFORMAT, "JSON \"%s\" has %zu numbers, must have %d", key,
                         json_array_size(list), n);
    for (int32_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(list, (size_t)i);
        const double x = json_number_value(item);
        if (!json_is_number(item) || !isfinite((float)x))
            return dmc__fail(DMC_EFORMAT, "JSON \"%s\"[%d] must be a finite number", key, i);
        v[i] = (float)x;
    }
    return DMC_OK;
}

dmc_status dmc__json_get_object(const dmc__json *j, const char *key, dmc__json **out)
{
    json_t *v = NULL;
    *out = NULL;
    DMC_TRY(find_value(j, key, is_object, "an object", &v));
    *out = (dmc__json *)json_incref(v);
    return DMC_OK;
}

static dmc_status print_text(const dmc__json *j, const dmc__allocator *a, size_t flags, char **out)
{
    *out = NULL;
    const size_t n = json_dumpb(object_of(j), NULL, 0, flags);
    if (n == 0) return dmc__fail(DMC_ENOMEM, "out of memory: JSON text");
    DMC_TRY(DMC_NEW(a, n + 1, out)); /* zeroed, so the text ends */
    if (json_dumpb(object_of(j), *out, n, flags) == n) return DMC_OK;
    DMC_FREE(a, *out, n + 1);
    *out = NULL;
    return dmc__fail(DMC_ENOMEM, "out of memory: JSON text");
}

dmc_status dmc__json_print(const dmc__json *j, const dmc__allocator *a, char **out)
{
    return print_text(j, a, JSON_INDENT(2), out);
}

dmc_status dmc__json_line(const dmc__json *j, const dmc__allocator *a, char **out)
{
    return print_text(j, a, JSON_COMPACT, out);
}
