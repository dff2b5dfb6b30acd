/* check_average.c — the choice of a candidate and the mean of all, on candidates and worths that are written by hand. */
#include "../../lib/runtime/sampler_state.h"
#include "world_fixture.h"

enum { WIDTH = 9, ROWS = 2, MOST = 64 };

static dmc_dataset *data;
static dmc_model *model;
static dmc_critic *critic;

/* Nine columns of an action in awkward units. */
static void setup(void)
{
    enum { N = 40 };
    static float obs[N * 2], act[N * WIDTH], rew[N];
    static uint8_t end[N];
    for (uint64_t i = 0; i < N; i++) {
        for (uint64_t j = 0; j < 2; j++) obs[2 * i + j] = world_uniform(j, i);
        for (uint64_t j = 0; j < WIDTH; j++) act[WIDTH * i + j] = (float)(j + 1) * (3 * world_uniform(10 + j, i) - (float)j);
        end[i] = i % 20 == 19;
    }
    expect_ok(dmc_dataset_create(NULL, N, 2, WIDTH, obs, act, rew, end, NULL, NULL, &data));
    dmc_model_options o = world_policy();
    o.horizon = ROWS;
    model = world_model(NULL, data, &o);
    critic = world_critic(NULL, data, 0);
}

static void teardown(void)
{
    dmc_critic_destroy(critic);
    dmc_model_destroy(model);
    dmc_dataset_destroy(data);
}

static dmc_sampler *chooser(int32_t candidates, int32_t select, const char *rotations, const char *majorities)
{
    dmc_sampler_options o = world_sampling(1, candidates, select);
    o.steps = 1;
    o.rotations = rotations;
    o.majorities = majorities;
    return world_sampler(model, critic, &o);
}

/* Candidate i becomes `raw` (ROWS*WIDTH), in the units of the data. */
static void put(dmc_sampler *s, int32_t i, const float *raw)
{
    dmc__normaliser_apply(&model->act, raw, ROWS, s->run->z + (size_t)i * s->run->elems);
}

static float at(const dmc_sampler *s, int32_t row, int32_t column)
{
    return s->run->chosen[row * WIDTH + column];
}

/* ---- greedy and softmax ------------------------------------------------------------------------------- */

static int32_t choice(dmc_sampler *s, const float *q, int32_t n, uint64_t call)
{
    memcpy(s->run->q, q, (size_t)n * sizeof *q);
    s->run->call = call;
    dmc__sampler_choose(s->run);
    return s->run->facts.chosen;
}

START_TEST(greedy_takes_the_first_of_equals_and_never_nan)
{
    static const struct { float q[4]; int32_t want; } cases[] = {
        {{1, 3, 3, 2}, 1}, {{2, 2, 2, 2}, 0}, {{NAN, -5, NAN, -4}, 3}, {{1, NAN, 2, NAN}, 2}, {{NAN, -INFINITY, NAN, NAN}, 1},
        {{NAN, NAN, NAN, NAN}, 0}, {{-INFINITY, INFINITY, 1, NAN}, 1}, {{-0.f, 0.f, -1, NAN}, 0}};
    dmc_sampler *s = chooser(4, DMC_SELECT_GREEDY, NULL, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_int_eq(choice(s, cases[i].q, 4, i), cases[i].want);
        const double q = cases[i].q[cases[i].want];
        if (isnan(q)) ck_assert_double_nan(s->run->facts.q);
        else ck_assert_double_eq(s->run->facts.q, q);
    }
    dmc_sampler_destroy(s);
}
END_TEST

START_TEST(a_steep_softmax_is_greedy)
{
    dmc_sampler *s = chooser(4, DMC_SELECT_SOFTMAX, NULL, NULL), *g = chooser(4, DMC_SELECT_GREEDY, NULL, NULL);
    for (uint64_t call = 0; call < 300; call++) {
        float q[4];
        for (uint64_t i = 0; i < 4; i++) q[i] = world_uniform(30 + i, call);
        if (call % 3 == 0) q[call % 4] = NAN;
        s->run->config.beta = 1e6;
        const int32_t steep = choice(s, q, 4, call);
        ck_assert_int_eq(steep, choice(g, q, 4, call));
        s->run->config.beta = INFINITY; /* more than an option may be */
        ck_assert_int_eq(choice(s, q, 4, call), steep);
    }
    dmc_sampler_destroy(g);
    dmc_sampler_destroy(s);
}
END_TEST

