/* graph_layers.c — one builder call per layer: its shape rule, its parameters, its cost.
 *
 * A call starts a node, checks, adds parameters and appends the node. Any of these does nothing after an error, so
 * only dmc__graph_start is asked for its result. Linear layers and what attention needs stand in files of their own.
 */
#include "graph_types.h"

#include <math.h>
#include <string.h>

/* ---- layers with weights ---------------------------------------------------------------------------- */

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
    if (!dmc__graph_start(g, op, name, 1, &x, &n)) return -1;
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

/* e and r, where there are any, fit x. */
static dmc__val check_block(dmc__graph *g, const dmc__graph_node *n, dmc__val x, dmc__val e, dmc__val r)
{
    const int32_t t = g->value[x].t, c = g->value[x].c;
    if (e != -1 && (g->value[e].t != 1 || (g->value[e].c != c && g->value[e].c != 2 * (int64_t)c)))
        return dmc__graph_refuse(g, DMC_ESHAPE, "%s: groupnorm of (%d,%d) modulated by (%d,%d), must be (1,%d) or (1,%lld)",
                                 n->name, t, c, g->value[e].t, g->value[e].c, c, 2 * (long long)c);
    if (r != -1 && (g->value[r].t != t || g->value[r].c != c))
        return dmc__graph_refuse(g, DMC_ESHAPE, "%s: groupnorm of (%d,%d) plus (%d,%d), must be the same", n->name, t, c,
                                 g->value[r].t, g->value[r].c);
    return 0;
}

static dmc__val check_norm(dmc__graph *g, const dmc__graph_node *n, dmc__glayer norm, int32_t c)
{
    const dmc__param_spec *const w = dmc__graph_param(g, norm.weight), *const b = dmc__graph_param(g, norm.bias);
    if (w && b && w->size == (size_t)c && b->size == (size_t)c) return 0;
    return dmc__graph_refuse(g, DMC_ESHAPE, "%s: groupnorm of %d channels, its scale and shift must have as many", n->name, c);
}

dmc__val dmc__g_groupnorm_block(dmc__graph *g, const char *name, dmc__glayer norm, dmc__val x, int32_t groups, double eps,
                                int32_t act, dmc__val e, dmc__val r)
{
    dmc__graph_node n;
    dmc__val in[DMC_KIN] = {x};
    int32_t n_in = 1;
    if (e != -1) in[n_in++] = e;
    if (r != -1) in[n_in++] = r;
    if (!dmc__graph_start(g, DMC_OP_GROUPNORM, name, n_in, in, &n)) return -1;
    const int32_t t = g->value[x].t, c = g->value[x].c;
    if (groups < 1 || c % groups)
        return dmc__graph_refuse(g, DMC_ESHAPE, "%s: groupnorm of (%d,%d) in %d groups, must divide %d", n.name, t, c,
                                 groups, c);
    if (!(eps > 0) || !isfinite(eps) || act < 0 || act > 2)
        return dmc__graph_refuse(g, DMC_ERANGE, "%s: groupnorm of (%d,%d) with eps = %g, act = %d, must be above 0, "
                                 "and 0..2", n.name, t, c, eps, act);
    if (check_block(g, &n, x, e, r) < 0 || check_norm(g, &n, norm, c) < 0) return -1;
    const int32_t dim[DMC_KDIM] = {1, t, c, groups, e != -1 ? g->value[e].c : 0};
    memcpy(n.dim, dim, sizeof dim);
    n.attr[0] = eps;
    n.attr[1] = act;
    n.par[0] = norm.weight;
    n.par[1] = norm.bias;
    return dmc__graph_add_node(g, &n, t, c);
}

dmc__val dmc__g_groupnorm(dmc__graph *g, const char *name, dmc__val x, int32_t groups, double eps, int32_t act)
{
    return dmc__g_groupnorm_block(g, name, dmc__g_norm(g, name, dmc__graph_cols(g, x)), x, groups, eps, act, -1, -1);
}

dmc__val dmc__g_layernorm(dmc__graph *g, const char *name, dmc__val x, double eps)
{
    dmc__graph_node n;
    if (!dmc__graph_start(g, DMC_OP_LAYERNORM, name, 1, &x, &n)) return -1;
    const int32_t t = g->value[x].t, c = g->value[x].c;
    if (!(eps > 0) || !isfinite(eps))
        return dmc__graph_refuse(g, DMC_ERANGE, "%s: layernorm of (%d,%d) with eps = %g, must be above 0", n.name, t, c, eps);
    n.dim[0] = t;
    n.dim[1] = c;
    n.attr[0] = eps;
    const dmc__glayer norm = dmc__g_norm(g, name, c);
    n.par[0] = norm.weight;
    n.par[1] = norm.bias;
    return dmc__graph_add_node(g, &n, t, c);
}

/* ---- layers without parameters, named like their op ------------------------------------------------- */

static dmc__val activate(dmc__graph *g, enum dmc_op op, dmc__val x, double attr)
{
    dmc__graph_node n;
    if (!dmc__graph_start(g, op, dmc__op_name(op), 1, &x, &n)) return -1;
    const int32_t t = g->value[x].t, c = g->value[x].c;
    n.dim[0] = t * c;
    n.attr[0] = attr;
    return dmc__graph_add_node(g, &n, t, c);
}

dmc__val dmc__g_act(dmc__graph *g, enum dmc_op op, dmc__val x)
{
    static const enum dmc_op known[] = {DMC_OP_MISH, DMC_OP_SILU, DMC_OP_RELU, DMC_OP_TANH, DMC_OP_GELU, DMC_OP_GELU_TANH};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (op == known[i]) return activate(g, op, x, 0);
    if (g->status < 0) return -1;
    return dmc__graph_refuse(g, DMC_EINVAL, "%sactivation: op = %d, must be mish, silu, relu, tanh, gelu or gelu_tanh",
                             g->prefix, (int)op);
}

