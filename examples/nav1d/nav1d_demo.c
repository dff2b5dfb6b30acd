/* nav1d_demo.c — `make demo`: train a diffusion policy and a diffusion planner on Nav1D, align both by every method, and
 * write a table, build/demo/results.json and build/demo/nav1d.png.
 *
 *     nav1d [FOLDER [CONFIG-FOLDER]]
 *     nav1d samplers ...                       other studies: nav1d_samplers.h
 *     nav1d critic ...                         nav1d_critic.h
 *
 * Two threads work at a time: libdmc's objects are independent, only the (finished) critic and data are shared.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "nav1d_ablations.h"
#include "nav1d_column.h"
#include "nav1d_critic.h"
#include "nav1d_report.h"
#include "nav1d_recipe.h"
#include "nav1d_reproduce.h"
#include "nav1d_samplers.h"

typedef struct job {
    dmc_status (*run)(void *);
    void *arg;
    dmc_status status;
    char error[512];
} job;

static void *run_job(void *arg)
{
    job *j = arg;
    j->status = j->run(j->arg);
    if (j->status < 0) snprintf(j->error, sizeof j->error, "%s", dmc_last_error()); /* the text belongs to this thread */
    return NULL;
}

/* Run two jobs at once; the first failure counts. */
static dmc_status both(job *a, job *b)
{
    pthread_t t;
    if (pthread_create(&t, NULL, run_job, b) != 0) {
        run_job(b);
        run_job(a);
    } else {
        run_job(a);
        pthread_join(t, NULL);
    }
    const job *bad = a->status < 0 ? a : b;
    if (bad->status < 0) fprintf(stderr, "nav1d: %s\n", bad->error);
    return bad->status;
}

/* ---- the jobs --------------------------------------------------------------------------------------- */

typedef struct demo {
    const char *out;
    char policy_config[256], planner_config[256], critic_config[256];
    dmc_dataset *data;
    dmc_critic *critic;
    nav1d_study policy, planner;
} demo;

static dmc_status fit_critic(void *arg)
{
    demo *d = arg;
    const nav1d_recipe r = {.config = d->critic_config, .label = "critic"};
    char path[512];
    const dmc_status status = nav1d_recipe_critic(&r, d->data, &d->critic);
    snprintf(path, sizeof path, "%s/critic.dmc", d->out);
    return status < 0 ? status : dmc_critic_save(d->critic, path);
}

static dmc_status train_both(void *arg)
{
    demo *d = arg;
    const dmc_status status = nav1d_study_train(&d->policy);
    return status < 0 ? status : nav1d_study_train(&d->planner);
}

static dmc_status align(void *arg)
{
    return nav1d_study_align(arg);
}

/* ---- all of it -------------------------------------------------------------------------------------- */

static dmc_status make_data(demo *d, const nav1d_expert *expert)
{
    for (int32_t kind = 2; kind >= 0; kind--) { /* full last: it is the one studied */
        char path[512];
        dmc_dataset_destroy(d->data);
        snprintf(path, sizeof path, "%s/%s.hdf5", d->out, nav1d_kind_name[kind]);
        const dmc_status status = nav1d_dataset(kind, expert, path, &d->data);
        if (status < 0) return status;
    }
    return DMC_OK;
}

static dmc_status study(demo *d)
{
    job critic = {fit_critic, d, 0, ""}, train = {train_both, d, 0, ""};
    job policy = {align, &d->policy, 0, ""}, planner = {align, &d->planner, 0, ""};
    d->policy.data = d->planner.data = d->data;
    const dmc_status status = both(&critic, &train);
    if (status < 0) return status;
    d->policy.critic = d->planner.critic = d->critic;
    return both(&policy, &planner);
}

static int write_results(const demo *d, double optimum)
{
    const nav1d_study *const studies[] = {&d->policy, &d->planner};
    char path[512];
    snprintf(path, sizeof path, "%s/results.json", d->out);
    for (int32_t i = 0; i < 2; i++) nav1d_report_table(studies[i], optimum);
    if (nav1d_report_json(path, studies, 2, "full", optimum) != 0) {
        fprintf(stderr, "nav1d: %s cannot be written\n", path);
        return 1;
    }
    const int32_t picture = nav1d_report_picture(d->out, studies, 2, optimum);
    if (picture < 0) fprintf(stderr, "nav1d: the picture could not be made\n");
    printf("\nwritten: %s%s%s%s\n", path, picture == 0 ? ", " : "", picture == 0 ? d->out : "",
           picture == 0 ? "/nav1d.png" : picture > 0 ? " (no picture: gnuplot is not installed)" : "");
    return picture < 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "samplers") == 0) return nav1d_samplers(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "ablations") == 0) return nav1d_ablations(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "reproduce") == 0) return nav1d_reproduce(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "critic") == 0) return nav1d_critic(argc - 1, argv + 1);
    const char *configs = argc > 2 ? argv[2] : "examples/nav1d";
    demo d = {.out = argc > 1 ? argv[1] : "build/demo"};
    snprintf(d.policy_config, sizeof d.policy_config, "%s/policy.yaml", configs);
    snprintf(d.planner_config, sizeof d.planner_config, "%s/planner.yaml", configs);
    snprintf(d.critic_config, sizeof d.critic_config, "%s/critic.yaml", configs);
    d.policy = (nav1d_study){.role = "policy", .config = d.policy_config, .out = d.out, .candidates = 8};
    d.planner = (nav1d_study){.role = "planner", .config = d.planner_config, .out = d.out, .candidates = 16};
    mkdir(d.out, 0777);
    nav1d_expert *expert = nav1d_expert_create(NAV1D_EXPERT_STATES, NAV1D_EXPERT_ACTIONS, 1);
    dmc_status status = expert ? make_data(&d, expert) : DMC_ENOMEM;
    if (status < 0) fprintf(stderr, "nav1d: %s\n", expert ? dmc_last_error() : "out of memory");
    else status = study(&d);
    const int failed = status < 0 ? 1 : write_results(&d, nav1d_expert_mean(expert, -1, 1));
    nav1d_study_free(&d.policy);
    nav1d_study_free(&d.planner);
    dmc_critic_destroy(d.critic);
    dmc_dataset_destroy(d.data);
    nav1d_expert_destroy(expert);
    return failed;
}
