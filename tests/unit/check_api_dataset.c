/* check_api_dataset.c — dmc_dataset: its numbers, episodes, split, file, and what it refuses. */
#include "world_fixture.h"

Suite *dmc_suite_api_dataset(void);

static dmc_dataset *data;

static void setup(void)
{
    fixture_make();
    data = world_data(NULL);
}

static void teardown(void)
{
    dmc_dataset_destroy(data);
    fixture_remove();
}

static dmc_dataset_info info_of(const dmc_dataset *d)
{
    dmc_dataset_info info = {.struct_size = sizeof info};
    expect_ok(dmc_dataset_get_info(d, &info));
    return info;
}

static dmc_dataset_options options(void)
{
    dmc_dataset_options o;
    expect_ok(dmc_dataset_options_init(&o, sizeof o));
    return o;
}

START_TEST(information_adds_up)
{
    const dmc_dataset_info info = info_of(data);
    double sum = 0, squares = 0, least = 1e9, most = -1e9;
    const int32_t n = WORLD_ROWS / WORLD_EPISODE;
    for (int32_t e = 0; e < n; e++) {
        const float *rew;
        double r = 0;
        expect_ok(dmc_dataset_episode(data, e, NULL, NULL, &rew, NULL));
        for (int32_t i = 0; i < WORLD_EPISODE; i++) r += rew[i];
        sum += r;
        squares += r * r;
        least = fmin(least, r);
        most = fmax(most, r);
    }
    ck_assert(info.obs_dim == WORLD_S && info.act_dim == WORLD_A);
    ck_assert_int_eq(info.episodes, n);
    ck_assert_int_eq(info.longest, WORLD_EPISODE);
    ck_assert_uint_eq(info.steps, WORLD_ROWS);
    ck_assert_int_eq(info.held_out_episodes, 1); /* 5 % of 24 */
    ck_assert_double_eq_tol(info.return_mean, sum / n, 1e-9);
    ck_assert_double_eq_tol(info.return_sd, sqrt(squares / n - sum / n * sum / n), 1e-6);
    ck_assert_double_eq_tol(info.return_min, least, 1e-9);
    ck_assert_double_eq_tol(info.return_max, most, 1e-9);
}
END_TEST

/* A shorter one at the end, cut off by the end of the data. */
START_TEST(episodes_are_where_they_should_be)
{
    const float obs[10] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, act[5] = {10, 11, 12, 13, 14}, rew[5] = {1, 2, 3, 4, 5};
    const uint8_t end[5] = {0, 0, 1, 0, 0};
    const float *o, *a, *r;
    int32_t len;
    dmc_dataset *d;
    expect_ok(dmc_dataset_create(NULL, 5, 2, 1, obs, act, rew, end, NULL, NULL, &d));
    ck_assert_int_eq(info_of(d).episodes, 2);
    ck_assert_int_eq(info_of(d).longest, 3);
    expect_ok(dmc_dataset_episode(d, 1, &o, &a, &r, &len));
    ck_assert_int_eq(len, 2);
    ck_assert_mem_eq(o, obs + 6, 4 * sizeof *o);
    ck_assert_mem_eq(a, act + 3, 2 * sizeof *a);
    ck_assert_mem_eq(r, rew + 3, 2 * sizeof *r);
    expect_ok(dmc_dataset_episode(d, 0, NULL, NULL, NULL, NULL));
    expect_failure(dmc_dataset_episode(d, 2, &o, &a, &r, &len), DMC_ERANGE, "i = 2, must be 0..1");
    expect_failure(dmc_dataset_episode(d, -1, &o, &a, &r, &len), DMC_ERANGE, "i = -1");
    dmc_dataset_destroy(d);
}
END_TEST

START_TEST(the_split_is_told_and_seeded)
{
    dmc_dataset_options o = options();
    int32_t held[2][WORLD_ROWS / WORLD_EPISODE], sum = 0, moved = 0;
    o.held_out = 0.25;
    for (int k = 0; k < 2; k++, o.seed++) {
        dmc_dataset *d = world_data_with(NULL, &o);
        ck_assert_int_eq(info_of(d).held_out_episodes, 6);
        for (int32_t e = 0; e < 24; e++) expect_ok(dmc_dataset_is_held_out(d, e, &held[k][e]));
        dmc_dataset_destroy(d);
    }
    for (int32_t e = 0; e < 24; e++) {
        sum += held[0][e];
        moved += held[0][e] != held[1][e];
    }
    ck_assert_int_eq(sum, 6);
    ck_assert_int_gt(moved, 0);
    expect_failure(dmc_dataset_is_held_out(data, 24, &sum), DMC_ERANGE, "i = 24, must be 0..23");
    expect_failure(dmc_dataset_is_held_out(data, 0, NULL), DMC_EINVAL, "held is NULL");
}
END_TEST

static void same_rows(const dmc_dataset *a, const dmc_dataset *b)
{
    const dmc__trajectories *x = a->data, *y = b->data;
    ck_assert_uint_eq(x->rows, y->rows);
    ck_assert_int_eq(x->episodes, y->episodes);
    ck_assert_mem_eq(x->obs, y->obs, x->rows * WORLD_S * sizeof(float));
    ck_assert_mem_eq(x->act, y->act, x->rows * WORLD_A * sizeof(float));
    ck_assert_mem_eq(x->rew, y->rew, x->rows * sizeof(float));
    ck_assert_mem_eq(x->terminal, y->terminal, x->rows);
    ck_assert_mem_eq(x->start, y->start, ((size_t)x->episodes + 1) * sizeof *x->start);
    ck_assert_mem_eq(x->train, y->train, (size_t)x->episodes * sizeof *x->train);
}

