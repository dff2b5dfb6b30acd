/* ledger.c — rows to JSON and back by one table of fields, so that what is written is what is read. */
#include "ledger.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "../io/json_text.h"
#include "../io/line_file.h"

typedef enum kind { WHOLE, REAL, HASH } kind; /* int32_t; double, absent where not finite; uint64_t as 16 hexadecimal digits */

typedef struct field {
    const char *key;
    size_t offset;
    kind kind;
    double absent;             /* a REAL that is not there */
} field;

#define F(T, name, kind) {#name, offsetof(T, name), kind, NAN}

static const field row_fields[] = {
    F(dmc__ledger_row, pass, WHOLE),    F(dmc__ledger_row, stage, WHOLE),      F(dmc__ledger_row, update, WHOLE),
    F(dmc__ledger_row, updates, WHOLE), F(dmc__ledger_row, finite, WHOLE),     F(dmc__ledger_row, score, REAL),
    F(dmc__ledger_row, se, REAL),       F(dmc__ledger_row, foundation, REAL),  F(dmc__ledger_row, diff, REAL),
    F(dmc__ledger_row, diff_se, REAL),  F(dmc__ledger_row, seconds, REAL),     F(dmc__ledger_row, seed, HASH),
    F(dmc__ledger_row, draws, HASH),    F(dmc__ledger_row, weights, HASH),     F(dmc__ledger_row, turn, WHOLE),
};
static const field control_fields[] = {
    F(dmc__control, converge, WHOLE),  F(dmc__control, accept, WHOLE),  F(dmc__control, stages, WHOLE),
    F(dmc__control, passes, WHOLE),    F(dmc__control, automatic, WHOLE),
    F(dmc__control, guard, WHOLE),     F(dmc__control, kl_limit, REAL),
    {"unlikely_warn", offsetof(dmc__control, unlikely_warn), REAL, INFINITY},
    {"unlikely_limit", offsetof(dmc__control, unlikely_limit), REAL, INFINITY},
};
static const field decision_fields[] = {
    F(dmc__decision, best, WHOLE),    F(dmc__decision, warn, WHOLE), F(dmc__decision, roll_back, WHOLE),
    F(dmc__decision, why, WHOLE),     F(dmc__decision, strikes, WHOLE), F(dmc__decision, end, WHOLE),
    F(dmc__decision, accept, WHOLE),  F(dmc__decision, next, WHOLE), F(dmc__decision, pass, WHOLE),
    F(dmc__decision, plateau, WHOLE), F(dmc__decision, lr_scale, REAL),
};

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* ---- writing ---------------------------------------------------------------------------------------- */

static dmc_status set_hash(dmc__json *j, const char *key, uint64_t v)
{
    char text[17];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)v);
    return dmc__json_set_text(j, key, text);
}

static dmc_status set_real(dmc__json *j, const char *key, double v)
{
    return isfinite(v) ? dmc__json_set_number(j, key, v) : DMC_OK;
}

static dmc_status set_fields(dmc__json *j, const field *f, size_t n, const void *from)
{
    for (size_t i = 0; i < n; i++) {
        const char *at = (const char *)from + f[i].offset;
        if (f[i].kind == WHOLE) DMC_TRY(dmc__json_set_number(j, f[i].key, *(const int32_t *)(const void *)at));
        if (f[i].kind == REAL) DMC_TRY(set_real(j, f[i].key, *(const double *)(const void *)at));
        if (f[i].kind == HASH) DMC_TRY(set_hash(j, f[i].key, *(const uint64_t *)(const void *)at));
    }
    return DMC_OK;
}

static dmc_status set_object(dmc__json *j, const char *key, const field *f, size_t n, const void *from)
{
    dmc__json *child;
    DMC_TRY(dmc__json_create(&child));
    dmc_status status = set_fields(child, f, n, from);
    if (status >= 0) status = dmc__json_set_object(j, key, child);
    dmc__json_destroy(child);
    return status;
}

static dmc_status fill(dmc__json *j, const dmc__align_record *r)
{
    DMC_TRY(dmc__json_set_number(j, "at", (double)r->at));
    DMC_TRY(dmc__json_set_text(j, "method", r->stage));
    DMC_TRY(dmc__json_set_text(j, "event", dmc__event_name(r->row->event)));
    DMC_TRY(set_fields(j, row_fields, COUNT(row_fields), r->row));
    for (int32_t i = 0; i < DMC__METRICS; i++) DMC_TRY(set_real(j, dmc__metric_name(i), r->row->metric[i]));
    DMC_TRY(set_object(j, "decision", decision_fields, COUNT(decision_fields), r->decision));
    if (r->decision->why) DMC_TRY(dmc__json_set_text(j, "why", dmc__why_name(r->decision->why)));
    if (r->decision->end) DMC_TRY(dmc__json_set_text(j, "end", dmc__end_name(r->decision->end)));
    DMC_TRY(set_hash(j, "after", r->after));
    DMC_TRY(set_hash(j, "best", r->best));
    return set_object(j, "control", control_fields, COUNT(control_fields), r->control);
}

