/* contract.c — everything a controller and a model must agree on, as JSON. */
#include <stddef.h>
#include <string.h>

#include "model_file.h"

static const char *const roles[] = {"policy", "planner", "value", "inverse"};
static const char *const schedules[] = {"cosine", "linear", "vp"};
static const char *const processes[] = {"vp", "vp_grid", "vp_sde", "edm", "flow"};
static const char *const predictions[] = {"epsilon", "x0", "v", "velocity", "edm"};
static const char *const inpaints[] = {"clean", "noised"};
static const char *const norms[] = {"none", "gaussian", "minmax"};

/* ---- names ------------------------------------------------------------------------------------------ */

static dmc_status get_choice(const dmc__json *j, const char *key, const char *const *names, int32_t n, int32_t *out)
{
    const char *text;
    DMC_TRY(dmc__json_get_text(j, key, &text));
    for (*out = 0; *out < n; ++*out)
        if (strcmp(names[*out], text) == 0) return DMC_OK;
    return dmc__fail(DMC_EFORMAT, "the contract's %s = \"%.60s\" is not known to this version", key, text);
}

dmc_status dmc__contract_get_int(const dmc__json *j, const char *key, int32_t min, int32_t max, int32_t *out)
{
    double v;
    DMC_TRY(dmc__json_get_number(j, key, min, max, &v));
    *out = (int32_t)v;
    if (*out != v) return dmc__fail(DMC_EFORMAT, "the contract's %s = %g, must be a whole number", key, v);
    return DMC_OK;
}

/* ---- normalisers ------------------------------------------------------------------------------------ */

static dmc_status fill_normaliser(dmc__json *j, const dmc__normaliser *n)
{
    DMC_TRY(dmc__json_set_text(j, "kind", norms[n->kind]));
    DMC_TRY(dmc__json_set_numbers(j, "shift", n->shift, n->n));
    DMC_TRY(dmc__json_set_numbers(j, "scale", n->scale, n->n));
    DMC_TRY(dmc__json_set_numbers(j, "min", n->lo, n->n));
    return dmc__json_set_numbers(j, "max", n->hi, n->n);
}

dmc_status dmc__contract_put_normaliser(dmc__json *j, const char *key, const dmc__normaliser *n)
{
    dmc__json *child;
    DMC_TRY(dmc__json_create(&child));
    dmc_status status = fill_normaliser(child, n);
    if (status >= 0) status = dmc__json_set_object(j, key, child);
    dmc__json_destroy(child);
    return status;
}

static dmc_status read_normaliser(const dmc__json *j, const char *key, dmc__normaliser *n)
{
    DMC_TRY(dmc__json_get_numbers(j, "shift", n->shift, n->n));
    DMC_TRY(dmc__json_get_numbers(j, "scale", n->scale, n->n));
    DMC_TRY(dmc__json_get_numbers(j, "min", n->lo, n->n));
    DMC_TRY(dmc__json_get_numbers(j, "max", n->hi, n->n));
    for (int32_t i = 0; i < n->n; i++) {
        if (!(n->scale[i] > 0))
            return dmc__fail(DMC_EFORMAT, "the contract's %s.scale[%d] = %g, must be above 0", key, i, (double)n->scale[i]);
        if (!(n->lo[i] <= n->hi[i]))
            return dmc__fail(DMC_EFORMAT, "the contract's %s.min[%d] = %g is above max = %g", key, i, (double)n->lo[i],
                             (double)n->hi[i]);
    }
    return DMC_OK;
}

dmc_status dmc__contract_get_normaliser(const dmc__json *j, const char *key, const dmc__allocator *a, int32_t width,
                                        dmc__normaliser *out)
{
    dmc__json *child;
    int32_t kind;
    DMC_TRY(dmc__json_get_object(j, key, &child));
    dmc_status status = get_choice(child, "kind", norms, 3, &kind);
    if (status >= 0) status = dmc__normaliser_create(a, kind, width, out);
    if (status >= 0 && (status = read_normaliser(child, key, out)) < 0) dmc__normaliser_free(out);
    dmc__json_destroy(child);
    return status;
}

/* ---- the whole contract ----------------------------------------------------------------------------- */

static dmc_status put_numbers(dmc__json *j, const dmc__net_config *n, const dmc__net_number *f, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int32_t value;
        memcpy(&value, (const char *)n + f[i].offset, sizeof value);
        DMC_TRY(dmc__json_set_number(j, f[i].name, value));
    }
    return DMC_OK;
}

