#include "../../lib/critic/reward.h"
#include "failing_alloc.h"
#include "small_critic.h"

#include <string.h>

enum { BATCH = 3, HORIZON = 4, N_OBS = 2, OBS = 3, ACT = 2 };

static const dmc__iql_config config = {.obs_dim = OBS, .act_dim = ACT, .hidden = 5, .batch = 2, .lr = 1e-3, .tau = .7,
                                       .gamma = .9, .polyak = .05, .seed = 3};
static const float obs_scale[OBS] = {.5f, 2, 1.25f}, obs_shift[OBS] = {.1f, -.3f, 0};
static const float act_scale[ACT] = {.75f, 1.5f}, act_shift[ACT] = {-.2f, .05f};
static const dmc__critic_map policy_map = {.planner = 0, .horizon = HORIZON, .n_obs = N_OBS, .obs_dim = OBS, .act_dim = ACT,
                                           .obs_scale = obs_scale, .obs_shift = obs_shift, .act_scale = act_scale,
                                           .act_shift = act_shift};

/* policy; planner over all rows; planner, row 0 only; the same with actions of two rows */
enum { POLICY, PLANNER, PLANNER_FIRST, CHUNKS, VARIANTS = 2 * CHUNKS };

typedef struct lab {
    small_critic s;
    dmc__reward reward;
    dmc__critic_map map;
    double discount, *z, *cond; /* device, ref64 */
    int32_t cols, chunk;
    size_t total;
    dmc__qeval *one; /* a single row, for the host's own arithmetic */
} lab;

static void open_lab(lab *l, int variant, int32_t want_gradient)
{
    dmc__iql_config c = config;
    l->chunk = variant < CHUNKS ? 1 : 2;
    c.act_dim *= l->chunk;
    small_critic_open(&l->s, "ref64", &c);
    l->map = policy_map;
    l->map.planner = variant % CHUNKS != POLICY;
    l->map.chunk = variant < CHUNKS ? 0 : l->chunk;
    l->discount = variant % CHUNKS == PLANNER_FIRST ? 0 : .9;
    l->cols = ACT + (l->map.planner ? OBS : 0);
    l->total = (size_t)(BATCH * HORIZON * l->cols);
    l->z = some_device_floats(l->s.device, l->total, 1, 1);
    l->cond = some_device_floats(l->s.device, BATCH * N_OBS * OBS, 2, 1);
    ok(dmc__reward_critic_create(l->s.q, l->s.device, &l->map, BATCH, l->discount, want_gradient, &l->reward));
    ok(dmc__qeval_create(l->s.q, l->s.device, 1, 0, &l->one));
}

static void close_lab(lab *l)
{
    dmc__qeval_destroy(l->one);
    dmc__reward_critic_free(&l->reward);
    ck_assert_ptr_null(l->reward.self);
    dmc__dev_free(l->s.device, l->z, l->total);
    dmc__dev_free(l->s.device, l->cond, BATCH * N_OBS * OBS);
    small_critic_close(&l->s);
}

static dmc_status evaluate(lab *l, int32_t pessimistic, float *r, void *dz)
{
    return l->reward.eval(l->reward.self, l->z, l->map.planner ? NULL : l->cond, pessimistic, r, dz);
}

/* Q of one row in double, from model units; 0 the mean of the twins, 1 their minimum. A chunk's next row is l->cols further. */
static double row_value(const lab *l, const double *obs, const double *act, int32_t pessimistic)
{
    double *o = dmc__qeval_obs(l->one), *a = dmc__qeval_act(l->one);
    for (int j = 0; j < OBS; j++) o[j] = obs[j] * (double)obs_scale[j] + (double)obs_shift[j];
    for (int i = 0; i < l->chunk; i++)
        for (int j = 0; j < ACT; j++) a[i * ACT + j] = act[i * l->cols + j] * (double)act_scale[j] + (double)act_shift[j];
    ok(dmc__qeval_run(l->one));
    const double q1 = *(const double *)dmc__qeval_q(l->one, 0), q2 = *(const double *)dmc__qeval_q(l->one, 1);
    return pessimistic ? fmin(q1, q2) : (q1 + q2) / 2;
}

