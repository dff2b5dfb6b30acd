/* cli_help.c — dmc help: commands, and the keys of a section from the library's own tables. */
#include <string.h>

#include "cli.h"

static void print_commands(void)
{
    puts("dmc — diffusion models for control\n\nusage: dmc COMMAND [FLAGS] [section.key=value "
         "...]\n");
    for (const cli_command *c = cli_command_list(); c->name; c++)
        printf("  %-8s %-28s %s\n", c->name, c->operands, c->summary);
    printf("\nsections of a configuration file:");
    for (const char *const *s = cli_settings_sections(); *s; s++) printf(" %s", *s);
    puts("\n\ndmc help COMMAND lists its flags, dmc help SECTION its keys. Later settings win: "
         "file, flags, key=value.\n"
         "exit codes: 0 done, 1 failed, 2 wrong usage, 3 bad input, 4 diverged, 130 and 143 "
         "stopped by a signal");
}

static void print_command(const cli_command *c)
{
    printf("dmc %s: %s\n\nusage: dmc %s%s%s%s%s\n\n", c->name, c->summary, c->name,
           *c->operands ? " " : "", c->operands, *c->flags ? " [FLAGS]" : "",
           *c->sections ? " [section.key=value ...]" : "");
    cli_args_help(c, stdout);
    if (*c->sections) printf("\nsections: %s (dmc help SECTION lists the keys)\n", c->sections);
}

/* The allowed values: "ddpm|ddim", "1..64", "text". */
static void format_range(const dmc_option_info *o, char *buf, size_t size)
{
    switch (o->type) {
    case DMC_FIELD_ENUM:
        snprintf(buf, size, "%s", o->choices);
        for (char *p = buf; *p; p++)
            if (*p == ' ') *p = '|';
        break;
    case DMC_FIELD_STRING: snprintf(buf, size, "text"); break;
    case DMC_FIELD_UINT64: snprintf(buf, size, "0..2^64-1"); break;
    case DMC_FIELD_INT32: snprintf(buf, size, "%.0f..%.0f", o->min, o->max); break;
    default: snprintf(buf, size, "%.4g..%.4g", o->min, o->max);
    }
}

static void print_row(const char *key, const char *initial, const char *range, const char *doc)
{
    printf("  %-16s %-12s %-26s %s\n", key, *initial ? initial : "-", range, doc);
}

static void print_section(const char *name, int32_t kind)
{
    dmc_option_info o;
    char range[128];
    printf("section %s\n\n  %-16s %-12s %-26s\n", name, "key", "default", "values");
    for (const cli_key *k = cli_settings_keys(); k->section; k++)
        if (strcmp(k->section, name) == 0) print_row(k->key, k->initial, "", k->doc);
    for (int32_t i = 0; kind && dmc_options_describe(kind, i, &o) >= 0; i++) {
        format_range(&o, range, sizeof range);
        print_row(o.key, o.initial, range, o.doc);
    }
}

/* "train", "critic" and "align" are commands and sections. */
int cli_help(const cli_args *args)
{
    if (args->operands == 0) {
        print_commands();
        return CLI_OK;
    }
    const char *name = args->operand[0];
    const cli_command *c = cli_command_find(name);
    const int32_t kind = cli_settings_kind(name);
    if (!c && kind < 0)
        return cli_complain(CLI_USAGE, "there is no command or section \"%s\"; try  dmc help",
                            name);
    if (c) print_command(c);
    if (c && kind >= 0) putchar('\n');
    if (kind >= 0) print_section(name, kind);
    return CLI_OK;
}
