/* cli_align.c — dmc align METHOD: move a model towards what a critic prefers. */
#include <math.h>
#include <string.h>

#include "cli.h"

typedef struct job {
    const cli_args *args;
    cli_session s;
    dmc_aligner *aligner;
    dmc_align_report report;
    const char *out;
    FILE *log;
    cli_progress progress;
    char stage[16]; /* the stage that `progress` is about */
    int32_t pass, lines;
} job;

/* ---- the methods ----------------------------------------------------------------------------- */

static dmc_status run_rl(job *j)
{
    return dmc_align_rl(j->aligner, &j->s.set.rl, &j->report);
}

static dmc_status run_dpo(job *j)
{
    return dmc_align_dpo(j->aligner, &j->s.set.dpo, &j->report);
}

static dmc_status run_sft(job *j)
{
    return dmc_align_sft(j->aligner, &j->s.set.sft, &j->report);
}

static dmc_status run_cascade(job *j)
{
    return dmc_align_cascade(j->aligner, &j->s.set.cascade, &j->report);
}

static dmc_status run_sequence(job *j)
{
    const cli_settings *s = &j->s.set;
    return dmc_align_sequence(j->aligner, &s->sequence, &s->rl, &s->dpo, &s->sft, &s->cascade,
                              &j->report);
}

typedef struct method {
    const char *name;
    dmc_status (*run)(job *j);
} method;

static const method *find_method(const char *name)
{
    static const method methods[] = {{"rl", run_rl},
                                     {"dpo", run_dpo},
                                     {"sft", run_sft},
                                     {"cascade", run_cascade},
                                     {"sequence", run_sequence}};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (strcmp(methods[i].name, name) == 0) return &methods[i];
    return NULL;
}

/* ---- progress -------------------------------------------------------------------------------- */

static void write_line(job *j, const dmc_align_progress *p)
{
    const cli_pair line[] = {{"step", NULL, ++j->lines},  {"stage", p->stage, 0},
                             {"pass", NULL, p->pass},     {"update", NULL, p->update},
                             {"score", NULL, p->score},   {"best", NULL, p->best},
                             {"loss", NULL, p->loss},     {"kl", NULL, p->kl},
                             {"reward", NULL, p->reward}, {"seconds", NULL, p->seconds}};
    cli_record_write(j->log, sizeof line / sizeof *line, line);
}

static int32_t show(void *user, const dmc_align_progress *p)
{
    job *j = user;
    if (strcmp(j->stage, p->stage) != 0 || j->pass != p->pass) {
        snprintf(j->stage, sizeof j->stage, "%s", p->stage);
        j->pass = p->pass;
        cli_progress_begin(&j->progress, j->stage, p->update - 1, p->updates, j->args->quiet);
    }
    if (p->update % j->s.set.report_every == 0 || p->update == p->updates) write_line(j, p);
    if (p->update == p->updates)
        cli_progress_end(&j->progress, p->update, "score %.4f  best %.4f", p->score, p->best);
    else
        cli_progress_show(&j->progress, p->update, "score %.4f  best %.4f", p->score, p->best);
    return cli_signal_seen() != 0;
}

/* ---- the command ----------------------------------------------------------------------------- */

static int prepare(job *j)
{
    const cli_settings *set = &j->s.set;
    CLI_TRY(cli_session_open(j->args, &j->s));
    CLI_TRY(cli_session_data(&j->s));
    CLI_TRY(cli_session_model(&j->s));
    CLI_TRY(cli_session_critic(&j->s));
    CLI_CALL(
        dmc_aligner_create(j->s.ctx, j->s.model, j->s.data, j->s.critic, &set->align, &j->aligner));
    if (set->resume && !set->adapter)
        return cli_complain(CLI_USAGE, "align --resume needs --adapter FILE to go on from");
    if (set->resume) CLI_CALL(dmc_aligner_load(j->aligner, set->adapter));
    CLI_CALL(dmc_aligner_set_progress(j->aligner, show, j));
    CLI_CALL(dmc_aligner_set_ledger(j->aligner, set->ledger));
    j->out = set->out ? set->out : "aligned.dmc";
    j->report.struct_size = sizeof j->report;
    return cli_record_open(set, j->out, -1, &j->log);
}

static int save(job *j)
{
    dmc_model *m;
    if (j->s.set.adapter) CLI_CALL(dmc_aligner_save(j->aligner, j->s.set.adapter));
    CLI_CALL(dmc_aligner_publish(j->aligner, &m));
    const dmc_status status = dmc_model_save(m, j->out);
    dmc_model_destroy(m);
    return status < 0 ? cli_fail(status) : CLI_OK;
}

static int finish(job *j)
{
    const int stopped = cli_signal_seen();
    const dmc_align_report *r = &j->report;
    CLI_TRY(save(j));
    cli_progress_clear();
    cli_note(j->args->quiet,
             "score %.4f +- %.4f -> %.4f +- %.4f, KL %.4f, %d updates, %d rollbacks", r->before,
             r->before_se, r->after, r->after_se, r->kl, r->updates, r->rollbacks);
    cli_note(j->args->quiet, "%s %s", stopped ? "stopped: the best model so far is in" : "wrote",
             j->out);
    const cli_pair line[] = {{"out", j->out, 0},
                             {"updates", NULL, r->updates},
                             {"accepted", NULL, r->accepted},
                             {"before", NULL, r->before},
                             {"before_se", NULL, r->before_se},
                             {"after", NULL, r->after},
                             {"after_se", NULL, r->after_se},
                             {"kl", NULL, r->kl},
                             {"rollbacks", NULL, r->rollbacks},
                             {"seconds", NULL, r->seconds}};
    if (j->args->json) cli_record_write(stdout, sizeof line / sizeof *line, line);
    return stopped ? 128 + stopped : CLI_OK;
}

static int run(job *j)
{
    const char *name = j->args->operand[0];
    const method *m = find_method(name);
    if (!m)
        return cli_complain(
            CLI_USAGE, "align: there is no method \"%s\"; one of rl, dpo, sft, cascade, sequence",
            name);
    cli_signal_watch();
    CLI_TRY(prepare(j));
    const dmc_status status = m->run(j);
    if (status < 0) return cli_fail(status == DMC_ENUMERIC ? DMC_EDIVERGED : status);
    return finish(j);
}

int cli_align(const cli_args *args)
{
    job j = {.args = args};
    const int code = run(&j);
    if (j.log) fclose(j.log);
    dmc_aligner_destroy(j.aligner);
    cli_session_close(&j.s);
    return code;
}
