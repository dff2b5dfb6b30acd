/* sampler_run.c — an answer in steps: begin, denoise the candidates, finish; until a deadline; all at once. */
#include <math.h>
#include <string.h>

#include "../base/fp_mode.h"
#include "sampler_state.h"

/* ---- time --------------------------------------------------------------------------------------------- */

static int64_t end_lap(dmc__sampler *s)
{
    const int64_t now = s->clock(), lap = now - s->run.mark;
    s->run.mark = now;
    s->run.spent += lap;
    return lap;
}

/* The longest so far, forgotten by and by: once in a while something else has the processor. */
static int64_t expectation(int64_t expected, int64_t seen)
{
    return seen > expected ? seen : expected - (expected - seen) / 16;
}

/* ---- roll-outs ---------------------------------------------------------------------------------------- */

/* Denoising steps that are left of a roll-out. */
static int32_t steps_of(const dmc__rollout *r, int32_t from)
{
    const int32_t rows = dmc__rollout_rows(r);
    int32_t n = 0;
    for (int32_t k = from; k < rows; k++) n += dmc__rollout_row(r, k)->network && dmc__rollout_row(r, k)->ends;
    return n;
}

/* Of a whole answer that begins with this row. */
static int32_t steps_of_all(const dmc__sampler *s, int32_t from)
{
    return steps_of(s->rollout, from) + (s->cascade ? s->config.cascade_passes * steps_of(s->cascade, 0) : 0);
}

static dmc__rollout *current(const dmc__sampler *s)
{
    return s->run.pass ? s->cascade : s->rollout;
}

static int32_t is_through(const dmc__rollout *r)
{
    return dmc__rollout_next(r) >= dmc__rollout_rows(r);
}

static dmc__rollout_draw numbers(const dmc__sampler *s)
{
    return (dmc__rollout_draw){s->config.seed, s->call, (uint64_t)s->run.pass * s->total};
}

/* With a critic a sample is only replaced by one that is no worse. */
static void keep_the_better(dmc__sampler *s)
{
    for (size_t i = 0; s->judge.self && i < s->total; i++) {
        if (s->q[i] >= s->q_previous[i] || isnan(s->q_previous[i])) continue;
        memcpy(s->z + i * s->elems, s->previous + i * s->elems, s->elems * sizeof(float));
        s->q[i] = s->q_previous[i];
    }
}

static dmc_status judge(dmc__sampler *s, dmc__rollout *r)
{
    if (!s->judge.self) return DMC_OK;
    return s->judge.eval(s->judge.self, dmc__rollout_sample(r), dmc__rollout_cond(r), 1, s->q, NULL);
}

/* What the current roll-out has come to becomes the candidates, with their worth. */
static dmc_status collect(dmc__sampler *s)
{
    dmc__rollout *r = current(s);
    const void *z0 = dmc__rollout_sample(r);
    DMC_TRY(judge(s, r));
    DMC_TRY(dmc__dev_out(s->ref.ctx->device, s->z, z0, s->total * s->elems));
    if (s->run.pass) keep_the_better(s);
    return DMC_OK;
}

/* The next pass begins with what the one before came to. */
static void pass_on(dmc__sampler *s)
{
    s->run.pass++;
    memcpy(s->previous, s->z, s->total * s->elems * sizeof(float));
    memcpy(s->q_previous, s->q, s->total * sizeof(float));
}

static dmc_status begin_pass(dmc__sampler *s)
{
    DMC_TRY(collect(s));
    pass_on(s);
    DMC_TRY(dmc__rollout_set_extra(s->cascade, s->previous));
    const dmc__rollout_draw draw = numbers(s);
    return dmc__rollout_begin(s->cascade, &draw, s->config.temperature);
}

/* ---- the parts of an answer --------------------------------------------------------------------------- */

static void open_run(dmc__sampler *s, const char *who)
{
    s->run = (dmc__sampler_run){.who = who, .mark = s->clock()};
    s->facts.steps = s->facts.planned = 0;
    s->facts.call = s->call;
    s->facts.seed = s->config.seed;
}

