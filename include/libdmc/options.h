/* options.h — options by name: for YAML files, command lines and languages other than C.
 *
 * Every options struct has one field table (key, type, range, default, text). It drives range checks, YAML,
 * `key=value` overrides, --help and Python keywords, so nothing outside C ever mirrors a struct's layout.
 */
#ifndef LIBDMC_OPTIONS_H
#define LIBDMC_OPTIONS_H

#include "status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Which struct. Numbers never change. */
enum {
    DMC_OPTIONS_CONTEXT = 1, DMC_OPTIONS_DATASET = 2, DMC_OPTIONS_MODEL = 3, DMC_OPTIONS_TRAIN = 4,
    DMC_OPTIONS_CRITIC = 5, DMC_OPTIONS_SAMPLER = 6, DMC_OPTIONS_ALIGN = 7, DMC_OPTIONS_RL = 8,
    DMC_OPTIONS_DPO = 9, DMC_OPTIONS_SFT = 10, DMC_OPTIONS_CASCADE = 11, DMC_OPTIONS_SEQUENCE = 12,
    DMC_OPTIONS_LIKELIHOOD = 13, DMC_OPTIONS_ONLINE = 14,
    DMC_OPTIONS_SYNTH = 15
};

/* What a field is. Enumerations are int32 fields whose values have names. */
enum { DMC_FIELD_INT32 = 1, DMC_FIELD_UINT64 = 2, DMC_FIELD_DOUBLE = 3, DMC_FIELD_STRING = 4, DMC_FIELD_ENUM = 5 };

/* One row of a field table. Strings are static. */
typedef struct dmc_option_info {
    const char *key;     /* "batch"                                                */
    const char *doc;     /* one sentence with the unit                             */
    const char *choices; /* enumerations: "ddpm ddim"; else ""                     */
    const char *initial; /* the default as text                                    */
    int32_t type;        /* DMC_FIELD_*                                            */
    int32_t reserved0;
    double min, max;     /* inclusive; numbers only                                */
} dmc_option_info;

/* Bytes of the struct of this kind; 0 for an unknown kind. */
DMC_API size_t dmc_options_size(int32_t kind);

/* Fill a struct of this kind (of dmc_options_size bytes) with its defaults. */
DMC_API dmc_status dmc_options_init(int32_t kind, void *options);

/* Set one field from text: "64", "1e-3", "ddim". Strings are not copied: `value` must live as long as the
 * struct is used. Errors: DMC_EKEY (with the nearest known key), DMC_EPARSE, DMC_ERANGE (with the bounds). */
DMC_API DMC_NODISCARD dmc_status dmc_options_set(int32_t kind, void *options, const char *key, const char *value);

/* Write one field as text into buf (NUL-terminated). DMC_ESHAPE if it does not fit. */
DMC_API DMC_NODISCARD dmc_status dmc_options_get(int32_t kind, const void *options, const char *key, char *buf,
                                                 size_t size);

/* Row `index` of the table; DMC_ERANGE past the end, which is how a caller counts. */
DMC_API dmc_status dmc_options_describe(int32_t kind, int32_t index, dmc_option_info *out);

/* Check every field against its range, naming the first that is outside. */
DMC_API DMC_NODISCARD dmc_status dmc_options_check(int32_t kind, const void *options);

/* ---- YAML files ------------------------------------------------------------------------------------ */

/* A file of sections, each a flat mapping:  model: {horizon: 4, network: idql_mlp}  */
typedef struct dmc_config dmc_config;

/* Read a YAML file (at most 1 MiB, two levels, no aliases, anchors, tags, duplicates or second documents) and
 * apply n overrides "section.key=value". path NULL: overrides only.
 * Errors: DMC_ENOENT, DMC_EPARSE with line and column, DMC_ENOMEM. Threads: any; read-only afterwards. */
DMC_API DMC_NODISCARD dmc_status dmc_config_load(const char *path, const char *const *overrides, size_t n,
                                                 dmc_config **out);
DMC_API void dmc_config_destroy(dmc_config *c);

/* Set every key of `section` in an options struct that was initialised; unknown keys are refused with the
 * nearest known name. A missing section changes nothing. String fields point into the config, which must
 * outlive the struct. */
DMC_API DMC_NODISCARD dmc_status dmc_config_apply(const dmc_config *c, const char *section, int32_t kind,
                                                  void *options);

/* The same for a section that also holds keys of the program: those in the NULL-terminated list `own` are left for
 * dmc_config_get. kind 0, options NULL: a section without options. */
DMC_API DMC_NODISCARD dmc_status dmc_config_apply_with(const dmc_config *c, const char *section, const char *const *own,
                                                       int32_t kind, void *options);

/* Value of section.key for programs' own keys, or NULL. Ownership: the config's. */
DMC_API const char *dmc_config_get(const dmc_config *c, const char *section, const char *key);

/* Refuse sections not in the NULL-terminated list (a misspelt section would otherwise be silent). */
DMC_API DMC_NODISCARD dmc_status dmc_config_sections(const dmc_config *c, const char *const *known);

#ifdef __cplusplus
}
#endif
#endif