/* The reward of sample b as reward.h words it. */
static double host_reward(const lab *l, int b, int32_t pessimistic)
{
    const double *z = l->z + b * HORIZON * l->cols;
    if (!l->map.planner) return row_value(l, l->cond + b * N_OBS * OBS + (N_OBS - 1) * OBS, z, pessimistic);
    double sum = 0, weights = 0;
    for (int h = 0; h < (l->discount > 0 ? HORIZON - l->chunk + 1 : 1); h++) {
        const double w = pow(l->discount, h);
        sum += w * row_value(l, z + h * l->cols, z + h * l->cols + OBS, pessimistic);
        weights += w;
    }
    return sum / weights;
}

START_TEST(rewards_are_critic_values)
{
    float r[BATCH];
    lab l;
    open_lab(&l, _i, 0);
    ck_assert(l.reward.batch == BATCH && !l.reward.has_gradient);
    for (int32_t pessimistic = 0; pessimistic < 2; pessimistic++) {
        ok(evaluate(&l, pessimistic, r, NULL));
        for (int b = 0; b < BATCH; b++) ck_assert_double_eq_tol(r[b], host_reward(&l, b, pessimistic), 1e-6);
    }
    close_lab(&l);
}
END_TEST

/* What was asked is told as often as one likes. */
START_TEST(asked_first_and_told_later)
{
    float r[BATCH], want[BATCH];
    lab l;
    open_lab(&l, _i, 0);
    ok(dmc__reward_critic_ask(&l.reward, l.z, l.map.planner ? NULL : l.cond));
    for (int b = 0; b < BATCH; b++) want[b] = (float)host_reward(&l, b, 1);
    for (size_t i = 0; i < l.total; i++) l.z[i] = 7;
    for (int twice = 0; twice < 2; twice++) {
        memset(r, 0, sizeof r);
        dmc__reward_critic_tell(&l.reward, 1, r);
        for (int b = 0; b < BATCH; b++) ck_assert_double_eq_tol(r[b], want[b], 1e-6);
    }
    if (!l.map.planner) ck_assert_int_eq(dmc__reward_critic_ask(&l.reward, l.z, NULL), DMC_EINVAL);
    close_lab(&l);
}
END_TEST

/* Row by row: rows w_h Q(s_h, a_h) over the sum of the weights, whose mean is the reward. */
START_TEST(rows_are_critic_values)
{
    float r[BATCH * HORIZON], whole[BATCH];
    lab l;
    open_lab(&l, _i, 0);
    const int rows = _i % CHUNKS == PLANNER ? HORIZON - l.chunk + 1 : 1;
    ck_assert_int_eq(l.reward.rows, rows);
    for (int32_t pessimistic = 0; pessimistic < 2; pessimistic++) {
        ok(l.reward.eval_rows(l.reward.self, l.z, l.map.planner ? NULL : l.cond, pessimistic, r));
        ok(evaluate(&l, pessimistic, whole, NULL));
        for (int i = 0; i < BATCH * rows; i++) {
            const double *z = l.z + (i / rows * HORIZON + i % rows) * l.cols;
            const double *obs = l.map.planner ? z : l.cond + i * N_OBS * OBS + (N_OBS - 1) * OBS;
            double weights = 0;
            for (int h = 0; h < rows; h++) weights += pow(.9, h);
            const double share = rows * pow(.9, i % rows) / weights;
            ck_assert_double_eq_tol(r[i], share * row_value(&l, obs, l.map.planner ? z + OBS : z, pessimistic), 1e-5);
            whole[i / rows] -= r[i] / (float)rows;
        }
        for (int b = 0; b < BATCH; b++) ck_assert_double_eq_tol(whole[b], 0, 1e-5);
    }
    close_lab(&l);
}
END_TEST

static double sum_of_rewards(void *self)
{
    double sum = 0;
    for (int b = 0; b < BATCH; b++) sum += host_reward(self, b, 0);
    return sum;
}

/* dz is set, not added to, and 0 on entries the reward does not look at. */
START_TEST(gradient_by_differences)
{
    float r[BATCH];
    lab l;
    open_lab(&l, _i, 1);
    double *dz = some_device_floats(l.s.device, l.total, 5, 100);
    for (int twice = 0; twice < 2; twice++) ok(evaluate(&l, 0, r, dz));
    for (int b = 0; b < BATCH; b++) ck_assert_double_eq_tol(r[b], host_reward(&l, b, 0), 1e-6);
    double *numeric = differences(l.z, l.total, sum_of_rewards, &l);
    assert_gradients(dz, numeric, l.total);
    for (size_t i = 0; i < l.total; i++)
        if (numeric[i] == 0) ck_assert(dz[i] == 0);
    free(numeric);
    double *alone = some_device_floats(l.s.device, l.total, 6, 100);
    ok(evaluate(&l, 0, NULL, alone));
    ck_assert(memcmp(alone, dz, l.total * sizeof *dz) == 0);
    dmc__dev_free(l.s.device, alone, l.total);
    dmc__dev_free(l.s.device, dz, l.total);
    close_lab(&l);
}
END_TEST

