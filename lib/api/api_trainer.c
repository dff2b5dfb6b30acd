/* api_trainer.c — dmc_trainer. */
#include "handles.h"

static dmc_status take_options(const dmc_train_options *o, dmc__pretrain_config *c)
{
    dmc_train_options t;
    DMC_TRY(dmc__field_take(DMC_OPTIONS_TRAIN, o, &t));
    *c = (dmc__pretrain_config){.steps = t.steps, .batch = t.batch, .warmup = t.warmup, .lr = t.lr, .weight_decay = t.weight_decay,
                                .grad_clip = t.grad_clip, .ema = t.ema, .action_weight = t.action_weight,
                                .mask_share = t.mask_share, .window_share = t.window_share, .mask_rows = t.mask_rows,
                                .seed = t.seed};
    return DMC_OK;
}

dmc_status dmc_trainer_create(dmc_context *ctx, const dmc_model *m, const dmc_dataset *d, const dmc_train_options *o,
                              dmc_trainer **out)
{
    dmc__pretrain_config c;
    dmc_trainer *t;
    DMC_NEED("dmc_trainer_create", out);
    *out = NULL;
    DMC_NEED("dmc_trainer_create", m);
    DMC_NEED("dmc_trainer_create", d);
    DMC_TRY(take_options(o, &c));
    const dmc__allocator *a = &m->ref.ctx->alloc;
    DMC_TRY(DMC_NEW(a, 1, &t));
    t->alloc = a;
    const dmc_status status = dmc__pretrain_create(ctx, m, d->data, &c, &t->run);
    if (status < 0) DMC_FREE(a, t, 1);
    else *out = t;
    return status;
}

void dmc_trainer_destroy(dmc_trainer *t)
{
    if (!t) return;
    dmc__pretrain_destroy(t->run);
    DMC_FREE(t->alloc, t, 1);
}

dmc_status dmc_trainer_step(dmc_trainer *t, int32_t n, dmc_train_metrics *metrics)
{
    dmc__pretrain_metrics m;
    DMC_NEED("dmc_trainer_step", t);
    if (n < 0) return dmc__fail(DMC_ERANGE, "dmc_trainer_step: n = %d, must be at least 0", n);
    const dmc_status status = dmc__pretrain_step(t->run, n, &m);
    if (metrics)
        *metrics = (dmc_train_metrics){.struct_size = sizeof *metrics, .step = (int32_t)m.step, .loss = m.loss,
                                       .grad_norm = m.grad_norm, .lr = m.lr, .seconds = m.seconds};
    return status;
}

dmc_status dmc_trainer_evaluate(dmc_trainer *t, double *loss)
{
    DMC_NEED("dmc_trainer_evaluate", t);
    DMC_NEED("dmc_trainer_evaluate", loss);
    return dmc__pretrain_evaluate(t->run, loss);
}

dmc_status dmc_trainer_publish(const dmc_trainer *t, dmc_model **out)
{
    DMC_NEED("dmc_trainer_publish", out);
    *out = NULL;
    DMC_NEED("dmc_trainer_publish", t);
    return dmc__pretrain_publish(t->run, out);
}

dmc_status dmc_trainer_save(const dmc_trainer *t, const char *path)
{
    DMC_NEED("dmc_trainer_save", t);
    DMC_NEED("dmc_trainer_save", path);
    return dmc__pretrain_save(t->run, path);
}

dmc_status dmc_trainer_resume(dmc_trainer *t, const char *path)
{
    DMC_NEED("dmc_trainer_resume", t);
    DMC_NEED("dmc_trainer_resume", path);
    return dmc__pretrain_resume(t->run, path);
}
