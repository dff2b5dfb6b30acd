#include "../../kernels/kernels.h"
#include "../../lib/data/trajectories.h"
#include "failing_alloc.h"
#include "file_fixture.h"

#include <math.h>

static const dmc__allocator *const heap = &dmc__default_allocator;

/* Episodes of 3 (ends in a terminal), 2 (time-out) and 4 rows (end of file); row r holds r*10 +
 * column. */
enum { ROWS = 9, S = 2, A = 1 };
static float obs[ROWS * S], act[ROWS * A], rew[ROWS];
static const uint8_t terminals[ROWS] = {0, 0, 255, 0, 0, 0, 0, 0, 0},
                     timeouts[ROWS] = {0, 0, 0, 0, 1, 0, 0, 0, 0};

static void fill(void)
{
    for (int r = 0; r < ROWS; r++) {
        for (int j = 0; j < S; j++) obs[r * S + j] = (float)(r * 10 + j);
        act[r] = (float)(-r);
        rew[r] = (float)r;
    }
}

static dmc__trajectories *made(double held_out, uint64_t seed)
{
    dmc__trajectories *t;
    expect_ok(dmc__trajectories_create(heap, ROWS, S, A, obs, act, rew, terminals, timeouts,
                                       held_out, seed, &t));
    return t;
}

/* n episodes of `length` rows each. */
static dmc__trajectories *many(int32_t n, int32_t length, double held_out, uint64_t seed)
{
    dmc__trajectories *t;
    const size_t rows = (size_t)n * (size_t)length;
    float *x = calloc(rows, sizeof *x);
    uint8_t *end = calloc(rows, 1);
    ck_assert(x && end);
    for (size_t r = 0; r < rows; r++) end[r] = (r + 1) % (size_t)length == 0;
    expect_ok(dmc__trajectories_create(heap, rows, 1, 1, x, x, x, end, NULL, held_out, seed, &t));
    free(x);
    free(end);
    return t;
}

/* ---- episodes
 * ------------------------------------------------------------------------------------ */

START_TEST(episodes_end_where_they_should)
{
    dmc__trajectories *t = made(0, 0);
    const size_t start[] = {0, 3, 5, 9};
    ck_assert(t->rows == ROWS && t->episodes == 3 && t->obs_dim == S && t->act_dim == A);
    ck_assert_mem_eq(t->start, start, sizeof start);
    for (int r = 0; r < ROWS; r++)
        ck_assert_int_eq(t->terminal[r], r == 2); /* a time-out is no terminal */
    ck_assert_mem_eq(t->obs, obs, sizeof obs);
    ck_assert_ptr_ne(t->obs, obs);
    ck_assert_mem_eq(t->act, act, sizeof act);
    ck_assert_mem_eq(t->rew, rew, sizeof rew);
    ck_assert(t->n_train == 3 && t->n_held == 0 && t->train[0] == 0 && t->train[2] == 2);
    ck_assert(dmc__trajectories_return(t, 0) == 3 && dmc__trajectories_return(t, 1) == 7);
    ck_assert(dmc__trajectories_return(t, 2) == 26);
    dmc__trajectories_destroy(t);
    dmc__trajectories_destroy(NULL);
}
END_TEST

START_TEST(terminal_and_timeout_in_one_row)
{
    dmc__trajectories *t;
    const uint8_t both[ROWS] = {0, 0, 1, 0, 0, 0, 0, 0, 1};
    expect_ok(dmc__trajectories_create(heap, ROWS, S, A, obs, act, rew, both, both, 0, 0, &t));
    ck_assert(t->episodes == 2 && t->start[1] == 3 && t->start[2] == ROWS && t->terminal[8] == 1);
    dmc__trajectories_destroy(t);
    expect_ok(dmc__trajectories_create(heap, 1, S, A, obs, act, rew, both, NULL, 0.5, 0, &t));
    ck_assert(t->episodes == 1 && t->n_train == 1 && t->n_held == 0); /* one cannot be spared */
    dmc__trajectories_destroy(t);
}
END_TEST

