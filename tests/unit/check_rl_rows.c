/* check_rl_rows.c — advantages for each row of a plan (granularity = row). */
#include "../../lib/align/rl_state.h"
#include "world_fixture.h"

Suite *dmc_suite_rl_rows(void);

enum { BATCH = 16, POOL = 4, ROWS = 4, COLS = WORLD_S + WORLD_A };

/* A planner, a critic and an aligner; rewards by hand replace the critic's where `judge` says so. */
typedef struct plan_world {
    failing_alloc f;
    dmc_context *ctx;
    dmc_dataset *data;
    dmc_model *m;
    dmc_critic *critic;
    dmc_aligner *aligner;
    dmc__align *a;
    dmc__align_hooks own;
    int32_t only; /* the row that is rewarded; -1: all alike */
} plan_world;

static void open_world(plan_world *w, const char *device)
{
    dmc_align_options ao;
    const dmc_model_options mo = world_planner();
    *w = (plan_world){.only = -1};
    w->ctx = world_context(&w->f, device);
    w->data = world_data(w->ctx);
    w->m = world_model(w->ctx, w->data, &mo);
    w->critic = world_critic(w->ctx, w->data, 20);
    dmc_align_options_init(&ao, sizeof ao);
    ao.batch = BATCH;
    ao.candidates = POOL;
    ao.eval_conditions = 4;
    ao.lora_rank = 4;
    expect_ok(dmc_aligner_create(w->ctx, w->m, w->data, w->critic, &ao, &w->aligner));
    w->a = w->aligner->run;
    w->own = w->a->hooks;
}

static void close_world(plan_world *w)
{
    w->a->hooks = w->own;
    dmc_aligner_destroy(w->aligner);
    dmc_critic_destroy(w->critic);
    dmc_model_destroy(w->m);
    dmc_dataset_destroy(w->data);
    dmc_context_destroy(w->ctx);
    ck_assert_int_eq(w->f.live, 0);
}

static float reward_of(int32_t sample)
{
    return (float)sin(3.0 * sample);
}

static dmc_status hand_reward(void *self, const void *z, const void *cond, int32_t pessimistic, float *r, void *dz)
{
    (void)self, (void)z, (void)cond, (void)pessimistic, (void)dz;
    for (int32_t b = 0; b < BATCH; b++) r[b] = reward_of(b);
    return DMC_OK;
}

static dmc_status hand_rows(void *self, const void *z, const void *cond, int32_t pessimistic, float *r)
{
    const plan_world *w = self;
    (void)z, (void)cond, (void)pessimistic;
    for (int32_t i = 0; i < BATCH * ROWS; i++) r[i] = w->only < 0 || i % ROWS == w->only ? reward_of(i / ROWS) : 0;
    return DMC_OK;
}

static dmc_status hand_make(void *user, int32_t batch, int32_t want_gradient, dmc__reward *out)
{
    (void)batch, (void)want_gradient;
    *out = (dmc__reward){.self = user, .batch = BATCH, .eval = hand_reward, .rows = ROWS, .eval_rows = hand_rows};
    return DMC_OK;
}

static void hand_free(void *user, dmc__reward *r)
{
    (void)user, (void)r;
}

static dmc__rl_config config(int32_t method, int32_t by_row)
{
    return (dmc__rl_config){.method = method, .updates = 1, .last_k = 2, .kappa = DMC__KAPPA_GEOM, .epochs = 1, .kappa_gamma = .9,
                            .clip = .1, .advantage_clip = 5, .by_row = by_row, .reduce_sum = 1};
}

/* The gradient of one draw with rewards by hand; dmu of the first learning row into dmu (BATCH, ROWS, COLS). */
static float *hand_gradient(const dmc__rl_config *c, int32_t only, float *dmu)
{
    plan_world w;
    dmc__rl *s;
    dmc__align_note note;
    open_world(&w, "ref64");
    w.only = only;
    w.a->hooks = (dmc__align_hooks){.user = &w, .make_reward = hand_make, .free_reward = hand_free};
    expect_ok(dmc__rl_create(w.a, c, &s));
    expect_ok(dmc__rl_ratio_begin(s, &note));
    expect_ok(dmc__rl_ratio_gradient(s, &note));
    const size_t n = dmc__graph_param_elems(w.a->net->graph);
    float *g = calloc(n + 1, sizeof *g);
    g[n] = NAN; /* marks the end */
    expect_ok(dmc__dev_out(w.a->device, g, dmc__learner_grads(w.a->learner), n));
    expect_ok(dmc__dev_out(w.a->device, dmu, s->dmu, BATCH * ROWS * COLS));
    dmc__rl_destroy(s);
    close_world(&w);
    return g;
}

/* Where every row has the sample's reward the sum over rows is the sample's own term, in-painted entries included. */
START_TEST(rows_that_agree_are_the_sample)
{
    static float dmu[2][BATCH * ROWS * COLS];
    const dmc__rl_config by_sample = config(DMC__RL_REINFORCE, 0), by_row = config(DMC__RL_REINFORCE, 1);
    float *x = hand_gradient(&by_sample, -1, dmu[0]), *y = hand_gradient(&by_row, -1, dmu[1]);
    double largest = 0;
    for (size_t i = 0; !isnan(x[i]); i++) largest = fmax(largest, fabs(x[i]));
    ck_assert_double_gt(largest, 1e-6);
    for (size_t i = 0; !isnan(x[i]); i++) ck_assert_double_eq_tol(x[i], y[i], 1e-6 * largest);
    free(x);
    free(y);
}
END_TEST

