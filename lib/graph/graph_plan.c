/* graph_plan.c — a graph made ready for one batch size: every kernel call with all its pointers. */
#include "graph_steps.h"

static int32_t is_dense(const dmc__graph *g, const dmc__graph_node *n)
{
    const int32_t dense = n->op == DMC_OP_LINEAR || n->op == DMC_OP_CONV1D || n->op == DMC_OP_CONVT1D;
    return dense && g->param[n->par[0]].layout != DMC__LAYOUT_PLAIN;
}

void dmc__plan_start_step(const dmc__plan *p, int32_t i, dmc__step *s)
{
    const dmc__graph_node *const n = &p->graph->node[i];
    *s = (dmc__step){.node = i, .is_dense = is_dense(p->graph, n)};
    for (int32_t j = 0; j < DMC_KDIM; j++) s->args.dim[j] = n->dim[j];
    s->args.dim[0] *= p->batch;
    for (int32_t j = 0; j < DMC_KATTR; j++) s->args.attr[j] = n->attr[j];
    if (n->random) s->args.attr[n->random - 1] = 0;
    s->args.par_for = p->device->par.run ? &p->device->par : NULL;
    s->args.queue = p->device->state;
    for (int32_t j = 0; j < DMC_KPAR; j++) {
        s->dpar[j] = DMC__NOWHERE;
        s->par[j] = n->par[j] < 0 ? DMC__NOWHERE :
            (p->graph->param[n->par[j]].offset + n->par_at[j]) * p->device->backend->elem;
    }
}

/* ---- pointers --------------------------------------------------------------------------------------- */

/* Address of a piece, NULL if it has none. */
static void *piece_address(const dmc__plan *p, const dmc__piece *piece)
{
    return piece->bytes ? (char *)p->block + piece->at : NULL;
}

static void connect_forward(dmc__plan *p, int32_t i)
{
    const dmc__graph_node *const n = &p->graph->node[p->forward[i].node];
    dmc_kargs *const k = &p->forward[i].args;
    for (int32_t j = 0; j < n->n_in; j++) k->in[j] = piece_address(p, dmc__plan_value_piece(p, p->source[n->in[j]]));
    k->out = piece_address(p, dmc__plan_value_piece(p, n->out));
    k->save = piece_address(p, dmc__plan_save_piece(p, i));
    k->scratch = piece_address(p, dmc__plan_scratch_piece(p));
}

/* A backward call has all that the forward call has, and the gradients. */
static void connect_backward(dmc__plan *p, dmc__step *s)
{
    const dmc__graph_node *const n = &p->graph->node[s->node];
    const uint32_t acc = s->args.acc;
    s->args = p->forward[s->node].args;
    s->args.acc = acc;
    s->args.dout = piece_address(p, dmc__plan_grad_piece(p, n->out));
    for (int32_t j = 0; j < n->n_in; j++)
        if (s->din >> j & 1) s->args.din[j] = piece_address(p, dmc__plan_grad_piece(p, n->in[j]));
}

static void *param_address(const void *block, size_t at)
{
    return block && at != DMC__NOWHERE ? (char *)(uintptr_t)block + at : NULL;
}

static void bind_step(dmc__step *s, const void *params, void *grads)
{
    for (int32_t j = 0; j < DMC_KPAR; j++) {
        s->args.par[j] = param_address(params, s->par[j]);
        s->args.dpar[j] = param_address(grads, s->dpar[j]);
    }
    s->args.weight_type = DMC_WEIGHT_FLOAT;
}

void dmc__plan_bind(dmc__plan *p, const void *params, void *grads)
{
    for (int32_t i = 0; i < p->nodes; i++) bind_step(&p->forward[i], params, grads);
    for (int32_t i = 0; i < p->backward_steps; i++) bind_step(&p->backward[i], params, grads);
}

void dmc__plan_bind_half(dmc__plan *p, const void *half, int32_t type)
{
    for (int32_t i = 0; i < p->nodes; i++) {
        dmc__step *const s = &p->forward[i];
        if (!s->is_dense) continue;
        s->args.par[0] = param_address(half, s->par[0] / p->device->backend->elem * sizeof(uint16_t));
        s->args.weight_type = type;
    }
}

