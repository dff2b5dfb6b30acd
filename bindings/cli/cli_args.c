/* cli_args.c — the command line of every command: GNU long options, then operands and
 * section.key=value. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

typedef struct flag {
    const char *name;
    char letter;
    const char *value; /* what follows it, NULL = nothing             */
    const char *sets;  /* section.key that it is a short form of, or NULL */
    const char *doc;
} flag;

static const flag flags[] = {
    {"config", 'c', "FILE", NULL, "settings in YAML"},
    {"data", 'd', "FILE", "data.path", "dataset, HDF5 in the D4RL layout"},
    {"model", 'm', "FILE", "run.model", "model to start from"},
    {"critic", 'C', "FILE", "run.critic", "critic that judges actions"},
    {"out", 'o', "FILE", "run.out", "file to write"},
    {"adapter", 'a', "FILE", "run.adapter", "also write what alignment learned, alone"},
    {"metrics", 'M', "FILE", "run.metrics", "log, one JSON object per line"},
    {"ledger", 'l', "FILE", "run.ledger", "append evaluations and decisions, a JSON object per line"},
    {"resume", 'r', NULL, "run.resume", "go on where the last run stopped"},
    {"sampler", 's', "NAME", "sampler.sampler", "how noise becomes a sample"},
    {"steps", 'k', "K", "sampler.steps", "denoising steps, fewer are faster"},
    {"obs", 'O', "A,B,...", NULL, "one observation; - reads one per line from standard input"},
    {"count", 'n', "N", NULL, "how many samples (sample) or windows (eval)"},
    {"tensors", 't', NULL, NULL, "also list the tensors"},
    {"json", 'j', NULL, NULL, "the result as JSON on standard output"},
    {"quiet", 'q', NULL, NULL, "no progress, no notes"},
    {"help", 'h', NULL, NULL, "this text"},
};
enum { FLAGS = sizeof flags / sizeof *flags };

