/* api_sampler.c — making a dmc_sampler and asking it about its last answer, and dmc_evaluate. */
#include <stddef.h>
#include <string.h>

#include "../base/fixed_alloc.h"
#include "../base/fp_mode.h"
#include "../config/number_list.h"
#include "handles.h"

static dmc_status check_critic(const dmc_model *m, const dmc_critic *critic)
{
    if (critic->obs.n != m->obs.n || critic->act.n != m->act.n)
        return dmc__fail(DMC_ESHAPE,
                         "dmc_sampler_create: the critic is for observations of %d and actions of %d, the model for %d and %d",
                         critic->obs.n, critic->act.n, m->obs.n, m->act.n);
    return DMC_OK;
}

_Static_assert((int)DMC_WEIGHTS_BF16 == (int)DMC_WEIGHT_BF16 && (int)DMC_WEIGHTS_FP16 == (int)DMC_WEIGHT_FP16,
               "kernels number them alike");

static dmc__table_config table_config(const dmc_sampler_options *t)
{
    return (dmc__table_config){.sampler = t->sampler, .grid = t->grid, .steps = t->steps, .eta = t->eta,
                               .std_floor = t->std_floor, .rho = t->rho, .churn = t->churn, .churn_min = t->churn_min,
                               .churn_max = t->churn_max, .churn_noise = t->churn_noise, .sde_noise = t->sde_noise,
                               .step_noise = t->step_noise, .jump = t->jump, .jumps = t->jumps, .compat = t->table_compat};
}

enum { LONGEST_LIST = 1000 };

/* Numbers that options give as text; read while the sampler is made. */
typedef struct lists {
    double times[LONGEST_LIST], rotations[LONGEST_LIST], majorities[LONGEST_LIST];
} lists;

/* The places of a custom grid; as many as there are steps, or that many steps. */
static dmc_status take_times(const dmc_sampler_options *t, dmc__table_config *c, double *times)
{
    int32_t n;
    DMC_TRY(dmc__number_list(t->grid_times, "dmc_sampler_create: grid_times", LONGEST_LIST, times, &n));
    if (t->grid != DMC_GRID_CUSTOM && n > 0)
        return dmc__fail(DMC_EINVAL, "dmc_sampler_create: grid_times has %d numbers, but grid is not custom", n);
    if (t->grid == DMC_GRID_CUSTOM && (n == 0 || (t->steps > 0 && t->steps != n)))
        return dmc__fail(DMC_EINVAL, "dmc_sampler_create: grid_times has %d numbers and steps = %d: grid custom needs a number "
                         "per step (steps = 0: as many as there are)", n, t->steps);
    if (n > 0) c->steps = n, c->times = times;
    return DMC_OK;
}

static dmc_status take_columns(const char *text, const char *what, double *numbers, dmc__columns *c)
{
    c->first = numbers;
    return dmc__number_list(text, what, LONGEST_LIST, numbers, &c->n);
}

static dmc_status take_config(const dmc_sampler_options *t, lists *l, dmc__sampler_config *c)
{
    *c = (dmc__sampler_config){.table = table_config(t), .batch = t->batch, .candidates = t->candidates, .select = t->select,
                               .cascade_passes = t->cascade_passes, .temperature = t->temperature, .beta = t->beta,
                               .seed = t->seed, .warm_start = t->warm_start, .exec = t->exec, .weights = t->weights,
                               .horizon = t->horizon, .guide = t->guide, .guide_scale = t->guide_scale,
                               .guidance = t->guidance, .target_return = t->target_return};
    DMC_TRY(take_times(t, &c->table, l->times));
    DMC_TRY(take_columns(t->rotations, "dmc_sampler_create: rotations", l->rotations, &c->rotations));
    return take_columns(t->majorities, "dmc_sampler_create: majorities", l->majorities, &c->majorities);
}

/* The user's context, one like the model's, or a private one in the caller's block. */
static dmc_status hold_context(const dmc_sampler *s, const dmc__fixed_alloc *f, dmc_context *ctx, const dmc_model *m,
                               dmc__context_ref *out)
{
    *out = (dmc__context_ref){NULL, 1};
    if (f) return dmc__context_open_like(s->alloc, m->ref.ctx, &out->ctx);
    return ctx ? dmc__context_acquire(ctx, out) : dmc__context_share(&m->ref, out);
}

