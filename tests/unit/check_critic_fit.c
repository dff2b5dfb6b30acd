/* check_critic_fit.c — dmc_critic: what it learns from transitions, its values and gradient in dataset units, its file. */
#include "world_fixture.h"

Suite *dmc_suite_critic_fit(void);

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

static dmc_critic *critic_with(dmc_context *where, const dmc_dataset *d, const dmc_critic_options *o, int32_t updates)
{
    dmc_critic *c;
    expect_ok(dmc_critic_create(where, d, o, &c));
    expect_ok(dmc_critic_step(c, updates, NULL));
    return c;
}

/* Rows of data: n observations and actions. */
static void rows(size_t n, float *obs, float *act)
{
    memcpy(obs, data->data->obs, n * WORLD_S * sizeof *obs);
    memcpy(act, data->data->act, n * WORLD_A * sizeof *act);
}

/* ---- what is learnt --------------------------------------------------------------------------------- */

/* n rows of one observation and action column, the observations 0 1 2 0 1 2 ... ; rewards and ends as given. */
static dmc_dataset *chain(size_t n, const float *rew, const uint8_t *end, const uint8_t *cut, int32_t reward)
{
    float obs[64], act[64];
    dmc_dataset_options o;
    dmc_dataset *d;
    for (size_t i = 0; i < n; i++) {
        obs[i] = (float)(i % 3);
        act[i] = (float)(i % 5);
    }
    dmc_dataset_options_init(&o, sizeof o);
    o.held_out = 0;
    o.reward = reward;
    expect_ok(dmc_dataset_create(ctx, n, 1, 1, obs, act, rew, end, cut, &o, &d));
    return d;
}

/* Mean of both twins over the rows of `chain` after learning with this discount. */
static double learnt_chunk_value(const dmc_dataset *d, double gamma, int32_t chunk)
{
    dmc_critic_options o = world_critic_options();
    float q1[64], q2[64], act[64 * 3];
    double sum = 0;
    const size_t n = d->data->rows;
    for (size_t i = 0; i < n; i++) /* as in the data, the last row repeated past the end of an episode of three */
        for (size_t j = 0; j < (size_t)chunk; j++) {
            const size_t last = i - i % 3 + 2, row = chunk == 1 || i + j < last ? i + j : last;
            act[i * (size_t)chunk + j] = d->data->act[row];
        }
    o.chunk = chunk;
    o.gamma = gamma;
    o.lr = 2e-2;
    o.polyak = 0.1;
    o.steps = 300;
    dmc_critic *c = critic_with(ctx, d, &o, 300);
    expect_ok(dmc_critic_q(c, n, d->data->obs, act, q1, q2));
    for (size_t i = 0; i < n; i++) sum += (q1[i] + q2[i]) / (2 * (double)n);
    dmc_critic_destroy(c);
    return sum;
}

static double learnt_value(const dmc_dataset *d, double gamma)
{
    return learnt_chunk_value(d, gamma, 1);
}

/* Without a future Q is the reward, as the dataset's option presents it. */
START_TEST(rewards_go_through_their_map)
{
    static const struct { int32_t kind; double value; } list[] = {
        {DMC_REWARD_RAW, 2}, {DMC_REWARD_MINUS1, 1}, {DMC_REWARD_RANGE, 500}};
    float rew[20];
    uint8_t end[20];
    for (int i = 0; i < 20; i++) { /* returns of 2 and 6: the range is 4, so rewards are times 250 */
        rew[i] = 2;
        end[i] = i == 0 || i % 3 == 0 || i == 19;
    }
    dmc_dataset *d = chain(20, rew, end, NULL, list[_i].kind);
    dmc_critic *c = critic_with(ctx, d, NULL, 0);
    ck_assert_double_eq_tol(2 * c->reward_scale + c->reward_shift, list[_i].value, 1e-9);
    dmc_critic_destroy(c);
    if (list[_i].kind != DMC_REWARD_RANGE) /* hundreds take too long to learn */
        ck_assert_double_eq_tol(learnt_value(d, 0), list[_i].value, 0.05);
    dmc_dataset_destroy(d);
}
END_TEST

