/* yaml_file.h — the only place that includes libyaml: a file of sections, each a flat mapping, as a
 * list.
 *
 * Events only, so nothing is built that the file did not pay for. Refused, with line and column:
 * more than 1 MiB or 10000 events, anything but key: value inside a section, aliases, anchors,
 * tags, directives, merge keys, duplicates, a second document, values without text. */
#ifndef DMC_IO_YAML_FILE_H
#define DMC_IO_YAML_FILE_H

#include "../base/alloc.h"

typedef struct dmc__yaml_entry {
    char *section;
    char *key, *value; /* both NULL: the section itself, which may be empty */
    int32_t line;      /* from 1; 0 = not from a file                       */
} dmc__yaml_entry;

typedef struct dmc__yaml {
    const dmc__allocator *alloc;
    dmc__yaml_entry *entry;
    int32_t count, capacity;
} dmc__yaml;

/* Fill an empty list. Errors: DMC_ENOENT, DMC_EIO, DMC_EPARSE, DMC_ENOMEM; the list is empty then.
 */
dmc_status dmc__yaml_read(const dmc__allocator *a, const char *path, dmc__yaml *out);
/* The same from memory; name is for messages. */
dmc_status dmc__yaml_parse(const dmc__allocator *a, const char *name, const char *text, size_t n,
                           dmc__yaml *out);
void dmc__yaml_free(dmc__yaml *y);

/* Append copies. key and value may be NULL. */
dmc_status dmc__yaml_append(dmc__yaml *y, const char *section, const char *key, const char *value,
                            int32_t line);
/* Index of section (key NULL) or of section.key, -1 if absent. */
int32_t dmc__yaml_find(const dmc__yaml *y, const char *section, const char *key);

#endif
