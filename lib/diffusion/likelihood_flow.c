/* likelihood_flow.c — the density itself, by the probability-flow ODE (Song et al. 2021; flow clock of Lipman et al. 2023).
 *
 * All processes with the same data have the same marginals but for a factor, so one coordinate serves all:
 *
 *     x = z / (alpha + sigma) = (1 - tau) x0 + tau eps,   tau = sigma / (alpha + sigma),   dx/dtau = u = eps_hat - x0_hat
 *     ln p(x0) = ln N(z; 0, I) + D ln(alpha + sigma) + int div u dtau     at the noisiest level, where samplers start from N(0,I)
 *
 * tau goes from 0 to at most 1, u stays finite, and equal steps of it lie where the data's scale is. Heun, N intervals. At
 * tau = 0 the mean of the noise is 0: u = -x0, div u = -D, without the network. Known entries do not move.
 */
#include <math.h>

#include "likelihood_parts.h"

static const double two_pi = 6.28318530717958647692;

/* ---- the way ------------------------------------------------------------------------------------------ */

/* u = eps - x0 = a z + b f from z = alpha x0 + sigma eps, f = p x0 + q eps. */
static dmc__likelihood_node make_node(const dmc__process *p, double time)
{
    const dmc__level l = dmc__process_level(p, time);
    double of_x0, of_eps;
    dmc__process_target(p, &l, &of_x0, &of_eps);
    const double det = l.alpha * of_eps - l.sigma * of_x0;
    return (dmc__likelihood_node){.time = time, .seen = l.seen, .at = dmc__likelihood_fraction(&l), .scale = l.alpha + l.sigma,
                                  .of_z = -(of_x0 + of_eps) / det, .of_f = (l.alpha + l.sigma) / det};
}

/* Equal steps; of T levels the nearest, each once. The last is the clock's end. */
static void lay_nodes(dmc__likelihood *l)
{
    const dmc__process *p = l->process;
    const int32_t n = l->config.steps;
    const double end = make_node(p, p->t_max).at;
    dmc__likelihood_flow *f = &l->flow;
    f->node[0] = (dmc__likelihood_node){.scale = 1};
    f->nodes = 1;
    for (int32_t k = 1; k <= n; k++) {
        const dmc__likelihood_node node = make_node(p, k < n ? dmc__likelihood_time(p, end * k / n) : p->t_max);
        if (node.at > f->node[f->nodes - 1].at) f->node[f->nodes++] = node;
    }
}

static size_t total(const dmc__likelihood *l)
{
    return (size_t)l->batch * (size_t)l->elems;
}

dmc_status dmc__likelihood_flow_create(dmc__likelihood *l)
{
    dmc__likelihood_flow *f = &l->flow;
    const size_t n = total(l), b = (size_t)l->batch;
    DMC_TRY(DMC_NEW(l->alloc, (size_t)l->config.steps + 1, &f->node));
    DMC_TRY(DMC_NEW(l->alloc, 4 * n, &f->z));
    DMC_TRY(DMC_NEW(l->alloc, 4 * n, &f->x));
    DMC_TRY(DMC_NEW(l->alloc, 3 * b, &f->div));
    f->f = f->z + n, f->probe = f->z + 2 * n, f->dz = f->z + 3 * n;
    f->ahead = f->x + n, f->u = f->x + 2 * n, f->u_ahead = f->x + 3 * n;
    f->sum = f->div + b, f->trace = f->div + 2 * b;
    lay_nodes(l);
    return DMC_OK;
}

void dmc__likelihood_flow_free(dmc__likelihood *l)
{
    dmc__likelihood_flow *f = &l->flow;
    const size_t n = total(l), b = (size_t)l->batch;
    DMC_FREE(l->alloc, f->div, 3 * b);
    DMC_FREE(l->alloc, f->x, 4 * n);
    DMC_FREE(l->alloc, f->z, 4 * n);
    DMC_FREE(l->alloc, f->node, (size_t)l->config.steps + 1);
}

/* ---- divergence --------------------------------------------------------------------------------------- */

static int32_t is_known(const dmc__likelihood *l, size_t i)
{
    return l->flow.mask && l->flow.mask[i] != 0;
}

dmc_status dmc__likelihood_probe_trace(dmc__likelihood *l, double *trace)
{
    dmc__likelihood_flow *f = &l->flow;
    const size_t e = (size_t)l->elems;
    DMC_TRY(dmc__chain_vjp(l->chain, f->probe, f->dz));
    for (size_t b = 0; b < (size_t)l->batch; b++) {
        trace[b] = 0;
        for (size_t i = b * e; i < (b + 1) * e; i++) trace[b] += (double)f->probe[i] * f->dz[i];
    }
    return DMC_OK;
}

/* Entry by entry, of all samples at once. */
dmc_status dmc__likelihood_exact_trace(dmc__likelihood *l, double *trace)
{
    dmc__likelihood_flow *f = &l->flow;
    const size_t e = (size_t)l->elems;
    for (size_t b = 0; b < (size_t)l->batch; b++) trace[b] = 0;
    for (size_t i = 0; i < total(l); i++) f->probe[i] = 0;
    for (size_t j = 0; j < e; j++) {
        for (size_t b = 0; b < (size_t)l->batch; b++) f->probe[b * e + j] = !is_known(l, b * e + j);
        DMC_TRY(dmc__chain_vjp(l->chain, f->probe, f->dz));
        for (size_t b = 0; b < (size_t)l->batch; b++) {
            trace[b] += (double)f->probe[b * e + j] * f->dz[b * e + j];
            f->probe[b * e + j] = 0;
        }
    }
    return DMC_OK;
}

