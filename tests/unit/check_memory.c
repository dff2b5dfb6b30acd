/* What objects say they hold is what the caller's allocator gave them; what training holds does not grow with the number of
 * steps that learn. */
#include "world_fixture.h"

#include <check.h>

typedef struct place {
    failing_alloc f;
    dmc_context *ctx;
    dmc_dataset *data;
} place;

static void open_place(place *p)
{
    *p = (place){.ctx = NULL};
    p->ctx = world_context(&p->f, "cpu");
    p->data = world_data(p->ctx);
}

static void close_place(place *p)
{
    dmc_dataset_destroy(p->data);
    dmc_context_destroy(p->ctx);
    ck_assert_int_eq(p->f.live, 0);
}

/* A policy of each network, planners of both, with the condition the role has. */
enum { MODELS = 4 };
static dmc_model_options model_options(int32_t i)
{
    dmc_model_options o = i % 2 ? world_planner() : world_policy();
    o.network = i / 2 ? DMC_NETWORK_UNET1D_JANNER : DMC_NETWORK_IDQL_MLP;
    o.horizon = 4;
    o.n_obs = 1 + i / 2;
    o.mult = "1,2";
    return o;
}

START_TEST(a_model_holds_what_it_says)
{
    place p;
    open_place(&p);
    const dmc_model_options o = model_options(_i);
    int64_t before = p.f.bytes;
    dmc_model *m = world_model(p.ctx, p.data, &o);
    ck_assert_int_eq(p.f.bytes - before, (int64_t)dmc_model_memory(m));
    ck_assert_uint_gt(dmc_model_memory(m), 4 * dmc_model_parameters(m));
    before = p.f.bytes;
    dmc_model *c = world_cascade(m);
    ck_assert_int_eq(p.f.bytes - before, (int64_t)dmc_model_memory(c));
    ck_assert_uint_gt(dmc_model_memory(c), 2 * dmc_model_memory(m) - 2 * sizeof *m);
    dmc_model_destroy(c);
    ck_assert_int_eq(p.f.bytes, before);
    dmc_model_destroy(m);
    close_place(&p);
}
END_TEST

/* Shares of a context are not counted, a private one is. */
START_TEST(a_private_context_counts)
{
    place p;
    open_place(&p);
    const dmc_model_options o = model_options(_i);
    dmc_model *own = world_model(NULL, p.data, &o), *m = world_model(p.ctx, p.data, &o);
    const size_t context = sizeof *m->ref.ctx + sizeof *m->ref.ctx->device;
    ck_assert_uint_eq(dmc_model_memory(own), dmc_model_memory(m) + context);
    dmc_sampler *a = world_sampler(own, NULL, NULL), *b = world_sampler(m, NULL, NULL);
    ck_assert_uint_eq(dmc_sampler_memory(a), dmc_sampler_memory(b) + context);
    dmc_sampler_destroy(a);
    dmc_sampler_destroy(b);
    dmc_model_destroy(own);
    dmc_model_destroy(m);
    close_place(&p);
}
END_TEST

static void expect_sampler(place *p, const dmc_model *m, const dmc_critic *c, const dmc_sampler_options *o)
{
    float obs[3 * WORLD_S], *act;
    const size_t n = (size_t)o->batch * (size_t)(o->horizon ? o->horizon : m->spec.net.horizon) * WORLD_A;
    dmc_sampler *s;
    const int64_t before = p->f.bytes;
    expect_ok(dmc_sampler_create(p->ctx, m, c, o, &s));
    ck_assert_msg(p->f.bytes - before == (int64_t)dmc_sampler_memory(s),
                  "batch %d candidates %d select %d steps %d passes %d: %ld bytes were taken, it says %zu", o->batch, o->candidates,
                  o->select, o->steps, o->cascade_passes, (long)(p->f.bytes - before), dmc_sampler_memory(s));
    for (int32_t b = 0; b < o->batch; b++) world_observe((uint64_t)b, obs + b * WORLD_S);
    act = malloc(n * sizeof *act);
    ck_assert_int_ge(dmc_sampler_sample(s, obs, (size_t)o->batch * WORLD_S, act, n), DMC_OK);
    ck_assert_int_eq(p->f.bytes - before, (int64_t)dmc_sampler_memory(s));
    free(act);
    dmc_sampler_destroy(s);
    ck_assert_int_eq(p->f.bytes, before);
}

