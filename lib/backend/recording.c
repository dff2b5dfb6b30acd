/* recording.c — calls that are written down once and done often, on backends that can. */
#include "backend.h"

int32_t dmc__dev_records(const dmc__device *d)
{
    return d->backend->recorder != NULL;
}

dmc_status dmc__dev_host_alloc(dmc__device *d, size_t bytes, void **out)
{
    const dmc_recorder *r = d->backend->recorder;
    *out = NULL;
    if (bytes == 0) return DMC_OK;
    return r ? r->host_alloc(d->state, bytes, out) : dmc__alloc(d->alloc, bytes, 1, out);
}

void dmc__dev_host_free(dmc__device *d, void *p, size_t bytes)
{
    const dmc_recorder *r = d->backend->recorder;
    if (r) r->host_free(d->state, p, bytes);
    else dmc__free(d->alloc, p, bytes, 1);
}

static dmc_status refuse(const dmc__device *d)
{
    return dmc__fail(DMC_EDEVICE, "backend %s records nothing", d->backend->name);
}

dmc_status dmc__dev_record(dmc__device *d)
{
    return d->backend->recorder ? d->backend->recorder->begin(d->state) : refuse(d);
}

dmc_status dmc__dev_record_end(dmc__device *d, dmc__tape **out)
{
    void *tape = NULL;
    *out = NULL;
    if (!d->backend->recorder) return refuse(d);
    const dmc_status status = d->backend->recorder->end(d->state, &tape);
    *out = tape;
    return status;
}

dmc_status dmc__dev_play(dmc__device *d, dmc__tape *t)
{
    return d->backend->recorder ? d->backend->recorder->play(d->state, t) : refuse(d);
}

void dmc__tape_free(dmc__device *d, dmc__tape *t)
{
    if (t) d->backend->recorder->free(d->state, t);
}
