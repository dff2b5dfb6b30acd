/* check_learner.c — updates, what a non-finite gradient must not do, snapshots, resuming, the learning rate. */
#include <math.h>
#include <string.h>

#include "../../lib/optim/learner.h"
#include "failing_alloc.h"
#include "net_fixture.h"

enum { FULL = 0,
       ADAPTED = 1,
       KINDS = 2 };

/* A learner over a small MLP, all weights or an adapter. */
typedef struct course {
    dmc__device *d;
    dmc__net *net;
    void *start;
    size_t n; /* elements of the weight block */
    dmc__learner *learner;
} course;

static course make_course(int kind)
{
    course c = {.d = fixture_device("cpu"), .net = fixture_net(fixture_mlp())};
    dmc__lora *lora = NULL;
    c.n = dmc__graph_param_elems(c.net->graph);
    c.start = fixture_weights(c.d, c.net->graph, 5);
    if (kind == ADAPTED) fixture_ok(dmc__lora_create(c.net->graph, c.d, 3, 6, "ln_resnet.*", 1, &lora));
    fixture_ok(dmc__learner_create(c.net->graph, c.d, c.start, lora, kind == FULL, &c.learner));
    return c;
}

static void free_course(course *c)
{
    dmc__learner_destroy(c->learner);
    dmc__dev_free(c->d, c->start, c->n);
    dmc__net_destroy(c->net);
    dmc__device_close(c->d);
}

static dmc__adamw_config settings(void)
{
    dmc__adamw_config c = dmc__adamw_defaults();
    c.lr = 1e-2;
    c.weight_decay = 0.1;
    c.ema = 0.9;
    return c;
}

/* One update with the gradient of this seed. */
static dmc_status update(course *c, uint64_t seed, double scale, double *norm)
{
    const dmc__adamw_config s = settings();
    fixture_fill(c->d, dmc__learner_grads(c->learner), c->n, seed, scale);
    return dmc__learner_update(c->learner, &s, norm);
}

/* ---- everything a learner holds, as floats ---------------------------------------------------------- */

typedef struct state {
    float *base, *weights, *ema, *values, *moments;
    int64_t step;
} state;

static state read_state(const course *c)
{
    const size_t m = dmc__learner_elems(c->learner);
    state s = {.base = fixture_read(c->d, dmc__learner_base(c->learner), c->n),
               .weights = fixture_read(c->d, dmc__learner_weights(c->learner), c->n),
               .ema = fixture_floats(c->n),
               .values = fixture_floats(m),
               .moments = fixture_floats(2 * m)};
    fixture_ok(dmc__learner_get(c->learner, s.values));
    fixture_ok(dmc__learner_get_state(c->learner, s.moments, s.ema, &s.step));
    return s;
}

static void free_state(state *s)
{
    free(s->base);
    free(s->weights);
    free(s->ema);
    free(s->values);
    free(s->moments);
}

static void expect_same(const course *c, const state *a, const state *b)
{
    const size_t m = dmc__learner_elems(c->learner) * sizeof(float), n = c->n * sizeof(float);
    ck_assert_mem_eq(a->base, b->base, n);
    ck_assert_mem_eq(a->weights, b->weights, n);
    ck_assert_mem_eq(a->ema, b->ema, n);
    ck_assert_mem_eq(a->values, b->values, m);
    ck_assert_mem_eq(a->moments, b->moments, 2 * m);
    ck_assert_int_eq(a->step, b->step);
}

static void expect_no_gradient(const course *c)
{
    float *g = fixture_read(c->d, dmc__learner_grads(c->learner), c->n);
    for (size_t i = 0; i < c->n; i++) ck_assert_float_eq(g[i], 0);
    free(g);
}

/* ---- the update ------------------------------------------------------------------------------------- */

START_TEST(starts_with_the_given_weights)
{
    course c = make_course(_i);
    state s = read_state(&c);
    float *start = fixture_read(c.d, c.start, c.n);
    ck_assert_mem_eq(s.base, start, c.n * sizeof *start);
    ck_assert_mem_eq(s.weights, start, c.n * sizeof *start);
    ck_assert_mem_eq(s.ema, start, c.n * sizeof *start);
    ck_assert_int_eq(s.step, 0);
    ck_assert_int_eq(dmc__learner_lora(c.learner) != NULL, _i == ADAPTED);
    ck_assert_int_eq(dmc__learner_train_mask(c.learner) != NULL, _i == ADAPTED);
    free(start);
    free_state(&s);
    free_course(&c);
}
END_TEST

