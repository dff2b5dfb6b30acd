/* options_public.c — options by name, and the _init function of every options struct. */
#include <string.h>

#include "../../include/libdmc/libdmc.h"
#include "field.h"
#include "field_text.h"

/* The table of a kind, after the checks every function begins with. */
static dmc_status find_table(const char *function, int32_t kind, const void *argument,
                             const char *name, const dmc__field_table **t)
{
    *t = dmc__field_table_find(kind);
    if (!*t) return dmc__fail(DMC_EINVAL, "%s: kind = %d, must be DMC_OPTIONS_*", function, kind);
    if (!argument) return dmc__fail(DMC_EINVAL, "%s: %s = NULL", function, name);
    return DMC_OK;
}

/* The row of a key; NULL and DMC_EKEY with the nearest, if there is none. */
static const dmc__field *find_field(const char *function, const dmc__field_table *t,
                                    const char *key, dmc_status *status)
{
    *status = DMC_OK;
    if (!key) *status = dmc__fail(DMC_EINVAL, "%s: key = NULL", function);
    const dmc__field *f = key ? dmc__field_find(t, key) : NULL;
    if (f || !key) return f;
    const char *near = dmc__field_nearest(t, key);
    *status = dmc__fail(DMC_EKEY, "%s: %s has no option \"%.64s\"%s%s%s", function, t->name, key,
                        near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    return NULL;
}

size_t dmc_options_size(int32_t kind)
{
    const dmc__field_table *t = dmc__field_table_find(kind);
    return t ? t->size : 0;
}

dmc_status dmc_options_init(int32_t kind, void *options)
{
    const dmc__field_table *t;
    DMC_TRY(find_table("dmc_options_init", kind, options, "options", &t));
    dmc__field_defaults(t, options);
    return DMC_OK;
}

dmc_status dmc_options_set(int32_t kind, void *options, const char *key, const char *value)
{
    const dmc__field_table *t;
    dmc_status status;
    uint32_t size;
    DMC_TRY(find_table("dmc_options_set", kind, options, "options", &t));
    const dmc__field *f = find_field("dmc_options_set", t, key, &status);
    if (!f) return status;
    if (!value) return dmc__fail(DMC_EINVAL, "dmc_options_set: value = NULL for %s", key);
    DMC_TRY(dmc__field_size(t, options, &size));
    if (f->offset >= size)
        return dmc__fail(DMC_EKEY, "dmc_options_set: %s is newer than this struct of %u bytes", key,
                         size);
    return dmc__field_set(t, f, options, value);
}

dmc_status dmc_options_get(int32_t kind, const void *options, const char *key, char *buf,
                           size_t size)
{
    const dmc__field_table *t;
    dmc_status status;
    char copy[DMC__OPTIONS_MAX];
    DMC_TRY(find_table("dmc_options_get", kind, options, "options", &t));
    const dmc__field *f = find_field("dmc_options_get", t, key, &status);
    if (!f) return status;
    if (!buf && size > 0) return dmc__fail(DMC_EINVAL, "dmc_options_get: buf = NULL for %s", key);
    DMC_TRY(dmc__field_merge(t, options, copy));
    const size_t length = dmc__field_print(f, copy, buf, size);
    if (length < size) return DMC_OK;
    return dmc__fail(DMC_ESHAPE, "dmc_options_get: size = %zu for %s, must be at least %zu", size,
                     key, length + 1);
}

dmc_status dmc_options_describe(int32_t kind, int32_t index, dmc_option_info *out)
{
    const dmc__field_table *t;
    DMC_TRY(find_table("dmc_options_describe", kind, out, "out", &t));
    if (index < 0 || index >= t->count)
        return dmc__fail(DMC_ERANGE, "dmc_options_describe: index = %d, %s has rows 0..%d", index,
                         t->name, t->count - 1);
    const dmc__field *f = &t->field[index];
    const char *choices = f->type == DMC_FIELD_ENUM ? f->text : "";
    *out = (dmc_option_info){.key = f->key,
                             .doc = f->doc,
                             .choices = choices,
                             .initial = f->shown,
                             .type = f->type,
                             .min = f->min,
                             .max = f->max};
    return DMC_OK;
}

dmc_status dmc_options_check(int32_t kind, const void *options)
{
    const dmc__field_table *t;
    char copy[DMC__OPTIONS_MAX];
    DMC_TRY(find_table("dmc_options_check", kind, options, "options", &t));
    return dmc__field_take(kind, options, copy);
}

/* The first `size` bytes of the defaults: an older program's struct is shorter. */
static dmc_status init_sized(int32_t kind, void *options, size_t size)
{
    const dmc__field_table *t = dmc__field_table_find(kind);
    char defaults[DMC__OPTIONS_MAX];
    if (!options) return dmc__fail(DMC_EINVAL, "%s_init: o = NULL", t->name);
    uint32_t given = size > UINT32_MAX ? 0 : (uint32_t)size;
    if (given > t->size || dmc__field_size(t, &given, &given) < 0)
        return dmc__fail(DMC_EINVAL, "%s_init: size = %zu, must be sizeof(%s) = %u", t->name, size,
                         t->name, t->size);
    dmc__field_defaults(t, defaults);
    memcpy(defaults, &given, sizeof given);
    memcpy(options, defaults, given);
    return DMC_OK;
}

dmc_status dmc_context_options_init(dmc_context_options *o, size_t size)
{
    return init_sized(DMC_OPTIONS_CONTEXT, o, size);
}

dmc_status dmc_dataset_options_init(dmc_dataset_options *o, size_t size)
{
    return init_sized(DMC_OPTIONS_DATASET, o, size);
}

dmc_status dmc_model_options_init(dmc_model_options *o, size_t size)
{
    return init_sized(DMC_OPTIONS_MODEL, o, size);
}

dmc_status dmc_train_options_init(dmc_train_options *o, size_t size)
{
    return init_sized(DMC_OPTIONS_TRAIN, o, size);
}

dmc_status dmc_critic_options_init(dmc_critic_options *o, size_t size)
{
    return init_sized(DMC_OPTIONS_CRITIC, o, size);
}

dmc_status dmc_sampler_options_init(dmc_sampler_options *o, size_t size)
{
    return init_sized(DMC_OPTIONS_SAMPLER, o, size);
}

dmc_status dmc_align_options_init(dmc_align_options *o, size_t size)
{
    return init_sized(DMC_OPTIONS_ALIGN, o, size);
}

dmc_status dmc_rl_options_init(dmc_rl_options *o, size_t size)
{
    return init_sized(DMC_OPTIONS_RL, o, size);
}

dmc_status dmc_dpo_options_init(dmc_dpo_options *o, size_t size)
{
    return init_sized(DMC_OPTIONS_DPO, o, size);
}

dmc_status dmc_sft_options_init(dmc_sft_options *o, size_t size)
{
    return init_sized(DMC_OPTIONS_SFT, o, size);
}

dmc_status dmc_cascade_options_init(dmc_cascade_options *o, size_t size)
{
    return init_sized(DMC_OPTIONS_CASCADE, o, size);
}

dmc_status dmc_sequence_options_init(dmc_sequence_options *o, size_t size)
{
    return init_sized(DMC_OPTIONS_SEQUENCE, o, size);
}

dmc_status dmc_likelihood_options_init(dmc_likelihood_options *o, size_t size)
{
    return init_sized(DMC_OPTIONS_LIKELIHOOD, o, size);
}

dmc_status dmc_online_options_init(dmc_online_options *o, size_t size)
{
    return init_sized(DMC_OPTIONS_ONLINE, o, size);
}

dmc_status dmc_synth_options_init(dmc_synth_options *o, size_t size)
{
    return init_sized(DMC_OPTIONS_SYNTH, o, size);
}