static dmc_status begin(dmc__sampler *s)
{
    const int32_t warm = dmc__sampler_is_warm(s);
    const dmc__rollout_draw draw = numbers(s);
    dmc__sampler_gather_conditions(s);
    DMC_TRY(dmc__sampler_send_conditions(s));
    if (warm) dmc__sampler_move_plan(s);
    DMC_TRY(dmc__sampler_start(s, warm, &draw));
    s->run.open = 1;
    s->run.left = s->facts.planned = steps_of_all(s, dmc__rollout_next(s->rollout));
    end_lap(s);
    return DMC_OK;
}

static dmc_status walk(dmc__sampler *s)
{
    if (is_through(current(s))) DMC_TRY(begin_pass(s));
    return dmc__rollout_step(current(s));
}

static dmc_status step(dmc__sampler *s)
{
    const dmc_status status = walk(s);
    const int64_t lap = end_lap(s);
    if (status < 0) {
        s->run.open = 0;
        return status;
    }
    if (lap > s->facts.longest_step) s->facts.longest_step = lap;
    if (s->run.done > 0) s->step_ns = expectation(s->step_ns, lap); /* the first computes what all rows share */
    s->run.left--;
    s->facts.steps = ++s->run.done;
    return DMC_OK;
}

/* A pass through the cascade that is not through is given up: the samples it began with are whole. */
static dmc_status close_run(dmc__sampler *s, float *actions)
{
    s->run.open = 0;
    if (s->run.pass == 0) DMC_TRY(dmc__rollout_stop(s->rollout));
    if (s->run.pass == 0 || is_through(s->cascade)) DMC_TRY(collect(s));
    s->call++;
    return dmc__sampler_conclude(s, actions);
}

static dmc_status finish(dmc__sampler *s, float *actions)
{
    DMC_TRY(close_run(s, actions));
    s->facts.held = 0;
    s->facts.partial = s->run.left > 0;
    s->finish_ns = expectation(s->finish_ns, end_lap(s));
    return s->facts.partial ? DMC_PARTIAL : s->facts.clamped ? DMC_CLAMPED : DMC_OK;
}

/* Count the answer; without one, hold. */
static dmc_status report(dmc__sampler *s, dmc_status status, float *actions)
{
    dmc__sampler_facts *f = &s->facts;
    if (status < 0) {
        f->partial = 0;
        dmc__sampler_hold(s, actions);
    }
    end_lap(s);
    f->nanoseconds = s->run.spent;
    f->calls++;
    f->partials += f->partial;
    f->holds += f->held;
    f->clampings += f->clamped > 0;
    return status;
}

static dmc_status play_tape(dmc__sampler *s, int32_t tape)
{
    const dmc__rollout_draw draw = numbers(s);
    return dmc__sampler_play(s, tape, &draw);
}

/* The whole answer at once, where it was recorded. */
static dmc_status play(dmc__sampler *s, int32_t warm, float *actions)
{
    const int32_t passes = s->cascade ? s->config.cascade_passes : 0;
    dmc__sampler_gather_conditions(s);
    if (warm) dmc__sampler_move_plan(s);
    DMC_TRY(play_tape(s, warm ? DMC__TAPE_PLAN : DMC__TAPE_NOISE));
    while (s->run.pass < passes) {
        pass_on(s);
        DMC_TRY(play_tape(s, DMC__TAPE_PASS));
        keep_the_better(s);
    }
    s->facts.steps = s->facts.planned = steps_of_all(s, warm ? s->warm_row : 0);
    s->facts.held = s->facts.partial = 0;
    s->call++;
    DMC_TRY(dmc__sampler_conclude(s, actions));
    end_lap(s);
    return s->facts.clamped ? DMC_CLAMPED : DMC_OK;
}

/* ---- the calls ---------------------------------------------------------------------------------------- */

static dmc_status answer(dmc__sampler *s, const float *obs, float *actions)
{
    const int32_t warm = dmc__sampler_is_warm(s);
    DMC_TRY(dmc__sampler_see(s, obs));
    if (s->tape[DMC__TAPE_NOISE]) return play(s, warm, actions);
    DMC_TRY(begin(s));
    while (s->run.left > 0) DMC_TRY(step(s));
    return finish(s, actions);
}