static dmc_status get_numbers(const dmc__json *j, dmc__net_config *n, const dmc__net_number *f, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int32_t value;
        DMC_TRY(dmc__contract_get_int(j, f[i].name, f[i].min, f[i].max, &value));
        memcpy((char *)n + f[i].offset, &value, sizeof value);
    }
    return DMC_OK;
}

static dmc_status put_net(dmc__json *j, const dmc__net_config *n)
{
    float mult[DMC__MAX_LEVELS];
    for (int32_t i = 0; i < n->levels; i++) mult[i] = (float)n->mult[i];
    DMC_TRY(dmc__json_set_text(j, "network", dmc__net_name(n->kind)));
    DMC_TRY(put_numbers(j, n, dmc__net_numbers, DMC__NET_NUMBERS));
    DMC_TRY(dmc__json_set_number(j, "dropout", n->dropout));
    DMC_TRY(dmc__json_set_number(j, "levels", n->levels));
    return dmc__json_set_numbers(j, "mult", mult, n->levels);
}

/* ---- cameras ---------------------------------------------------------------------------------------- */

enum { CAMERAS_TEXT = DMC__MAX_CAMERAS * (DMC__CAMERA_NAME + 1) };

/* Names one after the other, with commas. */
static dmc_status put_images(dmc__json *j, const dmc__net_config *n)
{
    char names[CAMERAS_TEXT] = "";
    if (!dmc__net_sees(n)) return DMC_OK;
    for (int32_t i = 0; i < n->cameras; i++) {
        if (i > 0) strcat(names, ",");
        strncat(names, n->camera[i], DMC__CAMERA_NAME - 1);
    }
    DMC_TRY(dmc__json_set_text(j, "camera_names", names));
    return put_numbers(j, n, dmc__net_image_numbers, DMC__NET_IMAGE_NUMBERS);
}

static dmc_status get_images(const dmc__json *j, dmc__net_config *n)
{
    const char *names;
    if (!dmc__net_sees(n)) return DMC_OK;
    DMC_TRY(get_numbers(j, n, dmc__net_image_numbers, DMC__NET_IMAGE_NUMBERS));
    DMC_TRY(dmc__json_get_text(j, "camera_names", &names));
    for (int32_t i = 0; i < n->cameras; i++) {
        const size_t length = strcspn(names, ",");
        if (length < 1 || length >= DMC__CAMERA_NAME || (names[length] == ',') != (i + 1 < n->cameras))
            return dmc__fail(DMC_EFORMAT, "the contract's camera_names must be %d names of 1..%d characters with commas between",
                             n->cameras, DMC__CAMERA_NAME - 1);
        memcpy(n->camera[i], names, length);
        names += length + 1;
    }
    return DMC_OK;
}

/* ---- the process ------------------------------------------------------------------------------------ */

/* Numbers of a process that not all have. */
static const struct { const char *key; size_t offset; double min, max; } process_number[] = {
    {"sigma_data", offsetof(dmc__process_config, sigma_data), 1e-3, 1e3},
    {"sigma_min", offsetof(dmc__process_config, sigma_min), 1e-6, 1e3},
    {"sigma_max", offsetof(dmc__process_config, sigma_max), 1e-6, 1e6},
    {"log_mean", offsetof(dmc__process_config, log_mean), -20, 20},
    {"log_std", offsetof(dmc__process_config, log_std), 0, 20},
    {"logit_std", offsetof(dmc__process_config, logit_std), 0, 10},
    {"seen_scale", offsetof(dmc__process_config, seen_scale), 1e-6, 1e6},
};
enum { PROCESS_NUMBERS = sizeof process_number / sizeof *process_number };

static int32_t has_numbers(const dmc__process_config *c)
{
    return c->kind >= DMC__PROCESS_VP_SDE || c->predict == DMC__PREDICT_EDM;
}

static double *number_of(dmc__process_config *c, int32_t i)
{
    return (double *)(void *)((char *)c + process_number[i].offset);
}

static dmc_status put_process(dmc__json *j, const dmc__process_config *c)
{
    dmc__process_config copy = *c;
    DMC_TRY(dmc__json_set_text(j, "process", processes[c->kind]));
    DMC_TRY(dmc__json_set_text(j, "schedule", schedules[c->schedule]));
    DMC_TRY(dmc__json_set_number(j, "train_steps", c->steps));
    DMC_TRY(dmc__json_set_text(j, "predict", predictions[c->predict]));
    DMC_TRY(dmc__json_set_number(j, "clip", c->clip));
    for (int32_t i = 0; i < PROCESS_NUMBERS && has_numbers(c); i++)
        DMC_TRY(dmc__json_set_number(j, process_number[i].key, *number_of(&copy, i)));
    return DMC_OK;
}

