/* nav1d_critic.c — `nav1d critic`: the return of acting by the critic alone, and the error of its V. */
#include "nav1d_critic.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "nav1d_column.h"

enum { STATES = 256 * NAV1D_STEPS, MOST_WORDS = 32 };

/* ---- acting by the critic ---------------------------------------------------------------------------- */

typedef struct decision {
    float obs[NAV1D_CRITIC_ACTIONS * NAV1D_OBS], act[NAV1D_CRITIC_ACTIONS], q1[NAV1D_CRITIC_ACTIONS], q2[NAV1D_CRITIC_ACTIONS];
} decision;

/* All actions in steps of 1/50, or n uniform ones, numbered by episode and time. */
static void list_actions(const nav1d_env *e, int32_t n, uint64_t episode, decision *d)
{
    for (int32_t i = 0; i < n; i++) {
        double u[2] = {(double)i / (n - 1), 0};
        if (n < NAV1D_CRITIC_ACTIONS) nav1d_random(1, NAV1D_RANDOM_ACTION, episode, (uint32_t)(e->time * n + i), u);
        nav1d_env_observe(e, d->obs + (size_t)i * NAV1D_OBS);
        d->act[i] = (float)(2 * u[0] - 1);
    }
}

static dmc_status decide(dmc_critic *c, int32_t n, decision *d, double *action)
{
    const dmc_status status = dmc_critic_q(c, (size_t)n, d->obs, d->act, d->q1, d->q2);
    float best = -INFINITY;
    for (int32_t i = 0; i < n && status >= 0; i++) {
        const float q = fminf(d->q1[i], d->q2[i]);
        if (q > best) *action = d->act[i];
        if (q > best) best = q;
    }
    return status;
}

static dmc_status run_episode(dmc_critic *c, nav1d_env e, int32_t n, uint64_t episode, double *sum)
{
    decision d;
    int32_t done = 0;
    while (!done) {
        double action = 0, reward = 0;
        list_actions(&e, n, episode, &d);
        const dmc_status status = decide(c, n, &d, &action);
        if (status < 0) return status;
        if (nav1d_env_step(&e, action, &reward, &done) != 0) return DMC_ENUMERIC; /* a Q that is no number */
        *sum += reward;
    }
    return DMC_OK;
}

/* The partial data begin at 0 or below; what is above 0 was never seen. */
static dmc_status returns(dmc_critic *c, int32_t kind, int32_t preview, const nav1d_expert *exact, nav1d_critic_quality *out)
{
    double sum[NAV1D_CRITIC_SEEDS] = {0}, few[NAV1D_CRITIC_SEEDS] = {0}, seen[NAV1D_CRITIC_SEEDS], best = 0;
    int32_t n = 0;
    for (int32_t i = 0; i < NAV1D_CRITIC_SEEDS; i++) {
        nav1d_env e;
        nav1d_env_reset(&e, 0, (uint64_t)i, preview);
        dmc_status status = run_episode(c, e, NAV1D_CRITIC_ACTIONS, (uint64_t)i, &sum[i]);
        if (status >= 0) status = run_episode(c, e, NAV1D_CRITIC_FEW, (uint64_t)i, &few[i]);
        if (status < 0) return status;
        if (kind == NAV1D_PARTIAL && e.state > 0) continue;
        best += nav1d_expert_value(exact, 0, e.state);
        seen[n++] = sum[i];
    }
    out->all = nav1d_summary(sum, NAV1D_CRITIC_SEEDS);
    out->few = nav1d_summary(few, NAV1D_CRITIC_SEEDS);
    out->seen = nav1d_summary(seen, n);
    out->optimum = best / n;
    return DMC_OK;
}

/* ---- values ------------------------------------------------------------------------------------------ */

static dmc_status value_error(dmc_critic *c, const nav1d_data *d, const nav1d_expert *exact, nav1d_critic_quality *out)
{
    float *v = malloc(STATES * sizeof *v);
    if (!v) return DMC_ENOMEM;
    const dmc_status status = dmc_critic_v(c, STATES, d->observations, v);
    double sum = 0, square = 0;
    for (int32_t i = 0; i < STATES && status >= 0; i++) {
        const double error = v[i] - nav1d_expert_value(exact, i % NAV1D_STEPS, d->observations[(size_t)i * NAV1D_OBS]);
        sum += error;
        square += error * error;
    }
    out->bias = sum / STATES;
    out->rms = sqrt(square / STATES);
    free(v);
    return status;
}

dmc_status nav1d_critic_measure(dmc_critic *c, int32_t kind, int32_t preview, const nav1d_expert *exact,
                                nav1d_critic_quality *out)
{
    /* Whose states these are matters little: the uniform behaviour reaches all that the data have. */
    const nav1d_behaviour b = nav1d_behaviour_make(kind == NAV1D_PARTIAL ? kind : NAV1D_FULL, NULL);
    nav1d_data d;
    if (nav1d_data_create(&b, STATES / NAV1D_STEPS, 1000, preview, &d) != 0) return DMC_ENOMEM;
    dmc_status status = returns(c, kind, preview, exact, out);
    if (status >= 0) status = value_error(c, &d, exact, out);
    nav1d_data_destroy(&d);
    return status;
}

/* ---- the command ------------------------------------------------------------------------------------- */