/* Reward 1 for ever is worth 1 / (1 - gamma) = 2; where every row is terminal it is worth 1. */
START_TEST(the_future_ends_at_a_terminal)
{
    float rew[20];
    uint8_t end[20], cut[20] = {0};
    for (int i = 0; i < 20; i++) {
        rew[i] = 1;
        end[i] = (uint8_t)_i;
    }
    cut[19] = 1;
    dmc_dataset *d = chain(20, rew, end, cut, DMC_REWARD_RAW);
    ck_assert_double_eq_tol(learnt_value(d, 0.5), _i ? 1 : 2, 0.1);
    dmc_dataset_destroy(d);
}
END_TEST

/* Nothing, nothing, then 4 and the end: with a discount of 1/2 worth 1, 2 and 4, by however many rows at once. */
START_TEST(rewards_come_back_from_the_successor)
{
    float rew[21];
    uint8_t end[21];
    for (int i = 0; i < 21; i++) {
        end[i] = i % 3 == 2;
        rew[i] = end[i] ? 4 : 0;
    }
    dmc_dataset *d = chain(21, rew, end, NULL, DMC_REWARD_RAW);
    ck_assert_double_eq_tol(learnt_chunk_value(d, 0.5, _i), 7.0 / 3, 0.1);
    dmc_dataset_destroy(d);
}
END_TEST

/* What a transition holds: rewards 2^row of episodes of five rows, the first ends, the second is cut off. */
START_TEST(chunks_by_hand)
{
    enum { N = 10, CHUNK = 3 };
    float obs[N], act[N], rew[N], want[2 + CHUNK];
    uint8_t end[N] = {0}, cut[N] = {0}, seen[N] = {0};
    dmc_critic_options o = world_critic_options();
    dmc_dataset_options no = {0};
    dmc_dataset *d;
    for (int i = 0; i < N; i++) {
        obs[i] = (float)i;
        act[i] = (float)(10 + i);
        rew[i] = (float)(1 << i % 5);
    }
    end[4] = cut[9] = 1;
    dmc_dataset_options_init(&no, sizeof no);
    no.held_out = 0;
    expect_ok(dmc_dataset_create(ctx, N, 1, 1, obs, act, rew, end, cut, &no, &d));
    o.chunk = CHUNK;
    o.gamma = 0.5;
    dmc_critic *c = critic_with(ctx, d, &o, 1);
    for (int i = 0; i < o.batch; i++) {
        const int row = (int)lround(c->s[i] * (double)c->obs.scale[0] + (double)c->obs.shift[0]);
        const int last = row < 5 ? 4 : 9, rows = last == 9 || row <= 2 ? CHUNK : 5 - row, over = last == 4 && row >= 2;
        double r = 0;
        for (int k = 0; k < rows; k++) r += ldexp(rew[row + k], -k);
        dmc__normaliser_apply(&c->obs, obs + (over ? row : row + rows), 1, want);
        for (int k = 0; k < CHUNK; k++) dmc__normaliser_apply(&c->act, act + (row + k < last ? row + k : last), 1, want + 1 + k);
        ck_assert_int_le(row, last == 4 ? 4 : 6); /* rows 5 and 6 are followed by three rows and a successor */
        ck_assert_float_eq(c->next[i], want[0]);
        ck_assert_mem_eq(c->a + (size_t)i * CHUNK, want + 1, CHUNK * sizeof *want);
        ck_assert_double_eq_tol(c->r[i], r, 1e-6);
        ck_assert_double_eq_tol(c->term[i], over ? 1 : 0.75, 1e-6); /* gamma (1 - term) = gamma^3 */
        seen[row] = 1;
    }
    ck_assert(seen[0] && seen[1] && seen[2] && seen[3] && seen[4] && seen[5] && seen[6]);
    dmc_critic_destroy(c);
    dmc_dataset_destroy(d);
}
END_TEST

/* Episodes that a critic with this split and seed saw in twenty updates: the reward is the episode's number. */
static void note_seen(const dmc_dataset *d, int32_t split, uint64_t seed, uint8_t *seen)
{
    dmc_critic_options o = world_critic_options();
    o.split = split;
    o.seed = seed;
    o.gamma = 0;
    dmc_critic *c = critic_with(ctx, d, &o, 0);
    memset(seen, 0, 64);
    for (int u = 0; u < 20; u++) {
        expect_ok(dmc_critic_step(c, 1, NULL));
        for (int i = 0; i < o.batch; i++) seen[lround(c->r[i])] = 1;
    }
    dmc_critic_destroy(c);
}

