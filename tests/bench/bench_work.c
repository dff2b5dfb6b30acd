/* bench_work.c — see bench_work.h. */
#include "bench_work.h"

#include "lib/graph/graph_types.h"

#include <math.h>
#include <stdlib.h>

/* Pairs of an input row and an output row that a tap joins; d = {taps, stride, padding}. */
static double count_pairs(const int32_t *d, int32_t in, int32_t out)
{
    double n = 0;
    for (int32_t p = 0; p < out; p++)
        for (int32_t j = 0; j < d[0]; j++) {
            const int32_t r = p * d[1] + j - d[2];
            n += r >= 0 && r < in;
        }
    return n;
}

static double node_flop(const dmc__graph_node *n)
{
    const int32_t *d = n->dim;
    switch (n->op) {
    case DMC_OP_LINEAR: return 2.0 * d[0] * d[1] * d[2];
    case DMC_OP_CONV1D: return 2.0 * d[0] * d[2] * d[4] * count_pairs(d + 5, d[1], d[3]);
    case DMC_OP_CONVT1D: return 2.0 * d[0] * d[2] * d[4] * count_pairs(d + 5, d[3], d[1]);
    case DMC_OP_CONV2D: return 2.0 * d[0] * d[3] * d[6] * count_pairs(d + 7, d[1], d[4]) * count_pairs(d + 7, d[2], d[5]);
    case DMC_OP_ATTENTION: return 4.0 * d[0] * d[1] * d[2] * d[3] * d[4];
    default: return 0;
    }
}

/* A matrix may be a part of a wider one; whatever else has parameters reads all of them. */
static double node_bytes(const dmc__graph *g, const dmc__graph_node *n)
{
    double elems = 0;
    for (int32_t i = 0; i < DMC_KPAR; i++)
        if (n->par[i] >= 0) elems += (double)g->param[n->par[i]].size;
    if (n->op == DMC_OP_LINEAR) elems = (double)n->dim[1] * n->dim[2] + (n->par[1] >= 0 ? n->dim[2] : 0);
    return elems * sizeof(float);
}

static int part_of(uint8_t depends)
{
    enum { ON_TIME = 1, ON_COND = 2, ON_REST = 4 };
    if (depends & ON_REST) return DMC_BENCH_REST;
    if (depends == (ON_TIME | ON_COND)) return DMC_BENCH_BOTH;
    return depends == ON_COND ? DMC_BENCH_COND : DMC_BENCH_TIME;
}

/* Bit 1, 2, 4 where a value depends on the time, the condition, the rest. */
static void spread_inputs(const dmc__graph *g, const dmc__net *net, uint8_t *depends)
{
    if (!net) return;
    if (net->t >= 0) depends[net->t] = 1;
    if (net->cond >= 0) depends[net->cond] = 2;
    if (net->z >= 0) depends[net->z] = 4;
    if (net->extra >= 0) depends[net->extra] = 4;
    dmc__graph_spread(g, depends);
}

double dmc_bench_sum(const double part[DMC_BENCH_PARTS])
{
    return part[DMC_BENCH_TIME] + part[DMC_BENCH_COND] + part[DMC_BENCH_BOTH] + part[DMC_BENCH_REST];
}

dmc_status dmc_bench_count_work(const dmc__graph *g, const dmc__net *net, dmc_bench_work *out)
{
    *out = (dmc_bench_work){0};
    uint8_t *const depends = calloc((size_t)g->values, 1);
    if (!depends) return dmc__fail(DMC_ENOMEM, "out of memory: %d values", g->values);
    spread_inputs(g, net, depends);
    for (int32_t i = 0; i < g->nodes; i++) {
        const dmc__graph_node *const n = &g->node[i];
        const int part = net ? part_of(depends[n->out]) : DMC_BENCH_REST;
        out->flop[part] += node_flop(n);
        out->bytes[part] += node_bytes(g, n);
    }
    free(depends);
    if (fabs(dmc_bench_sum(out->flop) - dmc__graph_flops(g)) < 0.5) return DMC_OK;
    return dmc__fail(DMC_EINVAL, "bench_work.c counts %.0f operations, the graph %.0f: it does not know an op",
                     dmc_bench_sum(out->flop), dmc__graph_flops(g));
}
