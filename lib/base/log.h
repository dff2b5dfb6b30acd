/* log.h — whole lines to the context's sink; silent without one. Never called from real-time code. */
#ifndef DMC_BASE_LOG_H
#define DMC_BASE_LOG_H

#include "status.h"

enum { DMC__LOG_ERROR = 0, DMC__LOG_WARN = 1, DMC__LOG_INFO = 2, DMC__LOG_DEBUG = 3 };

typedef struct dmc__log {
    void (*sink)(void *user, int32_t level, const char *line);
    void *user;
    int32_t level; /* lines above it are dropped */
} dmc__log;

/* At most 1023 characters reach the sink. NULL log or sink: nothing happens. */
void dmc__log_line(const dmc__log *log, int32_t level, const char *format, ...) DMC_PRINTF(3, 4);

#endif
