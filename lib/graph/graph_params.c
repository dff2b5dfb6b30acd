/* graph_params.c — parameters: names and shapes as in PyTorch, places in one block, starting values. */
#include "graph_types.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ALIGN = 16 }; /* elements: 64 bytes of floats */

/* Elements of the shape, 0 if they are more than an op's 32-bit sizes can say. */
static size_t count_elements(const dmc__param_spec *s)
{
    int64_t n = 1;
    for (int32_t i = 0; i < s->rank; i++) {
        n *= s->shape[i];
        if (n > INT32_MAX) return 0;
    }
    return (size_t)n;
}

/* Append `s` under its full name, behind the parameters there are. -1 after an error. */
static dmc__parid append(dmc__graph *g, const char *name, const dmc__param_spec *s)
{
    if (dmc__graph_find_param(g, name) >= 0)
        return dmc__graph_refuse(g, DMC_EINVAL, "%s: there is already a parameter of this name", name);
    const size_t size = count_elements(s);
    if (size == 0)
        return dmc__graph_refuse(g, DMC_EOVERFLOW, "%s: more than %d elements", name, INT32_MAX);
    if (dmc__graph_grow(g, (void **)&g->param, sizeof *g->param, g->params, &g->param_room) < 0) return -1;
    dmc__param_spec *const p = &g->param[g->params];
    *p = *s;
    snprintf(p->name, sizeof p->name, "%s", name);
    p->size = size;
    p->offset = g->param_elems;
    g->param_total += s->frozen ? 0 : size;
    g->param_elems += (size + ALIGN - 1) / ALIGN * ALIGN;
    return g->params++;
}

dmc__parid dmc__graph_add_param(dmc__graph *g, const char *name, const dmc__param_spec *s)
{
    char full[DMC__NAME_MAX];
    if (g->status < 0) return -1;
    if (snprintf(full, sizeof full, "%s%s", g->prefix, name) >= (int)sizeof full)
        return dmc__graph_refuse(g, DMC_EINVAL, "%s%s: parameter name longer than %d characters", g->prefix, name,
                                 DMC__NAME_MAX - 1);
    return append(g, full, s);
}

/* PyTorch: kaiming_uniform(a = sqrt 5) of the weight is U(+-1/sqrt(fan_in)), and so is the bias. fan_in is the
 * product of all sizes but the first, whatever the first means: for a transposed convolution Co k, not Ci k. */
static void set_start(dmc__param_spec *w, dmc__param_spec *b, int32_t co)
{
    double fan_in = 1;
    for (int32_t i = 1; i < w->rank; i++) fan_in *= w->shape[i];
    w->init = DMC__INIT_UNIFORM;
    w->scale = 1 / sqrt(fan_in);
    *b = (dmc__param_spec){.rank = 1, .shape = {co}, .layout = DMC__LAYOUT_PLAIN, .init = w->init, .scale = w->scale};
}

void dmc__graph_add_layer(dmc__graph *g, const char *weight, const char *bias, const dmc__param_spec *spec, int32_t co,
                          dmc__parid par[2])
{
    dmc__param_spec w = *spec, b;
    set_start(&w, &b, co);
    par[0] = dmc__graph_add_param(g, weight, &w);
    par[1] = bias ? dmc__graph_add_param(g, bias, &b) : -1;
}

dmc__parid dmc__graph_add_to_node(dmc__graph *g, const dmc__graph_node *n, const char *tail, const dmc__param_spec *s)
{
    char name[DMC__NAME_MAX];
    if (g->status < 0) return -1;
    if (snprintf(name, sizeof name, "%s.%s", n->name, tail) >= (int)sizeof name)
        return dmc__graph_refuse(g, DMC_EINVAL, "%s: parameter name longer than %d characters", n->name, DMC__NAME_MAX - 1);
    return append(g, name, s);
}

void dmc__graph_add_weights(dmc__graph *g, dmc__graph_node *n, const dmc__param_spec *weight, int32_t co, int32_t bias)
{
    dmc__param_spec w = *weight, b;
    set_start(&w, &b, co);
    n->par[0] = dmc__graph_add_to_node(g, n, "weight", &w);
    if (bias) n->par[1] = dmc__graph_add_to_node(g, n, "bias", &b);
}

