/* check_pairs.c — near rows against a search of all; pairs of the data and of a callback; what they teach. */
#include "dpo_fixture.h"
#include "world_fixture.h"

#include "../../lib/align/dpo.h"
#include "../../lib/align/pairs.h"

Suite *dmc_suite_pairs(void);

typedef struct world {
    dmc_context *ctx;
    dmc_dataset *data;
    dmc_model *model;
    dmc_aligner *aligner;
    dmc__align *a;
} world;

static void world_open(world *w, const dmc_model_options *m)
{
    dmc_align_options o = bandit_options();
    o.batch = 64;
    *w = (world){0};
    expect_ok(dmc_context_create(NULL, &w->ctx));
    w->data = world_data(w->ctx);
    w->model = world_model(w->ctx, w->data, m);
    expect_ok(dmc_aligner_create(NULL, w->model, w->data, NULL, &o, &w->aligner));
    w->a = w->aligner->run;
}

static void world_close(world *w)
{
    dmc_aligner_destroy(w->aligner);
    dmc_model_destroy(w->model);
    dmc_dataset_destroy(w->data);
    dmc_context_destroy(w->ctx);
}

/* ---- near rows ------------------------------------------------------------------------------------------ */

static void state_of(const world *w, dmc__position p, float *out)
{
    const dmc__trajectories *t = w->data->data;
    dmc__normaliser_apply(&w->model->obs, t->obs + (t->start[p.episode] + (size_t)p.row) * WORLD_S, 1, out);
}

static double apart(const world *w, dmc__position p, dmc__position q)
{
    float a[WORLD_S], b[WORLD_S];
    double sum = 0;
    state_of(w, p, a);
    state_of(w, q, b);
    for (size_t j = 0; j < WORLD_S; j++) sum += ((double)a[j] - b[j]) * ((double)a[j] - b[j]) / WORLD_S;
    return sqrt(sum);
}

/* The nearest row of training episode e, if it is within the radius. */
static int32_t nearest_of(const world *w, dmc__position p, int32_t episode, double radius, dmc__near *out)
{
    const dmc__trajectories *t = w->data->data;
    out->distance = INFINITY;
    for (int32_t r = 0; r < (int32_t)(t->start[episode + 1] - t->start[episode]); r++) {
        const double d = apart(w, p, (dmc__position){episode, r});
        if (d < out->distance) *out = (dmc__near){d, {episode, r}};
    }
    return out->distance <= radius;
}

static int by_distance(const void *x, const void *y)
{
    const dmc__near *a = x, *b = y;
    return (a->distance > b->distance) - (a->distance < b->distance);
}

START_TEST(near_rows_are_those_a_search_of_all_finds)
{
    static const double radius[] = {.05, .3, .6, 10};
    static const int32_t most[] = {1, 3, 7, 64};
    const dmc_model_options m = world_policy();
    world w;
    dmc__neighbours *n;
    world_open(&w, &m);
    const dmc__trajectories *t = w.data->data;
    expect_ok(dmc__neighbours_create(&dmc__default_allocator, t, &w.model->obs, &n));
    for (int32_t i = 0; i < 40; i++) {
        const dmc__position p = {t->train[i % t->n_train], i % WORLD_EPISODE};
        float state[WORLD_S];
        dmc__near want[64], got[64];
        int32_t found = 0;
        for (int32_t e = 0; e < t->n_train; e++) found += nearest_of(&w, p, t->train[e], radius[i % 4], &want[found]);
        qsort(want, (size_t)found, sizeof *want, by_distance);
        state_of(&w, p, state);
        const int32_t limit = most[i / 4 % 4], k = dmc__neighbours_find(n, state, radius[i % 4], limit, got);
        ck_assert_int_eq(k, found < limit ? found : limit);
        for (int32_t j = 0; j < k; j++) {
            ck_assert_int_eq(got[j].at.episode, want[j].at.episode);
            ck_assert_int_eq(got[j].at.row, want[j].at.row);
            ck_assert_double_eq_tol(got[j].distance, want[j].distance, 1e-6);
        }
    }
    dmc__neighbours_destroy(n);
    world_close(&w);
}
END_TEST

/* ---- of the data ---------------------------------------------------------------------------------------- */

typedef struct window {
    dmc__position at;
    float z[64], weight[64], cond[64];
} window;