START_TEST(split_is_complete_seeded_and_sized)
{
    static const struct {
        int32_t episodes, held;
        double share;
    } cases[] = {{100, 5, 0.05}, {100, 50, 0.5}, {10, 1, 0.05}, {5, 1, 0.05}, {2, 1, 0.5},
                 {3, 2, 0.5},    {1, 0, 0.5},    {7, 0, 0},     {30, 2, 0.05}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        dmc__trajectories *t = many(cases[k].episodes, 3, cases[k].share, 1);
        char seen[100] = {0};
        ck_assert_int_eq(t->n_held, cases[k].held);
        ck_assert_int_eq(t->n_train + t->n_held, t->episodes);
        for (int32_t i = 0; i < t->n_train; i++) seen[t->train[i]]++;
        for (int32_t i = 0; i < t->n_held; i++) seen[t->held[i]]++;
        for (int32_t e = 0; e < t->episodes; e++) ck_assert_int_eq(seen[e], 1);
        dmc__trajectories_destroy(t);
    }
    dmc__trajectories *a = many(100, 3, 0.1, 1), *b = many(100, 3, 0.1, 1),
                      *c = many(100, 3, 0.1, 2);
    ck_assert_mem_eq(a->held, b->held, 10 * sizeof *a->held);
    ck_assert(memcmp(a->held, c->held, 10 * sizeof *a->held) != 0);
    for (int i = 1; i < 10; i++) ck_assert_int_lt(a->held[i - 1], a->held[i]);
    dmc__trajectories_destroy(a);
    dmc__trajectories_destroy(b);
    dmc__trajectories_destroy(c);
}
END_TEST

/* The stream's number is written down in trajectories.c, which may not include kernels.h. */
START_TEST(split_uses_its_own_stream)
{
    const dmc__stream s = {.seed = 3, .purpose = DMC_STREAM_SPLIT};
    int32_t order[20];
    for (int32_t i = 0; i < 20; i++) order[i] = i;
    for (int32_t i = 19; i > 0; i--) {
        const int32_t j = (int32_t)dmc__rng_below(&s, (uint32_t)i, (uint64_t)i + 1), x = order[i];
        order[i] = order[j];
        order[j] = x;
    }
    dmc__trajectories *t = many(20, 1, 0.05, 3);
    ck_assert(t->n_held == 1 && t->held[0] == order[0]);
    dmc__trajectories_destroy(t);
}
END_TEST

START_TEST(every_episode_may_be_held_out)
{
    int count[10] = {0};
    for (uint64_t seed = 0; seed < 2000; seed++) {
        dmc__trajectories *t = many(10, 1, 0.1, seed);
        count[t->held[0]]++;
        dmc__trajectories_destroy(t);
    }
    for (int i = 0; i < 10; i++)
        ck_assert_msg(count[i] > 140 && count[i] < 260, "%d: %d", i, count[i]);
}
END_TEST

/* ---- what is refused
 * ------------------------------------------------------------------------------ */

START_TEST(values_must_be_finite)
{
    static const struct {
        float *array;
        int index;
        const char *part;
    } cases[] = {{obs, 0, "observations: row 0, column 0 is "},
                 {obs, 17, "observations: row 8, column 1 is "},
                 {act, 4, "actions: row 4, column 0 is "},
                 {rew, 8, "rewards: row 8, column 0 is "}};
    const float bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int k = 0; k < 3; k++) {
            dmc__trajectories *t = (dmc__trajectories *)1;
            cases[i].array[cases[i].index] = bad[k];
            expect_failure(dmc__trajectories_create(heap, ROWS, S, A, obs, act, rew, terminals,
                                                    timeouts, 0, 0, &t),
                           DMC_ENUMERIC, cases[i].part);
            ck_assert_ptr_null(t);
            fill();
        }
}
END_TEST

