/* api_model.c — dmc_model: options to network, files, single evaluations, tensors by name. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../nn/params.h"
#include "handles.h"

/* "1,2,2,2" -> multipliers. */
static dmc_status parse_mult(const char *text, dmc__net_config *n)
{
    const char *p = text;
    for (n->levels = 0; *p; n->levels++) {
        int32_t v = 0;
        if (n->levels == DMC__MAX_LEVELS)
            return dmc__fail(DMC_ERANGE, "dmc_model_create: mult = \"%s\" has more than %d levels", text, DMC__MAX_LEVELS);
        while (*p >= '0' && *p <= '9' && v <= 64) v = 10 * v + (*p++ - '0');
        if (v < 1 || v > 64 || (*p && *p != ','))
            return dmc__fail(DMC_EPARSE, "dmc_model_create: mult = \"%s\", must be whole numbers 1..64 separated by commas", text);
        n->mult[n->levels] = v;
        if (*p == ',' && !*++p)
            return dmc__fail(DMC_EPARSE, "dmc_model_create: mult = \"%s\" ends with a comma", text);
    }
    if (n->levels == 0) return dmc__fail(DMC_EINVAL, "dmc_model_create: mult is empty, must name at least one level");
    return DMC_OK;
}

/* What an encoder of images sees: all cameras of the data. */
static dmc_status take_cameras(const dmc_model_options *o, const dmc__images *m, dmc__net_config *n)
{
    if (o->encoder < DMC_ENCODER_RESNET18) return DMC_OK;
    if (m->cameras == 0)
        return dmc__fail(DMC_EINVAL, "dmc_model_create: encoder = %s needs images, the data have no camera",
                         o->encoder == DMC_ENCODER_RESNET18 ? "resnet18" : "resnet18_keypoints");
    n->cameras = m->cameras;
    n->image_h = m->h;
    n->image_w = m->w;
    n->image_c = m->c;
    n->crop_h = o->crop_h ? o->crop_h : m->h;
    n->crop_w = o->crop_w ? o->crop_w : m->w;
    n->crop_random = o->crop_random;
    n->enc_width = o->enc_width;
    memcpy(n->camera, m->name, sizeof n->camera);
    return DMC_OK;
}

/* Embeddings of sines and cosines were made for a time that counts to 1000; Fourier features for one of about 1. */
static double seen_scale(const dmc_model_options *o)
{
    const int32_t counts = o->time_embed == DMC_TIME_POSITIONAL || o->time_embed == DMC_TIME_SINUSOIDAL;
    return counts && !(o->compat & DMC_COMPAT_RAW_TIME) ? 1000 : 1;
}

/* By itself a bound is set only where the data have one. */
static double clip_of(const dmc_model_options *o)
{
    const int32_t acts = o->states_only || o->act_norm == DMC_NORM_MINMAX;
    const int32_t bounded = acts && (o->role != DMC_ROLE_PLANNER || o->obs_norm == DMC_NORM_MINMAX);
    return o->clip < 0 ? bounded : o->clip;
}

static dmc__process_config process_of(const dmc_model_options *o)
{
    const int32_t native = o->process == DMC_PROCESS_EDM    ? DMC_PREDICT_EDM
                           : o->process == DMC_PROCESS_FLOW ? DMC_PREDICT_VELOCITY
                                                            : DMC_PREDICT_EPSILON;
    return (dmc__process_config){.kind = o->process, .schedule = o->schedule, .steps = o->train_steps, .clip = clip_of(o),
                                 .predict = o->predict == DMC_PREDICT_AUTO ? native : o->predict,
                                 .sigma_data = o->sigma_data, .sigma_min = o->sigma_min, .sigma_max = o->sigma_max,
                                 .log_mean = o->log_mean, .log_std = o->log_std, .logit_std = o->logit_std,
                                 .seen_scale = o->process >= DMC_PROCESS_VP_SDE ? seen_scale(o) : 1};
}

