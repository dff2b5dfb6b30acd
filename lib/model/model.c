/* model.c — making, copying and freeing models. */
#include "model.h"

#include "../nn/params.h"

/* ---- roles ------------------------------------------------------------------------------------------ */

static const char *const roles[] = {"policy", "planner", "value", "inverse"};

static dmc_status check_role(const dmc__model_spec *s)
{
    const int32_t regresses = s->role >= DMC__ROLE_VALUE, kind = s->net.kind;
    const char *const name = dmc__net_name(kind);
    if (!name) return dmc__fail(DMC_ERANGE, "model: network = %d is not known", kind);
    if (regresses != dmc__net_regresses(kind) || (s->role == DMC__ROLE_INVERSE) != (kind == DMC__NET_INVERSE_MLP))
        return dmc__fail(DMC_EINVAL, "model: network = %s does not suit role = %s; %s", name, roles[s->role],
                         s->role == DMC__ROLE_INVERSE ? "inverse_mlp does"
                         : regresses ? "unet1d_half and dit1d_half do" : "that takes a network that draws samples");
    if (s->role == DMC__ROLE_INVERSE && s->net.horizon != 2)
        return dmc__fail(DMC_ERANGE, "model: horizon = %d, role = inverse takes 2: a state and the next", s->net.horizon);
    return DMC_OK;
}

_Static_assert((int)DMC__MAX_CAMERAS == (int)DMC__IMAGES_MOST && (int)DMC__CAMERA_NAME == (int)DMC__IMAGES_NAME,
               "a network's cameras are a dataset's");

/* Width of a policy's condition. */
static dmc_status fit_condition(dmc__model_spec *s, int32_t obs_dim)
{
    const int64_t row = (int64_t)obs_dim + (int64_t)s->net.cameras * dmc__net_frame(&s->net), most = 1 << 24;
    if (row > most / s->n_obs)
        return dmc__fail(DMC_ERANGE, "model: n_obs = %d observations of %lld numbers, frames included, must be at most %lld in all",
                         s->n_obs, (long long)row, (long long)most);
    s->net.cond = s->n_obs * (int32_t)row;
    if (s->memory != 0 && (!(s->memory > 0 && s->memory < 1) || s->role != DMC__ROLE_POLICY || s->n_obs < 2))
        return dmc__fail(DMC_EINVAL, "model: memory = %g with role = %s and n_obs = %d, must be 0, or below 1 with a policy of at "
                         "least 2 observations", s->memory, roles[s->role], s->n_obs);
    return DMC_OK;
}

/* A planner's condition is (return, 1). */
static dmc_status fit_returns(dmc__model_spec *s)
{
    s->net.cond = 0;
    if (!s->returns) return DMC_OK;
    if (s->role != DMC__ROLE_PLANNER)
        return dmc__fail(DMC_EINVAL, "model: returns = 1 takes role = planner, role = %s", roles[s->role]);
    if (!(s->return_max > s->return_min))
        return dmc__fail(DMC_EINVAL, "model: returns = 1, but all returns of the data are %g: there is nothing to ask for",
                         s->return_min);
    s->net.cond = 2;
    return DMC_OK;
}

/* A plan of states says nothing before it has two: an action leads from one to the next. */
static dmc_status fit_states(const dmc__model_spec *s)
{
    if (!s->states_only) return DMC_OK;
    if (s->role != DMC__ROLE_PLANNER && s->role != DMC__ROLE_VALUE)
        return dmc__fail(DMC_EINVAL, "model: states_only = 1 takes role = planner or value, role = %s", roles[s->role]);
    if (s->net.horizon < 2)
        return dmc__fail(DMC_ERANGE, "model: horizon = %d, states_only = 1 takes at least 2: an action leads from a state to the "
                         "next", s->net.horizon);
    return DMC_OK;
}

dmc_status dmc__model_spec_fit(dmc__model_spec *s, int32_t obs_dim, int32_t act_dim)
{
    DMC_TRY(check_role(s));
    if (dmc__net_sees(&s->net) && s->role != DMC__ROLE_POLICY)
        return dmc__fail(DMC_EINVAL, "model: an encoder of images takes role = policy, role = %s", roles[s->role]);
    DMC_TRY(fit_states(s));
    s->net.cols = (s->role == DMC__ROLE_POLICY ? 0 : obs_dim) + (s->role == DMC__ROLE_INVERSE || s->states_only ? 0 : act_dim);
    DMC_TRY(fit_returns(s));
    if (s->role == DMC__ROLE_POLICY) DMC_TRY(fit_condition(s, obs_dim));
    if (s->cond_dropout > 0 && s->net.cond == 0)
        return dmc__fail(DMC_EINVAL, "model: cond_dropout = %g, but a model of role = %s%s has no condition to leave out",
                         s->cond_dropout, roles[s->role], s->role == DMC__ROLE_PLANNER ? " without returns" : "");
    s->net.outputs = s->role == DMC__ROLE_VALUE ? 1 : s->role == DMC__ROLE_INVERSE ? act_dim : 0;
    return DMC_OK;
}

