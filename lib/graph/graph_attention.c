/* graph_attention.c — builder calls of transformers: attention, modulation by a row, tables over the rows of a window. */
#include "graph_types.h"

#include <math.h>
#include <string.h>

/* Attention of (Tq,D) to keys and values of Tk rows, D = heads d. */
static dmc__val attend(dmc__graph *g, dmc__graph_node *n, int32_t tq, int32_t tk, int32_t width, int32_t heads, int32_t shift,
                       double p)
{
    if (heads < 1 || width % heads)
        return dmc__graph_refuse(g, DMC_ESHAPE, "%s: width %d of %d heads, must be a multiple", n->name, width, heads);
    if (shift < DMC__NO_MASK)
        return dmc__graph_refuse(g, DMC_ERANGE, "%s: shift = %d, must be at least %d", n->name, shift, DMC__NO_MASK);
    if (!(p >= 0 && p < 1))
        return dmc__graph_refuse(g, DMC_ERANGE, "%s: probability = %g, must be in [0, 1)", n->name, p);
    const int32_t dim[] = {1, tq, tk, heads, width / heads};
    memcpy(n->dim, dim, sizeof dim);
    n->attr[0] = p;
    n->attr[1] = shift != DMC__NO_MASK;
    n->attr[2] = shift != DMC__NO_MASK ? shift : 0;
    n->random = p > 0; /* attr[0] */
    g->flops += 4.0 * tq * tk * width;
    return dmc__graph_add_node(g, n, tq, width);
}

dmc__val dmc__g_self_attention(dmc__graph *g, dmc__val qkv, int32_t heads, int32_t shift, double p)
{
    dmc__graph_node n;
    if (!dmc__graph_start(g, DMC_OP_ATTENTION, "attention", 1, &qkv, &n)) return -1;
    const dmc__graph_value v = g->value[qkv];
    if (v.c % 3)
        return dmc__graph_refuse(g, DMC_ESHAPE, "%s: (%d,%d), columns must be queries, keys and values: a multiple of 3", n.name,
                                 v.t, v.c);
    return attend(g, &n, v.t, v.t, v.c / 3, heads, shift, p);
}

dmc__val dmc__g_cross_attention(dmc__graph *g, dmc__val q, dmc__val kv, int32_t heads, int32_t shift, double p)
{
    dmc__graph_node n;
    if (!dmc__graph_start(g, DMC_OP_ATTENTION, "attention", 2, (const dmc__val[]){q, kv}, &n)) return -1;
    const dmc__graph_value a = g->value[q], b = g->value[kv];
    if (b.c != 2 * a.c)
        return dmc__graph_refuse(g, DMC_ESHAPE, "%s: (%d,%d) and (%d,%d), the second must have keys and values: %d columns",
                                 n.name, a.t, a.c, b.t, b.c, 2 * a.c);
    return attend(g, &n, a.t, b.t, a.c, heads, shift, p);
}

/* Input `mod` of the node is a row with c columns from `at` on. 0 after an error. */
static int32_t check_columns(dmc__graph *g, const dmc__graph_node *n, dmc__val m, int32_t at, int32_t c)
{
    const dmc__graph_value v = g->value[m];
    if (v.t == 1 && at >= 0 && at <= v.c - c) return 1;
    dmc__graph_refuse(g, DMC_ESHAPE, "%s: columns %d..%d of (%d,%d), must be one row and inside 0..%d", n->name, at, at + c - 1,
                      v.t, v.c, v.c - 1);
    return 0;
}

dmc__val dmc__g_adaln(dmc__graph *g, dmc__val x, dmc__val m, int32_t shift, int32_t scale, double eps)
{
    dmc__graph_node n;
    if (!dmc__graph_start(g, DMC_OP_ADALN, "adaln", 2, (const dmc__val[]){x, m}, &n)) return -1;
    const dmc__graph_value v = g->value[x];
    if (!check_columns(g, &n, m, shift, v.c) || !check_columns(g, &n, m, scale, v.c)) return -1;
    if (!(eps > 0) || !isfinite(eps))
        return dmc__graph_refuse(g, DMC_ERANGE, "%s: eps = %g, must be above 0", n.name, eps);
    const int32_t dim[] = {1, v.t, v.c, g->value[m].c, shift, scale};
    memcpy(n.dim, dim, sizeof dim);
    n.attr[0] = eps;
    return dmc__graph_add_node(g, &n, v.t, v.c);
}

