/* json_load.c — JSON from strangers into jansson. */
#include "json_load.h"

/* Is nesting at most `limit` everywhere? jansson recurses, so this is asked before it sees the
 * text. */
static int depth_within(const char *text, size_t n, int limit)
{
    int depth = 0, in_string = 0;
    for (size_t i = 0; i < n; i++) {
        const char c = text[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = 0;
        } else if (c == '"') {
            in_string = 1;
        } else if (c == '{' || c == '[') {
            if (++depth > limit) return 0;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return 1;
}

dmc_status dmc__json_load(const char *text, size_t n, json_t **out)
{
    json_error_t error;
    *out = NULL;
    if (!depth_within(text, n, DMC__JSON_DEPTH))
        return dmc__fail(DMC_EFORMAT, "JSON is nested deeper than %d", DMC__JSON_DEPTH);
    json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
    if (!root && json_error_code(&error) == json_error_out_of_memory)
        return dmc__fail(DMC_ENOMEM, "out of memory: JSON of %zu bytes", n);
    if (!root)
        return dmc__fail(DMC_EFORMAT, "JSON line %d, column %d: %s", error.line, error.column,
                         error.text);
    if (!json_is_object(root)) {
        json_decref(root);
        return dmc__fail(DMC_EFORMAT, "JSON is not an object");
    }
    *out = root;
    return DMC_OK;
}