typedef struct request {
    const char *setting[MOST_WORDS];
    size_t settings;
    int32_t preview, wanted[NAV1D_KINDS];
} request;

/* 0, or -1 for a word that is none of these. */
static int32_t take_word(request *r, const char *word)
{
    if (strchr(word, '=')) {
        r->setting[r->settings++] = word;
        return 0;
    }
    if (strcmp(word, "preview") == 0) {
        r->preview = 1;
        return 0;
    }
    for (int32_t k = 0; k < NAV1D_KINDS; k++)
        if (strcmp(word, nav1d_kind_name[k]) == 0) return !(r->wanted[k] = 1);
    return -1;
}

static dmc_status make_data(int32_t kind, const nav1d_expert *expert, int32_t preview, dmc_dataset **out)
{
    const nav1d_behaviour b = nav1d_behaviour_make(kind, expert);
    nav1d_data d;
    *out = NULL;
    if (nav1d_data_create(&b, NAV1D_EPISODES, (uint64_t)kind, preview, &d) != 0) return DMC_ENOMEM;
    const dmc_status status = dmc_dataset_create(NULL, d.n, NAV1D_OBS, NAV1D_ACT, d.observations, d.actions, d.rewards, d.terminals,
                                                 d.timeouts, NULL, out);
    nav1d_data_destroy(&d);
    return status;
}

static void print_row(const request *r, int32_t kind, const dmc_critic_options *o, double seconds, const nav1d_critic_quality *q)
{
    printf("| %s%s | %d | %d | %d | %g | %g | %g | %g | %.0f | %.2f ± %.2f | %.2f ± %.2f | %.2f ± %.2f | %.2f | %+.2f | %.2f |\n",
           nav1d_kind_name[kind],
           r->preview ? ", preview" : "", o->steps, o->hidden, o->batch, o->lr, o->tau, o->gamma, o->polyak, seconds,
           q->few.mean, q->few.se, q->all.mean, q->all.se, q->seen.mean, q->seen.se, q->optimum, q->bias, q->rms);
    fflush(stdout);
}

/* Train and measure on one data set. */
static dmc_status study(const request *r, int32_t kind, const nav1d_expert *expert, const dmc_critic_options *o)
{
    dmc_dataset *data = NULL;
    dmc_critic *c = NULL;
    nav1d_critic_quality q = {0};
    nav1d_expert *const exact = nav1d_expert_create(NAV1D_EXPERT_STATES, NAV1D_EXPERT_ACTIONS, kind == NAV1D_PARTIAL ? 0 : 1);
    dmc_status status = exact ? make_data(kind, expert, r->preview, &data) : DMC_ENOMEM;
    if (status >= 0) status = dmc_critic_create(NULL, data, o, &c);
    const clock_t began = clock(); /* of the processor: of all threads, and however busy the machine is */
    if (status >= 0) status = dmc_critic_step(c, o->steps, NULL);
    const double seconds = (double)(clock() - began) / CLOCKS_PER_SEC;
    if (status >= 0) status = nav1d_critic_measure(c, kind, r->preview, exact, &q);
    if (status >= 0) print_row(r, kind, o, seconds, &q);
    dmc_critic_destroy(c);
    dmc_dataset_destroy(data);
    nav1d_expert_destroy(exact);
    return status;
}

static dmc_status study_all(const char *folder, const request *r, const nav1d_expert *expert)
{
    char path[512];
    dmc_config *config = NULL;
    dmc_critic_options o;
    dmc_critic_options_init(&o, sizeof o);
    snprintf(path, sizeof path, "%s/critic.yaml", folder);
    dmc_status status = dmc_config_load(path, r->setting, r->settings, &config);
    if (status >= 0) status = dmc_config_apply(config, "critic", DMC_OPTIONS_CRITIC, &o);
    if (status >= 0)
        printf("| data | updates | hidden | batch | lr | tau | gamma | polyak | seconds | of 8 | of 101 | seen starts | optimum "
               "| V - V* | rms |\n"
               "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n");
    const int32_t all = !(r->wanted[0] || r->wanted[1] || r->wanted[2]);
    for (int32_t k = 0; k < NAV1D_KINDS && status >= 0; k++)
        if (all || r->wanted[k]) status = study(r, k, expert, &o);
    dmc_config_destroy(config);
    return status;
}

int nav1d_critic(int argc, char **argv)
{
    request r = {.settings = 0};
    int32_t bad = argc > MOST_WORDS ? argc : 0;
    for (int32_t i = 2; i < argc && !bad; i++)
        if (take_word(&r, argv[i]) != 0) bad = i;
    if (bad) {
        fprintf(stderr, "nav1d critic: %s; words are full, partial, expert, preview and critic.key=value\n",
                bad < argc ? argv[bad] : "too many words");
        return 1;
    }
    nav1d_expert *const expert = nav1d_expert_create(NAV1D_EXPERT_STATES, NAV1D_EXPERT_ACTIONS, 1);
    const dmc_status status = expert ? study_all(argc > 1 ? argv[1] : "examples/nav1d", &r, expert) : DMC_ENOMEM;
    if (status < 0) fprintf(stderr, "nav1d critic: %s\n", expert ? dmc_last_error() : "out of memory");
    nav1d_expert_destroy(expert);
    return status < 0;
}