START_TEST(files_bring_everything_back)
{
    dmc_dataset *back;
    expect_ok(dmc_dataset_save(data, fixture_path("d.hdf5")));
    ck_assert_int_eq(fixture_count(), 1);
    expect_ok(dmc_dataset_open(NULL, fixture_path("d.hdf5"), NULL, &back));
    same_rows(data, back);
    dmc_dataset_destroy(back);
    expect_failure(dmc_dataset_open(NULL, fixture_path("none"), NULL, &back), DMC_ENOENT, "none");
    ck_assert_ptr_null(back);
}
END_TEST

/* The first max_steps rows, from memory as from a file; the episode that is cut is no terminal. */
START_TEST(only_so_many_steps)
{
    dmc_dataset_options o = options();
    dmc_dataset *file;
    o.max_steps = 50;
    dmc_dataset *some = world_data_with(NULL, &o);
    expect_ok(dmc_dataset_save(data, fixture_path("d.hdf5")));
    expect_ok(dmc_dataset_open(NULL, fixture_path("d.hdf5"), &o, &file));
    same_rows(some, file);
    ck_assert_uint_eq(info_of(some).steps, 50);
    ck_assert_int_eq(info_of(some).episodes, 3);
    ck_assert_int_eq(some->data->terminal[49], 0);
    ck_assert_mem_eq(some->data->obs, data->data->obs, 50 * WORLD_S * sizeof(float));
    dmc_dataset_destroy(file);
    dmc_dataset_destroy(some);
}
END_TEST

START_TEST(arguments_are_checked)
{
    float obs[4] = {0, 1, 2, 3};
    const float act[4] = {0}, rew[4] = {0};
    const uint8_t end[4] = {0};
    dmc_dataset_options o = options();
    dmc_dataset *d = data;
    dmc_dataset_info info = {.struct_size = 1};
#define create(n, s, a) dmc_dataset_create(NULL, n, s, a, obs, act, rew, end, NULL, &o, &d)
    expect_failure(create(0, 1, 1), DMC_ESHAPE, "n = 0");
    ck_assert_ptr_null(d);
    expect_failure(create(4, 0, 1), DMC_ESHAPE, "obs_dim = 0");
    expect_failure(create(4, 1, -1), DMC_ESHAPE, "act_dim = -1");
    expect_failure(create((size_t)1 << 31, 1, 1), DMC_EOVERFLOW, "n = 2147483648");
    obs[2] = NAN;
    expect_failure(create(4, 1, 1), DMC_ENUMERIC, "observations: row 2");
    obs[2] = 2;
    o.held_out = 0.6;
    expect_failure(create(4, 1, 1), DMC_ERANGE, "held_out = 0.6, must be 0..0.5");
    o = options();
    o.reserved0 = 1;
    expect_failure(create(4, 1, 1), DMC_EINVAL, "reserved0 = 1");
    o.struct_size = 0;
    expect_failure(create(4, 1, 1), DMC_EINVAL, "struct_size = 0");
    o = options();
    expect_ok(create(4, 1, 1));
    dmc_dataset_destroy(d);
    expect_failure(dmc_dataset_create(NULL, 4, 1, 1, NULL, act, rew, end, NULL, NULL, &d), DMC_EINVAL, "obs is NULL");
    expect_failure(dmc_dataset_create(NULL, 4, 1, 1, obs, act, rew, NULL, NULL, NULL, &d), DMC_EINVAL, "terminals is NULL");
    expect_failure(dmc_dataset_create(NULL, 4, 1, 1, obs, act, rew, end, NULL, NULL, NULL), DMC_EINVAL, "out is NULL");
    expect_failure(dmc_dataset_open(NULL, NULL, NULL, &d), DMC_EINVAL, "path is NULL");
    expect_failure(dmc_dataset_save(data, NULL), DMC_EINVAL, "path is NULL");
    expect_failure(dmc_dataset_save(NULL, "x"), DMC_EINVAL, "d is NULL");
    expect_failure(dmc_dataset_get_info(data, &info), DMC_EINVAL, "info->struct_size = 1");
    expect_failure(dmc_dataset_options_init(&o, 3), DMC_EINVAL, "3");
    dmc_dataset_destroy(NULL);
}
END_TEST

static dmc_status create_in(void *ctx, void **out)
{
    const float obs[4] = {0, 1, 2, 3}, act[4] = {0}, rew[4] = {0};
    const uint8_t end[4] = {0, 1, 0, 1};
    return dmc_dataset_create(ctx, 4, 1, 1, obs, act, rew, end, NULL, NULL, (dmc_dataset **)out);
}

static dmc_status open_in(void *ctx, void **out)
{
    return dmc_dataset_open(ctx, fixture_path("d.hdf5"), NULL, (dmc_dataset **)out);
}

static void destroy(void *d)
{
    dmc_dataset_destroy(d);
}

START_TEST(making_without_memory)
{
    failing_alloc f = {0};
    dmc_context *ctx = world_context(&f, "cpu");
    expect_ok(dmc_dataset_save(data, fixture_path("d.hdf5")));
    world_without_memory(&f, ctx, create_in, destroy);
    world_without_memory(&f, ctx, open_in, destroy);
    dmc_context_destroy(ctx);
    ck_assert_int_eq(f.live, 0);
}
END_TEST

Suite *dmc_suite_api_dataset(void)
{
    Suite *s = suite_create("api_dataset");
    TCase *c = tcase_create("dataset");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, information_adds_up);
    tcase_add_test(c, episodes_are_where_they_should_be);
    tcase_add_test(c, the_split_is_told_and_seeded);
    tcase_add_test(c, files_bring_everything_back);
    tcase_add_test(c, only_so_many_steps);
    tcase_add_test(c, arguments_are_checked);
    tcase_add_test(c, making_without_memory);
    suite_add_tcase(s, c);
    return s;
}
