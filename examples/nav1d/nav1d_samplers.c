/* nav1d_samplers.c — `make samplers-table`. One thread; a few minutes with the training, which is kept in the folder. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "nav1d_measure.h"
#include "nav1d_recipe.h"
#include "nav1d_samplers.h"

const int32_t nav1d_step_counts[NAV1D_STEP_COUNTS] = {1, 2, 5, 10, 20};

enum { LIMIT_S = 15 * 60, MOST_SETTINGS = 16 };

/* The processes, each with its own foundation. Twenty levels, so that twenty steps exist on a discrete clock. */
static const struct kind {
    const char *role, *process, *config, *setting[3], *preferred;
    int32_t candidates;
} kinds[] = {
    {"planner", "vp", "planner.yaml", {"model.train_steps=20"}, "ddpm", NAV1D_MOST_CANDIDATES},
    {"planner", "vp_sde", "planner.yaml", {"model.process=vp_sde"}, "ddpm", NAV1D_MOST_CANDIDATES},
    {"planner", "edm", "planner-edm.yaml", {NULL}, "heun", NAV1D_MOST_CANDIDATES},
    {"planner", "flow", "planner-flow.yaml", {NULL}, "euler", NAV1D_MOST_CANDIDATES},
    {"policy", "vp", "policy.yaml", {"model.train_steps=20"}, "ddpm", 8},
    {"policy", "edm", "policy.yaml", {"model.process=edm", "model.predict=edm", "model.sigma_data=0.58"}, "heun", 8},
    {"policy", "flow", "policy.yaml", {"model.process=flow", "model.predict=velocity"}, "euler", 8},
};

typedef struct work {
    const char *out, *configs;
    char **setting;             /* of the command line, for every model */
    size_t settings;
    double began;
    dmc_dataset *data;
    dmc_critic *critic;
    dmc_model *model;
    const struct kind *kind;
    nav1d_behaviour behaviour;
    nav1d_cells cells;
} work;

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int exists(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0;
}

/* ---- models ----------------------------------------------------------------------------------------- */

/* configs/<name> with the settings of a kind and of the command line. */
typedef struct recipe {
    nav1d_recipe r;
    char path[512], label[32];
    const char *setting[MOST_SETTINGS];
} recipe;

static void make_recipe(const work *w, const char *name, const struct kind *k, recipe *out)
{
    size_t n = 0;
    for (size_t i = 0; k && i < 3 && k->setting[i]; i++) out->setting[n++] = k->setting[i];
    for (size_t i = 0; i < w->settings; i++) out->setting[n++] = w->setting[i];
    snprintf(out->path, sizeof out->path, "%s/%s", w->configs, name);
    snprintf(out->label, sizeof out->label, "%s %s", k ? k->role : "critic", k ? k->process : "");
    out->r = (nav1d_recipe){.config = out->path, .setting = out->setting, .settings = n, .label = out->label};
}

/* The foundation of this kind, from the folder if it is there. */
static dmc_status find_model(work *w, const struct kind *k)
{
    char path[512];
    recipe r;
    dmc_model_destroy(w->model);
    w->model = NULL;
    w->kind = k;
    snprintf(path, sizeof path, "%s/%s-%s.dmc", w->out, k->role, k->process);
    if (exists(path)) return dmc_model_load(NULL, path, &w->model);
    make_recipe(w, k->config, k, &r);
    const dmc_status status = nav1d_recipe_model(&r.r, w->data, &w->model, NULL);
    return status < 0 ? status : dmc_model_save(w->model, path);
}

static dmc_status find_critic(work *w)
{
    char path[512];
    snprintf(path, sizeof path, "%s/critic.dmc", w->out);
    if (exists(path)) return dmc_critic_load(NULL, path, NULL, &w->critic);
    recipe r;
    make_recipe(w, "critic.yaml", NULL, &r);
    const dmc_status status = nav1d_recipe_critic(&r.r, w->data, &w->critic);
    return status < 0 ? status : dmc_critic_save(w->critic, path);
}

/* ---- measuring -------------------------------------------------------------------------------------- */

static dmc_status measure_return(const work *w, dmc_sampler_options o, int32_t select, int32_t candidates, nav1d_figure *f)
{
    double returns[NAV1D_SEEDS];
    o.select = select;
    o.candidates = candidates;
    const dmc_status status = nav1d_returns_of(w->model, w->critic, &o, 0, returns);
    if (status >= 0) *f = nav1d_summary(returns, NAV1D_SEEDS);
    return status;
}

/* A sampler that the process cannot have, steps it has not, or numbers that grew without bound are no failure of the study: *fits
 * is 0 then. */