/* The first step is known in closed form: m^ = g, v^ = g^2. */
START_TEST(first_step)
{
    course c = make_course(FULL);
    const dmc__adamw_config s = settings();
    state a = read_state(&c);
    float *g = fixture_normals(c.n, 30, 1);
    double norm, sum = 0;
    for (size_t i = 0; i < c.n; i++) sum += (double)g[i] * (double)g[i];
    fixture_ok(update(&c, 30, 1, &norm));
    ck_assert_double_eq_tol(norm, sqrt(sum), 1e-6 * norm);
    state b = read_state(&c);
    const double clip = s.max_norm / (sqrt(sum) + 1e-6);
    for (size_t i = 0; i < c.n; i++) {
        const double gi = clip * (double)g[i], w0 = (double)a.weights[i];
        const double w = w0 * (1 - s.lr * s.weight_decay) - s.lr * gi / (fabs(gi) + s.eps);
        ck_assert_double_eq_tol((double)b.weights[i], w, 1e-6);
        ck_assert_double_eq_tol((double)b.ema[i], 0.9 * w0 + 0.1 * w, 1e-6);
        ck_assert_double_eq_tol((double)b.moments[i], 0.1 * gi, 1e-6);
        ck_assert_double_eq_tol((double)b.moments[c.n + i], 0.001 * gi * gi, 1e-9);
    }
    ck_assert_int_eq(b.step, 1);
    expect_no_gradient(&c);
    free(g);
    free_state(&a);
    free_state(&b);
    free_course(&c);
}
END_TEST

/* With an adapter the base stays, and exactly the adapted weights move. */
START_TEST(adapter_moves_adapted_weights)
{
    course c = make_course(ADAPTED);
    state a = read_state(&c);
    for (uint64_t i = 0; i < 3; i++) fixture_ok(update(&c, 30 + i, 1, NULL));
    state b = read_state(&c);
    ck_assert_mem_eq(a.base, b.base, c.n * sizeof *a.base);
    const uint8_t *mask = dmc__learner_train_mask(c.learner);
    for (dmc__parid i = 0; i < dmc__graph_param_count(c.net->graph); i++) {
        const dmc__param_spec *s = dmc__graph_param(c.net->graph, i);
        const int same = memcmp(a.weights + s->offset, b.weights + s->offset, s->size * sizeof(float)) == 0;
        ck_assert_msg(same == !mask[i], "%s: adapted %d, moved %d", s->name, mask[i], !same);
    }
    void *merged = fixture_block(c.d, c.n);
    fixture_ok(dmc__lora_merge(dmc__learner_lora(c.learner), dmc__learner_base(c.learner), merged));
    float *want = fixture_read(c.d, merged, c.n);
    ck_assert_mem_eq(b.weights, want, c.n * sizeof *want);
    expect_no_gradient(&c);
    free(want);
    dmc__dev_free(c.d, merged, c.n);
    free_state(&a);
    free_state(&b);
    free_course(&c);
}
END_TEST

/* ---- gradients that are not finite ------------------------------------------------------------------ */

/* 1e30 is finite, its square is not in float. */
static const float poison[] = {NAN, INFINITY, -INFINITY, 1e30f};
enum { POISONS = sizeof poison / sizeof *poison };

START_TEST(bad_gradient_changes_nothing)
{
    course c = make_course(_i % KINDS), clean = make_course(_i % KINDS);
    const dmc__adamw_config s = settings();
    const dmc__param_spec *w = dmc__graph_param(
        c.net->graph, dmc__graph_find_param(c.net->graph, "ln_resnet.1.net.4.weight"));
    double norm;
    for (uint64_t i = 0; i < 2; i++) {
        fixture_ok(update(&c, 30 + i, 1, NULL));
        fixture_ok(update(&clean, 30 + i, 1, NULL));
    }
    state before = read_state(&c);
    fixture_fill(c.d, dmc__learner_grads(c.learner), c.n, 50, 1);
    fixture_ok(dmc__dev_in(c.d, dmc__dev_at(c.d, dmc__learner_grads(c.learner), w->offset + 3), &poison[_i / KINDS], 1));
    ck_assert_int_eq(dmc__learner_update(c.learner, &s, &norm), DMC_ENUMERIC);
    ck_assert(!isfinite(norm));
    state after = read_state(&c);
    expect_same(&c, &before, &after);
    expect_no_gradient(&c);
    free_state(&after);
    /* The next update is that of a learner which never saw it. */
    fixture_ok(update(&c, 60, 1, NULL));
    fixture_ok(update(&clean, 60, 1, NULL));
    after = read_state(&c);
    state want = read_state(&clean);
    expect_same(&c, &after, &want);
    free_state(&before);
    free_state(&after);
    free_state(&want);
    free_course(&c);
    free_course(&clean);
}
END_TEST

