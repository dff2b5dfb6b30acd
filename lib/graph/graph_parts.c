/* graph_parts.c — what depends on which inputs, and what crosses the border when a graph is cut into parts.
 *
 * The use: in a denoising loop what depends on the time alone, or on the observation alone, is computed by plans of
 * their own, once, and the plan of the rest reads it.
 */
#include "graph_steps.h"

int32_t dmc__graph_value_count(const dmc__graph *g)
{
    return g->values;
}

int32_t dmc__graph_node_count(const dmc__graph *g)
{
    return g->nodes;
}

dmc__val dmc__graph_made_by(const dmc__graph *g, int32_t node)
{
    return g->node[node].out;
}

dmc__val dmc__graph_base(const dmc__graph *g, dmc__val v)
{
    return g->value[v].base;
}

void dmc__graph_spread(const dmc__graph *g, uint8_t *bits)
{
    for (int32_t i = 0; i < g->nodes; i++) {
        const dmc__graph_node *const n = &g->node[i];
        for (int32_t j = 0; j < n->n_in; j++) bits[n->out] |= bits[n->in[j]];
    }
    for (dmc__val v = 0; v < g->values; v++) bits[v] = bits[g->value[v].base];
}

/* The whole graph: its inputs and outputs, read or not. */
static void mark_whole(dmc__plan *p)
{
    for (int32_t i = 0; i < p->graph->nodes; i++) p->border[p->graph->node[i].out] |= DMC__VALUE_MADE;
    for (dmc__val v = 0; v < p->values; v++) {
        if (p->graph->value[v].is_input) p->border[v] |= DMC__VALUE_GIVEN;
        if (p->graph->value[v].is_output) p->border[v] |= DMC__VALUE_SHOWN;
    }
}

/* A value is marked by every node that reads it. Nodes stand in the order they run in, so its maker was seen before. */
static void mark_reads(dmc__plan *p, const dmc__graph_node *n, int32_t belongs)
{
    for (int32_t j = 0; j < n->n_in; j++) {
        uint8_t *const border = &p->border[n->in[j]];
        const int32_t made = *border & DMC__VALUE_MADE;
        if (belongs && !made) *border |= DMC__VALUE_GIVEN;
        if (!belongs && made) *border |= DMC__VALUE_SHOWN;
    }
}

static void mark_part(dmc__plan *p, const dmc__plan_part *part)
{
    const dmc__graph *const g = p->graph;
    for (int32_t i = 0; i < g->nodes; i++) {
        const dmc__graph_node *const n = &g->node[i];
        mark_reads(p, n, part->node[i] != 0);
        if (part->node[i]) p->border[n->out] |= DMC__VALUE_MADE | (g->value[n->out].is_output ? DMC__VALUE_SHOWN : 0);
    }
    for (dmc__val v = 0; part->lent && v < p->values; v++)
        if ((p->border[v] & DMC__VALUE_GIVEN) && part->lent[v]) p->border[v] |= DMC__VALUE_LENT;
}

void dmc__plan_mark_border(dmc__plan *p, const dmc__plan_part *part)
{
    if (part) mark_part(p, part);
    else mark_whole(p);
}

int32_t dmc__plan_reads(const dmc__plan *p, dmc__val v)
{
    return v >= 0 && v < p->values && (p->border[p->graph->value[v].base] & DMC__VALUE_GIVEN) != 0;
}

/* The piece of a lent value has no memory, but says from which step to which it is read. */
void dmc__plan_lend(dmc__plan *p, dmc__val v, const void *memory)
{
    const dmc__val base = p->graph->value[v].base;
    const dmc__piece *const life = dmc__plan_value_piece(p, base);
    for (int32_t i = life->first; i <= life->last; i++) {
        const dmc__graph_node *const n = &p->graph->node[p->forward[i].node];
        for (int32_t j = 0; j < n->n_in; j++)
            if (p->source[n->in[j]] == base) p->forward[i].args.in[j] = memory;
    }
}