/* Files of the first version have one kind of process and do not name it. */
static dmc_status get_process(const dmc__json *j, dmc__process_config *c)
{
    *c = dmc__process_defaults();
    if (dmc__json_has(j, "process")) DMC_TRY(get_choice(j, "process", processes, DMC__PROCESSES, &c->kind));
    DMC_TRY(get_choice(j, "schedule", schedules, 3, &c->schedule));
    DMC_TRY(dmc__contract_get_int(j, "train_steps", 1, 1000, &c->steps));
    DMC_TRY(get_choice(j, "predict", predictions, DMC__PREDICTIONS, &c->predict));
    DMC_TRY(dmc__json_get_number(j, "clip", 0, 1e6, &c->clip));
    for (int32_t i = 0; i < PROCESS_NUMBERS && has_numbers(c); i++)
        DMC_TRY(dmc__json_get_number(j, process_number[i].key, process_number[i].min, process_number[i].max, number_of(c, i)));
    return DMC_OK;
}

/* A model of states only is of a format that versions which know only plans with actions refuse by its number. */
enum { FORMAT = 1, FORMAT_STATES = 2 };

static dmc_status put_model(dmc__json *j, const dmc__model *m)
{
    const dmc__model_spec *s = &m->spec;
    DMC_TRY(dmc__json_set_number(j, "format", s->states_only ? FORMAT_STATES : FORMAT));
    DMC_TRY(dmc__json_set_text(j, "role", roles[s->role]));
    if (s->states_only) DMC_TRY(dmc__json_set_number(j, "states_only", 1));
    DMC_TRY(dmc__json_set_number(j, "obs_dim", m->obs.n));
    DMC_TRY(dmc__json_set_number(j, "act_dim", m->act.n));
    DMC_TRY(put_net(j, &s->net));
    DMC_TRY(put_images(j, &s->net));
    DMC_TRY(dmc__json_set_number(j, "parameters", (double)dmc__graph_param_total(m->net->graph)));
    DMC_TRY(put_process(j, &s->process));
    DMC_TRY(dmc__json_set_text(j, "inpaint", inpaints[s->inpaint]));
    DMC_TRY(dmc__json_set_number(j, "returns", s->returns));
    if (s->returns) {
        DMC_TRY(dmc__json_set_number(j, "return_min", s->return_min));
        DMC_TRY(dmc__json_set_number(j, "return_max", s->return_max));
    }
    DMC_TRY(dmc__json_set_number(j, "cond_dropout", s->cond_dropout));
    DMC_TRY(dmc__json_set_number(j, "control_hz", s->control_hz));
    DMC_TRY(dmc__json_set_number(j, "discount", s->discount));
    DMC_TRY(dmc__json_set_number(j, "memory", s->memory));
    DMC_TRY(dmc__json_set_number(j, "cascade", m->cascade != NULL));
    DMC_TRY(dmc__contract_put_normaliser(j, "observation", &m->obs));
    return dmc__contract_put_normaliser(j, "action", &m->act);
}

dmc_status dmc__model_contract(const dmc__model *m, const dmc__allocator *a, char **text)
{
    dmc__json *j;
    *text = NULL;
    DMC_TRY(dmc__json_create(&j));
    dmc_status status = put_model(j, m);
    if (status >= 0) status = dmc__json_print(j, a, text);
    dmc__json_destroy(j);
    return status;
}

static dmc_status get_net(const dmc__json *j, dmc__net_config *n)
{
    const char *networks[DMC__NET_COUNT];
    float mult[DMC__MAX_LEVELS];
    double dropout;
    for (int32_t i = 0; i < DMC__NET_COUNT; i++) networks[i] = dmc__net_name(i);
    DMC_TRY(get_choice(j, "network", networks, DMC__NET_COUNT, &n->kind));
    DMC_TRY(get_numbers(j, n, dmc__net_numbers, DMC__NET_NUMBERS));
    DMC_TRY(dmc__json_get_number(j, "dropout", 0, 1, &dropout));
    n->dropout = (float)dropout;
    DMC_TRY(dmc__contract_get_int(j, "levels", 1, DMC__MAX_LEVELS, &n->levels));
    DMC_TRY(dmc__json_get_numbers(j, "mult", mult, n->levels));
    for (int32_t i = 0; i < n->levels; i++) {
        if (!(mult[i] >= 1 && mult[i] <= 64 && mult[i] == (float)(int32_t)mult[i]))
            return dmc__fail(DMC_EFORMAT, "the contract's mult[%d] = %g, must be a whole number 1..64", i, (double)mult[i]);
        n->mult[i] = (int32_t)mult[i];
    }
    return DMC_OK;
}

