/* check_experience.c — dmc_replay: a ring of transitions, and what a critic makes of them. */
#include "world_fixture.h"

Suite *dmc_suite_experience(void);

static dmc_replay *replay_of(int32_t obs_dim, int32_t act_dim, size_t capacity)
{
    dmc_replay *r;
    expect_ok(dmc_replay_create(NULL, obs_dim, act_dim, capacity, &r));
    return r;
}

/* Row i of a world with one observation and action: 10+i, i, and pays -i; it leads to the next. */
static void push_rows(dmc_replay *r, int first, int n, uint8_t last_is_end)
{
    for (int i = first; i < first + n; i++) {
        const float obs = 10 + (float)i, act = (float)i, rew = -(float)i, next = 11 + (float)i;
        const uint8_t end = i + 1 == first + n && last_is_end;
        expect_ok(dmc_replay_push(r, 1, &obs, &act, &rew, &next, &end));
    }
}

/* ---- the ring --------------------------------------------------------------------------------------- */

START_TEST(the_oldest_are_pushed_out)
{
    dmc_replay *r = replay_of(1, 1, 5);
    float obs[5], act[5], rew[5], next[5];
    uint8_t end[5];
    ck_assert_uint_eq(dmc_replay_count(r), 0);
    push_rows(r, 0, 3, 0);
    ck_assert_uint_eq(dmc_replay_count(r), 3);
    push_rows(r, 3, 4, 1);
    ck_assert_uint_eq(dmc_replay_count(r), 5);
    expect_ok(dmc_replay_read(r, 0, 5, obs, act, rew, next, end));
    for (int i = 0; i < 5; i++) {
        ck_assert_float_eq(act[i], (float)(i + 2));
        ck_assert_float_eq(obs[i], (float)(i + 12));
        ck_assert_float_eq(rew[i], -(float)(i + 2));
        ck_assert_float_eq(next[i], (float)(i + 13));
        ck_assert_int_eq(end[i], i == 4);
    }
    expect_ok(dmc_replay_read(r, 4, 1, NULL, act, NULL, NULL, NULL));
    ck_assert_float_eq(act[0], 6);
    expect_failure(dmc_replay_read(r, 4, 2, obs, act, rew, next, end), DMC_ERANGE, "first = 4 and n = 2, but there are 5");
    dmc_replay_destroy(r);
}
END_TEST

/* Episodes 0..2 (cut), 10..13 (its end) and 14 (starts where the last one ended, but that was the end). */
START_TEST(episodes_are_found_again)
{
    static const size_t run[] = {3, 2, 1, 4, 3, 2, 1, 1}, past[] = {0, 1, 2, 0, 1, 2, 3, 0};
    dmc_replay *r = replay_of(1, 1, 8), *small = replay_of(1, 1, 6);
    for (int k = 0; k < 2; k++) {
        dmc_replay *const to = k ? small : r;
        push_rows(to, 0, 3, 0);
        push_rows(to, 10, 4, 1);
        push_rows(to, 14, 1, 0);
    }
    for (size_t i = 0; i < 8; i++) {
        ck_assert_uint_eq(dmc__experience_run(&r->x, i, 99), run[i]);
        ck_assert_uint_eq(dmc__experience_run(&r->x, i, 2), run[i] < 2 ? run[i] : 2);
        ck_assert_uint_eq(dmc__experience_past(&r->x, i), past[i]);
    }
    ck_assert_uint_eq(dmc__experience_past(&small->x, 0), 0); /* row 2: rows 0 and 1 are gone */
    ck_assert_uint_eq(dmc__experience_run(&small->x, 0, 99), 1);
    ck_assert_uint_eq(dmc__experience_run(&small->x, 1, 99), 4);
    dmc_replay_destroy(small);
    dmc_replay_destroy(r);
}
END_TEST

