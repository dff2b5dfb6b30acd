/* cli_inspect.c — dmc inspect: the contract of a model or critic file, and its tensors. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

typedef dmc_status (*describe_fn)(const void *object, char *buf, size_t size, size_t *need);

static dmc_status describe_model(const void *object, char *buf, size_t size, size_t *need)
{
    return dmc_model_describe(object, buf, size, need);
}

static dmc_status describe_critic(const void *object, char *buf, size_t size, size_t *need)
{
    return dmc_critic_describe(object, buf, size, need);
}

/* Copy a string token to out; p stands on its quote. Returns what follows it. */
static const char *print_string(const char *p, int width)
{
    const char *end = p + 1;
    while (*end && *end != '"') end += *end == '\\' && end[1] ? 2 : 1;
    printf("%-*.*s", width, (int)(end - p - 1), p + 1);
    return *end ? end + 1 : end;
}

/* Rounded: --json has every digit. */
static const char *print_number(const char *p)
{
    char *end;
    const double v = strtod(p, &end);
    printf("%.9g", v);
    return end > p ? end : p + 1;
}

/* A JSON object as lines "key value", nested objects indented, lists on one line. The text comes
 * from the library, so it is well formed. */
static void print_readable(const char *p)
{
    int depth = 0, list = 0;
    bool key = true;
    for (; *p; p++) {
        if (*p == '{') {
            if (depth++ > 0) putchar('\n');
            key = true;
        } else if (*p == '}') {
            depth--;
        } else if (*p == '[' || *p == ']') {
            list += *p == '[' ? 1 : -1;
        } else if (*p == ',' && list == 0) {
            putchar('\n');
            key = true;
        } else if (*p == '"') {
            if (key) printf("%*s", 2 * (depth - 1), "");
            p = print_string(p, key ? 16 - 2 * depth : 0) - 1;
        } else if (*p == ':') {
            putchar(' ');
            key = false;
        } else if (*p == ',') {
            putchar(' ');
        } else if (*p != ' ' && *p != '\n') {
            p = print_number(p) - 1;
        }
    }
    putchar('\n');
}

static int print_contract(describe_fn describe, const void *object, bool json)
{
    size_t size = 0;
    CLI_CALL(describe(object, NULL, 0, &size));
    char *text = malloc(size);
    if (!text) return cli_complain(CLI_FAILED, "out of memory");
    const dmc_status status = describe(object, text, size, &size);
    if (status >= 0 && json)
        printf("%s\n", text);
    else if (status >= 0)
        print_readable(text);
    free(text);
    return status < 0 ? cli_fail(status) : CLI_OK;
}

/* Names and shapes, as tab-separated lines. */
static int print_tensors(const dmc_model *m)
{
    for (int32_t i = 0; i < dmc_model_tensor_count(m); i++) {
        const char *name = dmc_model_tensor_name(m, i);
        int32_t rank, shape[4];
        CLI_CALL(dmc_model_tensor_sizes(m, name, &rank, shape));
        printf("%s\t", name);
        for (int32_t k = 0; k < rank; k++) printf("%s%d", k ? "x" : "", shape[k]);
        putchar('\n');
    }
    return CLI_OK;
}

static int inspect_model(const cli_args *args, const dmc_model *m)
{
    if (!args->json) printf("%-15smodel\n", "file");
    CLI_TRY(print_contract(describe_model, m, args->json));
    return args->tensors ? print_tensors(m) : CLI_OK;
}

static int inspect_critic(const cli_args *args, const dmc_critic *c)
{
    if (args->tensors)
        return cli_complain(CLI_USAGE, "%s is a critic: --tensors lists those of a model",
                            args->operand[0]);
    if (!args->json) printf("%-15scritic\n", "file");
    return print_contract(describe_critic, c, args->json);
}

int cli_inspect(const cli_args *args)
{
    const char *path = args->operand[0];
    dmc_model *m;
    dmc_critic *c;
    dmc_status status = dmc_model_load(NULL, path, &m);
    if (status >= 0) {
        const int code = inspect_model(args, m);
        dmc_model_destroy(m);
        return code;
    }
    if (status != DMC_EFORMAT) return cli_fail(status);
    status = dmc_critic_load(NULL, path, NULL, &c);
    if (status == DMC_EFORMAT)
        return cli_complain(CLI_BAD_INPUT, "neither a model nor a critic: %s", dmc_last_error());
    if (status < 0) return cli_fail(status);
    const int code = inspect_critic(args, c);
    dmc_critic_destroy(c);
    return code;
}