/* Beta 0: every candidate that has a worth alike; with a spread of 1 e^-1 to 1. Four standard deviations. */
START_TEST(softmax_draws_what_it_should)
{
    enum { CALLS = 8000 };
    static const float q[5] = {2, NAN, 1, 2, -INFINITY};
    static const double weight[2][5] = {{1, 0, 1, 1, 0}, {1, 0, 0.36787944117144233, 1, 0}};
    dmc_sampler *s = chooser(5, DMC_SELECT_SOFTMAX, NULL, NULL);
    int32_t hits[5] = {0};
    double sum = 0;
    s->run->config.beta = _i;
    for (uint64_t call = 0; call < CALLS; call++) hits[choice(s, q, 5, call)]++;
    for (int i = 0; i < 5; i++) sum += weight[_i][i];
    for (int i = 0; i < 5; i++) {
        const double p = weight[_i][i] / sum;
        ck_assert_double_le(fabs(hits[i] - CALLS * p), 4 * sqrt(CALLS * p * (1 - p)));
    }
    dmc_sampler_destroy(s);
}
END_TEST

START_TEST(softmax_without_any_worth_takes_the_first)
{
    static const float none[3] = {NAN, NAN, NAN};
    dmc_sampler *s = chooser(3, DMC_SELECT_SOFTMAX, NULL, NULL);
    for (uint64_t call = 0; call < 20; call++) ck_assert_int_eq(choice(s, none, 3, call), 0);
    dmc_sampler_destroy(s);
}
END_TEST

/* ---- the mean ----------------------------------------------------------------------------------------- */

/* Turned by `angle` about the third axis: two columns of the matrix, one behind the other, in columns 2..7. */
static void turn(float raw[ROWS * WIDTH], double angle)
{
    const float c = (float)cos(angle), s = (float)sin(angle), six[6] = {c, s, 0, -s, c, 0};
    for (int r = 0; r < ROWS; r++) memcpy(raw + r * WIDTH + 2, six, sizeof six);
}

static void expect_turn(const dmc_sampler *s, double angle)
{
    float want[ROWS * WIDTH];
    turn(want, angle);
    for (int r = 0; r < ROWS; r++)
        for (int j = 2; j < 8; j++) ck_assert_float_eq_tol(at(s, r, j), want[j], 2e-5f);
}

START_TEST(a_mean_in_the_units_of_the_data)
{
    dmc_sampler *s = chooser(3, DMC_SELECT_EXPECTATION, "", NULL);
    float raw[3][ROWS * WIDTH];
    for (uint64_t i = 0; i < 3; i++) {
        for (uint64_t j = 0; j < ROWS * WIDTH; j++) raw[i][j] = 10 * world_uniform(50 + i, j);
        put(s, (int32_t)i, raw[i]);
    }
    dmc__sampler_choose(s->run);
    for (int j = 0; j < ROWS * WIDTH; j++)
        ck_assert_float_eq_tol(s->run->chosen[j], (raw[0][j] + raw[1][j] + raw[2][j]) / 3, 1e-4f);
    ck_assert_int_eq(s->run->facts.chosen, -1);
    dmc_sampler_destroy(s);
}
END_TEST

/* Turns by 0.2, 0.5 and 0.8 are turned by 0.5 in the mean, at full length; the plain mean is shorter. */
START_TEST(rotations_stay_rotations)
{
    static const double angle[3] = {0.2, 0.5, 0.8};
    dmc_sampler *s = chooser(3, DMC_SELECT_EXPECTATION, "2", ""), *plain = chooser(3, DMC_SELECT_EXPECTATION, "", "");
    for (int32_t i = 0; i < 3; i++) {
        float raw[ROWS * WIDTH] = {(float)i, 1, [8] = 5};
        turn(raw, angle[i]);
        put(s, i, raw);
        put(plain, i, raw);
    }
    dmc__sampler_choose(s->run);
    dmc__sampler_choose(plain->run);
    expect_turn(s, 0.5);
    ck_assert_float_eq_tol(at(s, 0, 0), 1, 1e-5f); /* the other columns are averaged like numbers */
    ck_assert_float_eq_tol(at(s, 0, 8), 5, 1e-4f);
    ck_assert_float_eq_tol(hypotf(at(plain, 0, 2), at(plain, 0, 3)), (float)((1 + 2 * cos(0.3)) / 3), 1e-5f);
    dmc_sampler_destroy(plain);
    dmc_sampler_destroy(s);
}
END_TEST