START_TEST(an_episode_is_its_transitions)
{
    const float obs[] = {0, 1, 2, 3, 4, 5, 6, 7}, act[] = {5, 6, 7}, rew[] = {-1, -2, -3};
    dmc_replay *r = replay_of(2, 1, 9);
    float from[6], to[6], did[3], paid[3];
    uint8_t end[3];
    expect_ok(dmc_replay_push_episode(r, 3, obs, act, rew, _i));
    expect_ok(dmc_replay_read(r, 0, 3, from, did, paid, to, end));
    ck_assert_mem_eq(from, obs, sizeof from);
    ck_assert_mem_eq(to, obs + 2, sizeof to);
    ck_assert_mem_eq(did, act, sizeof did);
    ck_assert_mem_eq(paid, rew, sizeof paid);
    ck_assert(!end[0] && !end[1] && end[2] == _i);
    ck_assert_uint_eq(dmc__experience_run(&r->x, 0, 99), 3);
    dmc_replay_destroy(r);
}
END_TEST

/* 4000 draws of five rows: 800 each, with a standard deviation of sqrt(4000 .2 .8) = 25.3. */
START_TEST(draws_are_even_and_repeatable)
{
    enum { N = 4000 };
    static float a[N], b[N];
    int count[5] = {0};
    dmc_replay *r = replay_of(1, 1, 5);
    expect_failure(dmc_replay_draw(r, 1, 1, NULL, a, NULL, NULL, NULL), DMC_ESTATE, "the replay is empty");
    push_rows(r, 0, 7, 0);
    expect_ok(dmc_replay_draw(r, 1, N, NULL, a, NULL, NULL, NULL));
    expect_ok(dmc_replay_draw(r, 1, N, NULL, b, NULL, NULL, NULL));
    ck_assert_mem_eq(a, b, sizeof a);
    expect_ok(dmc_replay_draw(r, 2, N, NULL, b, NULL, NULL, NULL));
    ck_assert_mem_ne(a, b, sizeof a);
    for (int i = 0; i < N; i++) count[(int)a[i] - 2]++;
    for (int i = 0; i < 5; i++) ck_assert_msg(abs(count[i] - N / 5) < 102, "row %d: %d times", i, count[i]);
    dmc_replay_destroy(r);
}
END_TEST

START_TEST(numbers_must_be_finite)
{
    dmc_replay *r = replay_of(2, 1, 5);
    float x[4][4] = {{0}};
    const uint8_t end[2] = {0};
    static const char *const names[] = {"observations: row 1, column 1", "actions: row 1, column 0", "rewards: row 1, column 0",
                                        "next observations: row 1, column 1"};
    static const int place[] = {3, 1, 1, 3};
    for (int k = 0; k < 4; k++) {
        x[k][place[k]] = NAN;
        expect_failure(dmc_replay_push(r, 2, x[0], x[1], x[2], x[3], end), DMC_ENUMERIC, names[k]);
        x[k][place[k]] = 0;
    }
    x[0][3] = INFINITY;
    expect_failure(dmc_replay_push_episode(r, 1, x[0], x[1], x[2], 0), DMC_ENUMERIC, names[0]);
    ck_assert_uint_eq(dmc_replay_count(r), 0);
    dmc_replay_destroy(r);
}
END_TEST

/* ---- critics ---------------------------------------------------------------------------------------- */

/* 30 rows of one observation and action column, all in one cut-off episode; the reward is the same everywhere. */
static dmc_dataset *even_data(float reward, int32_t kind)
{
    float obs[30], act[30], rew[30];
    uint8_t end[30] = {0};
    dmc_dataset_options o;
    dmc_dataset *d;
    for (int i = 0; i < 30; i++) obs[i] = (float)(i % 3), act[i] = (float)(i % 5), rew[i] = reward;
    dmc_dataset_options_init(&o, sizeof o);
    o.held_out = 0;
    o.reward = kind;
    expect_ok(dmc_dataset_create(NULL, 30, 1, 1, obs, act, rew, end, NULL, &o, &d));
    return d;
}

/* The same rows in a replay; every one is an end, or none is. */
static dmc_replay *even_replay(float reward, uint8_t end)
{
    dmc_replay *r = replay_of(1, 1, 30);
    for (int i = 0; i < 30; i++) {
        const float obs = (float)(i % 3), act = (float)(i % 5), next = (float)((i + 1) % 3);
        expect_ok(dmc_replay_push(r, 1, &obs, &act, &reward, &next, &end));
    }
    return r;
}

