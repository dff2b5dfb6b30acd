/* check_golden_losses.c — losses and their parameter gradients against PyTorch: IQL, REINFORCE, PPO, QV-PG, DPO. */
#include <stdlib.h>

#include "golden_reader.h"
#include "../../lib/diffusion/chain_grad.h"
#include "../../lib/nn/net.h"

/* Losses add up many terms: forward tolerance for values, backward for gradients. */

static void *take(const golden_device *d, size_t n)
{
    void *p;
    golden_ok(dmc__dev_alloc(d->device, n, &p));
    return p;
}

static double mean_of(const golden_device *d, const void *v, size_t n, size_t stride)
{
    double *host = calloc(n * stride, sizeof *host), sum = 0;
    ck_assert_ptr_nonnull(host);
    golden_fetch(d, v, host, n * stride);
    for (size_t i = 0; i < n; i++) sum += host[i * stride];
    free(host);
    return sum / (double)n;
}

static void run_op(const golden_device *d, enum dmc_op op, dmc_kargs k)
{
    golden_ok(dmc__dev_run(d->device, op, &k));
}

static void run_backward(const golden_device *d, enum dmc_op op, dmc_kargs k)
{
    golden_ok(dmc__dev_run_bwd(d->device, op, &k));
}

/* n times `value`. */
static void *constant(const golden_device *d, size_t n, double value)
{
    void *p = take(d, n);
    run_op(d, DMC_OP_FILL, (dmc_kargs){.out = p, .dim = {(int32_t)n}, .attr = {value}});
    return p;
}

/* ---- critic ----------------------------------------------------------------------------------------- */

/* A value network in training, its weights from the file. */
typedef struct critic {
    dmc__value_net *net;
    dmc__plan *plan;
    void *weights, *grads;
    size_t n;
} critic;

static critic open_critic(golden *g, const golden_device *d, dmc__value_net *net, const char *prefix, int32_t batch)
{
    critic c = {.net = net, .n = dmc__graph_param_elems(net->graph)};
    c.weights = take(d, c.n);
    c.grads = take(d, c.n);
    golden_load_params(g, prefix, net->graph, d, c.weights);
    golden_ok(dmc__plan_create(net->graph, d->device, batch, DMC__PLAN_TRAIN, NULL, &c.plan));
    dmc__plan_bind(c.plan, c.weights, c.grads);
    return c;
}

static void close_critic(const golden_device *d, critic *c)
{
    dmc__plan_destroy(c->plan);
    dmc__dev_free(d->device, c->weights, c->n);
    dmc__dev_free(d->device, c->grads, c->n);
    dmc__value_net_destroy(c->net);
}

/* Expectile regression of V: loss and gradients. `one` is (B) of 1/B. */
static void check_v_loss(golden *g, const golden_device *d, critic *v, int32_t batch, double tau, const void *seed)
{
    const size_t n = (size_t)batch;
    void *q1 = golden_upload(g, "target_q1", d), *q2 = golden_upload(g, "target_q2", d), *loss = take(d, n);
    golden_load(g, "obs", d, dmc__plan_value(v->plan, v->net->obs), 7 * n);
    golden_ok(dmc__plan_forward(v->plan));
    const dmc_kargs k = {
        .in = {dmc__plan_value(v->plan, v->net->out[0]), q1, q2},
        .out = loss,
        .dout = seed,
        .din = {dmc__plan_grad(v->plan, v->net->out[0])},
        .dim = {batch},
        .attr = {tau},
    };
    run_op(d, DMC_OP_EXPECTILE, k);
    const double mean = mean_of(d, loss, n, 1);
    golden_compare(g, "v_loss", &mean, 1, d->forward);
    run_backward(d, DMC_OP_EXPECTILE, k);
    golden_ok(dmc__plan_backward(v->plan));
    golden_compare_params(g, "dv/", v->net->graph, d, v->grads, d->backward);
    dmc__dev_free(d->device, q1, n);
    dmc__dev_free(d->device, q2, n);
    dmc__dev_free(d->device, loss, n);
}

