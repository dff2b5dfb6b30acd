/* nearest.c — "did you mean": the known name with the smallest edit distance. */
#include "field.h"

#include <string.h>

enum { LONGEST = 256, FARTHEST = 3 };

static int32_t min3(int32_t a, int32_t b, int32_t c)
{
    const int32_t m = a < b ? a : b;
    return m < c ? m : c;
}

/* Levenshtein distance, row by row; lengths at most LONGEST. */
static int32_t edit_distance(const char *a, size_t na, const char *b, size_t nb)
{
    int32_t row[LONGEST + 1];
    for (size_t j = 0; j <= nb; j++) row[j] = (int32_t)j;
    for (size_t i = 1; i <= na; i++) {
        int32_t diagonal = row[0];
        row[0] = (int32_t)i;
        for (size_t j = 1; j <= nb; j++) {
            const int32_t above = row[j];
            row[j] = min3(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[nb];
}

/* Distance, or a large number if the names are too long or have not even one letter in place. */
static int32_t distance(const char *a, const char *b)
{
    const size_t na = strnlen(a, LONGEST + 1), nb = strnlen(b, LONGEST + 1);
    const size_t apart = na > nb ? na - nb : nb - na;
    if (na > LONGEST || nb > LONGEST || apart > FARTHEST) return INT32_MAX;
    const int32_t d = edit_distance(a, na, b, nb);
    return (size_t)d < (na > nb ? na : nb) ? d : INT32_MAX;
}

const char *dmc__name_nearest(const char *key, const char *const *names, int32_t n)
{
    const char *best = NULL;
    int32_t best_distance = FARTHEST + 1;
    for (int32_t i = 0; i < n; i++) {
        const int32_t d = distance(key, names[i]);
        if (d >= best_distance) continue;
        best = names[i];
        best_distance = d;
    }
    return best;
}

const char *dmc__field_nearest(const dmc__field_table *t, const char *key)
{
    const char *names[DMC__OPTIONS_MAX / 4]; /* no field is smaller than 4 bytes */
    for (int32_t i = 0; i < t->count; i++) names[i] = t->field[i].key;
    return dmc__name_nearest(key, names, t->count);
}
