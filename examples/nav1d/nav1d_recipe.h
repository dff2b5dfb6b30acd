/* nav1d_recipe.h — models, critics and alignment as a YAML file and settings over it say. */
#ifndef NAV1D_RECIPE_H
#define NAV1D_RECIPE_H

#include <libdmc/libdmc.h>

/* Borrowed: a file, "section.key=value" over it, and what lines of progress on stderr begin with. */
typedef struct nav1d_recipe {
    const char *config;
    const char *const *setting;
    size_t settings;
    const char *label;
} nav1d_recipe;

/* Options of every method. */
typedef struct nav1d_align_settings {
    dmc_align_options align;
    dmc_rl_options rl;
    dmc_dpo_options dpo;
    dmc_sft_options sft;
    dmc_cascade_options cascade;
    dmc_sequence_options sequence;
} nav1d_align_settings;

/* Each returns a dmc_status; dmc_last_error says why. */
dmc_status nav1d_recipe_model(const nav1d_recipe *r, const dmc_dataset *d, dmc_model **out, double *seconds);
dmc_status nav1d_recipe_critic(const nav1d_recipe *r, const dmc_dataset *d, dmc_critic **out);
/* *c holds the texts that *out points to. */
dmc_status nav1d_recipe_align(const nav1d_recipe *r, nav1d_align_settings *out, dmc_config **c);

#endif