dmc_status dmc__model_draws(const dmc__model *m, const char *who)
{
    if (m->spec.role < DMC__ROLE_VALUE) return DMC_OK;
    return dmc__fail(DMC_EINVAL, "%s: a model of role = %s draws no samples, must be a policy or a planner", who,
                     roles[m->spec.role]);
}

dmc_status dmc__model_inverse_fits(const dmc__model *m, const dmc__model *inverse, const char *who)
{
    if (!m->spec.states_only && !inverse) return DMC_OK;
    if (!m->spec.states_only)
        return dmc__fail(DMC_EINVAL, "%s: inverse gives the actions of a planner of states only; this model has its own", who);
    if (!inverse)
        return dmc__fail(DMC_EINVAL, "%s: a planner of states only needs a model of role = inverse for its actions, inverse is "
                         "NULL", who);
    if (inverse->spec.role != DMC__ROLE_INVERSE)
        return dmc__fail(DMC_EINVAL, "%s: inverse must be a model of role = inverse, role = %s", who, roles[inverse->spec.role]);
    if (inverse->obs.n != m->obs.n || inverse->act.n != m->act.n)
        return dmc__fail(DMC_ESHAPE, "%s: the inverse model is for observations of %d and actions of %d, the model for %d and %d",
                         who, inverse->obs.n, inverse->act.n, m->obs.n, m->act.n);
    if (!dmc__normaliser_alike(&inverse->obs, &m->obs) || !dmc__normaliser_alike(&inverse->act, &m->act))
        return dmc__fail(DMC_EINVAL, "%s: the inverse model normalises its data otherwise than the model; give both the same data, "
                         "obs_norm and act_norm", who);
    return DMC_OK;
}

/* ---- making ----------------------------------------------------------------------------------------- */

static size_t weight_elems(const dmc__net *n)
{
    return n ? dmc__graph_param_elems(n->graph) : 0;
}

static dmc_status make_parts(dmc__model *m, const dmc__normaliser *obs, const dmc__normaliser *act)
{
    const dmc__allocator *a = &m->ref.ctx->alloc;
    DMC_TRY(dmc__normaliser_copy(a, obs, &m->obs));
    DMC_TRY(dmc__normaliser_copy(a, act, &m->act));
    DMC_TRY(dmc__process_create(a, &m->spec.process, &m->process));
    DMC_TRY(dmc__net_create(a, &m->spec.net, &m->net));
    return dmc__dev_alloc(m->ref.ctx->device, weight_elems(m->net), &m->weights);
}

dmc_status dmc__model_shell(const dmc__context_ref *share, dmc__context *ctx, const dmc__model_spec *spec,
                            const dmc__normaliser *obs, const dmc__normaliser *act, dmc__model **out)
{
    dmc__context_ref ref;
    dmc__model *m;
    *out = NULL;
    DMC_TRY(share ? dmc__context_share(share, &ref) : dmc__context_acquire(ctx, &ref));
    dmc_status status = DMC_NEW(&ref.ctx->alloc, 1, &m);
    if (status < 0) {
        dmc__context_release(&ref);
        return status;
    }
    m->ref = ref;
    m->spec = *spec;
    status = make_parts(m, obs, act);
    if (status < 0) dmc__model_destroy(m);
    else *out = m;
    return status;
}

dmc_status dmc__model_create(const dmc__context_ref *share, dmc__context *ctx, const dmc__model_spec *spec,
                             const dmc__normaliser *obs, const dmc__normaliser *act, uint64_t seed, dmc__model **out)
{
    DMC_TRY(dmc__model_shell(share, ctx, spec, obs, act, out));
    const dmc_status status = dmc__params_init((*out)->net->graph, (*out)->ref.ctx->device, seed, (*out)->weights);
    if (status < 0) {
        dmc__model_destroy(*out);
        *out = NULL;
    }
    return status;
}

