/* cli_main.c — the dmc program: finds the command and runs it. */
#include <string.h>

#include "cli.h"

#define COMMON "config quiet help"

static const cli_command commands[] = {
    {"train", "", 0, 0, COMMON " data out metrics resume json", "data model train context run",
     "fit a diffusion model to a dataset", cli_train},
    {"critic", "", 0, 0, COMMON " data out metrics json", "data critic context run",
     "fit a critic (implicit Q-learning) to a dataset", cli_critic},
    {"align", "rl|dpo|sft|cascade|sequence", 1, 1,
     COMMON " data model critic out adapter metrics ledger resume json",
     "data align rl dpo sft cascade sequence context run",
     "move a model towards what a critic prefers", cli_align},
    {"sample", "", 0, 0, COMMON " model critic sampler steps obs count json", "sampler context run",
     "draw actions for an observation", cli_sample},
    {"eval", "", 0, 0, "config help data model sampler steps count json", "data train sampler context run",
     "held-out loss and action error of a model, against baselines", cli_eval},
    {"inspect", "FILE", 1, 1, "help tensors json", "",
     "print everything a model or critic file states", cli_inspect},
    {"version", "", 0, 0, "help", "", "print the version", cli_version},
    {"help", "[COMMAND|SECTION]", 0, 1, "", "", "explain a command, or list the keys of a section",
     cli_help},
    {NULL, NULL, 0, 0, NULL, NULL, NULL, NULL},
};

const cli_command *cli_command_list(void)
{
    return commands;
}

const cli_command *cli_command_find(const char *name)
{
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) name = "help";
    if (strcmp(name, "--version") == 0) name = "version";
    for (const cli_command *c = commands; c->name; c++)
        if (strcmp(c->name, name) == 0) return c;
    return NULL;
}

int cli_version(const cli_args *args)
{
    (void)args;
    dmc_context *ctx;
    CLI_CALL(dmc_context_create(NULL, &ctx));
    printf("dmc %s (%s)\n", dmc_version(), dmc_context_device(ctx));
    dmc_context_destroy(ctx);
    return CLI_OK;
}

/* What was written to stdout must have arrived: a full disk is a failure like any other. */
static int close_output(int code)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) return code;
    return code != CLI_OK ? code : cli_complain(CLI_FAILED, "the output could not be written: %m");
}

int main(int argc, char **argv)
{
    cli_args args;
    if (argc < 2) return cli_complain(CLI_USAGE, "no command given; try  dmc help");
    const cli_command *command = cli_command_find(argv[1]);
    if (!command)
        return cli_complain(CLI_USAGE, "there is no command \"%s\"; try  dmc help", argv[1]);
    int code = cli_args_parse(command, argc - 1, argv + 1, &args);
    if (code == CLI_OK && args.help) {
        args.operand[0] = command->name;
        args.operands = 1;
        code = cli_help(&args);
    } else if (code == CLI_OK) {
        code = command->run(&args);
    }
    cli_args_free(&args);
    return close_output(code);
}
