/* sampler_answer.c — the two ends of a control step: an observation goes in, checked actions come out. */
#include <math.h>
#include <string.h>

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
            return dmc__fail(DMC_ESTATE, "%s: no image of camera \"%s\" came since the last call; the last good actions are held",
                             s->run.who, s->net->config.camera[i]);
    return DMC_OK;
}

dmc_status dmc__sampler_see(dmc__sampler *s, const float *obs)
{
    const int32_t finite = all_finite(obs, (size_t)s->config.batch * (size_t)s->view.obs->n);
    const dmc_status images = finite ? check_images(s) : DMC_OK;
    memset(s->fresh, 0, sizeof s->fresh);
    if (!finite)
        return dmc__fail(DMC_ENUMERIC, "%s: obs has a value that is not finite; the last good actions are held", s->run.who);
    DMC_TRY(images);
    push_images(s);
    push_observations(s, obs);
    return DMC_OK;
}

void dmc__sampler_see_anything(dmc__sampler *s)
{
    const size_t w = (size_t)s->view.obs->n, rows = (size_t)s->config.batch * (size_t)s->view.n_obs;
    for (size_t r = 0; r < rows; r++) memcpy(s->history + r * w, s->view.obs->shift, w * sizeof *s->history);
    s->seen = 1;
}

void dmc__sampler_gather_conditions(dmc__sampler *s)
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
    dmc__sampler_gather_known(s);
}

dmc_status dmc__sampler_send_conditions(dmc__sampler *s)
{
    for (int32_t j = 0; j < (s->cascade ? 2 : 1); j++) {
        dmc__rollout *r = j ? s->cascade : s->rollout;
        DMC_TRY(dmc__sampler_place_known(s, r));
        if (!s->view.planner) DMC_TRY(dmc__rollout_set_cond(r, s->conds));
    }
    return DMC_OK;
}

/* Actions of the chosen samples, held inside the limits the data showed. A sample at the limit comes back from its
 * normalised form a rounding error off, which is not worth a report. */
static void extract_actions(dmc__sampler *s, float *out)
{
    const size_t rows = (size_t)s->config.batch * (size_t)s->view.horizon;
    s->facts.clamped = 0;
    for (size_t i = 0; i < rows; i++) {
        const float *const action = dmc__sampler_action(s, i / (size_t)s->view.horizon, i % (size_t)s->view.horizon);
        for (int32_t j = 0; j < s->view.act->n; j++) {
            const float x = action[j], lo = s->view.act->lo[j], hi = s->view.act->hi[j], y = fminf(fmaxf(x, lo), hi);
            s->facts.clamped += fabsf(x - y) > 1e-6f * fmaxf(hi - lo, fabsf(y));
            *out++ = y;
        }
    }
}

static size_t action_count(const dmc__sampler *s)
{
    return (size_t)s->config.batch * (size_t)s->view.horizon * (size_t)s->view.act->n;
}

void dmc__sampler_hold(dmc__sampler *s, float *out)
{
    const size_t a = (size_t)s->view.act->n;
    s->facts.held = 1;
    s->have_plan = 0; /* time has gone on without one */
    s->facts.chosen = -1;
    s->facts.clamped = 0;
    s->facts.q = NAN;
    for (size_t i = 0; i < action_count(s); i++)
        out[i] = s->have_good ? s->good[i] : fminf(fmaxf(0, s->view.act->lo[i % a]), s->view.act->hi[i % a]);
}

dmc_status dmc__sampler_conclude(dmc__sampler *s, float *actions)
{
    dmc__sampler_choose(s);
    if (s->inverse) DMC_TRY(dmc__sampler_invert(s));
    if (!all_finite(s->chosen, (size_t)s->config.batch * s->elems) || !all_finite(s->inverted, dmc__sampler_inverted_elems(s)))
        return dmc__fail(DMC_ENUMERIC, "%s: the sample of call %llu is not finite; the last good actions are held", s->run.who,
                         (unsigned long long)s->facts.call);
    extract_actions(s, s->good);
    s->have_good = s->have_plan = 1;
    if (actions) memcpy(actions, s->good, action_count(s) * sizeof *actions);
    return DMC_OK;
}