/* r + gamma (1-term) V(s') */
static void *make_target(golden *g, const golden_device *d, critic *v, int32_t batch, double gamma)
{
    const size_t n = (size_t)batch;
    double discount[64];
    void *rew = golden_upload(g, "rew", d), *term = take(d, n), *y = take(d, n);
    const double *t = golden_read(g, "term", NULL);
    for (size_t i = 0; i < n; i++) discount[i] = gamma * (1 - t[i]);
    golden_store(d, term, discount, n);
    golden_load(g, "next", d, dmc__plan_value(v->plan, v->net->obs), 7 * n);
    golden_ok(dmc__plan_forward(v->plan));
    const void *value = dmc__plan_value(v->plan, v->net->out[0]);
    run_op(d, DMC_OP_TD_TARGET, (dmc_kargs){.in = {rew, term, value}, .out = y, .dim = {batch}});
    golden_compare_device(g, "target", d, y, d->forward);
    dmc__dev_free(d->device, rew, n);
    dmc__dev_free(d->device, term, n);
    return y;
}

static void check_q_loss(golden *g, const golden_device *d, critic *q, int32_t batch, const void *y, const void *seed)
{
    const size_t n = (size_t)batch;
    void *loss = take(d, n);
    double sum = 0;
    golden_load(g, "obs", d, dmc__plan_value(q->plan, q->net->obs), 7 * n);
    golden_load(g, "act", d, dmc__plan_value(q->plan, q->net->act), 3 * n);
    golden_ok(dmc__plan_forward(q->plan));
    for (int i = 0; i < 2; i++) {
        const dmc_kargs k = {
            .in = {dmc__plan_value(q->plan, q->net->out[i]), y},
            .out = loss,
            .dout = seed,
            .din = {dmc__plan_grad(q->plan, q->net->out[i])},
            .dim = {batch, 1},
        };
        run_op(d, DMC_OP_MSE, k);
        sum += mean_of(d, loss, n, 1);
        run_backward(d, DMC_OP_MSE, k);
    }
    golden_compare(g, "q_loss", &sum, 1, d->forward);
    golden_ok(dmc__plan_backward(q->plan));
    golden_compare_params(g, "dq/", q->net->graph, d, q->grads, d->backward);
    dmc__dev_free(d->device, loss, n);
}

START_TEST(iql)
{
    golden *g = golden_open("iql");
    golden_device d = golden_device_open(_i);
    const double *c = golden_read(g, "config", NULL);
    size_t n;
    golden_read(g, "rew", &n);
    const int32_t batch = (int32_t)n;
    dmc__value_net *net;
    golden_ok(dmc__v_create(&dmc__default_allocator, (int32_t)c[0], (int32_t)c[2], &net));
    critic v = open_critic(g, &d, net, "v/", batch);
    golden_ok(dmc__twin_q_create(&dmc__default_allocator, (int32_t)c[0], (int32_t)c[1], (int32_t)c[2], &net));
    critic q = open_critic(g, &d, net, "q/", batch);
    void *seed = constant(&d, n, 1 / (double)batch);
    check_v_loss(g, &d, &v, batch, c[3], seed);
    void *y = make_target(g, &d, &v, batch, c[4]);
    check_q_loss(g, &d, &q, batch, y, seed);
    dmc__dev_free(d.device, y, n);
    dmc__dev_free(d.device, seed, n);
    close_critic(&d, &v);
    close_critic(&d, &q);
    golden_device_close(&d);
    golden_close(g);
}
END_TEST

/* ---- chains ----------------------------------------------------------------------------------------- */

enum { MOST_ROWS = 8,
       ROW_FIELDS = 6 };

/* A small denoiser in training over the file's table. Latents are (batch, elems). */
typedef struct chain_bench {
    golden *g;
    golden_device d;
    dmc__net *net;
    dmc__chain *chain;
    dmc__rollout *rollout;
    void *weights, *grads;
    size_t n_weights, batch, elems;
    int32_t rows;
    dmc__row row[MOST_ROWS];
} chain_bench;