START_TEST(a_sampler_holds_what_it_says)
{
    place p;
    open_place(&p);
    const dmc_model_options mo = model_options(_i);
    dmc_model *m = world_model(p.ctx, p.data, &mo), *cascade = world_cascade(m);
    dmc_critic *critic = world_critic(p.ctx, p.data, 1);
    for (int32_t batch = 1; batch <= 3; batch += 2)
        for (int32_t candidates = 1; candidates <= 4; candidates += 3)
            for (int32_t select = DMC_SELECT_FIRST; select <= DMC_SELECT_SOFTMAX; select++)
                for (int32_t passes = 0; passes <= 2; passes += 2) {
                    dmc_sampler_options o = world_sampling(batch, candidates, select);
                    o.cascade_passes = passes;
                    o.weights = select % 3; /* float32 bf16 fp16 */
                    o.horizon = m->spec.net.kind == DMC__NET_UNET1D_JANNER && select ? 8 : 0;
                    o.steps = select; /* 0: the model's */
                    o.sampler = select ? DMC_SAMPLER_DDIM : DMC_SAMPLER_DDPM;
                    expect_sampler(&p, passes ? cascade : m, select >= DMC_SELECT_GREEDY ? critic : NULL, &o);
                }
    dmc_critic_destroy(critic);
    dmc_model_destroy(cascade);
    dmc_model_destroy(m);
    close_place(&p);
}
END_TEST

START_TEST(nothing_holds_nothing)
{
    ck_assert_uint_eq(dmc_model_memory(NULL), 0);
    ck_assert_uint_eq(dmc_sampler_memory(NULL), 0);
}
END_TEST

/* ---- training ------------------------------------------------------------------------------------------- */

static const int32_t learning_rows[] = {1, 5, 20};

/* Tape and gradients of K rows, one after the other in the same memory; only the latents between them are kept. */
START_TEST(the_tape_does_not_grow_with_k)
{
    place p;
    open_place(&p);
    dmc_model_options mo = model_options(_i);
    mo.train_steps = 20;
    dmc_model *m = world_model(p.ctx, p.data, &mo);
    dmc__device *d = p.ctx->device;
    enum { BATCH = 3 };
    const size_t elems = (size_t)BATCH * 4 * (size_t)m->spec.net.cols, stride = (elems + 63) / 64 * 64;
    const size_t weights = dmc__graph_param_elems(m->net->graph);
    int64_t tape = 0;
    for (int i = 0; i < 3; i++) {
        const int32_t k = learning_rows[i];
        const dmc__table_config c = {.steps = k, .std_floor = .1};
        dmc__table table;
        dmc__rollout *r, *bare;
        dmc__chain *chain;
        void *grads, *mu;
        float cond[BATCH * 2 * WORLD_S] = {0};
        expect_ok(dmc__table_create(&dmc__default_allocator, &m->process, &c, &table));
        int64_t before = p.f.bytes;
        expect_ok(dmc__rollout_create(m->net, d, &table, &(dmc__rollout_config){.batch = BATCH, .group = 1}, &bare));
        const int64_t without = p.f.bytes - before;
        ck_assert_int_eq(without, (int64_t)dmc__rollout_bytes(bare));
        before = p.f.bytes;
        expect_ok(dmc__rollout_create(m->net, d, &table, &(dmc__rollout_config){.batch = BATCH, .group = 1, .keep_chain = 1}, &r));
        ck_assert_int_eq(p.f.bytes - before, (int64_t)dmc__rollout_bytes(r));
        /* Without a chain two latents take turns. */
        ck_assert_int_eq(p.f.bytes - before - without, (k - 1) * (int64_t)(stride * sizeof(float)));
        expect_ok(dmc__dev_alloc(d, weights, &grads));
        expect_ok(dmc__dev_alloc(d, elems, &mu));
        before = p.f.bytes;
        expect_ok(dmc__chain_create(m->net, d, BATCH, 1, NULL, &chain));
        ck_assert_int_eq(p.f.bytes - before, (int64_t)dmc__chain_bytes(chain));
        if (i == 0) tape = p.f.bytes - before;
        ck_assert_int_eq(p.f.bytes - before, tape);
        dmc__rollout_bind(r, m->weights, NULL, k);
        dmc__chain_bind(chain, m->weights, grads);
        expect_ok(dmc__rollout_set_cond(r, cond));
        expect_ok(dmc__rollout_run(r, 1, 0, 0, 1));
        p.f.peak = before = p.f.bytes;
        for (int32_t row = k - 1; row >= 0; row--) {
            expect_ok(dmc__chain_mean(chain, r, row, dmc__rollout_latent(r, row), mu));
            expect_ok(dmc__chain_backward(chain, mu, 1, mu));
        }
        ck_assert_int_eq(p.f.peak, before);
        dmc__chain_destroy(chain);
        dmc__dev_free(d, mu, elems);
        dmc__dev_free(d, grads, weights);
        dmc__rollout_destroy(r);
        dmc__rollout_destroy(bare);
        dmc__table_free(&table);
    }
    dmc_model_destroy(m);
    close_place(&p);
}
END_TEST

