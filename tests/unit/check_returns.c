/* check_returns.c — planners that are asked for a return, and training without the condition: what the network is fed, what files
 * keep, what alignment asks for, and that asking helps. */
#include "world_fixture.h"

#include <math.h>

Suite *dmc_suite_returns(void);

static dmc_context *ctx;
static dmc_dataset *data;

static void setup(void)
{
    fixture_make();
    expect_ok(dmc_context_create(NULL, &ctx));
    data = world_data(ctx);
}

static void teardown(void)
{
    dmc_dataset_destroy(data);
    dmc_context_destroy(ctx);
    fixture_remove();
}

static dmc_model_options planner_options(void)
{
    dmc_model_options o = world_planner();
    o.returns = 1;
    o.discount = .9;
    return o;
}

/* ---- what it is fed ---------------------------------------------------------------------------------- */

static double return_of(dmc__position p, double discount)
{
    const dmc__trajectories *t = data->data;
    double sum = 0, w = 1;
    for (size_t i = t->start[p.episode] + (size_t)p.row; i < t->start[p.episode + 1]; i++, w *= discount) sum += w * t->rew[i];
    return sum;
}

/* Windows see the return of the rest of their episode, 0..1 over all rows; to choose by, (1, 1). */
START_TEST(windows_see_their_return)
{
    const dmc_model_options o = planner_options();
    dmc_model *m = world_model(ctx, data, &o);
    const dmc__view v = dmc__model_view(m, data->data);
    float z[64], cond[2], mask[64], known[64];
    double least = INFINITY, most = -INFINITY, low = 1, high = 0;
    dmc__position p;
    for (p.episode = 0; p.episode < data->data->episodes; p.episode++)
        for (p.row = 0; p.row < WORLD_EPISODE; p.row++) {
            least = fmin(least, return_of(p, .9));
            most = fmax(most, return_of(p, .9));
        }
    ck_assert_int_eq(dmc__view_cond(&v), 2);
    for (p.episode = 0; p.episode < data->data->episodes; p.episode++)
        for (p.row = 0; p.row < WORLD_EPISODE; p.row++) {
            dmc__view_sample(&v, p, z, cond, NULL, NULL);
            ck_assert_double_eq_tol(cond[0], (return_of(p, .9) - least) / (most - least), 1e-6);
            ck_assert_float_eq(cond[1], 1);
            low = fmin(low, cond[0]);
            high = fmax(high, cond[0]);
            dmc__view_condition(&v, p, cond, mask, known);
            ck_assert(cond[0] == 1 && cond[1] == 1 && mask[0] == 1);
        }
    ck_assert_double_eq_tol(low, 0, 1e-6);
    ck_assert_double_eq_tol(high, 1, 1e-6);
    dmc_model_destroy(m);
}
END_TEST

/* A discount of 1 counts all rows; one of 0 the row itself. */
START_TEST(returns_to_the_end)
{
    const dmc__position p = {2, 3};
    ck_assert_double_eq_tol(dmc__trajectories_return_from(data->data, p, 1), return_of(p, 1), 1e-9);
    ck_assert_double_eq_tol(dmc__trajectories_return_from(data->data, p, .5), return_of(p, .5), 1e-7);
    ck_assert_double_eq(dmc__trajectories_return_from(data->data, p, 0), data->data->rew[data->data->start[2] + 3]);
}
END_TEST

static const int32_t networks[] = {DMC_NETWORK_IDQL_MLP, DMC_NETWORK_UNET1D_JANNER, DMC_NETWORK_UNET1D_CHI,
                                   DMC_NETWORK_TRANSFORMER_CHI, DMC_NETWORK_DIT1D, DMC_NETWORK_DQL_MLP};
enum { NETWORKS = sizeof networks / sizeof *networks };

static dmc_train_options training(int32_t steps)
{
    dmc_train_options o;
    dmc_train_options_init(&o, sizeof o);
    o.steps = steps;
    o.batch = 32;
    o.lr = 3e-3;
    o.warmup = 5;
    o.ema = .9;
    o.seed = 4;
    return o;
}

static dmc_model *trained(const dmc_model *m, const dmc_dataset *d, const dmc_train_options *o)
{
    dmc_trainer *t;
    dmc_model *out;
    expect_ok(dmc_trainer_create(NULL, m, d, o, &t));
    expect_ok(dmc_trainer_step(t, o->steps, NULL));
    expect_ok(dmc_trainer_publish(t, &out));
    dmc_trainer_destroy(t);
    return out;
}

