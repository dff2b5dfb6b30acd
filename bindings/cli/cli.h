/* cli.h — what the files of the dmc program share.
 *
 * Functions that can fail return an exit code, 0 for success, and have said why on stderr. What
 * was asked for goes to stdout (as JSON with --json), everything else to stderr. Only the public
 * API of libdmc is used.
 */
#ifndef DMC_CLI_H
#define DMC_CLI_H

#include <libdmc/libdmc.h>
#include <stdbool.h>
#include <stdio.h>

enum {
    CLI_OK = 0,
    CLI_FAILED = 1,    /* memory, disk, a device                                */
    CLI_USAGE = 2,     /* the command line is wrong                             */
    CLI_BAD_INPUT = 3, /* a setting, configuration, data or model file is wrong */
    CLI_DIVERGED = 4   /* training or alignment left the finite numbers         */
};                     /* 128 + n: stopped by signal n, with the work so far saved */

/* Leave the function with the exit code of a failed call: of the library, or of these files. */
#define CLI_CALL(call)                                                                             \
    do {                                                                                           \
        const dmc_status cli_status_ = (call);                                                     \
        if (cli_status_ < 0) return cli_fail(cli_status_);                                         \
    } while (0)
#define CLI_TRY(call)                                                                              \
    do {                                                                                           \
        const int cli_code_ = (call);                                                              \
        if (cli_code_ != CLI_OK) return cli_code_;                                                 \
    } while (0)

/* ---- cli_main.c: the commands ---------------------------------------------------------------- */

typedef struct cli_args cli_args;

typedef struct cli_command {
    const char *name;
    const char *operands; /* shown after the name, e.g. "FILE"; "" if there are none      */
    int least, most;      /* how many operands                                            */
    const char *flags;    /* which of the flags in cli_args.c it takes, by name, spaced   */
    const char *sections; /* sections of the configuration it reads, spaced               */
    const char *summary;
    int (*run)(const cli_args *args);
} cli_command;

/* NULL for an unknown name. */
const cli_command *cli_command_find(const char *name);
/* The commands in the order of the help, ending with name NULL. */
const cli_command *cli_command_list(void);

int cli_align(const cli_args *args);
int cli_critic(const cli_args *args);
int cli_eval(const cli_args *args);
int cli_help(const cli_args *args);
int cli_inspect(const cli_args *args);
int cli_sample(const cli_args *args);
int cli_train(const cli_args *args);
int cli_version(const cli_args *args);

/* ---- cli_args.c: the command line ------------------------------------------------------------ */

struct cli_args {
    const cli_command *command;
    const char *config; /* --config                                                     */
    char **overrides;   /* flags that set keys, then trailing section.key=value         */
    size_t n_overrides;
    const char *operand[2];
    int operands;
    const char *obs, *count; /* as typed, or NULL                                            */
    bool json, tensors, quiet, help;
};

/* argv[0] is the command's name. Free with cli_args_free, also after a failure. */
int cli_args_parse(const cli_command *command, int argc, char **argv, cli_args *args);
void cli_args_free(cli_args *args);
/* The flags of a command as lines of help. */
void cli_args_help(const cli_command *command, FILE *f);
/* A whole number in min..max; what = how it is called in the message. */
int cli_whole_number(const char *what, const char *text, long min, long max, int32_t *out);

/* ---- cli_settings.c: configuration file and overrides ---------------------------------------- */

typedef struct cli_settings {
    dmc_config *config;
    dmc_context_options context;
    dmc_dataset_options data;
    dmc_model_options model;
    dmc_train_options train;
    dmc_critic_options critic;
    dmc_sampler_options sampler;
    dmc_align_options align;
    dmc_rl_options rl;
    dmc_dpo_options dpo;
    dmc_sft_options sft;
    dmc_cascade_options cascade;
    dmc_sequence_options sequence;
    /* keys of the program; strings are NULL where the key is absent */
    const char *data_path, *out, *model_path, *critic_path, *value_path, *adapter, *metrics, *ledger;
    int32_t resume, save_every, report_every, updates;
} cli_settings;

