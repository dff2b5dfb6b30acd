/* hinge_net.h — a network that computes given functions f_i(z), one for each time index i, entry by entry, exactly where
 * they are piecewise linear between the knots: exact denoisers for the tests.
 *
 *     f(z, t) = sum_i a_i relu(1 - M|t-i|) + sum_ij c_ij relu(z - x_j - M|t-i|)
 *
 * For t = i the other times' units are 0, because M is larger than any z - x_j.
 */
#ifndef DMC_TESTS_HINGE_NET_H
#define DMC_TESTS_HINGE_NET_H

#include "small_model.h"

typedef struct hinge_shape {
    int32_t rows, steps, knots; /* entries of z; time indices; knots, from `low` on, `gap` apart */
    double low, gap;
    double (*f)(const dmc__process *p, int32_t i, double z);
} hinge_shape;

static inline void hinge_net_build(dmc__net *n, const hinge_shape *s)
{
    const int32_t units = s->steps * (s->knots + 1);
    dmc__graph *g = n->graph;
    n->z = dmc__graph_input(g, "z", s->rows, 1);
    n->t = dmc__graph_input(g, "t", 1, 1);
    n->cond = n->extra = -1;
    const dmc__val sides = dmc__g_act(g, DMC_OP_RELU, dmc__g_linear(g, "sides", n->t, 2 * s->steps, 1));
    const dmc__val gate = dmc__g_linear(g, "gate", sides, units, 0);
    const dmc__val x = dmc__g_linear(g, "hinge", n->z, units, 1);
    n->out = dmc__g_linear(g, "sum", dmc__g_act(g, DMC_OP_RELU, dmc__g_add_time(g, x, gate)), 1, 0);
    dmc__graph_output(g, n->out);
    ok(dmc__graph_status(g));
}

static inline void hinge_net_set(small_model *m, const char *name, float *values, size_t n)
{
    const dmc__parid id = dmc__graph_find_param(m->net->graph, name);
    ck_assert_msg(id >= 0, "%s", name);
    ok(dmc__params_set(m->net->graph, m->device, m->weights, id, values, n));
    free(values);
}

/* relu(t - i), relu(i - t), and their share -M in the units of time i. */
static inline void hinge_net_gates(small_model *m, const hinge_shape *s)
{
    const size_t steps = (size_t)s->steps, per = (size_t)s->knots + 1;
    float *w = calloc(2 * steps, sizeof *w), *b = calloc(2 * steps, sizeof *b);
    float *gate = calloc(steps * per * 2 * steps, sizeof *gate); /* torch (units, 2 steps) */
    ck_assert(w && b && gate);
    for (size_t i = 0; i < steps; i++) {
        w[2 * i] = 1;
        b[2 * i] = -(float)i;
        w[2 * i + 1] = -1;
        b[2 * i + 1] = (float)i;
        for (size_t u = i * per; u < (i + 1) * per; u++) gate[u * 2 * steps + 2 * i] = gate[u * 2 * steps + 2 * i + 1] = -32;
    }
    hinge_net_set(m, "sides.weight", w, 2 * steps);
    hinge_net_set(m, "sides.bias", b, 2 * steps);
    hinge_net_set(m, "gate.weight", gate, steps * per * 2 * steps);
}

/* The functions themselves: value at the first knot, then changes of slope. */
static inline void hinge_net_functions(small_model *m, const hinge_shape *s)
{
    const size_t per = (size_t)s->knots + 1, units = (size_t)s->steps * per;
    float *w = calloc(units, sizeof *w), *b = calloc(units, sizeof *b), *sum = calloc(units, sizeof *sum);
    ck_assert(w && b && sum);
    for (int32_t i = 0; i < s->steps; i++) {
        const size_t u = (size_t)i * per;
        double slope = 0;
        b[u] = 1;
        sum[u] = (float)s->f(&m->process, i, s->low);
        for (int32_t j = 0; j < s->knots; j++) {
            const double x = s->low + j * s->gap;
            const double next = (s->f(&m->process, i, x + s->gap) - s->f(&m->process, i, x)) / s->gap;
            w[u + 1 + (size_t)j] = 1;
            b[u + 1 + (size_t)j] = -(float)x;
            sum[u + 1 + (size_t)j] = (float)(next - slope);
            slope = next;
        }
    }
    hinge_net_set(m, "hinge.weight", w, units);
    hinge_net_set(m, "hinge.bias", b, units);
    hinge_net_set(m, "sum.weight", sum, units);
}

/* A model that predicts noise with this network; close with small_model_close. */
static inline void hinge_net_open(small_model *m, const char *device, const hinge_shape *s)
{
    ok(dmc__device_open(&dmc__default_allocator, device, NULL, &m->device));
    ok(vp_process(&dmc__default_allocator, DMC__SCHEDULE_COSINE, DMC__PREDICT_EPSILON, s->steps, 0, &m->process));
    ok(DMC_NEW(&dmc__default_allocator, 1, &m->net));
    m->net->alloc = &dmc__default_allocator;
    ok(dmc__graph_create(&dmc__default_allocator, &m->net->graph));
    hinge_net_build(m->net, s);
    m->n = dmc__graph_param_elems(m->net->graph);
    m->elems = (size_t)s->rows;
    ok(dmc__dev_alloc(m->device, m->n, &m->weights));
    hinge_net_gates(m, s);
    hinge_net_functions(m, s);
}

#endif
