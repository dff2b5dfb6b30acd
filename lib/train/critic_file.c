/* critic_file.c — critics in files: options and normalisers in the metadata, Q, target Q and V as tensors. */
#include "../model/model_file.h"
#include "critic_fit.h"

static const char *const prefixes[3] = {"q.", "target.", "v."};

static dmc_status put_contract(dmc__json *j, const dmc__critic *c)
{
    const dmc__critic_config *o = &c->config;
    DMC_TRY(dmc__json_set_number(j, "format", 1));
    DMC_TRY(dmc__json_set_number(j, "obs_dim", c->obs.n));
    DMC_TRY(dmc__json_set_number(j, "act_dim", c->act.n));
    DMC_TRY(dmc__json_set_number(j, "hidden", o->hidden));
    DMC_TRY(dmc__json_set_number(j, "batch", o->batch));
    DMC_TRY(dmc__json_set_number(j, "lr", o->lr));
    DMC_TRY(dmc__json_set_number(j, "tau", o->tau));
    DMC_TRY(dmc__json_set_number(j, "gamma", o->gamma));
    DMC_TRY(dmc__json_set_number(j, "polyak", o->polyak));
    DMC_TRY(dmc__json_set_number(j, "steps", o->steps));
    DMC_TRY(dmc__json_set_number(j, "split", o->split));
    DMC_TRY(dmc__json_set_number(j, "chunk", o->chunk));
    DMC_TRY(dmc__json_set_number(j, "seed_high", (double)(o->seed >> 32))); /* halves: a JSON number is exact to 53 bits */
    DMC_TRY(dmc__json_set_number(j, "seed_low", (double)(uint32_t)o->seed));
    DMC_TRY(dmc__json_set_number(j, "updates", (double)dmc__iql_step(c->iql)));
    DMC_TRY(dmc__contract_put_normaliser(j, "observation", &c->obs));
    return dmc__contract_put_normaliser(j, "action", &c->act);
}

dmc_status dmc__critic_contract(const dmc__critic *c, const dmc__allocator *a, char **text)
{
    dmc__json *j;
    *text = NULL;
    DMC_TRY(dmc__json_create(&j));
    dmc_status status = put_contract(j, c);
    if (status >= 0) status = dmc__json_print(j, a, text);
    dmc__json_destroy(j);
    return status;
}

static dmc_status write_critic(const dmc__critic *c, dmc__tensor_writer *w)
{
    const dmc__allocator *a = &c->ref.ctx->alloc;
    char *text;
    DMC_TRY(dmc__critic_contract(c, a, &text));
    dmc_status status = dmc__tensor_writer_meta(w, "dmc.critic", text);
    dmc__str_free(a, text);
    for (int32_t i = 0; i < 3 && status >= 0; i++)
        status = dmc__block_write(w, prefixes[i], dmc__iql_graph(c->iql, i), c->ref.ctx->device, a, dmc__iql_weights(c->iql, i));
    return status;
}

dmc_status dmc__critic_save(const dmc__critic *c, const char *path)
{
    dmc__tensor_writer *w;
    DMC_TRY(dmc__tensor_writer_create(&c->ref.ctx->alloc, &w));
    dmc_status status = write_critic(c, w);
    if (status >= 0) status = dmc__tensor_writer_save(w, path);
    dmc__tensor_writer_destroy(w);
    return status;
}

static dmc_status get_seed(const dmc__json *j, uint64_t *seed)
{
    double high, low;
    DMC_TRY(dmc__json_get_number(j, "seed_high", 0, UINT32_MAX, &high));
    DMC_TRY(dmc__json_get_number(j, "seed_low", 0, UINT32_MAX, &low));
    *seed = (uint64_t)high << 32 | (uint64_t)low;
    return DMC_OK;
}

/* What files of the first releases do not have. */
static dmc_status get_later(const dmc__json *j, dmc__critic_config *o)
{
    o->split = DMC__CRITIC_TRAIN;
    o->chunk = 1;
    if (dmc__json_has(j, "split")) DMC_TRY(dmc__contract_get_int(j, "split", 0, DMC__CRITIC_SECOND_HALF, &o->split));
    return dmc__json_has(j, "chunk") ? dmc__contract_get_int(j, "chunk", 1, 1024, &o->chunk) : DMC_OK;
}

