/* cli_sample.c — dmc sample: actions for an observation, or a control loop over standard input. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

typedef struct job {
    const cli_args *args;
    cli_session s;
    dmc_sampler *sampler;
    int32_t horizon, obs_dim, act_dim, count;
    float *obs, *act; /* (obs_dim) (horizon,act_dim) */
} job;

static int prepare(job *j)
{
    CLI_TRY(cli_session_open(j->args, &j->s));
    j->count = 1;
    if (!j->args->obs)
        return cli_complain(CLI_USAGE, "sample needs --obs A,B,... or --obs - for standard input");
    if (j->args->count) CLI_TRY(cli_whole_number("--count", j->args->count, 1, 1000000, &j->count));
    if (j->s.set.sampler.batch != 1)
        return cli_complain(CLI_BAD_INPUT,
                            "sampler.batch = %d: sample answers one observation at a time",
                            j->s.set.sampler.batch);
    CLI_TRY(cli_session_model(&j->s));
    if (j->s.set.critic_path) CLI_TRY(cli_session_critic(&j->s));
    CLI_TRY(cli_session_sampler(&j->s, &j->s.set.sampler, &j->sampler));
    CLI_CALL(dmc_model_sizes(j->s.model, &j->horizon, NULL, NULL, &j->obs_dim, &j->act_dim));
    if (j->s.set.sampler.horizon > 0) j->horizon = j->s.set.sampler.horizon;
    j->obs = calloc((size_t)j->obs_dim, sizeof *j->obs);
    j->act = calloc((size_t)j->horizon * (size_t)j->act_dim, sizeof *j->act);
    return j->obs && j->act ? CLI_OK : cli_complain(CLI_FAILED, "out of memory");
}

/* "0.1,0.2" or "0.1 0.2" -> obs */
static int read_observation(const job *j, const char *text)
{
    const char *p = text;
    for (int32_t i = 0; i < j->obs_dim; i++) {
        char *end;
        p += strspn(p, ", \t\r\n");
        j->obs[i] = strtof(p, &end);
        if (end == p)
            return cli_complain(
                CLI_BAD_INPUT,
                "the observation has no number at \"%.20s\" (entry %d), the model wants %d", p,
                i + 1, j->obs_dim);
        p = end;
    }
    p += strspn(p, ", \t\r\n");
    if (*p)
        return cli_complain(CLI_BAD_INPUT,
                            "the observation goes on at \"%.20s\", the model wants %d numbers", p,
                            j->obs_dim);
    return CLI_OK;
}

/* One line per sample; without --json one line per row of actions, and an empty line after each
 * sample; what the critic says of it is then a note. */
static int print_answer(const job *j)
{
    dmc_sampler_info info = {.struct_size = sizeof info};
    CLI_CALL(dmc_sampler_get_info(j->sampler, &info));
    if (j->args->json) {
        fputs("{\"actions\": ", stdout);
        cli_record_matrix(stdout, j->horizon, j->act_dim, j->act);
        fputs(", \"q\": ", stdout);
        cli_record_number(stdout, info.q);
        printf(", \"chosen\": %d, \"steps\": %d, \"clamped\": %d, \"seconds\": %.9f}\n", info.chosen,
               info.steps, info.clamped, 1e-9 * (double)info.nanoseconds);
    } else {
        for (int32_t i = 0; i < j->horizon * j->act_dim; i++)
            printf("%.9g%c", (double)j->act[i], (i + 1) % j->act_dim ? ',' : '\n');
        putchar('\n');
        if (j->s.critic)
            cli_note(j->args->quiet, "Q %.6g, candidate %d, %d steps", info.q, info.chosen,
                     info.steps);
    }
    fflush(stdout);
    return CLI_OK;
}

static int answer(const job *j, const char *text)
{
    const size_t n = (size_t)j->horizon * (size_t)j->act_dim;
    CLI_TRY(read_observation(j, text));
    for (int32_t i = 0; i < j->count; i++) {
        CLI_CALL(dmc_sampler_sample(j->sampler, j->obs, (size_t)j->obs_dim, j->act, n));
        CLI_TRY(print_answer(j));
    }
    return CLI_OK;
}

/* Each line is the next control step, so a policy with n_obs > 1 sees the lines before it. */
static int answer_lines(const job *j)
{
    char *line = NULL;
    size_t size = 0;
    int code = CLI_OK;
    while (code == CLI_OK && getline(&line, &size, stdin) >= 0) code = answer(j, line);
    free(line);
    return code;
}

static int run(job *j)
{
    CLI_TRY(prepare(j));
    return strcmp(j->args->obs, "-") == 0 ? answer_lines(j) : answer(j, j->args->obs);
}

int cli_sample(const cli_args *args)
{
    job j = {.args = args};
    const int code = run(&j);
    free(j.act);
    free(j.obs);
    dmc_sampler_destroy(j.sampler);
    cli_session_close(&j.s);
    return code;
}