/* The training window that z is, but for known entries if there is a mask. */
static window find_window(const world *w, const float *z, const float *mask)
{
    const dmc__trajectories *t = w->data->data;
    const size_t e = dmc__align_elems(w->a);
    window x;
    for (int32_t i = 0; i < t->n_train; i++)
        for (int32_t r = 0; r < WORLD_EPISODE; r++) {
            size_t same = 0;
            x.at = (dmc__position){t->train[i], r};
            dmc__view_sample(&w->a->view, x.at, x.z, x.cond, NULL, x.weight);
            while (same < e && (x.z[same] == z[same] || (mask && mask[same] != 0))) same++;
            if (same == e) return x;
        }
    ck_abort_msg("no window of the data");
    return x;
}

static double return_at(const world *w, dmc__position p, double discount)
{
    return dmc__trajectories_return_from(w->data->data, p, discount);
}

static void check_pair(const world *w, const dmc__pairs *p, size_t i)
{
    const size_t e = p->elems;
    const float *win = p->win + i * e, *lose = p->lose + i * e, *mask = p->mask ? p->mask + i * e : NULL;
    const window best = find_window(w, win, NULL), worst = find_window(w, lose, mask);
    ck_assert_int_ne(best.at.episode, worst.at.episode);
    ck_assert_double_le(apart(w, best.at, worst.at), p->c.radius + 1e-6);
    ck_assert_double_gt(return_at(w, best.at, p->c.discount) - return_at(w, worst.at, p->c.discount), p->c.margin * p->std - 1e-6);
    for (size_t j = 0; j < e; j++) {
        ck_assert_float_eq(p->weight[i * e + j], best.weight[j] * worst.weight[j]);
        if (mask) ck_assert_float_eq(mask[j], j < WORLD_S);
        if (mask && mask[j] != 0) ck_assert_float_eq(lose[j], win[j]);
    }
    if (p->cond) ck_assert_mem_eq(p->cond + i * p->cond_elems, best.cond, p->cond_elems * sizeof(float));
}

/* Winner and loser are windows of different episodes, their first states near each other, the winner's return the greater by the
 * margin; the winner's condition, or first state, stands for both; rows that one of them lacks count for neither. */
START_TEST(pairs_of_the_data)
{
    const dmc_model_options m = _i ? world_planner() : world_policy();
    const dmc__pairs_config c = {.source = DMC__PAIRS_DATASET, .room = 150, .pool = 8, .margin = .25, .radius = .4, .discount = .7};
    world w;
    dmc__pairs *p;
    double padded = 0;
    world_open(&w, &m);
    ck_assert_msg(dmc__pairs_create(w.a, &c, &p) == DMC_OK, "%s", dmc_last_error());
    expect_ok(dmc__pairs_refresh(p));
    ck_assert_int_gt(p->kept, 50);
    for (size_t i = 0; i < (size_t)p->kept; i++) {
        check_pair(&w, p, i);
        padded += p->weight[(i + 1) * p->elems - 1] == 0;
    }
    ck_assert_double_gt(padded, 0);
    const float first = p->win[p->elems - 1];
    expect_ok(dmc__pairs_refresh(p));
    ck_assert_float_ne(p->win[p->elems - 1], first); /* other windows each time */
    dmc__pairs_destroy(p);
    world_close(&w);
}
END_TEST

START_TEST(windows_without_neighbours_are_reported)
{
    const dmc_model_options m = world_policy();
    const dmc__pairs_config c = {.source = DMC__PAIRS_DATASET, .room = 20, .pool = 8, .radius = 1e-6, .discount = 1};
    world w;
    dmc__pairs *p;
    world_open(&w, &m);
    expect_ok(dmc__pairs_create(w.a, &c, &p));
    expect_failure(dmc__pairs_refresh(p), DMC_EINVAL, "radius = 1e-06");
    dmc__pairs_destroy(p);
    world_close(&w);
}
END_TEST

/* ---- of a callback -------------------------------------------------------------------------------------- */

typedef struct giver {
    size_t n, elems, width;
    int32_t mode; /* 0: conditions stay; 1: others; 2: fails; 3: no number; 4: no condition */
    float obs[4096];
} giver;

