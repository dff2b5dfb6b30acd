/* nav1d_study.c — train, then align five times from the same foundation. */
#include "nav1d_study.h"

#include <stdio.h>

#include "nav1d_recipe.h"

const char *const nav1d_method[NAV1D_METHODS] = {"rl", "dpo", "sft", "cascade", "sequence"};

/* Episodes that score a run while it learns are not those that judge it. */
enum { TEST_SEED = 0, SCORE_SEED = 1000 };

static nav1d_recipe recipe(const nav1d_study *s)
{
    return (nav1d_recipe){.config = s->config, .label = s->role};
}

static dmc_status save(const nav1d_study *s, const dmc_model *m, const char *what)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s-%s.dmc", s->out, s->role, what);
    return dmc_model_save(m, path);
}

dmc_status nav1d_study_train(nav1d_study *s)
{
    const nav1d_recipe r = recipe(s);
    const dmc_status status = nav1d_recipe_model(&r, s->data, &s->foundation, &s->train_seconds);
    return status < 0 ? status : save(s, s->foundation, "foundation");
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

static dmc_status run_method(dmc_aligner *a, int32_t method, const nav1d_align_settings *t, dmc_align_report *r)
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
static dmc_status align_once(nav1d_study *s, const nav1d_align_settings *t, int32_t method)
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
    const nav1d_recipe r = recipe(s);
    dmc_config *c = NULL;
    nav1d_align_settings t;
    dmc_status status = nav1d_recipe_align(&r, &t, &c);
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
