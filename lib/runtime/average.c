/* average.c — what stands for all candidates: column by column of the action their mean, a rotation or a median. */
#include <math.h>
#include <string.h>

#include "sampler_state.h"

enum { MEAN, MEDIAN, ROTATION, ROTATION_REST };

/* ---- which column is what ----------------------------------------------------------------------------- */

/* What one kind of columns is called in sentences, and how many stand for one thing. */
typedef struct column_kind {
    const char *name;
    uint8_t kind;
    int32_t width;
} column_kind;

/* One column number with those behind it that belong to it. */
static dmc_status mark(dmc__sampler *s, const column_kind *t, double number)
{
    const int32_t last = s->view.act->n - t->width;
    if (!(number >= 0 && number <= last) || number != floor(number))
        return dmc__fail(DMC_ERANGE, "dmc_sampler_create: %s: column %g, must be a whole number 0..%d (%d of %d columns of an "
                         "action)", t->name, number, last, t->width, s->view.act->n);
    const int32_t first = (int32_t)number;
    for (int32_t i = 0; i < t->width; i++) {
        if (s->column[first + i] != MEAN)
            return dmc__fail(DMC_EINVAL, "dmc_sampler_create: %s: column %d has a meaning already", t->name, first + i);
        s->column[first + i] = i ? ROTATION_REST : t->kind;
    }
    return DMC_OK;
}

static dmc_status mark_all(dmc__sampler *s, const column_kind *t, const dmc__columns *c)
{
    for (int32_t i = 0; i < c->n; i++) DMC_TRY(mark(s, t, c->first[i]));
    return DMC_OK;
}

dmc_status dmc__sampler_mark_columns(dmc__sampler *s)
{
    DMC_TRY(mark_all(s, &(column_kind){"rotations", ROTATION, 6}, &s->config.rotations));
    return mark_all(s, &(column_kind){"majorities", MEDIAN, 1}, &s->config.majorities);
}

/* ---- rotations ---------------------------------------------------------------------------------------- */

/* What is shorter than this, of a column that should have length 1, is rounding on the way from the network. */
static const double NO_LENGTH = 1e-4;

/* x / |x|; 0 if that is no direction, as |x| is next to nothing of `size`. */
static int32_t make_unit(double x[3], double size)
{
    const double n = sqrt(x[0] * x[0] + x[1] * x[1] + x[2] * x[2]);
    if (!(n > NO_LENGTH * size)) return 0;
    for (int32_t i = 0; i < 3; i++) x[i] /= n;
    return 1;
}

/* Zhou et al. 2019: b1 = a1/|a1|, b2 = (a2 - (b1.a2) b1) / |...|, from two columns a1 a2 that stand one behind the other. 0, and
 * nothing changed, where they have no directions of their own. */
static int32_t make_orthonormal(const float from[6], float to[6])
{
    double a[3] = {from[0], from[1], from[2]}, b[3] = {from[3], from[4], from[5]};
    const double size = sqrt(b[0] * b[0] + b[1] * b[1] + b[2] * b[2]);
    if (!make_unit(a, 1)) return 0;
    const double dot = a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    for (int32_t i = 0; i < 3; i++) b[i] -= dot * a[i];
    if (!(size > NO_LENGTH) || !make_unit(b, size)) return 0;
    for (int32_t i = 0; i < 3; i++) {
        to[i] = (float)a[i];
        to[3 + i] = (float)b[i];
    }
    return 1;
}

/* Rotations that cancel out have no mean: then the first candidate's stands, made orthonormal if that can be. */
static void settle_rotation(const float first[6], float mean[6])
{
    float sum = 0;
    for (int32_t i = 0; i < 6; i++) sum += mean[i];
    if (!isfinite(sum) || make_orthonormal(mean, mean)) return;
    memcpy(mean, first, 6 * sizeof *mean);
    make_orthonormal(mean, mean);
}

/* ---- medians ------------------------------------------------------------------------------------------ */

/* Shell's, with Ciura's gaps: no memory, and few thousand numbers in far fewer than n^2 steps. */
static void sort(float *x, int32_t n)
{
    static const int32_t gaps[] = {1750, 701, 301, 132, 57, 23, 10, 4, 1};
    for (size_t g = 0; g < sizeof gaps / sizeof *gaps; g++)
        for (int32_t i = gaps[g]; i < n; i++) {
            const float v = x[i];
            int32_t j = i;
            for (; j >= gaps[g] && x[j - gaps[g]] > v; j -= gaps[g]) x[j] = x[j - gaps[g]];
            x[j] = v;
        }
}

/* Of candidates' entries x, `stride` apart; of an even number the lower of the two in the middle. */
static float median(const dmc__sampler *s, const float *x, size_t stride)
{
    const int32_t n = s->config.candidates;
    for (int32_t i = 0; i < n; i++) s->weight[i] = x[(size_t)i * stride];
    sort(s->weight, n);
    return s->weight[(n - 1) / 2];
}

/* ---- together ----------------------------------------------------------------------------------------- */

/* Entry `at` of the mean, which is column j of an action. What is not finite stays so, to be noticed. */
static void settle(const dmc__sampler *s, int32_t j, size_t at, float *mean)
{
    if (s->column[j] == ROTATION) settle_rotation(s->raw + at, mean + at);
    if (s->column[j] == MEDIAN && isfinite(mean[at])) mean[at] = median(s, s->raw + at, s->elems);
}

void dmc__sampler_average(const dmc__sampler *s, const float *z, float *mean)
{
    const size_t n = (size_t)s->config.candidates, cols = (size_t)dmc__view_cols(&s->view);
    const size_t skip = s->view.planner ? (size_t)s->view.obs->n : 0;
    for (size_t i = 0; i < n; i++) dmc__view_denormalise(&s->view, z + i * s->elems, s->raw + i * s->elems);
    for (size_t e = 0; e < s->elems; e++) {
        double sum = 0;
        for (size_t i = 0; i < n; i++) sum += s->raw[i * s->elems + e];
        mean[e] = (float)(sum / (double)n);
    }
    for (size_t row = 0; row < s->elems; row += cols)
        for (int32_t j = 0; j < s->view.act->n; j++) settle(s, j, row + skip + (size_t)j, mean);
}
