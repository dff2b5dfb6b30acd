/* sampler_answer.c — one control step: push the observation, denoise the candidates, choose, check, clamp. */
#include <math.h>
#include <string.h>

#include "../base/clock.h"
#include "sampler_state.h"

static int32_t all_finite(const float *x, size_t n)
{
    float zero = 0; /* x*0 is 0 for finite x and NaN otherwise: one pass, no branch */
    for (size_t i = 0; i < n; i++) zero += x[i] * 0;
    return zero == 0;
}

/* Shift the newest observation in; the first one fills the whole window. */
static void push_observations(dmc__sampler *s, const float *obs)
{
    const size_t w = (size_t)s->view.obs->n, rows = (size_t)s->view.n_obs;
    for (size_t b = 0; b < (size_t)s->config.batch; b++) {
        float *h = s->history + b * rows * w;
        if (s->seen) dmc__view_push(&s->view, obs + b * w, h);
        for (size_t r = 0; !s->seen && r < rows; r++) memcpy(h + r * w, obs + b * w, w * sizeof *h);
    }
    s->seen = 1;
}

/* The same for the images of every camera. */
static void push_images(dmc__sampler *s)
{
    const size_t frame = (size_t)s->view.frame, rows = (size_t)s->view.n_obs, cameras = (size_t)s->view.cameras;
    const size_t batch = (size_t)s->config.batch;
    for (size_t i = 0; i < batch * cameras; i++) {
        uint8_t *h = s->frames + i * rows * frame;
        const uint8_t *new = s->image + (i % cameras * batch + i / cameras) * frame;
        memmove(h, h + frame, (rows - 1) * frame);
        for (size_t r = s->seen ? rows - 1 : 0; r < rows; r++) memcpy(h + r * frame, new, frame);
    }
}

/* An old image would be a lie about where things are. */
static dmc_status check_images(const dmc__sampler *s)
{
    for (int32_t i = 0; i < s->view.cameras; i++)
        if (!s->fresh[i])
            return dmc__fail(DMC_ESTATE, "dmc_sampler_sample: no image of camera \"%s\" came since the last call; the last good "
                             "actions are held", s->net->config.camera[i]);
    return DMC_OK;
}

static dmc_status set_conditions(dmc__sampler *s)
{
    const size_t raw = (size_t)s->view.n_obs * (size_t)s->view.obs->n;
    const size_t frames = (size_t)s->view.cameras * (size_t)s->view.n_obs * (size_t)s->view.frame;
    for (size_t i = 0; i < s->total && s->view.planner; i++)
        dmc__view_observe(&s->view, s->history + i / (size_t)s->config.candidates * raw, NULL, s->mask + i * s->elems,
                          s->known + i * s->elems);
    for (size_t b = 0; b < (size_t)s->config.batch && !s->view.planner; b++)
        dmc__view_observe(&s->view, s->history + b * raw, s->conds + b * s->cond, NULL, NULL);
    for (size_t b = 0; b < (size_t)s->config.batch && s->view.cameras; b++)
        dmc__view_see(&s->view, s->frames + b * frames, s->conds + b * s->cond);
    for (int32_t j = 0; j < (s->cascade ? 2 : 1); j++) {
        dmc__rollout *r = j ? s->cascade : s->rollout;
        DMC_TRY(s->view.planner ? dmc__rollout_set_known(r, s->mask, s->known) : dmc__rollout_set_cond(r, s->conds));
    }
    return DMC_OK;
}

static dmc_status judge(dmc__sampler *s, dmc__rollout *r, float *q)
{
    if (!s->judge.self) return DMC_OK;
    const void *z0 = dmc__rollout_latent(r, dmc__rollout_rows(r));
    return s->judge.eval(s->judge.self, z0, dmc__rollout_cond(r), 1, q, NULL);
}

static dmc_status fetch(dmc__sampler *s, dmc__rollout *r, float *z)
{
    return dmc__dev_out(s->ref.ctx->device, z, dmc__rollout_latent(r, dmc__rollout_rows(r)), s->total * s->elems);
}

