/* graph_build.c — a graph and its lists: values, nodes, the prefix of names, the first error. */
#include "graph_types.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

dmc_status dmc__graph_create(const dmc__allocator *a, dmc__graph **out)
{
    dmc__graph *g;
    *out = NULL;
    DMC_TRY(DMC_NEW(a, 1, &g));
    g->alloc = a;
    *out = g;
    return DMC_OK;
}

void dmc__graph_destroy(dmc__graph *g)
{
    if (!g) return;
    DMC_FREE(g->alloc, g->value, g->value_room);
    DMC_FREE(g->alloc, g->node, g->node_room);
    DMC_FREE(g->alloc, g->param, g->param_room);
    DMC_FREE(g->alloc, g, 1);
}

/* ---- errors ----------------------------------------------------------------------------------------- */

dmc_status dmc__graph_status(const dmc__graph *g)
{
    return g->status < 0 ? dmc__fail(g->status, "%s", g->error) : DMC_OK;
}

dmc__val dmc__graph_refuse(dmc__graph *g, dmc_status status, const char *format, ...)
{
    if (g->status < 0) return -1;
    va_list args;
    va_start(args, format);
    vsnprintf(g->error, sizeof g->error, format, args);
    va_end(args);
    g->status = dmc__fail(status, "%s", g->error);
    return -1;
}

/* ---- lists ------------------------------------------------------------------------------------------ */

dmc_status dmc__graph_grow(dmc__graph *g, void **items, size_t size, int32_t count, int32_t *room)
{
    if (count < *room) return DMC_OK;
    const int32_t more = *room ? 2 * *room : 32;
    void *wider;
    const dmc_status status = dmc__alloc(g->alloc, (size_t)more, size, &wider);
    if (status < 0) {
        dmc__graph_refuse(g, status, "%s", dmc_last_error());
        return status;
    }
    if (count) memcpy(wider, *items, (size_t)count * size);
    dmc__free(g->alloc, *items, (size_t)*room, size);
    *items = wider;
    *room = more;
    return DMC_OK;
}

dmc__val dmc__graph_add_value(dmc__graph *g, const char *name, int32_t t, int32_t c, dmc__val base)
{
    if (g->status < 0) return -1;
    if (t < 1 || c < 1 || (int64_t)t * c > INT32_MAX)
        return dmc__graph_refuse(g, DMC_ESHAPE,
                                 "%s: shape (%d,%d), both must be at least 1 and their product at most %d", name, t, c,
                                 INT32_MAX);
    if (dmc__graph_grow(g, (void **)&g->value, sizeof *g->value, g->values, &g->value_room) < 0) return -1;
    g->value[g->values] = (dmc__graph_value){.t = t, .c = c, .base = base < 0 ? g->values : base};
    return g->values++;
}

dmc__val dmc__graph_add_node(dmc__graph *g, const dmc__graph_node *n, int32_t t, int32_t c)
{
    const dmc__val out = dmc__graph_add_value(g, n->name, t, c, -1);
    if (out < 0) return -1;
    if (dmc__graph_grow(g, (void **)&g->node, sizeof *g->node, g->nodes, &g->node_room) < 0) return -1;
    g->node[g->nodes] = *n;
    g->node[g->nodes++].out = out;
    return out;
}

int32_t dmc__graph_start(dmc__graph *g, enum dmc_op op, const char *name, int32_t n_in, const dmc__val *in,
                         dmc__graph_node *n)
{
    if (g->status < 0) return 0;
    *n = (dmc__graph_node){.op = op, .n_in = n_in, .out = -1, .par = {-1, -1}};
    if (snprintf(n->name, sizeof n->name, "%s%s", g->prefix, name) >= (int)sizeof n->name)
        dmc__graph_refuse(g, DMC_EINVAL, "%s%s: name longer than %d characters", g->prefix, name, DMC__NAME_MAX - 1);
    for (int32_t i = 0; i < n_in; i++) {
        if (in[i] < 0 || in[i] >= g->values)
            dmc__graph_refuse(g, DMC_EINVAL, "%s: input %d is value %d, must be 0..%d", n->name, i, in[i],
                              g->values - 1);
        else
            n->in[i] = g->value[in[i]].base;
    }
    return g->status >= 0;
}

dmc__val dmc__graph_input(dmc__graph *g, const char *name, int32_t t, int32_t c)
{
    const dmc__val v = dmc__graph_add_value(g, name, t, c, -1);
    if (v >= 0) g->value[v].is_input = 1;
    return v;
}

void dmc__graph_output(dmc__graph *g, dmc__val v)
{
    if (g->status < 0) return;
    if (v < 0 || v >= g->values) {
        dmc__graph_refuse(g, DMC_EINVAL, "dmc__graph_output: value = %d, must be 0..%d", v, g->values - 1);
        return;
    }
    /* Two outputs in one memory would have one gradient: the caller's second seed would replace the first. */
    dmc__graph_value *const base = &g->value[g->value[v].base];
    if (base->is_output)
        dmc__graph_refuse(g, DMC_EINVAL, "dmc__graph_output: value = %d, (%d,%d), is already an output", v, base->t,
                          base->c);
    base->is_output = 1;
}

/* ---- names ------------------------------------------------------------------------------------------ */

void dmc__graph_push(dmc__graph *g, const char *format, ...)
{
    if (g->status < 0) return;
    if (g->depth == DMC__GRAPH_DEPTH) {
        dmc__graph_refuse(g, DMC_EINVAL, "%s: prefixes nest more than %d deep", g->prefix, DMC__GRAPH_DEPTH);
        return;
    }
    const size_t length = strlen(g->prefix), room = sizeof g->prefix - length;
    va_list args;
    va_start(args, format);
    const int added = vsnprintf(g->prefix + length, room, format, args);
    va_end(args);
    if (added < 0 || (size_t)added >= room) {
        dmc__graph_refuse(g, DMC_EINVAL, "%s: prefix longer than %d characters", g->prefix, DMC__NAME_MAX - 1);
        return;
    }
    g->prefix_end[g->depth++] = length;
}

void dmc__graph_pop(dmc__graph *g)
{
    if (g->status < 0) return;
    if (g->depth == 0) {
        dmc__graph_refuse(g, DMC_ESTATE, "dmc__graph_pop: no prefix was pushed");
        return;
    }
    g->prefix[g->prefix_end[--g->depth]] = '\0';
}

/* ---- asking ----------------------------------------------------------------------------------------- */

/* Builders ask for shapes without looking at errors, so a value that is not there has a shape too. */
static dmc__graph_value shape_of(const dmc__graph *g, dmc__val v)
{
    return v >= 0 && v < g->values ? g->value[v] : (dmc__graph_value){0};
}

int32_t dmc__graph_rows(const dmc__graph *g, dmc__val v)
{
    return shape_of(g, v).t;
}

int32_t dmc__graph_cols(const dmc__graph *g, dmc__val v)
{
    return shape_of(g, v).c;
}

double dmc__graph_flops(const dmc__graph *g)
{
    return g->flops;
}

size_t dmc__graph_bytes(const dmc__graph *g)
{
    return sizeof *g + (size_t)g->value_room * sizeof *g->value + (size_t)g->node_room * sizeof *g->node +
           (size_t)g->param_room * sizeof *g->param;
}