static dmc_status make_run(dmc_sampler *s, const dmc__context_ref *ref, const dmc_model *m, const dmc_sampler_parts *p,
                           const dmc__sampler_config *c)
{
    const dmc_critic *critic = p->critic;
    dmc__critic_map map;
    dmc__sampler_parts parts = {.value = p->value, .inverse = p->inverse};
    if (critic) {
        dmc__critic_make_map(critic, m, s->map, &map);
        dmc__critic_map_inverse(p->inverse, &map);
        parts.q = critic->iql;
        parts.q_map = &map;
    }
    return dmc__sampler_create(ref, m, &parts, c, &s->run);
}

dmc_status dmc_sampler_create(dmc_context *ctx, const dmc_model *m, const dmc_critic *critic, const dmc_sampler_options *o,
                              dmc_sampler **out)
{
    const dmc_sampler_parts parts = {.struct_size = sizeof parts, .critic = critic};
    return dmc_sampler_create_with(ctx, m, &parts, o, out);
}

static dmc_status take_parts(const dmc_model *m, const dmc_sampler_parts *from, dmc_sampler_parts *p)
{
    const uint32_t size = from ? from->struct_size : sizeof *p;
    *p = (dmc_sampler_parts){.struct_size = sizeof *p};
    if ((size != offsetof(dmc_sampler_parts, inverse) && size != sizeof *p) || (from && from->reserved0))
        return dmc__fail(DMC_EINVAL, "dmc_sampler_create_with: parts->struct_size = %u and reserved0 = %u, set them to sizeof "
                         "*parts = %zu and 0", size, from ? from->reserved0 : 0, sizeof *p);
    if (from) memcpy(p, from, size); /* callers of an earlier version have a shorter one */
    return p->critic ? check_critic(m, p->critic) : DMC_OK;
}

/* In the memory of s->alloc, which is that of f if there is one. */
static dmc_status fill(dmc_sampler *s, const dmc__fixed_alloc *f, dmc_context *ctx, const dmc_model *m,
                       const dmc_sampler_parts *p, const dmc_sampler_options *t)
{
    lists l;
    dmc__sampler_config c;
    dmc__context_ref ref;
    DMC_TRY(take_config(t, &l, &c));
    if (p->critic) {
        s->map_elems = 2 * ((size_t)p->critic->obs.n + (size_t)p->critic->act.n);
        DMC_TRY(DMC_NEW(s->alloc, s->map_elems, &s->map));
    }
    DMC_TRY(hold_context(s, f, ctx, m, &ref));
    return make_run(s, &ref, m, p, &c);
}

static dmc_status make_plainly(const dmc__allocator *a, const dmc__fixed_alloc *f, dmc_context *ctx, const dmc_model *m,
                               const dmc_sampler_parts *from, const dmc_sampler_options *o, dmc_sampler **out)
{
    dmc_sampler_options t;
    dmc_sampler_parts p;
    dmc_sampler *s;
    DMC_TRY(take_parts(m, from, &p));
    DMC_TRY(dmc__field_take(DMC_OPTIONS_SAMPLER, o, &t));
    DMC_TRY(DMC_NEW(a, 1, &s));
    s->alloc = a;
    const dmc_status status = fill(s, f, ctx, m, &p, &t);
    if (status < 0) dmc_sampler_destroy(s);
    else *out = s;
    return status;
}

/* Tables and maps are computed in the mode that answers are computed in. */
static dmc_status make(const dmc__allocator *a, const dmc__fixed_alloc *f, dmc_context *ctx, const dmc_model *m,
                       const dmc_sampler_parts *from, const dmc_sampler_options *o, dmc_sampler **out)
{
    const dmc__fp_mode host = dmc__fp_enter();
    const dmc_status status = make_plainly(a, f, ctx, m, from, o, out);
    dmc__fp_set(host);
    return status;
}

dmc_status dmc_sampler_create_with(dmc_context *ctx, const dmc_model *m, const dmc_sampler_parts *parts,
                                   const dmc_sampler_options *o, dmc_sampler **out)
{
    DMC_NEED("dmc_sampler_create", out);
    *out = NULL;
    DMC_NEED("dmc_sampler_create", m);
    const dmc__allocator *a = ctx ? &ctx->alloc : m->ref.owned ? &dmc__default_allocator : &m->ref.ctx->alloc;
    return make(a, NULL, ctx, m, parts, o, out);
}

dmc_status dmc_sampler_size(const dmc_model *m, const dmc_sampler_parts *parts, const dmc_sampler_options *o, size_t *bytes)
{
    dmc__fixed_alloc counter;
    dmc_sampler *s;
    DMC_NEED("dmc_sampler_size", bytes);
    *bytes = 0;
    DMC_NEED("dmc_sampler_size", m);
    dmc__fixed_count(&counter);
    DMC_TRY(make(&counter.allocator, &counter, NULL, m, parts, o, &s));
    dmc_sampler_destroy(s);
    *bytes = dmc__fixed_need(&counter);
    return DMC_OK;
}

