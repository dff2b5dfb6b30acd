/* number_text.c — numbers to and from text, the same under every locale of the host. */
#include "number_text.h"

#include <locale.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const char *skip_digits(const char *p)
{
    while (is_digit(*p)) p++;
    return p;
}

dmc_status dmc__number_u64(const char *text, uint64_t *out)
{
    const char *p = *text == '+' ? text + 1 : text;
    if (!is_digit(*p) || *skip_digits(p)) return DMC_EPARSE;
    uint64_t v = 0;
    for (; *p; p++)
        if (__builtin_mul_overflow(v, (uint64_t)10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
            return DMC_ERANGE;
    *out = v;
    return DMC_OK;
}

dmc_status dmc__number_i64(const char *text, int64_t *out)
{
    const bool negative = *text == '-';
    if (negative && text[1] == '+') return DMC_EPARSE;
    uint64_t v = 0;
    DMC_TRY(dmc__number_u64(text + negative, &v));
    if (v > (uint64_t)INT64_MAX) return DMC_ERANGE;
    *out = negative ? -(int64_t)v : (int64_t)v;
    return DMC_OK;
}

/* [sign] digits [. digits] [e [sign] digits], with a digit before the exponent */
static bool is_decimal(const char *p)
{
    if (*p == '+' || *p == '-') p++;
    const char *end = skip_digits(p);
    size_t digits = (size_t)(end - p);
    if (*end == '.') {
        const char *fraction = end + 1;
        end = skip_digits(fraction);
        digits += (size_t)(end - fraction);
    }
    if (digits == 0) return false;
    if (*end == 'e' || *end == 'E') {
        end += end[1] == '+' || end[1] == '-' ? 2 : 1;
        if (!is_digit(*end)) return false;
        end = skip_digits(end);
    }
    return *end == '\0';
}

dmc_status dmc__number_double(const char *text, double *out)
{
    if (!is_decimal(text)) return DMC_EPARSE;
    /* The "C" locale object is a constant of libc: asking for it allocates nothing and touches
     * nothing of the host's. The grammar is checked above, so the whole text is consumed. */
    const locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!c) return DMC_ENOMEM;
    const double v = strtod_l(text, NULL, c);
    freelocale(c);
    if (!isfinite(v)) return DMC_ERANGE;
    *out = v;
    return DMC_OK;
}

/* snprintf writes the host's decimal separator, which may be several bytes: make it one point. */
static void use_point(char *s)
{
    char *to = s;
    for (const char *p = s; *p; p++) {
        if (is_digit(*p) || strchr("+-einfa", *p)) *to++ = *p;
        else if (to == s || to[-1] != '.') *to++ = '.';
    }
    *to = '\0';
}

const char *dmc__number_print(double value, char buf[DMC__NUMBER_TEXT])
{
    for (int digits = 15; digits <= 17; digits++) {
        double back;
        snprintf(buf, DMC__NUMBER_TEXT, "%.*g", digits, value);
        use_point(buf);
        if (dmc__number_double(buf, &back) == DMC_OK && back == value) break;
    }
    return buf;
}
