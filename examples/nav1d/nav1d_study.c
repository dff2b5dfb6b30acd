/* nav1d_study.c — train, then align five times from the same foundation. */
#include "nav1d_study.h"

#include <math.h>
#include <stdio.h>

const char *const nav1d_method[NAV1D_METHODS] = {"rl", "dpo", "sft", "cascade", "sequence"};

/* Episodes that score a run while it learns are not those that judge it. */
enum { TEST_SEED = 0, SCORE_SEED = 1000 };

static dmc_status open_config(const nav1d_study *s, dmc_config **c)
{
    static const char *const sections[] = {"model", "train", "align", "rl", "dpo", "sft", "cascade", "sequence", NULL};
    dmc_status status = dmc_config_load(s->config, NULL, 0, c);
    if (status >= 0) status = dmc_config_sections(*c, sections);
    return status;
}

/* ---- training --------------------------------------------------------------------------------------- */

static dmc_status run_training(nav1d_study *s, const dmc_model *m, const dmc_train_options *o)
{
    dmc_trainer *t;
    dmc_train_metrics k = {.struct_size = sizeof k};
    double held_out = 0;
    dmc_status status = dmc_trainer_create(NULL, m, s->data, o, &t);
    while (status >= 0 && k.step < o->steps) {
        status = dmc_trainer_step(t, o->steps / 10 > 0 ? o->steps / 10 : 1, &k);
        if (status >= 0) status = dmc_trainer_evaluate(t, &held_out);
        s->train_seconds += k.seconds;
        fprintf(stderr, "%-8s train    step %5d/%d  loss %.4f  held-out %.4f\n", s->role, k.step, o->steps, k.loss, held_out);
    }
    if (status >= 0) status = dmc_trainer_publish(t, &s->foundation);
    dmc_trainer_destroy(t);
    return status;
}

static dmc_status train(nav1d_study *s, const dmc_config *c)
{
    dmc_model_options mo;
    dmc_train_options to;
    dmc_model *m = NULL;
    dmc_model_options_init(&mo, sizeof mo);
    dmc_train_options_init(&to, sizeof to);
    dmc_status status = dmc_config_apply(c, "model", DMC_OPTIONS_MODEL, &mo);
    if (status >= 0) status = dmc_config_apply(c, "train", DMC_OPTIONS_TRAIN, &to);
    if (status >= 0) status = dmc_model_create(NULL, s->data, &mo, &m);
    if (status >= 0) status = run_training(s, m, &to);
    dmc_model_destroy(m);
    return status;
}

static dmc_status save(const nav1d_study *s, const dmc_model *m, const char *what)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s-%s.dmc", s->out, s->role, what);
    return dmc_model_save(m, path);
}

dmc_status nav1d_study_train(nav1d_study *s)
{
    dmc_config *c = NULL;
    dmc_status status = open_config(s, &c);
    if (status >= 0) status = train(s, c);
    if (status >= 0) status = save(s, s->foundation, "foundation");
    dmc_config_destroy(c);
    return status;
}

/* ---- alignment -------------------------------------------------------------------------------------- */

/* What the aligner maximises on the side: the mean return of the three selection rules. */
static int32_t score(void *user, const dmc_model *m, double *mean, double *se)
{
    const nav1d_study *s = user;
    double sum[NAV1D_SEEDS] = {0}, returns[NAV1D_SEEDS];
    for (int32_t k = 0; k < NAV1D_SELECTIONS; k++) {
        if (nav1d_returns(m, s->critic, k, s->candidates, SCORE_SEED, returns) < 0) return 1;
        for (int32_t i = 0; i < NAV1D_SEEDS; i++) sum[i] += returns[i] / NAV1D_SELECTIONS;
    }
    const nav1d_figure f = nav1d_summary(sum, NAV1D_SEEDS);
    *mean = f.mean;
    *se = f.se;
    return 0;
}