/* Columns that are neither of length 1 nor at right angles: by hand. a1 = (3,0,4), a2 = (1,2,3): b1 = (.6,0,.8), b1.a2 = 3,
 * a2 - 3 b1 = (-.8,2,.6) of length sqrt(5). */
START_TEST(columns_are_made_orthonormal)
{
    dmc_sampler *s = chooser(1, DMC_SELECT_EXPECTATION, " 3 ", NULL);
    const double root = sqrt(5), want[6] = {.6, 0, .8, -.8 / root, 2 / root, .6 / root};
    const float raw[ROWS * WIDTH] = {0, 0, 0, 3, 0, 4, 1, 2, 3, 0, 0, 0, 3, 0, 4, 1, 2, 3};
    put(s, 0, raw);
    dmc__sampler_choose(s->run);
    for (int r = 0; r < ROWS; r++)
        for (int j = 0; j < 6; j++) ck_assert_float_eq_tol(at(s, r, 3 + j), (float)want[j], 1e-5f);
    dmc_sampler_destroy(s);
}
END_TEST

/* Turns by 0 and pi cancel out; two equal columns span no plane. The first candidate's rotation stands, if it is one. */
START_TEST(rotations_without_a_mean)
{
    dmc_sampler *s = chooser(2, DMC_SELECT_EXPECTATION, "2", NULL);
    float raw[ROWS * WIDTH] = {0};
    turn(raw, 0.3);
    for (int r = 0; r < ROWS; r++)
        for (int j = 2; j < 8; j++) raw[r * WIDTH + j] *= 2; /* made orthonormal, too */
    put(s, 0, raw);
    turn(raw, 0.3);
    for (int r = 0; r < ROWS; r++)
        for (int j = 2; j < 8; j++) raw[r * WIDTH + j] *= -2;
    put(s, 1, raw);
    for (size_t i = 0; i < 2 * s->run->elems; i++) s->run->raw[i] = 99; /* what an earlier call left there does not matter */
    dmc__sampler_choose(s->run);
    expect_turn(s, 0.3);
    const float twins[ROWS * WIDTH] = {[2] = 1, [5] = 2, [11] = 1, [14] = 2};
    put(s, 0, twins);
    put(s, 1, twins);
    dmc__sampler_choose(s->run);
    for (int j = 0; j < WIDTH; j++) ck_assert_float_eq_tol(at(s, 1, j), twins[j], 1e-5f);
    dmc_sampler_destroy(s);
}
END_TEST

/* Three of five close the gripper; of four, two each way, the lower value. */
START_TEST(majorities_are_medians)
{
    dmc_sampler *s = chooser(5, DMC_SELECT_EXPECTATION, "0", "8, 7"), *even = chooser(4, DMC_SELECT_EXPECTATION, NULL, "8");
    static const float grip[5] = {-1, 7, 7, -1, 7}, other[5] = {3, -2, 9, 4, 100};
    for (int32_t i = 0; i < 5; i++) {
        float raw[ROWS * WIDTH] = {1, 0, 0, 0, 1, 0};
        for (int r = 0; r < ROWS; r++) {
            raw[r * WIDTH + 7] = other[i];
            raw[r * WIDTH + 8] = grip[i];
        }
        put(s, i, raw);
        if (i < 4) put(even, i, raw);
    }
    dmc__sampler_choose(s->run);
    dmc__sampler_choose(even->run);
    for (int r = 0; r < ROWS; r++) {
        ck_assert_float_eq_tol(at(s, r, 8), 7, 1e-4f);
        ck_assert_float_eq_tol(at(s, r, 7), 4, 1e-4f);
        ck_assert_float_eq_tol(at(even, r, 8), -1, 1e-4f);
    }
    dmc_sampler_destroy(even);
    dmc_sampler_destroy(s);
}
END_TEST