dmc__val dmc__g_leaky_relu(dmc__graph *g, dmc__val x, double slope)
{
    if (g->status >= 0 && !isfinite(slope))
        return dmc__graph_refuse(g, DMC_ERANGE, "%sleaky_relu: slope = %g, must be finite", g->prefix, slope);
    return activate(g, DMC_OP_RELU, x, slope);
}

dmc__val dmc__g_dropout(dmc__graph *g, dmc__val x, double p)
{
    dmc__graph_node n;
    if (!dmc__graph_start(g, DMC_OP_DROPOUT, "dropout", 1, &x, &n)) return -1;
    if (!(p >= 0 && p < 1))
        return dmc__graph_refuse(g, DMC_ERANGE, "%s: probability = %g, must be in [0, 1)", n.name, p);
    if (p == 0) return x;
    const int32_t t = g->value[x].t, c = g->value[x].c;
    n.dim[0] = 1;
    n.dim[1] = t * c;
    n.attr[0] = p;
    n.random = 1;
    return dmc__graph_add_node(g, &n, t, c);
}

dmc__val dmc__g_add(dmc__graph *g, dmc__val x, dmc__val y)
{
    dmc__graph_node n;
    if (!dmc__graph_start(g, DMC_OP_ADD, "add", 2, (const dmc__val[]){x, y}, &n)) return -1;
    const dmc__graph_value a = g->value[x], b = g->value[y];
    if (a.t != b.t || a.c != b.c)
        return dmc__graph_refuse(g, DMC_ESHAPE, "%s: (%d,%d) and (%d,%d), must be the same", n.name, a.t, a.c, b.t, b.c);
    n.dim[0] = a.t * a.c;
    return dmc__graph_add_node(g, &n, a.t, a.c);
}

dmc__val dmc__g_add_time(dmc__graph *g, dmc__val x, dmc__val e)
{
    dmc__graph_node n;
    if (!dmc__graph_start(g, DMC_OP_ADD_TIME, "add_time", 2, (const dmc__val[]){x, e}, &n)) return -1;
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
    if (!dmc__graph_start(g, DMC_OP_CONCAT, "concat", z == -1 ? 2 : 3, in, &n)) return -1;
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

dmc__val dmc__g_slice(dmc__graph *g, dmc__val x, int32_t from, int32_t count)
{
    dmc__graph_node n;
    if (!dmc__graph_start(g, DMC_OP_SLICE, "slice", 1, &x, &n)) return -1;
    const dmc__graph_value v = g->value[x];
    if (from < 0 || count < 1 || from > v.c - count)
        return dmc__graph_refuse(g, DMC_ESHAPE, "%s: columns %d..%d of (%d,%d), must be inside 0..%d", n.name, from,
                                 from + count - 1, v.t, v.c, v.c - 1);
    if (count == v.c) return x;
    const int32_t dim[] = {v.t, v.c, from, count};
    memcpy(n.dim, dim, sizeof dim);
    return dmc__graph_add_node(g, &n, v.t, count);
}

/* t(1,1) to (1,c) of this kind; the frozen frequencies of kind 2 are the parameter `freqs`. */
static dmc__val embed(dmc__graph *g, dmc__val t, int32_t c, int32_t kind, int32_t cast, const char *freqs)
{
    dmc__graph_node n;
    if (!dmc__graph_start(g, DMC_OP_TIMESTEP, "timestep", 1, &t, &n)) return -1;
    const dmc__graph_value v = g->value[t];
    const int32_t least = kind == 1 ? 4 : 2;
    if (v.t != 1 || v.c != 1 || c < least || c % 2)
        return dmc__graph_refuse(g, DMC_ESHAPE, "%s: (%d,%d) to (1,%d), must be (1,1) to an even number of columns, at least %d",
                                 n.name, v.t, v.c, c, least);
    if (kind < 0 || kind > 2 || (kind == 2) != (freqs != NULL))
        return dmc__graph_refuse(g, DMC_EINVAL, "%s: kind = %d, must be 0..1", n.name, kind);
    const int32_t dim[] = {1, c, kind, cast != 0};
    memcpy(n.dim, dim, sizeof dim);
    if (freqs) {
        const dmc__param_spec s = {.rank = 1, .shape = {c / 2}, .init = DMC__INIT_NORMAL, .scale = 16, .frozen = 1};
        n.par[0] = dmc__graph_add_param(g, freqs, &s);
    }
    return dmc__graph_add_node(g, &n, 1, c);
}

dmc__val dmc__g_timestep(dmc__graph *g, dmc__val t, int32_t c, int32_t kind, int32_t cast)
{
    return embed(g, t, c, kind, cast, NULL);
}

dmc__val dmc__g_fourier(dmc__graph *g, const char *freqs, dmc__val t, int32_t c, int32_t cast)
{
    return embed(g, t, c, 2, cast, freqs);
}

dmc__val dmc__g_reshape(dmc__graph *g, dmc__val x, int32_t t, int32_t c)
{
    dmc__graph_node n; /* checks and names only: nothing runs */
    if (!dmc__graph_start(g, DMC_OP_COUNT, "reshape", 1, &x, &n)) return -1;
    const dmc__graph_value v = g->value[x];
    if (t < 1 || c < 1 || (int64_t)t * c != (int64_t)v.t * v.c)
        return dmc__graph_refuse(g, DMC_ESHAPE, "%s: (%d,%d) to (%d,%d), must have as many elements", n.name, v.t, v.c,
                                 t, c);
    return dmc__graph_add_value(g, n.name, t, c, v.base);
}
