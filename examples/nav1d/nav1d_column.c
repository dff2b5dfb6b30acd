/* nav1d_column.c — the columns, and the three steps of a job. */
#include "nav1d_column.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "nav1d_measure.h"

const char *const nav1d_kind_name[NAV1D_KINDS] = {"full", "partial", "expert"};

/* Paper, table of Nav1D: kinds in the order of nav1d_kind_name. */
const nav1d_column nav1d_columns[NAV1D_COLUMNS] = {
    {"policy", "policy", "policy.yaml", "policy.yaml", "ddpm", {NULL}, 0, 8, 2, {NAV1D_MEAN, NAV1D_GREEDY},
     {{{1.32, 5.98}, {4.61, 6.24}}, {{1.10, 3.91}, {2.69, 4.42}}, {{5.43, 5.80}, {6.89, 7.06}}}},
    {"ddpm", "planner", "planner.yaml", "planner.yaml", "ddpm", {NULL}, 1, 16, 1, {NAV1D_GREEDY},
     {{{3.2, 6.9}}, {{2.1, 4.3}}, {{6.2, 7.3}}}},
    {"ddim", "planner", "planner.yaml", "planner.yaml", "ddim", {"align.sampler=ddim"}, 1, 16, 1, {NAV1D_GREEDY},
     {{{4.3, 7.3}}, {{1.9, 3.3}}, {{5.9, 7.2}}}},
    {"sm", "planner-edm", "planner-edm.yaml", "planner.yaml", "euler", {NULL}, 1, 16, 1, {NAV1D_GREEDY},
     {{{2.9, 6.9}}, {{2.5, 4.1}}, {{5.9, 7.2}}}},
    {"fm", "planner-flow", "planner-flow.yaml", "planner.yaml", "euler", {NULL}, 1, 16, 1, {NAV1D_GREEDY},
     {{{3.9, 6.8}}, {{2.3, 5.2}}, {{6.4, 7.1}}}},
};

/* Episodes that score a run while it learns are not those that judge it. */
enum { TEST_SEED = 0, SCORE_SEED = 1000 };

/* ---- names and settings ----------------------------------------------------------------------------------------------- */

typedef struct recipe {
    nav1d_recipe r;
    char path[512], label[64], seed[4][32];
    const char *setting[NAV1D_MOST_SETTINGS];
} recipe;

/* A file with the settings of a column, of the seed, and of the command line over it. */
static void make_recipe(const nav1d_stage *s, const nav1d_job *j, const char *file, recipe *out)
{
    static const char *const section[4] = {"model", "train", "critic", "align"};
    size_t n = 0;
    for (size_t i = 0; j->column && i < 3 && j->column->setting[i]; i++) out->setting[n++] = j->column->setting[i];
    for (size_t i = 0; i < 4; i++) {
        snprintf(out->seed[i], sizeof out->seed[i], "%s.seed=%d", section[i], j->seed);
        out->setting[n++] = out->seed[i];
    }
    for (size_t i = 0; i < s->settings && n < NAV1D_MOST_SETTINGS; i++) out->setting[n++] = s->setting[i];
    snprintf(out->path, sizeof out->path, "%s/%s", s->configs, file);
    snprintf(out->label, sizeof out->label, "%s %s %d", nav1d_kind_name[j->kind], j->column ? j->column->name : "critic", j->seed);
    out->r = (nav1d_recipe){.config = out->path, .setting = out->setting, .settings = n, .label = out->label};
}

static void name_file(const nav1d_stage *s, const nav1d_job *j, const char *what, const char *ending, char path[512])
{
    snprintf(path, 512, "%s/%s-%s-%d%s", s->out, nav1d_kind_name[j->kind], what, j->seed, ending);
}

static int exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

/* ---- critic and foundation -------------------------------------------------------------------------------------------- */

dmc_status nav1d_make_critic(const nav1d_stage *s, const nav1d_job *j)
{
    char path[512];
    recipe r;
    dmc_critic *c = NULL;
    const nav1d_job plain = {NULL, j->kind, j->seed};
    name_file(s, j, "critic", ".dmc", path);
    if (exists(path)) return DMC_OK;
    make_recipe(s, &plain, "critic.yaml", &r);
    dmc_status status = nav1d_recipe_critic(&r.r, s->data[j->kind], &c);
    if (status >= 0) status = dmc_critic_save(c, path);
    dmc_critic_destroy(c);
    return status;
}

