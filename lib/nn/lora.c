/* lora.c — which weights are adapted, where their factors live, and the two products that tie them to the weights. */
#include "lora.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* One adapted weight. Stored A (R,r) and B (r,Co) are the stored orders of PyTorch's (r,Ci[,k[,k]]) and (Co,r), so both
 * are parameter specs like any other; their offsets are into the factor block. */
typedef struct adapter {
    char name[DMC__NAME_MAX];
    dmc__param_spec a, b;
    size_t weight; /* offset of the weight in the parameter block */
    dmc_kargs op;  /* LORA prepared: dim R Co r, attr s           */
} adapter;

struct dmc__lora {
    const dmc__allocator *alloc;
    dmc__device *device;
    int32_t count, params;
    adapter *layer; /* (count) */
    uint8_t *mask;  /* (params) */
    size_t elems;   /* of the factor block */
    void *factors;
    void *scratch;
    size_t scratch_elems, weight_elems;
};

/* ---- names ------------------------------------------------------------------------------------------ */

/* Does the pattern p[0..n) with `*` match the whole of s? Greedy with one point of return: the last star. */
static int32_t pattern_matches(const char *p, size_t n, const char *s)
{
    size_t i = 0, star = n;
    const char *retry = s;
    while (*s) {
        if (i < n && p[i] == '*') {
            star = i++;
            retry = s;
        } else if (i < n && p[i] == *s) {
            i++;
            s++;
        } else if (star < n) {
            i = star + 1;
            s = ++retry;
        } else {
            return 0;
        }
    }
    while (i < n && p[i] == '*') i++;
    return i == n;
}

/* Comma-separated list, blanks around the commas ignored; an empty list matches everything. */
static int32_t list_matches(const char *patterns, const char *name)
{
    if (!patterns || !*patterns) return 1;
    for (const char *p = patterns;; p++) {
        p += strspn(p, " ");
        const size_t length = strcspn(p, ",");
        size_t n = length;
        while (n > 0 && p[n - 1] == ' ') n--;
        if (n > 0 && pattern_matches(p, n, name)) return 1;
        p += length;
        if (!*p) return 0;
    }
}

/* The layer's name: that of the weight without ".weight" (attention: "in_proj_weight" is "in_proj"). 0 if this is not a
 * weight that can be adapted. */
static int32_t layer_name(const dmc__param_spec *w, char name[DMC__NAME_MAX])
{
    static const char tail[] = "weight";
    const size_t n = strlen(w->name), m = sizeof tail; /* and the sign in front */
    if (w->layout == DMC__LAYOUT_PLAIN || n <= m || strcmp(w->name + n - m + 1, tail) != 0) return 0;
    if (w->name[n - m] != '.' && w->name[n - m] != '_') return 0;
    snprintf(name, DMC__NAME_MAX, "%.*s", (int)(n - m), w->name);
    return 1;
}

/* ---- making ----------------------------------------------------------------------------------------- */

static size_t round_up_16(size_t n)
{
    return (n + 15u) & ~(size_t)15u;
}

/* Name and size of a factor whose shape is set. */
static void finish_factor(dmc__param_spec *s, const char *layer, const char *which)
{
    snprintf(s->name, sizeof s->name, "%.*s.%s", DMC__NAME_MAX - 10, layer, which);
    s->size = 1;
    for (int32_t i = 0; i < s->rank; i++) s->size *= (size_t)s->shape[i];
}

/* Shapes of A and B for weight w; a transposed convolution's A is (r,Ci,k) too. Offsets come later. */
static void describe_factors(const dmc__param_spec *w, int32_t rank, double alpha, adapter *a)
{
    const int32_t linear = w->layout == DMC__LAYOUT_LINEAR, transposed = w->layout == DMC__LAYOUT_CONVT;
    const int32_t square = w->layout == DMC__LAYOUT_CONV2D;
    const int32_t k = linear ? 1 : square ? w->shape[2] * w->shape[3] : w->shape[2];
    const int32_t ci = transposed ? w->shape[0] : w->shape[1], co = transposed ? w->shape[1] : w->shape[0];
    const int32_t rows = k * ci, most = rows < co ? rows : co, r = rank < most ? rank : most;
    a->weight = w->offset;
    a->a = (dmc__param_spec){
        .rank = w->rank,
        .shape = {r, ci, linear ? 0 : w->shape[2], square ? w->shape[3] : 0},
        .layout = linear || square ? w->layout : DMC__LAYOUT_CONV,
        .flat_t = w->flat_t,
        .flat_c = w->flat_c,
        .init = DMC__INIT_UNIFORM,
        .scale = 1 / sqrt(rows),
    };
    a->b = (dmc__param_spec){.rank = 2, .shape = {co, r}, .layout = DMC__LAYOUT_LINEAR, .init = DMC__INIT_ZERO};
    finish_factor(&a->a, a->name, "lora_A");
    finish_factor(&a->b, a->name, "lora_B");
    a->op = (dmc_kargs){.dim = {rows, co, r}, .attr = {alpha / r}};
}