/* "name" is one of the words of `list`. */
static bool word_in(const char *list, const char *name)
{
    const size_t n = strlen(name);
    for (const char *p = list; (p = strstr(p, name)) != NULL; p += n)
        if ((p == list || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\0')) return true;
    return false;
}

int cli_whole_number(const char *what, const char *text, long min, long max, int32_t *out)
{
    char *end;
    errno = 0;
    const long v = strtol(text, &end, 10);
    if (end == text || *end || errno || v < min || v > max)
        return cli_complain(CLI_BAD_INPUT, "%s = \"%s\", must be a whole number %ld..%ld", what,
                            text, min, max);
    *out = (int32_t)v;
    return CLI_OK;
}

/* Under a flag that sets an option of the library to a name: the names. */
static void print_choices(const char *sets, FILE *f)
{
    char section[32];
    dmc_option_info o;
    const char *key = strchr(sets, '.') + 1;
    snprintf(section, sizeof section, "%.*s", (int)(key - 1 - sets), sets);
    const int32_t kind = cli_settings_kind(section);
    for (int32_t i = 0; kind > 0 && dmc_options_describe(kind, i, &o) >= 0; i++)
        if (strcmp(o.key, key) == 0 && o.type == DMC_FIELD_ENUM)
            fprintf(f, "  %-24s %s\n", "", o.choices);
}

void cli_args_help(const cli_command *command, FILE *f)
{
    for (const flag *g = flags; g < flags + FLAGS; g++) {
        char left[64];
        if (!word_in(command->flags, g->name)) continue;
        snprintf(left, sizeof left, "-%c, --%s%s%s", g->letter, g->name, g->value ? " " : "",
                 g->value ? g->value : "");
        fprintf(f, "  %-24s %s%s%s%s\n", left, g->doc, g->sets ? " (" : "", g->sets ? g->sets : "",
                g->sets ? ")" : "");
        if (g->sets) print_choices(g->sets, f);
    }
}

/* Remember "key=value", or `key` as it is if value is NULL. */
static int add_override(cli_args *args, const char *key, const char *value)
{
    char *text = NULL;
    if (asprintf(&text, "%s%s%s", key, value ? "=" : "", value ? value : "") < 0)
        return cli_complain(CLI_FAILED, "out of memory");
    args->overrides[args->n_overrides++] = text;
    return CLI_OK;
}

static int take_flag(cli_args *args, const flag *f, const char *value)
{
    if (f->sets) return add_override(args, f->sets, value ? value : "1");
    switch (f->letter) {
    case 'c': args->config = value; break;
    case 'O': args->obs = value; break;
    case 'n': args->count = value; break;
    case 't': args->tensors = true; break;
    case 'j': args->json = true; break;
    case 'q': args->quiet = true; break;
    default: args->help = true;
    }
    return CLI_OK;
}

/* "section.key=value" is a setting, anything else an operand. */
static int take_word(cli_args *args, const char *word)
{
    const char *name = args->command->name;
    if (strchr(word, '=')) {
        if (!*args->command->sections)
            return cli_complain(CLI_USAGE, "%s takes no settings: \"%s\"", name, word);
        return add_override(args, word, NULL);
    }
    if (args->operands == args->command->most)
        return cli_complain(CLI_USAGE, "%s: \"%s\" is too much; try  dmc help %s", name, word,
                            name);
    args->operand[args->operands++] = word;
    return CLI_OK;
}

/* The flags of this command for getopt_long; returned values are indices + 1 into `flags`. */
static void list_flags(const cli_command *c, struct option *longs, char *shorts)
{
    *shorts++ = ':'; /* tell a missing value from an unknown flag */
    for (int i = 0; i < FLAGS; i++) {
        if (!word_in(c->flags, flags[i].name)) continue;
        *longs++ = (struct option){flags[i].name, flags[i].value ? required_argument : no_argument,
                                   NULL, flags[i].letter};
        *shorts++ = flags[i].letter;
        if (flags[i].value) *shorts++ = ':';
    }
    *longs = (struct option){0};
    *shorts = '\0';
}

static const flag *find_letter(int letter)
{
    const flag *f = flags;
    while (f->letter != letter) f++;
    return f;
}

/* What getopt_long could not take: optopt is the letter, or 0 for a long name. */
static int refuse_flag(const char *command, int reason, const char *word)
{
    const char *problem = reason == ':' ? "needs a value" : "is not known here";
    if (optopt && reason != ':')
        return cli_complain(CLI_USAGE, "%s: -%c %s; try  dmc help %s", command, optopt, problem,
                            command);
    return cli_complain(CLI_USAGE, "%s: %s %s; try  dmc help %s", command, word, problem, command);
}

static int parse(int argc, char **argv, cli_args *args)
{
    struct option longs[FLAGS + 1];
    char shorts[2 * FLAGS + 2];
    int found;
    list_flags(args->command, longs, shorts);
    opterr = 0;
    while ((found = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        if (found == '?' || found == ':')
            return refuse_flag(args->command->name, found, argv[optind - 1]);
        CLI_TRY(take_flag(args, find_letter(found), optarg));
    }
    for (; optind < argc; optind++) CLI_TRY(take_word(args, argv[optind]));
    if (!args->help && args->operands < args->command->least)
        return cli_complain(CLI_USAGE, "%s needs %s; try  dmc help %s", args->command->name,
                            args->command->operands, args->command->name);
    return CLI_OK;
}

int cli_args_parse(const cli_command *command, int argc, char **argv, cli_args *args)
{
    *args = (cli_args){.command = command};
    args->overrides = calloc((size_t)argc + 1, sizeof *args->overrides);
    if (!args->overrides) return cli_complain(CLI_FAILED, "out of memory");
    return parse(argc, argv, args);
}

void cli_args_free(cli_args *args)
{
    for (size_t i = 0; i < args->n_overrides; i++) free(args->overrides[i]);
    free(args->overrides);
}