static void read_rows(chain_bench *b)
{
    size_t n;
    const double *v = golden_read(b->g, "rows", &n);
    b->rows = (int32_t)(n / ROW_FIELDS);
    for (int32_t k = 0; k < b->rows; k++, v += ROW_FIELDS)
        b->row[k] = (dmc__row){
            .at = {.time = v[0], .seen = v[0]}, .network = 1, .ends = 1,
            .P = v[1],
            .Q = v[2],
            .a = v[3],
            .b = v[4],
            .S = v[5],
            .logp_std = v[5],
        };
}

static void make_net(chain_bench *b)
{
    const double *v = golden_read(b->g, "config", NULL);
    const dmc__net_config c = {
        .kind = DMC__NET_IDQL_MLP,
        .horizon = (int32_t)v[1],
        .cols = (int32_t)v[2],
        .cond = (int32_t)v[4],
        .hidden = (int32_t)v[5],
        .blocks = (int32_t)v[6],
        .emb_dim = (int32_t)v[7],
    };
    golden_ok(dmc__net_create(&dmc__default_allocator, &c, &b->net));
    b->elems = (size_t)(c.horizon * c.cols);
    b->n_weights = dmc__graph_param_elems(b->net->graph);
    b->weights = take(&b->d, b->n_weights);
    b->grads = take(&b->d, b->n_weights);
    golden_load_params(b->g, "param/", b->net->graph, &b->d, b->weights);
}

/* A tensor of the file as floats; free it. */
static float *read_floats(golden *g, const char *name)
{
    size_t n;
    const double *v = golden_read(g, name, &n);
    float *f = malloc(n * sizeof *f);
    ck_assert_ptr_nonnull(f);
    for (size_t i = 0; i < n; i++) f[i] = (float)v[i];
    return f;
}

static chain_bench open_chain(const char *name, int device)
{
    chain_bench b = {.g = golden_open(name), .d = golden_device_open(device)};
    make_net(&b);
    size_t n;
    golden_read(b.g, "cond", &n);
    b.batch = n / (size_t)b.net->config.cond;
    read_rows(&b);
    const dmc__table table = {.alloc = &dmc__default_allocator, .k = b.rows, .clip = golden_value(b.g, "clip"), .start = 1,
                              .row = b.row};
    const dmc__rollout_config config = {.batch = (int32_t)b.batch, .group = 1};
    golden_ok(dmc__rollout_create(b.net, b.d.device, &table, &config, &b.rollout));
    float *cond = read_floats(b.g, "cond");
    golden_ok(dmc__rollout_set_cond(b.rollout, cond));
    free(cond);
    if (golden_has(b.g, "mask")) {
        float *mask = read_floats(b.g, "mask"), *known = read_floats(b.g, "known");
        golden_ok(dmc__rollout_set_known(b.rollout, mask, known));
        free(mask);
        free(known);
    }
    golden_ok(dmc__chain_create(b.net, b.d.device, (int32_t)b.batch, 1, NULL, &b.chain));
    dmc__chain_bind(b.chain, b.weights, b.grads);
    return b;
}

static void close_chain(chain_bench *b)
{
    dmc__chain_destroy(b->chain);
    dmc__rollout_destroy(b->rollout);
    dmc__dev_free(b->d.device, b->weights, b->n_weights);
    dmc__dev_free(b->d.device, b->grads, b->n_weights);
    dmc__net_destroy(b->net);
    golden_device_close(&b->d);
    golden_close(b->g);
}

/* Part `k` of a tensor of equal parts with n values each. */
static void load_part(const chain_bench *b, const char *name, int32_t k, void *to, size_t n)
{
    golden_store(&b->d, to, golden_read(b->g, name, NULL) + (size_t)k * n, n);
}

/* ---- REINFORCE and PPO ------------------------------------------------------------------------------ */

/* Buffers of one row: latents (batch,elems), the rest (batch). */
typedef struct policy_row {
    void *z, *next, *mu, *dmu, *logp, *old, *adv, *kappa, *seed, *report;
} policy_row;