/* Mean of both twins over the rows after learning with `share` from the replay. */
static double learnt(const dmc_dataset *d, const dmc_replay *r, double share, double gamma)
{
    dmc_critic_options o = world_critic_options();
    float q1[30], q2[30];
    double sum = 0;
    dmc_critic *c;
    o.gamma = gamma;
    o.lr = 2e-2;
    o.polyak = 0.1;
    o.steps = 300;
    expect_ok(dmc_critic_create(NULL, d, &o, &c));
    expect_ok(dmc_critic_step_on(c, r, share, 300, NULL));
    expect_ok(dmc_critic_q(c, 30, d->data->obs, d->data->act, q1, q2));
    for (int i = 0; i < 30; i++) sum += (q1[i] + q2[i]) / 60;
    dmc_critic_destroy(c);
    return sum;
}

/* The dataset pays 0 and the replay 4 for the same: Q is the mean over what is drawn. */
START_TEST(a_share_of_every_batch)
{
    static const double share[] = {0, 0.25, 0.5, 1};
    dmc_dataset *d = even_data(0, DMC_REWARD_RAW);
    dmc_replay *r = even_replay(4, 0);
    ck_assert_double_eq_tol(learnt(d, r, share[_i], 0), 4 * share[_i], 0.1);
    dmc_replay_destroy(r);
    dmc_dataset_destroy(d);
}
END_TEST

/* Reward 1 for ever is worth 1 / (1 - gamma) = 2 though every transition is cut from the next; where each is the end, 1. */
START_TEST(the_future_ends_at_a_terminal)
{
    dmc_dataset *d = even_data(9, DMC_REWARD_RAW);
    dmc_replay *r = even_replay(1, (uint8_t)_i);
    ck_assert_double_eq_tol(learnt(d, r, 1, 0.5), _i ? 1 : 2, 0.1);
    dmc_replay_destroy(r);
    dmc_dataset_destroy(d);
}
END_TEST

START_TEST(rewards_go_through_the_datasets_map)
{
    dmc_dataset *d = even_data(0, DMC_REWARD_MINUS1);
    dmc_replay *r = even_replay(4, 0);
    ck_assert_double_eq_tol(learnt(d, r, 1, 0), 3, 0.1);
    dmc_replay_destroy(r);
    dmc_dataset_destroy(d);
}
END_TEST

/* Without a share it is dmc_critic_step, Adam's state included. */
START_TEST(learning_goes_on)
{
    dmc_dataset *d = world_data(NULL);
    dmc_replay *r = replay_of(WORLD_S, WORLD_A, 4);
    dmc_critic *a = world_critic(NULL, d, 20), *b = world_critic(NULL, d, 10);
    float q[3][WORLD_ROWS];
    dmc_critic_metrics m;
    expect_ok(dmc_critic_step_on(b, r, 0, 10, &m));
    ck_assert_int_eq(m.step, 20);
    expect_ok(dmc_critic_q(a, WORLD_ROWS, d->data->obs, d->data->act, q[0], NULL));
    expect_ok(dmc_critic_q(b, WORLD_ROWS, d->data->obs, d->data->act, q[1], NULL));
    ck_assert_mem_eq(q[0], q[1], sizeof q[0]);
    expect_ok(dmc_replay_push_episode(r, 2, d->data->obs, d->data->act, d->data->rew, 1));
    expect_ok(dmc_critic_step(a, 1, NULL));
    expect_ok(dmc_critic_step_on(b, r, 0.5, 1, &m));
    ck_assert(isfinite(m.q_loss) && isfinite(m.v_loss) && m.step == 21 && m.seconds >= 0);
    expect_ok(dmc_critic_q(a, WORLD_ROWS, d->data->obs, d->data->act, q[0], NULL));
    expect_ok(dmc_critic_q(b, WORLD_ROWS, d->data->obs, d->data->act, q[2], NULL));
    ck_assert_mem_ne(q[0], q[2], sizeof q[0]);
    dmc_critic_destroy(b);
    dmc_critic_destroy(a);
    dmc_replay_destroy(r);
    dmc_dataset_destroy(d);
}
END_TEST