static int by_size(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

START_TEST(a_median_of_many)
{
    enum { N = 4096 };
    static float sorted[N];
    const int32_t n = N - _i;
    dmc_sampler *s = chooser(n, DMC_SELECT_EXPECTATION, NULL, "1");
    for (int32_t i = 0; i < n; i++) sorted[i] = s->run->z[(size_t)i * s->run->elems + 1] = world_uniform(70, (uint64_t)i);
    dmc__sampler_choose(s->run);
    qsort(sorted, (size_t)n, sizeof *sorted, by_size);
    ck_assert_float_eq(at(s, 0, 1), sorted[(n - 1) / 2] * model->act.scale[1] + model->act.shift[1]);
    dmc_sampler_destroy(s);
}
END_TEST

/* A candidate that is not a number is not outvoted. */
START_TEST(nothing_hides_what_is_not_finite)
{
    dmc_sampler *s = chooser(3, DMC_SELECT_EXPECTATION, "0", "6");
    float raw[ROWS * WIDTH] = {1, 0, 0, 0, 1, 0};
    for (int32_t i = 0; i < 3; i++) put(s, i, raw);
    s->run->z[6] = NAN;
    s->run->z[WIDTH + 4] = INFINITY;
    dmc__sampler_choose(s->run);
    ck_assert_float_nan(at(s, 0, 6));
    ck_assert(!isfinite(at(s, 1, 4)));
    dmc_sampler_destroy(s);
}
END_TEST

START_TEST(columns_are_refused_by_name)
{
    static const struct { const char *rotations, *majorities; dmc_status status; const char *part; } cases[] = {
        {"4", NULL, DMC_ERANGE, "rotations: column 4, must be a whole number 0..3 (6 of 9 columns of an action)"},
        {"-1", NULL, DMC_ERANGE, "column -1"},
        {NULL, "9", DMC_ERANGE, "majorities: column 9, must be a whole number 0..8"},
        {NULL, "99999999999999999999", DMC_ERANGE, "majorities"},
        {"0,3", NULL, DMC_EINVAL, "rotations: column 3 has a meaning already"},
        {"0,0", NULL, DMC_EINVAL, "column 0 has"},
        {"1", "0, 6", DMC_EINVAL, "majorities: column 6 has"},
        {NULL, "3,3", DMC_EINVAL, "column 3 has"},
        {"x", NULL, DMC_EPARSE, "rotations: number 1 is \"x\", must be a finite number"},
        {"1,", NULL, DMC_EPARSE, "rotations: number 2 is \"\""},
        {",1", NULL, DMC_EPARSE, "rotations"},
        {NULL, "1 2", DMC_EPARSE, "majorities: number 1 is \"1 2\""},
        {NULL, "1.5", DMC_ERANGE, "majorities: column 1.5"},
        {NULL, "1,,2", DMC_EPARSE, "majorities"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dmc_sampler *s = (dmc_sampler *)(uintptr_t)1;
        dmc_sampler_options o = world_sampling(1, 2, i % 2 ? DMC_SELECT_FIRST : DMC_SELECT_EXPECTATION);
        o.rotations = cases[i].rotations;
        o.majorities = cases[i].majorities;
        expect_failure(dmc_sampler_create(NULL, model, NULL, &o, &s), cases[i].status, cases[i].part);
        ck_assert_ptr_null(s);
    }
}
END_TEST

Suite *dmc_suite_average(void);

Suite *dmc_suite_average(void)
{
    Suite *s = suite_create("average");
    TCase *t = tcase_create("average");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, greedy_takes_the_first_of_equals_and_never_nan);
    tcase_add_test(t, a_steep_softmax_is_greedy);
    tcase_add_loop_test(t, softmax_draws_what_it_should, 0, 2);
    tcase_add_test(t, softmax_without_any_worth_takes_the_first);
    tcase_add_test(t, a_mean_in_the_units_of_the_data);
    tcase_add_test(t, rotations_stay_rotations);
    tcase_add_test(t, columns_are_made_orthonormal);
    tcase_add_test(t, rotations_without_a_mean);
    tcase_add_test(t, majorities_are_medians);
    tcase_add_loop_test(t, a_median_of_many, 0, 2);
    tcase_add_test(t, nothing_hides_what_is_not_finite);
    tcase_add_test(t, columns_are_refused_by_name);
    suite_add_tcase(s, t);
    return s;
}