dmc__glayer dmc__g_norm(dmc__graph *g, const char *name, int32_t c)
{
    const dmc__param_spec one = {.rank = 1, .shape = {c}, .layout = DMC__LAYOUT_PLAIN, .init = DMC__INIT_ONE, .scale = 1};
    const dmc__param_spec zero = {.rank = 1, .shape = {c}, .layout = DMC__LAYOUT_PLAIN, .init = DMC__INIT_ZERO};
    dmc__graph_node n = {.op = DMC_OP_COUNT};
    if (g->status < 0 || c < 1) return (dmc__glayer){-1, -1}; /* who reads it says why */
    if (snprintf(n.name, sizeof n.name, "%s%s", g->prefix, name) >= (int)sizeof n.name)
        dmc__graph_refuse(g, DMC_EINVAL, "%s%s: name longer than %d characters", g->prefix, name, DMC__NAME_MAX - 1);
    const dmc__parid weight = dmc__graph_add_to_node(g, &n, "weight", &one);
    return (dmc__glayer){weight, dmc__graph_add_to_node(g, &n, "bias", &zero)};
}

/* The last node that has parameters; NULL if there is none. */
static const dmc__graph_node *last_layer(const dmc__graph *g)
{
    for (int32_t i = g->nodes - 1; i >= 0; i--)
        if (g->node[i].par[0] >= 0) return &g->node[i];
    return NULL;
}

void dmc__g_init(dmc__graph *g, enum dmc__init init, double scale)
{
    if (g->status < 0) return;
    const dmc__graph_node *const n = last_layer(g);
    if (!n || g->param[n->par[0]].init == DMC__INIT_ONE || !isfinite(scale) || scale < 0) {
        dmc__graph_refuse(g, DMC_EINVAL, "%s: initial scale %g, needs a linear or convolution layer and a scale from 0 on",
                          n ? n->name : "dmc__g_init", scale);
        return;
    }
    g->param[n->par[0]].init = init;
    g->param[n->par[0]].scale = scale;
    if (n->par[1] >= 0) g->param[n->par[1]].init = DMC__INIT_ZERO;
}

/* A bias is known by its start, that of its weight: those of norms, and tables, start otherwise. */
void dmc__g_init_from(dmc__graph *g, dmc__parid from, double std)
{
    for (dmc__parid i = from; g->status >= 0 && i < g->params; i++) {
        dmc__param_spec *const p = &g->param[i];
        if (p->init != DMC__INIT_UNIFORM) continue;
        if (p->layout == DMC__LAYOUT_PLAIN) {
            p->init = DMC__INIT_ZERO;
        } else if (p->layout == DMC__LAYOUT_LINEAR) {
            p->init = std > 0 ? DMC__INIT_NORMAL : DMC__INIT_UNIFORM;
            p->scale = std > 0 ? std : dmc__xavier(p->shape[1], p->shape[0]);
        }
    }
}

double dmc__xavier(int32_t fan_in, int32_t fan_out)
{
    return sqrt(6.0 / ((double)fan_in + fan_out));
}

/* ---- asking ----------------------------------------------------------------------------------------- */

int32_t dmc__graph_param_count(const dmc__graph *g)
{
    return g->params;
}

const dmc__param_spec *dmc__graph_param(const dmc__graph *g, dmc__parid i)
{
    return i >= 0 && i < g->params ? &g->param[i] : NULL;
}

dmc__parid dmc__graph_find_param(const dmc__graph *g, const char *name)
{
    for (dmc__parid i = 0; i < g->params; i++)
        if (strcmp(g->param[i].name, name) == 0) return i;
    return -1;
}

int32_t dmc__graph_param_learns(const dmc__graph *g, dmc__parid i)
{
    if (g->param[i].frozen) return 0;
    for (int32_t k = 0; k < g->nodes; k++)
        for (int32_t j = 0; j < DMC_KPAR; j++)
            if (g->node[k].par[j] == i) return 1;
    return 0;
}

size_t dmc__graph_param_elems(const dmc__graph *g)
{
    return g->param_elems;
}

size_t dmc__graph_param_total(const dmc__graph *g)
{
    return g->param_total;
}
