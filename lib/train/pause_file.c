/* pause_file.c — an adapter file (adapter_file.h) with more tensors: "pause.start" the adapter the method began with,
 * "pause.numbers"; in the middle of a stage "pause.now" "pause.best" "pause.moments" and the method's own "pause.state". */
#include "pause_file.h"

#include <string.h>

#include "../align/pause.h"
#include "adapter_file.h"

static dmc_status write_floats(dmc__tensor_writer *w, const char *name, const float *x, size_t n)
{
    const int32_t shape = (int32_t)n;
    if (n > INT32_MAX) return dmc__fail(DMC_EOVERFLOW, "checkpoint: %s has %zu values, more than a tensor holds", name, n);
    return n ? dmc__tensor_writer_f32(w, name, 1, &shape, x) : DMC_OK;
}

static dmc_status write_doubles(dmc__tensor_writer *w, const char *name, const double *x, size_t n)
{
    const int32_t shape = (int32_t)n;
    if (n > INT32_MAX) return dmc__fail(DMC_EOVERFLOW, "checkpoint: %s has %zu values, more than a tensor holds", name, n);
    return n ? dmc__tensor_writer_f64(w, name, 1, &shape, x) : DMC_OK;
}

static dmc_status write_numbers(const dmc__align *a, dmc__tensor_writer *w)
{
    double *word = NULL;
    size_t n = 0;
    dmc_status status = dmc__pause_write(a, a->pause, &word, &n);
    if (status >= 0) status = write_doubles(w, "pause.numbers", word, n);
    DMC_FREE(a->alloc, word, n);
    return status;
}

static dmc_status write_pause(dmc__align *a, dmc__tensor_writer *w)
{
    const dmc__pause *p = a->pause;
    DMC_TRY(dmc__tensor_writer_meta(w, "dmc.pause", "1"));
    DMC_TRY(dmc__adapter_write(a, w, strcmp(p->method, "cascade") != 0));
    DMC_TRY(write_floats(w, "pause.start", p->start, p->n_start));
    DMC_TRY(write_floats(w, "pause.now", p->now, p->n));
    DMC_TRY(write_floats(w, "pause.best", p->best, p->n));
    DMC_TRY(write_floats(w, "pause.moments", p->moments, 2 * p->n));
    DMC_TRY(write_doubles(w, "pause.state", p->state, p->n_state));
    return write_numbers(a, w);
}

dmc_status dmc__pause_save(dmc__align *a, const char *path)
{
    dmc__tensor_writer *w;
    DMC_TRY(dmc__stage_pause(a));
    DMC_TRY(dmc__tensor_writer_create(a->alloc, &w));
    dmc_status status = write_pause(a, w);
    if (status >= 0) status = dmc__tensor_writer_save(w, path);
    dmc__tensor_writer_destroy(w);
    return status;
}

/* ---- reading ---------------------------------------------------------------------------------------- */

/* A flat tensor of n floats; n = 0: none. */
static dmc_status read_floats(const dmc__allocator *a, const dmc__tensor_file *f, const char *name, size_t n, float **out)
{
    const int32_t shape = (int32_t)n;
    if (n == 0) return DMC_OK;
    DMC_TRY(DMC_NEW(a, n, out));
    return dmc__tensor_file_take(f, name, 1, &shape, *out);
}

static dmc_status find(const dmc__tensor_file *f, const char *name, int32_t *index)
{
    *index = dmc__tensor_file_find(f, name);
    return *index >= 0 ? DMC_OK : dmc__fail(DMC_EFORMAT, "the checkpoint has no tensor \"%s\"", name);
}

static dmc_status read_state(const dmc__allocator *a, const dmc__tensor_file *f, dmc__pause *p)
{
    int32_t i;
    if (p->n_state == 0) return DMC_OK;
    DMC_TRY(find(f, "pause.state", &i));
    if (dmc__tensor_file_elems(f, i) != p->n_state)
        return dmc__fail(DMC_EFORMAT, "the checkpoint's pause.state has %zu numbers, must have %zu", dmc__tensor_file_elems(f, i),
                         p->n_state);
    DMC_TRY(DMC_NEW(a, p->n_state, &p->state));
    return dmc__tensor_file_read64(f, i, p->state, p->n_state);
}

static dmc_status read_numbers(dmc__align *a, const dmc__tensor_file *f, dmc__pause *p)
{
    int32_t i;
    double *word;
    DMC_TRY(find(f, "pause.numbers", &i));
    const size_t n = dmc__tensor_file_elems(f, i);
    DMC_TRY(DMC_NEW(a->alloc, n, &word));
    dmc_status status = dmc__tensor_file_read64(f, i, word, n);
    if (status >= 0) status = dmc__pause_read(a, p, word, n);
    DMC_FREE(a->alloc, word, n);
    return status;
}

/* Sizes are bounded by what there is before anything is made. */
static dmc_status check_sizes(const dmc__align *a, const dmc__pause *p)
{
    const size_t learn = dmc__learner_elems(a->learner);
    if ((p->n_start == 0 || p->n_start == learn) && (p->n == 0 || p->n == learn) && p->n_state <= INT32_MAX) return DMC_OK;
    return dmc__fail(DMC_ESHAPE, "the checkpoint has %zu weights that learn, the aligner %zu", p->n_start, learn);
}

static dmc_status read_blocks(const dmc__align *a, const dmc__tensor_file *f, dmc__pause *p)
{
    const size_t start = p->n_start, n = p->n;
    DMC_TRY(check_sizes(a, p));
    DMC_TRY(read_floats(a->alloc, f, "pause.start", start, &p->start));
    DMC_TRY(read_floats(a->alloc, f, "pause.now", n, &p->now));
    DMC_TRY(read_floats(a->alloc, f, "pause.best", n, &p->best));
    DMC_TRY(read_floats(a->alloc, f, "pause.moments", 2 * n, &p->moments));
    return read_state(a->alloc, f, p);
}

/* The adapter is read first: it refuses another foundation. */
static dmc_status read_pause(dmc__align *a, const dmc__tensor_file *f, dmc__pause *p)
{
    if (!dmc__tensor_file_meta(f, "dmc.pause"))
        return dmc__fail(DMC_EFORMAT, "the file has no dmc.pause entry: it is no checkpoint of an aligner");
    DMC_TRY(dmc__adapter_read(a, f));
    DMC_TRY(read_numbers(a, f, p));
    DMC_TRY(read_blocks(a, f, p));
    if (p->method[0] == '\0') return DMC_OK;
    a->draws = p->entry;
    return dmc__learner_set(a->learner, p->start);
}

dmc_status dmc__pause_load(dmc__align *a, const char *path)
{
    dmc__tensor_file *f;
    dmc__pause *p;
    DMC_TRY(DMC_NEW(a->alloc, 1, &p));
    dmc_status status = dmc__tensor_file_open(a->alloc, path, 1, &f);
    if (status >= 0) {
        status = read_pause(a, f, p);
        dmc__tensor_file_close(f);
    }
    if (status < 0) {
        dmc__pause_free(a->alloc, p);
        DMC_FREE(a->alloc, p, 1);
        return dmc__fail_in(status, "%s", path);
    }
    dmc__align_set_pause(a, p);
    return DMC_OK;
}
