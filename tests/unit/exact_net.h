/* exact_net.h — a network that is the exact denoiser of two Gaussians of one width, entry by entry, at given times of any
 * process and for any prediction, and smooth, so that its derivative is exact too.
 *
 *     x0^ = G z + (1 - G alpha) (m0 + (m1 - m0) share),  share = (1 + tanh(y/2))/2,  y linear in z
 *     f = p x0^ + q (z - alpha x0^)/sigma                                            (p, q: the target's shares)
 *
 * For each time i two units relu(z + 16 - M|t-t_i|), relu(1 - M|t-t_i|) and one tanh(y/2 + M'|t-t_i|), which away from t_i are 0, 0
 * and 1.
 */
#ifndef DMC_TESTS_EXACT_NET_H
#define DMC_TESTS_EXACT_NET_H

#include "hinge_net.h"

typedef struct two_gaussians {
    double mean[2], weight[2], std;
} two_gaussians;

static const double exact_reach = 16; /* |z| that the units' range covers */

/* What the network is at one time. */
typedef struct exact_time {
    double seen, slope, shift, jump, k, l; /* f = slope z + shift + jump share, y = k z + l */
} exact_time;

static inline exact_time exact_at(const dmc__process *p, const two_gaussians *g, double time)
{
    const dmc__level l = dmc__process_level(p, time);
    const double al = l.alpha, si = l.sigma, v = al * al * g->std * g->std + si * si, G = al * g->std * g->std / v;
    const double apart = g->mean[1] - g->mean[0], sum = g->mean[1] + g->mean[0];
    double of_x0, of_eps;
    dmc__process_target(p, &l, &of_x0, &of_eps);
    const double factor = of_x0 - of_eps * al / si; /* of x0^ */
    return (exact_time){.seen = l.seen, .slope = of_eps / si + factor * G, .shift = factor * (1 - G * al) * g->mean[0],
                        .jump = factor * (1 - G * al) * apart, .k = al * apart / v,
                        .l = log(g->weight[1] / g->weight[0]) - al * al * apart * sum / (2 * v)};
}

static inline double two_gaussians_x0(const two_gaussians *g, double alpha, double sigma, double z)
{
    const double v = alpha * alpha * g->std * g->std + sigma * sigma, G = alpha * g->std * g->std / v;
    const double apart = g->mean[1] - g->mean[0], sum = g->mean[1] + g->mean[0];
    const double y = alpha * apart / v * z + log(g->weight[1] / g->weight[0]) - alpha * alpha * apart * sum / (2 * v);
    return G * z + (1 - G * alpha) * (g->mean[0] + apart / (1 + exp(-y)));
}

static inline double two_gaussians_log_density(const two_gaussians *g, double x)
{
    double sum = 0;
    for (int i = 0; i < 2; i++) {
        const double u = (x - g->mean[i]) / g->std;
        sum += g->weight[i] * exp(-u * u / 2) / (g->std * sqrt(6.28318530717958647692));
    }
    return log(sum);
}

static inline void exact_net_build(dmc__net *n, int32_t rows, int32_t times)
{
    dmc__graph *g = n->graph;
    n->z = dmc__graph_input(g, "z", rows, 1);
    n->t = dmc__graph_input(g, "t", 1, 1);
    n->cond = n->extra = -1;
    const dmc__val sides = dmc__g_act(g, DMC_OP_RELU, dmc__g_linear(g, "sides", n->t, 2 * times, 1));
    const dmc__val off = dmc__g_linear(g, "off", sides, 2 * times, 0), over = dmc__g_linear(g, "over", sides, times, 0);
    const dmc__val line = dmc__g_act(g, DMC_OP_RELU, dmc__g_add_time(g, dmc__g_linear(g, "line", n->z, 2 * times, 1), off));
    const dmc__val step = dmc__g_act(g, DMC_OP_TANH, dmc__g_add_time(g, dmc__g_linear(g, "step", n->z, times, 1), over));
    const dmc__val part[2] = {line, step};
    n->out = dmc__g_linear_sum(g, "sum", 2, part, 1, 1);
    dmc__graph_output(g, n->out);
    ok(dmc__graph_status(g));
}