static dmc_status fill_spec(const dmc_model_options *o, const dmc__trajectories *t, dmc__model_spec *s)
{
    const int32_t gaussian_act = o->act_norm == DMC_NORM_GAUSSIAN && !o->states_only;
    memset(s, 0, sizeof *s);
    s->role = o->role;
    s->n_obs = o->role == DMC_ROLE_POLICY ? o->n_obs : 1;
    s->process = process_of(o);
    s->returns = o->returns;
    s->states_only = o->states_only;
    s->inpaint = o->inpaint;
    s->cond_dropout = o->cond_dropout;
    s->control_hz = o->control_hz;
    s->discount = o->discount;
    if (s->returns) dmc__trajectories_return_range(t, s->discount, &s->return_min, &s->return_max);
    s->memory = o->memory;
    s->net = (dmc__net_config){.kind = o->network, .horizon = o->horizon, .hidden = o->hidden, .blocks = o->blocks,
                               .emb_dim = o->emb_dim, .kernel = o->kernel, .n_obs = s->n_obs, .heads = o->heads,
                               .time_embed = o->time_embed, .compat = o->compat & DMC__COMPAT_ALL, .encoder = o->encoder,
                               .enc_hidden = o->enc_hidden, .enc_dim = o->enc_dim, .dropout = (float)o->dropout};
    DMC_TRY(take_cameras(o, &t->images, &s->net));
    DMC_TRY(dmc__model_spec_fit(s, t->obs_dim, t->act_dim));
    if (o->clip > 0 && o->role < DMC_ROLE_VALUE &&
        (gaussian_act || (o->role == DMC_ROLE_PLANNER && o->obs_norm == DMC_NORM_GAUSSIAN)) && o->clip < 3)
        return dmc__fail(DMC_EINVAL,
                         "dmc_model_create: clip = %g would cut off a gaussian-normalised %s beyond %g sigma; use clip = 0, "
                                     "clip >= 3 or minmax", o->clip, gaussian_act ? "action" : "state", o->clip);
    return parse_mult(o->mult, &s->net);
}

static dmc_status fit_and_make(dmc_context *ctx, const dmc__allocator *a, const dmc__trajectories *t, const dmc_model_options *o,
                               const dmc__model_spec *spec, dmc_model **out)
{
    dmc__normaliser obs = {0}, act = {0};
    dmc_status status = dmc__normaliser_create(a, o->obs_norm, t->obs_dim, &obs);
    if (status >= 0) status = dmc__normaliser_create(a, o->act_norm, t->act_dim, &act);
    if (status >= 0) {
        dmc__normaliser_fit(&obs, t->obs, t->rows);
        dmc__normaliser_fit(&act, t->act, t->rows);
        status = dmc__model_create(NULL, ctx, spec, &obs, &act, o->seed, out);
    }
    dmc__normaliser_free(&act);
    dmc__normaliser_free(&obs);
    return status;
}

dmc_status dmc_model_create(dmc_context *ctx, const dmc_dataset *data, const dmc_model_options *o, dmc_model **out)
{
    dmc_model_options c;
    dmc__model_spec spec;
    DMC_NEED("dmc_model_create", out);
    *out = NULL;
    DMC_NEED("dmc_model_create", data);
    DMC_TRY(dmc__field_take(DMC_OPTIONS_MODEL, o, &c));
    DMC_TRY(fill_spec(&c, data->data, &spec));
    return fit_and_make(ctx, &data->ref.ctx->alloc, data->data, &c, &spec, out);
}

dmc_status dmc_model_load(dmc_context *ctx, const char *path, dmc_model **out)
{
    DMC_NEED("dmc_model_load", out);
    *out = NULL;
    DMC_NEED("dmc_model_load", path);
    return dmc__model_load(ctx, path, out);
}

dmc_status dmc_model_save(const dmc_model *m, const char *path)
{
    DMC_NEED("dmc_model_save", m);
    DMC_NEED("dmc_model_save", path);
    return dmc__model_save(m, path);
}

dmc_status dmc_model_clone(const dmc_model *m, dmc_model **out)
{
    DMC_NEED("dmc_model_clone", out);
    *out = NULL;
    DMC_NEED("dmc_model_clone", m);
    return dmc__model_derive(m, m->weights, m->cascade, m->cascade_weights, out);
}

void dmc_model_destroy(dmc_model *m)
{
    dmc__model_destroy(m);
}

