/* sampler_tape.c — an answer written down once and played in every call, where the device can: one launch of all its steps. */
#include "sampler_state.h"

static dmc__device *device(const dmc__sampler *s)
{
    return s->ref.ctx->device;
}

/* From conditions in the host's memory to candidates, and what the critic thinks of them, in the host's memory. */
static dmc_status answer(dmc__sampler *s, int32_t warm)
{
    const dmc__rollout_draw draw = {0};
    DMC_TRY(dmc__sampler_send_conditions(s));
    DMC_TRY(dmc__sampler_start(s, warm, &draw));
    while (dmc__rollout_next(s->rollout) < dmc__rollout_rows(s->rollout)) DMC_TRY(dmc__rollout_step(s->rollout));
    const void *z0 = dmc__rollout_sample(s->rollout);
    if (s->judge.self) DMC_TRY(dmc__reward_critic_ask(&s->judge, z0, dmc__rollout_cond(s->rollout)));
    return dmc__dev_out(device(s), s->z, z0, s->total * s->elems);
}

static dmc_status record(dmc__sampler *s, int32_t warm)
{
    dmc__tape *tape = NULL;
    dmc__rollout_forget(s->rollout);
    DMC_TRY(dmc__dev_record(device(s)));
    const dmc_status status = answer(s, warm), ended = dmc__dev_record_end(device(s), &tape);
    if (status < 0) dmc__tape_free(device(s), tape);
    else s->tape[warm] = tape;
    return status < 0 ? status : ended;
}

dmc_status dmc__sampler_record(dmc__sampler *s)
{
    if (!s->records) return DMC_OK;
    DMC_TRY(record(s, 0));
    return s->config.warm_start > 0 ? record(s, 1) : DMC_OK;
}

void dmc__sampler_erase(dmc__sampler *s)
{
    for (int32_t i = 0; i < 2; i++) {
        dmc__tape_free(device(s), s->tape[i]);
        s->tape[i] = NULL;
    }
}

dmc_status dmc__sampler_play(dmc__sampler *s, int32_t warm, const dmc__rollout_draw *draw)
{
    dmc__rollout_note(s->rollout, draw);
    dmc__rollout_forget(s->rollout); /* a run in steps that comes next finds values of this one */
    DMC_TRY(dmc__dev_play(device(s), s->tape[warm]));
    DMC_TRY(dmc__dev_sync(device(s)));
    if (s->judge.self) dmc__reward_critic_tell(&s->judge, 1, s->q);
    return DMC_OK;
}
