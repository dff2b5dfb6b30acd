/* check_pretrain.c — fitting a model to data: it learns, it goes on where it stopped to the last bit, it refuses nonsense. */
#include "world_fixture.h"

#include "../../lib/io/tensor_file.h"

Suite *dmc_suite_pretrain(void);

static dmc_context *ctx;
static dmc_dataset *data;
static dmc_model *policy, *planner;

static void setup(void)
{
    const dmc_model_options o = world_policy(), p = world_planner();
    fixture_make();
    expect_ok(dmc_context_create(NULL, &ctx));
    data = world_data(ctx);
    policy = world_model(ctx, data, &o);
    planner = world_model(ctx, data, &p);
}

static void teardown(void)
{
    dmc_model_destroy(planner);
    dmc_model_destroy(policy);
    dmc_dataset_destroy(data);
    dmc_context_destroy(ctx);
    fixture_remove();
}

static const dmc_model *either(int i)
{
    return i ? planner : policy;
}

static dmc_train_options options(void)
{
    dmc_train_options o;
    dmc_train_options_init(&o, sizeof o);
    o.steps = 60;
    o.batch = 32;
    o.warmup = 5;
    o.lr = 3e-3;
    o.ema = 0.9;
    o.mask_share = 0.5;
    o.seed = 4;
    return o;
}

static dmc_trainer *trainer(const dmc_model *m, const dmc_train_options *o)
{
    dmc_trainer *t;
    expect_ok(dmc_trainer_create(NULL, m, data, o, &t));
    return t;
}

static dmc_train_metrics train(dmc_trainer *t, int32_t n)
{
    dmc_train_metrics m = {.struct_size = sizeof m};
    expect_ok(dmc_trainer_step(t, n, &m));
    return m;
}

static void same_trainers(const dmc_trainer *a, const dmc_trainer *b)
{
    dmc_model *x, *y;
    expect_ok(dmc_trainer_publish(a, &x));
    expect_ok(dmc_trainer_publish(b, &y));
    same_models(x, y);
    dmc_model_destroy(y);
    dmc_model_destroy(x);
}

/* ---- learning --------------------------------------------------------------------------------------- */

START_TEST(the_loss_falls)
{
    dmc_train_options o = options();
    double before, after;
    o.steps = 400;
    o.mask_share = 0;
    dmc_trainer *t = trainer(either(_i), &o);
    expect_ok(dmc_trainer_evaluate(t, &before));
    const double first = train(t, 20).loss;
    train(t, 360);
    const double last = train(t, 20).loss;
    expect_ok(dmc_trainer_evaluate(t, &after));
    ck_assert_msg(last < 0.6 * first, "loss %g at first, %g at last", first, last);
    ck_assert_msg(after < 0.6 * before, "held out: %g before, %g after", before, after);
    dmc_trainer_destroy(t);
}
END_TEST

/* Roles that regress: the held-out error falls far below that of the best constant. */
START_TEST(regressions_learn)
{
    dmc_model_options o = world_policy();
    dmc_train_options t = options();
    double before, after;
    o.role = DMC_ROLE_INVERSE;
    o.network = DMC_NETWORK_INVERSE_MLP;
    o.hidden = 32;
    t.steps = 600;
    dmc_model *m = world_model(ctx, data, &o);
    dmc_trainer *run = trainer(m, &t);
    expect_ok(dmc_trainer_evaluate(run, &before));
    train(run, 600);
    expect_ok(dmc_trainer_evaluate(run, &after));
    ck_assert_msg(after < 0.8 * before, "held out: %g before, %g after", before, after);
    dmc_trainer_destroy(run);
    dmc_model_destroy(m);
}
END_TEST

static const struct misfit {
    int32_t role, network, horizon;
    dmc_status status;
    const char *sentence;
} misfits[] = {
    {DMC_ROLE_POLICY, DMC_NETWORK_INVERSE_MLP, 2, DMC_EINVAL, "network = inverse_mlp does not suit role = policy"},
    {DMC_ROLE_VALUE, DMC_NETWORK_IDQL_MLP, 2, DMC_EINVAL, "network = idql_mlp does not suit role = value"},
    {DMC_ROLE_INVERSE, DMC_NETWORK_IDQL_MLP, 2, DMC_EINVAL, "inverse_mlp does"},
    {DMC_ROLE_INVERSE, DMC_NETWORK_INVERSE_MLP, 3, DMC_ERANGE, "horizon = 3"},
};