/* One pass through the cascade; with a critic a sample is only replaced by one that is no worse. */
static dmc_status refine(dmc__sampler *s, int32_t pass)
{
    memcpy(s->previous, s->z, s->total * s->elems * sizeof(float));
    memcpy(s->q_previous, s->q, s->total * sizeof(float));
    DMC_TRY(dmc__rollout_set_extra(s->cascade, s->previous));
    DMC_TRY(dmc__rollout_run(s->cascade, s->config.seed, s->call, (uint64_t)pass * s->total, s->config.temperature));
    DMC_TRY(judge(s, s->cascade, s->q));
    DMC_TRY(fetch(s, s->cascade, s->z));
    for (size_t i = 0; s->judge.self && i < s->total; i++) {
        if (s->q[i] >= s->q_previous[i]) continue;
        memcpy(s->z + i * s->elems, s->previous + i * s->elems, s->elems * sizeof(float));
        s->q[i] = s->q_previous[i];
    }
    return DMC_OK;
}

static dmc_status denoise(dmc__sampler *s)
{
    DMC_TRY(dmc__rollout_run(s->rollout, s->config.seed, s->call, 0, s->config.temperature));
    DMC_TRY(judge(s, s->rollout, s->q));
    DMC_TRY(fetch(s, s->rollout, s->z));
    for (int32_t p = 1; s->cascade && p <= s->config.cascade_passes; p++) DMC_TRY(refine(s, p));
    return DMC_OK;
}

/* Actions of the chosen samples, held inside the limits the data showed. A sample at the limit comes back from its
 * normalised form a rounding error off, which is not worth a report. */
static void extract_actions(dmc__sampler *s, float *out)
{
    const int32_t skip = s->view.planner ? s->view.obs->n : 0, a = s->view.act->n, cols = dmc__view_cols(&s->view);
    s->facts.clamped = 0;
    for (int32_t b = 0; b < s->config.batch; b++)
        for (int32_t h = 0; h < s->view.horizon; h++)
            for (int32_t j = 0; j < a; j++) {
                const float x = s->chosen[(size_t)b * s->elems + (size_t)h * (size_t)cols + (size_t)(skip + j)];
                const float lo = s->view.act->lo[j], hi = s->view.act->hi[j], y = fminf(fmaxf(x, lo), hi);
                s->facts.clamped += fabsf(x - y) > 1e-6f * fmaxf(hi - lo, fabsf(y));
                *out++ = y;
            }
}

static size_t action_count(const dmc__sampler *s)
{
    return (size_t)s->config.batch * (size_t)s->view.horizon * (size_t)s->view.act->n;
}

/* What is safe to send when there is nothing new: the last good actions, or rest held inside the limits. */
static void hold(dmc__sampler *s, float *out)
{
    const size_t a = (size_t)s->view.act->n;
    for (size_t i = 0; i < action_count(s); i++)
        out[i] = s->have_good ? s->good[i] : fminf(fmaxf(0, s->view.act->lo[i % a]), s->view.act->hi[i % a]);
}

static dmc_status answer(dmc__sampler *s, const float *obs, float *actions)
{
    if (!all_finite(obs, (size_t)s->config.batch * (size_t)s->view.obs->n))
        return dmc__fail(DMC_ENUMERIC, "dmc_sampler_sample: obs has a value that is not finite; the last good actions are held");
    DMC_TRY(check_images(s));
    push_images(s);
    push_observations(s, obs);
    DMC_TRY(set_conditions(s));
    DMC_TRY(denoise(s));
    s->call++;
    dmc__sampler_choose(s);
    if (!all_finite(s->chosen, (size_t)s->config.batch * s->elems))
        return dmc__fail(DMC_ENUMERIC, "dmc_sampler_sample: the sample of call %llu is not finite; the last good actions are held",
                         (unsigned long long)(s->call - 1));
    extract_actions(s, actions);
    memcpy(s->good, actions, action_count(s) * sizeof *actions);
    s->have_good = 1;
    return s->facts.clamped ? DMC_CLAMPED : DMC_OK;
}

dmc_status dmc__sampler_sample(dmc__sampler *s, const float *obs, float *actions)
{
    const int64_t began = dmc__clock_ns();
    s->facts.steps = dmc__rollout_rows(s->rollout);
    const dmc_status status = answer(s, obs, actions);
    if (status < 0) hold(s, actions);
    memset(s->fresh, 0, sizeof s->fresh);
    s->facts.nanoseconds = dmc__clock_ns() - began;
    return status;
}
