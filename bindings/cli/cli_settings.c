/* cli_settings.c — one configuration for all commands.
 *
 * Every section is checked whatever the command, so a misspelt key is found by the first command
 * that reads the file, not after a night of training.
 */
#include <stddef.h>
#include <string.h>

#include "cli.h"

typedef struct section {
    const char *name;
    int32_t kind;  /* DMC_OPTIONS_*, 0 = the program's keys alone */
    size_t offset; /* of the options in cli_settings              */
} section;

#define SECTION(name, KIND)                                                                        \
    {                                                                                              \
#        name, DMC_OPTIONS_##KIND, offsetof(cli_settings, name)                                    \
    }
static const section sections[] = {
    SECTION(data, DATASET),
    SECTION(model, MODEL),
    SECTION(train, TRAIN),
    SECTION(critic, CRITIC),
    SECTION(align, ALIGN),
    SECTION(rl, RL),
    SECTION(dpo, DPO),
    SECTION(sft, SFT),
    SECTION(cascade, CASCADE),
    SECTION(sequence, SEQUENCE),
    SECTION(sampler, SAMPLER),
    SECTION(context, CONTEXT),
    {"run", 0, 0},
};
#undef SECTION
enum { SECTIONS = sizeof sections / sizeof *sections };

static const cli_key keys[] = {
    {"data", "path", "", "dataset, HDF5 in the D4RL layout"},
    {"run", "out", "", "file to write: model.dmc, critic.dmc or aligned.dmc unless set"},
    {"run", "model", "model.dmc", "model that align, sample and eval start from"},
    {"run", "critic", "", "critic of align (critic.dmc unless set) and, if set, of sample"},
    {"run", "value", "value.dmc", "value model of sample and eval with sampler.guide = value"},
    {"run", "ledger", "",
     "align: append evaluations and decisions to this file, a JSON object per line"},
    {"run", "adapter", "",
     "align: also keep the adapter alone in this file; with resume it is read first"},
    {"run", "metrics", "",
     "log, one JSON object per line: out with the ending .metrics.jsonl unless set"},
    {"run", "resume", "0",
     "1: train goes on from its checkpoint (out with the ending .state), align from the adapter"},
    {"run", "save_every", "1000", "updates between checkpoints"},
    {"run", "report_every", "100", "updates between lines of the log"},
    {"run", "updates", "10000", "critic: updates to do, where critic.steps is 0"},
    {NULL, NULL, NULL, NULL},
};

const cli_key *cli_settings_keys(void)
{
    return keys;
}

const char *const *cli_settings_sections(void)
{
    static const char *names[SECTIONS + 1];
    for (int i = 0; i < SECTIONS; i++) names[i] = sections[i].name;
    return names;
}

int32_t cli_settings_kind(const char *name)
{
    for (int i = 0; i < SECTIONS; i++)
        if (strcmp(sections[i].name, name) == 0) return sections[i].kind;
    return -1;
}

/* The library's options of one section, leaving the program's keys alone. */
static int apply_section(cli_settings *s, const section *x)
{
    const char *own[sizeof keys / sizeof *keys];
    void *options = x->kind ? (char *)s + x->offset : NULL;
    int n = 0;
    for (const cli_key *k = keys; k->section; k++)
        if (strcmp(k->section, x->name) == 0) own[n++] = k->key;
    own[n] = NULL;
    if (options) CLI_CALL(dmc_options_init(x->kind, options));
    CLI_CALL(dmc_config_apply_with(s->config, x->name, own, x->kind, options));
    if (options) CLI_CALL(dmc_options_check(x->kind, options));
    return CLI_OK;
}

static const char *run_text(const cli_settings *s, const char *key)
{
    const char *text = dmc_config_get(s->config, "run", key);
    return text && *text ? text : NULL;
}

static int run_number(const cli_settings *s, const char *key, int32_t initial, long min, long max,
                      int32_t *out)
{
    char what[32];
    const char *text = run_text(s, key);
    *out = initial;
    snprintf(what, sizeof what, "run.%s", key);
    return text ? cli_whole_number(what, text, min, max, out) : CLI_OK;
}

static int read_own_keys(cli_settings *s)
{
    const long most = 1000000000;
    const char *path = dmc_config_get(s->config, "data", "path");
    s->data_path = path && *path ? path : NULL;
    s->out = run_text(s, "out");
    s->model_path = run_text(s, "model");
    s->critic_path = run_text(s, "critic");
    s->value_path = run_text(s, "value");
    s->adapter = run_text(s, "adapter");
    s->ledger = run_text(s, "ledger");
    s->metrics = run_text(s, "metrics");
    CLI_TRY(run_number(s, "resume", 0, 0, 1, &s->resume));
    CLI_TRY(run_number(s, "save_every", 1000, 1, most, &s->save_every));
    CLI_TRY(run_number(s, "report_every", 100, 1, most, &s->report_every));
    return run_number(s, "updates", 10000, 1, most, &s->updates);
}

int cli_settings_load(const cli_args *args, cli_settings *s)
{
    *s = (cli_settings){0};
    CLI_CALL(dmc_config_load(args->config, (const char *const *)args->overrides, args->n_overrides,
                             &s->config));
    CLI_CALL(dmc_config_sections(s->config, cli_settings_sections()));
    for (int i = 0; i < SECTIONS; i++) CLI_TRY(apply_section(s, &sections[i]));
    return read_own_keys(s);
}

void cli_settings_free(cli_settings *s)
{
    dmc_config_destroy(s->config);
    *s = (cli_settings){0};
}
