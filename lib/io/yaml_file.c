/* yaml_file.c — YAML events into a list of section, key, value. */
#include "yaml_file.h"

#include <stdbool.h>
#include <string.h>
#include <unistd.h>
#include <yaml.h>

#include "file_open.h"

enum { MOST_BYTES = 1 << 20, MOST_EVENTS = 10000 };

typedef struct reader {
    yaml_parser_t parser;
    const char *name;
    const char *text; /* all of it, to find lines in */
    int events;
    dmc__yaml *list;
} reader;

static void free_entry(const dmc__allocator *a, dmc__yaml_entry *e)
{
    dmc__str_free(a, e->section);
    dmc__str_free(a, e->key);
    dmc__str_free(a, e->value);
}

void dmc__yaml_free(dmc__yaml *y)
{
    if (!y->alloc) return;
    for (int32_t i = 0; i < y->count; i++) free_entry(y->alloc, &y->entry[i]);
    DMC_FREE(y->alloc, y->entry, y->capacity);
    *y = (dmc__yaml){0};
}

static dmc_status make_room(dmc__yaml *y)
{
    if (y->count < y->capacity) return DMC_OK;
    const int32_t wider = y->capacity ? 2 * y->capacity : 32;
    dmc__yaml_entry *entry;
    DMC_TRY(DMC_NEW(y->alloc, wider, &entry));
    if (y->count > 0) memcpy(entry, y->entry, (size_t)y->count * sizeof *entry);
    DMC_FREE(y->alloc, y->entry, y->capacity);
    y->entry = entry;
    y->capacity = wider;
    return DMC_OK;
}

dmc_status dmc__yaml_append(dmc__yaml *y, const char *section, const char *key, const char *value,
                            int32_t line)
{
    dmc__yaml_entry e = {.line = line};
    DMC_TRY(make_room(y));
    dmc_status status = dmc__str_dup(y->alloc, section, &e.section);
    if (status == DMC_OK && key) status = dmc__str_dup(y->alloc, key, &e.key);
    if (status == DMC_OK && value) status = dmc__str_dup(y->alloc, value, &e.value);
    if (status < 0)
        free_entry(y->alloc, &e);
    else
        y->entry[y->count++] = e;
    return status;
}

int32_t dmc__yaml_find(const dmc__yaml *y, const char *section, const char *key)
{
    for (int32_t i = 0; i < y->count; i++) {
        const dmc__yaml_entry *e = &y->entry[i];
        if (strcmp(e->section, section) != 0 || !key != !e->key) continue;
        if (!key || strcmp(e->key, key) == 0) return i;
    }
    return -1;
}

/* Every refusal of text: file, line and column, and what is wrong there. */
static dmc_status refuse(const reader *r, yaml_mark_t at, const char *what)
{
    return dmc__fail(DMC_EPARSE, "%s: line %zu, column %zu: %s", r->name, at.line + 1,
                     at.column + 1, what);
}

/* Bytes that are no text have no mark of their own, only an offset. */
static yaml_mark_t mark_of(const reader *r, size_t offset)
{
    yaml_mark_t at = {.index = offset};
    for (size_t i = 0; i < offset; i++) {
        if (r->text[i] == '\n') {
            at.line++;
            at.column = 0;
        } else if (((unsigned char)r->text[i] & 0xc0) != 0x80) {
            at.column++; /* not the inner byte of a character */
        }
    }
    return at;
}

static dmc_status refuse_syntax(const reader *r)
{
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR) return dmc__fail(DMC_ENOMEM, "out of memory: %s", r->name);
    const bool bytes = p->error == YAML_READER_ERROR;
    return refuse(r, bytes ? mark_of(r, p->problem_offset) : p->problem_mark,
                  p->problem ? p->problem : "is not YAML");
}

/* Why an event may not be there at all, or NULL. */
static const char *forbidden(const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_ALIAS_EVENT: return "aliases are not allowed";
    case YAML_SEQUENCE_START_EVENT: return "lists are not allowed: write \"1,2,3\" in quotes";
    case YAML_DOCUMENT_START_EVENT:
        return e->data.document_start.version_directive ||
                       e->data.document_start.tag_directives.start !=
                           e->data.document_start.tag_directives.end
                   ? "directives are not allowed"
                   : NULL;
    case YAML_MAPPING_START_EVENT:
        if (e->data.mapping_start.anchor) return "anchors are not allowed";
        return e->data.mapping_start.tag ? "tags are not allowed" : NULL;
    case YAML_SCALAR_EVENT:
        if (e->data.scalar.anchor) return "anchors are not allowed";
        if (e->data.scalar.tag) return "tags are not allowed";
        return memchr(e->data.scalar.value, '\0', e->data.scalar.length) ? "text holds a NUL byte"
                                                                         : NULL;
    default: return NULL;
    }
}

/* On failure there is no event to delete. */
static dmc_status next_event(reader *r, yaml_event_t *e)
{
    if (!yaml_parser_parse(&r->parser, e)) return refuse_syntax(r);
    const char *why = ++r->events > MOST_EVENTS ? "more than 10000 events" : forbidden(e);
    if (!why) return DMC_OK;
    const dmc_status status = refuse(r, e->start_mark, why);
    yaml_event_delete(e);
    return status;
}

static const char *text_of(const yaml_event_t *e)
{
    return (const char *)e->data.scalar.value;
}