static void set_dropout(const dmc__plan *p, dmc__step *s, int32_t on, uint64_t seed, uint64_t step)
{
    const dmc__graph_node *const n = &p->graph->node[s->node];
    if (!n->random) return;
    s->args.attr[n->random - 1] = on ? n->attr[n->random - 1] : 0;
    s->args.key[0] = seed;
    s->args.key[1] = DMC_STREAM_DROPOUT;
    s->args.key[2] = step * DMC__PLAN_STREAMS + (uint64_t)(s->node % DMC__PLAN_STREAMS);
    s->args.key[3] = 0;
}

void dmc__plan_set_dropout(dmc__plan *p, int32_t on, uint64_t seed, uint64_t step)
{
    if (p->flags == DMC__PLAN_INFER) return;
    for (int32_t i = 0; i < p->nodes; i++) set_dropout(p, &p->forward[i], on, seed, step);
    for (int32_t i = 0; i < p->backward_steps; i++) set_dropout(p, &p->backward[i], on, seed, step);
}

void dmc__plan_set_dropout_base(dmc__plan *p, const uint64_t *base)
{
    for (int32_t i = 0; i < p->nodes; i++) p->forward[i].args.key_base = base;
    for (int32_t i = 0; i < p->backward_steps; i++) p->backward[i].args.key_base = base;
}

/* ---- making ----------------------------------------------------------------------------------------- */

/* Kernels count in 32 bits: no value may have more elements. */
static dmc_status check_request(const dmc__graph *g, int32_t batch, int32_t flags)
{
    int32_t outputs = 0; /* a part has some if the graph has */
    DMC_TRY(dmc__graph_status(g));
    if (batch < 1) return dmc__fail(DMC_EINVAL, "dmc__plan_create: batch = %d, must be at least 1", batch);
    if (flags & ~(DMC__PLAN_TRAIN | DMC__PLAN_DINPUT))
        return dmc__fail(DMC_EINVAL, "dmc__plan_create: flags = %d, must be 0..%d", flags,
                         DMC__PLAN_TRAIN | DMC__PLAN_DINPUT);
    for (dmc__val v = 0; v < g->values; v++) {
        const dmc__graph_value *const x = &g->value[v];
        if ((int64_t)x->t * x->c * batch > INT32_MAX)
            return dmc__fail(DMC_EOVERFLOW, "dmc__plan_create: batch = %d of a value (%d,%d), at most %d elements",
                             batch, x->t, x->c, INT32_MAX);
        outputs += x->is_output;
    }
    return outputs ? DMC_OK : dmc__fail(DMC_EINVAL, "dmc__plan_create: the graph has no output");
}

/* Dropout does nothing while inferring: a value behind it that stays in the plan is the value before it. */
static void leave_out_dropout(dmc__plan *p)
{
    const dmc__graph *const g = p->graph;
    for (dmc__val v = 0; v < p->values; v++) p->source[v] = v;
    for (int32_t i = 0; p->flags == DMC__PLAN_INFER && i < g->nodes; i++) {
        const dmc__graph_node *const n = &g->node[i];
        if (n->op != DMC_OP_DROPOUT || p->border[n->out] != DMC__VALUE_MADE) continue;
        p->source[n->out] = p->source[n->in[0]];
        p->border[n->out] = 0;
    }
}

static int32_t has_step(const dmc__plan *p, const dmc__plan_part *part, int32_t node)
{
    const dmc__val out = p->graph->node[node].out;
    return (!part || part->node[node]) && p->source[out] == out;
}

static dmc_status settle_values(dmc__plan *p, const dmc__plan_part *part)
{
    const dmc__allocator *const a = p->device->alloc;
    DMC_TRY(DMC_NEW(a, p->values, &p->grad));
    DMC_TRY(DMC_NEW(a, p->values, &p->border));
    DMC_TRY(DMC_NEW(a, p->values, &p->source));
    dmc__plan_mark_border(p, part);
    leave_out_dropout(p);
    for (int32_t i = 0; i < p->graph->nodes; i++) p->nodes += has_step(p, part, i);
    return DMC_OK;
}

static dmc_status take_host_memory(dmc__plan *p)
{
    const dmc__allocator *const a = p->device->alloc;
    if (p->flags != DMC__PLAN_INFER) p->backward_room = dmc__plan_count_backward(p->graph);
    p->pieces = 2 * p->values + p->nodes + 1;
    DMC_TRY(DMC_NEW(a, p->nodes, &p->forward));
    DMC_TRY(DMC_NEW(a, p->backward_room, &p->backward));
    return DMC_NEW(a, p->pieces, &p->piece);
}