/* A memory is part of the contract, needs a window to stand in, and is reset with the sampler. */
START_TEST(a_memory)
{
    dmc_model_options o = world_policy();
    dmc_model *m = (dmc_model *)&o, *copy;
    dmc_sampler *s;
    float obs[WORLD_S], first[4], second[4], again[4];
    o.memory = 0.9;
    o.n_obs = 1;
    expect_failure(dmc_model_create(ctx, data, &o, &m), DMC_EINVAL, "memory = 0.9 with role = policy and n_obs = 1");
    ck_assert_ptr_null(m);
    o.n_obs = 2;
    m = world_model(ctx, data, &o);
    expect_ok(dmc_model_save(m, fixture_path("memory.dmc")));
    expect_ok(dmc_model_load(ctx, fixture_path("memory.dmc"), &copy));
    expect_ok(dmc_sampler_create(ctx, copy, NULL, NULL, &s));
    for (int k = 0; k < 2; k++) {
        float *const last = k ? again : second;
        for (uint32_t i = 0; i < 5; i++) {
            world_observe(i, obs);
            ck_assert_int_ge(dmc_sampler_sample(s, obs, WORLD_S, i ? last : first, 4), 0);
        }
        expect_ok(dmc_sampler_reset(s, 0));
    }
    ck_assert_mem_eq(second, again, sizeof again);
    expect_ok(dmc_sampler_rebind(s, copy));
    dmc_model *plain;
    o.memory = 0;
    plain = world_model(ctx, data, &o);
    expect_failure(dmc_sampler_rebind(s, plain), DMC_ESHAPE, "differs");
    dmc_model_destroy(plain);
    dmc_sampler_destroy(s);
    dmc_model_destroy(copy);
    dmc_model_destroy(m);
}
END_TEST

START_TEST(roles_and_networks_must_suit)
{
    dmc_model_options o = world_policy();
    dmc_model *m = (dmc_model *)&o;
    o.role = misfits[_i].role;
    o.network = misfits[_i].network;
    o.horizon = misfits[_i].horizon;
    expect_failure(dmc_model_create(ctx, data, &o, &m), misfits[_i].status, misfits[_i].sentence);
    ck_assert_ptr_null(m);
}
END_TEST

/* A model that regresses is saved, loaded and evaluated, and refuses to be sampled. */
START_TEST(a_regression_is_a_model_too)
{
    dmc_model_options o = world_policy();
    dmc_model *m, *copy;
    dmc_sampler *s = (dmc_sampler *)&o;
    float z[2 * WORLD_S] = {0.5f, -1}, t[1] = {0}, a[WORLD_A], b[WORLD_A];
    o.role = DMC_ROLE_INVERSE;
    o.network = DMC_NETWORK_INVERSE_MLP;
    m = world_model(ctx, data, &o);
    expect_ok(dmc_model_save(m, fixture_path("inverse.dmc")));
    expect_ok(dmc_model_load(ctx, fixture_path("inverse.dmc"), &copy));
    expect_ok(dmc_model_forward(m, 1, z, t, NULL, a));
    expect_ok(dmc_model_forward(copy, 1, z, t, NULL, b));
    ck_assert_mem_eq(a, b, sizeof a);
    ck_assert(a[0] != 0 && fabsf(a[0]) < 1);
    expect_failure(dmc_sampler_create(ctx, m, NULL, NULL, &s), DMC_EINVAL, "role = inverse draws no samples");
    ck_assert_ptr_null(s);
    dmc_model_destroy(copy);
    dmc_model_destroy(m);
}
END_TEST

