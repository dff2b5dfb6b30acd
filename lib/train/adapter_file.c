/* adapter_file.c — adapters in files. */
#include "adapter_file.h"

#include <stdio.h>
#include <string.h>

#include "../base/hash.h"
#include "../model/model_file.h"

/* ---- which foundation ------------------------------------------------------------------------------- */

enum { DIGEST = 17 };

/* Enough to tell foundations apart; the file's own digest guards damage. */
static dmc_status foundation_digest(const dmc__align *a, char out[DIGEST])
{
    const size_t n = dmc__graph_param_elems(a->net->graph);
    float *w;
    DMC_TRY(DMC_NEW(a->alloc, n, &w));
    const dmc_status status = dmc__dev_out(a->device, w, a->foundation, n);
    const uint64_t h = dmc__hash(w, n * sizeof *w);
    DMC_FREE(a->alloc, w, n);
    snprintf(out, DIGEST, "%016llx", (unsigned long long)h);
    return status;
}

/* ---- LoRA factors ----------------------------------------------------------------------------------- */

typedef struct layer {
    char name_a[DMC__NAME_MAX + 8], name_b[DMC__NAME_MAX + 8];
    int32_t rank_a, shape_a[DMC__MAX_RANK], shape_b[2];
    size_t na, nb;
    float *a, *b;
} layer;

static dmc_status layer_open(const dmc__allocator *al, const dmc__lora *l, int32_t i, layer *x)
{
    memset(x, 0, sizeof *x);
    dmc__lora_shape(l, i, &x->rank_a, x->shape_a, x->shape_b);
    x->na = 1;
    for (int32_t j = 0; j < x->rank_a; j++) x->na *= (size_t)x->shape_a[j];
    x->nb = (size_t)x->shape_b[0] * (size_t)x->shape_b[1];
    snprintf(x->name_a, sizeof x->name_a, "%s.lora_A", dmc__lora_name(l, i));
    snprintf(x->name_b, sizeof x->name_b, "%s.lora_B", dmc__lora_name(l, i));
    DMC_TRY(DMC_NEW(al, x->na, &x->a));
    return DMC_NEW(al, x->nb, &x->b);
}

static void layer_close(const dmc__allocator *al, layer *x)
{
    DMC_FREE(al, x->a, x->na);
    DMC_FREE(al, x->b, x->nb);
}

static dmc_status write_layer(const dmc__allocator *al, const dmc__lora *l, int32_t i, dmc__tensor_writer *w)
{
    layer x;
    dmc_status status = layer_open(al, l, i, &x);
    if (status >= 0) status = dmc__lora_get(l, i, x.a, x.b);
    if (status >= 0) status = dmc__tensor_writer_f32(w, x.name_a, x.rank_a, x.shape_a, x.a);
    if (status >= 0) status = dmc__tensor_writer_f32(w, x.name_b, 2, x.shape_b, x.b);
    layer_close(al, &x);
    return status;
}

static dmc_status read_layer(const dmc__allocator *al, dmc__lora *l, int32_t i, const dmc__tensor_file *f)
{
    layer x;
    dmc_status status = layer_open(al, l, i, &x);
    if (status >= 0) status = dmc__tensor_file_take(f, x.name_a, x.rank_a, x.shape_a, x.a);
    if (status >= 0) status = dmc__tensor_file_take(f, x.name_b, 2, x.shape_b, x.b);
    if (status >= 0) status = dmc__lora_set(l, i, x.a, x.b);
    layer_close(al, &x);
    return status;
}

/* ---- files ------------------------------------------------------------------------------------------ */

dmc_status dmc__adapter_write(const dmc__align *a, dmc__tensor_writer *w, int32_t cascade)
{
    char digest[DIGEST];
    const dmc__lora *l = dmc__learner_lora(a->learner);
    DMC_TRY(foundation_digest(a, digest));
    DMC_TRY(dmc__tensor_writer_meta(w, "dmc.adapter", digest));
    for (int32_t i = 0; l && i < dmc__lora_count(l); i++) DMC_TRY(write_layer(a->alloc, l, i, w));
    if (!l) DMC_TRY(dmc__block_write(w, "", a->net->graph, a->device, a->alloc, dmc__learner_weights(a->learner)));
    if (!a->cascade || !cascade) return DMC_OK;
    return dmc__block_write(w, "cascade.", a->cascade->net->graph, a->device, a->alloc, dmc__learner_weights(a->cascade->learner));
}

dmc_status dmc__adapter_save(const dmc__align *a, const char *path)
{
    dmc__tensor_writer *w;
    DMC_TRY(dmc__tensor_writer_create(a->alloc, &w));
    dmc_status status = dmc__adapter_write(a, w, 1);
    if (status >= 0) status = dmc__tensor_writer_save(w, path);
    dmc__tensor_writer_destroy(w);
    return status;
}