static void order_forward(dmc__plan *p, const dmc__plan_part *part)
{
    dmc__step *s = p->forward;
    for (int32_t i = 0; i < p->graph->nodes; i++) {
        if (!has_step(p, part, i)) continue;
        dmc__plan_start_step(p, i, s);
        s++->run = p->device->kernels.op[p->graph->node[i].op].fwd;
    }
}

static dmc_status fill_plan(dmc__plan *p, const dmc__plan_part *part, const uint8_t *train)
{
    DMC_TRY(settle_values(p, part));
    DMC_TRY(take_host_memory(p));
    order_forward(p, part);
    if (p->flags != DMC__PLAN_INFER) dmc__plan_order_backward(p, train);
    DMC_TRY(dmc__plan_size_pieces(p));
    DMC_TRY(dmc__dev_alloc(p->device, p->bytes / p->device->backend->elem, &p->block));
    for (int32_t i = 0; i < p->nodes; i++) connect_forward(p, i);
    for (int32_t i = 0; i < p->backward_steps; i++) connect_backward(p, &p->backward[i]);
    return DMC_OK;
}

static dmc_status create(const dmc__graph *g, dmc__device *d, int32_t batch, int32_t flags, const dmc__plan_part *part,
                         const uint8_t *train, dmc__plan **out)
{
    dmc__plan *p;
    *out = NULL;
    DMC_TRY(check_request(g, batch, flags));
    DMC_TRY(DMC_NEW(d->alloc, 1, &p));
    p->graph = g;
    p->device = d;
    p->batch = batch;
    p->flags = flags;
    p->values = g->values;
    const dmc_status status = fill_plan(p, part, train);
    if (status < 0) dmc__plan_destroy(p);
    else *out = p;
    return status;
}

dmc_status dmc__plan_create(const dmc__graph *g, dmc__device *d, int32_t batch, int32_t flags, const uint8_t *train,
                            dmc__plan **out)
{
    return create(g, d, batch, flags, NULL, train, out);
}

dmc_status dmc__plan_create_part(const dmc__graph *g, dmc__device *d, int32_t batch, const dmc__plan_part *part,
                                 dmc__plan **out)
{
    return create(g, d, batch, DMC__PLAN_INFER, part, NULL, out);
}

void dmc__plan_destroy(dmc__plan *p)
{
    if (!p) return;
    const dmc__allocator *const a = p->device->alloc;
    dmc__dev_free(p->device, p->block, p->bytes / p->device->backend->elem);
    DMC_FREE(a, p->forward, p->nodes);
    DMC_FREE(a, p->backward, p->backward_room);
    DMC_FREE(a, p->grad, p->values);
    DMC_FREE(a, p->border, p->values);
    DMC_FREE(a, p->source, p->values);
    DMC_FREE(a, p->piece, p->pieces);
    DMC_FREE(a, p, 1);
}

/* ---- asking ----------------------------------------------------------------------------------------- */

void *dmc__plan_value(const dmc__plan *p, dmc__val v)
{
    if (v < 0 || v >= p->values) return NULL;
    const dmc__val base = p->graph->value[v].base;
    /* Interior values of an inference plan are gone when somebody could look. */
    if (p->flags == DMC__PLAN_INFER && !(p->border[base] & (DMC__VALUE_GIVEN | DMC__VALUE_SHOWN))) return NULL;
    return piece_address(p, dmc__plan_value_piece(p, base));
}

void *dmc__plan_grad(const dmc__plan *p, dmc__val v)
{
    if (v < 0 || v >= p->values) return NULL;
    const dmc__val base = p->graph->value[v].base;
    /* Like interior values, interior gradients are gone afterwards. */
    if (!(p->border[base] & (DMC__VALUE_GIVEN | DMC__VALUE_SHOWN))) return NULL;
    return piece_address(p, dmc__plan_grad_piece(p, base));
}

int32_t dmc__plan_batch(const dmc__plan *p)
{
    return p->batch;
}

size_t dmc__plan_bytes(const dmc__plan *p)
{
    return sizeof *p + (size_t)p->nodes * sizeof *p->forward + (size_t)p->backward_room * sizeof *p->backward +
           (2 + sizeof *p->source) * (size_t)p->values + (size_t)p->pieces * sizeof *p->piece + p->bytes;
}
