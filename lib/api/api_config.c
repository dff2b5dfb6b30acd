/* api_config.c — YAML files and "section.key=value" overrides into options structs. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "../../include/libdmc/options.h"
#include "../base/alloc.h"
#include "../config/field.h"
#include "../io/yaml_file.h"

struct dmc_config {
    char *path; /* for messages; "" without a file */
    dmc__yaml list;
};

/* "model.horizon=4" cut into three; the parts point into `copy`. */
static dmc_status cut_override(char *copy, const char **section, const char **key,
                               const char **value)
{
    char *dot = strchr(copy, '.');
    char *equals = strchr(copy, '=');
    if (!dot || !equals || dot > equals || dot == copy || equals == dot + 1)
        return dmc__fail(DMC_EPARSE, "override \"%.64s\" must look like section.key=value", copy);
    *dot = *equals = '\0';
    *section = copy;
    *key = dot + 1;
    *value = equals + 1;
    return DMC_OK;
}

/* The last word on section.key. */
static dmc_status set_value(dmc__yaml *list, const char *section, const char *key,
                            const char *value)
{
    if (dmc__yaml_find(list, section, NULL) < 0)
        DMC_TRY(dmc__yaml_append(list, section, NULL, NULL, 0));
    const int32_t old = dmc__yaml_find(list, section, key);
    if (old < 0) return dmc__yaml_append(list, section, key, value, 0);
    char *copy;
    DMC_TRY(dmc__str_dup(list->alloc, value, &copy));
    dmc__str_free(list->alloc, list->entry[old].value);
    list->entry[old].value = copy;
    list->entry[old].line = 0;
    return DMC_OK;
}

static dmc_status apply_override(dmc__yaml *list, const char *text)
{
    const char *section = NULL, *key = NULL, *value = NULL;
    char *copy;
    if (!text) return dmc__fail(DMC_EINVAL, "an override is NULL");
    DMC_TRY(dmc__str_dup(list->alloc, text, &copy));
    const size_t size = strlen(copy) + 1; /* before it is cut */
    dmc_status status = cut_override(copy, &section, &key, &value);
    if (status == DMC_OK) status = set_value(list, section, key, value);
    dmc__free(list->alloc, copy, size, 1);
    return status;
}

static dmc_status load(dmc_config *c, const char *path, const char *const *overrides, size_t n)
{
    const dmc__allocator *a = &dmc__default_allocator;
    c->list.alloc = a;
    DMC_TRY(dmc__str_dup(a, path ? path : "", &c->path));
    if (path) DMC_TRY(dmc__yaml_read(a, path, &c->list));
    for (size_t i = 0; i < n; i++) DMC_TRY(apply_override(&c->list, overrides[i]));
    return DMC_OK;
}

dmc_status dmc_config_load(const char *path, const char *const *overrides, size_t n,
                           dmc_config **out)
{
    if (!out) return dmc__fail(DMC_EINVAL, "dmc_config_load: out = NULL");
    *out = NULL;
    if (n > 0 && !overrides)
        return dmc__fail(DMC_EINVAL, "dmc_config_load: overrides = NULL, n = %zu", n);
    DMC_TRY(DMC_NEW(&dmc__default_allocator, 1, out));
    const dmc_status status = load(*out, path, overrides, n);
    if (status == DMC_OK) return DMC_OK;
    dmc_config_destroy(*out);
    *out = NULL;
    return dmc__fail_in(status, "dmc_config_load");
}

void dmc_config_destroy(dmc_config *c)
{
    if (!c) return;
    dmc__yaml_free(&c->list);
    dmc__str_free(&dmc__default_allocator, c->path);
    DMC_FREE(&dmc__default_allocator, c, 1);
}

/* Where an entry came from: "run.yaml: line 12". Returns buf. */
static const char *origin(const dmc_config *c, const dmc__yaml_entry *e, char buf[256])
{
    if (e->line > 0)
        snprintf(buf, 256, "%.200s: line %d", c->path, e->line);
    else
        snprintf(buf, 256, "override of %.64s", e->section);
    return buf;
}

static bool is_listed(const char *const *names, const char *key)
{
    while (*names && strcmp(*names, key) != 0) names++;
    return *names != NULL;
}