static void free_policy_row(const chain_bench *b, policy_row *r)
{
    void *const wide[] = {r->z, r->next, r->mu, r->dmu}, *const narrow[] = {r->logp, r->old, r->adv, r->kappa, r->seed};
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++) dmc__dev_free(b->d.device, wide[i], b->batch * b->elems);
    for (size_t i = 0; i < sizeof narrow / sizeof *narrow; i++) dmc__dev_free(b->d.device, narrow[i], b->batch);
    dmc__dev_free(b->d.device, r->report, 3 * b->batch);
}

static policy_row take_policy_row(const chain_bench *b)
{
    const size_t n = b->batch * b->elems;
    policy_row r = {.z = take(&b->d, n), .next = take(&b->d, n), .mu = take(&b->d, n), .dmu = take(&b->d, n)};
    r.logp = take(&b->d, b->batch);
    r.old = take(&b->d, b->batch);
    r.kappa = take(&b->d, b->batch);
    r.seed = take(&b->d, b->batch);
    r.adv = golden_upload(b->g, "adv", &b->d);
    r.report = take(&b->d, 3 * b->batch);
    return r;
}

/* Row k of the stored chain: log-probability, seed, gradient. Returns the row's mean loss. mode 1 = PPO. */
static double add_row(chain_bench *b, policy_row *r, int32_t k, int mode)
{
    const size_t n = b->batch * b->elems;
    const double *clamp = golden_read(b->g, "clamp", NULL), *eps = golden_read(b->g, "eps", NULL);
    const int32_t batch = (int32_t)b->batch;
    load_part(b, "chain", k, r->z, n);
    load_part(b, "chain", k + 1, r->next, n);
    load_part(b, "logp_old", k, r->old, b->batch);
    load_part(b, "kappa", k, r->kappa, b->batch);
    golden_ok(dmc__chain_mean(b->chain, b->rollout, k, r->z, r->mu));
    const dmc_kargs logp = {
        .in = {r->next, r->mu},
        .par = {dmc__rollout_mask(b->rollout)},
        .out = r->logp,
        .dout = r->seed,
        .din = {NULL, r->dmu},
        .dim = {batch, (int32_t)b->elems},
        .attr = {b->row[k].logp_std, 1, clamp[0], clamp[1]},
    };
    run_op(&b->d, DMC_OP_GAUSS_LOGP, logp);
    double host[64];
    golden_fetch(&b->d, r->logp, host, b->batch);
    golden_compare_part(b->g, "logp", (size_t)k * b->batch, host, b->batch, b->d.forward);
    const dmc_kargs seed = {
        .in = {r->logp, r->old, r->adv},
        .par = {r->kappa},
        .out = r->seed,
        .out2 = r->report,
        .dim = {batch},
        .attr = {mode, eps[k], 1.0 / b->rows},
    };
    run_op(&b->d, DMC_OP_PG_SEED, seed);
    run_backward(&b->d, DMC_OP_GAUSS_LOGP, logp);
    golden_ok(dmc__chain_backward(b->chain, r->dmu, 1, NULL));
    return mean_of(&b->d, r->report, b->batch, 3);
}

static void check_policy_gradient(int device, int mode, const char *loss_name, const char *prefix)
{
    chain_bench b = open_chain("rl", device);
    policy_row r = take_policy_row(&b);
    double loss = 0, host[3 * 64], flag[64];
    for (int32_t k = 0; k < b.rows; k++) {
        loss += add_row(&b, &r, k, mode) / b.rows;
        golden_fetch(&b.d, r.report, host, 3 * b.batch);
        for (size_t i = 0; i < b.batch; i++) flag[i] = host[3 * i + 2];
        if (mode == 1) golden_compare_part(b.g, "clipped", (size_t)k * b.batch, flag, b.batch, 0);
    }
    golden_compare(b.g, loss_name, &loss, 1, b.d.forward);
    golden_compare_params(b.g, prefix, b.net->graph, &b.d, b.grads, b.d.backward);
    free_policy_row(&b, &r);
    close_chain(&b);
}

