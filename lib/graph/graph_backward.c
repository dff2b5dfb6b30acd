/* graph_backward.c — the order of gradients, settled once so that running needs no bookkeeping.
 *
 * Nodes are visited in reverse. The first contribution to a value's gradient overwrites, later ones add, so nothing
 * is ever zeroed. An output's gradient starts with the caller's seed: everything the ops contribute is added.
 */
#include "graph_steps.h"

/* Is input j of the node the same memory as an earlier one? */
static int32_t repeats_input(const dmc__graph_node *n, int32_t j)
{
    for (int32_t i = 0; i < j; i++)
        if (n->in[i] == n->in[j]) return 1;
    return 0;
}

/* At most as many steps as nodes, and one more for every input that repeats another of its node. */
int32_t dmc__plan_count_backward(const dmc__graph *g)
{
    int32_t count = g->nodes;
    for (int32_t i = 0; i < g->nodes; i++)
        for (int32_t j = 1; j < g->node[i].n_in; j++) count += repeats_input(&g->node[i], j);
    return count;
}

static int32_t is_trained(const dmc__plan *p, const uint8_t *train, dmc__parid i)
{
    return i >= 0 && (p->flags & DMC__PLAN_TRAIN) && (!train || train[i]);
}

/* A gradient is wanted where a trained parameter or (DINPUT) an input lies behind, through ops that have one. */
static void mark_wanted(dmc__plan *p, const uint8_t *train)
{
    const dmc__graph *const g = p->graph;
    if (p->flags & DMC__PLAN_DINPUT)
        for (dmc__val v = 0; v < p->values; v++)
            if (g->value[v].is_input) p->grad[v] |= DMC__GRAD_WANTED;
    for (int32_t i = 0; i < p->nodes; i++) {
        const dmc__graph_node *const n = &g->node[i];
        if (!p->device->kernels.op[n->op].bwd) continue;
        for (int32_t j = 0; j < n->n_in; j++) p->grad[n->out] |= p->grad[n->in[j]] & DMC__GRAD_WANTED;
        for (int32_t j = 0; j < DMC_KPAR; j++)
            if (is_trained(p, train, n->par[j])) p->grad[n->out] |= DMC__GRAD_WANTED;
    }
}

static dmc__step *add_step(dmc__plan *p, int32_t node)
{
    dmc__step *const s = &p->backward[p->backward_steps++];
    dmc__plan_start_step(p, node, s);
    s->run = p->device->kernels.op[p->graph->node[node].op].bwd;
    return s;
}

/* An input the node has twice gets a step for each: within one call a kernel may make its gradients in any order, so
 * "overwrite this one, then add to it" can only be said with two. */
static void add_node_steps(dmc__plan *p, int32_t node, const uint8_t *train)
{
    const dmc__graph_node *const n = &p->graph->node[node];
    dmc__step *s = add_step(p, node);
    for (int32_t j = 0; j < DMC_KPAR; j++)
        if (is_trained(p, train, n->par[j])) s->dpar[j] = s->par[j];
    for (int32_t j = 0; j < n->n_in; j++) {
        uint8_t *const grad = &p->grad[n->in[j]];
        if (!(*grad & DMC__GRAD_WANTED)) continue;
        if (repeats_input(n, j)) s = add_step(p, node);
        s->din |= 1u << j;
        if (*grad & DMC__GRAD_ARRIVES) s->args.acc |= 1u << j;
        *grad |= DMC__GRAD_ARRIVES;
    }
}

void dmc__plan_order_backward(dmc__plan *p, const uint8_t *train)
{
    const dmc__graph *const g = p->graph;
    mark_wanted(p, train);
    for (dmc__val v = 0; v < p->values; v++)
        if (g->value[v].is_output) p->grad[v] |= DMC__GRAD_ARRIVES;
    for (int32_t i = p->nodes - 1; i >= 0; i--) {
        const int32_t both = DMC__GRAD_WANTED | DMC__GRAD_ARRIVES;
        if ((p->grad[g->node[i].out] & both) == both) add_node_steps(p, i, train);
    }
}
