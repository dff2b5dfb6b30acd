/* clock.h — monotonic time for latency figures and deadlines. */
#ifndef DMC_BASE_CLOCK_H
#define DMC_BASE_CLOCK_H

#include <stdint.h>

/* Nanoseconds of CLOCK_MONOTONIC (vDSO: no system call on Linux). */
int64_t dmc__clock_ns(void);

#endif