/* Every network that draws takes the return, behind an encoder too: it learns to use it, saves it and samples with it. */
START_TEST(every_network_takes_a_return)
{
    dmc_model_options o = planner_options();
    o.network = networks[_i % NETWORKS];
    o.encoder = _i / NETWORKS ? DMC_ENCODER_MLP : DMC_ENCODER_NONE;
    o.enc_hidden = o.enc_dim = 8;
    o.heads = 2;
    o.cond_dropout = .25;
    o.predict = DMC_PREDICT_X0; /* a sample is what the network says: at a bound all plans would be alike */
    const dmc_train_options t = training(5);
    dmc_sampler_options so = world_sampling(1, 1, DMC_SELECT_FIRST);
    dmc_model *start = world_model(ctx, data, &o), *m = trained(start, data, &t), *back;
    float z[4 * (WORLD_S + WORLD_A)] = {0}, f[2][4 * (WORLD_S + WORLD_A)], time = 2, cond[2] = {1, 1}, obs[WORLD_S], act[8];
    int32_t horizon, cols, n_obs, obs_dim, act_dim;
    expect_ok(dmc_model_sizes(m, &horizon, &cols, &n_obs, &obs_dim, &act_dim));
    ck_assert(horizon == 4 && cols == WORLD_S + WORLD_A && n_obs == 1 && obs_dim == WORLD_S && act_dim == WORLD_A);
    for (int i = 0; i < 2; i++, cond[0] = 0) expect_ok(dmc_model_forward(m, 1, z, &time, cond, f[i]));
    ck_assert_mem_ne(f[0], f[1], sizeof f[0]);
    expect_failure(dmc_model_forward(m, 1, z, &time, NULL, f[0]), DMC_EINVAL,
                   "cond is NULL, a planner with returns needs (batch,2)");
    expect_ok(dmc_model_save(m, fixture_path("m")));
    expect_ok(dmc_model_load(ctx, fixture_path("m"), &back));
    same_models(m, back);
    ck_assert_double_eq(back->spec.return_min, m->spec.return_min);
    ck_assert_double_eq(back->spec.return_max, m->spec.return_max);
    world_observe(1, obs);
    for (int i = 0; i < 2; i++) {
        so.target_return = 1 - i;
        dmc_sampler *s = world_sampler(back, NULL, &so);
        ck_assert_int_ge(dmc_sampler_sample(s, obs, WORLD_S, act, 8), DMC_OK);
        expect_ok(dmc_sampler_candidates(s, f[i], 4 * (WORLD_S + WORLD_A)));
        dmc_sampler_destroy(s);
    }
    ck_assert_mem_ne(f[0], f[1], sizeof f[0]);
    dmc_model_destroy(back);
    dmc_model_destroy(m);
    dmc_model_destroy(start);
}
END_TEST

static void must_not_make(const dmc_dataset *d, const dmc_model_options *o, const char *part)
{
    dmc_model *m = (dmc_model *)(uintptr_t)1;
    expect_failure(dmc_model_create(ctx, d, o, &m), DMC_EINVAL, part);
    ck_assert_ptr_null(m);
}

START_TEST(models_that_are_refused)
{
    const float obs[4] = {0, 1, 2, 3}, act[4] = {0, 1, 2, 3}, rew[4] = {0};
    const uint8_t end[4] = {0, 0, 0, 1};
    dmc_model_options o = world_policy();
    dmc_dataset *d;
    o.returns = 1;
    must_not_make(data, &o, "returns = 1 takes role = planner, role = policy");
    o = world_planner();
    o.cond_dropout = .1;
    must_not_make(data, &o, "a model of role = planner without returns has no condition to leave out");
    o = planner_options();
    expect_ok(dmc_dataset_create(ctx, 4, 1, 1, obs, act, rew, end, NULL, NULL, &d));
    must_not_make(d, &o, "all returns of the data are 0");
    dmc_dataset_destroy(d);
}
END_TEST

/* ---- training without the condition -------------------------------------------------------------------- */

enum { WIDE = 1000 };

/* A model whose every output is WIDE times the second number of its condition, so that the loss counts the samples that saw it. */
static dmc_model *counting_model(double share)
{
    dmc_model_options o = planner_options();
    o.network = DMC_NETWORK_IDQL_MLP;
    o.cond_dropout = share;
    o.clip = 0;
    dmc_model *m = world_model(ctx, data, &o), *zero = world_scaled(m, 0);
    const size_t outputs = 4 * (WORLD_S + WORLD_A), inputs = outputs + (size_t)o.emb_dim + 2, hidden = (size_t)o.hidden;
    float *in = calloc(hidden * inputs, sizeof *in), *out = calloc(outputs * hidden, sizeof *out);
    in[inputs - 1] = 1; /* torch (hidden, inputs): unit 0 is the condition's last number */
    for (size_t i = 0; i < outputs; i++) out[i * hidden] = WIDE;
    expect_ok(dmc_model_set_tensor(zero, "affine_in.weight", in, hidden * inputs));
    expect_ok(dmc_model_set_tensor(zero, "affine_out.weight", out, outputs * hidden));
    free(in);
    free(out);
    dmc_model_destroy(m);
    return zero;
}