/* A device block read from tensors "<prefix>..."; the caller frees it, also on failure. */
static dmc_status read_block(const dmc__align *a, const dmc__tensor_file *f, const char *prefix, const dmc__graph *g,
                             void **block)
{
    DMC_TRY(dmc__dev_alloc(a->device, dmc__graph_param_elems(g), block));
    return dmc__block_read(f, prefix, g, a->device, a->alloc, *block);
}

/* A device block of n weights -> what learns. */
static dmc_status set_learner(const dmc__align *a, dmc__learner *l, const void *block, size_t n)
{
    float *host;
    DMC_TRY(DMC_NEW(a->alloc, n, &host));
    dmc_status status = dmc__dev_out(a->device, host, block, n);
    if (status >= 0) status = dmc__learner_set(l, host);
    DMC_FREE(a->alloc, host, n);
    return status;
}

static dmc_status read_weights(dmc__align *a, const dmc__tensor_file *f)
{
    const size_t n = dmc__graph_param_elems(a->net->graph);
    void *block = NULL;
    dmc_status status = read_block(a, f, "", a->net->graph, &block);
    if (status >= 0) status = set_learner(a, a->learner, block, n);
    dmc__dev_free(a->device, block, n);
    return status;
}

static int32_t has_cascade(const dmc__tensor_file *f)
{
    for (int32_t i = 0; i < dmc__tensor_file_count(f); i++)
        if (strncmp(dmc__tensor_file_name(f, i), "cascade.", 8) == 0) return 1;
    return 0;
}

/* All layers, or none of them: the factors as they were are put back. */
static dmc_status read_factors(dmc__align *a, const dmc__tensor_file *f)
{
    dmc__lora *l = dmc__learner_lora(a->learner);
    const size_t n = dmc__learner_elems(a->learner);
    dmc_status status = DMC_OK;
    float *before, *host = NULL;
    DMC_TRY(DMC_NEW(a->alloc, n, &before));
    DMC_TRY_GOTO(status, DMC_NEW(a->alloc, n, &host), end);
    DMC_TRY_GOTO(status, dmc__learner_get(a->learner, before), end);
    for (int32_t i = 0; i < dmc__lora_count(l) && status >= 0; i++) status = read_layer(a->alloc, l, i, f);
    if (status >= 0) status = dmc__learner_get(a->learner, host);
    const dmc_status merged = dmc__learner_set(a->learner, status >= 0 ? host : before);
    if (status >= 0) status = merged;
end:
    DMC_FREE(a->alloc, host, n);
    DMC_FREE(a->alloc, before, n);
    return status;
}

/* The cascade in the file; *out stays NULL if there is none. */
static dmc_status read_cascade(const dmc__align *a, const dmc__tensor_file *f, dmc__cascade **out)
{
    void *block = NULL;
    *out = NULL;
    if (!has_cascade(f)) return DMC_OK;
    DMC_TRY(dmc__cascade_create(a, a->foundation, out));
    const dmc__graph *g = (*out)->net->graph;
    dmc_status status = read_block(a, f, "cascade.", g, &block);
    if (status >= 0) status = set_learner(a, (*out)->learner, block, dmc__graph_param_elems(g));
    dmc__dev_free(a->device, block, dmc__graph_param_elems(g));
    if (status < 0) {
        dmc__cascade_destroy(a->alloc, *out);
        *out = NULL;
    }
    return status;
}

dmc_status dmc__adapter_read(dmc__align *a, const dmc__tensor_file *f)
{
    char digest[DIGEST];
    const char *found = dmc__tensor_file_meta(f, "dmc.adapter");
    if (!found) return dmc__fail(DMC_EFORMAT, "the file has no dmc.adapter entry: it is not a libdmc adapter");
    DMC_TRY(foundation_digest(a, digest));
    if (strcmp(found, digest) != 0)
        return dmc__fail(DMC_ESHAPE, "the adapter was trained over foundation %.16s, this model is %s", found, digest);
    dmc__cascade *cascade; /* first, so that a failure leaves the aligner as it was */
    DMC_TRY(read_cascade(a, f, &cascade));
    const dmc_status status = dmc__learner_lora(a->learner) ? read_factors(a, f) : read_weights(a, f);
    dmc__cascade_destroy(a->alloc, status < 0 ? cascade : a->cascade);
    if (status >= 0) a->cascade = cascade;
    a->moved = 1;
    return status;
}

dmc_status dmc__adapter_load(dmc__align *a, const char *path)
{
    dmc__tensor_file *f;
    DMC_TRY(dmc__tensor_file_open(a->alloc, path, 1, &f));
    const dmc_status status = dmc__adapter_read(a, f);
    dmc__tensor_file_close(f);
    return status < 0 ? dmc__fail_in(status, "%s", path) : status;
}

dmc_status dmc__adapter_publish(const dmc__align *a, const dmc__model *m, dmc__model **out)
{
    const dmc__cascade *c = a->cascade;
    DMC_TRY(dmc__dev_sync(a->device)); /* the model's device may be another queue */
    return dmc__model_derive(m, dmc__learner_weights(a->learner), c ? c->net : m->cascade,
                             c ? dmc__learner_weights(c->learner) : m->cascade_weights, out);
}
