/* api_critic.c — dmc_critic. */
#include "../base/clock.h"
#include "handles.h"

dmc_status dmc_critic_create(dmc_context *ctx, const dmc_dataset *d, const dmc_critic_options *o, dmc_critic **out)
{
    dmc_critic_options t;
    double scale, shift;
    DMC_NEED("dmc_critic_create", out);
    *out = NULL;
    DMC_NEED("dmc_critic_create", d);
    DMC_TRY(dmc__field_take(DMC_OPTIONS_CRITIC, o, &t));
    const dmc__critic_config c = {.hidden = t.hidden, .batch = t.batch, .steps = t.steps, .lr = t.lr, .tau = t.tau,
                                  .gamma = t.gamma, .polyak = t.polyak, .seed = t.seed, .split = t.split, .chunk = t.chunk};
    dmc__dataset_reward_map(d, &scale, &shift);
    return dmc__critic_create(ctx, d->data, scale, shift, &c, out);
}

void dmc_critic_destroy(dmc_critic *c)
{
    dmc__critic_destroy(c);
}

void dmc__critic_give(const dmc_critic *c, const dmc__iql_metrics *m, int64_t began, dmc_critic_metrics *out)
{
    if (out)
        *out = (dmc_critic_metrics){.struct_size = sizeof *out, .step = (int32_t)dmc__iql_step(c->iql), .q_loss = m->q_loss,
                                    .v_loss = m->v_loss, .q_mean = m->q_mean, .v_mean = m->v_mean,
                                    .seconds = (double)(dmc__clock_ns() - began) * 1e-9};
}

dmc_status dmc_critic_step(dmc_critic *c, int32_t n, dmc_critic_metrics *metrics)
{
    dmc__iql_metrics m;
    const int64_t began = dmc__clock_ns();
    DMC_NEED("dmc_critic_step", c);
    if (n < 0) return dmc__fail(DMC_ERANGE, "dmc_critic_step: n = %d, must be at least 0", n);
    const dmc_status status = dmc__critic_step(c, n, &m);
    dmc__critic_give(c, &m, began, metrics);
    return status;
}

dmc_status dmc_critic_q(dmc_critic *c, size_t n, const float *obs, const float *act, float *q1, float *q2)
{
    DMC_NEED("dmc_critic_q", c);
    DMC_NEED("dmc_critic_q", obs);
    DMC_NEED("dmc_critic_q", act);
    return dmc__critic_values(c, n, obs, act, q1, q2, NULL, NULL);
}

dmc_status dmc_critic_v(dmc_critic *c, size_t n, const float *obs, float *v)
{
    DMC_NEED("dmc_critic_v", c);
    DMC_NEED("dmc_critic_v", obs);
    DMC_NEED("dmc_critic_v", v);
    return dmc__critic_values(c, n, obs, NULL, NULL, NULL, v, NULL);
}

dmc_status dmc_critic_action_gradient(dmc_critic *c, size_t n, const float *obs, const float *act, float *grad)
{
    DMC_NEED("dmc_critic_action_gradient", c);
    DMC_NEED("dmc_critic_action_gradient", obs);
    DMC_NEED("dmc_critic_action_gradient", act);
    DMC_NEED("dmc_critic_action_gradient", grad);
    return dmc__critic_values(c, n, obs, act, NULL, NULL, NULL, grad);
}

dmc_status dmc_critic_save(const dmc_critic *c, const char *path)
{
    DMC_NEED("dmc_critic_save", c);
    DMC_NEED("dmc_critic_save", path);
    return dmc__critic_save(c, path);
}

dmc_status dmc_critic_load(dmc_context *ctx, const char *path, const dmc_dataset *d, dmc_critic **out)
{
    double scale = 1, shift = 0;
    DMC_NEED("dmc_critic_load", out);
    *out = NULL;
    DMC_NEED("dmc_critic_load", path);
    if (d) dmc__dataset_reward_map(d, &scale, &shift);
    return dmc__critic_load(ctx, path, d ? d->data : NULL, scale, shift, out);
}

dmc_status dmc_critic_describe(const dmc_critic *c, char *buf, size_t size, size_t *need)
{
    char *text;
    DMC_NEED("dmc_critic_describe", c);
    DMC_TRY(dmc__critic_contract(c, &c->ref.ctx->alloc, &text));
    const dmc_status status = dmc__text_out("dmc_critic_describe", text, buf, size, need);
    dmc__str_free(&c->ref.ctx->alloc, text);
    return status;
}