static dmc_dataset *episodes_of_one_row(size_t n, double held_out)
{
    float obs[64], rew[64];
    uint8_t end[64];
    dmc_dataset_options o;
    dmc_dataset *d;
    for (size_t i = 0; i < n; i++) {
        obs[i] = rew[i] = (float)i;
        end[i] = 1;
    }
    dmc_dataset_options_init(&o, sizeof o);
    o.held_out = held_out;
    expect_ok(dmc_dataset_create(ctx, n, 1, 1, obs, obs, rew, end, NULL, &o, &d));
    return d;
}

/* Training and held-out episodes are the dataset's; the halves of the training episodes share none, whatever the seeds. */
START_TEST(splits_share_no_episode)
{
    uint8_t train[64], held[64], first[64], second[64], again[64];
    int firsts = 0;
    dmc_dataset *d = episodes_of_one_row(40, 0.25);
    note_seen(d, DMC_CRITIC_TRAIN, 0, train);
    note_seen(d, DMC_CRITIC_HELD_OUT, 0, held);
    note_seen(d, DMC_CRITIC_FIRST_HALF, 0, first);
    note_seen(d, DMC_CRITIC_FIRST_HALF, 1, again);
    note_seen(d, DMC_CRITIC_SECOND_HALF, 1, second);
    for (int32_t i = 0; i < d->data->n_held; i++) ck_assert(held[d->data->held[i]]);
    for (int i = 0; i < 40; i++) {
        ck_assert_msg(held[i] + train[i] == 1, "episode %d: %d held out, %d training", i, held[i], train[i]);
        ck_assert_msg(first[i] + second[i] == train[i], "episode %d: %d + %d of %d", i, first[i], second[i], train[i]);
        firsts += first[i];
    }
    ck_assert_mem_eq(first, again, sizeof first);
    ck_assert_msg(firsts > 7 && firsts < 23, "%d of 30 in the first half", firsts); /* 15 +- 2.7, three times */
    dmc_dataset_destroy(d);
}
END_TEST

START_TEST(splits_without_episodes)
{
    dmc_critic_options o = world_critic_options();
    dmc_critic *c;
    int empty = 0;
    dmc_dataset *d = episodes_of_one_row(1, 0);
    for (o.split = DMC_CRITIC_HELD_OUT; o.split <= DMC_CRITIC_SECOND_HALF; o.split++) {
        const dmc_status status = dmc_critic_create(ctx, d, &o, &c);
        if (status == DMC_OK) dmc_critic_destroy(c);
        else expect_failure(status, DMC_EINVAL, o.split == DMC_CRITIC_HELD_OUT ? "holds out none of its 1" : "has none of the");
        empty += status != DMC_OK;
    }
    ck_assert_int_eq(empty, 2); /* the one episode is in one of the halves */
    o.split = 4;
    expect_failure(dmc_critic_create(ctx, d, &o, &c), DMC_ERANGE, "split");
    dmc_dataset_destroy(d);
}
END_TEST

/* The last row of a cut-off episode has no successor: its reward of 100 must never be seen. */
START_TEST(rows_without_a_successor_are_not_used)
{
    float rew[20];
    uint8_t end[20] = {0}, cut[20];
    for (int i = 0; i < 20; i++) {
        cut[i] = i % 2;
        rew[i] = i % 2 ? 100 : 1;
    }
    dmc_dataset *d = chain(20, rew, end, cut, DMC_REWARD_RAW);
    ck_assert_double_eq_tol(learnt_value(d, 0), 1, 0.05);
    dmc_dataset_destroy(d);
}
END_TEST

START_TEST(data_without_transitions)
{
    const float rew[4] = {0};
    const uint8_t end[4] = {0}, cut[4] = {1, 1, 1, 1};
    dmc_dataset *d = chain(4, rew, end, cut, DMC_REWARD_RAW);
    dmc_critic *c = critic_with(ctx, d, NULL, 0);
    expect_failure(dmc_critic_step(c, 1, NULL), DMC_EFORMAT, "no row with a successor");
    dmc_critic_destroy(c);
    dmc_dataset_destroy(d);
}
END_TEST