/* A key of the program that is not an option of the library. */
typedef struct cli_key {
    const char *section, *key, *initial, *doc;
} cli_key;

int cli_settings_load(const cli_args *args, cli_settings *s);
void cli_settings_free(cli_settings *s);
/* The program's own keys, ending with section NULL. */
const cli_key *cli_settings_keys(void);
/* DMC_OPTIONS_* of a section; 0 = a section with the program's keys alone, -1 = no such section. */
int32_t cli_settings_kind(const char *section);
/* Names of the sections, ending with NULL. */
const char *const *cli_settings_sections(void);

/* ---- cli_session.c: the objects a command works with ----------------------------------------- */

typedef struct cli_session {
    cli_settings set;
    dmc_context *ctx;
    dmc_dataset *data;
    dmc_model *model;
    dmc_critic *critic;
    dmc_model *value;
} cli_session;

/* Settings and context. Close with cli_session_close, also after a failure. */
int cli_session_open(const cli_args *args, cli_session *s);
void cli_session_close(cli_session *s);
int cli_session_data(cli_session *s);
int cli_session_model(cli_session *s);
/* Loads run.critic. */
int cli_session_critic(cli_session *s);
/* A sampler of the session's model and critic; what its guide needs is loaded. */
int cli_session_sampler(cli_session *s, const dmc_sampler_options *o, dmc_sampler **out);

/* ---- cli_error.c: what went wrong ------------------------------------------------------------ */

/* Print the library's sentence; the exit code that belongs to the status. */
int cli_fail(dmc_status status);
/* Print "dmc: ..." and return `code`. */
int cli_complain(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- cli_progress.c: how far a long command is ----------------------------------------------- */

typedef struct cli_progress {
    const char *title;
    int64_t first, total;
    double began, shown;
    bool quiet;
} cli_progress;

/* Work goes from `first` to `total`. */
void cli_progress_begin(cli_progress *p, const char *title, int64_t first, int64_t total,
                        bool quiet);
/* On a terminal a line that is written over, else a line every 10 seconds. */
void cli_progress_show(cli_progress *p, int64_t done, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The last line, whatever the time. */
void cli_progress_end(cli_progress *p, int64_t done, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A line of its own on stderr, clear of any progress line. Silent if quiet. */
void cli_note(bool quiet, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Remove a progress line that stands on the terminal. */
void cli_progress_clear(void);
/* `code` (an ANSI sequence) where stderr shows colours, else "". */
const char *cli_colour(const char *code);
double cli_seconds(void);

/* ---- cli_signal.c: Ctrl-C -------------------------------------------------------------------- */

/* From now on SIGINT and SIGTERM are only noted; a second one ends the program as usual. */
void cli_signal_watch(void);
/* The signal that was noted, or 0. */
int cli_signal_seen(void);

/* ---- cli_record.c: JSON out ------------------------------------------------------------------ */

typedef struct cli_pair {
    const char *key;
    const char *text; /* NULL: the number counts */
    double number;    /* NaN and infinities become null */
} cli_pair;

/* One object in one line, flushed. */
void cli_record_write(FILE *f, size_t n, const cli_pair *pairs);
/* A number (null if it is not finite), and x (rows,cols) as [[..],[..]]; no newline. */
void cli_record_number(FILE *f, double v);
void cli_record_matrix(FILE *f, int32_t rows, int32_t cols, const float *x);
/* The log of a command that writes `out`: run.metrics, or out with the ending .metrics.jsonl.
 * step < 0: a new file; else the lines up to that step are kept and the file goes on. */
int cli_record_open(const cli_settings *s, const char *out, int64_t step, FILE **f);
/* "runs/model.dmc" and ".state" -> "runs/model.state", malloc'ed; NULL without memory. */
char *cli_beside(const char *path, const char *ending);

#endif
