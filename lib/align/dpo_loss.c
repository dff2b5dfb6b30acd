/* dpo_loss.c — errors of both networks under shared noise, the DPO_SEED kernel, and back through the one that learns. */
#include "dpo_loss.h"

#include <math.h>

static dmc_status make_host(dmc__dpo_loss *s)
{
    const dmc__allocator *al = s->a->alloc;
    const size_t half = (size_t)s->pairs, n = 2 * half;
    DMC_TRY(DMC_NEW(al, n * s->elems, &s->x0));
    DMC_TRY(DMC_NEW(al, n * s->cond, &s->side));
    DMC_TRY(DMC_NEW(al, n * s->elems, &s->weight));
    if (s->a->view.planner) DMC_TRY(DMC_NEW(al, n * s->elems, &s->mask));
    DMC_TRY(DMC_NEW(al, n, &s->err));
    DMC_TRY(DMC_NEW(al, n, &s->err_ref));
    DMC_TRY(DMC_NEW(al, n, &s->derr));
    DMC_TRY(DMC_NEW(al, half, &s->factor));
    DMC_TRY(DMC_NEW(al, half, &s->omega));
    DMC_TRY(DMC_NEW(al, 2 * half, &s->told));
    DMC_TRY(DMC_NEW(al, n, &s->time));
    return DMC_NEW(al, n, &s->sample);
}

static dmc_status make_networks(dmc__dpo_loss *s, const void *reference)
{
    const dmc__align *a = s->a;
    const int32_t n = 2 * s->pairs;
    DMC_TRY(dmc__chain_create(a->net, a->device, n, 0, dmc__learner_train_mask(a->learner), &s->now));
    DMC_TRY(dmc__chain_create(a->net, a->device, n, 0, NULL, &s->ref));
    dmc__chain_bind(s->now, dmc__learner_weights(a->learner), dmc__learner_grads(a->learner));
    dmc__chain_bind(s->ref, reference, NULL);
    DMC_TRY(dmc__align_denoise(a, s->now, a->net, n, &s->noise_now));
    DMC_TRY(dmc__align_denoise(a, s->ref, a->net, n, &s->noise_ref));
    return dmc__dev_alloc(a->device, 6 * (size_t)s->pairs, &s->memory);
}

dmc_status dmc__dpo_loss_open(const dmc__align *a, int32_t pairs, const void *reference, dmc__dpo_loss *out)
{
    *out = (dmc__dpo_loss){.a = a, .pairs = pairs, .elems = dmc__align_elems(a), .cond = (size_t)dmc__view_cond(&a->view)};
    DMC_TRY(make_host(out));
    return make_networks(out, reference);
}

void dmc__dpo_loss_close(dmc__dpo_loss *s)
{
    if (!s->a) return;
    const dmc__allocator *al = s->a->alloc;
    const size_t half = (size_t)s->pairs, n = 2 * half;
    dmc__dev_free(s->a->device, s->memory, 6 * half);
    dmc__denoise_destroy(s->noise_ref);
    dmc__denoise_destroy(s->noise_now);
    dmc__chain_destroy(s->ref);
    dmc__chain_destroy(s->now);
    DMC_FREE(al, s->x0, n * s->elems);
    DMC_FREE(al, s->side, n * s->cond);
    DMC_FREE(al, s->mask, n * s->elems);
    DMC_FREE(al, s->weight, n * s->elems);
    DMC_FREE(al, s->err, n);
    DMC_FREE(al, s->err_ref, n);
    DMC_FREE(al, s->derr, n);
    DMC_FREE(al, s->factor, half);
    DMC_FREE(al, s->omega, half);
    DMC_FREE(al, s->told, 2 * half);
    DMC_FREE(al, s->time, n);
    DMC_FREE(al, s->sample, n);
    *s = (dmc__dpo_loss){0};
}

/* One level and one noise per pair. */
static void draw_levels(dmc__dpo_loss *s, uint64_t draw)
{
    const dmc__process *p = s->a->process;
    for (int32_t i = 0; i < s->pairs; i++) {
        const dmc__stream t = {s->a->config.seed, DMC_STREAM_TIME, draw, (uint64_t)i};
        s->time[i] = s->time[s->pairs + i] = dmc__process_draw_time(p, &t);
        s->sample[i] = s->sample[s->pairs + i] = (uint64_t)i;
        const dmc__level l = dmc__process_level(p, s->time[i]);
        s->factor[i] = (float)dmc__process_preference_weight(p, &l);
    }
}

