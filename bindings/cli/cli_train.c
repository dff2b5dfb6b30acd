/* cli_train.c — dmc train: fit a diffusion model, log it, save it so that it can go on. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

typedef struct job {
    const cli_args *args;
    cli_session s;
    dmc_trainer *trainer;
    const char *out;
    char *state; /* checkpoint, beside the model */
    FILE *log;
    cli_progress progress;
    dmc_train_metrics now; /* of the last update */
    double loss, held_out; /* as last reported   */
    double sum;            /* of the losses since the last report */
    int32_t counted;
} job;

static void describe(const job *j)
{
    dmc_dataset_info d = {.struct_size = sizeof d};
    if (dmc_dataset_get_info(j->s.data, &d) < 0) return;
    cli_note(j->args->quiet,
             "data   %d episodes (%d held out), %llu steps, observation %d, action %d", d.episodes,
             d.held_out_episodes, (unsigned long long)d.steps, d.obs_dim, d.act_dim);
    cli_note(j->args->quiet, "model  %llu parameters, %s",
             (unsigned long long)dmc_model_parameters(j->s.model), dmc_context_device(j->s.ctx));
}

static int make_trainer(job *j)
{
    CLI_TRY(cli_session_open(j->args, &j->s));
    CLI_TRY(cli_session_data(&j->s));
    CLI_CALL(dmc_model_create(j->s.ctx, j->s.data, &j->s.set.model, &j->s.model));
    CLI_CALL(dmc_trainer_create(j->s.ctx, j->s.model, j->s.data, &j->s.set.train, &j->trainer));
    j->out = j->s.set.out ? j->s.set.out : "model.dmc";
    j->state = cli_beside(j->out, ".state");
    if (!j->state) return cli_complain(CLI_FAILED, "out of memory");
    if (strcmp(j->state, j->out) != 0) return CLI_OK;
    return cli_complain(CLI_USAGE, "--out %s: this name is the checkpoint's", j->out);
}

static int measure(job *j)
{
    dmc_dataset_info d = {.struct_size = sizeof d};
    CLI_CALL(dmc_dataset_get_info(j->s.data, &d));
    if (d.held_out_episodes > 0) CLI_CALL(dmc_trainer_evaluate(j->trainer, &j->held_out));
    return CLI_OK;
}

static int report(job *j)
{
    j->loss = j->counted ? j->sum / j->counted : NAN;
    j->sum = j->counted = 0;
    CLI_TRY(measure(j));
    const cli_pair line[] = {{"step", NULL, j->now.step},
                             {"loss", NULL, j->loss},
                             {"held_out_loss", NULL, j->held_out},
                             {"lr", NULL, j->now.lr},
                             {"grad_norm", NULL, j->now.grad_norm},
                             {"seconds", NULL, cli_seconds() - j->progress.began}};
    cli_record_write(j->log, sizeof line / sizeof *line, line);
    return CLI_OK;
}

/* A fresh start, or where the checkpoint was written. */
static int prepare(job *j)
{
    CLI_TRY(make_trainer(j));
    if (j->s.set.resume) CLI_CALL(dmc_trainer_resume(j->trainer, j->state));
    CLI_CALL(dmc_trainer_step(j->trainer, 0, &j->now)); /* asks how many were done */
    CLI_TRY(cli_record_open(&j->s.set, j->out, j->s.set.resume ? j->now.step : -1, &j->log));
    describe(j);
    if (j->s.set.resume)
        cli_note(j->args->quiet, "going on after %d updates (%s)", j->now.step, j->state);
    cli_progress_begin(&j->progress, "train", j->now.step, j->s.set.train.steps, j->args->quiet);
    j->loss = j->held_out = NAN;
    return j->s.set.resume ? measure(j) : report(j);
}

static int save_state(const job *j)
{
    CLI_CALL(dmc_trainer_save(j->trainer, j->state));
    return CLI_OK;
}

/* One update, and what is due after it. */
static int advance(job *j)
{
    const cli_settings *set = &j->s.set;
    const dmc_status status = dmc_trainer_step(j->trainer, 1, &j->now);
    if (status < 0) return cli_fail(status == DMC_ENUMERIC ? DMC_EDIVERGED : status);
    j->sum += j->now.loss;
    j->counted++;
    const bool last = j->now.step >= set->train.steps;
    if (last || j->now.step % set->report_every == 0) CLI_TRY(report(j));
    if (last || j->now.step % set->save_every == 0) CLI_TRY(save_state(j));
    cli_progress_show(&j->progress, j->now.step, "loss %.4f  held-out %.4f  lr %.1e",
                      isnan(j->loss) ? j->now.loss : j->loss, j->held_out, j->now.lr);
    return CLI_OK;
}

static int save_model(const job *j)
{
    dmc_model *m;
    CLI_CALL(dmc_trainer_publish(j->trainer, &m));
    const dmc_status status = dmc_model_save(m, j->out);
    dmc_model_destroy(m);
    return status < 0 ? cli_fail(status) : CLI_OK;
}

static int finish(job *j)
{
    const int stopped = cli_signal_seen();
    CLI_TRY(save_state(j));
    CLI_TRY(save_model(j));
    cli_progress_end(&j->progress, j->now.step, "loss %.4f  held-out %.4f", j->loss, j->held_out);
    cli_note(j->args->quiet, "%s %s",
             stopped ? "stopped; --resume goes on. The model so far is in" : "wrote", j->out);
    const cli_pair line[] = {{"out", j->out, 0},
                             {"step", NULL, j->now.step},
                             {"loss", NULL, j->loss},
                             {"held_out_loss", NULL, j->held_out},
                             {"seconds", NULL, cli_seconds() - j->progress.began}};
    if (j->args->json) cli_record_write(stdout, sizeof line / sizeof *line, line);
    return stopped ? 128 + stopped : CLI_OK;
}

static int run(job *j)
{
    cli_signal_watch();
    CLI_TRY(prepare(j));
    while (j->now.step < j->s.set.train.steps && !cli_signal_seen()) CLI_TRY(advance(j));
    return finish(j);
}

int cli_train(const cli_args *args)
{
    job j = {.args = args};
    const int code = run(&j);
    if (j.log) fclose(j.log);
    dmc_trainer_destroy(j.trainer);
    cli_session_close(&j.s);
    free(j.state);
    return code;
}