START_TEST(reinforce)
{
    check_policy_gradient(_i, 0, "loss_reinforce", "reinforce/");
}
END_TEST

START_TEST(ppo)
{
    check_policy_gradient(_i, 1, "loss_ppo", "ppo/");
}
END_TEST

/* ---- QV-PG ------------------------------------------------------------------------------------------ */

/* z' = mu + S xi off the mask; mu already holds the known entries on it. */
static void add_noise(chain_bench *b, int32_t k, const void *mu, void *next)
{
    const size_t n = b->batch * b->elems;
    const double *xi = golden_read(b->g, "xi", NULL) + (size_t)k * n, *mask = golden_read(b->g, "mask", NULL);
    double *host = calloc(n, sizeof *host);
    ck_assert_ptr_nonnull(host);
    golden_fetch(&b->d, mu, host, n);
    for (size_t i = 0; i < n; i++) host[i] += (1 - mask[i]) * b->row[k].S * xi[i];
    golden_compare_part(b->g, "chain", (size_t)k * n, host, n, b->d.forward);
    golden_store(&b->d, next, host, n);
    free(host);
}

/* dL/dz_0 of L = mean_b |z_0 - target|^2; checks L. */
static void seed_reward(chain_bench *b, const void *z0, void *dz)
{
    const size_t n = b->batch * b->elems;
    const double *target = golden_read(b->g, "target", NULL);
    double *host = calloc(n, sizeof *host), loss = 0;
    ck_assert_ptr_nonnull(host);
    golden_fetch(&b->d, z0, host, n);
    for (size_t i = 0; i < n; i++) {
        const double miss = host[i] - target[i];
        loss += miss * miss / (double)b->batch;
        host[i] = 2 * miss / (double)b->batch;
    }
    golden_compare(b->g, "loss", &loss, 1, b->d.forward);
    golden_store(&b->d, dz, host, n);
    free(host);
}

START_TEST(qvpg)
{
    chain_bench b = open_chain("qvpg", _i);
    const size_t n = b.batch * b.elems;
    const double *kappa = golden_read(b.g, "kappa", NULL);
    void *latent[MOST_ROWS + 1], *mu = take(&b.d, n), *dz[2] = {take(&b.d, n), take(&b.d, n)};
    latent[0] = golden_upload(b.g, "z", &b.d);
    for (int32_t k = 0; k < b.rows; k++) {
        latent[k + 1] = take(&b.d, n);
        golden_ok(dmc__chain_mean(b.chain, b.rollout, k, latent[k], mu));
        add_noise(&b, k, mu, latent[k + 1]);
    }
    seed_reward(&b, latent[b.rows], dz[b.rows % 2]);
    for (int32_t k = b.rows; k-- > 0;) { /* dz[k % 2] is dL/dz_k */
        golden_ok(dmc__chain_mean(b.chain, b.rollout, k, latent[k], mu));
        golden_ok(dmc__chain_backward(b.chain, dz[(k + 1) % 2], kappa[k], dz[k % 2]));
    }
    golden_compare_params(b.g, "grad/", b.net->graph, &b.d, b.grads, b.d.backward);
    golden_compare_device(b.g, "dz", &b.d, dz[0], b.d.backward);
    for (int32_t k = 0; k <= b.rows; k++) dmc__dev_free(b.d.device, latent[k], n);
    dmc__dev_free(b.d.device, mu, n);
    for (int i = 0; i < 2; i++) dmc__dev_free(b.d.device, dz[i], n);
    close_chain(&b);
}
END_TEST

/* ---- DPO -------------------------------------------------------------------------------------------- */

typedef struct pair {
    void *z[2], *err[2]; /* winner, loser */
    void *t, *cond, *eps, *weight, *ref, *seed, *report, *df;
} pair;

static const char *const latent_name[2] = {"z_w", "z_l"}, *const error_name[2] = {"err_w", "err_l"};