/* A deadline that is still ahead gets one step in any case, so that what is expected of steps cannot stay wrong. */
static dmc_status answer_until(dmc__sampler *s, const float *obs, int64_t deadline, float *actions)
{
    DMC_TRY(dmc__sampler_see(s, obs));
    if (s->run.mark < deadline) DMC_TRY(begin(s));
    if (s->run.mark >= deadline)
        return dmc__fail(DMC_EDEADLINE, "%s: deadline_ns = %lld, but it was %lld before the first step; the last good actions are "
                         "held", s->run.who, (long long)deadline, (long long)s->run.mark);
    do {
        DMC_TRY(step(s));
    } while (s->run.left > 0 && s->run.mark + s->step_ns + s->finish_ns <= deadline);
    return finish(s, actions);
}

dmc_status dmc__sampler_sample(dmc__sampler *s, const float *obs, float *actions)
{
    const dmc__fp_mode host = dmc__fp_enter();
    open_run(s, "dmc_sampler_sample");
    const dmc_status status = report(s, answer(s, obs, actions), actions);
    dmc__fp_set(host);
    return status;
}

dmc_status dmc__sampler_sample_until(dmc__sampler *s, const float *obs, int64_t deadline_ns, float *actions)
{
    const dmc__fp_mode host = dmc__fp_enter();
    open_run(s, "dmc_sampler_sample_until");
    const dmc_status status = report(s, answer_until(s, obs, deadline_ns, actions), actions);
    s->run.open = 0;
    dmc__fp_set(host);
    return status;
}

dmc_status dmc__sampler_begin(dmc__sampler *s, const float *obs)
{
    const dmc__fp_mode host = dmc__fp_enter();
    open_run(s, "dmc_sampler_begin");
    dmc_status status = dmc__sampler_see(s, obs);
    if (status >= 0) status = begin(s);
    dmc__fp_set(host);
    return status;
}

dmc_status dmc__sampler_step(dmc__sampler *s, int32_t *left)
{
    if (left) *left = 0;
    if (!s->run.open) return dmc__fail(DMC_ESTATE, "dmc_sampler_step: nothing was begun");
    if (s->run.left == 0) return dmc__fail(DMC_ESTATE, "dmc_sampler_step: all %d steps are done", s->facts.planned);
    const dmc__fp_mode host = dmc__fp_enter();
    s->run.mark = s->clock();
    const dmc_status status = step(s);
    if (left && status >= 0) *left = s->run.left;
    dmc__fp_set(host);
    return status;
}

/* Before its first step an answer stays open. */
static dmc_status finish_begun(dmc__sampler *s, float *actions)
{
    if (!s->run.open) return dmc__fail(DMC_ESTATE, "dmc_sampler_finish: nothing was begun; the last good actions are held");
    if (s->run.done == 0)
        return dmc__fail(DMC_ESTATE, "dmc_sampler_finish: no step was done since the begin; the last good actions are held");
    return finish(s, actions);
}

dmc_status dmc__sampler_finish(dmc__sampler *s, float *actions)
{
    const dmc__fp_mode host = dmc__fp_enter();
    s->run.who = "dmc_sampler_finish";
    s->run.mark = s->clock();
    const dmc_status status = report(s, finish_begun(s, actions), actions);
    dmc__fp_set(host);
    return status;
}

int32_t dmc__sampler_is_open(const dmc__sampler *s)
{
    return s->run.open;
}

/* ---- warming up --------------------------------------------------------------------------------------- */

static dmc_status warm_up(dmc__sampler *s)
{
    open_run(s, "dmc_sampler_create");
    dmc__sampler_see_anything(s);
    DMC_TRY(begin(s));
    while (s->run.left > 0) DMC_TRY(step(s));
    return finish(s, NULL);
}

dmc_status dmc__sampler_warm_up(dmc__sampler *s)
{
    const dmc_status status = warm_up(s);
    dmc__sampler_reset(s, s->config.seed);
    return status < 0 ? status : DMC_OK; /* clamped actions are no news here */
}

dmc_status dmc__sampler_prefault(dmc__sampler *s)
{
    const dmc__fp_mode host = dmc__fp_enter();
    const dmc_status status = dmc__sampler_warm_up(s);
    dmc__fp_set(host);
    return status;
}
