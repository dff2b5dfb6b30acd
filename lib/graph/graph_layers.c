/* graph_layers.c — one builder call per layer: its shape rule, its parameters, its cost.
 *
 * A call starts a node, checks, adds parameters and appends the node. Any of these does nothing after an error, so
 * only `start` is asked for its result.
 */
#include "graph_types.h"

#include <math.h>
#include <stdio.h>

/* A node of this op with these inputs, named prefix + name. 0 after an error. */
static int32_t start(dmc__graph *g, enum dmc_op op, const char *name, int32_t n_in, const dmc__val *in,
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

/* ---- layers with weights ---------------------------------------------------------------------------- */

dmc__val dmc__g_linear(dmc__graph *g, const char *name, dmc__val x, int32_t co, int32_t bias)
{
    dmc__graph_node n;
    if (!start(g, DMC_OP_LINEAR, name, 1, &x, &n)) return -1;
    const int32_t t = g->value[x].t, ci = g->value[x].c;
    if (co < 1)
        return dmc__graph_refuse(g, DMC_ESHAPE, "%s: linear of (%d,%d) to (%d,%d), must have a column", n.name, t, ci,
                                 t, co);
    n.dim[0] = t;
    n.dim[1] = ci;
    n.dim[2] = co;
    const dmc__param_spec w = {.rank = 2, .shape = {co, ci}, .layout = DMC__LAYOUT_LINEAR};
    dmc__graph_add_weights(g, &n, &w, co, bias);
    g->flops += 2.0 * t * ci * co;
    return dmc__graph_add_node(g, &n, t, co);
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a >= 0 ? a / b : -((-a + b - 1) / b);
}

/* Pairs of rows a convolution and its transpose have in common: 0 <= u < coarse, 0 <= v < fine,
 * v = u stride - pad + j, over all taps j. What lies outside is zero padding. */
static double count_row_pairs(int64_t coarse, int64_t fine, int32_t k, int32_t stride, int32_t pad)
{
    double pairs = 0;
    for (int64_t j = 0; j < k; j++) {
        int64_t first = floor_div(pad - j + stride - 1, stride); /* smallest u with v >= 0 */
        int64_t last = floor_div(fine - 1 + pad - j, stride);    /* largest u with v < fine */
        if (first < 0) first = 0;
        if (last > coarse - 1) last = coarse - 1;
        if (last >= first) pairs += (double)(last - first + 1);
    }
    return pairs;
}

static int64_t output_rows(enum dmc_op op, int64_t t, int32_t k, int32_t stride, int32_t pad)
{
    if (op == DMC_OP_CONVT1D) return (t - 1) * stride - 2 * (int64_t)pad + k;
    const int64_t left = t + 2 * (int64_t)pad - k;
    return left < 0 ? 0 : left / stride + 1;
}

static dmc__val convolve(dmc__graph *g, enum dmc_op op, const char *name, dmc__val x, int32_t co, int32_t k,
                         int32_t stride, int32_t pad)
{
    dmc__graph_node n;
    if (!start(g, op, name, 1, &x, &n)) return -1;
    const int32_t t = g->value[x].t, ci = g->value[x].c, transposed = op == DMC_OP_CONVT1D;
    if (co < 1 || k < 1 || stride < 1 || pad < 0 || pad >= k)
        return dmc__graph_refuse(g, DMC_ESHAPE, "%s: %s of (%d,%d) to %d channels, k = %d, stride = %d, pad = %d, "
                                 "must be at least 1 and pad 0..k-1", n.name, dmc__op_name(op), t, ci, co, k, stride,
                                 pad);
    const int64_t to = output_rows(op, t, k, stride, pad);
    if (to < 1 || to > INT32_MAX)
        return dmc__graph_refuse(g, DMC_ESHAPE, "%s: %s of (%d,%d), k = %d, stride = %d, pad = %d, to (%lld,%d), "
                                 "must be 1..%d rows", n.name, dmc__op_name(op), t, ci, k, stride, pad, (long long)to,
                                 co, INT32_MAX);
    const int32_t dim[DMC_KDIM] = {1, t, ci, (int32_t)to, co, k, stride, pad};
    for (int32_t i = 0; i < DMC_KDIM; i++) n.dim[i] = dim[i];
    const dmc__param_spec w = {.rank = 3, .shape = {transposed ? ci : co, transposed ? co : ci, k},
                               .layout = transposed ? DMC__LAYOUT_CONVT : DMC__LAYOUT_CONV};
    dmc__graph_add_weights(g, &n, &w, co, 1);
    g->flops += 2.0 * ci * co * count_row_pairs(transposed ? t : to, transposed ? to : t, k, stride, pad);
    return dmc__graph_add_node(g, &n, (int32_t)to, co);
}

dmc__val dmc__g_conv1d(dmc__graph *g, const char *name, dmc__val x, int32_t co, int32_t k, int32_t stride, int32_t pad)
{
    return convolve(g, DMC_OP_CONV1D, name, x, co, k, stride, pad);
}

dmc__val dmc__g_convt1d(dmc__graph *g, const char *name, dmc__val x, int32_t co, int32_t k, int32_t stride, int32_t pad)
{
    return convolve(g, DMC_OP_CONVT1D, name, x, co, k, stride, pad);
}

/* ---- norms ------------------------------------------------------------------------------------------ */

dmc__val dmc__g_groupnorm(dmc__graph *g, const char *name, dmc__val x, int32_t groups, double eps, int32_t act)
{
    dmc__graph_node n;
    if (!start(g, DMC_OP_GROUPNORM, name, 1, &x, &n)) return -1;
    const int32_t t = g->value[x].t, c = g->value[x].c;
    if (groups < 1 || c % groups)
        return dmc__graph_refuse(g, DMC_ESHAPE, "%s: groupnorm of (%d,%d) in %d groups, must divide %d", n.name, t, c,
                                 groups, c);
    if (!(eps > 0) || !isfinite(eps) || act < 0 || act > 1)
        return dmc__graph_refuse(g, DMC_ERANGE, "%s: groupnorm of (%d,%d) with eps = %g, act = %d, must be above 0, "
                                 "and 0..1", n.name, t, c, eps, act);
    n.dim[0] = 1;
    n.dim[1] = t;
    n.dim[2] = c;
    n.dim[3] = groups;
    n.attr[0] = eps;
    n.attr[1] = act;
    dmc__graph_add_norm(g, &n, c);
    return dmc__graph_add_node(g, &n, t, c);
}

dmc__val dmc__g_layernorm(dmc__graph *g, const char *name, dmc__val x, double eps)
{
    dmc__graph_node n;
    if (!start(g, DMC_OP_LAYERNORM, name, 1, &x, &n)) return -1;
    const int32_t t = g->value[x].t, c = g->value[x].c;
    if (!(eps > 0) || !isfinite(eps))
        return dmc__graph_refuse(g, DMC_ERANGE, "%s: layernorm of (%d,%d) with eps = %g, must be above 0", n.name, t, c, eps);
    n.dim[0] = t;
    n.dim[1] = c;
    n.attr[0] = eps;
    dmc__graph_add_norm(g, &n, c);
    return dmc__graph_add_node(g, &n, t, c);
}

/* ---- layers without parameters, named like their op ------------------------------------------------- */

dmc__val dmc__g_act(dmc__graph *g, enum dmc_op op, dmc__val x)
{
    dmc__graph_node n;
    if (g->status < 0) return -1;
    if (op != DMC_OP_MISH && op != DMC_OP_SILU && op != DMC_OP_RELU && op != DMC_OP_TANH)
        return dmc__graph_refuse(g, DMC_EINVAL, "%sactivation: op = %d, must be mish, silu, relu or tanh", g->prefix,
                                 (int)op);
    if (!start(g, op, dmc__op_name(op), 1, &x, &n)) return -1;
    const int32_t t = g->value[x].t, c = g->value[x].c;
    n.dim[0] = t * c;
    return dmc__graph_add_node(g, &n, t, c);
}

dmc__val dmc__g_add(dmc__graph *g, dmc__val x, dmc__val y)
{
    dmc__graph_node n;
    if (!start(g, DMC_OP_ADD, "add", 2, (const dmc__val[]){x, y}, &n)) return -1;
    const dmc__graph_value a = g->value[x], b = g->value[y];
    if (a.t != b.t || a.c != b.c)
        return dmc__graph_refuse(g, DMC_ESHAPE, "%s: (%d,%d) and (%d,%d), must be the same", n.name, a.t, a.c, b.t, b.c);
    n.dim[0] = a.t * a.c;
    return dmc__graph_add_node(g, &n, a.t, a.c);
}

dmc__val dmc__g_add_time(dmc__graph *g, dmc__val x, dmc__val e)
{
    dmc__graph_node n;
    if (!start(g, DMC_OP_ADD_TIME, "add_time", 2, (const dmc__val[]){x, e}, &n)) return -1;
    const dmc__graph_value a = g->value[x], b = g->value[e];
    if (b.t != 1 || a.c != b.c)
        return dmc__graph_refuse(g, DMC_ESHAPE, "%s: (%d,%d) and (%d,%d), the second must be (1,%d)", n.name, a.t, a.c,
                                 b.t, b.c, a.c);
    n.dim[0] = 1;
    n.dim[1] = a.t;
    n.dim[2] = a.c;
    return dmc__graph_add_node(g, &n, a.t, a.c);
}

dmc__val dmc__g_concat(dmc__graph *g, dmc__val x, dmc__val y, dmc__val z)
{
    dmc__graph_node n;
    const dmc__val in[DMC_KIN] = {x, y, z};
    if (!start(g, DMC_OP_CONCAT, "concat", z == -1 ? 2 : 3, in, &n)) return -1;
    const int32_t t = g->value[x].t;
    int64_t c = 0;
    for (int32_t i = 0; i < n.n_in; i++) {
        const dmc__graph_value v = g->value[in[i]];
        if (v.t != t)
            return dmc__graph_refuse(g, DMC_ESHAPE, "%s: (%d,%d) and (%d,%d), must have the same rows", n.name, t,
                                     g->value[x].c, v.t, v.c);
        n.dim[1 + i] = v.c;
        c += v.c;
    }
    n.dim[0] = t;
    if (c > INT32_MAX)
        return dmc__graph_refuse(g, DMC_ESHAPE, "%s: %lld columns, at most %d", n.name, (long long)c, INT32_MAX);
    return dmc__graph_add_node(g, &n, t, (int32_t)c);
}

dmc__val dmc__g_timestep(dmc__graph *g, dmc__val t, int32_t c)
{
    dmc__graph_node n;
    if (!start(g, DMC_OP_TIMESTEP, "timestep", 1, &t, &n)) return -1;
    const dmc__graph_value v = g->value[t];
    if (v.t != 1 || v.c != 1 || c < 2 || c % 2)
        return dmc__graph_refuse(g, DMC_ESHAPE, "%s: (%d,%d) to (1,%d), must be (1,1) to an even number of columns",
                                 n.name, v.t, v.c, c);
    n.dim[0] = 1;
    n.dim[1] = c;
    return dmc__graph_add_node(g, &n, 1, c);
}

dmc__val dmc__g_reshape(dmc__graph *g, dmc__val x, int32_t t, int32_t c)
{
    dmc__graph_node n; /* checks and names only: nothing runs */
    if (!start(g, DMC_OP_COUNT, "reshape", 1, &x, &n)) return -1;
    const dmc__graph_value v = g->value[x];
    if (t < 1 || c < 1 || (int64_t)t * c != (int64_t)v.t * v.c)
        return dmc__graph_refuse(g, DMC_ESHAPE, "%s: (%d,%d) to (%d,%d), must have as many elements", n.name, v.t, v.c,
                                 t, c);
    return dmc__graph_add_value(g, n.name, t, c, v.base);
}
