/* status.c — the thread's last error sentence, fixed texts, version. */
#include "status.h"
#include "../../include/libdmc/version.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_SIZE = 512 };

/* initial-exec: in a library opened at run time ordinary thread-local storage is allocated on first use, which would be a
 * malloc at the first error of a real-time thread. */
static _Thread_local char last_error[TEXT_SIZE] __attribute__((tls_model("initial-exec")));

/* snprintf cut the text at the buffer's end: drop a multi-byte character that was cut in half. */
static void trim_partial_utf8(char *text)
{
    const size_t length = strlen(text);
    size_t start = length;
    while (start > 0 && ((unsigned char)text[start - 1] & 0xc0) == 0x80) start--;
    if (start == 0) return;
    const unsigned char lead = (unsigned char)text[start - 1];
    const size_t want = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    if (length - (start - 1) < want) text[start - 1] = '\0';
}

dmc_status dmc__fail(dmc_status status, const char *format, ...)
{
    char text[TEXT_SIZE]; /* arguments may point into last_error */
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    trim_partial_utf8(text);
    memcpy(last_error, text, strlen(text) + 1);
    return status;
}

dmc_status dmc__fail_in(dmc_status status, const char *prefix_format, ...)
{
    char text[TEXT_SIZE];
    va_list args;
    va_start(args, prefix_format);
    const int length = vsnprintf(text, sizeof text, prefix_format, args);
    va_end(args);
    if (length >= 0 && length < TEXT_SIZE)
        snprintf(text + length, sizeof text - (size_t)length, ": %s", last_error);
    trim_partial_utf8(text);
    memcpy(last_error, text, strlen(text) + 1);
    return status;
}

const char *dmc_last_error(void)
{
    return last_error;
}

const char *dmc_status_string(dmc_status status)
{
    switch (status) {
#define STATUS_TEXT(NAME, number, text) case number: return text;
        DMC_STATUS_MAP(STATUS_TEXT)
#undef STATUS_TEXT
    default: return "unknown status";
    }
}

#define QUOTE(x) #x
#define VERSION_TEXT(major, minor, patch) QUOTE(major) "." QUOTE(minor) "." QUOTE(patch)

const char *dmc_version(void)
{
    return VERSION_TEXT(DMC_VERSION_MAJOR, DMC_VERSION_MINOR, DMC_VERSION_PATCH);
}