/* Say how large the block should have been. */
static dmc_status too_small(const dmc_model *m, const dmc_sampler_parts *parts, const dmc_sampler_options *o, size_t size)
{
    size_t need;
    DMC_TRY(dmc_sampler_size(m, parts, o, &need));
    return dmc__fail(DMC_ENOMEM, "dmc_sampler_create_in: size = %zu, must be at least %zu (dmc_sampler_size)", size, need);
}

dmc_status dmc_sampler_create_in(const dmc_model *m, const dmc_sampler_parts *parts, const dmc_sampler_options *o, void *buffer,
                                 size_t size, dmc_sampler **out)
{
    DMC_NEED("dmc_sampler_create_in", out);
    *out = NULL;
    DMC_NEED("dmc_sampler_create_in", m);
    DMC_NEED("dmc_sampler_create_in", buffer);
    dmc__fixed_alloc *const f = dmc__fixed_open(buffer, size);
    const dmc_status status = f ? make(&f->allocator, f, NULL, m, parts, o, out) : DMC_ENOMEM;
    return status == DMC_ENOMEM ? too_small(m, parts, o, size) : status;
}

void dmc_sampler_destroy(dmc_sampler *s)
{
    if (!s) return;
    dmc__sampler_destroy(s->run);
    DMC_FREE(s->alloc, s->map, s->map_elems);
    DMC_FREE(s->alloc, s, 1);
}

static size_t elems_of(const dmc_sampler *s)
{
    return (size_t)dmc__sampler_horizon(s->run) * (size_t)dmc__sampler_model(s->run)->spec.net.cols;
}

/* No allocation and no lock: the names are few and short. */
dmc_status dmc_sampler_set_image(dmc_sampler *s, const char *camera, const uint8_t *pixels, size_t n)
{
    DMC_NEED("dmc_sampler_set_image", s);
    DMC_NEED("dmc_sampler_set_image", camera);
    DMC_NEED("dmc_sampler_set_image", pixels);
    const dmc__net_config *const c = &dmc__sampler_model(s->run)->spec.net;
    const size_t want = (size_t)dmc__sampler_get_config(s->run)->batch * (size_t)dmc__net_frame(c);
    int32_t i = 0;
    while (i < c->cameras && strcmp(c->camera[i], camera) != 0) i++;
    if (i == c->cameras)
        return dmc__fail(DMC_EKEY, "dmc_sampler_set_image: the model has no camera \"%.40s\"", camera);
    if (n != want)
        return dmc__fail(DMC_ESHAPE, "dmc_sampler_set_image: n = %zu, must be batch * h * w * c = %zu (%d x %d x %d)", n, want,
                         c->image_h, c->image_w, c->image_c);
    dmc__sampler_set_image(s->run, i, pixels);
    return DMC_OK;
}

dmc_status dmc_sampler_set_known(dmc_sampler *s, const uint8_t *mask, const float *values, size_t n)
{
    DMC_NEED("dmc_sampler_set_known", s);
    if (!mask) return dmc__sampler_set_known(s->run, NULL, NULL);
    DMC_NEED("dmc_sampler_set_known", values);
    const size_t want = (size_t)dmc__sampler_get_config(s->run)->batch * elems_of(s);
    if (n != want)
        return dmc__fail(DMC_ESHAPE, "dmc_sampler_set_known: n = %zu, must be batch * horizon * columns = %zu", n, want);
    return dmc__sampler_set_known(s->run, mask, values);
}

dmc_status dmc_sampler_get_info(const dmc_sampler *s, dmc_sampler_info *info)
{
    DMC_NEED("dmc_sampler_get_info", s);
    DMC_NEED("dmc_sampler_get_info", info);
    const uint32_t size = info->struct_size;
    if (size < offsetof(dmc_sampler_info, planned) || size > sizeof *info)
        return dmc__fail(DMC_EINVAL, "dmc_sampler_get_info: info->struct_size = %u, set it to sizeof *info = %zu", size,
                         sizeof *info);
    const dmc__sampler_facts *f = dmc__sampler_get_facts(s->run);
    const dmc_sampler_info all = {.struct_size = size, .steps = f->steps, .chosen = f->chosen, .clamped = f->clamped,
                               .q = f->q, .nanoseconds = f->nanoseconds, .planned = f->planned, .held = f->held,
                               .partial = f->partial, .call = f->call, .seed = f->seed, .calls = f->calls,
                               .partials = f->partials, .holds = f->holds, .clampings = f->clampings,
                               .longest_step = f->longest_step};
    memcpy(info, &all, size); /* callers of an earlier version have a shorter one */
    return DMC_OK;
}

