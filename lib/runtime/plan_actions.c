/* plan_actions.c — actions of planners of states only: the inverse model between neighbouring rows of what was chosen. */
#include <math.h>
#include <string.h>

#include "sampler_state.h"

/* Actions a plan has: one between two states. */
static size_t pairs(const dmc__sampler *s)
{
    return (size_t)s->view.horizon - 1;
}

size_t dmc__sampler_pair_elems(const dmc__sampler *s)
{
    return s->view.states_only ? (size_t)s->config.batch * pairs(s) * 2 * (size_t)s->view.obs->n : 0;
}

size_t dmc__sampler_inverted_elems(const dmc__sampler *s)
{
    return s->view.states_only ? (size_t)s->config.batch * pairs(s) * (size_t)s->view.act->n : 0;
}

dmc_status dmc__sampler_inverse_check(const dmc__sampler_config *c, const dmc__model *m, const dmc__model *inverse)
{
    DMC_TRY(dmc__model_inverse_fits(m, inverse, "dmc_sampler_create"));
    if (inverse && c->horizon == 1)
        return dmc__fail(DMC_ERANGE, "dmc_sampler_create: horizon = 1, must be at least 2 for a planner of states only: an action "
                         "leads from a state to the next");
    if (inverse && c->rotations.n + c->majorities.n > 0)
        return dmc__fail(DMC_EINVAL, "dmc_sampler_create: rotations and majorities are columns of an action, which plans of states "
                         "only do not have: their mean is the mean of states");
    return DMC_OK;
}

dmc_status dmc__sampler_make_inverse(dmc__sampler *s, const dmc__model *inverse)
{
    if (!inverse) return DMC_OK;
    if (!dmc__device_shares(inverse->ref.ctx->device, s->ref.ctx->device))
        return dmc__fail(DMC_EINVAL, "dmc_sampler_create: the inverse model lives on another device (%s) than the sampler",
                         inverse->ref.ctx->name);
    DMC_TRY(dmc__dev_sync(inverse->ref.ctx->device)); /* its weights may have been made a moment ago, in another queue */
    return dmc__inverse_pass_create(inverse->net, inverse->weights, s->ref.ctx->device, s->config.batch, s->view.horizon,
                                    s->view.horizon - 1, DMC__INVERSE_ACTIONS, &s->inverse);
}

/* Neighbouring rows of the chosen plans, normalised. */
static void pair_up(dmc__sampler *s)
{
    const size_t w = (size_t)s->view.obs->n;
    float *pair = s->pairs;
    for (size_t b = 0; b < (size_t)s->config.batch; b++)
        for (size_t h = 0; h < pairs(s); h++, pair += 2 * w)
            dmc__normaliser_apply(s->view.obs, s->chosen + b * s->elems + h * w, 2, pair);
}

dmc_status dmc__sampler_run_inverse(dmc__sampler *s)
{
    dmc__device *d = s->ref.ctx->device;
    DMC_TRY(dmc__dev_in(d, dmc__inverse_pass_states(s->inverse), s->pairs, dmc__sampler_pair_elems(s)));
    DMC_TRY(dmc__inverse_pass_run(s->inverse));
    return dmc__dev_out(d, s->inverted, dmc__inverse_pass_actions(s->inverse), dmc__sampler_inverted_elems(s));
}

dmc_status dmc__sampler_invert(dmc__sampler *s)
{
    pair_up(s);
    if (s->tape[DMC__TAPE_INVERSE]) DMC_TRY(dmc__sampler_play_inverse(s));
    else DMC_TRY(dmc__sampler_run_inverse(s));
    dmc__normaliser_invert(s->view.act, s->inverted, (size_t)s->config.batch * pairs(s), s->inverted);
    return DMC_OK;
}

const float *dmc__sampler_action(const dmc__sampler *s, size_t b, size_t h)
{
    const size_t a = (size_t)s->view.act->n, skip = s->view.planner ? (size_t)s->view.obs->n : 0;
    if (!s->inverse) return s->chosen + b * s->elems + h * (size_t)dmc__view_cols(&s->view) + skip;
    return s->inverted + (b * pairs(s) + (h < pairs(s) ? h : pairs(s) - 1)) * a;
}