static double first_loss(const dmc_model *m, double *held)
{
    dmc_train_options o = training(10);
    dmc_train_metrics metrics = {.struct_size = sizeof metrics};
    dmc_trainer *t;
    o.batch = 16384;
    expect_ok(dmc_trainer_create(NULL, m, data, &o, &t));
    expect_ok(dmc_trainer_evaluate(t, held));
    expect_ok(dmc_trainer_step(t, 1, &metrics));
    dmc_trainer_destroy(t);
    return metrics.loss;
}

/* 16384 samples: the share's deviation is .0036. Held-out samples keep their condition. */
START_TEST(a_share_learns_without_its_condition)
{
    dmc_model *all = counting_model(0), *some = counting_model(.3);
    double held[2];
    const double full = first_loss(all, &held[0]), part = first_loss(some, &held[1]);
    ck_assert_double_gt(full, .1 * WIDE * WIDE);
    ck_assert_double_eq_tol(part / full, .7, .02);
    ck_assert_double_eq(held[0], held[1]);
    dmc_model_destroy(some);
    dmc_model_destroy(all);
}
END_TEST

/* Nothing else is drawn otherwise: a share that never comes to pass leaves every bit as it was. */
START_TEST(no_share_changes_nothing)
{
    dmc_model_options o = _i ? planner_options() : world_policy();
    const dmc_train_options t = training(20);
    dmc_model *m[2], *out[2];
    for (int i = 0; i < 2; i++) {
        o.cond_dropout = i ? 1e-12 : 0;
        m[i] = world_model(ctx, data, &o);
        out[i] = trained(m[i], data, &t);
    }
    same_weights(out[0]->net->graph, ctx->device, out[0]->weights, out[1]->weights);
    o.cond_dropout = .5;
    dmc_model *half = world_model(ctx, data, &o), *other = trained(half, data, &t);
    ck_assert_mem_ne(out[0]->weights, other->weights, 64 * sizeof(float));
    dmc_model_destroy(other);
    dmc_model_destroy(half);
    for (int i = 0; i < 2; i++) {
        dmc_model_destroy(out[i]);
        dmc_model_destroy(m[i]);
    }
}
END_TEST

/* ---- asking for more ------------------------------------------------------------------------------------ */

/* 256 episodes of 4 rows; all actions of an episode are its own number in [-1,1], and so are its rewards. */
static dmc_dataset *even_episodes(void)
{
    enum { ROWS = 1024 };
    static float obs[ROWS], act[ROWS], rew[ROWS];
    static uint8_t end[ROWS];
    dmc_dataset *d;
    for (uint32_t i = 0; i < ROWS; i++) {
        obs[i] = world_uniform(5, i);
        rew[i] = act[i] = world_uniform(6, i / 4);
        end[i] = i % 4 == 3;
    }
    expect_ok(dmc_dataset_create(ctx, ROWS, 1, 1, obs, act, rew, end, NULL, NULL, &d));
    return d;
}

/* Mean over 64 plans of the discounted return they promise (reward = action). */
static double promised(const dmc_model *m, double ask, double guidance)
{
    dmc_sampler_options o = world_sampling(1, 64, DMC_SELECT_FIRST);
    const float obs = .2f;
    float act[4], z[64 * 8];
    double sum = 0;
    o.target_return = ask;
    o.guidance = guidance;
    dmc_sampler *s = world_sampler(m, NULL, &o);
    ck_assert_int_ge(dmc_sampler_sample(s, &obs, 1, act, 4), DMC_OK);
    expect_ok(dmc_sampler_candidates(s, z, 64 * 8));
    for (size_t i = 0; i < 64; i++)
        for (size_t h = 0; h < 4; h++) sum += pow(.9, (double)h) * z[8 * i + 2 * h + 1] / 64;
    dmc_sampler_destroy(s);
    return sum;
}