START_TEST(losses_fall_and_steps_count)
{
    const dmc_critic_options o = world_critic_options();
    dmc_critic_metrics first = {.struct_size = sizeof first}, last = first;
    dmc_critic *c = critic_with(ctx, data, &o, 0);
    expect_ok(dmc_critic_step(c, 20, &first));
    expect_ok(dmc_critic_step(c, 260, NULL));
    expect_ok(dmc_critic_step(c, 20, &last));
    ck_assert_int_eq(first.step, 20);
    ck_assert_int_eq(last.step, 300);
    ck_assert_msg(last.q_loss < 0.7 * first.q_loss, "q_loss %g, then %g", first.q_loss, last.q_loss);
    ck_assert(isfinite(last.v_loss) && isfinite(last.q_mean) && isfinite(last.v_mean) && last.seconds >= 0);
    expect_failure(dmc_critic_step(c, -1, NULL), DMC_ERANGE, "n = -1");
    dmc_critic_destroy(c);
}
END_TEST

/* The reward is highest where action 0 is 1: so is Q, and its gradient points there. */
START_TEST(better_actions_are_worth_more)
{
    dmc_critic_options o = world_critic_options();
    float obs[2 * WORLD_S], act[4] = {1, 7, -1.5f, 7}, q1[2], q2[2], grad[4];
    o.gamma = 0;
    o.lr = 1e-2;
    dmc_critic *c = critic_with(ctx, data, &o, 400);
    for (int i = 0; i < 2; i++) memcpy(obs + i * WORLD_S, world_centre, sizeof world_centre);
    expect_ok(dmc_critic_q(c, 2, obs, act, q1, q2));
    ck_assert_float_gt(fminf(q1[0], q2[0]), fmaxf(q1[1], q2[1]) + 1);
    expect_ok(dmc_critic_action_gradient(c, 2, obs, act, grad));
    ck_assert_float_gt(grad[2], 0.5); /* d/da [1 - (a-1)^2] at -1.5 is 5 */
    dmc_critic_destroy(c);
}
END_TEST

START_TEST(equal_seeds_learn_equally)
{
    dmc_critic_options o = world_critic_options();
    float obs[10 * WORLD_S], act[10 * WORLD_A], q[3][10];
    rows(10, obs, act);
    for (int k = 0; k < 3; k++) {
        o.seed = k / 2;
        dmc_critic *c = critic_with(ctx, data, &o, 10);
        expect_ok(dmc_critic_q(c, 10, obs, act, q[k], NULL));
        dmc_critic_destroy(c);
    }
    ck_assert_mem_eq(q[0], q[1], sizeof q[0]);
    ck_assert_mem_ne(q[0], q[2], sizeof q[0]);
}
END_TEST

/* ---- values ----------------------------------------------------------------------------------------- */

/* However many are asked for at once, across the border of the internal batch of 256. */
START_TEST(values_do_not_depend_on_how_many)
{
    enum { N = 300 };
    static float obs[N * WORLD_S], act[N * WORLD_A], q1[N], q2[N], v[N], grad[N * WORLD_A];
    dmc_critic *c = world_critic(ctx, data, 20);
    rows(N, obs, act);
    expect_ok(dmc_critic_q(c, N, obs, act, q1, q2));
    expect_ok(dmc_critic_v(c, N, obs, v));
    expect_ok(dmc_critic_action_gradient(c, N, obs, act, grad));
    for (size_t i = 0; i < N; i += 23) {
        float one[2], value, slope[WORLD_A];
        expect_ok(dmc_critic_q(c, 1, obs + i * WORLD_S, act + i * WORLD_A, one, NULL));
        expect_ok(dmc_critic_q(c, 1, obs + i * WORLD_S, act + i * WORLD_A, NULL, one + 1));
        expect_ok(dmc_critic_v(c, 1, obs + i * WORLD_S, &value));
        expect_ok(dmc_critic_action_gradient(c, 1, obs + i * WORLD_S, act + i * WORLD_A, slope));
        ck_assert(one[0] == q1[i] && one[1] == q2[i] && value == v[i]);
        ck_assert_mem_eq(slope, grad + i * WORLD_A, sizeof slope);
    }
    ck_assert_float_ne(q1[0], q2[0]);
    ck_assert_float_ne(q1[0], q1[299]);
    expect_ok(dmc_critic_q(c, 0, obs, act, q1, q2));
    dmc_critic_destroy(c);
}
END_TEST

