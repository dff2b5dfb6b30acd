/* params.c — initial values, PyTorch order <-> stored order, growing the input of a network. */
#include "params.h"

#include <math.h>
#include <string.h>

#include "../base/rng.h"

/* Sizes of a weight in the terms of its stored order (k,Ci,Co); k = 1 for linear, the taps of a square kernel. */
typedef struct weight_dims {
    int32_t k, ci, co;
} weight_dims;

static weight_dims stored_dims(const dmc__param_spec *s)
{
    switch (s->layout) {
    case DMC__LAYOUT_LINEAR: return (weight_dims){1, s->shape[1], s->shape[0]};
    case DMC__LAYOUT_CONV: return (weight_dims){s->shape[2], s->shape[1], s->shape[0]};
    case DMC__LAYOUT_CONV2D: return (weight_dims){s->shape[2] * s->shape[3], s->shape[1], s->shape[0]};
    case DMC__LAYOUT_CONVT: return (weight_dims){s->shape[2], s->shape[0], s->shape[1]};
    default: return (weight_dims){1, 1, s->shape[0]};
    }
}

/* Our place of an input that PyTorch counts as i. */
static size_t stored_input(const dmc__param_spec *spec, size_t i)
{
    const size_t t = (size_t)spec->flat_t, c = (size_t)spec->flat_c;
    return i < t * c ? i % t * c + i / t : i;
}

size_t dmc__params_stored_index(const dmc__param_spec *spec, size_t j)
{
    if (spec->layout == DMC__LAYOUT_PLAIN) return j;
    const weight_dims d = stored_dims(spec);
    const size_t k = (size_t)d.k, ci = (size_t)d.ci, co = (size_t)d.co;
    const size_t tap = j % k, pair = j / k;
    if (spec->layout == DMC__LAYOUT_CONVT) /* (Ci,Co,k) */
        return (tap * ci + pair / co) * co + pair % co;
    return (tap * ci + stored_input(spec, pair % ci)) * co + pair / ci; /* (Co,Ci,k) */
}

dmc_status dmc__params_set_spec(const dmc__param_spec *spec, dmc__device *d, void *block, const float *torch, size_t n)
{
    if (n != spec->size)
        return dmc__fail(DMC_ESHAPE, "%s: %zu values given, the tensor has %zu", spec->name, n, spec->size);
    float *stored = NULL;
    DMC_TRY(DMC_NEW(d->alloc, n, &stored));
    for (size_t j = 0; j < n; j++) stored[dmc__params_stored_index(spec, j)] = torch[j];
    const dmc_status status = dmc__dev_in(d, dmc__dev_at(d, block, spec->offset), stored, n);
    DMC_FREE(d->alloc, stored, n);
    return status;
}

dmc_status dmc__params_get_spec(const dmc__param_spec *spec, dmc__device *d, const void *block, float *torch, size_t n)
{
    if (n != spec->size)
        return dmc__fail(DMC_ESHAPE, "%s: room for %zu values given, the tensor has %zu", spec->name, n, spec->size);
    float *stored = NULL;
    DMC_TRY(DMC_NEW(d->alloc, n, &stored));
    const dmc_status status = dmc__dev_out(d, stored, dmc__dev_at(d, block, spec->offset), n);
    if (status >= 0)
        for (size_t j = 0; j < n; j++) torch[j] = stored[dmc__params_stored_index(spec, j)];
    DMC_FREE(d->alloc, stored, n);
    return status;
}

dmc_status dmc__params_set(const dmc__graph *g, dmc__device *d, void *block, dmc__parid i, const float *torch, size_t n)
{
    return dmc__params_set_spec(dmc__graph_param(g, i), d, block, torch, n);
}

dmc_status dmc__params_get(const dmc__graph *g, dmc__device *d, const void *block, dmc__parid i, float *torch, size_t n)
{
    return dmc__params_get_spec(dmc__graph_param(g, i), d, block, torch, n);
}

static const size_t most_elems = (size_t)1 << 30; /* an op's sizes are int32 */

dmc_status dmc__params_narrow(dmc__device *d, const void *block, size_t n, int32_t type, void *half)
{
    for (size_t done = 0; done < n; done += most_elems) {
        const size_t part = n - done < most_elems ? n - done : most_elems;
        dmc_kargs k = {.in = {dmc__dev_at(d, block, done)},
                       .out = (uint16_t *)half + done,
                       .dim = {(int32_t)part, type}};
        DMC_TRY(dmc__dev_run(d, DMC_OP_NARROW, &k));
    }
    return DMC_OK;
}