/* Nothing written: "key:" */
static bool is_blank(const yaml_event_t *e)
{
    return e->type == YAML_SCALAR_EVENT && e->data.scalar.length == 0 &&
           e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

/* A name may stand on the left of a colon once. */
static dmc_status check_key(const reader *r, const yaml_event_t *e, const char *section)
{
    if (e->type != YAML_SCALAR_EVENT) return refuse(r, e->start_mark, "a name must be text");
    const char *name = text_of(e);
    if (*name == '\0') return refuse(r, e->start_mark, "a name must not be empty");
    if (strcmp(name, "<<") == 0) return refuse(r, e->start_mark, "merge keys are not allowed");
    const int32_t twin =
        section ? dmc__yaml_find(r->list, section, name) : dmc__yaml_find(r->list, name, NULL);
    if (twin < 0) return DMC_OK;
    return dmc__fail(DMC_EPARSE, "%s: line %zu, column %zu: duplicate \"%.64s\", first on line %d",
                     r->name, e->start_mark.line + 1, e->start_mark.column + 1, name,
                     r->list->entry[twin].line);
}

static dmc_status add_value(reader *r, const char *section, const yaml_event_t *key,
                            const yaml_event_t *value)
{
    if (value->type != YAML_SCALAR_EVENT)
        return refuse(r, value->start_mark, "too deep: a section holds only key: value");
    if (is_blank(value)) return refuse(r, value->start_mark, "a value is missing");
    return dmc__yaml_append(r->list, section, text_of(key), text_of(value),
                            (int32_t)key->start_mark.line + 1);
}

/* key: value */
static dmc_status read_pair(reader *r, const char *section, const yaml_event_t *key)
{
    yaml_event_t value;
    DMC_TRY(check_key(r, key, section));
    DMC_TRY(next_event(r, &value));
    const dmc_status status = add_value(r, section, key, &value);
    yaml_event_delete(&value);
    return status;
}

/* Pairs up to the end of the section's mapping. */
static dmc_status read_pairs(reader *r, const char *section)
{
    for (bool more = true; more;) {
        yaml_event_t e;
        DMC_TRY(next_event(r, &e));
        more = e.type != YAML_MAPPING_END_EVENT;
        const dmc_status status = more ? read_pair(r, section, &e) : DMC_OK;
        yaml_event_delete(&e);
        DMC_TRY(status);
    }
    return DMC_OK;
}

/* section: {...}, or "section:" with nothing in it */
static dmc_status read_section(reader *r, const yaml_event_t *name)
{
    yaml_event_t body;
    DMC_TRY(check_key(r, name, NULL));
    DMC_TRY(
        dmc__yaml_append(r->list, text_of(name), NULL, NULL, (int32_t)name->start_mark.line + 1));
    DMC_TRY(next_event(r, &body));
    const bool mapping = body.type == YAML_MAPPING_START_EVENT;
    const dmc_status status =
        mapping || is_blank(&body)
            ? DMC_OK
            : refuse(r, body.start_mark, "a section must be a mapping of key: value");
    yaml_event_delete(&body);
    DMC_TRY(status);
    return mapping ? read_pairs(r, text_of(name)) : DMC_OK;
}

/* Walks the events outside sections: stream, document, the mapping of sections. */
static dmc_status read_stream(reader *r)
{
    bool in_root = false;
    int documents = 0;
    for (bool more = true; more;) {
        yaml_event_t e;
        DMC_TRY(next_event(r, &e));
        dmc_status status = DMC_OK;
        more = e.type != YAML_STREAM_END_EVENT;
        if (e.type == YAML_DOCUMENT_START_EVENT && ++documents > 1)
            status = refuse(r, e.start_mark, "a second document is not allowed");
        else if (e.type == YAML_MAPPING_END_EVENT)
            in_root = false;
        else if (in_root)
            status = read_section(r, &e);
        else if (e.type == YAML_MAPPING_START_EVENT)
            in_root = true;
        else if (e.type == YAML_SCALAR_EVENT && !is_blank(&e))
            status = refuse(r, e.start_mark, "a file must be a mapping of sections");
        yaml_event_delete(&e);
        DMC_TRY(status);
    }
    return DMC_OK;
}

dmc_status dmc__yaml_parse(const dmc__allocator *a, const char *name, const char *text, size_t n,
                           dmc__yaml *out)
{
    *out = (dmc__yaml){.alloc = a};
    reader r = {.name = name, .text = text, .list = out};
    if (n > MOST_BYTES)
        return dmc__fail(DMC_EPARSE, "%s: is %zu bytes, must be at most %d", name, n, MOST_BYTES);
    if (!yaml_parser_initialize(&r.parser)) return dmc__fail(DMC_ENOMEM, "out of memory: %s", name);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, n);
    const dmc_status status = read_stream(&r);
    yaml_parser_delete(&r.parser);
    if (status < 0) dmc__yaml_free(out);
    return status;
}

/* Exactly `size` bytes */
static dmc_status read_bytes(int fd, const char *path, char *text, size_t size)
{
    for (size_t done = 0; done < size;) {
        const ssize_t n = read(fd, text + done, size - done);
        if (n < 0) return dmc__file_fail(path, "read");
        if (n == 0) return dmc__fail(DMC_EIO, "%s: became shorter while it was read", path);
        done += (size_t)n;
    }
    return DMC_OK;
}

dmc_status dmc__yaml_read(const dmc__allocator *a, const char *path, dmc__yaml *out)
{
    int fd;
    size_t size;
    char *text = NULL;
    *out = (dmc__yaml){0};
    DMC_TRY(dmc__file_open(path, &fd, &size));
    dmc_status status = DMC_OK;
    if (size > MOST_BYTES)
        status =
            dmc__fail(DMC_EPARSE, "%s: is %zu bytes, must be at most %d", path, size, MOST_BYTES);
    if (status == DMC_OK) status = DMC_NEW(a, size, &text);
    if (status == DMC_OK) status = read_bytes(fd, path, text, size);
    close(fd);
    if (status == DMC_OK) status = dmc__yaml_parse(a, path, text ? text : "", size, out);
    DMC_FREE(a, text, size);
    return status;
}