/* With dropout two trainers of one seed agree to the bit, evaluation draws nothing, and training is another than without. */
START_TEST(dropout_is_repeatable)
{
    dmc_model_options o = world_policy();
    const dmc_train_options t = options();
    double loss[3], held[2];
    for (int k = 0; k < 3; k++) {
        o.dropout = k < 2 ? 0.3 : 0;
        dmc_model *m = world_model(ctx, data, &o);
        dmc_trainer *run = trainer(m, &t);
        loss[k] = train(run, 20).loss;
        for (int i = 0; i < 2; i++) expect_ok(dmc_trainer_evaluate(run, &held[i]));
        ck_assert(held[0] == held[1]);
        dmc_trainer_destroy(run);
        dmc_model_destroy(m);
    }
    ck_assert(loss[0] == loss[1]);
    ck_assert(loss[0] != loss[2]);
}
END_TEST

START_TEST(metrics_say_what_was_done)
{
    dmc_train_options o = options();
    o.grad_clip = 1e-9;
    dmc_trainer *t = trainer(policy, &o);
    dmc_train_metrics m = train(t, 1);
    ck_assert_int_eq(m.step, 1);
    ck_assert_double_eq_tol(m.lr, o.lr / 5, 1e-12); /* first step of the warm-up */
    ck_assert_double_gt(m.grad_norm, 1e-3);         /* before clipping */
    m = train(t, 58);
    ck_assert_int_eq(m.step, 59);
    m = train(t, 1);
    ck_assert_double_eq_tol(m.lr, 0.5 * o.lr * (1 + cos(3.14159265358979 * 54 / 55)), 1e-12);
    ck_assert_double_ge(m.seconds, 0);
    ck_assert_double_eq(train(t, 1).lr, 0); /* past the end of the schedule */
    m = train(t, 0);
    ck_assert_int_eq(m.step, 61);
    ck_assert_double_eq(m.loss, 0);
    expect_failure(dmc_trainer_step(t, -1, NULL), DMC_ERANGE, "n = -1");
    expect_ok(dmc_trainer_step(t, 1, NULL));
    dmc_trainer_destroy(t);
}
END_TEST

/* After one update: average = 0.9 start + 0.1 weights; with ema = 0 it is the weights. */
START_TEST(the_average_is_published)
{
    dmc_train_options o = options();
    float start[4], weights[4], average[4];
    dmc_model *m;
    for (int k = 0; k < 2; k++) {
        o.ema = k ? 0.9 : 0;
        dmc_trainer *t = trainer(policy, &o);
        expect_ok(dmc_trainer_publish(t, &m));
        same_models(m, policy); /* nothing learnt yet */
        dmc_model_destroy(m);
        train(t, 1);
        expect_ok(dmc_trainer_publish(t, &m));
        expect_ok(dmc_model_get_tensor(m, "affine_out.bias", k ? average : weights, 4));
        dmc_model_destroy(m);
        dmc_trainer_destroy(t);
    }
    expect_ok(dmc_model_get_tensor(policy, "affine_out.bias", start, 4));
    for (int i = 0; i < 4; i++) {
        ck_assert_float_ne(start[i], weights[i]);
        ck_assert_double_eq_tol(average[i], 0.9 * start[i] + 0.1 * weights[i], 1e-7);
    }
}
END_TEST

/* Tensor "time_mlp.0.weight" after one update without averaging. */
static void one_update(dmc_train_options o, float w[128])
{
    dmc_model *m;
    o.ema = 0;
    dmc_trainer *t = trainer(policy, &o);
    train(t, 1);
    expect_ok(dmc_trainer_publish(t, &m));
    expect_ok(dmc_model_get_tensor(m, "time_mlp.0.weight", w, 128));
    dmc_model_destroy(m);
    dmc_trainer_destroy(t);
}

/* AdamW: decay is apart from the gradient, p <- p - lr decay p. */
START_TEST(weights_decay)
{
    dmc_train_options o = options();
    float start[128], plain[128], decayed[128];
    o.warmup = 0;
    o.weight_decay = 0;
    one_update(o, plain);
    o.weight_decay = 0.5;
    one_update(o, decayed);
    expect_ok(dmc_model_get_tensor(policy, "time_mlp.0.weight", start, 128));
    for (int i = 0; i < 128; i++) ck_assert_double_eq_tol(plain[i] - decayed[i], o.lr * 0.5 * start[i], 1e-7);
}
END_TEST