/* Count the layers the patterns choose and, if there is room for them, describe them and mark their weights. */
static int32_t choose_layers(const dmc__graph *g, int32_t rank, double alpha, const char *patterns, dmc__lora *l)
{
    int32_t count = 0;
    char name[DMC__NAME_MAX];
    for (dmc__parid i = 0; i < l->params; i++) {
        const dmc__param_spec *w = dmc__graph_param(g, i);
        if (!dmc__graph_param_learns(g, i) || !layer_name(w, name) || !list_matches(patterns, name)) continue;
        if (l->layer) {
            memcpy(l->layer[count].name, name, sizeof name);
            describe_factors(w, rank, alpha, &l->layer[count]);
            l->mask[i] = 1;
        }
        count++;
    }
    return count;
}

/* Offsets of all factors, then what the op needs on this device for every layer. */
static dmc_status lay_out(dmc__lora *l)
{
    size_t scratch = 0;
    for (int32_t i = 0; i < l->count; i++) {
        adapter *a = &l->layer[i];
        a->a.offset = l->elems;
        a->b.offset = a->a.offset + round_up_16(a->a.size);
        l->elems = a->b.offset + round_up_16(a->b.size);
        dmc_op_need need = {0};
        DMC_TRY(dmc__dev_prepare(l->device, DMC_OP_LORA, &a->op, &need));
        if (need.scratch_fwd > scratch) scratch = need.scratch_fwd;
        if (need.scratch_bwd > scratch) scratch = need.scratch_bwd;
    }
    const size_t elem = l->device->backend->elem;
    l->scratch_elems = (scratch + elem - 1) / elem;
    DMC_TRY(dmc__dev_alloc(l->device, l->scratch_elems, &l->scratch));
    return dmc__dev_alloc(l->device, l->elems, &l->factors);
}

/* A random, B zero: the adapter starts as nothing. Step 1 of the stream: step 0 is the network's own start. */
static dmc_status draw_factors(dmc__lora *l, uint64_t seed)
{
    for (int32_t i = 0; i < l->count; i++) {
        const dmc__stream s = {.seed = seed, .purpose = DMC_STREAM_INIT, .step = 1, .sample = (uint64_t)i};
        DMC_TRY(dmc__params_init_spec(&l->layer[i].a, l->device, &s, l->factors));
    }
    return DMC_OK;
}

static dmc_status fill_lora(dmc__lora *l, const dmc__graph *g, int32_t rank, double alpha, const char *patterns,
                            uint64_t seed)
{
    l->params = dmc__graph_param_count(g);
    l->weight_elems = dmc__graph_param_elems(g);
    l->count = choose_layers(g, rank, alpha, patterns, l);
    if (l->count == 0)
        return dmc__fail(DMC_EKEY, "dmc__lora_create: lora_targets \"%s\" match no linear or convolution weight",
                         patterns ? patterns : "");
    DMC_TRY(DMC_NEW(l->alloc, l->params, &l->mask));
    DMC_TRY(DMC_NEW(l->alloc, l->count, &l->layer));
    choose_layers(g, rank, alpha, patterns, l);
    DMC_TRY(lay_out(l));
    return draw_factors(l, seed);
}

dmc_status dmc__lora_create(const dmc__graph *g, dmc__device *d, int32_t rank, double alpha, const char *patterns,
                            uint64_t seed, dmc__lora **out)
{
    *out = NULL;
    if (rank < 1) return dmc__fail(DMC_ERANGE, "dmc__lora_create: lora_rank = %d, must be at least 1", rank);
    if (!isfinite(alpha) || alpha < 0)
        return dmc__fail(DMC_ERANGE, "dmc__lora_create: lora_alpha = %g, must be finite and at least 0", alpha);
    dmc__lora *l = NULL;
    DMC_TRY(DMC_NEW(d->alloc, 1, &l));
    l->alloc = d->alloc;
    l->device = d;
    const dmc_status status = fill_lora(l, g, rank, alpha, patterns, seed);
    if (status < 0) {
        dmc__lora_destroy(l);
        return status;
    }
    *out = l;
    return DMC_OK;
}

