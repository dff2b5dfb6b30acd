/* ops_case.c — the data of a case: sizes from the row's patterns, values from a fixed generator. */
#include "ops_case.h"

#include <check.h>
#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const op_slot_name[SLOTS] = {"in0",  "in1", "in2",  "par0",
                                         "par1", "out", "out2", "state"};

bool op_slot_is(const op_row *row, int slot, char letter)
{
    return row->slot[slot] && strchr(row->slot[slot], letter);
}

uint32_t op_slots(const op_row *row, char letter)
{
    uint32_t set = 0;
    for (int i = 0; i < SLOTS; i++) set |= op_slot_is(row, i, letter) ? 1U << i : 0;
    return set;
}

static size_t pattern_size(const char *pattern, const int32_t *dim)
{
    size_t sum = 0, product = 1;
    for (const char *p = pattern; *p; p++) {
        if (isdigit((unsigned char)*p)) product *= (size_t)dim[*p - '0'];
        if (*p != '+') continue;
        sum += product;
        product = 1;
    }
    return sum + product;
}

/* splitmix64: one number in [0,1) per call */
static double draw_uniform(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

static double draw_normal(uint64_t *state)
{
    const double u = 1 - draw_uniform(state);
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * draw_uniform(state));
}

static double draw_value(const char *pattern, uint64_t *state)
{
    const double u = draw_uniform(state);
    if (strchr(pattern, 'm')) return u < 0.3;
    if (strchr(pattern, 'w')) return u < 0.3 ? 0 : u;
    if (strchr(pattern, 'p')) return 0.01 + 0.98 * u;
    if (strchr(pattern, 't')) return floor(1000 * u);
    return draw_normal(state) * (strchr(pattern, 'l') ? 8 : 1);
}

static double *new_doubles(size_t n)
{
    double *const p = calloc(n ? n : 1, sizeof *p);
    ck_assert_msg(p != NULL, "the test is out of memory");
    return p;
}

static double *draw_values(const char *pattern, size_t n, uint64_t seed)
{
    double *const v = new_doubles(n);
    for (size_t i = 0; i < n; i++) v[i] = (float)draw_value(pattern, &seed);
    return v;
}

op_case *op_case_create(const op_row *row, const op_shape *shape, int32_t batch, uint32_t absent)
{
    op_case *const c = calloc(1, sizeof *c);
    ck_assert_msg(c != NULL, "the test is out of memory");
    c->row = row;
    c->shape = *shape;
    c->shape.dim[0] *= batch;
    for (int i = 0; i < SLOTS; i++) {
        if (!row->slot[i] || absent >> i & 1) continue;
        c->count[i] = pattern_size(row->slot[i], c->shape.dim);
        c->value[i] = draw_values(row->slot[i], c->count[i], (uint64_t)(row->op * SLOTS + i));
    }
    c->dout = draw_values("", c->count[OUT], 1000);
    return c;
}

void op_case_destroy(op_case *c)
{
    for (int i = 0; i < SLOTS; i++) free(c->value[i]);
    free(c->dout);
    free(c);
}

uint32_t op_case_slots(const op_case *c, char letter)
{
    uint32_t set = op_slots(c->row, letter);
    for (int i = 0; i < SLOTS; i++) set &= c->count[i] ? UINT32_MAX : ~(1U << i);
    return set;
}

/* bfloat16 is the upper half of a float; a binary16 is moved into a double's fields, whose least exponent it does not
 * reach, so that the product gives small numbers their right size. */
double op_widen(uint16_t h, int32_t type)
{
    const uint64_t sign = (uint64_t)(h >> 15) << 63, rest = h & 0x7fff;
    const uint32_t upper = (uint32_t)h << 16;
    double x;
    float y;
    memcpy(&y, &upper, sizeof y);
    if (type == DMC_WEIGHT_BF16) return (double)y;
    const uint64_t bits = sign | rest << 42;
    memcpy(&x, &bits, sizeof x);
    if (rest > 0x7c00) return NAN;
    return rest == 0x7c00 ? (sign ? -INFINITY : INFINITY) : x * 0x1p1008;
}

/* "conv1d, dim 2 7 13 ..., attr ..., without par1" */
static void describe(const op_case *c, FILE *text)
{
    fprintf(text, "%s, dim", c->row->name);
    for (int i = 0; i < DMC_KDIM; i++) fprintf(text, " %d", c->shape.dim[i]);
    fprintf(text, ", attr");
    for (int i = 0; i < DMC_KATTR; i++) fprintf(text, " %g", c->shape.attr[i]);
    for (int i = 0; i < SLOTS; i++)
        if (c->row->slot[i] && !c->count[i]) fprintf(text, ", without %s", op_slot_name[i]);
}

void op_fail(const op_case *c, const char *format, ...)
{
    char message[1024];
    FILE *const text = fmemopen(message, sizeof message, "w");
    va_list args;
    describe(c, text);
    fputs(": ", text);
    va_start(args, format);
    vfprintf(text, format, args);
    va_end(args);
    fclose(text);
    ck_abort_msg("%s", message);
}

op_values op_values_create(const op_case *c)
{
    op_values v;
    for (int i = 0; i < SLOTS; i++) v.v[i] = new_doubles(c->count[i]);
    return v;
}

void op_values_destroy(op_values *v)
{
    for (int i = 0; i < SLOTS; i++) free(v->v[i]);
}