/* Returns go from -3.44 to 3.44 with a deviation of 1.6 or so: the mean of 64 plans has one of .2 by chance, so 2 apart is none. */
START_TEST(asking_for_more_gives_more)
{
    dmc_dataset *d = even_episodes();
    dmc_model_options o = planner_options();
    o.network = DMC_NETWORK_IDQL_MLP;
    o.hidden = 48;
    o.cond_dropout = .2;
    dmc_train_options t = training(1500);
    t.batch = 64;
    t.mask_share = 0;
    t.lr = 2e-3;
    dmc_model *start = world_model(ctx, d, &o), *m = trained(start, d, &t);
    const double low = promised(m, .1, 1), middle = promised(m, .5, 1), high = promised(m, .9, 1), none = promised(m, .9, 0);
    ck_assert_msg(high > middle + 1 && middle > low + 1, "promised %g %g %g", low, middle, high);
    ck_assert_msg(none > low + .5 && none < high - .5, "promised %g %g, without a condition %g", low, high, none);
    ck_assert_double_gt(promised(m, .7, 2), promised(m, .7, 1)); /* further from what the data do anyway */
    dmc_model_destroy(m);
    dmc_model_destroy(start);
    dmc_dataset_destroy(d);
}
END_TEST

/* ---- alignment ------------------------------------------------------------------------------------------- */

static int32_t last_action(void *user, size_t n, const float *z, const float *obs, float *r, float *grad)
{
    const size_t elems = *(const size_t *)user;
    (void)obs;
    for (size_t i = 0; i < n; i++) r[i] = z[i * elems + elems - 1];
    for (size_t i = 0; grad && i < n * elems; i++) grad[i] = i % elems == elems - 1;
    return 0;
}

/* Every roll-out of an aligner asks for the best of the data, and every method runs on its candidates. */
START_TEST(alignment_asks_for_the_best)
{
    dmc_model_options o = planner_options();
    const dmc_train_options t = training(20);
    size_t elems = 4 * (WORLD_S + WORLD_A);
    dmc_align_options ao;
    dmc_rl_options rl;
    dmc_dpo_options dpo;
    dmc_sft_options sft;
    dmc_cascade_options cascade;
    dmc_align_report r = {.struct_size = sizeof r};
    dmc_model *start = world_model(ctx, data, &o), *m = trained(start, data, &t), *out;
    dmc_aligner *a;
    dmc_align_options_init(&ao, sizeof ao);
    dmc_rl_options_init(&rl, sizeof rl);
    dmc_dpo_options_init(&dpo, sizeof dpo);
    dmc_sft_options_init(&sft, sizeof sft);
    dmc_cascade_options_init(&cascade, sizeof cascade);
    ao.batch = 32;
    ao.candidates = 4;
    ao.eval_conditions = 8;
    ao.lora_rank = 2;
    rl.updates = dpo.updates = sft.updates = cascade.updates = 2;
    dpo.pool = sft.pool = cascade.pool = 4;
    sft.conditions = cascade.conditions = 16;
    expect_ok(dmc_aligner_create(NULL, m, data, NULL, &ao, &a));
    expect_ok(dmc_aligner_set_reward(a, last_action, &elems, 1));
    ck_assert_int_ge(dmc_align_rl(a, &rl, &r), DMC_OK);
    float *cond = malloc(2 * 32 * sizeof *cond);
    expect_ok(dmc__dev_out(ctx->device, cond, dmc__rollout_cond(a->run->sample), 2 * 32));
    for (int i = 0; i < 2 * 32; i++) ck_assert_float_eq(cond[i], 1);
    free(cond);
    ck_assert_int_ge(dmc_align_dpo(a, &dpo, &r), DMC_OK);
    ck_assert_int_ge(dmc_align_sft(a, &sft, &r), DMC_OK);
    ck_assert_int_ge(dmc_align_cascade(a, &cascade, &r), DMC_OK);
    expect_ok(dmc_aligner_publish(a, &out));
    ck_assert_int_eq(out->spec.returns, 1);
    dmc_model_destroy(out);
    dmc_aligner_destroy(a);
    dmc_model_destroy(m);
    dmc_model_destroy(start);
}
END_TEST

static TCase *add_case(Suite *s, const char *name)
{
    TCase *c = tcase_create(name);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    suite_add_tcase(s, c);
    return c;
}

Suite *dmc_suite_returns(void)
{
    Suite *s = suite_create("returns");
    TCase *c = add_case(s, "feed");
    tcase_add_test(c, windows_see_their_return);
    tcase_add_test(c, returns_to_the_end);
    tcase_add_loop_test(c, every_network_takes_a_return, 0, 2 * NETWORKS);
    tcase_add_test(c, models_that_are_refused);
    c = add_case(s, "dropout");
    tcase_add_test(c, a_share_learns_without_its_condition);
    tcase_add_loop_test(c, no_share_changes_nothing, 0, 2);
    c = add_case(s, "asking");
    tcase_add_test(c, asking_for_more_gives_more);
    c = add_case(s, "alignment");
    tcase_add_test(c, alignment_asks_for_the_best);
    return s;
}