dmc_status dmc_sampler_plan(const dmc_sampler *s, int32_t b, float *out, size_t n)
{
    DMC_NEED("dmc_sampler_plan", s);
    DMC_NEED("dmc_sampler_plan", out);
    const int32_t batch = dmc__sampler_get_config(s->run)->batch;
    if (b < 0 || b >= batch) return dmc__fail(DMC_ERANGE, "dmc_sampler_plan: b = %d, must be 0..%d", b, batch - 1);
    if (n != elems_of(s)) return dmc__fail(DMC_ESHAPE, "dmc_sampler_plan: n = %zu, must be horizon * columns = %zu", n,
                                           elems_of(s));
    memcpy(out, dmc__sampler_chosen(s->run, b), n * sizeof *out);
    return DMC_OK;
}

dmc_status dmc_sampler_candidates(const dmc_sampler *s, float *out, size_t n)
{
    DMC_NEED("dmc_sampler_candidates", s);
    DMC_NEED("dmc_sampler_candidates", out);
    if (dmc__sampler_is_open(s->run))
        return dmc__fail(DMC_ESTATE, "dmc_sampler_candidates: an answer was begun and is not finished");
    const dmc__sampler_config *c = dmc__sampler_get_config(s->run);
    const size_t want = (size_t)c->batch * (size_t)c->candidates * elems_of(s);
    if (n != want)
        return dmc__fail(DMC_ESHAPE, "dmc_sampler_candidates: n = %zu, must be batch * candidates * horizon * columns = %zu", n,
                         want);
    dmc__sampler_candidates(s->run, out);
    return DMC_OK;
}

dmc_status dmc_sampler_reset(dmc_sampler *s, uint64_t seed)
{
    DMC_NEED("dmc_sampler_reset", s);
    dmc__sampler_reset(s->run, seed);
    return DMC_OK;
}

dmc_status dmc_sampler_rebind(dmc_sampler *s, const dmc_model *m)
{
    DMC_NEED("dmc_sampler_rebind", s);
    DMC_NEED("dmc_sampler_rebind", m);
    return dmc__sampler_rebind(s->run, m);
}

size_t dmc_sampler_memory(const dmc_sampler *s)
{
    return s ? sizeof *s + s->map_elems * sizeof(float) + dmc__sampler_bytes(s->run) : 0;
}

/* What a dmc_env of the first version held. */
enum { DMC_ENV_LEAST = offsetof(dmc_env, step) + sizeof(((dmc_env *)0)->step) };

dmc_status dmc__take_env(const char *function, const dmc_env *env, dmc__env *out)
{
    dmc_env e = {0};
    if (!env) return dmc__fail(DMC_EINVAL, "%s: env is NULL", function);
    if (env->struct_size < DMC_ENV_LEAST || env->struct_size > sizeof e)
        return dmc__fail(DMC_EINVAL, "%s: env->struct_size = %u, set it to sizeof *env = %zu", function, env->struct_size,
                         sizeof e);
    memcpy(&e, env, env->struct_size); /* callers of an earlier version have a shorter one */
    if (!e.reset || !e.step) return dmc__fail(DMC_EINVAL, "%s: env->%s is NULL", function, e.reset ? "step" : "reset");
    *out = (dmc__env){e.obs_dim, e.act_dim, e.max_steps, e.count, e.user, e.reset, e.step};
    return DMC_OK;
}

_Static_assert((int)DMC_DONE_CUT == (int)DMC__DONE_CUT, "one number");

dmc_status dmc_evaluate(dmc_sampler *s, const dmc_env *env, int32_t episodes, int32_t exec, uint64_t first_seed, uint64_t seed,
                        double *returns)
{
    dmc__env e;
    DMC_NEED("dmc_evaluate", s);
    DMC_NEED("dmc_evaluate", returns);
    DMC_TRY(dmc__take_env("dmc_evaluate", env, &e));
    return dmc__evaluate(s->run, &e, episodes, exec, first_seed, seed, returns);
}

dmc_status dmc_collect(dmc_sampler *s, const dmc_env *env, dmc_replay *r, int32_t episodes, int32_t exec, uint64_t first_seed,
                       uint64_t seed, double *returns)
{
    dmc__env e;
    DMC_NEED("dmc_collect", s);
    DMC_NEED("dmc_collect", r);
    DMC_NEED("dmc_collect", returns);
    DMC_TRY(dmc__take_env("dmc_collect", env, &e));
    return dmc__collect(s->run, &e, &r->x, episodes, exec, first_seed, seed, returns);
}