static inline float *exact_zeros(size_t n)
{
    float *x = calloc(n, sizeof *x);
    ck_assert_ptr_nonnull(x);
    return x;
}

/* Strong enough for units of the next time, `gap` away, to be off. */
static inline void exact_net_gates(small_model *m, const exact_time *at, size_t n, double gap, double steepest)
{
    float *w = exact_zeros(2 * n), *b = exact_zeros(2 * n), *off = exact_zeros(4 * n * n), *over = exact_zeros(2 * n * n);
    for (size_t i = 0; i < n; i++) {
        w[2 * i] = 1, w[2 * i + 1] = -1;
        b[2 * i] = -(float)at[i].seen, b[2 * i + 1] = (float)at[i].seen;
        for (size_t side = 2 * i; side < 2 * i + 2; side++) {
            off[2 * i * 2 * n + side] = off[(2 * i + 1) * 2 * n + side] = (float)(-3 * exact_reach / gap);
            over[i * 2 * n + side] = (float)((steepest + 40) / gap);
        }
    }
    hinge_net_set(m, "sides.weight", w, 2 * n);
    hinge_net_set(m, "sides.bias", b, 2 * n);
    hinge_net_set(m, "off.weight", off, 4 * n * n);
    hinge_net_set(m, "over.weight", over, 2 * n * n);
}

static inline void exact_net_functions(small_model *m, const exact_time *at, size_t n)
{
    float *lw = exact_zeros(2 * n), *lb = exact_zeros(2 * n), *sw = exact_zeros(n), *sb = exact_zeros(n);
    float *sum = exact_zeros(3 * n), *rest = exact_zeros(1);
    double jumps = 0;
    for (size_t i = 0; i < n; i++) {
        lw[2 * i] = 1;
        lb[2 * i] = (float)exact_reach, lb[2 * i + 1] = 1;
        sw[i] = (float)(at[i].k / 2), sb[i] = (float)(at[i].l / 2);
        sum[2 * i] = (float)at[i].slope;
        sum[2 * i + 1] = (float)(at[i].shift + at[i].jump - exact_reach * at[i].slope);
        sum[2 * n + i] = (float)(at[i].jump / 2);
        jumps += sum[2 * n + i];
    }
    rest[0] = (float)-jumps;
    hinge_net_set(m, "line.weight", lw, 2 * n);
    hinge_net_set(m, "line.bias", lb, 2 * n);
    hinge_net_set(m, "step.weight", sw, n);
    hinge_net_set(m, "step.bias", sb, n);
    hinge_net_set(m, "sum.weight", sum, 3 * n);
    hinge_net_set(m, "sum.bias", rest, 1);
}

/* `rows` entries, of this process (which the model then owns), exact at these times. Close with small_model_close. */
static inline void exact_net_open(small_model *m, const char *device, const dmc__process *p, const two_gaussians *g, int32_t rows,
                                  const double *time, int32_t times)
{
    exact_time at[1024];
    double gap = INFINITY, steepest = 0;
    ck_assert_int_le(times, 1024);
    for (int32_t i = 0; i < times; i++) {
        at[i] = exact_at(p, g, time[i]);
        for (int32_t j = 0; j < i; j++) gap = fmin(gap, fabs(at[i].seen - at[j].seen));
        steepest = fmax(steepest, .5 * (fabs(at[i].k) * exact_reach + fabs(at[i].l)));
    }
    ok(dmc__device_open(&dmc__default_allocator, device, NULL, &m->device));
    m->process = *p;
    ok(DMC_NEW(&dmc__default_allocator, 1, &m->net));
    m->net->alloc = &dmc__default_allocator;
    ok(dmc__graph_create(&dmc__default_allocator, &m->net->graph));
    exact_net_build(m->net, rows, times);
    m->n = dmc__graph_param_elems(m->net->graph);
    m->elems = (size_t)rows;
    ok(dmc__dev_alloc(m->device, m->n, &m->weights));
    exact_net_gates(m, at, (size_t)times, times > 1 ? gap : 1, steepest);
    exact_net_functions(m, at, (size_t)times);
}

#endif