/* d mean(q1,q2) / d act in the dataset's units, against differences of dmc_critic_q. */
START_TEST(the_gradient_is_that_of_q)
{
    enum { N = 6 };
    const double h = 1e-2;
    float wide[2 * N * WORLD_S];
    failing_alloc f = {0};
    dmc_context *ref64 = world_context(&f, "ref64");
    const size_t width = (size_t)_i * WORLD_A; /* chunks of one and of two rows */
    float obs[N * WORLD_S], act[2 * N * WORLD_A], grad[2 * N * WORLD_A], q[4][N];
    dmc_critic_options o = world_critic_options();
    o.chunk = _i;
    dmc_critic *c = critic_with(ref64, data, &o, 20);
    double largest = 0;
    rows(2 * N, wide, act);
    memcpy(obs, wide, sizeof obs);
    expect_ok(dmc_critic_action_gradient(c, N, obs, act, grad));
    for (size_t j = 0; j < width; j++) {
        for (int side = 0; side < 2; side++) {
            float moved[2 * N * WORLD_A];
            memcpy(moved, act, sizeof moved);
            for (size_t i = 0; i < N; i++) moved[i * width + j] += (float)(side ? h : -h);
            expect_ok(dmc_critic_q(c, N, obs, moved, q[2 * side], q[2 * side + 1]));
        }
        for (size_t i = 0; i < N; i++) {
            const double want = ((double)q[2][i] - q[0][i] + q[3][i] - q[1][i]) / (4 * h);
            largest = fmax(largest, fabs(want));
            ck_assert_msg(fabs(grad[i * width + j] - want) < 1e-3 * (0.1 + fabs(want)), "row %zu, action %zu: %g, differences %g",
                          i, j, grad[i * width + j], want);
        }
    }
    ck_assert_double_gt(largest, 0.02);
    dmc_critic_destroy(c);
    dmc_context_destroy(ref64);
    ck_assert_int_eq(f.live, 0);
}
END_TEST

START_TEST(training_shows_in_values_at_once)
{
    dmc_critic *c = world_critic(ctx, data, 0);
    float obs[WORLD_S], act[WORLD_A], before, after, v[2];
    rows(1, obs, act);
    expect_ok(dmc_critic_q(c, 1, obs, act, &before, NULL));
    expect_ok(dmc_critic_v(c, 1, obs, v));
    expect_ok(dmc_critic_step(c, 1, NULL));
    expect_ok(dmc_critic_q(c, 1, obs, act, &after, NULL));
    expect_ok(dmc_critic_v(c, 1, obs, v + 1));
    ck_assert_float_ne(before, after);
    ck_assert_float_ne(v[0], v[1]);
    dmc_critic_destroy(c);
}
END_TEST

/* ---- files ------------------------------------------------------------------------------------------ */

START_TEST(files_bring_the_same_values)
{
    float obs[20 * WORLD_S], act[20 * WORLD_A], q[4][20], v[2][20];
    dmc_critic *c = world_critic(ctx, data, 30), *back;
    char a[4096], b[4096];
    rows(20, obs, act);
    expect_ok(dmc_critic_save(c, fixture_path("c")));
    expect_ok(dmc_critic_load(ctx, fixture_path("c"), NULL, &back));
    expect_ok(dmc_critic_q(c, 20, obs, act, q[0], q[1]));
    expect_ok(dmc_critic_q(back, 20, obs, act, q[2], q[3]));
    expect_ok(dmc_critic_v(c, 20, obs, v[0]));
    expect_ok(dmc_critic_v(back, 20, obs, v[1]));
    ck_assert_mem_eq(q[0], q[2], sizeof q[0]);
    ck_assert_mem_eq(q[1], q[3], sizeof q[0]);
    ck_assert_mem_eq(v[0], v[1], sizeof v[0]);
    expect_ok(dmc_critic_describe(c, a, sizeof a, NULL));
    expect_ok(dmc_critic_describe(back, b, sizeof b, NULL));
    ck_assert_str_eq(a, b);
    ck_assert_ptr_nonnull(strstr(a, "\"updates\": 30"));
    expect_failure(dmc_critic_step(back, 1, NULL), DMC_ESTATE, "loaded without a dataset");
    dmc_critic_destroy(back);
    dmc_critic_destroy(c);
}
END_TEST