size_t dmc_model_memory(const dmc_model *m)
{
    return m ? dmc__model_bytes(m) : 0;
}

dmc_status dmc_model_describe(const dmc_model *m, char *buf, size_t size, size_t *need)
{
    char *text;
    DMC_NEED("dmc_model_describe", m);
    DMC_TRY(dmc__model_contract(m, &m->ref.ctx->alloc, &text));
    const dmc_status status = dmc__text_out("dmc_model_describe", text, buf, size, need);
    dmc__str_free(&m->ref.ctx->alloc, text);
    return status;
}

dmc_status dmc_model_sizes(const dmc_model *m, int32_t *horizon, int32_t *z_cols, int32_t *n_obs, int32_t *obs_dim,
                           int32_t *act_dim)
{
    DMC_NEED("dmc_model_sizes", m);
    if (horizon) *horizon = m->spec.net.horizon;
    if (z_cols) *z_cols = m->spec.net.cols;
    if (n_obs) *n_obs = m->spec.n_obs;
    if (obs_dim) *obs_dim = m->obs.n;
    if (act_dim) *act_dim = m->act.n;
    return DMC_OK;
}

dmc_status dmc_model_cameras(const dmc_model *m, int32_t *count, int32_t *h, int32_t *w, int32_t *c)
{
    DMC_NEED("dmc_model_cameras", m);
    const dmc__net_config *const n = &m->spec.net;
    if (count) *count = n->cameras;
    if (h) *h = n->image_h;
    if (w) *w = n->image_w;
    if (c) *c = n->image_c;
    return DMC_OK;
}

const char *dmc_model_camera(const dmc_model *m, int32_t i)
{
    return m && i >= 0 && i < m->spec.net.cameras ? m->spec.net.camera[i] : NULL;
}

uint64_t dmc_model_parameters(const dmc_model *m)
{
    return m ? dmc__graph_param_total(m->net->graph) : 0;
}

/* ---- one evaluation --------------------------------------------------------------------------------- */

static dmc_status run_forward(const dmc_model *m, dmc__plan *p, int32_t batch, const float *z, const float *t, const float *cond,
                              float *out)
{
    dmc__device *d = m->ref.ctx->device;
    const dmc__net_config *n = &m->spec.net;
    const size_t b = (size_t)batch, e = b * (size_t)n->horizon * (size_t)n->cols;
    const size_t outputs = n->outputs ? b * (size_t)n->outputs : e;
    dmc__plan_bind(p, m->weights, NULL);
    DMC_TRY(dmc__dev_in(d, dmc__plan_value(p, m->net->z), z, e));
    DMC_TRY(dmc__dev_in(d, dmc__plan_value(p, m->net->t), t, b));
    if (n->cond) DMC_TRY(dmc__dev_in(d, dmc__plan_value(p, m->net->cond), cond, b * (size_t)n->cond));
    DMC_TRY(dmc__plan_forward(p));
    return dmc__dev_out(d, out, dmc__plan_value(p, m->net->out), outputs);
}

dmc_status dmc_model_forward(const dmc_model *m, int32_t batch, const float *z, const float *t, const float *cond, float *out)
{
    dmc__plan *p;
    DMC_NEED("dmc_model_forward", m);
    DMC_NEED("dmc_model_forward", z);
    DMC_NEED("dmc_model_forward", t);
    DMC_NEED("dmc_model_forward", out);
    if (batch < 1 || batch > 65536) return dmc__fail(DMC_ERANGE, "dmc_model_forward: batch = %d, must be 1..65536", batch);
    if (m->spec.net.cond && !cond)
        return dmc__fail(DMC_EINVAL, "dmc_model_forward: cond is NULL, a %s needs (batch,%d)",
                         m->spec.returns ? "planner with returns" : "policy", m->spec.net.cond);
    DMC_TRY(dmc__plan_create(m->net->graph, m->ref.ctx->device, batch, DMC__PLAN_INFER, NULL, &p));
    const dmc_status status = run_forward(m, p, batch, z, t, cond, out);
    dmc__plan_destroy(p);
    return status;
}