dmc_status nav1d_make_foundation(const nav1d_stage *s, const nav1d_job *j)
{
    char path[512];
    recipe r;
    dmc_model *m = NULL;
    name_file(s, j, j->column->foundation, ".dmc", path);
    if (exists(path)) return DMC_OK;
    make_recipe(s, j, j->column->model, &r);
    dmc_status status = nav1d_recipe_model(&r.r, s->data[j->kind], &m, NULL);
    if (status >= 0) status = dmc_model_save(m, path);
    dmc_model_destroy(m);
    return status;
}

/* ---- measuring -------------------------------------------------------------------------------------------------------- */

/* What an alignment works with; critic and models are its own. */
typedef struct run {
    const nav1d_stage *stage;
    const nav1d_job *job;
    dmc_critic *critic;
    dmc_model *foundation;
    FILE *curve;
    double seconds;
} run;

static dmc_status sampler_options(const run *r, int32_t rule, dmc_sampler_options *o)
{
    static const int32_t select[NAV1D_SELECTIONS] = {DMC_SELECT_FIRST, DMC_SELECT_EXPECTATION, DMC_SELECT_GREEDY};
    dmc_sampler_options_init(o, sizeof *o);
    o->select = select[rule];
    o->candidates = r->job->column->candidates;
    o->cascade_passes = 1; /* nothing happens for a model without one */
    return dmc_options_set(DMC_OPTIONS_SAMPLER, o, "sampler", r->job->column->sampler);
}

static dmc_status outcome(const run *r, const dmc_model *m, int32_t rule, nav1d_outcome *out)
{
    double x[NAV1D_TRIALS], square = 0;
    dmc_sampler_options o;
    dmc_status status = sampler_options(r, rule, &o);
    for (uint64_t half = 0; half < 2 && status >= 0; half++)
        status = nav1d_returns_of(m, r->critic, &o, TEST_SEED + half * NAV1D_SEEDS, x + half * NAV1D_SEEDS);
    if (status < 0) return status;
    const nav1d_figure f = nav1d_summary(x, NAV1D_TRIALS);
    for (int32_t i = 0; i < NAV1D_TRIALS; i++) square += (x[i] - f.mean) * (x[i] - f.mean) / (NAV1D_TRIALS - 1);
    *out = (nav1d_outcome){f.mean, f.se, sqrt(square) / f.mean};
    return DMC_OK;
}

static dmc_status coherency(const run *r, const dmc_model *m, double *c)
{
    const nav1d_behaviour b = nav1d_behaviour_make(r->job->kind, r->stage->expert);
    dmc_sampler_options o;
    double rms;
    const dmc_status status = sampler_options(r, NAV1D_SINGLE, &o);
    return status < 0 ? status : nav1d_measure_coherency(m, r->job->column->planner, &b, &o, c, &rms);
}

static dmc_status measure(const run *r, const dmc_model *m, nav1d_outcome out[2], double *c)
{
    dmc_status status = coherency(r, m, c);
    for (int32_t i = 0; i < r->job->column->rules && status >= 0; i++) status = outcome(r, m, r->job->column->rule[i], &out[i]);
    return status;
}

/* ---- alignment -------------------------------------------------------------------------------------------------------- */

/* What the aligner maximises on the side: the mean return of the column's rules. */
static int32_t score(void *user, const dmc_model *m, double *mean, double *se)
{
    const run *r = user;
    double sum[NAV1D_SEEDS] = {0}, x[NAV1D_SEEDS], c;
    const int32_t rules = r->job->column->rules;
    for (int32_t i = 0; i < rules; i++) {
        dmc_sampler_options o;
        if (sampler_options(r, r->job->column->rule[i], &o) < 0) return 1;
        if (nav1d_returns_of(m, r->critic, &o, SCORE_SEED, x) < 0) return 1;
        for (int32_t k = 0; k < NAV1D_SEEDS; k++) sum[k] += x[k] / rules;
    }
    const nav1d_figure f = nav1d_summary(sum, NAV1D_SEEDS);
    *mean = f.mean;
    *se = f.se;
    if (coherency(r, m, &c) < 0) return 1;
    fprintf(r->curve, "%g %g %g\n", f.mean, f.se, c);
    return 0;
}

static int32_t progress(void *user, const dmc_align_progress *p)
{
    const run *r = user;
    if (p->update == p->updates)
        fprintf(stderr, "%-24s %-8s pass %d  score %.2f  best %.2f  %.0f s\n", r->job->column->name, p->stage, p->pass, p->score,
                p->best, p->seconds);
    return 0;
}