void dmc__lora_destroy(dmc__lora *l)
{
    if (!l) return;
    dmc__dev_free(l->device, l->factors, l->elems);
    dmc__dev_free(l->device, l->scratch, l->scratch_elems);
    DMC_FREE(l->alloc, l->layer, l->count);
    DMC_FREE(l->alloc, l->mask, l->params);
    DMC_FREE(l->alloc, l, 1);
}

/* ---- using ------------------------------------------------------------------------------------------ */

size_t dmc__lora_elems(const dmc__lora *l)
{
    return l->elems;
}

void *dmc__lora_factors(const dmc__lora *l)
{
    return l->factors;
}

const uint8_t *dmc__lora_train_mask(const dmc__lora *l)
{
    return l->mask;
}

/* The prepared op of layer i with its factors and scratch filled in. */
static dmc_kargs layer_op(const dmc__lora *l, int32_t i)
{
    const adapter *a = &l->layer[i];
    dmc_kargs k = a->op;
    k.par[0] = dmc__dev_at(l->device, l->factors, a->a.offset);
    k.par[1] = dmc__dev_at(l->device, l->factors, a->b.offset);
    k.scratch = l->scratch;
    return k;
}

dmc_status dmc__lora_merge(const dmc__lora *l, const void *base, void *effective)
{
    dmc__device *d = l->device;
    DMC_TRY(dmc__dev_copy(d, effective, base, l->weight_elems));
    for (int32_t i = 0; i < l->count; i++) {
        dmc_kargs k = layer_op(l, i);
        k.in[0] = dmc__dev_at(d, base, l->layer[i].weight);
        k.out = dmc__dev_at(d, effective, l->layer[i].weight);
        DMC_TRY(dmc__dev_run(d, DMC_OP_LORA, &k));
    }
    return DMC_OK;
}

dmc_status dmc__lora_backward(const dmc__lora *l, const void *effective_grad, void *factor_grad)
{
    dmc__device *d = l->device;
    for (int32_t i = 0; i < l->count; i++) {
        const adapter *a = &l->layer[i];
        dmc_kargs k = layer_op(l, i);
        k.dout = dmc__dev_at(d, effective_grad, a->weight);
        k.dpar[0] = dmc__dev_at(d, factor_grad, a->a.offset);
        k.dpar[1] = dmc__dev_at(d, factor_grad, a->b.offset);
        DMC_TRY(dmc__dev_run_bwd(d, DMC_OP_LORA, &k));
    }
    return DMC_OK;
}

/* ---- files ------------------------------------------------------------------------------------------ */

int32_t dmc__lora_count(const dmc__lora *l)
{
    return l->count;
}

const char *dmc__lora_name(const dmc__lora *l, int32_t i)
{
    return l->layer[i].name;
}

void dmc__lora_shape(const dmc__lora *l, int32_t i, int32_t *rank_a, int32_t shape_a[DMC__MAX_RANK], int32_t shape_b[2])
{
    const adapter *a = &l->layer[i];
    *rank_a = a->a.rank;
    memcpy(shape_a, a->a.shape, sizeof a->a.shape);
    memcpy(shape_b, a->b.shape, 2 * sizeof *shape_b);
}

dmc_status dmc__lora_get(const dmc__lora *l, int32_t i, float *a, float *b)
{
    const adapter *x = &l->layer[i];
    DMC_TRY(dmc__params_get_spec(&x->a, l->device, l->factors, a, x->a.size));
    return dmc__params_get_spec(&x->b, l->device, l->factors, b, x->b.size);
}

dmc_status dmc__lora_set(dmc__lora *l, int32_t i, const float *a, const float *b)
{
    const adapter *x = &l->layer[i];
    DMC_TRY(dmc__params_set_spec(&x->a, l->device, l->factors, a, x->a.size));
    return dmc__params_set_spec(&x->b, l->device, l->factors, b, x->b.size);
}