/* A norm far below Adam's epsilon leaves next to nothing of an update. */
START_TEST(gradients_are_clipped)
{
    dmc_train_options o = options();
    float start[128], free_[128], clipped[128];
    double far = 0, near = 0;
    o.weight_decay = 0;
    one_update(o, free_);
    o.grad_clip = 1e-10;
    one_update(o, clipped);
    expect_ok(dmc_model_get_tensor(policy, "time_mlp.0.weight", start, 128));
    for (int i = 0; i < 128; i++) {
        far += fabs(free_[i] - start[i]);
        near += fabs(clipped[i] - start[i]);
    }
    ck_assert_double_gt(far, 1e-2);
    ck_assert_double_lt(near, 0.05 * far);
}
END_TEST

/* The loss is linear in the weight of the first action. */
START_TEST(the_first_action_has_its_weight)
{
    dmc_train_options o = options();
    double loss[3];
    for (int k = 0; k < 3; k++) {
        o.action_weight = 5 * (k + 1);
        dmc_trainer *t = trainer(planner, &o);
        loss[k] = train(t, 1).loss;
        dmc_trainer_destroy(t);
    }
    ck_assert_double_gt(loss[1], loss[0] + 0.05);
    ck_assert_double_eq_tol(loss[2] - loss[1], loss[1] - loss[0], 1e-5 * loss[2]);
}
END_TEST

/* Rows that are known do not count: with a mask everywhere the same batch loses less. */
START_TEST(masked_rows_do_not_count)
{
    dmc_train_options o = options();
    double loss[2];
    for (int k = 0; k < 2; k++) {
        o.mask_share = k;
        dmc_trainer *t = trainer(planner, &o);
        loss[k] = train(t, 1).loss;
        dmc_trainer_destroy(t);
    }
    ck_assert_double_lt(loss[1], 0.8 * loss[0]);
}
END_TEST

/* Known first rows, with a bound and without, and windows, of either role: four different losses of the same batch. */
START_TEST(masks_change_what_is_learnt)
{
    dmc_model_options mo = _i ? world_planner() : world_policy();
    mo.horizon = 4;
    dmc_model *m = world_model(ctx, data, &mo);
    dmc_train_options o = options();
    double loss[4];
    o.action_weight = 1;
    for (int k = 0; k < 4; k++) { /* nothing, a prefix, a prefix of one row, a window */
        o.mask_share = k == 1 || k == 2;
        o.mask_rows = k == 2;
        o.window_share = k == 3;
        dmc_trainer *t = trainer(m, &o);
        loss[k] = train(t, 1).loss;
        dmc_trainer_destroy(t);
    }
    ck_assert(isfinite(loss[0]) && loss[0] > 0);
    for (int k = 1; k < 4; k++) ck_assert(loss[k] != loss[0] && loss[k] > 0);
    ck_assert(loss[1] != loss[2] && loss[1] != loss[3] && loss[2] != loss[3]);
    dmc_model_destroy(m);
}
END_TEST

/* A model with noised known entries learns something else from the same masks, and the same where nothing is known. */
START_TEST(training_follows_the_convention)
{
    dmc_train_options o = options();
    double loss[2][2];
    for (int noised = 0; noised < 2; noised++)
        for (int masked = 0; masked < 2; masked++) {
            dmc_model_options mo = world_policy();
            mo.inpaint = noised;
            dmc_model *m = world_model(ctx, data, &mo);
            o.mask_share = masked;
            dmc_trainer *t = trainer(m, &o);
            loss[noised][masked] = train(t, 3).loss;
            dmc_trainer_destroy(t);
            dmc_model_destroy(m);
        }
    ck_assert(loss[0][0] == loss[1][0]);
    ck_assert(loss[0][1] != loss[1][1]);
}
END_TEST

START_TEST(mask_options_are_refused)
{
    dmc_train_options o = options();
    dmc_trainer *t = (dmc_trainer *)(uintptr_t)1;
    o.mask_share = 0.75;
    o.window_share = 0.5;
    expect_failure(dmc_trainer_create(NULL, planner, data, &o, &t), DMC_ERANGE,
                   "mask_share + window_share = 0.75 + 0.5, must be at most 1");
    ck_assert_ptr_null(t);
    o.window_share = 0.25;
    o.mask_rows = 4;
    expect_failure(dmc_trainer_create(NULL, planner, data, &o, &t), DMC_ERANGE,
                   "mask_rows = 4, must be 0..3 (the model's horizon - 1)");
    o.mask_rows = 3;
    o.window_share = -0.5;
    expect_failure(dmc_trainer_create(NULL, planner, data, &o, &t), DMC_ERANGE, "window_share = -0.5");
    o.window_share = 0.25;
    dmc_trainer_destroy(trainer(planner, &o));
}
END_TEST