void dmc__model_destroy(dmc__model *m)
{
    if (!m) return;
    dmc__context_ref ref = m->ref;
    dmc__dev_free(ref.ctx->device, m->cascade_weights, weight_elems(m->cascade));
    dmc__dev_free(ref.ctx->device, m->weights, weight_elems(m->net));
    dmc__net_destroy(m->cascade);
    dmc__net_destroy(m->net);
    dmc__process_free(&m->process);
    dmc__normaliser_free(&m->act);
    dmc__normaliser_free(&m->obs);
    DMC_FREE(&ref.ctx->alloc, m, 1);
    dmc__context_release(&ref);
}

static size_t normaliser_bytes(const dmc__normaliser *n)
{
    return 4 * (size_t)n->n * sizeof *n->shift;
}

size_t dmc__model_bytes(const dmc__model *m)
{
    const size_t elems = weight_elems(m->net) + weight_elems(m->cascade);
    return sizeof *m + normaliser_bytes(&m->obs) + normaliser_bytes(&m->act) + dmc__process_bytes(&m->process) +
           dmc__net_bytes(m->net) + dmc__net_bytes(m->cascade) + elems * m->ref.ctx->device->backend->elem +
           dmc__context_bytes(&m->ref);
}

static dmc_status copy_cascade(dmc__model *m, const dmc__net *cascade, const void *weights)
{
    const size_t n = weight_elems(cascade);
    if (!cascade) return DMC_OK;
    DMC_TRY(dmc__net_create(&m->ref.ctx->alloc, &cascade->config, &m->cascade));
    DMC_TRY(dmc__dev_alloc(m->ref.ctx->device, n, &m->cascade_weights));
    return dmc__dev_copy(m->ref.ctx->device, m->cascade_weights, weights, n);
}

dmc_status dmc__model_derive(const dmc__model *m, const void *weights, const dmc__net *cascade, const void *cascade_weights,
                             dmc__model **out)
{
    DMC_TRY(dmc__model_shell(&m->ref, NULL, &m->spec, &m->obs, &m->act, out));
    dmc_status status = dmc__dev_copy(m->ref.ctx->device, (*out)->weights, weights, weight_elems(m->net));
    if (status >= 0) status = copy_cascade(*out, cascade, cascade_weights);
    if (status >= 0) status = dmc__dev_sync(m->ref.ctx->device);
    if (status < 0) {
        dmc__model_destroy(*out);
        *out = NULL;
    }
    return status;
}

dmc__view dmc__model_view(const dmc__model *m, const dmc__trajectories *data)
{
    const dmc__net_config *const n = &m->spec.net;
    dmc__view v = {.data = data, .obs = &m->obs, .act = &m->act,
                   .planner = m->spec.role == DMC__ROLE_PLANNER || m->spec.role == DMC__ROLE_VALUE,
                   .states_only = m->spec.states_only, .horizon = n->horizon, .n_obs = m->spec.n_obs,
                   .memory = m->spec.memory, .returns = m->spec.returns,
                   .discount = m->spec.discount, .return_min = m->spec.return_min, .return_max = m->spec.return_max};
    if (!dmc__net_sees(n)) return v;
    v.cameras = n->cameras;
    v.frame = dmc__net_frame(n);
    for (int32_t i = 0; i < v.cameras; i++) v.camera[i] = data ? dmc__images_find(&data->images, n->camera[i]) : i;
    return v;
}

static dmc_status check_cameras(const dmc__net_config *n, const dmc__images *have, const char *who)
{
    for (int32_t i = 0; i < n->cameras; i++)
        if (dmc__images_find(have, n->camera[i]) < 0)
            return dmc__fail(DMC_ESHAPE, "%s: the data have no images of camera \"%s\", which the model sees by", who,
                             n->camera[i]);
    if (have->h == n->image_h && have->w == n->image_w && have->c == n->image_c) return DMC_OK;
    return dmc__fail(DMC_ESHAPE, "%s: the data have images (%d,%d,%d), the model wants (%d,%d,%d)", who, have->h, have->w, have->c,
                     n->image_h, n->image_w, n->image_c);
}

dmc_status dmc__model_fits(const dmc__model *m, const dmc__trajectories *data, const char *who)
{
    if (data->obs_dim != m->obs.n || data->act_dim != m->act.n)
        return dmc__fail(DMC_ESHAPE, "%s: the data have observations of %d and actions of %d, the model wants %d and %d", who,
                         data->obs_dim, data->act_dim, m->obs.n, m->act.n);
    return dmc__net_sees(&m->spec.net) ? check_cameras(&m->spec.net, &data->images, who) : DMC_OK;
}
