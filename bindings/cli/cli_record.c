/* cli_record.c — results and logs as JSON, one object per line. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

static void write_text(FILE *f, const char *text)
{
    fputc('"', f);
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p < 0x20) {
            fprintf(f, "\\u%04x", *p);
            continue;
        }
        if (*p == '"' || *p == '\\') fputc('\\', f);
        fputc(*p, f);
    }
    fputc('"', f);
}

void cli_record_number(FILE *f, double v)
{
    if (isfinite(v))
        fprintf(f, "%.10g", v);
    else
        fputs("null", f); /* JSON has no NaN */
}

void cli_record_write(FILE *f, size_t n, const cli_pair *pairs)
{
    for (size_t i = 0; i < n; i++) {
        fputs(i ? ", " : "{", f);
        write_text(f, pairs[i].key);
        fputs(": ", f);
        if (pairs[i].text)
            write_text(f, pairs[i].text);
        else
            cli_record_number(f, pairs[i].number);
    }
    fputs("}\n", f);
    fflush(f);
}

void cli_record_matrix(FILE *f, int32_t rows, int32_t cols, const float *x)
{
    for (int32_t i = 0; i < rows; i++)
        for (int32_t j = 0; j < cols; j++) {
            fputs(j ? ", " : i ? ", [" : "[[", f);
            cli_record_number(f, (double)x[i * cols + j]);
            if (j + 1 == cols) fputc(']', f);
        }
    fputc(']', f);
}

/* Where the first line begins whose "step" (always the first key) is above `step`, or that is not
 * whole. */
static long find_end(FILE *f, int64_t step)
{
    char line[4096];
    long end = 0;
    while (fgets(line, sizeof line, f)) {
        long long found;
        if (sscanf(line, "{\"step\": %lld", &found) != 1 || found > step || !strchr(line, '\n'))
            break;
        end = ftell(f);
    }
    return end;
}

static int open_log(const char *path, int64_t step, FILE **f)
{
    *f = step < 0 ? fopen(path, "w") : fopen(path, "r+");
    if (!*f && step >= 0 && errno == ENOENT) *f = fopen(path, "w");
    if (!*f) return cli_complain(CLI_FAILED, "%s: cannot be written: %m", path);
    if (step < 0) return CLI_OK;
    const long end = find_end(*f, step);
    if (fseek(*f, end, SEEK_SET) == 0 && ftruncate(fileno(*f), end) == 0) return CLI_OK;
    fclose(*f);
    *f = NULL;
    return cli_complain(CLI_FAILED, "%s: cannot be shortened to step %lld: %m", path,
                        (long long)step);
}

char *cli_beside(const char *path, const char *ending)
{
    const char *slash = strrchr(path, '/');
    const char *dot = strrchr(path, '.');
    const size_t stem =
        dot && dot > path && (!slash || dot > slash + 1) ? (size_t)(dot - path) : strlen(path);
    char *out = malloc(stem + strlen(ending) + 1);
    if (!out) return NULL;
    memcpy(out, path, stem);
    strcpy(out + stem, ending);
    return out;
}

int cli_record_open(const cli_settings *s, const char *out, int64_t step, FILE **f)
{
    char *beside = s->metrics ? NULL : cli_beside(out, ".metrics.jsonl");
    if (!s->metrics && !beside) return cli_complain(CLI_FAILED, "out of memory");
    const int code = open_log(beside ? beside : s->metrics, step, f);
    free(beside);
    return code;
}