START_TEST(arguments_are_checked)
{
    dmc__trajectories *t = (dmc__trajectories *)1;
    const size_t huge = (size_t)INT32_MAX + 1;
    expect_failure(
        dmc__trajectories_create(heap, 0, S, A, obs, act, rew, terminals, NULL, 0, 0, &t),
        DMC_ESHAPE, "n = 0");
    ck_assert_ptr_null(t);
    expect_failure(
        dmc__trajectories_create(heap, huge, S, A, obs, act, rew, terminals, NULL, 0, 0, &t),
        DMC_EOVERFLOW, "n = 2147483648, must be at most 2147483647");
    expect_failure(
        dmc__trajectories_create(heap, 1, 0, A, obs, act, rew, terminals, NULL, 0, 0, &t),
        DMC_ESHAPE, "obs_dim = 0");
    expect_failure(
        dmc__trajectories_create(heap, 1, S, -1, obs, act, rew, terminals, NULL, 0, 0, &t),
        DMC_ESHAPE, "act_dim = -1");
    expect_failure(
        dmc__trajectories_create(heap, 1, S, A, obs, act, rew, terminals, NULL, 0.51, 0, &t),
        DMC_ERANGE, "held_out = 0.51, must be 0..0.5");
    expect_failure(
        dmc__trajectories_create(heap, 1, S, A, obs, act, rew, terminals, NULL, NAN, 0, &t),
        DMC_ERANGE, "held_out");
}
END_TEST

START_TEST(creating_without_memory)
{
    int64_t n = 1;
    for (dmc_status status = DMC_ENOMEM; status != DMC_OK; n++) {
        failing_alloc f = {.fail_at = n};
        const dmc__allocator a = failing_allocator(&f);
        dmc__trajectories *t = (dmc__trajectories *)1;
        status = dmc__trajectories_create(&a, ROWS, S, A, obs, act, rew, terminals, timeouts, 0.5,
                                          0, &t);
        if (status != DMC_OK) {
            ck_assert_int_eq(status, DMC_ENOMEM);
            ck_assert_ptr_null(t);
        }
        dmc__trajectories_destroy(t);
        ck_assert_int_eq(f.live, 0);
    }
    ck_assert_int_eq(n, 11);
}
END_TEST

/* ---- drawing
 * -------------------------------------------------------------------------------------- */

START_TEST(rows_are_drawn_uniformly_from_their_side)
{
    enum { DRAWS = 20000 };
    int count[ROWS] = {0};
    dmc__trajectories *t = made(0.34, 5);
    ck_assert_int_eq(t->n_held, 1);
    for (uint64_t i = 0; i < 2 * DRAWS; i++) {
        const bool held = i >= DRAWS;
        const dmc__stream s = {
            .seed = 1, .purpose = DMC_STREAM_BATCH, .step = i % DRAWS, .sample = 3};
        const dmc__position p = dmc__trajectories_draw(t, held, &s);
        ck_assert(p.episode >= 0 && p.episode < 3 && p.row >= 0);
        ck_assert_uint_lt(t->start[p.episode] + (size_t)p.row, t->start[p.episode + 1]);
        ck_assert_int_eq(held, p.episode == t->held[0]);
        count[t->start[p.episode] + (size_t)p.row]++;
    }
    const double held_rows = (double)t->held_rows[1], train_rows = ROWS - held_rows;
    ck_assert_uint_eq(t->train_rows[2], (size_t)train_rows);
    for (int32_t e = 0; e < 3; e++)
        for (size_t r = t->start[e]; r < t->start[e + 1]; r++) {
            const double want = DRAWS / (e == t->held[0] ? held_rows : train_rows);
            ck_assert_msg(fabs(count[r] - want) < 5 * sqrt(want), "row %zu: %d, want %g", r,
                          count[r], want);
        }
    const dmc__stream s = {.seed = 1, .purpose = DMC_STREAM_BATCH};
    const dmc__position a = dmc__trajectories_draw(t, false, &s),
                        b = dmc__trajectories_draw(t, false, &s);
    ck_assert(a.episode == b.episode && a.row == b.row);
    dmc__trajectories_destroy(t);
}
END_TEST

