/* cli_error.c — messages and exit codes. */
#include <errno.h>
#include <stdarg.h>

#include "cli.h"

/* Keeps errno, which %m of the message that follows may show. */
static void print_head(void)
{
    const int reason = errno;
    cli_progress_clear();
    fprintf(stderr, "%sdmc: error:%s ", cli_colour("\033[31m"), cli_colour("\033[0m"));
    errno = reason;
}

int cli_complain(int code, const char *format, ...)
{
    va_list args;
    print_head();
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return code;
}

int cli_fail(dmc_status status)
{
    print_head();
    fprintf(stderr, "%s\n", *dmc_last_error() ? dmc_last_error() : dmc_status_string(status));
    switch (status) {
    case DMC_ENOMEM:
    case DMC_EIO:
    case DMC_EDEVICE:
    case DMC_ESTATE:
    case DMC_ECALLBACK:
    case DMC_EDEADLINE: return CLI_FAILED;
    case DMC_EDIVERGED: return CLI_DIVERGED;
    default: return CLI_BAD_INPUT;
    }
}