static int32_t give(void *user, size_t n, float *obs, float *win, float *lose)
{
    giver *g = user;
    g->n = n;
    memcpy(g->obs, obs, n * g->width * sizeof *obs);
    for (size_t i = 0; i < n * g->elems; i++) {
        ck_assert_float_eq(win[i], 0);
        win[i] = 2 + (float)(i % 7);
        lose[i] = -(float)(i % 5);
    }
    if (g->mode == 1)
        for (size_t i = 0; i < n * g->width; i++) obs[i] = world_centre[i % WORLD_S] + (float)i;
    if (g->mode == 3) lose[g->elems] = INFINITY;
    if (g->mode == 4) obs[g->width] = NAN;
    return g->mode == 2 ? 9 : 0;
}

/* In dataset units there and back: samples, conditions of the data or its own, a planner's first state. */
START_TEST(pairs_of_a_callback)
{
    const dmc_model_options m = _i % 2 ? world_planner() : world_policy();
    const dmc__pairs_config c = {.source = DMC__PAIRS_CALLBACK, .room = 11};
    world w;
    dmc__pairs *p;
    giver *g = calloc(1, sizeof *g);
    world_open(&w, &m);
    const size_t e = dmc__align_elems(w.a), width = (size_t)(_i % 2 ? WORLD_S : 2 * WORLD_S);
    const size_t known = _i % 2 ? WORLD_S : 0;
    *g = (giver){.elems = e, .width = width, .mode = _i / 2};
    expect_ok(dmc_aligner_set_pairs(w.aligner, give, g));
    expect_ok(dmc__pairs_create(w.a, &c, &p));
    expect_ok(dmc__pairs_refresh(p));
    ck_assert_uint_eq(g->n, 11);
    ck_assert_int_eq(p->kept, 11);
    for (size_t i = 0; i < 11; i++) {
        float win[64], lose[64], seen[2 * WORLD_S];
        dmc__view_denormalise(&w.a->view, p->win + i * e, win);
        dmc__view_denormalise(&w.a->view, p->lose + i * e, lose);
        dmc__normaliser_invert(&w.model->obs, known ? p->win + i * e : p->cond + i * width, width / WORLD_S, seen);
        for (size_t j = 0; j < width; j++) {
            const float want = _i / 2 ? world_centre[j % WORLD_S] + (float)(i * width + j) : g->obs[i * width + j];
            ck_assert_float_eq_tol(seen[j], want, 1e-3f);
            if (known) ck_assert_float_eq(p->lose[i * e + j], p->win[i * e + j]);
        }
        for (size_t j = known; j < e; j++) {
            ck_assert_float_eq_tol(win[j], 2 + (float)((i * e + j) % 7), 1e-4f);
            ck_assert_float_eq_tol(lose[j], -(float)((i * e + j) % 5), 1e-4f);
            ck_assert_float_eq(p->weight[i * e + j], 1);
        }
        for (size_t j = 0; j < known; j++) ck_assert_float_eq(p->weight[i * e + j], 0);
    }
    dmc__pairs_destroy(p);
    world_close(&w);
    free(g);
}
END_TEST

START_TEST(bad_pairs_are_reported)
{
    const dmc_model_options m = world_policy();
    dmc_dpo_options o;
    world w;
    giver *g = calloc(1, sizeof *g);
    bandit b = {.slope = 1};
    dmc_dpo_options_init(&o, sizeof o);
    world_open(&w, &m);
    *g = (giver){.elems = dmc__align_elems(w.a), .width = 2 * WORLD_S, .mode = 2};
    o.pairs = DMC_PAIRS_CALLBACK;
    o.updates = 1;
    expect_ok(dmc_aligner_set_reward(w.aligner, bandit_reward, &b, 0));
    expect_failure(dmc_align_dpo(w.aligner, &o, NULL), DMC_ESTATE, "call dmc_aligner_set_pairs");
    expect_failure(dmc_aligner_set_pairs(NULL, give, g), DMC_EINVAL, "a is NULL");
    expect_ok(dmc_aligner_set_pairs(w.aligner, give, g));
    expect_failure(dmc_align_dpo(w.aligner, &o, NULL), DMC_ECALLBACK, "pairs callback returned 9");
    g->mode = 3;
    expect_failure(dmc_align_dpo(w.aligner, &o, NULL), DMC_EINVAL, "inf for the loser of pair 1");
    g->mode = 4;
    expect_failure(dmc_align_dpo(w.aligner, &o, NULL), DMC_EINVAL, "for the condition of pair 1");
    o.pairs = 3;
    expect_failure(dmc_align_dpo(w.aligner, &o, NULL), DMC_ERANGE, "pairs");
    o.pairs = DMC_PAIRS_DATASET;
    o.radius = -1;
    expect_failure(dmc_align_dpo(w.aligner, &o, NULL), DMC_ERANGE, "radius = -1");
    o.radius = .1;
    o.discount = 1.5;
    expect_failure(dmc_align_dpo(w.aligner, &o, NULL), DMC_ERANGE, "discount = 1.5");
    o.discount = 1;
    o.conditions = -1;
    expect_failure(dmc_align_dpo(w.aligner, &o, NULL), DMC_ERANGE, "conditions = -1");
    world_close(&w);
    free(g);
}
END_TEST

