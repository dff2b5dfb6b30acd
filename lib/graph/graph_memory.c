/* graph_memory.c — how much memory a plan's pieces take, and from which step to which they need it.
 *
 * Steps are counted through both passes: forward step i, then backward step nodes + i. With a backward pass the tape is
 * kept, for a pass may be repeated; without, a value lives from the step that makes it to the last that reads it, and what
 * a node saves only during its call. A gradient lives from its first contribution to the call that passes it on.
 */
#include "graph_steps.h"
#include "../base/checked.h"

static void keep(const dmc__plan *p, dmc__piece *piece)
{
    piece->first = -1;
    piece->last = p->nodes + p->backward_steps;
}

static size_t value_bytes(const dmc__plan *p, dmc__val v)
{
    const dmc__graph_value *const shape = &p->graph->value[v];
    return dmc__align64((size_t)p->batch * (size_t)shape->t * (size_t)shape->c * p->device->backend->elem);
}

/* Widen the life of a value by step i. */
static void touch(dmc__piece *piece, int32_t i)
{
    if (i < piece->first) piece->first = i;
    if (i > piece->last) piece->last = i;
}

/* Inputs and outputs are never given away. Of lent inputs the steps that read them are all there is to know. */
static int32_t has_short_life(const dmc__plan *p, dmc__val v)
{
    return (p->border[v] & DMC__VALUE_LENT) || !(p->border[v] & (DMC__VALUE_GIVEN | DMC__VALUE_SHOWN));
}

static void size_values(dmc__plan *p)
{
    for (dmc__val v = 0; v < p->values; v++) {
        dmc__piece *const piece = dmc__plan_value_piece(p, v);
        if (p->border[v] && !(p->border[v] & DMC__VALUE_LENT)) piece->bytes = value_bytes(p, v);
        keep(p, piece);
        if (p->flags == DMC__PLAN_INFER && has_short_life(p, v)) *piece = (dmc__piece){piece->bytes, p->nodes, -1, 0};
    }
    for (int32_t i = 0; p->flags == DMC__PLAN_INFER && i < p->nodes; i++) {
        const dmc__graph_node *const n = &p->graph->node[p->forward[i].node];
        for (int32_t j = 0; j < n->n_in; j++)
            if (has_short_life(p, p->source[n->in[j]])) touch(dmc__plan_value_piece(p, p->source[n->in[j]]), i);
        if (has_short_life(p, n->out)) touch(dmc__plan_value_piece(p, n->out), i);
    }
}

/* A gradient has memory if somebody writes it, or if the caller reads it: of inputs, where an unused one reads 0. The
 * caller's are never given away. */
static void size_gradients(dmc__plan *p)
{
    for (dmc__val v = 0; v < p->values; v++) {
        const int32_t asked = p->graph->value[v].is_input && (p->flags & DMC__PLAN_DINPUT);
        dmc__piece *const piece = dmc__plan_grad_piece(p, v);
        if (!asked && !(p->grad[v] & DMC__GRAD_ARRIVES)) continue;
        *piece = (dmc__piece){value_bytes(p, v), INT32_MAX, -1, 0};
        if (p->border[v] & (DMC__VALUE_GIVEN | DMC__VALUE_SHOWN)) keep(p, piece);
    }
    for (int32_t i = 0; i < p->backward_steps; i++) {
        const dmc__step *const s = &p->backward[i];
        const dmc__graph_node *const n = &p->graph->node[s->node];
        touch(dmc__plan_grad_piece(p, n->out), p->nodes + i);
        for (int32_t j = 0; j < n->n_in; j++)
            if (s->din >> j & 1) touch(dmc__plan_grad_piece(p, n->in[j]), p->nodes + i);
    }
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* A kernel that asks for more than there can be is refused by the sum of all pieces. */
static size_t round_up(size_t bytes)
{
    return bytes > SIZE_MAX - 63 ? SIZE_MAX : dmc__align64(bytes);
}

static dmc_status size_node(dmc__plan *p, int32_t i, int32_t has_backward)
{
    dmc__step *const s = &p->forward[i];
    const dmc__graph_node *const n = &p->graph->node[s->node];
    dmc_op_need need;
    const dmc_status status = dmc__dev_prepare(p->device, n->op, &s->args, &need);
    if (status < 0) return dmc__fail_in(status, "%s", n->name);
    dmc__piece *const save = dmc__plan_save_piece(p, i), *const scratch = dmc__plan_scratch_piece(p);
    save->bytes = round_up(need.save);
    save->first = save->last = i;
    if (has_backward) keep(p, save);
    scratch->bytes = larger(scratch->bytes, round_up(larger(need.scratch_fwd, has_backward ? need.scratch_bwd : 0)));
    return DMC_OK;
}

/* Backward steps stand in reverse: walk them along to know which nodes have one. */
static dmc_status size_nodes(dmc__plan *p)
{
    int32_t b = p->backward_steps;
    for (int32_t i = 0; i < p->nodes; i++) {
        int32_t has_backward = 0;
        for (; b > 0 && p->backward[b - 1].node == i; b--) has_backward = 1;
        DMC_TRY(size_node(p, i, has_backward));
    }
    return DMC_OK;
}

dmc_status dmc__plan_size_pieces(dmc__plan *p)
{
    size_values(p);
    size_gradients(p);
    keep(p, dmc__plan_scratch_piece(p));
    DMC_TRY(size_nodes(p));
    return dmc__place_pieces(p->device->alloc, p->piece, p->pieces, &p->bytes);
}