/* ---- tensors ---------------------------------------------------------------------------------------- */

int32_t dmc_model_tensor_count(const dmc_model *m)
{
    return m ? dmc__graph_param_count(m->net->graph) : 0;
}

const char *dmc_model_tensor_name(const dmc_model *m, int32_t i)
{
    if (!m || i < 0 || i >= dmc__graph_param_count(m->net->graph)) return NULL;
    return dmc__graph_param(m->net->graph, i)->name;
}

/* The tensor called `name`, or DMC_EKEY with the nearest one. */
static dmc_status find_tensor(const char *function, const dmc_model *m, const char *name, dmc__parid *id)
{
    if (!m) return dmc__fail(DMC_EINVAL, "%s: m is NULL", function);
    if (!name) return dmc__fail(DMC_EINVAL, "%s: name is NULL", function);
    *id = dmc__graph_find_param(m->net->graph, name);
    if (*id >= 0) return DMC_OK;
    const int32_t n = dmc__graph_param_count(m->net->graph);
    const char **names;
    DMC_TRY(DMC_NEW(&m->ref.ctx->alloc, n, &names));
    for (int32_t i = 0; i < n; i++) names[i] = dmc__graph_param(m->net->graph, i)->name;
    const char *near = dmc__name_nearest(name, names, n);
    DMC_FREE(&m->ref.ctx->alloc, names, n);
    return dmc__fail(DMC_EKEY, "%s: the model has no tensor \"%.80s\"%s%s%s", function, name, near ? "; did you mean \"" : "",
                     near ? near : "", near ? "\"?" : "");
}

/* At most `most` sizes of the tensor called `name`. */
static dmc_status tell_shape(const char *function, const dmc_model *m, const char *name, int32_t *rank, int32_t *shape,
                             int32_t most)
{
    dmc__parid id;
    DMC_TRY(find_tensor(function, m, name, &id));
    const dmc__param_spec *p = dmc__graph_param(m->net->graph, id);
    if (rank) *rank = p->rank;
    for (int32_t i = 0; shape && i < p->rank && i < most; i++) shape[i] = p->shape[i];
    return DMC_OK;
}

dmc_status dmc_model_tensor_shape(const dmc_model *m, const char *name, int32_t *rank, int32_t shape[3])
{
    return tell_shape("dmc_model_tensor_shape", m, name, rank, shape, 3);
}

dmc_status dmc_model_tensor_sizes(const dmc_model *m, const char *name, int32_t *rank, int32_t shape[4])
{
    return tell_shape("dmc_model_tensor_sizes", m, name, rank, shape, DMC__MAX_RANK);
}

static dmc_status check_size(const char *function, const dmc_model *m, dmc__parid id, size_t n)
{
    const dmc__param_spec *p = dmc__graph_param(m->net->graph, id);
    if (n != p->size) return dmc__fail(DMC_ESHAPE, "%s: n = %zu, tensor \"%s\" has %zu values", function, n, p->name, p->size);
    return DMC_OK;
}

dmc_status dmc_model_get_tensor(const dmc_model *m, const char *name, float *out, size_t n)
{
    dmc__parid id;
    DMC_TRY(find_tensor("dmc_model_get_tensor", m, name, &id));
    DMC_NEED("dmc_model_get_tensor", out);
    DMC_TRY(check_size("dmc_model_get_tensor", m, id, n));
    return dmc__params_get(m->net->graph, m->ref.ctx->device, m->weights, id, out, n);
}

dmc_status dmc_model_set_tensor(dmc_model *m, const char *name, const float *values, size_t n)
{
    dmc__parid id;
    DMC_TRY(find_tensor("dmc_model_set_tensor", m, name, &id));
    DMC_NEED("dmc_model_set_tensor", values);
    DMC_TRY(check_size("dmc_model_set_tensor", m, id, n));
    for (size_t i = 0; i < n; i++)
        if (!isfinite(values[i]))
            return dmc__fail(DMC_ENUMERIC, "dmc_model_set_tensor: values[%zu] of \"%s\" is not finite", i, name);
    return dmc__params_set(m->net->graph, m->ref.ctx->device, m->weights, id, values, n);
}