dmc_status dmc__params_zero(dmc__device *d, void *p, size_t n)
{
    for (size_t done = 0; done < n; done += most_elems) {
        const size_t part = n - done < most_elems ? n - done : most_elems;
        dmc_kargs k = {.out = dmc__dev_at(d, p, done), .dim = {(int32_t)part}};
        DMC_TRY(dmc__dev_run(d, DMC_OP_FILL, &k));
    }
    return DMC_OK;
}

/* ---- initial values --------------------------------------------------------------------------------- */

static double draw_initial(const dmc__param_spec *spec, const dmc__stream *s, uint32_t j)
{
    switch (spec->init) {
    case DMC__INIT_ONE: return 1;
    case DMC__INIT_UNIFORM: return spec->scale * (2 * dmc__rng_uniform(s, j) - 1);
    case DMC__INIT_NORMAL: return spec->scale * dmc__rng_normal(s, j);
    default: return 0;
    }
}

/* Gram-Schmidt, twice for accuracy, over the shorter side of (rows, columns) normals: `vectors` of length `length`, whose
 * elements are `step` apart and which begin `next` apart. */
static void orthonormalise(double *x, size_t vectors, size_t length, size_t next, size_t step)
{
    for (size_t i = 0; i < vectors; i++) {
        double *const v = x + i * next;
        for (size_t pass = 0; pass < 2; pass++)
            for (size_t j = 0; j < i; j++) {
                const double *const u = x + j * next;
                double dot = 0;
                for (size_t k = 0; k < length; k++) dot += u[k * step] * v[k * step];
                for (size_t k = 0; k < length; k++) v[k * step] -= dot * u[k * step];
            }
        double square = 0;
        for (size_t k = 0; k < length; k++) square += v[k * step] * v[k * step];
        for (size_t k = 0; k < length; k++) v[k * step] /= sqrt(square);
    }
}

/* As torch.nn.init.orthogonal_: the matrix is (Co, the rest). */
static dmc_status draw_orthogonal(const dmc__param_spec *spec, const dmc__allocator *a, const dmc__stream *s, float *torch)
{
    const size_t rows = (size_t)spec->shape[0], columns = spec->size / rows;
    double *x;
    DMC_TRY(DMC_NEW(a, spec->size, &x));
    for (size_t j = 0; j < spec->size; j++) x[j] = dmc__rng_normal(s, (uint32_t)j);
    if (rows <= columns) orthonormalise(x, rows, columns, columns, 1);
    else orthonormalise(x, columns, rows, 1, columns);
    for (size_t j = 0; j < spec->size; j++) torch[j] = (float)(spec->scale * x[j]);
    DMC_FREE(a, x, spec->size);
    return DMC_OK;
}

static dmc_status draw_all(const dmc__param_spec *spec, const dmc__allocator *a, const dmc__stream *s, float *torch)
{
    if (spec->init == DMC__INIT_ORTHOGONAL) return draw_orthogonal(spec, a, s, torch);
    for (size_t j = 0; j < spec->size; j++) torch[j] = (float)draw_initial(spec, s, (uint32_t)j);
    return DMC_OK;
}

dmc_status dmc__params_init_spec(const dmc__param_spec *spec, dmc__device *d, const dmc__stream *s, void *block)
{
    float *torch = NULL;
    DMC_TRY(DMC_NEW(d->alloc, spec->size, &torch));
    dmc_status status = draw_all(spec, d->alloc, s, torch);
    if (status >= 0) status = dmc__params_set_spec(spec, d, block, torch, spec->size);
    DMC_FREE(d->alloc, torch, spec->size);
    return status;
}

dmc_status dmc__params_init(const dmc__graph *g, dmc__device *d, uint64_t seed, void *block)
{
    for (dmc__parid i = 0; i < dmc__graph_param_count(g); i++) {
        const dmc__stream s = {.seed = seed, .purpose = DMC_STREAM_INIT, .sample = (uint64_t)i};
        DMC_TRY(dmc__params_init_spec(dmc__graph_param(g, i), d, &s, block));
    }
    return DMC_OK;
}

/* ---- growing ---------------------------------------------------------------------------------------- */

/* Where a parameter of the grown network comes from. */
typedef struct grow_step {
    dmc__device *device;
    const dmc__param_spec *old, *new; /* old NULL: the small network has no such layer */
    const void *from;
    void *to;
} grow_step;