/* ---- arguments and memory --------------------------------------------------------------------------- */

START_TEST(arguments_are_checked)
{
    dmc_dataset *d = world_data(NULL);
    dmc_critic *c = world_critic(NULL, d, 0);
    dmc_replay *r = (dmc_replay *)(uintptr_t)1, *wide = replay_of(WORLD_S + 1, WORLD_A, 4), *empty = replay_of(WORLD_S, WORLD_A, 4);
    const float x[8] = {0};
    const uint8_t end = 0;
    expect_failure(dmc_replay_create(NULL, 0, 1, 4, &r), DMC_ESHAPE, "obs_dim = 0, act_dim = 1");
    ck_assert_ptr_null(r);
    expect_failure(dmc_replay_create(NULL, 1, 1, 0, &r), DMC_ERANGE, "capacity = 0");
    expect_failure(dmc_replay_create(NULL, 1, 1, (size_t)1 << 31, &r), DMC_ERANGE, "capacity = 2147483648");
    expect_failure(dmc_replay_create(NULL, 1, 1, 1, NULL), DMC_EINVAL, "out is NULL");
    expect_failure(dmc_replay_push(wide, 1, NULL, x, x, x, &end), DMC_EINVAL, "obs is NULL");
    expect_failure(dmc_replay_push(wide, 1, x, x, x, x, NULL), DMC_EINVAL, "terminals is NULL");
    expect_failure(dmc_replay_push_episode(NULL, 1, x, x, x, 0), DMC_EINVAL, "r is NULL");
    expect_failure(dmc_critic_step_on(c, wide, 0.5, 1, NULL), DMC_ESHAPE, "observations of 4 and actions of 2, the critic wants 3");
    expect_failure(dmc_critic_step_on(c, empty, 0.5, 1, NULL), DMC_ESTATE, "share = 0.5 of an empty replay");
    expect_failure(dmc_critic_step_on(c, empty, 1.5, 1, NULL), DMC_ERANGE, "share = 1.5, must be 0..1");
    expect_failure(dmc_critic_step_on(c, empty, NAN, 1, NULL), DMC_ERANGE, "share = ");
    expect_failure(dmc_critic_step_on(c, empty, 0, -1, NULL), DMC_ERANGE, "n = -1");
    expect_failure(dmc_critic_step_on(c, NULL, 0, 1, NULL), DMC_EINVAL, "r is NULL");
    ck_assert_uint_eq(dmc_replay_count(NULL), 0);
    dmc_replay_destroy(NULL);
    dmc_replay_destroy(empty);
    dmc_replay_destroy(wide);
    dmc_critic_destroy(c);
    dmc_dataset_destroy(d);
}
END_TEST

static dmc_status create_in(void *where, void **out)
{
    return dmc_replay_create(where, 3, 2, 10, (dmc_replay **)out);
}

static void destroy(void *r)
{
    dmc_replay_destroy(r);
}

START_TEST(working_without_memory)
{
    failing_alloc f = {0};
    dmc_context *own = world_context(&f, "cpu");
    world_without_memory(&f, own, create_in, destroy);
    dmc_context_destroy(own);
    ck_assert_int_eq(f.live, 0);
}
END_TEST

Suite *dmc_suite_experience(void)
{
    Suite *s = suite_create("experience");
    TCase *c = tcase_create("experience");
    tcase_add_test(c, the_oldest_are_pushed_out);
    tcase_add_test(c, episodes_are_found_again);
    tcase_add_loop_test(c, an_episode_is_its_transitions, 0, 2);
    tcase_add_test(c, draws_are_even_and_repeatable);
    tcase_add_test(c, numbers_must_be_finite);
    tcase_add_loop_test(c, a_share_of_every_batch, 0, 4);
    tcase_add_loop_test(c, the_future_ends_at_a_terminal, 0, 2);
    tcase_add_test(c, rewards_go_through_the_datasets_map);
    tcase_add_test(c, learning_goes_on);
    tcase_add_test(c, arguments_are_checked);
    tcase_add_test(c, working_without_memory);
    suite_add_tcase(s, c);
    return s;
}