START_TEST(bad_settings_change_nothing)
{
    static const struct {
        size_t field;
        double value;
        const char *text;
    } bad[] = {
#define FIELD(name) offsetof(dmc__adamw_config, name)
        {FIELD(lr), NAN, "lr = nan"},
        {FIELD(lr), -1, "lr = -1"},
        {FIELD(beta1), 1, "beta1 = 1"},
        {FIELD(beta2), -0.1, "beta2 = -0.1"},
        {FIELD(eps), INFINITY, "eps"},
        {FIELD(max_norm), -1, "max_norm"},
        {FIELD(weight_decay), NAN, "weight_decay"},
        {FIELD(ema), 1.5, "ema = 1.5"},
#undef FIELD
    };
    course c = make_course(FULL);
    state before = read_state(&c);
    fixture_fill(c.d, dmc__learner_grads(c.learner), c.n, 50, 1);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        dmc__adamw_config s = settings();
        memcpy((char *)&s + bad[i].field, &bad[i].value, sizeof bad[i].value);
        ck_assert_int_eq(dmc__learner_update(c.learner, &s, NULL), DMC_ERANGE);
        ck_assert_msg(strstr(dmc_last_error(), bad[i].text) != NULL, "%s", dmc_last_error());
    }
    state after = read_state(&c);
    expect_same(&c, &before, &after);
    free_state(&before);
    free_state(&after);
    free_course(&c);
}
END_TEST

/* ---- snapshots and resuming ------------------------------------------------------------------------- */

START_TEST(snapshot_and_restore)
{
    course c = make_course(_i);
    for (uint64_t i = 0; i < 3; i++) fixture_ok(update(&c, 30 + i, 1, NULL));
    state saved = read_state(&c);
    for (uint64_t i = 0; i < 3; i++) fixture_ok(update(&c, 70 + i, 1, NULL));
    state moved = read_state(&c);
    ck_assert_mem_ne(saved.weights, moved.weights, c.n * sizeof(float));
    fixture_ok(dmc__learner_set(c.learner, saved.values));
    state back = read_state(&c);
    ck_assert_mem_eq(back.weights, saved.weights, c.n * sizeof(float));
    ck_assert_mem_eq(back.moments, moved.moments, 2 * dmc__learner_elems(c.learner) * sizeof(float));
    fixture_ok(dmc__learner_set_state(c.learner, saved.moments, _i == FULL ? saved.ema : NULL, saved.step));
    free_state(&back);
    back = read_state(&c);
    expect_same(&c, &back, &saved);
    free_state(&saved);
    free_state(&moved);
    free_state(&back);
    free_course(&c);
}
END_TEST

/* A new learner with the state of an old one goes on bit-exactly. */
START_TEST(resume)
{
    course c = make_course(_i), fresh = make_course(_i);
    for (uint64_t i = 0; i < 4; i++) fixture_ok(update(&c, 30 + i, 1, NULL));
    state s = read_state(&c);
    fixture_ok(dmc__learner_set(fresh.learner, s.values));
    fixture_ok(dmc__learner_set_state(fresh.learner, s.moments, _i == FULL ? s.ema : NULL, s.step));
    for (uint64_t i = 0; i < 4; i++) {
        fixture_ok(update(&c, 40 + i, 1, NULL));
        fixture_ok(update(&fresh, 40 + i, 1, NULL));
    }
    state a = read_state(&c), b = read_state(&fresh);
    expect_same(&c, &a, &b);
    free_state(&s);
    free_state(&a);
    free_state(&b);
    free_course(&c);
    free_course(&fresh);
}
END_TEST

START_TEST(reset_moments)
{
    course c = make_course(_i), fresh = make_course(_i);
    for (uint64_t i = 0; i < 3; i++) fixture_ok(update(&c, 30 + i, 1, NULL));
    state s = read_state(&c);
    fixture_ok(dmc__learner_reset_moments(c.learner));
    fixture_ok(dmc__learner_set(fresh.learner, s.values));
    if (_i == FULL) fixture_ok(dmc__learner_set_state(fresh.learner, NULL, s.ema, 0));
    fixture_ok(update(&c, 40, 1, NULL));
    fixture_ok(update(&fresh, 40, 1, NULL));
    state a = read_state(&c), b = read_state(&fresh);
    expect_same(&c, &a, &b);
    free_state(&s);
    free_state(&a);
    free_state(&b);
    free_course(&c);
    free_course(&fresh);
}
END_TEST

