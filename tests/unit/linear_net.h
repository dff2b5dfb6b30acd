/* linear_net.h — a network of two entries that computes f(z, i) = L_i z for every time index i: exact denoisers of Gaussians.
 *
 *     f_j = relu(L_ij z + B) - relu(B) at t = i; units of other times are 0, as their arguments are below B + |L z| - 32 |t-i|.
 */
#ifndef DMC_TESTS_LINEAR_NET_H
#define DMC_TESTS_LINEAR_NET_H

#include "hinge_net.h"

enum { LINEAR_OFFSET = 12 }; /* B: above any |L z|, below 32 less any |L z| */

static inline void linear_net_build(dmc__net *n, int32_t steps)
{
    const int32_t units = 3 * steps;
    dmc__graph *g = n->graph;
    n->z = dmc__graph_input(g, "z", 1, 2);
    n->t = dmc__graph_input(g, "t", 1, 1);
    n->cond = n->extra = -1;
    const dmc__val sides = dmc__g_act(g, DMC_OP_RELU, dmc__g_linear(g, "sides", n->t, 2 * steps, 1));
    const dmc__val gate = dmc__g_linear(g, "gate", sides, units, 0);
    const dmc__val x = dmc__g_linear(g, "hinge", n->z, units, 1);
    n->out = dmc__g_linear(g, "sum", dmc__g_act(g, DMC_OP_RELU, dmc__g_add_time(g, x, gate)), 2, 0);
    dmc__graph_output(g, n->out);
    ok(dmc__graph_status(g));
}

static inline void linear_net_maps(small_model *m, int32_t steps, const double (*map)[2][2])
{
    const size_t units = 3 * (size_t)steps;
    float *w = calloc(2 * units, sizeof *w), *b = calloc(units, sizeof *b), *sum = calloc(2 * units, sizeof *sum);
    ck_assert(w && b && sum);
    for (size_t i = 0; i < (size_t)steps; i++)
        for (size_t j = 0; j < 3; j++) {
            const size_t u = 3 * i + j;
            b[u] = LINEAR_OFFSET;
            for (size_t e = 0; e < 2; e++) {
                if (j < 2) w[2 * u + e] = (float)map[i][j][e];
                sum[e * units + u] = j == e ? 1 : j == 2 ? -1 : 0;
            }
        }
    hinge_net_set(m, "hinge.weight", w, 2 * units);
    hinge_net_set(m, "hinge.bias", b, units);
    hinge_net_set(m, "sum.weight", sum, 2 * units);
}

/* A model that predicts x0 this way; close with small_model_close. */
static inline void linear_net_open(small_model *m, const char *device, int32_t steps)
{
    ok(dmc__device_open(&dmc__default_allocator, device, NULL, &m->device));
    ok(vp_process(&dmc__default_allocator, DMC__SCHEDULE_COSINE, DMC__PREDICT_X0, steps, 0, &m->process));
    ok(DMC_NEW(&dmc__default_allocator, 1, &m->net));
    m->net->alloc = &dmc__default_allocator;
    ok(dmc__graph_create(&dmc__default_allocator, &m->net->graph));
    linear_net_build(m->net, steps);
    m->n = dmc__graph_param_elems(m->net->graph);
    m->elems = 2;
    ok(dmc__dev_alloc(m->device, m->n, &m->weights));
    hinge_net_gates(m, &(hinge_shape){.steps = steps, .knots = 2});
}

#endif