/* W' = [W | 0]: of every tap, the old input channels first and zeros behind. */
static dmc_status copy_grown(const grow_step *s)
{
    const weight_dims o = stored_dims(s->old), n = stored_dims(s->new);
    const void *from = dmc__dev_at(s->device, s->from, s->old->offset);
    void *to = dmc__dev_at(s->device, s->to, s->new->offset);
    const size_t old_tap = (size_t)o.ci * (size_t)o.co, new_tap = (size_t)n.ci * (size_t)n.co;
    DMC_TRY(dmc__params_zero(s->device, to, s->new->size));
    for (int32_t t = 0; t < n.k; t++)
        DMC_TRY(dmc__dev_copy(s->device, dmc__dev_at(s->device, to, (size_t)t * new_tap),
                              dmc__dev_at(s->device, from, (size_t)t * old_tap), old_tap));
    return DMC_OK;
}

static int32_t ends_with(const char *s, const char *tail)
{
    const size_t n = strlen(s), m = strlen(tail);
    return n >= m && strcmp(s + n - m, tail) == 0;
}

/* A residual path that was the identity because its widths agreed is a 1x1 convolution in the grown network: [I | 0]. */
static dmc_status make_identity(const grow_step *s)
{
    const weight_dims n = stored_dims(s->new);
    void *to = dmc__dev_at(s->device, s->to, s->new->offset);
    const float one = 1;
    DMC_TRY(dmc__params_zero(s->device, to, s->new->size));
    if (s->new->layout == DMC__LAYOUT_PLAIN) return DMC_OK; /* its bias */
    for (int32_t c = 0; c < n.co; c++)
        DMC_TRY(dmc__dev_in(s->device, dmc__dev_at(s->device, to, (size_t)c * (size_t)(n.co + 1)), &one, 1));
    return DMC_OK;
}

static int32_t same_order(const dmc__param_spec *a, const dmc__param_spec *b)
{
    return a->layout == b->layout && a->flat_t == b->flat_t && a->flat_c == b->flat_c;
}

static int32_t same_shape(const dmc__param_spec *a, const dmc__param_spec *b)
{
    if (a->rank != b->rank || !same_order(a, b)) return 0;
    for (int32_t i = 0; i < a->rank; i++)
        if (a->shape[i] != b->shape[i]) return 0;
    return 1;
}

static int32_t only_input_grew(const dmc__param_spec *old, const dmc__param_spec *new)
{
    if (!same_order(old, new) || new->layout == DMC__LAYOUT_PLAIN) return 0;
    const weight_dims o = stored_dims(old), n = stored_dims(new);
    return o.k == n.k && o.co == n.co && o.ci < n.ci;
}

static int32_t replaces_identity(const dmc__param_spec *new)
{
    if (ends_with(new->name, "residual_conv.bias")) return 1;
    return ends_with(new->name, "residual_conv.weight") && new->shape[2] == 1 && new->shape[1] > new->shape[0];
}

static dmc_status grow_one(const grow_step *s)
{
    dmc__device *d = s->device;
    if (!s->old) {
        if (replaces_identity(s->new)) return make_identity(s);
        return dmc__fail(DMC_ESHAPE, "dmc__params_grow: the smaller network has no %s", s->new->name);
    }
    if (same_shape(s->old, s->new))
        return dmc__dev_copy(d, dmc__dev_at(d, s->to, s->new->offset), dmc__dev_at(d, s->from, s->old->offset),
                             s->new->size);
    if (only_input_grew(s->old, s->new)) return copy_grown(s);
    return dmc__fail(DMC_ESHAPE, "dmc__params_grow: %s (%d,%d,%d) does not continue (%d,%d,%d)", s->new->name,
                     s->new->shape[0], s->new->shape[1], s->new->shape[2], s->old->shape[0], s->old->shape[1],
                     s->old->shape[2]);
}

dmc_status dmc__params_grow(const dmc__graph *small, const void *from, const dmc__graph *grown, dmc__device *d, void *to)
{
    for (dmc__parid i = 0; i < dmc__graph_param_count(small); i++) {
        const char *name = dmc__graph_param(small, i)->name;
        if (dmc__graph_find_param(grown, name) < 0)
            return dmc__fail(DMC_ESHAPE, "dmc__params_grow: the grown network has no %s", name);
    }
    for (dmc__parid i = 0; i < dmc__graph_param_count(grown); i++) {
        const dmc__param_spec *new = dmc__graph_param(grown, i);
        const dmc__parid j = dmc__graph_find_param(small, new->name);
        const grow_step s = {d, j < 0 ? NULL : dmc__graph_param(small, j), new, from, to};
        DMC_TRY(grow_one(&s));
    }
    return DMC_OK;
}
