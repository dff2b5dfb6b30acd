/* cli_progress.c — progress with the time that is left, on stderr. */
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

static bool line_open; /* a progress line without its end stands on the terminal */

static bool is_terminal(void)
{
    return isatty(STDERR_FILENO) == 1;
}

double cli_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

const char *cli_colour(const char *code)
{
    const char *no = getenv("NO_COLOR"); /* https://no-color.org: set and not empty */
    return is_terminal() && !(no && *no) ? code : "";
}

void cli_progress_clear(void)
{
    if (line_open) fputs("\r\033[K", stderr);
    line_open = false;
}

void cli_note(bool quiet, const char *format, ...)
{
    va_list args;
    if (quiet) return;
    cli_progress_clear();
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

void cli_progress_begin(cli_progress *p, const char *title, int64_t first, int64_t total,
                        bool quiet)
{
    const double now = cli_seconds();
    *p = (cli_progress){
        .title = title, .first = first, .total = total, .began = now, .shown = now, .quiet = quiet};
}

/* "1:05:09" or "4:09" */
static void print_time(double seconds)
{
    const long s = (long)(seconds + 0.5);
    if (s >= 3600)
        fprintf(stderr, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        fprintf(stderr, "%ld:%02ld", s / 60, s % 60);
}

static void print_state(const cli_progress *p, int64_t done, const char *format, va_list args)
{
    const double spent = cli_seconds() - p->began;
    const int64_t worked = done - p->first;
    cli_progress_clear();
    fprintf(stderr, "%s%s%s %lld/%lld (%d%%)  ", cli_colour("\033[1m"), p->title,
            cli_colour("\033[0m"), (long long)done, (long long)p->total,
            p->total > 0 ? (int)(100 * done / p->total) : 100);
    vfprintf(stderr, format, args);
    fputs(done < p->total ? "  left " : "  took ", stderr);
    if (done >= p->total)
        print_time(spent);
    else if (worked > 0)
        print_time(spent / (double)worked * (double)(p->total - done));
    else
        fputs("?", stderr);
}

void cli_progress_show(cli_progress *p, int64_t done, const char *format, ...)
{
    const bool terminal = is_terminal();
    const double now = cli_seconds();
    va_list args;
    if (p->quiet || now - p->shown < (terminal ? 0.2 : 10)) return;
    p->shown = now;
    va_start(args, format);
    print_state(p, done, format, args);
    va_end(args);
    line_open = terminal;
    if (!terminal) fputc('\n', stderr);
    fflush(stderr);
}

void cli_progress_end(cli_progress *p, int64_t done, const char *format, ...)
{
    va_list args;
    if (p->quiet) return;
    va_start(args, format);
    print_state(p, done, format, args);
    va_end(args);
    fputc('\n', stderr);
    line_open = false;
}