/* Sizes of a contract that are not in the spec: widths of observation and action. */
static dmc_status get_spec(const dmc__json *j, dmc__model_spec *s, int32_t *obs_dim, int32_t *act_dim, int32_t *cascade)
{
    int32_t format;
    DMC_TRY(dmc__contract_get_int(j, "format", FORMAT, FORMAT_STATES, &format));
    DMC_TRY(get_choice(j, "role", roles, 4, &s->role));
    if (format >= FORMAT_STATES) DMC_TRY(dmc__contract_get_int(j, "states_only", 0, 1, &s->states_only));
    DMC_TRY(dmc__contract_get_int(j, "obs_dim", 1, 1 << 20, obs_dim));
    DMC_TRY(dmc__contract_get_int(j, "act_dim", 1, 1 << 20, act_dim));
    DMC_TRY(get_net(j, &s->net));
    DMC_TRY(get_images(j, &s->net));
    s->n_obs = s->net.n_obs;
    if (s->n_obs < 1) return dmc__fail(DMC_EFORMAT, "the contract's n_obs = %d, must be 1..64", s->n_obs);
    DMC_TRY(get_process(j, &s->process));
    if (dmc__json_has(j, "inpaint")) DMC_TRY(get_choice(j, "inpaint", inpaints, 2, &s->inpaint));
    if (dmc__json_has(j, "returns")) DMC_TRY(dmc__contract_get_int(j, "returns", 0, 1, &s->returns));
    if (s->returns) {
        DMC_TRY(dmc__json_get_number(j, "return_min", -1e30, 1e30, &s->return_min));
        DMC_TRY(dmc__json_get_number(j, "return_max", -1e30, 1e30, &s->return_max));
    }
    if (dmc__json_has(j, "cond_dropout")) DMC_TRY(dmc__json_get_number(j, "cond_dropout", 0, 1, &s->cond_dropout));
    DMC_TRY(dmc__json_get_number(j, "control_hz", 0, 1e6, &s->control_hz));
    DMC_TRY(dmc__json_get_number(j, "discount", 0, 1, &s->discount));
    DMC_TRY(dmc__json_get_number(j, "memory", 0, 1, &s->memory));
    DMC_TRY(dmc__contract_get_int(j, "cascade", 0, 1, cascade));
    return dmc__model_spec_fit(s, *obs_dim, *act_dim);
}

dmc__net_config dmc__contract_cascade(const dmc__net_config *net)
{
    dmc__net_config c = *net;
    c.extra = c.cols;
    return c;
}

/* Number of weights of a network of this config; its graph is made for the count only. */
static dmc_status count_weights(const dmc__net_config *c, size_t *sum)
{
    dmc__net *n;
    DMC_TRY(dmc__net_create(&dmc__default_allocator, c, &n));
    *sum += dmc__graph_param_total(n->graph);
    dmc__net_destroy(n);
    return DMC_OK;
}

/* A few bytes of text must not make us take memory for weights that the file does not have. */
static dmc_status check_weights(const dmc__model_spec *s, int32_t cascade, const dmc__tensor_file *f)
{
    const dmc__net_config grown = dmc__contract_cascade(&s->net);
    size_t sum = 0;
    DMC_TRY(count_weights(&s->net, &sum));
    if (cascade) DMC_TRY(count_weights(&grown, &sum));
    return dmc__file_holds(f, sum);
}

dmc_status dmc__contract_make_model(dmc__context *ctx, const char *text, const dmc__tensor_file *f, int32_t *cascade,
                                    dmc__model **out)
{
    dmc__json *j;
    dmc__model_spec spec = {0};
    dmc__normaliser obs = {0}, act = {0};
    dmc__context_ref ref = {NULL, 0};
    int32_t s, a;
    *out = NULL;
    DMC_TRY(dmc__json_parse(text, &j));
    dmc_status status = get_spec(j, &spec, &s, &a, cascade);
    if (status >= 0) status = check_weights(&spec, *cascade, f);
    if (status >= 0) status = dmc__context_acquire(ctx, &ref);
    if (status >= 0) status = dmc__contract_get_normaliser(j, "observation", &ref.ctx->alloc, s, &obs);
    if (status >= 0) status = dmc__contract_get_normaliser(j, "action", &ref.ctx->alloc, a, &act);
    if (status >= 0) status = dmc__model_shell(NULL, ctx, &spec, &obs, &act, out);
    dmc__normaliser_free(&act);
    dmc__normaliser_free(&obs);
    dmc__context_release(&ref);
    dmc__json_destroy(j);
    return status;
}
