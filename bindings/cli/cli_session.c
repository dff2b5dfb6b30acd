/* cli_session.c — opening what a command works with, and closing it again. */
#include "cli.h"

static void log_line(void *user, int32_t level, const char *line)
{
    (void)user;
    cli_note(false, "dmc: %s%s", level <= DMC_LOG_WARN ? "warning: " : "", line);
}

int cli_session_open(const cli_args *args, cli_session *s)
{
    *s = (cli_session){0};
    CLI_TRY(cli_settings_load(args, &s->set));
    s->set.context.log = log_line;
    if (args->quiet && s->set.context.log_level > DMC_LOG_WARN)
        s->set.context.log_level = DMC_LOG_WARN;
    CLI_CALL(dmc_context_create(&s->set.context, &s->ctx));
    return CLI_OK;
}

void cli_session_close(cli_session *s)
{
    dmc_model_destroy(s->inverse);
    dmc_model_destroy(s->value);
    dmc_critic_destroy(s->critic);
    dmc_model_destroy(s->model);
    dmc_dataset_destroy(s->data);
    dmc_context_destroy(s->ctx);
    cli_settings_free(&s->set);
}

int cli_session_data(cli_session *s)
{
    if (!s->set.data_path)
        return cli_complain(CLI_USAGE,
                            "no dataset: give --data FILE, or data.path in the configuration");
    CLI_CALL(dmc_dataset_open(s->ctx, s->set.data_path, &s->set.data, &s->data));
    return CLI_OK;
}

int cli_session_model(cli_session *s)
{
    CLI_CALL(
        dmc_model_load(s->ctx, s->set.model_path ? s->set.model_path : "model.dmc", &s->model));
    return CLI_OK;
}

int cli_session_critic(cli_session *s)
{
    CLI_CALL(dmc_critic_load(s->ctx, s->set.critic_path ? s->set.critic_path : "critic.dmc", NULL,
                             &s->critic));
    return CLI_OK;
}

int cli_session_inverse(cli_session *s)
{
    if (!s->set.inverse_path || s->inverse) return CLI_OK;
    CLI_CALL(dmc_model_load(s->ctx, s->set.inverse_path, &s->inverse));
    return CLI_OK;
}

int cli_session_sampler(cli_session *s, const dmc_sampler_options *o, dmc_sampler **out)
{
    dmc_sampler_parts parts = {.struct_size = sizeof parts};
    if (o->guide == DMC_GUIDE_CRITIC && !s->critic) CLI_TRY(cli_session_critic(s));
    if (o->guide == DMC_GUIDE_VALUE)
        CLI_CALL(dmc_model_load(s->ctx, s->set.value_path ? s->set.value_path : "value.dmc",
                                &s->value));
    CLI_TRY(cli_session_inverse(s));
    parts.critic = s->critic;
    parts.value = s->value;
    parts.inverse = s->inverse;
    CLI_CALL(dmc_sampler_create_with(s->ctx, s->model, &parts, o, out));
    return CLI_OK;
}