static dmc_status get_contract(const dmc__json *j, dmc__critic *c, int32_t *updates)
{
    const dmc__allocator *a = &c->ref.ctx->alloc;
    dmc__critic_config *o = &c->config;
    int32_t format, s, act;
    DMC_TRY(dmc__contract_get_int(j, "format", 1, 1, &format));
    DMC_TRY(dmc__contract_get_int(j, "obs_dim", 1, 1 << 20, &s));
    DMC_TRY(dmc__contract_get_int(j, "act_dim", 1, 1 << 20, &act));
    DMC_TRY(dmc__contract_get_int(j, "hidden", 1, 65536, &o->hidden));
    DMC_TRY(dmc__contract_get_int(j, "batch", 1, 65536, &o->batch));
    DMC_TRY(dmc__json_get_number(j, "lr", 0, 1, &o->lr));
    DMC_TRY(dmc__json_get_number(j, "tau", 0, 1, &o->tau));
    DMC_TRY(dmc__json_get_number(j, "gamma", 0, 1, &o->gamma));
    DMC_TRY(dmc__json_get_number(j, "polyak", 0, 1, &o->polyak));
    DMC_TRY(dmc__contract_get_int(j, "steps", 0, INT32_MAX, &o->steps));
    DMC_TRY(get_seed(j, &o->seed));
    DMC_TRY(get_later(j, o));
    DMC_TRY(dmc__contract_get_int(j, "updates", 0, INT32_MAX, updates));
    DMC_TRY(dmc__contract_get_normaliser(j, "observation", a, s, &c->obs));
    return dmc__contract_get_normaliser(j, "action", a, act, &c->act);
}

/* As for models: nothing is allocated for weights the file does not have. */
static dmc_status check_weights(const dmc__critic *c, const dmc__tensor_file *f)
{
    const dmc__allocator *a = &dmc__default_allocator;
    dmc__value_net *q = NULL, *v = NULL;
    dmc_status status = dmc__twin_q_create(a, c->obs.n, c->act.n * c->config.chunk, c->config.hidden, &q);
    if (status >= 0) status = dmc__v_create(a, c->obs.n, c->config.hidden, &v);
    if (status >= 0) status = dmc__file_holds(f, 2 * dmc__graph_param_total(q->graph) + dmc__graph_param_total(v->graph));
    dmc__value_net_destroy(v);
    dmc__value_net_destroy(q);
    return status;
}

static dmc_status read_blocks(const dmc__tensor_file *f, dmc__critic *c)
{
    dmc__device *d = c->ref.ctx->device;
    void *block[3] = {NULL, NULL, NULL};
    size_t n[3];
    dmc_status status = DMC_OK;
    for (int32_t i = 0; i < 3 && status >= 0; i++) {
        const dmc__graph *g = dmc__iql_graph(c->iql, i);
        n[i] = dmc__graph_param_elems(g);
        status = dmc__dev_alloc(d, n[i], &block[i]);
        if (status >= 0) status = dmc__block_read(f, prefixes[i], g, d, &c->ref.ctx->alloc, block[i]);
    }
    if (status >= 0) status = dmc__iql_adopt(c->iql, block[0], block[1], block[2]);
    for (int32_t i = 0; i < 3; i++)
        if (block[i]) dmc__dev_free(d, block[i], n[i]);
    return status;
}

static dmc_status read_critic(const dmc__tensor_file *f, dmc__critic *c)
{
    dmc__json *j;
    int32_t updates = 0;
    const char *text = dmc__tensor_file_meta(f, "dmc.critic");
    if (!text) return dmc__fail(DMC_EFORMAT, "the file has no dmc.critic contract in its metadata: it is not a libdmc critic");
    DMC_TRY(dmc__json_parse(text, &j));
    dmc_status status = get_contract(j, c, &updates);
    dmc__json_destroy(j);
    DMC_TRY(status);
    if (c->data && (c->data->obs_dim != c->obs.n || c->data->act_dim != c->act.n))
        return dmc__fail(DMC_ESHAPE,
                         "dmc_critic_load: the data have observations of %d and actions of %d, the critic wants %d and %d",
                         c->data->obs_dim, c->data->act_dim, c->obs.n, c->act.n);
    DMC_TRY(check_weights(c, f));
    DMC_TRY(dmc__critic_make_parts(c));
    dmc__iql_set_step(c->iql, updates);
    return read_blocks(f, c);
}

dmc_status dmc__critic_load(dmc__context *ctx, const char *path, const dmc__trajectories *data, double reward_scale,
                            double reward_shift, dmc__critic **out)
{
    dmc__tensor_file *f = NULL;
    DMC_TRY(dmc__critic_make_shell(ctx, data, reward_scale, reward_shift, out));
    dmc_status status = dmc__tensor_file_open(&(*out)->ref.ctx->alloc, path, 1, &f);
    if (status >= 0) {
        status = read_critic(f, *out);
        if (status < 0) status = dmc__fail_in(status, "%s", path); /* opening names the file itself */
    }
    dmc__tensor_file_close(f);
    if (status < 0) {
        dmc__critic_destroy(*out);
        *out = NULL;
    }
    return status;
}