/* ---- the same numbers ------------------------------------------------------------------------------- */

START_TEST(calls_may_be_split)
{
    const dmc_train_options o = options();
    dmc_trainer *a = trainer(either(_i), &o), *b = trainer(either(_i), &o);
    double loss;
    train(a, 20);
    for (int k = 0; k < 4; k++) {
        train(b, 5);
        expect_ok(dmc_trainer_evaluate(b, &loss)); /* looking changes nothing */
    }
    same_trainers(a, b);
    dmc_trainer_destroy(b);
    dmc_trainer_destroy(a);
}
END_TEST

START_TEST(threads_do_not_change_the_numbers)
{
    dmc_context_options c;
    dmc_context *two;
    dmc_context_options_init(&c, sizeof c);
    c.threads = 2;
    expect_ok(dmc_context_create(&c, &two));
    const dmc_train_options o = options();
    dmc_trainer *a = trainer(either(_i), &o), *b;
    expect_ok(dmc_trainer_create(two, either(_i), data, &o, &b));
    train(a, 10);
    train(b, 10);
    same_trainers(a, b);
    dmc_trainer_destroy(b);
    dmc_trainer_destroy(a);
    dmc_context_destroy(two);
}
END_TEST

START_TEST(evaluation_is_fixed)
{
    const dmc_train_options o = options();
    dmc_trainer *a = trainer(either(_i), &o), *b = trainer(either(_i), &o);
    double x, y, z;
    expect_ok(dmc_trainer_evaluate(a, &x));
    expect_ok(dmc_trainer_evaluate(a, &y));
    ck_assert_double_eq(x, y);
    ck_assert_double_gt(x, 0);
    train(b, 10);
    expect_ok(dmc_trainer_evaluate(b, &z));
    ck_assert_double_ne(x, z);
    dmc_trainer_destroy(b);
    dmc_trainer_destroy(a);
}
END_TEST

/* What is published is judged: the average, not the weights of the moment. */
START_TEST(evaluation_is_of_the_average)
{
    double before, slow, fast;
    dmc_train_options o = options();
    o.lr = 0.05;
    o.warmup = 0;
    o.ema = 0.9999;
    dmc_trainer *t = trainer(policy, &o);
    expect_ok(dmc_trainer_evaluate(t, &before));
    train(t, 10);
    expect_ok(dmc_trainer_evaluate(t, &slow));
    dmc_trainer_destroy(t);
    o.ema = 0;
    t = trainer(policy, &o);
    train(t, 10);
    expect_ok(dmc_trainer_evaluate(t, &fast));
    dmc_trainer_destroy(t);
    ck_assert_double_lt(fabs(slow - before), 0.02 * before);
    ck_assert_double_gt(fabs(fast - before), 0.1 * before);
}
END_TEST

/* Put 5 in place of all actions of the episodes that are (not) held out. */
static void spoil(dmc_dataset *d, int32_t held)
{
    const dmc__trajectories *t = d->data;
    for (int32_t e = 0; e < t->episodes; e++) {
        int32_t is_held;
        expect_ok(dmc_dataset_is_held_out(d, e, &is_held));
        for (size_t i = t->start[e]; is_held == held && i < t->start[e + 1]; i++)
            for (size_t j = 0; j < WORLD_A; j++) t->act[i * WORLD_A + j] = 5;
    }
}

/* Training sees the one kind of episodes, evaluation the other. */
START_TEST(held_out_episodes_are_kept_apart)
{
    const dmc_train_options o = options();
    double loss[3], held[3];
    for (int k = 0; k < 3; k++) {
        dmc_dataset *d = world_data(ctx);
        dmc_trainer *t;
        if (k > 0) spoil(d, k == 1);
        expect_ok(dmc_trainer_create(NULL, policy, d, &o, &t));
        expect_ok(dmc_trainer_evaluate(t, &held[k]));
        loss[k] = train(t, 1).loss;
        dmc_trainer_destroy(t);
        dmc_dataset_destroy(d);
    }
    ck_assert_double_eq(loss[0], loss[1]);
    ck_assert_double_ne(held[0], held[1]);
    ck_assert_double_ne(loss[0], loss[2]);
    ck_assert_double_eq(held[0], held[2]);
}
END_TEST