static int32_t progress(void *user, const dmc_align_progress *p)
{
    const nav1d_study *s = user;
    if (p->update % 100 == 0 || p->update == p->updates)
        fprintf(stderr, "%-8s %-8s pass %d  update %4d/%d  score %.2f  best %.2f  loss %.4f\n", s->role, p->stage, p->pass,
                p->update,
                p->updates, p->score, p->best, p->loss);
    return 0;
}

static dmc_status figures(const nav1d_study *s, const dmc_model *m, nav1d_figure *out)
{
    double returns[NAV1D_SEEDS];
    for (int32_t k = 0; k < NAV1D_SELECTIONS; k++) {
        const dmc_status status = nav1d_returns(m, s->critic, k, s->candidates, TEST_SEED, returns);
        if (status < 0) return status;
        out[k] = nav1d_summary(returns, NAV1D_SEEDS);
    }
    return DMC_OK;
}

typedef struct settings {
    dmc_align_options align;
    dmc_rl_options rl;
    dmc_dpo_options dpo;
    dmc_sft_options sft;
    dmc_cascade_options cascade;
    dmc_sequence_options sequence;
} settings;

static dmc_status read_settings(const dmc_config *c, settings *t)
{
    const struct { const char *section; int32_t kind; void *options; } all[] = {
        {"align", DMC_OPTIONS_ALIGN, &t->align}, {"rl", DMC_OPTIONS_RL, &t->rl}, {"dpo", DMC_OPTIONS_DPO, &t->dpo},
        {"sft", DMC_OPTIONS_SFT, &t->sft}, {"cascade", DMC_OPTIONS_CASCADE, &t->cascade},
        {"sequence", DMC_OPTIONS_SEQUENCE, &t->sequence}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        dmc_options_init(all[i].kind, all[i].options);
        const dmc_status status = dmc_config_apply(c, all[i].section, all[i].kind, all[i].options);
        if (status < 0) return status;
    }
    return DMC_OK;
}

static dmc_status run_method(dmc_aligner *a, int32_t method, const settings *t, dmc_align_report *r)
{
    switch (method) {
    case NAV1D_RL: return dmc_align_rl(a, &t->rl, r);
    case NAV1D_DPO: return dmc_align_dpo(a, &t->dpo, r);
    case NAV1D_SFT: return dmc_align_sft(a, &t->sft, r);
    case NAV1D_CASCADE: return dmc_align_cascade(a, &t->cascade, r);
    default: return dmc_align_sequence(a, &t->sequence, &t->rl, &t->dpo, &t->sft, &t->cascade, r);
    }
}

/* One method from a fresh adapter; the sequence's model is kept. */
static dmc_status align_once(nav1d_study *s, const settings *t, int32_t method)
{
    dmc_aligner *a;
    dmc_model *m = NULL;
    dmc_align_report r = {.struct_size = sizeof r};
    dmc_status status = dmc_aligner_create(NULL, s->foundation, s->data, s->critic, &t->align, &a);
    if (status >= 0) status = dmc_aligner_set_score(a, score, s);
    if (status >= 0) status = dmc_aligner_set_progress(a, progress, s);
    if (status >= 0) status = run_method(a, method, t, &r);
    if (status >= 0) status = dmc_aligner_publish(a, &m);
    if (status >= 0) status = figures(s, m, s->after[method]);
    if (status >= 0) status = save(s, m, nav1d_method[method]);
    s->seconds[method] = r.seconds;
    dmc_aligner_destroy(a);
    if (method == NAV1D_SEQUENCE) s->aligned = m;
    else dmc_model_destroy(m);
    return status;
}

dmc_status nav1d_study_align(nav1d_study *s)
{
    dmc_config *c = NULL;
    settings t;
    dmc_status status = open_config(s, &c);
    if (status >= 0) status = read_settings(c, &t);
    if (status >= 0) status = figures(s, s->foundation, s->before);
    for (int32_t k = 0; k < NAV1D_METHODS && status >= 0; k++) status = align_once(s, &t, k);
    dmc_config_destroy(c);
    return status;
}

void nav1d_study_free(nav1d_study *s)
{
    dmc_model_destroy(s->aligned);
    dmc_model_destroy(s->foundation);
}