static dmc_status align(run *r, dmc_model **aligned, nav1d_result *x)
{
    recipe file;
    dmc_config *c = NULL;
    nav1d_align_settings t;
    dmc_aligner *a = NULL;
    dmc_align_report report = {.struct_size = sizeof report};
    make_recipe(r->stage, r->job, r->job->column->align, &file);
    dmc_status status = nav1d_recipe_align(&file.r, &t, &c);
    if (status >= 0)
        status = dmc_aligner_create(NULL, r->foundation, r->stage->data[r->job->kind], r->critic, &t.align, &a);
    if (status >= 0) status = dmc_aligner_set_score(a, score, r);
    if (status >= 0) status = dmc_aligner_set_progress(a, progress, r);
    if (status >= 0) status = dmc_align_sequence(a, &t.sequence, &t.rl, &t.dpo, &t.sft, &t.cascade, &report);
    if (status >= 0) status = dmc_aligner_publish(a, aligned);
    x->kl = report.kl;
    x->seconds = report.seconds;
    dmc_aligner_destroy(a);
    dmc_config_destroy(c);
    return status;
}

static dmc_status load(run *r)
{
    char path[512];
    name_file(r->stage, r->job, "critic", ".dmc", path);
    const dmc_status status = dmc_critic_load(NULL, path, NULL, &r->critic);
    name_file(r->stage, r->job, r->job->column->foundation, ".dmc", path);
    return status < 0 ? status : dmc_model_load(NULL, path, &r->foundation);
}

static dmc_status write_result(const nav1d_stage *s, const nav1d_job *j, const nav1d_result *x)
{
    char path[512], begun[520];
    name_file(s, j, j->column->name, ".txt", path);
    snprintf(begun, sizeof begun, "%s.new", path);
    FILE *f = fopen(begun, "w");
    if (!f) return DMC_EIO;
    for (int32_t i = 0; i < 2; i++)
        fprintf(f, "%.9g %.9g %.9g %.9g %.9g %.9g\n", x->before[i].mean, x->before[i].se, x->before[i].spread, x->after[i].mean,
                x->after[i].se, x->after[i].spread);
    fprintf(f, "%.9g %.9g %.9g %.9g\n", x->coherency_before, x->coherency_after, x->kl, x->seconds);
    return fclose(f) == 0 && rename(begun, path) == 0 ? DMC_OK : DMC_EIO;
}

static dmc_status run_all(run *r, nav1d_result *x)
{
    dmc_model *aligned = NULL;
    dmc_status status = load(r);
    if (status >= 0) status = measure(r, r->foundation, x->before, &x->coherency_before);
    if (status >= 0) status = align(r, &aligned, x);
    if (status >= 0) status = measure(r, aligned, x->after, &x->coherency_after);
    dmc_model_destroy(aligned);
    return status;
}

dmc_status nav1d_make_result(const nav1d_stage *s, const nav1d_job *j)
{
    char path[512];
    nav1d_result x = {0};
    run r = {.stage = s, .job = j};
    name_file(s, j, j->column->name, ".txt", path);
    if (exists(path)) return DMC_OK;
    name_file(s, j, j->column->name, ".dat", path);
    r.curve = fopen(path, "w");
    dmc_status status = r.curve ? run_all(&r, &x) : DMC_EIO;
    if (r.curve && fclose(r.curve) != 0 && status >= 0) status = DMC_EIO;
    dmc_model_destroy(r.foundation);
    dmc_critic_destroy(r.critic);
    return status < 0 ? status : write_result(s, j, &x);
}

int32_t nav1d_read_result(const nav1d_stage *s, const nav1d_job *j, nav1d_result *r)
{
    char path[512];
    int32_t n = 0;
    name_file(s, j, j->column->name, ".txt", path);
    FILE *f = fopen(path, "r");
    if (!f) return -1;
    for (int32_t i = 0; i < 2; i++)
        n += fscanf(f, "%lf %lf %lf %lf %lf %lf", &r->before[i].mean, &r->before[i].se, &r->before[i].spread, &r->after[i].mean,
                    &r->after[i].se, &r->after[i].spread);
    n += fscanf(f, "%lf %lf %lf %lf", &r->coherency_before, &r->coherency_after, &r->kl, &r->seconds);
    fclose(f);
    return n == 16 ? 0 : -1;
}
