/* hoist.c — four plans of one graph, and the values that cross from one to another. */
#include "hoist.h"

#include <string.h>

#include "../backend/block.h"
#include "feed.h"

enum { TIME, COND, BOTH, REST, PARTS };
enum { DEPENDS_TIME = 1, DEPENDS_COND = 2, DEPENDS_REST = 4 };

/* BOTH computes so many samples at once: enough to be quick, few enough to keep the memory of a large batch small. */
enum { STRETCH_SAMPLES = 128 };

/* A value of one plan that another reads: sample b there is sample first + b / group % turn here. */
typedef struct crossing {
    dmc__val value;
    int32_t from, to, lent;
    const void *source;
    size_t elems; /* of one sample */
    dmc_kargs move;
} crossing;

struct dmc__hoist {
    const dmc__net *net;
    dmc__device *device;
    const void *weights, *half;         /* half NULL: float weights        */
    int32_t half_type;
    int32_t rows, batch, group, conds;  /* conds: batch / group            */
    int32_t stretch, first_row;         /* rows BOTH holds, from which; -1: none */
    int32_t time_stale, cond_stale;
    int32_t values, nodes, crossings;
    uint8_t *part;                      /* (values) the plan a value is of */
    uint8_t *member, *lent;             /* (nodes), (values) of the plan that is being made */
    dmc__plan *plan[PARTS];             /* NULL: no such node              */
    crossing *cross;
    dmc__block memory;                  /* cut into: */
    void *times, *cond, *spread_cond;   /* (rows) (conds,cond) (batch,cond; NULL if that is the same) */
};

/* ---- which node belongs where ------------------------------------------------------------------------- */

static int32_t part_of(uint8_t depends)
{
    if (depends & DEPENDS_REST) return REST;
    if (depends == (DEPENDS_TIME | DEPENDS_COND)) return BOTH;
    return depends == DEPENDS_COND ? COND : TIME;
}

/* The output is computed in every row, whatever it depends on. */
static void sort_values(dmc__hoist *h)
{
    const dmc__net *net = h->net;
    const struct { dmc__val v; uint8_t depends; } in[] = {
        {net->z, DEPENDS_REST}, {net->extra, DEPENDS_REST}, {net->t, DEPENDS_TIME}, {net->cond, DEPENDS_COND}};
    for (int32_t i = 0; i < 4; i++)
        if (in[i].v >= 0) h->part[in[i].v] = in[i].depends;
    dmc__graph_spread(net->graph, h->part);
    for (dmc__val v = 0; v < h->values; v++) h->part[v] = (uint8_t)part_of(h->part[v]);
    h->part[dmc__graph_base(net->graph, net->out)] = REST;
}

static int32_t samples_of(const dmc__hoist *h, int32_t part)
{
    const int32_t samples[PARTS] = {h->rows, h->conds, h->stretch * h->conds, h->batch};
    return samples[part];
}

/* Group and turn of a crossing. Samples of BOTH stand row by row, those of REST condition by condition. */
static void pairing(const dmc__hoist *h, int32_t from, int32_t to, int32_t *group, int32_t *turn)
{
    *turn = samples_of(h, from);
    *group = to == REST ? h->group : 1;
    if (from != TIME) return;
    *turn = to == BOTH ? h->stretch : 1;
    *group = to == BOTH ? h->conds : samples_of(h, to);
}

/* May the plan read the value where it is? Inputs of the graph in a plan of their own kind always. */
static int32_t meets_one_to_one(const dmc__hoist *h, dmc__val v, int32_t to)
{
    int32_t group, turn;
    if (h->part[v] == to || (v == h->net->cond && to == REST)) return 1;
    pairing(h, h->part[v], to, &group, &turn);
    return group == 1 && turn >= samples_of(h, to);
}

static dmc_status make_plan(dmc__hoist *h, int32_t part)
{
    int32_t nodes = 0;
    for (int32_t i = 0; i < h->nodes; i++)
        nodes += h->member[i] = h->part[dmc__graph_made_by(h->net->graph, i)] == part;
    for (dmc__val v = 0; v < h->values; v++) h->lent[v] = (uint8_t)meets_one_to_one(h, v, part);
    const dmc__plan_part p = {.node = h->member, .lent = h->lent};
    return nodes ? dmc__plan_create_part(h->net->graph, h->device, samples_of(h, part), &p, &h->plan[part]) : DMC_OK;
}

/* ---- crossings ---------------------------------------------------------------------------------------- */

/* Of the graph's inputs t and the condition are read here, z and the side input are lent row by row. */
static const void *source_of(const dmc__hoist *h, dmc__val v, int32_t to)
{
    if (v == h->net->t) return h->times;
    if (v == h->net->cond) return to == REST ? dmc__hoist_cond(h) : h->cond;
    return dmc__plan_value(h->plan[h->part[v]], v);
}

