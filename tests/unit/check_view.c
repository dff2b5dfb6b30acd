/* check_view.c — windows, conditions, masks and weights as a model sees them, at the ends of episodes most of all. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "../../kernels/kernels.h"
#include "../../lib/data/view.h"

Suite *dmc_suite_view(void);

enum { S = 2, A = 1, ROWS = 7 };

/* Episodes of 4 and 3 rows; row i holds observations 10 i, 10 i + 1 and action 100 + i. */
static dmc__trajectories *data;
static dmc__normaliser obs, act;

static void make_normaliser(dmc__normaliser *n, int32_t width, float shift, float scale)
{
    ck_assert_int_eq(dmc__normaliser_create(&dmc__default_allocator, DMC__NORM_GAUSSIAN, width, n), DMC_OK);
    for (int32_t i = 0; i < width; i++) {
        n->shift[i] = shift + (float)i;
        n->scale[i] = scale;
    }
}

static void setup(void)
{
    float o[ROWS * S], a[ROWS], r[ROWS] = {0};
    const uint8_t end[ROWS] = {0, 0, 0, 1, 0, 0, 0};
    for (int i = 0; i < ROWS; i++) {
        o[S * i] = (float)(10 * i);
        o[S * i + 1] = (float)(10 * i + 1);
        a[i] = (float)(100 + i);
    }
    ck_assert_int_eq(
        dmc__trajectories_create(&dmc__default_allocator, ROWS, S, A, o, a, r, end, NULL, 0, 0, &data), DMC_OK);
    make_normaliser(&obs, S, 1, 2);
    make_normaliser(&act, A, 100, 4);
}

static void teardown(void)
{
    dmc__normaliser_free(&act);
    dmc__normaliser_free(&obs);
    dmc__trajectories_destroy(data);
}

static dmc__view view(int32_t planner, int32_t horizon, int32_t n_obs)
{
    return (dmc__view){.data = data, .obs = &obs, .act = &act, .planner = planner, .horizon = horizon, .n_obs = n_obs};
}

/* Normalised values of a row. */
static float state(int row, int j)
{
    return ((float)(10 * row + j) - (float)(1 + j)) / 2;
}

static float action(int row)
{
    return (float)row / 4;
}

