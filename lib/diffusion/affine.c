/* affine.c — arguments of TRANSITION and NORMAL. */
#include "affine.h"

static dmc_kargs transition_args(const dmc__affine *s, const dmc__row *row, const void *z, const void *f)
{
    return (dmc_kargs){.in = {z, f},
                       .par = {s->mask, s->known},
                       .save = s->carry,
                       .dim = {s->batch, s->elems},
                       .attr = {row->P, row->Q, row->a, row->b, 0, s->clip, s->inward, row->d, row->u, row->w}};
}

dmc_status dmc__affine_step(const dmc__affine *s, const dmc__row *row, const void *z, const void *f, const void *xi,
                            void *out)
{
    dmc_kargs k = transition_args(s, row, z, f);
    k.in[2] = xi;
    k.attr[4] = xi ? row->S : 0;
    k.out = out;
    return dmc__dev_run(s->device, DMC_OP_TRANSITION, &k);
}

dmc_status dmc__affine_step_backward(const dmc__affine *s, const dmc__row *row, const void *z, const void *f,
                                     const void *dmu, void *dz, void *df)
{
    dmc_kargs k = transition_args(s, row, z, f);
    k.dout = dmu;
    k.din[0] = dz;
    k.din[1] = df;
    return dmc__dev_run_bwd(s->device, DMC_OP_TRANSITION, &k);
}

dmc_status dmc__affine_mix(const dmc__affine *s, double b, const void *z, double S, const void *xi, void *out)
{
    const dmc__row row = {.b = b, .S = S}; /* the predicted sample gets no weight */
    return dmc__affine_step(s, &row, z, z, xi, out);
}

/* Normals of n consecutive sample numbers. */
static dmc_status draw_run(const dmc__affine *s, const dmc__noise_key *key, uint64_t first, int32_t n, void *out)
{
    dmc_kargs k = {.out = out, .dim = {n, s->elems}, .key = {key->seed, key->purpose, key->step, first},
                   .key_base = key->base};
    return dmc__dev_run(s->device, DMC_OP_NORMAL, &k);
}

/* How many numbers from b on follow each other. */
static int32_t consecutive(const uint64_t *sample, int32_t b, int32_t batch)
{
    int32_t n = 1;
    while (b + n < batch && sample[b + n] == sample[b] + (uint64_t)n) n++;
    return n;
}

dmc_status dmc__affine_noise(const dmc__affine *s, const dmc__noise_key *key, void *out)
{
    const size_t elems = (size_t)s->elems;
    if (!key->sample) return draw_run(s, key, key->first, s->batch, out);
    for (int32_t b = 0, n; b < s->batch; b += n) {
        void *row = dmc__dev_at(s->device, out, (size_t)b * elems);
        n = consecutive(key->sample, b, s->batch);
        if (n == 1 && b > 0 && key->sample[b] == key->sample[b - 1])
            DMC_TRY(dmc__dev_copy(s->device, row, dmc__dev_at(s->device, out, (size_t)(b - 1) * elems), elems));
        else
            DMC_TRY(draw_run(s, key, key->sample[b], n, row));
    }
    return DMC_OK;
}