static pair load_pair(const chain_bench *b)
{
    pair p = {
        .t = golden_upload(b->g, "t", &b->d),
        .cond = golden_upload(b->g, "cond", &b->d),
        .eps = golden_upload(b->g, "eps", &b->d),
        .weight = golden_upload(b->g, "weight", &b->d),
        .ref = golden_upload(b->g, "ref", &b->d),
        .seed = take(&b->d, b->batch),
        .report = take(&b->d, 2 * b->batch),
        .df = take(&b->d, b->batch * b->elems),
    };
    for (int i = 0; i < 2; i++) {
        p.z[i] = golden_upload(b->g, latent_name[i], &b->d);
        p.err[i] = take(&b->d, b->batch);
    }
    return p;
}

static void free_pair(const chain_bench *b, pair *p)
{
    const size_t n = b->batch * b->elems;
    void *const wide[] = {p->z[0], p->z[1], p->eps, p->weight, p->df};
    void *const narrow[] = {p->err[0], p->err[1], p->t, p->ref, p->seed};
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++) dmc__dev_free(b->d.device, wide[i], n);
    for (size_t i = 0; i < sizeof narrow / sizeof *narrow; i++) dmc__dev_free(b->d.device, narrow[i], b->batch);
    dmc__dev_free(b->d.device, p->cond, b->batch * (size_t)b->net->config.cond);
    dmc__dev_free(b->d.device, p->report, 2 * b->batch);
}

/* Errors of one of the two: the network runs, the op compares. */
static dmc_kargs run_error(chain_bench *b, const pair *p, int which)
{
    golden_ok(dmc__chain_network(b->chain, p->z[which], p->t, p->cond, NULL));
    const dmc_kargs k = {
        .in = {dmc__chain_output(b->chain), p->eps},
        .par = {p->weight},
        .out = p->err[which],
        .dout = p->seed,
        .din = {p->df},
        .dim = {(int32_t)b->batch, (int32_t)b->elems},
    };
    run_op(&b->d, DMC_OP_MSE, k);
    return k;
}

static void negate(const chain_bench *b, void *v)
{
    double host[64];
    golden_fetch(&b->d, v, host, b->batch);
    for (size_t i = 0; i < b->batch; i++) host[i] = -host[i];
    golden_store(&b->d, v, host, b->batch);
}

START_TEST(dpo)
{
    chain_bench b = open_chain("dpo", _i);
    pair p = load_pair(&b);
    for (int i = 0; i < 2; i++) {
        run_error(&b, &p, i);
        golden_compare_device(b.g, error_name[i], &b.d, p.err[i], b.d.forward);
    }
    const dmc_kargs seed = {
        .in = {p.err[0], p.err[1], p.ref},
        .out = p.seed,
        .out2 = p.report,
        .dim = {(int32_t)b.batch},
        .attr = {golden_value(b.g, "gamma")},
    };
    run_op(&b.d, DMC_OP_DPO_SEED, seed);
    const double loss = mean_of(&b.d, p.report, b.batch, 2);
    golden_compare(b.g, "loss", &loss, 1, b.d.forward);
    for (int i = 0; i < 2; i++) {
        run_backward(&b.d, DMC_OP_MSE, run_error(&b, &p, i));
        golden_ok(dmc__chain_network_backward(b.chain, p.df));
        negate(&b, p.seed);
    }
    golden_compare_params(b.g, "grad/", b.net->graph, &b.d, b.grads, b.d.backward);
    free_pair(&b, &p);
    close_chain(&b);
}
END_TEST

Suite *dmc_golden_losses(void);
Suite *dmc_golden_losses(void)
{
    Suite *s = suite_create("golden_losses");
    TCase *t = tcase_create("losses");
    tcase_add_loop_test(t, iql, 0, golden_devices());
    tcase_add_loop_test(t, reinforce, 0, golden_devices());
    tcase_add_loop_test(t, ppo, 0, golden_devices());
    tcase_add_loop_test(t, qvpg, 0, golden_devices());
    tcase_add_loop_test(t, dpo, 0, golden_devices());
    suite_add_tcase(s, t);
    return s;
}
