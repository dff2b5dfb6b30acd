/* cli_critic.c — dmc critic: fit a critic by implicit Q-learning. */
#include "cli.h"

typedef struct job {
    const cli_args *args;
    cli_session s;
    const char *out;
    FILE *log;
    cli_progress progress;
    int32_t updates;
    dmc_critic_metrics now; /* of the last call   */
    double q_sum, v_sum;    /* losses since the last report */
    int32_t counted;
    double q_loss, v_loss; /* as last reported   */
} job;

static int prepare(job *j)
{
    dmc_dataset_info d = {.struct_size = sizeof d};
    CLI_TRY(cli_session_open(j->args, &j->s));
    CLI_TRY(cli_session_data(&j->s));
    CLI_CALL(dmc_critic_create(j->s.ctx, j->s.data, &j->s.set.critic, &j->s.critic));
    CLI_CALL(dmc_dataset_get_info(j->s.data, &d));
    j->updates = j->s.set.critic.steps > 0 ? j->s.set.critic.steps : j->s.set.updates;
    j->out = j->s.set.out ? j->s.set.out : "critic.dmc";
    CLI_TRY(cli_record_open(&j->s.set, j->out, -1, &j->log));
    cli_note(j->args->quiet, "data   %d episodes, %llu steps, return %.4g +- %.4g", d.episodes,
             (unsigned long long)d.steps, d.return_mean, d.return_sd);
    cli_progress_begin(&j->progress, "critic", 0, j->updates, j->args->quiet);
    return CLI_OK;
}

static void report(job *j)
{
    j->q_loss = j->q_sum / j->counted;
    j->v_loss = j->v_sum / j->counted;
    j->q_sum = j->v_sum = j->counted = 0;
    const cli_pair line[] = {
        {"step", NULL, j->now.step},     {"q_loss", NULL, j->q_loss},
        {"v_loss", NULL, j->v_loss},     {"q_mean", NULL, j->now.q_mean},
        {"v_mean", NULL, j->now.v_mean}, {"seconds", NULL, cli_seconds() - j->progress.began}};
    cli_record_write(j->log, sizeof line / sizeof *line, line);
}

static int advance(job *j)
{
    const cli_settings *set = &j->s.set;
    const dmc_status status = dmc_critic_step(j->s.critic, 1, &j->now);
    if (status < 0) return cli_fail(status == DMC_ENUMERIC ? DMC_EDIVERGED : status);
    j->q_sum += j->now.q_loss;
    j->v_sum += j->now.v_loss;
    j->counted++;
    if (j->now.step % set->report_every == 0 || j->now.step == j->updates) report(j);
    if (j->now.step % set->save_every == 0) CLI_CALL(dmc_critic_save(j->s.critic, j->out));
    cli_progress_show(&j->progress, j->now.step, "q-loss %.4f  v-loss %.4f  q %.3f", j->q_loss,
                      j->v_loss, j->now.q_mean);
    return CLI_OK;
}

static int finish(job *j)
{
    const int stopped = cli_signal_seen();
    CLI_CALL(dmc_critic_save(j->s.critic, j->out));
    cli_progress_end(&j->progress, j->now.step, "q-loss %.4f  v-loss %.4f  q %.3f", j->q_loss,
                     j->v_loss, j->now.q_mean);
    cli_note(j->args->quiet, "%s %s", stopped ? "stopped: the critic so far is in" : "wrote",
             j->out);
    const cli_pair line[] = {{"out", j->out, 0},
                             {"step", NULL, j->now.step},
                             {"q_loss", NULL, j->q_loss},
                             {"v_loss", NULL, j->v_loss},
                             {"q_mean", NULL, j->now.q_mean},
                             {"seconds", NULL, cli_seconds() - j->progress.began}};
    if (j->args->json) cli_record_write(stdout, sizeof line / sizeof *line, line);
    return stopped ? 128 + stopped : CLI_OK;
}

static int run(job *j)
{
    cli_signal_watch();
    CLI_TRY(prepare(j));
    while (j->now.step < j->updates && !cli_signal_seen()) CLI_TRY(advance(j));
    return finish(j);
}

int cli_critic(const cli_args *args)
{
    job j = {.args = args};
    const int code = run(&j);
    if (j.log) fclose(j.log);
    cli_session_close(&j.s);
    return code;
}
