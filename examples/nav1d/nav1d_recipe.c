/* nav1d_recipe.c — from a file to what it describes. */
#include "nav1d_recipe.h"

#include <stdio.h>

enum { REPORTS = 10 };

static dmc_status open_config(const nav1d_recipe *r, dmc_config **c)
{
    static const char *const sections[] = {"model", "train", "critic", "align", "rl", "dpo", "sft", "cascade", "sequence",
                                           NULL};
    dmc_status status = dmc_config_load(r->config, r->setting, r->settings, c);
    if (status >= 0) status = dmc_config_sections(*c, sections);
    return status;
}

static int32_t tenth(int32_t steps)
{
    return steps >= REPORTS ? steps / REPORTS : 1;
}

/* ---- models ----------------------------------------------------------------------------------------------------------- */

static dmc_status train(const nav1d_recipe *r, const dmc_model *m, const dmc_dataset *d, const dmc_train_options *o,
                        dmc_model **out, double *seconds)
{
    dmc_trainer *t;
    dmc_train_metrics k = {.struct_size = sizeof k};
    double held_out = 0;
    dmc_status status = dmc_trainer_create(NULL, m, d, o, &t);
    while (status >= 0 && k.step < o->steps) {
        status = dmc_trainer_step(t, tenth(o->steps), &k);
        if (status >= 0) status = dmc_trainer_evaluate(t, &held_out);
        *seconds += k.seconds;
        fprintf(stderr, "%-24s train    step %5d/%d  loss %.4f  held-out %.4f\n", r->label, k.step, o->steps, k.loss, held_out);
    }
    if (status >= 0) status = dmc_trainer_publish(t, out);
    dmc_trainer_destroy(t);
    return status;
}

dmc_status nav1d_recipe_model(const nav1d_recipe *r, const dmc_dataset *d, dmc_model **out, double *seconds)
{
    dmc_config *c = NULL;
    dmc_model_options mo;
    dmc_train_options to;
    dmc_model *m = NULL;
    double unread = 0;
    *out = NULL;
    dmc_model_options_init(&mo, sizeof mo);
    dmc_train_options_init(&to, sizeof to);
    dmc_status status = open_config(r, &c);
    if (status >= 0) status = dmc_config_apply(c, "model", DMC_OPTIONS_MODEL, &mo);
    if (status >= 0) status = dmc_config_apply(c, "train", DMC_OPTIONS_TRAIN, &to);
    if (status >= 0) status = dmc_model_create(NULL, d, &mo, &m);
    if (status >= 0) status = train(r, m, d, &to, out, seconds ? seconds : &unread);
    dmc_model_destroy(m);
    dmc_config_destroy(c);
    return status;
}

/* ---- critics ---------------------------------------------------------------------------------------------------------- */

dmc_status nav1d_recipe_critic(const nav1d_recipe *r, const dmc_dataset *d, dmc_critic **out)
{
    dmc_config *c = NULL;
    dmc_critic_options o;
    dmc_critic_metrics m = {.struct_size = sizeof m};
    *out = NULL;
    dmc_critic_options_init(&o, sizeof o);
    dmc_status status = open_config(r, &c);
    if (status >= 0) status = dmc_config_apply(c, "critic", DMC_OPTIONS_CRITIC, &o);
    if (status >= 0) status = dmc_critic_create(NULL, d, &o, out);
    while (status >= 0 && m.step < o.steps) {
        status = dmc_critic_step(*out, tenth(o.steps), &m);
        fprintf(stderr, "%-24s train    step %5d/%d  q-loss %.4f  v-loss %.4f\n", r->label, m.step, o.steps, m.q_loss, m.v_loss);
    }
    dmc_config_destroy(c);
    return status;
}

/* ---- alignment -------------------------------------------------------------------------------------------------------- */

/* The sizes are those this program was compiled with. */
static void fill_defaults(nav1d_align_settings *t)
{
    dmc_align_options_init(&t->align, sizeof t->align);
    dmc_rl_options_init(&t->rl, sizeof t->rl);
    dmc_dpo_options_init(&t->dpo, sizeof t->dpo);
    dmc_sft_options_init(&t->sft, sizeof t->sft);
    dmc_cascade_options_init(&t->cascade, sizeof t->cascade);
    dmc_sequence_options_init(&t->sequence, sizeof t->sequence);
}

static dmc_status read_settings(const dmc_config *c, nav1d_align_settings *t)
{
    const struct { const char *section; int32_t kind; void *options; } all[] = {
        {"align", DMC_OPTIONS_ALIGN, &t->align}, {"rl", DMC_OPTIONS_RL, &t->rl}, {"dpo", DMC_OPTIONS_DPO, &t->dpo},
        {"sft", DMC_OPTIONS_SFT, &t->sft}, {"cascade", DMC_OPTIONS_CASCADE, &t->cascade},
        {"sequence", DMC_OPTIONS_SEQUENCE, &t->sequence}};
    dmc_status status = DMC_OK;
    fill_defaults(t);
    for (size_t i = 0; i < sizeof all / sizeof *all && status >= 0; i++)
        status = dmc_config_apply(c, all[i].section, all[i].kind, all[i].options);
    return status;
}

dmc_status nav1d_recipe_align(const nav1d_recipe *r, nav1d_align_settings *out, dmc_config **c)
{
    const dmc_status status = open_config(r, c);
    return status < 0 ? status : read_settings(*c, out);
}