START_TEST(refused_states)
{
    course c = make_course(ADAPTED);
    float *ema = fixture_floats(c.n);
    ck_assert_int_eq(dmc__learner_set_state(c.learner, NULL, ema, 0), DMC_ESTATE);
    ck_assert_int_eq(dmc__learner_set_state(c.learner, NULL, NULL, -1), DMC_ERANGE);
    dmc__lora *lora;
    dmc__learner *l;
    fixture_ok(dmc__lora_create(c.net->graph, c.d, 1, 1, "*", 1, &lora));
    ck_assert_int_eq(dmc__learner_create(c.net->graph, c.d, c.start, lora, 1, &l), DMC_EINVAL);
    ck_assert_ptr_null(l); /* and the adapter is gone, says the leak checker */
    free(ema);
    free_course(&c);
}
END_TEST

START_TEST(bytes)
{
    course full = make_course(FULL), adapted = make_course(ADAPTED);
    const size_t m = dmc__learner_elems(adapted.learner);
    ck_assert_uint_eq(dmc__learner_elems(full.learner), full.n);
    ck_assert_uint_eq(dmc__learner_bytes(full.learner), 4 * (5 * full.n + 1));            /* w g m v ema, norm */
    ck_assert_uint_eq(dmc__learner_bytes(adapted.learner), 4 * (3 * full.n + 4 * m + 1)); /* w w' g, f g m v, norm */
    free_course(&full);
    free_course(&adapted);
}
END_TEST

/* ---- memory ----------------------------------------------------------------------------------------- */

START_TEST(out_of_memory)
{
    dmc__net *net = fixture_net(fixture_mlp());
    for (int64_t at = 1;; at++) {
        failing_alloc f = {.fail_at = 0};
        const dmc__allocator a = failing_allocator(&f);
        dmc__device *d;
        dmc__lora *lora = NULL;
        dmc__learner *l;
        fixture_ok(dmc__device_open(&a, "cpu", NULL, &d));
        void *w = fixture_block(d, dmc__graph_param_elems(net->graph));
        const int64_t live = f.live;
        if (_i == ADAPTED) fixture_ok(dmc__lora_create(net->graph, d, 2, 1, "*", 0, &lora));
        f.fail_at = f.calls + at;
        const dmc_status s = dmc__learner_create(net->graph, d, w, lora, _i == FULL, &l);
        if (s != DMC_OK) ck_assert_int_eq(s, DMC_ENOMEM);
        ck_assert_int_eq(l != NULL, s == DMC_OK);
        dmc__learner_destroy(l);
        ck_assert_int_eq(f.live, live); /* the adapter too */
        dmc__dev_free(d, w, dmc__graph_param_elems(net->graph));
        dmc__device_close(d);
        if (s == DMC_OK) break;
    }
    dmc__net_destroy(net);
}
END_TEST

/* ---- learning rate ---------------------------------------------------------------------------------- */

START_TEST(cosine_schedule)
{
    ck_assert_double_eq(dmc__lr_cosine(2, 0, 0, 100), 2);
    ck_assert_double_eq_tol(dmc__lr_cosine(2, 50, 0, 100), 1, 1e-12);
    ck_assert_double_eq_tol(dmc__lr_cosine(2, 25, 0, 100), 1 + sqrt(0.5), 1e-12);
    ck_assert_double_eq(dmc__lr_cosine(2, 100, 0, 100), 0);
    ck_assert_double_eq(dmc__lr_cosine(2, 1000, 0, 100), 0);
    ck_assert_double_gt(dmc__lr_cosine(2, 99, 0, 100), 0);
}
END_TEST

START_TEST(warmup)
{
    ck_assert_double_eq_tol(dmc__lr_cosine(2, 0, 10, 110), 0.2, 1e-12);
    ck_assert_double_eq_tol(dmc__lr_cosine(2, 9, 10, 110), 2, 1e-12);
    ck_assert_double_eq(dmc__lr_cosine(2, 10, 10, 110), 2);
    ck_assert_double_eq_tol(dmc__lr_cosine(2, 60, 10, 110), 1, 1e-12);
    ck_assert_double_eq(dmc__lr_cosine(2, 110, 10, 110), 0);
    ck_assert_double_eq(dmc__lr_cosine(2, 500, 10, 0), 2); /* constant */
    ck_assert_double_eq(dmc__lr_cosine(2, 7, 5, 5), 0);    /* nothing but warm-up */
}
END_TEST

