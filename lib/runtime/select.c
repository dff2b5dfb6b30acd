/* select.c — one of the candidates, or what stands for all of them (average.c). */
#include <math.h>

#include "sampler_state.h"

/* The largest, of equal ones the first. NaN is never chosen, unless there is nothing else: then it is the first. */
static int32_t best_candidate(const float *q, int32_t n)
{
    int32_t best = 0;
    for (int32_t i = 1; i < n; i++)
        if (q[i] > q[best] || (isnan(q[best]) && !isnan(q[i]))) best = i;
    return best;
}

/* exp(beta (Q - max Q)), 0 where that is no number. */
static double softmax_weight(double beta, float q, float top)
{
    const double w = q == top ? 1 : exp(beta * ((double)q - top));
    return w > 0 ? w : 0;
}

/* Draw with these weights. */
static int32_t softmax_candidate(dmc__sampler *s, const float *q, int32_t b)
{
    const dmc__stream stream = {s->config.seed, DMC_STREAM_SELECT, s->call, (uint64_t)b};
    const int32_t best = best_candidate(q, s->config.candidates);
    int32_t last = best; /* that has a weight, should rounding leave a rest of u */
    double sum = 0;
    for (int32_t i = 0; i < s->config.candidates; i++) {
        s->weight[i] = (float)softmax_weight(s->config.beta, q[i], q[best]);
        sum += s->weight[i];
    }
    double u = dmc__rng_uniform(&stream, 0) * sum;
    for (int32_t i = 0; i < s->config.candidates; i++) {
        if (s->weight[i] <= 0) continue;
        u -= s->weight[i];
        last = i;
        if (u < 0) break;
    }
    return last;
}

/* Index of the chosen candidate of condition b, -1 for the mean of all. */
static int32_t pick_candidate(dmc__sampler *s, int32_t b)
{
    const float *q = s->q + (size_t)b * (size_t)s->config.candidates;
    switch (s->config.select) {
    case DMC__SELECT_GREEDY: return best_candidate(q, s->config.candidates);
    case DMC__SELECT_SOFTMAX: return softmax_candidate(s, q, b);
    case DMC__SELECT_EXPECTATION: return -1;
    default: return 0;
    }
}

void dmc__sampler_choose(dmc__sampler *s)
{
    for (int32_t b = 0; b < s->config.batch; b++) {
        const size_t first = (size_t)b * (size_t)s->config.candidates;
        const float *z = s->z + first * s->elems;
        float *c = s->chosen + (size_t)b * s->elems;
        const int32_t pick = pick_candidate(s, b);
        if (pick < 0) dmc__sampler_average(s, z, c);
        else dmc__view_denormalise(&s->view, z + (size_t)pick * s->elems, c);
        if (b > 0) continue;
        s->facts.chosen = pick;
        s->facts.q = s->judge.self && pick >= 0 ? s->q[first + (size_t)pick] : NAN;
    }
}