static dmc_status stage(dmc__dpo_loss *s, dmc__denoise *d, uint64_t draw)
{
    DMC_TRY(dmc__denoise_set(d, s->x0, s->side, NULL, s->mask, s->weight));
    return dmc__denoise_noise(d, s->time, s->sample, s->a->config.seed, DMC_STREAM_NOISE, draw);
}

dmc_status dmc__dpo_loss_measure(dmc__dpo_loss *s, uint64_t draw)
{
    draw_levels(s, draw);
    DMC_TRY(stage(s, s->noise_ref, draw));
    DMC_TRY(dmc__denoise_error(s->noise_ref, s->err_ref));
    DMC_TRY(stage(s, s->noise_now, draw));
    DMC_TRY(dmc__denoise_error(s->noise_now, s->err));
    for (int32_t i = 0; i < 2 * s->pairs; i++) {
        s->err[i] *= s->factor[i % s->pairs];
        s->err_ref[i] *= s->factor[i % s->pairs];
    }
    return DMC_OK;
}

double dmc__dpo_weight(int32_t weighting, const dmc__level *l)
{
    static const double most = 5;
    const double snr = dmc__level_snr(l);
    switch (weighting) {
    case DMC__WEIGHTING_SNR: return snr > most ? most / snr : 1;
    case DMC__WEIGHTING_SIGMOID: return snr / (1 + snr);
    default: return 1;
    }
}

static void weigh(dmc__dpo_loss *s, int32_t weighting)
{
    for (int32_t i = 0; i < s->pairs; i++) {
        const dmc__level l = dmc__process_level(s->a->process, s->time[i]);
        s->omega[i] = (float)dmc__dpo_weight(weighting, &l);
    }
}

/* derr <- d(mean softplus)/derr_w of each pair. */
static dmc_status seed(dmc__dpo_loss *s, const dmc__dpo_terms *t)
{
    dmc__device *d = s->a->device;
    const size_t n = (size_t)s->pairs;
    float *const x = s->derr; /* staging, until it is overwritten */
    void *w = s->memory, *l = dmc__dev_at(d, w, n), *r = dmc__dev_at(d, w, 2 * n), *out = dmc__dev_at(d, w, 3 * n);
    void *told = dmc__dev_at(d, w, 4 * n);
    weigh(s, t->weighting);
    for (size_t i = 0; i < 2 * n; i++) x[i] = s->omega[i % n] * s->err[i];
    DMC_TRY(dmc__dev_in(d, w, x, 2 * n));
    for (size_t i = 0; i < n; i++) x[i] = s->omega[i] * (s->err_ref[i] - s->err_ref[n + i]);
    DMC_TRY(dmc__dev_in(d, r, x, n));
    dmc_kargs k = {.in = {w, l, r}, .out = out, .out2 = told, .dim = {s->pairs},
                   .attr = {t->gamma * (double)dmc__align_dims(s->a)}};
    DMC_TRY(dmc__dev_run(d, DMC_OP_DPO_SEED, &k));
    DMC_TRY(dmc__dev_out(d, s->told, told, 2 * n));
    return dmc__dev_out(d, s->derr, out, n);
}

static dmc__dpo_told tell(const dmc__dpo_loss *s)
{
    const size_t n = (size_t)s->pairs;
    double loss = 0, right = 0;
    for (size_t i = 0; i < n; i++) {
        loss += s->told[2 * i] / (double)n;
        right += s->told[2 * i + 1] / (double)n;
    }
    return (dmc__dpo_told){.loss = loss, .accuracy = right};
}

dmc_status dmc__dpo_loss_learn(dmc__dpo_loss *s, const dmc__dpo_terms *t, dmc__dpo_told *told)
{
    const size_t n = (size_t)s->pairs;
    DMC_TRY(seed(s, t));
    *told = tell(s);
    for (size_t i = 0; i < n; i++) {
        s->derr[i] *= s->omega[i];
        s->derr[n + i] = -s->derr[i];
        s->derr[i] += (float)(t->anchor / (double)n);
    }
    for (size_t i = 0; i < 2 * n; i++) s->derr[i] *= s->factor[i % n]; /* back to the network's error */
    return dmc__denoise_backward(s->noise_now, s->derr);
}