static dmc_status measure(const work *w, nav1d_cell *c, int32_t *fits)
{
    dmc_sampler_options o;
    dmc_sampler_options_init(&o, sizeof o);
    o.steps = c->steps;
    dmc_status status = dmc_options_set(DMC_OPTIONS_SAMPLER, &o, "sampler", c->sampler);
    if (status >= 0)
        status = nav1d_measure_coherency(w->model, strcmp(c->role, "planner") == 0, &w->behaviour, &o, &c->coherency, &c->rms);
    *fits = status != DMC_EINVAL && status != DMC_ERANGE && status != DMC_ENUMERIC;
    if (!*fits) {
        fprintf(stderr, "%-7s %-7s %-14s %2d steps  %s\n", c->role, c->process, c->sampler, c->steps, dmc_last_error());
        return DMC_OK;
    }
    if (status >= 0) status = measure_return(w, o, DMC_SELECT_FIRST, 1, &c->single);
    if (status >= 0) status = measure_return(w, o, DMC_SELECT_GREEDY, w->kind->candidates, &c->greedy);
    return status;
}

static dmc_status measure_cell(work *w, const char *sampler, size_t length, int32_t steps)
{
    nav1d_cell *const c = &w->cells.cell[w->cells.n];
    int32_t fits;
    *c = (nav1d_cell){.role = w->kind->role, .process = w->kind->process, .steps = steps};
    snprintf(c->sampler, sizeof c->sampler, "%.*s", (int)length, sampler);
    c->preferred = strcmp(c->sampler, w->kind->preferred) == 0;
    if (w->cells.n == NAV1D_MOST_CELLS - 1 || seconds() - w->began > LIMIT_S) {
        w->cells.left_out++;
        return DMC_OK;
    }
    const dmc_status status = measure(w, c, &fits);
    if (status < 0 || !fits) return status;
    fprintf(stderr, "%-7s %-7s %-14s %2d steps  single %5.2f +- %.2f  greedy %5.2f +- %.2f  coherency %.3f\n", c->role, c->process,
            c->sampler, steps, c->single.mean, c->single.se, c->greedy.mean, c->greedy.se, c->coherency);
    w->cells.n++;
    return DMC_OK;
}

/* Every name the library has but the last, "auto". */
static dmc_status measure_kind(work *w, const struct kind *k)
{
    dmc_option_info o;
    dmc_status status = find_model(w, k);
    if (status >= 0) status = dmc_options_describe(DMC_OPTIONS_SAMPLER, 0, &o);
    for (const char *name = o.choices; status >= 0 && *name;) {
        const size_t length = strcspn(name, " ");
        if (strncmp(name, "auto", length) != 0)
            for (int32_t i = 0; status >= 0 && i < NAV1D_STEP_COUNTS; i++)
                status = measure_cell(w, name, length, nav1d_step_counts[i]);
        name += length + (name[length] == ' ');
    }
    return status;
}

static dmc_status measure_uniform(work *w)
{
    static const int32_t candidates[3] = {1, 8, NAV1D_MOST_CANDIDATES};
    double returns[NAV1D_SEEDS];
    dmc_status status = DMC_OK;
    for (int32_t i = 0; status >= 0 && i < 3; i++) {
        status = nav1d_uniform_returns(w->critic, candidates[i], returns);
        w->cells.uniform[i] = nav1d_summary(returns, NAV1D_SEEDS);
    }
    return status;
}

static dmc_status measure_all(work *w)
{
    dmc_status status = find_critic(w);
    if (status >= 0) status = measure_uniform(w);
    for (size_t i = 0; status >= 0 && i < sizeof kinds / sizeof *kinds; i++) status = measure_kind(w, &kinds[i]);
    return status;
}

/* ---- all of it -------------------------------------------------------------------------------------- */

static int report(const work *w)
{
    char path[512];
    snprintf(path, sizeof path, "%s/results.json", w->out);
    nav1d_samplers_markdown(&w->cells, stdout);
    fprintf(stderr, "%d cells in %.0f s\n", w->cells.n, seconds() - w->began);
    if (nav1d_samplers_json(path, &w->cells, "full") == 0) return 0;
    fprintf(stderr, "nav1d: %s cannot be written\n", path);
    return 1;
}

int nav1d_samplers(int argc, char **argv)
{
    work *const w = calloc(1, sizeof *w);
    if (!w || argc - 3 > MOST_SETTINGS - 3) {
        fprintf(stderr, "nav1d: %s\n", w ? "too many settings" : "out of memory");
        free(w);
        return 1;
    }
    w->out = argc > 1 ? argv[1] : "build/samplers";
    w->configs = argc > 2 ? argv[2] : "examples/nav1d";
    w->setting = argv + 3;
    w->settings = argc > 3 ? (size_t)argc - 3 : 0;
    w->began = seconds();
    w->behaviour = nav1d_behaviour_make(NAV1D_FULL, NULL);
    mkdir(w->out, 0777);
    dmc_status status = nav1d_dataset(NAV1D_FULL, NULL, NULL, &w->data);
    if (status >= 0) status = measure_all(w);
    if (status < 0) fprintf(stderr, "nav1d: %s\n", dmc_last_error());
    const int failed = status < 0 ? 1 : report(w);
    dmc_model_destroy(w->model);
    dmc_critic_destroy(w->critic);
    dmc_dataset_destroy(w->data);
    free(w);
    return failed;
}