dmc_status dmc__ledger_append(const dmc__allocator *a, const char *path, const dmc__align_record *r)
{
    dmc__json *j;
    char *text = NULL;
    DMC_TRY(dmc__json_create(&j));
    dmc_status status = fill(j, r);
    if (status >= 0) status = dmc__json_line(j, a, &text);
    if (status >= 0) status = dmc__line_append(a, path, text);
    dmc__str_free(a, text);
    dmc__json_destroy(j);
    return status;
}

/* ---- reading ---------------------------------------------------------------------------------------- */

static dmc_status get_hash(const dmc__json *j, const char *key, uint64_t *out)
{
    const char *text;
    unsigned long long v;
    int used = 0;
    DMC_TRY(dmc__json_get_text(j, key, &text));
    if (strlen(text) != 16 || sscanf(text, "%16llx%n", &v, &used) != 1 || used != 16)
        return dmc__fail(DMC_EFORMAT, "JSON \"%s\" = \"%.32s\", must be 16 hexadecimal digits", key, text);
    *out = v;
    return DMC_OK;
}

static dmc_status get_real(const dmc__json *j, const char *key, double absent, double *out)
{
    *out = absent;
    return dmc__json_has(j, key) ? dmc__json_get_number(j, key, -INFINITY, INFINITY, out) : DMC_OK;
}

static dmc_status get_whole(const dmc__json *j, const char *key, int32_t *out)
{
    double v;
    DMC_TRY(dmc__json_get_number(j, key, INT32_MIN, INT32_MAX, &v));
    *out = (int32_t)v;
    return DMC_OK;
}

static dmc_status get_fields(const dmc__json *j, const field *f, size_t n, void *to)
{
    for (size_t i = 0; i < n; i++) {
        char *at = (char *)to + f[i].offset;
        if (f[i].kind == WHOLE) DMC_TRY(get_whole(j, f[i].key, (int32_t *)(void *)at));
        if (f[i].kind == REAL) DMC_TRY(get_real(j, f[i].key, f[i].absent, (double *)(void *)at));
        if (f[i].kind == HASH) DMC_TRY(get_hash(j, f[i].key, (uint64_t *)(void *)at));
    }
    return DMC_OK;
}

static dmc_status get_object(const dmc__json *j, const char *key, const field *f, size_t n, void *to)
{
    dmc__json *child;
    DMC_TRY(dmc__json_get_object(j, key, &child));
    const dmc_status status = get_fields(child, f, n, to);
    dmc__json_destroy(child);
    return status;
}

static dmc_status get_event(const dmc__json *j, int32_t *out)
{
    const char *name;
    DMC_TRY(dmc__json_get_text(j, "event", &name));
    for (*out = 0; *out < DMC__EVENTS; (*out)++)
        if (strcmp(name, dmc__event_name(*out)) == 0) return DMC_OK;
    return dmc__fail(DMC_EFORMAT, "JSON \"event\" = \"%.32s\" is no event of a ledger", name);
}

static dmc_status take(const dmc__json *j, dmc__ledger_line *l)
{
    double at;
    DMC_TRY(dmc__json_get_number(j, "at", 0, 1e9, &at));
    l->at = (size_t)at;
    DMC_TRY(get_event(j, &l->row.event));
    DMC_TRY(get_fields(j, row_fields, COUNT(row_fields), &l->row));
    for (int32_t i = 0; i < DMC__METRICS; i++) DMC_TRY(get_real(j, dmc__metric_name(i), NAN, &l->row.metric[i]));
    DMC_TRY(get_object(j, "decision", decision_fields, COUNT(decision_fields), &l->decision));
    DMC_TRY(get_object(j, "control", control_fields, COUNT(control_fields), &l->control));
    DMC_TRY(get_hash(j, "after", &l->after));
    return get_hash(j, "best", &l->best);
}

static dmc_status parse(const char *text, dmc__ledger_line *l)
{
    dmc__json *j;
    DMC_TRY(dmc__json_parse(text, &j));
    const dmc_status status = take(j, l);
    dmc__json_destroy(j);
    return status;
}

dmc_status dmc__ledger_read(const dmc__allocator *a, const char *path, dmc__ledger_line **out, size_t *n)
{
    char *text;
    size_t bytes, lines = 0;
    *out = NULL;
    *n = 0;
    DMC_TRY(dmc__lines_read(a, path, &text, &bytes));
    for (const char *p = text; p < text + bytes; p += strlen(p) + 1) lines += *p != '\0';
    dmc_status status = lines ? DMC_NEW(a, lines, out) : DMC_OK;
    size_t i = 0;
    for (const char *p = text; p < text + bytes && status >= 0; p += strlen(p) + 1)
        if (*p) status = parse(p, &(*out)[i++]);
    DMC_FREE(a, text, bytes + 1);
    if (status < 0 && *out) {
        DMC_FREE(a, *out, lines);
        *out = NULL;
        return dmc__fail_in(status, "%s: line %zu", path, i);
    }
    *n = lines;
    return status;
}