/* Most bytes that two updates of the last k rows had at once. */
static int64_t peak_of_alignment(place *p, const dmc_model *m, const dmc_critic *critic, int32_t method, int32_t kappa, int32_t k)
{
    dmc_align_options ao;
    dmc_rl_options o;
    dmc_align_report report = {.struct_size = sizeof report};
    dmc_aligner *a;
    dmc_align_options_init(&ao, sizeof ao);
    ao.batch = 8;
    ao.candidates = 4;
    ao.eval_conditions = 2;
    dmc_rl_options_init(&o, sizeof o);
    o.method = method;
    o.updates = 2;
    o.last_k = k;
    o.kappa = kappa;
    const int64_t before = p->f.bytes;
    expect_ok(dmc_aligner_create(p->ctx, m, p->data, critic, &ao, &a));
    p->f.peak = before;
    expect_ok(dmc_align_rl(a, &o, &report));
    dmc_aligner_destroy(a);
    ck_assert_int_eq(p->f.bytes, before);
    return p->f.peak - before;
}

/* What k learning rows take: for every row and sample an old log-probability, a divergence and three numbers of the seed, the
 * last also on the host, and a credit per row; where samples have credits of their own, those and their latents. Parts of a block
 * begin at multiples of 64 bytes. */
static int64_t bytes_of_rows(int64_t k, int64_t batch, int64_t elems, int32_t own)
{
    const int64_t one = (4 * k * batch + 63) / 64 * 64, three = (12 * k * batch + 63) / 64 * 64;
    return 2 * one + three + 12 * k * batch + (own ? k * batch * (8 + 4 * elems) : 8 * k);
}

START_TEST(alignment_grows_by_a_number_per_row)
{
    enum { B = 8 };
    static const struct { int32_t method, kappa; } cases[] = {
        {DMC_RL_QVPG, DMC_KAPPA_GEOM}, {DMC_RL_PPO, DMC_KAPPA_GEOM}, {DMC_RL_REINFORCE, DMC_KAPPA_CONST},
        {DMC_RL_PPO, DMC_KAPPA_PROJ}};
    place p;
    open_place(&p);
    dmc_model_options mo = model_options(_i);
    mo.train_steps = 20;
    dmc_model *m = world_model(p.ctx, p.data, &mo);
    dmc_critic *critic = world_critic(p.ctx, p.data, 1);
    const int64_t elems = 4 * m->spec.net.cols;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const int32_t own = cases[i].kappa == DMC_KAPPA_PROJ;
        const int64_t one = peak_of_alignment(&p, m, critic, cases[i].method, cases[i].kappa, 1);
        for (int j = 1; j < 3; j++) {
            const int32_t k = learning_rows[j];
            ck_assert_int_eq(peak_of_alignment(&p, m, critic, cases[i].method, cases[i].kappa, k) - one,
                             bytes_of_rows(k, B, elems, own) - bytes_of_rows(1, B, elems, own));
        }
    }
    dmc_critic_destroy(critic);
    dmc_model_destroy(m);
    close_place(&p);
}
END_TEST

Suite *dmc_suite_memory(void);

Suite *dmc_suite_memory(void)
{
    Suite *const s = suite_create("memory");
    TCase *const t = tcase_create("memory");
    tcase_add_loop_test(t, a_model_holds_what_it_says, 0, MODELS);
    tcase_add_loop_test(t, a_private_context_counts, 0, MODELS);
    tcase_add_loop_test(t, a_sampler_holds_what_it_says, 0, MODELS);
    tcase_add_test(t, nothing_holds_nothing);
    tcase_add_loop_test(t, the_tape_does_not_grow_with_k, 0, MODELS);
    tcase_add_loop_test(t, alignment_grows_by_a_number_per_row, 0, MODELS);
    suite_add_tcase(s, t);
    return s;
}
