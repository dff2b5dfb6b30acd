#include "log.h"

#include <stdarg.h>
#include <stdio.h>

void dmc__log_line(const dmc__log *log, int32_t level, const char *format, ...)
{
    if (!log || !log->sink || level > log->level) return;
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    /* A sink gets whole lines, so that its own prefix stands before everything. */
    for (char *c = line; *c; c++)
        if (*c == '\n') *c = ' ';
    log->sink(log->user, level, line);
}
