/* replay.c — work that is done once, written down the second time, and played from then on. */
#include "replay.h"

dmc_status dmc__live_open(dmc__device *d, size_t bytes, dmc__live *out)
{
    *out = (dmc__live){.bytes = bytes};
    DMC_TRY(dmc__dev_host_alloc(d, bytes, &out->host));
    if (!dmc__dev_records(d)) return DMC_OK;
    const dmc_status status = dmc__dev_alloc(d, bytes / d->backend->elem, &out->device);
    if (status < 0) dmc__live_close(d, out);
    return status;
}

void dmc__live_close(dmc__device *d, dmc__live *l)
{
    dmc__dev_free(d, l->device, l->bytes / d->backend->elem);
    if (l->host) dmc__dev_host_free(d, l->host, l->bytes);
    *l = (dmc__live){0};
}

dmc_status dmc__live_send(dmc__device *d, const dmc__live *l)
{
    return l->device ? dmc__dev_in_bytes(d, l->device, l->host, l->bytes) : DMC_OK;
}

static dmc_status record(dmc__device *d, dmc__replay *r, dmc_status (*work)(void *self), void *self)
{
    DMC_TRY(dmc__dev_record(d));
    const dmc_status status = work(self), ended = dmc__dev_record_end(d, &r->tape);
    if (status < 0) dmc__replay_drop(d, r);
    return status < 0 ? status : ended;
}

dmc_status dmc__replay_run(dmc__device *d, dmc__replay *r, dmc_status (*work)(void *self), void *self)
{
    if (!r->done || !dmc__dev_records(d)) {
        DMC_TRY(work(self));
        r->done = 1;
        return dmc__dev_sync(d);
    }
    if (!r->tape) DMC_TRY(record(d, r, work, self));
    DMC_TRY(dmc__dev_play(d, r->tape));
    return dmc__dev_sync(d);
}

void dmc__replay_drop(dmc__device *d, dmc__replay *r)
{
    dmc__tape_free(d, r->tape);
    r->tape = NULL;
}