/* The frequencies of a frozen embedding stay to the bit, weight decay or not; everything else moves. */
START_TEST(frozen_parameters_stay)
{
    dmc__net_config config = fixture_mlp();
    config.time_embed = DMC__TIME_FROZEN;
    course c = {.d = fixture_device("cpu"), .net = fixture_net(config)};
    const dmc__graph *const g = c.net->graph;
    c.n = dmc__graph_param_elems(g);
    c.start = fixture_weights(c.d, g, 5);
    fixture_ok(dmc__learner_create(g, c.d, c.start, NULL, 1, &c.learner));
    fixture_ok(update(&c, 1, 0.1, NULL));
    const dmc__param_spec *const freqs = dmc__graph_param(g, dmc__graph_find_param(g, "map_noise.freqs"));
    ck_assert_uint_eq(freqs->size, 3);
    const void *const blocks[] = {dmc__learner_weights(c.learner), dmc__learner_ema(c.learner)};
    for (int k = 0; k < 2; k++) {
        float *was = fixture_read(c.d, c.start, c.n), *is = fixture_read(c.d, blocks[k], c.n);
        ck_assert_mem_eq(was + freqs->offset, is + freqs->offset, freqs->size * sizeof *is);
        ck_assert(was[c.n - 16] != is[c.n - 16]);
        free(is);
        free(was);
    }
    free_course(&c);
}
END_TEST

/* Parameters that no node reads: torch skips them for want of a gradient, weight decay and adapters must too. */
START_TEST(unused_parameters_stay)
{
    dmc__net_config config = {.kind = DMC__NET_TRANSFORMER_CHI, .horizon = 2, .cols = 3, .cond = 5, .hidden = 8, .blocks = 1,
                              .emb_dim = 8, .heads = 2};
    course c = {.d = fixture_device("cpu"), .net = fixture_net(config)};
    const dmc__graph *const g = c.net->graph;
    const dmc__param_spec *const unused = dmc__graph_param(g, dmc__graph_find_param(g, "cond_encoder.0.weight"));
    dmc__lora *lora;
    c.n = dmc__graph_param_elems(g);
    c.start = fixture_weights(c.d, g, 5);
    fixture_ok(dmc__learner_create(g, c.d, c.start, NULL, 1, &c.learner));
    fixture_ok(update(&c, 1, 0.1, NULL));
    float *was = fixture_read(c.d, c.start, c.n), *is = fixture_read(c.d, dmc__learner_weights(c.learner), c.n);
    ck_assert_mem_eq(was + unused->offset, is + unused->offset, unused->size * sizeof *is);
    free(is);
    free(was);
    fixture_ok(dmc__lora_create(g, c.d, 2, 2, "*", 1, &lora));
    for (int32_t i = 0; i < dmc__lora_count(lora); i++) ck_assert_ptr_null(strstr(dmc__lora_name(lora, i), "cond_encoder"));
    dmc__lora_destroy(lora);
    free_course(&c);
}
END_TEST

START_TEST(defaults)
{
    const dmc__adamw_config c = dmc__adamw_defaults();
    ck_assert_double_eq(c.lr, 3e-4);
    ck_assert_double_eq(c.beta1, 0.9);
    ck_assert_double_eq(c.beta2, 0.999);
    ck_assert_double_eq(c.eps, 1e-8);
    ck_assert_double_eq(c.weight_decay, 0);
    ck_assert_double_eq(c.max_norm, 1);
    ck_assert_double_eq(c.ema, 0);
}
END_TEST

Suite *dmc_suite_learner(void);
Suite *dmc_suite_learner(void)
{
    Suite *s = suite_create("learner");
    TCase *t = tcase_create("learner");
    tcase_add_loop_test(t, starts_with_the_given_weights, 0, KINDS);
    tcase_add_test(t, first_step);
    tcase_add_test(t, adapter_moves_adapted_weights);
    tcase_add_loop_test(t, bad_gradient_changes_nothing, 0, POISONS * KINDS);
    tcase_add_test(t, bad_settings_change_nothing);
    tcase_add_loop_test(t, snapshot_and_restore, 0, KINDS);
    tcase_add_loop_test(t, resume, 0, KINDS);
    tcase_add_loop_test(t, reset_moments, 0, KINDS);
    tcase_add_test(t, refused_states);
    tcase_add_test(t, frozen_parameters_stay);
    tcase_add_test(t, unused_parameters_stay);
    tcase_add_test(t, bytes);
    tcase_add_loop_test(t, out_of_memory, 0, KINDS);
    suite_add_tcase(s, t);
    t = tcase_create("schedule");
    tcase_add_test(t, cosine_schedule);
    tcase_add_test(t, warmup);
    tcase_add_test(t, defaults);
    suite_add_tcase(s, t);
    return s;
}