static int32_t crosses(const dmc__hoist *h, dmc__val v, int32_t to)
{
    const int32_t is_base = dmc__graph_base(h->net->graph, v) == v;
    return is_base && h->plan[to] && v != h->net->z && v != h->net->extra && dmc__plan_reads(h->plan[to], v);
}

static void connect(dmc__hoist *h, dmc__val v, int32_t to, crossing *c)
{
    *c = (crossing){.value = v, .from = h->part[v], .to = to, .lent = meets_one_to_one(h, v, to), .source = source_of(h, v, to)};
    c->elems = (size_t)dmc__graph_rows(h->net->graph, v) * (size_t)dmc__graph_cols(h->net->graph, v);
    c->move = (dmc_kargs){.in = {c->source}, .out = dmc__plan_value(h->plan[to], v), .dim = {samples_of(h, to), (int32_t)c->elems}};
    pairing(h, c->from, to, &c->move.dim[3], &c->move.dim[4]);
}

static dmc_status make_crossings(dmc__hoist *h)
{
    for (int32_t to = 0; to < PARTS; to++)
        for (dmc__val v = 0; v < h->values; v++) h->crossings += crosses(h, v, to);
    DMC_TRY(DMC_NEW(h->device->alloc, h->crossings, &h->cross));
    crossing *c = h->cross;
    for (int32_t to = 0; to < PARTS; to++)
        for (dmc__val v = 0; v < h->values; v++)
            if (crosses(h, v, to)) connect(h, v, to, c++);
    return DMC_OK;
}

/* Give plan `to` what it reads of plan `from`, whose sample `first` meets its own sample 0. */
static dmc_status cross(dmc__hoist *h, int32_t from, int32_t to, int32_t first)
{
    for (crossing *c = h->cross; c < h->cross + h->crossings; c++) {
        if (c->from != from || c->to != to) continue;
        if (c->lent) {
            dmc__plan_lend(h->plan[to], c->value, dmc__dev_at(h->device, c->source, (size_t)first * c->elems));
            continue;
        }
        c->move.dim[2] = first;
        DMC_TRY(dmc__dev_run(h->device, DMC_OP_REPEAT, &c->move));
    }
    return DMC_OK;
}

/* ---- life --------------------------------------------------------------------------------------------- */

/* Stretches of equal length that hold all rows. */
static int32_t rows_of_stretch(int32_t rows, int32_t conds)
{
    const int32_t most = conds < STRETCH_SAMPLES ? STRETCH_SAMPLES / conds : 1;
    const int32_t stretches = (rows - 1) / most + 1;
    return (rows - 1) / stretches + 1;
}

static dmc_status take_memory(dmc__hoist *h)
{
    const dmc__allocator *a = h->device->alloc;
    const size_t cond = dmc__feed_cond_elems(h->net);
    const dmc__part part[] = {{&h->times, (size_t)h->rows},
                              {&h->cond, (size_t)h->conds * cond},
                              {&h->spread_cond, h->group > 1 ? (size_t)h->batch * cond : 0}};
    DMC_TRY(DMC_NEW(a, h->values, &h->part));
    DMC_TRY(DMC_NEW(a, h->values, &h->lent));
    DMC_TRY(DMC_NEW(a, h->nodes, &h->member));
    return dmc__block_alloc(h->device, part, sizeof part / sizeof *part, &h->memory);
}

/* What the network sees of a row's time. */
static dmc_status set_times(dmc__hoist *h, const dmc__table *table)
{
    for (int32_t k = 0; k < h->rows; k++) {
        dmc_kargs fill = {.out = dmc__dev_at(h->device, h->times, (size_t)k), .dim = {1}, .attr = {table->row[k].at.seen}};
        DMC_TRY(dmc__dev_run(h->device, DMC_OP_FILL, &fill));
    }
    return DMC_OK;
}

static dmc_status make_parts(dmc__hoist *h, const dmc__table *table)
{
    DMC_TRY(take_memory(h));
    DMC_TRY(set_times(h, table));
    sort_values(h);
    for (int32_t i = 0; i < PARTS; i++) DMC_TRY(make_plan(h, i));
    return make_crossings(h);
}

dmc_status dmc__hoist_create(const dmc__net *net, dmc__device *d, const dmc__table *table, int32_t batch, int32_t group,
                             dmc__hoist **out)
{
    dmc__hoist *h;
    *out = NULL;
    if (group < 1 || batch % group)
        return dmc__fail(DMC_EINVAL, "rollout: group = %d, must divide batch = %d", group, batch);
    DMC_TRY(DMC_NEW(d->alloc, 1, &h));
    h->net = net;
    h->device = d;
    h->rows = table->k;
    h->batch = batch;
    h->group = group;
    h->conds = batch / group;
    h->stretch = rows_of_stretch(h->rows, h->conds);
    h->values = dmc__graph_value_count(net->graph);
    h->nodes = dmc__graph_node_count(net->graph);
    const dmc_status status = make_parts(h, table);
    if (status < 0) dmc__hoist_destroy(h);
    else *out = h;
    return status;
}