START_TEST(evaluation_needs_episodes)
{
    dmc_dataset_options d;
    dmc_trainer *t;
    double loss = 7;
    dmc_dataset_options_init(&d, sizeof d);
    d.held_out = 0;
    dmc_dataset *all = world_data_with(ctx, &d);
    expect_ok(dmc_trainer_create(NULL, policy, all, NULL, &t));
    expect_failure(dmc_trainer_evaluate(t, &loss), DMC_ESTATE, "holds no episodes out");
    dmc_trainer_destroy(t);
    dmc_dataset_destroy(all);
}
END_TEST

/* ---- stopping and going on -------------------------------------------------------------------------- */

static void same_files(const char *a, const char *b)
{
    size_t n, m;
    unsigned char *x = fixture_read(fixture_path(a), &n), *y = fixture_read(fixture_path(b), &m);
    ck_assert_uint_eq(n, m);
    ck_assert_mem_eq(x, y, n);
    free(x);
    free(y);
}

START_TEST(it_goes_on_to_the_last_bit)
{
    const dmc_train_options o = options();
    dmc_trainer *a = trainer(either(_i), &o), *b = trainer(either(_i), &o);
    train(a, 30);
    expect_ok(dmc_trainer_save(a, fixture_path("half")));
    const dmc_train_metrics one = train(a, 30);
    train(b, 3); /* whatever it did before is forgotten */
    expect_ok(dmc_trainer_resume(b, fixture_path("half")));
    ck_assert_int_eq(train(b, 0).step, 30);
    const dmc_train_metrics other = train(b, 30);
    ck_assert_double_eq(one.loss, other.loss);
    ck_assert_double_eq(one.grad_norm, other.grad_norm);
    same_trainers(a, b);
    expect_ok(dmc_trainer_save(a, fixture_path("a")));
    expect_ok(dmc_trainer_save(b, fixture_path("b")));
    same_files("a", "b"); /* weights and moments as well */
    dmc_trainer_destroy(b);
    dmc_trainer_destroy(a);
}
END_TEST

/* A state that is refused leaves the trainer as it was. */
static void must_not_resume(dmc_trainer *t, const char *path, dmc_status want, const char *part)
{
    const dmc_train_options o = options();
    dmc_trainer *fresh = trainer(policy, &o);
    expect_failure(dmc_trainer_resume(t, path), want, part);
    ck_assert_int_eq(train(t, 0).step, 0);
    same_trainers(t, fresh);
    dmc_trainer_destroy(fresh);
}

START_TEST(states_that_are_refused)
{
    const dmc_train_options o = options();
    dmc_trainer *t = trainer(policy, &o), *other = trainer(planner, &o);
    size_t n;
    expect_ok(dmc_trainer_save(other, fixture_path("planner")));
    expect_ok(dmc_model_save(policy, fixture_path("model")));
    must_not_resume(t, fixture_path("none"), DMC_ENOENT, "none");
    must_not_resume(t, fixture_path("planner"), DMC_ESHAPE, "values");
    must_not_resume(t, fixture_path("model"), DMC_EFORMAT, "it is not a training checkpoint");
    train(other, 1);
    expect_ok(dmc_trainer_save(other, fixture_path("state")));
    unsigned char *bytes = fixture_read(fixture_path("state"), &n);
    bytes[n - 100] ^= 4;
    must_not_resume(t, fixture_write("bad", bytes, n), DMC_ECORRUPT, "damaged");
    must_not_resume(t, fixture_write("bad", bytes, n / 2), DMC_ECORRUPT, "damaged");
    free(bytes);
    expect_failure(dmc_trainer_resume(t, NULL), DMC_EINVAL, "path is NULL");
    expect_failure(dmc_trainer_save(t, NULL), DMC_EINVAL, "path is NULL");
    dmc_trainer_destroy(other);
    dmc_trainer_destroy(t);
}
END_TEST