/* A reward of one row moves the mean of that row alone, of a sample's reward all. */
START_TEST(a_reward_of_one_row_moves_that_row)
{
    static float dmu[BATCH * ROWS * COLS];
    for (int32_t method = DMC__RL_PPO; method <= DMC__RL_REINFORCE; method++)
        for (int32_t by_row = 0; by_row < 2; by_row++) {
            const dmc__rl_config c = config(method, by_row);
            int32_t moved[ROWS] = {0};
            free(hand_gradient(&c, 2, dmu));
            for (int32_t i = 0; i < BATCH * ROWS * COLS; i++) moved[i / COLS % ROWS] += dmu[i] != 0;
            for (int32_t h = 0; h < ROWS; h++)
                if (h == 2 || !by_row) ck_assert_int_gt(moved[h], 0);
                else ck_assert_int_eq(moved[h], 0);
        }
}
END_TEST

/* The critic's rewards of rows, through the public call: the mean reward of the first draw is that of samples. */
static int32_t first_reward(void *user, const dmc_align_progress *p)
{
    if (p->update == 1) *(double *)user = p->reward;
    return 0;
}

START_TEST(the_critic_judges_rows)
{
    double reward[2];
    for (int32_t by_row = 0; by_row < 2; by_row++) {
        plan_world w;
        dmc_rl_options o;
        dmc_align_report r = {.struct_size = sizeof r};
        open_world(&w, "cpu");
        dmc_rl_options_init(&o, sizeof o);
        o.method = DMC_RL_PPO;
        o.updates = 3;
        o.granularity = by_row ? DMC_GRANULARITY_ROW : DMC_GRANULARITY_SAMPLE;
        expect_ok(dmc_aligner_set_progress(w.aligner, first_reward, &reward[by_row]));
        expect_ok(dmc_align_rl(w.aligner, &o, &r));
        ck_assert_int_eq(r.updates, 3);
        close_world(&w);
    }
    ck_assert_double_ne(reward[0], 0);
    ck_assert_double_eq_tol(reward[1], reward[0], 1e-5 * fabs(reward[0]));
}
END_TEST

static int32_t any_reward(void *user, size_t n, const float *z, const float *obs, float *r, float *grad)
{
    (void)user, (void)obs, (void)grad;
    for (size_t i = 0; i < n; i++) r[i] = z[i];
    return 0;
}

static void refused(plan_world *w, const dmc_rl_options *o, const char *words)
{
    ck_assert_int_eq(dmc_align_rl(w->aligner, o, NULL), DMC_EINVAL);
    ck_assert_msg(strstr(dmc_last_error(), words) != NULL, "\"%s\" does not say \"%s\"", dmc_last_error(), words);
}

START_TEST(where_rows_have_no_reward)
{
    plan_world w;
    dmc_rl_options o;
    open_world(&w, "cpu");
    dmc_rl_options_init(&o, sizeof o);
    o.granularity = DMC_GRANULARITY_ROW;
    refused(&w, &o, "method qvpg has none");
    o.method = DMC_RL_PPO;
    w.aligner->row_discount = 0;
    dmc__align_drop_reward(w.a);
    refused(&w, &o, "is of 1 of 4 rows (row_discount = 0");
    expect_ok(dmc_aligner_set_reward(w.aligner, any_reward, NULL, 0));
    refused(&w, &o, "whole samples");
    close_world(&w);
}
END_TEST

/* Refused any request a run makes: nothing is lost, and the next run is whole. */
START_TEST(without_memory)
{
    static const struct { int32_t method, kappa, granularity; } kinds[] = {
        {DMC_RL_AUTO, DMC_KAPPA_GEOM, DMC_GRANULARITY_SAMPLE}, {DMC_RL_PPO, DMC_KAPPA_PROJ, DMC_GRANULARITY_ROW}};
    plan_world w;
    dmc_rl_options o;
    open_world(&w, "cpu");
    dmc_rl_options_init(&o, sizeof o);
    o.method = kinds[_i].method;
    o.kappa = kinds[_i].kappa;
    o.granularity = kinds[_i].granularity;
    o.updates = 4;
    o.entropy = .1;
    expect_ok(dmc_align_rl(w.aligner, &o, NULL));
    const int64_t live = w.f.live;
    int64_t refused_so_far = 0;
    for (int64_t n = 1;; n++, refused_so_far++) {
        w.f.fail_at = w.f.calls + n;
        const dmc_status status = dmc_align_rl(w.aligner, &o, NULL);
        w.f.fail_at = 0;
        ck_assert_int_eq(w.f.live, live);
        if (status == DMC_OK) break;
        ck_assert_int_eq(status, DMC_ENOMEM);
    }
    ck_assert_int_gt(refused_so_far, 20);
    close_world(&w);
}
END_TEST

Suite *dmc_suite_rl_rows(void)
{
    Suite *s = suite_create("rl_rows");
    TCase *t = tcase_create("rl_rows");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, rows_that_agree_are_the_sample);
    tcase_add_test(t, a_reward_of_one_row_moves_that_row);
    tcase_add_test(t, the_critic_judges_rows);
    tcase_add_test(t, where_rows_have_no_reward);
    tcase_add_loop_test(t, without_memory, 0, 2);
    suite_add_tcase(s, t);
    return s;
}