/* With data it goes on learning: from the same weights, target included, with the same batches. */
START_TEST(a_loaded_critic_learns_on)
{
    float obs[20 * WORLD_S], act[20 * WORLD_A], was[20], now[20];
    dmc_critic_metrics m = {.struct_size = sizeof m}, n = m;
    dmc_critic *c = world_critic(ctx, data, 30), *back;
    rows(20, obs, act);
    expect_ok(dmc_critic_save(c, fixture_path("c")));
    expect_ok(dmc_critic_load(ctx, fixture_path("c"), data, &back));
    expect_ok(dmc_critic_step(c, 1, &n));
    expect_ok(dmc_critic_step(back, 1, &m));
    ck_assert_int_eq(m.step, 31);
    ck_assert_double_eq(m.v_loss, n.v_loss); /* before the update, so of the file's weights */
    expect_ok(dmc_critic_q(back, 20, obs, act, was, NULL));
    expect_ok(dmc_critic_step(back, 5, NULL));
    expect_ok(dmc_critic_q(back, 20, obs, act, now, NULL));
    ck_assert_mem_ne(was, now, sizeof was);
    dmc_critic_destroy(back);
    dmc_critic_destroy(c);
}
END_TEST

/* Schedule and seed are part of what is stored: all 64 bits of the seed. */
START_TEST(files_bring_schedule_and_seed)
{
    dmc_critic_options o;
    dmc_critic *c, *back;
    char was[8192], now[8192];
    dmc_critic_options_init(&o, sizeof o);
    o.hidden = 8;
    o.steps = 1234;
    o.seed = UINT64_C(0xfedcba9876543211);
    o.chunk = 3;
    o.split = DMC_CRITIC_SECOND_HALF;
    expect_ok(dmc_critic_create(ctx, data, &o, &c));
    expect_ok(dmc_critic_save(c, fixture_path("c")));
    expect_ok(dmc_critic_load(ctx, fixture_path("c"), data, &back));
    expect_ok(dmc_critic_describe(c, was, sizeof was, NULL));
    expect_ok(dmc_critic_describe(back, now, sizeof now, NULL));
    ck_assert_str_eq(was, now);
    ck_assert_ptr_nonnull(strstr(now, "1234"));
    ck_assert_ptr_nonnull(strstr(now, "4275878552")); /* 0xfedcba98 */
    ck_assert(back->config.chunk == 3 && back->config.split == DMC_CRITIC_SECOND_HALF);
    dmc_critic_destroy(back);
    dmc_critic_destroy(c);
}
END_TEST

START_TEST(data_of_other_widths)
{
    const float rew[4] = {0};
    const uint8_t end[4] = {0, 0, 0, 1};
    dmc_dataset *d = chain(4, rew, end, NULL, DMC_REWARD_RAW);
    dmc_critic *c = world_critic(ctx, data, 0), *back = c;
    expect_ok(dmc_critic_save(c, fixture_path("c")));
    expect_failure(dmc_critic_load(ctx, fixture_path("c"), d, &back), DMC_ESHAPE,
                   "observations of 1 and actions of 1, the critic wants 3 and 2");
    ck_assert_ptr_null(back);
    dmc_critic_destroy(c);
    dmc_dataset_destroy(d);
}
END_TEST