/* Counters from a stranger must not become a step that does not exist. */
START_TEST(counters_are_checked)
{
    static const double counters[][2] = {{-1, 0}, {1e16, 0}, {0, -5}};
    const dmc_train_options o = options();
    dmc_trainer *t = trainer(policy, &o);
    dmc__tensor_file *f;
    dmc__tensor_writer *w;
    expect_ok(dmc_trainer_save(t, fixture_path("state")));
    expect_ok(dmc__tensor_file_open(&dmc__default_allocator, fixture_path("state"), 1, &f));
    expect_ok(dmc__tensor_writer_create(&dmc__default_allocator, &w));
    expect_ok(dmc__tensor_writer_meta(w, "dmc.checkpoint", "1"));
    for (int32_t i = 0; i < 3; i++) {
        int32_t rank, shape[8];
        const size_t n = dmc__tensor_file_elems(f, i);
        float *x = malloc(n * sizeof *x);
        dmc__tensor_file_shape(f, i, &rank, shape);
        expect_ok(dmc__tensor_file_read(f, i, x, n));
        expect_ok(dmc__tensor_writer_f32(w, dmc__tensor_file_name(f, i), rank, shape, x));
        free(x);
    }
    expect_ok(dmc__tensor_writer_f64(w, "counters", 1, (const int32_t[]){2}, counters[_i]));
    expect_ok(dmc__tensor_writer_save(w, fixture_path("forged")));
    dmc__tensor_writer_destroy(w);
    dmc__tensor_file_close(f);
    must_not_resume(t, fixture_path("forged"), DMC_EFORMAT, "counters are");
    dmc_trainer_destroy(t);
}
END_TEST

/* ---- refusals --------------------------------------------------------------------------------------- */

START_TEST(an_infinite_loss_changes_nothing)
{
    dmc_train_options o = options();
    dmc_train_metrics m = {.struct_size = sizeof m};
    dmc_model *bomb = world_scaled(policy, 1e15f), *after;
    dmc_trainer *t = trainer(bomb, &o);
    expect_failure(dmc_trainer_step(t, 3, &m), DMC_ENUMERIC, "the loss of update 1 is not finite");
    ck_assert_int_eq(m.step, 0);
    expect_ok(dmc_trainer_publish(t, &after));
    same_models(bomb, after);
    dmc_model_destroy(after);
    dmc_trainer_destroy(t);
    dmc_model_destroy(bomb);
}
END_TEST

START_TEST(data_of_other_widths)
{
    const float obs[4] = {0, 1, 2, 3}, act[2] = {0, 1}, rew[2] = {0};
    const uint8_t end[2] = {0, 1};
    dmc_dataset *d;
    dmc_trainer *t = (dmc_trainer *)(uintptr_t)1;
    expect_ok(dmc_dataset_create(ctx, 2, 2, 1, obs, act, rew, end, NULL, NULL, &d));
    expect_failure(dmc_trainer_create(NULL, policy, d, NULL, &t), DMC_ESHAPE,
                   "observations of 2 and actions of 1, the model wants 3 and 2");
    ck_assert_ptr_null(t);
    dmc_dataset_destroy(d);
}
END_TEST

START_TEST(arguments_are_checked)
{
    dmc_train_options o = options();
    dmc_trainer *t = (dmc_trainer *)(uintptr_t)1;
    dmc_context_options c;
    dmc_context *ref;
    double loss;
    o.batch = 0;
    expect_failure(dmc_trainer_create(NULL, policy, data, &o, &t), DMC_ERANGE, "batch = 0, must be 1..65536");
    ck_assert_ptr_null(t);
    o = options();
    o.ema = 1;
    expect_failure(dmc_trainer_create(NULL, policy, data, &o, &t), DMC_ERANGE, "ema");
    expect_failure(dmc_trainer_create(NULL, NULL, data, NULL, &t), DMC_EINVAL, "m is NULL");
    expect_failure(dmc_trainer_create(NULL, policy, NULL, NULL, &t), DMC_EINVAL, "d is NULL");
    expect_failure(dmc_trainer_create(NULL, policy, data, NULL, NULL), DMC_EINVAL, "out is NULL");
    dmc_context_options_init(&c, sizeof c);
    c.device = "ref";
    expect_ok(dmc_context_create(&c, &ref));
    expect_failure(dmc_trainer_create(ref, policy, data, NULL, &t), DMC_EINVAL, "device is ref");
    ck_assert_ptr_null(t);
    dmc_context_destroy(ref);
    expect_failure(dmc_trainer_step(NULL, 1, NULL), DMC_EINVAL, "t is NULL");
    expect_failure(dmc_trainer_evaluate(NULL, &loss), DMC_EINVAL, "t is NULL");
    dmc_trainer_destroy(NULL);
}
END_TEST

