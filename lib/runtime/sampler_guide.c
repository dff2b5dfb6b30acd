/* sampler_guide.c — a critic or a value model as the guide of a roll-out (diffusion/guide.h). */
#include "sampler_guide.h"

/* ---- what fits -------------------------------------------------------------------------------------- */

static int32_t same_process(const dmc__process_config *a, const dmc__process_config *b, int32_t discrete)
{
    return a->kind == b->kind && a->schedule == b->schedule && (!discrete || a->steps == b->steps) &&
           (a->kind != DMC__PROCESS_EDM || a->sigma_data == b->sigma_data);
}

static dmc_status check_value(const dmc__sampler_config *c, const dmc__model *m, const dmc__model *v)
{
    const int32_t horizon = c->horizon ? c->horizon : m->spec.net.horizon;
    if (v->spec.role != DMC__ROLE_VALUE || m->spec.role != DMC__ROLE_PLANNER)
        return dmc__fail(DMC_EINVAL, "dmc_sampler_create: value must be a model of role = value, and guides a planner only");
    if (v->obs.n != m->obs.n || v->act.n != m->act.n)
        return dmc__fail(DMC_ESHAPE, "dmc_sampler_create: the value model is for observations of %d and actions of %d, the model "
                         "for %d and %d", v->obs.n, v->act.n, m->obs.n, m->act.n);
    if (v->spec.states_only != m->spec.states_only)
        return dmc__fail(DMC_EINVAL, "dmc_sampler_create: the value model has states_only = %d, the model %d: they take other "
                         "plans", v->spec.states_only, m->spec.states_only);
    if (v->spec.net.horizon != horizon)
        return dmc__fail(DMC_ESHAPE, "dmc_sampler_create: the value model takes plans of %d rows, the sampler draws %d",
                         v->spec.net.horizon, horizon);
    if (!same_process(&v->spec.process, &m->spec.process, m->process.discrete))
        return dmc__fail(DMC_EINVAL, "dmc_sampler_create: the value model was trained with another process than the model (kind, "
                         "schedule, train_steps or sigma_data), its value of a noised plan means nothing here");
    if (!dmc__normaliser_alike(&v->obs, &m->obs) || !dmc__normaliser_alike(&v->act, &m->act))
        return dmc__fail(DMC_EINVAL, "dmc_sampler_create: the value model normalises its data otherwise than the model");
    return DMC_OK;
}

static dmc_status check_guidance(const dmc__sampler_config *c, const dmc__model *m)
{
    if (c->guidance == 1 || (m->spec.net.cond > 0 && m->spec.cond_dropout > 0)) return DMC_OK;
    return dmc__fail(DMC_EINVAL, "dmc_sampler_create: guidance = %g needs a model that was trained without its condition too; this "
                     "one has %s", c->guidance, m->spec.net.cond > 0 ? "cond_dropout = 0" : "no condition");
}

dmc_status dmc__sampler_guide_check(const dmc__sampler_config *c, const dmc__model *m, const dmc__sampler_parts *p)
{
    DMC_TRY(check_guidance(c, m));
    if (c->guide == DMC__GUIDE_CRITIC && !p->q)
        return dmc__fail(DMC_EINVAL, "dmc_sampler_create: guide = critic needs a critic, critic is NULL");
    if (c->guide == DMC__GUIDE_VALUE && !p->value)
        return dmc__fail(DMC_EINVAL, "dmc_sampler_create: guide = value needs a model of role = value, parts->value is NULL");
    return p->value ? check_value(c, m, p->value) : DMC_OK;
}

/* ---- the guides ------------------------------------------------------------------------------------- */

/* d/dx of the mean of the twins. */
static dmc_status gradient_of_reward(void *self, const dmc__row *row, const void *x, const void *cond, void *gradient)
{
    dmc__sampler_guide *g = self;
    (void)row;
    return g->reward.eval(g->reward.self, x, cond, 0, NULL, gradient);
}

/* All rows of a plan count, weighed by the critic's own discount. */
static dmc_status guide_by_critic(const dmc__sampler_config *c, const dmc__view *v, dmc__device *d, const dmc__sampler_parts *p,
                                  size_t samples, dmc__sampler_guide *g)
{
    dmc__critic_map map = *p->q_map;
    map.horizon = v->horizon;
    DMC_TRY(dmc__reward_critic_create(p->q, d, &map, (int32_t)samples, dmc__iql_get_config(p->q)->gamma, 1, &g->reward));
    g->guide = (dmc__guide){.self = g, .scale = c->guide_scale, .of_sample = 1, .gradient = gradient_of_reward};
    return DMC_OK;
}

static dmc_status guide_by_value(const dmc__sampler_config *c, dmc__device *d, const dmc__model *value, size_t samples,
                                 dmc__sampler_guide *g)
{
    if (!dmc__device_shares(value->ref.ctx->device, d))
        return dmc__fail(DMC_EINVAL, "dmc_sampler_create: the value model lives on another device (%s) than the sampler",
                         value->ref.ctx->name);
    DMC_TRY(dmc__dev_sync(value->ref.ctx->device)); /* its weights may have been made a moment ago, in another queue */
    DMC_TRY(dmc__guide_value_create(value->net, d, &value->process, (int32_t)samples, &g->value));
    dmc__guide_value_bind(g->value, value->weights);
    g->guide = dmc__guide_value_guide(g->value, c->guide_scale);
    return DMC_OK;
}

dmc_status dmc__sampler_guide_create(const dmc__sampler_config *c, const dmc__view *v, dmc__device *d, const dmc__sampler_parts *p,
                                     size_t samples, dmc__sampler_guide *g)
{
    *g = (dmc__sampler_guide){0};
    if (c->guide == DMC__GUIDE_CRITIC) return guide_by_critic(c, v, d, p, samples, g);
    return c->guide == DMC__GUIDE_VALUE ? guide_by_value(c, d, p->value, samples, g) : DMC_OK;
}

void dmc__sampler_guide_free(dmc__sampler_guide *g)
{
    dmc__guide_value_destroy(g->value);
    if (g->reward.self) dmc__reward_critic_free(&g->reward);
    *g = (dmc__sampler_guide){0};
}

size_t dmc__sampler_guide_bytes(const dmc__sampler_guide *g)
{
    return (g->value ? dmc__guide_value_bytes(g->value) : 0) + (g->reward.self ? dmc__reward_critic_bytes(&g->reward) : 0);
}