/* The same signs all along a trajectory, so that its divergence is a smooth function of tau. */
static void draw_signs(dmc__likelihood *l, int32_t probe)
{
    const size_t e = (size_t)l->elems;
    for (size_t b = 0; b < (size_t)l->batch; b++) {
        const dmc__stream s = {l->config.seed, DMC_STREAM_BANK, (uint64_t)probe, l->flow.first + b};
        for (size_t i = 0; i < e; i++) {
            const float sign = dmc__rng_uniform(&s, (uint32_t)i) < .5 ? -1 : 1;
            l->flow.probe[b * e + i] = is_known(l, b * e + i) ? 0 : sign;
        }
    }
}

static dmc_status find_trace(dmc__likelihood *l, double *trace)
{
    const size_t n = (size_t)l->batch;
    double *one = l->flow.trace;
    if (l->config.method == DMC__LIKELIHOOD_EXACT) return dmc__likelihood_exact_trace(l, trace);
    for (size_t b = 0; b < n; b++) trace[b] = 0;
    for (int32_t k = 0; k < l->config.probes; k++) {
        draw_signs(l, k);
        DMC_TRY(dmc__likelihood_probe_trace(l, one));
        for (size_t b = 0; b < n; b++) trace[b] += one[b] / l->config.probes;
    }
    return DMC_OK;
}

/* ---- the ODE ------------------------------------------------------------------------------------------ */

/* u and its divergence at x. */
static dmc_status evaluate(dmc__likelihood *l, const dmc__likelihood_node *at, const double *x, double *u)
{
    dmc__likelihood_flow *f = &l->flow;
    const int32_t *count;
    const double *square;
    for (size_t i = 0; i < total(l); i++) f->z[i] = (float)(is_known(l, i) ? x[i] : at->scale * x[i]);
    DMC_TRY(dmc__denoise_evaluate(l->noise, f->z, at->seen, f->f));
    for (size_t i = 0; i < total(l); i++)
        u[i] = is_known(l, i) ? 0 : at->of_z * at->scale * x[i] + at->of_f * f->f[i];
    DMC_TRY(find_trace(l, f->div));
    dmc__denoise_counted(l->noise, &count, &square);
    for (int32_t b = 0; b < l->batch; b++) f->div[b] = at->scale * (at->of_z * count[b] + at->of_f * f->div[b]);
    return DMC_OK;
}

/* The clean end: the mean of the noise is 0. */
static void start(dmc__likelihood *l, const float *x0, const int32_t *count)
{
    dmc__likelihood_flow *f = &l->flow;
    for (size_t i = 0; i < total(l); i++) {
        f->x[i] = x0[i];
        f->u[i] = is_known(l, i) ? 0 : -(double)x0[i];
    }
    for (int32_t b = 0; b < l->batch; b++) {
        f->sum[b] = 0;
        f->div[b] = -count[b];
    }
}

static void add_divergence(dmc__likelihood *l, double factor)
{
    for (int32_t b = 0; b < l->batch; b++) l->flow.sum[b] += factor * l->flow.div[b];
}

static dmc_status heun(dmc__likelihood *l, int32_t k)
{
    dmc__likelihood_flow *f = &l->flow;
    const double h = f->node[k].at - f->node[k - 1].at;
    add_divergence(l, .5 * h);
    for (size_t i = 0; i < total(l); i++) f->ahead[i] = f->x[i] + h * f->u[i];
    DMC_TRY(evaluate(l, &f->node[k], f->ahead, f->u_ahead));
    add_divergence(l, .5 * h);
    for (size_t i = 0; i < total(l); i++) f->x[i] += .5 * h * (f->u[i] + f->u_ahead[i]);
    return k + 1 < f->nodes ? evaluate(l, &f->node[k], f->x, f->u) : DMC_OK;
}

/* ln N(z; 0, I) + D ln(alpha + sigma) + the integral. */
static double finish(const dmc__likelihood *l, size_t b, int32_t count)
{
    const dmc__likelihood_flow *f = &l->flow;
    const size_t e = (size_t)l->elems;
    const double scale = f->node[f->nodes - 1].scale;
    double square = 0;
    for (size_t i = b * e; i < (b + 1) * e; i++)
        if (!is_known(l, i)) square += f->x[i] * f->x[i];
    return f->sum[b] - .5 * scale * scale * square + count * (log(scale) - .5 * log(two_pi));
}

static dmc_status check_weights(const dmc__likelihood *l, const float *weight)
{
    if (l->config.noised_known && l->flow.mask)
        return dmc__fail(DMC_EINVAL, "likelihood: no flow leaves entries known that are noised like the rest (inpaint = noised); "
                         "method must be bound or bank");
    for (size_t i = 0; weight && i < total(l); i++)
        if (weight[i] == 0 && !is_known(l, i))
            return dmc__fail(DMC_EINVAL, "likelihood: entry %zu of sample %zu is neither known nor counts, but the ODE's density "
                             "is that of all entries together", i % (size_t)l->elems, i / (size_t)l->elems);
    return DMC_OK;
}

dmc_status dmc__likelihood_flow_run(dmc__likelihood *l, const dmc__likelihood_batch *x, double *out)
{
    const int32_t *count;
    const double *square;
    l->flow.mask = x->mask;
    l->flow.first = x->first;
    DMC_TRY(check_weights(l, x->weight));
    dmc__denoise_counted(l->noise, &count, &square);
    start(l, x->x0, count);
    for (int32_t k = 1; k < l->flow.nodes; k++) DMC_TRY(heun(l, k));
    for (int32_t b = 0; b < l->batch; b++) out[b] = finish(l, (size_t)b, count[b]) / fmax(count[b], 1);
    return DMC_OK;
}
