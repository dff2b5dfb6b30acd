/* graph_linear.c — linear layers, whole and in parts.
 *
 * A part is a range of rows (inputs) and columns (outputs) of a weight that several nodes share. Linear of joined inputs
 * is so computed without joining them, and what depends on the diffusion time or the condition alone is a node of its own
 * that a roll-out need not repeat.
 */
#include "graph_types.h"

#include <stdio.h>
#include <string.h>

static dmc__val refuse_part(dmc__graph *g, const dmc__graph_node *n, const dmc__param_spec *w, const char *what, int32_t from,
                            int32_t count, int32_t size)
{
    return dmc__graph_refuse(g, DMC_ESHAPE, "%s: %s %d..%d of %s (%d,%d), must be inside 0..%d", n->name, what, from,
                             from + count - 1, w->name, w->shape[0], w->shape[1], size - 1);
}

/* n is started; its name is the layer's. */
static dmc__val add_part(dmc__graph *g, dmc__graph_node *n, dmc__glayer l, dmc__val x, int32_t row, int32_t col, int32_t co,
                         int32_t bias)
{
    const dmc__param_spec *const w = dmc__graph_param(g, l.weight);
    if (g->status < 0) return -1;
    if (!w || w->layout != DMC__LAYOUT_LINEAR || (bias && l.bias < 0))
        return dmc__graph_refuse(g, DMC_EINVAL, "%s: the layer has no such weight or bias", n->name);
    const int32_t t = g->value[x].t, ci = g->value[x].c, width = w->shape[0];
    if (row < 0 || row > w->shape[1] - ci) return refuse_part(g, n, w, "inputs", row, ci, w->shape[1]);
    if (col < 0 || co < 1 || col > width - co) return refuse_part(g, n, w, "outputs", col, co, width);
    n->dim[0] = t;
    n->dim[1] = ci;
    n->dim[2] = co;
    n->dim[3] = co == width ? 0 : width;
    n->par[0] = l.weight;
    n->par_at[0] = (size_t)row * (size_t)width + (size_t)col;
    n->par[1] = bias ? l.bias : -1;
    n->par_at[1] = (size_t)col;
    g->flops += 2.0 * t * ci * co;
    return dmc__graph_add_node(g, n, t, co);
}

dmc__val dmc__g_linear_part(dmc__graph *g, dmc__glayer l, dmc__val x, int32_t row, int32_t col, int32_t co, int32_t bias)
{
    const dmc__param_spec *const w = dmc__graph_param(g, l.weight);
    dmc__graph_node n;
    if (!dmc__graph_start(g, DMC_OP_LINEAR, "part", 1, &x, &n)) return -1;
    if (w) memcpy(n.name, w->name, sizeof n.name);
    return add_part(g, &n, l, x, row, col, co, bias);
}

dmc__glayer dmc__g_layer(dmc__graph *g, const char *weight, const char *bias, int32_t ci, int32_t co)
{
    const dmc__param_spec w = {.rank = 2, .shape = {co, ci}, .layout = DMC__LAYOUT_LINEAR};
    dmc__glayer l = {-1, -1};
    if (g->status < 0) return l;
    if (ci < 1 || co < 1) {
        dmc__graph_refuse(g, DMC_ESHAPE, "%s%s: linear of %d to %d columns, both must be at least 1", g->prefix, weight, ci, co);
        return l;
    }
    dmc__parid par[2];
    dmc__graph_add_layer(g, weight, bias, &w, co, par);
    return (dmc__glayer){par[0], par[1]};
}

void dmc__g_layer_flattens(dmc__graph *g, dmc__glayer l, int32_t t, int32_t c)
{
    if (g->status < 0) return;
    dmc__param_spec *const w = l.weight >= 0 && l.weight < g->params ? &g->param[l.weight] : NULL;
    if (!w || w->layout != DMC__LAYOUT_LINEAR || t < 1 || c < 1 || (int64_t)t * c > w->shape[1]) {
        dmc__graph_refuse(g, DMC_ESHAPE, "%s: (%d,%d) flattened, must be at most its %d inputs", w ? w->name : "layer", t, c,
                          w ? w->shape[1] : 0);
        return;
    }
    w->flat_t = t;
    w->flat_c = c;
}

/* The layer `name` with parameters name.weight and name.bias. */
static dmc__glayer plain_layer(dmc__graph *g, const char *name, int32_t ci, int32_t co, int32_t bias)
{
    char w[DMC__NAME_MAX], b[DMC__NAME_MAX];
    if (snprintf(w, sizeof w, "%s.weight", name) >= (int)sizeof w || snprintf(b, sizeof b, "%s.bias", name) >= (int)sizeof b)
        dmc__graph_refuse(g, DMC_EINVAL, "%s: parameter name longer than %d characters", name, DMC__NAME_MAX - 1);
    return dmc__g_layer(g, w, bias ? b : NULL, ci, co);
}

dmc__val dmc__g_linear(dmc__graph *g, const char *name, dmc__val x, int32_t co, int32_t bias)
{
    return dmc__g_linear_sum(g, name, 1, &x, co, bias);
}

/* Columns of all parts together. */
static int32_t count_inputs(dmc__graph *g, const char *name, int32_t n, const dmc__val *x)
{
    int32_t ci = 0;
    for (int32_t i = 0; i < n; i++) {
        const int32_t c = dmc__graph_cols(g, x[i]);
        if (c > INT32_MAX - ci)
            return dmc__graph_refuse(g, DMC_ESHAPE, "%s%s: more than %d inputs", g->prefix, name, INT32_MAX);
        ci += c;
    }
    return ci;
}

/* The bias goes with the first part: a part that is added later, as zero, leaves the sum's bits alone. */
dmc__val dmc__g_linear_sum(dmc__graph *g, const char *name, int32_t n, const dmc__val *x, int32_t co, int32_t bias)
{
    dmc__graph_node node;
    dmc__glayer l = {-1, -1};
    dmc__val sum = -1;
    const int32_t ci = count_inputs(g, name, n, x);
    for (int32_t i = 0, row = 0; i < n; i++) {
        if (!dmc__graph_start(g, DMC_OP_LINEAR, name, 1, &x[i], &node)) return -1;
        const int32_t t = g->value[x[i]].t, c = g->value[x[i]].c;
        if (co < 1)
            return dmc__graph_refuse(g, DMC_ESHAPE, "%s: linear of (%d,%d) to (%d,%d), must have a column", node.name, t, c, t, co);
        if (i == 0) l = plain_layer(g, name, ci, co, bias);
        const dmc__val y = add_part(g, &node, l, x[i], row, 0, co, bias && i == 0);
        sum = i == 0 ? y : dmc__g_add(g, sum, y);
        row += c;
    }
    return sum;
}
