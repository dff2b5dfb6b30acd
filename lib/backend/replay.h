/* replay.h — the same work over and over: written down once and played, where the device can (kernels/plugin.h). */
#ifndef DMC_BACKEND_REPLAY_H
#define DMC_BACKEND_REPLAY_H

#include "backend.h"

/* Bytes that differ from one play to the next and that kernels read where they are. The host writes `host`, and sending it is a
 * part of the work. On a device that does not record there is only the host's side. */
typedef struct dmc__live {
    void *host;   /* zeroed at first */
    void *device; /* NULL: arguments of kernels say it */
    size_t bytes;
} dmc__live;

/* bytes: a multiple of an element's. */
dmc_status dmc__live_open(dmc__device *d, size_t bytes, dmc__live *out);
void dmc__live_close(dmc__device *d, dmc__live *l);
dmc_status dmc__live_send(dmc__device *d, const dmc__live *l);

/* Zeroed to begin with. */
typedef struct dmc__replay {
    dmc__tape *tape;
    int32_t done; /* once, so that the device has loaded what it needs */
} dmc__replay;

/* Do work(self), which always asks for the same and reads and writes no memory of the host but dmc__dev_host_alloc's: at once
 * the first time and on devices that do not record, from a recording later. Waits. */
dmc_status dmc__replay_run(dmc__device *d, dmc__replay *r, dmc_status (*work)(void *self), void *self);
/* To be called where the work becomes another, and at the end. */
void dmc__replay_drop(dmc__device *d, dmc__replay *r);

#endif
