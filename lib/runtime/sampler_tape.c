/* sampler_tape.c — an answer written down once and played in every call, where the device can: one launch of all its steps,
 * and one of each pass through the cascade, and one of the actions of a plan of states only. */
#include "sampler_state.h"

static dmc__device *device(const dmc__sampler *s)
{
    return s->ref.ctx->device;
}

/* What a roll-out has begun, to candidates and what the critic thinks of them in the host's memory. */
static dmc_status walk_down(dmc__sampler *s, dmc__rollout *r)
{
    while (dmc__rollout_next(r) < dmc__rollout_rows(r)) DMC_TRY(dmc__rollout_step(r));
    const void *z0 = dmc__rollout_sample(r);
    if (s->judge.self) DMC_TRY(dmc__reward_critic_ask(&s->judge, z0, dmc__rollout_cond(r)));
    return dmc__dev_out(device(s), s->z, z0, s->total * s->elems);
}

/* From conditions in the host's memory; those of the passes go along. */
static dmc_status answer(dmc__sampler *s, int32_t warm)
{
    const dmc__rollout_draw draw = {0};
    DMC_TRY(dmc__sampler_send_conditions(s));
    DMC_TRY(dmc__sampler_start(s, warm, &draw));
    return walk_down(s, s->rollout);
}

static dmc_status pass(dmc__sampler *s)
{
    const dmc__rollout_draw draw = {0};
    DMC_TRY(dmc__rollout_set_extra(s->cascade, s->previous));
    DMC_TRY(dmc__rollout_begin(s->cascade, &draw, s->config.temperature));
    return walk_down(s, s->cascade);
}

static dmc__rollout *rollout_of(const dmc__sampler *s, int32_t tape)
{
    return tape == DMC__TAPE_PASS ? s->cascade : s->rollout;
}

static dmc_status record(dmc__sampler *s, int32_t which)
{
    dmc__tape *tape = NULL;
    dmc__rollout_forget(rollout_of(s, which));
    DMC_TRY(dmc__dev_record(device(s)));
    const dmc_status status = which == DMC__TAPE_INVERSE ? dmc__sampler_run_inverse(s)
                              : which == DMC__TAPE_PASS  ? pass(s)
                                                         : answer(s, which == DMC__TAPE_PLAN);
    const dmc_status ended = dmc__dev_record_end(device(s), &tape);
    if (status < 0) dmc__tape_free(device(s), tape);
    else s->tape[which] = tape;
    return status < 0 ? status : ended;
}

dmc_status dmc__sampler_record(dmc__sampler *s)
{
    if (!s->records) return DMC_OK;
    DMC_TRY(record(s, DMC__TAPE_NOISE));
    if (s->config.warm_start > 0) DMC_TRY(record(s, DMC__TAPE_PLAN));
    if (s->inverse) DMC_TRY(record(s, DMC__TAPE_INVERSE));
    return s->cascade ? record(s, DMC__TAPE_PASS) : DMC_OK;
}

dmc_status dmc__sampler_play_inverse(dmc__sampler *s)
{
    DMC_TRY(dmc__dev_play(device(s), s->tape[DMC__TAPE_INVERSE]));
    return dmc__dev_sync(device(s));
}

void dmc__sampler_erase(dmc__sampler *s)
{
    for (int32_t i = 0; i < DMC__TAPES; i++) {
        dmc__tape_free(device(s), s->tape[i]);
        s->tape[i] = NULL;
    }
}

dmc_status dmc__sampler_play(dmc__sampler *s, int32_t tape, const dmc__rollout_draw *draw)
{
    dmc__rollout *r = rollout_of(s, tape);
    dmc__rollout_note(r, draw);
    dmc__rollout_forget(r); /* a run in steps that comes next finds values of this one */
    DMC_TRY(dmc__dev_play(device(s), s->tape[tape]));
    DMC_TRY(dmc__dev_sync(device(s)));
    if (s->judge.self) dmc__reward_critic_tell(&s->judge, 1, s->q);
    return DMC_OK;
}