/* With discount 0 the rows that do not count are not evaluated. */
START_TEST(first_row_alone_is_smaller)
{
    lab all, first;
    open_lab(&all, PLANNER, 0);
    open_lab(&first, PLANNER_FIRST, 0);
    ck_assert_uint_lt(dmc__reward_critic_bytes(&first.reward), dmc__reward_critic_bytes(&all.reward));
    close_lab(&all);
    close_lab(&first);
}
END_TEST

/* Missing scales are 1 and shifts 0. */
START_TEST(map_without_scales)
{
    static const float one[OBS] = {1, 1, 1}, zero[OBS] = {0};
    dmc__critic_map plain = policy_map, unit = policy_map;
    plain.obs_scale = plain.obs_shift = plain.act_scale = plain.act_shift = NULL;
    unit.obs_scale = unit.act_scale = one;
    unit.obs_shift = unit.act_shift = zero;
    float r[2][BATCH];
    lab l;
    open_lab(&l, POLICY, 0);
    for (int j = 0; j < 2; j++) {
        dmc__reward_critic_free(&l.reward);
        ok(dmc__reward_critic_create(l.s.q, l.s.device, j ? &unit : &plain, BATCH, .9, 0, &l.reward));
        ok(evaluate(&l, 0, r[j], NULL));
    }
    ck_assert_mem_eq(r[0], r[1], sizeof r[0]);
    close_lab(&l);
}
END_TEST

START_TEST(evaluation_allocates_nothing)
{
    failing_alloc f = {0};
    const dmc__allocator a = failing_allocator(&f);
    dmc__device *d;
    dmc__iql *q;
    dmc__reward reward;
    float r[BATCH];
    ok(dmc__device_open(&a, "cpu", NULL, &d));
    ok(dmc__iql_create(&a, d, &config, &q));
    ok(dmc__reward_critic_create(q, d, &policy_map, BATCH, .9, 1, &reward));
    void *z = some_device_floats(d, BATCH * HORIZON * ACT, 1, 1), *dz = some_device_floats(d, BATCH * HORIZON * ACT, 1, 1);
    void *cond = some_device_floats(d, BATCH * N_OBS * OBS, 2, 1);
    const int64_t calls = f.calls;
    ok(reward.eval(reward.self, z, cond, 0, r, dz));
    ok(reward.eval(reward.self, z, cond, 1, r, NULL));
    ck_assert_int_eq(f.calls, calls);
    ck_assert_uint_gt(dmc__reward_critic_bytes(&reward), 0);
    dmc__dev_free(d, z, BATCH * HORIZON * ACT);
    dmc__dev_free(d, dz, BATCH * HORIZON * ACT);
    dmc__dev_free(d, cond, BATCH * N_OBS * OBS);
    dmc__reward_critic_free(&reward);
    dmc__iql_destroy(q);
    dmc__device_close(d);
    ck_assert_int_eq(f.live, 0);
}
END_TEST

START_TEST(create_survives_lack_of_memory)
{
    lab l;
    open_lab(&l, POLICY, 0);
    dmc_status status = DMC_ENOMEM;
    for (int64_t n = 1; status == DMC_ENOMEM; n++) {
        failing_alloc f = {0};
        const dmc__allocator a = failing_allocator(&f);
        dmc__device *d;
        dmc__reward r;
        ok(dmc__device_open(&a, "ref64", NULL, &d));
        const int64_t before = f.live;
        f.fail_at = f.calls + n;
        status = dmc__reward_critic_create(l.s.q, d, &policy_map, BATCH, .9, 1, &r);
        ck_assert((status == DMC_OK) == (r.self != NULL));
        dmc__reward_critic_free(&r);
        ck_assert_int_eq(f.live, before);
        dmc__device_close(d);
    }
    ck_assert_int_eq(status, DMC_OK);
    close_lab(&l);
}
END_TEST