/* A key that is neither an option nor the program's own, with the nearest of both. */
static dmc_status refuse_key(const dmc__field_table *t, const char *const *own, const char *section, const char *key)
{
    enum { MOST = DMC__OPTIONS_MAX / 2 };
    const char *names[MOST];
    int32_t n = 0;
    for (int32_t i = 0; t && i < t->count && n < MOST; i++) names[n++] = t->field[i].key;
    for (int32_t i = 0; own[i] && n < MOST; i++) names[n++] = own[i];
    const char *near = dmc__name_nearest(key, names, n);
    return dmc__fail(DMC_EKEY, "section \"%.64s\" has no key \"%.64s\"%s%s%s", section, key, near ? ", did you mean \"" : "",
                     near ? near : "", near ? "\"?" : "");
}

/* Every key of a section into `options`, a copy of the caller's struct. */
static dmc_status apply_keys(const dmc_config *c, const char *section, const char *const *own, const dmc__field_table *t,
                             void *options)
{
    char where[256];
    for (int32_t i = 0; i < c->list.count; i++) {
        const dmc__yaml_entry *e = &c->list.entry[i];
        if (!e->key || strcmp(e->section, section) != 0 || is_listed(own, e->key)) continue;
        const dmc_status status = t && dmc__field_find(t, e->key) ? dmc_options_set(t->kind, options, e->key, e->value)
                                                                  : refuse_key(t, own, section, e->key);
        if (status < 0) return dmc__fail_in(status, "dmc_config_apply: %s", origin(c, e, where));
    }
    return DMC_OK;
}

dmc_status dmc_config_apply_with(const dmc_config *c, const char *section, const char *const *own, int32_t kind, void *options)
{
    char copy[DMC__OPTIONS_MAX]; /* so that a refused value leaves the struct as it was */
    uint32_t size;
    const dmc__field_table *t = dmc__field_table_find(kind);
    if (!c || !section || !own || !options != !kind || (kind && !t))
        return dmc__fail(DMC_EINVAL, "dmc_config_apply: c, section and options must not be NULL, kind = %d", kind);
    if (!t) return apply_keys(c, section, own, NULL, NULL);
    const dmc_status known = dmc__field_size(t, options, &size);
    if (known < 0) return dmc__fail_in(known, "dmc_config_apply");
    if (size > t->size) size = t->size;
    memcpy(copy, options, size);
    DMC_TRY(apply_keys(c, section, own, t, copy));
    memcpy(options, copy, size);
    return DMC_OK;
}

dmc_status dmc_config_apply(const dmc_config *c, const char *section, int32_t kind, void *options)
{
    static const char *const none[] = {NULL};
    if (kind == 0) return dmc__fail(DMC_EINVAL, "dmc_config_apply: kind = 0, must be DMC_OPTIONS_*");
    return dmc_config_apply_with(c, section, none, kind, options);
}

const char *dmc_config_get(const dmc_config *c, const char *section, const char *key)
{
    if (!c || !section || !key) return NULL;
    const int32_t i = dmc__yaml_find(&c->list, section, key);
    return i < 0 ? NULL : c->list.entry[i].value;
}

static dmc_status check_section(const dmc_config *c, const dmc__yaml_entry *e,
                                const char *const *known, int32_t n)
{
    for (int32_t i = 0; i < n; i++)
        if (strcmp(e->section, known[i]) == 0) return DMC_OK;
    char where[256];
    const char *near = dmc__name_nearest(e->section, known, n);
    return dmc__fail(DMC_EKEY, "dmc_config_sections: %s: section \"%.64s\" is not known%s%s%s",
                     origin(c, e, where), e->section, near ? ", did you mean \"" : "",
                     near ? near : "", near ? "\"?" : "");
}

dmc_status dmc_config_sections(const dmc_config *c, const char *const *known)
{
    int32_t n = 0;
    if (!c || !known)
        return dmc__fail(DMC_EINVAL, "dmc_config_sections: c and known must not be NULL");
    while (known[n]) n++;
    for (int32_t i = 0; i < c->list.count; i++) {
        const dmc__yaml_entry *e = &c->list.entry[i];
        if (!e->key) DMC_TRY(check_section(c, e, known, n));
    }
    return DMC_OK;
}