typedef struct make_args {
    dmc_context *ctx;
    dmc_model *m;
} make_args;

static dmc_status create_in(void *user, void **out)
{
    const make_args *a = user;
    const dmc_train_options o = options();
    return dmc_trainer_create(a->ctx, a->m, data, &o, (dmc_trainer **)out);
}

static dmc_status publish_in(void *t, void **out)
{
    return dmc_trainer_publish(t, (dmc_model **)out);
}

static void destroy(void *t)
{
    dmc_trainer_destroy(t);
}

static void destroy_model(void *m)
{
    dmc_model_destroy(m);
}

START_TEST(creating_without_memory)
{
    failing_alloc f = {0};
    const dmc_model_options p = world_planner();
    make_args a = {.ctx = world_context(&f, "cpu")};
    dmc_trainer *t;
    a.m = world_model(a.ctx, data, &p);
    world_without_memory(&f, &a, create_in, destroy);
    expect_ok(dmc_trainer_create(a.ctx, a.m, data, NULL, &t));
    world_without_memory(&f, t, publish_in, destroy_model);
    dmc_trainer_destroy(t);
    dmc_model_destroy(a.m);
    dmc_context_destroy(a.ctx);
    ck_assert_int_eq(f.live, 0);
}
END_TEST

static void add_case(Suite *s, TCase *c)
{
    tcase_add_checked_fixture(c, setup, teardown);
    suite_add_tcase(s, c);
}

Suite *dmc_suite_pretrain(void)
{
    Suite *s = suite_create("pretrain");
    TCase *c = tcase_create("learning");
    add_case(s, c);
    tcase_add_loop_test(c, the_loss_falls, 0, 2);
    tcase_add_test(c, regressions_learn);
    tcase_add_loop_test(c, roles_and_networks_must_suit, 0, sizeof misfits / sizeof *misfits);
    tcase_add_test(c, a_regression_is_a_model_too);
    tcase_add_test(c, dropout_is_repeatable);
    tcase_add_test(c, a_memory);
    tcase_add_test(c, metrics_say_what_was_done);
    tcase_add_test(c, the_average_is_published);
    tcase_add_test(c, weights_decay);
    tcase_add_test(c, gradients_are_clipped);
    tcase_add_test(c, the_first_action_has_its_weight);
    tcase_add_test(c, masked_rows_do_not_count);
    tcase_add_loop_test(c, masks_change_what_is_learnt, 0, 2);
    tcase_add_test(c, training_follows_the_convention);
    tcase_add_test(c, mask_options_are_refused);
    c = tcase_create("again");
    add_case(s, c);
    tcase_add_loop_test(c, calls_may_be_split, 0, 2);
    tcase_add_loop_test(c, threads_do_not_change_the_numbers, 0, 2);
    tcase_add_loop_test(c, evaluation_is_fixed, 0, 2);
    tcase_add_test(c, evaluation_is_of_the_average);
    tcase_add_test(c, held_out_episodes_are_kept_apart);
    tcase_add_test(c, evaluation_needs_episodes);
    tcase_add_loop_test(c, it_goes_on_to_the_last_bit, 0, 2);
    c = tcase_create("refusals");
    add_case(s, c);
    tcase_add_test(c, states_that_are_refused);
    tcase_add_loop_test(c, counters_are_checked, 0, 3);
    tcase_add_test(c, an_infinite_loss_changes_nothing);
    tcase_add_test(c, data_of_other_widths);
    tcase_add_test(c, arguments_are_checked);
    tcase_add_test(c, creating_without_memory);
    return s;
}
