/* model_file.c — models in files: contract in the metadata, one tensor per parameter under its PyTorch name. */
#include <stdio.h>
#include <string.h>

#include "../io/tensor_file.h"
#include "../nn/params.h"
#include "model_file.h"

/* ---- blocks of weights, shared with critic and checkpoints ------------------------------------------ */

dmc_status dmc__block_write(dmc__tensor_writer *w, const char *prefix, const dmc__graph *g, dmc__device *d,
                            const dmc__allocator *a, const void *block)
{
    for (int32_t i = 0; i < dmc__graph_param_count(g); i++) {
        const dmc__param_spec *p = dmc__graph_param(g, i);
        char name[2 * DMC__NAME_MAX];
        float *values;
        snprintf(name, sizeof name, "%s%s", prefix, p->name);
        DMC_TRY(DMC_NEW(a, p->size, &values));
        dmc_status status = dmc__params_get(g, d, block, i, values, p->size);
        if (status >= 0) status = dmc__tensor_writer_f32(w, name, p->rank, p->shape, values);
        DMC_FREE(a, values, p->size);
        DMC_TRY(status);
    }
    return DMC_OK;
}

dmc_status dmc__block_read(const dmc__tensor_file *f, const char *prefix, const dmc__graph *g, dmc__device *d,
                           const dmc__allocator *a, void *block)
{
    for (int32_t i = 0; i < dmc__graph_param_count(g); i++) {
        const dmc__param_spec *p = dmc__graph_param(g, i);
        char name[2 * DMC__NAME_MAX];
        float *values;
        snprintf(name, sizeof name, "%s%s", prefix, p->name);
        DMC_TRY(DMC_NEW(a, p->size, &values));
        dmc_status status = dmc__tensor_file_take(f, name, p->rank, p->shape, values);
        if (status >= 0) status = dmc__params_set(g, d, block, i, values, p->size);
        DMC_FREE(a, values, p->size);
        DMC_TRY(status);
    }
    return DMC_OK;
}

dmc_status dmc__file_holds(const dmc__tensor_file *f, size_t weights)
{
    size_t sum = 0;
    for (int32_t i = 0; i < dmc__tensor_file_count(f); i++) sum += dmc__tensor_file_elems(f, i);
    if (sum >= weights) return DMC_OK;
    return dmc__fail(DMC_EFORMAT, "the contract describes networks of %zu weights, the file holds %zu values", weights, sum);
}

/* ---- models ----------------------------------------------------------------------------------------- */

static dmc_status write_model(const dmc__model *m, dmc__tensor_writer *w)
{
    const dmc__allocator *a = &m->ref.ctx->alloc;
    char *text;
    DMC_TRY(dmc__model_contract(m, a, &text));
    dmc_status status = dmc__tensor_writer_meta(w, "dmc.model", text);
    dmc__str_free(a, text);
    DMC_TRY(status);
    DMC_TRY(dmc__block_write(w, "", m->net->graph, m->ref.ctx->device, a, m->weights));
    if (!m->cascade) return DMC_OK;
    return dmc__block_write(w, "cascade.", m->cascade->graph, m->ref.ctx->device, a, m->cascade_weights);
}

dmc_status dmc__model_save(const dmc__model *m, const char *path)
{
    dmc__tensor_writer *w;
    DMC_TRY(dmc__tensor_writer_create(&m->ref.ctx->alloc, &w));
    dmc_status status = write_model(m, w);
    if (status >= 0) status = dmc__tensor_writer_save(w, path);
    dmc__tensor_writer_destroy(w);
    return status;
}

static dmc_status read_cascade(const dmc__tensor_file *f, dmc__model *m)
{
    const dmc__net_config c = dmc__contract_cascade(&m->spec.net);
    DMC_TRY(dmc__net_create(&m->ref.ctx->alloc, &c, &m->cascade));
    DMC_TRY(dmc__dev_alloc(m->ref.ctx->device, dmc__graph_param_elems(m->cascade->graph), &m->cascade_weights));
    return dmc__block_read(f, "cascade.", m->cascade->graph, m->ref.ctx->device, &m->ref.ctx->alloc, m->cascade_weights);
}

static dmc_status read_weights(const dmc__tensor_file *f, int32_t cascade, dmc__model *m)
{
    int32_t expected = dmc__graph_param_count(m->net->graph);
    DMC_TRY(dmc__block_read(f, "", m->net->graph, m->ref.ctx->device, &m->ref.ctx->alloc, m->weights));
    if (cascade) {
        DMC_TRY(read_cascade(f, m));
        expected += dmc__graph_param_count(m->cascade->graph);
    }
    if (dmc__tensor_file_count(f) != expected)
        return dmc__fail(DMC_EFORMAT, "the file has %d tensors, its contract describes %d", dmc__tensor_file_count(f), expected);
    return DMC_OK;
}

static dmc_status read_model(dmc__context *ctx, const dmc__tensor_file *f, dmc__model **out)
{
    int32_t cascade;
    const char *text = dmc__tensor_file_meta(f, "dmc.model");
    if (!text) return dmc__fail(DMC_EFORMAT, "the file has no dmc.model contract in its metadata: it is not a libdmc model");
    DMC_TRY(dmc__contract_make_model(ctx, text, f, &cascade, out));
    const dmc_status status = read_weights(f, cascade, *out);
    if (status < 0) {
        dmc__model_destroy(*out);
        *out = NULL;
    }
    return status;
}

dmc_status dmc__model_load(dmc__context *ctx, const char *path, dmc__model **out)
{
    dmc__tensor_file *f;
    *out = NULL;
    DMC_TRY(dmc__tensor_file_open(ctx ? &ctx->alloc : &dmc__default_allocator, path, 1, &f));
    dmc_status status = read_model(ctx, f, out);
    dmc__tensor_file_close(f);
    return status < 0 ? dmc__fail_in(status, "%s", path) : status;
}