START_TEST(drawing_from_nothing)
{
    const dmc__stream s = {.seed = 1};
    dmc__trajectories *t = made(0, 0);
    const dmc__position p = dmc__trajectories_draw(t, true, &s);
    ck_assert(p.episode == -1 && p.row == -1);
    dmc__trajectories_destroy(t);
}
END_TEST

/* ---- windows
 * -------------------------------------------------------------------------------------- */

START_TEST(context_replicates_the_first_observation)
{
    dmc__trajectories *t = made(0, 0);
    float out[4 * S];
    dmc__window_context(t, (dmc__position){1, 1}, 4, out); /* rows 3 and 4 of the file */
    const float want[] = {30, 31, 30, 31, 30, 31, 40, 41};
    ck_assert_mem_eq(out, want, sizeof want);
    dmc__window_context(t, (dmc__position){2, 3}, 2, out);
    const float last[] = {70, 71, 80, 81};
    ck_assert_mem_eq(out, last, sizeof last);
    dmc__window_context(t, (dmc__position){0, 0}, 1, out);
    const float first[] = {0, 1};
    ck_assert_mem_eq(out, first, sizeof first);
    dmc__trajectories_destroy(t);
}
END_TEST

START_TEST(actions_replicate_the_last_one)
{
    dmc__trajectories *t = made(0, 0);
    float out[4];
    uint8_t valid[4];
    dmc__window_actions(t, (dmc__position){0, 1}, 4, out, valid);
    const float want[] = {-1, -2, -2, -2};
    const uint8_t ok[] = {1, 1, 0, 0};
    ck_assert_mem_eq(out, want, sizeof want);
    ck_assert_mem_eq(valid, ok, sizeof ok);
    dmc__window_actions(t, (dmc__position){2, 0}, 4, out, NULL);
    const float all[] = {-5, -6, -7, -8};
    ck_assert_mem_eq(out, all, sizeof all);
    dmc__trajectories_destroy(t);
}
END_TEST

START_TEST(plans_hold_states_and_actions)
{
    dmc__trajectories *t = made(0, 0);
    float out[3 * (S + A)];
    uint8_t valid[3];
    dmc__window_plan(t, (dmc__position){1, 0}, 3, out, valid);
    const float want[] = {30, 31, -3, 40, 41, -4, 40, 41, -4};
    const uint8_t ok[] = {1, 1, 0};
    ck_assert_mem_eq(out, want, sizeof want);
    ck_assert_mem_eq(valid, ok, sizeof ok);
    dmc__trajectories_destroy(t);
}
END_TEST

Suite *dmc_suite_trajectories(void);
Suite *dmc_suite_trajectories(void)
{
    Suite *s = suite_create("trajectories");
    TCase *c = tcase_create("all");
    tcase_add_checked_fixture(c, fill, NULL);
    tcase_add_test(c, episodes_end_where_they_should);
    tcase_add_test(c, terminal_and_timeout_in_one_row);
    tcase_add_test(c, split_is_complete_seeded_and_sized);
    tcase_add_test(c, split_uses_its_own_stream);
    tcase_add_test(c, every_episode_may_be_held_out);
    tcase_add_test(c, values_must_be_finite);
    tcase_add_test(c, arguments_are_checked);
    tcase_add_test(c, creating_without_memory);
    tcase_add_test(c, rows_are_drawn_uniformly_from_their_side);
    tcase_add_test(c, drawing_from_nothing);
    tcase_add_test(c, context_replicates_the_first_observation);
    tcase_add_test(c, actions_replicate_the_last_one);
    tcase_add_test(c, plans_hold_states_and_actions);
    suite_add_tcase(s, c);
    return s;
}
