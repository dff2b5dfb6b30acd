/* number_list.c — see number_list.h. */
#include "number_list.h"

#include <math.h>
#include <string.h>

enum { LONGEST = 63 };

static int is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The number in text[0..length), blanks around it left out. */
static dmc_status read_one(const char *text, size_t length, double *out)
{
    char word[LONGEST + 1];
    while (length > 0 && is_blank(*text)) text++, length--;
    while (length > 0 && is_blank(text[length - 1])) length--;
    if (length == 0 || length > LONGEST) return DMC_EPARSE;
    memcpy(word, text, length);
    word[length] = '\0';
    DMC_TRY(dmc__number_double(word, out));
    return isfinite(*out) ? DMC_OK : DMC_ERANGE;
}

dmc_status dmc__number_list(const char *text, const char *what, int32_t most, double *out, int32_t *count)
{
    *count = 0;
    if (!text || !text[strspn(text, " \t\r\n")]) return DMC_OK;
    for (const char *p = text;; p++) {
        const size_t length = strcspn(p, ",");
        const int shown = length > LONGEST ? LONGEST : (int)length;
        if (*count == most) return dmc__fail(DMC_ERANGE, "%s: more than %d numbers", what, most);
        if (read_one(p, length, &out[*count]) < 0)
            return dmc__fail(DMC_EPARSE, "%s: number %d is \"%.*s\", must be a finite number; commas stand between", what,
                             *count + 1, shown, p);
        ++*count;
        p += length;
        if (!*p) return DMC_OK;
    }
}
