/* regress.c — an update in three parts: keys and rates on the host, work of the device, what came of it on the host. */
#include "regress.h"

#include <math.h>

enum { KEY_WORDS = 4, STEP_WORD = 2 };

dmc_status dmc__regress_open(dmc__regress *r)
{
    return dmc__live_open(r->device, 2 * KEY_WORDS * sizeof(uint64_t), &r->keys);
}

void dmc__regress_close(dmc__regress *r)
{
    if (!r->device) return;
    dmc__replay_drop(r->device, &r->replay);
    dmc__live_close(r->device, &r->keys);
}

/* The step is added to the keys: on the device in what is recorded, else here. */
static void set_keys(dmc__regress *r, uint64_t step)
{
    uint64_t *const noise = r->keys.host, *const dropout = noise + KEY_WORDS;
    noise[STEP_WORD] = step;
    dropout[STEP_WORD] = step * DMC__PLAN_STREAMS;
    r->step = r->keys.device ? 0 : step;
    if (!r->dropout) return;
    dmc__chain_set_dropout(r->dropout, 1, r->seed, r->step);
    dmc__chain_set_dropout_base(r->dropout, r->keys.device ? (uint64_t *)r->keys.device + KEY_WORDS : NULL);
}

static dmc_status work(void *self)
{
    dmc__regress *r = self;
    const dmc__noise_key key = {.seed = r->seed, .purpose = DMC_STREAM_NOISE, .step = r->step, .base = r->keys.device};
    DMC_TRY(dmc__live_send(r->device, &r->keys));
    DMC_TRY(dmc__denoise_send(r->denoise, r->clean ? NULL : &key));
    if (r->between) DMC_TRY(r->between(r->self));
    DMC_TRY(dmc__denoise_learn(r->denoise, r->weight));
    return dmc__learner_apply(r->learner);
}

dmc_status dmc__regress_update(dmc__regress *r, uint64_t step, const dmc__adamw_config *c, double *loss, double *norm)
{
    set_keys(r, step);
    DMC_TRY(dmc__learner_prepare(r->learner, c));
    DMC_TRY(dmc__replay_run(r->device, &r->replay, work, r));
    *loss = dmc__denoise_mean(r->denoise);
    const dmc_status status = dmc__learner_conclude(r->learner, norm);
    if (isfinite(*loss)) return status;
    return dmc__fail(DMC_ENUMERIC, "the loss of update %llu is not finite", (unsigned long long)step + 1);
}