/* ---- what they teach ------------------------------------------------------------------------------------ */

/* Only the last of many pairs are any. */
static int32_t give_late(void *user, size_t n, float *obs, float *win, float *lose)
{
    (void)obs;
    ck_assert_uint_eq(n, *(const size_t *)user);
    for (size_t i = n / 2; i < n; i++) win[i] = .5f, lose[i] = -.5f;
    return 0;
}

static int32_t last_loss(void *user, const dmc_align_progress *p)
{
    *(double *)user = p->loss;
    return 0;
}

/* With more pairs than an update takes all of them have their turn: the loss leaves ln 2. */
START_TEST(every_pair_has_its_turn)
{
    bandit b;
    dmc_align_options align = bandit_options();
    dmc_dpo_options o;
    size_t n = 256;
    double loss = 0;
    align.lr = 1e-2;
    dmc_dpo_options_init(&o, sizeof o);
    o.pairs = DMC_PAIRS_CALLBACK;
    o.conditions = (int32_t)n;
    o.updates = 10;
    bandit_open(&b, "cpu", 20, &align);
    expect_ok(dmc_aligner_set_pairs(b.aligner, give_late, &n));
    expect_ok(dmc_aligner_set_progress(b.aligner, last_loss, &loss));
    expect_ok(dmc_align_dpo(b.aligner, &o, NULL));
    ck_assert_double_lt(loss, log(2) - .05);
    bandit_close(&b);
}
END_TEST

static int32_t give_modes(void *user, size_t n, float *obs, float *win, float *lose)
{
    (void)user, (void)obs;
    for (size_t i = 0; i < n; i++) win[i] = -.5f, lose[i] = .5f;
    return 0;
}

/* The rarer mode becomes the more frequent by pairs of data (whose reward it has) and of a callback; no sample of the model's own
 * is judged for it. */
START_TEST(pairs_from_elsewhere_teach)
{
    bandit b;
    dmc_align_options o = bandit_options();
    dmc_dpo_options dpo;
    dmc_align_report r = {.struct_size = sizeof r};
    o.batch = 128;
    o.eval_every = 20;
    o.eval_conditions = 64;
    dmc_dpo_options_init(&dpo, sizeof dpo);
    dpo.updates = 100;
    dpo.pairs = _i ? DMC_PAIRS_CALLBACK : DMC_PAIRS_DATASET;
    dpo.discount = 0;
    dpo.pool = 8;
    dpo.displacement = 0;
    two_modes_open(&b, &o);
    if (_i) expect_ok(dmc_aligner_set_pairs(b.aligner, give_modes, NULL));
    ck_assert_msg(dmc_align_dpo(b.aligner, &dpo, &r) == DMC_OK, "%s", dmc_last_error());
    ck_assert_double_gt(r.after, .6);
    bandit_close(&b);
}
END_TEST

Suite *dmc_suite_pairs(void)
{
    Suite *s = suite_create("pairs");
    TCase *t = tcase_create("pairs");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, near_rows_are_those_a_search_of_all_finds);
    tcase_add_loop_test(t, pairs_of_the_data, 0, 2);
    tcase_add_test(t, windows_without_neighbours_are_reported);
    tcase_add_loop_test(t, pairs_of_a_callback, 0, 4);
    tcase_add_test(t, bad_pairs_are_reported);
    tcase_add_test(t, every_pair_has_its_turn);
    tcase_add_loop_test(t, pairs_from_elsewhere_teach, 0, 2);
    suite_add_tcase(s, t);
    return s;
}