#define expect_floats(x, n, ...)                                                                       \
    do {                                                                                               \
        const float want_[] = {__VA_ARGS__};                                                           \
        ck_assert_uint_eq(sizeof want_ / sizeof *want_, (n));                                          \
        for (size_t i_ = 0; i_ < (n); i_++)                                                            \
            ck_assert_msg((x)[i_] == want_[i_], #x "[%zu] = %g, want %g", i_, (double)(x)[i_], (double)want_[i_]); \
    } while (0)

START_TEST(sizes)
{
    const dmc__view p = view(0, 3, 4), q = view(1, 3, 4);
    ck_assert_int_eq(dmc__view_cols(&p), A);
    ck_assert_int_eq(dmc__view_cond(&p), 4 * S);
    ck_assert_uint_eq(dmc__view_elems(&p), 3 * A);
    ck_assert_int_eq(dmc__view_cols(&q), S + A);
    ck_assert_int_eq(dmc__view_cond(&q), 0);
    ck_assert_uint_eq(dmc__view_elems(&q), 3 * (S + A));
}
END_TEST

START_TEST(a_policy_in_the_middle)
{
    const dmc__view v = view(0, 2, 2);
    float z[2], cond[4], mask[2], weight[2];
    dmc__view_sample(&v, (dmc__position){0, 1}, z, cond, mask, weight);
    expect_floats(z, 2, action(1), action(2));
    expect_floats(cond, 4, state(0, 0), state(0, 1), state(1, 0), state(1, 1));
    expect_floats(mask, 2, 0, 0);
    expect_floats(weight, 2, 1, 1);
}
END_TEST

/* The last row of the first episode: actions are held and do not count, nothing of the next episode is seen. */
START_TEST(a_policy_at_the_end)
{
    const dmc__view v = view(0, 3, 1);
    float z[3], cond[2], mask[3], weight[3];
    dmc__view_sample(&v, (dmc__position){0, 3}, z, cond, mask, weight);
    expect_floats(z, 3, action(3), action(3), action(3));
    expect_floats(weight, 3, 1, 0, 0);
    expect_floats(cond, 2, state(3, 0), state(3, 1));
}
END_TEST

/* The first row of the second episode: its observation is repeated, nothing of the one before is seen. */
START_TEST(a_policy_at_the_start)
{
    const dmc__view v = view(0, 1, 3);
    float z[1], cond[6];
    dmc__view_sample(&v, (dmc__position){1, 0}, z, cond, NULL, NULL);
    expect_floats(z, 1, action(4));
    expect_floats(cond, 6, state(4, 0), state(4, 1), state(4, 0), state(4, 1), state(4, 0), state(4, 1));
}
END_TEST

START_TEST(a_planner_at_the_end)
{
    const dmc__view v = view(1, 4, 1);
    float z[12], mask[12], weight[12];
    dmc__view_sample(&v, (dmc__position){1, 1}, z, NULL, mask, weight); /* rows 5, 6, then 6 held */
    expect_floats(z, 12, state(5, 0), state(5, 1), action(5), state(6, 0), state(6, 1), action(6), state(6, 0), state(6, 1),
                  action(6), state(6, 0), state(6, 1), action(6));
    expect_floats(mask, 12, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    expect_floats(weight, 12, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0);
}
END_TEST

/* A position in the data and the same observations from outside make the same condition. */
START_TEST(conditions_agree)
{
    const float raw[6] = {0, 1, 10, 11, 20, 21};
    const dmc__view p = view(0, 2, 3), q = view(1, 2, 1), late = view(1, 2, 3);
    float a[6], b[6], mask[2][6], known[2][6];
    dmc__view_condition(&p, (dmc__position){0, 2}, a, NULL, NULL);
    dmc__view_observe(&p, raw, b, NULL, NULL);
    ck_assert_mem_eq(a, b, sizeof a);
    dmc__view_condition(&q, (dmc__position){0, 2}, NULL, mask[0], known[0]);
    dmc__view_observe(&q, raw + 4, NULL, mask[1], known[1]);
    for (int i = 0; i < 2; i++) {
        expect_floats(mask[i], 6, 1, 1, 0, 0, 0, 0);
        expect_floats(known[i], 6, state(2, 0), state(2, 1), 0, 0, 0, 0);
    }
    dmc__view_observe(&late, raw, NULL, mask[1], known[1]); /* of several, a planner takes the newest */
    ck_assert_mem_eq(known[0], known[1], sizeof known[0]);
}
END_TEST

START_TEST(dataset_units_come_back)
{
    const dmc__view p = view(0, 2, 1), q = view(1, 2, 1);
    float z[6], cond[2], back[6];
    dmc__view_sample(&p, (dmc__position){0, 1}, z, cond, NULL, NULL);
    dmc__view_denormalise(&p, z, back);
    expect_floats(back, 2, 101, 102);
    dmc__view_sample(&q, (dmc__position){0, 1}, z, NULL, NULL, NULL);
    dmc__view_denormalise(&q, z, z); /* in place */
    expect_floats(z, 6, 10, 11, 101, 20, 21, 102);
}
END_TEST

/* Rows before h and row h's state are known, h uniform in 1..T-1, so at least the last action is left to predict. */
START_TEST(causal_masks)
{
    enum { T = 4, DRAWS = 3000, C = S + A };
    const dmc__view v = view(1, T, 1);
    int32_t count[T] = {0};
    for (uint64_t i = 0; i < DRAWS; i++) {
        const dmc__stream s = {5, DMC_STREAM_MASK, 0, i};
        float z[T * C], mask[T * C], weight[T * C];
        int32_t known = 0;
        dmc__view_sample(&v, (dmc__position){0, 2}, z, NULL, mask, weight); /* two rows are padding */
        dmc__view_causal_mask(&v, 0, &s, mask, weight);
        while (known < T * C && mask[known] == 1) known++;
        ck_assert_int_eq(known % C, S);
        count[known / C]++;
        for (int32_t j = 0; j < T * C; j++) {
            ck_assert_float_eq(mask[j], j < known ? 1 : 0);
            ck_assert_float_eq(weight[j], j < known || j >= 2 * C ? 0 : 1);
        }
    }
    ck_assert_int_eq(count[0], 0);
    for (int32_t h = 1; h < T; h++) ck_assert_int_lt(abs(count[h] - DRAWS / (T - 1)), 110); /* 4 sigma */
}
END_TEST

/* With a bound H: h uniform in 1..H. Of a policy rows < h are known and no part of row h. */
START_TEST(prefixes_have_a_bound)
{
    enum { T = 6, H = 3, DRAWS = 3000 };
    const dmc__view v = view(_i, T, 1);
    const int32_t c = dmc__view_cols(&v), state = _i ? S : 0;
    int32_t count[T] = {0};
    for (uint64_t i = 0; i < DRAWS; i++) {
        const dmc__stream s = {5, DMC_STREAM_MASK, 1, i};
        float z[T * (S + A)], cond[S], mask[T * (S + A)], weight[T * (S + A)];
        int32_t known = 0;
        dmc__view_sample(&v, (dmc__position){0, 0}, z, cond, mask, weight);
        dmc__view_causal_mask(&v, H, &s, mask, weight);
        while (known < T * c && mask[known] == 1) known++;
        for (int32_t j = 0; j < T * c; j++) {
            ck_assert_float_eq(mask[j], j < known ? 1 : 0);
            ck_assert(mask[j] == 0 || weight[j] == 0);
        }
        ck_assert_int_eq(known % c, state);
        count[known / c]++;
    }
    for (int32_t h = 0; h < T; h++)
        ck_assert_int_lt(abs(count[h] - (h >= 1 && h <= H ? DRAWS / H : 0)), h >= 1 && h <= H ? 110 : 1); /* 4 sigma */
}
END_TEST

/* Rows a..b unknown, all else known: a pair has probability 2/T^2, 1/T^2 where a = b. A planner's first state is known anyway. */
START_TEST(windows)
{
    enum { T = 4, DRAWS = 8000 };
    const dmc__view v = view(_i, T, 1);
    const int32_t c = dmc__view_cols(&v), state = _i ? S : 0;
    int32_t count[T][T] = {{0}};
    for (uint64_t i = 0; i < DRAWS; i++) {
        const dmc__stream s = {5, DMC_STREAM_MASK, 2, i};
        float z[T * (S + A)], cond[S], mask[T * (S + A)], weight[T * (S + A)];
        int32_t a = -1, b = -1;
        dmc__view_sample(&v, (dmc__position){0, 0}, z, cond, mask, weight);
        dmc__view_window_mask(&v, &s, mask, weight);
        for (int32_t h = 0; h < T; h++)
            if (mask[h * c + state] == 0) { /* its action: its first state may be known anyway */
                if (a < 0) a = h;
                b = h;
            }
        ck_assert_int_ge(a, 0);
        for (int32_t j = 0; j < T * c; j++) {
            const int32_t known = j / c < a || j / c > b || j < state;
            ck_assert_float_eq(mask[j], (float)known);
            ck_assert_float_eq(weight[j], (float)!known);
        }
        count[a][b]++;
    }
    for (int32_t a = 0; a < T; a++)
        for (int32_t b = a; b < T; b++) {
            const double p = (a == b ? 1.0 : 2.0) / (T * T);
            ck_assert_double_lt(fabs(count[a][b] - p * DRAWS), 4.5 * sqrt(DRAWS * p * (1 - p)));
        }
}
END_TEST

START_TEST(no_causal_mask_of_one_row)
{
    const dmc__stream s = {5, DMC_STREAM_MASK, 0, 0};
    const dmc__view p = view(0, 1, 1), q = view(1, 1, 1);
    float mask[4] = {0, 1, 2, 3}, weight[4] = {4, 5, 6, 7};
    dmc__view_causal_mask(&p, 0, &s, mask, weight);
    dmc__view_causal_mask(&q, 0, &s, mask, weight);
    dmc__view_window_mask(&p, &s, mask, weight);
    expect_floats(mask, 4, 0, 1, 2, 3);
    expect_floats(weight, 4, 4, 5, 6, 7);
}
END_TEST

/* Rows 1, 2 in the middle; the last two of an episode that ends at the row; dataset units (x - shift) / 2, (a - 100) / 4. */
START_TEST(transitions)
{
    const dmc__view v = view(0, 2, 1);
    float states[2 * S], action[A];
    dmc__view_transition(&v, (dmc__position){0, 1}, states, action);
    expect_floats(states, 4, 4.5, 4.5, 9.5, 9.5);
    expect_floats(action, 1, 0.25);
    dmc__view_transition(&v, (dmc__position){0, 3}, states, action);
    expect_floats(states, 4, 9.5, 9.5, 14.5, 14.5);
    expect_floats(action, 1, 0.5);
}
END_TEST

/* Pushing one observation after the other makes the window that is cut from the data, to the bit, with and without a memory;
 * the memory is m0 = o0, m <- m/4 + 3 o/4 over what has left the window. */
START_TEST(pushing_is_cutting)
{
    enum { N = 2 };
    dmc__view v = view(0, 1, N);
    v.memory = _i ? 0.25 : 0;
    float window[N * S], seen[N * S], z[A], cond[N * S];
    for (int32_t row = 0; row < 4; row++) {
        const float *const o = data->obs + (size_t)row * S;
        if (row == 0)
            for (int i = 0; i < N; i++) memcpy(window + (size_t)i * S, o, S * sizeof *o);
        else
            dmc__view_push(&v, o, window);
        dmc__view_observe(&v, window, seen, NULL, NULL);
        dmc__view_sample(&v, (dmc__position){0, row}, z, cond, NULL, NULL);
        ck_assert_mem_eq(seen, cond, sizeof cond);
    }
    /* observations 0, 10, 20, 30: the memory after the third left the window is ((0/4 + 3 10/4)/4 + 3 20/4) */
    if (_i) expect_floats(window, 4, 16.875, 17.875, 30, 31);
    else expect_floats(window, 4, 20, 21, 30, 31);
}
END_TEST

/* States alone: rows are observations, row 0 is known, and past the end nothing counts. */
START_TEST(a_planner_of_states)
{
    float z[3 * S], raw[3 * S], back[3 * S], mask[3 * S], weight[3 * S], known[3 * S];
    dmc__view v = view(1, 3, 1);
    v.states_only = 1;
    ck_assert_int_eq(dmc__view_cols(&v), S);
    ck_assert_uint_eq(dmc__view_elems(&v), 3 * S);
    dmc__view_sample(&v, (dmc__position){0, 2}, z, NULL, mask, weight); /* of the rows 2, 3 and one past the end */
    for (int h = 0; h < 3; h++)
        for (int j = 0; j < S; j++) {
            ck_assert_float_eq(z[h * S + j], state(h < 2 ? 2 + h : 3, j));
            ck_assert_float_eq(mask[h * S + j], h == 0);
            ck_assert_float_eq(weight[h * S + j], h == 1);
        }
    dmc__view_denormalise(&v, z, raw);
    for (int j = 0; j < S; j++) ck_assert_float_eq(raw[S + j], (float)(30 + j));
    dmc__view_normalise(&v, raw, back);
    ck_assert_mem_eq(back, z, sizeof z);
    dmc__view_condition(&v, (dmc__position){1, 0}, NULL, mask, known);
    for (int i = 0; i < 3 * S; i++) {
        ck_assert_float_eq(mask[i], i < S);
        ck_assert_float_eq(known[i], i < S ? state(4, i) : 0);
    }
    int32_t second = 0;
    for (uint64_t i = 0; i < 40; i++) { /* a causal mask leaves the last row to learn */
        const dmc__stream s = {5, DMC_STREAM_MASK, 0, i};
        dmc__view_sample(&v, (dmc__position){0, 0}, z, NULL, mask, weight);
        dmc__view_causal_mask(&v, 0, &s, mask, weight);
        second += mask[S] == 1;
        for (int j = 0; j < 3 * S; j++) {
            ck_assert_float_eq(mask[j], j < S || (j < 2 * S && mask[S] == 1));
            ck_assert_float_eq(weight[j], 1 - mask[j]);
        }
    }
    ck_assert(second > 5 && second < 35);
}
END_TEST

Suite *dmc_suite_view(void)
{
    Suite *s = suite_create("view");
    TCase *c = tcase_create("view");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, sizes);
    tcase_add_test(c, a_policy_in_the_middle);
    tcase_add_test(c, a_policy_at_the_end);
    tcase_add_test(c, a_policy_at_the_start);
    tcase_add_test(c, a_planner_at_the_end);
    tcase_add_test(c, a_planner_of_states);
    tcase_add_test(c, conditions_agree);
    tcase_add_test(c, dataset_units_come_back);
    tcase_add_test(c, transitions);
    tcase_add_loop_test(c, pushing_is_cutting, 0, 2);
    tcase_add_test(c, causal_masks);
    tcase_add_loop_test(c, prefixes_have_a_bound, 0, 2);
    tcase_add_loop_test(c, windows, 0, 2);
    tcase_add_test(c, no_causal_mask_of_one_row);
    suite_add_tcase(s, c);
    return s;
}
