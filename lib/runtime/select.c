/* select.c — one of the candidates, or their mean. */
#include <math.h>
#include <string.h>

#include "sampler_state.h"

static int32_t best_candidate(const float *q, int32_t n)
{
    int32_t best = 0;
    for (int32_t i = 1; i < n; i++)
        if (q[i] > q[best]) best = i; /* ties: the first */
    return best;
}

/* Draw with weights exp(beta (Q - max Q)). */
static int32_t softmax_candidate(dmc__sampler *s, const float *q, int32_t b)
{
    const dmc__stream stream = {s->config.seed, DMC_STREAM_SELECT, s->call, (uint64_t)b};
    const float top = q[best_candidate(q, s->config.candidates)];
    double sum = 0;
    for (int32_t i = 0; i < s->config.candidates; i++) {
        s->weight[i] = (float)exp(s->config.beta * (q[i] - top));
        sum += s->weight[i];
    }
    double u = dmc__rng_uniform(&stream, 0) * sum;
    for (int32_t i = 0; i < s->config.candidates; i++) {
        u -= s->weight[i];
        if (u < 0) return i;
    }
    return s->config.candidates - 1;
}

/* Mean of the candidates z (candidates, elems). */
static void average_candidates(const dmc__sampler *s, const float *z, float *mean)
{
    for (size_t j = 0; j < s->elems; j++) {
        double sum = 0;
        for (int32_t i = 0; i < s->config.candidates; i++) sum += z[(size_t)i * s->elems + j];
        mean[j] = (float)(sum / s->config.candidates);
    }
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
        if (pick < 0) average_candidates(s, z, c);
        else memcpy(c, z + (size_t)pick * s->elems, s->elems * sizeof *c);
        dmc__view_denormalise(&s->view, c, c);
        if (b > 0) continue;
        s->facts.chosen = pick;
        s->facts.q = s->judge.self && pick >= 0 ? s->q[first + (size_t)pick] : NAN;
    }
}
