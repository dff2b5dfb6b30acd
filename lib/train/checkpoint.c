/* checkpoint.c — four flat tensors: values, moments, EMA, counters. */
#include "checkpoint.h"

#include "../io/tensor_file.h"

typedef struct state {
    size_t values, ema;           /* sizes; moments are 2 x values */
    float *value, *moment, *average;
    int64_t updates;
} state;

static dmc_status state_make(const dmc__allocator *a, const dmc__learner *l, const dmc__graph *g, state *s)
{
    *s = (state){.values = dmc__learner_elems(l), .ema = dmc__graph_param_elems(g)};
    DMC_TRY(DMC_NEW(a, s->values, &s->value));
    DMC_TRY(DMC_NEW(a, 2 * s->values, &s->moment));
    return DMC_NEW(a, s->ema, &s->average);
}

static void state_free(const dmc__allocator *a, state *s)
{
    DMC_FREE(a, s->value, s->values);
    DMC_FREE(a, s->moment, 2 * s->values);
    DMC_FREE(a, s->average, s->ema);
}

static dmc_status write_flat(dmc__tensor_writer *w, const char *name, const float *x, size_t n)
{
    const int32_t shape = (int32_t)n;
    if (n > INT32_MAX) return dmc__fail(DMC_EOVERFLOW, "checkpoint: %s has %zu values, more than a tensor holds", name, n);
    return dmc__tensor_writer_f32(w, name, 1, &shape, x);
}

static dmc_status write_state(dmc__tensor_writer *w, const state *s, int64_t step)
{
    const double counters[2] = {(double)step, (double)s->updates};
    const int32_t two = 2;
    DMC_TRY(dmc__tensor_writer_meta(w, "dmc.checkpoint", "1"));
    DMC_TRY(write_flat(w, "values", s->value, s->values));
    DMC_TRY(write_flat(w, "moments", s->moment, 2 * s->values));
    DMC_TRY(write_flat(w, "ema", s->average, s->ema));
    return dmc__tensor_writer_f64(w, "counters", 1, &two, counters);
}

dmc_status dmc__checkpoint_save(const dmc__allocator *a, const dmc__learner *l, const dmc__graph *g, int64_t step,
                                const char *path)
{
    state s;
    dmc__tensor_writer *w = NULL;
    dmc_status status = state_make(a, l, g, &s);
    if (status >= 0) status = dmc__learner_get(l, s.value);
    if (status >= 0) status = dmc__learner_get_state(l, s.moment, s.average, &s.updates);
    if (status >= 0) status = dmc__tensor_writer_create(a, &w);
    if (status >= 0) status = write_state(w, &s, step);
    if (status >= 0) status = dmc__tensor_writer_save(w, path);
    dmc__tensor_writer_destroy(w);
    state_free(a, &s);
    return status;
}

static dmc_status read_state(const dmc__tensor_file *f, state *s, int64_t *step)
{
    const int32_t n = (int32_t)s->values, m = (int32_t)(2 * s->values), e = (int32_t)s->ema;
    double counters[2];
    if (!dmc__tensor_file_meta(f, "dmc.checkpoint"))
        return dmc__fail(DMC_EFORMAT, "the file has no dmc.checkpoint entry: it is not a training checkpoint");
    DMC_TRY(dmc__tensor_file_take(f, "values", 1, &n, s->value));
    DMC_TRY(dmc__tensor_file_take(f, "moments", 1, &m, s->moment));
    DMC_TRY(dmc__tensor_file_take(f, "ema", 1, &e, s->average));
    const int32_t c = dmc__tensor_file_find(f, "counters");
    if (c < 0) return dmc__fail(DMC_EFORMAT, "the checkpoint has no tensor \"counters\"");
    DMC_TRY(dmc__tensor_file_read64(f, c, counters, 2));
    if (!(counters[0] >= 0 && counters[0] < 1e15 && counters[1] >= 0 && counters[1] < 1e15))
        return dmc__fail(DMC_EFORMAT, "the checkpoint's counters are %g and %g, must be 0..1e15", counters[0], counters[1]);
    *step = (int64_t)counters[0];
    s->updates = (int64_t)counters[1];
    return DMC_OK;
}

dmc_status dmc__checkpoint_load(const dmc__allocator *a, dmc__learner *l, const dmc__graph *g, int64_t *step, const char *path)
{
    state s;
    int64_t found = 0;
    dmc__tensor_file *f = NULL;
    dmc_status status = state_make(a, l, g, &s);
    if (status >= 0) status = dmc__tensor_file_open(a, path, 1, &f);
    if (status >= 0) status = read_state(f, &s, &found);
    if (status >= 0) status = dmc__learner_set(l, s.value);
    if (status >= 0) status = dmc__learner_set_state(l, s.moment, s.average, s.updates);
    if (status >= 0) *step = found;
    dmc__tensor_file_close(f);
    state_free(a, &s);
    return status < 0 ? dmc__fail_in(status, "%s", path) : status;
}