void dmc__hoist_destroy(dmc__hoist *h)
{
    if (!h) return;
    const dmc__allocator *a = h->device->alloc;
    for (int32_t i = 0; i < PARTS; i++) dmc__plan_destroy(h->plan[i]);
    dmc__block_free(h->device, &h->memory);
    DMC_FREE(a, h->cross, h->crossings);
    DMC_FREE(a, h->member, h->nodes);
    DMC_FREE(a, h->lent, h->values);
    DMC_FREE(a, h->part, h->values);
    DMC_FREE(a, h, 1);
}

/* ---- running ------------------------------------------------------------------------------------------ */

void dmc__hoist_bind(dmc__hoist *h, const void *weights)
{
    h->weights = weights;
    h->half = NULL;
    h->time_stale = 1;
}

void dmc__hoist_bind_half(dmc__hoist *h, const void *half, int32_t type)
{
    h->half = half;
    h->half_type = type;
}

static void bind_plan(const dmc__hoist *h, dmc__plan *p)
{
    dmc__plan_bind(p, h->weights, NULL);
    if (h->half) dmc__plan_bind_half(p, h->half, h->half_type);
}

dmc_status dmc__hoist_set_cond(dmc__hoist *h, const float *cond, int32_t n)
{
    const size_t elems = dmc__feed_cond_elems(h->net);
    h->cond_stale = 1;
    DMC_TRY(dmc__dev_in(h->device, h->cond, cond, (size_t)n * elems));
    if (!h->spread_cond) return DMC_OK;
    dmc_kargs k = {.in = {h->cond}, .out = h->spread_cond, .dim = {h->batch, (int32_t)elems, 0, h->group, h->conds}};
    return dmc__dev_run(h->device, DMC_OP_REPEAT, &k);
}

void dmc__hoist_forget(dmc__hoist *h)
{
    h->cond_stale = 1;
}

static dmc_status run_plan(const dmc__hoist *h, int32_t part)
{
    return h->plan[part] ? dmc__plan_forward(h->plan[part]) : DMC_OK;
}

static dmc_status use_weights(dmc__hoist *h)
{
    if (!h->time_stale) return DMC_OK;
    for (int32_t i = 0; i < PARTS; i++)
        if (h->plan[i]) bind_plan(h, h->plan[i]);
    DMC_TRY(cross(h, TIME, TIME, 0));
    DMC_TRY(run_plan(h, TIME));
    h->time_stale = 0;
    h->cond_stale = 1;
    return DMC_OK;
}

dmc_status dmc__hoist_settle(dmc__hoist *h)
{
    return use_weights(h);
}

static dmc_status use_conditions(dmc__hoist *h)
{
    if (!h->cond_stale) return DMC_OK;
    DMC_TRY(cross(h, TIME, COND, 0));
    DMC_TRY(cross(h, COND, COND, 0));
    DMC_TRY(run_plan(h, COND));
    DMC_TRY(cross(h, COND, BOTH, 0));
    DMC_TRY(cross(h, COND, REST, 0));
    h->cond_stale = 0;
    h->first_row = -1;
    return DMC_OK;
}

/* The last stretch begins so early that it ends with the last row. */
static dmc_status use_stretch(dmc__hoist *h, int32_t k)
{
    if (!h->plan[BOTH] || (h->first_row >= 0 && k >= h->first_row && k < h->first_row + h->stretch)) return DMC_OK;
    const int32_t first = k < h->rows - h->stretch ? k : h->rows - h->stretch;
    DMC_TRY(cross(h, TIME, BOTH, first));
    DMC_TRY(run_plan(h, BOTH));
    h->first_row = first;
    return DMC_OK;
}

dmc_status dmc__hoist_forward(dmc__hoist *h, int32_t k, const void *z, const void *extra)
{
    dmc__plan *rest = h->plan[REST];
    DMC_TRY(use_weights(h));
    DMC_TRY(use_conditions(h));
    DMC_TRY(use_stretch(h, k));
    DMC_TRY(cross(h, TIME, REST, k));
    if (h->plan[BOTH]) DMC_TRY(cross(h, BOTH, REST, (k - h->first_row) * h->conds));
    dmc__plan_lend(rest, h->net->z, z);
    if (extra) dmc__plan_lend(rest, h->net->extra, extra);
    return dmc__plan_forward(rest);
}

const void *dmc__hoist_output(const dmc__hoist *h)
{
    return dmc__plan_value(h->plan[REST], h->net->out);
}

const void *dmc__hoist_cond(const dmc__hoist *h)
{
    return h->spread_cond ? h->spread_cond : h->cond;
}

size_t dmc__hoist_bytes(const dmc__hoist *h)
{
    size_t bytes = sizeof *h + 2 * (size_t)h->values + (size_t)h->nodes + (size_t)h->crossings * sizeof *h->cross +
                   dmc__block_bytes(h->device, &h->memory);
    for (int32_t i = 0; i < PARTS; i++)
        if (h->plan[i]) bytes += dmc__plan_bytes(h->plan[i]);
    return bytes;
}