START_TEST(arguments_are_checked)
{
    dmc_critic_options o = world_critic_options();
    dmc_critic *c = (dmc_critic *)(uintptr_t)1;
    float x[8] = {0};
    size_t need;
    o.tau = 1;
    expect_failure(dmc_critic_create(ctx, data, &o, &c), DMC_ERANGE, "tau = 1");
    ck_assert_ptr_null(c);
    o = world_critic_options();
    o.gamma = 1.5;
    expect_failure(dmc_critic_create(ctx, data, &o, &c), DMC_ERANGE, "gamma = 1.5, must be 0..1");
    expect_failure(dmc_critic_create(ctx, NULL, NULL, &c), DMC_EINVAL, "d is NULL");
    expect_failure(dmc_critic_create(ctx, data, NULL, NULL), DMC_EINVAL, "out is NULL");
    c = world_critic(ctx, data, 0);
    expect_failure(dmc_critic_q(c, 1, NULL, x, x, x), DMC_EINVAL, "obs is NULL");
    expect_failure(dmc_critic_q(c, 1, x, NULL, x, x), DMC_EINVAL, "act is NULL");
    expect_failure(dmc_critic_v(c, 1, x, NULL), DMC_EINVAL, "v is NULL");
    expect_failure(dmc_critic_action_gradient(c, 1, x, x, NULL), DMC_EINVAL, "grad is NULL");
    expect_failure(dmc_critic_describe(NULL, NULL, 0, &need), DMC_EINVAL, "c is NULL");
    expect_failure(dmc_critic_save(c, NULL), DMC_EINVAL, "path is NULL");
    dmc_critic_destroy(c);
    dmc_critic_destroy(NULL);
}
END_TEST

static dmc_status create_in(void *where, void **out)
{
    const dmc_critic_options o = world_critic_options();
    return dmc_critic_create(where, data, &o, (dmc_critic **)out);
}

static void destroy(void *c)
{
    dmc_critic_destroy(c);
}

/* Also when the first values are asked for, which is when their memory is taken. */
START_TEST(working_without_memory)
{
    failing_alloc f = {0};
    dmc_context *own = world_context(&f, "cpu");
    dmc_critic *c;
    float obs[WORLD_S], act[WORLD_A], q, v;
    rows(1, obs, act);
    world_without_memory(&f, own, create_in, destroy);
    for (int64_t n = 1;; n++) {
        c = world_critic(own, data, 0);
        f.calls = 0;
        f.fail_at = n;
        dmc_status status = dmc_critic_q(c, 1, obs, act, &q, NULL);
        if (status >= 0) status = dmc_critic_v(c, 1, obs, &v);
        f.fail_at = 0;
        expect_ok(dmc_critic_q(c, 1, obs, act, &q, NULL)); /* it works again with memory */
        expect_ok(dmc_critic_v(c, 1, obs, &v));
        dmc_critic_destroy(c);
        if (status >= 0) break;
        ck_assert_int_eq(status, DMC_ENOMEM);
    }
    dmc_context_destroy(own);
    ck_assert_int_eq(f.live, 0);
}
END_TEST

static void add_case(Suite *s, TCase *c)
{
    tcase_add_checked_fixture(c, setup, teardown);
    suite_add_tcase(s, c);
}

Suite *dmc_suite_critic_fit(void)
{
    Suite *s = suite_create("critic_fit");
    TCase *c = tcase_create("learning");
    add_case(s, c);
    tcase_add_loop_test(c, rewards_go_through_their_map, 0, 3);
    tcase_add_loop_test(c, the_future_ends_at_a_terminal, 0, 2);
    tcase_add_loop_test(c, rewards_come_back_from_the_successor, 1, 4);
    tcase_add_test(c, chunks_by_hand);
    tcase_add_test(c, splits_share_no_episode);
    tcase_add_test(c, splits_without_episodes);
    tcase_add_test(c, rows_without_a_successor_are_not_used);
    tcase_add_test(c, data_without_transitions);
    tcase_add_test(c, losses_fall_and_steps_count);
    tcase_add_test(c, better_actions_are_worth_more);
    tcase_add_test(c, equal_seeds_learn_equally);
    c = tcase_create("values");
    add_case(s, c);
    tcase_add_test(c, values_do_not_depend_on_how_many);
    tcase_add_loop_test(c, the_gradient_is_that_of_q, 1, 3);
    tcase_add_test(c, training_shows_in_values_at_once);
    c = tcase_create("files");
    add_case(s, c);
    tcase_add_test(c, files_bring_the_same_values);
    tcase_add_test(c, a_loaded_critic_learns_on);
    tcase_add_test(c, files_bring_schedule_and_seed);
    tcase_add_test(c, data_of_other_widths);
    tcase_add_test(c, arguments_are_checked);
    tcase_add_test(c, working_without_memory);
    return s;
}
