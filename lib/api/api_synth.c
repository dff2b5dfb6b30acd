/* api_synth.c — dmc_synth. */
#include "../train/synth.h"
#include "handles.h"

dmc_status dmc_synth_create(dmc_context *ctx, const dmc_dataset *d, const dmc_synth_options *o, dmc_synth **out)
{
    dmc_synth_options t;
    DMC_NEED("dmc_synth_create", out);
    *out = NULL;
    DMC_NEED("dmc_synth_create", d);
    DMC_TRY(dmc__field_take(DMC_OPTIONS_SYNTH, o, &t));
    const dmc__synth_config c = {.hidden = t.hidden, .blocks = t.blocks, .emb_dim = t.emb_dim, .batch = t.batch, .steps = t.steps,
                                 .sample_steps = t.sample_steps, .lr = t.lr, .ema = t.ema, .churn = t.churn,
                                 .churn_noise = t.churn_noise, .seed = t.seed};
    return dmc__synth_create(ctx, d->data, &c, out);
}

void dmc_synth_destroy(dmc_synth *s)
{
    dmc__synth_destroy(s);
}

dmc_status dmc_synth_step(dmc_synth *s, int32_t n, dmc_train_metrics *metrics)
{
    dmc__pretrain_metrics m;
    DMC_NEED("dmc_synth_step", s);
    if (n < 0) return dmc__fail(DMC_ERANGE, "dmc_synth_step: n = %d, must be at least 0", n);
    const dmc_status status = dmc__synth_step(s, n, &m);
    if (metrics)
        *metrics = (dmc_train_metrics){.struct_size = sizeof *metrics, .step = (int32_t)m.step, .loss = m.loss,
                                       .grad_norm = m.grad_norm, .lr = m.lr, .seconds = m.seconds};
    return status;
}

dmc_status dmc_synth_sample(dmc_synth *s, size_t n, uint64_t seed, dmc_replay *r)
{
    DMC_NEED("dmc_synth_sample", s);
    DMC_NEED("dmc_synth_sample", r);
    return dmc__synth_sample(s, n, seed, &r->x);
}