dmc__val dmc__g_gate(dmc__graph *g, dmc__val x, dmc__val h, dmc__val m, int32_t gate)
{
    dmc__graph_node n;
    if (!dmc__graph_start(g, DMC_OP_GATE, "gate", 3, (const dmc__val[]){x, h, m}, &n)) return -1;
    const dmc__graph_value a = g->value[x], b = g->value[h];
    if (a.t != b.t || a.c != b.c)
        return dmc__graph_refuse(g, DMC_ESHAPE, "%s: (%d,%d) and (%d,%d), must be the same", n.name, a.t, a.c, b.t, b.c);
    if (!check_columns(g, &n, m, gate, a.c)) return -1;
    const int32_t dim[] = {1, a.t, a.c, g->value[m].c, gate};
    memcpy(n.dim, dim, sizeof dim);
    return dmc__graph_add_node(g, &n, a.t, a.c);
}

dmc__parid dmc__g_table(dmc__graph *g, const char *name, int32_t t, int32_t c, double scale)
{
    const dmc__param_spec s = {.rank = 3, .shape = {1, t, c}, .layout = DMC__LAYOUT_PLAIN, .init = DMC__INIT_NORMAL,
                               .scale = scale};
    if (g->status >= 0 && (t < 1 || c < 1))
        return dmc__graph_refuse(g, DMC_ESHAPE, "%s%s: table (%d,%d), both must be at least 1", g->prefix, name, t, c);
    return dmc__graph_add_param(g, name, &s);
}

dmc__val dmc__g_add_table(dmc__graph *g, dmc__parid table, int32_t row, dmc__val x)
{
    dmc__graph_node n;
    if (!dmc__graph_start(g, DMC_OP_ADD_TABLE, "add_table", 1, &x, &n)) return -1;
    const dmc__param_spec *const p = dmc__graph_param(g, table);
    const dmc__graph_value v = g->value[x];
    if (!p || p->rank != 3 || p->layout != DMC__LAYOUT_PLAIN)
        return dmc__graph_refuse(g, DMC_EINVAL, "%s: parameter %d is no table", n.name, table);
    if (p->shape[2] != v.c || row < 0 || row > p->shape[1] - v.t)
        return dmc__graph_refuse(g, DMC_ESHAPE, "%s: rows %d..%d of %s (%d,%d) to (%d,%d), must be inside and as wide", n.name,
                                 row, row + v.t - 1, p->name, p->shape[1], p->shape[2], v.t, v.c);
    n.par[0] = table;
    n.par_at[0] = (size_t)row * (size_t)v.c;
    const int32_t dim[] = {1, v.t, v.c};
    memcpy(n.dim, dim, sizeof dim);
    return dmc__graph_add_node(g, &n, v.t, v.c);
}

dmc__val dmc__g_positions(dmc__graph *g, int32_t t, int32_t c, int32_t cast)
{
    dmc__graph_node n;
    if (!dmc__graph_start(g, DMC_OP_POSITIONS, "positions", 0, NULL, &n)) return -1;
    if (t < 1 || c < 4 || c % 2)
        return dmc__graph_refuse(g, DMC_ESHAPE, "%s: (%d,%d), must have a row and an even number of columns, at least 4", n.name,
                                 t, c);
    const int32_t dim[] = {1, t, c, cast != 0};
    memcpy(n.dim, dim, sizeof dim);
    return dmc__graph_add_node(g, &n, t, c);
}

dmc__val dmc__g_mean_rows(dmc__graph *g, dmc__val x)
{
    dmc__graph_node n;
    if (!dmc__graph_start(g, DMC_OP_MEAN_ROWS, "mean_rows", 1, &x, &n)) return -1;
    const int32_t dim[] = {1, g->value[x].t, g->value[x].c};
    memcpy(n.dim, dim, sizeof dim);
    return dmc__graph_add_node(g, &n, 1, g->value[x].c);
}