static void assert_refused(lab *l, const dmc__critic_map *map, int32_t batch, double discount, dmc_status status)
{
    dmc__reward r;
    ck_assert_int_eq(dmc__reward_critic_create(l->s.q, l->s.device, map, batch, discount, 0, &r), status);
    ck_assert_ptr_null(r.self);
}

START_TEST(refusals)
{
    float r[BATCH];
    lab l;
    open_lab(&l, POLICY, 0);
    dmc__critic_map m = policy_map;
    assert_refused(&l, &m, 0, .9, DMC_ERANGE);
    assert_refused(&l, &m, BATCH, 1.5, DMC_ERANGE);
    assert_refused(&l, &m, BATCH, NAN, DMC_ERANGE);
    assert_refused(&l, &m, INT32_MAX, .9, DMC_EOVERFLOW);
    m.obs_dim = OBS + 1;
    assert_refused(&l, &m, BATCH, .9, DMC_ESHAPE);
    m = policy_map;
    m.n_obs = 0;
    assert_refused(&l, &m, BATCH, .9, DMC_ERANGE);
    m = policy_map;
    m.horizon = 0;
    assert_refused(&l, &m, BATCH, .9, DMC_ERANGE);
    m = policy_map;
    m.chunk = 2; /* the critic's actions have one row */
    assert_refused(&l, &m, BATCH, .9, DMC_ESHAPE);
    ck_assert_int_eq(evaluate(&l, 0, r, l.z), DMC_ESTATE); /* made without a gradient */
    ck_assert_int_eq(l.reward.eval(l.reward.self, l.z, NULL, 0, r, NULL), DMC_EINVAL);
    close_lab(&l);
    open_lab(&l, POLICY, 1);
    double *dz = some_device_floats(l.s.device, l.total, 5, 1);
    ck_assert_int_eq(evaluate(&l, 1, r, dz), DMC_EINVAL); /* a gradient of the minimum */
    dmc__dev_free(l.s.device, dz, l.total);
    dmc__reward_critic_free(NULL);
    close_lab(&l);
    open_lab(&l, CHUNKS, 0);
    m = l.map;
    m.horizon = 1; /* and its actions two */
    assert_refused(&l, &m, BATCH, .9, DMC_ESHAPE);
    ck_assert_ptr_nonnull(strstr(dmc_last_error(), "2 rows, samples only 1"));
    close_lab(&l);
}
END_TEST

/* A plan of another device cannot read the critic's weights. */
START_TEST(values_are_asked_for_where_the_critic_lives)
{
    dmc__device *other;
    lab l;
    open_lab(&l, POLICY, 0);
    ok(dmc__device_open(&dmc__default_allocator, "cpu", NULL, &other));
    dmc__reward r = {.self = &l};
    ck_assert_int_eq(dmc__reward_critic_create(l.s.q, other, &policy_map, BATCH, .9, 0, &r), DMC_EINVAL);
    ck_assert_ptr_null(r.self);
    dmc__qeval *q = l.one;
    dmc__veval *v;
    ck_assert_int_eq(dmc__qeval_create(l.s.q, other, 1, 0, &q), DMC_EINVAL);
    ck_assert_ptr_null(q);
    ck_assert_int_eq(dmc__veval_create(l.s.q, other, 1, &v), DMC_EINVAL);
    ck_assert_ptr_null(v);
    dmc__device_close(other);
    close_lab(&l);
}
END_TEST

Suite *dmc_suite_reward_critic(void);
Suite *dmc_suite_reward_critic(void)
{
    Suite *const s = suite_create("reward_critic");
    TCase *const t = tcase_create("reward_critic");
    tcase_add_loop_test(t, rewards_are_critic_values, POLICY, VARIANTS);
    tcase_add_loop_test(t, asked_first_and_told_later, POLICY, VARIANTS);
    tcase_add_loop_test(t, rows_are_critic_values, POLICY, VARIANTS);
    tcase_add_loop_test(t, gradient_by_differences, POLICY, VARIANTS);
    tcase_add_test(t, first_row_alone_is_smaller);
    tcase_add_test(t, map_without_scales);
    tcase_add_test(t, evaluation_allocates_nothing);
    tcase_add_test(t, create_survives_lack_of_memory);
    tcase_add_test(t, refusals);
    tcase_add_test(t, values_are_asked_for_where_the_critic_lives);
    suite_add_tcase(s, t);
    return s;
}
